//! A call of two that a node records onto such a disk, and what is in its files.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing::config::RecordingConfig;
use althing::node::Node;
use althing::record::manifest::{FileEntry, FileState, Manifest};
use althing::wire::Request;
use tokio::sync::watch;
use tokio::time::sleep;

use super::client::{Kind, Participant, Phase, Settings, Stamp, VIDEO_PACKET};
use super::nodes::{self, HERE};
use super::witness::{Told, Witness};

/// A node with a call of two.
pub struct Call {
    node: Node,
    people: [Participant; 2],
    witness: Witness,
    phase: watch::Sender<Phase>,
}

impl Call {
    /// Two people who see each other; nothing is recorded yet.
    pub async fn begin(folder: &Path, queue_bytes: usize) -> Self {
        let node = node(folder, queue_bytes).await;
        let (phase, phases) = watch::channel(Phase::WarmUp);
        let people = [join(node.http, 1, &phases).await, join(node.http, 2, &phases).await];
        let witness = Witness::join(node.http, "recorded", "witness").await;
        sleep(Duration::from_secs(1)).await;
        phase.send(Phase::Count).expect("they listen");
        Self { node, people, witness, phase }
    }

    /// Everybody is recorded.
    pub async fn record(&self) {
        self.people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    }

    /// Nobody is any more.
    pub async fn stop(&self) {
        self.people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    }

    /// What members were told of whether it is written.
    pub fn told(&self) -> Vec<Told> {
        self.witness.told()
    }

    /// A figure of the node's.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.node, name).await
    }

    /// When the alarm is raised, or is over.
    pub async fn alarm(&self, is: bool) -> Instant {
        let begun = Instant::now();
        while (self.metric("althing_recording_stalled").await == 1.0) != is {
            assert!(begun.elapsed() < Duration::from_secs(30), "the alarm is {}", if is { "raised" } else { "over" });
            sleep(Duration::from_millis(20)).await;
        }
        Instant::now()
    }

    /// Packets that each has of the other so far, of sound and of pictures.
    pub fn heard(&self) -> [u64; 4] {
        let of = |me: &Participant, other: &Participant, kind| me.count(other.number, kind).heard;
        let [ada, ben] = &self.people;
        [of(ada, ben, Kind::Audio), of(ada, ben, Kind::Video), of(ben, ada, Kind::Audio), of(ben, ada, Kind::Video)]
    }

    /// Packets forwarded in so long, of what was sent in it: the least of the four streams, in percent.
    pub async fn forwarded(&self, time: Duration) -> f64 {
        let (before, begun) = (self.heard(), Instant::now());
        sleep(time).await;
        let (after, took) = (self.heard(), begun.elapsed().as_secs_f64());
        let rates = [50.0, 180.0, 50.0, 180.0];
        let share = |n: usize| 100.0 * (after[n] - before[n]) as f64 / (rates[n] * took);
        (0..4).map(share).fold(f64::INFINITY, f64::min)
    }

    /// The call ends; what was forwarded of all that was sent, in percent: the least of the four streams.
    pub async fn end(self) -> f64 {
        self.phase.send(Phase::Tail).expect("they listen");
        sleep(Duration::from_secs(1)).await;
        let mut least = f64::INFINITY;
        for (me, other) in [(&self.people[0], &self.people[1]), (&self.people[1], &self.people[0])] {
            for (kind, offered) in [(Kind::Audio, other.offered().audio), (Kind::Video, other.offered().video)] {
                let missing = me.tally(|tally| tally.missing(other.number, kind, offered).len());
                least = least.min(100.0 - 100.0 * missing as f64 / f64::from(offered.max(1)));
            }
        }
        self.phase.send(Phase::Stop).expect("they listen");
        for person in self.people {
            person.leave().await;
        }
        self.node.shut_down().await;
        least
    }
}

/// A node that records into a folder.
pub async fn node(folder: &Path, queue_bytes: usize) -> Node {
    nodes::start(|config| {
        (config.media.workers, config.media.spread_from) = (2, 1);
        config.recording = Some(RecordingConfig { queue_bytes, ..nodes::recording(folder) });
    })
    .await
}

