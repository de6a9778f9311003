//! A fragment of a session description (`application/trickle-ice-sdpfrag`, RFC 8840 section 9): a client's candidates, and its credentials
//! when it restarts ICE (RFC 9725 section 4.3).
//!
//! We are lite and check no candidate (RFC 8445 section 2.5): they are looked at for their form, and forgotten.

use std::fmt;

use super::offer::check_ice;

/// Bytes that a fragment may have. Chromium's, with all candidates of a laptop with three networks, has about 2 KB.
pub const MOST_FRAGMENT: usize = 16 * 1_024;
/// Candidates that a fragment may have. Beyond, a client has gathered what it cannot mean to check.
const MOST_CANDIDATES: usize = 100;

/// What a fragment says.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// The user name fragment and the password of the ICE generation that it is of; the present one's, where it does not say.
    pub credentials: Option<(String, String)>,
    /// How many candidates it has.
    pub candidates: usize,
}

// By hand, so that no password reaches a log.
impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("ufrag", &self.credentials.as_ref().map(|(ufrag, _)| ufrag))
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// Why a fragment is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentError {
    /// More than [`MOST_FRAGMENT`] bytes, or more candidates than may be.
    TooLarge,
    /// Not a fragment; says why.
    Malformed(&'static str),
    /// Credentials that cannot be used; says why.
    BadIce(&'static str),
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "a fragment has at most {MOST_FRAGMENT} bytes and {MOST_CANDIDATES} candidates"),
            Self::Malformed(why) => write!(f, "the body is not a fragment of a session description (RFC 8840): {why}"),
            Self::BadIce(why) => write!(f, "the fragment's ICE attributes cannot be used: {why}"),
        }
    }
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    /// Any [`FragmentError`].
    pub fn parse(text: &str) -> Result<Self, FragmentError> {
        if text.len() > MOST_FRAGMENT {
            return Err(FragmentError::TooLarge);
        }
        let (mut ufrag, mut pwd) = (None, None);
        let (mut candidates, mut attributes) = (0_usize, 0_usize);
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let Some((kind, value)) = line.split_once('=') else { return Err(FragmentError::Malformed("a line is none of `a=` and `m=`")) };
            match kind {
                "m" => continue,
                "a" => attributes = attributes.saturating_add(1),
                _ => return Err(FragmentError::Malformed("a line is none of `a=` and `m=`")),
            }
            match value.split_once(':') {
                Some(("ice-ufrag", value)) => same(&mut ufrag, value)?,
                Some(("ice-pwd", value)) => same(&mut pwd, value)?,
                Some(("candidate", value)) => {
                    check_candidate(value)?;
                    candidates = candidates.saturating_add(1);
                }
                None if value == "ice-lite" => return Err(FragmentError::BadIce("a=ice-lite, as ours is: one side has to send checks")),
                _ => {}
            }
        }
        if attributes == 0 {
            return Err(FragmentError::Malformed("it has no attribute"));
        }
        if candidates > MOST_CANDIDATES {
            return Err(FragmentError::TooLarge);
        }
        let credentials = match (ufrag, pwd) {
            (Some(ufrag), Some(pwd)) => {
                check_ice(ufrag, pwd).map_err(FragmentError::BadIce)?;
                Some((ufrag.to_owned(), pwd.to_owned()))
            }
            (None, None) => None,
            _ => return Err(FragmentError::BadIce("a=ice-ufrag and a=ice-pwd come together")),
        };
        Ok(Self { credentials, candidates })
    }
}

/// With BUNDLE there is one transport, and one pair of credentials, however often they are said.
fn same<'a>(known: &mut Option<&'a str>, value: &'a str) -> Result<(), FragmentError> {
    match known.replace(value) {
        Some(before) if before != value => Err(FragmentError::BadIce("the m-lines have different credentials, and share one transport")),
        _ => Ok(()),
    }
}

