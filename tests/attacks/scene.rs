//! A node with a relay, and people who get credentials from it as a page does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use althing::config::{Config, TurnConfig};
use althing::node::Node;
use althing::wire::{IceServer, MemberId, OkResult, Request};
use tokio::runtime::Runtime;

use crate::client::{self, Client};
use crate::nodes;

/// Ports of allocations: below those that the system gives out, so that no listener of a test is among them.
pub const FIRST_PORT: u16 = 20_000;
pub const LAST_PORT: u16 = 29_999;
/// Where peers are that may be relayed to.
pub const ALLOWED: [&str; 2] = ["127.0.0.5/32", "127.7.0.0/16"];

/// One attack at a time: what one does to the machine is not another's.
static TURN: Mutex<()> = Mutex::new(());
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A node, and what runs it.
pub struct Scene {
    runtime: Runtime,
    node: Option<Node>,
    panics: usize,
    turn: Option<MutexGuard<'static, ()>>,
}

/// Somebody who is in a room.
pub struct User {
    socket: Client,
    /// The name in the room.
    pub member: String,
    /// What the relay asks for.
    pub credentials: Credentials,
}

/// What a client is told of the relay.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Where it is, one of each family.
    pub relays: Vec<SocketAddr>,
    /// Where the STUN service of the media port is.
    pub media: Vec<SocketAddr>,
    pub username: String,
    pub password: String,
}

impl Scene {
    /// A node with two workers and a relay.
    pub fn new() -> Self {
        Self::with(|_, _| ())
    }

    /// The same with other settings.
    pub fn with(change: impl FnOnce(&mut Config, &mut TurnConfig)) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scene = Self::beside_others(change);
        scene.turn = Some(turn);
        scene
    }

    /// The same for an attack that mostly waits, and may do so beside another one.
    pub fn beside_others(change: impl FnOnce(&mut Config, &mut TurnConfig)) -> Self {
        count_panics();
        let runtime = Runtime::new().expect("a runtime");
        let node = runtime.block_on(node(change));
        Self { runtime, node: Some(node), panics: PANICS.load(Ordering::SeqCst), turn: None }
    }

    /// One more node beside this one.
    pub fn another_node(&self) -> Node {
        self.runtime.block_on(node(|_, _| ()))
    }

    pub const fn node(&self) -> &Node {
        self.node.as_ref().expect("it runs")
    }

    /// Joins a room.
    pub fn join(&self, room: &str) -> User {
        self.join_at(self.node(), room)
    }

    pub fn join_at(&self, node: &Node, room: &str) -> User {
        self.enter(node, Request::join(room, "somebody", None))
    }

    /// The same member comes once more, as a page that is loaded anew.
    pub fn join_again(&self, room: &str, member: &str) -> User {
        let mut request = Request::join(room, "somebody", None);
        if let Request::Join { me, .. } = &mut request {
            *me = Some(MemberId(member.to_owned()));
        }
        self.enter(self.node(), request)
    }

    fn enter(&self, node: &Node, request: Request) -> User {
        self.runtime.block_on(async {
            let mut socket = Client::greet(node).await;
            let joined = socket.enter(request).await.expect("joined");
            let credentials = match socket.ask(Request::IceServers {}).await {
                Ok(Some(OkResult::IceServers { servers, .. })) => Credentials::of(&servers),
                other => panic!("no servers: {other:?}"),
            };
            User { socket, member: joined.me, credentials }
        })
    }

    /// Has one member send another one away.
    pub fn kick(&self, moderator: &mut User, member: &str) {
        let request = Request::Kick { member: MemberId(member.to_owned()) };
        self.runtime.block_on(moderator.socket.ask(request)).expect("sent away");
    }

    /// The sum of all series of a metric that have a label.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let (status, text) = self.runtime.block_on(client::get(self.node().admin, "/metrics"));
        assert_eq!(status, 200);
        let series = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric is what is expected; the last value. Workers report once a second.
    pub fn settled(&self, name: &str, label: &str, expected: impl Fn(f64) -> bool) -> f64 {
        let since = Instant::now();
        loop {
            let value = self.metric(name, label);
            if expected(value) || since.elapsed() > Duration::from_secs(4) {
                return value;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Panics of nodes' threads since the node began, and rooms that were dropped after one.
    pub fn panics(&self) -> f64 {
        (PANICS.load(Ordering::SeqCst) - self.panics) as f64 + self.metric("althing_room_panics_total", "")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            self.runtime.block_on(node.shut_down());
        }
        drop(self.turn.take());
    }
}

impl Credentials {
    fn of(servers: &[IceServer]) -> Self {
        let at = |scheme: &str, server: &IceServer| -> Vec<SocketAddr> {
            let urls = server.urls.iter().filter_map(|url| url.strip_prefix(scheme)?.strip_prefix(':'));
            let mut all: Vec<_> = urls.filter_map(|rest| rest.split('?').next()?.parse().ok()).collect();
            all.dedup();
            all
        };
        let relay = servers.iter().find(|server| server.username.is_some()).expect("a relay");
        Self {
            relays: at("turn", relay),
            media: servers.iter().flat_map(|server| at("stun", server)).collect(),
            username: relay.username.clone().expect("a user name"),
            password: relay.credential.clone().expect("a password"),
        }
    }

    /// The relay at an address of a family.
    pub fn relay(&self, ipv6: bool) -> SocketAddr {
        *self.relays.iter().find(|at| at.is_ipv6() == ipv6).expect("a relay of this family")
    }
}

async fn node(change: impl FnOnce(&mut Config, &mut TurnConfig)) -> Node {
    let mut config = nodes::config();
    config.media.workers = 2;
    config.media.bind = [Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), has_ipv6().then_some(Ipv6Addr::LOCALHOST.into())].into_iter().flatten().collect();
    let mut turn = TurnConfig {
        tls_port: None,
        beside_pages: false,
        gather: Duration::ZERO,
        host: None,
        port: 0,
        ports: FIRST_PORT..=LAST_PORT,
        user_allocations: 12,
        allocations: 4_096,
        bytes_per_second: None,
        allow_peers: ALLOWED.iter().map(|net| net.parse().expect("a network")).collect(),
    };
    change(&mut config, &mut turn);
    config.turn = Some(turn);
    // The system gives out a port that is free for UDP at one address; by TCP or at the other address somebody else may have it.
    for _ in 0..5 {
        match Node::start(config.clone()).await {
            Ok(node) => return node,
            Err(error) => println!("    {error}"),
        }
    }
    panic!("the node does not start");
}

/// Whether this machine has the loopback address of IPv6.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Memory of the process that is resident, in MiB: the node's, and what the attacker holds.
pub fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1_024.0
}

/// A panic in a thread of the node would end that thread and nothing else: it is counted.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let of_a_node = std::thread::current().name().is_some_and(|name| name.starts_with("media-") || name.starts_with("tokio-"));
            PANICS.fetch_add(usize::from(of_a_node), Ordering::SeqCst);
            before(info);
        }));
    });
}
