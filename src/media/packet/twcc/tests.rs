use super::*;
use crate::media::packet::rtcp::Compound;
use ::bytes::Bytes;
use proptest::prelude::*;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
use rtc_shared::marshal::Unmarshal;
use std::collections::{BTreeMap, BTreeSet};

/// What a publisher reads out of one feedback: each number from the base, and when it arrived in ticks of 250 µs.
fn understood(fci: &[u8]) -> (u8, Vec<(u16, Option<u32>)>) {
    let mut out = vec![0; fci.len() + 16];
    let mut compound = Compound::new(&mut out);
    assert!(compound.transport_feedback(1, 2, fci));
    let feedback = TransportLayerCc::unmarshal(&mut Bytes::copy_from_slice(compound.as_slice())).unwrap();
    let mut symbols = Vec::new();
    for chunk in &feedback.packet_chunks {
        match chunk {
            PacketStatusChunk::RunLengthChunk(run) => symbols.extend(std::iter::repeat_n(run.packet_status_symbol, run.run_length.into())),
            PacketStatusChunk::StatusVectorChunk(list) => symbols.extend(&list.symbol_list),
        }
    }
    assert!(symbols.len() >= feedback.packet_status_count.into());
    assert!(symbols[feedback.packet_status_count.into()..].iter().all(|s| *s == SymbolTypeTcc::PacketNotReceived));
    symbols.truncate(feedback.packet_status_count.into());
    let mut deltas = feedback.recv_deltas.iter();
    let mut at = feedback.reference_time << 8;
    let listed = (0..).zip(symbols).map(|(index, symbol)| {
        let arrival = (symbol != SymbolTypeTcc::PacketNotReceived).then(|| {
            let delta = deltas.next().unwrap();
            assert_eq!(delta.type_tcc_packet, symbol);
            at = at.wrapping_add((delta.delta / 250) as i32 as u32);
            at
        });
        (feedback.base_sequence_number.wrapping_add(index), arrival)
    });
    let listed = listed.collect();
    assert_eq!(deltas.next(), None);
    (feedback.fb_pkt_count, listed)
}

/// All feedbacks that are due, each at most `room` bytes, as one list; and how many there were.
fn drained(arrivals: &mut Arrivals, room: usize) -> (usize, Vec<(u16, Option<u32>)>) {
    let mut out = vec![0; room];
    let (mut count, mut all) = (0, Vec::new());
    while let Some(len) = arrivals.write_fci(&mut out) {
        let (_, listed) = understood(&out[..len]);
        assert!(listed.last().unwrap().1.is_some(), "a feedback ends with an arrival");
        all.extend(listed);
        count += 1;
    }
    assert!(arrivals.is_empty());
    (count, all)
}

fn at(ticks: u64) -> Time {
    Time::from_micros(ticks * 250)
}

#[test]
fn nothing_arrived_nothing_is_said() {
    let mut arrivals = Arrivals::new();
    assert!(arrivals.is_empty());
    assert_eq!(arrivals.write_fci(&mut [0; 64]), None);
}

#[test]
fn one_packet_is_one_run_and_one_small_delta() {
    let mut arrivals = Arrivals::new();
    arrivals.record(0x0102, at(256 * 5 + 7));
    let mut out = [0xff; 64];
    assert_eq!(arrivals.write_fci(&mut out), Some(11));
    assert_eq!(out[..11], [1, 2, 0, 1, 0, 0, 5, 0, 0x20, 1, 7]);
    assert!(arrivals.is_empty());
    assert_eq!(arrivals.write_fci(&mut out), None);
}

#[test]
fn losses_reorder_and_wraps_are_told_rightly() {
    let mut arrivals = Arrivals::new();
    for (sequence, ticks) in [(65_534, 1_000), (0, 1_010), (65_535, 1_012), (3, 1_500), (2, 400)] {
        arrivals.record(sequence, at(ticks));
    }
    let (count, listed) = drained(&mut arrivals, 1_200);
    assert_eq!(count, 1);
    assert_eq!(listed, [(65_534, Some(1_000)), (65_535, Some(1_012)), (0, Some(1_010)), (1, None), (2, Some(400)), (3, Some(1_500))]);
}

