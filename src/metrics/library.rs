//! What the library counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::register::Register;

/// Counters and gauges of the library: cheap to clone.
#[derive(Clone, Debug)]
pub struct LibraryMetrics {
    /// Things that are kept.
    pub items: IntGauge,
    /// Bytes of their files, as far as they are complete.
    pub bytes: IntGauge,
    /// Uploads that are not finished.
    pub uploads: IntGauge,
    /// Bytes of uploads taken.
    pub upload_bytes: IntCounter,
    /// Downloads of all files of something under way.
    pub zips: IntGauge,
    deleted: IntCounterVec,
    links: IntCounterVec,
    uploads_ended: IntCounterVec,
}

impl LibraryMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let deleted = register.counters("althing_library_deleted_total", "Things deleted from the library, by reason.", &["reason"])?;
        ["request", "age", "size"].iter().for_each(|reason| drop(deleted.with_label_values(&[reason])));
        let links = register.counters("althing_library_links_total", "Links that were used, by what came of it.", &["result"])?;
        ["ok", "expired", "altered"].iter().for_each(|result| drop(links.with_label_values(&[result])));
        let uploads_ended = register.counters("althing_library_uploads_ended_total", "Uploads that came to an end, by how.", &["how"])?;
        ["finished", "cancelled", "dropped", "refused"].iter().for_each(|how| drop(uploads_ended.with_label_values(&[how])));
        Ok(Self {
            items: register.gauge("althing_library_items", "Recordings, screenshots and uploads that are kept.")?,
            bytes: register.gauge("althing_library_bytes", "Bytes of their files, as far as they are complete.")?,
            uploads: register.gauge("althing_library_uploads", "Uploads that are not finished.")?,
            upload_bytes: register.counter("althing_library_upload_bytes_total", "Bytes of uploads taken.")?,
            zips: register.gauge("althing_library_zips", "Downloads of all files of something under way.")?,
            deleted,
            links,
            uploads_ended,
        })
    }

    /// Something was deleted.
    pub fn deleted(&self, reason: &'static str) {
        self.deleted.with_label_values(&[reason]).inc();
    }

    /// A link was used.
    pub fn link(&self, result: &'static str) {
        self.links.with_label_values(&[result]).inc();
    }

    /// An upload came to an end.
    pub fn upload_ended(&self, how: &'static str) {
        self.uploads_ended.with_label_values(&[how]).inc();
    }
}
