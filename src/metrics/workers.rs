//! Workers' reports as metrics. The reports are cumulative: a scrape shows the latest, and nothing is added up here.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter as CounterValue, Gauge as GaugeValue, Histogram as HistogramValue, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::base::WorkerId;
use crate::contract::{Counter, Measure, Memory, WorkerReport};

const PREFIX: &str = "althing_";

/// Gives a worker's latest report.
pub type ReadReport = Box<dyn Fn() -> Arc<WorkerReport> + Send + Sync>;

/// Reads every worker's latest report.
pub struct Workers {
    workers: Vec<(WorkerId, ReadReport)>,
    descriptions: Vec<Desc>,
}

/// What a report says beside its counters: name, help, value.
type Reading = (&'static str, &'static str, fn(&WorkerReport) -> f64);

const GAUGES: [Reading; 7] = [
    ("worker_rooms", "Rooms that the worker holds now.", |r| r.rooms as f64),
    ("worker_peers", "Connections that the worker holds now.", |r| r.peers as f64),
    ("worker_tracks", "Tracks published to the worker now.", |r| r.tracks as f64),
    ("worker_imports", "Tracks published to other workers that somebody on this one receives.", |r| r.imports as f64),
    ("worker_streams", "Streams (TCP) that the worker holds now.", |r| r.streams as f64),
    ("worker_allocations", "Allocations of the relay that the worker holds now.", |r| r.allocations as f64),
    ("worker_legs", "Subscriptions that the worker holds now.", |r| r.legs as f64),
];

/// Memory by what it is for: a label, and its value.
type Held = (&'static str, fn(&Memory) -> u64);

const MEMORY: (&str, &str) = ("memory_bytes", "Bytes that the worker holds, by kind.");
const KINDS: [Held; 5] = [
    ("kind=caches", |m| m.caches),
    ("kind=peers", |m| m.peers),
    ("kind=legs", |m| m.legs),
    ("kind=handshakes", |m| m.handshakes),
    ("kind=arenas", |m| m.arenas),
];

const BUSY: Reading = ("worker_busy_seconds_total", "CPU time that the worker's thread has used.", |r| r.busy_micros as f64 / 1e6);

impl Workers {
    /// For these workers.
    pub fn new(workers: Vec<(WorkerId, ReadReport)>) -> prometheus::Result<Self> {
        let mut names: BTreeMap<&str, &str> = Counter::ALL.iter().map(|c| (c.metric().0, help(c.metric().0))).collect();
        names.extend(Measure::ALL.iter().map(|m| (m.metric().0, help(m.metric().0))));
        names.extend(GAUGES.iter().chain([&BUSY]).map(|(name, help, _)| (*name, *help)).chain([MEMORY]));
        let describe =
            |(name, help): (&str, &str)| Desc::new(format!("{PREFIX}{name}"), help.to_owned(), vec!["worker".to_owned()], Default::default());
        Ok(Self { workers, descriptions: names.into_iter().map(describe).collect::<Result<_, _>>()? })
    }
}

impl Collector for Workers {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let reports: Vec<_> = self.workers.iter().map(|(id, slot)| (id.to_string(), slot())).collect();
        let mut counters: BTreeMap<&str, Vec<Metric>> = BTreeMap::new();
        for counter in Counter::ALL {
            let (name, label) = counter.metric();
            let metrics = reports.iter().map(|(worker, report)| counted(worker, label, report.counters.get(*counter) as f64));
            counters.entry(name).or_default().extend(metrics);
        }
        let mut families: Vec<_> = counters.into_iter().map(|(name, metrics)| family(name, help(name), MetricType::COUNTER, metrics)).collect();
        let (name, about, read) = BUSY;
        families.push(family(name, about, MetricType::COUNTER, reports.iter().map(|(w, r)| counted(w, "", read(r))).collect()));
        for (name, help, read) in GAUGES {
            families.push(family(name, help, MetricType::GAUGE, reports.iter().map(|(w, r)| measured(w, "", read(r))).collect()));
        }
        let held = KINDS.iter().flat_map(|(kind, read)| reports.iter().map(|(w, r)| measured(w, kind, read(&r.memory) as f64)));
        families.push(family(MEMORY.0, MEMORY.1, MetricType::GAUGE, held.collect()));
        let mut distributions: BTreeMap<&str, Vec<Metric>> = BTreeMap::new();
        for measure in Measure::ALL {
            let metrics = reports.iter().map(|(worker, report)| distributed(worker, *measure, report));
            distributions.entry(measure.metric().0).or_default().extend(metrics);
        }
        families.extend(distributions.into_iter().map(|(name, metrics)| family(name, help(name), MetricType::HISTOGRAM, metrics)));
        families
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("{PREFIX}{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counted(worker: &str, label: &str, value: f64) -> Metric {
    let mut counter = CounterValue::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels(worker, label));
    metric.set_counter(counter);
    metric
}

fn measured(worker: &str, label: &str, value: f64) -> Metric {
    let mut gauge = GaugeValue::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels(worker, label));
    metric.set_gauge(gauge);
    metric
}

