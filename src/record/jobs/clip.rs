//! A file of ours that something is made of, and small things that are made of one: a thumbnail, a waveform, a picture of a key frame.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Unmade;
use super::peaks::{Peaks, RATE};
use super::program::{Program, Run, input, piped};
use crate::record::file::Container;
use crate::record::manifest::{FileEntry, FileState, Kind, Manifest, UploadEntry};

/// Pixels that a thumbnail is wide at most.
const THUMBNAIL: u32 = 320;
/// Bytes of a picture that is kept at most.
const MOST_BYTES: usize = 64 << 20;
/// A picture of one key frame, and a thumbnail, may take so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A waveform may take so long: four hours of sound are decoded in less than a minute of a core.
const LONG_PATIENCE: Duration = Duration::from_secs(3_600);
/// What is shown of a recording lies so far in it: people have sat down by then.
const SETTLED: i64 = 5_000_000;

/// What kind a file is; nothing of that is guessed from what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// WebM, or Matroska.
    Webm,
    /// MP4.
    Mp4,
    /// Ogg.
    Ogg,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
}

/// A file, by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// Where it is: in the folder of recordings.
    pub path: PathBuf,
    /// What it is.
    pub format: Format,
    /// How long it is, in microseconds; 0 where that is not known.
    pub length: i64,
}

impl Format {
    /// The format of a container of ours.
    pub const fn of(container: Container) -> Self {
        match container {
            Container::Webm => Format::Webm,
            Container::Mp4 => Format::Mp4,
        }
    }

    /// The format of a media type that uploads may have; parameters are left aside.
    pub fn of_type(media_type: &str) -> Option<Self> {
        Some(match media_type.split(';').next().unwrap_or_default().trim() {
            "audio/webm" | "video/webm" => Format::Webm,
            "audio/mp4" | "video/mp4" => Format::Mp4,
            "audio/ogg" => Format::Ogg,
            "image/png" => Format::Png,
            "image/jpeg" => Format::Jpeg,
            "image/webp" => Format::Webp,
            _ => return None,
        })
    }

    /// FFmpeg's name of what reads it.
    pub const fn demuxer(self) -> &'static str {
        match self {
            Format::Webm => "webm",
            Format::Mp4 => "mp4",
            Format::Ogg => "ogg",
            Format::Png => "png_pipe",
            Format::Jpeg => "jpeg_pipe",
            Format::Webp => "webp_pipe",
        }
    }
}

impl Clip {
    /// A file of a recording.
    pub fn of(folder: &Path, entry: &FileEntry) -> Self {
        Self { path: folder.join(&entry.name), format: Format::of(entry.container), length: entry.length }
    }

    /// What a member has added, if it is of a kind that is known.
    fn added(folder: &Path, upload: &UploadEntry) -> Option<Self> {
        Some(Self { path: folder.join(&upload.name), format: Format::of_type(&upload.media_type)?, length: upload.length })
    }

    /// What is shown of something as a whole: the longest screen, or else the longest picture; none when there is only sound.
    pub fn best(folder: &Path, manifest: &Manifest) -> Option<Self> {
        if let Some(upload) = manifest.upload.as_ref().filter(|_| manifest.kind != Kind::Audio) {
            return Self::added(folder, upload);
        }
        let playable = manifest.files.iter().filter(|file| file.video.is_some() && is_over(file.state));
        playable.max_by_key(|file| (file.screen, file.length)).map(|best| Self::of(folder, best))
    }

    /// Whatever of it may be heard.
    pub fn heard(folder: &Path, manifest: &Manifest) -> impl Iterator<Item = Self> {
        let added = manifest.upload.iter().filter(|_| manifest.kind != Kind::Screenshot).filter_map(|upload| Self::added(folder, upload));
        let recorded = manifest.files.iter().filter(|file| file.audio.is_some() && is_over(file.state));
        added.chain(recorded.map(|file| Self::of(folder, file)))
    }

    /// A small JPEG of what is seen in it.
    pub(super) fn thumbnail(&self, program: &Program, ends: impl Fn() -> bool + Copy) -> Result<Vec<u8>, Unmade> {
        let at = (self.length / 3).min(SETTLED);
        match self.picture_at(program, at, ends) {
            // It may be shorter than it says, or begin later.
            Err(Unmade::Nothing) if at > 0 => self.picture_at(program, 0, ends),
            result => result,
        }
    }

    fn picture_at(&self, program: &Program, at: i64, ends: impl Fn() -> bool) -> Result<Vec<u8>, Unmade> {
        let mut args = Vec::new();
        if at > 0 {
            args.extend(["-ss".into(), format!("{}.{:06}", at / 1_000_000, at % 1_000_000).into()]);
        }
        args.extend(input(self.format.demuxer(), &self.path));
        let scale = format!("scale='min({THUMBNAIL},iw)':-2,setsar=1");
        args.extend(["-an", "-frames:v", "1", "-vf", &scale, "-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-q:v", "5"].map(OsString::from));
        args.extend(["-f", "image2pipe", "pipe:1"].map(OsString::from));
        picture(program, Run { args, input: &[], limit: PATIENCE, held: None }, ends)
    }

    /// How loud it is, as JSON.
    pub(super) fn waveform(&self, program: &Program, ends: impl Fn() -> bool) -> Result<Vec<u8>, Unmade> {
        let mut args = input(self.format.demuxer(), &self.path);
        // What begins later than the file does so in its waveform, too.
        args.extend(["-vn", "-map", "0:a:0?", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar"].map(OsString::from));
        args.extend([RATE.to_string().into(), "-f".into(), "s16le".into(), "pipe:1".into()]);
        let mut peaks = Peaks::default();
        let read = program.run(Run { args, input: &[], limit: LONG_PATIENCE, held: None }, ends, |bytes| {
            peaks.take(bytes);
            Ok(())
        });
        match read {
            // A file without any sound is refused in these words.
            Err(Unmade::Failed(why)) if why.contains("does not contain any stream") => return Err(Unmade::Nothing),
            other => other?,
        }
        let waveform = peaks.finish().ok_or(Unmade::Nothing)?;
        serde_json::to_vec(&waveform).map_err(|error| Unmade::Failed(error.to_string()))
    }
}

/// Whether it is all there, and can be played.
fn is_over(state: FileState) -> bool {
    matches!(state, FileState::Complete | FileState::Repaired)
}

/// A key frame, in a file of its own, as a PNG of its size.
pub(super) fn key_frame(program: &Program, format: Format, file: &[u8], ends: impl Fn() -> bool) -> Result<Vec<u8>, Unmade> {
    let mut args = piped(format.demuxer());
    args.extend(["-an", "-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "pipe:1"].map(OsString::from));
    picture(program, Run { args, input: file, limit: PATIENCE, held: None }, ends)
}

fn picture(program: &Program, run: Run<'_>, ends: impl Fn() -> bool) -> Result<Vec<u8>, Unmade> {
    let mut picture = Vec::new();
    program.run(run, ends, |bytes| {
        if picture.len() + bytes.len() > MOST_BYTES {
            return Err(Unmade::Failed("the picture is too large".into()));
        }
        picture.extend_from_slice(bytes);
        Ok(())
    })?;
    if picture.is_empty() { Err(Unmade::Nothing) } else { Ok(picture) }
}
