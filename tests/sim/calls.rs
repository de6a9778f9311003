//! Stories of whole calls: rooms of the control plane, engines, clients that write offers and read answers.

use std::time::Duration;

use althing::contract::{Counter, MediaKind};
use althing::control::rooms::MemberRequest;
use althing::wire::{ByeReason, ErrorCode, Event, LeaveReason, MemberId, OkResult, Source};

use crate::client::Stamp;
use crate::house::House;
use crate::network::Link;
use crate::seeds;

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What `member` has received of `whom` on the slot that it was told.
fn stamps(house: &House, member: usize, whom: usize, kind: MediaKind) -> Vec<Stamp> {
    let (member, whom) = (&house.members[member], &house.members[whom]);
    let heard = &house.world.clients[member.client].heard;
    let ssrc = member.ssrc_of(&whom.name, kind);
    ssrc.and_then(|ssrc| heard.get(&ssrc)).map(|h| h.from(whom.client)).unwrap_or_default()
}

fn assert_no_gap(stamps: &[Stamp], why: &str) {
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "{why}: a gap after {:?}", pair[0]);
    }
}

/// Every one of them has all the others in its slots, and packets of each in the slot that it was told.
fn assert_all_see_all(house: &House, members: &[usize], packets: usize) {
    for &member in members {
        let others: Vec<usize> = members.iter().copied().filter(|m| *m != member).collect();
        let mut shown: Vec<MemberId> = house.members[member].slots.iter().map(|s| s.member.clone()).collect();
        shown.sort();
        let mut expected: Vec<MemberId> = others.iter().map(|o| house.members[*o].id()).collect();
        expected.sort();
        assert_eq!(shown, expected, "the slots of {}", house.members[member].name);
        for other in others {
            for kind in KINDS {
                let stamps = stamps(house, member, other, kind);
                assert!(stamps.len() > packets, "{} has {} packets of {kind:?}", house.members[member].name, stamps.len());
                let nothing_lost = house.world.network.lost == 0;
                assert!(kind == MediaKind::Audio || stamps[0].key || !nothing_lost, "a picture begins with a key frame");
            }
        }
    }
}

fn is_need(event: &Event) -> bool {
    matches!(event, Event::Need { .. })
}

fn three(seed: u64) -> (House, Vec<usize>) {
    let mut house = House::new(seed, 1);
    let room = house.open(0);
    let members = ["ada", "bob", "mod"].map(|name| house.enter(room, name)).to_vec();
    (house, members)
}

#[test]
fn three_who_join_see_and_hear_each_other_in_the_slots_that_they_are_told() {
    for seed in seeds() {
        let (mut house, members) = three(seed);
        house.run(seconds(5));
        assert_all_see_all(&house, &members, 200);
        for &member in &members {
            for other in members.iter().filter(|o| **o != member) {
                KINDS.iter().for_each(|kind| assert_no_gap(&stamps(&house, member, *other, *kind), "on a good network"));
            }
            let m = &house.members[member];
            assert_eq!((m.offers, m.count(is_need)), (1, 0), "one offer is enough");
        }
        assert_eq!(house.world.count(Counter::CommandUnknown), 0);
    }
}

#[test]
fn a_call_with_losses_is_repaired() {
    for seed in seeds() {
        let (mut house, members) = three(seed);
        house.world.link = Link { loss_per_mille: 30, jitter: Duration::from_millis(5), ..Link::GOOD };
        house.run(seconds(10));
        house.world.link = Link::GOOD;
        house.run(seconds(1));
        // A first check that is lost is sent again after two seconds, and there is no way before.
        assert_all_see_all(&house, &members, 250);
        for &member in &members {
            for other in members.iter().filter(|o| **o != member) {
                // What is missing before the first packet that comes cannot be known to be missing.
                let stamps = stamps(&house, member, *other, MediaKind::Video).split_off(50);
                let sent = stamps.last().expect("media").number - stamps[0].number + 1;
                assert!((sent - stamps.len() as u64) * 500 < sent, "seed {seed}: {} of {sent} came", stamps.len());
            }
        }
    }
}

