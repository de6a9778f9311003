//! What the in-process benches share: CPU time, medians, and a line of JSON.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs of which the median counts.
pub const RUNS: usize = 5;

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Nanoseconds of CPU for one of `times` calls: the median of [`RUNS`] runs after one to warm up.
pub fn nanoseconds(times: u64, mut call: impl FnMut(u64)) -> f64 {
    let mut next = 0;
    let mut run = || {
        let start = cpu();
        for _ in 0..times {
            call(next);
            next += 1;
        }
        (cpu() - start).as_nanos() as f64 / times as f64
    };
    run();
    median((0..RUNS).map(|_| run()).collect())
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
