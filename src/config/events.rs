//! The sections `events` and `webhooks`: what is kept of what happens in rooms, and who is told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};
use super::keys::text_of;
use super::schema::Key;

/// Receivers at most: each has a window of events in memory.
const MOST_URLS: usize = 8;

/// Events, as they are written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Whether what happens in rooms is kept, and told to webhooks.
    pub enabled: bool,
    /// Directory that events are kept in; empty for one in the user's home.
    pub folder: PathBuf,
    /// What the node is called in them; empty for the machine's name.
    pub node: String,
    /// Days that they are kept, once delivered.
    pub keep_days: u32,
    /// Mebibytes that they take at most; beyond, the oldest go, delivered or not.
    pub keep_mib: u64,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { enabled: false, folder: PathBuf::new(), node: String::new(), keep_days: 7, keep_mib: 1_024 }
    }
}

/// Webhooks, as they are written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where events are posted to.
    pub urls: Vec<String>,
    /// The secret that they are signed with (`whsec_…`), or where it is.
    pub secret: Key,
    /// The secret before it, with which they are signed as well while receivers change; or where it is.
    pub old_secret: Key,
    /// Seconds within which a receiver has to have answered.
    pub timeout_seconds: u64,
    /// Requests to a receiver at a time.
    pub at_once: usize,
    /// Milliseconds after which an event that was not taken is sent again; each time it is twice as long.
    pub retry_ms: u64,
    /// Seconds that this grows to.
    pub retry_most_seconds: u64,
    /// Hours after which an event that nobody takes is given up.
    pub give_up_hours: u64,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        let none = Key::Secret(String::new());
        Self {
            urls: Vec::new(),
            secret: none.clone(),
            old_secret: none,
            timeout_seconds: 10,
            at_once: 16,
            retry_ms: 1_000,
            retry_most_seconds: 300,
            give_up_hours: 72,
        }
    }
}

/// Events, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct EventsConfig {
    /// Directory that they are kept in.
    pub folder: PathBuf,
    /// What the node is called in them.
    pub node: String,
    /// How long they are kept, once delivered.
    pub keep: Duration,
    /// Bytes that they take at most.
    pub keep_bytes: u64,
    /// Who is told.
    pub webhooks: WebhookConfig,
}

/// Webhooks, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct WebhookConfig {
    /// Where events are posted to.
    pub urls: Vec<Url>,
    /// What they are signed with, each in turn.
    pub secrets: Vec<WebhookSecret>,
    /// Within which a receiver has to have answered.
    pub timeout: Duration,
    /// Requests to a receiver at a time.
    pub at_once: usize,
    /// After which an event is sent again for the first time.
    pub retry: Duration,
    /// What this grows to.
    pub retry_most: Duration,
    /// After which it is given up.
    pub give_up: Duration,
}

/// A secret as Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// Reads one.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl EventSettings {
    /// Checks both sections; none when nothing is kept.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self, webhooks: &WebhookSettings) -> Result<Option<EventsConfig>, InvalidSetting> {
        at_least("events.keep_days", self.keep_days.into(), 1)?;
        // Four segments: the newest one always stays.
        at_least("events.keep_mib", self.keep_mib, 16)?;
        if self.keep_mib > 1 << 20 {
            return invalid("events.keep_mib", format!("it is {}: choose at most a tebibyte", self.keep_mib));
        }
        if self.node.len() > 128 || self.node.chars().any(char::is_control) {
            return invalid("events.node", "a node's name has at most 128 bytes, and no line breaks".into());
        }
        let webhooks = webhooks.check()?;
        if !self.enabled {
            if !webhooks.urls.is_empty() {
                return invalid("webhooks.urls", "events are told from where they are kept: set events.enabled as well".into());
            }
            return Ok(None);
        }
        Ok(Some(EventsConfig {
            folder: self.directory()?,
            node: if self.node.is_empty() { machine() } else { self.node.clone() },
            keep: Duration::from_secs(u64::from(self.keep_days) * 86_400),
            keep_bytes: self.keep_mib << 20,
            webhooks,
        }))
    }

    /// The directory that is set, or one in the user's home (the XDG base directory specification).
    fn directory(&self) -> Result<PathBuf, InvalidSetting> {
        if !self.folder.as_os_str().is_empty() {
            return Ok(self.folder.clone());
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        match variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state"))) {
            Some(state) => Ok(state.join("althing/events")),
            None => invalid("events.folder", "this process has no home: say where events are kept".into()),
        }
    }
}

