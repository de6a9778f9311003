use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{Client, GRACE, Scene, id, track};
use crate::base::TrackId;
use crate::contract::{MediaKind, RoomCommand};
use crate::control::rooms::{AdminOrder, Command, GrantsChange, MemberChange, MemberRequest, OwnedData, Pin, Purpose, RoomSettings, SocketId};
use crate::wire::{ByeReason, DataPayload, ErrorCode, Event, Grants, LeaveReason, MemberId, OkResult, Policy, SlotPair, Source, TrackNumber};

/// What a program wants, and what it is answered.
fn order(scene: &mut Scene, order: AdminOrder) -> Result<(), ErrorCode> {
    let socket = SocketId(scene.draw());
    scene.replies.clear();
    scene.apply(Command::Administer { socket, order });
    let [(to, 0, result)] = &scene.replies[..] else { panic!("{} answers instead of one", scene.replies.len()) };
    assert_eq!(*to, socket);
    result.clone().map(|_| ()).map_err(|refusal| refusal.code)
}

fn change(scene: &mut Scene, name: &str, change: MemberChange) -> Result<(), ErrorCode> {
    order(scene, AdminOrder::Change { member: id(name), change })
}

fn grants(scene: &mut Scene, name: &str, grants: GrantsChange) -> Result<(), ErrorCode> {
    change(scene, name, MemberChange { grants, ..MemberChange::default() })
}

fn set(scene: &mut Scene, settings: RoomSettings) -> Result<(), ErrorCode> {
    order(scene, AdminOrder::Set(settings))
}

fn granted(scene: &mut Scene, client: &Client) -> Option<Grants> {
    scene.told(client).into_iter().rev().find_map(|e| if let Event::Granted { grants } = e { Some(grants) } else { None })
}

/// Whose pictures are in a client's slots.
fn shown(scene: &mut Scene, client: &Client) -> Option<Vec<(MemberId, bool, bool)>> {
    let whole = |s: &SlotPair| (s.member.clone(), s.audio.is_some(), s.video.is_some());
    scene.slots(client).map(|slots| slots.iter().map(whole).collect())
}

#[test]
fn a_member_is_removed_for_good_or_may_come_again() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join("ada"), scene.join("bob"));
    scene.forget();
    assert_eq!(order(&mut scene, AdminOrder::Remove { member: id("bob"), may_return: true }), Ok(()));
    assert_eq!(scene.byes.get(&bob.socket), Some(&ByeReason::Kicked));
    assert_eq!(scene.told(&ada), [Event::MemberLeft { member: id("bob"), reason: LeaveReason::Kicked }]);
    scene.join("bob");
    assert_eq!(order(&mut scene, AdminOrder::Remove { member: id("bob"), may_return: false }), Ok(()));
    assert_eq!(scene.try_join("bob", |_| ()).err(), Some(ErrorCode::Kicked));
    assert_eq!(order(&mut scene, AdminOrder::Remove { member: id("bob"), may_return: false }), Err(ErrorCode::NotFound));
}

#[test]
fn what_may_not_be_published_any_more_ends_and_what_may_be_again_is_told() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join_with_media("ada"), scene.join_with_media("bob"));
    scene.forget();
    let microphone_only = GrantsChange { publish: Some(vec![Source::Microphone, Source::Microphone]), ..GrantsChange::default() };
    assert_eq!(grants(&mut scene, "bob", microphone_only.clone()), Ok(()));
    assert_eq!(granted(&mut scene, &bob).map(|g| g.publish), Some(vec![Source::Microphone]));
    let told = scene.told(&ada);
    assert!(told.iter().any(|e| matches!(e, Event::TrackEnded { member, .. } if *member == id("bob"))), "{told:?}");
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::Unpublish { .. })));
    assert_eq!(scene.room.member_seen(&id("bob")).expect("there").info.tracks.len(), 1);
    assert_eq!(scene.offer(&bob, &[("0", Source::Microphone), ("1", Source::Camera)]).err(), Some(ErrorCode::Forbidden));
    scene.forget();
    assert_eq!(grants(&mut scene, "bob", microphone_only), Ok(()));
    assert_eq!(scene.told(&bob), [], "what is so already is told to nobody");
    grants(&mut scene, "bob", GrantsChange { publish: Some(Source::ALL.to_vec()), ..GrantsChange::default() }).expect("granted");
    scene.offer(&bob, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("published again");
}