#[test]
fn those_who_stay_notice_nothing_of_ten_guests_but_that_they_come_and_go() {
    for seed in seeds() {
        let (mut house, stay) = three(seed);
        house.run(seconds(2));
        for n in 0..10 {
            let guest = house.enter(house.members[0].room, &format!("guest{n}"));
            house.run(Duration::from_millis(700));
            assert!(stamps(&house, stay[0], guest, MediaKind::Video).len() > 30 && stamps(&house, guest, stay[1], MediaKind::Video).len() > 30);
            house.leave(guest);
            house.run(Duration::from_millis(200));
        }
        for &member in &stay {
            let m = &house.members[member];
            assert_eq!((m.offers, m.count(is_need)), (1, 0), "no negotiation for those who stay");
            assert_eq!(m.count(|e| matches!(e, Event::MemberLeft { reason: LeaveReason::Left, .. })), 10);
            for other in stay.iter().filter(|o| **o != member) {
                KINDS.iter().for_each(|kind| assert_no_gap(&stamps(&house, member, *other, *kind), "for those who stay"));
            }
        }
        assert_eq!(house.world.engines[0].report().peers, 3);
    }
}

#[test]
fn a_session_resumed_after_twenty_seconds_has_lost_no_media_and_no_chat() {
    for seed in seeds() {
        let (mut house, members) = three(seed);
        let [ada, bob, _] = members[..] else { unreachable!() };
        house.run(seconds(2));
        house.say(bob, "before");
        house.lose(ada);
        house.run(seconds(10));
        house.say(bob, "meanwhile");
        let guest = house.enter(house.members[ada].room, "guest");
        house.run(seconds(10));
        let Ok(Some(OkResult::Joined { connection, members: others, .. })) = house.resume(ada) else { panic!("not resumed") };
        assert!(connection, "the connection is still there");
        assert_eq!(others.len(), 3);
        house.say(bob, "after");
        house.run(seconds(2));
        assert_eq!(house.members[ada].chat.values().map(String::as_str).collect::<Vec<_>>(), ["before", "meanwhile", "after"]);
        assert_eq!(house.members[ada].offers, 1);
        for (a, b) in [(ada, bob), (bob, ada)] {
            KINDS.iter().for_each(|kind| assert_no_gap(&stamps(&house, a, b, *kind), "media does not depend on the socket"));
        }
        assert!(stamps(&house, ada, bob, MediaKind::Audio).len() > 1_150, "24 seconds of sound");
        assert!(stamps(&house, ada, guest, MediaKind::Video).len() > 300, "who came meanwhile is seen, before and after resuming");
        assert_eq!(house.members[bob].count(|e| matches!(e, Event::MemberAway { .. })), 2);
    }
}

#[test]
fn a_session_that_is_not_resumed_in_a_minute_is_over() {
    let (mut house, members) = three(4);
    let [ada, bob, _] = members[..] else { unreachable!() };
    house.run(seconds(2));
    house.lose(ada);
    house.run(seconds(59));
    assert_eq!(house.world.engines[0].report().peers, 3);
    house.run(seconds(2));
    let lost = Event::MemberLeft { member: house.members[ada].id(), reason: LeaveReason::Lost };
    assert_eq!(house.members[bob].count(|e| *e == lost), 1);
    assert_eq!(house.world.engines[0].report().peers, 2);
    assert_eq!(house.resume(ada).map_err(|r| r.code), Err(ErrorCode::ResumeUnknown));
}

#[test]
fn who_is_kicked_gets_no_more_media_and_may_not_come_again() {
    let (mut house, members) = three(5);
    let [ada, bob, moderator] = members[..] else { unreachable!() };
    house.run(seconds(2));
    let kick = |member: &crate::member::Member| MemberRequest::Kick { member: member.id() };
    let what = kick(&house.members[moderator]);
    assert_eq!(house.request(ada, what).map_err(|r| r.code), Err(ErrorCode::Forbidden));
    let what = kick(&house.members[ada]);
    house.request(moderator, what).expect("a moderator may");
    assert_eq!(house.members[ada].bye, Some(ByeReason::Kicked));
    assert_eq!(house.world.engines[0].report().peers, 2);
    house.run(Duration::from_millis(50));
    let client = house.members[ada].client;
    let heard = |house: &House| house.world.clients[client].heard.values().map(|h| h.packets.len()).sum::<usize>();
    let (before, unknown) = (heard(&house), house.world.count(Counter::StunUnknownUser));
    house.run(seconds(3));
    assert_eq!(heard(&house), before);
    assert!(house.world.count(Counter::StunUnknownUser) > unknown, "its checks are not answered");
    assert_eq!(house.join(0, "ada").map_err(|r| r.code).err(), Some(ErrorCode::Kicked));
    assert_all_see_all(&house, &[bob, moderator], 100);
}

