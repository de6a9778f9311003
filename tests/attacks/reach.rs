//! T1–T4: the relay as a way into the machine and its network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rtc_stun::message::{METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CREATE_PERMISSION};
use rtc_turn::proto::PROTO_TCP;
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::reqtrans::RequestedTransport;

use crate::exchange::Exchange;
use crate::forms;
use crate::report::of_class;
use crate::scene::{Credentials, FIRST_PORT, LAST_PORT, Scene, has_ipv6};
use crate::turn::{Peer, Turn};

const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
const SETTLE: Duration = Duration::from_millis(150);

/// Sockets at every address of the machine: whatever the relay sends to one of them is found here.
struct Sinks {
    sockets: Vec<UdpSocket>,
    port: u16,
}

impl Sinks {
    /// At a port of all addresses, and at these ones.
    fn new(control: &[SocketAddr]) -> Self {
        let all = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        let port = all.local_addr().expect("bound").port();
        let mut sockets = vec![all];
        // Where a listener has TCP, the same port of UDP is free, or somebody else's: then nothing is seen there.
        sockets.extend(control.iter().filter_map(|at| UdpSocket::bind(at).ok()));
        if has_ipv6() {
            let all = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).expect("a socket");
            all.set_only_v6(true).expect("set");
            all.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into()).expect("the same port");
            sockets.push(all.into());
        }
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).expect("set"));
        Self { sockets, port }
    }

    /// Takes what has come; how many datagrams.
    fn take(&self) -> usize {
        std::thread::sleep(SETTLE);
        let mut buffer = [0; 2_048];
        self.sockets.iter().map(|socket| std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).count()).sum()
    }
}

/// What one kind of allocation has let through.
#[derive(Default)]
struct Let {
    permissions: Vec<SocketAddr>,
    channels: Vec<SocketAddr>,
    connects: usize,
    sent: usize,
    reached: usize,
}

/// Tries every form on an allocation of a family.
fn attack(mut turn: Turn, ipv6: bool, forms: &[SocketAddr], sinks: &Sinks) -> Let {
    let relayed = turn.allocate(ipv6).expect("an allocation");
    let mut done = Let::default();
    for (number, form) in (0x4000..).zip(forms) {
        if turn.ask(METHOD_CREATE_PERMISSION, &[&Peer(*form)]).is_ok() {
            done.permissions.push(*form);
        }
        if turn.ask(METHOD_CHANNEL_BIND, &[&ChannelNumber(number), &Peer(*form)]).is_ok() {
            done.channels.push(*form);
        }
        done.connects += usize::from(turn.ask(METHOD_CONNECT, &[&Peer(*form)]).is_ok());
    }
    // Among good ones it is refused with all of them.
    let good = if ipv6 { relayed } else { SocketAddr::new(ALLOWED.into(), sinks.port) };
    let bad = forms.iter().find(|form| form.is_ipv6() == ipv6 && form.port() == sinks.port).expect("a form");
    if turn.ask(METHOD_CREATE_PERMISSION, &[&Peer(good), &Peer(*bad)]).is_ok() {
        done.permissions.push(*bad);
    }
    turn.send_to(good, b"not yet").expect("sent");
    done.reached += sinks.take() + usize::from(turn.next_data(SETTLE).is_some());
    // With permissions in place: for the node's own address (its relay ports may be reached), and for another peer.
    turn.permit(relayed).expect("a relay port of the node");
    turn.permit(good).expect("a peer that may be reached");
    for form in forms {
        turn.send_to(*form, b"hello").expect("sent");
        done.sent += 1;
    }
    done.reached += sinks.take();
    // The sinks are awake: what may be sent arrives.
    turn.send_to(good, b"hello").expect("sent");
    assert_eq!(sinks.take() + usize::from(turn.next_data(SETTLE).is_some()), 1, "what may be reached is reached");
    done
}

