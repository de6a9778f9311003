use super::scene::{Scene, id, track};
use crate::base::TrackId;
use crate::contract::RoomCommand;
use crate::control::rooms::MemberRequest;
use crate::wire::{ByeReason, ErrorCode, Event, LeaveReason, Source, TrackNumber};

#[test]
fn a_kicked_member_is_told_is_gone_and_does_not_come_back() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let bob = scene.join_with_media("bob");
    scene.forget();
    assert_eq!(scene.request(&moderator, MemberRequest::Kick { member: id("bob") }), Ok(None));
    assert_eq!(scene.byes.get(&bob.socket), Some(&ByeReason::Kicked));
    assert!(scene.told(&moderator).contains(&Event::MemberLeft { member: id("bob"), reason: LeaveReason::Kicked }));
    assert_eq!(scene.sent_away, [id("bob")], "relays take him no longer, either");
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::RemovePeer { .. })));
    assert_eq!(scene.try_join("bob", |_| ()).err(), Some(ErrorCode::Kicked));
    let mut bob = bob;
    assert_eq!(scene.resume(&mut bob, 0).err(), Some(ErrorCode::ResumeUnknown));
    assert_eq!(scene.request(&moderator, MemberRequest::Kick { member: id("bob") }), Err(ErrorCode::NotFound));
}

#[test]
fn a_locked_room_takes_nobody_new_but_lets_its_members_come_again() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let mut bob = scene.join("bob");
    scene.forget();
    assert_eq!(scene.request(&moderator, MemberRequest::Lock { locked: true }), Ok(None));
    assert_eq!(scene.told(&bob), [Event::Locked { locked: true }]);
    assert_eq!(scene.request(&moderator, MemberRequest::Lock { locked: true }), Ok(None));
    assert_eq!(scene.told(&bob), [], "told once");
    assert_eq!(scene.try_join("carol", |g| g.moderate = true).err(), Some(ErrorCode::Locked));
    scene.lose(&bob);
    scene.resume(&mut bob, 1).expect("resumed");
    scene.join("bob");
    scene.request(&moderator, MemberRequest::Lock { locked: false }).expect("unlocked");
    scene.join("carol");
}

#[test]
fn who_was_inside_when_the_room_was_locked_may_leave_and_come_again() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let bob = scene.join("bob");
    scene.request(&moderator, MemberRequest::Lock { locked: true }).expect("locked");
    // A tab that reloads leaves, and joins anew.
    scene.request(&bob, MemberRequest::Leave).expect("left");
    scene.join("bob");
    assert_eq!(scene.try_join("carol", |_| ()).err(), Some(ErrorCode::Locked));
}

#[test]
fn a_track_that_a_moderator_mutes_is_not_forwarded_and_everybody_is_told() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let mut bob = scene.join("bob");
    bob.add(crate::contract::MediaKind::Audio);
    let microphone = track(&scene.offer(&bob, &[("0", Source::Microphone)]).expect("published"), Source::Microphone);
    scene.forget();
    scene.request(&moderator, MemberRequest::MuteMember { track: microphone, muted: true }).expect("muted");
    assert_eq!(scene.commands, [RoomCommand::Mute { track: TrackId(microphone.0), muted: true }]);
    for told in [scene.told(&moderator), scene.told(&bob)] {
        assert!(matches!(&told[..], [Event::Track { track, .. }] if track.muted_by_moderator && !track.muted), "{told:?}");
    }
    scene.request(&moderator, MemberRequest::MuteMember { track: microphone, muted: true }).expect("muted already");
    assert_eq!((scene.commands.len(), scene.told(&bob)), (1, vec![]));
}

#[test]
fn what_a_moderator_muted_stays_muted_when_it_is_published_again() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let mut bob = scene.join("bob");
    bob.add(crate::contract::MediaKind::Audio);
    let first = track(&scene.offer(&bob, &[("0", Source::Microphone)]).expect("published"), Source::Microphone);
    scene.request(&moderator, MemberRequest::MuteMember { track: first, muted: true }).expect("muted");
    scene.offer(&bob, &[]).expect("unpublished");
    scene.forget();
    let again = scene.offer(&bob, &[("0", Source::Microphone)]).expect("published");
    assert!(again[0].1.muted_by_moderator);
    assert!(scene.commands.contains(&RoomCommand::Mute { track: TrackId(again[0].1.track.0), muted: true }));
    let mut bob = scene.join("bob");
    bob.add(crate::contract::MediaKind::Audio);
    let after_coming_again = scene.offer(&bob, &[("0", Source::Microphone)]).expect("published");
    assert!(after_coming_again[0].1.muted_by_moderator);
}

#[test]
fn everybody_else_is_muted_at_once_and_may_speak_again() {
    let mut scene = Scene::new();
    let mut moderator = scene.moderator("mod");
    scene.connect(&mut moderator);
    let [bob, carol] = ["bob", "carol"].map(|name| scene.join_with_media(name));
    scene.forget();
    for muted in [true, false] {
        assert_eq!(scene.request(&moderator, MemberRequest::MuteAll { source: Source::Microphone, muted }), Ok(None));
        let is_meant = |e: &Event| matches!(e, Event::Track { member, track } if *member != id("mod") && track.source == Source::Microphone && track.muted_by_moderator == muted);
        for client in [&moderator, &bob, &carol] {
            let told = scene.told(client);
            assert!(told.len() == 2 && told.iter().all(is_meant), "{told:?}");
        }
        let commands = std::mem::take(&mut scene.commands);
        assert!(commands.len() == 2 && commands.iter().all(|c| matches!(c, RoomCommand::Mute { muted: m, .. } if *m == muted)), "{commands:?}");
    }
}

#[test]
fn nobody_moderates_without_the_grant() {
    let mut scene = Scene::new();
    scene.join("alice");
    let bob = scene.join("bob");
    scene.forget();
    let requests = [
        MemberRequest::Kick { member: id("alice") },
        MemberRequest::MuteMember { track: TrackNumber(1), muted: true },
        MemberRequest::MuteAll { source: Source::Microphone, muted: true },
        MemberRequest::Lock { locked: true },
        MemberRequest::Admit { member: id("alice"), admitted: true },
    ];
    for request in requests {
        assert_eq!(scene.request(&bob, request), Err(ErrorCode::Forbidden));
    }
    assert!(scene.events.is_empty() && scene.commands.is_empty());
}
