//! The text of an answer.
//!
//! Everything repeated from the offer has been checked to be a number, a known word or a token without separators.

use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::line::{Accepted, Common, Line, Slot};
use super::offer::Offer;
use super::repeats::HELD_AGAINST;
use super::section::{Direction, OfferedExtension, Section};
use super::session::{Agreed, Local};
use crate::base::Bitrate;
use crate::contract::{CodecPlan, DataPlan, DtlsRole, MediaKind, Mid, Rid};

/// The answer to `offer`, of whose m-lines we say `lines`.
pub(super) fn write(local: &Local, version: u64, agreed: &Agreed, offer: &Offer, lines: &[Line]) -> String {
    let both = || offer.sections.iter().zip(lines);
    let is_accepted = |mid| both().any(|(section, line)| section.mid == Some(mid) && *line != Line::Rejected);
    let bundle: Vec<_> = offer.bundle.iter().copied().filter(|mid| is_accepted(*mid)).collect();
    let shares = local.publish.map(|publish| Shares::of(publish, lines));
    let writer = Writer { local, agreed, shares };
    // One buffer for the whole: of an answer of 20 KB, each line as a value of its own costs three times as much.
    let mut text = Lines::new(offer.sections.len());
    text.line('v', "0");
    // The highest bit of the id is not used (RFC 8829 section 5.2.1).
    text.line('o', format_args!("- {} {version} IN IP4 127.0.0.1", local.session_id & (u64::MAX >> 1)));
    text.line('s', "-");
    if let Some(publish) = local.publish {
        bandwidth(publish, &mut text);
    }
    text.line('t', "0 0");
    if !bundle.is_empty() {
        let mids: Vec<_> = bundle.iter().map(ToString::to_string).collect();
        text.value("group", format_args!("BUNDLE {}", mids.join(" ")));
    }
    text.flag("ice-lite");
    text.value("msid-semantic", " WMS *");
    if offer.allow_mixed {
        text.flag("extmap-allow-mixed");
    }
    // The first m-line of the group carries the candidates for all (RFC 9143 section 7.3.1).
    let is_tagged = |section: &Section| offer.candidates_everywhere || section.mid == bundle.first().copied();
    let mut written: Vec<(&Section, Range<usize>)> = Vec::new();
    for (section, line) in both() {
        match line {
            Line::Rejected => rejected(section, &mut text),
            Line::Data(plan) => writer.data(section, plan, is_tagged(section), &mut text),
            Line::Accepted(line) => {
                let same = written.iter().rev().take(HELD_AGAINST).find(|(s, _)| s.says_the_same(section)).map(|(_, range)| range.clone());
                let fresh = same.is_none();
                let tagged = is_tagged(section);
                let range = writer.accepted(section, line, tagged, same, &mut text);
                if fresh {
                    written.push((section, range));
                }
            }
        }
    }
    text.0
}

/// What is ours of an ICE generation, as a fragment (RFC 9725 section 4.3.3): the transport of the first m-line is that of all.
pub(super) fn write_fragment(local: &Local, agreed: &Agreed, bundle: &[Mid], (mid, media): (Mid, &str)) -> String {
    let writer = Writer { local, agreed, shares: None };
    let mut text = Lines::new(1);
    text.flag("ice-lite");
    let mids: Vec<_> = bundle.iter().map(ToString::to_string).collect();
    text.value("group", format_args!("BUNDLE {}", mids.join(" ")));
    // RFC 8840 section 9: nothing of this line counts.
    text.line('m', format_args!("{media} 9 RTP/AVP 0"));
    text.value("mid", mid);
    writer.ice(&mut text);
    writer.candidates(&mut text);
    text.0
}

/// The port of data channels (RFC 8832 section 7 has no other). It is not looked at: there is one association.
const SCTP_PORT: u16 = 5_000;

/// What an accepted m-line of Chromium's takes, and some more.
const BYTES_A_SECTION: usize = 3 * 1_024;

/// Port 0 (RFC 3264 section 6); the mid stays, so that the m-line can be told.
fn rejected(section: &Section, text: &mut Lines) {
    describe(section, 0, None, &section.first_format, text);
    if let Some(mid) = section.mid {
        text.value("mid", mid);
    }
    text.flag("inactive");
}

