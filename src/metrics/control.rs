//! What the control plane counts.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::register::Register;

/// From a join on a quiet machine to one that somebody gives up.
const JOINS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counters and gauges of the control plane: cheap to clone.
#[derive(Clone)]
pub struct ControlMetrics {
    /// Signaling sockets now.
    pub sockets: IntGauge,
    /// Sockets refused because there are as many as there may be.
    pub sockets_refused: IntCounterVec,
    /// TLS handshakes of the public listener, by `result`.
    pub tls_handshakes: IntCounterVec,
    /// WHIP and WHEP sessions now.
    pub whip_sessions: IntGauge,
    /// Rooms now.
    pub rooms: IntGauge,
    /// Members now, those away included.
    pub members: IntGauge,
    /// Members whose socket was closed because they took too little.
    pub slow_members: IntCounter,
    /// Connections to the media ports that have not come up in time.
    pub unreached: IntCounter,
    /// Events of workers that a room could not take.
    pub media_events_dropped: IntCounter,
    /// People in all lobbies now, those away included.
    pub reachable: IntGauge,
    rings: IntCounterVec,
    messages: IntCounterVec,
    errors: IntCounterVec,
    limits: IntCounterVec,
    joins: IntCounterVec,
    /// Calls that are over and of which something is kept, and the bytes of that.
    pub kept: [IntGauge; 2],
    /// From reading a join, or a resumption, to its answer: of those that were let in.
    pub join_seconds: Histogram,
    calls: IntGaugeVec,
    direct: IntCounterVec,
    direct_failed: IntCounter,
    /// Fallbacks that publishers are asked for, and those that they send.
    fallbacks: [IntGauge; 2],
    /// Sessions with servers elsewhere that wait, are being connected, are live, are tried again later.
    egresses: [IntGauge; 4],
}

