use std::time::Duration;

use super::scene::{Client, RESUME, RETURN, Scene, id};
use crate::contract::MediaKind;
use crate::contract::RoomCommand;
use crate::control::rooms::way::labels;
use crate::control::rooms::{MemberRequest, Purpose};
use crate::wire::{CandidateType, DirectAbility, DirectProtocol, DirectState, ErrorCode, Event, OkResult, Policy, Signal, Way};

/// The ways that a client has been told of since it was last asked.
fn ways(scene: &mut Scene, client: &Client) -> Vec<Way> {
    scene.told(client).into_iter().filter_map(|e| if let Event::Way { way } = e { Some(way) } else { None }).collect()
}

fn direct(session: &str, member: &str, polite: bool) -> Vec<Way> {
    vec![Way::Direct { session: session.into(), member: id(member), polite }]
}

fn server() -> Vec<Way> {
    vec![Way::Server {}]
}

fn nobody() -> Vec<Way> {
    vec![Way::Nobody {}]
}

/// Two who are connected directly, by `s.1`.
fn two() -> (Scene, Client, Client) {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.join_direct("alice", None), scene.join_direct("bob", None));
    scene.forget();
    (scene, alice, bob)
}

fn offer() -> Signal {
    Signal::Offer { sdp: "v=0".into(), lines: vec![], revision: 1 }
}

fn signal(scene: &mut Scene, client: &Client, session: &str, signal: Signal) -> Result<(), ErrorCode> {
    scene.request(client, MemberRequest::Signal { session: session.into(), signal }).map(|_| ())
}

fn policy(scene: &mut Scene, client: &Client, policy: Policy) -> Result<(), ErrorCode> {
    scene.request(client, MemberRequest::Policy { policy }).map(|_| ())
}

#[test]
fn two_who_can_are_connected_directly_and_no_worker_hears_of_them() {
    let mut scene = Scene::new();
    let alice = scene.join_direct("alice", None);
    assert_eq!(ways(&mut scene, &alice), [], "alone there is nobody whom media could travel to");
    let bob = scene.join_direct("bob", None);
    assert_eq!(ways(&mut scene, &alice), direct("s.1", "bob", true));
    assert_eq!(ways(&mut scene, &bob), direct("s.1", "alice", false), "who came later offers");
    assert!(scene.commands.is_empty(), "{:?}", scene.commands);
    assert_eq!(scene.room.via(), Some("direct"));
    scene.leave(&bob);
    assert_eq!(ways(&mut scene, &alice), nobody());
}

#[test]
fn who_cannot_be_connected_directly_is_served_and_is_not_told_of_ways() {
    let mut scene = Scene::new();
    let alice = scene.join_direct("alice", None);
    let bob = scene.join("bob");
    assert_eq!(ways(&mut scene, &alice), server());
    assert_eq!(ways(&mut scene, &bob), []);
    let (_, _) = scene.attach("cam", Purpose::Publish, &[(MediaKind::Video, true)]).expect("a session");
    scene.leave(&bob);
    assert_eq!(ways(&mut scene, &alice), [], "a camera by WHIP is served, too");
}

#[test]
fn what_an_end_says_is_handed_to_the_other_end_alone() {
    let (mut scene, alice, bob) = two();
    assert_eq!(signal(&mut scene, &bob, "s.1", offer()), Ok(()));
    assert_eq!(scene.told(&alice), [Event::Signal { session: "s.1".into(), signal: offer() }]);
    assert_eq!(scene.told(&bob), []);
    for session in ["s.2", "", "s.1 "] {
        assert_eq!(signal(&mut scene, &bob, session, offer()), Err(ErrorCode::NotDirect));
    }
    let carol = scene.join_direct("carol", None);
    scene.forget();
    for client in [&bob, &carol] {
        assert_eq!(signal(&mut scene, client, "s.1", offer()), Err(ErrorCode::NotDirect), "the call has moved to the server");
    }
    assert_eq!(scene.told(&alice), []);
}