#[test]
fn a_track_that_a_moderator_mutes_is_heard_by_nobody_until_it_is_allowed_again() {
    let (mut house, members) = three(6);
    let [ada, bob, moderator] = members[..] else { unreachable!() };
    house.run(seconds(2));
    let track = house.members[ada].track(Source::Camera);
    house.request(moderator, MemberRequest::MuteMember { track, muted: true }).expect("a moderator may");
    house.run(Duration::from_millis(100));
    let before = stamps(&house, bob, ada, MediaKind::Video).len();
    house.run(seconds(2));
    assert_eq!(stamps(&house, bob, ada, MediaKind::Video).len(), before);
    assert_no_gap(&stamps(&house, bob, ada, MediaKind::Audio), "the microphone is not muted");
    house.request(moderator, MemberRequest::MuteMember { track, muted: false }).expect("a moderator may");
    house.run(seconds(1));
    let stamps = stamps(&house, bob, ada, MediaKind::Video);
    assert!(stamps.len() > before + 50 && stamps[before].key);
    let told = |e: &Event| matches!(e, Event::Track { track: t, .. } if t.track == track);
    assert_eq!([ada, bob].map(|m| house.members[m].count(told)), [2, 2], "everybody is told of both");
}

/// What comes out of two rooms of three, on these workers.
fn two_rooms(workers: u64) -> Vec<String> {
    let mut house = House::new(7, workers);
    let rooms = [0, 1].map(|n| house.open(n % workers as usize));
    let members: Vec<usize> = (0..6).map(|n| house.enter(rooms[n % 2], &format!("m{n}"))).collect();
    house.run(seconds(5));
    for room in 0..2 {
        assert_all_see_all(&house, &members.iter().copied().skip(room).step_by(2).collect::<Vec<_>>(), 200);
    }
    let outcome = |m: &crate::member::Member| {
        let received: Vec<_> = m
            .shown()
            .iter()
            .map(|(who, audio, video)| {
                let heard = |ssrc: &Option<u32>| {
                    house.world.clients[m.client].heard[&ssrc.expect("both halves")].packets.values().copied().collect::<Vec<_>>()
                };
                (who.clone(), heard(audio), heard(video))
            })
            .collect();
        format!("{} {:?} {received:?}", m.name, m.events)
    };
    house.members.iter().map(outcome).collect()
}

#[test]
fn two_rooms_on_two_workers_are_what_they_are_on_one() {
    assert_eq!(two_rooms(1), two_rooms(2));
}

#[test]
fn a_room_whose_media_failed_goes_on_with_new_connections() {
    for seed in seeds() {
        let (mut house, members) = three(seed);
        house.run(seconds(2));
        house.fail(0);
        assert_eq!(house.world.engines[0].report().rooms, 0);
        for &member in &members {
            assert_eq!(house.members[member].count(|e| matches!(e, Event::Restart {})), 1);
            house.connect(member);
        }
        house.run(seconds(3));
        assert_all_see_all(&house, &members, 100);
        assert!(!house.is_closed(0));
    }
}

#[test]
fn a_room_that_grows_asks_for_more_pairs_and_all_see_all() {
    let mut house = House::new(8, 1);
    let room = house.open(0);
    let mut members = Vec::new();
    for n in 0..9 {
        members.push(house.enter(room, &format!("m{n}")));
        house.run(Duration::from_millis(300));
        for &member in &members {
            let asked = house.members[member].events.iter().rev().find_map(|(_, e)| if let Event::Need { pairs } = e { Some(*pairs) } else { None });
            if asked.is_some_and(|pairs| pairs > house.members[member].pairs) {
                house.members[member].pairs = asked.expect("asked");
                house.offer(member);
            }
        }
    }
    house.run(seconds(2));
    assert_all_see_all(&house, &members, 50);
    assert!(house.members[0].offers > 1);
}

