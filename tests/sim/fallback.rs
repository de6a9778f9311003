//! A picture that somebody cannot decode: rooms, engines and clients with different codecs.

use std::time::Duration;

use althing::contract::{Counter, MediaKind};
use althing::wire::{Event, QualityLimit, Source, VideoCodec};

use crate::client::{H264, Stamp, VP8};
use crate::house::House;
use crate::seeds;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What `member` has received of the picture of `whom`, in the order in which it was numbered.
fn pictures(house: &House, member: usize, whom: usize) -> Vec<Stamp> {
    let (member, whom) = (&house.members[member], &house.members[whom]);
    let ssrc = member.ssrc_of(&whom.name, MediaKind::Video).expect("a slot");
    house.world.clients[member.client].heard.get(&ssrc).map(|heard| heard.from(whom.client)).unwrap_or_default()
}

fn assert_no_gap(stamps: &[Stamp]) {
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "a gap after {:?}", pair[0]);
    }
}

/// What a member was asked for.
fn asked(house: &House, member: usize) -> Vec<Vec<VideoCodec>> {
    let codecs = |event: &Event| if let Event::Fallback { codecs, .. } = event { Some(codecs.clone()) } else { None };
    house.members[member].events.iter().filter_map(|(_, event)| codecs(event)).collect()
}

/// The last limit that a member was told of a track.
fn limit(house: &House, member: usize, whom: usize) -> Option<QualityLimit> {
    let track = house.members[whom].track(Source::Camera);
    let of = |event: &Event| if let Event::Quality { tracks } = event { tracks.iter().find(|t| t.track == track).map(|t| t.limit) } else { None };
    house.members[member].events.iter().rev().find_map(|(_, event)| of(event)).flatten()
}

fn one_needs_another_codec(seed: u64, workers: u64) {
    let mut house = House::new(seed, workers);
    if workers > 1 {
        house.spread_from = 1;
    }
    let room = house.open(0);
    let ada = house.enter_with(room, "ada", |codecs| (codecs.sends, codecs.spare) = (vec![H264, VP8], true));
    let bob = house.enter(room, "bob");
    let cat = house.enter_with(room, "cat", |codecs| codecs.receives = vec![H264, VP8]);
    let places: std::collections::BTreeSet<usize> = [ada, bob, cat].iter().map(|m| house.world.clients[house.members[*m].client].worker).collect();
    assert_eq!(places.len() > 1, workers > 1, "they are on {places:?}");

    house.run(seconds(3));
    assert_eq!(pictures(&house, bob, ada), [], "nothing that cannot be decoded is sent");
    assert_eq!(limit(&house, bob, ada), Some(QualityLimit::Codec), "and the one who waits for it is told why");
    assert_ne!(limit(&house, cat, ada), Some(QualityLimit::Codec));
    assert_eq!(asked(&house, ada), [vec![VideoCodec::Vp8]]);

    house.fall_back(ada, VP8);
    house.run(seconds(3));
    let seen = pictures(&house, bob, ada);
    assert!(seen.len() > 200 && seen[0].key, "{} packets have come", seen.len());
    assert_no_gap(&seen);
    assert_ne!(limit(&house, bob, ada), Some(QualityLimit::Codec));
    assert_eq!(house.members[bob].offers, 1, "in the same slot, without an offer");
    let original = pictures(&house, cat, ada);
    assert!(original.len() > 500, "{}", original.len());
    assert_no_gap(&original);
    let of_ada = house.members[cat].count(|e| matches!(e, Event::Track { member, track } if member.0 == "ada" && track.source == Source::Camera));
    assert!(of_ada <= 1, "nobody hears of a second camera");

    house.leave(bob);
    house.run(seconds(4));
    assert_eq!(asked(&house, ada).len(), 1, "not at the first moment");
    house.run(seconds(2));
    assert_eq!(asked(&house, ada)[1..], [vec![]]);
    assert_no_gap(&pictures(&house, cat, ada));
    let [stale, panics] = [Counter::CommandUnknown, Counter::RoomPanic].map(|c| house.world.count(c));
    assert_eq!((stale, panics), (0, 0), "every worker knew what it was told of");
}

#[test]
fn who_cannot_decode_a_picture_gets_another_one_in_the_same_slot_and_nobody_else_notices() {
    seeds().into_iter().for_each(|seed| one_needs_another_codec(seed, 1));
}

#[test]
fn the_same_holds_where_the_picture_comes_from_another_worker() {
    seeds().into_iter().for_each(|seed| one_needs_another_codec(seed, 4));
}