#[test]
fn an_end_that_is_away_cannot_be_told_and_the_other_one_hears_so() {
    let (mut scene, alice, mut bob) = two();
    scene.lose(&bob);
    assert_eq!(signal(&mut scene, &alice, "s.1", offer()), Err(ErrorCode::NotDirect));
    scene.forget();
    let Ok(OkResult::Joined { way, .. }) = scene.resume(&mut bob, 0) else { panic!("the room") };
    assert_eq!(vec![*way], direct("s.1", "alice", false), "the connection is the same");
    assert_eq!(scene.told(&alice), [Event::MemberAway { member: id("bob"), away: false }]);
    assert_eq!(signal(&mut scene, &alice, "s.1", offer()), Ok(()));
}

#[test]
fn an_end_cannot_flood_the_other_one() {
    let (mut scene, alice, bob) = two();
    let large = || Signal::Offer { sdp: "x".repeat(60_000), lines: vec![], revision: 1 };
    let sent = (0..50).filter(|_| signal(&mut scene, &bob, "s.1", large()).is_ok()).count();
    assert_eq!(sent, 4, "256 KiB at once");
    assert_eq!(signal(&mut scene, &bob, "s.1", large()), Err(ErrorCode::RateLimited));
    scene.pass(Duration::from_secs(2));
    assert_eq!(signal(&mut scene, &bob, "s.1", large()), Ok(()), "32 KiB a second");
    assert_eq!(signal(&mut scene, &alice, "s.1", large()), Ok(()), "each end has an allowance of its own");
}

#[test]
fn a_third_member_moves_the_call_to_the_server_and_two_who_remain_return_after_a_while() {
    let (mut scene, mut alice, mut bob) = two();
    let carol = scene.join_direct("carol", None);
    for client in [&alice, &bob, &carol] {
        assert_eq!(ways(&mut scene, client), server());
    }
    scene.connect(&mut alice);
    scene.connect(&mut bob);
    scene.leave(&carol);
    scene.forget();
    scene.pass(RETURN - Duration::from_millis(1));
    assert_eq!(ways(&mut scene, &alice), []);
    scene.pass(Duration::from_millis(1));
    assert_eq!(ways(&mut scene, &alice), direct("s.2", "bob", true));
    assert_eq!(ways(&mut scene, &bob), direct("s.2", "alice", false));
}

#[test]
fn whoever_comes_in_the_meantime_keeps_the_call_on_the_server() {
    let (mut scene, mut alice, mut bob) = two();
    let carol = scene.join_direct("carol", None);
    scene.connect(&mut alice);
    scene.connect(&mut bob);
    scene.leave(&carol);
    scene.pass(RETURN / 2);
    let carol = scene.join_direct("carol", None);
    scene.pass(RETURN / 2);
    scene.forget();
    scene.leave(&carol);
    scene.pass(RETURN - Duration::from_millis(1));
    assert_eq!(ways(&mut scene, &alice), [], "the while begins anew");
}

#[test]
fn a_connection_that_is_released_is_gone_with_its_tracks_and_the_member_stays() {
    let (mut scene, mut alice, mut bob) = two();
    let carol = scene.join_direct("carol", None);
    scene.connect(&mut alice);
    scene.connect(&mut bob);
    scene.leave(&carol);
    scene.pass(RETURN);
    scene.forget();
    assert_eq!(scene.request(&alice, MemberRequest::Release), Ok(None));
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::RemovePeer { .. })));
    let told = scene.told(&bob);
    assert_eq!(told.iter().filter(|e| matches!(e, Event::TrackEnded { .. })).count(), 2, "{told:?}");
    assert!(matches!(told.last(), Some(Event::Slots { slots }) if slots.is_empty()), "{told:?}");
    assert_eq!(scene.room.len(), 2);
    assert_eq!(scene.request(&alice, MemberRequest::Release), Ok(None), "there is nothing left to release");
    scene.pass(RETURN * 2);
    assert_eq!(scene.room.via(), Some("direct"), "being without a connection changes nothing about the way");
}

