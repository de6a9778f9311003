//! A run from its beginning to its end: join, wait until all receive, count, leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::board::{Board, Phase, kind_of, stream};
use super::client::{Desk, latencies};
use super::member::{Crew, attend};
use super::meter::{Meter, Reading};
use super::plan::{Door, Kind, Plan, tallied};
use super::presence::Presence;
use super::progress::Progress;
use super::report::{Delivery, Outcome, Own, Participants, Percentiles, Server};
use super::tally::Count;
use super::thread::Thread;
use super::whip::Front;
use crate::contract::MediaKind;
use crate::media::transport::DtlsIdentity;

/// A participant whose connection is not up after so long has failed.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Between the moment when all receive and the first packet that counts.
const SETTLE: Duration = Duration::from_secs(1);
/// Between the last packet that counts and the count: what is repaired late still comes.
const TAIL: Duration = Duration::from_secs(2);
/// When nothing has come for so long after that, nothing will.
const QUIET: Duration = Duration::from_millis(500);
/// Nobody waits longer for that.
const LONGEST_TAIL: Duration = Duration::from_secs(20);
/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(100);

/// Processor seconds from which on a figure in whole seconds says something: within a tenth.
const LEAST_COARSE: f64 = 10.0;

/// Why a run cannot be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The server is not there, or lets nobody in.
    Unavailable(String),
    /// It lets nobody in without a token, or not with these.
    Token(String),
    /// This machine does not give what is needed.
    System(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Unavailable(text) | Trouble::Token(text) | Trouble::System(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Trouble {}

/// Carries a plan out. `stop` becomes true when the run is to end early; it then ends in order.
///
/// # Errors
/// [`Trouble`] when there is nothing to count.
pub async fn run(plan: Plan, quiet: bool, stop: watch::Receiver<bool>) -> Result<Outcome, Trouble> {
    let needed = descriptors(&plan);
    raise_descriptors(needed).map_err(Trouble::System)?;
    let meter = Meter::new(plan.server_pid, plan.metrics.clone()).map_err(Trouble::System)?;
    meter.check().await.map_err(Trouble::Unavailable)?;
    let (leave, leaving) = watch::channel(false);
    let crew = crew(plan)?;
    let presences = crew.plan.places().into_iter().map(|place| Arc::new(Presence::new(place))).collect();
    let mut run = Run { crew, presences, tasks: Vec::new(), leaving, stop, progress: Progress::new(quiet), meter };
    let joined = run.join_all().await;
    let outcome = match joined {
        Ok(()) => Ok(run.measure().await),
        Err(trouble) => Err(trouble),
    };
    leave.send_replace(true);
    run.progress.begin("leaving", run.tasks.len() as u64);
    let goodbye = async {
        for (at, task) in run.tasks.drain(..).enumerate() {
            let _ = task.await;
            run.progress.at(at as u64 + 1, String::new);
        }
    };
    let _ = timeout(Duration::from_secs(15), goodbye).await;
    // Where there was nothing to count, the threads have not ended yet.
    run.crew.threads.iter().for_each(|thread| drop(thread.finish()));
    run.progress.end();
    outcome
}

fn crew(plan: Plan) -> Result<Arc<Crew>, Trouble> {
    let system = |e: &dyn std::fmt::Display| Trouble::System(format!("{e}"));
    let (board, epoch) = (Arc::new(Board::new(plan.all_publishers())), Instant::now());
    // Drawn by the system for every hasher: another one in every run.
    let run = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id()) as u32;
    let threads = if plan.kind == Kind::Light { plan.thread_count() } else { 0 };
    let start = |number| Thread::start(number, Desk::new(run, board.clone(), plan.opening(), plan.nack, epoch));
    let threads = (0..threads).map(start).collect::<Result<Vec<_>, _>>().map_err(|e| system(&e))?;
    Ok(Arc::new(Crew {
        identity: DtlsIdentity::generate().map_err(|e| Trouble::System(format!("no certificate can be made: {e:?}")))?,
        front: Front::new().map_err(Trouble::System)?,
        threads,
        board,
        run,
        epoch,
        roster: Default::default(),
        #[cfg(feature = "full-clients")]
        full: Default::default(),
        plan,
    }))
}

struct Run {
    crew: Arc<Crew>,
    presences: Vec<Arc<Presence>>,
    tasks: Vec<JoinHandle<()>>,
    leaving: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
    progress: Progress,
    meter: Meter,
}

/// What was there when the counting began and when it ended.
struct Window {
    before: (Reading, u64),
    after: (Reading, u64),
    seconds: f64,
    /// Of each receiver: the streams that it should receive.
    expected: Vec<(usize, BTreeSet<u32>)>,
    unplaced: u64,
}

impl Run {
    /// Publishers first, then subscribers; ends when everybody is there or has failed.
    async fn join_all(&mut self) -> Result<(), Trouble> {
        let publishers = self.crew.plan.all_publishers() as usize;
        let began = Instant::now();
        self.progress.begin("joining", self.presences.len() as u64);
        for at in 0..self.presences.len() {
            if at == publishers {
                self.settled(at).await?;
            }
            let due = Duration::from_secs_f64(at as f64 / self.crew.plan.join_rate);
            while began.elapsed() < due && !self.stopped() {
                sleep(LOOK.min(due - began.elapsed().min(due))).await;
            }
            if self.stopped() {
                break;
            }
            self.tasks.push(tokio::spawn(attend(self.crew.clone(), self.presences[at].clone(), self.leaving.clone())));
            self.show_joining();
            self.nobody_comes_in()?;
        }
        self.settled(self.tasks.len()).await
    }

    /// Waits until each of the first `count` is there or has failed.
    async fn settled(&mut self, count: usize) -> Result<(), Trouble> {
        let began = Instant::now();
        while !self.stopped() {
            let open = self.presences.iter().take(count).filter(|p| !p.is_up() && p.failure().is_none());
            if began.elapsed() > JOIN_PATIENCE {
                let late = || super::presence::Failure::new("not connected in time", format!("after {} s", JOIN_PATIENCE.as_secs()));
                open.for_each(|p| p.fail(late()));
            } else if open.count() > 0 {
                sleep(LOOK / 4).await;
                self.show_joining();
                self.nobody_comes_in()?;
                continue;
            }
            break;
        }
        self.nobody_comes_in()
    }

    /// When the first ones all fail, the others will too.
    fn nobody_comes_in(&self) -> Result<(), Trouble> {
        let begun = self.presences.iter().take(self.tasks.len());
        let mut example = None;
        for presence in begun {
            match presence.failure() {
                Some(failure) => example = example.or(Some(failure)),
                None => return Ok(()),
            }
        }
        let Some(failure) = example else { return Ok(()) };
        let said = format!("nobody could join: {failure}");
        Err(match failure.is_of_tokens() {
            true if self.crew.plan.tokens.is_empty() => Trouble::Token(format!(
                "{said}; this server takes nobody without a token: give one for everybody with --token, or the settings of the node with --config, \
                 and one is signed for each"
            )),
            true => Trouble::Token(format!("{said}; the token is not one of this server, has expired, or is for another room")),
            false => Trouble::Unavailable(said),
        })
    }

    fn show_joining(&mut self) {
        let up = u64::from(self.crew.board.connected.load(Ordering::Relaxed));
        let presences = &self.presences;
        self.progress.at(up, || {
            let failed = presences.iter().filter(|p| p.failure().is_some()).count();
            if failed == 0 { String::new() } else { format!("{failed} failed") }
        });
    }

    /// Counts, and makes the report.
    async fn measure(&mut self) -> Outcome {
        self.wait_until_all_receive().await;
        self.pause(SETTLE).await;
        let expected = self.expected();
        let unplaced = self.unplaced(&expected);
        let before = self.reading().await;
        self.crew.board.set_phase(Phase::Count);
        let began = Instant::now();
        self.count_for(self.crew.plan.duration).await;
        let interrupted = self.stopped();
        let seconds = began.elapsed().as_secs_f64();
        self.crew.board.set_phase(Phase::Tail);
        let after = self.reading().await;
        sleep(TAIL).await;
        self.crew.board.set_phase(Phase::Stop);
        self.wait_until_quiet().await;
        self.progress.end();
        let window = Window { before, after, seconds, expected, unplaced };
        Outcome { interrupted, ..self.report(&window).await }
    }

    async fn wait_until_all_receive(&mut self) {
        let began = Instant::now();
        let wanted = |run: &Self| -> u64 { run.receivers().map(|p| run.wanted_streams(p)).sum() };
        self.progress.begin("receiving", wanted(self));
        while !self.stopped() && began.elapsed() < self.crew.plan.patience {
            let heard: u64 = self.receivers().map(|p| u64::from(p.streams()).min(self.wanted_streams(p))).sum();
            self.progress.at(heard, String::new);
            if heard >= wanted(self) {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// A server that has fallen behind still holds packets that are not lost.
    async fn wait_until_quiet(&mut self) {
        let began = Instant::now();
        let (mut last, mut since) = (self.received(), Instant::now());
        while since.elapsed() < QUIET && began.elapsed() < LONGEST_TAIL {
            sleep(LOOK).await;
            let received = self.received();
            if received != last {
                (last, since) = (received, Instant::now());
            }
        }
    }

    async fn count_for(&mut self, duration: Duration) {
        let began = Instant::now();
        let (sent, received) = (self.crew.board.sent_in_all(), self.received());
        self.progress.begin("counting", duration.as_secs());
        while began.elapsed() < duration && !self.stopped() {
            self.pause(LOOK.min(duration.saturating_sub(began.elapsed()))).await;
            let (board, seconds) = (self.crew.board.clone(), began.elapsed().as_secs_f64());
            self.progress.at(seconds as u64, || {
                let sent = (board.sent_in_all() - sent) as f64 / seconds;
                let received = (board.received.load(Ordering::Relaxed) - received) as f64 / seconds;
                format!("s; {sent:.0} packets/s sent, {received:.0} received")
            });
        }
    }

    /// Streams of each receiver that is there, as the server places them.
    fn expected(&self) -> Vec<(usize, BTreeSet<u32>)> {
        let own = |p: &Presence| p.place.publisher();
        let of = |p: &Presence| p.placed().into_iter().filter(|s| own(p) != Some(s / 2)).collect();
        self.receivers().map(|p| (p.place.index, of(p))).collect()
    }

    fn unplaced(&self, expected: &[(usize, BTreeSet<u32>)]) -> u64 {
        let publishers = |streams: &BTreeSet<u32>| streams.iter().map(|s| s / 2).collect::<BTreeSet<_>>().len();
        let missing = |(index, streams): &(usize, BTreeSet<u32>)| {
            let wanted = self.presences.get(*index).map_or(0, |p| self.publishers_for(p));
            wanted.saturating_sub(publishers(streams)) as u64
        };
        expected.iter().map(missing).sum()
    }

    /// Publishers that are there and that somebody should receive.
    fn publishers_for(&self, presence: &Presence) -> usize {
        let is_up = |number: &u32| self.presences.get(*number as usize).is_some_and(|p| p.is_up());
        self.crew.plan.wanted(&presence.place).iter().filter(|p| is_up(p)).count()
    }

    /// Streams that somebody should receive: those of all publishers, or of as many as it has pairs for.
    fn wanted_streams(&self, presence: &Presence) -> u64 {
        let most = match (&self.crew.plan.door, self.crew.plan.pairs) {
            (Door::Socket { .. }, Some(pairs)) => pairs as usize,
            _ => usize::MAX,
        };
        (self.publishers_for(presence).min(most) * self.crew.plan.kinds().len()) as u64
    }

    fn receivers(&self) -> impl Iterator<Item = &Arc<Presence>> {
        self.presences.iter().filter(|p| self.crew.plan.receives(p.place.role) && p.is_up())
    }

    async fn reading(&self) -> (Reading, u64) {
        (self.meter.read().await, self.received())
    }

    fn received(&self) -> u64 {
        self.crew.board.received.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn pause(&mut self, span: Duration) {
        let _ = timeout(span, self.stop.wait_for(|s| *s)).await;
    }

    async fn report(&self, window: &Window) -> Outcome {
        let (counts, latency, foreign) = self.findings().await;
        let mut outcome = Outcome { seconds: window.seconds, participants: self.participants(window), ..Outcome::default() };
        for publisher in 0..self.crew.plan.all_publishers() {
            outcome.audio.offered += self.crew.board.offered(stream(publisher, MediaKind::Audio));
            outcome.video.offered += self.crew.board.offered(stream(publisher, MediaKind::Video));
        }
        for (receiver, streams) in &window.expected {
            for stream in streams {
                let delivery: &mut Delivery = if kind_of(*stream) == MediaKind::Audio { &mut outcome.audio } else { &mut outcome.video };
                let (count, offered) = (counts.get(&(*receiver, *stream)).copied(), self.crew.board.offered(*stream));
                outcome.participants.silent += u64::from(count.is_none() && offered > 0);
                delivery.add(offered, count.unwrap_or_default());
            }
        }
        outcome.total = outcome.audio.plus(outcome.video);
        outcome.latency_ms = Percentiles::of(&latency);
        let times: Vec<_> = self.presences.iter().map(|p| p.times()).collect();
        outcome.join_ms = Percentiles::of_durations(times.iter().filter_map(|t| t.0).collect());
        outcome.first_media_ms = Percentiles::of_durations(times.iter().filter_map(|t| t.1).collect());
        outcome.key_frames_asked = self.crew.board.key_frames_asked.load(Ordering::Relaxed);
        (outcome.server, outcome.load) = self.costs(window, foreign);
        outcome
    }

    /// What each receiver counted of each stream, by receiver and stream; all latencies; foreign packets.
    async fn findings(&self) -> (BTreeMap<(usize, u32), Count>, hdrhistogram::Histogram<u64>, u64) {
        let (mut all, mut latency, mut foreign) = (BTreeMap::<_, Count>::new(), latencies(), 0);
        let replies: Vec<_> = self.crew.threads.iter().map(Thread::finish).collect();
        for reply in replies {
            let findings = tokio::task::spawn_blocking(move || reply.recv_timeout(Duration::from_secs(20))).await;
            let Ok(Ok(findings)) = findings else { continue };
            for (receiver, counts) in findings.counts {
                counts.into_iter().for_each(|(stream, count)| all.entry((receiver, stream)).or_default().add(count));
            }
            // Both have the same bounds.
            let _ = latency.add(&findings.latency);
            foreign += findings.foreign;
        }
        #[cfg(feature = "full-clients")]
        for (receiver, heard) in super::member::lock(&self.crew.full).iter() {
            let (counts, latencies, others) = heard.findings();
            counts.into_iter().for_each(|(stream, count)| all.entry((*receiver, stream)).or_default().add(count));
            let _ = latency.add(&latencies);
            foreign += others;
        }
        (all, latency, foreign)
    }

    fn participants(&self, window: &Window) -> Participants {
        let failures: Vec<_> = self.presences.iter().filter_map(|p| p.failure()).collect();
        Participants {
            planned: self.presences.len() as u64,
            joined: self.presences.iter().filter(|p| p.times().0.is_some()).count() as u64,
            example: failures.first().map(ToString::to_string),
            failed: tallied(failures.into_iter().map(|f| f.reason)),
            renegotiations: self.presences.iter().map(|p| u64::from(p.renegotiations())).sum(),
            unplaced: window.unplaced,
            silent: 0,
        }
    }

    fn costs(&self, window: &Window, foreign: u64) -> (Server, Own) {
        let ((before, received_before), (after, received_after)) = (window.before, window.after);
        let received = received_after - received_before;
        let spent = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
        let coarse = self.meter.is_coarse();
        let cpu_seconds = spent(before.server_cpu, after.server_cpu).filter(|seconds| !coarse || *seconds >= LEAST_COARSE);
        let server = Server {
            cpu_seconds,
            cores: cpu_seconds.map(|cpu| cpu / window.seconds),
            cpu_seconds_per_million: cpu_seconds.filter(|_| received > 0).map(|cpu| cpu / received as f64 * 1e6),
            memory_bytes: after.server_memory,
            forwarded: spent(before.server_forwarded, after.server_forwarded).map(|n| n as u64),
        };
        let own = after.own_cpu - before.own_cpu;
        let unsent = self.crew.board.unsent.load(Ordering::Relaxed);
        (server, Own { cpu_seconds: own, cores: own / window.seconds, received, unsent, foreign })
    }
}

/// File descriptors that a plan needs: a socket for signaling and one for media each, and our own.
fn descriptors(plan: &Plan) -> u64 {
    let each = if plan.kind == Kind::Full { 3 } else { 2 };
    plan.places().len() as u64 * each + 64
}

/// Raises the limit of file descriptors to what is needed, if the system allows it.
fn raise_descriptors(needed: u64) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        return Err(format!(
            "{needed} file descriptors are needed and {maximum} allowed: raise the limit (`ulimit -Hn {needed}` as root) or test with fewer participants"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).map_err(|e| format!("the limit of file descriptors: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    #[test]
    fn more_descriptors_than_allowed_are_explained() {
        assert_eq!(descriptors(&plan()), 10 * 2 + 64);
        assert_eq!(raise_descriptors(10), Ok(()));
        let most = getrlimit(Resource::Nofile).maximum;
        if let Some(most) = most {
            assert!(raise_descriptors(most + 1).is_err_and(|e| e.contains("ulimit")));
        }
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_said_in_one_sentence() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let (_stop, stopped) = watch::channel(false);
        for kind in [Kind::Light, Kind::Full] {
            let plan = Plan { door: Door::Socket { url: format!("ws://{closed}/ws") }, kind, ..plan() };
            let trouble = run(plan, true, stopped.clone()).await.expect_err("nobody is there");
            assert!(matches!(&trouble, Trouble::Unavailable(text) if text.starts_with("nobody could join: nothing listens there")), "{trouble}");
        }
    }
}
