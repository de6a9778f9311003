//! Probes: short clusters of datagrams sent faster than the estimate, to learn what the link carries.
//!
//! A forwarder of layers seldom sends as much as it may, so what it sends says little about what it could. When more is wanted than
//! the estimate, a cluster of 15 ms is sent at a higher rate. Media that leaves meanwhile is part of it: padding only fills up.

use std::time::Duration;

use super::sent::{Fate, OVERHEAD, Sent, SentHistory};
use crate::base::Time;

/// A cluster lasts so many microseconds, and has at least so many datagrams. Longer is more exact, and a longer queue if it was too much.
const CLUSTER: f64 = 15_000.0;
const LEAST_DATAGRAMS: u32 = 5;
/// Where much is lost or delays scatter it lasts longer, but no longer than that.
const LONGEST_CLUSTER: f64 = 250_000.0;
/// It lasts so many times longer than delays are apart in any case, up to so many microseconds; that costs little.
const APARTS: f64 = 2.0;
const LONGER_CLUSTER: f64 = 60_000.0;
/// Where they scatter it lasts so many times longer than delays are apart: what chance does to its arrivals is a tenth of it then.
const SPREADS: f64 = 4.0;
/// The queue that a cluster makes at most, in microseconds, if the link carries no more than the estimate.
const MOST_QUEUE: f64 = 100_000.0;
/// The largest and the smallest datagram, in bytes of UDP payload.
const LARGEST: f64 = 1_200.0;
const SMALLEST: f64 = 200.0;
/// At first these multiples of the start are tried,
const FIRST: [f64; 2] = [3.0, 6.0];
/// and later at least this multiple of the estimate.
const STEP: f64 = 2.0;
/// No cluster is faster than this multiple of the estimate: what it may cost others is bounded.
const LARGEST_STEP: f64 = 6.0;
/// Where delays scatter a cluster is long and says little: it must not make a long queue too.
const LARGEST_STEP_SPREAD: f64 = 1.6;
/// What arrives at less than this share of the rate it was sent at has been held up by the link.
const HELD_UP: f64 = 0.9;
/// Time between probes, growing by [`BACK_OFF`] while they find nothing.
const INTERVAL: Duration = Duration::from_millis(5_000);
const LONGEST_INTERVAL: Duration = Duration::from_millis(25_000);
const BACK_OFF: f64 = 1.7;
/// A capacity just found is measured again after this: what was sent before the cluster may have disturbed it.
const CONFIRM: Duration = Duration::from_millis(1_500);
/// After a drop the interval is not longer than this: most drops end.
const INTERVAL_AFTER_DROP: Duration = Duration::from_millis(4_000);
/// It matters for so long.
const DROP_MATTERS: Duration = Duration::from_millis(90_000);
/// After a drop, the first probe comes so much later.
const AFTER_DROP: Duration = Duration::from_millis(2_000);
/// A cluster about which feedback is missing is repeated after this.
const UNTOLD: Duration = Duration::from_millis(250);
/// While probes promise more than the link carries then (others use it too), they come this seldom.
const INTERVAL_WHEN_WRONG: Duration = Duration::from_millis(8_000);
/// A drop so soon after a probe raised the estimate shows that it was wrong,
const WRONG: Duration = Duration::from_millis(3_000);
/// unless the estimate falls below this share of what it was before: then it is a real one.
const WRONGLY: f64 = 0.6;
/// A probe was worth it when it multiplied the estimate by this.
const WORTH: f64 = 1.05;
/// While feedback has stopped, a small datagram asks for some as often as this.
const KNOCK: Duration = Duration::from_millis(200);

/// What a cluster found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The rate at which it was sent, in bits per second.
    pub sent: f64,
    /// The rate at which it came through where the path is narrow, in bits per second: with what got lost as usual.
    pub received: f64,
    /// The rate at which it arrived.
    pub acknowledged: f64,
    /// Whether the link held it up: then it carries no more than that.
    pub limited: bool,
    /// Whether it lasted long enough, as delays scatter, for the rates to be more than a guess.
    pub precise: bool,
}

/// What is known of the path that matters to a probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// The share of datagrams lost at any rate.
    pub loss: f64,
    /// How far delays are apart, in microseconds.
    pub apart: f64,
    /// The same where that is more than our own frames explain, else 0: they scatter.
    pub spread: f64,
}

