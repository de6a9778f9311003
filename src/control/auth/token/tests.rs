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
    Claims { sub: "alice".into(), name: None, exp: unix_time().as_secs() + 60, grants, ..Claims::default() }
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
    assert_eq!(verified("not a token"), Err(TokenError::NotSigned));
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
fn no_algorithm_but_that_of_the_key_opens_anything() {
    for alg in ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"main"}}"#);
        let token = forged(&header, &claims());
        let error = if matches!(alg, "RS256" | "EdDSA") { TokenError::WrongAlgorithm } else { TokenError::NotSigned };
        assert_eq!(verified(&token), Err(error), "{alg}");
        let unsigned = token.rsplit_once('.').map(|(body, _)| format!("{body}.")).expect("three parts");
        assert_eq!(verified(&unsigned), Err(error), "{alg}, unsigned");
    }
}

/// A pair of keys of a token's maker, and how it signs.
struct Pair {
    keys: rcgen::KeyPair,
    algorithm: Algorithm,
}

impl Pair {
    fn ed25519() -> Self {
        Self { keys: rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key"), algorithm: Algorithm::EdDSA }
    }

    fn rsa() -> Self {
        let keys = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
        Self { keys, algorithm: Algorithm::RS256 }
    }

    fn public(&self) -> TokenKey {
        TokenKey::Public(crate::config::PublicKey::parse(&self.keys.public_key_pem()).expect("a public key"))
    }

    fn sign(&self, kid: &str, claims: &Claims) -> String {
        // PKCS #8; of RSA the key within, which stands behind 26 bytes that say what it is (RFC 5958, 2048 bits).
        let der = self.keys.serialize_der();
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_rsa_der(&der[26..]),
        };
        encode(&Header { kid: Some(kid.into()), ..Header::new(self.algorithm) }, claims, &key).expect("signed")
    }
}

#[test]
fn public_keys_open_what_their_private_halves_have_signed_and_nothing_else() {
    for (pair, other) in [(Pair::ed25519(), Pair::ed25519()), (Pair::rsa(), Pair::rsa())] {
        let keys: AuthKeys = [("main".to_owned(), pair.public())].into_iter().collect();
        let outcome = |token: &str| open(&keys, Some(token)).map(|(identity, _)| identity.0);
        assert_eq!(outcome(&pair.sign("main", &claims())), Ok("alice".into()));
        assert_eq!(outcome(&pair.sign("main", &Claims { exp: 1, ..claims() })), Err(TokenError::Expired));
        assert_eq!(outcome(&pair.sign("other", &claims())), Err(TokenError::UnknownKey));
        assert_eq!(outcome(&other.sign("main", &claims())), Err(TokenError::Signature));
        // What everybody knows is not taken for a secret.
        let public = pair.keys.public_key_pem();
        for known in [public.as_str(), public.trim_end()] {
            let confused = sign("main", &secret(known), &claims()).expect("signed");
            assert_eq!(outcome(&confused), Err(TokenError::WrongAlgorithm));
        }
        let der = base64url(pair.keys.public_key_raw());
        assert_eq!(outcome(&sign("main", &secret(&der), &claims()).expect("signed")), Err(TokenError::WrongAlgorithm));
    }
    let (ed25519, rsa) = (Pair::ed25519(), Pair::rsa());
    let keys: AuthKeys = [("ed".to_owned(), ed25519.public()), ("rsa".to_owned(), rsa.public())].into_iter().collect();
    assert_eq!(open(&keys, Some(&ed25519.sign("rsa", &claims()))).map(|_| ()), Err(TokenError::WrongAlgorithm));
    assert_eq!(open(&keys, Some(&rsa.sign("ed", &claims()))).map(|_| ()), Err(TokenError::WrongAlgorithm));
}