#[test]
fn a_connection_that_cannot_be_had_moves_the_call_to_the_server_until_others_meet() {
    let (mut scene, alice, bob) = two();
    let failed = |session: &str| MemberRequest::Direct { session: session.into(), state: DirectState::Failed {} };
    assert_eq!(scene.request(&bob, failed("s.9")), Err(ErrorCode::NotDirect));
    assert_eq!(scene.request(&bob, failed("s.1")), Ok(None));
    assert_eq!(ways(&mut scene, &alice), server());
    assert_eq!(ways(&mut scene, &bob), server());
    scene.pass(RETURN * 3);
    assert_eq!(ways(&mut scene, &alice), [], "what has failed is not tried again and again");
    scene.leave(&bob);
    let bob = scene.join_direct("bob", None);
    assert_eq!(ways(&mut scene, &bob), direct("s.2", "alice", false));
    assert_eq!(scene.direct, [DirectState::Failed {}]);
    let up = |local, remote| DirectState::Up { local, remote, protocol: DirectProtocol::Udp };
    let (bobs, alices) = (up(CandidateType::Host, CandidateType::Srflx), up(CandidateType::Relay, CandidateType::Host));
    let say = |state| MemberRequest::Direct { session: "s.2".into(), state };
    for state in [bobs, bobs, up(CandidateType::Host, CandidateType::Host), bobs] {
        assert_eq!(scene.request(&bob, say(state)), Ok(None));
    }
    assert_eq!(scene.direct.len(), 1, "one end alone has no connection");
    for state in [alices, alices, bobs] {
        assert_eq!(scene.request(&alice, say(state)), Ok(None));
    }
    scene.request(&bob, say(alices)).expect("noted");
    assert_eq!(scene.direct[1..], [alices], "a connection is counted once, as the end sees it that is less direct");
}

#[test]
fn a_connection_that_was_there_and_is_lost_is_tried_again_after_a_while_and_not_for_ever() {
    let (mut scene, mut alice, mut bob) = two();
    let state = DirectState::Up { local: CandidateType::Host, remote: CandidateType::Host, protocol: DirectProtocol::Udp };
    for end in [&alice, &bob] {
        assert_eq!(scene.request(end, MemberRequest::Direct { session: "s.1".into(), state }), Ok(None));
    }
    let failed = |session: &str| MemberRequest::Direct { session: session.into(), state: DirectState::Failed {} };
    assert_eq!(scene.request(&bob, failed("s.1")), Ok(None));
    assert_eq!(ways(&mut scene, &alice), server());
    scene.connect(&mut alice);
    scene.connect(&mut bob);
    scene.forget();
    scene.pass(Duration::from_secs(60));
    assert_eq!(ways(&mut scene, &alice), [], "the way back is the one of all who return");
    scene.pass(RETURN);
    assert_eq!(ways(&mut scene, &alice), direct("s.2", "bob", true));
    assert_eq!(scene.request(&bob, failed("s.2")), Ok(None));
    assert_eq!(ways(&mut scene, &alice), server());
    scene.pass(Duration::from_secs(600));
    assert_eq!(ways(&mut scene, &alice), [], "what cannot be had is not tried again and again");
}

#[test]
fn a_check_that_overtakes_its_candidate_makes_no_hole_of_one_network() {
    use CandidateType::{Host, Prflx, Srflx};
    let up = |local, remote| DirectState::Up { local, remote, protocol: DirectProtocol::Udp };
    for (alices, bobs, pair) in
        [(up(Host, Prflx), up(Host, Host), "host"), (up(Host, Prflx), up(Prflx, Host), "reflexive"), (up(Host, Host), up(Host, Srflx), "reflexive")]
    {
        let (mut scene, alice, bob) = two();
        for (end, state) in [(&alice, alices), (&bob, bobs)] {
            assert_eq!(scene.request(end, MemberRequest::Direct { session: "s.1".into(), state }), Ok(None));
        }
        assert_eq!(scene.direct.iter().filter_map(|state| labels(*state)).map(|[pair, _]| pair).collect::<Vec<_>>(), [pair]);
    }
}

#[test]
fn two_who_come_with_the_same_connection_go_on_with_it() {
    for (held, session) in [([Some("old.7"), Some("old.7")], "old.7"), ([Some("old.7"), Some("old.8")], "s.1"), ([None, Some("old.7")], "s.1")] {
        let mut scene = Scene::new();
        let alice = scene.join_direct("alice", held[0]);
        let bob = scene.join_direct("bob", held[1]);
        assert_eq!(ways(&mut scene, &alice), direct(session, "bob", true), "{held:?}");
        assert_eq!(ways(&mut scene, &bob), direct(session, "alice", false), "{held:?}");
    }
}

