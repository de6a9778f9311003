//! Loss, and whether the rate is to blame.
//!
//! A radio link loses packets at any rate; a short queue loses those that are too many. The difference does not show in one figure
//! but in an experiment: when loss rises and stays, the rate is lowered to what got through. If loss then ends as it does when a
//! link that carries so much gets no more, it was congestion, and the rate stays. If it goes on, it is the link's own, is remembered
//! as such, and the rate returns.

use crate::base::Time;
use crate::media::pace::sent::{Fate, Sent, SentHistory};

/// Windows pooled to tell that loss has risen. One or two are a burst (a fade, a handover); each lasts 200 ms or more.
const PERSISTS: usize = 4;
/// The same when a queue shows too.
const PERSISTS_WITH_QUEUE: usize = 2;
/// A window lasts at least so many microseconds, and has at least so many packets.
const WINDOW: u64 = 200_000;
const LEAST_PACKETS: u32 = 12;
/// With fewer packets than that a window ends after this many microseconds.
const LONGEST_WINDOW: u64 = 600_000;
/// No link is believed to lose more than what is missing here.
const LEAST_ARRIVING: f64 = 0.3;
/// A rise by less is nothing to react to: repair costs less than a lower layer.
const LEAST_RISE: f64 = 0.03;
/// How far reordering may go before a number counts as lost, in microseconds.
const LEAST_PATIENCE: u64 = 10_000;
const MOST_PATIENCE: u64 = 500_000;
/// A probe that gets through at this multiple of what else gets through shows that the link carries more.
const CLEARLY_MORE: f64 = 1.3;
/// That holds for so many microseconds.
const STILL_CARRIES: u64 = 2_000_000;
/// Where no queue shows, an experiment keeps this share of the estimate: it may turn out to have been for nothing.
const LEAST_KEPT: f64 = 0.3;
/// At first, when the estimate is a guess on the safe side, it keeps more: less than one layer tells nothing.
const LEAST_KEPT_FIRST: f64 = 0.5;
/// In the first windows.
const FIRST: u32 = 20;
/// Where the delay is longer by so many milliseconds, a loss comes from a full queue.
const LONGER: f64 = 3.0;
/// When the mean delay is longer by so many milliseconds than scatter explains, a queue stands.
const STANDS: f64 = 8.0;
/// An experiment that decides nothing ends after this many microseconds.
const LONGEST_TRIAL: u64 = 4_000_000;

/// One window of datagrams, by when they were sent.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: u64,
    ended: u64,
    packets: u32,
    lost: u32,
    bytes: u64,
    bytes_lost: u64,
    /// Losses in a row count once.
    runs: u32,
    /// Delays of what arrived, and of what arrived last before each run of losses, in milliseconds.
    delays: u32,
    delays_at_loss: u32,
}

impl Window {
    /// Whether a queue explains the loss: it stood all the time, or where packets got lost the delay was longer than usual. `spread`
    /// is how far delays are apart by themselves, in microseconds.
    fn queued(&self, spread: f64) -> bool {
        let usual = f64::from(self.delays) / f64::from((self.packets - self.lost).max(1));
        let runs = f64::from(self.runs.max(1));
        let at_loss = f64::from(self.delays_at_loss) / runs;
        usual > 0.5e-3 * spread + STANDS || (self.runs > 1 && at_loss > usual + 0.6e-3 * spread / runs.sqrt() + LONGER)
    }

    fn loss(&self) -> f64 {
        f64::from(self.lost) / f64::from(self.packets.max(1))
    }

    /// The rate at which it was sent, in bits per second.
    fn rate(&self) -> f64 {
        self.bytes as f64 * 8e6 / (self.ended - self.begun).max(1) as f64
    }

    fn rate_passed(&self) -> f64 {
        self.rate() * (self.bytes - self.bytes_lost) as f64 / self.bytes.max(1) as f64
    }

    fn with(self, other: &Window) -> Window {
        Window {
            begun: self.begun.min(other.begun),
            ended: self.ended.max(other.ended),
            packets: self.packets + other.packets,
            lost: self.lost + other.lost,
            bytes: self.bytes + other.bytes,
            bytes_lost: self.bytes_lost + other.bytes_lost,
            runs: self.runs + other.runs,
            delays: self.delays + other.delays,
            delays_at_loss: self.delays_at_loss + other.delays_at_loss,
        }
    }
}

/// The experiment that runs.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// What was sent from then on had the lower rate.
    from: u64,
    before: Window,
    /// The estimate before, in bits per second.
    estimate: f64,
    after: Option<Window>,
    windows: usize,
    /// How many of them showed a queue.
    queued: usize,
}

/// What else is known when loss is judged.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Whether a queue shows.
    pub queue: bool,
    /// How far delays are apart that scatter evenly, in microseconds.
    pub spread: f64,
    /// The estimate, in bits per second.
    pub estimate: f64,
    /// When what is sent obeys an estimate chosen now.
    pub settles: Time,
}

