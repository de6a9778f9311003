use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn started(first_out: u64, first_in: u64) -> SequenceMap {
    let mut map = SequenceMap::new(first_out);
    map.switch(first_in);
    map
}

#[test]
fn nothing_is_mapped_before_the_first_switch() {
    let mut map = SequenceMap::new(5);
    assert_eq!((map.map(1), map.skip(1), map.source_of(5), map.highest_out()), (None, false, None, None));
}

#[test]
fn numbers_follow_their_source_and_lead_back() {
    let mut map = started(1_000, 70_000);
    assert_eq!(map.map(70_000), Some(1_000));
    assert_eq!(map.map(70_002), Some(1_002));
    assert_eq!(map.map(70_001), Some(1_001));
    assert_eq!(map.map(70_001), Some(1_001));
    assert_eq!(map.highest_out(), Some(1_002));
    assert_eq!(map.source_of(1_001), Some(70_001));
    assert_eq!(map.source_of(1_003), None);
    assert_eq!(map.source_of(999), None);
}

#[test]
fn a_hole_in_the_source_stays_a_hole() {
    let mut map = started(0, 0);
    assert_eq!(map.map(0), Some(0));
    assert_eq!(map.map(10), Some(10));
    assert_eq!(map.map(5), Some(5));
}

#[test]
fn skipped_numbers_leave_no_gap() {
    let mut map = started(0, 0);
    map.map(0);
    assert!(map.skip(1) && map.skip(2) && map.skip(3));
    assert_eq!(map.len, 2, "one run of skips is one epoch");
    assert_eq!(map.map(4), Some(1));
    assert_eq!(map.map(2), None);
    assert!(map.skip(2), "it was skipped already");
    assert_eq!((map.source_of(0), map.source_of(1)), (Some(0), Some(4)));
}

#[test]
fn skips_may_come_before_anything_is_sent() {
    let mut map = started(7, 100);
    assert!(map.skip(100) && map.skip(101));
    assert_eq!(map.map(102), Some(7));
    assert_eq!(map.len, 1);
}

#[test]
fn skips_in_any_order_close_every_gap() {
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let mut map = started(0, 0);
        map.map(0);
        assert!(order.into_iter().all(|n| map.skip(n)), "{order:?}");
        assert_eq!((map.map(4), map.len), (Some(1), 2), "{order:?}");
    }
}

#[test]
fn a_skip_that_comes_too_late_leaves_the_hole() {
    let mut map = started(0, 0);
    map.map(0);
    map.map(2);
    assert!(!map.skip(1));
    assert!(!map.skip(2), "sent already");
    assert_eq!(map.map(3), Some(3));
    assert_eq!(map.map(1), Some(1), "its place was kept");
}

#[test]
fn a_late_packet_is_placed_by_the_offset_of_its_time() {
    let mut map = started(0, 0);
    map.map(0);
    map.skip(2);
    map.map(3);
    map.skip(5);
    assert_eq!(map.map(6), Some(4));
    assert_eq!(map.map(1), Some(1));
    assert_eq!(map.map(4), Some(3));
}

#[test]
fn another_source_goes_on_after_the_highest_and_the_old_one_is_forgotten() {
    let mut map = started(65_530, 10);
    map.map(10);
    map.map(14);
    map.switch(900_000);
    assert_eq!(map.map(14), None);
    assert_eq!(map.source_of(65_534), None);
    assert_eq!(map.map(900_000), Some(65_535));
    assert_eq!(map.map(900_001), Some(65_536));
    assert_eq!(map.map(899_999), None, "before the switch");
    assert_eq!(map.source_of(0), Some(900_001));
    assert_eq!(map.source_of(65_535), Some(900_000));
    assert_eq!(map.source_of(65_534), None);
}

#[test]
fn a_switch_before_anything_was_sent_wastes_no_number() {
    let mut map = started(40, 1);
    map.skip(1);
    map.switch(500);
    assert_eq!(map.map(500), Some(40));
}

#[test]
fn what_is_older_than_the_epochs_is_forgotten_and_nothing_else() {
    let mut map = started(0, 0);
    let mut outs = Vec::new();
    for input in 0..399 {
        if input % 2 == 0 { outs.push((input, map.map(input).unwrap())) } else { assert!(map.skip(input)) }
    }
    let (forgotten, kept) = outs.split_at(200 - EPOCHS);
    assert!(kept.iter().all(|(input, out)| map.source_of(*out as u16) == Some(*input) && map.clone().map(*input) == Some(*out)));
    assert!(forgotten.iter().all(|(input, out)| map.source_of(*out as u16).is_none() && map.clone().map(*input).is_none()));
    assert!(!map.skip(1), "too old to know");
}

/// The same by definition: an output is the input's distance from the switch, less the inputs skipped before it.
#[derive(Debug)]
struct Model {
    first_in: u64,
    first_out: u64,
    skipped: BTreeSet<u64>,
    sent: BTreeMap<u64, u64>,
}