impl ControlMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this program.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        let gauges = register.gauges("althing_fallbacks", "Tracks that are wanted, and sent, once more in another codec.", &["state"])?;
        let egresses = register.gauges("althing_egress_sessions", "Calls that are sent to servers elsewhere, by state.", &["state"])?;
        let calls = register.gauges("althing_calls", "Rooms with media now, by how it travels.", &["via"])?;
        for via in ["direct", "server"] {
            calls.with_label_values(&[via]).set(0);
        }
        let direct = register.counters(
            "althing_direct_connections_total",
            "Direct connections that both ends have had, each once, by the less direct of their candidates and by protocol.",
            &["pair", "protocol"],
        )?;
        for pair in ["host", "reflexive", "relay"] {
            direct.with_label_values(&[pair, "udp"]);
        }
        let tls_handshakes =
            register.counters("althing_tls_handshakes_total", "TLS handshakes of the public listener that have ended, by result.", &["result"])?;
        for result in ["ok", "failed", "timeout", "evicted"] {
            tls_handshakes.with_label_values(&[result]);
        }
        let rings = register.counters("althing_rings_total", "Calls of a person, by what has become of them.", &["outcome"])?;
        for outcome in ["accepted", "rejected", "busy", "cancelled", "timed_out", "gone"] {
            rings.with_label_values(&[outcome]);
        }
        let sockets_refused = register.counters("althing_signaling_sockets_refused_total", "Signaling sockets refused.", &["reason"])?;
        for reason in ["origin", "full"] {
            sockets_refused.with_label_values(&[reason]);
        }
        let joins = register.counters("althing_joins_total", "Joins, those by WHIP and WHEP among them, and resumptions, by result.", &["result"])?;
        for result in ["ok", "resumed"] {
            joins.with_label_values(&[result]);
        }
        let limits = register.counters("althing_limits_reached_total", "Requests refused because there is only so much of something.", &["limit"])?;
        for limit in ["rooms", "members", "tracks", "kept"] {
            limits.with_label_values(&[limit]);
        }
        register.gauges("althing_build_info", "1, and which program this is.", &["version"])?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            tls_handshakes,
            rings,
            reachable: register.gauge("althing_people_reachable", "People in all lobbies now, those whose socket is lost included.")?,
            calls,
            direct,
            direct_failed: register
                .counter("althing_direct_connections_failed_total", "Direct connections that could not be had or were lost, each once.")?,
            egresses: ["waiting", "connecting", "live", "retrying"].map(|state| egresses.with_label_values(&[state])),
            fallbacks: ["wanted", "sent"].map(|state| gauges.with_label_values(&[state])),
            sockets: register.gauge("althing_signaling_sockets", "Signaling sockets open now.")?,
            sockets_refused,
            whip_sessions: register.gauge("althing_whip_sessions", "WHIP and WHEP sessions open now.")?,
            rooms: register.gauge("althing_rooms", "Rooms open now.")?,
            members: register.gauge("althing_members", "Members of all rooms now, those whose socket is lost included.")?,
            slow_members: register.counter("althing_slow_members_total", "Members whose socket was closed because they took too little.")?,
            unreached: register.counter("althing_media_unreached_total", "Connections to the media ports that have not come up within 15 s.")?,
            media_events_dropped: register
                .counter("althing_media_events_dropped_total", "Workers' events dropped because their room was too far behind.")?,
            messages: register.counters("althing_signaling_messages_total", "Requests answered, by type and result.", &["type", "result"])?,
            errors: register.counters("althing_signaling_errors_total", "Requests refused and messages that were none, by error code.", &["code"])?,
            limits,
            joins,
            kept: [
                register.gauge("althing_calls_kept", "Calls that are over and of which is kept what happened.")?,
                register.gauge("althing_calls_kept_bytes", "Bytes of what is kept of them.")?,
            ],
            join_seconds: register.seconds(
                "althing_join_seconds",
                "From reading a join (by WHIP and WHEP its offer), or a resumption, to its answer: of those that were let in.",
                &JOINS,
            )?,
        })
    }

    /// A request was answered. `kind` is a type of the protocol: nothing that a client writes becomes a label.
    /// `error` is the code with which it was refused, if it was.
    pub fn answered(&self, kind: &'static str, error: Option<&'static str>) {
        let label = error.unwrap_or("ok");
        self.messages.with_label_values(&[kind, label]).inc();
        if matches!(kind, "join" | "resume" | "whip" | "whep") {
            self.joins.with_label_values(&[if label == "ok" && kind == "resume" { "resumed" } else { label }]).inc();
        }
        if let Some(code) = error {
            self.rejected(code);
        }
    }

    /// A request was refused because this limit is reached.
    pub fn limited(&self, limit: &'static str) {
        self.limits.with_label_values(&[limit]).inc();
    }

    /// A room has others than before: asked for, and sent.
    pub fn fallbacks_changed(&self, before: [usize; 2], now: [usize; 2]) {
        for ((gauge, before), now) in self.fallbacks.iter().zip(before).zip(now) {
            gauge.add(now as i64 - before as i64);
        }
    }

    /// A room sends otherwise than before: sessions that wait, are being connected, are live, are tried again later.
    pub fn egresses_changed(&self, before: [usize; 4], now: [usize; 4]) {
        for ((gauge, before), now) in self.egresses.iter().zip(before).zip(now) {
            gauge.add(now as i64 - before as i64);
        }
    }

    /// A room's media travels otherwise than before.
    pub fn way_changed(&self, before: Option<&'static str>, now: Option<&'static str>) {
        if before != now {
            before.iter().for_each(|via| self.calls.with_label_values(&[via]).dec());
            now.iter().for_each(|via| self.calls.with_label_values(&[via]).inc());
        }
    }

    /// An end has a direct connection over such a pair and protocol; none: it could not have it, or has lost it.
    pub fn direct(&self, up: Option<[&'static str; 2]>) {
        match up {
            Some(labels) => self.direct.with_label_values(&labels).inc(),
            None => self.direct_failed.inc(),
        }
    }

    /// A call of a person has come to something: one of the outcomes of `control::calls`.
    pub fn rang(&self, outcome: &'static str) {
        self.rings.with_label_values(&[outcome]).inc();
    }

    /// A message was no request.
    pub fn rejected(&self, code: &'static str) {
        self.errors.with_label_values(&[code]).inc();
    }
}
