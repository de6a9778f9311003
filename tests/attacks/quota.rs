//! T5: one credential that wants everything.

use std::collections::HashMap;
use std::time::Duration;

use rtc_stun::message::METHOD_REFRESH;

use crate::exchange::Exchange;
use crate::report::{count, of_class};
use crate::scene::Scene;
use crate::turn::Turn;

/// Allocations of one user at a time (setting `turn.user_allocations`).
const MOST: usize = 12;

#[test]
fn t5_of_one_credential_twelve_allocations_stand_and_others_get_theirs() {
    let (scene, mut report) = (Scene::new(), of_class("T5"));
    let exchange = Exchange::begin(&scene);
    let greedy = scene.join("greedy").credentials;
    let tries = count(1_000, 150);
    let mut all = Vec::new();
    let mut results: HashMap<Result<(), u16>, usize> = HashMap::new();
    for n in 0..tries {
        // Strangers of one network are answered a hundred times a second: these come from many.
        let from = [127, 1, (n % 250) as u8, 1 + (n / 250) as u8];
        let mut turn = if n % 10 == 9 { Turn::tcp(from, &greedy) } else { Turn::udp(from, &greedy) };
        *results.entry(turn.allocate(false).map(|_| ())).or_default() += 1;
        all.push(turn);
        if n % 250 == 249 {
            report.say(&format!("{} of {tries} allocations tried: {results:?}", n + 1));
        }
    }
    let granted = results.get(&Ok(())).copied().unwrap_or_default();
    let refused = results.get(&Err(486)).copied().unwrap_or_default();
    report.at_most("granted", granted as f64, "allocations", MOST as f64);
    report.exactly("refused_with_486", refused as f64, "requests", (tries - MOST) as f64);
    // Those that stand can be refreshed; for all others there is nothing.
    let standing = all.iter_mut().filter_map(|turn| turn.ask(METHOD_REFRESH, &[]).ok()).count();
    report.at_most("standing", standing as f64, "allocations", MOST as f64);
    let gauge = scene.settled("althing_worker_allocations", "", |value| value as usize == MOST + 2);
    report.exactly("held_by_the_workers", gauge, "allocations, two of them the exchange's", (MOST + 2) as f64);
    let others = (0..10).filter(|n| Turn::udp([127, 2, *n, 1], &scene.join("modest").credentials).allocate(false).is_ok()).count();
    report.exactly("other_users", others as f64, "of 10 get one", 10.0);
    // What is given back may be had again, and no more than that.
    let given_back = all.iter_mut().filter_map(|turn| turn.refresh(Duration::ZERO).ok()).take(1).count();
    let again = all.iter_mut().rev().take(5).filter_map(|turn| turn.allocate(false).ok()).count();
    report.exactly("had_again", again as f64, "allocations, as many as were given back", given_back as f64);
    report.exactly("panics", scene.panics(), "panics", 0.0);
    exchange.end(&mut report);
    report.finish();
}
