//! An offer of ours, for a server elsewhere (RFC 9725 section 4.2), and what its answer makes of it.
//!
//! What is answered is read as if it were an offer, and negotiated as one: of the m-lines that we have proposed, what the other side takes.

use std::net::{IpAddr, SocketAddr};

use super::answer::{Lines, candidate, payload_type};
use super::codec::OfferedCodec;
use super::error::OfferError;
use super::offer::{Offer, OfferLimits, Setup};
use super::session::{Answer, Fresh, Local, Session};
use crate::contract::plan::H264Profile;
use crate::contract::{Codec, CodecPlan, Extension, Feedback, MediaKind, Mid, ReceivePlan};

/// Codecs of an m-line at most: each has two payload types, and those of pictures go from 96 to where Opus is.
const MOST_CODECS: usize = 7;
/// The first payload type of pictures, and that of Opus.
const FIRST_PICTURE: u8 = 96;
const OPUS: u8 = 111;
/// Header extensions that are proposed, by their ids.
const EXTENSIONS: [(u8, Extension); 6] = [
    (1, Extension::Mid),
    (2, Extension::AudioLevel),
    (3, Extension::TransportCc),
    (4, Extension::AbsSendTime),
    (5, Extension::VideoOrientation),
    (6, Extension::DependencyDescriptor),
];
/// Candidates of an answer that are looked at.
const MOST_CANDIDATES: usize = 16;

/// What is sent to a server elsewhere, proposed and not answered yet.
pub struct Proposal {
    local: Local,
    fresh: Fresh,
    lines: Vec<ProposedLine>,
}

struct ProposedLine {
    mid: Mid,
    kind: MediaKind,
    codecs: Vec<OfferedCodec>,
}

/// An answer that has been read and checked on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteAnswer {
    offer: Offer,
    /// Where its sender may be reached, most preferred first.
    pub candidates: Vec<SocketAddr>,
}

/// Why an answer cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// It is no answer to what was proposed.
    Unfit(&'static str),
    /// It takes no codec of an m-line.
    Refused(MediaKind),
    /// Its transport or its m-lines cannot be used.
    Offer(OfferError),
}

impl From<OfferError> for AnswerError {
    fn from(error: OfferError) -> Self {
        Self::Offer(error)
    }
}

impl std::error::Error for AnswerError {}

impl std::fmt::Display for AnswerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unfit(what) => write!(f, "the answer does not fit the offer: {what}"),
            Self::Refused(MediaKind::Audio) => f.write_str("the other server takes no Opus"),
            Self::Refused(MediaKind::Video) => f.write_str("the other server takes none of the codecs that the picture has"),
            Self::Offer(error) => write!(f, "the answer cannot be used: {error}"),
        }
    }
}

impl RemoteAnswer {
    /// Reads an answer and checks all that can be checked without knowing the offer. An agent that is lite is as welcome as a full one.
    ///
    /// # Errors
    /// As [`Offer::parse`].
    pub fn parse(sdp: &str, limits: &OfferLimits) -> Result<Self, OfferError> {
        Ok(Self { offer: Offer::parse_from_any_agent(sdp, limits)?, candidates: candidates(sdp) })
    }
}

