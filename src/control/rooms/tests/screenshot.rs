use super::scene::{Client, Scene, id};
use crate::base::WorkerId;
use crate::contract::RoomCommand;
use crate::control::Refusal;
use crate::control::rooms::{Command, MemberRequest, Wish};
use crate::wire::{DirectAbility, ErrorCode, Event, OkResult, Source, TrackNumber};

fn recorder(scene: &mut Scene, name: &str) -> Client {
    scene.try_join(name, |g| g.record = true).expect("admitted")
}

/// Asks, without an answer yet; the request's number.
fn ask(scene: &mut Scene, who: &Client, of: &str, source: Source) -> u32 {
    let before = scene.replies.len();
    let asked = scene.draw() as u32;
    let what = MemberRequest::Screenshot { member: id(of), source };
    scene.apply(Command::Request { socket: who.socket, id: asked, what });
    assert_eq!(scene.replies.len(), before, "the answer follows");
    asked
}

fn refused(scene: &mut Scene, who: &Client, of: &str, source: Source) -> Option<ErrorCode> {
    scene.request(who, MemberRequest::Screenshot { member: id(of), source }).err()
}

/// The camera that a member was told of last.
fn published(scene: &mut Scene, to: &Client) -> TrackNumber {
    let camera = |event| match event {
        Event::Track { track, .. } if track.source == Source::Camera => Some(track.track),
        _ => None,
    };
    scene.told(to).into_iter().find_map(camera).expect("a camera")
}

fn taps(scene: &mut Scene) -> Vec<RoomCommand> {
    std::mem::take(&mut scene.commands).into_iter().filter(|command| matches!(command, RoomCommand::Tap { .. })).collect()
}

#[test]
fn everybody_is_told_before_a_picture_is_taken_and_whoever_asked_is_answered_when_it_is_there() {
    let mut scene = Scene::new();
    let (ada, bob) = (recorder(&mut scene, "ada"), scene.join_with_media("bob"));
    let asked = ask(&mut scene, &ada, "bob", Source::Camera);
    let (wish, told) = scene.wishes.pop().expect("a wish");
    assert_eq!(told, 2, "both had been told by then");
    let Wish { number, worker, member, by, recorded, .. } = wish.clone();
    assert_eq!((worker, member.0, by.0, recorded), (WorkerId(0), id("bob"), id("ada"), false));
    let events = scene.told(&bob);
    assert!(events.iter().any(|e| matches!(e, Event::Screenshot { by, member, source: Source::Camera } if *by == id("ada") && *member == id("bob"))));
    scene.apply(Command::ScreenshotSeen { number });
    assert_eq!(taps(&mut scene), [RoomCommand::Tap { track: wish.track, tap: None }], "nothing more is copied");
    scene.apply(Command::ScreenshotOver { number, result: Ok("s1".into()) });
    assert!(taps(&mut scene).is_empty());
    let (socket, of, result) = scene.replies.pop().expect("an answer");
    assert_eq!((socket, of, result), (ada.socket, asked, Ok(Some(OkResult::Screenshot { item: "s1".into() }))));
    let others = scene.replies.len();
    scene.apply(Command::ScreenshotOver { number, result: Ok("s1".into()) });
    assert_eq!(scene.replies.len(), others, "once");
}

#[test]
fn it_is_refused_to_whom_it_is_not_granted_and_where_there_is_nothing_to_see() {
    let mut scene = Scene::new();
    let (ada, bob) = (recorder(&mut scene, "ada"), scene.join_with_media("bob"));
    assert_eq!(refused(&mut scene, &bob, "bob", Source::Camera), Some(ErrorCode::Forbidden));
    assert_eq!(refused(&mut scene, &ada, "bob", Source::Microphone), Some(ErrorCode::NotFound));
    assert_eq!(refused(&mut scene, &ada, "bob", Source::Screen), Some(ErrorCode::NotFound));
    assert_eq!(refused(&mut scene, &ada, "eve", Source::Camera), Some(ErrorCode::NotFound));
    assert_eq!(refused(&mut scene, &ada, "ada", Source::Camera), Some(ErrorCode::NotFound));
    let track = published(&mut scene, &ada);
    scene.request(&bob, MemberRequest::Mute { track, muted: true }).expect("muted");
    assert_eq!(refused(&mut scene, &ada, "bob", Source::Camera), Some(ErrorCode::WrongState));
    assert!(scene.wishes.is_empty());
}

