use std::collections::BTreeMap;

use proptest::prelude::*;

use super::scene::{Client, Scene, id, track};
use crate::contract::{MediaKind, RoomCommand};
use crate::control::rooms::MemberRequest;
use crate::wire::{ErrorCode, Event, MemberId, OkResult, SlotPair, Source, TrackNumber};

fn places(slots: &[SlotPair]) -> Vec<(u32, MemberId)> {
    slots.iter().map(|s| (s.pair, s.member.clone())).collect()
}

fn points(scene: &Scene) -> usize {
    scene.commands.iter().filter(|c| matches!(c, RoomCommand::Point { .. })).count()
}

#[test]
fn a_published_pair_fills_a_slot_pair_of_each_of_the_others() {
    let mut scene = Scene::new();
    let alice = scene.join_with_media("alice");
    let bob = scene.join_with_media("bob");
    assert_eq!(scene.slots(&alice).map(|s| places(&s)), Some(vec![(0, id("bob"))]));
    let slots = scene.slots(&bob).expect("slots");
    assert!(matches!(&slots[..], [SlotPair { pair: 0, screen: false, audio: Some(_), video: Some(_), .. }]));
}

#[test]
fn slots_are_told_after_the_answer_that_made_them() {
    let mut scene = Scene::new();
    scene.join_with_media("alice");
    let mut bob = scene.join("bob");
    scene.forget();
    bob.grow(bob.pairs);
    let request = scene.offer_request(&bob, &[]);
    let effects = scene.room.apply(crate::control::rooms::Command::Request { socket: bob.socket, id: 1, what: request }, scene.now);
    let place = |what: fn(&crate::control::rooms::Effect) -> bool| effects.iter().position(what).expect("there");
    let answer = place(|e| matches!(e, crate::control::rooms::Effect::Reply { .. }));
    let slots = place(|e| matches!(e, crate::control::rooms::Effect::Tell { event: Event::Slots { .. }, .. }));
    assert!(answer < slots);
}

#[test]
fn a_shared_screen_has_a_pair_of_its_own() {
    let mut scene = Scene::new();
    let alice = scene.join_with_media("alice");
    let mut bob = scene.join_with_media("bob");
    let (screen, sound) = (bob.add(MediaKind::Video), bob.add(MediaKind::Audio));
    scene.forget();
    let publish = [("0", Source::Microphone), ("1", Source::Camera), (screen.as_str(), Source::Screen), (sound.as_str(), Source::ScreenAudio)];
    scene.offer(&bob, &publish).expect("answered");
    let slots = scene.slots(&alice).expect("slots");
    assert_eq!(slots.iter().map(|s| (s.pair, s.screen)).collect::<Vec<_>>(), [(0, false), (1, true)]);
    assert_eq!(points(&scene), 2, "only the new pair is pointed");
}

#[test]
fn ten_joins_and_leaves_never_move_those_who_stay_and_need_no_negotiation() {
    let mut scene = Scene::new();
    let stayers = [scene.join_with_media("alice"), scene.join_with_media("bob"), scene.join_with_media("carol")];
    let mut at_first = Vec::new();
    for stayer in &stayers {
        at_first.push(scene.slots(stayer).map(|s| places(&s)).expect("slots"));
    }
    for round in 0..10 {
        let guest = scene.join_with_media(&format!("guest{round}"));
        for (stayer, first) in stayers.iter().zip(&at_first) {
            let told = scene.told(stayer);
            assert!(!told.iter().any(|e| matches!(e, Event::Need { .. })), "round {round}: {told:?}");
            let with_guest = told.iter().find_map(|e| if let Event::Slots { slots } = e { Some(places(slots)) } else { None }).expect("slots");
            assert_eq!(with_guest[..2], first[..], "round {round}");
            assert_eq!(with_guest[2], (2, guest.id()));
        }
        scene.leave(&guest);
        for (stayer, first) in stayers.iter().zip(&at_first) {
            assert_eq!(scene.slots(stayer).map(|s| places(&s)).as_ref(), Some(first), "round {round}");
        }
    }
}

#[test]
fn a_leaver_empties_one_pair_and_points_nothing_else() {
    let mut scene = Scene::new();
    let members = ["alice", "bob", "carol"].map(|name| scene.join_with_media(name));
    scene.forget();
    scene.leave(&members[0]);
    let pointed: Vec<_> =
        scene.commands.iter().filter_map(|c| if let RoomCommand::Point { source, .. } = c { Some(*source) } else { None }).collect();
    assert_eq!(pointed, [None; 4], "both halves of one pair, for each of two");
}

