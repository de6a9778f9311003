//! The engine alone: from the datagram to sealed packets in the arena, with everything that this version does for a forward.

use std::time::{Duration, Instant};

use althing::base::{Ntp, RoomId, Time, TrackId};
use althing::contract::{Command, Counter, MediaKind, RoomCommand, SrtpProfile, View};
use althing::media::engine::{Engine, EngineConfig};
use althing::media::outgoing::Outgoing;
use althing::media::packet::twcc::Arrivals;
use althing::media::transport::{DtlsIdentity, Path, SrtpSender};

use super::client::{Client, written};
use super::cpu::cpu;

/// What is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// VP8 whose picture ids pass as they are.
    Video,
    /// VP8 after a change of source: each descriptor is written anew.
    RewrittenVideo,
    /// The same to subscribers who report what they receive: estimated, paced, probed, their share worked out.
    EstimatedVideo,
    /// Opus.
    Audio,
}

/// What one run has cost.
pub struct Cost {
    /// Nanoseconds of CPU per forward.
    pub forward: f64,
    /// Nanoseconds of CPU for sealing one of the same payloads, and nothing else.
    pub seal: f64,
    /// Bytes of a forwarded datagram, on average.
    pub bytes: f64,
}

/// The port of the first client; each has its own.
const PORT: u16 = 10_000;
/// Subscribers report so often, as browsers do, and receive so much later.
const REPORT_EVERY: Duration = Duration::from_millis(100);
const ONE_WAY: Duration = Duration::from_millis(20);

fn path(index: usize) -> Path {
    Path { local: 0, remote: ([10, 0, 0, 1], PORT + index as u16).into() }
}

struct Scene {
    engine: Engine,
    out: Outgoing,
    bytes: u64,
    /// Of each subscriber by its index, the transport-wide numbers that it has received and not reported.
    received: Vec<(u16, Arrivals)>,
    /// CPU time that went into receiving, which is not the engine's.
    aside: Duration,
}

impl Scene {
    fn command(&mut self, what: RoomCommand) {
        self.engine.handle_command(Time::ZERO, Command { room: RoomId(1), what });
        self.engine.handle_timeout(Time::ZERO);
    }

    fn enter(&mut self, client: &mut Client, pairs: u8) {
        self.command(RoomCommand::AddPeer { peer: client.peer, transport: Box::new(client.transport()) });
        self.command(RoomCommand::Negotiate { peer: client.peer, media: Box::new(client.plan(pairs)) });
        self.engine.handle_read(Time::ZERO, path(client.index), &mut client.check());
        self.drain(Time::ZERO);
        // A STUN answer: from then on it sends.
        client.take(Time::ZERO, vec![1, 1], &mut Vec::new());
    }

    fn publish(&mut self, client: &mut Client, kind: MediaKind) {
        let mline = u8::from(kind == MediaKind::Video);
        self.command(RoomCommand::Publish { peer: client.peer, mline, track: TrackId(client.index as u64 * 2 + u64::from(mline)), voice: false });
        client.publish(Time::ZERO, kind);
    }

    fn drain(&mut self, now: Time) {
        loop {
            self.engine.poll_transmit(now, &mut self.out);
            if self.out.is_empty() {
                return;
            }
            self.bytes += self.out.bytes().len() as u64;
            let start = (!self.received.is_empty()).then(cpu);
            for datagram in self.out.datagrams().iter().filter(|_| start.is_some()) {
                let index = usize::from(datagram.path.remote.port() - PORT);
                // RTCP has no transport-wide number.
                let is_rtp = !matches!(self.out.payload(datagram), [_, 192..=223, ..]);
                if let Some((next, arrivals)) = self.received.get_mut(index).filter(|_| is_rtp) {
                    arrivals.record(*next, now + ONE_WAY);
                    *next = next.wrapping_add(1);
                }
            }
            self.aside += start.map_or(Duration::ZERO, |start| cpu() - start);
            self.out.clear();
        }
    }

    /// Every subscriber reports what it has received; the CPU time that the engine spends on it.
    fn report(&mut self, now: Time, subscribers: &mut [Client]) -> Duration {
        let mut spent = Duration::ZERO;
        for client in subscribers {
            let Some((_, arrivals)) = self.received.get_mut(client.index) else { continue };
            let mut fci = [0; 1_100];
            let Some(len) = arrivals.write_fci(&mut fci) else { continue };
            let compound = written(|compound| compound.transport_feedback(7, 0, &fci[..len]));
            let mut sealed = client.seal_rtcp(&compound).expect("keys are known");
            let start = cpu();
            self.engine.handle_read(now, path(client.index), &mut sealed);
            spent += cpu() - start;
        }
        let start = cpu();
        self.engine.handle_timeout(now);
        self.drain(now);
        spent + (cpu() - start)
    }