#[test]
fn an_end_that_joins_anew_with_the_connection_goes_on_with_it_and_without_it_begins_another() {
    let (mut scene, alice, _) = two();
    let bob = scene.join_direct("bob", Some("s.1"));
    assert_eq!(ways(&mut scene, &bob), direct("s.1", "alice", false));
    assert_eq!(ways(&mut scene, &alice), direct("s.1", "bob", true));
    let bob = scene.join_direct("bob", None);
    assert_eq!(ways(&mut scene, &bob), direct("s.2", "alice", false));
    assert_eq!(ways(&mut scene, &alice), direct("s.2", "bob", true));
}

#[test]
fn an_end_that_is_lost_for_good_ends_the_connection() {
    let (mut scene, alice, bob) = two();
    scene.lose(&bob);
    scene.pass(RESUME);
    assert_eq!(ways(&mut scene, &alice), nobody());
}

#[test]
fn anybody_may_wish_for_the_server_and_moderators_for_any_way() {
    let (mut scene, alice, bob) = two();
    assert_eq!(policy(&mut scene, &bob, Policy::Auto), Err(ErrorCode::Forbidden));
    assert_eq!(policy(&mut scene, &bob, Policy::Sfu), Ok(()));
    assert!(scene.told(&alice).contains(&Event::Policy { policy: Policy::Sfu }));
    assert_eq!(ways(&mut scene, &bob), server());
    assert_eq!(policy(&mut scene, &alice, Policy::Auto), Err(ErrorCode::Forbidden), "it was not her wish");
    assert_eq!(policy(&mut scene, &bob, Policy::P2p), Err(ErrorCode::Forbidden), "that is more than to take it back");
    assert_eq!(policy(&mut scene, &bob, Policy::Auto), Ok(()), "whoever has wished for it may take it back");
    assert_eq!(policy(&mut scene, &bob, Policy::Auto), Err(ErrorCode::Forbidden));
    assert_eq!(policy(&mut scene, &alice, Policy::Sfu), Ok(()));
    scene.leave(&bob);
    scene.leave(&alice);
    let moderator = scene.try_join_as("mod", |g| g.moderate = true, Some(DirectAbility::default())).expect("admitted");
    let bob = scene.join_direct("bob", None);
    assert_eq!(ways(&mut scene, &bob), [], "the wish holds for the room's life");
    assert_eq!(policy(&mut scene, &moderator, Policy::Auto), Ok(()));
    assert_eq!(ways(&mut scene, &bob), [], "not at once: the other end would have to follow each wish");
    scene.pass(Duration::from_secs(2));
    assert_eq!(ways(&mut scene, &bob), direct("s.2", "mod", false));
}

#[test]
fn a_room_for_two_takes_two_who_can_and_nobody_else() {
    let mut scene = Scene::with(|rules| rules.policy = Policy::P2p);
    let alice = scene.join_direct("alice", None);
    assert_eq!(scene.try_join("bob", |_| ()).map(|_| ()), Err(ErrorCode::DirectOnly));
    assert!(scene.attach("cam", Purpose::Publish, &[(MediaKind::Video, true)]).is_err_and(|code| code == ErrorCode::DirectOnly));
    scene.join_direct("bob", None);
    assert_eq!(ways(&mut scene, &alice), direct("s.1", "bob", true));
    let able = || Some(DirectAbility::default());
    assert_eq!(scene.try_join_as("carol", |_| (), able()).map(|_| ()), Err(ErrorCode::DirectOnly));
    let bob = scene.try_join_as("bob", |_| (), able()).expect("the same member may come again");
    assert_eq!(ways(&mut scene, &bob), direct("s.2", "alice", false));
    let failed = MemberRequest::Direct { session: "s.2".into(), state: DirectState::Failed {} };
    assert_eq!(scene.request(&bob, failed), Ok(None));
    assert_eq!(scene.room.via(), None, "not at once");
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.room.via(), Some("direct"), "directly, or not at all");
}

#[test]
fn a_wish_for_a_room_for_two_is_refused_where_there_are_more() {
    let (mut scene, _, _) = two();
    let moderator = scene.try_join_as("mod", |g| g.moderate = true, Some(DirectAbility::default())).expect("admitted");
    assert_eq!(policy(&mut scene, &moderator, Policy::P2p), Err(ErrorCode::DirectOnly));
}

