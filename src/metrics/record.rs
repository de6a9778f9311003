//! What recording counts.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use super::register::Register;

/// From a fast disk to one that is late (a second).
const SYNCS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Counters and gauges of recording: cheap to clone.
#[derive(Clone)]
pub struct RecordMetrics {
    /// Recordings now.
    pub recordings: IntGauge,
    /// Bytes written.
    pub bytes: IntCounter,
    /// Files repaired after the node had ended in the middle of them.
    pub repaired: IntCounter,
    /// 1 while the disk refuses, has too little room left, or is late.
    pub stalled: IntGauge,
    /// Bytes that are free where recordings go.
    pub free: IntGauge,
    lost: IntCounterVec,
    errors: IntCounterVec,
    syncs: Histogram,
}

impl RecordMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let lost =
            register.counters("althing_recording_pieces_lost_total", "Pieces of recordings that were lost, by what refused them.", &["reason"])?;
        let errors = register.counters("althing_recording_disk_errors_total", "Calls that the disk has refused, by what was wanted.", &["wanted"])?;
        for wanted in ["write", "sync"] {
            errors.with_label_values(&[wanted]);
        }
        for reason in ["queue", "jobs", "disk", "files", "chat", "room"] {
            lost.with_label_values(&[reason]);
        }
        Ok(Self {
            recordings: register.gauge("althing_recordings", "Recordings now.")?,
            bytes: register.counter("althing_recording_bytes_total", "Bytes of recordings written.")?,
            repaired: register
                .counter("althing_recording_files_repaired_total", "Files completed at a start, because the node had ended in the middle of them.")?,
            stalled: register.gauge("althing_recording_stalled", "1 while recordings cannot be written: the disk is full, refuses, or is late.")?,
            free: register.gauge("althing_recording_free_bytes", "Bytes that are free where recordings go.")?,
            lost,
            errors,
            syncs: register.seconds("althing_recording_sync_seconds", "How long it took to make all that was recorded last.", &SYNCS)?,
        })
    }

    /// A piece of a recording was lost.
    pub fn lost(&self, reason: &'static str) {
        self.lost.with_label_values(&[reason]).inc();
    }

    /// The disk has refused something.
    pub fn disk_error(&self, wanted: &'static str) {
        self.errors.with_label_values(&[wanted]).inc();
    }

    /// All that was recorded was made to last, which took so long.
    pub fn synced(&self, took: Duration) {
        self.syncs.observe(took.as_secs_f64());
    }
}
