//! `make prove-forward`: Althing's own worker beside the bare forwarder of `benches/limit`, fed with the same packets and sending to
//! the same device, in turn. Each figure is a ratio of CPU times, the median of several pairs. Rows go to docs/proof/forward.jsonl.
//!
//! Names of rows as arguments measure these alone.

#![allow(dead_code, reason = "the bench of the limit uses other parts of what they share")]

#[path = "../../../benches/limit/althing.rs"]
mod althing_side;
#[path = "../../../benches/limit/bare.rs"]
mod bare;
#[path = "../../../benches/cpu.rs"]
mod cpu;
#[path = "../../../benches/forward/engine.rs"]
mod engine;
#[path = "../../../benches/limit/feed.rs"]
mod feed;
#[path = "../../../benches/limit/measure.rs"]
mod measure;
mod processes;
#[path = "../row.rs"]
mod row;
#[path = "../../../benches/limit/sink.rs"]
mod sink;
mod spread;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use althing_side::{Althing, client};
use bare::{Bare, Without};
use engine::What;
use feed::{Feed, Recorded, TRACES, read_trace};
use measure::{Case, Forwarder, Network, Outcome, median, run, run_watched};
use processes::Server;
use row::{Row, Run};
use sink::{Sink, Watch, percentile};

const COMMAND: &str = "make prove-forward";
const FILE: &str = "docs/proof/forward.jsonl";
/// Pairs of runs of which the median counts: many short ones, since a shared machine's speed changes from second to second.
const PAIRS: usize = 15;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|c| name.starts_with(c.as_str()));
    let mut proof = Proof { run: Run::new(COMMAND), rows: Vec::new() };
    if wanted("engine_ns") {
        proof.engine();
    }
    if wanted("latency") {
        proof.latency();
    }
    if wanted("loopback_us_f100") {
        proof.loopback();
    }
    if wanted("unharmed") {
        proof.unharmed();
    }
    if wanted("storm") {
        proof.storm();
    }
    if wanted("growth") {
        proof.growth();
    }
    if !Network::enter_discarding() {
        eprintln!("*** SKIPPED: the rows beside the limit need root, for a network namespace with a device that drops everything. ***");
        return proof.write();
    }
    if wanted("of_limit_1to50") {
        proof.of_limit("of_limit_1to50", &flood(1_200, 50, 1), 0.88);
        proof.of_limit("of_limit_1to50_gso4", &flood(1_200, 50, 4), 0.75);
    }
    if wanted("of_limit_audio") {
        proof.of_limit("of_limit_audio", &flood(140, 50, 1), 0.8);
    }
    if wanted("of_limit_trace") {
        for (name, text) in TRACES {
            let trace = Arc::new(read_trace(text));
            for (publishers, subscribers) in [(1, 50), (10, 10)] {
                let feed = Feed::Trace(trace.clone());
                let case = Case { network: Network::Discard, publishers, subscribers, batch: 32, feed, time: Duration::from_secs(2) };
                proof.of_limit(&format!("of_limit_trace.{name}.{publishers}to{subscribers}"), &case, 0.75);
            }
        }
    }
    if wanted("flatness_10_1000") {
        proof.flatness();
    }
    if wanted("two_workers") {
        proof.two_workers();
    }
    if wanted("sparse") {
        for (name, publishers, subscribers, trace) in [
            ("sparse.one_to_ten", 1, 10, usual_call(true)),
            ("sparse.ten_party_room", 10, 10, usual_call(true)),
            ("sparse.voice_3_of_200", 3, 200, usual_call(false)),
        ] {
            let feed = Feed::Trace(Arc::new(trace));
            let case = Case { network: Network::Discard, publishers, subscribers, batch: 32, feed, time: Duration::from_secs(2) };
            proof.sparse(name, &case);
        }
    }
    proof.write();
}

fn flood(bytes: usize, subscribers: usize, batch: usize) -> Case {
    let feed = Feed::Flood { bytes, audio: bytes < 200, at_a_time: batch };
    Case { network: Network::Discard, publishers: 1, subscribers, batch, feed, time: Duration::from_millis(200) }
}

/// A second of 50 Opus packets, and of 1.5 Mbit/s of video at 30 frames a second unless it is voice only.
fn usual_call(video: bool) -> Vec<Recorded> {
    let audio = (0..50).map(|n| Recorded { at: Duration::from_millis(n * 20), bytes: 120, marker: false, audio: true });
    let frame = |n: u64| {
        let at = Duration::from_micros(n * 33_333 + 5_000);
        // As a browser's pacer spreads it: 5 packets within some milliseconds, all of one length but the last.
        (0..5).map(move |packet| Recorded {
            at: at + Duration::from_micros(packet * 400),
            bytes: if packet == 4 { 1_050 } else { 1_250 },
            marker: packet == 4,
            audio: false,
        })
    };
    let mut trace: Vec<Recorded> = audio.chain((0..if video { 30 } else { 0 }).flat_map(frame)).collect();
    trace.sort_by_key(|packet| packet.at);
    trace
}

