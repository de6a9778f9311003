//! A closed loop under a virtual clock: layered video, the link's congestion control, a bottleneck, a receiver with our own
//! feedback writer. One seed is one run.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::random::Random;
use crate::base::{Bitrate, Time};
use crate::media::pace::Link;
use crate::media::pace::estimate::{Load, Why};
use crate::media::pace::sent::{Kind, OVERHEAD};
use crate::media::packet::twcc::Arrivals;

/// Bytes of UDP payload of a full datagram.
const DATAGRAM: usize = 1_200;
/// Between frames, in microseconds: 30 a second.
const FRAME: u64 = 33_333;
const LAYERS: [u64; 3] = [150, 500, 1_500];
/// A key frame is so many times larger than the others.
const KEY_FRAME: f64 = 5.0;

/// How the path loses datagrams behind the bottleneck.
#[derive(Clone, Copy)]
pub enum Lossy {
    No,
    /// Each with this probability, both ways.
    Random(f64),
    /// Gilbert–Elliott: this share of datagrams, in bursts of this mean length.
    Bursts(f64, f64),
}

/// What a path and its sender do, and for how long.
#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    /// From which second on the bottleneck carries how many kilobits a second.
    pub capacity: Vec<(u64, u64)>,
    /// How many milliseconds of datagrams the drop-tail queue holds.
    pub queue: u64,
    /// One-way propagation, in milliseconds.
    pub delay: u64,
    /// Added to each datagram's delay: even between 0 and this many milliseconds.
    pub jitter: u64,
    pub loss: Lossy,
    /// Seconds in which a TCP flow crosses, and the rate in kbit/s that its application limits it to.
    pub cross: Vec<(u64, u64, u64)>,
    /// Milliseconds between feedbacks.
    pub feedback: u64,
    /// Milliseconds in which feedback is lost.
    pub gap: (u64, u64),
    pub tracks: usize,
    /// From which second on which layer of each track is the best that the application asks for.
    pub best: Vec<(u64, usize)>,
    pub start: u64,
    pub seconds: u64,
}

impl Scenario {
    pub fn new(name: &'static str, capacity: &[(u64, u64)]) -> Self {
        Self {
            name,
            capacity: capacity.to_vec(),
            queue: 300,
            delay: 25,
            jitter: 0,
            loss: Lossy::No,
            cross: Vec::new(),
            feedback: 70,
            gap: (0, 0),
            tracks: 4,
            best: vec![(0, 2)],
            start: 300,
            seconds: 70,
        }
    }

    pub fn capacity_at(&self, ms: u64) -> u64 {
        self.capacity.iter().rev().find(|(from, _)| from * 1_000 <= ms).map_or(0, |(_, kbps)| *kbps)
    }
}

/// How things stood at one millisecond; rates in kbit/s.
#[derive(Clone, Copy)]
pub struct Sample {
    pub ms: u64,
    pub estimate: u64,
    pub capacity: u64,
    /// The bottleneck's queue in milliseconds.
    pub queue: f64,
    pub rate: u64,
    pub paced: f64,
    pub note: Note,
}

/// Why the estimate is what it is.
#[derive(Clone, Copy)]
pub struct Note {
    pub why: Why,
    pub load: Load,
    pub standing: u128,
    pub spread: f64,
    pub inherent: f64,
    pub loss: f64,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { why, load, standing, spread, inherent, loss } = self;
        write!(f, "{why:?} {load:?} standing {standing} spread {:.0} loss {loss:.2} of it inherent {inherent:.2}", spread / 1_000.0)
    }
}

/// One run.
pub struct Run {
    /// One each 10 ms.
    pub samples: Vec<Sample>,
    /// Of each of our datagrams that passed the bottleneck: when it was sent and how long it queued, in milliseconds.
    pub queued: Vec<(u64, f64)>,
    /// When each of our datagrams was dropped by the bottleneck, and when each was sent, in milliseconds.
    pub dropped: Vec<u64>,
    pub sent: Vec<u64>,
    /// When layers were switched, in milliseconds.
    pub switches: Vec<u64>,
    /// When and how many bytes of padding, and of everything.
    pub padding: Vec<(u64, usize)>,
    pub bytes: Vec<(u64, usize)>,
    /// Our bytes that arrived.
    pub arrived: Vec<(u64, usize)>,
    pub link: Link,
}