#[test]
fn a_key_is_replaced_while_both_are_good() {
    let (old, new) = (secret("the old secret, of more than 32 bytes"), Pair::ed25519());
    let tokens = [sign("2025", &old, &claims()).expect("signed"), new.sign("2026", &claims())];
    let outcomes = |keys: &AuthKeys| tokens.clone().map(|token| open(keys, Some(&token)).map(|_| ()));
    let of = |keys: Vec<(&str, TokenKey)>| keys.into_iter().map(|(id, key)| (id.to_owned(), key)).collect::<AuthKeys>();
    let both = of(vec![("2025", TokenKey::Secret(old)), ("2026", new.public())]);
    assert_eq!(outcomes(&both), [Ok(()), Ok(())]);
    assert_eq!(outcomes(&of(vec![("2026", new.public())])), [Err(TokenError::UnknownKey), Ok(())]);
}

#[test]
fn administration_is_granted_by_room_or_for_the_node() {
    let room = RoomName::new("r").expect("a name");
    let administers = |admin, of: &str, room: Option<&RoomName>| {
        let grants = TokenGrants { room: of.into(), admin, ..TokenGrants::default() };
        let token = sign("main", &secret(SECRET), &Claims { grants, ..claims() }).expect("signed");
        verify_admin(&keys(), Some(&token), room).map(|(identity, _)| identity.0)
    };
    let good = || Ok("alice".to_owned());
    assert_eq!(administers(AdminGrant::Node, "", Some(&room)), good());
    assert_eq!(administers(AdminGrant::Node, "", None), good());
    assert_eq!(administers(AdminGrant::Room, "r", Some(&room)), good());
    assert_eq!(administers(AdminGrant::Room, "other", Some(&room)), Err(TokenError::WrongRoom));
    assert_eq!(administers(AdminGrant::Room, "r", None), Err(TokenError::NotToAdminister));
    assert_eq!(administers(AdminGrant::None, "r", Some(&room)), Err(TokenError::NotToAdminister));
    let admin = TokenGrants { admin: AdminGrant::Node, ..TokenGrants::default() };
    assert_eq!(outcome(&Claims { grants: admin, ..claims() }), Err(TokenError::Claims), "it joins no room");
}

#[test]
fn a_role_is_a_set_of_grants_to_which_others_are_added() {
    let of = |role, change: fn(&mut TokenGrants)| {
        let mut grants = TokenGrants { role: Some(role), ..TokenGrants::default() };
        change(&mut grants);
        assert!(grants.may_join());
        grants.in_room()
    };
    let all = Source::ALL.to_vec();
    let host = of(Role::Host, |_| ());
    assert_eq!((&host.publish, host.subscribe, host.chat, host.data), (&all, true, true, true));
    assert_eq!((host.moderate, host.record, host.library, host.describe), (true, true, LibraryGrant::Manage, true));
    let member = of(Role::Member, |g| g.record = true);
    assert_eq!((&member.publish, member.moderate, member.record, member.library), (&all, false, true, LibraryGrant::Manage));
    let viewer = of(Role::Viewer, |g| (g.publish, g.data) = (vec![Source::Microphone], Some(true)));
    assert_eq!((viewer.publish, viewer.subscribe, viewer.chat), (vec![Source::Microphone], true, true));
    assert_eq!((viewer.data, viewer.describe, viewer.library), (true, false, LibraryGrant::None));
    assert!(!of(Role::Viewer, |_| ()).data);
}

#[test]
fn a_changed_claim_breaks_the_signature() {
    let token = sign("main", &secret(SECRET), &claims()).expect("a token");
    let parts: Vec<&str> = token.split('.').collect();
    let changed = serde_json::to_string(&Claims { sub: "mallory".into(), ..claims() }).expect("JSON");
    assert_eq!(verified(&format!("{}.{}.{}", parts[0], base64url(changed.as_bytes()), parts[2])), Err(TokenError::Signature));
    assert_eq!(verified(&format!("{}.{}.", parts[0], parts[1])), Err(TokenError::Signature));
}