#[test]
fn more_people_than_pairs_ask_for_more_pairs_in_steps() {
    let mut scene = Scene::new();
    let mut alice = scene.join_with_media("alice");
    assert_eq!(alice.pairs, 4);
    for i in 0..4 {
        scene.join_with_media(&format!("m{i}"));
    }
    assert!(!scene.told(&alice).iter().any(|e| matches!(e, Event::Need { .. })), "four fit");
    for i in 4..7 {
        scene.join_with_media(&format!("m{i}"));
    }
    let needs: Vec<u32> = scene.told(&alice).iter().filter_map(|e| if let Event::Need { pairs } = e { Some(*pairs) } else { None }).collect();
    assert_eq!(needs, [8], "asked once for all of the next step");
    alice.grow(8);
    scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    assert_eq!(scene.slots(&alice).map(|s| s.len()), Some(7), "those who waited are shown");
}

#[test]
fn newcomers_are_told_to_have_a_few_more_pairs_than_there_are_groups() {
    let mut scene = Scene::new();
    let pairs: Vec<u32> = (0..7).map(|i| scene.join_with_media(&format!("m{i}")).pairs).collect();
    assert_eq!(pairs, [4, 4, 4, 6, 6, 8, 8]);
}

#[test]
fn nobody_is_asked_for_more_than_fits_into_the_m_lines() {
    let mut scene = Scene::with(|rules| rules.mlines = 15);
    let alice = scene.join_with_media("alice");
    assert_eq!(alice.pairs, 4);
    for i in 0..6 {
        scene.join_with_media(&format!("m{i}"));
    }
    assert!(!scene.told(&alice).iter().any(|e| matches!(e, Event::Need { .. })));
}

#[test]
fn what_is_not_wanted_takes_no_slot() {
    let mut scene = Scene::new();
    let mut bob = scene.join("bob");
    bob.add(MediaKind::Audio);
    bob.add(MediaKind::Video);
    let published = scene.offer(&bob, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    let (microphone, camera) = (track(&published, Source::Microphone), track(&published, Source::Camera));
    let alice = scene.join_with_media("alice");
    scene.forget();
    let want = |tracks: &[TrackNumber], wanted| MemberRequest::Want { tracks: tracks.to_vec(), wanted };
    scene.request(&alice, want(&[camera], false)).expect("done");
    assert!(matches!(&scene.slots(&alice).expect("slots")[..], [SlotPair { audio: Some(_), video: None, .. }]));
    assert_eq!(points(&scene), 1);
    scene.request(&alice, want(&[microphone], false)).expect("done");
    assert_eq!(scene.slots(&alice), Some(vec![]));
    scene.request(&alice, want(&[microphone, camera], true)).expect("done");
    assert!(matches!(&scene.slots(&alice).expect("slots")[..], [SlotPair { pair: 0, audio: Some(_), video: Some(_), .. }]));
    assert_eq!(scene.request(&alice, want(&[TrackNumber(99_999)], false)), Err(ErrorCode::NotFound));
    assert_eq!(scene.request(&bob, want(&[camera], false)), Err(ErrorCode::NotFound), "one's own");
}

#[test]
fn nobody_receives_without_the_grant() {
    let mut scene = Scene::new();
    let bob = scene.join_with_media("bob");
    let mut talker = scene.try_join("talker", |g| g.subscribe = false).expect("admitted");
    assert_eq!(talker.pairs, 0);
    talker.grow(2);
    scene.forget();
    scene.offer(&talker, &[]).expect("answered");
    assert_eq!((points(&scene), scene.slots(&talker)), (0, None));
    let Ok(OkResult::Joined { members, .. }) = ({
        let mut bob = bob;
        scene.resume(&mut bob, 0)
    }) else {
        panic!("not resumed")
    };
    assert_eq!(members.len(), 1);
}

proptest! {
    #[test]
    fn nobody_is_left_out_of_what_concerns_it(steps in proptest::collection::vec((0usize..8, 0u8..4), 1..60)) {
        // Two pairs for seven others: most slots are full, and whoever leaves frees one that somebody waits for.
        let mut scene = Scene::with(|rules| rules.mlines = 8);
        let mut inside: BTreeMap<usize, Client> = BTreeMap::new();
        for (who, what) in steps {
            match (inside.remove(&who), what) {
                (None, 0) => drop(inside.insert(who, scene.join(&format!("m{who}")))),
                (None, _) => drop(inside.insert(who, scene.join_with_media(&format!("m{who}")))),
                (Some(client), 0) => scene.leave(&client),
                (Some(mut client), 1) => {
                    client.reload();
                    scene.connect(&mut client);
                    inside.insert(who, client);
                }
                (Some(mut client), sources) => {
                    if client.is_connected() {
                        client.grow(2);
                        let publish = [("0", Source::Microphone), ("1", Source::Camera)];
                        scene.offer(&client, &publish[..usize::from(sources) - 2]).expect("answered");
                    }
                    inside.insert(who, client);
                }
            }
            prop_assert_eq!(scene.room.fill_everybody().len(), 0);
        }
    }
}
