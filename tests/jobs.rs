//! What is made of recordings, by a real FFmpeg, of real files: what is in it is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use althing::config::JobsConfig;
use althing::metrics::Metrics;
use althing::record::file::Container;
use althing::record::jobs::clip::{Clip, Format};
use althing::record::jobs::mixdown::Film;
use althing::record::jobs::{JobState, Jobs, Unmade, thumbnail_of, waveform_of};
use althing::record::manifest::Manifest;
use serde_json::{Value, json};

/// As on a machine that has nothing else to do, however busy this one is.
fn busy() -> JobsConfig {
    JobsConfig { idle: false, ..JobsConfig::default() }
}

/// A folder of recordings with one in it; it is gone with this.
struct Library {
    root: PathBuf,
    folder: PathBuf,
}

impl Library {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("althing-jobs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let folder = root.join("r1");
        fs::create_dir_all(&folder).expect("a folder");
        Self { root, folder }
    }

    fn say(&self, files: &[Value]) {
        let by = json!({ "member": "ada", "name": "Ada" });
        let manifest = json!({
            "schema": 1, "id": "r1", "room": "hall", "kind": "recording", "by": by, "state": "finished", "began": 1, "ended": 2,
            "members": [by], "files": files
        });
        fs::write(self.folder.join("manifest.json"), manifest.to_string()).expect("written");
    }

    fn jobs(&self) -> (Jobs, Metrics) {
        self.jobs_with(&JobsConfig { height: 360, ..busy() }, 0)
    }

    fn jobs_with(&self, config: &JobsConfig, minimum_free: u64) -> (Jobs, Metrics) {
        let metrics = Metrics::new(Vec::new()).expect("metrics");
        (Jobs::start(config, &self.root, minimum_free, metrics.jobs.clone()).expect("they start"), metrics)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn entry(name: &str, member: &str, screen: bool, (at, length): (i64, i64), picture: bool, sound: bool) -> Value {
    let mut entry = json!({
        "name": name, "member": member, "screen": screen, "container": name.rsplit('.').next(), "at": at, "length": length, "bytes": 1,
        "lost": 0, "state": "complete"
    });
    if picture {
        entry["video"] = "vp8".into();
    }
    if sound {
        entry["audio"] = "opus".into();
    }
    entry
}

fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-hide_banner", "-nostdin", "-v", "error", "-y"]).args(args).output().expect("the tests need ffmpeg");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Somebody in one colour, who says something and is white all over for 0.2 s, at 2 s.
fn somebody(path: &Path, colour: &str, seconds: u32, codec: &str) {
    let picture = format!("color=c={colour}:s=640x360:r=30:d={seconds},drawbox=c=white:t=fill:enable='between(t,2,2.2)'");
    let sound = format!("sine=f=700:r=48000:d={seconds},volume=0:enable='not(between(t,2,2.2))'");
    let speed: &[&str] = if codec == "libx264" { &["-preset", "ultrafast", "-bf", "0"] } else { &["-deadline", "realtime", "-cpu-used", "8"] };
    let path = path.display().to_string();
    let fixed = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound, "-c:v", codec, "-b:v", "500k", "-g", "60", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&fixed[..], speed, &["-c:a", "libopus", "-strict", "-2", &path]].concat());
}

