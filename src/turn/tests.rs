mod scene;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use rtc_stun::attributes::AttrType;
use rtc_stun::message::{
    BINDING_REQUEST, Getter, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message, Setter,
    TransactionId,
};
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::evenport::EvenPort;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::relayaddr::RelayedAddress;
use rtc_turn::proto::reqfamily::{REQUESTED_FAMILY_IPV6, RequestedAddressFamily};
use rtc_turn::proto::reqtrans::RequestedTransport;
use rtc_turn::proto::{PROTO_TCP, PROTO_UDP};

use super::*;

use scene::*;

#[test]
fn a_stranger_is_challenged_and_whoever_signs_gets_an_address() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    assert_eq!(net.allocate(&mut ada), Ok(at("8.8.4.4:50001")), "as clients call it, not as it is bound");
    assert_eq!(net.ports.open, BTreeMap::from([(0, at("10.0.0.5:50001"))]));
    assert_eq!((net.count(Counter::TurnUnauthorized), net.count(Counter::TurnAllocated), net.relay.len()), (1, 1, 1));
}

#[test]
fn data_goes_both_ways_by_indication_and_by_channel() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    net.permit(&mut ada, PEER).expect("permitted");
    let to_peer = Path { local: 0, remote: at(PEER) };
    assert_eq!(net.send(&ada, &send_indication(PEER, b"hello")), (vec![], vec![(to_peer, b"hello".to_vec())]));
    let (clients, peers) = net.receive(0, PEER, b"good day");
    let view = StunView::of(&clients[0].1).expect("a message");
    assert_eq!((clients.len(), peers.len(), view.kind, view.find(0x0013)), (1, 0, 0x0017, Some(&b"good day"[..])));
    assert_eq!(view.xor_address(view.find(0x0012).expect("a peer")), Some(at(PEER)));
    net.bind(&mut ada, 0x4001, PEER).expect("bound");
    assert_eq!(net.send(&ada, &channel_data(0x4001, b"hello")), (vec![], vec![(to_peer, b"hello".to_vec())]));
    assert_eq!(net.receive(0, PEER, b"good day"), (vec![(ada.path, channel_data(0x4001, b"good day"))], vec![]));
    let (other_port, _) = net.receive(0, "8.8.8.8:4001", b"from beside it");
    assert_eq!(StunView::of(&other_port[0].1).map(|view| view.kind), Some(0x0017), "a permission is for every port, a channel for one");
    assert_eq!((net.count(Counter::TurnToPeers), net.count(Counter::TurnToClients)), (2, 3));
}

#[test]
fn without_a_permission_nothing_passes() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    for message in [send_indication(PEER, b"hello"), channel_data(0x4001, b"hello"), channel_data(0x7FFF, b"")] {
        assert_eq!(net.send(&ada, &message), (vec![], vec![]));
    }
    assert_eq!(net.receive(0, PEER, b"good day"), (vec![], vec![]));
    net.permit(&mut ada, PEER).expect("permitted");
    net.now = net.now + Duration::from_secs(301);
    assert_eq!(net.send(&ada, &send_indication(PEER, b"hello")), (vec![], vec![]), "it has ended");
    assert_eq!(net.receive(0, PEER, b"good day"), (vec![], vec![]));
    assert_eq!(net.count(Counter::TurnDropNoPermission), 5 + 1);
}

#[test]
fn two_of_one_relay_reach_each_other_without_a_socket() {
    let mut net = Net::new();
    let (mut ada, mut ben) = (Client::new("192.0.2.1:5000", "ada"), Client::new("198.51.100.1:6000", "ben"));
    let (a, b) = (net.allocate(&mut ada).expect("one"), net.allocate(&mut ben).expect("another"));
    net.bind(&mut ada, 0x4000, &b.to_string()).expect("bound");
    assert_eq!(net.send(&ada, &channel_data(0x4000, b"hello")), (vec![], vec![]), "Ben has not permitted it");
    net.bind(&mut ben, 0x4005, &a.to_string()).expect("bound");
    assert_eq!(net.send(&ada, &channel_data(0x4000, b"hello")), (vec![(ben.path, channel_data(0x4005, b"hello"))], vec![]));
    // Another worker's allocation, or media: by the address that is bound, not out and in again through a NAT.
    net.permit(&mut ada, "8.8.4.4:40000").expect("own media");
    let (_, peers) = net.send(&ada, &send_indication("8.8.4.4:40000", b"media"));
    assert_eq!(peers, vec![(Path { local: 0, remote: at("10.0.0.5:40000") }, b"media".to_vec())]);
    let (clients, _) = net.receive(0, "10.0.0.5:40000", b"media");
    let view = StunView::of(&clients[0].1).expect("a message");
    assert_eq!(view.xor_address(view.find(0x0012).expect("a peer")), Some(at("8.8.4.4:40000")), "as clients call it");
}

