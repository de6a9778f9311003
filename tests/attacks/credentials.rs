//! T9: credentials that are not good, or not any more, or somebody else's.

use std::time::{Duration, Instant};

use rtc_stun::message::METHOD_ALLOCATE;
use rtc_turn::proto::PROTO_TCP;
use rtc_turn::proto::reqtrans::RequestedTransport;

use crate::exchange::Exchange;
use crate::report::{Report, of_class};
use crate::scene::{Credentials, Scene, User};
use crate::turn::{Turn, UDP, code};

/// How long credentials are good for in this class.
const GOOD_FOR: Duration = Duration::from_secs(8);
const FROM: [u8; 4] = [127, 6, 0, 1];

fn allocate(credentials: &Credentials) -> Result<(), u16> {
    Turn::udp(FROM, credentials).allocate(false).map(|_| ())
}

fn with(credentials: &Credentials, username: &str) -> Credentials {
    Credentials { username: username.to_owned(), ..credentials.clone() }
}

#[test]
fn t9_wrong_credentials_get_a_typed_error_and_nothing_stands() {
    let (scene, mut report) = (Scene::beside_others(|config, _| config.ice.credential_lifetime = GOOD_FOR), of_class("T9"));
    let brief = scene.join("brief");
    let given = Instant::now();
    let mut before = Turn::udp(FROM, &brief.credentials);
    before.allocate(false).expect("good as they are given out");
    let exchange = Exchange::begin(&scene);
    let mut user = scene.join("room");
    let good = user.credentials.clone();
    assert_eq!(allocate(&good), Ok(()), "credentials as they are given out are good");
    let wrong = names(&good);
    let refused = wrong.iter().filter(|name| allocate(&with(&good, name)) == Err(401)).count();
    report.exactly("names", refused as f64, "names of a made-up user are refused with 401", wrong.len() as f64);
    let password = Credentials { password: good.password.replace(&good.password[..4], "AAAA"), ..good.clone() };
    report.exactly("password", code_of(allocate(&password)), "(401)", 401.0);
    let foreign = scene.another_node();
    let theirs = scene.join_at(&foreign, "room").credentials;
    let theirs = Credentials { relays: good.relays.clone(), ..theirs };
    report.exactly("another_nodes_secret", code_of(allocate(&theirs)), "(401)", 401.0);
    report.exactly("another_clients_nonce", code_of(anothers_nonce(&good)), "(438)", 438.0);
    report.exactly("another_users_allocation", code_of(anothers_allocation(&scene, &good)), "(441)", 441.0);
    revoked(&mut report, &scene, &mut user);
    expired(&mut report, &brief, before, given);
    // The foreign node was asked for nothing but a room.
    let standing = scene.settled("althing_worker_allocations", "", |value| value <= 3.0);
    report.exactly("standing", standing, "allocations: two of the exchange, and one made with good credentials", 3.0);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}

fn code_of(result: Result<(), u16>) -> f64 {
    result.err().map_or(-1.0, f64::from)
}

/// Names that a reader of names might take for another one, or choke on.
fn names(good: &Credentials) -> Vec<String> {
    let (expires, user) = good.username.split_once(':').expect("a name of two parts");
    vec![
        format!("+{expires}:{user}"),
        format!("-{expires}:{user}"),
        format!(" {expires}:{user}"),
        format!("0{expires}:{user}"),
        format!("{expires}:{user} "),
        format!("{expires}:{user}\0"),
        format!("{expires}:{}", user.to_uppercase()),
        format!("{expires}0:{user}"),
        format!("99999999999999999999999:{user}"),
        format!("18446744073709551616:{user}"),
        format!("18446744073709551615:{user}"),
        format!(":{user}"),
        format!("{expires}:"),
        user.to_owned(),
        expires.to_owned(),
        "1:ada".to_owned(),
        "+1:ada".to_owned(),
        format!("{expires}:{}", "a".repeat(480)),
        "9".repeat(500),
        ":".repeat(500),
        "é".repeat(250),
        String::new(),
    ]
}

