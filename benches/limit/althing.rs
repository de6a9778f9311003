//! Althing's own worker under the same feed: its loop, its sockets, its engine with everything on.

#[path = "../../tests/sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
pub mod client;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use althing::base::{RoomId, TrackId, WorkerId};
use althing::contract::{Command, Counter, Extension, MediaKind, MediaPlan, RoomCommand, SrtpKeys, SrtpProfile, View};
use althing::io::{Worker, WorkerConfig};
use althing::media::packet::rtcp::ReportBlock;
use althing::media::transport::{DtlsIdentity, Path};
use althing::port::{EventReceiver, ReportSlot, StreamPrefixes, WorkerHandle, events, inbox, rings};
use client::{Client, written};

use super::feed::{AUDIO_LEVEL, KEY, SALT, TRANSPORT_CC};
use super::measure::{Case, Forwarder, Tally};

const ROOM: RoomId = RoomId(1);

/// A worker in the state of a running call.
pub struct Althing {
    pub worker: Worker,
    port: u16,
    /// Keep the mailboxes open.
    _ends: (WorkerHandle, EventReceiver),
}

impl Althing {
    /// A room in which the publishers' tracks go to all subscribers but their own publisher.
    pub fn new(case: &Case, publishers: &[SocketAddr]) -> Self {
        let mut althing = Self::workers(case, 1).pop().expect("one worker");
        let room = case.is_room();
        for (index, address) in publishers.iter().enumerate() {
            let pairs = if room { case.publishers as u8 - 1 } else { 0 };
            althing.enter(&publisher(index), *address, pairs, Role::Publisher(index));
        }
        for index in 0..case.subscribers {
            let mut peer = if room { publisher(index) } else { Client::new(1_000 + index, 7, SrtpProfile::AeadAes128Gcm) };
            // In a room a member's packets go to the address of its own, not to where they come from: both are its paths.
            let role = if room { Role::Both } else { Role::Subscriber };
            let pairs = if room { case.publishers - 1 } else { case.publishers };
            althing.enter(&peer, case.network.address(index), pairs as u8, role);
            let others = (0..case.publishers).filter(|p| !room || *p != index);
            for (pair, publisher) in others.enumerate() {
                for half in 0..2 {
                    let source = Some(TrackId(publisher as u64 * 2 + half + 1));
                    althing.command(RoomCommand::Point {
                        peer: peer.peer,
                        mline: 2 + pair as u8 * 2 + half as u8,
                        source,
                        view: View::LARGE,
                        name: None,
                    });
                }
            }
            althing.acknowledge(&mut peer, case.network.address(index), case.publishers);
        }
        althing
    }

    /// A publisher on the first of so many workers, and the subscribers dealt out over all of them.
    pub fn spread(case: &Case, publishers: &[SocketAddr], workers: usize) -> Vec<Self> {
        let mut all = Self::workers(case, workers);
        let source = publisher(0);
        all[0].enter(&source, publishers[0], 0, Role::Publisher(0));
        for index in 0..case.subscribers {
            let mut peer = Client::new(1_000 + index, 7, SrtpProfile::AeadAes128Gcm);
            let worker = index % workers;
            let address = case.network.address(index);
            all[worker].enter(&peer, address, 1, Role::Subscriber);
            if index == worker && worker > 0 {
                all[worker].command(RoomCommand::Listener { worker: WorkerId(0) });
                for line in plan(&source, 0).receive {
                    let track = TrackId(u64::from(line.mline) + 1);
                    all[worker].command(RoomCommand::Import { track, from: WorkerId(0), source: Box::new(line) });
                }
            }
            for half in 0..2 {
                all[worker].command(RoomCommand::Point {
                    peer: peer.peer,
                    mline: 2 + half,
                    source: Some(TrackId(u64::from(half) + 1)),
                    view: View::LARGE,
                    name: None,
                });
            }
            all[worker].acknowledge(&mut peer, address, 1);
        }
        all
    }

