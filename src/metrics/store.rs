//! What the bucket beside the library's folder counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::register::Register;

/// What may go wrong.
const FAILURES: [&str; 5] = ["bucket", "disk", "list", "read", "busy"];

/// Counters and gauges of the bucket: cheap to clone.
#[derive(Clone)]
pub struct StoreMetrics {
    waiting: IntGauge,
    failing: IntGauge,
    objects: IntCounterVec,
    bytes: IntCounter,
    failed: IntCounterVec,
    /// Files taken from the disk.
    pub left: IntCounter,
    /// Bytes read, for whoever plays and downloads, and to make things of.
    pub read: IntCounter,
}

impl StoreMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let objects = register.counters("althing_store_objects_total", "Objects of the bucket, by what was done with them.", &["done"])?;
        ["copied", "deleted"].iter().for_each(|done| drop(objects.with_label_values(&[done])));
        let failed = register.counters("althing_store_failures_total", "What could not be done with the bucket, by what it was.", &["what"])?;
        FAILURES.iter().for_each(|what| drop(failed.with_label_values(&[what])));
        Ok(Self {
            waiting: register.gauge("althing_store_waiting", "Things of the library that wait to be made in the bucket as they are on the disk.")?,
            failing: register.gauge("althing_store_failing", "1 when the bucket has taken nothing for a minute.")?,
            objects,
            bytes: register.counter("althing_store_copied_bytes_total", "Bytes copied to the bucket.")?,
            failed,
            left: register.counter("althing_store_left_total", "Files that left the disk, since the bucket has them.")?,
            read: register.counter("althing_store_read_bytes_total", "Bytes read from the bucket.")?,
        })
    }

    /// So many things wait, and whether the bucket refuses for too long.
    pub fn show(&self, waiting: usize, failing: bool) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.failing.set(failing.into());
    }

    /// A file was copied.
    pub fn copied(&self, bytes: u64) {
        self.objects.with_label_values(&["copied"]).inc();
        self.bytes.inc_by(bytes);
    }

    /// Objects were deleted.
    pub fn deleted(&self, objects: u64) {
        self.objects.with_label_values(&["deleted"]).inc_by(objects);
    }

    /// Something could not be done.
    pub fn failed(&self, what: &'static str) {
        self.failed.with_label_values(&[what]).inc();
    }
}
