//! The window beside a log in memory.

use proptest::prelude::*;

use super::*;

/// What a window holds at most here.
const MOST: usize = 8;
/// Events that are read of a pass at a time.
const CHUNK: usize = 3;

fn letter(place: u64) -> Letter {
    Letter { place, id: place.to_string(), at: 1_000 + place, body: Vec::new() }
}

/// A log, a window in front of it, and what a receiver was told.
struct Bench {
    /// The room of each event; its place is one more than its index.
    log: Vec<u8>,
    read: u64,
    again: Option<u64>,
    window: Window,
    /// What is sent at present.
    sent: BTreeMap<String, u64>,
    told: BTreeMap<String, Vec<u64>>,
}

impl Bench {
    fn new(log: &[u8]) -> Self {
        let window = Window::new(MOST, &Standing::default());
        Self { log: log.to_vec(), read: 0, again: None, window, sent: BTreeMap::new(), told: BTreeMap::new() }
    }

    fn room(&self, place: u64) -> String {
        self.log[place as usize - 1].to_string()
    }

    fn send(&mut self, room: &str, letter: Option<Letter>) {
        if let Some(letter) = letter {
            assert_eq!(self.sent.insert(room.to_owned(), letter.place), None, "one event of a room is under way at a time");
        }
    }

    fn read_first(&mut self) -> bool {
        let space = self.window.space() as u64;
        let last = (self.read + space).min(self.log.len() as u64);
        for place in self.read + 1..=last {
            let room = self.room(place);
            let next = self.window.take(&room, letter(place));
            self.send(&room, next);
        }
        std::mem::replace(&mut self.read, last) < last
    }

    fn read_again(&mut self) -> bool {
        if !(self.window.passes() && self.window.has_space_again()) {
            return false;
        }
        let Some(at) = self.again else {
            self.again = self.window.begin_pass().map(|from| from - 1);
            return true;
        };
        let end = (at + CHUNK as u64).min(self.read);
        for place in at + 1..=end {
            let room = self.room(place);
            let next = self.window.take_again(&room, letter(place));
            self.send(&room, next);
        }
        self.again = Some(end);
        if end >= self.read {
            self.window.end_pass();
            self.again = None;
        }
        true
    }

    fn take(&mut self, room: &str) {
        if let Some(place) = self.sent.remove(room) {
            self.told.entry(room.to_owned()).or_default().push(place);
            let next = self.window.taken(room);
            self.send(room, next);
        }
    }

    fn restart(&mut self) {
        let standing = self.window.standing(self.read);
        let read = Standing::from_text(&standing.to_text());
        assert_eq!(read.as_ref(), Some(&standing));
        self.window = Window::new(MOST, &standing);
        (self.read, self.again) = (standing.through, None);
        self.sent.clear();
    }

    /// Everything is read and taken.
    fn finish(&mut self) {
        loop {
            let read = self.read_first() | self.read_again();
            let rooms: Vec<_> = self.sent.keys().cloned().collect();
            if !read && rooms.is_empty() {
                break;
            }
            rooms.iter().for_each(|room| self.take(room));
        }
    }

    fn all_of(&self, room: &str) -> Vec<u64> {
        (1..=self.log.len() as u64).filter(|place| self.room(*place) == room).collect()
    }
}

#[test]
fn a_room_that_takes_nothing_takes_one_place_however_much_it_has() {
    let mut bench = Bench::new(&[1; 100]);
    bench.read_first();
    bench.window.refused("1");
    while bench.read_first() {}
    assert_eq!((bench.read, bench.window.held.len(), bench.window.waiting(), bench.window.oldest()), (100, 1, 100, Some(1_001)));
    bench.log.extend([2; 20]);
    while bench.read_first() || bench.sent.contains_key("2") {
        bench.take("2");
    }
    assert_eq!(bench.window.standing(bench.read), Standing { through: 120, rooms: [("1".to_owned(), 1)].into() });
    bench.finish();
    assert_eq!(bench.told["1"], bench.all_of("1"));
    assert_eq!(bench.told["2"], bench.all_of("2"));
    assert!(bench.window.is_empty() && bench.window.held.is_empty());
}