#[test]
fn at_an_own_address_only_allocations_are_reached_and_no_program_that_has_a_port_of_theirs() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    // By the address that clients know, and by that which is bound.
    for (peer, inward) in [("8.8.4.4:50077", "10.0.0.5:50077"), ("10.0.0.5:50078", "10.0.0.5:50078")] {
        net.permit(&mut ada, peer).expect("permitted");
        net.bind(&mut ada, 0x4000 + at(peer).port() % 100, peer).expect("bound");
        let data = [send_indication(peer, b"hello"), channel_data(0x4000 + at(peer).port() % 100, b"hello")];
        data.iter().for_each(|message| assert_eq!(net.send(&ada, message), (vec![], vec![]), "{peer}"));
        net.ports.elsewhere.push(at(inward));
        let to_peer = Path { local: 0, remote: at(inward) };
        data.iter().for_each(|message| assert_eq!(net.send(&ada, message), (vec![], vec![(to_peer, b"hello".to_vec())]), "another worker's"));
    }
    assert_eq!(net.count(Counter::TurnDropForbidden), 4);
    // The media ports are the node's own all the time.
    net.permit(&mut ada, "8.8.4.4:40001").expect("permitted");
    assert_eq!(net.send(&ada, &send_indication("8.8.4.4:40001", b"hello")).1.len(), 1);
}

#[test]
fn credentials_are_held_against_the_time_of_day_as_it_is_set() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.set_back = Duration::from_secs(100_000_000);
    assert!(net.allocate(&mut ada).is_ok());
    let mut ben = Client::new("192.0.2.2:5000", "ben");
    net.set_back = Duration::ZERO;
    net.now = net.now + Duration::from_secs(100_000_000);
    assert_eq!(net.allocate(&mut ben), Err(401));
}

#[test]
fn a_request_that_is_repeated_is_answered_again_and_another_one_refused() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    let relayed = net.allocate(&mut ada).expect("an allocation");
    let again = ada.again(METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }]);
    let (answers, _) = net.send(&ada, &again);
    let mut message = Message::new();
    message.unmarshal_binary(&answers[0].1).expect("well-formed");
    let mut same = RelayedAddress::default();
    same.get_from(&message).expect("a relayed address");
    assert_eq!(SocketAddr::new(same.ip, same.port), relayed);
    assert_eq!(net.allocate(&mut ada), Err(437));
    assert_eq!((net.ports.open.len(), net.ports.users["ada"]), (1, 1));
}

#[test]
fn an_allocation_ends_when_it_is_not_refreshed_or_is_given_up() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    let end = net.now + Duration::from_secs(600);
    net.now = net.now + Duration::from_secs(500);
    net.ask(&mut ada, METHOD_REFRESH, &[&Lifetime(Duration::from_secs(9_999))]).expect("refreshed");
    net.now = end;
    net.relay.handle_timeout(net.now, &mut net.ports);
    assert_eq!(net.relay.len(), 1, "refreshed for an hour, the most there is");
    net.now = net.now + Duration::from_secs(3_600 - 100);
    net.relay.handle_timeout(net.now, &mut net.ports);
    assert_eq!((net.relay.len(), net.ports.open.len(), net.ports.users["ada"]), (0, 0, 0));
    assert_eq!(net.relay.poll_timeout(), None);
    let mut ben = Client { username: format!("{}:ben", WALL + 9_000), ..Client::new("192.0.2.1:5001", "ben") };
    net.allocate(&mut ben).expect("an allocation");
    net.ask(&mut ben, METHOD_REFRESH, &[&Lifetime(Duration::ZERO)]).expect("given up");
    assert_eq!((net.relay.len(), net.ports.open.len()), (0, 0));
    assert_eq!(net.ask(&mut ben, METHOD_REFRESH, &[&Lifetime(Duration::ZERO)]).map(|_| ()), Err(437));
}

