//! Relaying a packet allocates nothing once the channel is there: counted, not believed.

#[path = "prove/relay/allocate.rs"]
mod allocate;
mod counting;

use std::net::SocketAddr;
use std::time::Duration;

use allocate::{CHANNEL, Session};
use althing::base::address::DenyList;
use althing::base::{Path, Time};
use althing::contract::Counter;
use althing::turn::reach::Reach;
use althing::turn::{Denied, Hands, Relay, RelayConfig, frame};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const SECRET: &[u8] = b"north-north-north-north-north-north";
/// Where allocations are bound.
const FIRST_PORT: u16 = 50_000;
/// Packets of each way.
const PACKETS: u64 = 10_000;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Sockets that are numbers.
struct Ports;

impl Hands for Ports {
    fn open(&mut self, slot: usize, _ipv6: bool, _even: bool) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 5], FIRST_PORT + slot as u16)))
    }

    fn close(&mut self, _slot: usize) {}

    fn claim(&mut self, _user: &str) -> Result<(), Denied> {
        Ok(())
    }

    fn release(&mut self, _user: &str) {}

    fn is_revoked(&self, _user: &str) -> bool {
        false
    }

    fn is_relayed(&self, _bound: SocketAddr) -> bool {
        false
    }

    fn wall(&self) -> Duration {
        Duration::ZERO
    }
}

fn relay() -> Relay {
    let own = at("192.0.2.5:0").ip();
    let denied = DenyList::new(vec![own], Vec::new());
    Relay::new(RelayConfig {
        secrets: vec![SECRET.to_vec()],
        nonce_key: [7; 32],
        reach: Reach::new(denied, vec![(own, own)], 40_000..=40_001, FIRST_PORT..=FIRST_PORT + 99),
        strangers: 100,
        most: 64,
        bytes_per_second: Some(u64::MAX),
        seed: 1,
    })
}

/// A client with a channel to `peer`.
fn allocate(relay: &mut Relay, now: Time, client: Path, peer: SocketAddr) {
    let username = "3600:ada";
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET);
    let password = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    let answered = Session::new(username, &password).allocate(peer, |request| {
        relay.handle_client(now, client, request, &mut Ports);
        let answer = relay.to_clients.datagrams().first().map(|answer| relay.to_clients.payload(answer).to_vec());
        relay.sent();
        answer
    });
    answered.expect("an allocation and a channel");
}

/// To a peer and back, by channel and by indication, and from one allocation to another of the same relay.
#[test]
fn relaying_allocates_nothing() {
    let (mut relay, begin) = (relay(), Time::from_millis(1_000));
    let client = |port| Path { local: 0, remote: SocketAddr::from(([198, 51, 100, 1], port)) };
    let (peer, stranger) = (at("8.8.8.8:4000"), at("8.8.8.8:4001"));
    allocate(&mut relay, begin, client(1), peer);
    // These two call each other through the relay; the first of them has the second slot.
    allocate(&mut relay, begin, client(2), at("192.0.2.5:50002"));
    allocate(&mut relay, begin, client(3), at("192.0.2.5:50001"));
    let mut datagram = [7; 1_204];
    frame::write_channel_data(CHANNEL, &[7; 1_200], &mut datagram).expect("it fits");
    let before = counting::allocated();
    for n in 0..PACKETS {
        let now = begin + Duration::from_millis(n);
        relay.handle_client(now, client(1), &datagram, &mut Ports);
        relay.handle_peer(now, 0, peer, &datagram[4..]);
        relay.handle_peer(now, 0, stranger, &datagram[4..]);
        relay.handle_client(now, client(2), &datagram, &mut Ports);
        relay.sent();
    }
    let allocated = counting::allocated() - before;
    let [to_peers, to_clients] = [Counter::TurnToPeers, Counter::TurnToClients].map(|counter| relay.counters.get(counter));
    println!("{allocated} allocations for {} relayed packets", to_peers + to_clients);
    assert_eq!((to_peers, to_clients), (2 * PACKETS, 3 * PACKETS), "all of them were relayed");
    assert_eq!(allocated, 0, "allocations while {} packets were relayed", to_peers + to_clients);
}