#[test]
fn a_duplicate_keeps_the_first_arrival() {
    let mut arrivals = Arrivals::new();
    arrivals.record(5, at(100));
    arrivals.record(5, at(200));
    assert_eq!(drained(&mut arrivals, 1_200).1, [(5, Some(100))]);
    arrivals.record(5, at(300));
    assert!(arrivals.is_empty());
}

#[test]
fn losses_before_the_first_arrival_of_a_feedback_are_told() {
    let mut arrivals = Arrivals::new();
    arrivals.record(1, at(0));
    drained(&mut arrivals, 1_200);
    arrivals.record(4, at(40));
    assert_eq!(drained(&mut arrivals, 1_200).1, [(2, None), (3, None), (4, Some(40))]);
}

#[test]
fn a_packet_that_comes_after_it_was_reported_lost_is_reported_again() {
    let mut arrivals = Arrivals::new();
    arrivals.record(1, at(0));
    arrivals.record(3, at(8));
    assert_eq!(drained(&mut arrivals, 1_200).1, [(1, Some(0)), (2, None), (3, Some(8))]);
    arrivals.record(2, at(90));
    assert_eq!(drained(&mut arrivals, 1_200).1, [(2, Some(90)), (3, Some(8))]);
}

#[test]
fn a_pause_too_long_for_a_delta_begins_another_feedback() {
    let mut arrivals = Arrivals::new();
    arrivals.record(1, at(0));
    arrivals.record(2, at(32_767));
    arrivals.record(4, at(2 * 32_768));
    arrivals.record(5, at(2 * 32_768 - 32_768));
    let (count, listed) = drained(&mut arrivals, 1_200);
    assert_eq!(count, 2);
    assert_eq!(listed, [(1, Some(0)), (2, Some(32_767)), (3, None), (4, Some(65_536)), (5, Some(32_768))]);
}

#[test]
fn feedbacks_are_counted() {
    let mut arrivals = Arrivals::new();
    for turn in 0..300_u16 {
        arrivals.record(turn, at(turn.into()));
        let mut out = [0; 32];
        let len = arrivals.write_fci(&mut out).unwrap();
        assert_eq!(understood(&out[..len]).0, turn as u8);
    }
}

#[test]
fn the_clock_may_be_older_than_the_reference_time_can_say() {
    let turn = 1_u64 << 32;
    let mut arrivals = Arrivals::new();
    arrivals.record(1, at(turn - 1));
    arrivals.record(2, at(turn + 3));
    assert_eq!(drained(&mut arrivals, 1_200).1, [(1, Some(u32::MAX)), (2, Some(3))]);
}

#[test]
fn more_than_the_ring_holds_forgets_the_oldest_alone() {
    let mut arrivals = Arrivals::new();
    for sequence in 0..3_000_u16 {
        arrivals.record(sequence, at(sequence.into()));
    }
    let (_, listed) = drained(&mut arrivals, 1_200);
    let first = 3_000 - CAPACITY as u16;
    assert_eq!(listed, (first..3_000).map(|s| (s, Some(u32::from(s)))).collect::<Vec<_>>());
    arrivals.record(first - 1, at(1));
    assert!(arrivals.is_empty(), "older than the ring");
}

#[test]
fn a_leap_ahead_leaves_no_trace_of_what_was_there_before() {
    for leap in [CAPACITY as u16 - 1, CAPACITY as u16, CAPACITY as u16 + 1, 20_000] {
        let mut arrivals = Arrivals::new();
        for sequence in 0..CAPACITY as u16 {
            arrivals.record(sequence, at(1));
        }
        drained(&mut arrivals, 1_200);
        arrivals.record(CAPACITY as u16 - 1 + leap, at(9));
        let listed = drained(&mut arrivals, 1_200).1;
        assert_eq!(listed.iter().filter(|(_, arrival)| arrival.is_some()).count(), 1, "{leap}");
        assert!(listed.len() <= CAPACITY);
    }
}

