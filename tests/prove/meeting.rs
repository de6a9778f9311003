//! The call itself: participants in one process, and what each got of each.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use super::client::{Kind, Participant, Phase, Result, Settings};

/// How long it may take until everybody receives everybody.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between that and the first packet that counts.
const SETTLE: Duration = Duration::from_secs(2);
/// Between the last packet that counts and the count.
const TAIL: Duration = Duration::from_secs(2);

/// What to do.
pub struct Plan {
    /// The server's public listener.
    pub server: SocketAddr,
    /// The server's private listener.
    pub admin: SocketAddr,
    /// The server's process, whose CPU time is taken.
    pub server_pid: u32,
    /// The clients' address.
    pub address: IpAddr,
    /// How many participants.
    pub participants: u16,
    /// How long packets count.
    pub seconds: u64,
}

/// What came of it.
#[derive(Serialize, Deserialize, Default, Debug)]
pub struct Outcome {
    /// Sound.
    pub audio: Delivery,
    /// Pictures.
    pub video: Delivery,
    /// Milliseconds from the first join until everybody received everybody.
    pub ready_ms: u64,
    /// CPU seconds of the server while packets counted.
    pub server_cpu: f64,
    /// CPU seconds of the clients while packets counted.
    pub client_cpu: f64,
    /// The server's resident memory at the end, in bytes.
    pub server_rss: u64,
    /// Offers made beyond one a participant.
    pub renegotiations: u32,
    /// Requests for key frames that the publishers got.
    pub key_frames_asked: u32,
    /// The server's counters at the end, by name and labels.
    pub metrics: BTreeMap<String, f64>,
}

/// What came of all streams of a kind.
#[derive(Serialize, Deserialize, Clone, Copy, Default, Debug)]
pub struct Delivery {
    /// Packets that publishers sent.
    pub offered: u64,
    /// Packets that should have come: each once at every other participant.
    pub expected: u64,
    /// Packets that came.
    pub unique: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
}

impl Delivery {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            expected: self.expected + other.expected,
            unique: self.unique + other.unique,
            duplicates: self.duplicates + other.duplicates,
            reordered: self.reordered + other.reordered,
        }
    }

    /// The share that came, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.unique as f64 / self.expected.max(1) as f64
    }
}

/// Holds the call.
///
/// # Errors
/// When somebody cannot join, or somebody does not receive somebody else after 30 s.
pub async fn hold(plan: &Plan) -> Result<Outcome> {
    let (phase, follow) = watch::channel(Phase::WarmUp);
    wait_for(plan.server).await?;
    let began = Instant::now();
    let mut all = Vec::new();
    for number in 0..plan.participants {
        let settings = Settings {
            url: format!("ws://{}/ws", plan.server),
            room: "prove-call".to_owned(),
            number,
            token: None,
            address: plan.address,
            pairs: u32::from(plan.participants) - 1,
        };
        all.push(Participant::join(&settings, follow.clone()).await.map_err(|e| format!("participant {number}: {e}"))?);
    }
    eprintln!("  {} participants are connected after {} ms", all.len(), began.elapsed().as_millis());
    everybody_hears_everybody(&all).await?;
    let ready_ms = began.elapsed().as_millis() as u64;
    eprintln!("  everybody receives everybody after {ready_ms} ms");
    sleep(SETTLE).await;

    let before = (cpu_seconds(plan.server_pid), cpu_seconds(std::process::id()));
    phase.send(Phase::Count)?;
    for second in 1..=plan.seconds {
        sleep(Duration::from_secs(1)).await;
        if second % 10 == 0 || second == plan.seconds {
            progress(second, plan, before.0);
        }
    }
    phase.send(Phase::Tail)?;
    let after = (cpu_seconds(plan.server_pid), cpu_seconds(std::process::id()));
    sleep(TAIL).await;
    phase.send(Phase::Stop)?;
    sleep(Duration::from_millis(300)).await;

    let mut outcome = count(&all);
    (outcome.ready_ms, outcome.server_cpu, outcome.client_cpu) = (ready_ms, after.0 - before.0, after.1 - before.1);
    outcome.server_rss = rss(plan.server_pid);
    outcome.metrics = metrics(plan.admin).unwrap_or_default();
    for participant in all {
        participant.leave().await;
    }
    Ok(outcome)
}

