//! `althing token`: join tokens for trying things out and for scripts. Services sign their own with any JWT library.

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

use crate::config::Config;
use crate::control::auth::{AdminGrant, Claims, LibraryGrant, Role, RoomName, Source, TokenGrants, identity, sign, unix_time};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a join token and print it
    Create(Create),
}

#[derive(Args)]
pub struct Create {
    /// The room that it is for
    #[arg(long, required_unless_present = "admin")]
    room: Option<String>,
    /// The member's identity: whoever joins with the same one takes its place
    #[arg(long)]
    identity: String,
    /// The name to show; without it the member chooses
    #[arg(long)]
    name: Option<String>,
    /// A usual set of rights, to which others are added: host, member or viewer
    #[arg(long, value_parser = named::<Role>, value_name = "ROLE", conflicts_with_all = ["no_subscribe", "no_chat", "no_data"])]
    role: Option<Role>,
    /// What may be published: microphone, camera, screen, screen_audio, or none; without it everything, or what the role says
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    publish: Option<Vec<String>>,
    /// May not receive the others' tracks
    #[arg(long)]
    no_subscribe: bool,
    /// May not chat
    #[arg(long)]
    no_chat: bool,
    /// May not send data
    #[arg(long)]
    no_data: bool,
    /// May kick, mute others and lock the room
    #[arg(long)]
    moderate: bool,
    /// May have the room recorded
    #[arg(long)]
    record: bool,
    /// May change its own metadata and attributes
    #[arg(long)]
    describe: bool,
    /// For programs, which do not join: what may be done by the HTTP API: room (its own alone) or node (all of them)
    #[arg(long, value_parser = named::<AdminGrant>, value_name = "GRANT")]
    admin: Option<AdminGrant>,
    /// What may be done with what is kept of the room: none, view or manage; without it manage with --record, else none
    #[arg(long, value_parser = named::<LibraryGrant>, value_name = "GRANT")]
    library: Option<LibraryGrant>,
    /// How long it is valid: a number with s, m, h or d
    #[arg(long, default_value = "6h", value_parser = seconds, value_name = "TIME")]
    ttl: u64,
    /// The key to sign with, when there are several (auth.keys)
    #[arg(long)]
    key: Option<String>,
}

pub fn run(verb: Verb, config: &Config) -> Result<(), String> {
    let Verb::Create(create) = verb;
    println!("{}", token(&create, config)?);
    Ok(())
}

fn token(create: &Create, config: &Config) -> Result<String, String> {
    let key = match &create.key {
        Some(id) => config.auth.secret(id).map(|secret| (id.as_str(), secret)).ok_or(format!("there is no key `{id}` with a secret in auth.keys"))?,
        None if !config.auth.is_empty() && config.auth.first().is_none() => {
            return Err("auth.keys has public keys only: tokens are made where the private halves are".into());
        }
        None => config
            .auth
            .first()
            .ok_or("no keys are set, so that anybody may join without a token; set one in auth.keys, or name the file with --config")?,
    };
    match &create.room {
        Some(room) => drop(RoomName::new(room).map_err(|e| e.to_string())?),
        None if create.admin == Some(AdminGrant::Node) => {}
        None => return Err("name the room: --room".into()),
    }
    identity(&create.identity).ok_or("an identity has 1 to 64 letters, digits, dots, underscores or hyphens")?;
    // A role says it all, and programs that administer do not join.
    let by_role = create.role.is_some() || create.admin.is_some();
    let grants = TokenGrants {
        room: create.room.clone().unwrap_or_default(),
        join: !by_role,
        publish: match &create.publish {
            Some(named) => sources(named)?,
            None if by_role => Vec::new(),
            None => Source::ALL.to_vec(),
        },
        subscribe: !by_role && !create.no_subscribe,
        chat: !by_role && !create.no_chat,
        data: (!by_role).then_some(!create.no_data),
        moderate: create.moderate,
        record: create.record,
        library: create.library,
        role: create.role,
        describe: create.describe,
        admin: create.admin.unwrap_or_default(),
    };
    let exp = unix_time().as_secs().saturating_add(create.ttl);
    sign(key.0, key.1, &Claims { sub: create.identity.clone(), name: create.name.clone(), exp, grants, ..Claims::default() })
}