    /// Sends for a while; CPU time spent in the engine, forwards, and bytes.
    fn run(&mut self, publisher: &mut Client, subscribers: &mut [Client], time: Duration) -> (Duration, u64, u64) {
        let (begin, before, bytes) = (publisher.next_at(), self.engine.counters().get(Counter::RtpForwarded), self.bytes);
        let (mut now, mut spent, aside) = (begin, Duration::ZERO, self.aside);
        let mut report_at = begin;
        while now < begin + time {
            if report_at <= now && !self.received.is_empty() {
                report_at = now + REPORT_EVERY;
                spent += self.report(now, subscribers);
            }
            now = publisher.next_at();
            while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= now) {
                let start = cpu();
                self.engine.handle_timeout(at);
                self.drain(at);
                spent += cpu() - start;
            }
            let mut packets = Vec::new();
            publisher.tick(now, &mut packets);
            for mut bytes in packets {
                let start = cpu();
                self.engine.handle_read(now, path(publisher.index), &mut bytes);
                self.drain(now);
                spent += cpu() - start;
            }
        }
        (spent - (self.aside - aside), self.engine.counters().get(Counter::RtpForwarded) - before, self.bytes - bytes)
    }
}

/// One run with so many subscribers.
pub fn run(what: What, subscribers: usize, seed: u64) -> Cost {
    let config =
        EngineConfig { identity: DtlsIdentity::generate().expect("a certificate"), epoch: Instant::now(), wall_at_zero: Ntp::default(), seed };
    let mut scene = Scene { engine: Engine::new(config), out: Outgoing::for_a_tick(), bytes: 0, received: Vec::new(), aside: Duration::ZERO };
    let estimated = what == What::EstimatedVideo;
    if estimated {
        scene.received = (0..subscribers + 2).map(|_| (0, Arrivals::new())).collect();
    }
    let kind = if what == What::Audio { MediaKind::Audio } else { MediaKind::Video };
    let client = |index| {
        let mut client = Client::new(index, seed, SrtpProfile::AeadAes128Gcm);
        client.checks = false;
        client.is_estimated = estimated;
        client
    };
    let mut publishers = [client(0), client(1)];
    for publisher in &mut publishers {
        scene.enter(publisher, 0);
        scene.publish(publisher, kind);
    }
    let mut peers: Vec<Client> = (2..subscribers + 2)
        .map(|index| {
            let mut subscriber = client(index);
            scene.enter(&mut subscriber, 1);
            subscriber
        })
        .collect();
    let mline = if what == What::Audio { 2 } else { 3 };
    let track = |publisher: u64| TrackId(publisher * 2 + u64::from(what != What::Audio));
    for publisher in if matches!(what, What::RewrittenVideo | What::EstimatedVideo) { vec![1, 0] } else { vec![0] } {
        for peer in &peers {
            scene.command(RoomCommand::Point { peer: peer.peer, mline, source: Some(track(publisher)), view: View::LARGE });
        }
        // Warm up; and the source before, where there is one.
        let (_, forwarded, _) = scene.run(&mut publishers[publisher as usize], &mut peers, Duration::from_millis(200));
        assert!(forwarded > 0, "nothing was forwarded");
    }
    let time = Duration::from_secs((if what == What::Audio { 4_000 } else { 1_500 } / subscribers as u64).clamp(1, 10));
    let (spent, forwarded, bytes) = scene.run(&mut publishers[0], &mut peers, time);
    let bytes = bytes as f64 / forwarded.max(1) as f64;
    Cost { forward: spent.as_nanos() as f64 / forwarded.max(1) as f64, seal: seal_ns(bytes as usize - 36), bytes }
}

/// Nanoseconds of CPU for sealing a payload of so many bytes.
pub fn seal_ns(bytes: usize) -> f64 {
    let sender = SrtpSender::new(SrtpProfile::AeadAes128Gcm, &[7; 16], &[9; 12]).expect("keys");
    let (plain, mut out) = (vec![0x42; bytes], vec![0x90; bytes + 100]);
    super::cpu::nanoseconds(50_000, |index| {
        std::hint::black_box(sender.seal_scatter(&mut out, 20, &plain, 1, index));
    })
}
