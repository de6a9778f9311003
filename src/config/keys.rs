//! The keys that tokens are signed with: secrets (HS256), or the public halves of keys that somebody else signs with (EdDSA, RS256).
//! Each is for one algorithm: a token cannot choose another one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::check::{InvalidSetting, invalid};
use super::schema::Key;

/// Bits of an RSA key at least (RFC 7518 section 3.3).
const RSA_BITS: usize = 2_048;
/// Ed25519 (RFC 8410 section 3).
const ED25519: &str = "1.3.101.112";

/// The keys, by their ids.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AuthKeys(BTreeMap<String, TokenKey>);

/// A key that tokens are checked with.
#[derive(Clone, PartialEq, Debug)]
pub enum TokenKey {
    /// A secret that whoever makes tokens has, too (HS256).
    Secret(Secret),
    /// A public key: whoever makes tokens alone has its private half.
    Public(PublicKey),
}

impl AuthKeys {
    /// A key.
    pub fn get(&self, id: &str) -> Option<&TokenKey> {
        self.0.get(id)
    }

    /// The secret of a key that has one.
    pub fn secret(&self, id: &str) -> Option<&Secret> {
        match self.0.get(id)? {
            TokenKey::Secret(secret) => Some(secret),
            TokenKey::Public(_) => None,
        }
    }

    /// With one key more, where there is one.
    pub fn with(mut self, key: Option<(String, Secret)>) -> Self {
        self.0.extend(key.map(|(id, secret)| (id, TokenKey::Secret(secret))));
        self
    }

    /// Their names.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none: development mode.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first key that tokens can be made with, in alphabetical order.
    pub fn first(&self) -> Option<(&str, &Secret)> {
        self.0.iter().find_map(|(id, key)| match key {
            TokenKey::Secret(secret) => Some((id.as_str(), secret)),
            TokenKey::Public(_) => None,
        })
    }
}

impl FromIterator<(String, TokenKey)> for AuthKeys {
    fn from_iter<I: IntoIterator<Item = (String, TokenKey)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl FromIterator<(String, Secret)> for AuthKeys {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(keys: I) -> Self {
        keys.into_iter().map(|(id, secret)| (id, TokenKey::Secret(secret))).collect()
    }
}

/// What a public key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyAlgorithm {
    /// EdDSA with Ed25519 (RFC 8037).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    Rs256,
}

/// A public key.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicKey {
    /// What it is for.
    pub algorithm: KeyAlgorithm,
    /// The key itself: 32 bytes of Ed25519, or an `RSAPublicKey` (RFC 8017 appendix A.1.1) in DER.
    pub bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads a key (PEM, `PUBLIC KEY`).
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(pem: &str) -> Result<Self, String> {
        const FORM: &str = "it is no public key in PEM (`-----BEGIN PUBLIC KEY-----`)";
        let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| FORM.to_owned())?;
        if block.label != "PUBLIC KEY" {
            return Err(format!("{FORM}: it says `{}`", block.label));
        }
        let (_, key) = SubjectPublicKeyInfo::from_der(&block.contents).map_err(|_| FORM.to_owned())?;
        let algorithm = match key.parsed() {
            Ok(public_key::PublicKey::RSA(rsa)) if rsa.key_size() >= RSA_BITS => KeyAlgorithm::Rs256,
            Ok(public_key::PublicKey::RSA(rsa)) => return Err(format!("an RSA key has at least {RSA_BITS} bits, and this one {}", rsa.key_size())),
            _ if key.algorithm.algorithm.to_id_string() == ED25519 => KeyAlgorithm::EdDsa,
            _ => return Err("keys of Ed25519 and of RSA are taken, and no others".to_owned()),
        };
        Ok(Self { algorithm, bytes: key.subject_public_key.data.to_vec() })
    }
}

