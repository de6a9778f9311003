mod hostile;
pub(in crate::media) mod world;

use std::time::Duration;

use rtc_datachannel::data_channel::DataChannelConfig;
use rtc_datachannel::message::message_channel_open::ChannelType;
use rtc_sctp::PayloadProtocolIdentifier::{Binary, BinaryEmpty};

use super::*;
use world::{World, plan};

fn numbered(n: u32) -> Vec<u8> {
    // Some in one piece, some in five.
    let mut message = n.to_be_bytes().to_vec();
    message.resize(4 + (n as usize * 7_919) % 5_000, n as u8);
    message
}

fn limited(messages_per_second: u32, bytes_per_second: u32) -> DataPlan {
    let mut plan = plan();
    (plan.limits.messages_per_second, plan.limits.bytes_per_second) = (messages_per_second, bytes_per_second);
    plan
}

#[test]
fn what_is_reliable_comes_once_and_in_order_both_ways_though_a_tenth_is_lost() {
    for seed in 1..=5 {
        let mut world = World::greeted(seed, 10, plan());
        for n in 0..200 {
            assert!(world.reset.is_empty(), "seed {seed}, message {n}: {:?}, {:?}", world.events.last(), world.reset);
            world.say(RELIABLE, Binary, &numbered(n));
            world.send(&numbered(n), true);
            world.run(Duration::from_millis(300));
        }
        world.run(Duration::from_secs(60));
        let wanted: Vec<Vec<u8>> = (0..200).map(numbered).collect();
        assert!(world.messages(true).into_iter().eq(wanted.iter()), "seed {seed}: to the server");
        assert!(world.read.iter().map(|(_, bytes)| bytes).eq(wanted.iter()), "seed {seed}: to the client");
        assert_eq!((world.messages(false).len(), world.count(Counter::DataMisuse)), (0, 0));
    }
}

#[test]
fn what_is_lossy_is_sent_once_and_never_twice() {
    let mut world = World::greeted(7, 10, plan());
    for n in 0..500u32 {
        world.say(LOSSY, Binary, &n.to_be_bytes());
        world.send(&n.to_be_bytes(), false);
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_secs(10));
    let both = [world.messages(false).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), world.read.iter().map(|(_, b)| b.clone()).collect()];
    for mut came in both {
        assert!((400..=475).contains(&came.len()), "a tenth is lost: {}", came.len());
        came.sort();
        came.dedup();
        assert!((400..=475).contains(&came.len()), "none came twice");
    }
    assert!(world.read.iter().all(|(stream, _)| *stream == LOSSY));
    assert_eq!(world.messages(true).len(), 0);
}

#[test]
fn channels_are_opened_as_their_client_asks_and_closed_by_it() {
    let mut world = World::new(1, 0, plan());
    world.run(Duration::from_secs(1));
    let config = |channel_type, parameter| DataChannelConfig {
        channel_type,
        reliability_parameter: parameter,
        label: "any".into(),
        ..DataChannelConfig::default()
    };
    world.open(4, config(ChannelType::PartialReliableRexmitUnordered, 0));
    world.run(Duration::from_secs(1));
    assert_eq!(world.read, [(4, vec![2])], "DATA_CHANNEL_ACK");
    world.open(2, config(ChannelType::Reliable, 0));
    world.run(Duration::from_secs(1));
    world.read.clear();
    world.send(b"sure", true);
    world.send(b"perhaps", false);
    world.say(2, Binary, b"up");
    world.say(4, Binary, b"up, perhaps");
    world.run(Duration::from_secs(1));
    world.read.sort();
    assert_eq!(world.read, [(2, b"sure".to_vec()), (4, b"perhaps".to_vec())]);
    assert_eq!((world.messages(true), world.messages(false)), (vec![&b"up"[..]], vec![&b"up, perhaps"[..]]));
    world.events.clear();
    world.close(2);
    world.run(Duration::from_secs(1));
    assert_eq!(world.events, [], "one is left");
    world.send(b"anyhow", true);
    world.run(Duration::from_secs(1));
    assert_eq!(world.read.last(), Some(&(4, b"anyhow".to_vec())));
    world.close(4);
    world.run(Duration::from_secs(1));
    assert_eq!(world.events, [SctpEvent::Ended(DataEnd::Closed)]);
    world.send(b"nobody", true);
    assert_eq!(world.count(Counter::DataDropNoChannel), 1);
    // The association is still there: a channel may be opened anew.
    world.open(6, config(ChannelType::Reliable, 0));
    world.run(Duration::from_secs(1));
    assert_eq!(world.events.last(), Some(&SctpEvent::Opened));
}

#[test]
fn one_channel_too_many_is_closed_and_the_others_stay() {
    let mut world = World::new(1, 0, plan());
    world.run(Duration::from_secs(1));
    for stream in 2..=2 + MOST_CHANNELS as u16 {
        world.open(stream, DataChannelConfig::default());
        world.run(Duration::from_millis(100));
    }
    world.run(Duration::from_secs(3));
    assert_eq!(world.reset, [2 + MOST_CHANNELS as u16]);
    world.say(2, Binary, b"still");
    world.run(Duration::from_secs(1));
    assert_eq!(world.messages(true), [b"still"]);
}

