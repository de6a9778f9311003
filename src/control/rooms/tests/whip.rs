use std::time::Duration;

use super::scene::{Client, RESUME, Scene, Session, id};
use crate::base::{PeerId, RoomId, TrackId};
use crate::contract::MediaKind::{Audio, Video};
use crate::contract::{DisconnectReason, Event as Media, MediaKind, RoomCommand, SrtpProfile};
use crate::control::rooms::whip::CONNECT_WITHIN;
use crate::control::rooms::{Command, Condition, MemberRequest, Pin, Purpose};
use crate::wire::{ErrorCode, Event, LeaveReason, MemberInfo, OkResult, Source};

const ROOM: RoomId = RoomId(1);
const SEND: [(MediaKind, bool); 2] = [(Audio, true), (Video, true)];
const PAIR: [(MediaKind, bool); 2] = [(Audio, false), (Video, false)];

fn publish(scene: &mut Scene, name: &str) -> Session {
    scene.attach(name, Purpose::Publish, &SEND).expect("published").0
}

fn play(scene: &mut Scene, members: &[&str], lines: &[(MediaKind, bool)]) -> Session {
    play_pins(scene, members.iter().map(|m| Pin::member(id(m))).collect(), lines)
}

fn play_pins(scene: &mut Scene, pins: Vec<Pin>, lines: &[(MediaKind, bool)]) -> Session {
    scene.attach("player", Purpose::Play(pins), lines).expect("played").0
}

/// The identity of the track that a connection publishes on an m-line.
fn track_of(scene: &Scene, of: &Session, wanted: u8) -> TrackId {
    let found = scene.commands.iter().rev().find_map(|c| match c {
        RoomCommand::Publish { peer, mline, track, .. } if (*peer, *mline) == (of.peer, wanted) => Some(*track),
        _ => None,
    });
    found.expect("a track that was published")
}

fn speak(scene: &mut Scene, speaking: &[(&Session, u8)]) {
    let speaking = speaking.iter().map(|(who, level)| (track_of(scene, who, 0), *level)).collect();
    scene.apply(Command::Media(Media::Speakers { room: ROOM, speaking }));
}

fn connected(scene: &mut Scene, session: &Session) {
    scene.apply(Command::Media(Media::Connected {
        room: ROOM,
        peer: session.peer,
        profile: SrtpProfile::AeadAes128Gcm,
        reached: crate::base::Time::ZERO,
    }));
}

fn disconnected(scene: &mut Scene, session: &Session, reason: DisconnectReason) {
    scene.apply(Command::Media(Media::Disconnected { room: ROOM, peer: session.peer, reason }));
}

/// Whose tracks the worker would send on each m-line of a connection, by the commands of the scene's whole life.
fn pointed(scene: &Scene, peer: PeerId, mlines: u8) -> Vec<Option<(PeerId, u8)>> {
    let owner = |track: TrackId| {
        let published = scene.commands.iter().find_map(|c| match c {
            RoomCommand::Publish { peer, mline, track: t, .. } if *t == track => Some((*peer, *mline)),
            _ => None,
        });
        published.expect("a track that was published")
    };
    let last = |mline: u8| {
        scene.commands.iter().rev().find_map(|c| match c {
            RoomCommand::Point { peer: p, mline: m, source, .. } if (*p, *m) == (peer, mline) => Some(*source),
            _ => None,
        })
    };
    (0..mlines).map(|m| last(m).flatten().map(owner)).collect()
}

fn left(scene: &mut Scene, witness: &Client) -> Vec<LeaveReason> {
    scene.told(witness).into_iter().filter_map(|e| if let Event::MemberLeft { reason, .. } = e { Some(reason) } else { None }).collect()
}

