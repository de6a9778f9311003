//! `make prove-call`: ten participants, one video of 1.5 Mbit/s and one audio each, for a minute; once clean, once with
//! 2 % of the packets dropped each way. The rows go to `docs/proof/call.jsonl`.
//!
//! The server is the given binary in a process of its own. So are the clients: with loss the two are in two network
//! namespaces, and the cable between them drops.

#[path = "../client/mod.rs"]
mod client;
mod lab;
mod meeting;
mod row;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use client::Result;
use lab::{Lab, Loss};
use meeting::{Outcome, Plan};
use row::{Row, Run};

const HTTP_PORT: u16 = 18_080;
const ADMIN_PORT: u16 = 19_090;
const MEDIA_PORT: u16 = 41_000;
/// Percent of the packets, each way.
const LOSS: u32 = 2;

#[derive(Parser)]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/althing")]
    server: PathBuf,
    /// How long packets count.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many participants.
    #[arg(long, default_value_t = 10)]
    participants: u16,
    /// Where the rows go.
    #[arg(long, default_value = "docs/proof/call.jsonl")]
    out: PathBuf,
    /// Only one of the two: `clean` or `loss`.
    #[arg(long)]
    only: Option<String>,
    /// Holds the call, in a process that was started for it: the server's process.
    #[arg(long, hide = true)]
    hold: Option<u32>,
    /// The server's address, for `--hold`.
    #[arg(long, hide = true)]
    host: Option<IpAddr>,
    /// The clients' address, for `--hold`.
    #[arg(long, hide = true)]
    address: Option<IpAddr>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Somebody wants us to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.hold.is_some() { hold(&arguments) } else { prove(&arguments) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("prove-call failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Both calls, one after the other; whether all rows reach what they have to.
fn prove(arguments: &Arguments) -> Result<bool> {
    stop_gently()?;
    let run = Run::new("make prove-call");
    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let mut rows = Vec::new();
    if wanted("clean") {
        eprintln!("clean: {} participants for {} s", arguments.participants, arguments.seconds);
        let lab = if root { Some(Lab::new()?) } else { None };
        let outcome = call(arguments, lab.as_ref())?;
        rows.extend(clean_rows(&run, &outcome));
    }
    match (wanted("loss"), root) {
        (true, true) => {
            eprintln!("loss: the same with {LOSS} % of the packets dropped each way");
            let lab = Lab::new()?;
            lab.lose(LOSS)?;
            let outcome = call(arguments, Some(&lab))?;
            rows.extend(loss_rows(&run, &outcome, lab.server.loss(), lab.clients.loss()));
        }
        (true, false) => {
            eprintln!("\n*** SKIPPED: the call with loss needs root (network namespaces and nftables). Nothing was shown about loss. ***\n")
        }
        (false, _) => {}
    }
    rows.iter().for_each(print);
    row::write(&arguments.out, &rows)?;
    Ok(rows.iter().all(|r| r.pass != Some(false)))
}

fn print(row: &Row) {
    let verdict = match row.pass {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "",
    };
    println!("{:32} {:>14.4} {:8} {:12} {verdict}", row.row, row.value, row.unit, row.reach.as_deref().unwrap_or(""));
}

fn clean_rows(run: &Run, outcome: &Outcome) -> Vec<Row> {
    let total = outcome.audio.plus(outcome.video);
    let parts = [("", total), ("_audio", outcome.audio), ("_video", outcome.video)];
    let verdict = |(part, d): &(&str, meeting::Delivery)| {
        let pass = d.expected > 0 && d.unique == d.expected;
        run.verdict(format!("clean_delivered{part}"), d.percent(), "%", "= 100 %", pass)
    };
    parts.iter().map(verdict).chain(figures(run, "clean", outcome)).collect()
}

fn loss_rows(run: &Run, outcome: &Outcome, at_server: Loss, at_clients: Loss) -> Vec<Row> {
    let total = outcome.audio.plus(outcome.video);
    let parts = [("", total), ("_audio", outcome.audio), ("_video", outcome.video)];
    let verdict = |(part, d): &(&str, meeting::Delivery)| {
        run.verdict(format!("loss2_delivered{part}"), d.percent(), "%", ">= 99.9 %", d.expected > 0 && d.percent() >= 99.9)
    };
    let mut rows: Vec<Row> = parts.iter().map(verdict).collect();
    // A proof with loss in which nothing was lost proves nothing.
    let near = |loss: &Loss| loss.came > 1_000 && (loss.percent() - f64::from(LOSS)).abs() < 0.5;
    let reach = format!("{LOSS} ± 0.5 %");
    rows.push(run.verdict("loss2_dropped_towards_server".to_owned(), at_server.percent(), "%", &reach, near(&at_server)));
    rows.push(run.verdict("loss2_dropped_towards_clients".to_owned(), at_clients.percent(), "%", &reach, near(&at_clients)));
    rows.extend(figures(run, "loss2", outcome));
    rows
}

/// Figures that inform.
fn figures(run: &Run, name: &str, outcome: &Outcome) -> Vec<Row> {
    let total = outcome.audio.plus(outcome.video);
    let counter = |metric: &str| outcome.metrics.iter().filter(|(name, _)| name.starts_with(metric)).map(|(_, value)| value).sum();
    let figures = [
        ("offered", total.offered as f64, "packets"),
        ("expected", total.expected as f64, "packets"),
        ("duplicates", total.duplicates as f64, "packets"),
        ("reordered", total.reordered as f64, "packets"),
        ("retransmitted", counter("althing_rtp_packets_retransmitted_total"), "packets"),
        ("repaired", counter("althing_rtp_packets_repaired_total"), "packets"),
        ("nack_misses", counter("althing_nack_misses_total"), "packets"),
        ("server_cpu", outcome.server_cpu, "s"),
        ("server_cpu_per_forward", outcome.server_cpu * 1e6 / total.expected.max(1) as f64, "µs"),
        ("server_rss", outcome.server_rss as f64 / f64::from(1 << 20), "MiB"),
        ("client_cpu", outcome.client_cpu, "s"),
        ("ready", outcome.ready_ms as f64, "ms"),
        ("renegotiations", f64::from(outcome.renegotiations), "offers"),
        ("key_frame_requests", f64::from(outcome.key_frames_asked), "requests"),
    ];
    figures.map(|(figure, value, unit)| run.figure(format!("{name}_{figure}"), value, unit)).into()
}

/// One call: the server and the clients, each in a process.
fn call(arguments: &Arguments, lab: Option<&Lab>) -> Result<Outcome> {
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (host, address) = lab.map_or((local, local), |lab| (lab.server.address, lab.clients.address));
    let program = arguments.server.to_str().ok_or("the server's path is not text")?;
    let mut server = match lab {
        Some(lab) => lab.server.command(program),
        None => Command::new(program),
    };
    server.env("ALTHING_HTTP__LISTEN", SocketAddr::from((host, HTTP_PORT)).to_string());
    server.env("ALTHING_ADMIN__LISTEN", SocketAddr::from((host, ADMIN_PORT)).to_string());
    server.env("ALTHING_MEDIA__BIND", host.to_string()).env("ALTHING_MEDIA__PORT", MEDIA_PORT.to_string()).env("ALTHING_TURN__ENABLED", "false");
    server.env("ALTHING_LOG__LEVEL", "warn");
    let server = Process(server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|e| format!("{program}: {e}"))?);

    let me = std::env::current_exe()?;
    let me = me.to_str().ok_or("our own path is not text")?;
    let mut clients = match lab {
        Some(lab) => lab.clients.command(me),
        None => Command::new(me),
    };
    clients.args(["--hold", &server.0.id().to_string(), "--host", &host.to_string(), "--address", &address.to_string()]);
    clients.args(["--seconds", &arguments.seconds.to_string(), "--participants", &arguments.participants.to_string()]);
    let mut clients = Process(clients.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let answer = clients.0.stdout.take().ok_or("no pipe")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(answer));
    clients.finish()?;
    let text = reader.join().map_err(|_| "the reader failed")??;
    Ok(serde_json::from_str(&text)?)
}

/// A process that does not outlive us.
struct Process(Child);

impl Process {
    fn finish(&mut self) -> Result<()> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return if status.success() { Ok(()) } else { Err(format!("the clients ended with {status}").into()) };
            }
            if STOPPED.load(Ordering::Relaxed) {
                return Err("stopped".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// SIGINT and SIGTERM end the run through the usual door, so that processes and namespaces go too.
fn stop_gently() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _in_runtime = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        STOPPED.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// In the clients' process: holds the call and says what came of it, on standard output.
fn hold(arguments: &Arguments) -> Result<bool> {
    let (Some(server_pid), Some(host), Some(address)) = (arguments.hold, arguments.host, arguments.address) else {
        return Err("--hold needs --host and --address".into());
    };
    let plan = Plan {
        server: SocketAddr::from((host, HTTP_PORT)),
        admin: SocketAddr::from((host, ADMIN_PORT)),
        server_pid,
        address,
        participants: arguments.participants,
        seconds: arguments.seconds,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(meeting::hold(&plan))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(true)
}
