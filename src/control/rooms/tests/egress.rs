use std::sync::Arc;
use std::time::Duration;

use super::scene::{Client, Introduction, Scene, id};
use crate::base::{PeerId, RoomId, TrackId, WorkerId};
use crate::contract::{DisconnectReason, Event as Media, Limit, MediaKind, Quality, RoomCommand, SrtpProfile};
use crate::control::Refusal;
use crate::control::egress::{Instruction, Outlets, Trouble};
use crate::control::events::{Reason, What};
use crate::control::rooms::{Command, EgressDraws, EgressOrder, EgressReport, EgressSeen, MemberRequest, OfferDraws, SocketId};
use crate::sdp::{Fresh, Local, Offer, OfferLimits, OneWay, RemoteAnswer, Session};
use crate::wire::{EgressInfo, ErrorCode, Event, Policy, Source, TrackNumber};

const ROOM: RoomId = RoomId(1);
const LIMITS: OfferLimits = OfferLimits { max_mlines: 8, max_bytes: 64 * 1024 };
const TRIES: u32 = 3;
const OF_ROOM: usize = 2;

fn begin(scene: &mut Scene, egress: &str, member: &str, screen: bool) -> Result<(), ErrorCode> {
    let info = EgressInfo { egress: egress.into(), member: id(member), screen, host: "live.example.org".into(), by: id("boss"), at: 7 };
    order(scene, EgressOrder::Begin { info, of_room: OF_ROOM, tries: TRIES })
}

fn order(scene: &mut Scene, order: EgressOrder) -> Result<(), ErrorCode> {
    scene.replies.clear();
    scene.apply(Command::OrderEgress { socket: SocketId(u64::MAX), order });
    let [(_, _, result)] = &scene.replies[..] else { panic!("{} answers instead of one", scene.replies.len()) };
    result.clone().map(|_| ()).map_err(|refusal: Refusal| refusal.code)
}

fn seen(scene: &Scene) -> Vec<EgressSeen> {
    scene.room.egress_seen()
}

fn state(scene: &Scene) -> &'static str {
    seen(scene).first().expect("a session").state
}

/// What tasks were to do since it was last asked for.
fn instructed(scene: &mut Scene) -> Vec<Instruction> {
    std::mem::take(&mut scene.instructed).into_iter().map(|(what, _)| what).collect()
}

fn report(scene: &mut Scene, report: EgressReport) {
    report_of(scene, "e", report);
}

fn report_of(scene: &mut Scene, egress: &str, report: EgressReport) {
    scene.apply(Command::Egress { egress: egress.into(), report });
}

fn outlets() -> Arc<Outlets> {
    let at: std::net::IpAddr = [192, 0, 2, 1].into();
    Arc::new(Outlets { bound: vec![at], announced: vec![at], ports: vec![vec![50_000]; 2] })
}

/// Draws numbers for it; the offer that comes of it.
fn draw(scene: &mut Scene, peer: u64) -> Option<String> {
    draw_for(scene, "e", peer)
}

fn draw_for(scene: &mut Scene, egress: &str, peer: u64) -> Option<String> {
    let offer = OfferDraws {
        peer: PeerId(peer),
        tracks: TrackId(9_000),
        ufrag: format!("out{peer}"),
        pwd: "p".repeat(24),
        ssrc_seed: peer,
        session: 1,
        elsewhere: [WorkerId(0); 2],
        candidates: Arc::default(),
    };
    report_of(scene, egress, EgressReport::Drawn(Box::new(EgressDraws { offer, tie_breaker: 5, outlets: outlets(), slot: 0 })));
    instructed(scene).into_iter().find_map(|what| if let Instruction::Offer { sdp } = what { Some(sdp) } else { None })
}

