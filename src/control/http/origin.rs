//! Whose pages may open a signaling socket, or use WHIP and WHEP: a browser sends cookies and opens sockets for any page that asks, and says
//! in `Origin` which page that was.

use crate::config::AllowedOrigins;

/// Whether a socket may be opened. `host` is the request's own `Host`.
pub fn allowed(origin: Option<&str>, host: Option<&str>, setting: &AllowedOrigins) -> bool {
    // No browser opens a socket without it: whoever sends none is no page of a stranger.
    let Some(origin) = origin else { return true };
    match setting {
        AllowedOrigins::Any => true,
        AllowedOrigins::OwnAnd(others) => {
            let origin = origin.to_ascii_lowercase();
            let own = origin.split_once("://").is_some_and(|(_, authority)| host.is_some_and(|h| h.eq_ignore_ascii_case(authority)));
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
            assert!(allowed(origin, host, &setting), "{origin:?}");
        }
        for origin in
            ["http://sfu.example.org", "https://evil.example", "null", "", "https://meet.example.org.evil.example", "http://meet.example.org"]
        {
            assert!(!allowed(Some(origin), host, &setting), "{origin}");
            assert!(allowed(Some(origin), host, &AllowedOrigins::Any));
        }
        assert!(!allowed(Some("http://sfu.example.org:8080"), None, &setting));
    }
}
