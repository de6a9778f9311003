//! The log and what is delivered from it, on a real disk and by real HTTP.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::config::{EventSettings, WebhookConfig, WebhookSettings};
use crate::metrics::Metrics;
use crate::wire::MemberId;

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("althing-events-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> (Events, Metrics) {
        self.open_with(|_| ())
    }

    fn open_with(&self, change: impl FnOnce(&mut EventsConfig)) -> (Events, Metrics) {
        let metrics = Metrics::new(Vec::new()).expect("metrics");
        let mut config = config(&self.0);
        change(&mut config);
        // The log of a node that has just ended is let go of when its thread has.
        for _ in 0..500 {
            match Events::open(&config, metrics.events.clone()) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(Duration::from_millis(10)),
                other => return (other.expect("opened"), metrics),
            }
        }
        panic!("the folder stays locked");
    }

    /// Waits until the log that was open here has ended: its thread may say once more that it lives.
    fn ended(&self) {
        std::fs::File::open(self.0.join(".lock")).and_then(|lock| lock.lock()).expect("let go of");
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "events")).collect();
        segments.sort();
        segments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(folder: &Path) -> EventsConfig {
    let settings = EventSettings { enabled: true, folder: folder.into(), node: "node-1".into(), ..EventSettings::default() };
    settings.check(&WebhookSettings::default()).expect("it can work").expect("it is on")
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).expect("a name")
}

fn joined(visit: u32) -> What {
    What::MemberJoined { visit, member: MemberId(format!("m{visit}")), name: "M".into() }
}

fn all(events: &Events) -> Vec<Event> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = events.page(after, None, 100_000).expect("read");
        all.extend(page.events.iter().map(|json| serde_json::from_slice::<Event>(json).expect("an event")));
        after = page.after;
        if !page.more {
            return all;
        }
    }
}

fn metric(metrics: &Metrics, name: &str) -> String {
    let text = metrics.text().expect("text");
    text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}")).to_owned()
}

#[test]
fn an_event_is_written_as_it_is_documented() {
    let event = Event {
        id: "evt_a1b2c3d4e5f6_7".into(),
        what: What::MemberLeft { visit: 2, member: MemberId("alice".into()), reason: Reason::NodeLost, seconds: 12.5 },
        at: 1_700_000_000_000,
        node: "node-1".into(),
        room: "standup".into(),
        session: "0011223344556677".into(),
        seq: 3,
    };
    let json = serde_json::to_string(&event).expect("JSON");
    assert_eq!(
        json,
        r#"{"id":"evt_a1b2c3d4e5f6_7","type":"member.left","data":{"visit":2,"member":"alice","reason":"node_lost","seconds":12.5},"at":1700000000000,"node":"node-1","room":"standup","session":"0011223344556677","seq":3}"#
    );
    assert_eq!(serde_json::from_str::<Event>(&json).expect("read"), event);
}

#[tokio::test]
async fn what_is_written_is_read_in_order_and_by_room_from_any_place() {
    let folder = Folder::new();
    let (events, _) = folder.open();
    let mut books: Vec<Book> = ["a", "b"].iter().map(|name| events.book(room(name))).collect();
    books.iter_mut().for_each(|book| book.write(What::RoomCreated {}));
    for visit in 1..=500 {
        books.iter_mut().for_each(|book| book.write(joined(visit)));
    }
    events.flush().await;
    let read = all(&events);
    assert_eq!(read.len(), 1_002);
    let ids: std::collections::BTreeSet<_> = read.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), 1_002, "each has its own identity");
    for name in ["a", "b"] {
        let numbers: Vec<u64> = read.iter().filter(|event| event.room == name).map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=501).collect::<Vec<_>>());
    }
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let page = events.page(after, Some("b"), 100).expect("read");
        seqs.extend(page.events.iter().map(|json| serde_json::from_slice::<Event>(json).expect("an event").seq));
        after = page.after;
        if !page.more {
            break;
        }
    }
    assert_eq!(seqs, (1..=501).collect::<Vec<_>>());
    assert_eq!(events.page(1_000, None, 100).expect("read").events.len(), 2);
    assert_eq!(events.page(u64::MAX, None, 100).expect("read"), Page { events: vec![], after: 1_002, more: false });
}