/// What another server answers.
fn answer_to(offer: &str) -> RemoteAnswer {
    let offer = Offer::parse(offer, &LIMITS).expect("an offer").one_way(OneWay::Sent);
    let local = Local {
        fingerprint_sha256: ["CD"; 32].join(":"),
        candidates: vec!["198.51.100.1:40000".parse().expect("an address")],
        tcp: false,
        cname: "there".into(),
        session_id: 9,
        data: None,
        publish: None,
    };
    let fresh = Fresh { ufrag: "there".into(), pwd: "q".repeat(24), ssrc_seed: 77 };
    let answer = Session::new(local).answer(&offer, fresh).expect("it is taken");
    RemoteAnswer::parse(&answer.sdp, &LIMITS).expect("an answer")
}

/// Offers, is answered, and is connected.
fn connect(scene: &mut Scene, peer: u64) {
    let offer = draw(scene, peer).expect("an offer");
    report(scene, EgressReport::Answered(Ok(Box::new(answer_to(&offer)))));
    assert_eq!(state(scene), "connecting");
    scene.apply(Command::Media(Media::Connected {
        room: ROOM,
        peer: PeerId(peer),
        profile: SrtpProfile::AeadAes128Gcm,
        reached: crate::base::Time::ZERO,
    }));
    assert_eq!(state(scene), "live");
}

fn lose(scene: &mut Scene, peer: u64, reason: DisconnectReason) {
    scene.apply(Command::Media(Media::Disconnected { room: ROOM, peer: PeerId(peer), reason }));
}

/// What its connection is pointed at, by m-line, as the worker was told last.
fn pointed(scene: &Scene, peer: u64) -> Vec<(u8, Option<TrackId>)> {
    let mut all = std::collections::BTreeMap::new();
    for command in &scene.commands {
        if let RoomCommand::Point { peer: of, mline, source, .. } = command
            && *of == PeerId(peer)
        {
            all.insert(*mline, *source);
        }
    }
    all.into_iter().collect()
}

fn track(client: &Client, scene: &Scene, source: Source) -> TrackId {
    let member = scene.room.member_seen(&id(&client.name)).expect("she is there");
    TrackId(member.info.tracks.iter().find(|track| track.source == source).expect("a track").track.0)
}

/// Publishes on new m-lines, beside what the client publishes already.
fn publish(scene: &mut Scene, client: &mut Client, more: &[(MediaKind, Source)]) {
    let mut lines: Vec<(String, Source)> = vec![("0".into(), Source::Microphone), ("1".into(), Source::Camera)];
    let member = scene.room.member_seen(&client.id()).expect("she is there");
    if member.info.tracks.iter().any(|track| track.source == Source::Screen) {
        lines.push(((2 + 2 * client.pairs).to_string(), Source::Screen));
    }
    lines.extend(more.iter().map(|(kind, source)| (client.add(*kind), *source)));
    let lines: Vec<(&str, Source)> = lines.iter().map(|(mid, source)| (mid.as_str(), *source)).collect();
    scene.offer(client, &lines).expect("answered");
}

/// A room with `ann`, who publishes, and `bob`.
fn scene() -> (Scene, Client, Client) {
    let mut scene = Scene::new();
    let (ann, bob) = (scene.join_with_media("ann"), scene.join_with_media("bob"));
    scene.forget();
    (scene, ann, bob)
}

