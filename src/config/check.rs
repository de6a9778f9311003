//! From settings as written to settings that mean something: what cannot work is refused here, once.

use std::fmt;
use std::time::Duration;

use super::checked::{Config, IceConfig, MOST_WORKERS, calls, http, kept, media, media_ports, rooms, seconds, workers};
use super::keys::{secret, token_key};
use super::schema::{IceSettings, Key, Settings};
use super::stun::StunServer;
use super::tls;

/// Kilobits a second that a member may be held to at least: less does not even carry a voice.
pub const LEAST_PUBLISH_KBPS: u32 = 32;
/// Voices at a time at most: workers tell each other of no more.
const MOST_VOICES: u8 = 10;
/// Tracks of a member at most, fallbacks not counted: one of each source.
const MOST_TRACKS: u8 = 4;
/// Bytes of all members' metadata at most: the answer to a join has all of it, and each byte may take two in JSON.
const ALL_METADATA: u64 = 768 * 1024;

/// A setting that cannot work.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Its full name.
    pub name: String,
    /// Why, and what would.
    pub why: String,
}

impl std::error::Error for InvalidSetting {}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the setting `{}` cannot work: {}", self.name, self.why)
    }
}

impl Settings {
    /// Checks the settings; reads the files that hold secrets.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(self) -> Result<Config, InvalidSetting> {
        self.check_media()?;
        self.check_limits()?;
        at_least("http.heartbeat_seconds", self.http.heartbeat_seconds, 1)?;
        at_least("http.header_seconds", self.http.header_seconds, 1)?;
        at_least("admin.calls_hours", self.admin.calls_hours.into(), 1)?;
        for (name, seconds) in [
            ("http.heartbeat_seconds", self.http.heartbeat_seconds),
            ("http.header_seconds", self.http.header_seconds),
            ("rooms.grace_seconds", self.rooms.grace_seconds),
            ("rooms.resume_seconds", self.rooms.resume_seconds),
            ("rooms.return_seconds", self.rooms.return_seconds),
        ] {
            if seconds > 86_400 * 365 {
                return invalid(name, format!("it is {seconds}: choose at most a year"));
            }
        }
        self.check_calls()?;
        at_least("rooms.max", self.rooms.max as u64, 1)?;
        at_least("rooms.members", self.rooms.members as u64, 1)?;
        at_least("rooms.last_n", self.rooms.last_n as u64, 1)?;
        at_least("rooms.voices", self.rooms.voices.into(), 1)?;
        if self.rooms.voices > MOST_VOICES {
            return invalid("rooms.voices", format!("nobody can follow so many: choose {MOST_VOICES} or fewer"));
        }
        if self.rooms.tracks > MOST_TRACKS {
            return invalid("rooms.tracks", format!("a member has a microphone, a camera, a screen and its sound: choose {MOST_TRACKS} or fewer"));
        }
        if self.rooms.publish_kbps > 0 && self.rooms.publish_kbps < LEAST_PUBLISH_KBPS {
            return invalid("rooms.publish_kbps", format!("a voice takes as much: choose at least {LEAST_PUBLISH_KBPS}, or 0 for no limit"));
        }
        for origin in self.http.origins.iter().filter(|o| *o != "*") {
            check_origin(origin)?;
        }
        let auth = self.auth.keys.iter().map(|(id, key)| Ok((id.clone(), token_key(&format!("auth.keys.{id}"), key)?))).collect::<Result<_, _>>()?;
        let ice = ice(&self.ice)?;
        let turn = self.turn.check(media_ports(&self.media), self.http.listen.port())?;
        let tls = tls::check(&self.tls, self.http.listen)?;
        let data = self.data.check(&self.limits)?;
        let (recording, jobs) = (self.recording.check()?, self.jobs.check()?);
        let library = self.library.check(&self.recording)?;
        let s3 = self.s3.check(&self.recording, library.as_ref())?;
        let events = self.events.check(&self.webhooks)?;
        let admin_hosts = tls::names("admin.hosts", &self.admin.hosts)?;
        let whip_out = self.whip_out.check()?;
        let (http, media, rooms, calls) = (http(&self), media(&self), rooms(&self), calls(&self));
        let (admin, kept, drain) = (self.admin.listen, kept(&self), seconds(self.drain.seconds));
        let otel = self.otel.check()?;
        let (limits, log) = (self.limits, self.log);
        Ok(Config {
            http,
            tls,
            admin,
            admin_hosts,
            kept,
            media,
            ice,
            turn,
            auth,
            rooms,
            calls,
            data,
            events,
            recording,
            s3,
            library,
            jobs,
            whip_out,
            limits,
            drain,
            otel,
            log,
        })
    }

    fn check_media(&self) -> Result<(), InvalidSetting> {
        let workers = workers(&self.media);
        // Our ICE user names say whose a connection is, in two hexadecimal digits.
        if workers > MOST_WORKERS {
            return invalid("media.workers", format!("there are at most {MOST_WORKERS}: choose fewer"));
        }
        let last = u32::from(self.media.port) + u32::from(workers) - 1;
        if self.media.port != 0 && !self.media.single_port && last > u32::from(u16::MAX) {
            return invalid("media.port", format!("worker {} would need the port {last}: choose a lower one", workers - 1));
        }
        at_least("media.spread_from", self.media.spread_from.into(), 1)?;
        for (name, addresses) in [("media.bind", &self.media.bind), ("media.announce", &self.media.announce)] {
            if let Some(address) = addresses.iter().find(|a| a.is_unspecified() || a.is_multicast()) {
                return invalid(name, format!("{address} is not the address of one host: list real ones, or none for all interfaces"));
            }
        }
        let stun = &self.media.stun_server;
        if !stun.is_empty() && StunServer::parse(stun).is_none() {
            return invalid("media.stun_server", format!("`{stun}` is no host and port: write it as \"stun.example.org:3478\""));
        }
        Ok(())
    }

    fn check_calls(&self) -> Result<(), InvalidSetting> {
        let calls = &self.calls;
        for (name, seconds) in [("calls.ring_seconds", calls.ring_seconds), ("calls.grace_seconds", calls.grace_seconds)] {
            at_least(name, seconds, 1)?;
            if seconds > 3_600 {
                return invalid(name, format!("nobody waits for {seconds} seconds: choose at most an hour"));
            }
        }
        at_least("calls.lobbies", calls.lobbies as u64, 1)?;
        at_least("calls.people", calls.people as u64, 2)?;
        at_least("calls.per_minute", calls.per_minute.into(), 1)
    }

    fn check_limits(&self) -> Result<(), InvalidSetting> {
        let limits = &self.limits;
        at_least("limits.sockets", limits.sockets as u64, 1)?;
        at_least("limits.whip_sessions", limits.whip_sessions as u64, 1)?;
        at_least("limits.whip_posts_per_second", limits.whip_posts_per_second.into(), 1)?;
        at_least("limits.message_bytes", limits.message_bytes.into(), 1_024)?;
        at_least("limits.offer_bytes", limits.offer_bytes.into(), limits.message_bytes.into())?;
        at_least("limits.messages_per_second", limits.messages_per_second.into(), 1)?;
        at_least("limits.mlines", limits.mlines.into(), 2)?;
        at_least("limits.chat_bytes", limits.chat_bytes.into(), 1)?;
        at_least("limits.name_bytes", limits.name_bytes.into(), 1)?;
        let metadata = u64::from(limits.metadata_bytes).saturating_mul(self.rooms.members as u64);
        if metadata > ALL_METADATA {
            let most = ALL_METADATA / self.rooms.members.max(1) as u64;
            return invalid(
                "limits.metadata_bytes",
                format!("the answer to a join has that of all members: with rooms.members choose {most} or fewer"),
            );
        }
        if limits.mlines > 64 {
            return invalid("limits.mlines", "an m-line's index is at most 63: choose 64 or fewer".to_owned());
        }
        if limits.chat_bytes >= limits.message_bytes {
            return invalid("limits.chat_bytes", "a chat text has to fit into a message: choose fewer than limits.message_bytes".to_owned());
        }
        Ok(())
    }
}

