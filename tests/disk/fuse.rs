//! As much of FUSE's protocol (linux/fuse.h, version 7.31) as a file system of one file needs. A crate for it would have every dependant of
//! `nix` built again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Why something is refused: the system's number of it.
pub type Refused = i32;
/// There is no such file.
pub const NO_ENTRY: Refused = 2;
/// The disk has an error.
pub const IO_ERROR: Refused = 5;
const NOT_IMPLEMENTED: Refused = 38;

/// The file is called so, and has this number; 1 is the folder.
const NAME: &[u8] = b"disk\0";
const FILE: u64 = 2;
/// Bytes of the longest write, and of a request's header.
const MOST: u32 = 128 << 10;
const HEADER: usize = 40;
/// Requests that are dealt with at a time: one that hangs keeps no other waiting.
const THREADS: usize = 4;
/// Seconds for which what is known of the file holds: for ever.
const VALID: u64 = 1 << 30;

/// What is behind the file.
pub trait Content: Send + Sync + 'static {
    /// Bytes of it.
    fn len(&self) -> u64;
    /// Some of them.
    fn read(&self, offset: u64, len: usize) -> Vec<u8>;
    /// Puts some there.
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Refused>;
    /// Makes what was written last.
    fn sync(&self) -> Result<(), Refused>;
}

/// Mounts a folder that has one file, `disk`, with this content. The threads end when it is unmounted.
///
/// # Errors
/// What `mount` says.
pub fn mount(folder: &Path, content: Arc<impl Content>) -> Result<Vec<JoinHandle<()>>, String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| format!("/dev/fuse: {error}"))?;
    // Whoever mounts gives the kernel this descriptor, so that it has to have it.
    rustix::io::fcntl_setfd(&device, rustix::io::FdFlags::empty()).map_err(|error| error.to_string())?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    // Not by a helper that might be installed.
    let output = Command::new("mount").args(["-i", "-t", "fuse", "-o", &options, "althing-faulty"]).arg(folder).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let _ = rustix::io::fcntl_setfd(&device, rustix::io::FdFlags::CLOEXEC);
    let device = Arc::new(device);
    let thread = |_| {
        let (device, content) = (device.clone(), content.clone());
        std::thread::spawn(move || serve(&device, &*content))
    };
    Ok((0..THREADS).map(thread).collect())
}

fn serve(device: &File, content: &impl Content) {
    let mut buffer = vec![0; MOST as usize + 4_096];
    loop {
        let mut device = device;
        let len = match device.read(&mut buffer) {
            Ok(len) => len,
            // A request that was taken back.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::Interrupted => continue,
            // It is unmounted.
            Err(_) => return,
        };
        let (header, body) = buffer[..len].split_at(HEADER);
        let (opcode, unique, node) = (u32_at(header, 4), u64_at(header, 8), u64_at(header, 16));
        let Some(answer) = answer(opcode, node, body, content) else { continue };
        let (error, answer) = answer.map_or_else(|refused| (-refused, vec![]), |answer| (0, answer));
        let mut out = ((16 + answer.len()) as u32).to_ne_bytes().to_vec();
        out.extend(error.to_ne_bytes());
        out.extend(unique.to_ne_bytes());
        out.extend(answer);
        // Whoever asked may be gone.
        let _ = device.write(&out);
    }
}

/// The answer to a request; some have none.
fn answer(opcode: u32, node: u64, body: &[u8], content: &impl Content) -> Option<Result<Vec<u8>, Refused>> {
    Some(match opcode {
        // FORGET, INTERRUPT, BATCH_FORGET.
        2 | 36 | 42 => return None,
        // INIT: reads side by side, writes of more than a page, and so many pages.
        26 => Ok(words(&[7, 31, u32_at(body, 8), 1 | 1 << 5 | 1 << 22, 0, MOST, 1, MOST / 4_096, 0, 0, 0, 0, 0, 0, 0, 0])),
        // LOOKUP.
        1 if body == NAME => Ok([longs(&[FILE, 0, VALID, VALID]), words(&[0, 0]), attributes(FILE, content)].concat()),
        1 => Err(NO_ENTRY),
        // GETATTR, SETATTR.
        3 | 4 => Ok([longs(&[VALID]), words(&[0, 0]), attributes(node, content)].concat()),
        // OPEN, OPENDIR: what is in memory of it stays.
        14 | 27 => Ok([longs(&[0]), words(&[1 << 1, 0])].concat()),
        // READ, WRITE, FSYNC.
        15 => Ok(content.read(u64_at(body, 8), u32_at(body, 16) as usize)),
        16 => {
            let data = &body[HEADER..];
            content.write(u64_at(body, 8), data).map(|()| words(&[data.len() as u32, 0]))
        }
        20 => content.sync().map(|()| vec![]),
        // RELEASE, FLUSH, RELEASEDIR, DESTROY.
        18 | 25 | 29 | 38 => Ok(vec![]),
        _ => Err(NOT_IMPLEMENTED),
    })
}

fn attributes(node: u64, content: &impl Content) -> Vec<u8> {
    let (mode, len) = if node == FILE { (0o100_600, content.len()) } else { (0o040_700, 0) };
    [longs(&[node, len, len.div_ceil(512), 0, 0, 0]), words(&[0, 0, 0, mode, 1, 0, 0, 0, 4_096, 0])].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |long| u64::from_ne_bytes(*long))
}
