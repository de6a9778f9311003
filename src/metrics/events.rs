//! What events count: what is written of what happens in rooms, and what is told of it.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::register::Register;

/// What becomes of an attempt.
const RESULTS: [&str; 6] = ["delivered", "timeout", "unreachable", "redirect", "refused", "error"];
/// Why an event is lost.
const LOSSES: [&str; 3] = ["queue", "space", "spoilt"];

/// Counters and gauges of events: cheap to clone.
#[derive(Clone)]
pub struct EventMetrics {
    /// Bytes of the log.
    pub bytes: IntGauge,
    /// Events that nobody has taken for too long.
    pub given_up: IntCounter,
    written: IntCounter,
    lost: IntCounterVec,
    refuses: IntGauge,
    waiting: IntGauge,
    oldest: IntGauge,
    attempts: IntCounterVec,
    /// Of each receiver: events that wait, and milliseconds of the oldest.
    each: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl EventMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let metrics = Self {
            bytes: register.gauge("althing_event_log_bytes", "Bytes of events that are kept.")?,
            given_up: register.counter("althing_webhook_events_given_up_total", "Events that no receiver has taken for webhooks.give_up_hours.")?,
            written: register.counter("althing_events_written_total", "Events that are on the disk.")?,
            lost: register.counters("althing_events_lost_total", "Events that were lost, by why: what a receiver sees as a gap.", &["reason"])?,
            refuses: register.gauge("althing_event_log_refuses", "Whether the disk refuses events at present: they wait in memory.")?,
            waiting: register.gauge("althing_webhook_events_waiting", "Events that wait to be delivered, of the receiver that has most.")?,
            oldest: register.gauge("althing_webhook_oldest_event_seconds", "How old the oldest event is that is read and not delivered.")?,
            attempts: register.counters("althing_webhook_attempts_total", "Attempts to deliver an event, by result.", &["result"])?,
            each: Arc::default(),
        };
        LOSSES.iter().for_each(|reason| drop(metrics.lost.with_label_values(&[reason])));
        RESULTS.iter().for_each(|result| drop(metrics.attempts.with_label_values(&[result])));
        Ok(metrics)
    }

    /// So many are on the disk.
    pub fn written(&self, events: u64) {
        self.written.inc_by(events);
    }

    /// So many are lost.
    pub fn lost(&self, reason: &'static str, events: u64) {
        self.lost.with_label_values(&[reason]).inc_by(events);
    }

    /// Whether the disk has taken what it was given.
    pub fn disk(&self, takes: bool) {
        self.refuses.set(i64::from(!takes));
    }

    /// Whether it refuses.
    pub fn refuses(&self) -> bool {
        self.refuses.get() != 0
    }

    /// An attempt has come to this: one of the results of `control::events`.
    pub fn attempted(&self, result: &'static str) {
        self.attempts.with_label_values(&[result]).inc();
    }

    /// There are so many receivers.
    pub fn receivers(&self, count: usize) {
        *self.each.lock().unwrap_or_else(PoisonError::into_inner) = vec![(0, 0); count];
    }

    /// So many events wait for a receiver, the oldest since so many milliseconds.
    pub fn waiting(&self, receiver: usize, events: u64, oldest: u64) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(its) = each.get_mut(receiver) {
            *its = (events, oldest);
        }
        let most = |of: fn(&(u64, u64)) -> u64| i64::try_from(each.iter().map(of).max().unwrap_or(0)).unwrap_or(i64::MAX);
        self.waiting.set(most(|its| its.0));
        self.oldest.set(most(|its| its.1 / 1_000));
    }
}
