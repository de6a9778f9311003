//! The STUN server that says how this machine is seen from outside.

use std::fmt;

/// Where STUN servers listen if nothing else is said (RFC 8489 section 17.5).
const DEFAULT_PORT: u16 = 3478;

/// A STUN server by UDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StunServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl StunServer {
    /// From `HOST[:PORT]`; an IPv6 address stands in brackets. None: it is no such text.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if rest.is_empty() => DEFAULT_PORT,
            None => return None,
        };
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        (!host.is_empty() && host.bytes().all(may_stand)).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for StunServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let read = |text: &str| StunServer::parse(text).map(|server| server.to_string());
        for (text, means) in [
            ("stun.example.org", "stun.example.org:3478"),
            ("stun.example.org:19302", "stun.example.org:19302"),
            ("192.0.2.1:3478", "192.0.2.1:3478"),
            ("[2001:db8::7]", "[2001:db8::7]:3478"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(means));
        }
        for wrong in ["", ":3478", "stun:stun.example.org", "a:0", "a:70000", "[2001:db8::7", "[::1]3478", "2001:db8::7", "a host", "a/b"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
