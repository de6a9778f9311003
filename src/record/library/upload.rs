//! What members add: in pieces, over as many connections and starts of the node as it takes, and whole or not at all.
//!
//! `.uploads/ID/` has the bytes that there are (the length of their file is how far it is) and what is to become of them (`about.json`). When
//! the last byte is there they are made to last, looked at, and get a manifest; then the folder becomes that of an item, from one moment to the
//! next.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, create_dir_all, read_dir, remove_dir_all, remove_file, rename};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Library, LibraryError};
use crate::config::UploadConfig;
use crate::record::folder::{create_private, free};
use crate::record::manifest::{Kind, Manifest, Person, SCHEMA, State, UploadEntry};
use crate::record::unix_millis;

/// Where what is not finished lies.
const FOLDER: &str = ".uploads";
const ABOUT: &str = "about.json";
/// Bytes that tell what a file is.
const MAGIC: usize = 16;

/// What is to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The room that it is of.
    pub room: String,
    /// What it is.
    pub kind: Kind,
    /// Who adds it.
    pub by: Person,
    /// The name that its file has on the member's device.
    pub called: String,
    /// Its media type, one of those that are taken.
    pub media_type: String,
    /// What it is called, if the member has said.
    pub title: Option<String>,
    /// When it was made: milliseconds since the Unix epoch.
    pub at: u64,
    /// How long it is, in microseconds; 0 where nobody has said.
    pub length: i64,
    /// Bytes.
    pub bytes: u64,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The room.
    pub room: String,
    /// Who adds it.
    pub member: String,
    /// Bytes that are there.
    pub offset: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Whether it is an item of the library.
    pub finished: bool,
    /// When it is dropped unless it goes on: milliseconds since the Unix epoch.
    pub expires: Option<u64>,
}

/// Why nothing is added.
#[derive(Debug)]
pub enum UploadError {
    /// Nothing is taken here.
    Off,
    /// There is no such upload (any more).
    Unknown,
    /// It is bigger than one may be: so many bytes.
    TooBig(u64),
    /// As many as may be are under way already.
    TooMany,
    /// As much is kept of the room as may be.
    RoomFull,
    /// There is no room for it: neither on the disk nor, maybe, by the settings.
    NoRoom,
    /// Another connection writes to it.
    Busy,
    /// It continues at another byte: this one.
    Offset(u64),
    /// It is not what it is said to be.
    NotThat,
    /// The disk refuses.
    Disk(io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Disk(error),
        }
    }
}

impl From<LibraryError> for UploadError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Disk(error) => error.into(),
            LibraryError::Unknown | LibraryError::GoesOn | LibraryError::Away(_) => Self::Unknown,
        }
    }
}

/// Uploads that are not finished.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<BTreeMap<String, Upload>>);

#[derive(Debug)]
struct Upload {
    about: About,
    offset: u64,
    busy: bool,
    /// When it last went on: milliseconds since the Unix epoch.
    touched: u64,
}

/// An upload that goes on; dropping it lets the next connection go on.
pub struct Continued {
    library: Library,
    id: String,
    file: File,
    offset: u64,
    bytes: u64,
}

/// What a media type that is taken is, and the ending of its files.
pub fn media_type(name: &str) -> Option<(Kind, &'static str, &'static str)> {
    let essence = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let taken = [
        (Kind::Screenshot, "image/png", "png"),
        (Kind::Screenshot, "image/jpeg", "jpg"),
        (Kind::Screenshot, "image/webp", "webp"),
        (Kind::Audio, "audio/webm", "webm"),
        (Kind::Audio, "audio/ogg", "ogg"),
        (Kind::Audio, "audio/mp4", "m4a"),
        (Kind::Video, "video/webm", "webm"),
        (Kind::Video, "video/mp4", "mp4"),
    ];
    taken.into_iter().find(|(_, taken, _)| *taken == essence)
}