#[test]
fn of_one_picture_one_is_taken_at_a_time_and_of_a_room_four() {
    let mut scene = Scene::new();
    let ada = recorder(&mut scene, "ada");
    let names: Vec<String> = (0..5).map(|n| format!("p{n}")).collect();
    let _people: Vec<Client> = names.iter().map(|name| scene.join_with_media(name)).collect();
    ask(&mut scene, &ada, "p0", Source::Camera);
    assert_eq!(refused(&mut scene, &ada, "p0", Source::Camera), Some(ErrorCode::RateLimited));
    for name in &names[1..4] {
        ask(&mut scene, &ada, name, Source::Camera);
    }
    assert_eq!(refused(&mut scene, &ada, "p4", Source::Camera), Some(ErrorCode::RateLimited));
    let number = scene.wishes[0].0.number;
    scene.apply(Command::ScreenshotOver { number, result: Err(Refusal::new(ErrorCode::ScreenshotUnavailable, "no key frame came")) });
    assert_eq!(taps(&mut scene).len(), 1);
    let last = scene.replies.pop().map(|(.., result)| result.map_err(|refusal| refusal.code));
    assert_eq!(last, Some(Err(ErrorCode::ScreenshotUnavailable)));
    ask(&mut scene, &ada, "p4", Source::Camera);
}

#[test]
fn a_recording_keeps_its_taps_whatever_becomes_of_a_picture() {
    let mut scene = Scene::new();
    let (ada, _bob) = (recorder(&mut scene, "ada"), scene.join_with_media("bob"));
    ask(&mut scene, &ada, "bob", Source::Camera);
    let record = || MemberRequest::Record { recording: "r1".into(), at: 7, members: vec![], sources: vec![] };
    scene.request(&ada, record()).expect("recorded");
    let number = scene.wishes[0].0.number;
    taps(&mut scene);
    scene.apply(Command::ScreenshotOver { number, result: Ok("s1".into()) });
    assert!(taps(&mut scene).is_empty(), "the tap is the recording's");
    ask(&mut scene, &ada, "bob", Source::Camera);
    assert!(scene.wishes[1].0.recorded);
    let number = scene.wishes[1].0.number;
    scene.apply(Command::ScreenshotSeen { number });
    assert!(taps(&mut scene).is_empty());
}

#[test]
fn what_ends_meanwhile_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let (ada, bob) = (recorder(&mut scene, "ada"), scene.join_with_media("bob"));
    ask(&mut scene, &ada, "bob", Source::Camera);
    scene.request(&bob, MemberRequest::Leave).expect("left");
    scene.request(&ada, MemberRequest::Leave).expect("left");
    taps(&mut scene);
    let (number, replies) = (scene.wishes[0].0.number, scene.replies.len());
    scene.apply(Command::ScreenshotOver { number, result: Ok("s1".into()) });
    assert_eq!((taps(&mut scene).len(), scene.replies.len()), (0, replies), "nobody is told, and no track is untapped that is gone");
}

#[test]
fn of_a_call_that_goes_directly_it_is_said_why_there_is_no_picture() {
    let mut scene = Scene::new();
    let direct = Some(DirectAbility::default());
    let ada = scene.try_join_as("ada", |g| g.record = true, direct).expect("admitted");
    scene.join_direct("bob", None);
    assert_eq!(scene.room.via(), Some("direct"));
    assert_eq!(refused(&mut scene, &ada, "bob", Source::Camera), Some(ErrorCode::WrongState));
    assert_eq!(refused(&mut scene, &ada, "eve", Source::Camera), Some(ErrorCode::NotFound));
}