impl Proposal {
    /// Proposes to send what these m-lines bring, one of each kind at most; none when there is nothing that could be sent.
    pub fn new(local: Local, fresh: Fresh, sources: &[&ReceivePlan]) -> Option<Self> {
        let mut lines: Vec<ProposedLine> = Vec::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let Some(source) = sources.iter().find(|source| source.kind == kind) else { continue };
            let codecs = proposed(source);
            if !codecs.is_empty() {
                lines.push(ProposedLine { mid: Mid::new(&lines.len().to_string())?, kind, codecs });
            }
        }
        (!lines.is_empty()).then_some(Self { local, fresh, lines })
    }

    /// The session for the answer: it knows the m-lines and their SSRCs.
    fn session(&self) -> Session {
        Session::proposing(self.local.clone(), self.fresh.ssrc_seed, self.lines.iter().map(|line| (line.mid, kind_name(line.kind), line.has_rtx())))
    }

    /// The offer's text.
    pub fn sdp(&self) -> String {
        let session = self.session();
        let mut text = Lines::new(self.lines.len());
        text.line('v', "0");
        text.line('o', format_args!("- {} 1 IN IP4 127.0.0.1", self.local.session_id & (u64::MAX >> 1)));
        text.line('s', "-");
        text.line('t', "0 0");
        let mids: Vec<String> = self.lines.iter().map(|line| line.mid.to_string()).collect();
        text.value("group", format_args!("BUNDLE {}", mids.join(" ")));
        text.flag("extmap-allow-mixed");
        text.value("msid-semantic", " WMS *");
        for (line, (ssrc, rtx)) in self.lines.iter().zip(session.proposed_ssrcs()) {
            self.section(line, ssrc, rtx, &mut text);
        }
        text.into_text()
    }

    fn section(&self, line: &ProposedLine, ssrc: u32, rtx: Option<u32>, text: &mut Lines) {
        let formats = line.codecs.iter().flat_map(|c| [Some(c.plan.payload_type), c.plan.rtx]).flatten();
        let formats: Vec<String> = formats.map(|pt| pt.to_string()).collect();
        let kind = kind_name(line.kind);
        let address = self.local.candidates.first().copied();
        text.line('m', format_args!("{kind} {} UDP/TLS/RTP/SAVPF {}", address.map_or(9, |a| a.port()), formats.join(" ")));
        match address.map(|a| a.ip()) {
            None => text.line('c', "IN IP4 0.0.0.0"),
            Some(IpAddr::V4(ip)) => text.line('c', format_args!("IN IP4 {ip}")),
            Some(IpAddr::V6(ip)) => text.line('c', format_args!("IN IP6 {ip}")),
        }
        text.value("mid", line.mid);
        text.value("ice-ufrag", &self.fresh.ufrag);
        text.value("ice-pwd", &self.fresh.pwd);
        text.value("fingerprint", format_args!("sha-256 {}", self.local.fingerprint_sha256));
        text.value("setup", "actpass");
        text.flag("sendonly");
        text.flag("rtcp-mux");
        text.flag("rtcp-rsize");
        for (id, extension) in EXTENSIONS.iter().filter(|(_, extension)| is_for(*extension, line.kind)) {
            text.value("extmap", format_args!("{id} {}", extension.uri()));
        }
        for codec in &line.codecs {
            payload_type(&codec.plan, codec.encoding(), &codec.parameters, text);
        }
        // One stream for both, so that whoever plays it keeps them together.
        let msid = format!("{0} {0}-{kind}", self.local.cname);
        text.value("msid", &msid);
        if let Some(rtx) = rtx {
            text.value("ssrc-group", format_args!("FID {ssrc} {rtx}"));
        }
        for ssrc in [Some(ssrc), rtx].into_iter().flatten() {
            text.value("ssrc", format_args!("{ssrc} cname:{}", self.local.cname));
            text.value("ssrc", format_args!("{ssrc} msid:{msid}"));
        }
        // As with answers, aiortc takes the candidates of the last m-line and RFC 9143 wants them on the first.
        for (n, at) in self.local.candidates.iter().enumerate() {
            candidate(n, *at, text);
        }
        text.flag("end-of-candidates");
    }

    /// What the answer makes of it: each m-line has to be taken, with a codec that was proposed for it.
    ///
    /// # Errors
    /// [`AnswerError`]: it is no answer to this, or the other side takes too little.
    pub fn agree(&self, answer: &RemoteAnswer) -> Result<Answer, AnswerError> {
        let offer = &answer.offer;
        if offer.sections.len() != self.lines.len() {
            return Err(AnswerError::Unfit("it has not as many m-lines"));
        }
        for (section, line) in offer.sections.iter().zip(&self.lines) {
            if section.media != kind_name(line.kind) {
                return Err(AnswerError::Unfit("an m-line is of another kind"));
            }
            if section.stopped {
                return Err(AnswerError::Refused(line.kind));
            }
            if section.mid != Some(line.mid) {
                return Err(AnswerError::Unfit("an m-line has another mid"));
            }
            if !section.direction.receives {
                return Err(AnswerError::Refused(line.kind));
            }
            let same = |taken: &OfferedCodec| {
                line.codecs.iter().any(|c| c.plan.payload_type == taken.plan.payload_type && c.plan.codec.decodes(taken.plan.codec))
            };
            if section.codecs.is_empty() {
                return Err(AnswerError::Refused(line.kind));
            }
            if !section.codecs.iter().all(same) {
                return Err(AnswerError::Unfit("a payload type has another meaning"));
            }
        }
        if offer.transport.as_ref().is_none_or(|transport| transport.setup == Setup::ActPass) {
            return Err(AnswerError::Unfit("a=setup is neither active nor passive"));
        }
        Ok(self.session().answer(offer, self.fresh.clone())?)
    }
}

