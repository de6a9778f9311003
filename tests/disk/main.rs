//! Recordings on a disk with faults: the power is cut, it refuses, it is slow. A real node records a call onto ext4, on a loop device, on a
//! disk that does as it is told. `make prove-recording` does more of the same.

mod call;
#[path = "../client/mod.rs"]
mod client;
mod faulty;
mod fuse;
#[path = "../nodes/mod.rs"]
mod nodes;
mod scenes;
mod stack;
#[path = "../client/witness.rs"]
#[allow(dead_code, reason = "shared with a test that uses all of it")]
mod witness;

use std::time::Duration;

use althing::wire::RecordingPause;

use faulty::Fault;
use scenes::{fault, lost_disk, power_cuts, power_cuts_at_the_end};
use stack::apart;

#[test]
#[ignore = "a disk's own process, which the others begin"]
fn serve_a_disk() {
    stack::serve();
}

#[test]
fn what_a_power_cut_leaves_plays_and_little_of_its_end_is_lost() {
    let Some(files) = apart(|| power_cuts(4, 1)) else { return };
    assert_eq!(files.len(), 8);
    for file in &files {
        assert!(file.plays.is_ok() && file.tail < 2_300.0, "{file:?}");
    }
}

#[test]
fn what_is_complete_is_so_after_a_power_cut_too() {
    let Some(files) = apart(|| power_cuts_at_the_end(12, 2)) else { return };
    assert_eq!(files.len(), 24);
    assert!(files.iter().all(Result::is_ok), "{files:?}");
}

/// A file that the disk has lost something of ends where it is sure, and another one begins.
#[test]
fn a_disk_that_refuses_new_blocks_is_an_alarm_and_a_gap_and_the_call_goes_on() {
    let Some(survived) = apart(|| fault(Fault::NewBlocks, Duration::from_secs(3), 64 << 20)) else { return };
    assert!(survived.broken.is_empty(), "{survived:?}");
    assert!(survived.alarm < 1_000.0 && survived.forwarded.iter().all(|share| *share > 98.0), "{survived:?}");
    assert!(survived.files == 4 && survived.lost > 0 && survived.resumed < 5.0, "{survived:?}");
    assert!(survived.paused == Some(RecordingPause::DiskFailed) && survived.told < 1_000.0 && survived.goes_on, "members know: {survived:?}");
}

#[test]
fn a_disk_that_does_not_answer_for_five_seconds_is_an_alarm_and_nothing_is_lost() {
    let Some(survived) = apart(|| fault(Fault::Hang, Duration::from_secs(5), 64 << 20)) else { return };
    assert!(survived.broken.is_empty(), "{survived:?}");
    assert!(survived.alarm < 1_000.0 && survived.forwarded.iter().all(|share| *share > 98.0), "{survived:?}");
    assert!(survived.files == 2 && survived.lost == 0 && survived.resumed < 0.2, "{survived:?}");
    assert!(survived.paused.is_none() && survived.goes_on, "nothing is lost, so nothing is told: {survived:?}");
}

/// With room for a second of it in memory.
#[test]
fn a_disk_that_is_too_slow_is_an_alarm_and_a_gap_and_the_call_goes_on() {
    let Some(survived) = apart(|| fault(Fault::Slow(Duration::from_secs(2)), Duration::from_secs(8), 400 << 10)) else { return };
    assert!(survived.broken.is_empty(), "{survived:?}");
    assert!(survived.alarm < 1_000.0 && survived.forwarded.iter().all(|share| *share > 98.0), "{survived:?}");
    assert!(survived.resumed < 5.0, "{survived:?}");
    // Once a second is lost that finds no room: some seconds after the alarm.
    assert!(survived.paused == Some(RecordingPause::DiskSlow) && survived.told < 5_000.0 && survived.goes_on, "members know: {survived:?}");
}

#[test]
fn a_disk_that_is_gone_keeps_what_it_had_and_the_call_goes_on() {
    let Some((survived, files)) = apart(lost_disk) else { return };
    assert!(survived.alarm < 1_000.0 && survived.forwarded.iter().all(|share| *share > 98.0), "{survived:?}");
    assert!(survived.paused == Some(RecordingPause::DiskFailed) && survived.told < 1_000.0 && !survived.goes_on, "members know: {survived:?}");
    for file in &files {
        assert!(file.plays.is_ok() && file.tail < 2_300.0, "{file:?}");
    }
}