#[test]
fn as_many_sick_rooms_as_there_are_places_keep_the_rest_on_the_disk() {
    let log: Vec<u8> = (0..20).collect();
    let mut bench = Bench::new(&log);
    while bench.read_first() {
        (0..20).for_each(|room| bench.window.refused(&room.to_string()));
    }
    assert_eq!((bench.read, bench.window.rooms.len()), (MOST as u64, MOST));
    bench.take("3");
    assert!(bench.read_first(), "whoever goes on makes a place");
    bench.finish();
    assert_eq!(bench.told.values().map(Vec::len).sum::<usize>(), 20);
}

#[test]
fn what_is_kept_is_read_as_older_programs_wrote_it() {
    assert_eq!(Standing::from_text("17\n"), Some(Standing { through: 17, rooms: BTreeMap::new() }));
    assert_eq!(Standing { through: 17, rooms: BTreeMap::new() }.to_text(), "17");
    let slow = Standing { through: 17, rooms: [("hall".to_owned(), 4)].into() };
    assert_eq!((slow.to_text().as_str(), slow.least()), (r#"{"through":17,"rooms":{"hall":4}}"#, 3));
    assert_eq!(["", "x", "{}", "-1"].map(Standing::from_text), [None, None, None, None]);
}

#[derive(Clone, Debug)]
enum Act {
    Happen(Vec<u8>),
    ReadFirst,
    ReadAgain,
    Take(u8),
    Refuse(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => prop::collection::vec(0..12u8, 1..12).prop_map(Act::Happen),
        4 => Just(Act::ReadFirst),
        4 => Just(Act::ReadAgain),
        8 => (0..12u8).prop_map(Act::Take),
        4 => (0..12u8).prop_map(Act::Refuse),
    ]
}

fn carried_out(acts: &[Act]) -> Bench {
    let mut bench = Bench::new(&[]);
    for act in acts {
        match act {
            Act::Happen(rooms) => bench.log.extend(rooms),
            Act::ReadFirst => {
                bench.read_first();
            }
            Act::ReadAgain => {
                bench.read_again();
            }
            Act::Take(room) => bench.take(&room.to_string()),
            Act::Refuse(room) => {
                if bench.sent.contains_key(&room.to_string()) {
                    bench.window.refused(&room.to_string());
                }
            }
        }
        let told: usize = bench.told.values().map(Vec::len).sum();
        assert_eq!(bench.window.waiting(), bench.read - told as u64, "each is counted once");
        assert!(bench.window.held.len() <= MOST + CHUNK, "{}", bench.window.held.len());
        assert!(bench.window.rooms.len() <= MOST + CHUNK, "{}", bench.window.rooms.len());
    }
    bench
}

proptest! {
    #[test]
    fn each_room_is_told_all_in_order_and_once(acts in prop::collection::vec(act(), 0..120)) {
        let mut bench = carried_out(&acts);
        bench.finish();
        for (room, told) in &bench.told {
            prop_assert_eq!(told, &bench.all_of(room));
        }
        let told: usize = bench.told.values().map(Vec::len).sum();
        prop_assert_eq!(told, bench.log.len());
        prop_assert!(bench.window.is_empty());
        prop_assert_eq!(bench.window.standing(bench.read), Standing { through: bench.log.len() as u64, rooms: BTreeMap::new() });
    }

    #[test]
    fn after_a_restart_nothing_is_missing_and_what_comes_again_follows_on(acts in prop::collection::vec(act(), 0..120)) {
        let mut bench = carried_out(&acts);
        let before = bench.told.clone();
        bench.restart();
        bench.told.clear();
        bench.finish();
        for room in (0..12u8).map(|room| room.to_string()) {
            let (first, then) = (before.get(&room).cloned().unwrap_or_default(), bench.told.get(&room).cloned().unwrap_or_default());
            let all = bench.all_of(&room);
            // What comes again is the end of what was told before, from some place on.
            let from = then.first().copied().unwrap_or(u64::MAX);
            let kept: Vec<u64> = first.into_iter().filter(|place| *place < from).collect();
            prop_assert_eq!([kept, then].concat(), all);
        }
    }
}
