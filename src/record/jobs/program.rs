//! FFmpeg as a child of this process: found when it is first needed, run with the lowest priority, watched, and ended when it takes too long.
//!
//! It is given files of our own only, and those hold what strangers have sent: it reads nothing but files and pipes, what kind a file is
//! is said and not guessed, and its memory is bounded. It runs on time that nobody else wants (`SCHED_IDLE`), and ends with this process.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};

use super::Unmade;

/// Bytes of what it says at its end that are kept as the reason why it failed.
const MOST_SAID: usize = 2_048;
/// It is looked whether a child is to be ended so often.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Bytes that a pipe takes without keeping the writer waiting (POSIX: `PIPE_BUF`).
const PIPE_PIECE: usize = 4_096;
/// How much time a child gets is looked at so often. Less: a moment of load is told as waiting. More: it is told late.
const SHARE_EVERY: Duration = Duration::from_secs(3);
/// Of its time a child that is held gets no more than one in so many: one that has work to do and a machine to itself gets all of it.
const HELD: u32 = 20;
/// What `/proc` counts time in (`USER_HZ`, the same on all machines that this runs on).
const TICK: Duration = Duration::from_millis(10);
/// Programs that start another with less: of the scheduler, of the disk, and one that ends it with this process. Each is used where it is
/// installed; with none the child has the lowest `nice` value still. A `fork` that set these itself would copy this process' page tables, and
/// workers would fault on each page of theirs.
const LESSENING: [&[&str]; 3] =
    [&["setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--inh-caps=-all"], &["ionice", "-c", "3"], &["chrt", "--idle", "0"]];

/// An FFmpeg that is there.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command and what comes before it.
    command: Vec<OsString>,
    idle: bool,
    memory: u64,
    encoders: Encoders,
}

/// What it can write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoders {
    /// H.264 and AAC, for MP4.
    pub mp4: bool,
    /// VP9 and Opus, for WebM.
    pub webm: bool,
}

/// What a child reads, and when it has to be done.
#[derive(Default)]
pub struct Run<'a> {
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What it reads from its standard input.
    pub input: &'a [u8],
    /// How long it may take.
    pub limit: Duration,
    /// Who hears that it gets next to no time, and that it does again or needs none any more.
    pub held: Option<&'a dyn Fn(bool)>,
}

impl Program {
    /// Looks for it, and asks what it can do.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn find(name: &str, idle: bool, memory: u64) -> io::Result<Self> {
        let answers = |command: &[OsString], args: &[&str]| {
            let (first, rest) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
            let output = Command::new(first).args(rest).args(args).stdin(Stdio::null()).output()?;
            output.status.success().then_some(output.stdout).ok_or_else(|| io::Error::other("it does not answer"))
        };
        let mut command = vec![OsString::from(name)];
        let said = answers(&command, &["-hide_banner", "-encoders"])?;
        for lessening in LESSENING.into_iter().take(if idle { LESSENING.len() } else { 1 }) {
            let lessened: Vec<OsString> = lessening.iter().map(OsString::from).chain(command.iter().cloned()).collect();
            if answers(&lessened, &["-version"]).is_ok() {
                command = lessened;
            }
        }
        let said = String::from_utf8_lossy(&said);
        let has = |encoder: &str| said.lines().any(|line| line.split_whitespace().nth(1) == Some(encoder));
        let encoders = Encoders { mp4: has("libx264") && has("aac"), webm: has("libvpx-vp9") && has("libopus") };
        Ok(Self { command, idle, memory, encoders })
    }

    /// What it can write.
    pub const fn encoders(&self) -> Encoders {
        self.encoders
    }

    /// Runs it to its end. `read` takes what it writes to its standard output, `ends` says whether it is to be ended.
    ///
    /// # Errors
    /// Why it was ended, or what it said when it failed.
    pub fn run(&self, run: Run<'_>, ends: impl Fn() -> bool, mut read: impl FnMut(&[u8]) -> Result<(), Unmade>) -> Result<(), Unmade> {
        let child = self.spawn(&run.args).map_err(|error| Unmade::Failed(error.to_string()))?;
        let mut watched = Watched { child, said: Vec::new(), left: run.input };
        let done = watched.until_silent((Instant::now() + run.limit, run.held), ends, &mut read);
        if let Some(held) = run.held {
            held(false);
        }
        if done.is_err() {
            watched.end();
        }
        let status = watched.child.wait().map_err(|error| Unmade::Failed(error.to_string()))?;
        done?;
        if !status.success() {
            return Err(Unmade::Failed(watched.reason(&status.to_string())));
        }
        Ok(())
    }

    fn spawn(&self, args: &[OsString]) -> io::Result<Child> {
        let (first, rest) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(first);
        // What this process was started with may hold secrets.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.args(rest).args(["-hide_banner", "-nostdin", "-nostats", "-v", "error"]).args(args);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        self.lessen(&child);
        Ok(child)
    }

    /// Where a limit is refused, the others hold.
    fn lessen(&self, child: &Child) {
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
        if self.idle {
            let _ = setpriority_process(Some(pid), 19);
        }
        let limit = Rlimit { current: Some(self.memory), maximum: Some(self.memory) };
        let _ = prlimit(Some(pid), Resource::As, limit);
        // When memory is short, it goes first.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "1000");
    }
}