fn still(path: &Path, colour: &str, size: &str, seconds: u32) {
    let (picture, path) = (format!("color=c={colour}:s={size}:r=15:d={seconds}"), path.display().to_string());
    ffmpeg(&["-f", "lavfi", "-i", &picture, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", &path]);
}

/// The colour of a point of the picture at a time: red, green, blue.
fn colour(film: &Path, at: f64, (x, y): (u32, u32)) -> [u8; 3] {
    let (at, crop, film) = (at.to_string(), format!("crop=4:4:{x}:{y},scale=1:1"), film.display().to_string());
    let bytes = ffmpeg(&["-ss", &at, "-i", &film, "-frames:v", "1", "-vf", &crop, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]);
    bytes.try_into().expect("a point")
}

fn is(colour: [u8; 3], wanted: [u8; 3]) -> bool {
    colour.iter().zip(wanted).all(|(is, wanted)| is.abs_diff(wanted) < 40)
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 128, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const DARK: [u8; 3] = [16, 20, 24];

/// Seconds at which a point becomes white.
fn flashes(film: &Path, (x, y): (u32, u32)) -> Vec<f64> {
    let (crop, film) = (format!("crop=4:4:{x}:{y},scale=1:1"), film.display().to_string());
    let bytes = ffmpeg(&["-i", &film, "-vf", &crop, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]);
    let white: Vec<bool> = bytes.chunks(3).map(|point| point.iter().all(|part| *part > 200)).collect();
    (1..white.len()).filter(|n| white[*n] && !white[*n - 1]).map(|n| n as f64 / 25.0).collect()
}

/// Seconds at which something is heard after a tenth of a second in which nothing was.
fn beeps(film: &Path) -> Vec<f64> {
    let bytes = ffmpeg(&["-i", &film.display().to_string(), "-vn", "-ac", "1", "-ar", "8000", "-f", "s16le", "pipe:1"]);
    let loud = |sample: &[u8]| i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > 800;
    let mut heard = Vec::new();
    let mut last = -1_000_i64;
    for (n, _) in (0_i64..).zip(bytes.chunks_exact(2)).filter(|(_, sample)| loud(sample)) {
        if n - last > 800 {
            heard.push(n as f64 / 8_000.0);
        }
        last = n;
    }
    heard
}

fn probe(film: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams", &film.display().to_string()])
        .output()
        .expect("the tests need ffprobe");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn mixed_down(jobs: &Jobs, folder: &Path, film: Film) -> Vec<f32> {
    jobs.mix_down(folder, film).expect("it is taken");
    let (begun, mut parts) = (Instant::now(), vec![0.0]);
    loop {
        match jobs.mixdown(folder, film).expect("it is known").0 {
            JobState::Done => return parts,
            JobState::Running(part) | JobState::Held(part) if parts.last() != Some(&part) => parts.push(part),
            JobState::Failed(why) => panic!("{why:?}"),
            _ => {}
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "it comes to its end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_of_two_and_a_screen_becomes_one_film_in_which_all_is_where_and_when_it_was() {
    let library = Library::new("film");
    somebody(&library.folder.join("0001.webm"), "red", 6, "libvpx");
    somebody(&library.folder.join("0002.mp4"), "green", 5, "libx264");
    still(&library.folder.join("0003.webm"), "blue", "800x600", 2);
    library.say(&[
        entry("0001.webm", "ada", false, (0, 6_000_000), true, true),
        entry("0002.mp4", "bob", false, (1_234_567, 5_000_000), true, true),
        entry("0003.webm", "bob", true, (3_600_000, 2_000_000), true, false),
    ]);
    let (jobs, metrics) = library.jobs();
    for film in Film::ALL {
        let parts = mixed_down(&jobs, &library.folder, film).await;
        assert!(parts.windows(2).all(|two| two[0] <= two[1]) && parts.iter().all(|part| (0.0..=1.0).contains(part)), "{parts:?}");
        let made = library.folder.join(film.file_name());
        let told = probe(&made);
        let length: f64 = told["format"]["duration"].as_str().and_then(|length| length.parse().ok()).expect("a length");
        assert!((length - 6.24).abs() < 0.1, "{length}");
        let codecs: Vec<&str> = told["streams"].as_array().expect("streams").iter().filter_map(|s| s["codec_name"].as_str()).collect();
        assert_eq!(codecs, if film == Film::Mp4 { ["h264", "aac"] } else { ["vp9", "opus"] });
        assert_eq!((&told["streams"][0]["width"], &told["streams"][0]["height"]), (&json!(640), &json!(360)));
        // One alone, two beside each other, a screen with both at its side, and two again; Ada's file is over before Bob's.
        assert!(is(colour(&made, 0.6, (320, 180)), RED));
        assert!(is(colour(&made, 1.5, (160, 180)), RED) && is(colour(&made, 1.5, (480, 180)), GREEN));
        assert!(is(colour(&made, 4.5, (256, 180)), BLUE) && is(colour(&made, 4.5, (576, 36)), RED) && is(colour(&made, 4.5, (576, 108)), GREEN));
        assert!(is(colour(&made, 4.5, (576, 300)), DARK), "nobody else is there");
        assert!(is(colour(&made, 5.8, (160, 180)), RED) && is(colour(&made, 5.8, (480, 180)), GREEN));
        assert!(is(colour(&made, 6.12, (320, 180)), GREEN), "{:?}", colour(&made, 6.12, (320, 180)));
        let (seen, heard) = ([flashes(&made, (160, 180)), flashes(&made, (480, 180))], beeps(&made));
        assert_eq!((seen[0].len(), seen[1].len(), heard.len()), (1, 1, 2), "{seen:?}, {heard:?}");
        for (seen, heard, wanted) in [(seen[0][0], heard[0], 2.0), (seen[1][0], heard[1], 3.234)] {
            assert!((seen - wanted).abs() <= 0.041 && (heard - wanted).abs() <= 0.041, "seen at {seen}, heard at {heard}, for {wanted}");
            assert!((seen - heard).abs() <= 0.041, "seen at {seen}, heard at {heard}");
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&made).expect("it is there").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(library.root.join(".jobs")).expect("the folder").count(), 0, "nothing is left of the making");
    let text = metrics.text().expect("text");
    assert!(text.contains("althing_jobs_ended_total{kind=\"mixdown\",result=\"done\"} 2") && text.contains("althing_jobs{kind=\"mixdown\"} 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_changes_its_size_goes_on_in_its_place_and_where_nobody_is_there_it_is_dark() {
    let library = Library::new("sizes");
    let (small, large) = (library.root.join("small.webm"), library.root.join("large.webm"));
    still(&small, "red", "320x180", 2);
    still(&large, "green", "640x360", 2);
    let list = library.root.join("list.txt");
    fs::write(&list, format!("file '{}'\nfile '{}'\n", small.display(), large.display())).expect("written");
    let both = library.folder.join("0001.webm");
    ffmpeg(&["-f", "concat", "-safe", "0", "-i", &list.display().to_string(), "-c", "copy", &both.display().to_string()]);
    library.say(&[entry("0001.webm", "ada", false, (1_000_000, 4_000_000), true, false)]);
    let (jobs, _) = library.jobs();
    mixed_down(&jobs, &library.folder, Film::Mp4).await;
    let made = library.folder.join("mixdown.mp4");
    for (at, wanted) in [(0.5, DARK), (1.5, RED), (2.7, RED), (3.3, GREEN), (4.7, GREEN)] {
        for point in [(320, 180), (20, 20), (610, 340)] {
            let found = colour(&made, at, point);
            assert!(is(found, wanted), "{found:?} at {at} s, {point:?}");
        }
    }
    assert!(beeps(&made).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_gets_its_picture_and_its_waveforms_and_what_is_lost_of_them_is_made_again() {
    let library = Library::new("small");
    somebody(&library.folder.join("0001.webm"), "red", 6, "libvpx");
    still(&library.folder.join("0002.webm"), "blue", "800x600", 3);
    library
        .say(&[entry("0001.webm", "ada", false, (0, 6_000_000), true, true), entry("0002.webm", "ada", true, (1_000_000, 3_000_000), true, false)]);
    let (jobs, metrics) = library.jobs();
    jobs.prepare(&library.folder, &Manifest::read(&library.folder).expect("a manifest"));
    let (thumbnail, peaks) = (thumbnail_of(&library.folder), waveform_of(&library.folder.join("0001.webm")));
    let begun = Instant::now();
    while !thumbnail.is_file() || !peaks.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(60), "they are made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = probe(&thumbnail);
    assert_eq!(
        (&told["streams"][0]["codec_name"], &told["streams"][0]["width"], &told["streams"][0]["height"]),
        (&json!("mjpeg"), &json!(320), &json!(240))
    );
    assert!(is(colour(&thumbnail, 0.0, (100, 100)), BLUE), "the screen is shown");
    let waveform: Value = serde_json::from_slice(&fs::read(&peaks).expect("it is there")).expect("JSON");
    let (span, peaks_of) = (waveform["seconds_per_value"].as_f64().expect("seconds"), waveform["peaks"].as_array().expect("peaks"));
    let loud: Vec<f64> = (0..).zip(peaks_of).filter(|(_, peak)| peak.as_f64() > Some(0.05)).map(|(n, _)| f64::from(n) * span).collect();
    assert!((peaks_of.len() as f64 * span - 6.0).abs() < 0.1, "as long as the file");
    assert!((loud[0] - 2.0).abs() < 0.03 && (loud[loud.len() - 1] - 2.19).abs() < 0.05, "{loud:?}");
    // Lost, and asked for by many at a time: made once.
    fs::remove_file(&peaks).expect("removed");
    let clip = Clip { path: library.folder.join("0001.webm"), format: Format::Webm, length: 0 };
    let asked = futures_util::future::join_all((0..20).map(|_| jobs.waveform(clip.clone(), &peaks))).await;
    assert!(asked.iter().all(Result::is_ok) && peaks.is_file());
    assert!(metrics.text().expect("text").contains("althing_jobs_ended_total{kind=\"waveform\",result=\"done\"} 2"));
    // The picture itself has no sound, and sound has no picture.
    let picture = Clip { path: thumbnail.clone(), format: Format::Jpeg, length: 0 };
    assert_eq!(jobs.waveform(picture, &library.folder.join("x.peaks.json")).await, Err(Unmade::Nothing));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_sent_is_refused_with_a_reason_and_reads_no_other_file() {
    let library = Library::new("hostile");
    let secret = library.root.join("secret.txt");
    fs::write(&secret, "secret").expect("written");
    // A playlist that names other files, in the clothes of each kind.
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n", secret.display());
    let concat = format!("ffconcat version 1.0\nfile '{}'\n", secret.display());
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (jobs, _) = library.jobs();
    let all = [Format::Webm, Format::Mp4, Format::Ogg, Format::Png, Format::Jpeg, Format::Webp];
    for (n, bytes) in [playlist.as_bytes(), concat.as_bytes(), &noise, b""].into_iter().enumerate() {
        for format in all {
            let clip = Clip { path: library.folder.join(format!("{n}-{format:?}")), format, length: 0 };
            fs::write(&clip.path, bytes).expect("written");
            let to = library.folder.join(format!("{n}-{format:?}.jpg"));
            let made = jobs.thumbnail(clip.clone(), &to).await;
            assert!(matches!(made, Err(Unmade::Failed(_) | Unmade::Nothing)), "{n} as {format:?}: {made:?}");
            // What is known to be broken is not tried again.
            assert_eq!(jobs.thumbnail(clip, &to).await, made);
            assert!(!to.exists());
        }
    }
    let outside = std::env::temp_dir().join(format!("althing-outside-{}.webm", std::process::id()));
    still(&outside, "red", "64x64", 1);
    std::os::unix::fs::symlink(&outside, library.folder.join("link.webm")).expect("a link");
    for path in [outside.clone(), library.folder.join("link.webm"), library.folder.join("../../nowhere.webm")] {
        let clip = Clip { path, format: Format::Webm, length: 0 };
        assert_eq!(jobs.thumbnail(clip, &library.folder.join("outside.jpg")).await, Err(Unmade::Gone));
    }
    fs::remove_file(outside).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn mixdowns_wait_are_taken_back_and_say_why_nothing_came_of_them() {
    let library = Library::new("queue");
    somebody(&library.folder.join("0001.webm"), "red", 20, "libvpx");
    let file = entry("0001.webm", "ada", false, (0, 20_000_000), true, true);
    library.say(std::slice::from_ref(&file));
    let others: Vec<PathBuf> = (0..3).map(|n| library.root.join(format!("other{n}"))).collect();
    for other in &others {
        fs::create_dir_all(other).expect("a folder");
        fs::copy(library.folder.join("manifest.json"), other.join("manifest.json")).expect("copied");
    }
    let (jobs, metrics) = library.jobs_with(&JobsConfig { mixdowns: 2, height: 1_080, ..busy() }, 0);
    jobs.mix_down(&library.folder, Film::Webm).expect("it is taken");
    let begun = Instant::now();
    while !matches!(jobs.mixdown(&library.folder, Film::Webm), Some((JobState::Running(part) | JobState::Held(part), 0)) if part > 0.0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it begins");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((jobs.mix_down(&others[0], Film::Mp4), jobs.mix_down(&others[1], Film::Mp4)), (Ok(()), Ok(())));
    assert_eq!(jobs.mix_down(&others[2], Film::Mp4), Err(Unmade::Busy));
    assert_eq!(jobs.mixdown(&others[1], Film::Mp4), Some((JobState::Waiting, 2)));
    assert!(jobs.cancel_mixdown(&others[1], Film::Mp4));
    assert!(jobs.cancel_mixdown(&library.folder, Film::Webm) && !jobs.cancel_mixdown(&others[2], Film::Mp4));
    let begun = Instant::now();
    let over = |folder: &Path, film| match jobs.mixdown(folder, film) {
        Some((JobState::Failed(why), _)) => Some(why),
        _ => None,
    };
    while over(&others[0], Film::Mp4).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the next one comes at once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let taken_back = [jobs.mixdown(&library.folder, Film::Webm), jobs.mixdown(&others[1], Film::Mp4)];
    assert_eq!(taken_back, [None, None], "what was taken back has not failed");
    assert!(matches!(over(&others[0], Film::Mp4), Some(Unmade::Failed(_))), "its file is not there");
    let text = metrics.text().expect("text");
    for line in ["kind=\"mixdown\",result=\"cancelled\"} 2", "kind=\"mixdown\",result=\"refused\"} 1", "kind=\"mixdown\",result=\"failed\"} 1"] {
        assert!(text.contains(line), "{line}");
    }
    // The node ends: so does its child.
    jobs.mix_down(&library.folder, Film::Webm).expect("it may be wished anew");
    tokio::time::sleep(Duration::from_millis(500)).await;
    jobs.end();
    let begun = Instant::now();
    while fs::read_dir(library.root.join(".jobs")).expect("the folder").count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "nothing is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(jobs.mix_down(&library.folder, Film::Webm), Err(Unmade::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_program_or_without_room_that_is_said() {
    let library = Library::new("none");
    somebody(&library.folder.join("0001.webm"), "red", 1, "libvpx");
    let clip = Clip { path: library.folder.join("0001.webm"), format: Format::Webm, length: 0 };
    for ffmpeg in [None, Some("/nowhere/ffmpeg".to_owned())] {
        let (jobs, _) = library.jobs_with(&JobsConfig { ffmpeg, ..busy() }, 0);
        assert_eq!(jobs.thumbnail(clip.clone(), &thumbnail_of(&library.folder)).await, Err(Unmade::NoProgram));
        assert_eq!(jobs.screenshot(Container::Webm, vec![1, 2, 3]).await, Err(Unmade::NoProgram));
    }
    let (jobs, _) = library.jobs_with(&busy(), u64::MAX);
    assert_eq!(jobs.thumbnail(clip, &thumbnail_of(&library.folder)).await, Err(Unmade::Full));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_frame_becomes_a_picture_of_its_size() {
    let library = Library::new("key");
    still(&library.root.join("still.webm"), "red", "1280x720", 1);
    let (jobs, _) = library.jobs();
    let made = jobs.screenshot(Container::Webm, fs::read(library.root.join("still.webm")).expect("it is there")).await.expect("a picture");
    let told = probe(&made);
    assert_eq!((&told["streams"][0]["codec_name"], &told["streams"][0]["width"]), (&json!("png"), &json!(1280)));
    assert!(is(colour(&made, 0.0, (640, 360)), RED));
    let noise = jobs.screenshot(Container::Webm, vec![7; 5_000]).await;
    assert!(matches!(noise, Err(Unmade::Failed(_))), "{noise:?}");
}