/// What loss says about the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing.
    None,
    /// Lower it to this many bits per second: that gets through.
    Lower(f64),
    /// Loss was not congestion: back to this many bits per second.
    Restore(f64),
}

/// The loss of one subscriber's link.
#[derive(Debug)]
pub struct Loss {
    /// The next number to judge.
    next: u64,
    window: Window,
    /// The delay of the last one if it arrived, in milliseconds.
    delay: Option<u8>,
    /// Windows that have ended.
    windows: u32,
    recent: [Window; PERSISTS],
    /// Windows in `recent` that count.
    known: usize,
    /// Loss at any rate.
    inherent: f64,
    smoothed: f64,
    /// Numbers are judged when those sent so much later have arrived, in microseconds.
    patience: u64,
    trial: Option<Trial>,
    /// When a probe arrived last, in microseconds, and at how many bits per second.
    carried: (u64, f64),
}

impl Default for Loss {
    fn default() -> Self {
        Self {
            next: 0,
            window: Window::default(),
            delay: None,
            windows: 0,
            recent: [Window::default(); PERSISTS],
            known: 0,
            inherent: 0.0,
            smoothed: 0.0,
            patience: 2 * LEAST_PATIENCE,
            trial: None,
            carried: (0, 0.0),
        }
    }
}

impl Loss {
    /// A datagram arrived although one sent so many microseconds later had been reported with it missing.
    pub fn came_late(&mut self, late: u64) {
        self.patience = self.patience.max(late + late / 4).min(MOST_PATIENCE);
    }

    /// Whether datagrams come in another order than they were sent in: then one that is missing may only be late.
    pub const fn reorders(&self) -> bool {
        self.patience > 2 * LEAST_PATIENCE
    }

    /// The share of datagrams lost at any rate.
    pub const fn inherent(&self) -> f64 {
        self.inherent
    }

    /// The share of datagrams that arrive when the rate is not too high.
    pub fn arriving(&self) -> f64 {
        (1.0 - self.inherent).max(LEAST_ARRIVING)
    }

    /// The share of datagrams lost, smoothed over about two seconds.
    pub const fn smoothed(&self) -> f64 {
        self.smoothed
    }

    /// Delay has told that the link is overused: loss until this moment has a cause.
    pub fn explained(&mut self, until: Time) {
        self.trial = None;
        self.known = 0;
        self.window = Window { begun: until.as_micros(), ..Window::default() };
    }

    /// A probe arrived at so many bits per second. If that is more than would get through were the loss congestion, it is not: the
    /// estimate before the experiment.
    pub fn carried(&mut self, now: Time, rate: f64) -> Option<f64> {
        self.carried = (now.as_micros(), rate);
        let trial = self.trial.take_if(|trial| rate > CLEARLY_MORE * trial.before.rate_passed())?;
        self.inherent = trial.before.loss();
        Some(trial.estimate)
    }

    /// Judges the numbers that are old enough: `newest` is when the newest datagram that arrived had been sent.
    pub fn judge(&mut self, now: Time, history: &SentHistory, newest: Time, seen: Seen) -> Verdict {
        let until = newest.as_micros().saturating_sub(self.patience);
        self.next = self.next.max(history.oldest());
        let mut verdict = Verdict::None;
        while self.next < history.reported() {
            if let Some(sent) = history.get(now, self.next) {
                let at = sent.at.as_micros();
                if at > until {
                    break;
                }
                let counts = at >= self.window.begun && sent.fate != Fate::Unreported;
                if let Some(closed) = counts.then(|| self.count(&sent)).flatten() {
                    verdict = self.closed(closed, seen);
                }
            }
            self.next += 1;
        }
        if let Some(trial) = self.trial.take_if(|trial| trial.windows < 3 && now.as_micros() > trial.from + LONGEST_TRIAL) {
            // So little was sent that nothing was learned.
            verdict = Verdict::Restore(trial.estimate);
        }
        self.patience = (self.patience - self.patience / 512).max(LEAST_PATIENCE);
        verdict
    }

    /// Counts one datagram; the window before it when that ends.
    fn count(&mut self, sent: &Sent) -> Option<Window> {
        let at = sent.at.as_micros();
        let span = at - self.window.begun;
        let ends = (span >= WINDOW && self.window.packets >= LEAST_PACKETS) || span >= LONGEST_WINDOW;
        let closed = ends.then(|| {
            let closed = Window { ended: at, ..self.window };
            self.window = Window { begun: at, ..Window::default() };
            closed
        });
        self.window.packets += 1;
        self.window.bytes += u64::from(sent.bytes);
        if sent.fate == Fate::Lost {
            self.window.lost += 1;
            self.window.bytes_lost += u64::from(sent.bytes);
            if let Some(delay) = self.delay.take() {
                self.window.runs += 1;
                self.window.delays_at_loss += u32::from(delay);
            }
        } else {
            self.delay = Some(sent.delay);
            self.window.delays += u32::from(sent.delay);
        }
        closed.filter(|closed| closed.packets > LEAST_PACKETS / 4)
    }

