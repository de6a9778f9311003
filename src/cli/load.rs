//! `althing load`: the load tester's command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::failure::{CANNOT_WRITE, DATA, NO_PERMISSION, SYSTEM, UNAVAILABLE, USAGE};
use crate::config::Config;
use crate::control::auth::{Claims, Source, TokenGrants, sign, unix_time};
use crate::load::{self, AudioPattern, Door, Expectations, Kind, Place, Plan, Role, Trace, Trouble, VideoShape};

/// The run was done, and something that was expected was not reached.
const MISSED: u8 = 1;

#[derive(Args)]
pub struct Load {
    /// The node's signaling socket
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws", value_name = "ws://HOST/ws", conflicts_with_all = ["whip", "whep"])]
    url: String,
    /// Publish by WHIP: an address with {room} and {member}
    #[arg(long, value_name = "TEMPLATE", help_heading = "WHIP and WHEP, of any server")]
    whip: Option<String>,
    /// Receive by WHEP: an address with {room} and {member} (one publisher) or {members} (all of the room)
    #[arg(long, value_name = "TEMPLATE", help_heading = "WHIP and WHEP, of any server")]
    whep: Option<String>,
    /// A token for everybody (Bearer); for a node with keys, --config signs one for each instead
    #[arg(long, value_name = "TOKEN", env = "ALTHING_LOAD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The key of auth.keys to sign tokens with, when there are several
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    token_key: Option<String>,

    /// Rooms
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Who")]
    rooms: u32,
    /// Publishers in each room; over WebSocket they receive each other, too
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10_000), help_heading = "Who")]
    publishers: u32,
    /// Participants in each room that only receive
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000), help_heading = "Who")]
    subscribers: u32,
    /// Publishers receive nothing
    #[arg(long, help_heading = "Who")]
    no_subscribe: bool,
    /// light: our own, a thousand on a core; full: a whole peer connection each
    #[arg(long, value_enum, default_value_t = ClientKind::Light, help_heading = "Who")]
    kind: ClientKind,
    /// Receiving slot pairs of each client, instead of what the server asks for
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=120), help_heading = "Who")]
    pairs: Option<u32>,
    /// What the rooms' names begin with
    #[arg(long, default_value = "load-", value_name = "NAME", help_heading = "Who")]
    room_prefix: String,

    /// The picture of each publisher: bits a second @ frames a second
    #[arg(long, default_value = "1500k@30", value_name = "RATE@FRAMES", help_heading = "What is sent")]
    video: VideoShape,
    /// When each publisher talks: seconds of talk / seconds of silence, `always` or `silent`
    #[arg(long, default_value = "4/12", value_name = "PATTERN", help_heading = "What is sent")]
    audio: AudioPattern,
    /// No picture
    #[arg(long, help_heading = "What is sent")]
    no_video: bool,
    /// No sound
    #[arg(long, help_heading = "What is sent")]
    no_audio: bool,
    /// Send a recorded trace over and over (lines of: microseconds, bytes, marker, kind; see docs/LOAD.md)
    #[arg(long, value_name = "FILE", help_heading = "What is sent")]
    trace: Option<PathBuf>,

    /// Joins a second
    #[arg(long, default_value_t = 50.0, value_name = "NUMBER", value_parser = positive, help_heading = "When")]
    join_rate: f64,
    /// Seconds for which packets count
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = positive, help_heading = "When")]
    duration: f64,
    /// Seconds that all may take to receive what is theirs before packets count
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS", value_parser = positive, help_heading = "When")]
    patience: f64,

    /// Threads of light clients; without it one for each thousand
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "How light clients work")]
    threads: Option<u16>,
    /// Open one packet in so many (all are counted); without it all in a small run, one in 64 in a large one
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), help_heading = "How light clients work")]
    open_one_in: Option<u32>,
    /// Do not ask for lost packets again
    #[arg(long, help_heading = "How light clients work")]
    no_nack: bool,
    /// Report what comes transport-wide and be repaired by RTX, as browsers do; dearer for both sides
    #[arg(long, help_heading = "How light clients work")]
    transport_cc: bool,
    /// Receive every packet by itself (no UDP_GRO)
    #[arg(long, help_heading = "How light clients work")]
    no_gro: bool,

    /// The server's process on this machine: its CPU time and memory are reported
    #[arg(long, value_name = "PID", help_heading = "What is reported")]
    server_pid: Option<u32>,
    /// The server's metrics, like http://127.0.0.1:9090/metrics
    #[arg(long, value_name = "URL", help_heading = "What is reported")]
    metrics: Option<String>,
    /// Write the figures as JSON (`-`: to standard output, instead of the table)
    #[arg(long, value_name = "FILE", help_heading = "What is reported")]
    json: Option<PathBuf>,
    /// No progress
    #[arg(long, short, help_heading = "What is reported")]
    quiet: bool,

    /// Percent of the packets that have to come
    #[arg(long, value_name = "PERCENT", help_heading = "What has to be reached (else the exit code is 1)")]
    expect_delivered: Option<f64>,
    /// Percent of the participants that have to join and stay; all of them without this
    #[arg(long, value_name = "PERCENT", help_heading = "What has to be reached (else the exit code is 1)")]
    expect_joined: Option<f64>,
    /// The 99th percentile of the one-way latency, at most
    #[arg(long, value_name = "MILLISECONDS", help_heading = "What has to be reached (else the exit code is 1)")]
    expect_latency_p99: Option<f64>,
    /// The server's CPU seconds per million packets, at most
    #[arg(long, value_name = "SECONDS", help_heading = "What has to be reached (else the exit code is 1)")]
    expect_cpu: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientKind {
    Light,
    Full,
}

