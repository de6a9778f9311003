//! What is told of something that is kept.

use serde::Serialize;

use super::link::Links;
use super::made::MixdownAnswer;
use crate::control::auth::unix_time;
use crate::record::file::Container;
use crate::record::jobs::mixdown::Film;
use crate::record::jobs::{Jobs, THUMBNAIL};
use crate::record::library::{CHAT, Item, Purpose};
use crate::record::manifest::{FileEntry, FileState, Kind, Person, State, UploadEntry};

/// Something that is kept, with links to its parts.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ItemAnswer<'a> {
    id: &'a str,
    room: &'a str,
    kind: Kind,
    /// What it is called: the room's name where nobody has said otherwise.
    title: &'a str,
    by: &'a Person,
    /// Milliseconds since the Unix epoch.
    began: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    state: State,
    members: &'a [Person],
    bytes: u64,
    /// Microseconds.
    length: i64,
    /// A small picture of it, where there is something to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<String>,
    zip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<String>,
    files: Vec<FileAnswer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mixdowns: Vec<MixdownAnswer>,
}

/// A file of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileAnswer<'a> {
    name: &'a str,
    /// To show it.
    url: String,
    /// To save it.
    download: String,
    /// How loud it is when, where there is something to hear.
    #[serde(skip_serializing_if = "Option::is_none")]
    waveform: Option<String>,
    /// A playlist (HLS), where it can be streamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    playlist: Option<String>,
    member: &'a str,
    screen: bool,
    container: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<(u16, u16)>,
    /// Microseconds from the beginning of the recording.
    at: i64,
    /// Microseconds.
    length: i64,
    bytes: u64,
    lost: u64,
    state: FileState,
}

impl<'a> ItemAnswer<'a> {
    /// An item, with such links.
    pub fn new(item: &'a Item, links: &Links, jobs: Option<&Jobs>) -> Self {
        let manifest = &item.manifest;
        let id = manifest.id.as_str();
        let jobs = jobs.filter(|jobs| jobs.may_work());
        let to_be_seen = item.to_be_seen().filter(|_| jobs.is_some() || item.beside.contains(THUMBNAIL));
        let recorded = manifest.files.iter().map(|file| FileAnswer::recorded(file, id, links));
        let added = manifest.upload.iter().map(|upload| FileAnswer::added(upload, &manifest.by, id, links));
        let with_waveform = |file: FileAnswer<'a>| {
            let waveform = item.to_be_heard(file.name).filter(|_| jobs.is_some()).map(|_| links.to(Purpose::Waveform, id, file.name));
            FileAnswer { waveform, ..file }
        };
        Self {
            id,
            room: &manifest.room,
            kind: manifest.kind,
            title: title(item),
            by: &manifest.by,
            began: manifest.began,
            ended: manifest.ended,
            state: manifest.state,
            members: &manifest.members,
            bytes: manifest.bytes(),
            length: length(item),
            thumbnail: to_be_seen.map(|_| links.to(Purpose::Thumbnail, id, "")),
            zip: links.to(Purpose::Zip, id, ""),
            chat: item.beside.contains(CHAT).then(|| links.to(Purpose::Chat, id, "")),
            files: recorded.chain(added).map(with_waveform).collect(),
            mixdowns: mixdowns(item, links, jobs),
        }
    }
}

impl<'a> FileAnswer<'a> {
    fn recorded(file: &'a FileEntry, id: &str, links: &Links) -> Self {
        let url = links.to(Purpose::File, id, &file.name);
        Self {
            name: &file.name,
            download: format!("{url}&download=1"),
            waveform: None,
            playlist: (file.container == Container::Mp4 && file.state != FileState::Broken).then(|| playlist_of(&url, &file.name)),
            url,
            member: &file.member,
            screen: file.screen,
            container: file.container.extension(),
            r#type: file.container.media_type(file.video.is_some()),
            video: file.video.as_deref(),
            audio: file.audio.as_deref(),
            size: file.size,
            at: file.at,
            length: file.length,
            bytes: file.bytes,
            lost: file.lost,
            state: file.state,
        }
    }

    fn added(upload: &'a UploadEntry, by: &'a Person, id: &str, links: &Links) -> Self {
        let url = links.to(Purpose::File, id, &upload.name);
        Self {
            name: &upload.name,
            download: format!("{url}&download=1"),
            waveform: None,
            playlist: None,
            url,
            member: &by.member,
            screen: false,
            container: upload.name.rsplit_once('.').map_or("", |(_, ending)| ending),
            r#type: &upload.media_type,
            video: None,
            audio: None,
            size: None,
            at: 0,
            length: upload.length,
            bytes: upload.bytes,
            lost: 0,
            state: FileState::Complete,
        }
    }
}

/// The mixdowns of an item that there are, are being made, or could not be made lately.
pub fn mixdowns(item: &Item, links: &Links, jobs: Option<&Jobs>) -> Vec<MixdownAnswer> {
    let url = |film: Film| links.to(Purpose::File, &item.manifest.id, film.file_name());
    let of = |film: Film| MixdownAnswer::new(item, film, jobs?, || url(film));
    Film::ALL.into_iter().filter(|_| item.manifest.kind == Kind::Recording).filter_map(of).collect()
}

/// The link to a file, made one to its playlist: the signature is that of the file.
fn playlist_of(url: &str, name: &str) -> String {
    url.replacen(&format!("/files/{name}?"), &format!("/files/{name}/index.m3u8?"), 1)
}

/// What it is called: as the room where nobody has said otherwise.
pub fn title(item: &Item) -> &str {
    item.manifest.title.as_deref().unwrap_or(&item.manifest.room)
}

/// Microseconds from the beginning to the end of what was kept; of what goes on, to now.
fn length(item: &Item) -> i64 {
    let manifest = &item.manifest;
    if manifest.state == State::Recording {
        let now = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        return i64::try_from(now.saturating_sub(manifest.began)).map_or(0, |millis| millis.saturating_mul(1_000));
    }
    let upload = manifest.upload.as_ref().map_or(0, |upload| upload.length);
    manifest.files.iter().map(|file| file.at.saturating_add(file.length)).fold(upload, i64::max)
}

/// What a file is called on the disk of whoever saves it.
pub fn file_name(item: &Item, name: &str) -> String {
    let manifest = &item.manifest;
    if let Some(upload) = &manifest.upload {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let called = upload.called.rsplit_once('.').map_or(upload.called.as_str(), |(stem, _)| stem);
        let stem = if called.is_empty() || manifest.title.is_some() { title(item) } else { called };
        return format!("{stem}.{ending}");
    }
    match manifest.files.iter().find(|file| file.name == name) {
        Some(file) => {
            let person = manifest.members.iter().find(|person| person.member == file.member).map(|person| person.name.as_str());
            let person = person.filter(|name| !name.is_empty()).unwrap_or(&file.member);
            format!("{} - {person}{} {name}", title(item), if file.screen { " (screen)" } else { "" })
        }
        None => match Film::ALL.into_iter().find(|film| film.file_name() == name) {
            Some(film) => format!("{}.{}", title(item), film.name()),
            None => name.to_owned(),
        },
    }
}