fn distributed(worker: &str, measure: Measure, report: &WorkerReport) -> Metric {
    let (scale, distribution) = (measure.scale(), report.distributions.get(measure));
    let bucket = |(bound, count): (u64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / scale.unit);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = HistogramValue::default();
    histogram.set_bucket(distribution.cumulative(scale).map(bucket).collect());
    histogram.set_sample_count(distribution.count());
    histogram.set_sample_sum(distribution.sum() as f64 / scale.unit);
    let mut metric = Metric::from_label(labels(worker, measure.metric().1));
    metric.set_histogram(histogram);
    metric
}

/// Each `key=value`, and the worker; in alphabetical order.
fn labels(worker: &str, label: &str) -> Vec<LabelPair> {
    let pairs = label.split(',').filter_map(|pair| pair.split_once('=')).chain([("worker", worker)]);
    let mut labels: Vec<_> = pairs
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        })
        .collect();
    labels.sort();
    labels
}

/// What a counter's metric is about; one that is not listed says its name.
fn help(name: &'static str) -> &'static str {
    match name {
        "datagrams_received_total" => "Datagrams received.",
        "received_bytes_total" => "Bytes of datagrams received.",
        "datagrams_sent_total" => "Datagrams sent.",
        "sent_bytes_total" => "Bytes of datagrams sent.",
        "send_messages_total" => "Messages sent: a datagram alone, or a run of equal ones to one address.",
        "send_calls_total" => "System calls that send.",
        "receive_calls_total" => "System calls that receive, those that found nothing included.",
        "send_runs_refused_total" => "Runs of datagrams that the kernel refused; they were sent one by one.",
        "datagrams_fragmented_total" => "Datagrams sent in pieces: the path to their destination is narrow.",
        "socket_held_total" => "Replies that a full socket refused and that were kept to be offered again.",
        "rtp_packets_received_total" => "RTP packets accepted from publishers.",
        "rtp_packets_forwarded_total" => "RTP packets forwarded to subscribers, retransmissions excluded.",
        "publish_excess_total" => "Publishers that sent more than they may, by what was done: they were told, or a track of theirs ended.",
        "rtp_packets_retransmitted_total" => "RTP packets sent again on request.",
        "rtp_packets_repaired_total" => "RTP packets that a publisher sent again and that filled a hole.",
        "nacked_packets_total" => "Packets asked for again, by us (sent) and by subscribers (received).",
        "nack_misses_total" => "Packets asked for again that were not in the cache.",
        "pace_queue_overflows_total" => "Times that too much waited for a subscriber: it was given up, and its pictures began anew.",
        "paced_packets_total" => "Packets of pictures that had to wait, so that the way to their subscriber was not overfilled.",
        "links_unanswered_total" => {
            "Subscribers that negotiated reports of what they receive and sent none: they are sent all there is, until they do."
        }
        "layer_switches_total" => "Pictures that subscribers got in another form than before, by cause.",
        "probe_packets_total" => "Packets repeated, or padding, sent to find out what a link carries.",
        "key_frame_requests_total" => "Key frames asked for, by us (sent) and by subscribers (received).",
        "key_frame_requests_held_total" => "Key frames asked for by subscribers that have had as many as they may: not asked for from publishers.",
        "switch_reports_total" => "Sender reports with the first packet of another source or encoding of a slot, sent or held back (too many).",
        "rtcp_packets_received_total" => "RTCP packets accepted.",
        "rtcp_packets_sent_total" => "RTCP packets sent.",
        "ice_checks_total" => "ICE checks of connections that this node has begun, by what came of them.",
        "stun_requests_total" => "STUN requests, by what came of them.",
        "dtls_handshakes_total" => "DTLS handshakes, by how far they came.",
        "packets_dropped_total" => "Datagrams and packets dropped, by reason.",
        "forwards_dropped_total" => "Forwards to one subscriber dropped, by reason.",
        "socket_drops_total" => "Datagrams that the socket did not take, by reason.",
        "streams_total" => "Streams (TCP) of clients that no UDP gets through to, by what came of them.",
        "relay_packets_total" => "RTP packets that crossed between workers.",
        "relay_bytes_total" => "Bytes of RTP packets that crossed between workers.",
        "relay_drops_total" => "Messages between workers dropped, by reason.",
        "tap_packets_total" => "RTP packets copied for recordings, by result.",
        "relay_demands_total" => "Times that another worker was told whether a track is wanted.",
        "stray_datagrams_total" => "Datagrams that arrived at another worker than their peer's, and were handed over.",
        "stray_table_full_total" => "Paths of other workers' peers that were not remembered.",
        "turn_allocations_total" => "Allocations of the relay, by what came of them.",
        "turn_requests_refused_total" => "Requests to the relay refused, by reason.",
        "turn_packets_total" => "Datagrams relayed.",
        "turn_bytes_total" => "Bytes relayed.",
        "turn_drops_total" => "Data that the relay dropped, by reason.",
        "data_connections_total" => "Peers whose data channels have opened, or were closed, by reason.",
        "data_messages_total" => "Messages on data channels.",
        "data_bytes_total" => "Bytes of messages on data channels.",
        "data_drops_total" => "SCTP packets, chunks and messages of data channels that were dropped, by reason.",
        "commands_ignored_total" => "Commands that named something unknown.",
        "room_panics_total" => "Rooms dropped after a fault in their dispatch.",
        "worker_ticks_total" => "Turns of the worker's loop; an idle worker makes none.",
        "media_packets_total" => "RTP packets accepted from publishers and forwarded to subscribers, by kind; about a second late.",
        "media_bytes_total" => "Bytes of those packets, by kind: with RTP headers those received, without those sent.",
        "ice_connect_seconds" => "From a connection's plan to the first ICE check that was validated.",
        "dtls_handshake_seconds" => "From the first validated ICE check to the keys of SRTP.",
        "first_media_seconds" => "From a connection's plan to its first packet of a published track.",
        "round_trip_seconds" => "Round trips to peers, each once a second, as their receiver reports say.",
        "jitter_seconds" => "Jitter (RFC 3550) of each stream: of what is received once a second, of what is sent as subscribers report.",
        "loss_ratio" => {
            "Share of each stream that was lost on the way, before repairs by RTX: of what is received once a second, of what is sent as subscribers report."
        }
        "link_estimate_bytes_per_second" => "What subscribers' links are estimated to carry, each once a second.",
        "worker_loop_lag_seconds" => "How late the worker's timers were served.",
        "worker_receive_batch_messages" => "Messages taken from a socket with one call.",
        _ => name,
    }
}
