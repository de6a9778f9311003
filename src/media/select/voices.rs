//! Which voices are forwarded when there are many: the loudest, and those that were loud until lately.

use crate::base::{Time, TrackId};

/// A voice that has been chosen keeps its place for so long after its last word, in microseconds: people pause.
const KEEP: u64 = 1_000_000;
/// One that speaks gives its place up only to one that is louder by so many dB.
const LOUDER: u8 = 6;

/// The voices that are forwarded in a room.
#[derive(Debug, Default)]
pub struct Voices {
    chosen: Vec<Chosen>,
}

#[derive(Clone, Copy, Debug)]
struct Chosen {
    track: TrackId,
    /// When it was loud last.
    at: Time,
    /// How loud it was then, in −dBov.
    level: u8,
}

impl Voices {
    /// These are loud now, each with its level in −dBov, the loudest first; at most `most` are chosen. Whether who is chosen changed.
    pub fn hear(&mut self, now: Time, loud: &[(TrackId, u8)], most: usize) -> bool {
        let mut changed = self.chosen.len() > most;
        self.chosen.sort_by_key(|c| std::cmp::Reverse(c.at));
        self.chosen.truncate(most);
        for (track, level) in loud.iter().copied() {
            if let Some(chosen) = self.chosen.iter_mut().find(|c| c.track == track) {
                (chosen.at, chosen.level) = (now, level);
                continue;
            }
            let newcomer = Chosen { track, at: now, level };
            if self.chosen.len() < most {
                self.chosen.push(newcomer);
                changed = true;
            } else if let Some(place) = self.chosen.iter_mut().min_by_key(|c| (c.at, std::cmp::Reverse(c.level)))
                && (now.micros_since(place.at) >= KEEP || level.saturating_add(LOUDER) <= place.level)
            {
                *place = newcomer;
                changed = true;
            }
        }
        changed
    }

    /// A track has ended.
    pub fn forget(&mut self, track: TrackId) {
        self.chosen.retain(|c| c.track != track);
    }

    /// Who is chosen.
    pub fn iter(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.chosen.iter().map(|c| c.track)
    }

    /// Whether a track is chosen.
    pub fn contains(&self, track: TrackId) -> bool {
        self.iter().any(|chosen| chosen == track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 2;

    fn chosen(voices: &Voices) -> Vec<u64> {
        let mut list: Vec<u64> = voices.iter().map(|t| t.0).collect();
        list.sort_unstable();
        list
    }

    #[test]
    fn who_speaks_takes_a_free_place_or_that_of_whoever_has_been_silent_for_longest() {
        let at = Time::from_millis;
        let mut voices = Voices::default();
        assert!(voices.hear(at(0), &[(TrackId(1), 30)], MOST));
        assert!(voices.hear(at(100), &[(TrackId(2), 30)], MOST));
        assert!(!voices.hear(at(500), &[(TrackId(2), 30), (TrackId(3), 31)], MOST), "both places were used lately");
        assert!(voices.hear(at(1_100), &[(TrackId(2), 30), (TrackId(3), 31)], MOST));
        assert_eq!(chosen(&voices), [2, 3]);
        voices.forget(TrackId(2));
        assert!(!voices.contains(TrackId(2)) && voices.contains(TrackId(3)));
    }

    #[test]
    fn of_too_many_who_speak_at_once_the_loudest_are_heard_and_little_changes_nothing() {
        let at = Time::from_millis;
        let mut voices = Voices::default();
        voices.hear(at(0), &[(TrackId(1), 20), (TrackId(2), 30), (TrackId(3), 31)], MOST);
        assert_eq!(chosen(&voices), [1, 2]);
        assert!(!voices.hear(at(200), &[(TrackId(1), 20), (TrackId(3), 26), (TrackId(2), 30)], MOST));
        assert!(voices.hear(at(400), &[(TrackId(1), 20), (TrackId(3), 22), (TrackId(2), 30)], MOST));
        assert_eq!(chosen(&voices), [1, 3]);
    }

    #[test]
    fn fewer_places_leave_those_who_spoke_last() {
        let mut voices = Voices::default();
        for n in 0..4 {
            voices.hear(Time::from_millis(n * 100), &[(TrackId(n), 30)], 4);
        }
        assert!(voices.hear(Time::from_millis(500), &[], MOST));
        assert_eq!(chosen(&voices), [2, 3]);
    }
}