#[test]
fn t1_to_t4_nothing_internal_is_reached_through_the_relay_however_it_is_spelled() {
    let (scene, mut report) = (Scene::new(), of_class("T1-T4"));
    let exchange = Exchange::begin(&scene);
    let user = scene.join("inside");
    let control = control(&scene, &user.credentials);
    let sinks = Sinks::new(&control);
    let forms = forms::all(sinks.port, &control, ALLOWED);
    let mut all: Vec<Let> = Vec::new();
    for ipv6 in [false, true].into_iter().filter(|ipv6| !ipv6 || has_ipv6()) {
        for turn in [Turn::udp([127, 0, 0, 20], &user.credentials), Turn::tcp([127, 0, 0, 20], &user.credentials)] {
            all.push(attack(turn, ipv6, &forms, &sinks));
            report.say(&format!("{} forms tried on an allocation of IPv{}", forms.len(), if ipv6 { 6 } else { 4 }));
        }
    }
    let first = |of: fn(&Let) -> &Vec<SocketAddr>| all.iter().flat_map(of).take(5).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (permissions, channels) = (first(|done| &done.permissions), first(|done| &done.channels));
    if !(permissions.is_empty() && channels.is_empty()) {
        report.say(&format!("permissions for {permissions}; channels to {channels}"));
    }
    let sum = |of: fn(&Let) -> usize| all.iter().map(of).sum::<usize>() as f64;
    report.at_least("forms", forms.len() as f64, "forms", 60.0);
    report.at_least("allocations", all.len() as f64, "families x transports", 2.0);
    report.exactly("create_permission", sum(|done| done.permissions.len()), "accepted", 0.0);
    report.exactly("channel_bind", sum(|done| done.channels.len()), "accepted", 0.0);
    report.exactly("connect", sum(|done| done.connects), "accepted", 0.0);
    report.exactly("send", sum(|done| done.reached), "datagrams that arrived", 0.0);
    // Each has been looked at, and one more of each family that was sent without a permission.
    let sent = sum(|done| done.sent);
    let dropped = scene.settled("althing_turn_drops_total", "forbidden_peer", |value| value >= sent);
    report.exactly("send_refused_as_forbidden", sent - dropped, "not counted", 0.0);
    report.exactly("program_in_the_relays_range", beside_allocations(&user.credentials), "datagrams that arrived", 0.0);
    report.exactly("requested_transport_tcp", transports(&user.credentials), "other than 442", 0.0);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

/// Ports of the node's own addresses at which nobody may be reached: listeners, the relay's front.
fn control(scene: &Scene, credentials: &Credentials) -> Vec<SocketAddr> {
    let ports = [scene.node().http.port(), scene.node().admin.port(), credentials.relay(false).port(), 22, 53];
    let ips = [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    ips.iter().flat_map(|ip| ports.map(|port| SocketAddr::new(*ip, port))).collect()
}

/// Another program of this machine that has got a port of the relay's range.
fn beside_allocations(credentials: &Credentials) -> f64 {
    let program = (FIRST_PORT..=LAST_PORT).rev().find_map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()).expect("a port");
    program.set_nonblocking(true).expect("set");
    let at = program.local_addr().expect("bound");
    let mut turn = Turn::udp([127, 0, 0, 20], credentials);
    turn.allocate(false).expect("an allocation");
    turn.permit(at).expect("it may be an allocation's");
    turn.bind(0x4000, at).expect("it may be an allocation's");
    turn.send_to(at, b"hello").expect("sent");
    turn.send_by(0x4000, b"hello").expect("sent");
    std::thread::sleep(SETTLE);
    let mut buffer = [0; 2_048];
    std::iter::from_fn(|| program.recv_from(&mut buffer).ok()).count() as f64
}

/// Allocations for TCP (RFC 6062), with everything else that a client may ask for.
fn transports(credentials: &Credentials) -> f64 {
    let tcp = RequestedTransport { protocol: PROTO_TCP };
    let mut others = 0;
    for mut turn in [Turn::udp([127, 0, 0, 21], credentials), Turn::tcp([127, 0, 0, 21], credentials)] {
        others += usize::from(turn.ask(METHOD_ALLOCATE, &[&tcp]).err() != Some(442));
        others += usize::from(turn.ask(METHOD_ALLOCATE, &[&tcp, &rtc_turn::proto::reqfamily::REQUESTED_FAMILY_IPV6]).err() != Some(442));
        // Nothing stands: there is nothing to refresh.
        others += usize::from(turn.refresh(Duration::from_secs(600)) != Err(437));
    }
    others as f64
}
