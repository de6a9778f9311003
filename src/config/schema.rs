//! Every setting, with its default. `config/default.toml` says the same for people, and a test holds the two equal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::DataSettings;
use super::events::{EventSettings, WebhookSettings};
use super::jobs::JobSettings;
use super::library::LibrarySettings;
use super::otel::OtelSettings;
use super::recording::RecordingSettings;
use super::s3::S3Settings;
use super::turn::TurnSettings;
use super::whip_out::WhipOutSettings;

/// All settings as they are written, before they are checked.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The public listener: page and signaling.
    pub http: HttpSettings,
    /// TLS for the public listener.
    pub tls: TlsSettings,
    /// The private listener: metrics and health.
    pub admin: AdminSettings,
    /// The media plane.
    pub media: MediaSettings,
    /// STUN and TURN for clients that are connected directly.
    pub ice: IceSettings,
    /// The relay inside this server.
    pub turn: TurnSettings,
    /// Who may join.
    pub auth: AuthSettings,
    /// Rooms and members.
    pub rooms: RoomSettings,
    /// Calling a person.
    pub calls: CallSettings,
    /// Data between members.
    pub data: DataSettings,
    /// What is kept of what happens in rooms.
    pub events: EventSettings,
    /// Who is told of it.
    pub webhooks: WebhookSettings,
    /// Recording.
    pub recording: RecordingSettings,
    /// The bucket that what is kept is copied to.
    pub s3: S3Settings,
    /// What is made of recordings afterwards.
    pub jobs: JobSettings,
    /// What is kept, and who may add to it.
    pub library: LibrarySettings,
    /// Sending a call to a server elsewhere.
    pub whip_out: WhipOutSettings,
    /// What a client may send.
    pub limits: LimitSettings,
    /// How a node ends.
    pub drain: DrainSettings,
    /// Traces of joins.
    pub otel: OtelSettings,
    /// The log.
    pub log: LogSettings,
}

/// The public listener.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Origins of pages that may open a signaling socket, beside this server's own; `*` for any.
    pub origins: Vec<String>,
    /// Seconds between pings on a signaling socket; one that is silent for twice as long is taken for lost.
    pub heartbeat_seconds: u64,
    /// Seconds within which a connection's next request has to be there.
    pub header_seconds: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)), origins: Vec::new(), heartbeat_seconds: 15, header_seconds: 30 }
    }
}

/// How a node ends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// Seconds that it goes on for its members after SIGTERM; 0 is not at all.
    pub seconds: u64,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

/// TLS for the public listener.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Where the certificate comes from, if there is one.
    pub mode: TlsMode,
    /// `files`: the certificate and those that vouch for it (PEM).
    pub cert: PathBuf,
    /// `files`: its private key (PEM).
    pub key: PathBuf,
    /// `acme`: names that the certificate is for.
    pub domains: Vec<String>,
    /// `acme`: where the authority may write to; empty for nowhere.
    pub email: String,
    /// `acme`, `dev`: directory that keeps certificates and keys; empty for one in the user's home.
    pub cache: PathBuf,
    /// `acme`: the authority's directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// `acme`: certificates (PEM) to trust the directory by, beside the system's; empty for none.
    pub directory_ca: PathBuf,
    /// A plain listener that sends everybody to HTTPS; empty for none.
    pub redirect: String,
    /// Seconds that a handshake may take.
    pub handshake_seconds: u64,
    /// Handshakes under way at a time.
    pub handshakes: usize,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            mode: TlsMode::Off,
            cert: PathBuf::new(),
            key: PathBuf::new(),
            domains: Vec::new(),
            email: String::new(),
            cache: PathBuf::new(),
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            directory_ca: PathBuf::new(),
            redirect: String::new(),
            handshake_seconds: 10,
            handshakes: 512,
        }
    }
}

/// Where the certificate comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// No TLS: plain HTTP.
    Off,
    /// From files that somebody else keeps up to date.
    Files,
    /// From an authority that speaks ACME (RFC 8555).
    Acme,
    /// Self-made.
    Dev,
}

/// The private listener.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Names by which it is asked, beside addresses and localhost.
    pub hosts: Vec<String>,
    /// Memory for the accounts of calls that are over, in MiB.
    pub calls_mib: u32,
    /// How long they are kept, in hours.
    pub calls_hours: u32,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)), hosts: Vec::new(), calls_mib: 32, calls_hours: 24 }
    }
}

/// The media plane.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// Worker threads, each pinned to a core, each with its own UDP port; 0 is one for each core.
    pub workers: u16,
    /// UDP port of worker 0; worker i has this plus i. 0 lets the system choose (tests).
    pub port: u16,
    /// All workers share the port of worker 0.
    pub single_port: bool,
    /// Connections of one room on its home worker from which on others go elsewhere, too.
    pub spread_from: u16,
    /// Whether clients that no UDP gets through to may come by TCP, to the same ports.
    pub tcp: bool,
    /// Addresses of this machine to send and receive media on; empty for those of all interfaces.
    pub bind: Vec<IpAddr>,
    /// Addresses that clients are told, where they differ from the bound ones (behind a one-to-one NAT).
    pub announce: Vec<IpAddr>,
    /// A STUN server by UDP, `HOST[:PORT]`, that says how the media ports are seen from outside: clients are told that, too. Empty for none.
    pub stun_server: String,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            port: 40_000,
            single_port: false,
            spread_from: 8,
            tcp: true,
            bind: Vec::new(),
            announce: Vec::new(),
            stun_server: String::new(),
        }
    }
}

