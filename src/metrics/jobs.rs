//! What jobs count: pictures, waveforms and mixdowns that are made of recordings.

use std::time::Duration;

use prometheus::{CounterVec, IntCounterVec, IntGaugeVec, Registry};

use super::register::Register;

/// What kinds of jobs there are.
const KINDS: [&str; 4] = ["thumbnail", "screenshot", "waveform", "mixdown"];
/// How they end; `refused` ones have never begun.
const RESULTS: [&str; 5] = ["done", "failed", "too_long", "cancelled", "refused"];

/// Counters and gauges of jobs: cheap to clone.
#[derive(Clone)]
pub struct JobMetrics {
    waiting: IntGaugeVec,
    ended: IntCounterVec,
    seconds: CounterVec,
}

impl JobMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let metrics = Self {
            waiting: register.gauges("althing_jobs", "Jobs that wait or are done at present: pictures, waveforms, mixdowns.", &["kind"])?,
            ended: register.counters("althing_jobs_ended_total", "Jobs by how they ended.", &["kind", "result"])?,
            seconds: register.sums("althing_jobs_seconds_total", "Seconds that jobs took, without those in which they waited.", &["kind"])?,
        };
        for kind in KINDS {
            metrics.waiting.with_label_values(&[kind]);
            metrics.seconds.with_label_values(&[kind]);
            RESULTS.iter().for_each(|result| drop(metrics.ended.with_label_values(&[kind, result])));
        }
        Ok(metrics)
    }

    /// A job has come.
    pub fn came(&self, kind: &'static str) {
        self.waiting.with_label_values(&[kind]).inc();
    }

    /// A job was not taken.
    pub fn refused(&self, kind: &'static str) {
        self.ended.with_label_values(&[kind, "refused"]).inc();
    }

    /// A job is over, and has taken so long.
    pub fn ended(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.waiting.with_label_values(&[kind]).dec();
        self.ended.with_label_values(&[kind, result]).inc();
        self.seconds.with_label_values(&[kind]).inc_by(took.as_secs_f64());
    }
}
