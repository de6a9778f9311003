//! The manifest beside a recording's files: the truth about it, in JSON. Whatever lists recordings reads these.

use std::fs::{File, rename};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::Container;
use crate::contract::TapCodec;

/// The version of the form; it rises when a reader of the old one could no longer understand the new one.
pub const SCHEMA: u32 = 1;
/// The name of the file.
pub const NAME: &str = "manifest.json";

/// A recording, or something that a member has added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form.
    pub schema: u32,
    /// The recording's identity, and the name of its folder.
    pub id: String,
    /// The room's name.
    pub room: String,
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// What it is called, once somebody has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who began it, or has added it.
    pub by: Person,
    /// How far it is.
    pub state: State,
    /// When it began: milliseconds since the Unix epoch.
    pub began: u64,
    /// When it ended, once it has: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Whoever was recorded.
    pub members: Vec<Person>,
    /// Its files, in the order of their beginnings.
    pub files: Vec<FileEntry>,
    /// What a member has added, instead of files of the recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadEntry>,
}

/// What something is that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Kind {
    /// A recording of this server.
    #[default]
    Recording,
    /// A picture of a moment.
    Screenshot,
    /// Sound that a member's browser has recorded.
    Audio,
    /// Pictures that a member's browser has recorded.
    Video,
}

/// What a member has added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadEntry {
    /// Its name in the folder, chosen here.
    pub name: String,
    /// The name that the member's browser gave it.
    pub called: String,
    /// Its media type, one of those that are taken.
    pub media_type: String,
    /// Bytes.
    pub bytes: u64,
    /// How long it is, in microseconds, as the member's browser says; 0 when it does not.
    pub length: i64,
}

/// A member of the room, as it was known then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Person {
    /// The identity.
    pub member: String,
    /// The name that was shown.
    pub name: String,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum State {
    /// It goes on.
    Recording,
    /// It was ended.
    Finished,
    /// The node ended before it, and has repaired its files.
    Interrupted,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum FileState {
    /// It is being written.
    Writing,
    /// It is complete.
    Complete,
    /// What was not whole at its end was cut off, and it is complete.
    Repaired,
    /// Nothing in it can be played.
    Broken,
}

/// A file of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the folder: a number that was drawn here, and the container's ending.
    pub name: String,
    /// Whom it shows.
    pub member: String,
    /// Whether that is the member's screen and its sound (else camera and microphone).
    pub screen: bool,
    /// What kind it is.
    pub container: Container,
    /// The codec of its picture, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// The codec of its sound, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// Width and height of the picture at the beginning, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u16, u16)>,
    /// Where it begins, in microseconds from the beginning of the recording. Files of one recording are in step with each other by this.
    pub at: i64,
    /// How long it is, in microseconds; 0 while it is being written.
    pub length: i64,
    /// Bytes; 0 while it is being written.
    pub bytes: u64,
    /// Pictures, pieces of sound and pieces of the file that are missing, as far as that is known.
    pub lost: u64,
    /// How far it is.
    pub state: FileState,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// When there is none, or it is of a later form.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let manifest: Self = serde_json::from_slice(&std::fs::read(folder.join(NAME))?)?;
        if manifest.schema > SCHEMA {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the manifest was written by a later version"));
        }
        Ok(manifest)
    }

    /// Bytes of its files, as far as they are complete.
    pub fn bytes(&self) -> u64 {
        let upload = self.upload.as_ref().map_or(0, |upload| upload.bytes);
        self.files.iter().fold(upload, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// It as its file has it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// Writes it into a folder: the old one is there until the new one is whole.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let (new, text) = (folder.join("manifest.new"), self.text()?);
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        // A name that leads to nothing after a power cut would be worse than the old manifest.
        file.sync_data()?;
        rename(new, folder.join(NAME))
    }
}

/// The name of a codec, as a manifest has it.
pub const fn codec_name(codec: TapCodec) -> &'static str {
    match codec {
        TapCodec::Opus | TapCodec::Red => "opus",
        TapCodec::Vp8 => "vp8",
        TapCodec::Vp9 => "vp9",
        TapCodec::H264 => "h264",
        TapCodec::Av1 => "av1",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A finished recording of a second, with one file.
    pub fn recording(id: &str, room: &str, began: u64, bytes: u64) -> Manifest {
        let by = Person { member: "ada".into(), name: "Ada".into() };
        let file = FileEntry {
            name: "0001.webm".into(),
            member: by.member.clone(),
            screen: false,
            container: Container::Webm,
            video: None,
            audio: Some("opus".into()),
            size: None,
            at: 0,
            length: 1_000_000,
            bytes,
            lost: 0,
            state: FileState::Complete,
        };
        Manifest {
            schema: SCHEMA,
            id: id.into(),
            room: room.into(),
            kind: Kind::Recording,
            title: None,
            by: by.clone(),
            state: State::Finished,
            began,
            ended: Some(began + 1_000),
            members: vec![by],
            files: vec![file],
            upload: None,
        }
    }

    #[test]
    fn a_manifest_that_was_written_before_there_was_a_library_is_one_of_a_recording() {
        let mut written = serde_json::to_value(recording("r1", "hall", 1, 2)).expect("JSON");
        written.as_object_mut().expect("an object").remove("kind");
        let manifest: Manifest = serde_json::from_value(written).expect("a manifest");
        assert_eq!((manifest.kind, manifest.title.clone(), manifest.bytes()), (Kind::Recording, None, 2));
    }
}
