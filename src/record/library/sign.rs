//! Links that need no token: each is for one thing, until one moment, and signed with a key that never leaves the library's folder.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The name of the key's file.
const NAME: &str = ".links.key";
/// Bytes of the key: as long as the hash (RFC 2104 section 3).
const KEY_BYTES: usize = 32;

/// What a link is for. One that is for something is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file.
    File,
    /// All files as one.
    Zip,
    /// What was said meanwhile.
    Chat,
    /// A small picture.
    Thumbnail,
    /// How loud a file is.
    Waveform,
    /// All of it, for whoever has the link.
    Share,
}

/// Whom a link was handed to. It ends when that member is removed from the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The member's identity.
    pub member: String,
    /// When it was handed to them: seconds since the Unix epoch.
    pub issued: u64,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLink {
    /// It was good, once.
    Expired,
    /// It was not signed here, or is for something else.
    Altered,
}

/// Signs links, with HMAC-SHA256 (RFC 2104).
#[derive(Debug)]
pub struct Signer(hmac::Key);

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Purpose::File => "file",
            Purpose::Zip => "zip",
            Purpose::Chat => "chat",
            Purpose::Thumbnail => "thumbnail",
            Purpose::Waveform => "waveform",
            Purpose::Share => "share",
        }
    }
}

impl Signer {
    /// With the key of this folder, which is drawn when there is none. Whoever deletes its file ends every link.
    ///
    /// # Errors
    /// When it cannot be read or written, or is no key.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let key = match std::fs::read(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => draw(folder, &path)?,
            Err(error) => return Err(error),
        };
        if key.len() != KEY_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no key: delete it, and links end", path.display())));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The signature of a link to `name` of this identity, good until `expires` (seconds since the Unix epoch). It names whom it was handed to,
    /// where that is somebody: such a one is `MAC.ISSUED.MEMBER`, the other ones are the MAC alone.
    pub fn sign(&self, purpose: Purpose, id: &str, name: &str, expires: u64, holder: Option<&Holder>) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        said(purpose, id, name, expires, holder, |bytes| context.update(bytes));
        let mac = URL_SAFE_NO_PAD.encode(context.sign());
        match holder {
            Some(Holder { member, issued }) => format!("{mac}.{issued}.{member}"),
            None => mac,
        }
    }

    /// Checks a link at `now` (seconds since the Unix epoch), in a time that does not tell how much of it is right. Whom it was handed to, if it says.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, purpose: Purpose, id: &str, name: &str, (expires, signature): (u64, &str), now: u64) -> Result<Option<Holder>, BadLink> {
        let (mac, holder) = parts(signature).ok_or(BadLink::Altered)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| BadLink::Altered)?;
        let mut bytes = Vec::new();
        said(purpose, id, name, expires, holder.as_ref(), |part| bytes.extend_from_slice(part));
        hmac::verify(&self.0, &bytes, &mac).map_err(|_| BadLink::Altered)?;
        if now >= expires { Err(BadLink::Expired) } else { Ok(holder) }
    }
}

/// The MAC of a signature, and whom it names.
fn parts(signature: &str) -> Option<(&str, Option<Holder>)> {
    let Some((mac, named)) = signature.split_once('.') else { return Some((signature, None)) };
    let (issued, member) = named.split_once('.')?;
    Some((mac, Some(Holder { member: member.to_owned(), issued: issued.parse().ok()? })))
}

/// What is signed. Each part comes with its length, so that no end of one can be the beginning of the next.
fn said(purpose: Purpose, id: &str, name: &str, expires: u64, holder: Option<&Holder>, mut say: impl FnMut(&[u8])) {
    for part in [purpose.name(), id, name] {
        say(&(part.len() as u64).to_be_bytes());
        say(part.as_bytes());
    }
    say(&expires.to_be_bytes());
    if let Some(Holder { member, issued }) = holder {
        say(&issued.to_be_bytes());
        say(&(member.len() as u64).to_be_bytes());
        say(member.as_bytes());
    }
}

fn draw(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let (new, mut key) = (folder.join(".links.new"), vec![0; KEY_BYTES]);
    rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    rename(new, path)?;
    File::open(folder)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("althing-sign-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_link_is_good_for_what_it_was_signed_for_until_it_expires() {
        let folder = folder("good");
        let signer = Signer::open(&folder).expect("a key");
        let signature = signer.sign(Purpose::File, "id", "0001.webm", 100, None);
        let check = |purpose, id, name, expires, signature: &str, now| signer.check(purpose, id, name, (expires, signature), now);
        assert_eq!(check(Purpose::File, "id", "0001.webm", 100, &signature, 99), Ok(None));
        assert_eq!(check(Purpose::File, "id", "0001.webm", 100, &signature, 100), Err(BadLink::Expired));
        assert_eq!(check(Purpose::File, "id", "0001.webm", 101, &signature, 99), Err(BadLink::Altered));
        assert_eq!(check(Purpose::File, "id", "0002.webm", 100, &signature, 99), Err(BadLink::Altered));
        assert_eq!(check(Purpose::File, "id0", "001.webm", 100, &signature, 99), Err(BadLink::Altered));
        assert_eq!(check(Purpose::Waveform, "id", "0001.webm", 100, &signature, 99), Err(BadLink::Altered));
        assert_eq!(check(Purpose::Share, "id", "0001.webm", 100, &signature, 99), Err(BadLink::Altered));
        for altered in
            ["", "!", &signature[1..], &format!("{signature}A"), &signature.replace(&signature[..1], if &signature[..1] == "A" { "B" } else { "A" })]
        {
            assert_eq!(check(Purpose::File, "id", "0001.webm", 100, altered, 99), Err(BadLink::Altered), "{altered}");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn whom_a_link_was_handed_to_cannot_be_changed() {
        let folder = folder("holder");
        let signer = Signer::open(&folder).expect("a key");
        let holder = Holder { member: "a.b-c".into(), issued: 7 };
        let signature = signer.sign(Purpose::Zip, "id", "", 100, Some(&holder));
        let check = |signature: &str| signer.check(Purpose::Zip, "id", "", (100, signature), 1);
        assert_eq!(check(&signature), Ok(Some(holder)));
        let mac = signature.split('.').next().expect("a MAC");
        for altered in [mac, &format!("{mac}.7.a.b"), &format!("{mac}.8.a.b-c"), &format!("{mac}.7"), &format!("{mac}."), &format!("{mac}..a.b-c")] {
            assert_eq!(check(altered), Err(BadLink::Altered), "{altered}");
        }
        let nobodys = signer.sign(Purpose::Zip, "id", "", 100, None);
        assert_eq!(check(&format!("{nobodys}.7.a.b-c")), Err(BadLink::Altered));
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone_and_another_one_ends_every_link() {
        let folder = folder("kept");
        let signature = Signer::open(&folder).expect("a key").sign(Purpose::Zip, "id", "", 100, None);
        let again = Signer::open(&folder).expect("the same key");
        assert_eq!(again.check(Purpose::Zip, "id", "", (100, &signature), 1), Ok(None));
        let mode = std::fs::metadata(folder.join(NAME)).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(folder.join(NAME)).expect("removed");
        let other = Signer::open(&folder).expect("another key");
        assert_eq!(other.check(Purpose::Zip, "id", "", (100, &signature), 1), Err(BadLink::Altered));
        std::fs::write(folder.join(NAME), b"short").expect("written");
        assert!(Signer::open(&folder).is_err(), "a key that is none is never used");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
