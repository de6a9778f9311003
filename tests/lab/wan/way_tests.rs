use serde_json::from_value;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn way(now: Instant, shape: Value) -> Way {
    let mut way = Way::new(now, Random::new(7));
    way.reshape(now, from_value(shape).expect("a shape"));
    way
}

/// An IPv4 frame of so many bytes that tells its number.
fn frame(number: u32, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes];
    frame[12] = 0x08;
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[14..18].try_into().expect("four bytes"))
}

/// Everything that arrives, with when.
fn arrivals(way: &mut Way, now: Instant) -> Vec<(Duration, u32)> {
    let mut all = Vec::new();
    while let Some(at) = way.next_at() {
        while let Some(frame) = way.arrived(at) {
            all.push((at - now, number(&frame)));
        }
    }
    all
}

#[test]
fn frames_leave_one_after_another_at_the_capacity_and_arrive_after_the_delay() {
    let now = Instant::now();
    let mut way = way(now, json!({ "capacity": 1_000_000, "queue_ms": 300, "delay_ms": 50.0 }));
    (0..3).for_each(|n| way.take(now, &frame(n, 1_250)));
    assert_eq!(arrivals(&mut way, now), [(60 * MS, 0), (70 * MS, 1), (80 * MS, 2)]);
}

#[test]
fn what_the_queue_has_no_room_for_is_dropped_and_the_longest_wait_is_that_of_the_queue() {
    let now = Instant::now();
    let mut way = way(now, json!({ "capacity": 1_000_000, "queue_ms": 100 }));
    (0..30).for_each(|n| way.take(now, &frame(n, 1_250)));
    assert_eq!(way.counts(now)["queue_ms"]["now"], 100.0);
    assert_eq!(arrivals(&mut way, now).len(), 10);
    let counts = way.counts(now);
    assert_eq!((&counts["came"], &counts["delivered"], &counts["overflowed"]), (&json!(30), &json!(10), &json!(20)));
    assert!((99.0..=101.0).contains(&counts["queue_ms"]["greatest"].as_f64().expect("a figure")), "{counts}");
    way.forget();
    assert_eq!(way.counts(now)["queue_ms"]["greatest"], 0.0);
}

#[test]
fn what_waits_goes_on_at_the_new_capacity() {
    let now = Instant::now();
    let mut way = way(now, json!({ "capacity": 1_000_000, "queue_ms": 100 }));
    (0..2).for_each(|n| way.take(now, &frame(n, 1_250)));
    way.reshape(now + 5 * MS, from_value(json!({ "capacity": 500_000, "queue_ms": 100 })).expect("a shape"));
    assert_eq!(arrivals(&mut way, now), [(15 * MS, 0), (35 * MS, 1)]);
    way.take(now + 40 * MS, &frame(2, 1_250));
    way.reshape(now + 41 * MS, Shape::default());
    assert_eq!(arrivals(&mut way, now), [(41 * MS, 2)], "without a limit nothing waits");
}

#[test]
fn jitter_delays_within_its_bound_and_overtakes_only_where_it_may() {
    for reorder in [false, true] {
        let now = Instant::now();
        let mut way = way(now, json!({ "delay_ms": 10.0, "jitter_ms": 200.0, "reorder": reorder }));
        (0..500).for_each(|n| way.take(now + n * 5 * MS, &frame(n, 100)));
        let all = arrivals(&mut way, now);
        assert_eq!(all.len(), 500);
        let late = |(at, n): &(Duration, u32)| *at - *n * 5 * MS;
        assert!(all.iter().all(|a| (10 * MS..=210 * MS).contains(&late(a))), "{all:?}");
        assert!(all.iter().map(late).max() > Some(150 * MS) && all.iter().map(late).min() < Some(150 * MS));
        assert_eq!(all.is_sorted_by_key(|(_, n)| *n), !reorder);
    }
}

#[test]
fn loss_takes_its_share_and_bursts_take_it_several_at_a_time() {
    let lost = |shape: Value| {
        let now = Instant::now();
        let mut way = way(now, shape);
        (0..100_000).for_each(|n| way.take(now, &frame(n, 60)));
        let came: Vec<u32> = arrivals(&mut way, now).into_iter().map(|(_, n)| n).collect();
        let holes = came.windows(2).filter(|pair| pair[1] - pair[0] > 1).count();
        let lost = 100_000 - came.len();
        (lost as f64 / 100_000.0, lost as f64 / holes as f64)
    };
    let (share, length) = lost(json!({ "loss": 0.1 }));
    assert!((0.095..0.105).contains(&share) && (1.05..1.2).contains(&length), "{share} {length}");
    let (share, length) = lost(json!({ "burst": { "loss": 0.02, "length": 4.0 } }));
    assert!((0.017..0.023).contains(&share) && (3.6..4.4).contains(&length), "{share} {length}");
}

#[test]
fn what_is_no_ip_passes_whatever_the_shape() {
    let now = Instant::now();
    let mut way = way(now, json!({ "capacity": 1, "loss": 1.0, "delay_ms": 500.0 }));
    let mut arp = frame(1, 60);
    arp[13] = 0x06;
    way.take(now, &arp);
    assert_eq!(way.arrived(now), Some(arp));
    assert_eq!(way.counts(now)["came"], 0);
}
