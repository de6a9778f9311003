//! What the run costs: the server's processor time and memory, and our own.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the server's figures come from.
pub struct Meter {
    pid: Option<u32>,
    metrics: Option<String>,
    client: reqwest::Client,
}

/// The figures of a moment. What is not known is none.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Reading {
    /// Processor seconds that the server has used.
    pub server_cpu: Option<f64>,
    /// Bytes of its resident memory.
    pub server_memory: Option<u64>,
    /// Packets that it says it has forwarded.
    pub server_forwarded: Option<f64>,
    /// Processor seconds that we have used.
    pub own_cpu: f64,
}

impl Meter {
    /// For a process of this machine, or a node's metrics, or both, or nothing but ourselves.
    ///
    /// # Errors
    /// When there is no such process, or HTTP cannot be set up.
    pub fn new(pid: Option<u32>, metrics: Option<String>) -> Result<Self, String> {
        if let Some(pid) = pid
            && of_process(pid).is_none()
        {
            return Err(format!("there is no process {pid} whose processor time could be read (--server-pid)"));
        }
        let mut client = reqwest::Client::builder().timeout(Duration::from_secs(5));
        // A minimal system has no certificates of authorities, and a client that is to know them cannot be made there.
        if metrics.as_ref().is_none_or(|url| !url.starts_with("https:")) {
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|e| format!("HTTP cannot be set up: {e}"))?;
        Ok(Self { pid, metrics, client })
    }

    /// Finds out whether the metrics are there.
    ///
    /// # Errors
    /// Says what is not there.
    pub async fn check(&self) -> Result<(), String> {
        let Some(url) = &self.metrics else { return Ok(()) };
        let text = self.fetch(url).await;
        if text.as_deref().is_some_and(|text| sum(text, "process_cpu_seconds_total").is_some()) {
            return Ok(());
        }
        Err(format!("there are no metrics of a server at {url} (--metrics); a node of Althing has them on its private listener (admin.listen)"))
    }

    /// Whether the server's processor time is known in steps of a second only, as metrics say it.
    pub const fn is_coarse(&self) -> bool {
        self.pid.is_none()
    }

    /// Reads everything.
    pub async fn read(&self) -> Reading {
        let text = match &self.metrics {
            Some(url) => self.fetch(url).await,
            None => None,
        };
        // A process's own figures are finer: metrics count whole seconds.
        let process = self.pid.and_then(of_process);
        let metric = |name: &str| text.as_deref().and_then(|t| sum(t, name));
        Reading {
            server_cpu: process.map(|p| p.0).or_else(|| metric("process_cpu_seconds_total")),
            server_memory: process.map(|p| p.1).or_else(|| metric("process_resident_memory_bytes").map(|b| b as u64)),
            server_forwarded: metric("althing_rtp_packets_forwarded_total"),
            own_cpu: own_cpu(),
        }
    }

    async fn fetch(&self, url: &str) -> Option<String> {
        self.client.get(url).send().await.ok()?.error_for_status().ok()?.text().await.ok()
    }
}

/// Processor seconds that this process has used.
pub fn own_cpu() -> f64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    at.tv_sec as f64 + at.tv_nsec as f64 / 1e9
}

/// Processor seconds of all threads, in nanosecond steps, and bytes of resident memory.
fn of_process(pid: u32) -> Option<(f64, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let spent = threads.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok());
    let cpu = spent.sum::<u64>() as f64 / 1e9;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes: u64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some((cpu, kilobytes * 1_024))
}

/// The sum of a metric over all its labels, in Prometheus' text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split(' ').next()?.parse::<f64>().ok()
    };
    let values: Vec<f64> = text.lines().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_told_from_longer_names() {
        let text = "# HELP a_total Help.\na_total{worker=\"0\"} 3\na_total{worker=\"1\"} 4.5\na_total_more 100\nb 7 1700000000\n";
        assert_eq!((sum(text, "a_total"), sum(text, "b"), sum(text, "c")), (Some(7.5), Some(7.0), None));
    }

    #[test]
    fn our_own_process_is_found_and_another_is_not() {
        let (cpu, memory) = of_process(std::process::id()).expect("we run");
        assert!(cpu >= 0.0 && memory > 1_000_000);
        assert!(Meter::new(Some(u32::MAX), None).is_err_and(|e| e.contains("--server-pid")));
    }
}