struct Proof {
    run: Run,
    rows: Vec<Row>,
}

impl Proof {
    /// The limit's cost divided by ours.
    fn of_limit(&mut self, name: &str, case: &Case, reach: f64) {
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            let limit = run(case, |case, sources| Bare::new(case, sources, Without::Nothing));
            pairs.push((limit, run(case, Althing::new)));
        }
        let all = |pick: fn(&(Outcome, Outcome)) -> f64| median(pairs.iter().map(pick).collect());
        let ratio = all(|(limit, ours)| limit.ns / ours.ns);
        self.verdict(name, ratio, "of the limit", &format!(">= {reach}"), ratio >= reach);
        self.figure(&format!("{name}.limit_ns"), all(|p| p.0.ns), "ns of CPU per forward");
        self.figure(&format!("{name}.althing_ns"), all(|p| p.1.ns), "ns of CPU per forward");
        self.figure(&format!("{name}.packets_per_message"), all(|p| p.1.run), "packets");
        self.figure(&format!("{name}.limit_packets_per_message"), all(|p| p.0.run), "packets");
    }

    /// How a forward's cost changes with the number of subscribers.
    fn flatness(&mut self) {
        let sizes = [10, 50, 200, 1_000];
        let mut costs = vec![Vec::new(); sizes.len()];
        for _ in 0..PAIRS {
            for (costs, subscribers) in costs.iter_mut().zip(sizes) {
                costs.push(run(&flood(1_200, subscribers, 1), Althing::new).ns);
            }
        }
        let ratio = median(costs[3].iter().zip(&costs[0]).map(|(many, few)| many / few).collect());
        self.verdict("flatness_10_1000", ratio, "times the cost at 10", "<= 1.15", ratio <= 1.15);
        for (subscribers, costs) in sizes.into_iter().zip(costs) {
            self.figure(&format!("flatness.{subscribers}_subscribers"), median(costs), "ns of CPU per forward");
        }
    }

    /// One room on two workers beside the same on one.
    fn two_workers(&mut self) {
        let every = Duration::from_micros(500);
        // As sound, which waits for no key frame: the feeder does not hear of one that is asked for.
        let trace = (0..2_000).map(|n| Recorded { at: every * n, bytes: 1_200, marker: true, audio: true }).collect();
        let feed = Feed::Trace(Arc::new(trace));
        let case = Case { network: Network::Discard, publishers: 1, subscribers: 50, batch: 32, feed, time: Duration::from_millis(800) };
        let pairs: Vec<_> = (0..9).map(|_| (spread::run(&case, 1), spread::run(&case, 2))).collect();
        let all = |pick: fn(&(spread::Spread, spread::Spread)) -> f64| median(pairs.iter().map(pick).collect());
        let ratio = all(|(one, two)| two.ns / one.ns);
        self.verdict("two_workers", ratio, "times the CPU per forward of one", "<= 1.1", ratio <= 1.1);
        self.figure("two_workers.one_ns", all(|p| p.0.ns), "ns of CPU per forward");
        self.figure("two_workers.two_ns", all(|p| p.1.ns), "ns of CPU per forward");
        let (opened, crossed) = (all(|p| p.1.opened), all(|p| p.1.crossed));
        self.verdict("two_workers.opened", opened, "times a packet is opened", "= 1", (0.98..=1.02).contains(&opened));
        self.verdict("two_workers.crossed", crossed, "times a packet crosses", "<= 1", crossed <= 1.02);
    }

    /// What usual calls cost: most of a turn's packets come alone.
    fn sparse(&mut self, name: &str, case: &Case) {
        let pairs: Vec<_> =
            (0..5).map(|_| (run(case, |case, sources| Bare::new(case, sources, Without::Nothing)), run(case, Althing::new))).collect();
        let all = |pick: fn(&(Outcome, Outcome)) -> f64| median(pairs.iter().map(pick).collect());
        self.figure(name, all(|(limit, ours)| limit.ns / ours.ns), "of the limit");
        self.figure(&format!("{name}.althing_ns"), all(|p| p.1.ns), "ns of CPU per forward");
        self.figure(&format!("{name}.busy"), all(|p| p.1.busy * 100.0), "% of a core");
    }

    fn engine(&mut self) {
        for (what, reach) in [(What::Video, Some(1.75)), (What::RewrittenVideo, None), (What::Audio, None)] {
            let costs: Vec<_> = (0..7).map(|seed| engine::run(what, 50, seed)).collect();
            let all = |pick: fn(&engine::Cost) -> f64| median(costs.iter().map(pick).collect());
            let (ratio, name) = (all(|c| c.forward / c.seal), if what == What::Video { "engine_ns".into() } else { format!("engine_ns.{what:?}") });
            match reach {
                Some(reach) => self.verdict(&name, ratio, "times the bare seal", &format!("<= {reach}"), ratio <= reach),
                None => self.figure(&name, ratio, "times the bare seal"),
            }
            self.figure(&format!("{name}.forward"), all(|c| c.forward), "ns of CPU per forward");
            self.figure(&format!("{name}.seal"), all(|c| c.seal), "ns of CPU per seal");
        }
    }

    /// A server as it is run, beside the bare forwarder with the same stream at the same pace, both over loopback.
    fn loopback(&mut self) {
        let stream = usual_call(true);
        let file = std::env::temp_dir().join(format!("althing-usual-call-{}.txt", std::process::id()));
        let line = |r: &Recorded| format!("{} {} {} {}\n", r.at.as_micros(), r.bytes, u8::from(r.marker), if r.audio { "audio" } else { "video" });
        std::fs::write(&file, stream.iter().map(line).collect::<String>()).expect("a file");
        let feed = Feed::Trace(Arc::new(stream));
        let case = Case { network: Network::Loopback, publishers: 1, subscribers: 100, batch: 32, feed, time: Duration::from_secs(5) };
        let arguments = ["--subscribers", "100", "--no-subscribe", "--duration", "10", "--trace", file.to_str().expect("a name")];
        let (mut limits, mut ours, mut delivered) = (Vec::new(), Vec::new(), f64::INFINITY);
        for _ in 0..5 {
            {
                let _sink = Sink::begin();
                limits.push(run(&case, |case, sources| Bare::new(case, sources, Without::Nothing)).ns / 1e3);
            }
            let report = Server::start(&[]).load(&arguments);
            ours.push(report["server"]["cpu_seconds_per_million"].as_f64().expect("the server's CPU time"));
            delivered = delivered.min(percent(&report));
        }
        let _ = std::fs::remove_file(file);
        let ratio = median(ours.iter().zip(&limits).map(|(ours, limit)| ours / limit).collect());
        self.verdict("loopback_us_f100", ratio, "times the limit's", "<= 1.45", ratio <= 1.45);
        self.figure("loopback_us_f100.limit", median(limits), "µs of CPU per forward");
        self.figure("loopback_us_f100.althing", median(ours), "µs of CPU per forward, the whole process");
        self.figure("loopback_us_f100.delivered", delivered, "%");
    }

    /// Who does not read, and who sends a hundred times as much as usual, costs the others nothing.
    fn unharmed(&mut self) {
        let usual = ["--publishers", "2", "--subscribers", "10", "--duration", "15"];
        let quiet = percent(&Server::start(&[]).load(&usual));
        self.verdict("unharmed.quiet", quiet, "% delivered", "= 100", quiet >= 100.0);
        let server = Server::start(&[]);
        let (frozen, _) = server.begin_load(&["--publishers", "0", "--subscribers", "5", "--duration", "120", "--patience", "120"]);
        while server.metric("althing_worker_peers") < 5.0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        frozen.freeze();
        let beside = percent(&server.load(&usual));
        self.verdict("unharmed.subscribers_that_never_read", beside, "% delivered", "= 100", beside >= 100.0);
        drop((frozen, server));
        let server = Server::start(&[]);
        let flood = ["--room-prefix", "flood-", "--publishers", "1", "--no-subscribe", "--no-audio", "--video", "150000k@30", "--duration", "120"];
        let (flooding, _) = server.begin_load(&flood);
        let before = server.metric("althing_rtp_packets_received_total");
        while server.metric("althing_rtp_packets_received_total") < before + 20_000.0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        let beside = percent(&server.load(&usual));
        self.verdict("unharmed.publisher_at_100_times_its_rate", beside, "% delivered", "= 100", beside >= 100.0);
        drop((flooding, server));
    }

    /// Five hundred come at once into one room, and all of them speak: each receives four of the others.
    fn storm(&mut self) {
        let all =
            ["--publishers", "500", "--no-video", "--audio", "always", "--pairs", "4", "--join-rate", "500", "--duration", "10", "--patience", "60"];
        let report = Server::start(&[]).load(&all);
        let joined = report["participants"]["joined"].as_f64().unwrap_or(f64::NAN);
        self.verdict("storm_all_speak.joined", joined, "participants", "= 500", joined == 500.0);
        let delivered = percent(&report);
        self.verdict("storm_all_speak.delivered", delivered, "% delivered", "= 100", delivered >= 100.0);
    }

    /// How cost grows: with the subscribers of one publisher, and with the participants of a room who all speak.
    fn growth(&mut self) {
        for subscribers in ["1", "10", "100", "300", "1000"] {
            let all =
                ["--subscribers", subscribers, "--no-subscribe", "--video", "300k@15", "--join-rate", "200", "--duration", "8", "--patience", "60"];
            let report = Server::start(&[]).load(&all);
            let cost = report["server"]["cpu_seconds_per_million"].as_f64().unwrap_or(f64::NAN);
            self.figure(&format!("growth.{subscribers}_subscribers"), cost, "µs of CPU per forward, the whole process");
        }
        for participants in ["2", "10", "50", "100", "500"] {
            let sound = ["--no-video", "--audio", "always", "--pairs", "4", "--join-rate", "200", "--duration", "8", "--patience", "60"];
            let report = Server::start(&[]).load(&[&["--publishers", participants][..], &sound].concat());
            let of = |name: &str| report["server"][name].as_f64().unwrap_or(f64::NAN);
            let (cost, each) = (of("cpu_seconds_per_million"), of("cores") * 1e3 / participants.parse::<f64>().unwrap_or(f64::NAN));
            self.figure(&format!("growth.{participants}_who_speak"), cost, "µs of CPU per forward, the whole process");
            self.figure(&format!("growth.{participants}_who_speak.each"), each, "ms of CPU a second and participant");
        }
    }

    /// One-way latency at half load, over loopback, of the fiftieth of a hundred subscribers.
    fn latency(&mut self) {
        let _sink = Sink::begin();
        let watched = 50;
        let network = Network::Loopback;
        let full = Case { network, ..flood(1_200, 100, 1) };
        let saturated = run(&full, |case, sources| Bare::new(case, sources, Without::Nothing)).ns;
        // The limit itself, busy for half of the time: one packet every so often.
        let every = Duration::from_nanos((saturated * 100.0 * 2.0) as u64);
        let trace = (0..2_000).map(|n| Recorded { at: every * n, bytes: 1_200, marker: true, audio: false }).collect();
        let case = Case { network, publishers: 1, subscribers: 100, batch: 32, feed: Feed::Trace(Arc::new(trace)), time: Duration::from_secs(2) };
        let (mut ratios, mut p99) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..7 {
            let limit = latencies(&case, watched, |case: &Case, sources: &[SocketAddr]| Bare::new(case, sources, Without::Nothing));
            let ours = latencies(&case, watched, Althing::new);
            ratios.push(ours / limit);
            p99[0].push(limit / 1e3);
            p99[1].push(ours / 1e3);
        }
        let ratio = median(ratios);
        self.verdict("latency_p99_half_load", ratio, "times the limit's", "<= 2", ratio <= 2.0);
        let [limit, ours] = p99.map(median);
        self.figure("latency_p99_half_load.limit_us", limit, "µs");
        self.figure("latency_p99_half_load.althing_us", ours, "µs");
    }

    fn verdict(&mut self, name: &str, value: f64, unit: &'static str, reach: &str, pass: bool) {
        println!("{} {name}: {value:.3} {unit} (reach {reach})", if pass { "ok  " } else { "FAIL" });
        self.rows.push(self.run.verdict(name.to_owned(), round(value), unit, reach, pass));
    }

    fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        println!("     {name}: {value:.3} {unit}");
        self.rows.push(self.run.figure(name.to_owned(), round(value), unit));
    }

    fn write(&self) {
        row::write(Path::new(FILE), &self.rows).expect("the proof is written");
    }
}

fn latencies<F: Forwarder>(case: &Case, watched: usize, make: impl FnOnce(&Case, &[SocketAddr]) -> F + Send + 'static) -> f64 {
    let watch = Watch::at(case.network.address(watched));
    let (_, sent) = run_watched(case, make);
    let arrived = watch.take();
    let Some((first, _)) = arrived.first().copied() else { panic!("nothing has come to the watched subscriber") };
    // The feeder's first packet has number 1 and is the first that is forwarded; both sides add a constant.
    let mut ages: Vec<u64> =
        arrived.iter().filter_map(|(sequence, at)| Some(at.saturating_sub(*sent.get(usize::from(sequence.wrapping_sub(first)) + 1)?))).collect();
    assert!(ages.len() > 100, "too few packets have come to the watched subscriber");
    percentile(&mut ages, 0.99)
}

/// What a load tester says was delivered of what was expected.
fn percent(report: &serde_json::Value) -> f64 {
    let of = |name: &str| report["total"][name].as_f64().unwrap_or(f64::NAN);
    100.0 * of("delivered") / of("expected")
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