struct Datagram {
    /// `None`: the TCP flow's.
    number: Option<u16>,
    bytes: usize,
    at: u64,
}

struct Waiting {
    bytes: usize,
    since: u64,
}

#[derive(Default)]
struct Tcp {
    window: f64,
    threshold: f64,
    in_flight: usize,
    budget: f64,
    recovering_until: u64,
    /// When acknowledgements, and news of losses, come back.
    acks: VecDeque<u64>,
    losses: VecDeque<u64>,
}

struct Track {
    layer: Option<usize>,
    key_frame: bool,
    next_frame: u64,
}

pub struct World<'a> {
    scenario: &'a Scenario,
    random: Random,
    run: Run,
    tracks: Vec<Track>,
    level: usize,
    waiting: VecDeque<Waiting>,
    number: u16,
    bottleneck: VecDeque<Datagram>,
    queue_bytes: usize,
    free_at: u64,
    bad: bool,
    on_air: BTreeMap<(u64, u16), usize>,
    receiver: Arrivals,
    next_feedback: u64,
    feedbacks: VecDeque<(u64, Vec<u8>)>,
    tcp: Tcp,
}

/// Runs a scenario.
pub fn run(scenario: &Scenario, seed: u64) -> Run {
    let mut random = Random::new(seed);
    random.next_u64();
    let number = random.next_u32() as u16;
    let tracks = (0..scenario.tracks).map(|_| Track { layer: None, key_frame: true, next_frame: random.next_u64() % FRAME }).collect();
    let run = Run {
        samples: Vec::new(),
        queued: Vec::new(),
        dropped: Vec::new(),
        sent: Vec::new(),
        switches: Vec::new(),
        padding: Vec::new(),
        bytes: Vec::new(),
        arrived: Vec::new(),
        link: Link::new(Time::ZERO, Bitrate::kbps(scenario.start)),
    };
    let mut world = World {
        scenario,
        random,
        run,
        tracks,
        level: 0,
        waiting: VecDeque::new(),
        number,
        bottleneck: VecDeque::new(),
        queue_bytes: 0,
        free_at: 0,
        bad: false,
        on_air: BTreeMap::new(),
        receiver: Arrivals::new(),
        next_feedback: 0,
        feedbacks: VecDeque::new(),
        tcp: Tcp::default(),
    };
    for ms in 0..scenario.seconds * 1_000 {
        world.step(ms);
    }
    world.run
}

