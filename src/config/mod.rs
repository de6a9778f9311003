//! The settings: what there is ([`Settings`]), where it comes from ([`load()`]), and what it means once checked ([`Config`]).
//!
//! A file, then the environment (`ALTHING_SECTION__KEY`), then the command line: the later wins. A name that does
//! not exist is refused with the nearest one that does, wherever it was written.

mod changed;
mod check;
mod checked;
mod data;
mod events;
mod jobs;
mod keys;
mod library;
mod load;
mod otel;
mod recording;
mod s3;
mod schema;
mod stun;
mod tls;
mod turn;
mod whip_out;

pub use check::{InvalidSetting, LEAST_PUBLISH_KBPS};
pub use checked::{AllowedOrigins, Config, HttpConfig, IceConfig, KeptConfig, MediaConfig, RoomsConfig};
pub use data::{DataConfig, DataSettings};
pub use events::{EventSettings, EventsConfig, WebhookConfig, WebhookSecret, WebhookSettings};
pub use jobs::{JobSettings, JobsConfig};
pub use keys::{AuthKeys, KeyAlgorithm, PublicKey, Secret, TokenKey};
pub use library::{LibraryConfig, LibrarySettings, UploadConfig};
pub use load::{LoadError, Overrides, SECRETS, load};
pub use otel::OtelSettings;
pub use recording::{RecordingConfig, RecordingSettings, StoreKind};
pub use s3::{S3Config, S3Settings};
pub use schema::{
    AdminSettings, AuthSettings, CallPolicy, HttpSettings, IceSettings, Key, LimitSettings, LogFormat, LogSettings, MediaSettings, RoomSettings,
    Settings, TlsMode, TlsSettings,
};
pub use stun::StunServer;
pub use tls::{AcmeConfig, CertificateSource, TlsConfig};
pub use turn::{TurnConfig, TurnSettings};
pub use whip_out::{Objection, WhipOutConfig, WhipOutSettings};