/// A value as tokens write it.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<ValueError>::new(text)).map_err(|error| error.to_string())
}

fn sources(names: &[String]) -> Result<Vec<Source>, String> {
    let source = |name: &String| match name.as_str() {
        "microphone" => Ok(Source::Microphone),
        "camera" => Ok(Source::Camera),
        "screen" => Ok(Source::Screen),
        "screen_audio" => Ok(Source::ScreenAudio),
        other => Err(format!("`{other}` is not a source: microphone, camera, screen, screen_audio, or none")),
    };
    names.iter().filter(|n| !matches!(n.as_str(), "none" | "")).map(source).collect()
}

fn seconds(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number with s, m, h or d, like 90m".into()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n > 0).ok_or_else(|| "write a number with s, m, h or d, like 90m".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Secret;
    use crate::control::auth::verify;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        verb: Verb,
    }

    fn created(arguments: &[&str]) -> Result<String, String> {
        let Verb::Create(create) = Line::try_parse_from(["x", "create"].iter().chain(arguments)).expect("arguments").verb;
        let secret = Secret::new("0123456789abcdef0123456789abcdef").expect("long enough");
        token(&create, &Config { auth: [("main".to_owned(), secret)].into_iter().collect(), ..Config::default() })
    }

    #[test]
    fn a_token_opens_the_room_that_it_was_made_for() {
        let token = created(&["--room", "r", "--identity", "alice", "--publish", "camera", "--ttl", "1h"]).expect("a token");
        let keys = [("main".to_owned(), Secret::new("0123456789abcdef0123456789abcdef").expect("long enough"))].into_iter().collect();
        let (identity, claims) = verify(&keys, Some(&token), &RoomName::new("r").expect("a name")).expect("valid");
        assert_eq!((identity.0.as_str(), claims.grants.publish.as_slice(), claims.grants.moderate), ("alice", [Source::Camera].as_slice(), false));
    }

    #[test]
    fn roles_and_administration_are_granted_and_nothing_beside() {
        let claims = |arguments: &[&str]| {
            let token = created(arguments).expect("a token");
            let payload = token.split('.').nth(1).expect("three parts").to_owned();
            let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).expect("base64");
            serde_json::from_slice::<Claims>(&claims).expect("claims").grants
        };
        let viewer = claims(&["--room", "r", "--identity", "a", "--role", "viewer"]);
        assert_eq!((viewer.in_room().publish, viewer.in_room().subscribe, viewer.in_room().data), (vec![], true, false));
        let program = claims(&["--identity", "backend", "--admin", "node"]);
        assert_eq!((program.admin, program.may_join(), program.room.as_str()), (AdminGrant::Node, false, ""));
        assert!(created(&["--identity", "backend", "--admin", "room"]).is_err_and(|e| e.contains("--room")));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(created(&["--room", "a b", "--identity", "alice"]).is_err_and(|e| e.contains("room")));
        assert!(created(&["--room", "r", "--identity", ""]).is_err_and(|e| e.contains("identity")));
        assert!(created(&["--room", "r", "--identity", "a", "--publish", "tv"]).is_err_and(|e| e.contains("`tv`")));
        assert!(created(&["--room", "r", "--identity", "a", "--key", "other"]).is_err_and(|e| e.contains("`other`")));
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(["90", "90s", "2m", "6h", "1d"].map(|t| seconds(t).ok()), [Some(90), Some(90), Some(120), Some(21_600), Some(86_400)]);
        assert!(["", "0", "1w", "-1h", "h", "99999999999999999999"].iter().all(|t| seconds(t).is_err()));
    }
}
