//! What is made of what is kept, by [`Jobs`]: thumbnails, waveforms and mixdowns, and pictures that the server has taken.

use std::fs::{File, create_dir_all, remove_dir_all, rename};
use std::path::PathBuf;

use super::{Item, Library, LibraryError};
use crate::record::file::Container;
use crate::record::folder::create_private;
use crate::record::jobs::Jobs;
use crate::record::jobs::clip::Clip;
use crate::record::jobs::mixdown::Film;
use crate::record::manifest::{FileState, Kind, Manifest, Person, SCHEMA, State, UploadEntry};
use crate::record::unix_millis;

/// What a picture that the server takes is called in its folder.
const PICTURE: &str = "0001.png";

/// A picture that the server has taken.
pub struct Picture {
    /// The room's name.
    pub room: String,
    /// Who has asked for it.
    pub by: Person,
    /// Whom it shows.
    pub of: Person,
    /// Where the PNG is; it is taken from there.
    pub file: PathBuf,
}

impl Library {
    /// Has things made from now on: of what is added, before anybody asks.
    pub fn make_with(&self, jobs: Jobs) {
        // Once, by whoever opens it.
        let _ = self.0.jobs.set(jobs);
    }

    /// What makes things.
    pub fn jobs(&self) -> Option<&Jobs> {
        self.0.jobs.get()
    }

    /// Keeps a picture that the server has taken, as an item of this identity. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_picture(&self, id: &str, picture: Picture) -> Result<(), LibraryError> {
        let Picture { room, by, of, file } = picture;
        let bytes = file.metadata()?.len();
        let (folder, new) = (self.0.config.folder.join(id), file.with_extension("item"));
        let at = unix_millis();
        let members = if of == by { vec![by.clone()] } else { vec![of, by.clone()] };
        let manifest = Manifest {
            schema: SCHEMA,
            id: id.to_owned(),
            room,
            kind: Kind::Screenshot,
            title: None,
            by,
            state: State::Finished,
            began: at,
            ended: Some(at),
            members,
            files: Vec::new(),
            upload: Some(UploadEntry { name: PICTURE.into(), called: String::new(), media_type: "image/png".into(), bytes, length: 0 }),
        };
        // In a folder beside, until it is whole.
        let kept = create_private(&new).and_then(|()| {
            rename(&file, new.join(PICTURE))?;
            manifest.write(&new)?;
            File::open(new.join(PICTURE))?.sync_all()?;
            create_dir_all(&self.0.config.folder)?;
            rename(&new, &folder)
        });
        if let Err(error) = kept {
            let _ = remove_dir_all(&new);
            return Err(error.into());
        }
        self.put(&manifest);
        Ok(())
    }
}

impl Item {
    /// What is shown of it as a whole; none when there is nothing to see.
    pub fn to_be_seen(&self) -> Option<Clip> {
        Clip::best(&self.folder, &self.manifest)
    }

    /// The sound of a file; none when there is none.
    pub fn to_be_heard(&self, name: &str) -> Option<Clip> {
        Clip::heard(&self.folder, &self.manifest).find(|clip| clip.path == self.folder.join(name))
    }

    /// A mixdown that is there, and its media type.
    pub(super) fn film(&self, name: &str) -> Option<(PathBuf, &'static str)> {
        let film = Film::ALL.into_iter().find(|film| film.file_name() == name && self.beside.contains(name))?;
        let container = if film == Film::Mp4 { Container::Mp4 } else { Container::Webm };
        Some((self.folder.join(name), container.media_type(true)))
    }

    /// A file of fragments, whether more of it comes: what can be streamed by a playlist.
    pub fn fragments(&self, name: &str) -> Option<(PathBuf, bool)> {
        let file = self.manifest.files.iter().find(|file| file.name == name && file.container == Container::Mp4)?;
        Some((self.folder.join(name), file.state == FileState::Writing))
    }
}
