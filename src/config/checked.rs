//! What settings mean once they are checked, for all sections that have no file of their own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use super::data::DataConfig;
use super::events::EventsConfig;
use super::jobs::JobsConfig;
use super::keys::{AuthKeys, Secret};
use super::library::LibraryConfig;
use super::recording::RecordingConfig;
use super::s3::S3Config;
use super::schema::{CallPolicy, LimitSettings, LogSettings, MediaSettings, Settings};
use super::stun::StunServer;
use super::tls::TlsConfig;
use super::turn::TurnConfig;
use super::whip_out::WhipOutConfig;
use crate::contract::DataLimits;

/// Workers at most.
pub(super) const MOST_WORKERS: u16 = 256;

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

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn http(settings: &Settings) -> HttpConfig {
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

pub(super) fn kept(settings: &Settings) -> KeptConfig {
    let admin = &settings.admin;
    KeptConfig { bytes: admin.calls_mib as usize * 1_024 * 1_024, lifetime: Duration::from_secs(u64::from(admin.calls_hours) * 3_600) }
}

/// As many as are set, or one for each core.
pub(super) fn workers(media: &MediaSettings) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS.into()) as u16);
    if media.workers == 0 { cores() } else { media.workers }
}

/// The ports of workers.
pub(super) fn media_ports(media: &MediaSettings) -> std::ops::RangeInclusive<u16> {
    let more = if media.single_port || media.port == 0 { 0 } else { workers(media) - 1 };
    media.port..=media.port.saturating_add(more)
}

pub(super) fn media(settings: &Settings) -> MediaConfig {
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

pub(super) fn rooms(settings: &Settings) -> RoomsConfig {
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

pub(super) fn calls(settings: &Settings) -> CallsConfig {
    let calls = &settings.calls;
    CallsConfig {
        ring: Duration::from_secs(calls.ring_seconds),
        grace: Duration::from_secs(calls.grace_seconds),
        lobbies: calls.lobbies,
        people: calls.people,
        per_minute: calls.per_minute,
    }
}