/// RFC 8839 section 5.1: foundation, component, transport, priority, address, port, `typ`, type.
fn check_candidate(value: &str) -> Result<(), FragmentError> {
    let mut words = value.split_ascii_whitespace();
    let numbers = [words.nth(1), words.nth(1)];
    let port = words.nth(1);
    let fine = numbers.into_iter().all(|n| n.is_some_and(|n| n.parse::<u32>().is_ok()))
        && port.is_some_and(|port| port.parse::<u16>().is_ok())
        && words.next() == Some("typ")
        && words.next().is_some();
    if fine { Ok(()) } else { Err(FragmentError::Malformed("an a=candidate has not the form of one")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PWD: &str = "0123456789abcdef012345";

    #[test]
    fn what_the_rfc_shows_is_read() {
        let trickled = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
                        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
                        a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n\
                        a=candidate:2 1 udp 1 5b1f9f9e-2d0b-4f8a-b1d1-0d7dbd2a4d4a.local 9 typ host\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(trickled).expect("a fragment");
        assert_eq!(fragment, Fragment { credentials: Some(("EsAw".into(), "P2uYro0UCOQ4zxjKXaWCBui1".into())), candidates: 3 });
        assert!(!format!("{fragment:?}").contains("P2uYro"), "the password is not told to a log");
        let alone = Fragment::parse("a=end-of-candidates\n").expect("a fragment");
        assert_eq!(alone, Fragment::default(), "with bare line ends, and without credentials");
        let twice = format!("a=ice-ufrag:abcd\na=ice-pwd:{PWD}\nm=audio 9 RTP/AVP 0\na=mid:0\na=ice-ufrag:abcd\na=ice-pwd:{PWD}\n");
        assert!(Fragment::parse(&twice).expect("a fragment").credentials.is_some());
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        for (text, error) in [
            (String::new(), FragmentError::Malformed("it has no attribute")),
            ("m=audio 9 RTP/AVP 0\r\n".into(), FragmentError::Malformed("it has no attribute")),
            ("v=0\r\n".into(), FragmentError::Malformed("a line is none of `a=` and `m=`")),
            ("hello".into(), FragmentError::Malformed("a line is none of `a=` and `m=`")),
            ("a=candidate:1 1 udp 1 192.0.2.1 99999 typ host".into(), FragmentError::Malformed("an a=candidate has not the form of one")),
            ("a=candidate:1 1 udp 1 192.0.2.1 9 type host".into(), FragmentError::Malformed("an a=candidate has not the form of one")),
            ("a=candidate:".into(), FragmentError::Malformed("an a=candidate has not the form of one")),
            ("a=ice-ufrag:abcd\r\n".into(), FragmentError::BadIce("a=ice-ufrag and a=ice-pwd come together")),
            (format!("a=ice-ufrag:abc\r\na=ice-pwd:{PWD}\r\n"), FragmentError::BadIce("a=ice-ufrag has to have 4 to 256 characters")),
            (
                format!("a=ice-ufrag:abcd\r\na=ice-pwd:{PWD}\r\na=ice-ufrag:efgh\r\n"),
                FragmentError::BadIce("the m-lines have different credentials, and share one transport"),
            ),
            ("a=ice-lite\r\n".into(), FragmentError::BadIce("a=ice-lite, as ours is: one side has to send checks")),
            (candidate.repeat(MOST_CANDIDATES + 1), FragmentError::TooLarge),
            ("a".repeat(MOST_FRAGMENT + 1), FragmentError::TooLarge),
        ] {
            assert_eq!(Fragment::parse(&text), Err(error), "{text:.80}");
        }
        assert_eq!(Fragment::parse(&candidate.repeat(MOST_CANDIDATES)).map(|f| f.candidates), Ok(MOST_CANDIDATES));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "(a=|m=|ice-ufrag:|ice-pwd:|candidate:|[ -~\\r\\n]){0,60}") {
            let _ = Fragment::parse(&text);
        }
    }
}
