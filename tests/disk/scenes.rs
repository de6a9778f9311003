//! What a disk may do to a recording.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use althing::base::random::Random;
use althing::record::manifest::{Manifest, State};
use althing::wire::RecordingPause;
use tokio::time::sleep;

use super::call::{Call, node, picture_times, plays, recording, recordings, unix_millis};
use super::faulty::{Fault, Left};
use super::stack::{Mounted, stage};
use super::witness::Told;

/// Room for all that waits.
const WIDE: usize = 64 << 20;

/// What a power cut left of one file.
#[derive(Debug)]
pub struct Remains {
    /// Whether it plays.
    pub plays: Result<(), String>,
    /// How much of its end is missing, in milliseconds.
    pub tail: f64,
}

/// Cuts the power so often while a call is recorded, and looks at what the next start makes of each disk. A call is cut every second or so.
pub fn power_cuts(cuts: u64, seed: u64) -> Vec<Remains> {
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for first in (0..cuts).step_by(5) {
        let disks = cut_one_call((first..cuts.min(first + 5)).map(|cut| (cut, random.next_u64())).collect());
        for (cut, at, image) in disks {
            let remains = remains(&format!("cut-{cut}"), at, image);
            let (tails, bad): (Vec<_>, Vec<_>) =
                (remains.iter().map(|file| file.tail.round()).collect(), remains.iter().filter_map(|file| file.plays.as_ref().err()).collect());
            println!("power cut {cut}: tails of {tails:?} ms, {bad:?}");
            all.extend(remains);
        }
    }
    all
}

/// The disks that a call leaves whose power is cut at those moments: each with its number, and when it was.
fn cut_one_call(cuts: Vec<(u64, u64)>) -> Vec<(u64, u64, PathBuf)> {
    let mounted = Mounted::empty("power");
    stage(cut_at(&mounted, cuts))
}

async fn cut_at(mounted: &Mounted, cuts: Vec<(u64, u64)>) -> Vec<(u64, u64, PathBuf)> {
    let call = Call::begin(&mounted.recordings(), WIDE).await;
    call.record().await;
    sleep(Duration::from_millis(2_500)).await;
    let mut disks = Vec::new();
    for (cut, drawn) in cuts {
        sleep(Duration::from_micros(400_000 + drawn % 1_500_000)).await;
        let left = if cut.is_multiple_of(2) { Left::Nothing } else { Left::Some(drawn) };
        let at = unix_millis();
        disks.push((cut, at, mounted.cut(left)));
    }
    call.end().await;
    disks
}

/// What is left on a disk whose power was cut then, after a new start.
fn remains(name: &str, at: u64, image: PathBuf) -> Vec<Remains> {
    let mounted = Mounted::again(name, image);
    let (path, manifest) = stage(repaired(&mounted));
    assert_eq!(manifest.files.len(), 2, "{manifest:?}");
    let remains = manifest.files.iter().map(|entry| {
        let tail = at as f64 - manifest.began as f64 - (entry.at + entry.length) as f64 / 1_000.0;
        Remains { plays: plays(&path, entry), tail }
    });
    remains.collect()
}

/// What a new node makes of what it finds.
async fn repaired(mounted: &Mounted) -> (PathBuf, Manifest) {
    let node = node(&mounted.recordings(), WIDE).await;
    let found = recording(&mounted.recordings(), "it is repaired", |manifest| manifest.state != State::Recording).await;
    node.shut_down().await;
    found
}

/// Cuts the power while a recording is brought to its end: whatever the manifest calls complete is.
pub fn power_cuts_at_the_end(cuts: u64, seed: u64) -> Vec<Result<(), String>> {
    let mut all = Vec::new();
    for (after, image) in cut_the_end(cuts, seed) {
        let mounted = Mounted::again("end", image);
        let (path, manifest) = stage(repaired(&mounted));
        let states: Vec<_> = manifest.files.iter().map(|entry| entry.state).collect();
        println!("power cut {after:?} after the end: {:?}, {states:?}", manifest.state);
        all.extend(manifest.files.iter().map(|entry| plays(&path, entry)));
    }
    all
}

fn cut_the_end(cuts: u64, seed: u64) -> Vec<(Duration, PathBuf)> {
    let mounted = Mounted::empty("end");
    let mut random = Random::new(seed);
    stage(async {
        let call = Call::begin(&mounted.recordings(), WIDE).await;
        call.record().await;
        sleep(Duration::from_secs(3)).await;
        let begun = Instant::now();
        let stop = async { call.stop().await };
        let cut = async {
            let mut disks = Vec::new();
            for number in 0..cuts {
                let left = if number.is_multiple_of(2) { Left::Nothing } else { Left::Some(random.next_u64()) };
                disks.push((begun.elapsed(), mounted.cut(left)));
                sleep(Duration::from_millis(3 + random.next_u64() % 10)).await;
            }
            disks
        };
        let ((), disks) = tokio::join!(stop, cut);
        recording(&mounted.recordings(), "it is finished", |manifest| manifest.state == State::Finished).await;
        call.end().await;
        disks
    })
}