/// How files of ours are given to it: of that kind, and none that they might name.
pub fn input(format: &str, path: &Path) -> Vec<OsString> {
    let mut args = reading(format);
    let mut file = OsString::from("file:");
    file.push(path);
    args.extend(["-i".into(), file]);
    args
}

/// How its standard input is given to it.
pub fn piped(format: &str) -> Vec<OsString> {
    let mut args = reading(format);
    args.extend(["-i".into(), "pipe:0".into()]);
    args
}

fn reading(format: &str) -> Vec<OsString> {
    // 8192 × 8192: no camera and no screen has more, and a small file can claim any size.
    ["-protocol_whitelist", "file,pipe", "-max_pixels", "67108864", "-threads", "1", "-f", format].map(OsString::from).to_vec()
}

struct Watched<'a> {
    child: Child,
    said: Vec<u8>,
    left: &'a [u8],
}

impl Watched<'_> {
    /// Reads what it writes and says until it has closed both.
    fn until_silent(
        &mut self, (until, held): (Instant, Option<&dyn Fn(bool)>), ends: impl Fn() -> bool, read: &mut impl FnMut(&[u8]) -> Result<(), Unmade>,
    ) -> Result<(), Unmade> {
        let mut share = Share { looked: Instant::now(), used: Duration::ZERO };
        let mut stdin = self.child.stdin.take();
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let mut buffer = vec![0; 64 << 10];
        while stdout.is_some() || stderr.is_some() {
            if ends() {
                return Err(Unmade::Cancelled);
            }
            if Instant::now() >= until {
                return Err(Unmade::TooLong);
            }
            if let Some(held) = held
                && let Some(is) = share.is_held(Instant::now(), || used(self.child.id()))
            {
                held(is);
            }
            if self.left.is_empty() {
                stdin = None;
            }
            let [writes, says, takes] = ready(stdout.as_ref(), stderr.as_ref(), stdin.as_ref());
            if writes {
                take(&mut stdout, &mut buffer, |bytes| read(bytes))?;
            }
            if says {
                take(&mut stderr, &mut buffer, |bytes| {
                    self.said.extend_from_slice(bytes);
                    let over = self.said.len().saturating_sub(MOST_SAID);
                    self.said.drain(..over);
                    Ok(())
                })?;
            }
            if takes && let Some(pipe) = &mut stdin {
                let (piece, _) = self.left.split_at(self.left.len().min(PIPE_PIECE));
                match pipe.write(piece) {
                    Ok(written) => self.left = self.left.get(written..).unwrap_or_default(),
                    // It has read as much as it needs.
                    Err(_) => self.left = &[],
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        // It has nothing that a gentler signal would save.
        let _ = self.child.kill();
    }

    /// The last of what it has said, or else how it ended.
    fn reason(&self, status: &str) -> String {
        let said = String::from_utf8_lossy(&self.said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join("; ");
        if last.is_empty() { status.to_owned() } else { last }
    }
}

/// How much time a child gets: what it had when it was looked at last.
struct Share {
    looked: Instant,
    used: Duration,
}

impl Share {
    /// Whether it has had next to none since it was looked at last; none when that is not long ago, or it is not known what it had.
    fn is_held(&mut self, now: Instant, used: impl FnOnce() -> Option<Duration>) -> Option<bool> {
        let passed = now.saturating_duration_since(self.looked);
        if passed < SHARE_EVERY {
            return None;
        }
        let used = used()?;
        let had = used.saturating_sub(self.used);
        (self.looked, self.used) = (now, used);
        Some(had < passed / HELD)
    }
}

/// The time that a process has had of the machine so far, all its threads together.
fn used(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): `utime` and `stime` are fields 14 and 15; the third is the first after the name, which may hold anything.
    let mut times = stat.rsplit_once(") ")?.1.split(' ').skip(11).map_while(|field| field.parse::<u32>().ok());
    Some(TICK * times.next()?.saturating_add(times.next()?))
}

/// Which of its pipes have something, or take something; after a moment none.
fn ready(stdout: Option<&ChildStdout>, stderr: Option<&ChildStderr>, stdin: Option<&ChildStdin>) -> [bool; 3] {
    let mut fds = Vec::with_capacity(3);
    let mut places = [None; 3];
    let pipes = [(stdout.map(AsFd::as_fd), PollFlags::IN), (stderr.map(AsFd::as_fd), PollFlags::IN), (stdin.map(AsFd::as_fd), PollFlags::OUT)];
    for (place, (pipe, flags)) in places.iter_mut().zip(pipes) {
        if let Some(pipe) = pipe {
            *place = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(pipe, flags));
        }
    }
    // Interrupted is as good as nothing: it is looked again.
    let _ = poll(&mut fds, Some(&LOOK_EVERY));
    places.map(|place| place.and_then(|place| fds.get(place)).is_some_and(|fd| !fd.revents().is_empty()))
}

/// Takes what is in a pipe; a pipe that is at its end is closed.
fn take<P: Read>(pipe: &mut Option<P>, buffer: &mut [u8], mut with: impl FnMut(&[u8]) -> Result<(), Unmade>) -> Result<(), Unmade> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(read) => return with(buffer.get(..read).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(_) => *pipe = None,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str], limit: Duration, ends: impl Fn() -> bool) -> Result<Vec<u8>, Unmade> {
        let program = Program::find("ffmpeg", false, 4 << 30).expect("the tests need ffmpeg");
        let mut read = Vec::new();
        let run = Run { args: args.iter().map(OsString::from).collect(), input: &[], limit, held: None };
        program.run(run, ends, |bytes| {
            read.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(read)
    }

    const ENDLESS: [&str; 9] = ["-re", "-f", "lavfi", "-i", "anullsrc", "-f", "s16le", "-y", "pipe:1"];

    #[test]
    fn what_it_writes_is_read_and_why_it_fails_is_said() {
        let minute = Duration::from_secs(60);
        let sound = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "2", "-f", "s16le", "pipe:1"];
        assert_eq!(run(&sound, minute, || false).map(|bytes| bytes.len()), Ok(32_000));
        let Err(Unmade::Failed(why)) = run(&["-i", "/nowhere/at/all"], minute, || false) else { panic!("it fails") };
        assert!(why.contains("No such file"), "{why}");
    }

    #[test]
    fn it_is_ended_when_it_takes_too_long_and_when_it_is_taken_back() {
        let begun = Instant::now();
        assert_eq!(run(&ENDLESS, Duration::from_millis(600), || false), Err(Unmade::TooLong));
        assert_eq!(run(&ENDLESS, Duration::from_secs(60), || begun.elapsed() > Duration::from_secs(1)), Err(Unmade::Cancelled));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn one_that_gets_less_than_a_twentieth_of_the_time_is_held() {
        let begun = Instant::now();
        let mut share = Share { looked: begun, used: Duration::ZERO };
        let mut at = |millis: u64, used: u64| share.is_held(begun + Duration::from_millis(millis), || Some(Duration::from_millis(used)));
        assert_eq!(at(2_999, 0), None, "not yet");
        assert_eq!(at(3_000, 140), Some(true));
        assert_eq!(at(6_000, 280), Some(true), "what it had before does not count");
        assert_eq!(at(8_900, 280), None);
        assert_eq!(at(9_000, 440), Some(false));
        assert_eq!(share.is_held(begun + Duration::from_secs(20), || None), None, "it is gone");
    }

    /// One that waits for the clock needs as little time as one that gets none.
    #[test]
    fn whoever_waits_for_it_hears_that_it_is_held() {
        let (said, begun) = (std::cell::RefCell::new(Vec::new()), Instant::now());
        let tell = |held| said.borrow_mut().push(held);
        let program = Program::find("ffmpeg", false, 4 << 30).expect("the tests need ffmpeg");
        let args = ENDLESS.map(OsString::from).to_vec();
        let ended = program.run(
            Run { args, input: &[], limit: Duration::from_secs(60), held: Some(&tell) },
            || said.borrow().contains(&true) || begun.elapsed() > Duration::from_secs(30),
            |_| Ok(()),
        );
        assert_eq!(ended, Err(Unmade::Cancelled));
        assert_eq!(said.into_inner().last_chunk::<2>(), Some(&[true, false]), "and at its end that it is no more");
        // Its own time is read: this process spends some.
        let before = used(std::process::id()).expect("a process has a time");
        while used(std::process::id()).is_some_and(|now| now <= before) {
            assert!(begun.elapsed() < Duration::from_secs(60), "its time does not pass");
        }
    }

    #[test]
    fn it_takes_as_much_memory_as_it_may_and_reads_what_it_is_given() {
        let program = Program::find("ffmpeg", false, 4 << 30).expect("the tests need ffmpeg");
        let sound = vec![7; 300_000];
        let mut args = piped("s16le");
        args.extend(["-f", "s16le", "-c", "copy", "pipe:1"].map(OsString::from));
        let mut read = Vec::new();
        let through = Run { args: args.clone(), input: &sound, limit: Duration::from_secs(60), held: None };
        let done = program.run(
            through,
            || false,
            |bytes| {
                read.extend_from_slice(bytes);
                Ok(())
            },
        );
        assert_eq!((done, read.len()), (Ok(()), sound.len()));
        let small = Program { memory: 16 << 20, ..program };
        let refused = small.run(Run { args, input: &sound, limit: Duration::from_secs(60), held: None }, || false, |_| Ok(()));
        assert!(matches!(refused, Err(Unmade::Failed(_))), "{refused:?}");
    }

    #[test]
    fn it_runs_on_time_that_nobody_else_wants_and_without_our_environment() {
        let program = Program::find("ffmpeg", true, 4 << 30).expect("the tests need ffmpeg");
        let mut child = program.spawn(&ENDLESS.map(OsString::from)).expect("it starts");
        let of = |what: &str| std::fs::read(format!("/proc/{}/{what}", child.id())).expect("it runs");
        // What sets the class of its time becomes the program.
        let begun = std::time::Instant::now();
        while !of("comm").starts_with(b"ffmpeg") {
            assert!(begun.elapsed() < Duration::from_secs(60), "it has not begun");
            std::thread::sleep(Duration::from_millis(10));
        }
        let stat = String::from_utf8_lossy(&of("stat")).into_owned();
        let after_name: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        // proc(5): nice is field 19, the policy field 41; the third is the first after the name.
        assert_eq!((after_name[16], after_name[38]), ("19", "5"), "{stat}");
        assert!(of("environ").split(|byte| *byte == 0).filter(|variable| !variable.is_empty()).all(|variable| variable.starts_with(b"PATH=")));
        child.kill().and_then(|()| child.wait()).expect("ended");
    }

    #[test]
    fn it_ends_with_whoever_has_started_it() {
        let program = Program::find("ffmpeg", false, 4 << 30).expect("the tests need ffmpeg");
        let begun = Instant::now();
        let starting = std::thread::spawn(move || {
            let child = program.spawn(&ENDLESS.map(OsString::from)).expect("it starts");
            // What starts it with less has done so.
            while std::fs::read(format!("/proc/{}/comm", child.id())).expect("it runs") != b"ffmpeg\n" {
                std::thread::sleep(Duration::from_millis(10));
            }
            child
        });
        let mut child = starting.join().expect("started");
        while child.try_wait().expect("it is ours").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it is gone with the thread");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
