//! What a recording costs, and whether its time is the wall's: takes that are fed as the recorder's thread feeds them, from a tap ring's
//! frames to finished pieces, without a disk.

#[path = "row.rs"]
#[allow(dead_code, reason = "shared with other proofs, which use all of it")]
mod row;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use althing::base::random::Random;
use althing::base::{TapId, Time};
use althing::contract::tap::TapHead;
use althing::contract::{TapClock, TapCodec, TapPacket, TapPlace, Tapped};
use althing::port::{Bell, TapReader, TapWriter, tap};
use althing::record::file::{Begin, End, Piece};
use althing::record::take::{Fate, FileId, Shelf, Take};
use row::Run;
use rustix::time::{ClockId, clock_gettime};

const CAMERA: TapId = TapId(0);
const MICROPHONE: TapId = TapId(1);
/// 1.5 Mbit/s: thirty pictures a second, five packets each, 1,200 bytes at most with their headers.
const PICTURE_PACKETS: [usize; 6] = [1_188, 1_188, 1_188, 1_188, 1_188, 238];

fn main() -> ExitCode {
    let run = Run::new("make prove-recording");
    let mut rows = Vec::new();
    let (per_core, frames) = cost(100, 10);
    rows.push(run.verdict("cost.recordings_per_core".into(), per_core, "audio+video recordings of 1.5 Mbit/s", ">= 100", per_core >= 100.0));
    rows.push(run.figure("cost.frames".into(), frames as f64, "frames"));
    let Timeline { length_off, lips, files } = timeline(Duration::from_secs(600));
    let off = length_off as f64 / 1_000.0;
    rows.push(run.verdict(
        "timeline.length_off".into(),
        off,
        "ms in 10 minutes of mute, DTX, 5 % loss, layer switches, one reconnect",
        "<= 100",
        off.abs() <= 100.0,
    ));
    for (place, lip) in ["start", "middle", "end"].into_iter().zip(lips) {
        rows.push(run.verdict(format!("timeline.lips.{place}"), lip as f64 / 1_000.0, "ms between sound and picture", "<= 40", lip.abs() <= 40_000));
    }
    rows.push(run.figure("timeline.files".into(), files as f64, "files"));
    let passed = rows.iter().all(|row| row.pass != Some(false));
    rows.iter().for_each(|row| println!("{} {} {} {:?}", row.row, row.value, row.unit, row.pass));
    if let Err(error) = row::write(Path::new("docs/proof/recording.jsonl"), &rows) {
        eprintln!("the rows cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A shelf that keeps nothing but what is asked of it afterwards.
#[derive(Default)]
struct Counted {
    files: Vec<(i64, Option<End>)>,
    bytes: u64,
}

impl Shelf for Counted {
    fn begin(&mut self, begin: Begin) -> Option<FileId> {
        self.files.push((begin.at, None));
        Some(FileId(self.files.len() as u64 - 1))
    }

    fn append(&mut self, _: FileId, piece: Piece) -> Fate {
        self.bytes += piece.bytes.len() as u64;
        Fate::Taken
    }

    fn finish(&mut self, file: FileId, end: End) {
        self.files[file.0 as usize].1 = Some(end);
    }
}

/// CPU time of `recordings` for some seconds of theirs: out of the ring, into pieces. How many of them a core carries, and frames made.
fn cost(recordings: u64, seconds: u64) -> (f64, u64) {
    let bell = Bell::new().expect("eventfd");
    let (mut writer, mut reader) = tap(&bell).expect("a ring");
    let mut takes: Vec<Take> = (0..recordings)
        .map(|n| {
            let mut take = Take::new(Time::ZERO, Duration::from_secs(10));
            take.attach(Time::ZERO, TapId(n * 2 + CAMERA.0), false);
            take.attach(Time::ZERO, TapId(n * 2 + MICROPHONE.0), true);
            take
        })
        .collect();
    let mut shelf = Counted::default();
    let (mut spent, mut frames) = (Duration::ZERO, 0);
    let mut sequence = vec![0u64; recordings as usize * 2];
    // Ten milliseconds a turn, as the thread turns; every recording's pictures come at their own moment.
    for turn in 0..seconds * 100 {
        let now = Time::from_millis(1_000 + turn * 10);
        for n in 0..recordings {
            if (turn + n) % 2 == 0 {
                frames += 1;
                send(&mut writer, now, n * 2 + MICROPHONE.0, &mut sequence, TapCodec::Opus, false);
            }
            if (turn + n) % 10 < 3 && turn > n % 10 {
                frames += 1;
                send(&mut writer, now, n * 2 + CAMERA.0, &mut sequence, TapCodec::Vp8, turn <= n % 10 + 12 || turn % 1_000 == n % 10);
            }
        }
        let begun = cpu();
        empty(&mut reader, now, &mut takes);
        if turn % 10 == 0 {
            for take in &mut takes {
                take.advance(now, &mut shelf);
                take.wishes(now, |_| ());
            }
        }
        spent += cpu() - begun;
    }
    let begun = cpu();
    takes.iter_mut().for_each(|take| take.end(Time::from_millis(1_000 + seconds * 1_000), &mut shelf));
    spent += cpu() - begun;
    let mbits = shelf.bytes as f64 * 8.0 / 1e6 / seconds as f64 / recordings as f64;
    assert!((1.3..1.8).contains(&mbits), "{mbits} Mbit/s a recording");
    (recordings as f64 * seconds as f64 / spent.as_secs_f64(), frames)
}

fn empty(reader: &mut TapReader, now: Time, takes: &mut [Take]) {
    while reader
        .receive(|frame| {
            let tapped = Tapped::read(frame).expect("a frame");
            takes[tapped.tap().0 as usize / 2].take(now, tapped);
        })
        .is_some()
    {}
}

fn send(writer: &mut TapWriter, now: Time, tap: u64, sequence: &mut [u64], codec: TapCodec, key: bool) {
    let sizes: &[usize] = if codec.is_audio() { &[100] } else { &PICTURE_PACKETS };
    for (n, size) in sizes.iter().enumerate() {
        let next = &mut sequence[tap as usize];
        let place = TapPlace { tap: TapId(tap), encoding: 0, generation: 0, sequence: *next };
        *next += 1;
        let timestamp = (now.as_micros() / 1_000) as u32 * (codec.clock_rate() / 1_000);
        let (marker, starts_key_frame) = (n + 1 == sizes.len(), key && n == 0);
        let packet = TapPacket { place, timestamp, arrived: now, codec, marker, starts_key_frame };
        assert!(writer.send(TapHead::packet(&packet).bytes(), &payload(codec, n == 0, key, *size)), "the ring has room");
    }
}

fn payload(codec: TapCodec, first: bool, key: bool, size: usize) -> Vec<u8> {
    let mut payload = vec![0; size];
    if codec.is_audio() {
        payload[0] = 0xf8;
        return payload;
    }
    payload[0] = u8::from(first) << 4;
    if first {
        payload[1] = u8::from(!key);
        if key {
            payload[4..11].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
    }
    payload
}

struct Timeline {
    length_off: i64,
    lips: [i64; 3],
    files: usize,
}

/// Where the marked sound and picture of a moment come out: in every file, each with its time on the wall.
#[derive(Default)]
struct Watched {
    files: Vec<(i64, Option<End>)>,
    /// The sound and the picture of each marked moment, in microseconds from the beginning of the recording.
    marks: Vec<(bool, u8, i64)>,
}

impl Shelf for Watched {
    fn begin(&mut self, begin: Begin) -> Option<FileId> {
        self.files.push((begin.at, None));
        Some(FileId(self.files.len() as u64 - 1))
    }

    fn append(&mut self, file: FileId, piece: Piece) -> Fate {
        let origin = self.files[file.0 as usize].0;
        // Each block: its id, its size, track, time (16 bits), flags, and the mark that was put into the payload.
        let time = piece.at / 1_000;
        for mark in 1..=3u8 {
            let wanted = [0xa5, 0x5a, 0xc3, mark, 0x3c];
            for at in piece.bytes.windows(5).enumerate().filter(|(_, bytes)| *bytes == wanted).map(|(at, _)| at) {
                // The mark is the ninth byte of either payload's content: the block begins so far before it.
                let block = &piece.bytes[at - 16 - 4..at - 16];
                let relative = i64::from(i16::from_be_bytes([block[1], block[2]]));
                self.marks.push((block[0] == 0x82, mark, origin + (time + relative) * 1_000));
            }
        }
        Fate::Taken
    }

    fn finish(&mut self, file: FileId, end: End) {
        self.files[file.0 as usize].1 = Some(end);
    }
}

/// A publisher whose sound takes 20 ms to arrive and whose pictures take 90, with sender reports each second; of its packets one in twenty is
/// lost and repaired 120 ms later, one in a thousand never. It is silent (DTX), muted, changes layers, and connects anew in the middle.
fn timeline(length: Duration) -> Timeline {
    let mut random = Random::new(7);
    let mut take = Take::new(Time::ZERO, Duration::from_secs(10));
    let mut shelf = Watched::default();
    let (begun, millis) = (10_000_u64, length.as_millis() as u64);
    let mut taps = [CAMERA, MICROPHONE];
    for tap in taps {
        take.attach(Time::from_millis(begun), tap, tap == MICROPHONE);
    }
    let mut generation = 0;
    let mut sequence = [40_000_u64, 60_000];
    let mut base = [0xfff0_0000_u32, 0xffff_0000];
    // What is on its way: when it arrives, and what it is.
    let mut way: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut wished = true;
    for ms in begun..begun + millis {
        let at = ms - begun;
        if at == millis / 2 {
            // Another connection: other taps, numbers and clocks.
            taps.iter().for_each(|tap| take.detach(Time::from_millis(ms), *tap, &mut shelf));
            // As the recorder's thread does when nothing of a member is left.
            assert!(take.is_over());
            take.end(Time::from_millis(ms), &mut shelf);
            take = Take::new(Time::ZERO, Duration::from_secs(10));
            taps = [TapId(2), TapId(3)];
            taps.iter().enumerate().for_each(|(n, tap)| take.attach(Time::from_millis(ms), *tap, n == 1));
            (sequence, base, generation, wished) = ([9, 99], [5, 77_777], 0, true);
        }
        if at % 60_000 == 30_000 {
            // Another layer: other numbers and timestamps, and it begins with a key frame.
            (generation, wished) = (generation + 1, true);
            (sequence[0], base[0]) = (u64::from(random.next_u32()), random.next_u32());
        }
        let muted = (70_000..75_000).contains(&(at % 150_000));
        let silent = (20_000..28_000).contains(&(at % 90_000));
        let mark = [2_000, millis / 2 + 3_000, millis - 3_000].iter().position(|marked| *marked == at).map_or(0, |n| n as u8 + 1);
        for (n, (rate, codec, delay)) in [(90_000_u64, TapCodec::Vp8, 90), (48_000, TapCodec::Opus, 20)].into_iter().enumerate() {
            let encoding = if n == 0 { (generation % 3) as u8 } else { 0 };
            let generation = if n == 0 { generation } else { 0 };
            let timestamp = base[n].wrapping_add((at * rate / 1_000) as u32);
            if at % 1_000 == 7 || at == millis / 2 || n == 0 && at % 60_000 == 30_000 {
                let clock = TapClock { tap: taps[n], encoding, generation, timestamp, captured: ms as i64 * 1_000 };
                way.push((ms, TapHead::clock(&clock).bytes().to_vec()));
            }
            let due = if n == 0 { at % 40 == 0 && !muted } else { at % 20 == 0 && !muted && (!silent || at % 400 == 0) };
            if !due {
                continue;
            }
            let key = n == 0 && (std::mem::take(&mut wished) || mark > 0);
            let place = TapPlace { tap: taps[n], encoding, generation, sequence: sequence[n] };
            sequence[n] += 1;
            let mut content = payload(codec, true, key, if n == 0 { 200 } else { 60 });
            if mark > 0 {
                let begin = if n == 0 { 17 } else { 16 };
                content[begin..begin + 5].copy_from_slice(&[0xa5, 0x5a, 0xc3, mark, 0x3c]);
            }
            let draw = random.next_u32() % 1_000;
            let repaired = if draw < 50 { 120 } else { u64::from(draw % 15) };
            if draw == 500 && mark == 0 {
                continue;
            }
            let arrived = Time::from_millis(ms + delay + repaired);
            let packet = TapPacket { place, timestamp, arrived, codec, marker: true, starts_key_frame: key };
            way.push((ms + delay + repaired, [TapHead::packet(&packet).bytes(), &content].concat()));
        }
        let now = Time::from_millis(ms);
        let (come, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut way).into_iter().partition(|(when, _)| *when <= ms);
        way = rest;
        come.iter().for_each(|(_, frame)| take.take(now, Tapped::read(frame).expect("a frame")));
        if ms % 100 == 0 {
            take.advance(now, &mut shelf);
            take.wishes(now, |tap| wished |= tap == taps[0]);
        }
    }
    take.end(Time::from_millis(begun + millis), &mut shelf);
    let total: i64 = shelf.files.iter().map(|(_, end)| end.expect("it has ended").length).sum();
    let first = shelf.files.first().map_or(0, |(at, _)| *at) - begun as i64 * 1_000;
    let lips = [1, 2, 3].map(|mark| {
        let of = |sound| {
            shelf
                .marks
                .iter()
                .find(|(is, n, _)| (*is, *n) == (sound, mark))
                .unwrap_or_else(|| panic!("mark {mark} is not there: {:?}", shelf.marks))
                .2
        };
        of(true) - of(false)
    });
    Timeline { length_off: total + first - millis as i64 * 1_000, lips, files: shelf.files.len() }
}
