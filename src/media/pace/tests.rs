//! What the congestion control must reach, over paths of every kind, and the table of what it does.

mod world;

use super::*;
use crate::media::packet::twcc::Arrivals;
use proptest::prelude::*;
use world::{Lossy, Run, Scenario, run};

fn scenarios() -> Vec<Scenario> {
    let named = Scenario::new;
    vec![
        named("steady 1M", &[(0, 1_000)]),
        named("steady 2M", &[(0, 2_000)]),
        named("steady 4M", &[(0, 4_000)]),
        named("steady 400k", &[(0, 400)]),
        Scenario { tracks: 16, ..named("steady 20M, 16 tracks", &[(0, 20_000)]) },
        Scenario { delay: 150, ..named("round trip 300 ms, 2M", &[(0, 2_000)]) },
        Scenario { jitter: 20, ..named("jitter 20 ms, 2M", &[(0, 2_000)]) },
        Scenario { seconds: 60, ..named("2.5M-300k-2.5M, queue 0.3 s", &[(0, 2_500), (20, 300), (40, 2_500)]) },
        Scenario { seconds: 60, queue: 1_200, ..named("2.5M-300k-2.5M, queue 1.2 s", &[(0, 2_500), (20, 300), (40, 2_500)]) },
        Scenario { seconds: 60, ..named("4M-1M-4M, queue 0.3 s", &[(0, 4_000), (20, 1_000), (40, 4_000)]) },
        Scenario { seconds: 60, queue: 1_200, ..named("4M-1M-4M, queue 1.2 s", &[(0, 4_000), (20, 1_000), (40, 4_000)]) },
        Scenario { loss: Lossy::Random(0.1), delay: 50, ..named("10 % random loss, 2M", &[(0, 2_000)]) },
        Scenario { loss: Lossy::Random(0.3), delay: 50, ..named("30 % random loss, 2M", &[(0, 2_000)]) },
        Scenario { loss: Lossy::Bursts(0.02, 8.0), ..named("2 % loss in bursts, 2M", &[(0, 2_000)]) },
        Scenario { queue: 30, ..named("short queue 30 ms, 3M-1M", &[(0, 3_000), (20, 1_000)]) },
        Scenario { jitter: 200, ..named("jitter 200 ms, 2M", &[(0, 2_000)]) },
        Scenario { cross: vec![(20, 35, 1_000), (50, 65, 1_000)], ..named("TCP of 1M on and off, 3M", &[(0, 3_000)]) },
        Scenario { cross: vec![(20, 50, 100_000)], ..named("greedy TCP, 3M", &[(0, 3_000)]) },
        Scenario { gap: (20_000, 23_000), seconds: 40, ..named("no feedback for 3 s, 2M", &[(0, 2_000)]) },
        Scenario { tracks: 2, best: vec![(0, 0), (60, 2)], ..named("300k for a minute, then 3M, on 4M", &[(0, 4_000)]) },
    ]
}

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).unwrap()
}

/// Receivers differ in how often they report.
fn seeded(scenario: &Scenario, seed: u64) -> Scenario {
    Scenario { feedback: [50, 70, 100][seed as usize % 3], ..scenario.clone() }
}

