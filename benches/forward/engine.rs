//! The engine alone: from the datagram to sealed packets in the arena, with everything that this version does for a forward.

use std::time::{Duration, Instant};

use althing::base::outgoing::Outgoing;
use althing::base::{Ntp, RoomId, Time, TrackId};
use althing::contract::{Command, Counter, MediaKind, RoomCommand, SrtpProfile, View};
use althing::media::engine::{Engine, EngineConfig};
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
/// Before anything is measured each source is forwarded for so long: caches and histories have grown to their size.
const WARM_UP: Duration = Duration::from_secs(2);
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
    /// What reading the clock twice adds.
    reading: Duration,
}

impl Scene {
    /// CPU time since `start`, without what reading the clock has added.
    fn since(&self, start: Duration) -> Duration {
        (cpu() - start).saturating_sub(self.reading)
    }

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

    /// A client publishes, and sends from then on.
    fn publish(&mut self, client: &mut Client, kind: MediaKind, from: Time) {
        let mline = u8::from(kind == MediaKind::Video);
        self.command(RoomCommand::Publish { peer: client.peer, mline, track: TrackId(client.index as u64 * 2 + u64::from(mline)), voice: false });
        client.publish(from, kind);
        while client.next_at() < from {
            client.tick(client.next_at(), &mut Vec::new());
        }
    }

    /// Takes what the engine sends; the CPU time that it spends on that. What receivers do is not its work.
    fn drain(&mut self, now: Time) -> Duration {
        let mut spent = Duration::ZERO;
        loop {
            let start = cpu();
            self.engine.poll_transmit(now, &mut self.out);
            spent += self.since(start);
            if self.out.is_empty() {
                return spent;
            }
            self.bytes += self.out.bytes().len() as u64;
            for datagram in self.out.datagrams() {
                let index = usize::from(datagram.path.remote.port() - PORT);
                // RTCP has no transport-wide number.
                let is_rtp = !matches!(self.out.payload(datagram), [_, 192..=223, ..]);
                if let Some((next, arrivals)) = self.received.get_mut(index).filter(|_| is_rtp) {
                    arrivals.record(*next, now + ONE_WAY);
                    *next = next.wrapping_add(1);
                }
            }
            self.out.clear();
        }
    }

    /// Every subscriber reports what it has received; the CPU time that the engine spends on it.
    fn report(&mut self, now: Time, subscribers: &mut [Client]) -> Duration {
        let mut reports = Vec::with_capacity(subscribers.len());
        for client in subscribers {
            let Some((_, arrivals)) = self.received.get_mut(client.index) else { continue };
            let mut fci = [0; 1_100];
            let Some(len) = arrivals.write_fci(&mut fci) else { continue };
            let compound = written(|compound| compound.transport_feedback(7, 0, &fci[..len]));
            reports.push((client.index, client.seal_rtcp(&compound).expect("keys are known")));
        }
        // In one go: asking for the time takes as long as reading a report does.
        let start = cpu();
        for (index, sealed) in &mut reports {
            self.engine.handle_read(now, path(*index), sealed);
        }
        self.engine.handle_timeout(now);
        let spent = self.since(start);
        spent + self.drain(now)
    }

    /// Sends for a while; CPU time spent in the engine, forwards, and bytes.
    fn run(&mut self, publisher: &mut Client, subscribers: &mut [Client], time: Duration) -> (Duration, u64, u64) {
        let (begin, before, bytes) = (publisher.next_at(), self.engine.counters().get(Counter::RtpForwarded), self.bytes);
        let (mut now, mut spent) = (begin, Duration::ZERO);
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
                spent += self.since(start);
                spent += self.drain(at);
            }
            let mut packets = Vec::new();
            publisher.tick(now, &mut packets);
            for mut bytes in packets {
                let start = cpu();
                self.engine.handle_read(now, path(publisher.index), &mut bytes);
                spent += self.since(start);
                spent += self.drain(now);
            }
        }
        (spent, self.engine.counters().get(Counter::RtpForwarded) - before, self.bytes - bytes)
    }
}

/// One run with so many subscribers.
pub fn run(what: What, subscribers: usize, seed: u64) -> Cost {
    let config =
        EngineConfig { identity: DtlsIdentity::generate().expect("a certificate"), epoch: Instant::now(), wall_at_zero: Ntp::default(), seed };
    let mut scene = Scene { engine: Engine::new(config), out: Outgoing::for_a_tick(), bytes: 0, received: Vec::new(), reading: reading() };
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
    let sources = if matches!(what, What::RewrittenVideo | What::EstimatedVideo) { vec![1, 0] } else { vec![0] };
    let mut from = Time::ZERO;
    for source in &sources {
        let publisher = &mut publishers[*source];
        scene.enter(publisher, 0);
        scene.publish(publisher, kind, from);
        from = from + WARM_UP;
    }
    let mut peers: Vec<Client> = (2..subscribers + 2)
        .map(|index| {
            let mut subscriber = client(index);
            scene.enter(&mut subscriber, 1);
            subscriber
        })
        .collect();
    let mline = if what == What::Audio { 2 } else { 3 };
    for source in sources {
        let track = TrackId(source as u64 * 2 + u64::from(what != What::Audio));
        for peer in &peers {
            scene.command(RoomCommand::Point { peer: peer.peer, mline, source: Some(track), view: View::LARGE, name: Some(track.0 as u32) });
        }
        // Warm up; and the source before, where there is one.
        let (_, forwarded, _) = scene.run(&mut publishers[source], &mut peers, WARM_UP);
        assert!(forwarded > 0, "nothing was forwarded");
    }
    let time = Duration::from_secs((if what == What::Audio { 4_000 } else { 1_500 } / subscribers as u64).clamp(1, 10));
    let (spent, forwarded, bytes) = scene.run(&mut publishers[0], &mut peers, time);
    let bytes = bytes as f64 / forwarded.max(1) as f64;
    Cost { forward: spent.as_nanos() as f64 / forwarded.max(1) as f64, seal: seal_ns(bytes as usize - 36), bytes }
}

/// CPU time that a pair of readings counts although nothing lies between them.
fn reading() -> Duration {
    let mut pairs: Vec<_> = (0..1_001)
        .map(|_| {
            let start = cpu();
            cpu() - start
        })
        .collect();
    pairs.sort_unstable();
    pairs[pairs.len() / 2]
}

/// Nanoseconds of CPU for sealing a payload of so many bytes.
pub fn seal_ns(bytes: usize) -> f64 {
    let sender = SrtpSender::new(SrtpProfile::AeadAes128Gcm, &[7; 16], &[9; 12]).expect("keys");
    let (plain, mut out) = (vec![0x42; bytes], vec![0x90; bytes + 100]);
    super::cpu::nanoseconds(50_000, |index| {
        std::hint::black_box(sender.seal_scatter(&mut out, 20, &plain, 1, index));
    })
}
