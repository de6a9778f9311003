//! The section `whip_out`: which servers elsewhere a call may be sent to, by WHIP.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};

/// Sessions at a time at most: each has sockets of its own at every worker.
const MOST_SESSIONS: u64 = 256;

/// WHIP out, as it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhipOutSettings {
    /// Hosts that may be sent to; `*.example.org` stands for every name below it. Empty: nothing is sent anywhere.
    pub allow_hosts: Vec<String>,
    /// Whether they may be spoken to without TLS.
    pub allow_http: bool,
    /// Networks that are not on the public internet and may be sent to all the same.
    pub allow_networks: Vec<String>,
    /// Sessions at a time.
    pub sessions: u16,
    /// Sessions of one room at a time.
    pub sessions_of_room: u16,
    /// Seconds within which a server has to have answered.
    pub timeout_seconds: u64,
    /// How often a session is tried in a row before it is given up.
    pub tries: u32,
}

impl Default for WhipOutSettings {
    fn default() -> Self {
        Self {
            allow_hosts: Vec::new(),
            allow_http: false,
            allow_networks: Vec::new(),
            sessions: 8,
            sessions_of_room: 4,
            timeout_seconds: 10,
            tries: 8,
        }
    }
}

/// WHIP out, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct WhipOutConfig {
    hosts: Vec<Host>,
    http: bool,
    /// Networks that are not on the public internet and may be sent to all the same.
    pub networks: Vec<IpNet>,
    /// Sessions at a time.
    pub sessions: u16,
    /// Sessions of one room at a time.
    pub sessions_of_room: usize,
    /// Within which a server has to have answered.
    pub timeout: Duration,
    /// How often a session is tried in a row.
    pub tries: u32,
}

/// Why a URL may not be sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Objection {
    /// It has a user's name or a password in it.
    Credentials,
    /// Its host is none of those that are named.
    Host,
    /// It is spoken to without TLS.
    Plain,
}

/// A host, or every name below one.
#[derive(Clone, PartialEq, Debug)]
enum Host {
    Named(String),
    Below(String),
}

impl WhipOutSettings {
    /// Checks the settings; none: nothing is sent anywhere.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<Option<WhipOutConfig>, InvalidSetting> {
        for (name, value, most) in [
            ("whip_out.sessions", u64::from(self.sessions), MOST_SESSIONS),
            ("whip_out.sessions_of_room", self.sessions_of_room.into(), MOST_SESSIONS),
            ("whip_out.timeout_seconds", self.timeout_seconds, 300),
            ("whip_out.tries", self.tries.into(), 1_000_000),
        ] {
            at_least(name, value, 1)?;
            if value > most {
                return invalid(name, format!("it is {value}: choose at most {most}"));
            }
        }
        let hosts = self.allow_hosts.iter().map(|text| host(text)).collect::<Result<Vec<_>, _>>()?;
        let networks = self.allow_networks.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
        Ok((!hosts.is_empty()).then(|| WhipOutConfig {
            hosts,
            http: self.allow_http,
            networks,
            sessions: self.sessions,
            sessions_of_room: self.sessions_of_room.into(),
            timeout: Duration::from_secs(self.timeout_seconds),
            tries: self.tries,
        }))
    }
}

impl WhipOutConfig {
    /// Whether this may be sent to, by its looks: its scheme and its host. Its addresses are another matter.
    pub fn allows(&self, url: &Url) -> bool {
        self.objection(url).is_none()
    }

    /// Why this may not be sent to, by its looks.
    pub fn objection(&self, url: &Url) -> Option<Objection> {
        // Credentials in a URL would be said to others: they belong into the token.
        if !url.username().is_empty() || url.password().is_some() {
            return Some(Objection::Credentials);
        }
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let named = |pattern: &Host| match pattern {
            Host::Named(name) => host == *name,
            Host::Below(name) => host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        };
        if !self.hosts.iter().any(named) {
            return Some(Objection::Host);
        }
        let with_tls = url.scheme() == "https";
        let may_go_plain = self.http && url.scheme() == "http";
        (!with_tls && !may_go_plain).then_some(Objection::Plain)
    }
}