fn ice(settings: &IceSettings) -> Result<IceConfig, InvalidSetting> {
    at_least("ice.credential_seconds", settings.credential_seconds, 60)?;
    if settings.credential_seconds > 86_400 * 365 {
        return invalid("ice.credential_seconds", format!("it is {}: choose at most a year", settings.credential_seconds));
    }
    for url in &settings.urls {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        if !["stun", "stuns", "turn", "turns"].contains(&scheme) || rest.is_empty() || rest.starts_with('/') || url.contains(char::is_whitespace) {
            return invalid("ice.urls", format!("`{url}` is no such URL: write stun:HOST:PORT, turn:HOST:PORT?transport=udp or turns:HOST:PORT"));
        }
    }
    let secret = match &settings.secret {
        Key::Secret(text) if text.is_empty() => None,
        key => Some(secret("ice.secret", key)?),
    };
    if secret.is_none() && settings.urls.iter().any(|url| url.starts_with("turn")) {
        return invalid(
            "ice.secret",
            "relays take nobody without credentials: set it to the secret that is shared with them (coturn: static-auth-secret)".into(),
        );
    }
    Ok(IceConfig { stun: settings.stun, urls: settings.urls.clone(), secret, credential_lifetime: Duration::from_secs(settings.credential_seconds) })
}

