use super::scene::{Client, Scene};
use crate::control::rooms::MemberRequest;
use crate::wire::{ErrorCode, Event, OkResult};

fn say(scene: &mut Scene, client: &Client, text: &str, key: Option<&str>, echo: bool) -> Result<u64, ErrorCode> {
    let what = MemberRequest::Chat { text: text.into(), key: key.map(Into::into), echo, at: 7 };
    match scene.request(client, what)? {
        Some(OkResult::Said { number, at: 7 }) => Ok(number),
        other => panic!("not said: {other:?}"),
    }
}

fn texts(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|e| if let Event::Chat { message } = e { Some(message.text.clone()) } else { None }).collect()
}

#[test]
fn a_message_reaches_the_others_and_its_sender_only_on_demand() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.join("alice"), scene.join("bob"));
    assert_eq!(say(&mut scene, &alice, "one", None, false), Ok(1));
    assert_eq!(say(&mut scene, &alice, "two", None, true), Ok(2));
    assert_eq!(texts(&scene.told(&bob)), ["one", "two"]);
    assert_eq!(texts(&scene.told(&alice)), ["two"]);
}

#[test]
fn a_repeated_key_is_answered_like_the_first_and_sent_to_nobody() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.join("alice"), scene.join("bob"));
    assert_eq!(say(&mut scene, &alice, "one", Some("k"), true), Ok(1));
    assert_eq!(say(&mut scene, &alice, "one", Some("k"), true), Ok(1));
    assert_eq!(say(&mut scene, &bob, "mine", Some("k"), false), Ok(2), "a key is its sender's own");
    assert_eq!(texts(&scene.told(&bob)), ["one"]);
}

#[test]
fn earlier_messages_are_in_the_history_and_in_the_answer_to_a_join() {
    let mut scene = Scene::with(|rules| rules.history = 3);
    let alice = scene.join("alice");
    for text in ["a", "b", "c", "d"] {
        say(&mut scene, &alice, text, None, false).expect("said");
    }
    let answer = scene.request(&alice, MemberRequest::History { before: Some(4), limit: 10 });
    let Ok(Some(OkResult::History { messages })) = answer else { panic!("no history: {answer:?}") };
    assert_eq!(messages.iter().map(|m| m.number).collect::<Vec<_>>(), [2, 3]);
    for limit in [0, 201, u32::MAX] {
        assert_eq!(scene.request(&alice, MemberRequest::History { before: None, limit }), Err(ErrorCode::LimitExceeded));
    }
}

#[test]
fn texts_and_keys_have_their_sizes() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.join("alice"), scene.join("bob"));
    scene.forget();
    assert_eq!(say(&mut scene, &alice, "", None, false), Err(ErrorCode::LimitExceeded));
    assert_eq!(say(&mut scene, &alice, &"x".repeat(4_097), None, false), Err(ErrorCode::LimitExceeded));
    assert_eq!(say(&mut scene, &alice, "x", Some(""), false), Err(ErrorCode::LimitExceeded));
    assert_eq!(say(&mut scene, &alice, "x", Some(&"k".repeat(65)), false), Err(ErrorCode::LimitExceeded));
    assert_eq!(say(&mut scene, &alice, "a\u{0}b", None, false), Err(ErrorCode::Malformed));
    assert_eq!(scene.told(&bob), []);
    assert_eq!(say(&mut scene, &alice, &"x".repeat(4_096), Some(&"k".repeat(64)), false), Ok(1));
}

#[test]
fn nobody_reads_or_writes_chat_without_the_grant() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let mut mute = scene.try_join("mute", |g| g.chat = false).expect("admitted");
    say(&mut scene, &alice, "for readers", None, false).expect("said");
    let Ok(OkResult::Joined { chat, .. }) = scene.resume(&mut mute, 0) else { panic!("not resumed") };
    assert_eq!((scene.told(&mute), chat), (vec![], vec![]));
    assert_eq!(say(&mut scene, &mute, "x", None, true), Err(ErrorCode::Forbidden));
    assert_eq!(scene.request(&mute, MemberRequest::History { before: None, limit: 1 }), Err(ErrorCode::Forbidden));
    assert_eq!(scene.told(&mute), []);
}
