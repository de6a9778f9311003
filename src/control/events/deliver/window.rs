//! What a receiver is told next: the events that are held in memory, by room. Pure.
//!
//! ```text
//! log ──take──► a room's letters ──► under way ──taken──► the next one
//!      ╲                 │ refused, and there is no space: given back
//!       ╲ while behind   ▼
//!        ╲──────────► behind ──the log is read again──► letters
//! ```
//!
//! A room whose event was refused holds that one alone when space is needed: its others stay on the disk. They are read again, in a *pass* from
//! where the first room that may go on stands to where the log is read for the first time. So a sick room takes one place, however many events it has.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Rooms that are kept with a place of their own: what was delivered of others is not delivered again after a restart because of them.
const SLOW_ROOMS: usize = 64;

/// Events that are read and not delivered yet, each room's in its order.
pub(super) struct Window {
    /// Events that are held at a time, and rooms that are known.
    most: usize,
    /// Place → when it happened, in milliseconds since the Unix epoch.
    held: BTreeMap<u64, u64>,
    rooms: BTreeMap<String, Room>,
    /// The log is being read again.
    passing: bool,
}

#[derive(Default)]
struct Room {
    under_way: Option<u64>,
    /// What is under way was refused, and waits for its next attempt.
    sick: bool,
    letters: VecDeque<Letter>,
    behind: Option<Behind>,
}

/// A room's events from a place on that are on the disk alone.
struct Behind {
    from: u64,
    /// As many as are known of.
    events: u64,
    /// The pass has found all of them so far.
    followed: bool,
}

/// An event, as it is sent.
pub(super) struct Letter {
    pub(super) place: u64,
    pub(super) id: String,
    pub(super) at: u64,
    pub(super) body: Vec<u8>,
}

/// Where a receiver is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Standing {
    /// Everything up to there was delivered,
    pub(super) through: u64,
    /// but of these rooms from there on.
    pub(super) rooms: BTreeMap<String, u64>,
}

impl Window {
    /// Of a receiver that stands there.
    pub(super) fn new(most: usize, standing: &Standing) -> Self {
        let behind = |from: &u64| Room { behind: Some(Behind { from: *from, events: 0, followed: false }), ..Room::default() };
        let rooms = standing.rooms.iter().filter(|(_, from)| **from <= standing.through).map(|(room, from)| (room.clone(), behind(from)));
        Self { most, held: BTreeMap::new(), rooms: rooms.collect(), passing: false }
    }

    /// How many more can be taken from the log; rooms that wait for an attempt give back what they hold, where that makes space.
    pub(super) fn space(&mut self) -> usize {
        if self.held.len() >= self.most {
            self.give_back();
        }
        self.most.saturating_sub(self.held.len().max(self.rooms.len()))
    }

    /// Whether more can be taken from a pass; as above.
    pub(super) fn has_space_again(&mut self) -> bool {
        if self.held.len() >= self.most {
            self.give_back();
        }
        self.held.len() < self.most
    }

    /// Takes an event that is read for the first time. What is returned is to be sent.
    pub(super) fn take(&mut self, room: &str, letter: Letter) -> Option<Letter> {
        match self.room(room) {
            Room { behind: Some(behind), .. } => {
                behind.events += 1;
                None
            }
            _ => self.hold(room, letter),
        }
    }

    /// Takes an event that is read again, if its room has waited for it. What is returned is to be sent.
    pub(super) fn take_again(&mut self, room: &str, letter: Letter) -> Option<Letter> {
        let behind = self.rooms.get_mut(room)?.behind.as_mut().filter(|behind| behind.followed && behind.from <= letter.place)?;
        behind.from = letter.place + 1;
        behind.events = behind.events.saturating_sub(1);
        self.hold(room, letter)
    }

    fn hold(&mut self, room: &str, letter: Letter) -> Option<Letter> {
        self.held.insert(letter.place, letter.at);
        let room = self.room(room);
        if room.under_way.is_some() {
            room.letters.push_back(letter);
            return None;
        }
        room.under_way = Some(letter.place);
        Some(letter)
    }

    fn room(&mut self, name: &str) -> &mut Room {
        self.rooms.entry(name.to_owned()).or_default()
    }

    /// What is under way in a room was refused.
    pub(super) fn refused(&mut self, room: &str) {
        if let Some(room) = self.rooms.get_mut(room) {
            room.sick = true;
        }
    }

