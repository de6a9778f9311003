//! Who may join, and what they may do there: join tokens, or nobody asked (development mode).

mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::config::{AuthKeys, Secret};
use crate::control::rooms::{Admission, Profile, RoomSettings, display_name};
use crate::control::{Refusal, draw};
use crate::wire::{ErrorCode, Grants, MemberId};

pub use crate::control::rooms::{RoomName, identity};
pub use crate::wire::{LibraryGrant, Source};
pub use token::{AdminGrant, Claims, LEEWAY, Role, TokenError, TokenGrants, sign, verify, verify_admin};
use token::{administers, joins, open};

/// How long the token of an accepted call is good for: longer than a call, whose ends come again with it when the server was started anew. It opens
/// nothing but this call's room, whose name was drawn.
pub const CALL_TOKEN: Duration = Duration::from_secs(24 * 3_600);

/// How the id of a key begins that the server has drawn for itself.
const OWN_KEY: &str = "althing.own.";

/// Whoever asks by HTTP for what is kept of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Visitor {
    /// The room.
    pub room: RoomName,
    /// The token's `sub`.
    pub member: MemberId,
    /// The name that the token says.
    pub name: Option<String>,
    /// What it may do with what is kept.
    pub library: LibraryGrant,
    /// Whether it may have the room recorded.
    pub record: bool,
}

/// Decides who may join. Cheap to clone; all clones have the same keys.
#[derive(Clone, Debug)]
pub struct Access {
    held: Arc<ArcSwap<Held>>,
    name_bytes: u32,
}

/// The keys that are good at present.
#[derive(Debug)]
struct Held {
    keys: AuthKeys,
    /// What the server signs its own tokens with, for the ends of accepted calls.
    own: Option<(String, Secret)>,
    /// Where there are public keys only: a secret of its own, which ends with it.
    drawn: Option<(String, Secret)>,
}

impl Held {
    fn of(keys: AuthKeys, drawn: Option<(String, Secret)>) -> Self {
        if keys.is_empty() {
            return Self { keys, own: None, drawn };
        }
        let first = keys.first().map(|(kid, secret)| (kid.to_owned(), secret.clone()));
        let drawn = drawn.or_else(|| {
            let draw = || Some((format!("{OWN_KEY}{}", draw::hex::<6>()), Secret::new(&draw::hex::<32>())?));
            if first.is_none() { draw() } else { None }
        });
        let own = first.or_else(|| drawn.clone());
        // What was signed with a drawn one is good for as long as the process: other keys may have come beside it.
        Self { keys: keys.with(drawn.clone()), own, drawn }
    }
}

impl Access {
    /// With these keys; with none of them, everybody may do everything.
    pub fn new(keys: AuthKeys, name_bytes: u32) -> Self {
        Self { held: Arc::new(ArcSwap::from_pointee(Held::of(keys, None))), name_bytes }
    }

