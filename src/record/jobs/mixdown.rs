//! A recording as one film: each scene is put together and encoded on its own, and then they are joined.
//!
//! ```text
//! manifest ─► scenes ─► 0001.mkv, 0002.mkv … (picture, and sound without loss) ─► mixdown.mp4 (the picture as it is, the sound encoded)
//! ```

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Unmade;
use super::clip::Format;
use super::making::has_room;
use super::program::{Program, Run, input};
use super::scenes::{FPS, FRAME, FRAME_SAMPLES, Scene, scenes};
use crate::record::manifest::Manifest;

/// A scene may take so many times as long as it is, and a minute more: on a machine that is busy with calls it gets little.
const PATIENCE: u32 = 60;
/// Joining is copying, and encoding sound.
const JOINING: f32 = 0.05;

/// Into what a recording is mixed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Film {
    /// MP4: H.264 and AAC, which everything plays.
    Mp4,
    /// WebM: VP9 and Opus.
    Webm,
}

/// A mixdown that is wished for.
#[derive(Clone, Debug)]
pub struct Mixdown {
    /// Where the recording's files are.
    pub folder: PathBuf,
    /// What comes of it.
    pub film: Film,
    /// Its height in pixels.
    pub height: u16,
    /// Threads of its encoder.
    pub threads: usize,
    /// Bytes that the disk keeps free.
    pub minimum_free: u64,
}

/// How it is told how far it is, and asked whether it is to end.
pub struct Watch<'a> {
    /// Takes how much is done, from 0 to 1.
    pub progress: &'a dyn Fn(f32),
    /// Hears that it gets next to no time, or does again.
    pub held: &'a dyn Fn(bool),
    /// Whether it is to end.
    pub ends: &'a dyn Fn() -> bool,
}

impl Film {
    /// All of them.
    pub const ALL: [Film; 2] = [Film::Mp4, Film::Webm];

    /// The name of its file, beside those that it is made of.
    pub const fn file_name(self) -> &'static str {
        match self {
            Film::Mp4 => "mixdown.mp4",
            Film::Webm => "mixdown.webm",
        }
    }

    /// Its name in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Film::Mp4 => "mp4",
            Film::Webm => "webm",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|film| film.name() == name)
    }

    fn picture(self, threads: usize) -> Vec<OsString> {
        // No picture depends on a later one, so that scenes can be joined as they are.
        let args: &[&str] = match self {
            Film::Mp4 => &["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-bf", "0"],
            Film::Webm => &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "good",
                "-cpu-used",
                "5",
                "-crf",
                "34",
                "-b:v",
                "0",
                "-row-mt",
                "1",
                "-lag-in-frames",
                "0",
                "-auto-alt-ref",
                "0",
            ],
        };
        let rest = ["-pix_fmt", "yuv420p", "-g", "125", "-threads"].into_iter().map(OsString::from).chain([threads.to_string().into()]);
        args.iter().map(OsString::from).chain(rest).collect()
    }

    fn sound(self) -> &'static [&'static str] {
        match self {
            Film::Mp4 => &["-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart", "-f", "mp4"],
            Film::Webm => &["-c:a", "libopus", "-b:a", "96k", "-f", "webm"],
        }
    }
}

