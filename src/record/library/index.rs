//! What there is, by room and by time: as much of each manifest as finding needs. Rebuilt from the manifests at each start.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::manifest::{Kind, Manifest, State};

/// Where something stands among others: when it began, then its identity.
pub type Place = (u64, String);

/// What is known of something without its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The room's name.
    pub room: String,
    /// What it is.
    pub kind: Kind,
    /// When it began: milliseconds since the Unix epoch.
    pub began: u64,
    /// When it ended; none while it goes on.
    pub ended: Option<u64>,
    /// Bytes of its files, as far as they are complete.
    pub bytes: u64,
    /// How far it is.
    pub state: State,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    entries: BTreeMap<String, Entry>,
    rooms: BTreeMap<String, OfRoom>,
    ages: BTreeSet<Place>,
    bytes: u64,
    uploaded: u64,
}

/// What there is of a room.
#[derive(Debug, Default)]
struct OfRoom {
    places: BTreeSet<Place>,
    bytes: u64,
}

impl Entry {
    fn of(manifest: &Manifest) -> Self {
        Self {
            room: manifest.room.clone(),
            kind: manifest.kind,
            began: manifest.began,
            ended: manifest.ended,
            bytes: manifest.bytes(),
            state: manifest.state,
        }
    }

    /// Whether it is still being recorded.
    pub fn goes_on(&self) -> bool {
        self.state == State::Recording
    }
}

impl Index {
    /// Takes in a manifest, new or changed.
    pub fn put(&mut self, manifest: &Manifest) {
        self.remove(&manifest.id);
        let entry = Entry::of(manifest);
        let place = (entry.began, manifest.id.clone());
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.uploaded = self.uploaded.saturating_add(entry.uploaded());
        let room = self.rooms.entry(entry.room.clone()).or_default();
        room.places.insert(place.clone());
        room.bytes = room.bytes.saturating_add(entry.bytes);
        self.ages.insert(place);
        self.entries.insert(manifest.id.clone(), entry);
    }

    /// Forgets something.
    pub fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        let place = (entry.began, id.to_owned());
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.uploaded = self.uploaded.saturating_sub(entry.uploaded());
        self.ages.remove(&place);
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            room.places.remove(&place);
            room.bytes = room.bytes.saturating_sub(entry.bytes);
            if room.places.is_empty() {
                self.rooms.remove(&entry.room);
            }
        }
        Some(entry)
    }

    /// What is known of something.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The newest of a room that are older than `after`, of one kind or of all, newest first.
    pub fn page(&self, room: &str, kind: Option<Kind>, after: Option<&Place>, limit: usize) -> Vec<Place> {
        let Some(OfRoom { places, .. }) = self.rooms.get(room) else { return Vec::new() };
        let wanted = |place: &&Place| kind.is_none_or(|kind| self.entries.get(&place.1).is_some_and(|entry| entry.kind == kind));
        match after {
            Some(after) => places.range(..after.clone()).rev().filter(wanted).take(limit).cloned().collect(),
            None => places.iter().rev().filter(wanted).take(limit).cloned().collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all files that are complete.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the files of a room that are complete.
    pub fn bytes_of(&self, room: &str) -> u64 {
        self.rooms.get(room).map_or(0, |room| room.bytes)
    }

    /// Bytes of what members have added.
    pub const fn uploaded(&self) -> u64 {
        self.uploaded
    }

    /// What is to go: whatever ended before `before`, and the oldest of the rest until it takes no more than `most` bytes. Never what goes on.
    pub fn surplus(&self, before: Option<u64>, most: Option<u64>) -> Vec<String> {
        let (mut left, mut gone) = (self.bytes, Vec::new());
        for (_, id) in &self.ages {
            let Some(entry) = self.entries.get(id).filter(|entry| !entry.goes_on()) else { continue };
            let too_old = before.is_some_and(|before| entry.ended.unwrap_or(entry.began) < before);
            let too_much = most.is_some_and(|most| left > most);
            if too_old || too_much {
                left = left.saturating_sub(entry.bytes);
                gone.push(id.clone());
            }
        }
        gone
    }
}

impl Entry {
    fn uploaded(&self) -> u64 {
        if self.kind == Kind::Recording { 0 } else { self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::manifest::tests::recording;

    fn index(of: &[(&str, &str, u64, u64)]) -> Index {
        let mut index = Index::default();
        for (id, room, began, bytes) in of {
            index.put(&recording(id, room, *began, *bytes));
        }
        index
    }

    fn ids(places: Vec<Place>) -> Vec<String> {
        places.into_iter().map(|(_, id)| id).collect()
    }

    #[test]
    fn a_room_is_listed_newest_first_and_page_by_page() {
        let index = index(&[("a", "hall", 10, 1), ("b", "hall", 30, 1), ("c", "attic", 20, 1), ("d", "hall", 10, 1)]);
        let first = index.page("hall", None, None, 2);
        assert_eq!(ids(first.clone()), ["b", "d"]);
        assert_eq!(ids(index.page("hall", None, first.last(), 2)), ["a"], "of two that began at once neither is lost");
        assert_eq!(ids(index.page("hall", Some(Kind::Screenshot), None, 2)), [""; 0]);
        assert_eq!(ids(index.page("cellar", None, None, 2)), [""; 0]);
    }

    #[test]
    fn what_changes_is_counted_once_and_what_goes_leaves_nothing() {
        let mut index = index(&[("a", "hall", 10, 5)]);
        index.put(&recording("a", "hall", 10, 7));
        assert_eq!((index.len(), index.bytes(), index.bytes_of("hall"), index.bytes_of("attic")), (1, 7, 7, 0));
        assert!(index.remove("a").is_some() && index.remove("a").is_none());
        assert_eq!((index.len(), index.bytes(), index.rooms.len(), index.ages.len()), (0, 0, 0, 0));
    }

    #[test]
    fn the_oldest_goes_first_and_never_what_goes_on() {
        let mut index = index(&[("new", "hall", 3_000, 10), ("old", "attic", 1_000, 10), ("older", "hall", 500, 10)]);
        let mut running = recording("running", "hall", 1, 0);
        (running.state, running.ended) = (State::Recording, None);
        index.put(&running);
        assert_eq!(index.surplus(None, None), [""; 0]);
        assert_eq!(index.surplus(None, Some(30)), [""; 0]);
        assert_eq!(index.surplus(None, Some(29)), ["older"]);
        assert_eq!(index.surplus(None, Some(5)), ["older", "old", "new"]);
        // Each lasts a second.
        assert_eq!(index.surplus(Some(2_000), None), ["older"]);
        assert_eq!(index.surplus(Some(2_001), None), ["older", "old"]);
        assert_eq!(index.surplus(Some(2_000), Some(15)), ["older", "old"]);
    }
}