impl World<'_> {
    fn step(&mut self, ms: u64) {
        let now = Time::from_millis(ms);
        while self.feedbacks.front().is_some_and(|(at, _)| *at <= ms) {
            let (_, fci) = self.feedbacks.pop_front().unwrap();
            assert!(self.run.link.feedback(now, &fci));
        }
        self.choose(ms);
        let due = self.run.link.next_due(now).is_some_and(|due| due <= now);
        if due {
            self.run.link.handle_timeout(now);
        }
        self.frames(ms);
        self.send(ms, due);
        self.cross(ms);
        self.carry(ms);
        self.receive(ms);
        if ms.is_multiple_of(10) {
            self.sample(ms);
        }
    }

    fn chance(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }

    /// Choices of layers, by rate: first all tracks get the lowest, then one after the other the next.
    fn levels(&self, ms: u64) -> Vec<Vec<usize>> {
        let best = self.scenario.best.iter().rev().find(|(from, _)| from * 1_000 <= ms).map_or(2, |(_, layer)| *layer);
        let mut levels = vec![Vec::new()];
        for track in 0..self.scenario.tracks {
            levels.push(vec![0; track + 1]);
        }
        for layer in 1..=best {
            for track in 0..self.scenario.tracks {
                let mut level = levels.last().unwrap().clone();
                level[track] = layer;
                levels.push(level);
            }
        }
        levels
    }

    fn choose(&mut self, ms: u64) {
        let levels = self.levels(ms);
        let rate = |level: &[usize]| level.iter().map(|layer| LAYERS[*layer]).sum::<u64>();
        let estimate = self.run.link.estimate().as_bps() / 1_000;
        let mut level = self.level.min(levels.len() - 1);
        while level > 0 && rate(&levels[level]) > estimate {
            level -= 1;
        }
        if level == self.level {
            while level + 1 < levels.len() && rate(&levels[level + 1]) * 21 / 20 <= estimate {
                level += 1;
            }
        }
        let wanted = levels.get(level + 1).map_or(0, |next| rate(next) * 21 / 20);
        self.run.link.want(Time::from_millis(ms), Bitrate::kbps(wanted));
        if level != self.level {
            self.level = level;
            self.run.switches.push(ms);
            for (index, track) in self.tracks.iter_mut().enumerate() {
                let layer = levels[level].get(index).copied();
                if track.layer != layer {
                    (track.layer, track.key_frame) = (layer, true);
                }
            }
        }
    }

    fn frames(&mut self, ms: u64) {
        for index in 0..self.tracks.len() {
            while self.tracks[index].next_frame <= ms * 1_000 {
                self.tracks[index].next_frame += FRAME;
                let Some(layer) = self.tracks[index].layer else { continue };
                let scale = 0.85 + 0.3 * self.chance();
                let scale = if std::mem::take(&mut self.tracks[index].key_frame) { KEY_FRAME } else { scale };
                let mut bytes = (LAYERS[layer] as f64 * 1_000.0 / 8.0 / 30.0 * scale) as usize;
                while bytes > 0 {
                    let wire = bytes.min(DATAGRAM + OVERHEAD);
                    bytes -= wire;
                    self.waiting.push_back(Waiting { bytes: wire.saturating_sub(OVERHEAD).max(50), since: ms });
                }
            }
        }
    }

    fn send(&mut self, ms: u64, due: bool) {
        let now = Time::from_millis(ms);
        let queued = self.waiting.iter().map(|w| w.bytes + OVERHEAD).sum();
        let oldest = self.waiting.front().map_or(0, |w| ms - w.since);
        self.run.link.pacer().queued(queued, Duration::from_millis(oldest));
        while let Some(bytes) = self.waiting.front().map(|w| w.bytes) {
            if !self.run.link.pacer().take(now, bytes) {
                break;
            }
            self.waiting.pop_front();
            self.leave(ms, bytes, Kind::Media);
        }
        while let Some(bytes) = due.then(|| self.run.link.poll_probe(now)).flatten() {
            assert!(bytes <= DATAGRAM);
            self.run.link.pacer().spend(bytes);
            self.run.padding.push((ms, bytes + OVERHEAD));
            self.leave(ms, bytes, Kind::Probe);
        }
        assert!(!due || self.run.link.next_due(now).is_none_or(|due| due > now), "what has been done is not due");
    }

    fn leave(&mut self, ms: u64, bytes: usize, kind: Kind) {
        self.run.link.sent(Time::from_millis(ms), self.number, bytes, kind);
        self.run.bytes.push((ms, bytes + OVERHEAD));
        self.run.sent.push(ms);
        let datagram = Datagram { number: Some(self.number), bytes: bytes + OVERHEAD, at: ms * 1_000 };
        self.number = self.number.wrapping_add(1);
        if !self.enqueue(ms, datagram) {
            self.run.dropped.push(ms);
        }
    }

    fn enqueue(&mut self, ms: u64, datagram: Datagram) -> bool {
        let room = self.scenario.capacity_at(ms) * self.scenario.queue / 8;
        if self.queue_bytes + datagram.bytes > (room as usize).max(2 * DATAGRAM) {
            return false;
        }
        self.queue_bytes += datagram.bytes;
        self.bottleneck.push_back(datagram);
        true
    }

    fn carry(&mut self, ms: u64) {
        let kbps = self.scenario.capacity_at(ms);
        while let Some(head) = self.bottleneck.front() {
            let begun = self.free_at.max(head.at);
            let ended = begun + head.bytes as u64 * 8_000 / kbps;
            if ended > (ms + 1) * 1_000 {
                break;
            }
            let head = self.bottleneck.pop_front().unwrap();
            self.free_at = ended;
            self.queue_bytes -= head.bytes;
            let Some(number) = head.number else {
                self.tcp.acks.push_back(ms + 2 * self.scenario.delay);
                continue;
            };
            self.run.queued.push((head.at / 1_000, (begun - head.at) as f64 / 1_000.0));
            if self.loses() {
                continue;
            }
            let jitter = (self.chance() * self.scenario.jitter as f64 * 1_000.0) as u64;
            self.on_air.insert((ended + self.scenario.delay * 1_000 + jitter, number), head.bytes);
        }
    }

    fn loses(&mut self) -> bool {
        match self.scenario.loss {
            Lossy::No => false,
            Lossy::Random(share) => self.chance() < share,
            Lossy::Bursts(share, length) => {
                let change = if self.bad { 1.0 / length } else { share / (1.0 - share) / length };
                self.bad ^= self.chance() < change;
                self.bad
            }
        }
    }

    fn receive(&mut self, ms: u64) {
        while let Some(entry) = self.on_air.first_entry().filter(|entry| entry.key().0 <= ms * 1_000) {
            let ((at, number), bytes) = entry.remove_entry();
            // The receiver's clock has another zero, near the wrap of the wire's 24 bits.
            self.receiver.record(number, Time::from_micros(at + (1 << 24) * 64_000 - 20_000_000));
            self.run.arrived.push((ms, bytes));
        }
        if ms >= self.next_feedback {
            self.next_feedback = ms + self.scenario.feedback;
            let mut fci = [0; 1_000];
            while let Some(len) = self.receiver.write_fci(&mut fci) {
                let share = if let Lossy::Random(share) = self.scenario.loss { share } else { 0.0 };
                let lost = self.chance() < share;
                let at = ms + self.scenario.delay;
                if !lost && !(self.scenario.gap.0..self.scenario.gap.1).contains(&at) {
                    self.feedbacks.push_back((at, fci[..len].to_vec()));
                }
            }
        }
    }

    /// Reno: slow start, one datagram more each round trip, half after a loss; limited by its application.
    fn cross(&mut self, ms: u64) {
        let limit = self.scenario.cross.iter().find(|(from, to, _)| (from * 1_000..to * 1_000).contains(&ms)).map(|(_, _, kbps)| *kbps);
        while self.tcp.acks.front().is_some_and(|at| *at <= ms) {
            self.tcp.acks.pop_front();
            self.tcp.in_flight = self.tcp.in_flight.saturating_sub(1);
            self.tcp.window += if self.tcp.window < self.tcp.threshold { 1.0 } else { 1.0 / self.tcp.window };
        }
        while self.tcp.losses.front().is_some_and(|at| *at <= ms) {
            self.tcp.losses.pop_front();
            self.tcp.in_flight = self.tcp.in_flight.saturating_sub(1);
            if ms >= self.tcp.recovering_until {
                self.tcp.window = (self.tcp.window / 2.0).max(2.0);
                self.tcp.threshold = self.tcp.window;
                self.tcp.recovering_until = ms + 2 * self.scenario.delay + self.scenario.queue;
            }
        }
        let Some(kbps) = limit else {
            (self.tcp.window, self.tcp.threshold, self.tcp.budget) = (10.0, 1e9, 0.0);
            return;
        };
        let wire = DATAGRAM + OVERHEAD;
        self.tcp.budget = (self.tcp.budget + kbps as f64 / 8.0).min(64.0 * wire as f64);
        while self.tcp.in_flight < self.tcp.window as usize && self.tcp.budget >= wire as f64 {
            self.tcp.budget -= wire as f64;
            self.tcp.in_flight += 1;
            if !self.enqueue(ms, Datagram { number: None, bytes: wire, at: ms * 1_000 }) {
                self.tcp.losses.push_back(ms + 2 * self.scenario.delay + self.scenario.queue);
            }
        }
    }

    fn sample(&mut self, ms: u64) {
        let capacity = self.scenario.capacity_at(ms);
        let levels = self.levels(ms);
        let estimator = self.run.link.estimator();
        self.run.samples.push(Sample {
            ms,
            estimate: self.run.link.estimate().as_bps() / 1_000,
            capacity,
            queue: self.queue_bytes as f64 * 8.0 / capacity as f64,
            rate: levels[self.level.min(levels.len() - 1)].iter().map(|layer| LAYERS[*layer]).sum(),
            paced: self.waiting.front().map_or(0.0, |w| (ms - w.since) as f64),
            note: Note {
                why: self.run.link.why(),
                load: estimator.load(),
                standing: estimator.standing_queue().as_millis(),
                spread: estimator.spread(),
                inherent: estimator.inherent_loss(),
                loss: estimator.loss(),
            },
        });
    }
}