#[test]
fn a_reliable_sender_that_is_too_fast_waits_and_loses_nothing() {
    let mut world = World::greeted(1, 0, limited(10, 1 << 20));
    (0..200u32).for_each(|n| world.say(RELIABLE, Binary, &n.to_be_bytes()));
    world.run(Duration::from_secs(5));
    let came = world.messages(true).len();
    assert!((60..=75).contains(&came), "twenty at once and ten a second: {came}");
    world.run(Duration::from_secs(30));
    let wanted: Vec<[u8; 4]> = (0..200u32).map(u32::to_be_bytes).collect();
    assert!(world.messages(true).into_iter().eq(wanted.iter()));
}

#[test]
fn one_that_was_kept_waiting_is_told_when_there_is_room() {
    let mut world = World::greeted(1, 0, plan());
    (0..100).for_each(|_| world.say(RELIABLE, Binary, &[0; 10_000]));
    // Nobody deals with what it sends for a while, so that it learns that there is no room, and waits longer and longer between its tries.
    world.room = 1;
    world.run(Duration::from_secs(20));
    assert!(world.messages(true).len() < 5);
    world.room = 1_000;
    world.run(Duration::from_secs(3));
    assert_eq!(world.messages(true).len(), 100);
}

#[test]
fn many_tiny_messages_at_once_wait_and_are_no_misuse() {
    let mut world = World::greeted(1, 0, limited(500, 1 << 20));
    (0..5_000u32).for_each(|n| world.say(RELIABLE, Binary, &n.to_be_bytes()));
    world.run(Duration::from_secs(60));
    let wanted: Vec<[u8; 4]> = (0..5_000u32).map(u32::to_be_bytes).collect();
    assert_eq!(world.messages(true).len(), 5_000);
    assert!(world.messages(true).into_iter().eq(wanted.iter()));
    assert_eq!(world.count(Counter::DataMisuse), 0);
}

#[test]
fn a_lossy_sender_that_is_too_fast_loses_what_is_too_much() {
    let mut world = World::greeted(1, 0, limited(10, 1 << 20));
    (0..200u32).for_each(|n| world.say(LOSSY, Binary, &n.to_be_bytes()));
    world.run(Duration::from_secs(5));
    let came = world.messages(false).len();
    assert!((20..=25).contains(&came), "{came}");
    assert_eq!(world.count(Counter::DataDropRate), 200 - came as u64);
}

#[test]
fn nothing_is_handed_up_for_which_there_is_no_room() {
    let mut world = World::greeted(1, 0, plan());
    world.room = 3;
    (0..9u32).for_each(|n| world.say(RELIABLE, Binary, &n.to_be_bytes()));
    world.run(Duration::from_secs(1));
    assert_eq!((world.messages(true).len(), world.room, world.server.has_unread()), (3, 0, true));
    world.room = 100;
    world.run(Duration::from_secs(1));
    assert_eq!((world.messages(true).len(), world.room, world.server.has_unread()), (9, 94, false));
}

#[test]
fn one_who_takes_nothing_loses_what_is_lossy_and_then_its_channels() {
    let mut world = World::greeted(1, 0, plan());
    world.loss = 100;
    (0..100).for_each(|_| world.send(&[0; 1_000], false));
    let lossy = world.count(Counter::DataOut);
    assert!((60..=65).contains(&lossy), "64 KiB: {lossy}");
    (0..600).for_each(|_| world.send(&[0; 1_000], true));
    assert_eq!((world.count(Counter::DataTooSlow), world.count(Counter::DataOut)), (1, 524));
    world.run(Duration::from_millis(1));
    assert_eq!(world.events, [SctpEvent::Ended(DataEnd::TooSlow)]);
    assert!(world.server.memory() < 4_096, "{}", world.server.memory());
}

#[test]
fn what_is_longer_than_a_receiver_takes_is_not_sent_to_it() {
    let mut world = World::greeted(1, 0, DataPlan { peer_takes: 100, ..plan() });
    world.send(&[1; 101], true);
    world.send(&[2; 100], true);
    world.run(Duration::from_secs(1));
    assert_eq!(world.read, [(RELIABLE, vec![2; 100])]);
    assert_eq!(world.count(Counter::DataDropTooLong), 1);
}

#[test]
fn what_is_longer_than_agreed_is_dropped_whole_and_the_rest_comes() {
    let mut world = World::greeted(1, 0, plan());
    world.say(RELIABLE, Binary, &[1; 30_000]);
    world.say(RELIABLE, Binary, b"short");
    world.run(Duration::from_secs(5));
    assert_eq!(world.messages(true), [b"short"]);
    assert_eq!(world.count(Counter::DataDropTooLong), 1);
}

#[test]
fn a_repeated_greeting_hands_up_nothing() {
    let mut world = World::greeted(1, 0, plan());
    world.say(RELIABLE, BinaryEmpty, b"\0");
    world.run(Duration::from_secs(1));
    assert_eq!(world.events, []);
}

#[test]
fn the_end_of_the_connection_below_is_the_end_of_the_channels() {
    let mut world = World::greeted(1, 0, plan());
    world.server.close();
    world.run(Duration::from_millis(1));
    assert_eq!(world.events, [SctpEvent::Ended(DataEnd::Closed)]);
    world.server.close();
    world.run(Duration::from_secs(5));
    assert_eq!(world.events.len(), 1);
}