#[test]
fn whoever_may_not_receive_is_shown_nobody_until_it_may_again() {
    let mut scene = Scene::new();
    let (ada, _bob) = (scene.join_with_media("ada"), scene.join_with_media("bob"));
    let receive = |subscribe| GrantsChange { subscribe: Some(subscribe), ..GrantsChange::default() };
    scene.forget();
    grants(&mut scene, "ada", receive(false)).expect("granted");
    assert_eq!(shown(&mut scene, &ada), Some(vec![]));
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::Point { source: None, .. })), "the worker is told");
    grants(&mut scene, "ada", receive(true)).expect("granted");
    assert_eq!(shown(&mut scene, &ada), Some(vec![(id("bob"), true, true)]));
}

#[test]
fn who_moderates_is_seen_by_all_and_hears_who_knocks() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join("ada"), scene.join("bob"));
    set(&mut scene, RoomSettings { locked: Some(true), ..RoomSettings::default() }).expect("locked");
    let knocking = super::scene::Introduction { knock: true, ..Default::default() };
    assert_eq!(scene.try_join_with("carol", |_| (), knocking).err(), Some(ErrorCode::Locked));
    scene.pass(Duration::from_secs(1));
    scene.forget();
    grants(&mut scene, "ada", GrantsChange { moderate: Some(true), ..GrantsChange::default() }).expect("granted");
    scene.pass(Duration::from_secs(1));
    let told = scene.told(&ada);
    assert!(told.iter().any(|e| matches!(e, Event::Knocking { people } if people.len() == 1)), "{told:?}");
    assert!(matches!(&scene.told(&bob)[..], [Event::MemberChanged { member }] if member.moderator));
    assert_eq!(order(&mut scene, AdminOrder::Admit { member: id("carol"), admitted: true }), Ok(()));
    scene.join("carol");
    assert_eq!(order(&mut scene, AdminOrder::Admit { member: id("carol"), admitted: true }), Err(ErrorCode::NotFound));
}

