//! T8: messages that are none, by UDP and by TCP, from those with an allocation and from strangers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use althing::base::random::Random;
use rtc_stun::message::{METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CREATE_PERMISSION, METHOD_REFRESH};
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::reqfamily::REQUESTED_FAMILY_IPV6;

use crate::exchange::Exchange;
use crate::report::{Report, count, of_class};
use crate::scene::{Credentials, Scene, resident};
use crate::turn::{Peer, Turn, UDP, Wire, channel_data, send_indication};

const SEED: u64 = 20_261_126;
const PEER: ([u8; 4], u16) = ([127, 0, 0, 5], 9);
/// Messages between two breaths: more at once the kernel drops before the relay sees them.
const BURST: usize = 32;
const BREATH: Duration = Duration::from_millis(2);

/// What each message was before it was broken.
fn whole(turn: &Turn, random: &mut Random) -> Vec<u8> {
    let peer = SocketAddr::from(PEER);
    let data = vec![0xA5; (random.next_u32() % 1_200) as usize];
    match random.next_u32() % 10 {
        0 => turn.request(METHOD_ALLOCATE, &[&UDP]),
        1 => turn.fingerprinted(METHOD_ALLOCATE, &[&UDP, &REQUESTED_FAMILY_IPV6]),
        2 => turn.request(METHOD_REFRESH, &[&Lifetime(Duration::from_secs(600))]),
        3 => turn.request(METHOD_CREATE_PERMISSION, &[&Peer(peer), &Peer(peer)]),
        4 => turn.request(METHOD_CHANNEL_BIND, &[&ChannelNumber(0x4000), &Peer(peer)]),
        5 => turn.request(METHOD_CONNECT, &[&Peer(peer)]),
        6 => turn.fingerprinted(METHOD_BINDING, &[]),
        7 | 8 => send_indication(peer, &data),
        _ => channel_data(0x4000, &data),
    }
}

/// Breaks a message in one of several ways.
fn broken(mut message: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let mut at = |len: usize| random.next_u32() as usize % len.max(1);
    match at(9) {
        // Bits, bytes.
        0 => (0..=at(4)).for_each(|_| {
            let place = at(message.len());
            message[place] ^= 1 << at(8);
        }),
        1 => (0..=at(16)).for_each(|_| {
            let place = at(message.len());
            message[place] = at(256) as u8;
        }),
        // Half of it, more than it.
        2 => message.truncate(at(message.len())),
        3 => message.extend(std::iter::repeat_n(at(256) as u8, at(600))),
        // Its length, the length of an attribute.
        4 => message[2..4].copy_from_slice(&(at(65_536) as u16).to_be_bytes()),
        5 if message.len() > 24 => message[22..24].copy_from_slice(&(at(65_536) as u16).to_be_bytes()),
        6 if message.len() > 24 => {
            let place = 20 + at((message.len() - 20) / 4) * 4;
            message[place + 2..place + 4].copy_from_slice(&(at(80) as u16).to_be_bytes());
        }
        // An attribute twice, another type.
        7 if message.len() > 32 => {
            let again = message[20..message.len() / 4 * 4].to_vec();
            message.extend(again);
            let len = (message.len() - 20) as u16;
            message[2..4].copy_from_slice(&len.to_be_bytes());
        }
        _ => message[..2].copy_from_slice(&(at(65_536) as u16).to_be_bytes()),
    }
    message
}

/// Some that look as if they had not been broken, and some that are nothing at all.
fn next(turn: &Turn, random: &mut Random) -> Vec<u8> {
    match random.next_u32() % 20 {
        0 => (0..random.next_u32() % 1_400).map(|_| random.next_u32() as u8).collect(),
        1 => Vec::new(),
        _ => broken(whole(turn, random), random),
    }
}