#[test]
fn a_publisher_appears_to_the_others_as_any_member_does() {
    let mut scene = Scene::new();
    let mut bob = scene.join("bob");
    bob.grow(2);
    scene.offer(&bob, &[]).expect("answered");
    scene.forget();
    let (_, sdp) = scene.attach("alice", Purpose::Publish, &SEND).expect("published");
    assert_eq!((sdp.matches("a=recvonly").count(), sdp.matches(" udp ").count(), sdp.matches("tcptype passive").count()), (2, 2, 2), "{sdp}");
    match &scene.told(&bob)[..] {
        [
            Event::MemberJoined { member: MemberInfo { member, name, away: false, tracks, .. } },
            Event::Track { track: microphone, .. },
            Event::Track { track: camera, .. },
            Event::Slots { slots },
        ] => {
            assert_eq!((member, name.as_str(), tracks.len()), (&id("alice"), "ALICE", 0));
            assert_eq!((microphone.source, camera.source), (Source::Microphone, Source::Camera));
            assert_eq!((&slots[0].member, slots[0].audio, slots[0].video), (&id("alice"), Some(microphone.track), Some(camera.track)));
        }
        other => panic!("unexpected: {other:?}"),
    }
    assert!(scene.events.is_empty(), "nobody else is told anything");
}

#[test]
fn what_a_publisher_offers_to_receive_stays_empty_and_a_second_pair_is_its_screen() {
    let mut scene = Scene::new();
    let bob = scene.join_with_media("bob");
    scene.forget();
    let (_, sdp) =
        scene.attach("alice", Purpose::Publish, &[(Video, true), (Audio, true), (Video, true), (Audio, true), (Audio, false)]).expect("published");
    assert_eq!((sdp.matches("a=recvonly").count(), sdp.matches("a=inactive").count()), (4, 1), "{sdp}");
    let sources: Vec<Source> =
        scene.told(&bob).into_iter().filter_map(|e| if let Event::Track { track, .. } = e { Some(track.source) } else { None }).collect();
    assert_eq!(sources, [Source::Camera, Source::Microphone, Source::Screen, Source::ScreenAudio]);
}

#[test]
fn an_offer_that_cannot_be_used_changes_nothing() {
    let mut scene = Scene::new();
    let first = publish(&mut scene, "alice");
    let witness = scene.join("witness");
    scene.forget();
    let lines = |n: usize, sends: bool| [(Audio, sends)].repeat(n);
    assert_eq!(scene.attach("alice", Purpose::Publish, &lines(2, false)).err(), Some(ErrorCode::PublishConflict), "nothing is sent");
    assert_eq!(scene.attach("alice", Purpose::Publish, &lines(3, true)).err(), Some(ErrorCode::PublishConflict), "three microphones");
    assert_eq!(
        scene.attach("player", Purpose::Play(vec![Pin::member(id("alice"))]), &lines(1, true)).err(),
        Some(ErrorCode::PublishConflict),
        "nothing is received"
    );
    assert_eq!((scene.told(&witness), scene.commands.len(), scene.room.len()), (vec![], 0, 2));
    assert_eq!(scene.detach(&first.secret), Ok(()), "the session that it would have replaced goes on");
}

#[test]
fn a_second_offer_of_the_same_member_takes_the_place_of_the_first() {
    let mut scene = Scene::new();
    let first = publish(&mut scene, "alice");
    let witness = scene.join("witness");
    let second = publish(&mut scene, "alice");
    assert_eq!(left(&mut scene, &witness), [LeaveReason::Replaced]);
    assert!(!scene.room.has_socket(first.socket) && scene.room.has_socket(second.socket));
    assert_eq!(scene.detach(&first.secret), Err(ErrorCode::ResumeUnknown));
    let alice = scene.join("alice");
    assert_eq!(left(&mut scene, &witness), [LeaveReason::Replaced], "by a socket too");
    publish(&mut scene, "alice");
    assert!(scene.byes.contains_key(&alice.socket), "and the other way round");
}

#[test]
fn a_session_ends_by_its_secret_and_only_by_that() {
    let mut scene = Scene::new();
    let alice = publish(&mut scene, "alice");
    let mut witness = scene.join("witness");
    assert_eq!(scene.detach("1.alice-0"), Err(ErrorCode::ResumeUnknown));
    assert_eq!(scene.detach(&witness.secret.clone()), Err(ErrorCode::ResumeUnknown), "a socket's session is none");
    let own = std::mem::replace(&mut witness.secret, alice.secret.clone());
    assert_eq!(scene.resume(&mut witness, 0).err(), Some(ErrorCode::ResumeUnknown), "nor can it be resumed by a socket");
    witness.secret = own;
    scene.forget();
    assert_eq!(scene.detach(&alice.secret), Ok(()));
    assert_eq!(left(&mut scene, &witness), [LeaveReason::Left]);
    assert!(scene.commands.contains(&RoomCommand::RemovePeer { peer: alice.peer }));
    assert_eq!(scene.detach(&alice.secret), Err(ErrorCode::ResumeUnknown));
}

