//! Recordings by a real node, of real connections: what is in the files, what a crash leaves, what a full disk does.

mod client;
#[path = "client/folder.rs"]
mod folder;
mod nodes;
#[path = "nodes/process.rs"]
mod process;
#[path = "client/witness.rs"]
mod witness;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use althing::node::Node;
use althing::record::file::Container;
use althing::record::manifest::{FileState, Manifest, State};
use althing::record::repair::scan;
use althing::wire::{RecordingPause, Request};
use client::{Kind, Participant, Phase, Settings};
use folder::Folder;
use nodes::HERE;
use process::Process;
use tokio::sync::watch;
use tokio::time::sleep;
use witness::Witness;

async fn node(folder: &Path) -> Node {
    nodes::start(|config| {
        // Each on a worker of its own, with a recorder thread of its own.
        (config.media.workers, config.media.spread_from) = (2, 1);
        config.recording = Some(nodes::recording(folder));
    })
    .await
}

async fn join(http: SocketAddr, number: u16, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url: format!("ws://{http}/ws"), room: "recorded".into(), number, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

async fn record(who: &Participant) {
    who.signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The one recording in a folder, and where it is.
fn recording(folder: &Path) -> Option<(PathBuf, Manifest)> {
    let mut all = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| Some((entry.path(), Manifest::read(&entry.path()).ok()?)));
    all.next()
}

/// Each file of a finished recording is whole to its last byte but the index, and as long as its manifest says.
fn assert_whole(folder: &Path, manifest: &Manifest) {
    for entry in &manifest.files {
        let file = fs::File::open(folder.join(&entry.name)).expect("the file");
        assert_eq!(file.metadata().expect("it is there").len(), entry.bytes, "{}", entry.name);
        let whole = scan(&file, entry.container).expect("it can be read");
        // Of a file whose end was lost, what is left is shorter.
        let short = entry.length - whole.length;
        assert!(short > -100_000 && (short < 100_000 || entry.lost > 0), "{}: {} of {}", entry.name, whole.length, entry.length);
        assert!(whole.cues.iter().any(|cue| cue.key), "{}: one can seek", entry.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_from_the_beginning_to_the_end() {
    let folder = Folder::new("whole");
    let node = node(&folder.0).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(node.http, 1, &phases).await, join(node.http, 2, &phases).await];
    let begun = Instant::now();
    record(&people[0]).await;
    assert!(people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.is_err(), "it is recorded already");
    sleep(Duration::from_secs(5)).await;
    people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    let length = begun.elapsed().as_micros() as i64;
    let (path, manifest) = until("the recording is finished", || recording(&folder.0).filter(|(_, m)| m.state == State::Finished)).await;
    assert_eq!((manifest.files.len(), manifest.members.len(), &manifest.room[..]), (2, 2, "recorded"));
    for entry in &manifest.files {
        assert_eq!((entry.container, entry.state, entry.lost), (Container::Webm, FileState::Complete, 0), "{entry:?}");
        assert_eq!((entry.video.as_deref(), entry.audio.as_deref(), entry.size), (Some("vp8"), Some("opus"), Some((640, 360))));
        // From the first key frame on, which takes a round trip; up to when it was ended.
        assert!(entry.at >= 0 && entry.at < 1_500_000, "{entry:?}");
        assert!((entry.at + entry.length - length).abs() < 300_000, "{entry:?}, {length} µs");
        // 1.5 Mbit/s, RTP headers included.
        assert!(entry.bytes as i64 > entry.length * 1_400 / 8_000, "{entry:?}");
    }
    assert_whole(&path, &manifest);
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_completes_its_files_and_two_never_share_a_folder() {
    let folder = Folder::new("shared");
    let node = node(&folder.0).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let person = join(node.http, 1, &phases).await;
    record(&person).await;
    sleep(Duration::from_secs(2)).await;
    let mut config = nodes::config();
    config.recording = Some(nodes::recording(&folder.0));
    let second = Node::start(config).await.err().map(|error| error.to_string());
    assert!(second.as_ref().is_some_and(|text| text.contains("another node records into this directory")), "{second:?}");
    node.shut_down().await;
    let (path, manifest) = recording(&folder.0).expect("a recording");
    assert_eq!(manifest.state, State::Finished);
    assert_whole(&path, &manifest);
    drop(phase);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_leaves_files_that_the_next_start_completes() {
    let folder = Folder::new("killed");
    let settings = format!("recording.folder={}", folder.0.display());
    let mut process = Process::start(&["recording.enabled=true", &settings, "recording.minimum_free_mib=0"]);
    let (_phase, phases) = watch::channel(Phase::Count);
    let people = [join(process.http, 1, &phases).await, join(process.http, 2, &phases).await];
    let begun = Instant::now();
    record(&people[0]).await;
    sleep(Duration::from_millis(4_321)).await;
    let killed = begun.elapsed().as_micros() as i64;
    process.kill();
    let (path, manifest) = recording(&folder.0).expect("a recording");
    assert_eq!(manifest.state, State::Recording, "nobody has ended it");
    for entry in &manifest.files {
        let file = fs::File::open(path.join(&entry.name)).expect("the file");
        assert!(scan(&file, entry.container).is_ok(), "{}: it can be read as it is", entry.name);
    }
    let node = node(&folder.0).await;
    let (path, manifest) = until("it is repaired", || recording(&folder.0).filter(|(_, m)| m.state == State::Interrupted)).await;
    assert_eq!(manifest.files.len(), 2);
    for entry in &manifest.files {
        assert_eq!(entry.state, FileState::Repaired);
        let lost = killed - (entry.at + entry.length);
        assert!(lost < 1_000_000, "{lost} µs of its end are lost: {entry:?}");
    }
    assert_whole(&path, &manifest);
    node.shut_down().await;
}

/// A file system of 8 MiB, where this process may mount one.
struct Small(Folder);

impl Small {
    fn mount() -> Option<Self> {
        let folder = Folder::new("small");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&folder.0).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

async fn metric(node: &Node, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not there"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Waits until the alarm is raised, or is over.
async fn stalled(node: &Node, is: bool) {
    let begun = Instant::now();
    while (metric(node, "althing_recording_stalled").await == 1.0) != is {
        assert!(begun.elapsed() < Duration::from_secs(20), "the alarm is {}", if is { "raised" } else { "over" });
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_alarm_and_a_gap_and_everybody_is_told_and_the_call_goes_on() {
    let Some(small) = Small::mount() else { return eprintln!("skipped: this process may not mount a file system") };
    let folder = small.0.0.join("recordings");
    let node = node(&folder).await;
    let (phase, phases) = watch::channel(Phase::WarmUp);
    let people = [join(node.http, 1, &phases).await, join(node.http, 2, &phases).await];
    let witness = Witness::join(node.http, "recorded", "witness").await;
    sleep(Duration::from_secs(2)).await;
    phase.send(Phase::Count).expect("they listen");
    // A few seconds of both fit.
    let filler = small.0.0.join("filler");
    fs::write(&filler, vec![0u8; 6 << 20]).expect("it fits");
    record(&people[0]).await;
    stalled(&node, true).await;
    let raised = Instant::now();
    let told = witness.is_told(Some(RecordingPause::DiskFull)).await.saturating_duration_since(raised);
    assert!(told < Duration::from_secs(1), "members are told {told:?} after the alarm");
    assert_eq!(Witness::join(node.http, "recorded", "late").await.told().first().map(|(_, paused)| *paused), Some(Some(RecordingPause::DiskFull)));
    sleep(Duration::from_secs(3)).await;
    assert!(people[1].signaling().ask(Request::StopRecording {}).await.is_ok(), "it can be ended");
    assert!(people[1].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.is_err(), "nothing more is recorded now");
    fs::remove_file(&filler).expect("there is room again");
    let (path, manifest) = until("what there is is completed", || recording(&folder).filter(|(_, m)| m.state == State::Finished)).await;
    assert!(manifest.files.iter().any(|entry| entry.lost > 0), "{:?}", manifest.files);
    assert_whole(&path, &manifest);
    stalled(&node, false).await;
    fs::remove_dir_all(&path).expect("one less");
    // It is recorded again, and over a gap in the disk's room as well.
    record(&people[0]).await;
    sleep(Duration::from_secs(2)).await;
    fs::write(&filler, vec![0u8; 8 << 20]).expect_err("it does not fit");
    sleep(Duration::from_secs(3)).await;
    witness.is_told(Some(RecordingPause::DiskFull)).await;
    fs::remove_file(&filler).expect("there is room again");
    sleep(Duration::from_secs(4)).await;
    let all: Vec<_> = witness.told().into_iter().map(|(_, paused)| paused).collect();
    let full = Some(RecordingPause::DiskFull);
    assert_eq!(all, [None, full, None, full, None], "each change once: it begins, pauses and ends; it begins, pauses and goes on");
    people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    let (path, manifest) = until("the recording is finished", || recording(&folder).filter(|(_, m)| m.state == State::Finished)).await;
    assert_whole(&path, &manifest);
    for entry in &manifest.files {
        assert!(entry.length > 8_000_000 && entry.lost > 0, "it goes on after the gap: {entry:?}");
    }
    phase.send(Phase::Tail).expect("they listen");
    sleep(Duration::from_secs(1)).await;
    for (me, other) in [(&people[0], &people[1]), (&people[1], &people[0])] {
        for (kind, offered) in [(Kind::Audio, other.offered().audio), (Kind::Video, other.offered().video)] {
            let count = me.count(other.number, kind);
            let missing = me.tally(|tally| tally.missing(other.number, kind, offered).len());
            assert!(count.unique > 300 && missing * 100 < offered as usize * 2, "the call is unharmed: {missing} of {offered}");
        }
    }
    node.shut_down().await;
}
