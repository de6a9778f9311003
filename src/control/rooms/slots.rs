//! Who is in which receiving slot pair of a subscriber.
//!
//! The invariant: a group keeps its pair as long as it has anything to show or to play and the pair exists. So people
//! who come and go never move those who stay.

use super::member::Seat;
use crate::base::TrackId;
use crate::contract::MediaKind;
use crate::sdp::Pair;

/// Tracks that belong together: the camera and microphone of a member, or its shared screen and that screen's sound.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Group {
    /// Whose.
    pub seat: Seat,
    /// Whether it is the shared screen.
    pub screen: bool,
}

/// What a subscriber wants of a group, or what a pair holds of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Which group.
    pub group: Group,
    /// Its sound.
    pub audio: Option<TrackId>,
    /// Its picture.
    pub video: Option<TrackId>,
}

/// One half of a pair has to be pointed elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The pair.
    pub pair: usize,
    /// Which half.
    pub half: MediaKind,
    /// At what.
    pub source: Option<TrackId>,
}

/// The slot pairs of a subscriber.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Slots {
    pairs: Vec<Option<Shown>>,
}

impl Slots {
    /// Gives each wanted group a pair: its old one, else the lowest free one that can hold all of it, else one that can
    /// hold some of it. Returns what has changed, and how many groups found no pair. `wanted` is in the order of groups.
    pub fn fill(&mut self, wanted: &[Shown], pairs: &[Pair]) -> (Vec<Change>, usize) {
        let before = std::mem::take(&mut self.pairs);
        self.pairs = pairs.iter().enumerate().map(|(i, pair)| kept(before.get(i).copied().flatten(), wanted, pair)).collect();
        let mut staying: Vec<Group> = self.pairs.iter().flatten().map(|shown| shown.group).collect();
        staying.sort_unstable();
        let waiting = wanted.iter().filter(|shown| staying.binary_search(&shown.group).is_err());
        let mut unplaced = 0;
        for shown in waiting {
            // In a big room most find no place: once there is none left, nobody looks for one.
            let placed = unplaced == 0 || self.pairs.iter().any(Option::is_none);
            unplaced += usize::from(!(placed && self.place(*shown, pairs)));
        }
        for (pair, shown) in pairs.iter().zip(&mut self.pairs) {
            if let Some(shown) = shown {
                shown.audio = shown.audio.filter(|_| pair.audio.is_some());
                shown.video = shown.video.filter(|_| pair.video.is_some());
            }
        }
        (self.changes(&before, pairs), unplaced)
    }

    /// Gives each pair what it is pinned to, by the pair's number; returns what has changed.
    pub fn pin(&mut self, pinned: &[Option<Shown>], pairs: &[Pair]) -> Vec<Change> {
        let before = std::mem::take(&mut self.pairs);
        let shown = |(i, pair): (usize, &Pair)| {
            let shown = pinned.get(i).copied().flatten()?;
            Some(Shown { audio: shown.audio.filter(|_| pair.audio.is_some()), video: shown.video.filter(|_| pair.video.is_some()), ..shown })
        };
        self.pairs = pairs.iter().enumerate().map(shown).collect();
        self.changes(&before, pairs)
    }

    /// The filled pairs, by number.
    pub fn filled(&self) -> impl Iterator<Item = (usize, &Shown)> {
        self.pairs.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?)))
    }

    /// Whether a member is in one of them.
    pub fn hold(&self, seat: Seat) -> bool {
        self.pairs.iter().flatten().any(|shown| shown.group.seat == seat)
    }

    /// Whether one of so many pairs is free.
    pub fn has_place(&self, pairs: usize) -> bool {
        self.pairs.len() < pairs || self.pairs.iter().any(Option::is_none)
    }

    fn place(&mut self, shown: Shown, pairs: &[Pair]) -> bool {
        let free = |i: &usize| self.pairs.get(*i).is_some_and(Option::is_none);
        let place = (0..pairs.len()).find(|i| free(i) && fits(pairs.get(*i), &shown).all());
        let place = place.or_else(|| (0..pairs.len()).find(|i| free(i) && fits(pairs.get(*i), &shown).any()));
        match place.and_then(|i| self.pairs.get_mut(i)) {
            Some(pair) => {
                *pair = Some(shown);
                true
            }
            None => false,
        }
    }

    /// A half whose m-line is gone is not mentioned: there is nothing left to point.
    fn changes(&self, before: &[Option<Shown>], pairs: &[Pair]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (i, (pair, now)) in pairs.iter().zip(&self.pairs).enumerate() {
            let old = before.get(i).copied().flatten();
            let halves = [
                (MediaKind::Audio, pair.audio, old.and_then(|s| s.audio), now.and_then(|s| s.audio)),
                (MediaKind::Video, pair.video, old.and_then(|s| s.video), now.and_then(|s| s.video)),
            ];
            for (half, mline, old, now) in halves {
                if mline.is_some() && old != now {
                    changes.push(Change { pair: i, half, source: now });
                }
            }
        }
        changes
    }
}

/// What a pair goes on holding: its group as it is wanted now, if it is, and if the pair can hold any of it.
fn kept(old: Option<Shown>, wanted: &[Shown], pair: &Pair) -> Option<Shown> {
    let group = old?.group;
    let shown = wanted.get(wanted.binary_search_by_key(&group, |w| w.group).ok()?)?;
    fits(Some(pair), shown).any().then_some(*shown)
}

