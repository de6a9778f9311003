//! From settings as written to settings that mean something: what cannot work is refused here, once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use super::data::DataConfig;
use super::events::EventsConfig;
use super::jobs::JobsConfig;
use super::keys::{AuthKeys, Secret, secret, token_key};
use super::library::LibraryConfig;
use super::recording::RecordingConfig;
use super::s3::S3Config;
use super::schema::{CallPolicy, IceSettings, Key, LimitSettings, LogSettings, MediaSettings, Settings};
use super::stun::StunServer;
use super::tls::{self, TlsConfig};
use super::turn::TurnConfig;
use super::whip_out::WhipOutConfig;
use crate::contract::DataLimits;

/// Kilobits a second that a member may be held to at least: less does not even carry a voice.
pub const LEAST_PUBLISH_KBPS: u32 = 32;

/// The checked settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The public listener.
    pub http: HttpConfig,
    /// TLS for the public listener, if there is any.
    pub tls: Option<TlsConfig>,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    /// Names by which they may be asked for, in lower case, beside addresses and localhost.
    pub admin_hosts: Vec<String>,
    /// What is kept of calls that are over.
    pub kept: KeptConfig,
    /// The media plane.
    pub media: MediaConfig,
    /// STUN and TURN for clients that are connected directly.
    pub ice: IceConfig,
    /// The relay inside this server, if there is one.
    pub turn: Option<TurnConfig>,
    /// Who may join.
    pub auth: AuthKeys,
    /// Rooms and members.
    pub rooms: RoomsConfig,
    /// Calling a person.
    pub calls: CallsConfig,
    /// Data between members.
    pub data: DataConfig,
    /// What is kept and told of what happens in rooms, if anything is.
    pub events: Option<EventsConfig>,
    /// Recording, if there is any.
    pub recording: Option<RecordingConfig>,
    /// The bucket that what is kept is copied to, if there is one.
    pub s3: Option<S3Config>,
    /// What is made of recordings afterwards.
    pub jobs: JobsConfig,
    /// The library, if there is anything to keep.
    pub library: Option<LibraryConfig>,
    /// Where calls may be sent to, if anywhere.
    pub whip_out: Option<WhipOutConfig>,
    /// What a client may send.
    pub limits: LimitSettings,
    /// How long a node that is to end goes on for its members.
    pub drain: Duration,
    /// Where traces of joins go, if anywhere.
    pub otel: Option<Url>,
    /// The log.
    pub log: LogSettings,
}

/// What is kept of calls that are over, for whoever asks later why one was bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptConfig {
    /// In bytes; 0: nothing is.
    pub bytes: usize,
    /// For how long.
    pub lifetime: Duration,
}

impl Default for Config {
    /// The configuration of default settings.
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            http: http(&settings),
            tls: None,
            admin: settings.admin.listen,
            admin_hosts: Vec::new(),
            kept: kept(&settings),
            media: media(&settings),
            ice: IceConfig {
                stun: settings.ice.stun,
                urls: Vec::new(),
                secret: None,
                credential_lifetime: Duration::from_secs(settings.ice.credential_seconds),
            },
            turn: settings.turn.check(media_ports(&settings.media), settings.http.listen.port()).ok().flatten(),
            auth: AuthKeys::default(),
            rooms: rooms(&settings),
            calls: calls(&settings),
            data: DataConfig { channels: settings.data.channels, limits: DataLimits::default() },
            events: None,
            recording: None,
            s3: None,
            jobs: JobsConfig::default(),
            library: None,
            whip_out: None,
            limits: settings.limits,
            drain: seconds(settings.drain.seconds),
            otel: None,
            log: settings.log,
        }
    }
}

/// The public listener.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whose pages may open a signaling socket.
    pub origins: AllowedOrigins,
    /// Between pings on a signaling socket.
    pub heartbeat: Duration,
    /// Within which a connection's next request has to be there.
    pub header: Duration,
}

/// Whose pages may open a signaling socket. A request without `Origin` comes from no page and is always allowed.
#[derive(Clone, PartialEq, Debug)]
pub enum AllowedOrigins {
    /// Anybody's.
    Any,
    /// This server's own, and these (`scheme://host[:port]`, lower case).
    OwnAnd(Vec<String>),
}

/// The media plane.
#[derive(Clone, PartialEq, Debug)]
pub struct MediaConfig {
    /// Worker threads, at least one.
    pub workers: u16,
    /// UDP port of worker 0.
    pub port: u16,
    /// All workers share that port.
    pub single_port: bool,
    /// Connections of one room on its home worker from which on others go elsewhere, too.
    pub spread_from: u16,
    /// Clients may come by TCP, to the same ports.
    pub tcp: bool,
    /// Addresses to bind; empty for those of all interfaces.
    pub bind: Vec<IpAddr>,
    /// Addresses to announce instead of the bound ones.
    pub announce: Vec<IpAddr>,
    /// Who says how the media ports are seen from outside.
    pub stun_server: Option<StunServer>,
}

