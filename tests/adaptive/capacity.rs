//! Stories of links that carry less than everything: what must come of them.

use std::time::Duration;

use crate::reach::{BREAKS_DOWN, BREAKS_DOWN_DEEP, FULL_ROOM, LOSSY, STEADY, assert_reached, very_lossy};
use crate::scores::{a_full_room, a_link_that_breaks_down, a_lossy_way, a_steady_link, a_very_lossy_way, a_way_of_a_kind, kinds};
use crate::views::millis;

#[test]
fn a_link_that_breaks_down_is_sent_less_within_a_second_and_is_filled_again_when_it_is_back() {
    for (queue, reaches) in [(300, BREAKS_DOWN), (1_200, BREAKS_DOWN_DEEP)] {
        assert_reached(&a_link_that_breaks_down(1, millis(queue)), &reaches);
    }
}

#[test]
fn a_steady_link_is_known_and_filled_with_the_best_that_fits() {
    for mbps in [1.0, 2.0, 4.0] {
        assert_reached(&a_steady_link(2, mbps), &STEADY);
    }
}

#[test]
fn on_ways_of_all_kinds_the_picture_goes_on() {
    for (name, span, capacity, ways) in kinds() {
        let score = a_way_of_a_kind(4, span, capacity, ways);
        eprintln!("{name}");
        let recovered = score["recovered in 400 ms"];
        assert!(recovered >= 0.9 && score["frozen of all"] <= 0.01 && score["least pictures a second"] >= 14.0, "{score:#?}");
    }
    assert_reached(&a_lossy_way(4, Duration::from_secs(30)), &LOSSY);
}

#[test]
#[ignore = "ten minutes take a while"]
fn with_thirty_per_cent_of_loss_the_picture_lives_for_ten_minutes() {
    let span = Duration::from_secs(600);
    assert_reached(&a_very_lossy_way(5, span), &very_lossy(span.as_secs()));
}

#[test]
fn in_a_full_room_everybody_is_sent_what_their_link_carries() {
    let score = a_full_room(3, 50, 1, Duration::from_secs(8));
    assert_reached(&score, &FULL_ROOM);
    assert!(score["longest queue p95 ms"] <= 150.0, "{score:#?}");
}