    /// Workers without rooms, with rings between them.
    pub fn workers(case: &Case, count: usize) -> Vec<Self> {
        let mailboxes: Vec<_> = (0..count).map(|_| inbox().expect("an eventfd")).collect();
        let bells: Vec<_> = mailboxes.iter().map(|(_, mailbox)| mailbox.bell().clone()).collect();
        let identity = DtlsIdentity::generate().expect("a certificate");
        let epoch = Instant::now();
        let begin = |(number, ((handle, mailbox), rings)): (usize, _)| {
            let (events, receiver) = events();
            let config = WorkerConfig {
                id: WorkerId(number as u16),
                addresses: vec![(Ipv4Addr::UNSPECIFIED, 0).into()],
                core: None,
                identity: identity.clone(),
                epoch,
                seed: 1,
                batch: case.batch,
                rings,
                tap: None,
                shared_port: false,
                tcp: false,
                prefixes: std::sync::Arc::new(StreamPrefixes::new(0)),
                relay: None,
                outlets: 0,
                questions: None,
            };
            let (worker, ports) = Worker::new(config, mailbox, events, ReportSlot::default()).expect("a worker");
            Self { worker, port: ports.media, _ends: (handle, receiver) }
        };
        mailboxes.into_iter().zip(rings(&bells)).enumerate().map(begin).collect()
    }

    /// Counters of the worker.
    pub fn count(&mut self, counter: Counter) -> u64 {
        self.worker.engine_mut().counters_mut().get(counter)
    }

    pub fn enter(&mut self, client: &Client, address: SocketAddr, pairs: u8, role: Role) {
        if !matches!(role, Role::Both) {
            self.command(RoomCommand::AddPeer { peer: client.peer, transport: Box::new(client.transport()) });
            self.command(RoomCommand::Negotiate { peer: client.peer, media: Box::new(plan(client, pairs)) });
        }
        if let Role::Publisher(index) = role {
            for mline in 0..2 {
                self.command(RoomCommand::Publish {
                    peer: client.peer,
                    mline,
                    track: TrackId(index as u64 * 2 + u64::from(mline) + 1),
                    voice: false,
                });
            }
        }
        self.read(address, client.check());
    }

    /// The subscriber's first receiver report: from then on it needs no MID.
    pub fn acknowledge(&mut self, client: &mut Client, address: SocketAddr, publishers: usize) {
        for publisher in 0..publishers as u8 {
            let blocks: Vec<_> =
                (0..2).map(|half| ReportBlock { ssrc: client.slot_ssrc(2 + publisher * 2 + half), ..ReportBlock::default() }).collect();
            let report = written(|compound| compound.receiver_report(7, &blocks));
            if let Some(sealed) = client.seal_rtcp(&report) {
                self.read(address, sealed);
            }
        }
    }

    pub fn command(&mut self, what: RoomCommand) {
        let now = self.worker.clock().now();
        self.worker.engine_mut().handle_command(now, Command { room: ROOM, what });
    }

    pub fn read(&mut self, remote: SocketAddr, mut datagram: Vec<u8>) {
        let now = self.worker.clock().now();
        self.worker.engine_mut().handle_read(now, Path { local: 0, remote }, &mut datagram);
    }
}

#[derive(Clone, Copy)]
pub enum Role {
    Publisher(usize),
    Subscriber,
    /// A publisher that is here already.
    Both,
}

/// A publisher has the keys of the feed; in a room it has its own for what it receives.
pub fn publisher(index: usize) -> Client {
    let mut client = Client::new(index, 7, SrtpProfile::AeadAes128Gcm);
    client.keys = SrtpKeys { receive_key: KEY.to_vec(), receive_salt: SALT.to_vec(), ..client.keys.clone() };
    client.srtp = Some(althing::media::peer::Srtp::new(&client::mirrored(&client.keys)).expect("keys"));
    client
}

/// As browsers negotiate: mid, level, transport-wide number and send time.
fn plan(client: &Client, pairs: u8) -> MediaPlan {
    let mut plan = client.plan(pairs);
    for line in &mut plan.receive {
        line.extensions = Default::default();
        line.extensions.set(Extension::TransportCc, TRANSPORT_CC);
        line.extensions.set(Extension::AudioLevel, AUDIO_LEVEL);
    }
    for line in &mut plan.send {
        line.extensions.set(Extension::TransportCc, 5);
        line.extensions.set(Extension::AbsSendTime, 2);
        // Audio is not asked for again: as with browsers, whose audio has transport-wide feedback alone.
        if line.kind == MediaKind::Audio {
            line.codecs.iter_mut().for_each(|c| c.feedback.nack = false);
        }
    }
    plan
}

impl Forwarder for Althing {
    fn port(&self) -> u16 {
        self.port
    }

    fn turn(&mut self) {
        let _ = self.worker.turn();
    }

    fn tally(&self) -> Tally {
        let counters = self.worker.engine().counters();
        Tally {
            received: counters.get(Counter::RtpIn),
            forwarded: counters.get(Counter::RtpForwarded),
            messages: counters.get(Counter::MessagesOut),
            aside: 0,
        }
    }
}