    fn closed(&mut self, closed: Window, seen: Seen) -> Verdict {
        let Seen { estimate, settles, spread, .. } = seen;
        let queue = seen.queue || closed.queued(spread);
        self.windows = self.windows.saturating_add(1);
        self.smoothed += (closed.loss() - self.smoothed) / 8.0;
        if self.trial.is_some() {
            return self.try_on(closed, queue, seen);
        }
        self.recent.rotate_right(1);
        self.recent[0] = closed;
        self.known = (self.known + 1).min(PERSISTS);
        match self.risen(if queue { PERSISTS_WITH_QUEUE } else { PERSISTS }) {
            Some(before) if !queue && self.carried.0 + STILL_CARRIES > before.begun && self.carried.1 > CLEARLY_MORE * before.rate_passed() => {
                self.inherent = before.loss();
                Verdict::None
            }
            Some(before) => {
                let kept = match queue {
                    true => 0.0,
                    false if self.windows < FIRST => LEAST_KEPT_FIRST * estimate,
                    false => LEAST_KEPT * estimate,
                };
                let lower = (before.rate_passed() / self.arriving()).max(kept);
                if lower >= estimate {
                    return Verdict::None;
                }
                self.trial = Some(Trial { from: settles.as_micros(), before, estimate, after: None, windows: 0, queued: 0 });
                self.known = 0;
                Verdict::Lower(lower)
            }
            None => {
                if !queue {
                    // Quicker at first: what is not known yet would be taken for a rise.
                    let slowness = (8 + self.windows / 2).min(32);
                    self.inherent += (closed.loss().min(self.inherent + 2.0 * LEAST_RISE) - self.inherent) / f64::from(slowness);
                }
                Verdict::None
            }
        }
    }

    /// The newest windows together (the oldest may have begun before loss rose) when the last ones all lost more than the link does by
    /// itself.
    fn risen(&self, windows: usize) -> Option<Window> {
        let recent = self.recent.get(..windows.min(self.known)).filter(|recent| recent.len() == windows)?;
        let all = recent.iter().copied().reduce(|a, b| a.with(&b))?;
        let scatter = |window: &Window| (self.inherent.max(0.01) * (1.0 - self.inherent) / f64::from(window.packets.max(1))).sqrt();
        let each = recent.iter().all(|window| window.loss() > self.inherent + LEAST_RISE / 2.0 + scatter(window));
        let risen = each && all.loss() > self.inherent + LEAST_RISE.max(5.0 * scatter(&all));
        let newest = recent.split_last()?.1.iter().copied().reduce(|a, b| a.with(&b))?;
        risen.then_some(newest)
    }

