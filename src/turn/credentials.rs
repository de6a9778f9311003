//! Long-term credentials with a time limit, as coturn's REST scheme has them: the user name is `<when it expires>:<whose it is>`, the password
//! the Base64 of its HMAC-SHA-1 with a secret that issuer and relay share.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::integrity::MessageIntegrity;

/// The realm of all credentials (RFC 8489 section 9.2). Longer would make answers to strangers longer.
pub const REALM: &str = "althing";

/// The secrets, the one that is given out first; the others are on their way out.
pub struct Secrets(Vec<hmac::Key>);

/// The key of a user's MESSAGE-INTEGRITY: MD5 of user name, realm and password.
pub type UserKey = Vec<u8>;

impl Secrets {
    /// These secrets.
    pub fn new(secrets: &[Vec<u8>]) -> Self {
        Self(secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret)).collect())
    }

    /// The keys that a user name may have.
    pub fn keys(&self, username: &str) -> impl Iterator<Item = UserKey> {
        self.0.iter().filter_map(move |secret| {
            let password = BASE64_STANDARD.encode(hmac::sign(secret, username.as_bytes()));
            MessageIntegrity::long_term_integrity_key(username.to_owned(), REALM.to_owned(), password, &AwsLcRsCrypto).ok()
        })
    }
}

/// Whose a user name is, and until when (since the Unix epoch).
pub fn parse(username: &str) -> Option<(&str, Duration)> {
    let (expires, user) = username.split_once(':')?;
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    Some((user, Duration::from_secs(expires.parse().ok().filter(|_| digits)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_says_whose_it_is_and_until_when() {
        assert_eq!(parse("1700003600:ada"), Some(("ada", Duration::from_secs(1_700_003_600))));
        assert_eq!(parse("1:a:b"), Some(("a:b", Duration::from_secs(1))));
        for wrong in ["", "ada", ":ada", "+1:ada", "-1:ada", " 1:ada", "99999999999999999999:ada"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_key_is_that_of_coturn() {
        let secrets = Secrets::new(&[b"north-north-north-north-north-north".to_vec(), b"other".to_vec()]);
        let keys: Vec<_> = secrets.keys("1700003600:ada").collect();
        assert_eq!(keys.len(), 2);
        // printf '1700003600:ada:althing:ozkUr+hgWHEaERg70z2g38QeZVU=' | md5sum
        let hex: String = keys[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "508ce94fc9e07d7ef25fb65f82ffd9f1");
    }
}