#[test]
fn a_session_whose_connection_never_comes_ends() {
    let mut scene = Scene::new();
    let (alice, bob) = (publish(&mut scene, "alice"), publish(&mut scene, "bob"));
    let witness = scene.join("witness");
    connected(&mut scene, &bob);
    scene.pass(CONNECT_WITHIN - Duration::from_millis(1));
    assert!(scene.room.has_socket(alice.socket));
    scene.pass(Duration::from_millis(1));
    assert_eq!(left(&mut scene, &witness), [LeaveReason::Lost]);
    assert!(!scene.room.has_socket(alice.socket));
    scene.pass(Duration::from_secs(3_600));
    assert!(scene.room.has_socket(bob.socket), "one that has come stays");
}

#[test]
fn lost_consent_is_waited_for_as_a_lost_socket_is() {
    let mut scene = Scene::new();
    let alice = publish(&mut scene, "alice");
    let witness = scene.join("witness");
    connected(&mut scene, &alice);
    assert_eq!(scene.told(&witness), []);
    disconnected(&mut scene, &alice, DisconnectReason::ConsentLost);
    scene.pass(RESUME - Duration::from_secs(1));
    scene.apply(Command::Media(Media::Reconnected { room: ROOM, peer: alice.peer }));
    assert_eq!(scene.told(&witness), [true, false].map(|away| Event::MemberAway { member: id("alice"), away }));
    scene.pass(RESUME * 2);
    assert!(scene.room.has_socket(alice.socket));
    disconnected(&mut scene, &alice, DisconnectReason::ConsentLost);
    scene.pass(RESUME);
    assert!(!scene.room.has_socket(alice.socket));
    assert_eq!(left(&mut scene, &witness), [LeaveReason::Lost]);
}

#[test]
fn a_connection_that_is_closed_or_fails_ends_its_session_at_once() {
    let mut scene = Scene::new();
    let witness = scene.join_with_media("witness");
    for (reason, left_by) in [(DisconnectReason::Closed, LeaveReason::Left), (DisconnectReason::HandshakeFailed, LeaveReason::Lost)] {
        let alice = publish(&mut scene, "alice");
        disconnected(&mut scene, &alice, reason);
        assert_eq!((left(&mut scene, &witness), scene.room.len()), (vec![left_by], 1));
        let again = publish(&mut scene, "alice");
        disconnected(&mut scene, &alice, reason);
        assert!(scene.room.has_socket(again.socket), "what is said of the old connection is not of the new one");
        assert_eq!(scene.detach(&again.secret), Ok(()));
        scene.told(&witness);
    }
    let own = scene.commands.iter().find_map(|c| if let RoomCommand::AddPeer { peer, .. } = c { Some(*peer) } else { None }).expect("a connection");
    scene.apply(Command::Media(Media::Disconnected { room: ROOM, peer: own, reason: DisconnectReason::Closed }));
    assert!(scene.room.has_socket(witness.socket), "a member at its socket stays");
}

#[test]
fn a_fault_of_the_worker_ends_sessions_since_nobody_can_tell_them() {
    let mut scene = Scene::new();
    let alice = publish(&mut scene, "alice");
    let witness = scene.join_with_media("witness");
    scene.forget();
    scene.apply(Command::Media(Media::RoomFailed { room: ROOM }));
    assert_eq!(scene.told(&witness), [Event::Restart {}, Event::MemberLeft { member: id("alice"), reason: LeaveReason::Lost }]);
    assert_eq!((scene.room.has_socket(alice.socket), scene.room.len()), (false, 1));
}