impl MediaConfig {
    /// Whether clients may come by TCP: not where workers share a port, since the kernel does not know whose a stream is.
    pub const fn takes_tcp(&self) -> bool {
        self.tcp && !self.single_port
    }
}

/// STUN and TURN for clients that are connected directly.
#[derive(Clone, PartialEq, Debug)]
pub struct IceConfig {
    /// Whether clients are told of this server's own STUN service.
    pub stun: bool,
    /// Other servers that clients are told of.
    pub urls: Vec<String>,
    /// The secret that is shared with the relays among them.
    pub secret: Option<Secret>,
    /// How long credentials for relays are good for.
    pub credential_lifetime: Duration,
}

/// Rooms and members.
#[derive(Clone, PartialEq, Debug)]
pub struct RoomsConfig {
    /// Rooms at a time.
    pub max: usize,
    /// Members of a room.
    pub members: usize,
    /// How long an empty room lives on.
    pub grace: Duration,
    /// How long a lost session may be resumed.
    pub resume: Duration,
    /// Chat messages that a room keeps.
    pub history: usize,
    /// Members (and shared screens) that a member is shown at most.
    pub last_n: usize,
    /// Voices that are forwarded at a time.
    pub voices: u8,
    /// How media travels where nobody in the room has said otherwise.
    pub policy: CallPolicy,
    /// How long two who remain stay on the server.
    pub return_after: Duration,
    /// Tracks that a member publishes at most at a time.
    pub tracks: u8,
    /// Kilobits a second that a member publishes at most, all its tracks together; none for no limit.
    pub publish_kbps: Option<u32>,
}

/// Calling a person.
#[derive(Clone, PartialEq, Debug)]
pub struct CallsConfig {
    /// How long a call rings.
    pub ring: Duration,
    /// How long somebody whose socket is lost can be reached.
    pub grace: Duration,
    /// Lobbies at a time.
    pub lobbies: usize,
    /// People of a lobby.
    pub people: usize,
    /// Calls that an identity may make in a minute.
    pub per_minute: u32,
}

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

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn http(settings: &Settings) -> HttpConfig {
    let any = settings.http.origins.iter().any(|o| o == "*");
    let listed = || settings.http.origins.iter().map(|o| o.to_lowercase()).collect();
    let origins = if any { AllowedOrigins::Any } else { AllowedOrigins::OwnAnd(listed()) };
    HttpConfig {
        listen: settings.http.listen,
        origins,
        heartbeat: seconds(settings.http.heartbeat_seconds),
        header: seconds(settings.http.header_seconds),
    }
}

/// Voices at a time at most: workers tell each other of no more.
const MOST_VOICES: u8 = 10;
/// Tracks of a member at most, fallbacks not counted: one of each source.
const MOST_TRACKS: u8 = 4;
/// Bytes of all members' metadata at most: the answer to a join has all of it, and each byte may take two in JSON.
const ALL_METADATA: u64 = 768 * 1024;
/// Workers at most.
const MOST_WORKERS: u16 = 256;

/// As many as are set, or one for each core.
fn workers(media: &MediaSettings) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS.into()) as u16);
    if media.workers == 0 { cores() } else { media.workers }
}

/// The ports of workers.
fn media_ports(media: &MediaSettings) -> std::ops::RangeInclusive<u16> {
    let more = if media.single_port || media.port == 0 { 0 } else { workers(media) - 1 };
    media.port..=media.port.saturating_add(more)
}

fn media(settings: &Settings) -> MediaConfig {
    let media = &settings.media;
    MediaConfig {
        workers: workers(media),
        port: media.port,
        single_port: media.single_port,
        spread_from: media.spread_from,
        tcp: media.tcp,
        bind: media.bind.clone(),
        announce: media.announce.clone(),
        stun_server: StunServer::parse(&media.stun_server),
    }
}

fn rooms(settings: &Settings) -> RoomsConfig {
    let rooms = &settings.rooms;
    RoomsConfig {
        max: rooms.max,
        members: rooms.members,
        grace: Duration::from_secs(rooms.grace_seconds),
        resume: Duration::from_secs(rooms.resume_seconds),
        history: rooms.history,
        last_n: rooms.last_n,
        voices: rooms.voices,
        policy: rooms.policy,
        return_after: Duration::from_secs(rooms.return_seconds),
        tracks: rooms.tracks,
        publish_kbps: (rooms.publish_kbps > 0).then_some(rooms.publish_kbps),
    }
}

fn calls(settings: &Settings) -> CallsConfig {
    let calls = &settings.calls;
    CallsConfig {
        ring: Duration::from_secs(calls.ring_seconds),
        grace: Duration::from_secs(calls.grace_seconds),
        lobbies: calls.lobbies,
        people: calls.people,
        per_minute: calls.per_minute,
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

fn kept(settings: &Settings) -> KeptConfig {
    let admin = &settings.admin;
    KeptConfig { bytes: admin.calls_mib as usize * 1_024 * 1_024, lifetime: Duration::from_secs(u64::from(admin.calls_hours) * 3_600) }
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
