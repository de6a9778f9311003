use std::sync::Arc;

use super::*;
use crate::contract::{Counter, Counters, WorkerReport};

fn metrics_of(report: WorkerReport) -> Metrics {
    let report = Arc::new(report);
    let first: ReadReport = Box::new(move || report.clone());
    Metrics::new(vec![(WorkerId(0), first), (WorkerId(1), Box::new(Arc::default))]).expect("names are unique")
}

#[test]
fn a_workers_report_shows_as_counters_with_labels() {
    let mut counters = Counters::default();
    counters.add_many(Counter::DropReplay, 7);
    let text = metrics_of(WorkerReport { counters, peers: 3, busy_micros: 1_500_000, ..WorkerReport::default() }).text().expect("text");
    for line in [
        "althing_packets_dropped_total{reason=\"replay\",worker=\"0\"} 7",
        "althing_packets_dropped_total{reason=\"replay\",worker=\"1\"} 0",
        "althing_worker_peers{worker=\"0\"} 3",
        "althing_worker_busy_seconds_total{worker=\"0\"} 1.5",
        "# TYPE althing_packets_dropped_total counter",
        "# TYPE althing_worker_peers gauge",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn requests_are_counted_by_type_and_result_and_joins_by_result() {
    let metrics = metrics_of(WorkerReport::default());
    metrics.control.answered("join", None);
    metrics.control.answered("join", Some("locked"));
    metrics.control.answered("resume", None);
    metrics.control.rejected("malformed");
    let text = metrics.text().expect("text");
    for line in [
        "althing_signaling_messages_total{result=\"locked\",type=\"join\"} 1",
        "althing_signaling_errors_total{code=\"locked\"} 1",
        "althing_signaling_errors_total{code=\"malformed\"} 1",
        "althing_joins_total{result=\"ok\"} 1",
        "althing_joins_total{result=\"locked\"} 1",
        "althing_joins_total{result=\"resumed\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn every_metric_has_a_help_text_and_a_name_that_says_its_unit() {
    let text = metrics_of(WorkerReport::default()).text().expect("text");
    for line in text.lines().filter(|l| l.starts_with("# HELP althing_")) {
        let (name, help) = line.trim_start_matches("# HELP ").split_once(' ').expect("a help text");
        assert!(help.ends_with('.'), "{name} has no help text");
    }
    for line in text.lines().filter(|l| l.starts_with("# TYPE althing_")) {
        let (name, kind) = line.trim_start_matches("# TYPE ").split_once(' ').expect("a kind");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
}

#[test]
fn the_names_are_the_documented_ones() {
    let text = metrics_of(WorkerReport::default()).text().expect("text");
    let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE althing_")).collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn an_expiry_is_shown_as_seconds_from_now_once_there_is_a_certificate() {
    let shown = |at: Option<i64>| {
        let metrics = metrics_of(WorkerReport::default());
        metrics.show_certificate(Box::new(move || at)).expect("once");
        let text = metrics.text().expect("text");
        text.lines().find_map(|l| l.strip_prefix("althing_tls_certificate_expires_seconds ")?.parse::<f64>().ok())
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    assert_eq!(shown(None), None);
    let left = shown(Some(now + 1_000)).expect("shown");
    assert!((990.0..=1_000.0).contains(&left), "{left}");
    assert!(shown(Some(now - 1_000)).expect("shown") < -999.0);
}