/// Why there is no run: what to say, and the exit code.
type Refused = (String, u8);

/// Carries out a run. The exit code: 0 all reached, 1 something missed, or of sysexits.h: 64 usage, 65 trace, 69 server, 71 system, 73 output, 77 token.
pub fn run(load: &Load, config: &Config) -> ExitCode {
    match carry_out(load, config) {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            missed.iter().for_each(|what| eprintln!("althing load: not reached: {what}"));
            ExitCode::from(MISSED)
        }
        Err((text, code)) => {
            eprintln!("althing load: {text}");
            ExitCode::from(code)
        }
    }
}

fn carry_out(load: &Load, config: &Config) -> Result<Vec<String>, Refused> {
    let plan = load.plan(config)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| (format!("the system gives no threads: {e}"), SYSTEM))?;
    let outcome = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(end_politely(stop));
        load::run(plan, load.quiet, stopped).await
    });
    // Connections that still close need nobody to wait for them.
    runtime.shutdown_timeout(Duration::from_millis(200));
    let outcome = outcome.map_err(|trouble| match trouble {
        Trouble::Unavailable(text) => (text, UNAVAILABLE),
        Trouble::Token(text) => (text, NO_PERMISSION),
        Trouble::System(text) => (text, SYSTEM),
    })?;
    let json = || serde_json::to_string_pretty(&outcome).map(|text| text + "\n").map_err(|e| (e.to_string(), CANNOT_WRITE));
    let to_stdout = |text: &str| {
        let mut out = std::io::stdout().lock();
        // A reader that is gone (a closed pipe) is no reason to fail.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    match load.json.as_deref() {
        Some(file) if file == Path::new("-") => to_stdout(&json()?),
        Some(file) => {
            std::fs::write(file, json()?).map_err(|e| (format!("{} cannot be written: {e}", file.display()), CANNOT_WRITE))?;
            to_stdout(&outcome.to_string());
        }
        None => to_stdout(&outcome.to_string()),
    }
    Ok(outcome.missed(&Expectations {
        delivered: load.expect_delivered,
        joined: load.expect_joined,
        latency_p99: load.expect_latency_p99,
        cpu: load.expect_cpu,
    }))
}