#[test]
fn a_slot_is_given_anew_only_after_what_waited_in_it_has_gone() {
    let (mut net, mut ada, mut ben) = (Net::new(), Client::new("192.0.2.1:5000", "ada"), Client::new("192.0.2.1:5001", "ben"));
    net.allocate(&mut ada).expect("an allocation");
    net.bind(&mut ada, 0x4000, PEER).expect("bound");
    net.allocate(&mut ben).expect("an allocation");
    net.ask(&mut ben, METHOD_REFRESH, &[&Lifetime(Duration::ZERO)]).expect("given up");
    // In one batch: data, the end, and another one's beginning.
    let (path, now) = (ada.path, net.now);
    net.relay.handle_client(now, path, &channel_data(0x4000, b"hello"), &mut net.ports);
    let end = ada.request(METHOD_REFRESH, &[&Lifetime(Duration::ZERO)]);
    net.relay.handle_client(now, path, &end, &mut net.ports);
    let begin = ben.request(METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }]);
    net.relay.handle_client(now, ben.path, &begin, &mut net.ports);
    assert_eq!(net.ports.open.keys().copied().collect::<Vec<_>>(), [1], "not the one that the datagram is to leave from");
    net.drain();
}

#[test]
fn of_one_user_twelve_stand_and_others_are_not_touched() {
    let mut net = Net::new();
    let mut results = Vec::new();
    for n in 0..20 {
        results.push(net.allocate(&mut Client::new(&format!("192.0.2.1:{}", 5_000 + n), "ada")));
    }
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 12);
    assert!(results[12..].iter().all(|result| *result == Err(486)));
    assert!(net.allocate(&mut Client::new("192.0.2.1:7000", "ben")).is_ok());
    assert_eq!(net.count(Counter::TurnQuota), 8);
}

#[test]
fn there_are_no_more_allocations_than_there_may_be() {
    let mut net = Net::with(|config| config.most = 2);
    for (n, expected) in [Ok(()), Ok(()), Err(508)].into_iter().enumerate() {
        assert_eq!(net.allocate(&mut Client::new(&format!("192.0.2.1:{}", 5_000 + n), &format!("user{n}"))).map(|_| ()), expected);
    }
    assert_eq!(net.ports.users.get("user2").copied().unwrap_or_default(), 0);
}

#[test]
fn whoever_is_sent_away_has_no_allocation_any_more_and_gets_no_new_one() {
    let (mut net, mut ada, mut ben) = (Net::new(), Client::new("192.0.2.1:5000", "ada"), Client::new("192.0.2.1:5001", "ben"));
    net.allocate(&mut ada).expect("an allocation");
    net.allocate(&mut ben).expect("an allocation");
    net.ports.revoked.push("ada".into());
    let due = net.relay.poll_timeout().expect("something is to be done");
    assert!(due <= net.now + Duration::from_secs(5));
    net.relay.handle_timeout(due, &mut net.ports);
    assert_eq!(net.ports.open.len(), 1);
    let before = net.count(Counter::TurnUnauthorized);
    assert_eq!(net.allocate(&mut ada), Err(403));
    assert_eq!((net.count(Counter::TurnUnauthorized) > before, net.count(Counter::TurnForbidden)), (true, 0), "it is no matter of where it sends to");
    assert_eq!(net.ask(&mut ben, METHOD_REFRESH, &[]).map(|_| ()), Ok(()));
}

#[test]
fn wrong_and_expired_credentials_open_nothing() {
    let mut net = Net::new();
    let foreign = Client { secret: b"other".to_vec(), ..Client::new("192.0.2.1:5000", "ada") };
    let expired = Client { username: format!("{}:ada", WALL + 4), ..Client::new("192.0.2.1:5001", "ada") };
    let unnamed = Client { username: "ada".into(), ..Client::new("192.0.2.1:5002", "ada") };
    let endless = Client { username: "99999999999999999999999:ada".into(), ..Client::new("192.0.2.1:5003", "ada") };
    for mut client in [foreign, expired, unnamed, endless] {
        assert_eq!(net.allocate(&mut client), Err(401), "{}", client.username);
    }
    let mut rotated = Client { secret: b"newest".to_vec(), ..Client::new("192.0.2.1:5004", "ada") };
    assert!(net.allocate(&mut rotated).is_ok());
    let mut another = Client { path: rotated.path, ..Client::new("192.0.2.1:5004", "ben") };
    assert_eq!(net.permit(&mut another, PEER), Err(441), "with good credentials, but not those of the allocation");
    assert_eq!(net.relay.len(), 1);
}

