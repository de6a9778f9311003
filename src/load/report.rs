//! What came of a run: for people as a table, for machines as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::tally::Count;

/// What came of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Seconds for which packets counted.
    pub seconds: f64,
    /// Who came.
    pub participants: Participants,
    /// Sound and pictures together.
    pub total: Delivery,
    /// Sound.
    pub audio: Delivery,
    /// Pictures.
    pub video: Delivery,
    /// One-way latency from a publisher's socket to a receiver's, of the packets that were opened, in milliseconds.
    pub latency_ms: Percentiles,
    /// Milliseconds from opening the signaling connection until the media connection was up.
    pub join_ms: Percentiles,
    /// Milliseconds from opening the signaling connection until the first packet came.
    pub first_media_ms: Percentiles,
    /// Key frames that publishers were asked for.
    pub key_frames_asked: u64,
    /// What the server used while packets counted.
    pub server: Server,
    /// What we used ourselves.
    pub load: Own,
}

/// Who came.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Participants {
    /// Who should have come.
    pub planned: u64,
    /// Whose connection was up.
    pub joined: u64,
    /// Who did not come or did not stay, by reason.
    pub failed: BTreeMap<String, u64>,
    /// One of the failures in full.
    pub example: Option<String>,
    /// Offers beyond the first.
    pub renegotiations: u64,
    /// Pairs of receiver and publisher for which the server had no slot.
    pub unplaced: u64,
    /// Streams that a receiver should have received and never received anything of.
    pub silent: u64,
}

/// What came of all streams of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Packets that publishers sent.
    pub offered: u64,
    /// Packets that should have come: each once at every receiver that it was meant for.
    pub expected: u64,
    /// Packets that came.
    pub delivered: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// Packets that came after they were asked for again (light clients; full ones count them as out of order).
    pub repaired: u64,
}

impl Delivery {
    /// Adds what one receiver should have got of one stream, and what it got.
    pub fn add(&mut self, expected: u64, count: Count) {
        self.expected += expected;
        self.delivered += count.unique;
        self.lost += expected.saturating_sub(count.unique);
        self.duplicated += count.duplicates;
        self.reordered += count.reordered;
        self.repaired += count.repaired;
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            expected: self.expected + other.expected,
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            repaired: self.repaired + other.repaired,
        }
    }

    /// The share that came, in percent; nothing expected is nothing delivered.
    pub fn percent(&self) -> f64 {
        if self.expected == 0 { 0.0 } else { 100.0 * self.delivered as f64 / self.expected as f64 }
    }
}

/// A distribution, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Of how many.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p99_9: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram in nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Self { count: histogram.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: histogram.max() as f64 / 1e6 }
    }

    /// Of a few values.
    pub fn of_durations(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        let Some(last) = values.last() else { return Self::default() };
        let at = |quantile: f64| {
            let place = (values.len() as f64 * quantile).ceil() as usize;
            values.get(place.saturating_sub(1)).unwrap_or(last).as_nanos() as f64 / 1e6
        };
        Self { count: values.len() as u64, p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: last.as_nanos() as f64 / 1e6 }
    }
}

/// What the server used while packets counted; none where it is not known.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Server {
    /// Processor seconds.
    pub cpu_seconds: Option<f64>,
    /// Cores kept busy.
    pub cores: Option<f64>,
    /// Processor seconds for a million packets that came to us: microseconds a forward.
    pub cpu_seconds_per_million: Option<f64>,
    /// Resident memory at the end, in bytes.
    pub memory_bytes: Option<u64>,
    /// Packets that it says it has forwarded.
    pub forwarded: Option<u64>,
}

/// What we used and missed ourselves.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Own {
    /// Processor seconds while packets counted.
    pub cpu_seconds: f64,
    /// Cores kept busy.
    pub cores: f64,
    /// Packets that came while packets counted, all kinds.
    pub received: u64,
    /// Packets that our own sockets did not take: if there are any, the figures are ours and not the server's.
    pub unsent: u64,
    /// Packets that were not of this run, or could not be opened.
    pub foreign: u64,
}

/// What a run has to reach. What is none is not asked for.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Expectations {
    /// Percent of the expected packets that come.
    pub delivered: Option<f64>,
    /// Percent of the participants whose connection is up and stays so.
    pub joined: Option<f64>,
    /// The 99th percentile of the latency, in milliseconds, at most.
    pub latency_p99: Option<f64>,
    /// The server's processor seconds for a million packets, at most.
    pub cpu: Option<f64>,
}

