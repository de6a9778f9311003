//! What an offer costs.

use std::time::Instant;

use althing::sdp::Offer;

use super::support::{LIMITS, fresh, offer, session};

#[test]
#[ignore = "prints a figure: cargo test --release --test sdp cost -- --ignored --nocapture"]
fn the_cost_of_an_offer_with_twelve_pairs() {
    for name in ["chromium-pairs12", "firefox-pairs12", "chromium-preferences"] {
        let (sdp, mut session) = (offer(name), session());
        let (mut parse, mut answer) = (Vec::new(), Vec::new());
        for n in 0..200 {
            let start = Instant::now();
            let offer = Offer::parse(&sdp, &LIMITS).unwrap();
            parse.push(start.elapsed());
            let start = Instant::now();
            session.answer(&offer, fresh(n)).unwrap();
            answer.push(start.elapsed());
        }
        parse.sort();
        answer.sort();
        println!("{name}: {} bytes, median to read {:?}, to answer {:?}", sdp.len(), parse[100], answer[100]);
    }
}
