//! Header fields of both protocols: entity tags, preconditions, media types, and the servers of ICE as links.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::control::rooms::Condition;
use crate::wire::IceServer;

/// What can be posted (RFC 9725 section 4.2).
pub const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// What a session can be patched with (RFC 5789 section 3.1).
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The media type of offers and answers (RFC 8866 section 8.1).
pub const SDP: &str = "application/sdp";
/// The media type of fragments (RFC 8840 section 9).
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Entity tags of a precondition that are looked at. A client has been told one.
const MOST_TAGS: usize = 8;

/// Whether the body is said to be of this media type; parameters are let go.
pub fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// `If-Match` (RFC 9110 section 13.1.1). Weak tags match nothing.
pub fn if_match(headers: &HeaderMap) -> Option<Condition> {
    let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
    lines.peek()?;
    let mut tags = Vec::new();
    for tag in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim).take(MOST_TAGS) {
        if tag == "*" {
            return Some(Condition::Any);
        }
        tags.extend(tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_owned));
    }
    Some(Condition::Tags(tags))
}

/// The entity tag of the ICE generation that one of our descriptions or fragments is of: our user name fragment in it.
pub fn tag_of(description: &str) -> Option<HeaderValue> {
    let ufrag = description.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"))?;
    HeaderValue::try_from(format!("\"{ufrag}\"")).ok()
}

/// Says where STUN and TURN are: one link for each URL (RFC 9725 section 4.6).
pub fn link(servers: &[IceServer], response: &mut Response) {
    for server in servers {
        let credentials = match (&server.username, &server.credential) {
            (Some(username), Some(credential)) => {
                format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"")
            }
            _ => String::new(),
        };
        let links = server.urls.iter().map(|url| format!("<{url}>; rel=\"ice-server\"{credentials}"));
        for value in links.filter_map(|link| HeaderValue::try_from(link).ok()) {
            response.headers_mut().append(header::LINK, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(lines: &[&'static str]) -> Option<Condition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_static(line));
        }
        if_match(&headers)
    }

    #[test]
    fn a_precondition_is_any_or_a_list_of_strong_tags() {
        let tags = |tags: &[&str]| Some(Condition::Tags(tags.iter().map(|t| (*t).to_owned()).collect()));
        assert_eq!(condition(&[]), None);
        assert_eq!(condition(&["*"]), Some(Condition::Any));
        assert_eq!(condition(&["\"a\" , \"b\"", "\"c\""]), tags(&["a", "b", "c"]));
        assert_eq!(condition(&["W/\"a\""]), tags(&[]), "a weak one matches nothing");
        assert_eq!(condition(&["a", "\"", ""]), tags(&[]), "nor does what is none");
        assert!(Condition::Any.is_met("x") && condition(&["\"x\""]).is_some_and(|c| c.is_met("x") && !c.is_met("y")));
        assert!(tags(&[]).is_some_and(|c| !c.is_met("")));
    }

    #[test]
    fn each_server_of_ice_is_a_link_of_its_own() {
        let server = |urls: &[&str], user: Option<&str>| IceServer {
            urls: urls.iter().map(|u| (*u).to_owned()).collect(),
            username: user.map(str::to_owned),
            credential: user.map(|_| "c/+=".to_owned()),
        };
        let mut response = Response::default();
        link(&[server(&["stun:a:1", "stun:[::1]:2"], None), server(&["turn:b:3?transport=udp"], Some("9:f0"))], &mut response);
        let links: Vec<_> = response.headers().get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()).collect();
        assert_eq!(
            links,
            [
                "<stun:a:1>; rel=\"ice-server\"",
                "<stun:[::1]:2>; rel=\"ice-server\"",
                "<turn:b:3?transport=udp>; rel=\"ice-server\"; username=\"9:f0\"; credential=\"c/+=\"; credential-type=\"password\"",
            ]
        );
    }
}
