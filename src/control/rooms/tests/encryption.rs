use super::scene::{Client, Introduction, Scene};
use crate::contract::MediaKind;
use crate::control::rooms::{MemberRequest, Purpose};
use crate::wire::{ErrorCode, OkResult, Source};

fn join(scene: &mut Scene, name: &str, encrypted: bool) -> Result<Client, ErrorCode> {
    scene.try_join_with(name, |g| g.record = true, Introduction { encrypted, ..Introduction::default() })
}

fn record() -> MemberRequest {
    MemberRequest::Record { recording: "r".into(), at: 0, members: vec![], sources: vec![] }
}

#[test]
fn the_first_member_decides_whether_all_encrypt() {
    let mut scene = Scene::new();
    let mut alice = join(&mut scene, "alice", true).expect("admitted");
    assert_eq!(join(&mut scene, "bob", false).err(), Some(ErrorCode::EncryptionDiffers));
    let bob = join(&mut scene, "bob", true).expect("admitted");
    let Ok(OkResult::Joined { encrypted, .. }) = scene.resume(&mut alice, 0) else { panic!("not resumed") };
    assert!(encrypted);
    assert_eq!(join(&mut scene, "alice", false).err(), Some(ErrorCode::EncryptionDiffers), "nor does somebody come again without");
    for client in [&alice, &bob] {
        scene.leave(client);
    }
    join(&mut scene, "carol", false).expect("an empty room is anybody's");
    assert_eq!(join(&mut scene, "dave", true).err(), Some(ErrorCode::EncryptionDiffers));
}

#[test]
fn who_is_alone_may_come_again_otherwise() {
    let mut scene = Scene::new();
    join(&mut scene, "alice", true).expect("admitted");
    join(&mut scene, "alice", false).expect("admitted");
    join(&mut scene, "bob", false).expect("admitted");
}

#[test]
fn the_server_records_nothing_that_it_cannot_read() {
    let mut scene = Scene::new();
    let alice = join(&mut scene, "alice", true).expect("admitted");
    assert_eq!(scene.request(&alice, record()), Err(ErrorCode::Encrypted));
    let picture = MemberRequest::Screenshot { member: super::scene::id("alice"), source: Source::Camera };
    assert_eq!(scene.request(&alice, picture), Err(ErrorCode::Encrypted));
    assert!(scene.recorded.is_empty() && scene.wishes.is_empty());
    scene.leave(&alice);
    let alice = join(&mut scene, "alice", false).expect("admitted");
    assert_eq!(scene.request(&alice, record()), Ok(None));
}

#[test]
fn nobody_comes_by_http_who_would_not_encrypt() {
    let mut scene = Scene::new();
    join(&mut scene, "alice", true).expect("admitted");
    let outcome = scene.attach("studio", Purpose::Publish, &[(MediaKind::Audio, true)]);
    assert_eq!(outcome.err(), Some(ErrorCode::EncryptionDiffers));
}