impl Model {
    fn out(&self, input: u64) -> Option<u64> {
        let known = input >= self.first_in && !self.skipped.contains(&input);
        known.then(|| self.first_out + (input - self.first_in) - self.skipped.range(..input).count() as u64)
    }

    fn skip(&mut self, input: u64) -> bool {
        if self.skipped.contains(&input) {
            return true;
        }
        let closes = input >= self.first_in && self.sent.last_key_value().is_none_or(|(highest, _)| input > *highest);
        if closes {
            self.skipped.insert(input);
        }
        closes
    }

    /// Runs of skipped numbers after `input`: as many epochs are newer than its own.
    fn runs_after(&self, input: u64) -> usize {
        self.skipped.range(input..).filter(|n| **n > self.first_in && (**n == input || !self.skipped.contains(&(**n - 1)))).count()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Map(i64),
    Skip(i64),
    SkipRun(u64),
    Switch(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (-20i64..4).prop_map(Step::Map),
        6 => Just(Step::Map(1)),
        6 => (-6i64..6).prop_map(Step::Skip),
        2 => (1u64..30).prop_map(Step::SkipRun),
        1 => (0u64..1 << 40).prop_map(Step::Switch),
    ]
}

/// Places where 16 or 32 bits end.
fn near_a_wrap() -> impl Strategy<Value = u64> {
    (prop_oneof![Just(1u64 << 16), Just(1 << 17), Just(1 << 32), Just(1 << 33)], 0u64..200).prop_map(|(wrap, before)| wrap - before)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn the_map_is_what_its_definition_says(first_in in near_a_wrap(), first_out in near_a_wrap(), steps in proptest::collection::vec(step(), 1..300)) {
        let mut map = started(first_out, first_in);
        let mut model = Model { first_in, first_out, skipped: BTreeSet::new(), sent: BTreeMap::new() };
        let mut all_outs = BTreeSet::new();
        let mut now = first_in;
        for step in steps {
            match step {
                Step::Map(ahead) => {
                    let input = now.saturating_add_signed(ahead);
                    let out = map.map(input);
                    match model.out(input) {
                        None => prop_assert_eq!(out, None),
                        Some(expected) if model.runs_after(input) < EPOCHS => prop_assert_eq!(out, Some(expected)),
                        Some(_) => prop_assert_eq!(out, None),
                    }
                    if let Some(out) = out {
                        prop_assert!(all_outs.insert(out) || model.sent.get(&input) == Some(&out), "an output of two inputs");
                        model.sent.insert(input, out);
                        prop_assert_eq!(map.source_of(out as u16), Some(input));
                        now = now.max(input);
                    }
                }
                Step::Skip(ahead) => {
                    let input = now.saturating_add_signed(ahead);
                    if input < model.first_in || model.runs_after(input) < EPOCHS {
                        prop_assert_eq!(map.skip(input), model.skip(input));
                        now = now.max(input);
                    }
                }
                Step::SkipRun(count) => {
                    for input in now + 1..=now + count {
                        prop_assert_eq!(map.skip(input), model.skip(input));
                    }
                    now += count;
                }
                Step::Switch(first_in) => {
                    map.switch(first_in);
                    let first_out = all_outs.last().map_or(first_out, |highest| highest + 1);
                    model = Model { first_in, first_out, skipped: BTreeSet::new(), sent: BTreeMap::new() };
                    now = first_in;
                }
            }
            prop_assert_eq!(map.highest_out(), all_outs.last().copied());
        }
        // Order is kept, and whatever is still known leads back.
        prop_assert!(model.sent.values().is_sorted());
        for (input, out) in &model.sent {
            let known = model.runs_after(*input) < EPOCHS && all_outs.last().unwrap() - out < 1 << 16;
            prop_assert_eq!(map.source_of(*out as u16), known.then_some(*input));
        }
    }

    #[test]
    fn with_everything_sent_or_skipped_in_order_the_output_has_no_gap(first_in in near_a_wrap(), first_out in near_a_wrap(), kept in proptest::collection::vec(any::<bool>(), 1..2_000)) {
        let mut map = started(first_out, first_in);
        let mut expected = first_out;
        for (input, kept) in (first_in..).zip(kept) {
            if kept {
                prop_assert_eq!(map.map(input), Some(expected));
                expected += 1;
            } else {
                prop_assert!(map.skip(input));
            }
        }
    }

    #[test]
    fn any_numbers_are_answered_without_panic(calls in proptest::collection::vec((0u8..4, prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), 0u64..40]), 1..200)) {
        let mut map = SequenceMap::new(u64::MAX - 3);
        for (call, number) in calls {
            match call {
                0 => map.switch(number),
                1 => { map.map(number); }
                2 => { map.skip(number); }
                _ => { map.source_of(number as u16); }
            }
        }
    }
}
