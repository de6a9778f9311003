//! The board: every scenario of limited links in numbers, beside those of before. A change must not worsen them unnoticed.
//!
//! `UPDATE_SCOREBOARD=1` writes the board anew.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::scores::{Score, a_full_room, a_link_that_breaks_down, a_steady_link, a_way_of_a_kind, kinds};
use crate::views::millis;

type Spread = BTreeMap<String, [f64; 3]>;
type Board = BTreeMap<String, Spread>;

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

/// A link that changes is a matter of chance: whether a probe meets a key frame decides over seconds. So many are played.
const SEEDS: Range<u64> = 1..4;

/// Of each number the least, the median and the most that its seeds come to.
fn spread(scores: &[Score]) -> Spread {
    let names = scores.iter().flat_map(Score::keys).copied();
    let of = |name: &str| {
        let mut values: Vec<f64> = scores.iter().filter_map(|score| score.get(name)).copied().collect();
        values.sort_by(f64::total_cmp);
        (name.to_owned(), [values[0], values[values.len() / 2], values[values.len() - 1]])
    };
    names.map(of).collect()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/adaptive/scoreboard.json")
}

fn play() -> Board {
    let mut board = Board::new();
    for queue in [300, 1_200] {
        let scores: Vec<_> = SEEDS.map(|seed| a_link_that_breaks_down(seed, millis(queue))).collect();
        board.insert(format!("2.5 to 0.3 Mbit/s and back, a queue of {queue} ms"), spread(&scores));
    }
    for mbps in [1.0, 2.0, 4.0] {
        board.insert(format!("four pictures over {mbps} Mbit/s"), spread(&[a_steady_link(2, mbps)]));
    }
    for (name, span, capacity, ways) in kinds() {
        let scores: Vec<_> = SEEDS.map(|seed| a_way_of_a_kind(seed, span, capacity, ways.clone())).collect();
        board.insert(name.to_owned(), spread(&scores));
    }
    board.insert("twenty members of 1 to 5 Mbit/s".to_owned(), spread(&[a_full_room(3, 20, 1, Duration::from_secs(10))]));
    board
}

/// Medians that have become worse than they were, by more than is to be expected, and by more than seeds alone make of it.
fn worsened(before: &Board, now: &Board) -> Vec<String> {
    let mut worse = Vec::new();
    for (scenario, score) in now {
        for (name, [_, value, _]) in score {
            let Some([least, was, most]) = before.get(scenario).and_then(|scenario| scenario.get(name)) else { continue };
            let (more_is_better, share, amount) = judged(name);
            let loss = if more_is_better { was - value } else { value - was };
            if loss > (was.abs() * share).max(amount).max(most - least) {
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
        score.iter().for_each(|(name, [least, median, most])| eprintln!("    {name:<30} {median:>12.3}  ({least:.3} to {most:.3})"));
    }
    if std::env::var("UPDATE_SCOREBOARD").is_ok() {
        let lines = |score: &Spread| {
            score.iter().map(|(name, of)| format!("    {name:?}: [{}]", of.map(|v| format!("{v:.3}")).join(", "))).collect::<Vec<_>>()
        };
        let scenarios: Vec<_> = now.iter().map(|(name, score)| format!("  {name:?}: {{\n{}\n  }}", lines(score).join(",\n"))).collect();
        return std::fs::write(path(), format!("{{\n{}\n}}\n", scenarios.join(",\n"))).expect("the board is written");
    }
    let before: Board = std::fs::read_to_string(path()).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    assert!(!before.is_empty(), "there is no board yet: UPDATE_SCOREBOARD=1 writes it");
    let worse = worsened(&before, &now);
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}

#[test]
fn the_board_tells_worse_from_better_and_from_chance() {
    let board = |frozen: &[f64], chosen: f64| -> Board {
        let scores: Vec<_> = frozen.iter().map(|frozen| Score::from([("frozen ms", *frozen), ("chosen of the best", chosen)])).collect();
        [("a".to_owned(), spread(&scores))].into()
    };
    let before = board(&[500.0], 1.0);
    assert_eq!(worsened(&before, &board(&[590.0], 0.98)), Vec::<String>::new());
    assert_eq!(worsened(&before, &board(&[100.0], 1.1)), Vec::<String>::new());
    assert_eq!(worsened(&before, &board(&[610.0], 0.9)).len(), 2);
    assert_eq!(worsened(&before, &board(&[400.0, 900.0, 500.0], 1.0)), Vec::<String>::new(), "the median of its seeds");
    let by_chance = board(&[300.0, 900.0, 500.0], 1.0);
    assert_eq!(worsened(&by_chance, &board(&[1_090.0], 1.0)), Vec::<String>::new(), "as far from its median as its seeds are from each other");
    assert_eq!(worsened(&by_chance, &board(&[1_110.0], 1.0)).len(), 1);
}