#[test]
fn everybody_is_told_before_anything_is_offered_and_newcomers_with_their_join() {
    let (mut scene, _, bob) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    assert!(matches!(&scene.instructed[..], [(Instruction::Draw, 2)]), "both had been told: {:?}", scene.instructed);
    let told = scene.told(&bob);
    let [Event::Egress { sessions }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((sessions.len(), &sessions[0].member, &sessions[0].host[..]), (1, &id("ann"), "live.example.org"));
    let carol = scene.join_with_media("carol");
    let joined = scene.room.joined(*scene.room.sockets.get(&carol.socket).expect("she is there"));
    let Some(crate::wire::OkResult::Joined { egress, .. }) = joined else { panic!("not joined") };
    assert_eq!(egress.len(), 1);
    scene.forget();
    order(&mut scene, EgressOrder::End { egress: "e".into() }).expect("ended");
    assert!(matches!(&scene.told(&bob)[..], [Event::Egress { sessions }] if sessions.is_empty()));
    assert_eq!(order(&mut scene, EgressOrder::End { egress: "e".into() }), Err(ErrorCode::NotFound));
}

#[test]
fn what_is_answered_becomes_a_connection_that_is_pointed_at_the_members_tracks() {
    let (mut scene, ann, _) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    let begun: Vec<_> = scene.commands.iter().filter(|c| matches!(c, RoomCommand::AddPeer { .. } | RoomCommand::CheckIce { .. })).collect();
    let [RoomCommand::AddPeer { transport, .. }, RoomCommand::CheckIce { pairs, tie_breaker: 5, .. }] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!(transport.ice.remote_ufrag, "there");
    assert_eq!(pairs.iter().map(|pair| (pair.local, pair.remote.to_string())).collect::<Vec<_>>(), [(1, "198.51.100.1:40000".to_owned())]);
    let [microphone, camera] = [Source::Microphone, Source::Camera].map(|source| track(&ann, &scene, source));
    assert_eq!(pointed(&scene, 500), [(0, Some(microphone)), (1, Some(camera))]);
    scene.request(&ann, MemberRequest::Unpublish { track: TrackNumber(camera.0) }).expect("unpublished");
    assert_eq!(pointed(&scene, 500), [(0, Some(microphone)), (1, None)]);
    assert_eq!(state(&scene), "live");
    order(&mut scene, EgressOrder::End { egress: "e".into() }).expect("ended");
    assert!(scene.commands.contains(&RoomCommand::RemovePeer { peer: PeerId(500) }));
    assert_eq!(instructed(&mut scene), [Instruction::Over]);
}

#[test]
fn it_waits_for_what_is_to_be_sent_and_offers_anew_when_there_is_more() {
    let mut scene = Scene::new();
    let mut ann = scene.join("ann");
    begin(&mut scene, "e", "ann", true).expect("begun");
    assert_eq!((state(&scene), instructed(&mut scene)), ("waiting", vec![]));
    scene.connect(&mut ann);
    assert_eq!(state(&scene), "waiting", "a camera is no screen");
    publish(&mut scene, &mut ann, &[(MediaKind::Video, Source::Screen)]);
    assert_eq!((state(&scene), instructed(&mut scene)), ("connecting", vec![Instruction::Draw]));
    connect(&mut scene, 500);
    assert_eq!(pointed(&scene, 500).len(), 1, "a picture alone");
    publish(&mut scene, &mut ann, &[(MediaKind::Audio, Source::ScreenAudio)]);
    assert_eq!(instructed(&mut scene), [Instruction::HangUp, Instruction::Draw], "its sound was not in the offer");
    connect(&mut scene, 501);
    assert_eq!(pointed(&scene, 501).len(), 2);
}

#[test]
fn who_may_not_be_sent_is_refused() {
    let (mut scene, _, _) = scene();
    assert_eq!(begin(&mut scene, "e", "nobody", false), Err(ErrorCode::NotFound));
    begin(&mut scene, "e", "ann", false).expect("one");
    begin(&mut scene, "f", "ann", true).expect("two");
    assert_eq!(begin(&mut scene, "g", "bob", false), Err(ErrorCode::LimitExceeded));
    let mut secret = Scene::new();
    let introduction = Introduction { encrypted: true, ..Introduction::default() };
    secret.try_join_with("ann", |_| (), introduction).expect("admitted");
    assert_eq!(begin(&mut secret, "e", "ann", false), Err(ErrorCode::Encrypted));
    let mut direct = Scene::with(|rules| rules.policy = Policy::P2p);
    direct.join_direct("ann", None);
    assert_eq!(begin(&mut direct, "e", "ann", false), Err(ErrorCode::WrongState));
}

#[test]
fn a_direct_call_goes_through_the_server_while_it_is_sent_elsewhere() {
    let mut scene = Scene::new();
    scene.join_direct("ann", None);
    scene.join_direct("bob", None);
    assert_eq!(scene.room.via(), Some("direct"));
    begin(&mut scene, "e", "ann", false).expect("begun");
    assert_eq!((scene.room.via(), state(&scene)), (Some("server"), "waiting"));
}

#[test]
fn what_fails_for_now_is_tried_again_ever_later_and_not_for_ever() {
    let (mut scene, _, bob) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    for (number, wait) in [(0, 1), (1, 2)] {
        assert_eq!(instructed(&mut scene), [Instruction::Draw]);
        draw(&mut scene, 500 + number).expect("an offer");
        report(&mut scene, EgressReport::Answered(Err(Trouble::Timeout)));
        assert_eq!((state(&scene), instructed(&mut scene)), ("retrying", vec![Instruction::HangUp]));
        scene.pass(Duration::from_secs(wait) - Duration::from_millis(1));
        assert_eq!(state(&scene), "retrying", "not before its time");
        scene.pass(Duration::from_millis(1));
        assert_eq!(state(&scene), "connecting");
    }
    draw(&mut scene, 510).expect("an offer");
    scene.forget();
    report(&mut scene, EgressReport::Answered(Err(Trouble::Refused(503))));
    let last = seen(&scene).remove(0);
    assert_eq!((last.state, last.tries, last.trouble), ("failed", TRIES, Some(Trouble::Refused(503))));
    assert!(matches!(&scene.told(&bob)[..], [Event::Egress { sessions }] if sessions.is_empty()), "and everybody knows that nothing is sent");
    assert_eq!(instructed(&mut scene), [Instruction::Over]);
    order(&mut scene, EgressOrder::End { egress: "e".into() }).expect("it is not listed any more");
    assert!(seen(&scene).is_empty());
}

#[test]
fn what_would_fail_again_is_not_tried_again() {
    for trouble in [Trouble::Refused(401), Trouble::Refused(404), Trouble::Answer, Trouble::TooLarge, Trouble::Redirect, Trouble::Forbidden] {
        let (mut scene, ..) = scene();
        begin(&mut scene, "e", "ann", false).expect("begun");
        draw(&mut scene, 500).expect("an offer");
        report(&mut scene, EgressReport::Answered(Err(trouble)));
        assert_eq!((state(&scene), seen(&scene)[0].trouble), ("failed", Some(trouble)));
    }
    let (mut scene, ann, _) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    let camera = track(&ann, &scene, Source::Camera);
    let undecodable = Quality { track: camera, encoding: None, of: 1, limit: Some(Limit::Codec) };
    scene.apply(Command::Media(Media::Quality { room: ROOM, peer: PeerId(500), tracks: vec![undecodable], link: None }));
    assert_eq!((state(&scene), seen(&scene)[0].trouble), ("failed", Some(Trouble::Codec)), "the publisher sends what was not taken");
}

#[test]
fn a_server_that_is_lost_is_called_again_and_a_steady_one_with_fresh_patience() {
    let (mut scene, ..) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    lose(&mut scene, 500, DisconnectReason::ConsentLost);
    assert_eq!((state(&scene), seen(&scene)[0].trouble), ("retrying", Some(Trouble::Lost)));
    assert!(scene.commands.contains(&RoomCommand::RemovePeer { peer: PeerId(500) }));
    scene.pass(Duration::from_secs(1));
    connect(&mut scene, 501);
    assert_eq!(seen(&scene)[0].tries, 2, "it has not stood long");
    scene.pass(Duration::from_secs(30));
    lose(&mut scene, 501, DisconnectReason::Closed);
    assert_eq!((state(&scene), seen(&scene)[0].tries), ("retrying", 1));
    lose(&mut scene, 501, DisconnectReason::Closed);
    assert_eq!(seen(&scene)[0].tries, 1, "what is said of a connection that is gone is of no interest");
}

#[test]
fn a_connection_that_never_comes_up_is_given_up() {
    let (mut scene, ..) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    let offer = draw(&mut scene, 500).expect("an offer");
    report(&mut scene, EgressReport::Answered(Ok(Box::new(answer_to(&offer)))));
    scene.pass(Duration::from_secs(30));
    assert_eq!((state(&scene), seen(&scene)[0].trouble), ("retrying", Some(Trouble::NoWay)));
}

#[test]
fn it_ends_when_the_member_leaves_and_follows_it_to_another_connection() {
    let (mut scene, mut ann, bob) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    instructed(&mut scene);
    ann.reload();
    scene.connect(&mut ann);
    let [microphone, camera] = [Source::Microphone, Source::Camera].map(|source| track(&ann, &scene, source));
    assert_eq!(pointed(&scene, 500), [(0, Some(microphone)), (1, Some(camera))], "a page that is loaded again sends other tracks");
    scene.forget();
    scene.request(&ann, MemberRequest::Leave).expect("left");
    assert!(seen(&scene).is_empty());
    assert_eq!(instructed(&mut scene), [Instruction::Over]);
    assert!(scene.commands.contains(&RoomCommand::RemovePeer { peer: PeerId(500) }));
    assert!(scene.told(&bob).iter().any(|event| matches!(event, Event::Egress { sessions } if sessions.is_empty())));
}

#[test]
fn what_is_for_some_alone_is_not_sent_elsewhere() {
    let (mut scene, ann, bob) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    let members = Some(vec![id(&bob.name)]);
    scene.request(&ann, MemberRequest::Audience { source: Source::Camera, members }).expect("she may");
    assert_eq!(pointed(&scene, 500)[1], (1, None));
}

#[test]
fn a_fault_of_the_worker_is_got_over() {
    let (mut scene, mut ann, _) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    scene.apply(Command::Media(Media::RoomFailed { room: ROOM }));
    assert_eq!((state(&scene), seen(&scene)[0].trouble), ("retrying", Some(Trouble::Failed)));
    scene.pass(Duration::from_secs(1));
    assert_eq!(state(&scene), "waiting", "nothing is published");
    scene.connect(&mut ann);
    connect(&mut scene, 501);
}

#[test]
fn no_more_is_kept_of_what_has_failed_than_may_be() {
    let (mut scene, ..) = scene();
    for n in 0..20 {
        let egress = n.to_string();
        begin(&mut scene, &egress, "ann", false).expect("begun");
        draw_for(&mut scene, &egress, 500).expect("an offer");
        report_of(&mut scene, &egress, EgressReport::Answered(Err(Trouble::Answer)));
    }
    let kept: Vec<String> = seen(&scene).into_iter().filter(|seen| seen.state == "failed").map(|seen| seen.info.egress).collect();
    assert_eq!(kept, (12..20).map(|n| n.to_string()).collect::<Vec<_>>(), "the latest ones");
    assert_eq!(seen(&scene).len(), 8);
}

#[test]
fn bills_say_what_was_sent_elsewhere_and_for_how_long() {
    let mut scene = Scene::new();
    let empty = Scene::new().room;
    scene.room = std::mem::replace(&mut scene.room, empty).with_ledger(scene.now);
    scene.join_with_media("ann");
    scene.happened.clear();
    begin(&mut scene, "e", "ann", false).expect("begun");
    connect(&mut scene, 500);
    scene.pass(Duration::from_secs(5));
    order(&mut scene, EgressOrder::End { egress: "e".into() }).expect("ended");
    let (member, by) = (id("ann"), id("boss"));
    let started = What::EgressStarted { egress: "e".into(), member, host: "live.example.org".into(), by };
    assert_eq!(scene.happened, [started, What::EgressEnded { egress: "e".into(), seconds: 5.0, reason: Reason::Ended }]);
}

#[test]
fn m_lines_are_those_of_what_was_there_when_it_was_offered() {
    let (mut scene, ..) = scene();
    begin(&mut scene, "e", "ann", false).expect("begun");
    let offer = draw(&mut scene, 500).expect("an offer");
    let kinds: Vec<&str> = offer.lines().filter_map(|line| line.strip_prefix("m=")?.split(' ').next()).collect();
    assert_eq!(kinds, ["audio", "video"]);
    assert!(offer.contains("a=candidate:1 1 udp") && offer.contains("192.0.2.1 50000 typ host"), "{offer}");
}