/// What became of a call whose disk had a fault for some seconds.
#[derive(Debug)]
pub struct Survived {
    /// Milliseconds from the first call that the fault met to the alarm.
    pub alarm: f64,
    /// Why the recording pauses, as members were told first; milliseconds from the alarm to that; and whether they were told at last that it goes on.
    pub paused: Option<RecordingPause>,
    pub told: f64,
    pub goes_on: bool,
    /// The least of what was forwarded while it lasted, and over all, in percent.
    pub forwarded: [f64; 2],
    /// Files that do not play, and why.
    pub broken: Vec<String>,
    /// Seconds from the end of the fault to the recording's going on, of whoever it took longest.
    pub resumed: f64,
    /// Files of the recording, and pieces of it that were lost.
    pub files: usize,
    pub lost: u64,
}

/// A fault for so long in the middle of a recording, which goes on by itself afterwards.
pub fn fault(fault: Fault, lasts: Duration, queue_bytes: usize) -> Survived {
    let mounted = Mounted::empty("fault");
    stage(suffer(&mounted, fault, lasts, queue_bytes))
}

async fn suffer(mounted: &Mounted, fault: Fault, lasts: Duration, queue_bytes: usize) -> Survived {
    let folder = mounted.recordings();
    let call = Call::begin(&folder, queue_bytes).await;
    call.record().await;
    sleep(Duration::from_millis(3_300)).await;
    let began = recordings(&folder).first().map_or(0, |(_, manifest)| manifest.began);
    mounted.suffer(fault);
    let (raised, during) = tokio::join!(call.alarm(true), call.forwarded(lasts));
    let felt = mounted.felt().expect("the fault was met");
    mounted.suffer(Fault::None);
    let healed = unix_millis() - began;
    call.alarm(false).await;
    sleep(Duration::from_secs(4)).await;
    let told = call.told();
    println!("{fault:?}: members were told {:?}", told.iter().map(|(at, why)| (at.saturating_duration_since(felt), why)).collect::<Vec<_>>());
    let (paused, after) = pause_of(&told, raised);
    call.stop().await;
    let ended = unix_millis() - began;
    let (path, manifest) = recording(&folder, "it is finished", |manifest| manifest.state == State::Finished).await;
    let errors = call.metric("althing_recording_disk_errors_total{wanted=\"sync\"}").await;
    println!("{fault:?}: {errors} rounds refused, {:?}", manifest.files);
    let all = call.end().await;
    let broken = manifest.files.iter().filter_map(|entry| plays(&path, entry).err().map(|error| format!("{}: {error}", entry.name))).collect();
    let resumed = resumed(&path, &manifest, healed as f64 / 1_000.0, ended as f64 / 1_000.0);
    let lost = manifest.files.iter().map(|entry| entry.lost).sum();
    Survived {
        alarm: raised.duration_since(felt).as_secs_f64() * 1_000.0,
        paused,
        told: after,
        goes_on: told.last().is_some_and(|(_, paused)| paused.is_none()),
        forwarded: [during, all],
        broken,
        resumed,
        files: manifest.files.len(),
        lost,
    }
}

/// The first pause that was told, and so many milliseconds after the alarm.
fn pause_of(told: &[Told], alarm: Instant) -> (Option<RecordingPause>, f64) {
    let first = told.iter().find(|(_, paused)| paused.is_some());
    first.map_or((None, 0.0), |(at, paused)| (*paused, at.saturating_duration_since(alarm).as_secs_f64() * 1_000.0))
}

/// Seconds from the end of a fault to the first picture behind it, of the member of whom it took longest; both times from the beginning.
fn resumed(path: &Path, manifest: &Manifest, healed: f64, ended: f64) -> f64 {
    let mut longest: f64 = 0.0;
    for person in &manifest.members {
        let mut next = f64::INFINITY;
        let mut last: f64 = 0.0;
        for entry in manifest.files.iter().filter(|entry| entry.member == person.member) {
            let from = entry.at as f64 / 1e6;
            last = last.max(from + entry.length as f64 / 1e6);
            let times = picture_times(&path.join(&entry.name));
            next = times.iter().map(|at| from + at).filter(|at| *at >= healed).fold(next, f64::min);
        }
        assert!((last - ended).abs() < 0.5, "it goes on to the end: {last} of {ended} s");
        longest = longest.max(next - healed);
    }
    longest
}

/// Nothing can be written from some moment on, which ext4 does not survive: what the next mount and start make of it.
pub fn lost_disk() -> (Survived, Vec<Remains>) {
    let mounted = Mounted::empty("lost");
    let (survived, at, image) = stage(lose(&mounted));
    (survived, remains("lost", at, image))
}

async fn lose(mounted: &Mounted) -> (Survived, u64, PathBuf) {
    let folder = mounted.recordings();
    let call = Call::begin(&folder, WIDE).await;
    call.record().await;
    sleep(Duration::from_millis(4_300)).await;
    let at = unix_millis();
    mounted.suffer(Fault::AllBlocks);
    let (raised, during) = tokio::join!(call.alarm(true), call.forwarded(Duration::from_secs(4)));
    let felt = mounted.felt().expect("the fault was met");
    assert_eq!(call.metric("althing_recording_stalled").await, 1.0, "it stays");
    let told = call.told();
    let (paused, after) = pause_of(&told, raised);
    let goes_on = told.last().is_some_and(|(_, paused)| paused.is_none());
    let image = mounted.cut(Left::Nothing);
    let all = call.end().await;
    let alarm = raised.duration_since(felt).as_secs_f64() * 1_000.0;
    let survived = Survived { alarm, paused, told: after, goes_on, forwarded: [during, all], broken: vec![], resumed: 0.0, files: 2, lost: 0 };
    (survived, at, image)
}