/// A cluster that is being sent, or waited for.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    /// In bits per second.
    rate: f64,
    /// Bytes that it has in all.
    whole: f64,
    /// Bytes of one datagram of padding.
    size: f64,
    begun: Time,
    /// Bytes and datagrams sent since it began.
    bytes: f64,
    datagrams: u32,
    /// Its extended numbers, first and last, and when the last one was sent.
    first: Option<u64>,
    last: Option<(u64, Time)>,
    /// What arrived of it.
    arrivals: Option<Arrivals>,
}

/// Arrivals of a cluster: how many, the earliest and the latest, the lowest number and the highest.
#[derive(Clone, Copy, Debug)]
struct Arrivals {
    count: u32,
    earliest: i64,
    latest: i64,
    lowest: u64,
    highest: u64,
}

/// Decides when to probe and how much.
#[derive(Debug)]
#[repr(C)]
pub struct Prober {
    cluster: Option<Cluster>,
    wanted: f64,
    start: f64,
    /// Steps of [`FIRST`] done.
    steps: usize,
    interval: Duration,
    next: Time,
    /// When a probe raised the estimate last, and from how many bits per second.
    raised: Option<(Time, f64)>,
    dropped: Option<(Time, f64)>,
    knocked: Time,
    /// Clusters of which nothing was heard.
    untold: u32,
    /// The last cluster found what the link carries.
    limited: bool,
}

impl Prober {
    /// Begins with probes at multiples of `start` bits per second.
    pub fn new(start: f64) -> Self {
        Self {
            wanted: 0.0,
            start,
            steps: 0,
            cluster: None,
            interval: INTERVAL,
            next: Time::ZERO,
            raised: None,
            dropped: None,
            knocked: Time::ZERO,
            untold: 0,
            limited: false,
        }
    }

    /// The rate that the next better choice of layers needs, in bits per second; 0 when nothing is missing.
    pub fn want(&mut self, now: Time, wanted: f64) {
        if wanted > 1.3 * self.wanted && self.raised.is_none_or(|(at, _)| now.since(at) > WRONG) {
            // Something else is wanted: what was fruitless may not be now.
            self.interval = INTERVAL;
            self.next = self.next.min(now + AFTER_DROP);
        }
        self.wanted = wanted;
    }

    /// What is asked for.
    pub const fn wanted(&self) -> f64 {
        self.wanted
    }

    /// Begins a cluster if it is time for one: `estimate` and `most` in bits per second, `path` as it is known. Returns its bytes.
    pub fn begin(&mut self, now: Time, estimate: f64, most: f64, path: Path) -> Option<f64> {
        if self.cluster.is_some() || now < self.next {
            return None;
        }
        let rate = match FIRST.get(self.steps) {
            Some(multiple) => multiple * self.start,
            None if self.wanted > estimate => self.wanted.max(STEP * estimate),
            None => return None,
        };
        // What the link carries is known: a small step finds out whether it carries more now, and makes no queue.
        let known = self.limited && path.loss < 0.05;
        let largest = match () {
            () if known => STEP,
            () if path.spread > 0.0 => LARGEST_STEP_SPREAD,
            () => LARGEST_STEP,
        };
        let rate = rate.min(largest * estimate).min(most.max(estimate));
        // Of lossy paths enough must arrive, and what scatters must be longer than it scatters.
        let least = (CLUSTER / (1.0 - path.loss).max(0.3)).max((APARTS * path.apart).min(LONGER_CLUSTER));
        let duration = least.max(SPREADS * path.spread).min(LONGEST_CLUSTER);
        // A longer one is a slower one: what it adds to a queue is bounded.
        let rate = rate.min(estimate * (1.0 + MOST_QUEUE / duration));
        let bytes = rate * duration / 8e6;
        let size = (bytes / f64::from(LEAST_DATAGRAMS) - OVERHEAD as f64).clamp(SMALLEST, LARGEST);
        self.cluster = Some(Cluster { rate, whole: bytes, size, begun: now, bytes: 0.0, datagrams: 0, first: None, last: None, arrivals: None });
        Some(bytes)
    }

    /// How many bytes (of UDP payload) of padding are due now. `silent`: feedback has stopped.
    pub fn poll(&mut self, now: Time, silent: bool) -> Option<usize> {
        if silent {
            let due = now.since(self.knocked) >= KNOCK;
            return due.then(|| {
                self.knocked = now;
                SMALLEST as usize
            });
        }
        let cluster = self.cluster.as_ref().filter(|cluster| cluster.last.is_none())?;
        (now >= cluster.due()).then_some(cluster.size as usize)
    }

