use super::super::board::{Phase, stream};
use super::*;
use crate::contract::MediaKind;

const VIDEO: u32 = stream(0, MediaKind::Video);

fn board() -> Board {
    let board = Board::new(2);
    board.set_phase(Phase::Count);
    board.may_send(VIDEO, 0);
    board
}

/// Takes packets by their sequence numbers; the first one is opened and says that it is number 0.
fn take(incoming: &mut Incoming, board: &Board, sequences: &[u16]) -> Vec<Arrival> {
    let take_one = |sequence: &u16| {
        let extended = incoming.extended(*sequence);
        let arrival = incoming.note(extended, 0);
        if incoming.wants_opening(u32::MAX) {
            incoming.learn(extended, &Stamp { stream: VIDEO, number: 0, sent: 0 });
        }
        incoming.count(board, extended, arrival);
        arrival
    };
    sequences.iter().map(take_one).collect()
}

fn count(incoming: &Incoming) -> Count {
    incoming.counts().first().expect("counted").1
}

#[test]
fn lost_doubled_and_late_packets_are_told_apart() {
    let mut incoming = Incoming::new(1, 100);
    let arrivals = take(&mut incoming, &board(), &[100, 101, 103, 102, 102, 105]);
    use Arrival::{Duplicate, Late, Next};
    assert_eq!(arrivals, [Next, Next, Next, Late, Duplicate, Next]);
    assert_eq!(count(&incoming), Count { unique: 5, duplicates: 1, reordered: 1, repaired: 0 });
}

#[test]
fn a_wrap_of_the_sequence_number_loses_and_doubles_nothing() {
    let mut incoming = Incoming::new(1, 65_000);
    let sequences: Vec<u16> = (0..200_000u32).map(|n| (65_000 + n) as u16).collect();
    let arrivals = take(&mut incoming, &board(), &sequences);
    assert!(arrivals.iter().all(|a| *a == Arrival::Next));
    assert_eq!(count(&incoming), Count { unique: 200_000, ..Count::default() });
    assert_eq!(incoming.extended(sequences[199_999]), (1 << 16) + 65_000 + 199_999);
    assert_eq!((Incoming::rollover(65_535), Incoming::rollover(incoming.extended(sequences[199_999]))), (None, Some(4)));
    assert_eq!(incoming.report().cumulative_lost, 0);
}

#[test]
fn a_packet_behind_a_wrap_is_late_and_not_four_minutes_ahead() {
    let mut incoming = Incoming::new(1, 65_534);
    assert_eq!(take(&mut incoming, &board(), &[65_534, 1, 65_535, 0]), [Arrival::Next, Arrival::Next, Arrival::Late, Arrival::Late]);
    assert_eq!(count(&incoming), Count { unique: 4, reordered: 2, ..Count::default() });
}

#[test]
fn a_packet_before_the_first_one_is_late_even_below_zero() {
    let mut incoming = Incoming::new(1, 0);
    assert_eq!(take(&mut incoming, &board(), &[0, 65_535, 1]), [Arrival::Next, Arrival::Late, Arrival::Next]);
}

#[test]
fn only_packets_between_the_marks_count() {
    let board = Board::new(1);
    let mut incoming = Incoming::new(1, 500);
    take(&mut incoming, &board, &[500, 501]);
    board.set_phase(Phase::Count);
    board.may_send(VIDEO, 2);
    take(&mut incoming, &board, &[502, 503, 504]);
    board.set_phase(Phase::Tail);
    board.may_send(VIDEO, 5);
    take(&mut incoming, &board, &[505, 503]);
    assert_eq!(count(&incoming), Count { unique: 3, duplicates: 1, ..Count::default() });
}

#[test]
fn a_stream_that_goes_on_with_another_publisher_is_counted_for_that_one() {
    let board = board();
    let other = stream(1, MediaKind::Video);
    board.may_send(other, 0);
    let mut incoming = Incoming::new(1, 10);
    take(&mut incoming, &board, &[10, 11, 12]);
    for sequence in [13, 14] {
        let extended = incoming.extended(sequence);
        let arrival = incoming.note(extended, 0);
        incoming.learn(extended, &Stamp { stream: other, number: u32::from(sequence) + 1_000, sent: 0 });
        incoming.count(&board, extended, arrival);
    }
    let counts: Vec<_> = incoming.counts().iter().map(|(s, c)| (*s, c.unique)).collect();
    assert_eq!(counts, [(VIDEO, 3), (other, 2)]);
}

#[test]
fn one_in_so_many_is_opened_once_the_stream_is_known() {
    let mut incoming = Incoming::new(1, 0);
    let mut opened = 0;
    for sequence in 0..640 {
        let extended = incoming.extended(sequence);
        incoming.note(extended, 0);
        if incoming.wants_opening(64) {
            opened += 1;
            incoming.learn(extended, &Stamp { stream: VIDEO, number: sequence.into(), sent: 0 });
        }
    }
    assert_eq!(opened, 10);
}

#[test]
fn what_is_missing_is_asked_for_after_a_while_and_again_and_told_as_repaired() {
    let mut incoming = Incoming::new(1, 0);
    take(&mut incoming, &board(), &[0, 1, 5]);
    assert_eq!(incoming.next_ask(), Some(FIRST_ASK));
    assert_eq!(incoming.take_due(FIRST_ASK - 1), [0u16; 0]);
    assert_eq!(incoming.take_due(FIRST_ASK), [2, 3, 4]);
    assert_eq!(incoming.take_due(FIRST_ASK + 1), [0u16; 0]);
    assert_eq!(take(&mut incoming, &board(), &[3]), [Arrival::Repaired]);
    assert_eq!(incoming.take_due(FIRST_ASK + ASK_AGAIN), [2, 4]);
    assert_eq!(count(&incoming), Count { unique: 4, reordered: 0, repaired: 1, duplicates: 0 });
}

#[test]
fn reports_say_what_was_lost_since_the_last_one() {
    let mut incoming = Incoming::new(1, 0);
    take(&mut incoming, &board(), &[0, 1, 2, 3]);
    assert_eq!(incoming.report(), Reception { fraction_lost: 0, cumulative_lost: 0, highest: 3, jitter: 0 });
    take(&mut incoming, &board(), &[5, 7]);
    assert_eq!(incoming.report(), Reception { fraction_lost: 128, cumulative_lost: 2, highest: 7, jitter: 0 });
    assert_eq!(incoming.report().fraction_lost, 0);
}

#[test]
fn a_jump_beyond_the_window_forgets_what_was_before() {
    let mut incoming = Incoming::new(1, 0);
    let arrivals = take(&mut incoming, &board(), &[0, 20_000, 1, 19_999]);
    assert_eq!(arrivals, [Arrival::Next, Arrival::Next, Arrival::TooOld, Arrival::Late]);
}
