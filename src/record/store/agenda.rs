//! Which item is looked after next, and when a bucket that refuses is tried again. Told the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A bucket that has refused is tried again after this, and after twice as long each time that it refuses again,
const FIRST: Duration = Duration::from_secs(1);
/// up to this.
const LAST: Duration = Duration::from_secs(60);
/// When it has refused for so long, somebody has to look: recordings stay on this disk, which has an end.
pub const ALARM: Duration = Duration::from_secs(60);

/// Items that are to be looked after. One that is being looked after is not begun a second time.
#[derive(Debug, Default)]
pub struct Agenda {
    due: BTreeMap<String, Instant>,
    order: BTreeSet<(Instant, String)>,
    /// Whether there is something new of one that is being looked after.
    busy: BTreeMap<String, bool>,
    /// How often in a row it went wrong.
    failed: BTreeMap<String, u32>,
}

/// Whether the bucket takes things.
#[derive(Debug, Default)]
pub struct Weather {
    bad: Option<Bad>,
}

#[derive(Debug)]
struct Bad {
    since: Instant,
    times: u32,
    next: Instant,
}

impl Agenda {
    /// An item is to be looked after at this time, or before.
    pub fn put(&mut self, id: &str, at: Instant) {
        if let Some(new) = self.busy.get_mut(id) {
            *new = true;
            return;
        }
        match self.due.get(id) {
            Some(known) if *known <= at => return,
            Some(known) => drop(self.order.remove(&(*known, id.to_owned()))),
            None => {}
        }
        self.due.insert(id.to_owned(), at);
        self.order.insert((at, id.to_owned()));
    }

    /// The next one that is due, which is looked after from now on.
    pub fn next(&mut self, now: Instant) -> Option<String> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, id) = self.order.pop_first()?;
        self.due.remove(&id);
        self.busy.insert(id.clone(), false);
        Some(id)
    }

    /// When the next one is due.
    pub fn wakes(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// One was looked after, and is to be again at that time, if ever.
    pub fn done(&mut self, id: &str, next: Option<Instant>, now: Instant) {
        self.failed.remove(id);
        let new = self.busy.remove(id).unwrap_or(false);
        if let Some(at) = if new { Some(now) } else { next } {
            self.put(id, at);
        }
    }

    /// It went wrong with one.
    pub fn failed(&mut self, id: &str, now: Instant) {
        self.busy.remove(id);
        let times = self.failed.entry(id.to_owned()).or_default();
        *times += 1;
        let at = now + pause(*times);
        self.put(id, at);
    }

    /// How many are due, or being looked after.
    pub fn waiting(&self, now: Instant) -> usize {
        self.order.iter().take_while(|(at, _)| *at <= now).count() + self.busy.len() + self.failed.keys().filter(|id| self.is_later(id, now)).count()
    }

    fn is_later(&self, id: &str, now: Instant) -> bool {
        self.due.get(id).is_some_and(|at| *at > now)
    }
}

impl Weather {
    /// It took something. True when it did not before.
    pub fn fine(&mut self) -> bool {
        self.bad.take().is_some()
    }

    /// It has refused something. True when it did not before.
    pub fn refused(&mut self, now: Instant) -> bool {
        let first = self.bad.is_none();
        let bad = self.bad.get_or_insert(Bad { since: now, times: 0, next: now });
        // Several that were under way are refused at once.
        if now >= bad.next {
            bad.times += 1;
            bad.next = now + pause(bad.times);
        }
        first
    }

    /// When something may be tried, and how much at a time, of so many that may be: one thing alone as long as it refuses.
    pub fn allows(&self, most: usize) -> (Option<Instant>, usize) {
        self.bad.as_ref().map_or((None, most), |bad| (Some(bad.next), 1))
    }

    /// Whether it has refused for too long.
    pub fn alarms(&self, now: Instant) -> bool {
        self.bad.as_ref().is_some_and(|bad| now.saturating_duration_since(bad.since) >= ALARM)
    }
}

fn pause(times: u32) -> Duration {
    FIRST.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn items_come_when_they_are_due_and_one_at_a_time() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.put("later", now + 10 * SECOND);
        agenda.put("soon", now);
        agenda.put("soon", now + 5 * SECOND);
        assert_eq!((agenda.next(now), agenda.next(now)), (Some("soon".into()), None));
        assert_eq!(agenda.wakes(), Some(now + 10 * SECOND));
        agenda.put("later", now + SECOND);
        assert_eq!(agenda.wakes(), Some(now + SECOND));
        // What happens to one that is being looked after is not lost, and it is not begun twice.
        agenda.put("soon", now);
        assert_eq!(agenda.next(now), None);
        agenda.done("soon", Some(now + 100 * SECOND), now);
        assert_eq!(agenda.next(now), Some("soon".into()));
        agenda.done("soon", None, now);
        assert_eq!(agenda.next(now + SECOND), Some("later".into()));
        agenda.done("later", None, now);
        assert_eq!((agenda.next(now + 1_000 * SECOND), agenda.waiting(now)), (None, 0));
    }

    #[test]
    fn what_went_wrong_is_tried_again_ever_later_and_waits_all_the_while() {
        let (mut agenda, mut now) = (Agenda::default(), Instant::now());
        agenda.put("a", now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(agenda.next(now), Some("a".into()));
            agenda.failed("a", now);
            assert_eq!((agenda.wakes(), agenda.waiting(now)), (Some(now + seconds * SECOND), 1));
            now += seconds * SECOND;
        }
        assert_eq!(agenda.next(now), Some("a".into()));
        agenda.done("a", None, now);
        assert_eq!(agenda.waiting(now), 0);
        assert!(agenda.failed.is_empty() && agenda.busy.is_empty() && agenda.due.is_empty() && agenda.order.is_empty());
    }

    #[test]
    fn a_bucket_that_refuses_is_tried_with_one_thing_ever_later_until_it_takes_it() {
        let (mut weather, now) = (Weather::default(), Instant::now());
        assert_eq!(weather.allows(4), (None, 4));
        assert!(!weather.fine() && weather.refused(now) && !weather.refused(now));
        assert_eq!(weather.allows(4), (Some(now + SECOND), 1), "two that were refused at once are one time");
        weather.refused(now + SECOND);
        assert_eq!(weather.allows(4), (Some(now + 3 * SECOND), 1));
        assert!(!weather.alarms(now + ALARM - SECOND) && weather.alarms(now + ALARM));
        assert!(weather.fine() && !weather.alarms(now + ALARM));
        assert_eq!(weather.allows(4), (None, 4));
    }
}