    /// From now on these keys are good, and no others. Whoever is inside already stays there.
    ///
    /// # Errors
    /// When tokens would be asked for that were not, or no longer: much else follows from that at the start. Nothing has changed then.
    pub fn take_up(&self, keys: AuthKeys) -> Result<(), &'static str> {
        let before = self.held.load();
        if before.keys.is_empty() != keys.is_empty() {
            return Err("auth.keys: whether anybody is asked for a token is settled at the start: restart the node");
        }
        self.held.store(Arc::new(Held::of(keys, before.drawn.clone())));
        Ok(())
    }

    /// Whether everybody may do everything.
    pub fn development(&self) -> bool {
        self.held.load().keys.is_empty()
    }

    /// Admits to a room, or says why not. `me` is who the member says it was before: believed only where anybody may do everything.
    ///
    /// # Errors
    /// A bad name, or a token that is missing or does not allow this.
    pub fn admit(&self, room: &str, name: &str, token: Option<&str>, me: Option<&MemberId>) -> Result<Admission, Refusal> {
        let (room, name) = (RoomName::new(room)?, display_name(name, self.name_bytes)?);
        if self.development() {
            let before = me.and_then(|me| identity(&me.0));
            let identity = before.unwrap_or_else(|| MemberId(format!("guest-{}", draw::hex::<6>())));
            let publish = Source::ALL.to_vec();
            let library = LibraryGrant::Manage;
            let grants = Grants { publish, subscribe: true, chat: true, data: true, moderate: true, record: true, library, describe: true };
            return Ok(Admission::new(room, identity, name, grants));
        }
        let (identity, claims) = verify(&self.held.load().keys, token, &room)?;
        let name = match &claims.name {
            Some(name) => display_name(name, self.name_bytes)?,
            None => name,
        };
        let grants = claims.grants.in_room();
        Ok(Admission { grants, ..of_claims(room, identity, name, claims) })
    }

    /// Admits a publisher by WHIP, who does nothing else; a token must be for this very member.
    ///
    /// # Errors
    /// A bad name, or a token that is missing or does not allow this.
    pub fn admit_publisher(&self, room: &str, member: &str, token: Option<&str>) -> Result<Admission, Refusal> {
        let (room, member) = (RoomName::new(room)?, member_of_path(member)?);
        if self.development() {
            let (name, claims) = (member.0.clone(), Claims::default());
            return Ok(one_way(of_claims(room, member, name, claims), Source::ALL.to_vec(), false));
        }
        let (identity, claims) = verify(&self.held.load().keys, token, &room)?;
        if identity != member {
            return Err(Refusal::forbidden("the token is for another member: its `sub` has to be the member of the path"));
        }
        let name = self.name_of(&identity, &claims)?;
        let publish = claims.grants.in_room().publish;
        Ok(one_way(of_claims(room, identity, name, claims), publish, false))
    }

    /// Admits a player by WHEP, who does nothing else.
    ///
    /// # Errors
    /// A bad name, or a token that is missing or does not allow this.
    pub fn admit_player(&self, room: &str, token: Option<&str>) -> Result<Admission, Refusal> {
        let room = RoomName::new(room)?;
        if self.development() {
            let identity = MemberId(format!("player-{}", draw::hex::<6>()));
            let (name, claims) = (identity.0.clone(), Claims::default());
            return Ok(one_way(of_claims(room, identity, name, claims), Vec::new(), true));
        }
        let (identity, claims) = verify(&self.held.load().keys, token, &room)?;
        if !claims.grants.in_room().subscribe {
            return Err(Refusal::forbidden("your token does not allow to receive others' tracks"));
        }
        let name = self.name_of(&identity, &claims)?;
        Ok(one_way(of_claims(room, identity, name, claims), Vec::new(), true))
    }

    /// Admits to what is kept of a room and to what concerns the room as a whole, without joining it.
    ///
    /// # Errors
    /// A bad name, or a token that is missing or not for this room.
    pub fn admit_visitor(&self, room: &str, token: Option<&str>) -> Result<Visitor, Refusal> {
        let room = RoomName::new(room)?;
        if self.development() {
            let member = MemberId("guest".into());
            return Ok(Visitor { room, member, name: None, library: LibraryGrant::Manage, record: true });
        }
        let (member, claims) = open(&self.held.load().keys, token)?;
        // Whoever administers a room may do whatever concerns it as a whole.
        let administers = administers(&claims, Some(&room)).is_ok();
        if !administers {
            joins(&claims, &room)?;
        }
        let name = claims.name.as_deref().map(|name| display_name(name, self.name_bytes)).transpose()?;
        let library = if administers { LibraryGrant::Manage } else { claims.grants.library() };
        Ok(Visitor { room, member, name, library, record: administers || claims.grants.in_room().record })
    }

    /// Admits a program to the administration of a room, or of the node; who it is.
    ///
    /// # Errors
    /// A token that is missing or does not allow this.
    pub fn admit_administrator(&self, room: Option<&RoomName>, token: Option<&str>) -> Result<MemberId, Refusal> {
        if self.development() {
            return Ok(MemberId("development".into()));
        }
        Ok(verify_admin(&self.held.load().keys, token, room).map(|(identity, _)| identity)?)
    }

    /// Whose token it is, whatever it allows; and what that is, in writing.
    ///
    /// # Errors
    /// A token that is missing, or not valid.
    pub fn bearer_of(&self, token: Option<&str>) -> Result<(MemberId, String), Refusal> {
        if self.development() {
            return Ok((MemberId("development".into()), String::new()));
        }
        let (identity, claims) = token::open(&self.held.load().keys, token)?;
        Ok((identity, serde_json::to_string(&claims.grants).unwrap_or_default()))
    }

    /// A name that a visitor has chosen, where its token says none.
    ///
    /// # Errors
    /// A bad name.
    pub fn shown_name(&self, name: &str) -> Result<String, Refusal> {
        display_name(name, self.name_bytes)
    }

    /// The token with which an end of an accepted call joins its room; none where nobody needs one. It is good for [`CALL_TOKEN`].
    pub fn admit_to_call(&self, admission: &Admission) -> Option<String> {
        let held = self.held.load();
        let (kid, secret) = held.own.as_ref()?;
        let Admission { room, identity, name, grants, profile, tracks, publish_kbps, .. } = admission;
        let Grants { publish, subscribe, chat, data, moderate, record, library, describe } = grants.clone();
        let claims = Claims {
            sub: identity.0.clone(),
            name: Some(name.clone()),
            exp: unix_time().saturating_add(CALL_TOKEN).as_secs(),
            nbf: None,
            grants: TokenGrants {
                room: room.as_str().to_owned(),
                join: true,
                publish,
                subscribe,
                chat,
                data: Some(data),
                moderate,
                record,
                library: Some(library),
                describe,
                ..TokenGrants::default()
            },
            metadata: profile.metadata.clone(),
            attributes: profile.attributes.clone(),
            tracks: *tracks,
            publish_kbps: *publish_kbps,
            settings: None,
        };
        match sign(kid, secret, &claims) {
            Ok(token) => Some(token),
            Err(error) => {
                tracing::error!(%error, "no token can be made for a call: its ends will be refused");
                None
            }
        }
    }

    fn name_of(&self, identity: &MemberId, claims: &Claims) -> Result<String, Refusal> {
        display_name(claims.name.as_deref().unwrap_or(&identity.0), self.name_bytes)
    }
}

/// A member's identity as a path names it.
///
/// # Errors
/// When it is none.
pub fn member_of_path(text: &str) -> Result<MemberId, Refusal> {
    identity(text)
        .ok_or_else(|| Refusal::new(ErrorCode::InvalidName, "a member's identity has 1 to 64 letters, digits, dots, underscores or hyphens"))
}

/// What a token says beside its grants.
fn of_claims(room: RoomName, identity: MemberId, name: String, claims: Claims) -> Admission {
    let Claims { metadata, attributes, tracks, publish_kbps, settings, .. } = claims;
    let profile = Profile { metadata, attributes };
    // Into a room that is locked from the beginning not even the token's bearer would come.
    let settings = RoomSettings { locked: None, ..settings.unwrap_or_default() };
    Admission { profile, tracks, publish_kbps, settings, ..Admission::new(room, identity, name, Grants::default()) }
}

/// What a publisher or a player by HTTP is allowed: nothing but that.
fn one_way(admission: Admission, publish: Vec<Source>, subscribe: bool) -> Admission {
    Admission { grants: Grants { publish, subscribe, ..Grants::default() }, ..admission }
}

/// Since the Unix epoch, by the wall clock: for tokens and for the time of a chat message.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