/// The first interrupt (or SIGTERM) ends the run in order, the second at once.
async fn end_politely(stop: watch::Sender<bool>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    for code in [None, Some(130)] {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { return },
            _ = terminate.recv() => {}
        }
        if let Some(code) = code {
            std::process::exit(code);
        }
        eprintln!("\nending: everybody leaves; interrupt again to end at once");
        stop.send_replace(true);
    }
}

impl Load {
    fn plan(&self, config: &Config) -> Result<Plan, Refused> {
        let usage = |text: &str| (text.to_owned(), USAGE);
        let trace = match &self.trace {
            Some(path) => Some(Arc::new(Trace::load(path).map_err(|e| (e, DATA))?)),
            None => None,
        };
        if self.publishers + self.subscribers == 0 {
            return Err(usage("nobody would join: set --publishers or --subscribers"));
        }
        if self.no_video && self.no_audio && self.publishers > 0 {
            return Err(usage("nothing would be sent: leave out --no-video or --no-audio, or set --publishers 0"));
        }
        let plan = Plan {
            door: self.door()?,
            tokens: Vec::new(),
            rooms: self.rooms,
            room_prefix: self.room_prefix.clone(),
            publishers: self.publishers,
            subscribers: self.subscribers,
            publishers_receive: !self.no_subscribe,
            video: (!self.no_video).then_some(self.video),
            audio: (!self.no_audio).then_some(self.audio),
            trace,
            kind: if self.kind == ClientKind::Full { Kind::Full } else { Kind::Light },
            join_rate: self.join_rate,
            duration: Duration::from_secs_f64(self.duration),
            patience: Duration::from_secs_f64(self.patience),
            pairs: self.pairs,
            threads: self.threads.map(usize::from),
            open_one_in: self.open_one_in,
            nack: !self.no_nack,
            transport_cc: self.transport_cc,
            merged: !self.no_gro,
            server_pid: self.server_pid,
            metrics: self.metrics.clone(),
        };
        let tokens = self.tokens(&plan.places(), config).map_err(|e| (e, USAGE))?;
        Ok(Plan { tokens, ..plan })
    }

    fn door(&self) -> Result<Door, Refused> {
        if self.whip.is_none() && self.whep.is_none() {
            address("--url", &self.url, ["ws", "wss"], "ws://HOST:PORT/ws or wss://HOST/ws")?;
            return Ok(Door::Socket { url: self.url.clone() });
        }
        if self.whip.is_none() && self.publishers > 0 {
            return Err(("publishers need --whip (or set --publishers 0)".to_owned(), USAGE));
        }
        if self.whep.is_none() && self.subscribers > 0 {
            return Err(("subscribers need --whep (or set --subscribers 0)".to_owned(), USAGE));
        }
        for (name, template) in [("--whip", &self.whip), ("--whep", &self.whep)] {
            let filled = template.as_ref().map(|template| template.replace(['{', '}'], ""));
            filled.map_or(Ok(()), |url| {
                address(name, &url, ["http", "https"], "http://HOST:PORT/PATH or https://HOST/PATH, with {room} and {member}")
            })?;
        }
        Ok(Door::Http { whip: self.whip.clone(), whep: self.whep.clone() })
    }

    /// A token for each place: the given one, or one signed with a key of the settings; none without keys.
    fn tokens(&self, places: &[Place], config: &Config) -> Result<Vec<String>, String> {
        if let Some(token) = &self.token {
            return Ok(vec![token.clone(); places.len()]);
        }
        let key = match &self.token_key {
            Some(id) => Some(config.auth.secret(id).map(|secret| (id.as_str(), secret)).ok_or(format!("there is no key `{id}` in auth.keys"))?),
            None => config.auth.first(),
        };
        let Some((id, secret)) = key else { return Ok(Vec::new()) };
        let exp = unix_time().as_secs() + 86_400 + self.duration as u64;
        let claims = |place: &Place| {
            let publish = if matches!(place.role, Role::Publisher(_)) { vec![Source::Microphone, Source::Camera] } else { Vec::new() };
            let subscribe = place.role == Role::Subscriber || !self.no_subscribe;
            let grants = TokenGrants { room: place.room_name.clone(), join: true, publish, subscribe, ..TokenGrants::default() };
            Claims { sub: place.name.clone(), name: None, exp, grants, ..Claims::default() }
        };
        places.iter().map(|place| sign(id, secret, &claims(place))).collect()
    }
}

