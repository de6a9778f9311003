//! Data between members: through a real node with the `webrtc` crate's data channels, over ways that lose a tenth each way; and peers that
//! mean harm. `make prove-data` asks for more, and writes the rows.

mod attacker;
#[path = "../client/mod.rs"]
mod client;
mod heap;
mod hostile;
mod member;
#[path = "../nodes/mod.rs"]
mod nodes;
mod report;
#[allow(dead_code)]
#[path = "../prove/row.rs"]
mod row;
#[allow(dead_code, reason = "shared with the other proofs")]
#[path = "../prove/report.rs"]
mod rows;
/// The connection of the clients that do without a whole peer connection.
#[allow(dead_code)]
#[path = "../light/transport.rs"]
mod transport;
mod way;

use std::time::{Duration, Instant};

use althing::node::Node;
use member::{By, Heard, Member};
use report::{is_full, report};

async fn node(workers: u16) -> Node {
    nodes::start(|config| (config.media.workers, config.media.spread_from) = (workers, 1)).await
}

const SOON: Duration = Duration::from_secs(10);

fn payload(n: u32) -> Vec<u8> {
    let mut payload = format!("{n} ").into_bytes();
    payload.resize(payload.len() + (n as usize * 7_919) % 1_500, b'x');
    payload
}

