//! What a direction of a way does to what passes.

use std::time::Duration;

use serde::Deserialize;

/// The shape of one direction. What is not given is not impaired.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// bit/s of whole frames; none passes everything at once.
    pub capacity: Option<u64>,
    /// What may wait for the capacity; beyond it the newest is dropped. 300 ms if neither is given.
    pub queue_ms: Option<u64>,
    pub queue_bytes: Option<usize>,
    /// Milliseconds each way.
    pub delay_ms: f64,
    /// Added to the delay: anything from nothing to this (ms).
    pub jitter_ms: f64,
    /// Whether what jitter has made late is overtaken.
    pub reorder: bool,
    /// Share that is lost, each packet by itself.
    pub loss: f64,
    /// Packets that are lost one after another, as in the model of Gilbert and Elliott.
    pub burst: Option<Burst>,
}

/// Everything is lost in the bad state, nothing in the good one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Share of all packets that is lost.
    pub loss: f64,
    /// Packets of a burst on average.
    pub length: f64,
}

impl Shape {
    /// Bytes that may wait where the capacity is `bps`. Two frames always may, or nothing would ever pass.
    pub fn queue(&self, bps: u64) -> usize {
        let bytes = self.queue_bytes.unwrap_or_else(|| (bps * self.queue_ms.unwrap_or(300) / 8_000) as usize);
        bytes.max(3_028)
    }

    pub fn delay(&self, jitter: f64) -> Duration {
        Duration::from_secs_f64((self.delay_ms + self.jitter_ms * jitter).max(0.0) / 1_000.0)
    }
}

impl Burst {
    /// The probability to leave the bad state with a packet.
    pub fn leave(&self) -> f64 {
        1.0 / self.length.max(1.0)
    }

    /// The probability to come into it, so that the share of the bad state is what is wanted.
    pub fn enter(&self) -> f64 {
        let loss = self.loss.clamp(0.0, 0.99);
        self.leave() * loss / (1.0 - loss)
    }
}