/// `m=` and `c=`.
fn describe(section: &Section, port: u16, address: Option<SocketAddr>, formats: &str, text: &mut Lines) {
    text.line('m', format_args!("{} {port} {} {formats}", section.media, section.proto));
    match address.map(|a| a.ip()) {
        None => text.line('c', "IN IP4 0.0.0.0"),
        Some(IpAddr::V4(ip)) => text.line('c', format_args!("IN IP4 {ip}")),
        Some(IpAddr::V6(ip)) => text.line('c', format_args!("IN IP6 {ip}")),
    }
}

/// Lines in the order in which they are written (RFC 8866 section 5).
pub(super) struct Lines(String);

impl Lines {
    /// None yet, with room for so many m-lines.
    pub fn new(sections: usize) -> Self {
        Self(String::with_capacity(sections.saturating_mul(BYTES_A_SECTION)))
    }

    pub fn into_text(self) -> String {
        self.0
    }

    pub fn line(&mut self, kind: char, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{kind}={value}\r\n");
    }

    pub fn flag(&mut self, key: &str) {
        self.line('a', key);
    }

    pub fn value(&mut self, key: &str, value: impl Display) {
        let _ = write!(self.0, "a={key}:{value}\r\n");
    }
}

struct Writer<'a> {
    local: &'a Local,
    agreed: &'a Agreed,
    shares: Option<Shares>,
}

impl Writer<'_> {
    /// `same`: where what we have in common is written already. Returns where it is now.
    fn accepted(&self, section: &Section, line: &Accepted, tagged: bool, same: Option<Range<usize>>, attributes: &mut Lines) -> Range<usize> {
        let common = &line.common;
        let address = self.local.candidates.first().copied();
        describe(section, address.map_or(9, |a| a.port()), address, &formats(section, common), attributes);
        match (self.shares, self.local.publish, &line.receive) {
            (Some(shares), _, Some(receive)) => bandwidth(shares.for_kind(receive.kind), attributes),
            // Nothing comes to us here. But Chromium holds the whole connection to what the last m-line says, or to nothing where that says nothing.
            (_, Some(publish), None) => bandwidth(publish, attributes),
            _ => {}
        }
        self.transport(section, attributes);
        attributes.flag(section.direction.answered());
        attributes.flag("rtcp-mux");
        if section.rtcp_rsize {
            attributes.flag("rtcp-rsize");
        }
        let begin = attributes.0.len();
        match same {
            Some(range) => {
                let again = attributes.0.get(range).unwrap_or_default().to_owned();
                attributes.0.push_str(&again)
            }
            None => in_common(section, common, attributes),
        }
        let range = begin..attributes.0.len();
        if let Some(receive) = &line.receive {
            encodings(section, &receive.rids, attributes);
        }
        if let Some(slot) = &line.send {
            self.slot(slot, attributes);
        }
        if tagged {
            self.candidates(attributes);
        }
        range
    }

    /// Data channels (RFC 8841 section 10.3).
    fn data(&self, section: &Section, plan: &DataPlan, tagged: bool, attributes: &mut Lines) {
        let address = self.local.candidates.first().copied();
        describe(section, address.map_or(9, |a| a.port()), address, &section.first_format, attributes);
        self.transport(section, attributes);
        attributes.value("sctp-port", SCTP_PORT);
        attributes.value("max-message-size", plan.limits.longest());
        if tagged {
            self.candidates(attributes);
        }
    }

    /// Said on every m-line: some clients look for it there, BUNDLE or not.
    fn transport(&self, section: &Section, attributes: &mut Lines) {
        if let Some(mid) = section.mid {
            attributes.value("mid", mid);
        }
        self.ice(attributes);
        attributes.value("fingerprint", format_args!("sha-256 {}", self.local.fingerprint_sha256));
        let setup = match self.agreed.role {
            DtlsRole::Server => "passive",
            DtlsRole::Client => "active",
        };
        attributes.value("setup", setup);
    }

    fn ice(&self, attributes: &mut Lines) {
        attributes.value("ice-ufrag", &self.agreed.ice.local_ufrag);
        attributes.value("ice-pwd", &self.agreed.ice.local_pwd);
    }

    /// Both halves of a pair are in one msid stream, because browsers synchronise sound and pictures only within one.
    fn slot(&self, slot: &Slot, attributes: &mut Lines) {
        let kind = match slot.plan.kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        let msid = format!("pair-{0} pair-{0}-{kind}", slot.pair);
        attributes.value("msid", &msid);
        if let Some(rtx) = slot.plan.rtx_ssrc {
            attributes.value("ssrc-group", format_args!("FID {} {rtx}", slot.plan.ssrc));
        }
        for ssrc in [Some(slot.plan.ssrc), slot.plan.rtx_ssrc].into_iter().flatten() {
            attributes.value("ssrc", format_args!("{ssrc} cname:{}", self.local.cname));
            attributes.value("ssrc", format_args!("{ssrc} msid:{msid}"));
        }
    }

    fn candidates(&self, attributes: &mut Lines) {
        let restarts = self.agreed.restarts;
        for (i, candidate) in self.local.candidates.iter().enumerate() {
            let (ip, port) = (candidate.ip(), candidate.port());
            attributes.value("candidate", format_args!("{} 1 udp {} {ip} {port} typ host", i.saturating_add(1), priority(UDP, restarts, i)));
        }
        for (i, candidate) in self.local.candidates.iter().enumerate().filter(|_| self.local.tcp) {
            let (ip, port) = (candidate.ip(), candidate.port());
            let foundation = i.saturating_add(self.local.candidates.len()).saturating_add(1);
            attributes.value("candidate", format_args!("{foundation} 1 tcp {} {ip} {port} typ host tcptype passive", priority(TCP, restarts, i)));
        }
        attributes.flag("end-of-candidates");
    }
}

