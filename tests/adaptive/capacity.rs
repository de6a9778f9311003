//! Stories of links that carry less than everything: what must come of them.

use std::time::Duration;

use crate::scores::{Score, a_full_room, a_link_that_breaks_down, a_steady_link, a_way_of_a_kind, kinds};
use crate::views::millis;
use crate::world::Ways;

/// Asserts bounds of a score, and tells all of it when one is broken.
fn assert_within(score: &Score, bounds: &[(&str, f64, f64)]) {
    for (name, least, most) in bounds {
        let value = score[name];
        assert!((*least..=*most).contains(&value), "{name} is {value}, not within {least}..={most}: {score:#?}");
    }
}

#[test]
fn a_link_that_breaks_down_is_sent_less_within_a_second_and_is_filled_again_when_it_is_back() {
    for (queue, frozen, standing) in [(300, 1_300.0, ("queue after 4 s ms", 100.0)), (1_200, 2_500.0, ("queue after 6 s ms", 500.0))] {
        let score = a_link_that_breaks_down(millis(queue));
        let bounds = [
            ("encoding before", 2.0, 2.0),
            ("lower after ms", 0.0, 1_000.0),
            ("frozen ms", 0.0, frozen),
            (standing.0, 0.0, standing.1),
            ("top again after ms", 0.0, 15_000.0),
            ("another's longest gap ms", 0.0, 100.0),
            ("another's switches", 0.0, 0.0),
        ];
        assert_within(&score, &bounds);
    }
}

#[test]
fn a_steady_link_is_known_and_filled_with_the_best_that_fits() {
    for mbps in [1.0, 2.0, 4.0] {
        let bounds = [
            ("least estimate of capacity", 0.85, 1.05),
            ("most estimate of capacity", 0.85, 1.05),
            ("chosen of the best", 0.8, 1.0),
            ("padding of all", 0.0, 0.05),
            ("most switches of a picture", 0.0, 1.0),
            ("queue p95 ms", 0.0, 60.0),
        ];
        assert_within(&a_steady_link(mbps), &bounds);
    }
}

#[test]
fn on_ways_of_all_kinds_the_picture_goes_on() {
    for (name, span, capacity, ways) in kinds() {
        let score = a_way_of_a_kind(4, span, capacity, ways);
        let lossy = name.contains("loss");
        let bounds =
            [("recovered in 400 ms", if lossy { 0.98 } else { 0.9 }, 1.0), ("frozen of all", 0.0, 0.01), ("least pictures a second", 14.0, 31.0)];
        eprintln!("{name}");
        assert_within(&score, &bounds);
    }
}

#[test]
#[ignore = "ten minutes take a while"]
fn with_thirty_per_cent_of_loss_the_picture_lives_for_ten_minutes() {
    let ways = Ways::free(millis(100)).both(|shape| shape.losing(300));
    let score = a_way_of_a_kind(5, Duration::from_secs(600), 4_000_000.0, ways);
    assert_within(&score, &[("least pictures a second", 10.0, 31.0)]);
}

#[test]
fn in_a_full_room_everybody_is_sent_what_their_link_carries() {
    let score = a_full_room(50, Duration::from_secs(10));
    assert_within(&score, &[("most sent of an estimate", 0.0, 1.05), ("longest queue p95 ms", 0.0, 150.0)]);
}