#[test]
fn t8_whatever_comes_the_node_lives_and_others_are_not_touched() {
    let (scene, mut report) = (Scene::new(), of_class("T8"));
    let exchange = Exchange::begin(&scene);
    let credentials = scene.join("broken").credentials;
    let before = resident();
    let datagrams = by_udp(&report, &credentials, count(100_000, 10_000));
    report.at_least("messages_udp", datagrams as f64, "messages", count(100_000, 10_000) as f64);
    let (messages, closed) = by_tcp(&report, &credentials, count(100_000, 10_000));
    report.at_least("messages_tcp", messages as f64, "messages", count(100_000, 10_000) as f64);
    report.at_least("streams_closed_for_garbage", closed as f64, "streams", 100.0);
    report.at_most("memory", resident() - before, "MiB more", 32.0);
    let seen = scene.settled("althing_turn_requests_refused_total", "malformed", |value| value > 1_000.0);
    report.at_least("seen_by_the_relay", seen, "malformed messages counted", 1_000.0);
    let fresh = Turn::tcp([127, 4, 9, 1], &scene.join("fresh").credentials).allocate(false);
    report.exactly("fresh_allocation", f64::from(u8::from(fresh.is_ok())), "of 1", 1.0);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

/// An allocation with a permission and a channel, made anew where a message that was broken only a little has ended it.
fn stand(turn: &mut Turn) {
    let _ = turn.allocate(false);
    let _ = turn.bind(0x4000, SocketAddr::from(PEER));
}

/// To the relay and to the media port; how many.
fn by_udp(report: &Report, credentials: &Credentials, messages: usize) -> usize {
    let mut random = Random::new(SEED);
    let mut known = Turn::udp([127, 4, 0, 1], credentials);
    stand(&mut known);
    let from = |host| IpAddr::V4(Ipv4Addr::new(127, 4, 1, host));
    let mut strangers: Vec<_> = (1..5).map(|host| Turn::new(Wire::udp(from(host), credentials.relay(false)), credentials)).collect();
    strangers.push(Turn::new(Wire::udp(from(9), credentials.media[0]), credentials));
    for n in 1..=messages {
        let message = next(&known, &mut random);
        let which = random.next_u32() as usize % (2 * strangers.len());
        let wire = strangers.get_mut(which).map_or(&mut known.wire, |stranger| &mut stranger.wire);
        // Answers to earlier ones are errors of the socket at most.
        let _ = wire.send(&message);
        if n.is_multiple_of(BURST) {
            while wire.receive(Duration::ZERO).is_some() {}
            std::thread::sleep(BREATH);
        }
        if n.is_multiple_of(2_000) {
            stand(&mut known);
        }
        if n.is_multiple_of(20_000) {
            report.say(&format!("{n} of {messages} by UDP"));
        }
    }
    messages
}

/// In pieces of any size, to the relay and to ICE-TCP; how many, and how many streams were closed for them.
fn by_tcp(report: &Report, credentials: &Credentials, messages: usize) -> (usize, usize) {
    let mut random = Random::new(SEED + 1);
    let (mut sent, mut closed) = (0, 0);
    let stream = |n: usize| {
        let from = IpAddr::V4(Ipv4Addr::new(127, 5, (n % 200) as u8, 1));
        let to = if n % 4 == 3 { credentials.media[0] } else { credentials.relay(false) };
        let mut turn = Turn::new(Wire::tcp(from, to).expect("a stream"), credentials);
        if n.is_multiple_of(4) {
            stand(&mut turn);
        }
        turn
    };
    let (mut turn, mut begun) = (stream(0), Instant::now());
    let mut streams = 1;
    while sent < messages {
        // Often whole, or the first one that is broken would be all that is looked at.
        let mut bytes: Vec<u8> = (0..random.next_u32() % 8).flat_map(|_| padded(whole(&turn, &mut random))).collect();
        bytes.extend(padded(next(&turn, &mut random)));
        sent += 1;
        let cut = random.next_u32() as usize % bytes.len().max(1);
        let Wire::Tcp(raw, _) = &mut turn.wire else { panic!("a stream") };
        let written = [&bytes[..cut], &bytes[cut..]].iter().all(|piece| std::io::Write::write_all(raw, piece).is_ok());
        while turn.wire.receive(Duration::ZERO).is_some() {}
        let over = !written || begun.elapsed() > Duration::from_millis(50);
        if over || is_over(&turn) {
            closed += usize::from(is_over(&turn));
            turn = stream(streams);
            (begun, streams) = (Instant::now(), streams + 1);
        }
        if sent.is_multiple_of(20_000) {
            report.say(&format!("{sent} of {messages} by TCP, on {streams} streams"));
        }
    }
    (sent, closed)
}

fn padded(mut message: Vec<u8>) -> Vec<u8> {
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

/// Whether the other end has closed it.
fn is_over(turn: &Turn) -> bool {
    let Wire::Tcp(stream, _) = &turn.wire else { return false };
    stream.set_nonblocking(true).expect("set");
    let mut byte = [0];
    let over = match stream.peek(&mut byte) {
        Ok(came) => came == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).expect("set");
    over
}
