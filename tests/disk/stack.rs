//! ext4 on a loop device on a faulty disk, in a mount namespace of its own. The disk is a process of its own: what waits for it can then be
//! killed, and when that is gone the disk takes down what is mounted, and ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;

use super::faulty::{Disk, Fault, Left};
use super::fuse;

/// Bytes of a disk.
const SIZE: u64 = 96 << 20;
/// Where the disk's process finds what is its.
const PLACE: &str = "ALTHING_TEST_DISK";

/// Runs something on threads that see mounts of their own. None, with the reason told, where this process may not do that.
pub fn apart<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let apart = std::thread::spawn(|| {
        own_mounts().and_then(|()| can_mount())?;
        Ok::<T, String>(act())
    });
    match apart.join() {
        Ok(Ok(done)) => Some(done),
        Ok(Err(reason)) => {
            eprintln!("*** SKIPPED: {reason}. Nothing was shown about a disk with faults. ***");
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs nodes on threads of their own, which have let go of the disk's files soon after.
pub fn stage<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let done = runtime.block_on(act);
    runtime.shutdown_timeout(Duration::from_secs(10));
    done
}

#[allow(deprecated, reason = "what is unsafe is to have descriptors of one's own, which is not asked for")]
fn own_mounts() -> Result<(), String> {
    rustix::thread::unshare(UnshareFlags::NEWNS).map_err(|error| format!("no mount namespace of its own: {error}"))?;
    run(Command::new("mount").args(["--make-rprivate", "/"]))
}

fn can_mount() -> Result<(), String> {
    for (program, version) in [("mkfs.ext4", "-V"), ("ffmpeg", "-version"), ("ffprobe", "-version")] {
        let found = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|error| format!("{program}: {error}"))?;
    }
    Mounted::new("try", None).map(drop)
}

/// A file system on a disk.
pub struct Mounted {
    place: PathBuf,
    process: Child,
    /// What the disk is told, and what it says.
    control: Mutex<BufReader<UnixStream>>,
}

impl Mounted {
    /// An empty one.
    pub fn empty(name: &str) -> Self {
        Self::new(name, None).expect("mounted, as before")
    }

    /// One that there is already, of which the power was cut; the image is taken away.
    pub fn again(name: &str, image: PathBuf) -> Self {
        Self::new(name, Some(image)).expect("the journal is replayed")
    }

    fn new(name: &str, image: Option<PathBuf>) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let place = std::env::temp_dir().join(format!("althing-disk-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        if let Some(image) = image {
            fs::rename(image, place.join("image")).map_err(|error| error.to_string())?;
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        // As a test's program and as a proof's it is told so.
        let mut process = Command::new(program);
        process.args(["--exact", "serve_a_disk", "--ignored"]).env(PLACE, &place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A signal to the whole group is not for it: what it has mounted waits for it when it is gone, and for ever.
        process.process_group(0);
        let process = process.spawn().map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let control = loop {
            match UnixStream::connect(place.join("control")) {
                Ok(control) => break control,
                Err(error) if begun.elapsed() > Duration::from_secs(60) => return Err(format!("the disk does not begin: {error}")),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mounted = Self { place, process, control: Mutex::new(BufReader::new(control)) };
        match mounted.ask("begin").as_str() {
            "" => Ok(mounted),
            refused => Err(refused.to_owned()),
        }
    }

    /// The folder that a node records into.
    pub fn recordings(&self) -> PathBuf {
        self.place.join("ext4/recordings")
    }

    /// From now on this is wrong with the disk.
    pub fn suffer(&self, fault: Fault) {
        self.ask(&match fault {
            Fault::None => "none".into(),
            Fault::NewBlocks => "new".into(),
            Fault::AllBlocks => "all".into(),
            Fault::Slow(takes) => format!("slow {}", takes.as_millis()),
            Fault::Hang => "hang".into(),
        });
    }

    /// When the last fault was first felt by whoever uses the disk.
    pub fn felt(&self) -> Option<Instant> {
        let ago = self.ask("felt").parse().ok().map(Duration::from_micros)?;
        Instant::now().checked_sub(ago)
    }

    /// What would be there if the power went off now: an image for [`Self::again`].
    pub fn cut(&self, left: Left) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let image = std::env::temp_dir().join(format!("althing-image-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let seed = if let Left::Some(seed) = left { seed.to_string() } else { "-".into() };
        assert_eq!(self.ask(&format!("cut {seed} {}", image.display())), "");
        image
    }

    fn ask(&self, what: &str) -> String {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        let told = control.get_mut().write_all(format!("{what}\n").as_bytes());
        told.and_then(|()| control.read_line(&mut answer)).expect("the disk is there");
        answer.trim_end().to_owned()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = control.get_mut().shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The disk's process: mounts, does what it is told, and takes down what it has mounted when nobody is there any more.
pub fn serve() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let (below, folder) = (place.join("below"), place.join("ext4"));
    let image = fs::read(place.join("image")).ok();
    let (new, disk) = (image.is_none(), Arc::new(Disk::new(SIZE, &image.unwrap_or_default())));
    let listener = UnixListener::bind(place.join("control")).expect("a socket");
    let (mut told, _) = listener.accept().expect("somebody");
    let begun = [&below, &folder].into_iter().try_for_each(|folder| fs::create_dir_all(folder).map_err(|error| error.to_string()));
    let threads = begun.and_then(|()| fuse::mount(&below, disk.clone()).map_err(|error| format!("FUSE cannot be mounted: {error}")));
    let mounted = threads.as_ref().map_err(String::clone).and_then(|_| ext4(&below.join("disk"), &folder, new));
    for line in BufReader::new(told.try_clone().expect("a descriptor")).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["begin"] => mounted.clone().err().unwrap_or_default(),
            ["felt"] => disk.felt().map_or_else(String::new, |felt| felt.elapsed().as_micros().to_string()),
            ["cut", seed, path] => {
                disk.cut(seed.parse().map_or(Left::Nothing, Left::Some), Path::new(path)).err().map_or_else(String::new, |e| e.to_string())
            }
            ["slow", takes] => suffer(&disk, Fault::Slow(Duration::from_millis(takes.parse().expect("milliseconds")))),
            ["none"] => suffer(&disk, Fault::None),
            ["new"] => suffer(&disk, Fault::NewBlocks),
            ["all"] => suffer(&disk, Fault::AllBlocks),
            ["hang"] => suffer(&disk, Fault::Hang),
            _ => format!("{line}?"),
        };
        if writeln!(told, "{answer}").is_err() {
            break;
        }
    }
    disk.suffer(Fault::None);
    for folder in [&folder, &below] {
        // The loop device goes with the first, a little later. Whoever has used it may not be gone yet.
        let begun = Instant::now();
        while run(Command::new("umount").arg(folder)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = run(Command::new("umount").arg("-l").arg(folder));
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
    // Folders that are empty only: a mount that is still there keeps what is on it.
    let _ = [&folder, &below].map(fs::remove_dir);
    let _ = ["image", "control"].map(|name| fs::remove_file(place.join(name)));
    let _ = fs::remove_dir(place);
}

fn suffer(disk: &Disk, fault: Fault) -> String {
    disk.suffer(fault);
    String::new()
}

fn ext4(file: &Path, folder: &Path, new: bool) -> Result<(), String> {
    if new {
        let options = ["-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"];
        run(Command::new("mkfs.ext4").args(options).arg(file))?;
    }
    run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(file).arg(folder))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim()))
}
