//! The engine alone, no sockets: one publisher's video to N subscribers, AES-GCM, everything that this version does for a
//! forward. CPU time of the thread per forward, beside the bare seal of the same packet in the same run. Prints JSON lines.

#![allow(dead_code, reason = "the client is shared with the simulation, which uses all of it")]

#[path = "../tests/sim/client.rs"]
mod client;

use std::time::{Duration, Instant};

use althing::base::{Ntp, RoomId, Time, TrackId};
use althing::contract::{Command, Counter, MediaKind, RoomCommand, SrtpProfile};
use althing::media::engine::{Engine, EngineConfig};
use althing::media::outgoing::Outgoing;
use althing::media::transport::{DtlsIdentity, Path, SrtpSender};
use client::Client;
use rustix::time::{ClockId, clock_gettime};

const SECONDS: u64 = 10;

fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn path(index: usize) -> Path {
    Path { local: 0, remote: ([10, 0, (index >> 8) as u8, index as u8], 40_000).into() }
}

fn main() {
    for subscribers in [1, 10, 50, 200, 1_000] {
        let mut runs: Vec<f64> = (0..5).map(|seed| forward_ns(subscribers, seed)).collect();
        runs.sort_by(f64::total_cmp);
        let mut seals: Vec<f64> = (0..5).map(|_| seal_ns(930)).collect();
        seals.sort_by(f64::total_cmp);
        let (forward, seal) = (runs[2], seals[2]);
        println!(
            r#"{{"bench":"forward","subscribers":{subscribers},"bytes":950,"ns_per_forward":{forward:.0},"ns_bare_seal":{seal:.0},"ratio":{:.2}}}"#,
            forward / seal
        );
    }
}

/// Nanoseconds of CPU per forward, from the datagram to the sealed packet in the arena.
fn forward_ns(subscribers: usize, seed: u64) -> f64 {
    let identity = DtlsIdentity::generate().expect("a certificate");
    let mut engine = Engine::new(EngineConfig { identity, epoch: Instant::now(), wall_at_zero: Ntp::default(), seed });
    let send = |engine: &mut Engine, what| engine.handle_command(Time::ZERO, Command { room: RoomId(1), what });
    let mut publisher = Client::new(0, seed, SrtpProfile::AeadAes128Gcm);
    send(&mut engine, RoomCommand::AddPeer { peer: publisher.peer, transport: Box::new(publisher.transport()) });
    send(&mut engine, RoomCommand::Negotiate { peer: publisher.peer, media: Box::new(publisher.plan(0)) });
    send(&mut engine, RoomCommand::Publish { peer: publisher.peer, mline: 1, track: TrackId(1) });
    publisher.publish(Time::ZERO, MediaKind::Video);
    for index in 1..=subscribers {
        let mut subscriber = Client::new(index, seed, SrtpProfile::AeadAes128Gcm);
        send(&mut engine, RoomCommand::AddPeer { peer: subscriber.peer, transport: Box::new(subscriber.transport()) });
        send(&mut engine, RoomCommand::Negotiate { peer: subscriber.peer, media: Box::new(subscriber.plan(1)) });
        send(&mut engine, RoomCommand::Point { peer: subscriber.peer, mline: 3, source: Some(TrackId(1)) });
        let mut check = Vec::new();
        subscriber.tick(Time::ZERO, &mut check);
        check.into_iter().for_each(|mut bytes| engine.handle_read(Time::ZERO, path(index), &mut bytes));
    }
    let mut out = Outgoing::for_a_tick();
    let (mut now, mut spent) = (Time::ZERO, Duration::ZERO);
    let before = engine.report().counters.get(Counter::RtpForwarded);
    while now < Time::ZERO + Duration::from_secs(SECONDS.min(2_000 / subscribers as u64 + 1)) {
        now = publisher.next_at();
        let mut packets = Vec::new();
        publisher.tick(now, &mut packets);
        for mut bytes in packets {
            let start = cpu();
            engine.handle_read(now, path(0), &mut bytes);
            drain(&mut engine, now, &mut out);
            spent += cpu() - start;
        }
    }
    let forwarded = engine.report().counters.get(Counter::RtpForwarded) - before;
    assert!(forwarded > 0, "nothing was forwarded");
    spent.as_nanos() as f64 / forwarded as f64
}

fn drain(engine: &mut Engine, now: Time, out: &mut Outgoing) {
    loop {
        engine.poll_transmit(now, out);
        if out.is_empty() {
            return;
        }
        out.clear();
    }
}

/// Nanoseconds of CPU for sealing one payload, and nothing else.
fn seal_ns(bytes: usize) -> f64 {
    let sender = SrtpSender::new(SrtpProfile::AeadAes128Gcm, &[7; 16], &[9; 12]).expect("keys");
    let (plain, mut out) = (vec![0x42; bytes], vec![0x90; bytes + 100]);
    let start = cpu();
    for index in 0..100_000 {
        std::hint::black_box(sender.seal_scatter(&mut out, 20, &plain, 1, index));
    }
    (cpu() - start).as_nanos() as f64 / 100_000.0
}