/// Whether a file that begins so is of this type: nothing is served as what it is not.
fn begins_as(media_type: &str, magic: &[u8]) -> bool {
    let has = |at: usize, bytes: &[u8]| magic.get(at..at + bytes.len()) == Some(bytes);
    match media_type {
        "image/png" => has(0, b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => has(0, b"\xff\xd8\xff"),
        "image/webp" => has(0, b"RIFF") && has(8, b"WEBP"),
        "audio/webm" | "video/webm" => has(0, b"\x1a\x45\xdf\xa3"),
        "audio/ogg" => has(0, b"OggS"),
        "audio/mp4" | "video/mp4" => has(4, b"ftyp"),
        _ => false,
    }
}

impl Uploads {
    /// What there is in the library's folder. What was finished but for its last step becomes an item.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut uploads = BTreeMap::new();
        for entry in read_dir(folder.join(FOLDER)).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Some(id) = name.to_str().filter(|name| super::is_plain(name)) else { continue };
            if Manifest::read(&path).is_ok() {
                rename(&path, folder.join(id))?;
                continue;
            }
            match read(&path) {
                Ok(upload) => drop(uploads.insert(id.to_owned(), upload)),
                Err(error) => {
                    tracing::warn!(upload = id, %error, "an upload that cannot go on is dropped");
                    remove_dir_all(&path)?;
                }
            }
        }
        Ok(Self(Mutex::new(uploads)))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(folder: &Path) -> io::Result<Upload> {
    let about: About = serde_json::from_slice(&std::fs::read(folder.join(ABOUT))?)?;
    let data = folder.join(about.file()?).metadata()?;
    let touched = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // More than was announced cannot have been written.
    if data.len() > about.bytes {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Upload { offset: data.len(), about, busy: false, touched: u64::try_from(touched.as_millis()).unwrap_or(u64::MAX) })
}

impl Library {
    /// Begins an upload of this identity, which was drawn; of its room `most` bytes are kept. Waits for the disk, as all below.
    ///
    /// # Errors
    /// Why not.
    pub fn begin_upload(&self, id: &str, about: About, most: Option<u64>) -> Result<(), UploadError> {
        let config = self.takes()?;
        let (room, bytes) = (about.room.clone(), about.bytes);
        if bytes > config.bytes {
            return Err(UploadError::TooBig(config.bytes));
        }
        let upload = Upload { about: about.clone(), offset: 0, busy: true, touched: unix_millis() };
        // The disk is never waited for with the list in hand: whoever asks how far an upload is must not wait for it.
        let (stored, left) = (self.index().uploaded(), free(&self.config().folder)?);
        let mut uploads = self.uploads().all();
        if uploads.len() >= config.at_once || uploads.values().filter(|other| other.about.room == room).count() >= config.of_room {
            return Err(UploadError::TooMany);
        }
        let of_room = uploads.values().filter(|other| other.about.room == room).fold(bytes, |all, other| all.saturating_add(other.about.bytes));
        if most.is_some_and(|most| self.bytes_of(&room).saturating_add(of_room) > most) {
            return Err(UploadError::RoomFull);
        }
        let promised = uploads.values().fold(bytes, |all, other| all.saturating_add(other.about.bytes));
        let missing = uploads.values().fold(bytes, |all, other| all.saturating_add(other.about.bytes.saturating_sub(other.offset)));
        if stored.saturating_add(promised) > config.total || left.saturating_sub(missing) < self.config().minimum_free || left < missing {
            return Err(UploadError::NoRoom);
        }
        // Its place is taken before the disk is waited for.
        uploads.insert(id.to_owned(), upload);
        self.metrics().uploads.set(uploads.len() as i64);
        drop(uploads);
        let made = self.make(id, &about);
        if made.is_err() {
            let _ = remove_dir_all(self.place(id));
            self.forget(id);
        } else if let Some(upload) = self.uploads().all().get_mut(id) {
            upload.busy = false;
        }
        Ok(made?)
    }

    fn make(&self, id: &str, about: &About) -> io::Result<()> {
        let folder = self.place(id);
        create_dir_all(self.config().folder.join(FOLDER))?;
        create_private(&folder)?;
        let new = |name: &str| OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name));
        new(&about.file()?)?;
        let mut file = new(ABOUT)?;
        file.write_all(&serde_json::to_vec(about)?)?;
        file.sync_data()
    }

    /// How far an upload is.
    pub fn upload(&self, id: &str) -> Option<Progress> {
        let patience = u64::try_from(self.takes().ok()?.patience.as_millis()).unwrap_or(u64::MAX);
        if let Some(Upload { about, offset, touched, .. }) = self.uploads().all().get(id) {
            let (room, member, expires) = (about.room.clone(), about.by.member.clone(), Some(touched.saturating_add(patience)));
            return Some(Progress { room, member, offset: *offset, bytes: about.bytes, finished: false, expires });
        }
        let entry = self.find(id).filter(|entry| entry.kind != Kind::Recording)?;
        let (offset, bytes) = (entry.bytes, entry.bytes);
        Some(Progress { room: entry.room, member: String::new(), offset, bytes, finished: true, expires: None })
    }

    /// Goes on with an upload at this byte.
    ///
    /// # Errors
    /// When there is no such upload, another connection is at it, or it goes on elsewhere.
    pub fn continue_upload(&self, id: &str, offset: u64) -> Result<Continued, UploadError> {
        self.takes()?;
        let (name, bytes) = {
            let mut uploads = self.uploads().all();
            let upload = uploads.get_mut(id).ok_or(UploadError::Unknown)?;
            if upload.busy {
                return Err(UploadError::Busy);
            }
            if upload.offset != offset {
                return Err(UploadError::Offset(upload.offset));
            }
            let name = upload.about.file()?;
            upload.busy = true;
            (name, upload.about.bytes)
        };
        match OpenOptions::new().write(true).open(self.place(id).join(name)) {
            Ok(file) => Ok(Continued { library: self.clone(), id: id.to_owned(), file, offset, bytes }),
            Err(error) => {
                if let Some(upload) = self.uploads().all().get_mut(id) {
                    upload.busy = false;
                }
                Err(error.into())
            }
        }
    }

    /// Ends an upload that is not finished.
    ///
    /// # Errors
    /// When there is no such upload, or a connection is at it.
    pub fn cancel_upload(&self, id: &str) -> Result<(), UploadError> {
        self.drop_upload(id, "cancelled")
    }

    fn drop_upload(&self, id: &str, how: &'static str) -> Result<(), UploadError> {
        match self.uploads().all().get_mut(id) {
            None => return Err(UploadError::Unknown),
            Some(upload) if upload.busy => return Err(UploadError::Busy),
            Some(upload) => upload.busy = true,
        }
        let removed = remove_dir_all(self.place(id));
        self.forget(id);
        self.metrics().upload_ended(how);
        Ok(removed?)
    }

    /// Drops uploads that nobody has gone on with for too long; how many.
    pub fn drop_stale_uploads(&self) -> usize {
        let Ok(config) = self.takes() else { return 0 };
        let before = unix_millis().saturating_sub(u64::try_from(config.patience.as_millis()).unwrap_or(u64::MAX));
        let stale: Vec<String> = self.uploads().all().iter().filter(|(_, u)| !u.busy && u.touched < before).map(|(id, _)| id.clone()).collect();
        stale.iter().filter(|id| self.drop_upload(id, "dropped").is_ok()).count()
    }

    fn takes(&self) -> Result<&UploadConfig, UploadError> {
        self.config().uploads.as_ref().filter(|_| self.is_open()).ok_or(UploadError::Off)
    }

    fn place(&self, id: &str) -> PathBuf {
        self.config().folder.join(FOLDER).join(id)
    }

    fn forget(&self, id: &str) {
        let mut uploads = self.uploads().all();
        uploads.remove(id);
        self.metrics().uploads.set(uploads.len() as i64);
    }
}