impl WebhookSettings {
    fn check(&self) -> Result<WebhookConfig, InvalidSetting> {
        for (name, value, most) in [
            ("webhooks.timeout_seconds", self.timeout_seconds, 300),
            ("webhooks.at_once", self.at_once as u64, 1_024),
            ("webhooks.retry_ms", self.retry_ms, 3_600_000),
            ("webhooks.retry_most_seconds", self.retry_most_seconds, 86_400),
            ("webhooks.give_up_hours", self.give_up_hours, 24 * 365),
        ] {
            at_least(name, value, 1)?;
            if value > most {
                return invalid(name, format!("it is {value}: choose at most {most}"));
            }
        }
        if self.urls.len() > MOST_URLS {
            return invalid("webhooks.urls", format!("there are at most {MOST_URLS}"));
        }
        let urls = self.urls.iter().map(|text| url(text)).collect::<Result<Vec<_>, _>>()?;
        let secrets = [("webhooks.secret", &self.secret), ("webhooks.old_secret", &self.old_secret)];
        let secrets = secrets.into_iter().filter_map(|(name, key)| secret(name, key).transpose()).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() && !urls.is_empty() {
            return invalid("webhooks.secret", "receivers have to know who posts: make one with `echo whsec_$(openssl rand -base64 32)`".into());
        }
        Ok(WebhookConfig {
            urls,
            secrets,
            timeout: Duration::from_secs(self.timeout_seconds),
            at_once: self.at_once,
            retry: Duration::from_millis(self.retry_ms),
            retry_most: Duration::from_secs(self.retry_most_seconds).max(Duration::from_millis(self.retry_ms)),
            give_up: Duration::from_secs(self.give_up_hours * 3_600),
        })
    }
}

fn url(text: &str) -> Result<Url, InvalidSetting> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => invalid("webhooks.urls", "one is no URL: write it as https://HOST/PATH".into()),
    }
}

fn secret(name: &str, key: &Key) -> Result<Option<WebhookSecret>, InvalidSetting> {
    let text = text_of(name, key)?;
    if text.is_empty() && matches!(key, Key::Secret(_)) {
        return Ok(None);
    }
    match WebhookSecret::new(&text) {
        Some(secret) => Ok(Some(secret)),
        None => invalid(name, "it is `whsec_` and 24 to 64 bytes in base64: make one with `echo whsec_$(openssl rand -base64 32)`".into()),
    }
}

/// What the machine is called (uname(2)).
fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "althing".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhooks() -> WebhookSettings {
        WebhookSettings { urls: vec!["https://a.example/hook".into()], secret: Key::Secret(SECRET.into()), ..WebhookSettings::default() }
    }

    #[test]
    fn events_are_kept_where_they_are_switched_on_and_told_to_whom_they_should_be() {
        assert_eq!(EventSettings::default().check(&WebhookSettings::default()), Ok(None));
        let on = EventSettings { enabled: true, folder: "/srv/events".into(), node: "n".into(), ..EventSettings::default() };
        let config = on.check(&webhooks()).expect("it can work").expect("it is on");
        assert_eq!((config.folder, config.node.as_str(), config.keep_bytes), ("/srv/events".into(), "n", 1 << 30));
        assert_eq!((config.webhooks.urls.len(), config.webhooks.secrets.len()), (1, 1));
        let both = WebhookSettings { old_secret: Key::Secret(SECRET.into()), ..webhooks() };
        assert_eq!(on.check(&both).expect("it can work").expect("it is on").webhooks.secrets.len(), 2);
        assert!(!format!("{:?}", on.check(&both)).contains("MfKQ"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut EventSettings, &mut WebhookSettings)| {
            let (mut events, mut webhooks) = (EventSettings { enabled: true, folder: "/e".into(), ..EventSettings::default() }, webhooks());
            change(&mut events, &mut webhooks);
            events.check(&webhooks).expect_err("refused").name
        };
        assert_eq!(refused(|e, _| e.keep_days = 0), "events.keep_days");
        assert_eq!(refused(|e, _| e.keep_mib = 1), "events.keep_mib");
        assert_eq!(refused(|e, _| e.node = "a\nb".into()), "events.node");
        assert_eq!(refused(|e, _| e.enabled = false), "webhooks.urls");
        assert_eq!(refused(|_, w| w.urls = vec!["ftp://a".into()]), "webhooks.urls");
        assert_eq!(refused(|_, w| w.urls = vec!["https://a".into(); 9]), "webhooks.urls");
        assert_eq!(refused(|_, w| w.secret = Key::Secret("short".into())), "webhooks.secret");
        assert_eq!(refused(|_, w| w.secret = Key::Secret(String::new())), "webhooks.secret");
        assert_eq!(refused(|_, w| w.old_secret = Key::Secret("whsec_c2hvcnQ=".into())), "webhooks.old_secret");
        assert_eq!(refused(|_, w| w.timeout_seconds = 0), "webhooks.timeout_seconds");
        assert_eq!(refused(|_, w| w.give_up_hours = u64::MAX), "webhooks.give_up_hours");
    }
}
