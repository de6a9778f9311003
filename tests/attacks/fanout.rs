//! T10: one allocation that would send to everybody, and as much as it can.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rtc_stun::message::{METHOD_CREATE_PERMISSION, Setter};

use crate::exchange::Exchange;
use crate::report::{Report, count, of_class};
use crate::scene::Scene;
use crate::turn::{Peer, Turn};

/// Permissions, and channels, of one allocation.
const MOST: u8 = 64;
const SETTLE: Duration = Duration::from_millis(300);
/// The cap of the second part, in kilobits and in bytes a second.
const KBPS: u64 = 1_600;
const BYTES_A_SECOND: f64 = 200_000.0;

/// A socket that hears what is sent to any loopback address, and its port.
fn sink() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    socket.set_nonblocking(true).expect("set");
    let port = socket.local_addr().expect("bound").port();
    (socket, port)
}

fn heard(socket: &UdpSocket) -> usize {
    std::thread::sleep(SETTLE);
    let mut buffer = [0; 2_048];
    std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).count()
}

const fn peer(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 7, 0, host)), port)
}

const fn stranger(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 7, 1, host)), port)
}

#[test]
fn t10_an_allocation_reaches_so_many_and_no_others() {
    let (scene, mut report) = (Scene::new(), of_class("T10"));
    let exchange = Exchange::begin(&scene);
    let credentials = scene.join("fan").credentials;
    let (sink, port) = sink();
    let mut channels = Turn::udp([127, 8, 0, 1], &credentials);
    let relayed = channels.allocate(false).expect("an allocation");
    let bound = (1..=250).filter(|host| channels.bind(0x4000 + u16::from(*host), peer(*host, port)).is_ok()).count();
    report.exactly("channels", bound as f64, "of 250 are bound", MOST.into());
    report.exactly("one_more_channel", code_of(channels.bind(0x4FFF, peer(251, port))), "(508)", 508.0);
    report.exactly("one_more_permission", code_of(channels.permit(peer(251, port))), "(508)", 508.0);
    for host in 1..=250_u8 {
        channels.send_by(0x4000 + u16::from(host), b"by channel").expect("sent");
        channels.send_to(stranger(host, port), b"by indication").expect("sent");
        std::thread::sleep(Duration::from_micros(200));
    }
    report.exactly("fan_out", heard(&sink) as f64, "datagrams of 500 arrive: those to the 64", MOST.into());
    // From those who have no permission nothing comes in, and from those who have it does.
    let from = |ip: [u8; 4]| UdpSocket::bind((Ipv4Addr::from(ip), 0)).expect("a socket").send_to(b"in", relayed).map(|_| ()).expect("sent");
    (1..=100).for_each(|host| from([127, 7, 1, host]));
    report.exactly("in_without_permission", incoming(&mut channels) as f64, "datagrams", 0.0);
    (1..=MOST).for_each(|host| from([127, 7, 0, host]));
    report.exactly("in_with_permission", incoming(&mut channels) as f64, "datagrams", MOST.into());
    permissions(&mut report, &mut Turn::tcp([127, 8, 0, 2], &credentials), port);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

fn code_of(result: Result<(), u16>) -> f64 {
    result.err().map_or(-1.0, f64::from)
}

fn incoming(turn: &mut Turn) -> usize {
    std::iter::from_fn(|| turn.next_data(SETTLE)).count()
}

/// Many at once: as many as there may be, and none of those that are too many.
fn permissions(report: &mut Report, turn: &mut Turn, port: u16) {
    turn.allocate(false).expect("an allocation");
    let mut many = |hosts: std::ops::RangeInclusive<u8>| {
        let peers: Vec<_> = hosts.map(|host| Peer(peer(host, port))).collect();
        turn.ask(METHOD_CREATE_PERMISSION, &peers.iter().map(|peer| peer as &dyn Setter).collect::<Vec<_>>()).map(|_| ())
    };
    report.exactly("seventeen_at_once", code_of(many(1..=17)), "(400)", 400.0);
    let granted = (0..8).filter(|n| many(n * 16 + 1..=n * 16 + 16).is_ok()).count() * 16;
    report.exactly("permissions", granted as f64, "of 128", MOST.into());
    report.exactly("permissions_beyond", code_of(many(60..=70)), "(508: all of them or none)", 508.0);
}

#[test]
fn t10_an_allocation_relays_as_much_as_it_may() {
    let (scene, mut report) = (Scene::with(|_, turn| turn.bytes_per_second = Some(KBPS * 125)), of_class("T10-rate"));
    let exchange = Exchange::begin(&scene);
    let credentials = scene.join("fast").credentials;
    // Large datagrams, small ones; both ways together, and one alone.
    for (row, len, echo) in [("large", 1_000, false), ("small", 100, false), ("both_ways", 1_000, true)] {
        let rate = relayed(Turn::udp([127, 8, 1, 1], &credentials), len, echo, count(6, 2) as f64);
        report.at_most(&format!("{row}_at_most"), rate / BYTES_A_SECOND, "of what it may", 1.2);
        // Where the machine is busy with other things, it is not the relay that holds it back.
        report.at_least(&format!("{row}_at_least"), rate / BYTES_A_SECOND, "of what it may", count(8, 1) as f64 / 10.0);
    }
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

/// Bytes a second that arrive when five times as many are sent as may be: what was saved up for the first second does not count.
fn relayed(mut turn: Turn, len: usize, echo: bool, seconds: f64) -> f64 {
    let (sink, port) = sink();
    turn.allocate(false).expect("an allocation");
    turn.bind(0x4000, peer(1, port)).expect("bound");
    let (data, mut buffer) = (vec![0x77; len], [0; 2_048]);
    let (begun, mut due, mut bytes) = (Instant::now(), 0.0, 0);
    let mut from = None;
    while begun.elapsed().as_secs_f64() < 1.0 + seconds {
        let at = begun.elapsed().as_secs_f64();
        while due < at {
            due += len as f64 / (BYTES_A_SECOND * 5.0);
            turn.send_by(0x4000, &data).expect("sent");
            if let (true, Some(relayed)) = (echo, from) {
                sink.send_to(&data, relayed).expect("sent");
            }
        }
        let mut arrived = 0;
        while let Ok((came, relayed)) = sink.recv_from(&mut buffer) {
            from = Some(relayed);
            arrived += came;
        }
        while turn.next_data(Duration::ZERO).is_some() {
            arrived += len;
        }
        if at > 1.0 {
            bytes += arrived;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    turn.refresh(Duration::ZERO).expect("given back");
    bytes as f64 / seconds
}
