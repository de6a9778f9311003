use super::*;
use crate::control::auth::unix_time;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn keys() -> AuthKeys {
    [("main".to_owned(), secret(SECRET))].into_iter().collect()
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("long enough")
}

fn claims() -> Claims {
    let grants = TokenGrants { room: "r".into(), join: true, ..TokenGrants::default() };
    Claims { sub: "alice".into(), name: None, exp: unix_time().as_secs() + 60, nbf: None, grants }
}

fn verified(token: &str) -> Result<MemberId, TokenError> {
    verify(&keys(), Some(token), &RoomName::new("r").expect("a name")).map(|(identity, _)| identity)
}

fn outcome(claims: &Claims) -> Result<MemberId, TokenError> {
    verified(&sign("main", &secret(SECRET), claims).expect("a token"))
}

/// A token with a header of any form, signed rightly when `alg` is HS256.
fn forged(header: &str, claims: &Claims) -> String {
    let good = sign("main", &secret(SECRET), claims).expect("a token");
    let mut parts = good.split('.').map(str::to_owned).collect::<Vec<_>>();
    parts[0] = base64url(header.as_bytes());
    parts.join(".")
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let n = (u32::from(chunk[0]) << 16) | (u32::from(*chunk.get(1).unwrap_or(&0)) << 8) | u32::from(*chunk.get(2).unwrap_or(&0));
        (0..=chunk.len()).for_each(|i| text.push(LETTERS[(n >> (18 - 6 * i) & 63) as usize] as char));
    }
    text
}

#[test]
fn a_good_token_gives_its_bearers_identity() {
    assert_eq!(outcome(&claims()), Ok(MemberId("alice".into())));
}

#[test]
fn each_bad_token_gets_its_own_error() {
    let room = RoomName::new("r").expect("a name");
    assert_eq!(verify(&keys(), None, &room).map(|_| ()), Err(TokenError::Missing));
    assert_eq!(verified(""), Err(TokenError::Missing));
    assert_eq!(verified("not a token"), Err(TokenError::NotHs256));
    assert_eq!(outcome(&Claims { exp: 1, ..claims() }), Err(TokenError::Expired));
    assert_eq!(outcome(&Claims { nbf: Some(unix_time().as_secs() + 60), ..claims() }), Err(TokenError::NotYet));
    assert_eq!(outcome(&Claims { sub: "a b".into(), ..claims() }), Err(TokenError::Claims));
    assert_eq!(
        outcome(&Claims { grants: TokenGrants { room: "other".into(), join: true, ..TokenGrants::default() }, ..claims() }),
        Err(TokenError::WrongRoom)
    );
    assert_eq!(outcome(&Claims { grants: TokenGrants { join: false, ..claims().grants }, ..claims() }), Err(TokenError::NotToJoin));
}

#[test]
fn a_token_signed_by_another_key_is_refused() {
    let other = secret("fedcba9876543210fedcba9876543210");
    assert_eq!(verified(&sign("main", &other, &claims()).expect("a token")), Err(TokenError::Signature));
    assert_eq!(verified(&sign("other", &other, &claims()).expect("a token")), Err(TokenError::UnknownKey));
    assert_eq!(verified(&forged(r#"{"alg":"HS256","typ":"JWT"}"#, &claims())), Err(TokenError::UnknownKey));
}

#[test]
fn no_algorithm_but_hs256_opens_anything() {
    for alg in ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"main"}}"#);
        let token = forged(&header, &claims());
        assert_eq!(verified(&token), Err(TokenError::NotHs256), "{alg}");
        let unsigned = token.rsplit_once('.').map(|(body, _)| format!("{body}.")).expect("three parts");
        assert_eq!(verified(&unsigned), Err(TokenError::NotHs256), "{alg}, unsigned");
    }
}

#[test]
fn a_changed_claim_breaks_the_signature() {
    let token = sign("main", &secret(SECRET), &claims()).expect("a token");
    let parts: Vec<&str> = token.split('.').collect();
    let changed = serde_json::to_string(&Claims { sub: "mallory".into(), ..claims() }).expect("JSON");
    assert_eq!(verified(&format!("{}.{}.{}", parts[0], base64url(changed.as_bytes()), parts[2])), Err(TokenError::Signature));
    assert_eq!(verified(&format!("{}.{}.", parts[0], parts[1])), Err(TokenError::Signature));
}
