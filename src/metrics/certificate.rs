//! When the certificate expires, as of each scrape: an alarm that asks for days needs no clock of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

/// Gives the time at which the certificate expires, in seconds since 1970; none where there is no certificate yet.
pub type ReadExpiry = Box<dyn Fn() -> Option<i64> + Send + Sync>;

/// Reads it at each scrape.
pub struct Certificate {
    read: ReadExpiry,
    left: Gauge,
}

impl Certificate {
    pub fn new(read: ReadExpiry) -> prometheus::Result<Self> {
        let help = "Seconds until the certificate of the public listener expires; less than none afterwards, absent before the first.";
        Ok(Self { read, left: Gauge::with_opts(Opts::new("althing_tls_certificate_expires_seconds", help))? })
    }
}

impl Collector for Certificate {
    fn desc(&self) -> Vec<&Desc> {
        self.left.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(at) = (self.read)() else { return Vec::new() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.left.set(at as f64 - now);
        self.left.collect()
    }
}
