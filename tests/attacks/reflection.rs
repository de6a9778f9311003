//! T6–T7: the server as a mirror. Whoever forges a source gets little sent to it, and not often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rtc_stun::message::{
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CONNECTION_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Method,
    Setter,
};
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::lifetime::Lifetime;

use crate::exchange::Exchange;
use crate::report::{count, of_class};
use crate::scene::{Credentials, Scene};
use crate::turn::{Peer, Turn, UDP, Wire};

const WAIT: Duration = Duration::from_millis(300);
/// Answers to strangers of one source prefix: 100 a second and as many at once, and a little for how it is counted.
const MOST: f64 = 110.0;

#[test]
fn t6_to_t7_strangers_get_little_for_little_and_a_client_hello_gets_nothing() {
    let (scene, mut report) = (Scene::new(), of_class("T6-T7"));
    let exchange = Exchange::begin(&scene);
    let credentials = scene.join("mirror").credentials;
    let (relay, media) = (&credentials.relays, &credentials.media);
    for (place, at) in [("relay", relay), ("media", media)] {
        for (family, ipv6, most) in [("ipv4", false, 1.6), ("ipv6", true, 2.2)] {
            let Some(at) = at.iter().find(|at| at.is_ipv6() == ipv6) else { continue };
            let worst = binding(*at, &credentials);
            report.at_most(&format!("binding_{place}_{family}"), worst, "times", most);
            report.at_least(&format!("binding_{place}_{family}_is_answered"), worst, "times", 1.0);
        }
    }
    let requests: Vec<f64> = relay.iter().map(|at| unauthenticated(*at, &credentials)).collect();
    report.at_most("requests", requests.iter().copied().fold(0.0, f64::max), "times", 2.5);
    report.at_least("allocate_is_challenged", requests.iter().copied().fold(f64::MAX, f64::min), "times", 1.0);
    let hello: usize = relay.iter().chain(media).map(|at| client_hello(*at)).sum();
    report.exactly("client_hello", hello as f64, "bytes", 0.0);
    for (row, method, from) in [("allocate", METHOD_ALLOCATE, [127, 3, 1]), ("binding", METHOD_BINDING, [127, 3, 2])] {
        let asked = count(10_000, 3_000);
        let (answers, seconds) = flood(method, from, credentials.relay(false), &credentials, asked);
        report.say(&format!("{asked} {row} requests from one network in {seconds:.1} s: {answers} answers"));
        report.at_most(&format!("flood_{row}"), answers as f64 / (1.0 + seconds), "answers a second", MOST);
        report.at_least(&format!("flood_{row}_is_answered"), answers as f64, "answers", 50.0);
        let neighbour = Turn::udp([127, 3, 9, 1], &credentials).allocate(false);
        report.exactly(&format!("flood_{row}_other_networks"), f64::from(u8::from(neighbour.is_ok())), "of 1 gets an allocation", 1.0);
    }
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

const fn local(at: SocketAddr, v4: [u8; 4]) -> IpAddr {
    if at.is_ipv6() { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3])) }
}

/// Bytes of all answers to each of these messages, which are sent from sockets of their own.
fn answered(from: [u8; 4], at: SocketAddr, messages: &[Vec<u8>]) -> Vec<usize> {
    let mut wires: Vec<_> = messages.iter().map(|_| Wire::udp(local(at, from), at)).collect();
    wires.iter_mut().zip(messages).for_each(|(wire, message)| wire.send(message).expect("sent"));
    std::thread::sleep(WAIT);
    wires.iter_mut().map(|wire| std::iter::from_fn(|| wire.receive(Duration::ZERO)).map(|answer| answer.len()).sum()).collect()
}

/// The same in multiples of what was asked: the worst of all.
fn times(from: [u8; 4], at: SocketAddr, messages: &[Vec<u8>]) -> f64 {
    let all = answered(from, at, messages);
    all.into_iter().zip(messages).map(|(bytes, message)| bytes as f64 / message.len() as f64).fold(0.0, f64::max)
}

