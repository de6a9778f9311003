use super::*;
use crate::base::Bitrate;
use crate::contract::health::Flow;

const TRACK: TrackId = TrackId(7);

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn link() -> LinkState {
    LinkState { estimate: Bitrate::kbps(300), why: "delay", loss_per_cent: 2, round_trip_ms: 80 }
}

fn flow(loss_per_mille: u16) -> Flow {
    Flow { track: TRACK, loss_per_mille, jitter_ms: 0, silent: false, waits_ms: 0 }
}

fn health(received: Vec<Flow>, sent: Vec<Flow>) -> Health {
    Health { over_ms: 5_000, round_trip_ms: Some(80), link: Some(link()), received, sent }
}

fn take_in(troubles: &mut Troubles, now: u64, health: &Health) {
    let noticed = in_health(health).into_iter().map(|noticed| (noticed, None, Vec::new()));
    troubles.take_in(at(now - u64::from(health.over_ms)), at(now), News::Health, noticed);
}

#[test]
fn a_span_lasts_from_the_first_to_the_last_bad_look_and_keeps_the_worst() {
    let mut troubles = Troubles::default();
    for (now, loss) in [(10_000, 60), (15_000, 200), (20_000, 70)] {
        take_in(&mut troubles, now, &health(vec![], vec![flow(loss)]));
    }
    assert_eq!(troubles.all()[0].to_ms, None, "it lasts");
    take_in(&mut troubles, 25_000, &health(vec![], vec![]));
    let all = troubles.all();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].leg, all[0].sign, all[0].from_ms, all[0].to_ms), (Leg::Downlink, Sign::Loss, 5_000, Some(20_000)));
    assert_eq!((all[0].worst.loss_per_cent, all[0].worst.estimate_kbps, all[0].worst.why), (Some(20), Some(300), Some("delay")));
}

#[test]
fn what_is_lost_on_the_way_up_is_the_uplinks_and_names_who_saw_it() {
    let mut troubles = Troubles::default();
    let noticed = in_health(&health(vec![flow(120)], vec![])).into_iter().map(|noticed| (noticed, None, vec![MemberId("bob".into())]));
    troubles.take_in(at(0), at(5_000), News::Health, noticed);
    let all = troubles.all();
    assert_eq!((all[0].leg, all[0].seen_by.len(), all[0].worst.estimate_kbps), (Leg::Uplink, 1, None), "{all:?}");
}

#[test]
fn each_kind_of_news_ends_only_what_it_tells_of() {
    let mut troubles = Troubles::default();
    take_in(&mut troubles, 5_000, &health(vec![], vec![flow(90)]));
    let choice = |troubles: &mut Troubles, now, encoding| {
        let sent = Quality { track: TRACK, encoding, of: 3, limit: Some(Limit::Bandwidth) };
        troubles.take_in(at(now), at(now), News::Choice, in_choice(&[sent], Some(&link())).into_iter().map(|n| (n, None, Vec::new())));
    };
    choice(&mut troubles, 6_000, Some(0));
    choice(&mut troubles, 12_000, None);
    take_in(&mut troubles, 15_000, &health(vec![], vec![]));
    troubles.take_in(at(16_000), at(16_000), News::Choice, []);
    let found: Vec<_> = troubles.all().iter().map(|t| (t.sign, t.from_ms, t.to_ms)).collect();
    let expected = [(Sign::Loss, 0, Some(10_000)), (Sign::Reduced, 6_000, Some(12_000)), (Sign::Paused, 12_000, Some(16_000))];
    assert_eq!(found, expected);
}

#[test]
fn a_lesser_picture_for_a_moment_is_no_trouble_and_what_lasts_ends_with_its_member() {
    let mut troubles = Troubles::default();
    let reduced = || Quality { track: TRACK, encoding: Some(1), of: 3, limit: Some(Limit::Bandwidth) };
    let told = |troubles: &mut Troubles, now, tracks: &[Quality]| {
        troubles.take_in(at(now), at(now), News::Choice, in_choice(tracks, None).into_iter().map(|n| (n, None, Vec::new())));
    };
    told(&mut troubles, 1_000, &[reduced()]);
    told(&mut troubles, 2_000, &[]);
    assert_eq!(troubles.all(), []);
    told(&mut troubles, 3_000, &[reduced()]);
    troubles.end(at(9_000));
    assert_eq!(troubles.all()[0].to_ms, Some(9_000));
}

#[test]
fn a_view_and_a_weak_publisher_are_no_bad_way() {
    for limit in [Limit::View, Limit::Publisher] {
        assert!(in_choice(&[Quality { track: TRACK, encoding: Some(0), of: 3, limit: Some(limit) }], None).is_empty());
    }
    assert!(in_health(&health(vec![flow(LOSSY_PER_MILLE - 1)], vec![])).is_empty());
}

#[test]
fn spans_are_bounded_and_what_is_dropped_is_counted() {
    let mut troubles = Troubles::default();
    for n in 0..200 {
        take_in(&mut troubles, 10_000 * (n + 1), &health(vec![], vec![flow(900)]));
        take_in(&mut troubles, 10_000 * (n + 1) + 5_000, &health(vec![], vec![]));
    }
    assert_eq!((troubles.all().len(), troubles.dropped()), (MOST, 200 - MOST as u64));
    let many = (0..400).map(|n| Flow { track: TrackId(n), ..flow(900) }).collect();
    take_in(&mut troubles, 9_000_000, &health(vec![], many));
    assert_eq!((troubles.open.len(), troubles.dropped()), (MOST_OPEN, 200 - MOST as u64 + 400 - MOST_OPEN as u64));
}