/// A name, an address (one of IPv6 in brackets, as in a URL), or `*.` and a name.
fn host(text: &str) -> Result<Host, InvalidSetting> {
    let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
    let written = Url::parse(&format!("https://{name}/")).ok().and_then(|url| url.host_str().map(str::to_owned));
    match written {
        // Whatever a URL makes of it is what is compared: a port or a path would be lost there.
        Some(host) if name.to_ascii_lowercase() == host && !name.contains('*') => Ok(if below { Host::Below(host) } else { Host::Named(host) }),
        _ => invalid("whip_out.allow_hosts", format!("`{text}` is no host: write live.example.org, *.example.org or [2001:db8::7]")),
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, InvalidSetting> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    match text.parse::<IpNet>().or_else(|_| alone()) {
        Ok(net) => Ok(net),
        Err(_) => invalid("whip_out.allow_networks", format!("`{text}` is no network: write 10.1.0.0/16, fd00::/8, or one address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hosts: &[&str]) -> WhipOutSettings {
        WhipOutSettings { allow_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..WhipOutSettings::default() }
    }

    fn allows(settings: &WhipOutSettings, url: &str) -> bool {
        let config = settings.check().expect("it can work").expect("it is on");
        config.allows(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn nothing_is_sent_anywhere_unless_somebody_says_where() {
        assert_eq!(WhipOutSettings::default().check(), Ok(None));
    }

    #[test]
    fn only_the_hosts_that_are_named_are_sent_to() {
        let on = settings(&["live.example.org", "*.cdn.example", "[2001:db8::7]", "192.0.2.7"]);
        for url in [
            "https://live.example.org/whip",
            "https://LIVE.example.org.:8443/x",
            "https://a.cdn.example/",
            "https://a.b.cdn.example/",
            "https://[2001:db8::7]/w",
            "https://192.0.2.7:1/w",
        ] {
            assert!(allows(&on, url), "{url}");
        }
        for url in [
            "https://example.org/",
            "https://xlive.example.org/",
            "https://live.example.org.evil.example/",
            "https://cdn.example/",
            "https://xcdn.example/",
            "https://.cdn.example/",
            "https://live.example.org@evil.example/",
            "https://user:secret@live.example.org/",
            "http://live.example.org/",
            "ftp://live.example.org/",
            "https://192.0.2.8/",
            "https://3221225992/",
        ] {
            assert!(!Url::parse(url).is_ok_and(|_| allows(&on, url)), "{url}");
        }
        let objection = |url: &str| on.check().expect("it can work").expect("it is on").objection(&Url::parse(url).expect("a URL"));
        assert_eq!(objection("http://user:secret@live.example.org/"), Some(Objection::Credentials));
        assert_eq!(objection("http://elsewhere.example/"), Some(Objection::Host));
        assert_eq!(objection("http://live.example.org/"), Some(Objection::Plain));
        assert!(allows(&WhipOutSettings { allow_http: true, ..on }, "http://live.example.org/"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut WhipOutSettings)| {
            let mut settings = settings(&["a.example"]);
            change(&mut settings);
            settings.check().expect_err("refused").name
        };
        assert_eq!(refused(|s| s.sessions = 0), "whip_out.sessions");
        assert_eq!(refused(|s| s.sessions = 257), "whip_out.sessions");
        assert_eq!(refused(|s| s.sessions_of_room = 0), "whip_out.sessions_of_room");
        assert_eq!(refused(|s| s.timeout_seconds = 301), "whip_out.timeout_seconds");
        assert_eq!(refused(|s| s.tries = 0), "whip_out.tries");
        for host in ["https://a.example", "a.example/x", "a.example:443", "*", "*.", "a.*.example", "", "2001:db8::7"] {
            let settings = settings(&[host]);
            assert_eq!(settings.check().expect_err(host).name, "whip_out.allow_hosts");
        }
        assert_eq!(refused(|s| s.allow_networks = vec!["home".into()]), "whip_out.allow_networks");
    }
}
