use super::scene::{Client, Scene, id};
use crate::base::TrackId;
use crate::contract::RoomCommand;
use crate::control::rooms::{Command, MemberRequest, RecordEffect};
use crate::wire::{ErrorCode, Event, OkResult, Policy, RecordingEnd, Source, Way};

fn record(scene: &mut Scene, who: &Client, members: &[&str], sources: &[Source]) -> Result<Option<OkResult>, ErrorCode> {
    let members = members.iter().map(|name| id(name)).collect();
    scene.request(who, MemberRequest::Record { recording: "r1".into(), at: 7, members, sources: sources.to_vec() })
}

fn recorder(scene: &mut Scene, name: &str) -> Client {
    scene.try_join(name, |g| g.record = true).expect("admitted")
}

/// What is attached and detached since it was last asked for.
fn taken(scene: &mut Scene) -> Vec<(bool, TrackId, Option<Source>)> {
    let effects = std::mem::take(&mut scene.recorded).into_iter().filter_map(|(effect, _)| match effect {
        RecordEffect::Attach { track, source, .. } => Some((true, track, Some(source))),
        RecordEffect::Detach { track } => Some((false, track, None)),
        RecordEffect::Begin { .. } | RecordEffect::Chat { .. } | RecordEffect::End => None,
    });
    effects.collect()
}

#[test]
fn everybody_is_told_before_anything_is_recorded_and_newcomers_with_their_join() {
    let mut scene = Scene::new();
    let mut boss = recorder(&mut scene, "boss");
    scene.connect(&mut boss);
    let bob = scene.join_with_media("bob");
    scene.forget();
    assert_eq!(record(&mut scene, &bob, &[], &[]), Err(ErrorCode::Forbidden), "his token does not say so");
    assert_eq!(record(&mut scene, &boss, &[], &[]), Ok(None));
    assert_eq!(record(&mut scene, &boss, &[], &[]), Err(ErrorCode::WrongState), "it is recorded already");
    assert!(scene.recorded.iter().all(|(_, told)| *told == 2), "{:?}", scene.recorded);
    assert!(matches!(scene.recorded[0].0, RecordEffect::Begin { .. }));
    assert_eq!(taken(&mut scene).len(), 4, "two microphones and two cameras");
    let told = scene.told(&bob);
    let [Event::Recording { recording: Some(info), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&info.by, info.at, &info.sources[..]), (&id("boss"), 7, &Source::ALL[..]));
    let carol = scene.join_with_media("carol");
    let state = scene.room.joined(*scene.room.sockets.get(&carol.socket).expect("she is there"));
    assert!(matches!(state, Some(OkResult::Joined { recording: Some(_), .. })));
    assert_eq!(taken(&mut scene).len(), 2, "what is published later is recorded too");
}

#[test]
fn what_is_recorded_follows_what_is_published_and_chosen() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join_with_media("bob");
    scene.join_with_media("carol");
    scene.forget();
    record(&mut scene, &boss, &["bob"], &[Source::Microphone]).expect("begun");
    let begun = taken(&mut scene);
    let [(true, microphone, Some(Source::Microphone))] = begun[..] else { panic!("{begun:?}") };
    scene.request(&bob, MemberRequest::Unpublish { track: crate::wire::TrackNumber(microphone.0) }).expect("unpublished");
    assert_eq!(taken(&mut scene), [(false, microphone, None)]);
    assert!(!scene.commands.iter().any(|c| matches!(c, RoomCommand::Tap { .. })), "a track that has ended takes its tap with it");
}

#[test]
fn an_end_ends_the_taps_and_everybody_is_told() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join_with_media("bob");
    assert_eq!(scene.request(&boss, MemberRequest::StopRecording), Err(ErrorCode::WrongState));
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    scene.recorded.clear();
    assert_eq!(scene.request(&bob, MemberRequest::StopRecording), Err(ErrorCode::Forbidden));
    assert_eq!(scene.request(&boss, MemberRequest::StopRecording), Ok(None));
    assert_eq!(scene.commands.iter().filter(|c| matches!(c, RoomCommand::Tap { tap: None, .. })).count(), 2);
    assert_eq!(scene.recorded.pop().map(|(effect, _)| effect), Some(RecordEffect::End));
    assert_eq!(scene.told(&bob), [Event::Recording { recording: None, reason: None }]);
    record(&mut scene, &boss, &[], &[]).expect("it may begin again");
    scene.forget();
    scene.apply(Command::RecordingFailed);
    assert_eq!(scene.told(&bob), [Event::Recording { recording: None, reason: Some(RecordingEnd::Failed) }], "the disk is full, say");
}

#[test]
fn a_direct_call_goes_through_the_server_while_it_is_recorded() {
    let mut scene = Scene::new();
    let alice = scene.try_join_as("alice", |g| g.record = true, Some(crate::wire::DirectAbility { held: None })).expect("admitted");
    let bob = scene.join_direct("bob", None);
    assert_eq!(scene.room.via(), Some("direct"));
    scene.forget();
    record(&mut scene, &alice, &[], &[]).expect("begun");
    let told = scene.told(&bob);
    assert!(matches!(told[..], [Event::Recording { recording: Some(_), .. }, Event::Way { way: Way::Server {} }]), "{told:?}");
    scene.request(&alice, MemberRequest::StopRecording).expect("ended");
    let mut scene = Scene::with(|rules| rules.policy = Policy::P2p);
    let alice = scene.try_join_as("alice", |g| g.record = true, Some(crate::wire::DirectAbility { held: None })).expect("admitted");
    assert_eq!(record(&mut scene, &alice, &[], &[]), Err(ErrorCode::WrongState), "this server has nothing of such calls");
}
