//! Real handshakes through the engine: no key is injected.

use std::time::Duration;

use althing::contract::{Counter, DisconnectReason, DtlsRole, Event, Fingerprint, HashFunction, MediaKind, SrtpProfile};

use crate::client::Client;
use crate::network::Link;
use crate::seeds;
use crate::world::World;

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Two people; the server takes these roles towards them.
fn two(seed: u64, roles: [DtlsRole; 2], announced: [Option<Fingerprint>; 2]) -> World {
    let mut world = World::new(seed);
    let server = world.identity.fingerprint();
    for (index, (role, announced)) in roles.into_iter().zip(announced).enumerate() {
        let client = Client::new(index, seed, GCM).with_handshake(role, server.clone(), world.epoch, announced);
        world.add(client, 1);
    }
    world.connect_all();
    world
}

fn received(world: &World, subscriber: usize, kind: MediaKind) -> usize {
    let mline = if kind == MediaKind::Audio { 2 } else { 3 };
    let heard = world.clients[subscriber].heard.get(&world.clients[subscriber].slot_ssrc(mline));
    heard.map_or(0, |h| h.from(1 - subscriber).len())
}

fn profiles(world: &World) -> Vec<SrtpProfile> {
    world.events.iter().filter_map(|e| if let Event::Connected { profile, .. } = e { Some(*profile) } else { None }).collect()
}

#[test]
fn both_roles_agree_on_gcm_and_media_flows_both_ways() {
    let mut world = two(1, [DtlsRole::Server, DtlsRole::Client], [None, None]);
    world.run(seconds(5));
    assert_eq!(profiles(&world), [GCM, GCM]);
    for subscriber in 0..2 {
        assert!(received(&world, subscriber, MediaKind::Audio) > 200 && received(&world, subscriber, MediaKind::Video) > 300);
        assert!(world.clients[subscriber].reports_about_us > 2, "reports come, and are authentic");
    }
    assert_eq!((world.count(Counter::HandshakeStarted), world.count(Counter::HandshakeCompleted), world.count(Counter::HandshakeFailed)), (2, 2, 0));
}

#[test]
fn handshakes_end_although_every_fifth_datagram_is_lost() {
    for seed in seeds() {
        let mut world = two(seed, [DtlsRole::Server, DtlsRole::Client], [None, None]);
        world.link = Link { loss_per_mille: 200, jitter: Duration::from_millis(30), ..Link::GOOD };
        world.run(seconds(25));
        assert_eq!(profiles(&world), [GCM, GCM], "seed {seed}");
        world.link = Link::GOOD;
        world.run(seconds(3));
        for subscriber in 0..2 {
            assert!(received(&world, subscriber, MediaKind::Audio) > 100 && received(&world, subscriber, MediaKind::Video) > 100);
        }
    }
}

#[test]
fn a_certificate_that_was_not_announced_gets_no_keys_and_sends_nothing() {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let other = Fingerprint { hash: HashFunction::Sha256, value: vec![7; 32] };
        let mut world = two(2, [role, DtlsRole::Server], [Some(other), None]);
        world.run(seconds(5));
        let failed = Event::Disconnected { room: althing::base::RoomId(1), peer: world.clients[0].peer, reason: DisconnectReason::HandshakeFailed };
        assert_eq!(world.events.iter().filter(|e| **e == failed).count(), 1, "{:?}", world.events);
        assert_eq!(profiles(&world), [GCM], "the other one's handshake is not touched");
        assert_eq!(world.count(Counter::HandshakeFailed), 1);
        assert_eq!((received(&world, 0, MediaKind::Audio), received(&world, 1, MediaKind::Audio)), (0, 0));
        // Keys that the impostor believes in are not ours.
        let stranger = Client::new(0, 99, GCM);
        let mut datagram = vec![0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        datagram = stranger.seal(&datagram, &[1, 2, 3], 1);
        let before = world.count(Counter::DropNoKeys);
        world.inject(crate::world::path(0), datagram);
        assert_eq!(world.count(Counter::DropNoKeys), before + 1);
    }
}

#[test]
fn a_client_that_leaves_is_told_so_by_dtls() {
    let mut world = two(3, [DtlsRole::Server, DtlsRole::Client], [None, None]);
    world.run(seconds(3));
    let before = world.sent_back;
    world.leave(0);
    assert!(world.sent_back > before, "close_notify goes out");
    world.clients[1].close(world.now);
    world.run(seconds(1));
    let closed = Event::Disconnected { room: althing::base::RoomId(1), peer: world.clients[1].peer, reason: DisconnectReason::Closed };
    assert!(world.events.contains(&closed), "{:?}", world.events);
}
