//! Making a metric and registering it are one step here.

use prometheus::{CounterVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Where metrics are registered. Each fails when there is one of that name: a mistake in this program.
pub struct Register<'a>(pub &'a Registry);

impl Register<'_> {
    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone())).map(|()| gauge)
    }

    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone())).map(|()| counter)
    }

    /// Seconds, of something that takes as long as these bounds say.
    pub fn seconds(&self, name: &str, help: &str, bounds: &[f64]) -> prometheus::Result<Histogram> {
        let seconds = Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?;
        self.0.register(Box::new(seconds.clone())).map(|()| seconds)
    }

    /// Counters of what is no whole number, such as seconds.
    pub fn sums(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        let sums = CounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(sums.clone())).map(|()| sums)
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone())).map(|()| gauges)
    }

    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone())).map(|()| counters)
    }
}