#[tokio::test]
async fn what_a_lost_node_had_open_is_closed_by_the_next_one_with_the_numbers_that_follow() {
    let folder = Folder::new();
    {
        let (events, _) = folder.open();
        let mut book = events.book(room("a"));
        book.write(What::RoomCreated {});
        book.write(joined(1));
        book.write(joined(2));
        let track = crate::wire::TrackNumber(9);
        let (visit, member, kind, source) = (2, MemberId("m2".into()), Kind::Video, crate::wire::Source::Camera);
        book.write(What::TrackPublished { visit, member, track, kind, source });
        book.write(What::RecordingStarted { recording: "r".into(), by: MemberId("m1".into()) });
        book.write(What::MemberLeft { visit: 1, member: MemberId("m1".into()), reason: Reason::Left, seconds: 0.0 });
        let mut over = events.book(room("over"));
        over.write(What::RoomCreated {});
        over.write(What::RoomClosed { reason: Reason::Empty, seconds: 1.0 });
        events.flush().await;
    }
    let now = u64::try_from(unix_time().as_millis()).expect("small");
    for _ in 0..2 {
        folder.ended();
        // The last sign of life came five seconds later.
        std::fs::write(folder.0.join("alive"), (now + 5_000).to_string()).expect("written");
        let (events, _) = folder.open();
        let read = all(&events);
        let of_room: Vec<&Event> = read.iter().filter(|event| event.room == "a").collect();
        assert_eq!(of_room.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>(), "said once");
        assert!(of_room.iter().all(|event| event.session == of_room[0].session));
        let said = &of_room[6..];
        assert!(matches!(&said[0].what, What::TrackEnded { visit: 2, muted_seconds: None, seconds, .. } if (4.0..7.0).contains(seconds)));
        assert!(matches!(&said[1].what, What::MemberLeft { visit: 2, reason: Reason::NodeLost, seconds, .. } if (4.0..7.0).contains(seconds)));
        assert!(matches!(&said[2].what, What::RecordingFailed { reason: Reason::NodeLost, .. }));
        assert!(matches!(&said[3].what, What::RoomClosed { reason: Reason::NodeLost, .. }));
        assert_eq!(said[3].at, now + 5_000);
        assert_eq!(read.iter().filter(|event| event.room == "over").count(), 2, "what had ended is not closed again");
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_it_is_torn_and_the_log_goes_on() {
    let folder = Folder::new();
    {
        let (events, _) = folder.open();
        let mut book = events.book(room("a"));
        book.write(What::RoomCreated {});
        book.write(joined(1));
        book.write(What::RoomClosed { reason: Reason::Empty, seconds: 1.0 });
        events.flush().await;
    }
    let [path] = &folder.segments()[..] else { panic!("one segment") };
    let whole = std::fs::read(path).expect("read");
    let head = {
        let segment::Next::Frame(_, end) = segment::next(&whole, 0) else { panic!("a head") };
        end
    };
    // Before the last event's end, and in the head.
    for cut in [whole.len() - 1, whole.len() - 40, head + 3, head, head - 1, 5, 0] {
        std::fs::write(path, &whole[..cut]).expect("written");
        let _ = folder.segments().iter().filter(|other| *other != path).try_for_each(std::fs::remove_file);
        let (events, _) = folder.open();
        let cut_off = std::fs::read(path).unwrap_or_default();
        let mut offset = 0;
        while let segment::Next::Frame(_, end) = segment::next(&cut_off, offset) {
            offset = end;
        }
        assert_eq!(offset, cut_off.len(), "what is torn is gone");
        let before = all(&events);
        assert!(before.windows(2).all(|two| two[1].seq == two[0].seq + 1), "{before:?}");
        let mut book = events.book(room("next"));
        book.write(What::RoomCreated {});
        book.write(What::RoomClosed { reason: Reason::Empty, seconds: 1.0 });
        events.flush().await;
        let after = all(&events);
        assert_eq!(after.len(), before.len() + 2, "cut at {cut}");
        assert_eq!(after[before.len()].room, "next");
    }
}

#[tokio::test]
async fn a_disk_that_refuses_is_an_alarm_and_nothing_is_lost_when_it_takes_again() {
    let folder = Folder::new();
    let (events, metrics) = folder.open();
    let mut book = events.book(room("a"));
    // The folder is gone: a segment cannot be begun.
    let away = folder.0.with_extension("away");
    std::fs::rename(&folder.0, &away).expect("moved");
    book.write(What::RoomCreated {});
    book.write(joined(1));
    for _ in 0..500 {
        if metric(&metrics, "althing_event_log_refuses") == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metric(&metrics, "althing_event_log_refuses"), "1");
    assert_eq!(all(&events), []);
    book.write(joined(2));
    std::fs::rename(&away, &folder.0).expect("moved back");
    events.flush().await;
    assert_eq!(all(&events).iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(metric(&metrics, "althing_event_log_refuses"), "0");
    assert_eq!(metric(&metrics, "althing_events_lost_total{reason=\"queue\"}"), "0");
}

#[tokio::test]
async fn what_is_too_much_goes_from_the_oldest_and_what_is_open_is_known_without_it() {
    let folder = Folder::new();
    let (events, metrics) = folder.open_with(|config| config.keep_bytes = 12 << 20);
    let mut long = events.book(room("long"));
    long.write(What::RoomCreated {});
    let mut book = events.book(room("busy"));
    book.write(What::RoomCreated {});
    let name = "n".repeat(1_000);
    for round in 0..40 {
        for visit in 0..500 {
            book.write(What::MemberJoined { visit: round * 500 + visit, member: MemberId("m".into()), name: name.clone() });
            book.write(What::MemberLeft { visit: round * 500 + visit, member: MemberId("m".into()), reason: Reason::Left, seconds: 1.0 });
        }
        events.flush().await;
    }
    let bytes: u64 = folder.segments().iter().map(|path| std::fs::metadata(path).expect("a file").len()).sum();
    assert!(bytes < 18 << 20, "{bytes}");
    assert_eq!(metric(&metrics, "althing_events_lost_total{reason=\"space\"}"), "0", "nobody was to be told them");
    let oldest = serde_json::from_slice::<Event>(&events.page(0, None, 1).expect("read").events[0]).expect("an event");
    assert!(oldest.seq > 1_000, "the oldest are gone: {}", oldest.seq);
    drop((events, book, long));
    let (events, _) = folder.open();
    let last: Vec<Event> = all(&events).into_iter().rev().take(2).collect();
    assert!(last.iter().all(|event| matches!(event.what, What::RoomClosed { reason: Reason::NodeLost, .. })), "{last:?}");
    assert!(last.iter().any(|event| event.room == "long" && event.seq == 2));
}

#[test]
fn a_folder_is_one_nodes() {
    let folder = Folder::new();
    let (_events, metrics) = folder.open();
    let refused = Events::open(&config(&folder.0), metrics.events.clone()).err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ResourceBusy));
}

mod delivery;