fn check_origin(origin: &str) -> Result<(), InvalidSetting> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('/') => Ok(()),
        _ => invalid("http.origins", format!("`{origin}` is not an origin: write scheme and host, like https://meet.example.org, or * for any")),
    }
}

pub(super) fn at_least(name: &str, value: u64, least: u64) -> Result<(), InvalidSetting> {
    if value < least { invalid(name, format!("it is {value}: choose at least {least}")) } else { Ok(()) }
}

pub(super) fn invalid<T>(name: &str, why: String) -> Result<T, InvalidSetting> {
    Err(InvalidSetting { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("refused").name
    }

    #[test]
    fn the_default_settings_are_the_default_configuration() {
        assert_eq!(Settings::default().check().as_ref(), Ok(&Config::default()));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        assert_eq!(refused(|s| s.otel.endpoint = "collector".into()), "otel.endpoint");
        assert_eq!(refused(|s| s.admin.hosts = vec!["http://althing".into()]), "admin.hosts");
        assert_eq!(refused(|s| s.admin.hosts = vec!["althing:9090".into()]), "admin.hosts");
        assert_eq!(refused(|s| s.media.workers = 257), "media.workers");
        assert_eq!(refused(|s| s.media.spread_from = 0), "media.spread_from");
        assert_eq!(refused(|s| (s.media.port, s.media.workers) = (65_535, 2)), "media.port");
        assert_eq!(refused(|s| s.media.bind = vec!["0.0.0.0".parse().expect("an address")]), "media.bind");
        assert_eq!(refused(|s| s.media.stun_server = "stun:stun.example.org".into()), "media.stun_server");
        assert_eq!(refused(|s| s.calls.ring_seconds = 0), "calls.ring_seconds");
        assert_eq!(refused(|s| s.calls.grace_seconds = 3_601), "calls.grace_seconds");
        assert_eq!(refused(|s| s.calls.people = 1), "calls.people");
        assert_eq!(refused(|s| s.calls.per_minute = 0), "calls.per_minute");
        assert_eq!(refused(|s| s.limits.mlines = 65), "limits.mlines");
        assert_eq!(refused(|s| s.data.message_bytes = 0), "data.message_bytes");
        assert_eq!(refused(|s| s.data.message_bytes = 49 * 1024), "data.message_bytes");
        assert_eq!(refused(|s| s.limits.message_bytes = 20_000), "data.message_bytes");
        assert_eq!(refused(|s| s.data.messages_per_second = 0), "data.messages_per_second");
        assert_eq!(refused(|s| s.data.bytes_per_second = 1_000), "data.bytes_per_second");
        assert_eq!(refused(|s| s.data.queue_bytes = 30_000), "data.queue_bytes");
        assert_eq!(refused(|s| s.limits.chat_bytes = 1 << 20), "limits.chat_bytes");
        assert_eq!(refused(|s| s.limits.metadata_bytes = 4_096), "limits.metadata_bytes");
        assert_eq!(refused(|s| s.rooms.tracks = 5), "rooms.tracks");
        assert_eq!(refused(|s| s.rooms.publish_kbps = 31), "rooms.publish_kbps");
        assert_eq!(refused(|s| s.http.origins = vec!["meet.example.org".into()]), "http.origins");
        assert_eq!(refused(|s| s.ice.urls = vec!["http://relay".into()]), "ice.urls");
        assert_eq!(refused(|s| s.ice.urls = vec!["turn:relay".into()]), "ice.secret");
        assert_eq!(refused(|s| s.ice.secret = Key::Secret("short".into())), "ice.secret");
        assert_eq!(refused(|s| s.ice.credential_seconds = 1), "ice.credential_seconds");
        assert_eq!(refused(|s| s.auth.keys = [("main".to_owned(), Key::Secret("short".into()))].into()), "auth.keys.main");
        let public = Key::Public { public_key: "no key".into() };
        assert_eq!(refused(|s| s.auth.keys = [("main".to_owned(), public.clone())].into()), "auth.keys.main");
        assert_eq!(refused(|s| s.ice.secret = public), "ice.secret");
        let missing = Key::PublicFile { public_key_file: "/nonexistent/key".into() };
        assert_eq!(refused(|s| s.auth.keys = [("main".to_owned(), missing)].into()), "auth.keys.main");
        let missing = Key::File { secret_file: "/nonexistent/secret".into() };
        assert_eq!(refused(|s| s.auth.keys = [("main".to_owned(), missing)].into()), "auth.keys.main");
    }
}