    /// Another window of the experiment.
    fn try_on(&mut self, closed: Window, queue: bool, seen: Seen) -> Verdict {
        let inherent = self.inherent;
        let Some(trial) = &mut self.trial else { return Verdict::None };
        if closed.begun < trial.from {
            return Verdict::None;
        }
        let after = trial.after.map_or(closed, |after| after.with(&closed));
        (trial.after, trial.windows, trial.queued) = (Some(after), trial.windows + 1, trial.queued + usize::from(queue));
        let passes = trial.before.rate_passed();
        // What a link that carries no more would lose of what is sent now, beside its own.
        let congested = self.inherent + (1.0 - self.inherent) * (1.0 - passes / after.rate()).max(0.0);
        let random = trial.before.loss();
        let telling = random - congested > 0.4 * (random - self.inherent);
        if trial.windows >= 3 && telling {
            let (estimate, loss, queued) = (trial.estimate, after.loss(), 2 * trial.queued > trial.windows);
            self.trial = None;
            if !queued && loss > congested + 0.5 * (random - congested) {
                self.inherent = (loss + random) / 2.0;
                return Verdict::Restore(estimate);
            }
        } else if closed.ended - trial.from > LONGEST_TRIAL {
            self.trial = None;
        } else if !telling && trial.windows >= 2 && after.loss() > self.inherent + LEAST_RISE {
            // Still more is sent than gets through.
            let lower = (after.rate_passed() / (1.0 - inherent).max(LEAST_ARRIVING)).max(LEAST_KEPT * seen.estimate);
            (trial.from, trial.after, trial.windows, trial.queued) = (seen.settles.as_micros(), None, 0, 0);
            if lower < seen.estimate {
                return Verdict::Lower(lower);
            }
        }
        Verdict::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use crate::media::pace::sent::Kind;

    /// A sender that obeys, over a link that carries `capacity` and loses `inherent` of what it carries.
    struct Line {
        history: SentHistory,
        loss: Loss,
        random: Random,
        now: u64,
        number: u16,
        estimate: f64,
        lowest: f64,
        capacity: f64,
        inherent: f64,
        /// The delay of packets while more is sent than the link carries, in milliseconds.
        full: u8,
    }

    impl Line {
        fn new(estimate: f64, capacity: f64, inherent: f64) -> Self {
            let history = SentHistory::new();
            Self {
                history,
                loss: Loss::default(),
                random: Random::new(7),
                now: 0,
                number: 0,
                estimate,
                lowest: estimate,
                capacity,
                inherent,
                full: 0,
            }
        }

        fn chance(&mut self) -> f64 {
            f64::from(self.random.next_u32()) / f64::from(u32::MAX)
        }

        /// Sends packets of 1,000 bytes at the estimate; feedback comes every 10 packets.
        fn run(&mut self, seconds: f64) {
            let end = self.now + (seconds * 1e6) as u64;
            while self.now < end {
                self.now += (8e9 / self.estimate) as u64;
                let now = Time::from_micros(self.now);
                self.history.record(now, self.number, 1_000, Kind::Media);
                let too_many = self.chance() < 1.0 - self.capacity / self.estimate;
                let received = !too_many && self.chance() >= self.inherent;
                self.history.report(now, self.number, received);
                if received && self.estimate > self.capacity {
                    self.history.note_delay(self.history.next() - 1, self.full);
                }
                self.number = self.number.wrapping_add(1);
                if self.number.is_multiple_of(10) {
                    self.judge(now);
                }
            }
        }

        fn judge(&mut self, now: Time) {
            let settles = Time::from_micros(self.now + 100_000);
            let seen = Seen { queue: false, spread: 0.0, estimate: self.estimate, settles };
            match self.loss.judge(now, &self.history, now, seen) {
                Verdict::None => {}
                Verdict::Lower(rate) | Verdict::Restore(rate) => self.estimate = rate,
            }
            self.lowest = self.lowest.min(self.estimate);
        }
    }

    #[test]
    fn loss_that_goes_on_at_a_lower_rate_is_the_links_own() {
        for inherent in [0.1, 0.3, 0.5] {
            let mut line = Line::new(2e6, 1e9, inherent);
            line.run(30.0);
            assert_eq!(line.estimate, 2e6, "{inherent}");
            assert!((line.loss.inherent() - inherent).abs() < 0.05, "{} of {inherent}", line.loss.inherent());
            assert!(line.lowest > 0.9e6 * (1.0 - inherent), "tried {} at {inherent}", line.lowest);
        }
    }

    #[test]
    fn loss_that_ends_at_a_lower_rate_was_congestion_even_without_a_queue() {
        let mut line = Line::new(2e6, 1e6, 0.0);
        line.run(2.5);
        assert!((0.8e6..=1.05e6).contains(&line.estimate), "{}", line.estimate);
        line.run(20.0);
        assert!((0.8e6..=1.05e6).contains(&line.estimate), "{}", line.estimate);
        assert!(line.loss.inherent() < 0.05, "{}", line.loss.inherent());
    }

    #[test]
    fn where_a_queue_shows_two_windows_are_enough() {
        let mut line = Line { full: 25, ..Line::new(2e6, 1e6, 0.0) };
        line.run(0.7);
        assert!((0.9e6..=1.2e6).contains(&line.estimate), "{}", line.estimate);
    }

    #[test]
    fn both_together_are_told_apart() {
        let mut line = Line::new(2e6, 1e9, 0.1);
        line.run(20.0);
        assert_eq!(line.estimate, 2e6);
        line.capacity = 1e6;
        line.run(5.0);
        assert!((0.8e6..=1.1e6).contains(&line.estimate), "{}", line.estimate);
        assert!((0.05..=0.15).contains(&line.loss.inherent()), "{}", line.loss.inherent());
    }

    #[test]
    fn a_burst_is_not_reacted_to() {
        let mut line = Line::new(2e6, 1e9, 0.0);
        line.run(5.0);
        line.inherent = 1.0;
        line.run(0.1);
        line.inherent = 0.0;
        line.run(5.0);
        assert_eq!(line.lowest, 2e6);
    }

    #[test]
    fn a_probe_that_gets_through_ends_the_experiment() {
        let mut line = Line::new(2e6, 1e9, 0.3);
        while line.estimate == 2e6 {
            line.run(0.1);
        }
        assert_eq!(line.loss.carried(Time::from_micros(line.now), 1.5e6), None);
        assert_eq!(line.loss.carried(Time::from_micros(line.now), 2.5e6), Some(2e6));
        assert!((line.loss.inherent() - 0.3).abs() < 0.08, "{}", line.loss.inherent());
    }
}