#[test]
fn a_moderator_mutes_and_removes_a_publisher_as_any_member() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    publish(&mut scene, "alice");
    let Some(Event::Track { track, .. }) = scene.told(&moderator).into_iter().find(|e| matches!(e, Event::Track { .. })) else { panic!("no track") };
    scene.request(&moderator, MemberRequest::MuteMember { track: track.track, muted: true }).expect("muted");
    scene.request(&moderator, MemberRequest::Kick { member: id("alice") }).expect("removed");
    assert_eq!(scene.attach("alice", Purpose::Publish, &SEND).err(), Some(ErrorCode::Kicked));
    scene.request(&moderator, MemberRequest::Lock { locked: true }).expect("locked");
    assert_eq!(scene.attach("bob", Purpose::Publish, &SEND).err(), Some(ErrorCode::Locked));
}

#[test]
fn each_pair_is_pinned_to_the_member_named_in_its_place() {
    let mut scene = Scene::new();
    let (alice, bob) = (publish(&mut scene, "alice"), publish(&mut scene, "bob"));
    publish(&mut scene, "carol");
    let player = play(&mut scene, &["bob", "dave", "alice"], &[PAIR, PAIR, PAIR, PAIR].concat());
    let (a, b) = (|mline| Some((alice.peer, mline)), |mline| Some((bob.peer, mline)));
    assert_eq!(pointed(&scene, player.peer, 8), [b(0), b(1), None, None, a(0), a(1), None, None]);

    let dave = publish(&mut scene, "dave");
    let d = |mline| Some((dave.peer, mline));
    assert_eq!(pointed(&scene, player.peer, 8), [b(0), b(1), d(0), d(1), a(0), a(1), None, None], "whoever comes later fills its own place");

    scene.detach(&bob.secret).expect("ended");
    assert_eq!(pointed(&scene, player.peer, 8), [None, None, d(0), d(1), a(0), a(1), None, None], "nobody moves up");
    let bob = publish(&mut scene, "bob");
    let b = |mline| Some((bob.peer, mline));
    assert_eq!(pointed(&scene, player.peer, 8), [b(0), b(1), d(0), d(1), a(0), a(1), None, None], "whoever comes back is there again");
    assert!(scene.events.is_empty(), "sessions by HTTP are told nothing");
}

#[test]
fn fewer_pairs_than_members_and_lines_in_any_order_are_right_too() {
    let mut scene = Scene::new();
    let (alice, bob) = (publish(&mut scene, "alice"), publish(&mut scene, "bob"));
    let (a, b) = (|mline| Some((alice.peer, mline)), |mline| Some((bob.peer, mline)));
    let player = play(&mut scene, &["alice", "bob"], &PAIR);
    assert_eq!(pointed(&scene, player.peer, 2), [a(0), a(1)], "the first one");
    let player = play(&mut scene, &["alice", "bob"], &[(Video, false), (Video, false), (Audio, false), (Audio, false)]);
    assert_eq!(pointed(&scene, player.peer, 4), [a(1), b(1), a(0), b(0)], "the i-th audio goes with the i-th video");
    let player = play(&mut scene, &["alice", "bob"], &[(Audio, false), (Audio, false)]);
    assert_eq!(pointed(&scene, player.peer, 2), [a(0), b(0)], "sound only");
    let player = play(&mut scene, &["alice", "alice"], &[(Video, false), (Video, false), (Audio, false)]);
    assert_eq!(pointed(&scene, player.peer, 3), [a(1), a(1), a(0)], "the same one twice");
}

#[test]
fn a_member_at_its_socket_is_played_and_a_player_is_a_member() {
    let mut scene = Scene::new();
    let alice = scene.join_with_media("alice");
    let peer = scene.commands.iter().find_map(|c| if let RoomCommand::AddPeer { peer, .. } = c { Some(*peer) } else { None }).expect("a connection");
    scene.told(&alice);
    let player = play(&mut scene, &["alice"], &PAIR);
    assert_eq!(pointed(&scene, player.peer, 2), [Some((peer, 0)), Some((peer, 1))]);
    assert!(matches!(&scene.told(&alice)[..], [Event::MemberJoined { member }] if member.name == "PLAYER"));
    let late = scene.try_join("late", |_| ()).expect("admitted");
    let what = MemberRequest::Leave;
    assert_eq!(scene.request(&late, what), Ok(None));
    scene.leave(&alice);
    assert_eq!(pointed(&scene, player.peer, 2), [None, None]);
    assert_eq!((scene.room.len(), scene.room.is_empty()), (1, false));
    assert!(scene.events.keys().all(|socket| *socket != player.socket));
    let mut again = scene.join("again");
    let Ok(OkResult::Joined { members, .. }) = scene.resume(&mut again, 0) else { panic!("not resumed") };
    assert_eq!(members.iter().map(|m| (m.member.clone(), m.away)).collect::<Vec<_>>(), [(id("player"), false)]);
}

