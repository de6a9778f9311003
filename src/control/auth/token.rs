//! Join tokens: JWT (RFC 7519) signed with HS256 by the key that `kid` names.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::config::{AuthKeys, Secret};
use crate::control::Refusal;
use crate::control::rooms::{RoomName, identity};
use crate::wire::{ErrorCode, LibraryGrant, MemberId, Source};

/// Seconds that the clocks of the token's maker and of this server may differ.
pub const LEEWAY: u64 = 10;

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The member's identity: 1–64 letters, digits, `.`, `_`, `-`.
    pub sub: String,
    /// The name to show; without it the client chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds since the Unix epoch: not valid from then on.
    pub exp: u64,
    /// Seconds since the Unix epoch: not valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// What it allows.
    pub grants: TokenGrants,
}

/// What a token allows. What is not mentioned is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenGrants {
    /// The room that it is for.
    pub room: String,
    /// Whether its bearer may join.
    #[serde(default)]
    pub join: bool,
    /// The sources that it may publish.
    #[serde(default)]
    pub publish: Vec<Source>,
    /// Whether it may receive the others' tracks.
    #[serde(default)]
    pub subscribe: bool,
    /// Whether it may read and write chat.
    #[serde(default)]
    pub chat: bool,
    /// Whether it may send data. Where nothing is said it is as `chat`: tokens were made before there was data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<bool>,
    /// Whether it may kick, mute others and lock the room.
    #[serde(default)]
    pub moderate: bool,
    /// Whether it may have the room recorded.
    #[serde(default)]
    pub record: bool,
    /// What it may do with what is kept of the room. Where nothing is said, whoever may record may manage it, and nobody else sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryGrant>,
}

impl TokenGrants {
    /// What it may do with what is kept of the room.
    pub fn library(&self) -> LibraryGrant {
        self.library.unwrap_or(if self.record { LibraryGrant::Manage } else { LibraryGrant::None })
    }
}

/// Why a token opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// There is none.
    Missing,
    /// It is not a JWT whose header names HS256 (`none` is not).
    NotHs256,
    /// No key has the id that its header names, or it names none.
    UnknownKey,
    /// It was not signed with that key.
    Signature,
    /// A claim is missing or has a wrong form.
    Claims,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It is for another room.
    WrongRoom,
    /// It does not allow to join.
    NotToJoin,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let (code, why) = match error {
            TokenError::Missing => (ErrorCode::TokenMissing, "this server asks for a join token"),
            TokenError::NotHs256 => (ErrorCode::TokenInvalid, "the token is not a JWT signed with HS256"),
            TokenError::UnknownKey => (ErrorCode::TokenInvalid, "the token's header names no key (kid) of this server"),
            TokenError::Signature => (ErrorCode::TokenInvalid, "the token's signature is wrong"),
            TokenError::Claims => {
                (ErrorCode::TokenInvalid, "the token lacks a claim, or has one of a wrong form: sub, exp and grants.room are needed")
            }
            TokenError::Expired => (ErrorCode::TokenExpired, "the token has expired: ask for a new one"),
            TokenError::NotYet => (ErrorCode::TokenExpired, "the token is not valid yet"),
            TokenError::WrongRoom => (ErrorCode::TokenWrongRoom, "the token is for another room"),
            TokenError::NotToJoin => (ErrorCode::Forbidden, "the token does not allow to join"),
        };
        Refusal::new(code, why)
    }
}

/// Checks a token against the keys and the room that its bearer wants to join.
///
/// # Errors
/// The first thing that is wrong, in the order of [`TokenError`].
pub fn verify(keys: &AuthKeys, token: Option<&str>, room: &RoomName) -> Result<(MemberId, Claims), TokenError> {
    let token = token.filter(|t| !t.is_empty()).ok_or(TokenError::Missing)?;
    let header = decode_header(token).map_err(|_| TokenError::NotHs256)?;
    if header.alg != Algorithm::HS256 {
        return Err(TokenError::NotHs256);
    }
    let secret = header.kid.and_then(|kid| keys.secret(&kid)).ok_or(TokenError::UnknownKey)?;
    let claims = decode::<Claims>(token, &DecodingKey::from_secret(secret.as_bytes()), &rules()).map_err(|e| reason(e.kind()))?.claims;
    let identity = identity(&claims.sub).ok_or(TokenError::Claims)?;
    if claims.grants.room != room.as_str() {
        return Err(TokenError::WrongRoom);
    }
    if !claims.grants.join {
        return Err(TokenError::NotToJoin);
    }
    Ok((identity, claims))
}

/// Makes a token.
///
/// # Errors
/// Never with claims that can be written as JSON; the text says why.
pub fn sign(kid: &str, secret: &Secret, claims: &Claims) -> Result<String, String> {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).map_err(|e| e.to_string())
}

fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    // Tokens are for this server by their key: an audience says nothing more.
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "sub"]);
    rules
}

fn reason(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYet,
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidToken => TokenError::NotHs256,
        _ => TokenError::Claims,
    }
}

#[cfg(test)]
mod tests;