impl Outcome {
    /// What was not reached, in words.
    pub fn missed(&self, expectations: &Expectations) -> Vec<String> {
        let mut missed = Vec::new();
        if let Some(least) = expectations.delivered.filter(|least| self.total.percent() < *least) {
            missed.push(format!("{:.4} % delivered, {least} % expected", self.total.percent()));
        }
        let failed: u64 = self.participants.failed.values().sum();
        let there = self.participants.planned.saturating_sub(failed).min(self.participants.joined);
        let joined = 100.0 * there as f64 / self.participants.planned.max(1) as f64;
        if let Some(least) = Some(expectations.joined.unwrap_or(100.0)).filter(|least| joined < *least) {
            missed.push(format!("{joined:.2} % joined and stayed, {least} % expected"));
        }
        let p99 = self.latency_ms.p99;
        if let Some(most) = expectations.latency_p99.filter(|most| self.latency_ms.count == 0 || p99 > *most) {
            missed.push(format!("a p99 latency of {p99:.3} ms of {} packets, {most} ms expected", self.latency_ms.count));
        }
        let cpu = self.server.cpu_seconds_per_million;
        if let Some(most) = expectations.cpu.filter(|most| cpu.is_none_or(|cpu| cpu > *most)) {
            let cpu = cpu.map_or("an unknown number of".to_owned(), |cpu| format!("{cpu:.3}"));
            missed.push(format!("{cpu} server CPU seconds per million packets, {most} expected"));
        }
        missed
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Participants { planned, joined, failed, example, renegotiations, unplaced, silent } = &self.participants;
        let cut = if self.interrupted { " (interrupted)" } else { "" };
        writeln!(f, "counted {:.1} s{cut}", self.seconds)?;
        writeln!(f, "joined {joined} of {planned}; {renegotiations} renegotiations; key frames asked: {}", self.key_frames_asked)?;
        for (reason, count) in failed {
            writeln!(f, "  failed {count}: {reason}")?;
        }
        if let Some(example) = example {
            writeln!(f, "  for example: {example}")?;
        }
        if *unplaced > 0 {
            writeln!(f, "  {unplaced} pairs of receiver and publisher had no slot, and do not count")?;
        }
        if *silent > 0 {
            writeln!(f, "  {silent} streams never came, and count as lost")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<8}{:>12}{:>14}{:>14}{:>10}{:>10}{:>12}{:>10}{:>12}",
            "packets", "offered", "expected", "delivered", "lost", "doubled", "reordered", "repaired", "delivered"
        )?;
        for (name, d) in [("audio", self.audio), ("video", self.video), ("total", self.total)] {
            let numbers = format!("{:>12}{:>14}{:>14}{:>10}{:>10}", d.offered, d.expected, d.delivered, d.lost, d.duplicated);
            writeln!(f, "{name:<8}{numbers}{:>12}{:>10}{:>10.4} %", d.reordered, d.repaired, d.percent())?;
        }
        writeln!(f)?;
        writeln!(f, "{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}", "milliseconds", "of", "p50", "p90", "p99", "p99.9", "max")?;
        for (name, p) in [("one-way latency", self.latency_ms), ("until connected", self.join_ms), ("until first media", self.first_media_ms)] {
            writeln!(f, "{name:<22}{:>10}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10.3}", p.count, p.p50, p.p90, p.p99, p.p99_9, p.max)?;
        }
        writeln!(f)?;
        let Server { cores, cpu_seconds_per_million, memory_bytes, forwarded, .. } = self.server;
        if let (Some(cores), Some(cost)) = (cores, cpu_seconds_per_million) {
            writeln!(f, "server    {cores:.3} cores, {cost:.3} CPU seconds per million packets")?;
        }
        if let Some(bytes) = memory_bytes {
            writeln!(f, "          {:.1} MiB resident", bytes as f64 / 1_048_576.0)?;
        }
        if let Some(forwarded) = forwarded {
            writeln!(f, "          {forwarded} packets forwarded by its own count")?;
        }
        let Own { cores, received, unsent, foreign, .. } = self.load;
        writeln!(f, "ourselves {cores:.3} cores, {received} packets received, {foreign} foreign")?;
        if unsent > 0 {
            writeln!(f, "  {unsent} PACKETS COULD NOT BE SENT BY OURSELVES: what is lost may not be the server's doing")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let count = Count { unique: 990, duplicates: 2, reordered: 3, repaired: 4 };
        let mut video = Delivery { offered: 500, ..Delivery::default() };
        video.add(1_000, count);
        Outcome {
            seconds: 10.0,
            participants: Participants {
                planned: 10,
                joined: 9,
                failed: [("DTLS failed".to_owned(), 1)].into(),
                example: Some("DTLS failed: the DTLS handshake failed".into()),
                ..Participants::default()
            },
            total: video,
            video,
            latency_ms: Percentiles::of_durations((1..=1_000).map(Duration::from_micros).collect()),
            server: Server {
                cpu_seconds: Some(0.5),
                cores: Some(0.05),
                cpu_seconds_per_million: Some(505.1),
                memory_bytes: Some(1 << 24),
                forwarded: Some(993),
            },
            load: Own { cpu_seconds: 0.1, cores: 0.01, received: 992, unsent: 0, foreign: 0 },
            ..Outcome::default()
        }
    }

    #[test]
    fn the_table_is_for_people() {
        insta::assert_snapshot!(outcome());
    }

    #[test]
    fn the_json_is_read_as_it_was_written() {
        let text = serde_json::to_string(&outcome()).expect("plain data");
        assert_eq!(serde_json::from_str::<Outcome>(&text).expect("the same"), outcome());
    }

    #[test]
    fn what_is_not_reached_is_said() {
        let missed = |e| outcome().missed(&e);
        assert_eq!(missed(Expectations::default()), ["90.00 % joined and stayed, 100 % expected"], "all are expected to, unless said otherwise");
        let reached = Expectations { delivered: Some(99.0), joined: Some(90.0), latency_p99: Some(1.0), cpu: Some(506.0) };
        assert_eq!(missed(reached), [""; 0]);
        let all = Expectations { delivered: Some(99.1), joined: Some(91.0), latency_p99: Some(0.5), cpu: Some(505.0) };
        assert_eq!(missed(all).len(), 4);
        let nothing = Outcome::default().missed(&reached);
        assert_eq!(nothing.len(), 4, "nothing at all reaches nothing: {nothing:?}");
    }

    #[test]
    fn percentiles_of_few_values_are_values() {
        let p = Percentiles::of_durations([5, 1, 9].map(Duration::from_millis).to_vec());
        assert_eq!((p.count, p.p50, p.p90, p.max), (3, 5.0, 9.0, 9.0));
        assert_eq!(Percentiles::of_durations(vec![]), Percentiles::default());
    }
}
