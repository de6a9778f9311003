//! A real call through a real node: sockets, ICE, DTLS, SRTP, signaling, with clients of the `webrtc` crate.

mod client;
mod nodes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use althing::config::Config;
use althing::node::Node;
use client::{Kind, Participant, Phase, Settings};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

async fn node(address: IpAddr, workers: u16) -> Node {
    node_with(address, workers, |_| ()).await
}

async fn node_with(address: IpAddr, workers: u16, change: impl FnOnce(&mut Config)) -> Node {
    nodes::start(|config| {
        (config.media.bind, config.media.workers) = (vec![address], workers);
        change(config);
    })
    .await
}

async fn join(node: &Node, room: &str, number: u16, address: IpAddr, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url: format!("ws://{}/ws", node.http), room: room.into(), number, token: None, address, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

/// Everybody receives everybody else's sound and pictures.
async fn all_meet(people: &[Participant]) {
    let everybody = || {
        people.iter().all(|me| {
            let others = people.iter().filter(|other| other.number != me.number);
            others.flat_map(|o| [(o, Kind::Audio), (o, Kind::Video)]).all(|(o, kind)| me.count(o.number, kind).unique > 20)
        })
    };
    let waited = timeout(Duration::from_secs(20), async {
        while !everybody() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("everybody receives everybody within 20 s");
}

async fn three_meet_at(address: IpAddr) {
    let node = node(address, 1).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let mut people = Vec::new();
    for number in 1..=3 {
        people.push(join(&node, "call", number, address, &phases).await);
    }
    all_meet(&people).await;
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_meet_over_ipv4() {
    three_meet_at(Ipv4Addr::LOCALHOST.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_meet_over_ipv6() {
    if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("*** SKIPPED: this machine has no IPv6 loopback. Nothing was shown about IPv6. ***");
        return;
    }
    three_meet_at(Ipv6Addr::LOCALHOST.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_on_two_workers_know_nothing_of_each_other() {
    let address = Ipv4Addr::LOCALHOST.into();
    let node = node(address, 2).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let here = [join(&node, "here", 1, address, &phases).await, join(&node, "here", 2, address, &phases).await];
    let there = [join(&node, "there", 3, address, &phases).await, join(&node, "there", 4, address, &phases).await];
    all_meet(&here).await;
    all_meet(&there).await;
    assert_eq!((here[0].count(3, Kind::Audio).unique, there[0].count(1, Kind::Video).unique), (0, 0));
    phase.send(Phase::Stop).expect("they listen");
    for person in here.into_iter().chain(there) {
        person.leave().await;
    }
    node.shut_down().await;
}

/// Five people in one room whose home worker takes one of them only: they are on two or three workers.
async fn five_meet_across(change: impl FnOnce(&mut Config)) {
    let address = Ipv4Addr::LOCALHOST.into();
    let node = node_with(address, 3, |config| {
        config.media.spread_from = 1;
        change(config);
    })
    .await;
    let (phase, phases) = watch::channel(Phase::Count);
    let mut people = Vec::new();
    for number in 1..=5 {
        let settings = Settings { url: format!("ws://{}/ws", node.http), room: "wide".into(), number, token: None, address, pairs: 4 };
        people.push(Participant::join(&settings, phases.clone()).await.expect("joined and connected"));
    }
    all_meet(&people).await;
    let crossed = metric(&node, "althing_relay_packets_total").await;
    assert!(crossed > 100.0, "nothing has crossed from worker to worker: {crossed}");
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;
}

/// The sum of a metric, as a scrape finds it; workers report once a second.
async fn metric(node: &Node, name: &str) -> f64 {
    sleep(Duration::from_millis(1_200)).await;
    let mut socket = tokio::net::TcpStream::connect(node.admin).await.expect("the private listener");
    let mut text = String::new();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("asked");
    socket.read_to_string(&mut text).await.expect("answered");
    let of_it = text.lines().filter(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    of_it.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_room_uses_several_workers() {
    five_meet_across(|_| ()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_share_one_port() {
    five_meet_across(|config| config.media.single_port = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_takes_far_more_than_was_agreed_ends_and_the_sound_goes_on() {
    let address = Ipv4Addr::LOCALHOST.into();
    // The clients here do not read b= in the answer.
    let node = node_with(address, 1, |config| config.rooms.publish_kbps = Some(600)).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(&node, "call", 1, address, &phases).await, join(&node, "call", 2, address, &phases).await];
    let excess = async |action: &str| metric(&node, &format!("althing_publish_excess_total{{action=\"{action}\",worker=\"0\"}}")).await;
    let ended = timeout(Duration::from_secs(30), async {
        while excess("ended").await < 2.0 {
            assert!(excess("told").await >= excess("ended").await, "nobody is cut who was not told");
        }
    });
    ended.await.expect("1.5 Mbit/s are more than twice 600 kbit/s");
    let heard = |kind| [people[0].count(2, kind).unique, people[1].count(1, kind).unique];
    let before = (heard(Kind::Audio), heard(Kind::Video));
    sleep(Duration::from_secs(2)).await;
    let after = (heard(Kind::Audio), heard(Kind::Video));
    assert_eq!(after.1, before.1, "no picture comes any more");
    assert!(after.0.iter().zip(before.0).all(|(after, before)| *after > before + 50), "{before:?} {after:?}");
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;
}