#[test]
fn what_is_said_of_a_member_is_told_to_all_and_bounded() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join("ada"), scene.join("bob"));
    scene.forget();
    let attributes: BTreeMap<_, _> = [("seat".to_owned(), "7".to_owned())].into();
    let described = MemberRequest::Describe { metadata: Some("m".into()), attributes: Some(attributes.clone()) };
    assert_eq!(scene.request(&bob, described), Ok(None));
    let changed = |told: Vec<Event>| match &told[..] {
        [Event::MemberChanged { member }] => (member.metadata.clone(), member.attributes.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(changed(scene.told(&ada)), ("m".to_owned(), attributes.clone()));
    scene.forget();
    let name = MemberChange { name: Some("Robert".into()), metadata: Some(String::new()), ..MemberChange::default() };
    assert_eq!(change(&mut scene, "bob", name), Ok(()));
    assert_eq!(changed(scene.told(&ada)), (String::new(), attributes), "what is not mentioned stays");
    assert_eq!(scene.room.member_seen(&id("bob")).expect("there").info.name, "Robert");
    let many: BTreeMap<_, _> = (0..33).map(|n| (n.to_string(), String::new())).collect();
    for (metadata, attributes, code) in [
        (Some("x".repeat(1_025)), None, ErrorCode::LimitExceeded),
        (Some("x".repeat(600)), Some([("y".repeat(10), "z".repeat(600))].into()), ErrorCode::LimitExceeded),
        (None, Some(many), ErrorCode::LimitExceeded),
        (Some("\u{1}".into()), None, ErrorCode::Malformed),
        (None, Some([(String::new(), String::new())].into()), ErrorCode::Malformed),
        (None, Some([("a".to_owned(), "\u{1b}".to_owned())].into()), ErrorCode::Malformed),
    ] {
        assert_eq!(scene.request(&bob, MemberRequest::Describe { metadata: metadata.clone(), attributes: attributes.clone() }), Err(code));
        assert_eq!(change(&mut scene, "bob", MemberChange { metadata, attributes, ..MemberChange::default() }), Err(code));
    }
    grants(&mut scene, "bob", GrantsChange { describe: Some(false), ..GrantsChange::default() }).expect("granted");
    assert_eq!(scene.request(&bob, MemberRequest::Describe { metadata: Some("x".into()), attributes: None }), Err(ErrorCode::Forbidden));
    scene.forget();
    let describe = |n: usize| MemberRequest::Describe { metadata: Some(n.to_string()), attributes: None };
    assert!((0..100).any(|n| scene.request(&ada, describe(n)) == Err(ErrorCode::RateLimited)), "each is told to everybody");
    assert!(scene.told(&bob).len() <= 10);
}

#[test]
fn a_source_is_for_whom_its_publisher_names_now_and_when_it_is_published_again() {
    let mut scene = Scene::new();
    let (ada, bob, mut carol) = (scene.join_with_media("ada"), scene.join_with_media("bob"), scene.join_with_media("carol"));
    scene.forget();
    let for_bob = MemberRequest::Audience { source: Source::Camera, members: Some(vec![id("bob")]) };
    assert_eq!(scene.request(&ada, for_bob), Ok(None));
    assert_eq!(shown(&mut scene, &carol), Some(vec![(id("ada"), true, false), (id("bob"), true, true)]));
    let told = scene.told(&bob);
    assert!(told.iter().any(|e| matches!(e, Event::Track { track, .. } if track.audience == Some(vec![id("bob")]))), "{told:?}");
    assert!(!told.iter().any(|e| matches!(e, Event::Slots { .. })), "for bob nothing changes");
    // Whoever publishes again, or comes later, changes nothing about it.
    scene.offer(&ada, &[("0", Source::Microphone)]).expect("ended");
    scene.forget();
    scene.offer(&ada, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("published again");
    assert_eq!(shown(&mut scene, &carol), None, "carol is shown no more than before");
    assert_eq!(shown(&mut scene, &bob), Some(vec![(id("ada"), true, true), (id("carol"), true, true)]));
    scene.resume(&mut carol, 0).expect("resumed");
    let dan = scene.join_with_media("dan");
    assert!(shown(&mut scene, &dan).expect("slots").contains(&(id("ada"), true, false)));
    let (_, answer) =
        scene.attach("player", Purpose::Play(vec![Pin::member(id("ada"))]), &[(MediaKind::Audio, false), (MediaKind::Video, false)]).expect("plays");
    assert!(answer.contains("m=video"));
    let camera = scene.room.member_seen(&id("ada")).expect("there").info.tracks.iter().find(|t| t.source == Source::Camera).expect("a camera").track;
    let shows_player = |c: &RoomCommand| matches!(c, RoomCommand::Point { source: Some(source), name: None, .. } if source.0 == camera.0);
    assert!(!scene.commands.iter().any(shows_player), "a player is a member like any other");
    // And everybody again.
    scene.forget();
    assert_eq!(scene.request(&ada, MemberRequest::Audience { source: Source::Camera, members: None }), Ok(None));
    assert!(shown(&mut scene, &carol).expect("slots").contains(&(id("ada"), true, true)));
}

#[test]
fn an_audience_is_bounded_and_names_members() {
    let mut scene = Scene::new();
    let ada = scene.join("ada");
    let audience = |members| MemberRequest::Audience { source: Source::Camera, members: Some(members) };
    let many = (0..101).map(|n| id(&n.to_string())).collect();
    assert_eq!(scene.request(&ada, audience(many)), Err(ErrorCode::LimitExceeded));
    assert_eq!(scene.request(&ada, audience(vec![MemberId("a b".into())])), Err(ErrorCode::InvalidName));
    assert_eq!(scene.request(&ada, audience(vec![])), Ok(None));
}

#[test]
fn where_not_everybody_may_receive_media_goes_through_the_server() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join_direct("ada", None), scene.join_direct("bob", None));
    assert_eq!(scene.room.via(), Some("direct"));
    scene.request(&ada, MemberRequest::Audience { source: Source::Screen, members: Some(vec![]) }).expect("said");
    assert_eq!(scene.room.via(), Some("server"));
    scene.request(&ada, MemberRequest::Audience { source: Source::Screen, members: None }).expect("said");
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.room.via(), Some("direct"));
    grants(&mut scene, "bob", GrantsChange { chat: Some(false), ..GrantsChange::default() }).expect("granted");
    assert_eq!(scene.room.via(), Some("server"), "nobody could keep bob from chatting directly");
    assert!(granted(&mut scene, &bob).is_some());
}