#[test]
fn a_pair_follows_who_speaks_and_leaves_nobody_in_the_middle_of_a_word() {
    let mut scene = Scene::new();
    let player = play_pins(&mut scene, vec![Pin::Speaker], &PAIR);
    assert_eq!(pointed(&scene, player.peer, 2), [None, None], "it waits for somebody");
    let alice = publish(&mut scene, "alice");
    let (bob, carol) = (publish(&mut scene, "bob"), publish(&mut scene, "carol"));
    let at = |who: &Session| [Some((who.peer, 0)), Some((who.peer, 1))];
    assert_eq!(pointed(&scene, player.peer, 2), at(&alice), "the first who came, while nobody has spoken");
    speak(&mut scene, &[(&bob, 40)]);
    assert_eq!(pointed(&scene, player.peer, 2), at(&bob));
    speak(&mut scene, &[(&carol, 20), (&bob, 40)]);
    assert_eq!(pointed(&scene, player.peer, 2), at(&bob), "a louder one does not cut in");
    speak(&mut scene, &[(&carol, 20)]);
    assert_eq!(pointed(&scene, player.peer, 2), at(&carol));
    speak(&mut scene, &[]);
    assert_eq!(pointed(&scene, player.peer, 2), at(&carol), "in silence nothing changes");
    scene.detach(&carol.secret).expect("ended");
    assert_eq!(pointed(&scene, player.peer, 2), at(&bob), "who spoke before takes the place of one who has gone");
    let points = scene.commands.iter().filter(|c| matches!(c, RoomCommand::Point { .. })).count();
    speak(&mut scene, &[(&bob, 30)]);
    assert_eq!(scene.commands.iter().filter(|c| matches!(c, RoomCommand::Point { .. })).count(), points, "and nothing is pointed twice");
}

#[test]
fn pairs_that_follow_show_different_people_and_nobody_who_has_a_pair_of_its_own() {
    let mut scene = Scene::new();
    let (alice, bob) = (publish(&mut scene, "alice"), publish(&mut scene, "bob"));
    let (carol, dave) = (publish(&mut scene, "carol"), publish(&mut scene, "dave"));
    let pins = vec![Pin::Speaker, Pin::member(id("alice")), Pin::Speaker, Pin::Speaker];
    let player = play_pins(&mut scene, pins, &[PAIR, PAIR, PAIR].concat());
    let at = |who: [&Session; 3]| who.into_iter().flat_map(|s| [Some((s.peer, 0)), Some((s.peer, 1))]).collect::<Vec<_>>();
    assert_eq!(pointed(&scene, player.peer, 6), at([&bob, &alice, &carol]));
    speak(&mut scene, &[(&alice, 10)]);
    assert_eq!(pointed(&scene, player.peer, 6), at([&bob, &alice, &carol]), "who is named elsewhere moves nobody");
    speak(&mut scene, &[(&carol, 30)]);
    speak(&mut scene, &[(&dave, 30)]);
    assert_eq!(pointed(&scene, player.peer, 6), at([&dave, &alice, &carol]), "who has been silent for longest makes way, and nobody else moves");
    speak(&mut scene, &[(&bob, 30), (&dave, 30)]);
    assert_eq!(pointed(&scene, player.peer, 6), at([&dave, &alice, &bob]));
}