/// STUN and TURN for clients that are connected directly.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IceSettings {
    /// Whether clients are told of this server's own STUN service, which is on its media port.
    pub stun: bool,
    /// Other servers that clients are told of: `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The secret that is shared with the relays among them (coturn: `static-auth-secret`), or where it is; empty without relays.
    pub secret: Key,
    /// Seconds that credentials for relays are good for.
    pub credential_seconds: u64,
}

impl Default for IceSettings {
    fn default() -> Self {
        Self { stun: true, urls: Vec::new(), secret: Key::Secret(String::new()), credential_seconds: 43_200 }
    }
}

/// Who may join.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Key id → secret, or public key. None at all is development mode: anybody may join any room and moderate it.
    pub keys: BTreeMap<String, Key>,
}

/// The secret of a key, or where it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a secret is text, not of digits alone (it is taken for a number), or { secret_file = \"…\" }; a public key { public_key_file = \"…\" }"
)]
pub enum Key {
    /// The secret itself.
    Secret(String),
    /// A file whose content, without white space at its end, is the secret.
    File {
        /// Its path.
        secret_file: PathBuf,
    },
    /// A public key (PEM) of Ed25519 or RSA. For `auth.keys` alone.
    Public {
        /// The key.
        public_key: String,
    },
    /// A file with one.
    PublicFile {
        /// Its path.
        public_key_file: PathBuf,
    },
}

/// Rooms and members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoomSettings {
    /// Rooms at a time.
    pub max: usize,
    /// Members of a room.
    pub members: usize,
    /// Seconds that an empty room lives on.
    pub grace_seconds: u64,
    /// Seconds within which a lost session may be resumed.
    pub resume_seconds: u64,
    /// Chat messages that a room keeps.
    pub history: usize,
    /// Members and shared screens that a member is shown at most: those who spoke last, and those that it has pinned.
    pub last_n: usize,
    /// Voices that are forwarded at a time: the loudest. The sound of shared screens does not count.
    pub voices: u8,
    /// How media travels where nobody in the room has said otherwise.
    pub policy: CallPolicy,
    /// Seconds that two who remain of a larger room stay on the server before they are connected directly again.
    pub return_seconds: u64,
    /// Tracks that a member publishes at most at a time.
    pub tracks: u8,
    /// Kilobits a second that a member publishes at most, all its tracks together; 0 for no limit.
    pub publish_kbps: u32,
}

/// How a room's media travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallPolicy {
    /// Directly between two browsers, through the server when there are more or when that fails.
    Auto,
    /// Directly between two browsers, or not at all.
    P2p,
    /// Through the server.
    Sfu,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            max: 10_000,
            members: 500,
            grace_seconds: 30,
            resume_seconds: 60,
            history: 200,
            last_n: 25,
            voices: 5,
            policy: CallPolicy::Auto,
            return_seconds: 10,
            tracks: 4,
            publish_kbps: 0,
        }
    }
}

/// Calling a person.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallSettings {
    /// Seconds that a call rings.
    pub ring_seconds: u64,
    /// Seconds that somebody whose socket is lost can be reached.
    pub grace_seconds: u64,
    /// Lobbies at a time.
    pub lobbies: usize,
    /// People of a lobby.
    pub people: usize,
    /// Calls that an identity may make in a minute.
    pub per_minute: u32,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self { ring_seconds: 45, grace_seconds: 8, lobbies: 1_000, people: 500, per_minute: 12 }
    }
}

/// What a client may send.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Signaling sockets at a time.
    pub sockets: usize,
    /// WHIP and WHEP sessions at a time.
    pub whip_sessions: usize,
    /// WHIP and WHEP sessions that may begin each second from one source prefix (/24, /56).
    pub whip_posts_per_second: u32,
    /// Bytes of a signaling message, `offer` excepted.
    pub message_bytes: u32,
    /// Bytes of an `offer` message, or of an offer by HTTP.
    pub offer_bytes: u32,
    /// Signaling messages a second; each 16 KiB begun counts as one.
    pub messages_per_second: u32,
    /// m-lines of an offer.
    pub mlines: u32,
    /// Bytes of a chat text.
    pub chat_bytes: u32,
    /// Bytes of a name to show.
    pub name_bytes: u32,
    /// Bytes of a member's metadata and attributes together, and of a room's metadata.
    pub metadata_bytes: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            sockets: 20_000,
            whip_sessions: 20_000,
            whip_posts_per_second: 100,
            message_bytes: 64 * 1024,
            offer_bytes: 512 * 1024,
            messages_per_second: 50,
            mlines: 64,
            chat_bytes: 4 * 1024,
            name_bytes: 128,
            metadata_bytes: 1_024,
        }
    }
}

/// The log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How it is written.
    pub format: LogFormat,
    /// What is written: a level, or directives such as `info,althing::control=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