impl Continued {
    /// Bytes that are still to come.
    pub const fn missing(&self) -> u64 {
        self.bytes - self.offset
    }

    /// How far it is.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends bytes, at most as many as are missing: all of them, or none.
    ///
    /// # Errors
    /// When there are more, or the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let more = bytes.len() as u64;
        self.library.takes()?;
        if more > self.missing() {
            return Err(UploadError::TooBig(self.bytes));
        }
        if let Err(error) = self.file.write_all_at(bytes, self.offset) {
            // Where this is refused too, what goes on here is written over it.
            let _ = self.file.set_len(self.offset);
            return Err(error.into());
        }
        self.offset += more;
        self.library.metrics().upload_bytes.inc_by(more);
        Ok(())
    }

    /// Makes an item of an upload that is complete.
    ///
    /// # Errors
    /// When it is not what it is said to be, which ends it; or when the disk refuses.
    pub fn finish(self) -> Result<(), UploadError> {
        self.file.sync_all()?;
        let folder = self.library.place(&self.id);
        let about = self.library.uploads().all().get(&self.id).map(|upload| upload.about.clone()).ok_or(UploadError::Unknown)?;
        let mut magic = Vec::new();
        let name = about.file()?;
        File::open(folder.join(&name))?.take(MAGIC as u64).read_to_end(&mut magic)?;
        if !begins_as(&about.media_type, &magic) {
            let _ = remove_dir_all(&folder);
            self.library.forget(&self.id);
            self.library.metrics().upload_ended("refused");
            return Err(UploadError::NotThat);
        }
        let manifest = about.manifest(&self.id, name);
        manifest.write(&folder)?;
        let _ = remove_file(folder.join(ABOUT));
        File::open(&folder)?.sync_all()?;
        rename(&folder, self.library.config().folder.join(&self.id))?;
        File::open(&self.library.config().folder)?.sync_all()?;
        self.library.put(&manifest);
        self.library.forget(&self.id);
        self.library.metrics().upload_ended("finished");
        Ok(())
    }
}

impl Drop for Continued {
    fn drop(&mut self) {
        if let Some(upload) = self.library.uploads().all().get_mut(&self.id) {
            (upload.offset, upload.busy, upload.touched) = (self.offset, false, unix_millis());
        }
    }
}

impl About {
    /// The name of its file: nothing of what the member has said but the type.
    fn file(&self) -> io::Result<String> {
        let (_, _, ending) = media_type(&self.media_type).ok_or(io::ErrorKind::InvalidData)?;
        Ok(format!("0001.{ending}"))
    }

    fn manifest(self, id: &str, name: String) -> Manifest {
        let lasted = u64::try_from(self.length / 1_000).unwrap_or(0);
        let Self { room, kind, by, called, media_type, title, at, length, bytes } = self;
        Manifest {
            schema: SCHEMA,
            id: id.to_owned(),
            room,
            kind,
            title,
            by: by.clone(),
            state: State::Finished,
            began: at,
            ended: Some(at.saturating_add(lasted)),
            members: vec![by],
            files: Vec::new(),
            upload: Some(UploadEntry { name, called, media_type, bytes, length }),
        }
    }
}