#[test]
fn a_nonce_that_is_old_is_replaced_and_a_call_goes_on() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    net.ask(&mut ada, METHOD_REFRESH, &[&Lifetime(Duration::from_secs(3_600))]).expect("refreshed");
    net.now = net.now + Duration::from_secs(3_599);
    net.ask(&mut ada, METHOD_REFRESH, &[]).expect("refreshed, and the credentials were good until now");
    assert_eq!(net.count(Counter::TurnStaleNonce), 1);
    net.now = net.now + Duration::from_secs(500);
    net.ask(&mut ada, METHOD_REFRESH, &[]).expect("a call does not end because its credentials do");
    assert_eq!(net.allocate(&mut Client { nonce: ada.nonce.clone(), ..Client::new("192.0.2.1:5009", "ada") }), Err(401), "but none begins with them");
}

#[test]
fn what_is_not_supported_is_said() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    let ask = |net: &mut Net, ada: &mut Client, method, content: &[&dyn Setter]| net.ask(ada, method, content).map(|_| ());
    let udp = RequestedTransport { protocol: PROTO_UDP };
    assert_eq!(ask(&mut net, &mut ada, METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_TCP }]), Err(442));
    assert_eq!(ask(&mut net, &mut ada, METHOD_ALLOCATE, &[]), Err(400));
    assert_eq!(ask(&mut net, &mut ada, METHOD_ALLOCATE, &[&udp, &REQUESTED_FAMILY_IPV6]), Err(440), "no IPv6 here");
    assert_eq!(ask(&mut net, &mut ada, METHOD_ALLOCATE, &[&udp, &RequestedAddressFamily(9)]), Err(440));
    assert_eq!(ask(&mut net, &mut ada, METHOD_CONNECT, &[&peer_address(PEER)]), Err(437));
    assert_eq!(net.ports.users.values().sum::<usize>(), 0);
    assert_eq!(ask(&mut net, &mut ada, METHOD_ALLOCATE, &[&udp, &EvenPort::default()]), Ok(()));
    assert_eq!(net.ports.open[&0].port() % 2, 0);
    assert_eq!(ask(&mut net, &mut ada, METHOD_CONNECT, &[&peer_address(PEER)]), Err(400));
    assert_eq!(ask(&mut net, &mut ada, METHOD_CREATE_PERMISSION, &[]), Err(400));
    assert_eq!(ask(&mut net, &mut ada, METHOD_CREATE_PERMISSION, &[&peer_address("[2606:4700::1]:9")]), Err(443));
    assert_eq!(ask(&mut net, &mut ada, METHOD_CHANNEL_BIND, &[&ChannelNumber(0x3FFF), &peer_address(PEER)]), Err(400));
    assert_eq!(ask(&mut net, &mut ada, METHOD_REFRESH, &[&REQUESTED_FAMILY_IPV6]), Err(443));
}

/// An attribute that nobody knows and nobody may ignore.
struct Strange;

impl Setter for Strange {
    fn add_to(&self, message: &mut Message) -> Result<(), rtc_shared::error::Error> {
        message.add(AttrType(0x0042), &[1, 2, 3, 4]);
        Ok(())
    }
}

#[test]
fn what_may_not_be_ignored_and_is_unknown_is_named() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    assert_eq!(net.ask(&mut ada, METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }, &Strange]).map(|_| ()), Err(420));
    let request = ada.request(METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }, &Strange]);
    let (answers, _) = net.send(&ada, &request);
    assert_eq!(StunView::of(&answers[0].1).and_then(|view| view.find(0x000A).map(<[u8]>::to_vec)), Some(vec![0, 0x42]));
}