async fn join(http: SocketAddr, number: u16, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url: format!("ws://{http}/ws"), room: "recorded".into(), number, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

/// A figure of a node's.
pub async fn metric(node: &Node, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not there"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// The recordings in a folder, and where they are.
pub fn recordings(folder: &Path) -> Vec<(PathBuf, Manifest)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), Manifest::read(&entry.path()).ok()?))).collect()
}

/// The one recording in a folder, once it is as it should be.
pub async fn recording(folder: &Path, what: &str, is: impl Fn(&Manifest) -> bool) -> (PathBuf, Manifest) {
    let begun = Instant::now();
    loop {
        if let Some(found) = recordings(folder).into_iter().find(|(_, manifest)| is(manifest)) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {:?}", recordings(folder));
        sleep(Duration::from_millis(50)).await;
    }
}

/// Milliseconds since the Unix epoch.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// Whether a file plays from start to end: all of it is decoded and nothing complained of, it is as long as its manifest says, and in each
/// picture there is what was sent.
pub fn plays(folder: &Path, entry: &FileEntry) -> Result<(), String> {
    if !matches!(entry.state, FileState::Complete | FileState::Repaired) {
        return Err(format!("it is {:?}", entry.state));
    }
    let file = folder.join(&entry.name);
    let (said, _) = run("ffmpeg", &["-v", "error", "-xerror", "-err_detect", "explode", "-i"], &file, &["-fps_mode", "vfr", "-f", "null", "-"])?;
    if !said.is_empty() {
        return Err(said);
    }
    let (_, length) = run("ffprobe", &["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"], &file, &[])?;
    let length: f64 = String::from_utf8_lossy(&length).trim().parse().map_err(|_| format!("no length: {length:?}"))?;
    if (length - entry.length as f64 / 1e6).abs() > 0.1 {
        return Err(format!("{length} s, and the manifest says {} µs", entry.length));
    }
    let (_, pictures) = run("ffmpeg", &["-v", "error", "-i"], &file, &["-map", "0:v", "-c", "copy", "-f", "ivf", "-"])?;
    let count = stamped(&pictures)?;
    // Thirty a second, but for what is said to be lost.
    if entry.lost == 0 && (count as f64) < length * 30.0 - 20.0 {
        return Err(format!("{count} pictures in {length} s"));
    }
    Ok(())
}

/// Pictures of which each packet is as it was sent; an error when one is not.
fn stamped(ivf: &[u8]) -> Result<usize, String> {
    let (mut at, mut count, mut last) = (32, 0, None);
    while let Some(header) = ivf.get(at..at + 12) {
        let len = header.first_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len)) as usize;
        let picture = ivf.get(at + 12..at + 12 + len).ok_or("an IVF that ends within a picture")?;
        for part in picture.chunks(VIDEO_PACKET) {
            let stamp = Stamp::read(part).ok_or_else(|| format!("picture {count} is not what was sent"))?;
            if stamp.counts && last.is_some_and(|last| stamp.number <= last) {
                return Err(format!("packet {} after {last:?}", stamp.number));
            }
            last = stamp.counts.then_some(stamp.number).or(last);
        }
        (at, count) = (at + 12 + len, count + 1);
    }
    Ok(count)
}

fn run(program: &str, before: &[&str], file: &Path, after: &[&str]) -> Result<(String, Vec<u8>), String> {
    let output = Command::new(program).args(before).arg(file).args(after).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok((said, output.stdout)) } else { Err(format!("{program}: {said}")) }
}

/// When each picture of a file is shown, in seconds from its beginning.
pub fn picture_times(file: &Path) -> Vec<f64> {
    let shown = run("ffprobe", &["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"], file, &[]);
    shown.map_or_else(
        |_| vec![],
        |(_, lines)| String::from_utf8_lossy(&lines).lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect(),
    )
}
