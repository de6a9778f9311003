//! Calls that are sent to servers elsewhere, by WHIP (RFC 9725): this node is the client there. docs/WHIP.md says it for whoever uses it, adr/0030
//! why it is so.
//!
//! The room decides ([`crate::control::rooms`], `egress`): who is sent, when it is tried, what is negotiated. Here is what it needs for that: the
//! sockets that sessions have of their own ([`Outlets`]), the HTTP of a session (`http`, with the guard around where requests may go), and the task
//! that carries out what the room says (`session`).

mod http;
mod outlets;
mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::base::address::DenyList;
use crate::config::{Objection, WhipOutConfig};
use crate::control::Refusal;
use crate::sdp::AnswerError;
use crate::wire::ErrorCode;
use http::Client;
use outlets::Slots;
pub use outlets::{Outlets, Slot};
pub use session::Session;

/// What a room may have said to a session's task and it has not done yet: more than a room ever says before it is answered.
pub const INSTRUCTIONS: usize = 16;

/// How long servers may take to hear that a call is over, when the node ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a room has done for a session.
#[derive(Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Numbers for an offer are to be drawn.
    Draw,
    /// This is to be offered.
    Offer {
        /// The session description; our ICE password is in it.
        sdp: String,
    },
    /// The session there is to be ended; there may be another one later.
    HangUp,
    /// The session there is to be ended, and nothing follows.
    Over,
}

// By hand: an offer has our ICE password in it.
impl std::fmt::Debug for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Draw => "Draw",
            Self::Offer { .. } => "Offer",
            Self::HangUp => "HangUp",
            Self::Over => "Over",
        })
    }
}

/// Why a session could not be had, or has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nobody answers there, or there is no TLS.
    Unreachable,
    /// Its certificate is for another name, has expired, or nobody vouches for it whom this system trusts.
    Certificate,
    /// It took too long.
    Timeout,
    /// Its addresses, or those in its answer, may not be sent to.
    Forbidden,
    /// It sends us to where nothing may be sent to, or too often.
    Redirect,
    /// It refuses, with this status.
    Refused(u16),
    /// What it answers is no answer to the offer.
    Answer,
    /// What it answers is too long.
    TooLarge,
    /// It does not take the codecs.
    Codec,
    /// No candidate of its answer was reached.
    NoWay,
    /// DTLS fails: a wrong fingerprint, or no common profile.
    Handshake,
    /// It has answered no check for half a minute (RFC 7675).
    Lost,
    /// It has closed the connection.
    Closed,
    /// This server has lost the room's media.
    Failed,
}

impl Trouble {
    /// Whether the same may succeed later.
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Unreachable | Self::Certificate | Self::Timeout | Self::NoWay | Self::Handshake | Self::Lost | Self::Closed | Self::Failed => true,
            // 408, 425 and 429 say so; of the others of 4xx the client has to change something.
            Self::Refused(status) => status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Forbidden | Self::Redirect | Self::Answer | Self::TooLarge | Self::Codec => false,
        }
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Certificate => "certificate",
            Self::Timeout => "timeout",
            Self::Forbidden => "forbidden_address",
            Self::Redirect => "redirect",
            Self::Refused(_) => "refused",
            Self::Answer => "bad_answer",
            Self::TooLarge => "answer_too_large",
            Self::Codec => "codec_refused",
            Self::NoWay => "no_way",
            Self::Handshake => "handshake_failed",
            Self::Lost => "consent_lost",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }

    /// The HTTP status with which it was refused.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status),
            _ => None,
        }
    }
}

impl From<&AnswerError> for Trouble {
    fn from(error: &AnswerError) -> Self {
        match error {
            AnswerError::Refused(_) => Self::Codec,
            AnswerError::Unfit(_) | AnswerError::Offer(_) => Self::Answer,
        }
    }
}

/// What the node has for sessions. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

struct Shared {
    config: WhipOutConfig,
    outlets: Arc<Outlets>,
    slots: Slots,
    client: Client,
}

impl Egress {
    /// With these sockets. `own`: the addresses of this node, which nobody has it send to.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(config: WhipOutConfig, outlets: Outlets, own: Vec<IpAddr>) -> Result<Self, String> {
        let deny = Arc::new(DenyList::new(own, config.networks.clone()));
        let client = Client::new(&config, &deny).map_err(|error| error.to_string())?;
        let slots = Slots::new(config.sessions);
        Ok(Self(Arc::new(Shared { outlets: Arc::new(outlets), slots, client, config })))
    }

    /// Where a session may be had, by the looks of its URL.
    ///
    /// # Errors
    /// `Malformed` when it is none, `Forbidden` when nothing may be sent there.
    pub fn place(&self, url: &str) -> Result<Url, Refusal> {
        let url = Url::parse(url).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| Refusal::new(ErrorCode::Malformed, "`url` is no URL: write https://HOST/PATH"))?;
        match self.0.config.objection(&url) {
            None => Ok(url),
            Some(Objection::Credentials) => {
                let why = "`url` has a user's name or a password in it, which others would see: leave them out, and put what the other server asks for into `token`";
                Err(Refusal::new(ErrorCode::Malformed, why))
            }
            Some(Objection::Host) => Err(Refusal::forbidden("this server sends nothing to that host (whip_out.allow_hosts)")),
            Some(Objection::Plain) => Err(Refusal::forbidden("this server sends nothing there without TLS: write https://… (whip_out.allow_http)")),
        }
    }

    /// What another session needs of the node.
    ///
    /// # Errors
    /// `Full` when there are as many as there may be.
    pub fn slot(&self) -> Result<Slot, Refusal> {
        self.0.slots.take().ok_or_else(|| Refusal::new(ErrorCode::Full, "as many calls as may be are sent elsewhere already: try again later"))
    }

    /// Waits until every session has been ended at its server, which is told so: when the rooms have ended, and not for longer than a moment.
    pub async fn ended(&self) {
        let over = async {
            while !self.0.slots.are_free() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(FAREWELL, over).await.is_err() {
            tracing::warn!("some servers have not heard in time that a call is over");
        }
    }

    /// Sessions of a room at a time at most, and how often one is tried in a row.
    pub fn bounds(&self) -> (usize, u32) {
        (self.0.config.sessions_of_room, self.0.config.tries)
    }
}

/// Where a room says what is to be done, and where that is read.
pub fn instructions() -> (mpsc::Sender<Instruction>, mpsc::Receiver<Instruction>) {
    mpsc::channel(INSTRUCTIONS)
}