#[test]
fn an_empty_room_ends_after_its_grace_time() {
    let (mut house, members) = three(9);
    house.run(seconds(1));
    members.into_iter().for_each(|m| house.leave(m));
    house.run(seconds(29));
    assert!(!house.is_closed(0));
    house.run(seconds(2));
    assert!(house.is_closed(0));
    assert_eq!(house.world.engines[0].report().rooms, 0);
}

#[test]
fn one_seed_is_one_call() {
    let run = || {
        let (mut house, _) = three(11);
        house.world.link = Link { loss_per_mille: 20, jitter: Duration::from_millis(9), ..Link::GOOD };
        house.run(seconds(3));
        let guest = house.enter(0, "guest");
        house.run(seconds(1));
        house.leave(guest);
        house.run(seconds(1));
        house.digest()
    };
    assert_eq!(run(), run());
}

/// A room whose home takes one connection only: all others go to the other three workers.
fn spread(seed: u64, names: &[&str]) -> (House, usize, Vec<usize>) {
    let mut house = House::new(seed, 4);
    house.spread_from = 1;
    let room = house.open(1);
    let members = names.iter().map(|name| house.enter(room, name)).collect();
    (house, room, members)
}

#[test]
fn a_room_on_four_workers_is_as_one_on_a_single_worker_through_coming_and_going() {
    for seed in seeds() {
        let (mut house, room, mut members) = spread(seed, &["ada", "bob", "mod", "dan", "eve"]);
        let workers: std::collections::BTreeSet<usize> = members.iter().map(|m| house.world.clients[house.members[*m].client].worker).collect();
        assert!(workers.len() >= 3, "they are on {workers:?}");
        house.run(seconds(5));
        assert_all_see_all(&house, &members, 100);
        house.leave(members.remove(0));
        house.run(seconds(2));
        members.push(house.enter(room, "gil"));
        house.connect(members[1]);
        house.run(seconds(5));
        assert_all_see_all(&house, &members, 100);
        let [full, stale, panics] = [Counter::RelayDropFull, Counter::CommandUnknown, Counter::RoomPanic].map(|c| house.world.count(c));
        assert_eq!((full, stale, panics), (0, 0, 0), "every worker knew what it was told of");
    }
}

#[test]
fn a_room_on_four_workers_that_fails_on_one_begins_again_on_all() {
    let (mut house, room, members) = spread(3, &["ada", "bob", "mod", "dan"]);
    house.run(seconds(3));
    house.fail(room);
    assert!(members.iter().all(|m| house.members[*m].events.iter().any(|(_, e)| matches!(e, Event::Restart {}))));
    members.iter().for_each(|m| house.connect(*m));
    house.run(seconds(3));
    assert_all_see_all(&house, &members, 100);
    assert_eq!(house.world.count(Counter::CommandUnknown), 1, "the room that had failed was closed once more");
}

#[test]
fn a_moderator_mutes_across_workers() {
    let (mut house, _, members) = spread(4, &["ada", "bob", "mod", "dan"]);
    house.run(seconds(2));
    let track = house.members[members[2]].slots.iter().find(|s| s.member == house.members[members[1]].id()).and_then(|s| s.audio).expect("his voice");
    house.request(members[2], MemberRequest::MuteMember { track, muted: true }).expect("muted");
    house.run(seconds(1));
    let before = stamps(&house, members[3], members[1], MediaKind::Audio).len();
    house.run(seconds(3));
    assert_eq!(stamps(&house, members[3], members[1], MediaKind::Audio).len(), before);
    house.request(members[2], MemberRequest::MuteMember { track, muted: false }).expect("audible");
    house.run(seconds(3));
    assert!(stamps(&house, members[3], members[1], MediaKind::Audio).len() > before + 100);
}