/// Runs a scenario with several seeds; `check` names what is not as it must be.
fn holds(scenario: &Scenario, check: impl Fn(&Run, &mut Vec<String>)) {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2);
    let mut all = Vec::new();
    for seed in 0..seeds {
        let (run, mut failed) = (run(&seeded(scenario, seed), seed), Vec::new());
        check(&run, &mut failed);
        all.extend(failed.into_iter().map(|what| format!("{}, seed {seed}: {what}", scenario.name)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

macro_rules! expect {
    ($failed:ident, $value:expr, $range:expr) => {
        let value = $value;
        if !$range.contains(&value) {
            $failed.push(format!("{} is {value:.3}, not in {:?}", stringify!($value), $range));
        }
    };
}

#[test]
fn on_a_steady_link_the_estimate_rests_just_below_the_capacity() {
    for name in ["steady 400k", "steady 1M", "steady 2M", "steady 4M", "round trip 300 ms, 2M"] {
        holds(&scenario(name), |run, failed| {
            let (lowest, _, highest) = run.shares(10.0..70.0);
            expect!(failed, lowest, 0.85..=1.05);
            expect!(failed, highest, 0.85..=1.05);
            expect!(failed, run.padding(10.0..70.0), 0.0..=0.05);
            expect!(failed, run.queued(10.0..70.0, 0.95), 0.0..=60.0);
            expect!(failed, run.switches(10.0..70.0), 0..=1);
        });
    }
}

#[test]
fn a_drop_of_the_capacity_is_followed_at_once_and_so_is_its_end() {
    for name in ["2.5M-300k-2.5M, queue 0.3 s", "2.5M-300k-2.5M, queue 1.2 s", "4M-1M-4M, queue 0.3 s", "4M-1M-4M, queue 1.2 s"] {
        let scenario = scenario(name);
        let (low, high) = (scenario.capacity[1].1, scenario.capacity[2].1);
        holds(&scenario, |run, failed| {
            expect!(failed, run.until(20.0, |estimate| estimate <= low * 11 / 10), 0.0..=0.6);
            expect!(failed, run.shares(20.6..40.0).2, 0.0..=1.1);
            expect!(failed, run.shares(30.0..40.0).0, 0.8..=1.1);
            let (at, most) = if scenario.queue > 1_000 { (26.0, 500.0) } else { (24.0, 100.0) };
            expect!(failed, run.standing(at), 0.0..=most);
            expect!(failed, run.until(40.0, |estimate| estimate >= high * 95 / 100), 0.0..=10.0);
        });
    }
}

#[test]
fn random_loss_takes_nothing_from_the_estimate() {
    for name in ["10 % random loss, 2M", "30 % random loss, 2M"] {
        holds(&scenario(name), |run, failed| {
            expect!(failed, run.shares(15.0..70.0).0, 0.85..=1.1);
            expect!(failed, run.shares(10.0..70.0).1, 0.85..=1.1);
        });
    }
    holds(&scenario("2 % loss in bursts, 2M"), |run, failed| {
        expect!(failed, run.shares(15.0..70.0).0, 0.5..=1.1);
        expect!(failed, run.shares(10.0..70.0).1, 0.85..=1.1);
    });
}

#[test]
fn loss_from_a_short_queue_brings_the_estimate_down_to_what_gets_through() {
    holds(&scenario("short queue 30 ms, 3M-1M"), |run, failed| {
        expect!(failed, run.until(20.0, |estimate| estimate <= 1_050), 0.0..=2.0);
        expect!(failed, run.shares(22.0..70.0).2, 0.0..=1.1);
        expect!(failed, run.shares(30.0..70.0).1, 0.8..=1.05);
        expect!(failed, run.dropped(22.0..70.0), 0.0..=0.03);
    });
}

#[test]
fn jitter_and_reordering_are_no_congestion() {
    for name in ["jitter 20 ms, 2M", "jitter 200 ms, 2M"] {
        holds(&scenario(name), |run, failed| {
            expect!(failed, run.shares(30.0..70.0).0, 0.6..=1.5);
            expect!(failed, run.shares(30.0..70.0).1, 0.7..=1.1);
        });
    }
}

#[test]
fn beside_tcp_there_is_a_share_and_no_long_queue() {
    holds(&scenario("TCP of 1M on and off, 3M"), |run, failed| {
        expect!(failed, run.goodput(22.0..35.0), 750.0..=2_300.0);
        expect!(failed, run.goodput(52.0..65.0), 750.0..=2_300.0);
        expect!(failed, run.queued(20.0..70.0, 0.95), 0.0..=120.0);
    });
    holds(&scenario("greedy TCP, 3M"), |run, failed| {
        expect!(failed, run.goodput(25.0..50.0), 200.0..=2_300.0);
        expect!(failed, run.until(50.0, |estimate| estimate >= 2_700), 0.0..=10.0);
    });
}

#[test]
fn without_feedback_less_and_less_is_sent_until_it_is_back() {
    holds(&scenario("no feedback for 3 s, 2M"), |run, failed| {
        expect!(failed, run.until(20.0, |estimate| estimate <= 1_000), 0.4..=1.0);
        expect!(failed, run.until(20.0, |estimate| estimate <= 250), 0.4..=2.5);
        expect!(failed, run.until(23.0, |estimate| estimate >= 1_800), 0.0..=2.0);
    });
}

#[test]
fn after_a_minute_of_little_the_first_want_is_fulfilled_by_probing() {
    holds(&scenario("300k for a minute, then 3M, on 4M"), |run, failed| {
        expect!(failed, run.shares(10.0..60.0).2, 0.0..=1.05);
        expect!(failed, run.until(60.0, |estimate| estimate >= 3_000), 0.0..=5.0);
        expect!(failed, run.goodput(65.0..70.0), 2_800.0..=3_500.0);
    });
}

#[test]
fn a_link_at_rest_takes_less_than_six_kilobytes() {
    let link = Link::new(Time::ZERO, Bitrate::kbps(300));
    assert!(size_of::<Link>() + link.memory() < 6 * 1_024, "{} + {}", size_of::<Link>(), link.memory());
}

#[test]
fn without_feedback_the_receivers_own_estimate_counts() {
    let mut link = Link::new(Time::ZERO, Bitrate::kbps(300));
    link.remb(Time::from_millis(100), Bitrate::kbps(1_234));
    assert_eq!((link.estimate(), link.why()), (Bitrate::kbps(1_234), Why::Remb));
    link.remb(Time::from_millis(200), Bitrate::kbps(1));
    assert_eq!(link.estimate(), Bitrate::kbps(150), "half of the beginning, until there was a report");
    link.receiver_report(Time::from_millis(700), 100, None);
    assert_eq!(link.estimate(), LEAST_ESTIMATE);
    link.limit(Bitrate::kbps(500));
    link.remb(Time::from_millis(800), Bitrate::kbps(9_000));
    assert_eq!(link.estimate(), Bitrate::kbps(500));
}

#[test]
fn with_feedback_the_receivers_own_estimate_does_not_count() {
    let (mut link, mut arrivals, mut fci) = (Link::new(Time::ZERO, Bitrate::kbps(300)), Arrivals::new(), [0; 64]);
    link.sent(Time::ZERO, 7, 1_000, Kind::Media);
    arrivals.record(7, Time::from_millis(20));
    let len = arrivals.write_fci(&mut fci).unwrap();
    assert!(link.feedback(Time::from_millis(60), &fci[..len]));
    link.remb(Time::from_millis(100), Bitrate::kbps(40));
    assert_eq!(link.estimate(), Bitrate::kbps(300));
    link.remb(Time::from_millis(6_000), Bitrate::kbps(240));
    assert_eq!(link.estimate(), Bitrate::kbps(240));
}

#[test]
fn receiver_reports_lower_it_by_half_their_loss_and_raise_it_while_enough_is_sent() {
    let mut link = Link::new(Time::ZERO, Bitrate::kbps(1_000));
    let mut report = |second: u64, bytes: usize, fraction: u8| {
        for _ in 0..bytes / 1_000 {
            link.sent_unnumbered(Time::from_millis(second * 1_000), 1_000 - OVERHEAD);
        }
        link.receiver_report(Time::from_millis(second * 1_000), fraction, Some(Duration::from_millis(80)));
        link.estimate().as_bps() / 1_000
    };
    assert_eq!(report(1, 125_000, 0), 1_500);
    assert_eq!(report(2, 125_000, 13), 1_500);
    assert_eq!(report(3, 125_000, 64), 1_312);
    assert_eq!(report(4, 125_000, 0), 1_417);
    assert_eq!(report(5, 20_000, 0), 1_417, "160 kbit/s prove nothing");
}

#[test]
fn what_nobody_answers_is_not_probed_for_ever() {
    let mut link = Link::new(Time::ZERO, Bitrate::kbps(300));
    let mut number = 0;
    for ms in 0..60_000 {
        let now = Time::from_millis(ms);
        link.want(now, Bitrate::kbps(3_000));
        link.handle_timeout(now);
        while let Some(bytes) = link.poll_probe(now) {
            link.sent(now, number, bytes, Kind::Probe);
            number += 1;
        }
    }
    assert!(number < 30, "{number}");
    assert_eq!((link.estimate(), link.next_due(Time::from_millis(60_000))), (Bitrate::kbps(300), None));
}

#[test]
fn what_goes_out_without_numbers_is_not_probed() {
    let mut link = Link::new(Time::ZERO, Bitrate::kbps(300));
    for ms in 0..5_000 {
        let now = Time::from_millis(ms);
        link.want(now, Bitrate::kbps(3_000));
        if ms % 10 == 0 {
            link.sent_unnumbered(now, 375);
        }
        link.handle_timeout(now);
        assert_eq!(link.poll_probe(now), None, "at {ms} ms");
    }
}

#[test]
fn feedback_about_numbers_never_sent_is_counted_and_changes_nothing() {
    let (mut link, mut arrivals, mut fci) = (Link::new(Time::ZERO, Bitrate::kbps(300)), Arrivals::new(), [0; 64]);
    link.sent(Time::ZERO, 7, 1_000, Kind::Media);
    for number in 1_000..1_010 {
        arrivals.record(number, Time::from_millis(20));
    }
    let len = arrivals.write_fci(&mut fci).unwrap();
    assert!(link.feedback(Time::from_millis(60), &fci[..len]));
    assert!(!link.feedback(Time::from_millis(60), &fci[..4]));
    assert_eq!((link.counts().unknown, link.counts().unusable, link.estimate()), (10, 1, Bitrate::kbps(300)));
}

/// Feedback that speaks of so many numbers from `base` on, none of which has arrived.
fn all_lost(base: u16, packets: u16) -> Vec<u8> {
    let mut fci = [base.to_be_bytes(), packets.to_be_bytes(), [0, 0], [1, 0]].concat();
    let runs = (0..packets.div_ceil(0x1fff)).flat_map(|_| 0x1fff_u16.to_be_bytes());
    fci.extend(runs);
    fci
}

#[test]
fn whoever_tells_of_much_more_than_was_sent_is_not_listened_to() {
    let mut link = Link::new(Time::ZERO, Bitrate::kbps(300));
    for number in 0..10 {
        link.sent(Time::from_millis(number.into()), number, 1_000, Kind::Media);
    }
    // A compound of 1,440 bytes has room for sixty of these.
    for ms in 0..60 {
        link.feedback(Time::from_millis(100 + ms), &all_lost(20_000, feedback::MOST_PACKETS));
    }
    let read = link.counts().unknown;
    assert!(read <= 8 * u64::from(feedback::MOST_PACKETS), "{read} numbers were read that were never sent");
    assert!(link.counts().unusable >= 52);
    // What is sent is listened to again.
    for number in 10..700_u16 {
        link.sent(Time::from_millis(200 + u64::from(number)), number, 1_000, Kind::Media);
    }
    assert!(link.feedback(Time::from_millis(1_000), &all_lost(600, 100)));
}

#[test]
fn feedback_that_tells_of_no_arrival_is_no_round_trip() {
    let (mut link, now) = (Link::new(Time::ZERO, Bitrate::kbps(300)), Time::from_millis(3_600_000));
    link.sent(now, 0, 1_000, Kind::Media);
    assert!(link.feedback(now + Duration::from_millis(50), &all_lost(0, 1)));
    assert_eq!(link.round_trip(), Duration::from_millis(100), "nothing is known of it");
}

proptest! {
    #[test]
    fn no_feedback_makes_it_panic_or_leave_its_bounds(
        steps in proptest::collection::vec((0u64..400, 0u8..4, proptest::collection::vec(any::<u8>(), 0..60)), 1..120),
    ) {
        let mut link = Link::new(Time::ZERO, Bitrate::kbps(300));
        let (mut now, mut number) = (0, 65_000_u16);
        for (passed, sent, mut fci) in steps {
            now += passed;
            let at = Time::from_millis(now);
            for _ in 0..sent * 5 {
                link.sent(at, number, 1_000, Kind::Media);
                number = number.wrapping_add(1);
            }
            // Nearly right ones reach further than noise.
            if let Some((base, rest)) = fci.split_first_chunk_mut::<4>() {
                base[..2].copy_from_slice(&number.wrapping_sub(u16::from(rest.len() as u8)).to_be_bytes());
                base[2] = 0;
            }
            link.feedback(at, &fci);
            link.want(at, Bitrate::kbps(2_000));
            link.handle_timeout(at);
            while let Some(bytes) = link.poll_probe(at) {
                link.sent(at, number, bytes, Kind::Probe);
                number = number.wrapping_add(1);
            }
            prop_assert!((LEAST_ESTIMATE..=MOST_ESTIMATE).contains(&link.estimate()));
        }
    }
}

/// Run with `--ignored --nocapture` to see what tuning does; `SEEDS` says how many runs each line is the worst of.
#[test]
#[ignore = "prints a table"]
fn scoreboard() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    println!(
        "{:<36}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>8}",
        "worst", "min", "mean", "max", "q95 ms", "drop %", "switches", "good k", "pad %", "paced"
    );
    for scenario in scenarios() {
        let runs: Vec<Run> = (0..seeds).map(|seed| run(&seeded(&scenario, seed), seed)).collect();
        let end = scenario.seconds as f64;
        let worst = |f: &dyn Fn(&Run) -> f64| runs.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
        println!(
            "{:<36}{:>8.2}{:>8.2}{:>8.2}{:>8.0}{:>8.2}{:>9.0}{:>9.0}{:>8.2}{:>8.0}",
            scenario.name,
            -worst(&|run| -run.shares(10.0..end).0),
            -worst(&|run| -run.shares(10.0..end).1),
            worst(&|run| run.shares(10.0..end).2),
            worst(&|run| run.queued(10.0..end, 0.95)),
            100.0 * worst(&|run| run.dropped(10.0..end)),
            worst(&|run| run.switches(10.0..end) as f64),
            -worst(&|run| -run.goodput(10.0..end)),
            100.0 * worst(&|run| run.padding(10.0..end)),
            worst(&|run| run.samples(10.0..end).map(|s| s.paced).fold(0.0, f64::max)),
        );
        if scenario.capacity.len() == 3 {
            let (from, low, high) = (20.0, scenario.capacity[1].1, scenario.capacity[2].1);
            println!(
                "{:<36}down {:.2} s, standing at 4 s {:.0} ms, at 6 s {:.0} ms, up {:.2} s",
                "",
                worst(&|run| run.until(from, |estimate| estimate <= low * 11 / 10)),
                worst(&|run| run.standing(24.0)),
                worst(&|run| run.standing(26.0)),
                worst(&|run| run.until(40.0, |estimate| estimate >= high * 95 / 100))
            );
        }
    }
}

/// `TRACE=name SEED=n` shows one run.
#[test]
#[ignore = "prints a run"]
fn trace() {
    let name = std::env::var("TRACE").unwrap_or_default();
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or);
    let (seed, from, to, step) = (number("SEED", 0), number("FROM", 0), number("TO", 70), number("STEP", 200));
    for scenario in scenarios().iter().filter(|scenario| scenario.name.starts_with(&name)).take(1) {
        let run = run(&seeded(scenario, seed), seed);
        for s in run.samples.iter().filter(|s| s.ms.is_multiple_of(step) && (from * 1_000..to * 1_000).contains(&s.ms)) {
            println!(
                "{:>6} estimate {:>5} capacity {:>5} rate {:>5} queue {:>4.0} paced {:>3.0}  {}",
                s.ms, s.estimate, s.capacity, s.rate, s.queue, s.paced, s.note
            );
        }
    }
}
