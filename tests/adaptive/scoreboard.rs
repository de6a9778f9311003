//! The board: every scenario of limited links in numbers, beside those of before. A change must not worsen them unnoticed.
//!
//! `UPDATE_SCOREBOARD=1` writes the board anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::scores::{Score, a_full_room, a_link_that_breaks_down, a_steady_link, a_way_of_a_kind, kinds};
use crate::views::millis;

type Board = BTreeMap<String, BTreeMap<String, f64>>;

/// Whether more of it is better, and what is too little to be told: a share of it, or an amount.
const fn judged(name: &str) -> (bool, f64, f64) {
    match name.as_bytes() {
        b"least estimate of capacity" | b"estimate of capacity" => (true, 0.05, 0.02),
        b"time with the best set" | b"time with the best set for the estimate" => (true, 0.1, 0.1),
        b"chosen of the best" | b"used of capacity" | b"recovered in 400 ms" | b"encoding before" => (true, 0.03, 0.01),
        b"least pictures a second" => (true, 0.1, 1.0),
        b"most estimate of capacity" => (false, 0.05, 0.02),
        b"most sent of an estimate" => (false, 0.05, 0.02),
        b"padding of all" | b"frozen of all" => (false, 0.2, 0.005),
        b"most switches of a picture" | b"switches a minute" | b"another's switches" => (false, 0.2, 1.0),
        b"opened of each packet" => (false, 0.0, 0.0),
        b"up s" => (true, 0.01, 1.0),
        _ => (false, 0.2, 30.0),
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/adaptive/scoreboard.json")
}

fn play() -> Vec<(String, Score)> {
    let mut board = Vec::new();
    for queue in [300, 1_200] {
        board.push((format!("2.5 to 0.3 Mbit/s and back, a queue of {queue} ms"), a_link_that_breaks_down(1, millis(queue))));
    }
    for mbps in [1.0, 2.0, 4.0] {
        board.push((format!("four pictures over {mbps} Mbit/s"), a_steady_link(2, mbps)));
    }
    for (name, span, capacity, ways) in kinds() {
        board.push((name.to_owned(), a_way_of_a_kind(4, span, capacity, ways)));
    }
    board.push(("twenty members of 1 to 5 Mbit/s".to_owned(), a_full_room(3, 20, 1, Duration::from_secs(10))));
    board
}

/// What has become worse than it was, by more than is to be expected.
fn worsened(before: &Board, now: &[(String, Score)]) -> Vec<String> {
    let mut worse = Vec::new();
    for (scenario, score) in now {
        for (name, value) in score {
            let Some(was) = before.get(scenario).and_then(|scenario| scenario.get(*name)) else { continue };
            let (more_is_better, share, amount) = judged(name);
            let loss = if more_is_better { was - value } else { value - was };
            if loss > (was.abs() * share).max(amount) {
                worse.push(format!("{scenario}: {name} was {was:.3}, is {value:.3}"));
            }
        }
    }
    worse
}

#[test]
fn no_number_of_the_board_has_become_worse() {
    let now = play();
    for (scenario, score) in &now {
        eprintln!("{scenario}");
        score.iter().for_each(|(name, value)| eprintln!("    {name:<30} {value:>12.3}"));
    }
    if std::env::var("UPDATE_SCOREBOARD").is_ok() {
        let rounded = |value: &f64| (value * 1_000.0).round() / 1_000.0;
        let board: Board = now
            .iter()
            .map(|(name, score)| (name.clone(), score.iter().map(|(name, value)| ((*name).to_owned(), rounded(value))).collect()))
            .collect();
        let text = serde_json::to_string_pretty(&board).expect("numbers and names") + "\n";
        return std::fs::write(path(), text).expect("the board is written");
    }
    let before: Board = std::fs::read_to_string(path()).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    assert!(!before.is_empty(), "there is no board yet: UPDATE_SCOREBOARD=1 writes it");
    let worse = worsened(&before, &now);
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}

#[test]
fn the_board_tells_worse_from_better_and_from_chance() {
    let before: Board = [("a".to_owned(), [("frozen ms".to_owned(), 500.0), ("chosen of the best".to_owned(), 1.0)].into())].into();
    let with = |frozen, chosen| vec![("a".to_owned(), Score::from([("frozen ms", frozen), ("chosen of the best", chosen)]))];
    assert_eq!(worsened(&before, &with(590.0, 0.98)), Vec::<String>::new());
    assert_eq!(worsened(&before, &with(100.0, 1.1)), Vec::<String>::new());
    assert_eq!(worsened(&before, &with(610.0, 0.9)).len(), 2);
}