/// How many times as long as it is a Binding request is answered: the worst of a few.
fn binding(at: SocketAddr, credentials: &Credentials) -> f64 {
    let stranger = Turn::new(Wire::udp(local(at, [127, 3, 0, 1]), at), credentials);
    let contents: [&[&dyn Setter]; 3] = [&[], &[&Lifetime(Duration::ZERO)], &[&UDP]];
    let requests = contents.map(|content| [stranger.request(METHOD_BINDING, content), stranger.fingerprinted(METHOD_BINDING, content)]);
    times([127, 3, 0, 1], at, requests.as_flattened())
}

/// The same for whatever a client may ask of a relay, without credentials, with half of them, and with made-up ones.
fn unauthenticated(at: SocketAddr, credentials: &Credentials) -> f64 {
    let plain = Turn::new(Wire::udp(local(at, [127, 3, 0, 2]), at), credentials);
    let mut made_up = Turn::new(Wire::udp(local(at, [127, 3, 0, 2]), at), &Credentials { username: "1:a".into(), ..credentials.clone() });
    made_up.nonce = Some("x".into());
    let peer = Peer(SocketAddr::from(([8, 8, 8, 8], 9)));
    let contents: [(Method, &[&dyn Setter]); 8] = [
        (METHOD_ALLOCATE, &[]),
        (METHOD_ALLOCATE, &[&UDP]),
        (METHOD_REFRESH, &[]),
        (METHOD_REFRESH, &[&Lifetime(Duration::ZERO)]),
        (METHOD_CREATE_PERMISSION, &[&peer]),
        (METHOD_CHANNEL_BIND, &[&ChannelNumber(0x4000), &peer]),
        (METHOD_CONNECT, &[]),
        (METHOD_CONNECTION_BIND, &[]),
    ];
    let all = |client: &Turn| contents.map(|(method, content)| [client.request(method, content), client.fingerprinted(method, content)]);
    times([127, 3, 4, 2], at, [all(&plain), all(&made_up)].as_flattened().as_flattened())
}

/// Bytes that a first flight of DTLS 1.2 is answered with: to strangers, whole and in pieces.
fn client_hello(at: SocketAddr) -> usize {
    let body = [&[0xFE, 0xFD][..], &[7; 32], &[0, 0, 0, 2, 0xC0, 0x2B, 1, 0, 0, 0]].concat();
    let handshake = [&[1, 0, 0, body.len() as u8, 0, 0, 0, 0, 0, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, handshake.len() as u8][..], &handshake].concat();
    answered([127, 3, 5, 3], at, &[record.clone(), record[..20].to_vec(), record[..1].to_vec()]).iter().sum()
}

/// Answers to so many requests of one network from many ports, and how long it took.
fn flood(method: Method, [a, b, c]: [u8; 3], at: SocketAddr, credentials: &Credentials, asked: usize) -> (usize, f64) {
    let mut strangers: Vec<_> = (1..=40).map(|host| Turn::new(Wire::udp(local(at, [a, b, c, host]), at), credentials)).collect();
    let (begun, mut answers) = (Instant::now(), 0);
    let mut take = |strangers: &mut Vec<Turn>| {
        for stranger in strangers {
            answers += std::iter::from_fn(|| stranger.wire.receive(Duration::ZERO)).count();
        }
    };
    for round in 0..asked / 40 {
        for stranger in &mut strangers {
            let request = stranger.request(method, &[&UDP]);
            stranger.wire.send(&request).expect("sent");
        }
        // Faster than anybody may ask, slower than what the kernel drops before the relay sees it.
        std::thread::sleep(Duration::from_millis(8));
        if round % 10 == 9 {
            take(&mut strangers);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::thread::sleep(WAIT);
    take(&mut strangers);
    (answers, seconds)
}
