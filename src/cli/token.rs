//! `althing token`: join tokens for trying things out and for scripts. Services sign their own with any JWT library.

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::control::auth::{Claims, LibraryGrant, RoomName, Source, TokenGrants, identity, sign, unix_time};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a join token and print it
    Create(Create),
}

#[derive(Args)]
pub struct Create {
    /// The room that it is for
    #[arg(long)]
    room: String,
    /// The member's identity: whoever joins with the same one takes its place
    #[arg(long)]
    identity: String,
    /// The name to show; without it the member chooses
    #[arg(long)]
    name: Option<String>,
    /// What may be published: microphone, camera, screen, screen_audio, or none
    #[arg(long, value_delimiter = ',', default_value = "microphone,camera,screen,screen_audio", value_name = "SOURCES")]
    publish: Vec<String>,
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
    /// What may be done with what is kept of the room: none, view or manage; without it manage with --record, else none
    #[arg(long, value_parser = library_grant, value_name = "GRANT")]
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
        Some(id) => config.auth.secret(id).map(|secret| (id.as_str(), secret)).ok_or(format!("there is no key `{id}` in auth.keys"))?,
        None => config
            .auth
            .first()
            .ok_or("no keys are set, so that anybody may join without a token; set one in auth.keys, or name the file with --config")?,
    };
    RoomName::new(&create.room).map_err(|e| e.to_string())?;
    identity(&create.identity).ok_or("an identity has 1 to 64 letters, digits, dots, underscores or hyphens")?;
    let grants = TokenGrants {
        room: create.room.clone(),
        join: true,
        publish: sources(&create.publish)?,
        subscribe: !create.no_subscribe,
        chat: !create.no_chat,
        data: Some(!create.no_data),
        moderate: create.moderate,
        record: create.record,
        library: create.library,
    };
    let exp = unix_time().as_secs().saturating_add(create.ttl);
    sign(key.0, key.1, &Claims { sub: create.identity.clone(), name: create.name.clone(), exp, nbf: None, grants })
}

fn library_grant(text: &str) -> Result<LibraryGrant, String> {
    match text {
        "none" => Ok(LibraryGrant::None),
        "view" => Ok(LibraryGrant::View),
        "manage" => Ok(LibraryGrant::Manage),
        _ => Err("write none, view or manage".into()),
    }
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