fn number(heard: &Heard) -> u32 {
    let text = String::from_utf8_lossy(&heard.payload);
    text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_get_it_by_their_own_way_across_two_workers() {
    let node = node(2).await;
    let mut ada = Member::connect(node.http, "data", 0, 1).await;
    let mut ben = Member::connect(node.http, "data", 0, 2).await;
    let mut eve = Member::join(node.http, "data").await;
    let heard = |from: &Member, text: &str, way| Some(Heard { from: from.id.clone(), topic: "t".into(), payload: text.into(), way });
    // Until the server has heard the greetings, it goes by the socket.
    ada.send("t", &[], b"first", true).await;
    ben.hear(SOON).await.expect("something");
    eve.hear(SOON).await.expect("something");
    tokio::time::sleep(Duration::from_millis(300)).await;

    ada.send("t", &[], b"to all", true).await;
    assert_eq!(ben.hear(SOON).await, heard(&ada, "to all", By::Reliable));
    ada.send("t", &[&ben.id], b"to one", false).await;
    assert_eq!(ben.hear(SOON).await, heard(&ada, "to one", By::Lossy));
    eve.send("t", &[], b"by socket", true).await;
    assert_eq!(ben.hear(SOON).await, heard(&eve, "by socket", By::Reliable));
    assert_eq!(ada.hear(SOON).await, heard(&eve, "by socket", By::Reliable));
    eve.send("t", &[&ada.id], b"perhaps", false).await;
    assert_eq!(ada.hear(SOON).await, heard(&eve, "perhaps", By::Lossy));
    let first = eve.hear(SOON).await.expect("what was for all");
    assert_eq!((first.payload.as_slice(), first.way), (&b"to all"[..], By::Socket));
    // What was for one is for nobody else, and nobody hears itself.
    let quiet = Duration::from_millis(300);
    assert_eq!((ada.hear(quiet).await, ben.hear(quiet).await), (None, None));

    // Whoever closes its connection goes on with its socket.
    ben.connection.take().expect("one").close().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ada.send("t", &[], b"still there", true).await;
    let by_socket = ben.hear(SOON).await.map(|h| (h.way, h.payload));
    assert!(by_socket.is_some_and(|(way, _)| way == By::Socket));
    node.shut_down().await;
}

/// Three members over ways that lose a tenth each way: all send reliably and not, at once.
#[tokio::test(flavor = "multi_thread")]
async fn at_ten_per_cent_loss_what_is_reliable_comes_once_and_in_order() {
    let (reliable, lossy) = if is_full() { (1_000, 2_000) } else { (150, 300) };
    let node = node(2).await;
    let mut ada = Member::connect(node.http, "loss", 10, 1).await;
    let mut ben = Member::connect(node.http, "loss", 10, 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begin = Instant::now();
    let sending = async {
        for n in 0..reliable.max(lossy) {
            if n < lossy {
                ada.send("lossy", &[], format!("{n} ").as_bytes(), false).await;
            }
            if n < reliable {
                ada.send("sure", &[], &payload(n), true).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let hearing = async {
        let (mut sure, mut perhaps) = (Vec::new(), Vec::new());
        let mut patience = Duration::from_secs(20);
        while let Some(heard) = ben.hear(patience).await {
            match (&*heard.topic, heard.way) {
                ("sure", By::Reliable) => {
                    let n = number(&heard);
                    assert!(heard.payload == payload(n), "message {n} came as it was sent");
                    sure.push(n);
                }
                ("lossy", By::Lossy) => perhaps.push(number(&heard)),
                other => panic!("{other:?}"),
            }
            if sure.len() as u32 >= reliable && perhaps.last().is_some_and(|n| *n + 20 > lossy) {
                // What comes last may be lost: nobody knows that it will not come.
                patience = Duration::from_secs(1);
            }
        }
        (sure, perhaps)
    };
    let ((), (sure, mut perhaps)) = tokio::join!(sending, hearing);
    let took = begin.elapsed();
    let mut report = report();
    let lost = (ada.way.as_ref().expect("a way").lost() + ben.way.as_ref().expect("a way").lost()) / 2.0;
    report.between("loss10.datagrams_lost", lost, "% each way", (8.5, 11.5));
    report.exactly("loss10.reliable_delivered", 100.0 * sure.len() as f64 / f64::from(reliable), "% of the messages", 100.0);
    let in_order = sure.iter().copied().eq(0..reliable);
    report.exactly("loss10.reliable_out_of_order", f64::from(u8::from(!in_order)), "messages out of order, or twice", 0.0);
    let came = perhaps.len();
    perhaps.sort_unstable();
    perhaps.dedup();
    report.exactly("loss10.lossy_twice", (came - perhaps.len()) as f64, "messages", 0.0);
    // 81 are expected; losses that come in one moment of few messages count for much.
    let reach = if is_full() { (71.0, 89.0) } else { (55.0, 95.0) };
    report.between("loss10.lossy_delivered", 100.0 * came as f64 / f64::from(lossy), "% over two lossy ways", reach);
    report.figure("loss10.took", took.as_secs_f64(), "s");
    ada.connection.take().expect("one").close().await;
    node.shut_down().await;
    report.finish();
}

/// From one channel to another through the room, on loopback.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_message_is_there_at_once() {
    let node = node(2).await;
    let ada = Member::connect(node.http, "delay", 0, 1).await;
    let mut ben = Member::connect(node.http, "delay", 0, 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut delays = Vec::new();
    for n in 0..if is_full() { 1_000 } else { 100 } {
        let begin = Instant::now();
        ada.send("", &[], format!("{n} ").as_bytes(), false).await;
        ben.hear(SOON).await.expect("it is there");
        delays.push(begin.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    delays.sort_by(f64::total_cmp);
    let mut report = report();
    report.figure("delay.median", delays[delays.len() / 2], "ms, two clients of the webrtc crate included");
    report.figure("delay.p99", delays[delays.len() * 99 / 100], "ms, two clients of the webrtc crate included");
    node.shut_down().await;
    report.finish();
}

/// Through the whole node: ICE, DTLS, SCTP, and then whatever it likes.
#[tokio::test(flavor = "multi_thread")]
async fn others_notice_nothing_of_a_member_who_sends_garbage_in_sctp() {
    let node = node(1).await;
    let ada = Member::connect(node.http, "garbage", 0, 1).await;
    let mut ben = Member::connect(node.http, "garbage", 0, 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut attacker = attacker::Attacker::connect(node.http, "garbage").await;
    let attack = async {
        let answered = attacker.attack(10_000).await;
        println!("    {answered} datagrams came back");
    };
    let others = async {
        for n in 0..100u32 {
            ada.send("", &[], &payload(n), true).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let hearing = async {
        for n in 0..100u32 {
            assert_eq!(ben.hear(SOON).await.map(|heard| number(&heard)), Some(n));
        }
    };
    tokio::join!(attack, others, hearing);
    let metrics = attacker::metrics(node.admin).await;
    let value = |name: &str| metrics.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(value("althing_room_panics_total{worker=\"0\"}"), 0.0);
    let dropped: f64 =
        metrics.lines().filter(|l| l.starts_with("althing_data_drops_total")).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!(dropped > 1_000.0, "{dropped} chunks were dropped");
    node.shut_down().await;
}

#[test]
fn ten_thousand_chunks_of_each_kind_that_means_harm_hold_little_and_panic_nobody() {
    let mut report = report();
    hostile::run(&mut report);
    report.finish();
}