/// A request with the nonce of another client, and otherwise good.
fn anothers_nonce(good: &Credentials) -> Result<(), u16> {
    let (mut ada, mut ben) = (Turn::udp(FROM, good), Turn::udp(FROM, good));
    let tcp = RequestedTransport { protocol: PROTO_TCP };
    assert_eq!(ada.ask(METHOD_ALLOCATE, &[&tcp]).map(|_| ()), Err(442), "no allocation, and a nonce that is good");
    ben.nonce.clone_from(&ada.nonce);
    let answer = ben.answer(&ben.request(METHOD_ALLOCATE, &[&UDP])).expect("an answer");
    code(&answer).map_or(Ok(()), Err)
}

/// Another user's request, with its own good credentials, from where somebody has an allocation.
fn anothers_allocation(scene: &Scene, good: &Credentials) -> Result<(), u16> {
    let mut ada = Turn::udp(FROM, good);
    ada.allocate(false).expect("an allocation");
    let Turn { wire, nonce, .. } = ada;
    let mut ben = Turn::new(wire, &scene.join("other").credentials);
    ben.nonce = nonce;
    let result = ben.refresh(Duration::ZERO);
    assert_eq!(ben.permit(([127, 0, 0, 5], 9).into()), Err(441), "nor may it send from it");
    let nonce = ben.nonce;
    let mut ada = Turn::new(ben.wire, good);
    ada.nonce = nonce;
    ada.refresh(Duration::ZERO).expect("it still stands, and its owner gives it back");
    result
}

/// A moderator sends a member away: its allocations end, and it gets no new one.
fn revoked(report: &mut Report, scene: &Scene, moderator: &mut User) {
    let victim = scene.join("room");
    let mut turns = [Turn::udp(FROM, &victim.credentials), Turn::tcp(FROM, &victim.credentials)];
    let relayed = turns.each_mut().map(|turn| turn.allocate(false).expect("an allocation"));
    turns[0].bind(0x4000, relayed[1]).expect("bound");
    turns[1].permit(relayed[0]).expect("permitted");
    turns[0].send_by(0x4000, b"before").expect("sent");
    assert!(turns[1].next_data(Duration::from_secs(2)).is_some(), "it works");
    // It has come again meanwhile: what its earlier session was given is taken back as well.
    let again = scene.join_again("room", &victim.member);
    assert_eq!(again.member, victim.member);
    assert_eq!(allocate(&again.credentials), Ok(()));
    scene.kick(moderator, &victim.member);
    let since = Instant::now();
    let mut last = [Duration::ZERO; 2];
    while since.elapsed() < Duration::from_secs(6) && turns.iter_mut().any(|turn| turn.refresh(Duration::from_secs(600)).is_ok()) {
        last = [since.elapsed(); 2];
        std::thread::sleep(Duration::from_millis(50));
    }
    report.at_most("kicked_allocations_end", last[0].as_secs_f64(), "s", 5.0);
    turns[0].send_by(0x4000, b"after").expect("sent");
    let delivered = turns[1].next_data(Duration::from_millis(300)).is_some();
    report.exactly("kicked_delivered", f64::from(u8::from(delivered)), "datagrams", 0.0);
    for (row, credentials) in [("kicked_asks_again", &again.credentials), ("kicked_asks_with_earlier_credentials", &victim.credentials)] {
        report.exactly(row, code_of(allocate(credentials)), "(403)", 403.0);
    }
}

/// Credentials that were good: none begins with them, and what was made with them goes on.
fn expired(report: &mut Report, brief: &User, mut before: Turn, given: Instant) {
    std::thread::sleep((GOOD_FOR + Duration::from_millis(1_500)).saturating_sub(given.elapsed()));
    report.exactly("expired", code_of(allocate(&brief.credentials)), "(401)", 401.0);
    report.exactly("expired_goes_on", code_of(before.refresh(Duration::ZERO).and(Err(0))), "(given back)", 0.0);
}