async fn wait_for(server: SocketAddr) -> Result<()> {
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(server).await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("nothing listens on {server}").into())
}

async fn everybody_hears_everybody(all: &[Participant]) -> Result<()> {
    let began = Instant::now();
    loop {
        let deaf = deaf(all);
        match deaf.first() {
            None => return Ok(()),
            Some(_) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(100)).await,
            Some((receiver, publisher, kind)) => {
                let trouble = all.iter().find_map(|p| p.view().trouble).unwrap_or_default();
                return Err(
                    format!("after 30 s {} streams have not come, such as {publisher}'s {kind:?} at {receiver}. {trouble}", deaf.len()).into()
                );
            }
        }
    }
}

/// Which streams have not come: receiver, publisher, kind.
fn deaf(all: &[Participant]) -> Vec<(u16, u16, Kind)> {
    pairs(all).filter(|(r, p, kind)| r.count(p.number, *kind).heard == 0).map(|(r, p, kind)| (r.number, p.number, kind)).collect()
}

fn pairs(all: &[Participant]) -> impl Iterator<Item = (&Participant, &Participant, Kind)> {
    let others = |r: &Participant, p: &Participant| r.number != p.number;
    let pairs = all.iter().flat_map(move |r| all.iter().filter(move |p| others(r, p)).map(move |p| (r, p)));
    pairs.flat_map(|(r, p)| Kind::ALL.map(|kind| (r, p, kind)))
}

fn count(all: &[Participant]) -> Outcome {
    let mut outcome = Outcome::default();
    for participant in all {
        let offered = participant.offered();
        outcome.audio.offered += u64::from(offered.audio);
        outcome.video.offered += u64::from(offered.video);
        outcome.renegotiations += participant.view().offers.saturating_sub(1);
        outcome.key_frames_asked += participant.key_frames_asked();
    }
    for (receiver, publisher, kind) in pairs(all) {
        let offered = publisher.offered();
        let (offered, delivery) = match kind {
            Kind::Audio => (offered.audio, &mut outcome.audio),
            Kind::Video => (offered.video, &mut outcome.video),
        };
        let count = receiver.count(publisher.number, kind);
        delivery.expected += u64::from(offered);
        delivery.unique += count.unique;
        delivery.duplicates += count.duplicates;
        delivery.reordered += count.reordered;
        if count.unique < u64::from(offered) {
            let missing = receiver.tally(|t| t.missing(publisher.number, kind, offered));
            let some: Vec<u32> = missing.iter().copied().take(8).collect();
            eprintln!("  {} lost {} of {offered} of {}'s {kind:?}: {some:?}", receiver.number, missing.len(), publisher.number);
        }
    }
    outcome
}

fn progress(second: u64, plan: &Plan, before: f64) {
    let cpu = (cpu_seconds(plan.server_pid) - before) / second as f64;
    eprintln!("  {second} of {} s; the server takes {:.0} % of a core", plan.seconds, cpu * 100.0);
}

/// CPU time of all threads of a process, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let spent = threads.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok());
    spent.sum::<u64>() as f64 / 1e9
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The server's own counters, as Prometheus reads them.
fn metrics(admin: SocketAddr) -> Result<BTreeMap<String, f64>> {
    let mut socket = TcpStream::connect_timeout(&admin, Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let lines = text.lines().filter(|l| l.starts_with("althing_"));
    Ok(lines.filter_map(|l| l.rsplit_once(' ')).filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
}