    /// A datagram of any kind was sent: while a cluster runs, it is part of it.
    pub fn sent(&mut self, now: Time, number: u64, bytes: u32) {
        let Some(cluster) = self.cluster.as_mut().filter(|cluster| cluster.last.is_none()) else { return };
        cluster.first.get_or_insert(number);
        cluster.bytes += f64::from(bytes);
        cluster.datagrams += 1;
        // A frame that leaves at once does not shorten it.
        let lasted = now.micros_since(cluster.begun) as f64 >= 0.9 * cluster.whole * 8e6 / cluster.rate;
        if lasted && cluster.datagrams > LEAST_DATAGRAMS && cluster.bytes >= cluster.whole {
            cluster.last = Some((number, now));
        }
    }

    /// A datagram arrived, at `arrival` in microseconds of the receiver's clock.
    pub fn arrived(&mut self, sent: &Sent, arrival: i64) {
        let Some(cluster) = &mut self.cluster else { return };
        let number = sent.number;
        if cluster.first.is_none_or(|first| number < first) || cluster.last.is_some_and(|(last, _)| number > last) {
            return;
        }
        let all = cluster.arrivals.get_or_insert(Arrivals { count: 0, earliest: arrival, latest: arrival, lowest: number, highest: number });
        all.count += 1;
        (all.earliest, all.latest) = (all.earliest.min(arrival), all.latest.max(arrival));
        (all.lowest, all.highest) = (all.lowest.min(number), all.highest.max(number));
    }

    /// Whether a cluster has been sent of which nothing has been found yet.
    pub const fn awaits(&self) -> bool {
        self.cluster.is_some()
    }

    /// What the cluster found, once feedback has spoken of all of it, or has not within `patience`.
    pub fn found(&mut self, now: Time, history: &SentHistory, patience: Duration, path: Path) -> Option<Found> {
        let cluster = self.cluster.as_ref()?;
        let over = match cluster.last {
            // What comes late has been overtaken by this much at most.
            Some((last, at)) => (history.reported() > last && now.micros_since(at) as f64 > path.spread) || now.since(at) > patience,
            None => now.since(cluster.begun) > patience + Duration::from_millis(500),
        };
        if !over {
            return None;
        }
        let found = cluster.found(now, history, path);
        self.cluster = None;
        if found.is_none() {
            self.untold = self.untold.saturating_add(1);
            self.next = now + UNTOLD;
        }
        found
    }

    /// The last cluster took the estimate from `before` to `estimate` bits per second: decides when the next one comes.
    pub fn learned(&mut self, now: Time, limited: bool, before: f64, estimate: f64) {
        self.limited = limited;
        let raised = estimate > WORTH * before;
        self.steps = if limited || self.steps >= FIRST.len() { FIRST.len() } else { self.steps + 1 };
        if raised {
            self.raised = Some((now, before));
        }
        if !limited && (raised || self.steps < FIRST.len()) {
            self.next = now;
            return;
        }
        if raised {
            self.interval = INTERVAL;
            self.next = now + CONFIRM;
            return;
        }
        self.next = now + self.interval;
        let recovering = self.dropped.is_some_and(|(at, before)| now.since(at) < DROP_MATTERS && estimate < 0.8 * before);
        let longest = if recovering { INTERVAL_AFTER_DROP } else { LONGEST_INTERVAL };
        self.interval = self.interval.mul_f64(BACK_OFF).min(longest);
        self.next = self.next.min(now + longest);
    }

    /// The estimate fell from `before` to `estimate`, in bits per second.
    pub fn fell(&mut self, now: Time, before: f64, estimate: f64) {
        let level = self.dropped.filter(|(at, _)| now.since(*at) < DROP_MATTERS).map_or(before, |(_, level)| level.max(before));
        self.dropped = Some((now, level));
        if self.raised.take().is_some_and(|(at, from)| now.since(at) < WRONG && estimate > WRONGLY * from) {
            self.interval = self.interval.mul_f64(BACK_OFF).min(INTERVAL_WHEN_WRONG);
            self.next = now + self.interval;
        } else {
            self.interval = INTERVAL_AFTER_DROP;
            self.next = now + AFTER_DROP;
        }
    }

