//! What a player by HTTP is shown: each of its slot pairs is one member's for the life of the session, or follows who speaks, or who shares a
//! screen.

use std::cmp::Reverse;

use super::member::{Member, Seat};
use super::room::Room;
use super::slots::{Group, Shown};
use crate::base::TrackId;
use crate::wire::MemberId;

/// What a slot pair of a player shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pin {
    /// One member, whether it is there or not.
    Member {
        /// Who.
        member: MemberId,
        /// What it shares, and not its microphone and camera.
        screen: bool,
    },
    /// Whoever speaks, and is not named in another pair. Who is shown stays until another speaks while it is silent.
    Speaker,
    /// A screen that somebody shares, and that is not named in another pair, until it is shared no more.
    Screen,
}

impl Pin {
    /// Microphone and camera of a member.
    pub fn member(member: MemberId) -> Self {
        Self::Member { member, screen: false }
    }

    /// Whether it is a member's own.
    pub fn is_of(&self, who: &MemberId) -> bool {
        matches!(self, Self::Member { member, .. } if member == who)
    }
}

/// Which pairs follow the same rule, and what they may show.
struct Rule<'a> {
    pairs: Vec<usize>,
    all: Vec<Shown>,
    own: &'a Member,
}

impl Room {
    /// What each slot pair of a member by HTTP shows; `None` when the member's slots are not pinned. `groups` are ordered.
    pub(super) fn pinned(&self, seat: Seat, groups: &[Shown]) -> Option<Vec<Option<Shown>>> {
        let own = self.members.get(&seat)?;
        let pins = own.http.as_ref()?.pins();
        let keep = |track: Option<TrackId>| track.filter(|track| self.is_for(own, *track));
        let kept = |all: &Shown| {
            let shown = Shown { audio: keep(all.audio), video: keep(all.video), ..*all };
            (shown.audio.is_some() || shown.video.is_some()).then_some(shown)
        };
        let named = |pin: &Pin| match pin {
            Pin::Member { member, screen } => Some(Group { seat: *self.identities.get(member)?, screen: *screen }),
            Pin::Speaker | Pin::Screen => None,
        };
        let of_group = |group: Group| kept(groups.get(groups.binary_search_by_key(&group, |g| g.group).ok()?)?);
        let mut shown: Vec<Option<Shown>> = pins.iter().map(|pin| of_group(named(pin)?)).collect();
        // A pair that the offer did not have shows nobody: who should be seen is in one that it has.
        let have = own.connection.as_ref().map_or(0, |c| c.pairs.len());
        for (rule, screen) in [(Pin::Speaker, false), (Pin::Screen, true)] {
            let pairs: Vec<usize> = (0..pins.len().min(have)).filter(|i| pins.get(*i) == Some(&rule)).collect();
            if pairs.is_empty() {
                continue;
            }
            let free = |g: &&Shown| g.group.screen == screen && !pins.iter().any(|pin| named(pin) == Some(g.group));
            let all = groups.iter().filter(free).filter_map(kept).collect();
            for (pair, who) in self.by_rule(Rule { pairs, all, own }) {
                if let Some(place) = shown.get_mut(pair) {
                    *place = Some(who);
                }
            }
        }
        Some(shown)
    }

    /// Those who speak come first, then who is shown already, then who spoke last; whoever stays keeps its pair.
    fn by_rule(&self, Rule { pairs, mut all, own }: Rule<'_>) -> Vec<(usize, Shown)> {
        let held = |pair: usize| own.slots.filled().find(|(i, _)| *i == pair).map(|(_, shown)| shown.group);
        let is_held = |group: Group| pairs.iter().any(|pair| held(*pair) == Some(group));
        let speaks = |group: Group| !group.screen && self.speakers.contains(&group.seat);
        all.sort_by_key(|s| Reverse((speaks(s.group), is_held(s.group), self.choice.turn(s.group.seat))));
        all.truncate(pairs.len());
        let mut newcomers = all.iter().filter(|s| !is_held(s.group));
        let place = |pair: usize| Some((pair, *all.iter().find(|s| held(pair) == Some(s.group)).or_else(|| newcomers.next())?));
        pairs.iter().copied().filter_map(place).collect()
    }
}
