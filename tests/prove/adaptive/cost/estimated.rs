//! Althing's worker with subscribers whose links are estimated: each reports what it has received, over a socket of its own.
//!
//! What is sent to them is dropped by the device, so what they receive is told by how much was forwarded. Their links are first filled
//! by another publisher, until they are known to carry enough: then no probe is sent, whose number nobody would know.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use althing::base::outgoing::Outgoing;
use althing::base::{Time, TrackId};
use althing::contract::{RoomCommand, SrtpProfile, View};
use althing::media::packet::twcc::Arrivals;
use althing::media::transport::SrtpSender;

use super::althing_side::{Althing, Role, publisher};
use super::client::{Client, written};
use super::feed::{KEY, SALT, Source};
use super::measure::{Case, Forwarder, Tally, cpu_ns};

/// Subscribers report so often, as browsers do, and receive so much later.
pub const REPORT_EVERY: Duration = Duration::from_millis(100);
const ONE_WAY: Duration = Duration::from_millis(20);
/// Links are filled for so long, with a packet every so often: what the first probes find is more than any case sends.
const FILL: Duration = Duration::from_secs(4);
const FILL_EVERY: Duration = Duration::from_micros(100);
/// After so long everybody has changed to the publisher that is measured.
pub const WARM_UP: Duration = Duration::from_secs(3);

pub struct Estimated {
    althing: Althing,
    subscribers: Vec<Subscriber>,
    next_report: Time,
    /// What has been forwarded to all, as far as it is recorded as received.
    recorded: u64,
    aside: u64,
}

struct Subscriber {
    client: Client,
    socket: UdpSocket,
    /// The transport-wide number of the next packet.
    next: u16,
    arrivals: Arrivals,
    report_at: Time,
}

impl Estimated {
    pub fn new(case: &Case, publishers: &[SocketAddr]) -> Self {
        let mut althing = Althing::workers(case, 1).pop().expect("one worker");
        let first = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        for (index, address) in [publishers[0], first].into_iter().enumerate() {
            althing.enter(&publisher(index), address, 0, Role::Publisher(index));
        }
        let subscribers = (0..case.subscribers)
            .map(|index| {
                let mut client = Client::new(1_000 + index, 7, SrtpProfile::AeadAes128Gcm);
                client.is_estimated = true;
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                // Both are its paths: it reports from one, and is sent to at the other.
                let address = case.network.address(index);
                althing.enter(&client, socket.local_addr().expect("bound"), 1, Role::Subscriber);
                althing.read(address, client.check());
                althing.acknowledge(&mut client, address, 1);
                Subscriber { client, socket, next: 0, arrivals: Arrivals::new(), report_at: Time::ZERO }
            })
            .collect();
        let mut estimated = Self { althing, subscribers, next_report: Time::ZERO, recorded: 0, aside: 0 };
        estimated.point(1);
        estimated.fill(case, first);
        estimated.point(0);
        estimated.recorded = estimated.forwarded();
        let begin = estimated.now();
        for (subscriber, delay) in estimated.subscribers.iter_mut().zip(0..) {
            subscriber.report_at = begin + REPORT_EVERY * delay / case.subscribers as u32;
        }
        estimated
    }

    fn point(&mut self, publisher: u64) {
        for subscriber in &self.subscribers {
            for half in 0..2 {
                let source = Some(TrackId(publisher * 2 + u64::from(half) + 1));
                let point = RoomCommand::Point { peer: subscriber.client.peer, mline: 2 + half, source, view: View::LARGE, name: None };
                self.althing.command(point);
            }
        }
    }

    /// Links learn what they carry, from packets that never saw a socket.
    fn fill(&mut self, case: &Case, from: SocketAddr) {
        let sender = SrtpSender::new(SrtpProfile::AeadAes128Gcm, &KEY, &SALT).expect("keys");
        let (mut source, mut out, begin) = (Source::new(1), Outgoing::for_a_tick(), self.now());
        let (mut next, mut report_at) = (begin, begin);
        while self.now() < begin + FILL {
            let now = self.now();
            if next <= now {
                next = next + FILL_EVERY;
                let (packet, len) = source.packet(&sender, 1_200, false, true);
                self.althing.read(from, packet[..len].to_vec());
            }
            if self.althing.worker.engine().poll_timeout().is_some_and(|at| at <= now) {
                self.althing.worker.engine_mut().handle_timeout(now);
            }
            self.receive(case, now, &mut out);
            if report_at <= now {
                report_at = now + REPORT_EVERY;
                for index in 0..self.subscribers.len() {
                    if let Some(report) = self.subscribers[index].report() {
                        self.althing.read(case.network.address(index), report);
                    }
                }
            }
            if next > self.now() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Everything that leaves, received by whom it is for.
    fn receive(&mut self, case: &Case, now: Time, out: &mut Outgoing) {
        let address = |index| case.network.address(index);
        loop {
            self.althing.worker.engine_mut().poll_transmit(now, out);
            if out.is_empty() {
                return;
            }
            for datagram in out.datagrams() {
                // STUN and RTCP have no transport-wide number.
                let is_rtp = matches!(out.payload(datagram), [128..=191, 0..=191 | 224.., ..]);
                if let Some(index) = (0..self.subscribers.len()).find(|index| is_rtp && address(*index) == datagram.path.remote) {
                    self.subscribers[index].received(now);
                }
            }
            out.clear();
        }
    }

    /// What was forwarded in a turn was received by everybody alike; whose turn it is reports it.
    fn report(&mut self) {
        let (now, count) = (self.now(), self.subscribers.len() as u64);
        let each = (self.forwarded() - self.recorded) / count;
        if each == 0 && self.next_report > now {
            return;
        }
        let begun = cpu_ns();
        self.recorded += each * count;
        let to = (Ipv4Addr::LOCALHOST, self.althing.port());
        for subscriber in &mut self.subscribers {
            (0..each).for_each(|_| subscriber.received(now));
            if subscriber.report_at <= now {
                subscriber.report_at = subscriber.report_at + REPORT_EVERY;
                // A report that does not fit into the socket is lost, as some are.
                subscriber.report().map(|report| subscriber.socket.send_to(&report, to).ok());
            }
        }
        self.next_report = self.subscribers.iter().map(|subscriber| subscriber.report_at).min().unwrap_or(Time::NEVER);
        self.aside += cpu_ns() - begun;
    }

    fn forwarded(&self) -> u64 {
        self.althing.tally().forwarded
    }

    fn now(&self) -> Time {
        self.althing.worker.clock().now()
    }
}

impl Subscriber {
    fn received(&mut self, now: Time) {
        self.arrivals.record(self.next, now + ONE_WAY);
        self.next = self.next.wrapping_add(1);
    }

    /// What it has received since it reported last, sealed.
    fn report(&mut self) -> Option<Vec<u8>> {
        let mut fci = [0; 1_100];
        let len = self.arrivals.write_fci(&mut fci)?;
        self.client.seal_rtcp(&written(|compound| compound.transport_feedback(7, 0, &fci[..len])))
    }
}

impl Forwarder for Estimated {
    fn port(&self) -> u16 {
        self.althing.port()
    }

    fn warm_up(&self) -> Duration {
        WARM_UP
    }

    fn turn(&mut self) {
        self.althing.turn();
        self.report();
    }

    fn tally(&self) -> Tally {
        Tally { aside: self.aside, ..self.althing.tally() }
    }
}
