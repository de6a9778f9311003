//! Whose pages may open a signaling socket, or use WHIP and WHEP: a browser sends cookies and opens sockets for any page that asks, and says
//! in `Origin` which page that was.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, Uri, header};

use super::Public;
use crate::config::AllowedOrigins;

/// Pages that are refused are spoken of so often at most.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Whether whoever sends such a request may open a socket, or use WHIP and WHEP.
pub fn permits(public: &Public, uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    // By HTTP/2 the host is in `:authority` (RFC 9113 section 8.3.1).
    let host = text(header::HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
    let origin = text(header::ORIGIN);
    let permitted = allowed(origin, host, public.secure, &public.origins);
    if let (false, Some(origin)) = (permitted, origin) {
        say(origin);
    }
    permitted
}

/// A browser does not tell a page why its socket was not opened: whoever has written it finds the reason here.
fn say(origin: &str) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
        *said = Some(Instant::now());
        let origin: String = origin.chars().take(128).collect();
        tracing::info!(?origin, "a page of another origin was refused: if it is yours, list it in http.origins");
    }
}

/// `host` is the request's own; `secure` says that this server's own pages come by HTTPS alone: whoever is between a browser and a
/// plain page of the same name may have written that one.
fn allowed(origin: Option<&str>, host: Option<&str>, secure: bool, setting: &AllowedOrigins) -> bool {
    // No browser opens a socket without it: whoever sends none is no page of a stranger.
    let Some(origin) = origin else { return true };
    match setting {
        AllowedOrigins::Any => true,
        AllowedOrigins::OwnAnd(others) => {
            let origin = origin.to_ascii_lowercase();
            let own = origin
                .split_once("://")
                .is_some_and(|(scheme, authority)| (scheme == "https" || !secure) && host.is_some_and(|h| h.eq_ignore_ascii_case(authority)));
            own || others.contains(&origin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_listed_ones_and_programs_may_others_may_not() {
        let setting = AllowedOrigins::OwnAnd(vec!["https://meet.example.org".into()]);
        let host = Some("sfu.example.org:8080");
        for origin in [None, Some("http://sfu.example.org:8080"), Some("HTTPS://SFU.example.org:8080"), Some("https://meet.example.org")] {
            assert!(allowed(origin, host, false, &setting), "{origin:?}");
        }
        for origin in
            ["http://sfu.example.org", "https://evil.example", "null", "", "https://meet.example.org.evil.example", "http://meet.example.org"]
        {
            assert!(!allowed(Some(origin), host, false, &setting), "{origin}");
            assert!(allowed(Some(origin), host, false, &AllowedOrigins::Any));
        }
        assert!(!allowed(Some("http://sfu.example.org:8080"), None, false, &setting));
    }
    #[test]
    fn where_there_is_https_a_plain_page_of_the_same_name_is_a_stranger() {
        let setting = AllowedOrigins::OwnAnd(vec!["http://listed.example.org".into()]);
        let host = Some("sfu.example.org");
        assert!(allowed(Some("https://sfu.example.org"), host, true, &setting));
        assert!(!allowed(Some("http://sfu.example.org"), host, true, &setting));
        assert!(allowed(Some("http://listed.example.org"), host, true, &setting), "who lists one takes it");
        assert!(allowed(None, host, true, &setting));
    }
}
