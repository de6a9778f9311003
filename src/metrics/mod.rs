//! What is measured: workers' cumulative counters, and what the control plane counts itself.

mod certificate;
mod control;
mod events;
mod jobs;
mod library;
mod record;
mod register;
mod store;
mod workers;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

use crate::base::WorkerId;

pub use certificate::ReadExpiry;
pub use control::ControlMetrics;
pub use events::EventMetrics;
pub use jobs::JobMetrics;
pub use library::LibraryMetrics;
pub use record::RecordMetrics;
pub use store::StoreMetrics;
pub use workers::ReadReport;

/// Everything that `/metrics` shows.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// What the control plane counts.
    pub control: ControlMetrics,
    /// What events count.
    pub events: EventMetrics,
    /// What recording counts.
    pub record: RecordMetrics,
    /// What jobs count.
    pub jobs: JobMetrics,
    /// What the library counts.
    pub library: LibraryMetrics,
    /// What the bucket counts.
    pub store: StoreMetrics,
}

impl Metrics {
    /// Metrics of a node with these workers.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn new(workers: Vec<(WorkerId, ReadReport)>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(workers::Workers::new(workers)?))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let control = ControlMetrics::register(&registry)?;
        let events = EventMetrics::register(&registry)?;
        let record = RecordMetrics::register(&registry)?;
        let jobs = JobMetrics::register(&registry)?;
        let library = LibraryMetrics::register(&registry)?;
        let store = StoreMetrics::register(&registry)?;
        Ok(Self { registry, control, events, record, library, jobs, store })
    }

    /// Shows when the certificate of the public listener expires, too.
    ///
    /// # Errors
    /// When it is shown already: a mistake in this program.
    pub fn show_certificate(&self, read: ReadExpiry) -> prometheus::Result<()> {
        self.registry.register(Box::new(certificate::Certificate::new(read)?))
    }

    /// All of them in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written: a mistake in this program.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests;