#[test]
fn tracks_are_as_many_as_room_and_token_say() {
    let mut scene = Scene::with(|rules| rules.tracks = 2);
    let mut ada = scene.join("ada");
    let lines = [MediaKind::Video, MediaKind::Video, MediaKind::Audio, MediaKind::Audio].map(|kind| ada.add(kind));
    let both = [(lines[0].as_str(), Source::Camera), (lines[2].as_str(), Source::Microphone)];
    let all = [both[0], both[1], (lines[1].as_str(), Source::Screen)];
    assert_eq!(scene.offer(&ada, &all).err(), Some(ErrorCode::LimitExceeded));
    scene.offer(&ada, &both).expect("published");
    let screen = crate::wire::PublishLine { mid: lines[1].clone(), source: Source::Screen, muted: false, fallback: false };
    let publish = MemberRequest::Publish { line: screen, track: TrackId(9_999) };
    assert_eq!(scene.request(&ada, publish), Err(ErrorCode::LimitExceeded));
    set(&mut scene, RoomSettings { tracks: Some(1), ..RoomSettings::default() }).expect("set");
    assert_eq!(scene.offer(&ada, &both).err(), Some(ErrorCode::LimitExceeded));
    scene.offer(&ada, &both[..1]).expect("one is good");
    set(&mut scene, RoomSettings { tracks: Some(4), ..RoomSettings::default() }).expect("set");
    assert_eq!(scene.offer(&ada, &all).err(), Some(ErrorCode::LimitExceeded), "never more than the server's");
}

#[test]
fn a_room_is_given_limits_that_are_never_wider_than_the_servers() {
    let mut scene = Scene::with(|rules| (rules.members, rules.policy) = (3, Policy::Auto));
    scene.join("ada");
    set(&mut scene, RoomSettings { members: Some(1), ..RoomSettings::default() }).expect("set");
    assert_eq!(scene.try_join("bob", |_| ()).err(), Some(ErrorCode::Full));
    scene.join("ada");
    set(&mut scene, RoomSettings { members: Some(100), ..RoomSettings::default() }).expect("set");
    assert_eq!(scene.room.seen().most_members, 3);
    for bad in [
        RoomSettings { members: Some(0), ..RoomSettings::default() },
        RoomSettings { tracks: Some(5), ..RoomSettings::default() },
        RoomSettings { empty_seconds: Some(86_401), ..RoomSettings::default() },
        RoomSettings { metadata: Some("x".repeat(1_025)), ..RoomSettings::default() },
    ] {
        assert_eq!(set(&mut scene, bad), Err(ErrorCode::LimitExceeded));
    }
    assert_eq!(set(&mut scene, RoomSettings { policy: Some(Policy::P2p), ..RoomSettings::default() }), Err(ErrorCode::DirectOnly));
    let mut strict = Scene::with(|rules| rules.policy = Policy::Sfu);
    assert_eq!(set(&mut strict, RoomSettings { policy: Some(Policy::Auto), ..RoomSettings::default() }), Err(ErrorCode::Forbidden));
}

#[test]
fn a_rooms_policy_is_that_of_whoever_made_it_and_its_members_do_not_go_beyond() {
    let mut scene = Scene::new();
    scene.room.furnish(RoomSettings { policy: Some(Policy::Sfu), metadata: Some("m".into()), ..RoomSettings::default() });
    let ada = scene.join_direct("ada", None);
    scene.join_direct("bob", None);
    assert_eq!((scene.room.seen().policy, scene.room.via()), (Policy::Sfu, Some("server")));
    assert_eq!(scene.request(&ada, MemberRequest::Policy { policy: Policy::Auto }), Err(ErrorCode::Forbidden));
    scene.forget();
    set(&mut scene, RoomSettings { policy: Some(Policy::Auto), metadata: Some("n".into()), ..RoomSettings::default() }).expect("set");
    let told = scene.told(&ada);
    assert!(told.contains(&Event::Policy { policy: Policy::Auto }) && told.contains(&Event::Room { metadata: "n".into() }), "{told:?}");
    let mut ada = ada;
    let Ok(OkResult::Joined { metadata, policy, .. }) = scene.resume(&mut ada, 0) else { panic!("not resumed") };
    assert_eq!((metadata.as_str(), policy), ("n", Policy::Auto));
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.room.via(), Some("direct"));
}