/// Which of a group's tracks a pair can hold.
struct Fit {
    wanted: [bool; 2],
    possible: [bool; 2],
}

fn fits(pair: Option<&Pair>, shown: &Shown) -> Fit {
    let possible = pair.map_or([false; 2], |p| [p.audio.is_some(), p.video.is_some()]);
    Fit { wanted: [shown.audio.is_some(), shown.video.is_some()], possible }
}

impl Fit {
    fn all(&self) -> bool {
        self.wanted.iter().zip(self.possible).all(|(wanted, possible)| possible || !wanted)
    }

    fn any(&self) -> bool {
        self.wanted.iter().zip(self.possible).any(|(wanted, possible)| possible && *wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contract::Mid;
    use crate::sdp::MlineRef;

    fn pairs(n: u8) -> Vec<Pair> {
        let mline = |index| Some(MlineRef { index, mid: Mid::new(&index.to_string()).expect("a mid") });
        (0..n).map(|i| Pair { audio: mline(i * 2), video: mline(i * 2 + 1) }).collect()
    }

    fn camera(seat: u32) -> Shown {
        let track = u64::from(seat) * 10;
        Shown { group: Group { seat: Seat(seat), screen: false }, audio: Some(TrackId(track)), video: Some(TrackId(track + 1)) }
    }

    fn who(slots: &Slots) -> Vec<(usize, u32)> {
        slots.filled().map(|(i, s)| (i, s.group.seat.0)).collect()
    }

    #[test]
    fn those_who_stay_keep_their_pairs_and_newcomers_take_the_lowest_free_one() {
        let (mut slots, pairs) = (Slots::default(), pairs(4));
        slots.fill(&[camera(1), camera(2), camera(3)], &pairs);
        assert_eq!(who(&slots), [(0, 1), (1, 2), (2, 3)]);
        slots.fill(&[camera(2), camera(3)], &pairs);
        assert_eq!(who(&slots), [(1, 2), (2, 3)]);
        let (changes, unplaced) = slots.fill(&[camera(2), camera(3), camera(4)], &pairs);
        assert_eq!(who(&slots), [(0, 4), (1, 2), (2, 3)]);
        assert_eq!((changes.len(), unplaced), (2, 0));
    }

    #[test]
    fn a_track_that_changes_inside_a_pair_points_only_its_half() {
        let (mut slots, pairs) = (Slots::default(), pairs(2));
        slots.fill(&[camera(1)], &pairs);
        let (changes, _) = slots.fill(&[Shown { video: Some(TrackId(99)), ..camera(1) }], &pairs);
        assert_eq!(changes, [Change { pair: 0, half: MediaKind::Video, source: Some(TrackId(99)) }]);
        let (changes, _) = slots.fill(&[Shown { video: None, ..camera(1) }], &pairs);
        assert_eq!(changes, [Change { pair: 0, half: MediaKind::Video, source: None }]);
    }

    #[test]
    fn the_same_wish_twice_changes_nothing() {
        let (mut slots, pairs) = (Slots::default(), pairs(2));
        slots.fill(&[camera(1), camera(2), camera(3)], &pairs);
        assert_eq!(slots.fill(&[camera(1), camera(2), camera(3)], &pairs), (vec![], 1));
    }

    #[test]
    fn a_group_goes_where_all_of_it_fits() {
        let mut pairs = pairs(2);
        pairs[0].video = None;
        let mut slots = Slots::default();
        slots.fill(&[camera(1)], &pairs);
        assert_eq!(who(&slots), [(1, 1)]);
        slots.fill(&[camera(1), camera(2)], &pairs);
        assert_eq!(slots.filled().next().map(|(_, s)| s.video), Some(None), "what does not fit is left out");
    }

    #[test]
    fn a_pair_that_is_gone_lets_its_group_move() {
        let mut slots = Slots::default();
        slots.fill(&[camera(1), camera(2)], &pairs(2));
        let (_, unplaced) = slots.fill(&[camera(1), camera(2)], &pairs(1));
        assert_eq!((who(&slots), unplaced), (vec![(0, 1)], 1));
        let (changes, _) = slots.fill(&[camera(1), camera(2)], &pairs(3));
        assert_eq!((who(&slots), changes.len()), (vec![(0, 1), (1, 2)], 2));
    }

    proptest! {
        #[test]
        fn nobody_who_stays_moves_and_changes_lead_from_the_old_to_the_new(steps in proptest::collection::vec(proptest::collection::btree_set(0u32..12, 0..10), 1..30)) {
            let (mut slots, pairs) = (Slots::default(), pairs(6));
            let mut pointed: Vec<[Option<TrackId>; 2]> = vec![[None; 2]; 6];
            for members in steps {
                let before = slots.clone();
                let wanted: Vec<Shown> = members.iter().copied().map(camera).collect();
                let (changes, unplaced) = slots.fill(&wanted, &pairs);
                for (i, shown) in before.filled().filter(|(_, s)| members.contains(&s.group.seat.0)) {
                    prop_assert!(slots.filled().any(|(j, s)| i == j && s.group == shown.group));
                }
                for c in changes {
                    pointed[c.pair][usize::from(c.half == MediaKind::Video)] = c.source;
                }
                let shown: Vec<_> = (0..6).map(|i| slots.filled().find(|(j, _)| i == *j).map_or([None; 2], |(_, s)| [s.audio, s.video])).collect();
                prop_assert_eq!(&pointed, &shown);
                prop_assert_eq!(unplaced, members.len().saturating_sub(6));
            }
        }
    }
}