impl ProposedLine {
    fn has_rtx(&self) -> bool {
        self.codecs.iter().any(|codec| codec.plan.rtx.is_some())
    }
}

const fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

const fn is_for(extension: Extension, kind: MediaKind) -> bool {
    match extension {
        Extension::AudioLevel => matches!(kind, MediaKind::Audio),
        Extension::VideoOrientation | Extension::DependencyDescriptor => matches!(kind, MediaKind::Video),
        _ => true,
    }
}

/// What a source may send, in the order in which its publisher prefers it. Redundant audio is not proposed: what is in it goes out as Opus.
fn proposed(source: &ReceivePlan) -> Vec<OfferedCodec> {
    let mut codecs: Vec<OfferedCodec> = Vec::new();
    for sent in &source.codecs {
        let known = codecs.iter().any(|known| known.plan.codec == sent.codec);
        let payload_type = u8::try_from(codecs.len()).ok().and_then(|n| FIRST_PICTURE.checked_add(n.checked_mul(2)?));
        let Some(payload_type) = payload_type.filter(|_| !known && codecs.len() < MOST_CODECS) else { continue };
        codecs.extend(match sent.codec {
            Codec::Opus => Some(codec(sent, (OPUS, None), "minptime=10;useinbandfec=1".into())),
            Codec::Red { .. } => None,
            picture => Some(codec(sent, (payload_type, payload_type.checked_add(1)), parameters(picture))),
        });
    }
    codecs
}

fn codec(sent: &CodecPlan, (payload_type, rtx): (u8, Option<u8>), parameters: String) -> OfferedCodec {
    let video = sent.codec.kind() == MediaKind::Video;
    // Either is proposed; the answer names one, and one is used.
    let feedback = Feedback { nack: true, pli: video, fir: video, transport_cc: true, remb: true };
    OfferedCodec { plan: CodecPlan { payload_type, codec: sent.codec, clock_rate: sent.clock_rate, rtx, feedback }, parameters }
}

/// The value of `a=fmtp` for pictures. A level says what a receiver is to expect at most (RFC 6184 section 8.1): 3.1 is what every browser writes,
/// whatever it sends.
fn parameters(codec: Codec) -> String {
    match codec {
        Codec::Vp9 { profile } => format!("profile-id={profile}"),
        Codec::Av1 { profile } => format!("profile={profile}"),
        Codec::H264 { profile, packetization_mode } => {
            let id = match profile {
                H264Profile::ConstrainedBaseline => "42e01f",
                H264Profile::Baseline => "42001f",
                H264Profile::Main => "4d001f",
                H264Profile::ConstrainedHigh => "640c1f",
                H264Profile::High => "64001f",
                H264Profile::PredictiveHigh444 => "f4001f",
            };
            format!("level-asymmetry-allowed=1;packetization-mode={packetization_mode};profile-level-id={id}")
        }
        Codec::Opus | Codec::Red { .. } | Codec::Vp8 => String::new(),
    }
}

/// The UDP candidates of an answer that are addresses, most preferred first: names (mDNS) are of somebody's home network, and TCP is not spoken outwards.
fn candidates(sdp: &str) -> Vec<SocketAddr> {
    let read = |line: &str| {
        let mut words = line.trim_end().strip_prefix("a=candidate:")?.split(' ').skip(1);
        let (component, transport) = (words.next()?, words.next()?);
        let priority: u32 = words.next()?.parse().ok()?;
        let (ip, port): (IpAddr, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (component == "1" && transport.eq_ignore_ascii_case("udp") && port != 0).then_some((priority, SocketAddr::new(ip.to_canonical(), port)))
    };
    let mut found: Vec<(u32, SocketAddr)> = Vec::new();
    for one in sdp.lines().filter_map(read) {
        if found.len() < MOST_CANDIDATES && !found.iter().any(|(_, at)| *at == one.1) {
            found.push(one);
        }
    }
    found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    found.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests;