    /// What is under way in a room was taken, or is given up. What is returned is to be sent.
    pub(super) fn taken(&mut self, name: &str) -> Option<Letter> {
        let room = self.rooms.get_mut(name)?;
        room.sick = false;
        if let Some(place) = room.under_way.take() {
            self.held.remove(&place);
        }
        let next = room.letters.pop_front();
        room.under_way = next.as_ref().map(|letter| letter.place);
        if room.under_way.is_none() && room.behind.is_none() {
            self.rooms.remove(name);
        }
        next
    }

    /// Rooms that wait for an attempt hold no more than what they try.
    fn give_back(&mut self) {
        for room in self.rooms.values_mut().filter(|room| room.sick && !room.letters.is_empty()) {
            let before = room.behind.as_ref().map_or(0, |behind| behind.events);
            let Some(from) = room.letters.front().map(|letter| letter.place) else { continue };
            room.behind = Some(Behind { from, events: before + room.letters.len() as u64, followed: false });
            for letter in room.letters.drain(..) {
                self.held.remove(&letter.place);
            }
        }
    }

    /// Whether the log is to be read again, or is being.
    pub(super) fn passes(&self) -> bool {
        self.passing || self.rooms.values().any(Room::may_go_on)
    }

    /// Begins a pass, where one is needed: the place that it begins with.
    pub(super) fn begin_pass(&mut self) -> Option<u64> {
        let from = self.rooms.values().filter(|room| room.may_go_on()).filter_map(|room| room.behind.as_ref()).map(|behind| behind.from).min()?;
        for room in self.rooms.values_mut().filter(|room| room.may_go_on()) {
            room.behind.iter_mut().for_each(|behind| behind.followed = true);
        }
        self.passing = true;
        Some(from)
    }

    /// The pass is where the log is read for the first time.
    pub(super) fn end_pass(&mut self) {
        self.passing = false;
        self.rooms.retain(|_, room| {
            room.behind.take_if(|behind| behind.followed);
            room.under_way.is_some() || room.behind.is_some()
        });
    }

    /// Where the receiver is, when the log was read up to there.
    pub(super) fn standing(&self, read: u64) -> Standing {
        let mut slow: Vec<(u64, &str)> =
            self.rooms.iter().filter(|(_, room)| room.is_slow()).filter_map(|(name, room)| Some((room.first()?, &**name))).collect();
        slow.sort_unstable();
        slow.truncate(SLOW_ROOMS);
        let rooms: BTreeMap<String, u64> = slow.into_iter().map(|(place, room)| (room.to_owned(), place)).collect();
        let others = self.rooms.iter().filter(|(name, _)| !rooms.contains_key(*name)).filter_map(|(_, room)| room.first());
        let through = others.min().map_or(read, |first| first - 1);
        Standing { through, rooms: rooms.into_iter().filter(|(_, from)| *from <= through).collect() }
    }

    /// Events that are read and not delivered.
    pub(super) fn waiting(&self) -> u64 {
        self.held.len() as u64 + self.rooms.values().filter_map(|room| room.behind.as_ref()).map(|behind| behind.events).sum::<u64>()
    }

    /// When the oldest of them happened that is known of.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.held.values().min().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

impl Room {
    /// The place of the first that was not delivered.
    fn first(&self) -> Option<u64> {
        self.under_way.or(self.behind.as_ref().map(|behind| behind.from))
    }

    fn is_slow(&self) -> bool {
        self.sick || self.behind.is_some()
    }

    /// What it has on the disk can be read again now.
    fn may_go_on(&self) -> bool {
        !self.sick && self.behind.as_ref().is_some_and(|behind| !behind.followed)
    }
}

impl Standing {
    /// Everything before was delivered, of all rooms.
    pub(super) fn least(&self) -> u64 {
        self.rooms.values().map(|from| from - 1).min().map_or(self.through, |least| least.min(self.through))
    }

    /// As it is kept: a number alone where no room is slow.
    pub(super) fn to_text(&self) -> String {
        let kept =
            if self.rooms.is_empty() { Written::Through(self.through) } else { Written::Whole { through: self.through, rooms: self.rooms.clone() } };
        serde_json::to_string(&kept).unwrap_or_default()
    }

    /// Reads it.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        Some(match serde_json::from_str(text.trim()).ok()? {
            Written::Through(through) => Self { through, rooms: BTreeMap::new() },
            Written::Whole { through, rooms } => Self { through, rooms: rooms.into_iter().filter(|(_, from)| *from > 0).collect() },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Through(u64),
    Whole { through: u64, rooms: BTreeMap<String, u64> },
}

#[cfg(test)]
mod tests;