#[test]
fn screens_are_played_by_their_members_name_or_whoever_shares_one() {
    let mut scene = Scene::new();
    let all = [(Audio, true), (Video, true), (Audio, true), (Video, true)];
    let alice = scene.attach("alice", Purpose::Publish, &all).expect("published").0;
    let player = play_pins(&mut scene, vec![Pin::Screen, Pin::Member { member: id("bob"), screen: true }], &[PAIR, PAIR].concat());
    let screen = |who: &Session| [Some((who.peer, 2)), Some((who.peer, 3))];
    assert_eq!(pointed(&scene, player.peer, 4)[..2], screen(&alice));
    assert_eq!(pointed(&scene, player.peer, 4)[2..], [None, None]);
    let bob = scene.attach("bob", Purpose::Publish, &all).expect("published").0;
    assert_eq!(pointed(&scene, player.peer, 4)[2..], screen(&bob), "by name");
    scene.detach(&alice.secret).expect("ended");
    assert_eq!(pointed(&scene, player.peer, 4)[..2], [None, None], "the one that is left has a pair of its own");
    let carol = scene.attach("carol", Purpose::Publish, &all).expect("published").0;
    assert_eq!(pointed(&scene, player.peer, 4)[..2], screen(&carol));
}

#[test]
fn candidates_change_nothing_and_a_restart_gives_both_sides_new_credentials() {
    let mut scene = Scene::new();
    let (alice, answer) = scene.attach("alice", Purpose::Publish, &SEND).expect("published");
    connected(&mut scene, &alice);
    let ufrag = |text: &str| text.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:").map(str::to_owned)).expect("a user name fragment");
    let tag = |text: &str| Condition::Tags(vec!["another".into(), ufrag(text)]);
    let offered = scene.commands.iter().find_map(|c| if let RoomCommand::AddPeer { transport, .. } = c { Some(transport.ice.clone()) } else { None });
    let offered = offered.expect("a connection");
    let theirs = |ufrag: &str, pwd: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
    let candidate = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n";
    scene.forget();

    assert_eq!(scene.trickle(&alice.secret, tag(&answer), candidate), Ok(None), "without credentials");
    let present = theirs(&offered.remote_ufrag, &offered.remote_pwd);
    assert_eq!(scene.trickle(&alice.secret, tag(&answer), &(present.clone() + candidate)), Ok(None));
    assert_eq!(scene.trickle("1.alice-0", tag(&answer), candidate), Err(ErrorCode::ResumeUnknown));
    assert_eq!(scene.trickle(&alice.secret, Condition::Tags(vec!["another".into()]), candidate), Err(ErrorCode::WrongState));
    assert_eq!(scene.trickle(&alice.secret, Condition::Any, &theirs("newu", &offered.remote_pwd)), Err(ErrorCode::SdpIce), "a restart by half");
    assert_eq!((scene.commands.len(), scene.events.len()), (0, 0));
    let told = scene.trickle(&alice.secret, Condition::Any, &present).expect("taken").expect("what is ours");
    assert_eq!((ufrag(&told), scene.commands.len()), (ufrag(&answer), 0), "whoever asks with `*` is told what is ours now");

    let next = theirs("newu", &"n".repeat(24));
    let fragment = scene.trickle(&alice.secret, Condition::Any, &(next.clone() + candidate)).expect("restarted").expect("a fragment");
    let [RoomCommand::RestartIce { peer, ice }] = &scene.commands[..] else { panic!("unexpected: {:?}", scene.commands) };
    assert_eq!((*peer, ice.remote_ufrag.as_str(), ice.remote_pwd.len()), (alice.peer, "newu", 24));
    assert_eq!(ufrag(&fragment), ice.local_ufrag);
    assert!(ice.local_ufrag != ufrag(&answer) && fragment.contains(&format!("a=ice-pwd:{}\r\n", ice.local_pwd)), "{fragment}");
    for part in ["a=ice-lite\r\n", "a=group:BUNDLE 0 1\r\n", "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n", "a=candidate:", "a=end-of-candidates\r\n"] {
        assert!(fragment.contains(part), "{part} is not in\n{fragment}");
    }
    assert_eq!(scene.trickle(&alice.secret, tag(&answer), candidate), Err(ErrorCode::WrongState), "of the generation before");
    assert_eq!(scene.trickle(&alice.secret, Condition::Any, &next), Ok(Some(fragment.clone())), "a restart that is repeated is the same one");
    assert_eq!(scene.trickle(&alice.secret, tag(&fragment), candidate), Ok(None));
    assert_eq!(scene.commands.len(), 1);
    assert!(scene.room.has_socket(alice.socket));
    scene.detach(&alice.secret).expect("ended");
    assert_eq!(scene.trickle(&alice.secret, Condition::Any, &next), Err(ErrorCode::ResumeUnknown));
}