/// Milliseconds from one second to another.
fn span(seconds: &std::ops::Range<f64>) -> std::ops::Range<u64> {
    (seconds.start * 1_000.0) as u64..(seconds.end * 1_000.0) as u64
}

impl Run {
    /// Samples each 200 ms in a range of seconds.
    pub fn samples(&self, seconds: std::ops::Range<f64>) -> impl Iterator<Item = &Sample> {
        let span = span(&seconds);
        self.samples.iter().filter(move |sample| span.contains(&sample.ms) && sample.ms.is_multiple_of(200))
    }

    /// The lowest, the mean and the highest estimate, as shares of the capacity.
    pub fn shares(&self, seconds: std::ops::Range<f64>) -> (f64, f64, f64) {
        let shares: Vec<f64> = self.samples(seconds).map(|sample| sample.estimate as f64 / sample.capacity as f64).collect();
        let lowest = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = shares.iter().copied().fold(0.0, f64::max);
        (lowest, shares.iter().sum::<f64>() / shares.len() as f64, highest)
    }

    /// A quantile of the time that our datagrams queued, in milliseconds.
    pub fn queued(&self, seconds: std::ops::Range<f64>, quantile: f64) -> f64 {
        let span = span(&seconds);
        let mut queued: Vec<f64> = self.queued.iter().filter(|(at, _)| span.contains(at)).map(|(_, queued)| *queued).collect();
        queued.sort_by(f64::total_cmp);
        queued.get(((queued.len() as f64 * quantile) as usize).min(queued.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }

    /// The queue that stands at a second: the shortest of the half second before.
    pub fn standing(&self, second: f64) -> f64 {
        let span = span(&(second - 0.5..second));
        self.samples.iter().filter(|sample| span.contains(&sample.ms)).map(|sample| sample.queue).fold(f64::INFINITY, f64::min)
    }

    /// The share of our datagrams that the bottleneck dropped.
    pub fn dropped(&self, seconds: std::ops::Range<f64>) -> f64 {
        let span = span(&seconds);
        let count = |times: &[u64]| times.iter().filter(|at| span.contains(at)).count() as f64;
        count(&self.dropped) / count(&self.sent).max(1.0)
    }

    pub fn switches(&self, seconds: std::ops::Range<f64>) -> usize {
        let span = span(&seconds);
        self.switches.iter().filter(|at| span.contains(at)).count()
    }

    /// Padding as a share of all bytes.
    pub fn padding(&self, seconds: std::ops::Range<f64>) -> f64 {
        let span = span(&seconds);
        let sum = |bytes: &[(u64, usize)]| bytes.iter().filter(|(at, _)| span.contains(at)).map(|(_, bytes)| *bytes).sum::<usize>() as f64;
        sum(&self.padding) / sum(&self.bytes).max(1.0)
    }

    /// The rate of what arrived, in kbit/s.
    pub fn goodput(&self, seconds: std::ops::Range<f64>) -> f64 {
        let span = span(&seconds);
        let bytes: usize = self.arrived.iter().filter(|(at, _)| span.contains(at)).map(|(_, bytes)| *bytes).sum();
        bytes as f64 * 8.0 / (span.end - span.start) as f64
    }

    /// Seconds from a second until the estimate is above, or below, a rate in kbit/s.
    pub fn until(&self, second: f64, is: impl Fn(u64) -> bool) -> f64 {
        let from = (second * 1_000.0) as u64;
        let reached = self.samples.iter().find(|sample| sample.ms >= from && is(sample.estimate));
        reached.map_or(f64::INFINITY, |sample| (sample.ms - from) as f64 / 1_000.0)
    }
}
