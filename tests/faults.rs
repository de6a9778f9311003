//! Faults on purpose in a running node (feature `fault-hooks`), and how its members come back.

mod client;
mod nodes;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use althing::node::Node;
use client::{Kind, Participant, Phase, Settings};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(node: &Node, room: &str, number: u16) -> Settings {
    Settings { url: format!("ws://{}/ws", node.http), room: room.into(), number, token: None, address: ADDRESS, pairs: 4 }
}

async fn join(node: &Node, room: &str, numbers: &[u16], phase: &watch::Receiver<Phase>) -> Vec<Participant> {
    let mut people = Vec::new();
    for number in numbers {
        people.push(Participant::join(&settings(node, room, *number), phase.clone()).await.expect("joined and connected"));
    }
    people
}

/// Everybody has `packets` of everybody else's sound.
async fn all_hear(people: &[Participant], packets: u64) {
    let heard = |me: &Participant, other: &Participant| me.number == other.number || me.count(other.number, Kind::Audio).unique >= packets;
    let waited = timeout(Duration::from_secs(20), async {
        while !people.iter().all(|me| people.iter().all(|other| heard(me, other))) {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("everybody hears everybody within 20 s");
}

/// The other one in a room of two.
const fn partner(number: u16) -> u16 {
    if number % 2 == 1 { number + 1 } else { number - 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_one_room_takes_down_that_room_only_and_its_members_come_back() {
    let node = nodes::start(|config| (config.media.workers, config.media.spread_from) = (2, 2)).await;
    let (phase, phases) = watch::channel(Phase::Count);
    // Four of the room that will fail, on two workers; and rooms of two on both workers that will not.
    let broken = join(&node, "broken", &[1, 2, 3, 4], &phases).await;
    let sound = [join(&node, "sound", &[11, 12], &phases).await, join(&node, "unhurt", &[21, 22], &phases).await];
    all_hear(&broken, 20).await;
    for people in &sound {
        all_hear(people, 20).await;
    }
    let before: Vec<_> = sound.iter().flatten().map(|me| me.count(partner(me.number), Kind::Audio)).collect();
    node.break_room("broken");
    let since = Instant::now();
    while !broken.iter().all(Participant::is_told_to_restart) {
        assert!(since.elapsed() < Duration::from_secs(20), "they are not told to restart");
        sleep(Duration::from_millis(1)).await;
    }
    let again = broken.into_iter().map(|person| {
        let (settings, phases) = (settings(&node, "broken", person.number), phases.clone());
        tokio::spawn(async move { person.restart(&settings, phases).await.expect("connected again") })
    });
    let mut back = Vec::new();
    for person in again.collect::<Vec<_>>() {
        back.push(person.await.expect("no panic"));
    }
    all_hear(&back, 1).await;
    // A busy machine may take longer; the goal is 2 s.
    println!("media again {} ms after the fault", since.elapsed().as_millis());
    for (me, before) in sound.iter().flatten().zip(before) {
        let now = me.count(partner(me.number), Kind::Audio);
        assert!(!me.is_told_to_restart(), "another room was told to restart");
        assert!(now.unique > before.unique + 5, "{} goes on hearing", me.number);
        let span = u64::from(now.last.expect("heard") - before.last.expect("heard"));
        assert_eq!(now.unique - before.unique, span, "{} has missed packets", me.number);
    }
    phase.send(Phase::Stop).expect("they listen");
    for person in back.into_iter().chain(sound.into_iter().flatten()) {
        person.leave().await;
    }
    node.shut_down().await;
}