#[test]
fn an_empty_room_waits_as_long_as_it_was_told() {
    let mut scene = Scene::new();
    scene.room.furnish(RoomSettings { empty_seconds: Some(600), ..RoomSettings::default() });
    // Each time that it is empty.
    let ada = scene.join("ada");
    scene.leave(&ada);
    scene.pass(Duration::from_secs(599));
    assert!(!scene.closed);
    scene.pass(Duration::from_secs(2));
    assert!(scene.closed);
    let mut usual = Scene::new();
    usual.pass(GRACE);
    assert!(usual.closed);
}

#[test]
fn a_room_that_is_ended_tells_everybody_and_is_over() {
    let mut scene = Scene::new();
    let people = [scene.join_with_media("ada"), scene.join("bob")];
    assert_eq!(order(&mut scene, AdminOrder::End), Ok(()));
    assert!(scene.closed && people.iter().all(|p| scene.byes.get(&p.socket) == Some(&ByeReason::Ended)));
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::Close)));
}

#[test]
fn data_of_a_program_reaches_all_or_those_who_are_named() {
    let mut scene = Scene::new();
    let (ada, bob) = (scene.join("ada"), scene.join("bob"));
    scene.forget();
    let send = |to: Vec<MemberId>, payload: &[u8]| AdminOrder::Send {
        from: MemberId("backend".into()),
        data: OwnedData { topic: "bell".into(), to, text: true, payload: payload.to_vec(), lossy: false, number: None },
    };
    let heard = || Event::Data { from: MemberId("backend".into()), topic: "bell".into(), payload: DataPayload::Text("ding".into()) };
    assert_eq!(order(&mut scene, send(vec![], b"ding")), Ok(()));
    assert_eq!((scene.told(&ada), scene.told(&bob)), (vec![heard()], vec![heard()]));
    assert_eq!(order(&mut scene, send(vec![id("bob"), id("nobody")], b"ding")), Ok(()));
    assert_eq!((scene.told(&ada), scene.told(&bob)), (vec![], vec![heard()]));
    assert_eq!(order(&mut scene, send(vec![], &[b'x'; 20_000])), Err(ErrorCode::LimitExceeded));
}

#[test]
fn tracks_are_muted_one_by_one_and_all_at_once() {
    let mut scene = Scene::new();
    let (ada, mut bob) = (scene.join_with_media("ada"), scene.join("bob"));
    bob.add(MediaKind::Audio);
    let microphone = track(&scene.offer(&bob, &[("0", Source::Microphone)]).expect("published"), Source::Microphone);
    scene.forget();
    assert_eq!(order(&mut scene, AdminOrder::MuteTrack { track: microphone, muted: true }), Ok(()));
    assert!(scene.told(&ada).iter().any(|e| matches!(e, Event::Track { track, .. } if track.track == microphone && track.muted_by_moderator)));
    assert_eq!(order(&mut scene, AdminOrder::MuteTrack { track: TrackNumber(9_999), muted: true }), Err(ErrorCode::NotFound));
    assert_eq!(order(&mut scene, AdminOrder::MuteAll { source: Source::Microphone, muted: true }), Ok(()));
    let seen = scene.room.tracks_seen(0, 100);
    assert!(seen.iter().filter(|t| t.track.source == Source::Microphone).all(|t| t.track.muted_by_moderator), "of everybody");
    assert_eq!(seen.len(), 3);
    let behind = scene.room.tracks_seen(seen[0].track.track.0, 1);
    assert_eq!(behind, seen[1..2], "a page goes on behind the last one");
}
