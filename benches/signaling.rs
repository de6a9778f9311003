//! Signaling alone, no sockets: an offer from its JSON to the answer's, by its steps. Prints a JSON line a case.

mod cpu;
#[path = "../tests/sdp/support.rs"]
#[allow(dead_code, reason = "shared with the tests of session descriptions, which use all of it")]
mod support;

use std::hint::black_box;

use althing::sdp::Offer;
use althing::wire::{ClientMessage, Event, MemberId, Request, ServerMessage};
use support::{LIMITS, fresh, offer, session};

fn main() {
    for name in ["chromium-join", "chromium-preferences", "firefox-join", "chromium-pairs12"] {
        let sdp = offer(name);
        let request = ClientMessage { id: 7, request: Request::Offer { sdp: sdp.clone(), publish: Vec::new() } };
        let json = serde_json::to_string(&request).expect("JSON");
        let read_json = cpu::nanoseconds(200, |_| drop(black_box(serde_json::from_str::<ClientMessage>(&json).expect("a message"))));
        let read = cpu::nanoseconds(50, |_| drop(black_box(Offer::parse(&sdp, &LIMITS).expect("an offer"))));
        let parsed = Offer::parse(&sdp, &LIMITS).expect("an offer");
        let answer = cpu::nanoseconds(50, |n| drop(black_box(session().answer(&parsed, fresh(n)).expect("an answer"))));
        println!(
            r#"{{"bench":"signaling","what":"offer","offer":"{name}","bytes":{},"json_us":{:.1},"read_us":{:.1},"answer_us":{:.1}}}"#,
            sdp.len(),
            read_json / 1e3,
            read / 1e3,
            answer / 1e3
        );
    }
    let event = ServerMessage::Event { seq: 4_711, event: Event::Speakers { members: vec![MemberId("ada".into()); 3] } };
    let encode = cpu::nanoseconds(20_000, |_| drop(black_box(serde_json::to_string(&event).expect("JSON"))));
    println!(r#"{{"bench":"signaling","what":"event","ns":{encode:.0}}}"#);
}
