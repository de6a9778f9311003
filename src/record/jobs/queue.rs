//! What waits, what is done, and what could not be done lately. Told the time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{JobState, Unmade};

/// What could not be made is not tried again for so long, unless it is somebody's wish: a file that is broken is so tomorrow, too.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// Failures that are remembered.
const MOST_FAILURES: usize = 1_000;

/// The jobs of one kind of work `W`.
#[derive(Debug)]
pub struct Queue<W> {
    most: usize,
    waiting: VecDeque<(Ticket, W)>,
    running: Option<Ticket>,
    failed: VecDeque<(PathBuf, Unmade, Instant)>,
}

/// A job, as both who waits for it and who does it have it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The file that comes of it: there is one job for each.
    pub to: PathBuf,
    state: Arc<watch::Sender<JobState>>,
    cancelled: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Ticket {
    fn new(to: PathBuf) -> Self {
        Self { to, state: Arc::new(watch::Sender::new(JobState::Waiting)), cancelled: Arc::default(), held: Arc::default() }
    }

    /// It is over as soon as may be.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be over.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// What it is made of is here up to there, from 0 to 1.
    pub fn fetching(&self, part: f32) {
        self.state.send_replace(JobState::Fetching(part));
    }

    /// It is done up to there, from 0 to 1.
    pub fn progress(&self, part: f32) {
        self.state.send_replace(JobState::Running(part));
    }

    /// It gets next to no time, or does again.
    pub fn hold(&self, is: bool) {
        self.held.store(is, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn state(&self) -> JobState {
        match self.state.borrow().clone() {
            JobState::Running(part) if self.held.load(Ordering::Relaxed) => JobState::Held(part),
            state => state,
        }
    }

    /// Waits until it is over.
    pub async fn over(&self) -> Result<(), Unmade> {
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| matches!(state, JobState::Done | JobState::Failed(_))).await;
        match over.as_deref() {
            Ok(JobState::Failed(why)) => Err(why.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Unmade::Cancelled),
        }
    }
}

impl<W> Queue<W> {
    /// An empty queue in which so many may wait.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: VecDeque::new(), running: None, failed: VecDeque::new() }
    }

    /// Puts a job at the end, unless there is one for the same file already; the second value is whether it is new.
    ///
    /// # Errors
    /// [`Unmade::Busy`] when too many wait.
    pub fn push(&mut self, to: &Path, work: impl FnOnce() -> W) -> Result<(Ticket, bool), Unmade> {
        if let Some(known) = self.find(to) {
            return Ok((known.clone(), false));
        }
        if self.waiting.len() >= self.most {
            return Err(Unmade::Busy);
        }
        self.failed.retain(|(failed, ..)| failed != to);
        let ticket = Ticket::new(to.to_owned());
        self.waiting.push_back((ticket.clone(), work()));
        Ok((ticket, true))
    }

    /// The next one, which is done from now on.
    pub fn begin_next(&mut self) -> Option<(Ticket, W)> {
        let (ticket, work) = self.waiting.pop_front()?;
        ticket.progress(0.0);
        self.running = Some(ticket.clone());
        Some((ticket, work))
    }

    /// The one that was being done is over.
    pub fn over(&mut self, result: Result<(), Unmade>, now: Instant) {
        let Some(ticket) = self.running.take() else { return };
        self.settle(&ticket, result, now);
    }

    /// The job for a file is to be over; false when there is none. One that waits is over at once, and its work is given back.
    pub fn cancel(&mut self, to: &Path, now: Instant) -> (bool, Option<W>) {
        if let Some(at) = self.waiting.iter().position(|(ticket, _)| ticket.to == to)
            && let Some((ticket, work)) = self.waiting.remove(at)
        {
            self.settle(&ticket, Err(Unmade::Cancelled), now);
            return (true, Some(work));
        }
        let running = self.running.as_ref().filter(|ticket| ticket.to == to);
        running.iter().for_each(|ticket| ticket.cancel());
        (running.is_some(), None)
    }

    /// How far the job for a file is, and how many are before it; none when there is none, and none failed lately.
    pub fn state(&mut self, to: &Path, now: Instant) -> Option<(JobState, usize)> {
        if let Some(at) = self.waiting.iter().position(|(ticket, _)| ticket.to == to) {
            return Some((JobState::Waiting, at + usize::from(self.running.is_some())));
        }
        if let Some(ticket) = self.running.as_ref().filter(|ticket| ticket.to == to) {
            return Some((ticket.state(), 0));
        }
        self.why_not(to, now).map(|why| (JobState::Failed(why), 0))
    }

    /// Why there is no such file, when it could not be made lately.
    pub fn why_not(&mut self, to: &Path, now: Instant) -> Option<Unmade> {
        self.failed.retain(|(_, _, at)| now.saturating_duration_since(*at) < FORGET_AFTER);
        self.failed.iter().find(|(failed, ..)| failed == to).map(|(_, why, _)| why.clone())
    }

    /// Everything is to be over; what waits is given back.
    pub fn end(&mut self, now: Instant) -> Vec<W> {
        self.running.iter().for_each(Ticket::cancel);
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(ticket, work)| (self.settle(&ticket, Err(Unmade::Cancelled), now), work).1).collect()
    }

    fn find(&self, to: &Path) -> Option<&Ticket> {
        self.running.iter().chain(self.waiting.iter().map(|(ticket, _)| ticket)).find(|ticket| ticket.to == to && !ticket.is_cancelled())
    }

    fn settle(&mut self, ticket: &Ticket, result: Result<(), Unmade>, now: Instant) {
        if let Err(why) = &result
            && !matches!(why, Unmade::NoProgram | Unmade::Away | Unmade::Cancelled)
        {
            if self.failed.len() == MOST_FAILURES {
                self.failed.pop_front();
            }
            self.failed.push_back((ticket.to.clone(), why.clone(), now));
        }
        ticket.state.send_replace(result.map_or_else(JobState::Failed, |()| JobState::Done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    #[test]
    fn jobs_are_done_in_order_one_for_each_file_and_no_more_wait_than_may() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        let (first, new) = queue.push(&path("a"), || 1).expect("room");
        assert!(new);
        assert!(queue.push(&path("b"), || 2).is_ok_and(|(_, new)| new));
        assert!(queue.push(&path("a"), || 3).is_ok_and(|(same, new)| !new && Arc::ptr_eq(&same.state, &first.state)));
        assert_eq!(queue.push(&path("c"), || 4).map(|_| ()), Err(Unmade::Busy));
        assert_eq!(queue.begin_next().map(|(_, work)| work), Some(1));
        assert_eq!(queue.state(&path("a"), now), Some((JobState::Running(0.0), 0)));
        assert_eq!(queue.state(&path("b"), now), Some((JobState::Waiting, 1)));
        first.fetching(0.5);
        assert_eq!(queue.state(&path("a"), now), Some((JobState::Fetching(0.5), 0)));
        first.progress(0.25);
        first.hold(true);
        assert_eq!(queue.state(&path("a"), now), Some((JobState::Held(0.25), 0)), "it has begun, and waits for the machine");
        first.hold(false);
        assert_eq!(queue.state(&path("a"), now), Some((JobState::Running(0.25), 0)));
        first.hold(true);
        assert!(queue.push(&path("a"), || 5).is_ok_and(|(_, new)| !new), "it is being done");
        queue.over(Ok(()), now);
        assert_eq!((first.state(), queue.state(&path("a"), now)), (JobState::Done, None));
        assert_eq!(queue.begin_next().map(|(_, work)| work), Some(2));
        assert_eq!(queue.begin_next().map(|(_, work)| work), None);
    }

    #[test]
    fn what_failed_is_known_for_a_while_and_tried_again_when_it_is_wished() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        queue.push(&path("a"), || 1).expect("room");
        queue.begin_next();
        queue.over(Err(Unmade::Nothing), now);
        assert_eq!(queue.why_not(&path("a"), now), Some(Unmade::Nothing));
        assert_eq!(queue.why_not(&path("a"), now + FORGET_AFTER), None);
        for n in 0..MOST_FAILURES + 10 {
            queue.push(&path(&format!("{n}")), || 1).expect("room");
            queue.begin_next();
            queue.over(Err(Unmade::TooLong), now);
        }
        assert_eq!((queue.failed.len(), queue.why_not(&path("9"), now)), (MOST_FAILURES, None));
        assert!(queue.push(&path("20"), || 1).is_ok());
        assert_eq!(queue.why_not(&path("20"), now), None);
        queue.begin_next();
        queue.over(Err(Unmade::NoProgram), now);
        assert_eq!(queue.why_not(&path("20"), now), None, "it may be installed meanwhile");
    }

    #[test]
    fn what_is_taken_back_is_over_at_once_when_it_waits_and_told_to_be_when_it_is_done() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        let (running, _) = queue.push(&path("a"), || 1).expect("room");
        let (waiting, _) = queue.push(&path("b"), || 2).expect("room");
        queue.begin_next();
        assert_eq!(queue.cancel(&path("b"), now), (true, Some(2)));
        assert_eq!(waiting.state(), JobState::Failed(Unmade::Cancelled));
        assert_eq!(queue.cancel(&path("a"), now), (true, None));
        assert!(running.is_cancelled() && running.state() == JobState::Running(0.0));
        assert!(queue.push(&path("a"), || 3).is_ok_and(|(_, new)| new), "and may be wished anew");
        assert_eq!(queue.cancel(&path("c"), now), (false, None));
        queue.over(Err(Unmade::Cancelled), now);
        assert_eq!((queue.state(&path("a"), now), queue.state(&path("b"), now)), (Some((JobState::Waiting, 0)), None), "nothing has failed");
        assert_eq!(queue.end(now), [3]);
    }
}