    /// Feedback is back, or something else has changed: probe at once.
    pub fn hurry(&mut self, now: Time) {
        self.next = now;
        self.cluster = None;
    }

    /// Clusters of which nothing was heard so far.
    pub const fn untold(&self) -> u32 {
        self.untold
    }

    /// When [`Self::begin`], [`Self::poll`] or [`Self::found`] has something to do. `may`: whether a cluster may begin.
    pub fn next_due(&self, estimate: f64, may: bool, silent: bool, patience: Duration) -> Option<Time> {
        if silent {
            return Some(self.knocked + KNOCK);
        }
        match &self.cluster {
            Some(cluster) => Some(cluster.last.map_or_else(|| cluster.due(), |(_, at)| at + patience + Duration::from_millis(1))),
            None => (may && (self.steps < FIRST.len() || self.wanted > estimate)).then_some(self.next),
        }
    }
}

impl Cluster {
    /// When the next datagram is due for the cluster to have its rate.
    fn due(&self) -> Time {
        self.begun + Duration::from_micros((self.bytes * 8e6 / self.rate) as u64)
    }

    fn found(&self, now: Time, history: &SentHistory, path: Path) -> Option<Found> {
        let arrivals = self.arrivals?;
        let (lowest, highest) = (history.get(now, arrivals.lowest)?, history.get(now, arrivals.highest)?);
        let all = (arrivals.lowest..=arrivals.highest).filter_map(|number| history.get(now, number));
        let (mut bytes, mut lost, mut datagrams) = (0.0, 0.0, 0.0);
        for sent in all {
            datagrams += 1.0;
            bytes += f64::from(sent.bytes);
            if sent.fate == Fate::Lost {
                lost += f64::from(sent.bytes);
            }
        }
        let sent_in = highest.at.micros_since(lowest.at) as f64;
        // Too few arrivals, or too close to each other, are chance.
        if arrivals.count < 3 || sent_in < 0.5 * self.whole * 8e6 / self.rate {
            return None;
        }
        // What the path loses at any rate had come through where it is narrow.
        let usual = if path.loss > 0.05 { path.loss + (path.loss * (1.0 - path.loss) / datagrams).sqrt() } else { 0.0 };
        let missing = (lost - usual * bytes).max(0.0);
        let spread = path.spread * (datagrams - 1.0) / (datagrams + 1.0);
        let received_in = ((arrivals.latest - arrivals.earliest) as f64 - spread).max(0.8 * sent_in).max(1.0);
        // The first bytes arrive before the clock runs, the last leave after it has stopped.
        let sent = (bytes - f64::from(highest.bytes)) * 8e6 / sent_in;
        let received = (bytes - f64::from(lowest.bytes) - missing).max(0.0) * 8e6 / received_in;
        let acknowledged = (bytes - f64::from(lowest.bytes) - lost).max(0.0) * 8e6 / received_in;
        let precise = SPREADS * path.spread <= 1.1 * self.whole * 8e6 / self.rate;
        Some(Found { sent, received, acknowledged, limited: received < HELD_UP * sent, precise })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pace::sent::{Kind, News};

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A prober whose clusters cross a link that carries so many bits per second.
    struct Line {
        prober: Prober,
        history: SentHistory,
        estimate: f64,
        capacity: f64,
        path: Path,
        now: u64,
        number: u16,
        begun: Vec<(u64, f64)>,
        found: Vec<Found>,
    }

    impl Line {
        fn new(estimate: f64, capacity: f64) -> Self {
            Self {
                prober: Prober::new(estimate),
                history: SentHistory::new(),
                estimate,
                capacity,
                path: Path::default(),
                now: 0,
                number: 0,
                begun: Vec::new(),
                found: Vec::new(),
            }
        }

        /// Runs in steps of a millisecond; each cluster is reported 100 ms after it was sent, if `answered`.
        fn run(&mut self, seconds: f64, answered: bool) {
            let mut sent = Vec::new();
            for _ in 0..(seconds * 1_000.0) as u64 {
                self.now += 1_000;
                let now = Time::from_micros(self.now);
                if let Some(bytes) = self.prober.begin(now, self.estimate, 1e9, self.path) {
                    self.begun.push((self.now / 1_000, bytes));
                }
                while let Some(bytes) = self.prober.poll(now, false) {
                    let bytes = bytes + OVERHEAD;
                    self.history.record(now, self.number, bytes, Kind::Probe);
                    self.prober.sent(now, self.history.next() - 1, bytes as u32);
                    sent.push((self.now, self.number, bytes));
                    self.number = self.number.wrapping_add(1);
                }
                if answered && sent.last().is_some_and(|(at, _, _)| at + 100_000 == self.now) {
                    self.report(now, &std::mem::take(&mut sent));
                }
                if let Some(found) = self.prober.found(now, &self.history, PATIENCE, self.path) {
                    let before = self.estimate;
                    self.estimate = before.max(if found.limited { found.received } else { found.sent });
                    self.prober.learned(now, found.limited, before, self.estimate);
                    self.found.push(found);
                }
            }
        }

        fn report(&mut self, now: Time, sent: &[(u64, u16, usize)]) {
            let mut free = 0.0_f64;
            for (at, number, bytes) in sent {
                free = free.max(*at as f64) + *bytes as f64 * 8e6 / self.capacity;
                if let News::Received { sent, .. } = self.history.report(now, *number, true) {
                    self.prober.arrived(&sent, free as i64);
                }
            }
        }
    }

    #[test]
    fn the_start_is_multiplied_until_the_link_holds_a_cluster_up() {
        let mut line = Line::new(300e3, 1e6);
        line.run(1.0, true);
        assert_eq!(line.found.iter().map(|found| found.limited).collect::<Vec<_>>(), [false, true]);
        assert!((0.85e6..=1.0e6).contains(&line.found[0].sent), "{:?}", line.found);
        assert!((0.95e6..=1.05e6).contains(&line.found[1].received), "{:?}", line.found);
    }

    #[test]
    fn what_is_wanted_is_found_in_a_chain_of_clusters() {
        let mut line = Line::new(300e3, 100e6);
        line.run(2.0, true);
        assert!(line.estimate < 2e6, "nothing more was wanted: {}", line.estimate);
        line.prober.want(Time::from_micros(line.now), 20e6);
        line.run(2.0, true);
        assert!(line.estimate > 20e6, "{}", line.estimate);
    }

    #[test]
    fn fruitless_probes_become_rare() {
        let mut line = Line::new(300e3, 1e6);
        line.prober.want(Time::ZERO, 5e6);
        line.run(120.0, true);
        let late: Vec<u64> = line.begun.iter().map(|(at, _)| *at).filter(|at| *at > 60_000).collect();
        assert!((2..=3).contains(&late.len()), "{late:?}");
    }

    #[test]
    fn after_a_drop_probes_come_often_until_it_is_over() {
        let mut line = Line::new(300e3, 300e3);
        line.prober.want(Time::ZERO, 5e6);
        line.run(60.0, true);
        line.prober.fell(Time::from_micros(line.now), 2e6, 300e3);
        line.begun.clear();
        line.run(60.0, true);
        assert!((12..=30).contains(&line.begun.len()), "{:?}", line.begun);
        line.capacity = 3e6;
        line.run(6.0, true);
        assert!(line.estimate > 2.7e6, "{}", line.estimate);
    }

    #[test]
    fn a_cluster_about_which_nothing_is_heard_is_sent_again_and_moves_nothing() {
        let mut line = Line::new(300e3, 1e6);
        line.run(3.0, false);
        assert!((3..=4).contains(&line.begun.len()), "{:?}", line.begun);
        assert_eq!((line.estimate, line.found.len()), (300e3, 0));
        assert_eq!(line.prober.untold() as usize, line.begun.len());
    }

    #[test]
    fn clusters_last_longer_where_delays_scatter() {
        let bytes = |path| Line { path, ..Line::new(1e6, 1e9) }.prober.begin(Time::ZERO, 1e6, 1e9, path).unwrap() * 8.0;
        assert_eq!(bytes(Path::default()), 45_000.0, "15 ms at 3 Mbit/s");
        assert_eq!(bytes(Path { spread: 40_000.0, ..Path::default() }), 256_000.0, "160 ms, at 1.6 Mbit/s only");
    }

    #[test]
    fn while_nothing_is_heard_a_small_datagram_asks_for_feedback() {
        let mut prober = Prober::new(1e6);
        let asked = (0..1_000).filter(|ms| prober.poll(Time::from_millis(1_000 + ms), true).is_some()).count();
        assert_eq!(asked, 5);
    }
}