impl Mixdown {
    /// Makes it in a folder of its own for that; where it is then.
    ///
    /// # Errors
    /// Why it could not be made. What there is of it then is left in the folder.
    pub fn make(&self, program: &Program, work: &Path, watch: &Watch<'_>) -> Result<PathBuf, Unmade> {
        let can = program.encoders();
        if !(match self.film {
            Film::Mp4 => can.mp4,
            Film::Webm => can.webm,
        }) {
            return Err(Unmade::NoEncoder);
        }
        let failed = |error: std::io::Error| Unmade::Failed(error.to_string());
        let manifest = Manifest::read(&self.folder).map_err(|_| Unmade::Gone)?;
        let size = (u32::from(self.height) * 16 / 9, u32::from(self.height));
        let scenes = scenes(&manifest.files, size);
        let frames: i64 = scenes.iter().map(|scene| scene.frames).sum();
        if frames == 0 {
            return Err(Unmade::Nothing);
        }
        fs::DirBuilder::new().mode(0o700).recursive(true).create(work).map_err(failed)?;
        let mut list = String::new();
        for (number, scene) in (1..).zip(&scenes) {
            has_room(work, self.minimum_free)?;
            let name = format!("{number:05}.mkv");
            let mut args = self.scene(&manifest, scene, size);
            args.push(work.join(&name).into());
            let micros = scene.frames * FRAME;
            let part = |done: i64| (scene.from * FRAME + done.min(micros)) as f32 / (frames * FRAME) as f32 * (1.0 - JOINING);
            step(program, args, micros, watch, part)?;
            // Nothing can go wrong with writing into a text.
            let _ = writeln!(list, "file '{name}'\nduration {}", seconds(micros));
        }
        has_room(work, self.minimum_free)?;
        let (list_path, film) = (work.join("list.txt"), work.join(self.film.file_name()));
        fs::write(&list_path, list).map_err(failed)?;
        let mut args = input("concat", &list_path);
        args.extend(["-progress", "pipe:1", "-map", "0", "-map_metadata", "-1", "-c:v", "copy"].map(OsString::from));
        args.extend(self.film.sound().iter().map(OsString::from));
        args.extend(["-y".into(), film.clone().into()]);
        let micros = frames * FRAME;
        step(program, args, micros, watch, |done| 1.0 - JOINING + JOINING * done.min(micros) as f32 / micros as f32)?;
        // What was said in a call is for whoever runs the node.
        fs::set_permissions(&film, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        fs::File::open(&film).and_then(|file| file.sync_data()).map_err(failed)?;
        Ok(film)
    }

    /// The arguments for a scene, without where it goes.
    fn scene(&self, manifest: &Manifest, scene: &Scene, (width, height): (u32, u32)) -> Vec<OsString> {
        let mut files: Vec<(usize, i64)> = scene.tiles.iter().map(|tile| (tile.file, tile.offset)).chain(scene.sounds.iter().copied()).collect();
        files.sort_unstable();
        files.dedup();
        let mut args = Vec::new();
        for (file, offset) in &files {
            let Some(entry) = manifest.files.get(*file) else { continue };
            args.extend(["-t".into(), seconds(scene.frames * FRAME + 1_000_000).into()]);
            if *offset > 0 {
                args.extend(["-ss".into(), seconds(*offset).into()]);
            }
            // A picture that changes its size goes on in its place.
            args.extend(["-reinit_filter:v", "0"].map(OsString::from));
            if !scene.tiles.iter().any(|tile| tile.file == *file) {
                args.push("-vn".into());
            }
            if !scene.sounds.iter().any(|(heard, _)| heard == file) {
                args.push("-an".into());
            }
            args.extend(input(Format::of(entry.container).demuxer(), &self.folder.join(&entry.name)));
        }
        let place = |file: usize| files.iter().position(|(known, _)| *known == file).unwrap_or(0);
        let graph = format!("{};{}", picture(scene, (width, height), place), sound(scene, place));
        args.extend(["-progress", "pipe:1", "-filter_complex_threads", "1", "-filter_complex"].map(OsString::from));
        // Picture and sound end where the graph says: `-frames:v` would leave out the sound that is not written yet at the last picture.
        args.extend([graph.into(), "-map".into(), "[v]".into(), "-map".into(), "[a]".into()]);
        args.extend(self.film.picture(self.threads));
        args.extend(["-c:a", "flac", "-f", "matroska", "-y"].map(OsString::from));
        args
    }
}

/// Pictures laid over a dark one, each in its place, from the first to the last picture of the scene.
fn picture(scene: &Scene, (width, height): (u32, u32), place: impl Fn(usize) -> usize) -> String {
    let frames = scene.frames;
    let mut graph = format!("color=c=0x101418:s={width}x{height}:r={FPS},format=yuv420p,trim=end_frame={frames}[p0]");
    for (n, tile) in scene.tiles.iter().enumerate() {
        let (file, p) = (place(tile.file), tile.place);
        let _ = write!(
            graph,
            ";[{file}:v:0]fps={FPS}:start_time=0,trim=end_frame={frames},\
             scale={w}:{h}:force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1,format=yuv420p[t{n}]\
             ;[p{n}][t{n}]overlay=x={x}+({w}-overlay_w)/2:y={y}+({h}-overlay_h)/2[p{next}]",
            w = p.width,
            h = p.height,
            x = p.x,
            y = p.y,
            next = n + 1
        );
    }
    let _ = write!(graph, ";[p{}]trim=end_frame={frames}[v]", scene.tiles.len());
    graph
}

/// All sounds together, as loud as they are: what is too loud for a sample is cut, as a browser does.
fn sound(scene: &Scene, place: impl Fn(usize) -> usize) -> String {
    let (count, samples) = (scene.sounds.len(), scene.frames * FRAME_SAMPLES);
    let mut graph = String::new();
    for (n, (file, _)) in scene.sounds.iter().enumerate() {
        let file = place(*file);
        let _ = write!(
            graph,
            "[{file}:a:0]aresample=48000:async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo,apad=whole_len={samples},\
             atrim=end_sample={samples}[s{n}];"
        );
    }
    match count {
        0 => graph.push_str("anullsrc=r=48000:cl=stereo"),
        1 => graph.push_str("[s0]anull"),
        _ => {
            (0..count).for_each(|n| {
                let _ = write!(graph, "[s{n}]");
            });
            let _ = write!(graph, "amix=inputs={count}:normalize=0");
        }
    }
    let _ = write!(graph, ",atrim=end_sample={samples},aformat=sample_fmts=s16:sample_rates=48000:channel_layouts=stereo[a]");
    graph
}

/// Runs it, and says how far it is: `part` makes that of the microseconds that it has done.
fn step(program: &Program, args: Vec<OsString>, micros: i64, watch: &Watch<'_>, part: impl Fn(i64) -> f32) -> Result<(), Unmade> {
    let length = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let run = Run { args, input: &[], limit: length * PATIENCE + Duration::from_secs(60), held: Some(watch.held) };
    let mut said = String::new();
    program.run(run, watch.ends, |bytes| {
        said.push_str(&String::from_utf8_lossy(bytes));
        let whole = said.rfind('\n').map_or(0, |at| at + 1);
        if let Some(done) = said.get(..whole).and_then(done) {
            (watch.progress)(part(done));
        }
        said.drain(..whole);
        Ok(())
    })
}

/// The last microsecond that is done, of what `-progress` has written.
fn done(lines: &str) -> Option<i64> {
    let value = lines.lines().rev().find_map(|line| line.strip_prefix("out_time_us="))?;
    value.trim().parse().ok().filter(|done| *done >= 0)
}

fn seconds(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::jobs::scenes::{Place, Tile};

    #[test]
    fn progress_is_read_from_whole_lines_and_what_is_not_known_yet_is_none() {
        assert_eq!(done("frame=3\nout_time_us=120000\nprogress=continue\nout_time_us=160000\n"), Some(160_000));
        assert_eq!(done("out_time_us=N/A\n"), None);
        assert_eq!(done("out_time_us=-9223372036854775807\n"), None);
        assert_eq!(seconds(61_000_020), "61.000020");
    }

    #[test]
    fn a_scene_is_one_graph_of_what_is_seen_and_heard() {
        let tile = |file, x| Tile { file, offset: 5, place: Place { x, y: 0, width: 640, height: 720 } };
        let scene = Scene { from: 0, frames: 50, tiles: vec![tile(4, 0), tile(7, 640)], sounds: vec![(4, 5), (6, 0)] };
        let place = |file: usize| [4, 6, 7].iter().position(|known| *known == file).expect("known");
        insta::assert_snapshot!(format!("{};\n{}", picture(&scene, (1_280, 720), place), sound(&scene, place)).replace(';', ";\n"));
        let still = Scene { from: 0, frames: 1, tiles: vec![], sounds: vec![] };
        assert_eq!(picture(&still, (320, 180), place), "color=c=0x101418:s=320x180:r=25,format=yuv420p,trim=end_frame=1[p0];[p0]trim=end_frame=1[v]");
    }
}