#[test]
fn too_little_room_writes_nothing_and_loses_nothing() {
    let mut arrivals = Arrivals::new();
    arrivals.record(1, at(0));
    for room in 0..11 {
        assert_eq!(arrivals.write_fci(&mut vec![0; room]), None, "{room}");
        assert!(!arrivals.is_empty());
    }
    assert_eq!(drained(&mut arrivals, 11), (1, vec![(1, Some(0))]));
}

#[test]
fn a_long_quiet_run_is_cheap() {
    let mut arrivals = Arrivals::new();
    for sequence in 0..1_000 {
        arrivals.record(sequence, at(u64::from(sequence) * 4));
    }
    // Eight fixed bytes, one run, a byte for each arrival.
    assert_eq!(arrivals.write_fci(&mut [0; 1_200]), Some(8 + 2 + 1_000));
}

proptest! {
    #[test]
    fn every_arrival_is_told_once_at_its_time_and_every_hole_is_told(
        start in any::<u16>(),
        begin in 0u64..1 << 33,
        steps in proptest::collection::vec((-6i64..12, -40i64..400), 1..150),
        room in 16usize..600,
        drain_each in 1usize..200,
    ) {
        let mut arrivals = Arrivals::new();
        let mut truth: BTreeMap<u16, u64> = BTreeMap::new();
        let (mut number, mut highest, mut ticks) = (100_000 + i64::from(start), 100_000 + i64::from(start), begin + 100_000);
        let first = number;
        let mut told: BTreeMap<u16, u32> = BTreeMap::new();
        for (turn, (step, wait)) in steps.into_iter().enumerate() {
            number = (number + step).max(first).max(highest - 500);
            highest = highest.max(number);
            ticks = ticks.saturating_add_signed(wait);
            truth.entry(number as u16).or_insert(ticks);
            arrivals.record(number as u16, at(ticks));
            if turn % drain_each == 0 {
                told.extend(drained(&mut arrivals, room).1.into_iter().filter_map(|(s, t)| Some((s, t?))));
            }
        }
        told.extend(drained(&mut arrivals, room).1.into_iter().filter_map(|(s, t)| Some((s, t?))));
        prop_assert_eq!(told, truth.into_iter().map(|(s, t)| (s, t as u32)).collect());
    }

    #[test]
    fn feedbacks_of_any_size_join_without_gap(
        present in proptest::collection::vec(any::<bool>(), 1..900),
        waits in proptest::collection::vec(prop_oneof![8 => 0u64..200, 1 => 200u64..40_000], 900),
        room in 16usize..400,
    ) {
        let mut arrivals = Arrivals::new();
        let mut ticks = 0;
        let mut expected = vec![(0_u16, Some(0_u32))];
        arrivals.record(0, at(0));
        for ((sequence, present), wait) in (1..).zip(&present).zip(waits) {
            ticks += wait;
            expected.push((sequence, present.then_some(ticks as u32)));
            if *present {
                arrivals.record(sequence, at(ticks));
            }
        }
        while expected.last().is_some_and(|(_, arrival)| arrival.is_none()) {
            expected.pop();
        }
        prop_assert_eq!(drained(&mut arrivals, room).1, expected);
    }

    #[test]
    fn any_arrivals_give_feedback_that_can_be_read(records in proptest::collection::vec((any::<u16>(), any::<u64>()), 1..60), room in 16usize..300) {
        let mut arrivals = Arrivals::new();
        let mut seen = BTreeSet::new();
        for (sequence, micros) in records {
            arrivals.record(sequence, Time::from_micros(micros));
            seen.insert(sequence);
        }
        let (_, listed) = drained(&mut arrivals, room);
        prop_assert!(listed.iter().all(|(sequence, arrival)| arrival.is_none() || seen.contains(sequence)));
    }
}