/// What each m-line may carry to us, of what all of them may: sound first, pictures share the rest alike.
#[derive(Clone, Copy)]
struct Shares {
    audio: Bitrate,
    video: Bitrate,
}

impl Shares {
    fn of(all: Bitrate, lines: &[Line]) -> Self {
        let count = |kind| lines.iter().filter_map(Line::receive).filter(|plan| plan.kind == kind).count() as u64;
        let (sounds, pictures) = (count(MediaKind::Audio), count(MediaKind::Video));
        let even = all.as_bps() / sounds.saturating_add(pictures).max(1);
        let audio = if pictures == 0 { even } else { even.min(SOUND) };
        let rest = all.as_bps().saturating_sub(audio.saturating_mul(sounds));
        Self { audio: Bitrate::bps(audio), video: Bitrate::bps(rest / pictures.max(1)) }
    }

    const fn for_kind(self, kind: MediaKind) -> Bitrate {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

/// What sound is left at most beside pictures: a voice takes 32 kbit/s in browsers, and music in stereo 64.
const SOUND: u64 = 64_000;

/// RFC 8866 section 5.8 in kbit/s, and RFC 3890 in bit/s: Firefox reads the latter alone, and Chromium whichever comes last.
fn bandwidth(most: Bitrate, text: &mut Lines) {
    text.line('b', format_args!("AS:{}", most.as_bps() / 1_000));
    text.line('b', format_args!("TIAS:{}", most.as_bps()));
}

/// The encodings that are taken, as this offer orders them (RFC 8851, RFC 8853).
fn encodings(section: &Section, taken: &[Rid], attributes: &mut Lines) {
    let rids: Vec<String> = section.rids.iter().filter(|rid| taken.contains(rid)).map(ToString::to_string).collect();
    for rid in &rids {
        attributes.value("rid", format_args!("{rid} recv"));
    }
    if section.simulcast && !rids.is_empty() {
        attributes.value("simulcast", format_args!("recv {}", rids.join(";")));
    }
}

/// Type preferences of our candidates (RFC 8445 section 5.1.2.2): TCP comes after every UDP way that there may be (RFC 6544 section 4.2). Both
/// are below what a client gives its own, but for a relay's: so ours decide between pairs (section 6.1.2.3), and not which of its networks a client
/// found first.
const UDP: u32 = 100;
const TCP: u32 = 70;

/// RFC 8445 section 5.1.2.1. Each restart of ICE raises the local preference: whoever restarts because its network is another one goes over to a
/// new pair as soon as that works. Chromium leaves a dead pair of a higher priority only after 3.5 s. Below that it falls from the first candidate on.
fn priority(kind: u32, restarts: u8, i: usize) -> u32 {
    let preference = u32::from(restarts) << 8 | u32::from(u8::MAX.saturating_sub(u8::try_from(i).unwrap_or(u8::MAX)));
    (kind << 24) | (preference << 8) | 255
}

/// A candidate of an offer of ours, the `i`-th: as an answer's before any restart.
pub(super) fn candidate(i: usize, at: SocketAddr, text: &mut Lines) {
    text.value("candidate", format_args!("{} 1 udp {} {} {} typ host", i.saturating_add(1), priority(UDP, 0, i), at.ip(), at.port()));
}

/// A direction in the offer is turned round in the answer (RFC 8285 section 6).
fn extmap(offered: &OfferedExtension) -> String {
    let direction = offered.direction.map_or_else(String::new, |d: Direction| format!("/{}", d.answered()));
    format!("{}{direction} {}", offered.id, offered.extension.uri())
}

/// The accepted payload types, RTX among them, in the order of the offer.
fn formats(section: &Section, common: &Common) -> String {
    let accepted = |pt: &&u8| common.codecs.iter().any(|c| c.payload_type == **pt || c.rtx == Some(**pt));
    let formats: Vec<String> = section.formats.iter().filter(accepted).map(ToString::to_string).collect();
    formats.join(" ")
}

/// Header extensions and codecs.
fn in_common(section: &Section, common: &Common, attributes: &mut Lines) {
    common.extmaps.iter().for_each(|e| attributes.value("extmap", extmap(e)));
    if section.allow_mixed {
        attributes.flag("extmap-allow-mixed");
    }
    for codec in &common.codecs {
        let offered = section.codecs.iter().find(|c| c.plan.payload_type == codec.payload_type);
        let (encoding, parameters) = offered.map_or(("", ""), |c| (c.encoding(), c.parameters.as_str()));
        payload_type(codec, encoding, parameters, attributes);
    }
}

pub(super) fn payload_type(codec: &CodecPlan, encoding: &str, parameters: &str, attributes: &mut Lines) {
    let pt = codec.payload_type;
    attributes.value("rtpmap", format_args!("{pt} {encoding}"));
    if !parameters.is_empty() {
        attributes.value("fmtp", format_args!("{pt} {parameters}"));
    }
    let feedback = codec.feedback;
    let kinds = [
        (feedback.transport_cc, "transport-cc"),
        (feedback.remb, "goog-remb"),
        (feedback.fir, "ccm fir"),
        (feedback.nack, "nack"),
        (feedback.pli, "nack pli"),
    ];
    for (_, kind) in kinds.iter().filter(|(agreed, _)| *agreed) {
        attributes.value("rtcp-fb", format_args!("{pt} {kind}"));
    }
    if let Some(rtx) = codec.rtx {
        attributes.value("rtpmap", format_args!("{rtx} rtx/{}", codec.clock_rate));
        attributes.value("fmtp", format_args!("{rtx} apt={pt}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_raises_every_candidate_above_those_before_and_none_above_a_browsers_own() {
        for kind in [UDP, TCP] {
            for restarts in 0..u8::MAX {
                assert!(priority(kind, restarts + 1, 40) > priority(kind, restarts, 0), "the last of the next comes before the first of this one");
                assert!(priority(kind, restarts, 1) < priority(kind, restarts, 0), "the first is preferred");
            }
        }
        assert!(priority(UDP, 0, 40) > priority(TCP, u8::MAX, 0), "TCP comes after UDP, however often ICE is restarted");
        // What Chromium gives a peer-reflexive candidate, by UDP and by TCP, and the best of a relay (type preferences 110, 80 and 2).
        assert!(priority(UDP, u8::MAX, 0) < 110 << 24 && priority(TCP, u8::MAX, 0) < 80 << 24 && priority(TCP, 0, 40) > 3 << 24);
    }
}