/// Whether it is a URL with a host, of one of these schemes.
fn address(name: &str, url: &str, schemes: [&str; 2], form: &str) -> Result<(), Refused> {
    let read = reqwest::Url::parse(url).ok();
    if read.is_some_and(|read| schemes.contains(&read.scheme()) && read.host_str().is_some_and(|host| !host.is_empty())) {
        return Ok(());
    }
    Err((format!("{name} is no such address: `{url}`: write {form}"), USAGE))
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= 1e6).ok_or_else(|| "write a number above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::Secret;
    use crate::control::auth::{RoomName, verify};

    #[derive(Parser)]
    #[command(name = "althing load")]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn plan(arguments: &[&str]) -> Result<Plan, Refused> {
        Line::try_parse_from(["x"].iter().chain(arguments)).expect("arguments").load.plan(&Config::default())
    }

    #[test]
    fn the_help_is_the_documented_one() {
        insta::assert_snapshot!(Line::command().term_width(100).render_long_help());
    }

    #[test]
    fn arguments_become_a_plan() {
        let made = plan(&["--rooms", "2", "--publishers", "3", "--subscribers", "4", "--no-audio", "--video", "2M@25", "--no-gro"]).expect("a plan");
        assert_eq!((made.places().len(), made.audio, made.merged, made.nack), (14, None, false, true));
        assert_eq!(made.video.map(|v| (v.bitrate, v.frames)), Some((2_000_000, 25)));
        let made = plan(&["--whip", "http://h/{room}/{member}", "--whep", "http://h/{member}", "--subscribers", "1"]).expect("a plan");
        assert!(matches!(made.door, Door::Http { whip: Some(_), whep: Some(_) }));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_code_for_it() {
        for (arguments, code) in [
            (vec!["--publishers", "0"], USAGE),
            (vec!["--no-audio", "--no-video"], USAGE),
            (vec!["--whep", "http://h/{member}"], USAGE),
            (vec!["--whip", "http://h/{member}", "--subscribers", "1"], USAGE),
            (vec!["--token-key", "other"], USAGE),
            (vec!["--trace", "/nowhere"], DATA),
            (vec!["--url", "http://127.0.0.1:8080/ws"], USAGE),
            (vec!["--url", "127.0.0.1:8080"], USAGE),
            (vec!["--url", "ws://"], USAGE),
            (vec!["--whip", "ws://h/{member}"], USAGE),
        ] {
            assert_eq!(plan(&arguments).map(|_| ()).map_err(|e| e.1), Err(code), "{arguments:?}");
        }
        for wrong in [["--duration", "0"], ["--join-rate", "-1"], ["--video", "big"], ["--rooms", "0"]] {
            assert!(Line::try_parse_from(["x"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn with_keys_everybody_gets_a_token_of_its_own() {
        let secret = || Secret::new("0123456789abcdef0123456789abcdef").expect("long enough");
        let config = Config { auth: [("main".to_owned(), secret())].into_iter().collect(), ..Config::default() };
        let load = Line::try_parse_from(["x", "--subscribers", "1"]).expect("arguments").load;
        let plan = load.plan(&config).expect("a plan");
        let room = RoomName::new("load-0").expect("a name");
        let opened: Vec<_> = plan.tokens.iter().map(|t| verify(&config.auth, Some(t), &room).expect("valid")).collect();
        let said: Vec<_> = opened.iter().map(|(who, claims)| (who.0.as_str(), claims.grants.publish.len(), claims.grants.subscribe)).collect();
        assert_eq!(said, [("p0", 2, true), ("s0", 0, true)]);
    }
}
