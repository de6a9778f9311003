//! The corpus, a session with fixed randomness, and a plan as short lines.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use althing::contract::{CodecPlan, DataLimits, Extension, ExtensionMap, MediaPlan};
use althing::sdp::{Answer, Fresh, Local, Offer, OfferError, OfferLimits, Session};

pub const LIMITS: OfferLimits = OfferLimits { max_mlines: 64, max_bytes: 128 * 1024 };

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp/offers")
}

/// The text of one offer of the corpus.
pub fn offer(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.sdp"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The names of all offers of the corpus.
pub fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> = files.map(|f| f.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

pub fn session() -> Session {
    session_with(Some(DataLimits::default()))
}

/// One in which data channels are held to this, or are not taken.
pub fn session_with(data: Option<DataLimits>) -> Session {
    let candidates: Vec<SocketAddr> = vec!["192.0.2.1:5000".parse().unwrap(), "[2001:db8::1]:5000".parse().unwrap()];
    Session::new(Local {
        fingerprint_sha256: vec!["AB"; 32].join(":"),
        candidates,
        tcp: true,
        cname: "althing".to_owned(),
        session_id: 4_711,
        data,
        publish: None,
    })
}

pub fn fresh(n: u64) -> Fresh {
    Fresh { ufrag: format!("ufrag{n}"), pwd: format!("password-password-{n:08}"), ssrc_seed: n }
}

/// Reads and answers.
pub fn answer(session: &mut Session, sdp: &str, n: u64) -> Result<Answer, OfferError> {
    session.answer(&Offer::parse(sdp, &LIMITS)?, fresh(n))
}

/// The answer to an offer of the corpus by a new session.
pub fn first_answer(name: &str) -> Answer {
    answer(&mut session(), &offer(name), 1).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// `sdp` without the lines that `unwanted` picks.
pub fn without(sdp: &str, unwanted: impl Fn(&str) -> bool) -> String {
    sdp.lines().filter(|line| !unwanted(line)).map(|line| format!("{line}\r\n")).collect()
}

/// The section (from its `m=` line on) with this index.
pub fn section(sdp: &str, index: usize) -> String {
    let starts: Vec<_> = sdp.match_indices("\r\nm=").map(|(at, _)| at + 2).chain([sdp.len()]).collect();
    sdp[starts[index]..starts[index + 1]].to_owned()
}

/// What an answer means, one line a fact: the plan's own Debug output would be ten times as long.
pub fn summary(answer: &Answer) -> String {
    let mut out = String::new();
    if let Some(transport) = &answer.transport {
        writeln!(out, "{:?}", transport.ice).unwrap();
        writeln!(out, "{:?}", transport.security).unwrap();
    }
    if let Some(ice) = &answer.restart {
        writeln!(out, "restart {ice:?}").unwrap();
    }
    for (i, pair) in answer.pairs.iter().enumerate() {
        let mid = |m: Option<althing::sdp::MlineRef>| m.map_or_else(|| "-".to_owned(), |m| format!("{}@{}", m.mid, m.index));
        writeln!(out, "pair {i}: audio {} video {}", mid(pair.audio), mid(pair.video)).unwrap();
    }
    writeln!(out, "publishable {:?}", answer.publishable).unwrap();
    media(&answer.media, &mut out);
    out
}

fn media(plan: &MediaPlan, out: &mut String) {
    for r in &plan.receive {
        let line = format!(
            "receive {} mid {} {:?} rids {:?} ssrcs {:?}{}",
            r.mline,
            r.mid,
            r.kind,
            r.rids,
            r.ssrcs,
            if r.ssrc_encodings { " encodings" } else { "" }
        );
        mline(&line, &r.codecs, &r.extensions, out);
    }
    for s in &plan.send {
        let line = format!("send {} mid {} {:?} ssrc {} rtx {:?}", s.mline, s.mid, s.kind, s.ssrc, s.rtx_ssrc);
        mline(&line, &s.codecs, &s.extensions, out);
    }
}

fn mline(line: &str, codecs: &[CodecPlan], map: &ExtensionMap, out: &mut String) {
    let extensions: Vec<_> = Extension::ALL.into_iter().filter_map(|e| Some(format!("{}={e:?}", map.id(e)?))).collect();
    writeln!(out, "{line} two-byte {} [{}]", map.two_byte_allowed, extensions.join(" ")).unwrap();
    for c in codecs {
        let f = c.feedback;
        let names = [(f.nack, "nack"), (f.pli, "pli"), (f.fir, "fir"), (f.transport_cc, "transport-cc"), (f.remb, "remb")];
        let names: Vec<_> = names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        writeln!(out, "  {} {:?} {} rtx {:?} [{}]", c.payload_type, c.codec, c.clock_rate, c.rtx, names.join(" ")).unwrap();
    }
}
