//! T11: streams that say nothing, that say it slowly, and that never listen.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rtc_stun::message::{METHOD_ALLOCATE, METHOD_REFRESH};

use crate::exchange::Exchange;
use crate::report::{count, of_class};
use crate::scene::{Credentials, Scene, resident};
use crate::turn::{Turn, UDP, Wire, stream};

/// Streams that one network tries to open, and how many of them may stand (src/io/streams).
const TRIED: usize = 600;
const MOST: f64 = 512.0;
/// A stream that nobody knows is closed after 15 s; then come the next look around, and the next report.
const CLOSED_WITHIN: f64 = 18.0;
const PATIENCE: f64 = 30.0;
/// Streams between two breaths: more at once wait in the kernel, whose queue has an end, and are accepted seconds later.
const BURST: usize = 32;
const BREATH: Duration = Duration::from_millis(20);

#[test]
fn t11_streams_that_say_nothing_are_few_and_do_not_stay() {
    let (scene, mut report) = (Scene::new(), of_class("T11"));
    let exchange = Exchange::begin(&scene);
    let user = scene.join("streams");
    let credentials = &user.credentials;
    let base = held(&scene, |count| count >= 1.0);
    // To the relay, which all workers share, and by ICE-TCP to a worker's media port; from one network each.
    let mut relay = open(Ipv4Addr::new(127, 0, 0, 9), credentials.relay(false));
    let of_relay = held(&scene, |count| count >= base + MOST) - base;
    let mut media = open(Ipv4Addr::new(127, 9, 0, 9), credentials.media[0]);
    let begun = Instant::now();
    let of_media = held(&scene, |count| count >= base + of_relay + MOST) - base - of_relay;
    let refused = relay.iter_mut().chain(&mut media).filter_map(|stream| is_closed(stream).then_some(())).count();
    report.say(&format!("{TRIED} tried each; {refused} are closed at once"));
    report.at_most("relay_stand", of_relay, "streams of one network", MOST);
    report.at_most("media_stand", of_media, "streams of one network", MOST);
    report.at_least("are_taken", of_relay.min(of_media), "streams of one network", MOST / 2.0);
    let neighbour = Turn::tcp([127, 0, 1, 1], credentials).allocate(false);
    report.exactly("another_network_by_tcp", f64::from(u8::from(neighbour.is_ok())), "of 1 gets an allocation", 1.0);
    let same = Turn::udp([127, 0, 0, 10], credentials).allocate(false);
    report.exactly("the_same_network_by_udp", f64::from(u8::from(same.is_ok())), "of 1 gets an allocation", 1.0);
    while begun.elapsed().as_secs_f64() < PATIENCE && scene.metric(STREAMS, "") > base {
        slowly(&mut relay, &mut media, begun.elapsed().as_secs() as usize);
    }
    report.at_most("closed_after", begun.elapsed().as_secs_f64(), "s", CLOSED_WITHIN);
    let open = relay.iter_mut().chain(&mut media).filter_map(|stream| (!is_closed(stream)).then_some(())).count();
    report.exactly("stand_in_the_end", open as f64, "streams", 0.0);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

const STREAMS: &str = "althing_worker_streams";

/// Streams that the workers hold, once they are as many as is expected.
fn held(scene: &Scene, expected: impl Fn(f64) -> bool) -> f64 {
    scene.settled(STREAMS, "", expected);
    // One more report: there may be more than that.
    std::thread::sleep(Duration::from_millis(1_200));
    scene.metric(STREAMS, "")
}

fn open(from: Ipv4Addr, to: SocketAddr) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for n in 1..=TRIED {
        let stream = stream(from.into(), to).expect("accepted by the kernel");
        stream.set_nonblocking(true).expect("set");
        all.push(stream);
        if n.is_multiple_of(BURST) {
            std::thread::sleep(BREATH);
        }
    }
    all
}

/// Whether the other end has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(came) => came == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// A third of the streams sends a byte of a message that never ends.
fn slowly(relay: &mut [TcpStream], media: &mut [TcpStream], byte: usize) {
    let allocate = [0, 3, 0, 200, 0x21, 0x12, 0xA4, 0x42];
    for stream in relay.iter_mut().chain(media.iter_mut()).step_by(3) {
        let _ = stream.write(&allocate[byte % allocate.len()..][..1]);
    }
    std::thread::sleep(Duration::from_millis(500));
}

#[test]
fn t11_clients_that_never_read_cost_little() {
    let (scene, mut report) = (Scene::new(), of_class("T11-deaf"));
    let exchange = Exchange::begin(&scene);
    let credentials = scene.join("deaf").credentials;
    let mut deaf: Vec<_> = (1..=10).map(|host| Turn::tcp([127, 10, host, 1], &credentials)).collect();
    let relayed: Vec<_> = deaf.iter_mut().map(|turn| turn.allocate(false).expect("an allocation")).collect();
    deaf.iter_mut().for_each(|turn| turn.permit(([127, 0, 0, 5], 9).into()).expect("permitted"));
    let before = resident();
    let sent = shout(&relayed, count(64 << 20, 16 << 20));
    report.say(&format!("{} MiB to clients that do not read", sent >> 20));
    report.at_most("data", resident() - before, "MiB more, of ten clients", 10.0);
    let asked = requests(&mut deaf, &credentials, count(4_000, 1_000));
    report.say(&format!("{asked} requests by clients that do not read"));
    report.at_most("answers", resident() - before, "MiB more, of forty clients", 20.0);
    let dropped = scene.settled("althing_turn_drops_total", "full", |value| value > 1_000.0);
    report.at_least("dropped_and_counted", dropped, "datagrams", 1_000.0);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

/// A peer sends so many bytes to allocations.
fn shout(relayed: &[SocketAddr], bytes: usize) -> usize {
    let peer = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 5), 0)).expect("a socket");
    let mut sent = 0;
    while sent < bytes {
        for at in relayed {
            for _ in 0..8 {
                sent += peer.send_to(&[0x33; 1_400], at).expect("sent");
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sent
}

/// Requests that are answered and whose answers nobody reads, of those with an allocation and of strangers; how many.
fn requests(deaf: &mut [Turn], credentials: &Credentials, each: usize) -> usize {
    let from = |host| IpAddr::V4(Ipv4Addr::new(127, 11, host, 1));
    let mut strangers: Vec<_> =
        (1..=30).map(|host| Turn::new(Wire::tcp(from(host), credentials.relay(false)).expect("a stream"), credentials)).collect();
    let mut asked = 0;
    for _ in 0..each / 20 {
        for turn in deaf.iter_mut().chain(&mut strangers) {
            let request = if turn.nonce.is_some() { turn.request(METHOD_REFRESH, &[]) } else { turn.request(METHOD_ALLOCATE, &[&UDP]) };
            let Wire::Tcp(raw, _) = &mut turn.wire else { panic!("a stream") };
            raw.set_nonblocking(true).expect("set");
            // A relay that does not take any more is one that holds no more.
            asked += (0..20).take_while(|_| raw.write(&request).is_ok()).count();
        }
    }
    asked
}
