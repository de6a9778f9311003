use std::net::UdpSocket;
use std::sync::{Arc, Mutex};

use super::super::workers;
use super::*;
use crate::base::stun::write_xor_address;
use crate::config::Config;
use crate::contract::Event;
use crate::port::events;

const BEGIN: [u8; 8] = *b"ours-all";
const FAST: Times = Times { again: Duration::from_millis(60), retry: Duration::from_millis(60), resend: Duration::from_millis(80) };

/// A question: who asks, and in which transaction.
type Question = (SocketAddr, [u8; 12]);

/// A STUN server that sees everybody behind the address that it is given; none: it is silent. What it is asked is noted.
#[derive(Clone)]
struct Server {
    at: SocketAddr,
    sees: Arc<Mutex<Option<IpAddr>>>,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Server {
    fn start(sees: Option<&str>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let server = Self { at: socket.local_addr().expect("an address"), sees: Arc::default(), asked: Arc::default() };
        server.see(sees);
        let own = server.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 100];
            while let Ok((len, from)) = socket.recv_from(&mut bytes) {
                assert_eq!((len, &bytes[..8]), (20, &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..]), "a Binding request");
                let transaction = bytes[8..20].try_into().expect("12 bytes");
                own.asked.lock().expect("nobody panics").push((from, transaction));
                if let Some(ip) = *own.sees.lock().expect("nobody panics") {
                    socket.send_to(&answer(transaction, SocketAddr::new(ip, from.port())), from).expect("sent");
                }
            }
        });
        server
    }

    fn see(&self, ip: Option<&str>) {
        *self.sees.lock().expect("nobody panics") = ip.map(|ip| ip.parse().expect("an address"));
    }

    fn named(&self) -> StunServer {
        StunServer::parse(&self.at.to_string()).expect("a server")
    }
}

fn answer(transaction: [u8; 12], seen: SocketAddr) -> Vec<u8> {
    let mut value = [0; 20];
    let len = write_xor_address(seen, &transaction, &mut value);
    let head = [1, 1, 0, (4 + len) as u8, 0x21, 0x12, 0xA4, 0x42];
    [&head[..], &transaction, &[0, 0x20, 0, len as u8], &value[..len]].concat()
}

fn config(workers: u16, single_port: bool) -> crate::config::MediaConfig {
    let bind = vec!["127.0.0.1".parse().expect("an address")];
    crate::config::MediaConfig { workers, port: 0, single_port, bind, ..Config::default().media }
}

/// Workers that run, a watch over them, and what it tells.
struct Scene {
    ports: Vec<u16>,
    told: mpsc::Receiver<Vec<Vec<SocketAddr>>>,
    _fleet: workers::Fleet,
    _closing: watch::Sender<bool>,
}

impl Scene {
    fn start(server: &Server, workers: u16, single_port: bool) -> Self {
        let config = config(workers, single_port);
        let addresses = Addresses { bound: config.bind.clone(), announced: config.bind.clone(), seen: Vec::new() };
        let (sender, mut receiver) = events();
        let mut fleet = workers::start(&config, (None, false, 0), &addresses, &sender, std::time::Instant::now(), Some(BEGIN)).expect("workers");
        let ports = fleet.workers.iter().map(|worker| worker.candidates[0].port()).collect();
        let watch = Watch::new(server.named(), BEGIN, &mut fleet.workers, &addresses);
        let (mapped, answers) = mpsc::channel(ANSWERS);
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                let Event::Mapped(answer) = event else { panic!("{event:?}") };
                let _ = mapped.try_send(answer);
            }
        });
        let (tell, told) = mpsc::channel(8);
        let (closing, closed) = watch::channel(false);
        tokio::spawn(watch.run(answers, FAST, move |all| tell.try_send(all).expect("room"), closed));
        Self { ports, told, _fleet: fleet, _closing: closing }
    }

    async fn told(&mut self) -> Vec<Vec<String>> {
        let all = timeout(Duration::from_secs(10), self.told.recv()).await.expect("in time").expect("the watch goes on");
        all.iter().map(|one| one.iter().map(ToString::to_string).collect()).collect()
    }

    fn at(&self, ips: &[&str]) -> Vec<Vec<String>> {
        self.ports.iter().map(|port| ips.iter().map(|ip| format!("{ip}:{port}")).collect()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_media_port_is_asked_for_and_a_change_is_told() {
    let server = Server::start(Some("203.0.113.9"));
    let mut scene = Scene::start(&server, 2, false);
    assert_eq!(scene.told().await, scene.at(&["127.0.0.1", "203.0.113.9"]));
    let asked: BTreeSet<u16> = server.asked.lock().expect("nobody panics").iter().map(|(from, _)| from.port()).collect();
    assert_eq!(asked, scene.ports.iter().copied().collect(), "the mapping is that of the port itself");
    server.see(Some("203.0.113.77"));
    // The ports may be answered in two rounds.
    let mut last = scene.told().await;
    while last != scene.at(&["127.0.0.1", "203.0.113.77"]) {
        last = scene.told().await;
    }
    server.see(None);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(scene.told.try_recv().is_err(), "a server that is silent has not seen another address");
    server.see(Some("203.0.113.9"));
    last = scene.told().await;
    while last != scene.at(&["127.0.0.1", "203.0.113.9"]) {
        last = scene.told().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_share_a_port_are_asked_for_once_and_all_found_there() {
    let server = Server::start(Some("203.0.113.9"));
    let mut scene = Scene::start(&server, 3, true);
    assert_eq!(scene.told().await, scene.at(&["127.0.0.1", "203.0.113.9"]));
    let asked = server.asked.lock().expect("nobody panics").len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rounds = server.asked.lock().expect("nobody panics").len() - asked;
    assert!((1..=6).contains(&rounds), "one question a round: {rounds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_of_us_changes_nothing() {
    let server = Server::start(None);
    let mut scene = Scene::start(&server, 1, false);
    while server.asked.lock().expect("nobody panics").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (media, transaction) = server.asked.lock().expect("nobody panics")[0];
    let other = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    // Who has seen the question, but is not whom it was for; and who has not, and guesses.
    other.send_to(&answer(transaction, "198.51.100.1:9".parse().expect("an address")), media).expect("sent");
    for guess in 0..200_u32 {
        let [a, b, c, d] = guess.to_be_bytes();
        let transaction = [b'o', b'u', b'r', b's', b'-', b'n', b'o', b'w', a, b, c, d];
        other.send_to(&answer(transaction, "198.51.100.1:9".parse().expect("an address")), media).expect("sent");
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(scene.told.try_recv().is_err());
    server.see(Some("203.0.113.9"));
    assert_eq!(scene.told().await, scene.at(&["127.0.0.1", "203.0.113.9"]), "and the server is still heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_start_each_address_is_asked_from_or_left_out() {
    let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().expect("an address")).collect::<Vec<IpAddr>>();
    let server = Server::start(Some("203.0.113.9"));
    let bound = ips(&["127.0.0.1", "192.0.2.1", "::1"]);
    assert_eq!(at_start(&server.named(), &bound, 0).await, [(bound[0], ips(&["203.0.113.9"])[0])]);
    for nonsense in ["0.0.0.0", "224.0.0.1"] {
        server.see(Some(nonsense));
        assert_eq!(at_start(&server.named(), &bound, 0).await, [], "{nonsense}");
    }
    server.see(None);
    let begun = Instant::now();
    assert_eq!(at_start(&server.named(), &bound, 0).await, []);
    assert!(begun.elapsed() < AT_START + Duration::from_secs(1), "a start goes on");
}