#[test]
fn an_end_that_resumes_before_its_old_socket_is_missed_is_said_to_be_back() {
    let (mut scene, alice, mut bob) = two();
    assert_eq!(signal(&mut scene, &alice, "s.1", offer()), Ok(()), "into a socket that is dead");
    scene.resume(&mut bob, 0).expect("the room");
    assert_eq!(scene.told(&alice), [Event::MemberAway { member: id("bob"), away: false }]);
}

#[test]
fn whoever_may_not_do_everything_is_served_and_so_is_whom_a_moderator_has_muted() {
    type Limit = fn(&mut crate::wire::Grants);
    let limits: [Limit; 3] = [|g| g.subscribe = false, |g| g.chat = false, |g| g.publish.truncate(1)];
    for limit in limits {
        let mut scene = Scene::new();
        let alice = scene.join_direct("alice", None);
        scene.try_join_as("bob", limit, Some(DirectAbility::default())).expect("admitted");
        assert_eq!(ways(&mut scene, &alice), server());
    }
    let (mut scene, mut alice, mut bob) = two();
    let moderator = scene.try_join_as("mod", |g| g.moderate = true, Some(DirectAbility::default())).expect("admitted");
    scene.connect(&mut alice);
    scene.connect(&mut bob);
    let Ok(OkResult::Joined { me, .. }) = scene.resume(&mut bob, 0) else { panic!("the room") };
    scene.request(&moderator, MemberRequest::MuteMember { track: me.tracks[0].track, muted: true }).expect("muted");
    scene.leave(&moderator);
    scene.pass(RETURN * 2);
    assert_eq!(scene.room.via(), Some("server"), "nobody could keep it muted elsewhere");
}

#[test]
fn what_an_end_says_counts_as_it_is_written() {
    let (mut scene, _, bob) = two();
    let mid = |text: String| Signal::Candidate { candidate: String::new(), mid: text, ufrag: None };
    let sent = (0..50).filter(|_| signal(&mut scene, &bob, "s.1", mid("x".repeat(60_000))).is_ok()).count();
    assert_eq!(sent, 4);
    let (mut scene, _, bob) = two();
    let sent = (0..50).filter(|_| signal(&mut scene, &bob, "s.1", mid("\u{1}".repeat(10_000))).is_ok()).count();
    assert_eq!(sent, 4, "a control character has six bytes in JSON");
}

#[test]
fn where_the_server_is_to_carry_everything_no_member_can_change_that() {
    let mut scene = Scene::with(|rules| rules.policy = Policy::Sfu);
    let moderator = scene.try_join_as("mod", |g| g.moderate = true, Some(DirectAbility::default())).expect("admitted");
    let bob = scene.join_direct("bob", None);
    scene.forget();
    for wish in [Policy::Auto, Policy::P2p] {
        assert_eq!(policy(&mut scene, &moderator, wish), Err(ErrorCode::Forbidden));
    }
    assert_eq!(ways(&mut scene, &bob), []);
}

#[test]
fn an_end_that_only_the_server_has_lost_goes_on_with_its_connection() {
    let (mut scene, alice, bob) = two();
    scene.lose(&bob);
    scene.pass(RESUME);
    assert_eq!(ways(&mut scene, &alice), nobody());
    let bob = scene.join_direct("bob", Some("s.1"));
    assert_eq!(ways(&mut scene, &alice), direct("s.1", "bob", true));
    assert_eq!(ways(&mut scene, &bob), direct("s.1", "alice", false));
}

#[test]
fn who_lets_connections_fail_cannot_make_the_other_end_begin_them_without_limit() {
    let mut scene = Scene::with(|rules| rules.policy = Policy::P2p);
    let (alice, bob) = (scene.join_direct("alice", None), scene.join_direct("bob", None));
    scene.forget();
    for _ in 0..200 {
        for session in 1..30 {
            let failed = MemberRequest::Direct { session: format!("s.{session}"), state: DirectState::Failed {} };
            let _ = scene.request(&bob, failed);
        }
        scene.pass(Duration::from_millis(100));
    }
    let begun = ways(&mut scene, &alice).iter().filter(|way| matches!(way, Way::Direct { .. })).count();
    assert!((5..=11).contains(&begun), "{begun} in twenty seconds");
}