#[test]
fn strangers_get_little_for_little() {
    let mut net = Net::new();
    let mut asked = 0;
    for (method, content) in [(METHOD_ALLOCATE, true), (METHOD_ALLOCATE, false), (METHOD_REFRESH, false), (METHOD_CREATE_PERMISSION, false)] {
        let mut stranger = Client::new("192.0.2.1:5000", "ada");
        let udp = RequestedTransport { protocol: PROTO_UDP };
        let content: &[&dyn Setter] = if content { &[&udp] } else { &[] };
        let request = stranger.request(method, content);
        let (answers, _) = net.send(&stranger, &request);
        let bytes: usize = answers.iter().map(|(_, answer)| answer.len()).sum();
        assert!(bytes * 10 <= request.len() * 25, "{bytes} for {}", request.len());
        asked += answers.len();
    }
    assert_eq!(asked, 1, "only an Allocate that could be meant");
    let flood = (0..10_000).filter(|n| {
        let mut stranger = Client::new(&format!("192.0.2.{}:5000", n % 250), "ada");
        let request = stranger.request(METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }]);
        !net.send(&stranger, &request).0.is_empty()
    });
    assert_eq!(flood.count(), STRANGERS as usize - 1);
    assert!(net.allocate(&mut Client::new("192.0.3.1:5000", "ada")).is_ok(), "others are not touched");
    let mut binding = Message::new();
    binding.build(&[Box::new(TransactionId([1; 12])) as Box<dyn Setter>, Box::new(BINDING_REQUEST)]).expect("a message");
    let (answers, _) = net.send(&Client::new("192.0.4.1:5000", ""), &binding.raw);
    assert_eq!(answers[0].1.len(), 32, "the STUN service is here, too: 1.6 times");
}

#[test]
fn an_allowance_holds_both_ways_together() {
    let (mut net, mut ada) = (Net::with(|config| config.bytes_per_second = Some(10_000)), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    net.bind(&mut ada, 0x4000, PEER).expect("bound");
    let there = (0..6).filter(|_| !net.send(&ada, &channel_data(0x4000, &[0; 1_000])).1.is_empty()).count();
    let back = (0..6).filter(|_| !net.receive(0, PEER, &[0; 1_000]).0.is_empty()).count();
    assert_eq!((there, back, net.count(Counter::TurnDropAllowance)), (6, 4, 2));
}

#[test]
fn what_is_too_long_for_its_wrapping_is_dropped() {
    let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
    net.allocate(&mut ada).expect("an allocation");
    net.permit(&mut ada, PEER).expect("permitted");
    assert_eq!(net.receive(0, PEER, &[0; 1_500]), (vec![], vec![]));
    assert_eq!(net.receive(0, PEER, &[0; 1_464]).0.len(), 1);
    assert_eq!(net.count(Counter::TurnDropTooLong), 1);
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_it_fail(messages in prop::collection::vec((any::<bool>(), 0..8_usize, any::<[u8; 6]>(), prop::collection::vec(any::<u8>(), 0..200)), 1..60)) {
        let (mut net, mut ada) = (Net::new(), Client::new("192.0.2.1:5000", "ada"));
        net.allocate(&mut ada).expect("an allocation");
        net.bind(&mut ada, 0x4000, PEER).expect("bound");
        for (raw, which, wounds, bytes) in messages {
            let message = if raw { bytes } else {
                let udp = RequestedTransport { protocol: PROTO_UDP };
                let mut message = match which {
                    0 => ada.request(METHOD_ALLOCATE, &[&udp]),
                    1 => ada.request(METHOD_REFRESH, &[&Lifetime(Duration::from_secs(600))]),
                    2 => ada.request(METHOD_CREATE_PERMISSION, &[&peer_address(PEER)]),
                    3 => ada.request(METHOD_CHANNEL_BIND, &[&ChannelNumber(0x4000), &peer_address(PEER)]),
                    4 => send_indication(PEER, &bytes),
                    5 => channel_data(0x4000, &bytes),
                    6 => ada.request(METHOD_CONNECT, &[]),
                    _ => ada.request(METHOD_ALLOCATE, &[&udp, &Strange]),
                };
                for pair in wounds.chunks(2) {
                    let place = usize::from(pair[0]) % message.len();
                    message[place] ^= pair[1];
                }
                message
            };
            net.send(&ada, &message);
            net.receive(0, PEER, &message);
            prop_assert_eq!(net.relay.len(), net.ports.open.len());
            prop_assert_eq!(net.relay.len(), net.ports.users.values().sum::<usize>());
        }
        net.now = net.now + Duration::from_secs(4_000);
        net.relay.handle_timeout(net.now, &mut net.ports);
        prop_assert!(net.relay.is_empty() && net.ports.open.is_empty());
    }
}
