//! How a join went, for whoever looks at traces (OpenTelemetry; the cargo feature `otel`, the setting `otel.endpoint`).
//!
//! A join is one trace, from the socket to the member's first packet, and each step of it a span: what came before it is over when it begins. The
//! steps of media are made of what workers say of a connection anyway; nothing is noted for a packet. Without the feature all of this is nothing.

#[cfg(feature = "otel")]
mod spans;

use std::time::SystemTime;

#[cfg(feature = "otel")]
pub use spans::Tracer;

/// Makes traces of joins: of none, where the feature is not built in.
#[cfg(not(feature = "otel"))]
#[derive(Clone, Debug, Default)]
pub struct Tracer;

/// The steps of a join, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// From the accepted socket to the request that wants in.
    Socket,
    /// Its token was checked.
    Token,
    /// Its room has carried out the command.
    Room,
    /// From the offer's message to its answer in the socket's outbox.
    Answer,
    /// From there to the first ICE check that was validated.
    Ice,
    /// From there to the keys.
    Dtls,
    /// From there to the first packet of a published track.
    FirstPacket,
}

impl Step {
    /// What its span is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket accepted",
            Self::Token => "token checked",
            Self::Room => "room command",
            Self::Answer => "answer written",
            Self::Ice => "ICE connected",
            Self::Dtls => "DTLS done",
            Self::FirstPacket => "first packet",
        }
    }
}

/// A join on its way. Clones are of the same one; with the last of them it is over, however far it has come.
#[derive(Clone, Debug, Default)]
pub struct Journey {
    #[cfg(feature = "otel")]
    spans: Option<std::sync::Arc<spans::Spans>>,
}

#[cfg(feature = "otel")]
impl Journey {
    /// Whether anybody looks at it.
    pub const fn is_followed(&self) -> bool {
        self.spans.is_some()
    }

    /// A step is done. One that was done before, or comes too late, says nothing.
    pub fn passed(&self, step: Step, at: SystemTime) {
        self.spans.iter().for_each(|spans| spans.passed(step, at));
    }

    /// What was waited for since the last step is no part of the next one.
    pub fn waited(&self, at: SystemTime) {
        self.spans.iter().for_each(|spans| spans.waited(at));
    }

    /// It is over: refused with this code.
    pub fn refused(&self, code: &'static str) {
        self.spans.iter().for_each(|spans| spans.refused(code));
    }
}

#[cfg(not(feature = "otel"))]
impl Journey {
    /// Whether anybody looks at it.
    pub const fn is_followed(&self) -> bool {
        false
    }

    /// Says nothing.
    pub const fn passed(&self, _step: Step, _at: SystemTime) {}

    /// Says nothing.
    pub const fn waited(&self, _at: SystemTime) {}

    /// Says nothing.
    pub const fn refused(&self, _code: &'static str) {}
}

#[cfg(not(feature = "otel"))]
impl Tracer {
    /// A join whose socket was accepted then.
    pub fn begin(&self, _at: SystemTime) -> Journey {
        Journey::default()
    }
}