/// A secret; Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// RFC 7518 section 3.2: a key of HS256 has at least as many bits as its hash.
    pub const MIN_BYTES: usize = 32;

    /// A secret of at least [`Self::MIN_BYTES`] bytes.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= Self::MIN_BYTES).then(|| Self(text.to_owned()))
    }

    /// A secret that another server has drawn, of whatever length but none at all.
    pub fn of_others(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

pub(super) fn token_key(name: &str, key: &Key) -> Result<TokenKey, InvalidSetting> {
    let pem = match key {
        // Whoever knows a public key could sign with it, were it taken for a secret.
        Key::Secret(_) | Key::File { .. } if text_of(name, key)?.trim_start().starts_with("-----BEGIN") => {
            return invalid(name, "it is a key in PEM, and no secret: write public_key_file = \"PATH\", or public_key = \"…\"".to_owned());
        }
        Key::Secret(_) | Key::File { .. } => return secret(name, key).map(TokenKey::Secret),
        Key::Public { public_key } => public_key.clone(),
        Key::PublicFile { public_key_file } => read(name, public_key_file)?,
    };
    PublicKey::parse(&pem).map(TokenKey::Public).or_else(|why| invalid(name, why))
}

fn read(name: &str, file: &Path) -> Result<String, InvalidSetting> {
    std::fs::read_to_string(file).or_else(|e| invalid(name, format!("{}: {e}", file.display())))
}

/// The text of a secret, which may be in a file.
pub(super) fn text_of(name: &str, key: &Key) -> Result<String, InvalidSetting> {
    match key {
        // The command line and the environment have texts, where a file has tables: one that names a file is no secret, though it is long enough.
        Key::Secret(text) if text.trim_start().starts_with('{') && text.contains("_file") => invalid(
            name,
            format!("it is a table, and a text is taken as the secret itself: on the command line write `--set {name}.secret_file=PATH`"),
        ),
        Key::Secret(text) => Ok(text.clone()),
        Key::File { secret_file } => Ok(read(name, secret_file)?.trim_end().to_owned()),
        Key::Public { .. } | Key::PublicFile { .. } => invalid(name, "a public key is no secret".to_owned()),
    }
}

pub(super) fn secret(name: &str, key: &Key) -> Result<Secret, InvalidSetting> {
    match Secret::new(&text_of(name, key)?) {
        Some(secret) => Ok(secret),
        None => invalid(name, format!("a secret has at least {} bytes: make one with `openssl rand -hex 32`", Secret::MIN_BYTES)),
    }
}

impl Key {
    /// A secret that another server has drawn.
    pub(super) fn text(&self, name: &str) -> Result<Secret, InvalidSetting> {
        match Secret::of_others(&text_of(name, self)?) {
            Some(secret) => Ok(secret),
            None => invalid(name, "it is empty: write what the service has given, or { secret_file = \"PATH\" }".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("0123456789abcdef0123456789abcdef").expect("long enough");
        assert!(!format!("{secret:?}").contains("0123"));
    }

    #[test]
    fn a_public_key_is_not_taken_for_a_secret() {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key").public_key_pem();
        assert!(token_key("auth.keys.main", &Key::Secret(pem.clone())).is_err_and(|error| error.why.contains("public_key")));
        assert!(token_key("auth.keys.main", &Key::Public { public_key: pem }).is_ok());
        let table = Key::Secret("{ secret_file = \"/etc/althing/a-secret-of-tokens\" }".into());
        assert!(token_key("auth.keys.main", &table).is_err_and(|error| error.why.contains("--set auth.keys.main.secret_file=")));
        assert!(token_key("auth.keys.main", &Key::Secret("0123456789abcdef0123456789abcdef".into())).is_ok());
    }

    /// A public key as others write it.
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7lgVv4fPqUbobCjFUgLfdy2Z/\nCtokLHftkuf9YJ8XQLETw1Wlr/XZgIU0V+kkW2spz4H5kTFX9gCH1FdNvlxl1xMR\nnmV/7n7aTgCNVgqyNlollg+Da30yy6i0+as14PxZmwE6y8dEEOyo+2MWLgM7FXiO\n5ha2GnZo/3+4/S7OkwIDAQAB\n-----END PUBLIC KEY-----\n";
    const P_256: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKfQJ5BB1k+tWK+hrpkLH9/VlMWzu\nGuZyGNAJKf69mJBA3oinL6Ans/eeyvjck201j7GlruVKyjRUd1qxlztX/A==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_is_for_the_algorithm_of_its_kind_and_weak_and_strange_ones_are_refused() {
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        assert_eq!(PublicKey::parse(&ed25519.public_key_pem()).map(|key| key.algorithm), Ok(KeyAlgorithm::EdDsa));
        let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
        assert_eq!(PublicKey::parse(&rsa.public_key_pem()).map(|key| key.algorithm), Ok(KeyAlgorithm::Rs256));
        assert!(PublicKey::parse(RSA_1024).is_err_and(|why| why.contains("2048 bits, and this one 1024")));
        assert!(PublicKey::parse(P_256).is_err_and(|why| why.contains("Ed25519 and of RSA")));
        for text in ["", "a secret that is long enough to be one", &ed25519.serialize_pem()] {
            assert!(PublicKey::parse(text).is_err_and(|why| why.contains("PEM")), "{text}");
        }
    }
}
