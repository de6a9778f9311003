//! One m-line of an offer with its attributes: read whole, then bound.

use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaDescription;

use super::codec::{OfferedCodec, PayloadTypes};
use super::error::{OfferError, malformed};
use crate::contract::{Extension, MOST_ENCODINGS, MediaKind, Mid, Rid};

/// SSRCs that one m-line may declare. Three simulcast layers with RTX and FEC need nine; more only cost memory.
const MAX_SSRCS: usize = 32;
/// Encodings that one m-line may offer. Browsers send three.
const MAX_RIDS: usize = 16;

/// An m-line of an offer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    /// The first word of the m-line.
    pub media: String,
    /// The transport protocol, as written.
    pub proto: String,
    /// The first format, repeated when the m-line is rejected.
    pub first_format: String,
    /// Its `a=mid`; an m-line in use has one.
    pub mid: Option<Mid>,
    /// The offerer has stopped it: port 0 (and not merely `a=bundle-only`).
    pub stopped: bool,
    /// Which way media flows, seen from the offerer.
    pub direction: Direction,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize`.
    pub rtcp_rsize: bool,
    /// `a=extmap-allow-mixed` on this m-line.
    pub allow_mixed: bool,
    /// The payload types of audio or video, in the order of the m-line.
    pub formats: Vec<u8>,
    /// The codecs that we know among them, in that order.
    pub codecs: Vec<OfferedCodec>,
    /// The header extensions that we know, in the order of the offer.
    pub extensions: Vec<OfferedExtension>,
    /// SSRCs of the media, each with that of its RTX stream.
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// Whether these are a simulcast's encodings, smallest first (`a=ssrc-group:SIM`).
    pub ssrc_encodings: bool,
    /// Every SSRC that the m-line names, sorted.
    pub declared: Vec<u32>,
    /// Encodings that it can send, in the order of `a=simulcast`; paused ones among them, which may begin at any time.
    pub rids: Vec<Rid>,
    /// Whether they are a simulcast (`a=simulcast`).
    pub simulcast: bool,
    /// Of data channels: bytes of the longest message that the offerer takes.
    pub max_message: u32,
    /// The attributes that describe the transport.
    pub transport: TransportLines,
}

/// What an offer without `a=max-message-size` takes (RFC 8841 section 6.1).
const MAX_MESSAGE: u32 = 64 * 1_024;

/// Which way media flows, seen from the offerer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// `sendrecv` or `sendonly`.
    pub sends: bool,
    /// `sendrecv` or `recvonly`.
    pub receives: bool,
}

impl Direction {
    pub const SENDRECV: Self = Self { sends: true, receives: true };

    pub fn read(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SENDRECV),
            "sendonly" => Some(Self { sends: true, receives: false }),
            "recvonly" => Some(Self { sends: false, receives: true }),
            "inactive" => Some(Self { sends: false, receives: false }),
            _ => None,
        }
    }

    /// The attribute's name for the other side.
    pub fn answered(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "recvonly",
            (false, true) => "sendonly",
            (false, false) => "inactive",
        }
    }
}

/// `a=extmap` of an extension that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfferedExtension {
    pub id: u8,
    pub extension: Extension,
    /// The direction after the id, when there is one.
    pub direction: Option<Direction>,
}

/// The attributes that describe the transport, as written: which section's count is known only when BUNDLE is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TransportLines {
    pub ufrag: Option<String>,
    pub pwd: Option<String>,
    pub setup: Option<String>,
    pub fingerprints: Vec<String>,
}

impl TransportLines {
    /// Takes an attribute if it is one of these.
    pub fn read(&mut self, attribute: &Attribute) {
        let Some(value) = &attribute.value else { return };
        match attribute.key.as_str() {
            "ice-ufrag" => self.ufrag = Some(value.clone()),
            "ice-pwd" => self.pwd = Some(value.clone()),
            "setup" => self.setup = Some(value.clone()),
            // aiortc writes three: one for each hash function that we take.
            "fingerprint" if self.fingerprints.len() < 8 => self.fingerprints.push(value.clone()),
            _ => {}
        }
    }
}

impl Section {
    /// Reads an m-line; `direction` is what holds where it does not say.
    pub fn read(description: &MediaDescription, direction: Direction) -> Result<Self, OfferError> {
        let name = &description.media_name;
        let mut lines = Lines::read(&description.attributes)?;
        let mut section = Self {
            media: name.media.clone(),
            proto: token(&name.protos.join("/"), "the transport of an m-line")?,
            first_format: token(name.formats.first().map_or("", String::as_str), "the formats of an m-line")?,
            mid: lines.mid,
            stopped: name.port.value == 0 && !lines.bundle_only,
            direction: lines.direction.unwrap_or(direction),
            rtcp_mux: lines.rtcp_mux,
            rtcp_rsize: lines.rtcp_rsize,
            allow_mixed: lines.allow_mixed,
            formats: Vec::new(),
            codecs: Vec::new(),
            extensions: std::mem::take(&mut lines.extensions),
            ssrcs: Vec::new(),
            ssrc_encodings: false,
            declared: Vec::new(),
            rids: Vec::new(),
            simulcast: false,
            max_message: lines.max_message,
            transport: std::mem::take(&mut lines.transport),
        };
        if let Some(kind) = section.kind()
            && !section.stopped
        {
            section.bind(kind, &name.formats, &lines)?;
        }
        Ok(section)
    }

    /// The same m-line with another mid.
    ///
    /// # Errors
    /// `Malformed` when it is none.
    pub fn with_mid(&self, mid: &str) -> Result<Self, OfferError> {
        Ok(Self { mid: Some(read_mid(mid)?), ..self.clone() })
    }

    /// Whether we have the same in common with both.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.direction, self.allow_mixed) == (other.direction, other.allow_mixed)
            && self.extensions == other.extensions
            && self.codecs == other.codecs
    }

    /// Audio or video; `None` when it is something else, or on a transport that is not ours.
    pub fn kind(&self) -> Option<MediaKind> {
        if !self.proto.ends_with("RTP/SAVPF") && !self.proto.ends_with("RTP/SAVP") {
            return None;
        }
        match self.media.as_str() {
            "audio" => Some(MediaKind::Audio),
            "video" => Some(MediaKind::Video),
            _ => None,
        }
    }

    /// Whether it is of data channels (RFC 8841 section 4).
    pub fn is_data(&self) -> bool {
        self.media == "application" && self.proto.ends_with("/DTLS/SCTP") && self.first_format == "webrtc-datachannel"
    }

    fn bind(&mut self, kind: MediaKind, formats: &[String], lines: &Lines<'_>) -> Result<(), OfferError> {
        self.formats = payload_types(formats)?;
        self.codecs = lines.types.bind(&self.formats, kind == MediaKind::Audio);
        self.declared = lines.declared();
        (self.ssrcs, self.ssrc_encodings) = lines.media_ssrcs()?;
        if self.direction.sends {
            (self.rids, self.simulcast) = lines.send_rids()?;
        }
        Ok(())
    }

    /// Adds to the encodings that are taken those that are offered and have room. Of too many it is the largest: browsers list
    /// encodings as the page gave them, and pages give them smallest first.
    pub fn take_rids(&self, taken: &mut Vec<Rid>) {
        let fresh: Vec<Rid> = self.rids.iter().copied().filter(|rid| !taken.contains(rid)).collect();
        let room = MOST_ENCODINGS.saturating_sub(taken.len());
        taken.extend(fresh.get(fresh.len().saturating_sub(room)..).unwrap_or_default());
    }

    /// The SSRCs that will carry what we take: none that a rid will name. Firefox declares some beside rids, and does not always send with
    /// the one that stands in the encoding's place.
    pub fn ssrcs_to_expect(&self) -> Vec<(u32, Option<u32>)> {
        if self.rids.is_empty() { self.ssrcs.clone() } else { Vec::new() }
    }
}

/// An SSRC of media, with that of its RTX stream.
type MediaSsrc = (u32, Option<u32>);

/// The attributes of a section before they are bound to one another.
struct Lines<'a> {
    mid: Option<Mid>,
    direction: Option<Direction>,
    bundle_only: bool,
    rtcp_mux: bool,
    rtcp_rsize: bool,
    allow_mixed: bool,
    types: PayloadTypes<'a>,
    extensions: Vec<OfferedExtension>,
    ssrcs: Vec<u32>,
    groups: Vec<(&'a str, Vec<u32>)>,
    rids: Vec<Rid>,
    simulcast: Option<&'a str>,
    max_message: u32,
    transport: TransportLines,
}

impl<'a> Lines<'a> {
    fn read(attributes: &'a [Attribute]) -> Result<Self, OfferError> {
        let mut lines = Self {
            mid: None,
            direction: None,
            bundle_only: false,
            rtcp_mux: false,
            rtcp_rsize: false,
            allow_mixed: false,
            types: PayloadTypes::new(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
            groups: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            max_message: MAX_MESSAGE,
            transport: TransportLines::default(),
        };
        let mut uris = Box::new([None; 256]);
        for attribute in attributes {
            lines.attribute(attribute, &mut uris)?;
        }
        Ok(lines)
    }

    fn attribute(&mut self, attribute: &'a Attribute, uris: &mut [Option<&'a str>; 256]) -> Result<(), OfferError> {
        match (attribute.key.as_str(), attribute.value.as_deref()) {
            ("mid", Some(value)) => self.mid(value)?,
            ("bundle-only", None) => self.bundle_only = true,
            ("rtcp-mux" | "rtcp-mux-only", None) => self.rtcp_mux = true,
            ("rtcp-rsize", None) => self.rtcp_rsize = true,
            ("extmap-allow-mixed", None) => self.allow_mixed = true,
            ("rtpmap", Some(value)) => self.types.rtpmap(value)?,
            ("fmtp", Some(value)) => self.types.fmtp(value),
            ("rtcp-fb", Some(value)) => self.types.rtcp_fb(value),
            ("extmap", Some(value)) => self.extmap(value, uris)?,
            ("ssrc", Some(value)) => self.ssrc(value)?,
            ("ssrc-group", Some(value)) => self.ssrc_group(value)?,
            ("rid", Some(value)) => self.rid(value)?,
            ("simulcast", Some(value)) => self.simulcast = Some(value),
            // 0: as long as anybody likes.
            ("max-message-size", Some(value)) => self.max_message = value.trim().parse().map_or(MAX_MESSAGE, |n| if n == 0 { u32::MAX } else { n }),
            (name, None) => self.direction = Direction::read(name).or(self.direction),
            _ => self.transport.read(attribute),
        }
        Ok(())
    }

    fn mid(&mut self, value: &str) -> Result<(), OfferError> {
        let mid = read_mid(value)?;
        if self.mid.replace(mid).is_some_and(|before| before != mid) {
            return Err(OfferError::Duplicate { what: "a=mid of one m-line, then", value: mid.to_string() });
        }
        Ok(())
    }

    /// `a=extmap:<id>[/<direction>] <URI> [<attributes>]` (RFC 8285 section 5).
    fn extmap(&mut self, value: &'a str, uris: &mut [Option<&'a str>; 256]) -> Result<(), OfferError> {
        let mut words = value.split_whitespace();
        let (Some(first), Some(uri)) = (words.next(), words.next()) else { return Err(malformed("a=extmap without an id and a URI")) };
        let (id, direction) = first.split_once('/').map_or((first, None), |(id, direction)| (id, Some(direction)));
        let id: u16 = id.parse().map_err(|_| malformed("a=extmap whose id is not a number"))?;
        // Ids from 4096 on ask the answerer to choose one (RFC 8285 section 6): nothing that we know is offered like that.
        let Some(known) = uris.get_mut(usize::from(id)) else { return Ok(()) };
        match known {
            Some(before) if *before != uri => return Err(OfferError::Duplicate { what: "header extension id", value: id.to_string() }),
            _ => *known = Some(uri),
        }
        let direction = match direction {
            Some(name) => Some(Direction::read(name).ok_or_else(|| malformed("a=extmap with an unknown direction"))?),
            None => None,
        };
        let extension = Extension::ALL.into_iter().find(|e| e.uri() == uri && self.extensions.iter().all(|known| known.extension != *e));
        // 0 is padding and 15 stops a parser (RFC 8285 section 4.2).
        if let (Some(extension), Ok(id)) = (extension, u8::try_from(id))
            && !matches!(id, 0 | 15)
        {
            self.extensions.push(OfferedExtension { id, extension, direction });
        }
        Ok(())
    }

    /// `a=ssrc:<ssrc> <attribute>` (RFC 5576); one SSRC has several such lines.
    fn ssrc(&mut self, value: &str) -> Result<(), OfferError> {
        let ssrc = value.split_whitespace().next().and_then(|n| n.parse().ok()).ok_or_else(|| malformed("a=ssrc without a number"))?;
        self.add_ssrc(ssrc)
    }

    fn add_ssrc(&mut self, ssrc: u32) -> Result<(), OfferError> {
        if self.ssrcs.contains(&ssrc) {
            return Ok(());
        }
        if self.ssrcs.len() >= MAX_SSRCS {
            return Err(malformed("an m-line declares more than 32 SSRCs"));
        }
        self.ssrcs.push(ssrc);
        Ok(())
    }

    /// `a=ssrc-group:<semantics> <ssrc> ...`. FFmpeg names its RTX SSRC here and nowhere else.
    fn ssrc_group(&mut self, value: &'a str) -> Result<(), OfferError> {
        let mut words = value.split_whitespace();
        let semantics = words.next().unwrap_or_default();
        let ssrcs: Option<Vec<u32>> = words.take(MAX_SSRCS).map(|n| n.parse().ok()).collect();
        let ssrcs = ssrcs.ok_or_else(|| malformed("a=ssrc-group with something that is not a number"))?;
        for ssrc in &ssrcs {
            self.add_ssrc(*ssrc)?;
        }
        if self.groups.len() >= MAX_SSRCS {
            return Err(malformed("an m-line has more than 32 SSRC groups"));
        }
        self.groups.push((semantics, ssrcs));
        Ok(())
    }

    /// `a=rid:<id> send|recv [<restrictions>]` (RFC 8851).
    fn rid(&mut self, value: &str) -> Result<(), OfferError> {
        let mut words = value.split_whitespace();
        if let (Some(id), Some("send")) = (words.next(), words.next()) {
            let rid = rid(id)?;
            if self.rids.contains(&rid) {
                return Err(OfferError::Duplicate { what: "rid", value: rid.to_string() });
            }
            if self.rids.len() >= MAX_RIDS {
                return Err(malformed("an m-line offers more than 16 rids"));
            }
            self.rids.push(rid);
        }
        Ok(())
    }

    fn declared(&self) -> Vec<u32> {
        let mut declared = self.ssrcs.clone();
        declared.sort_unstable();
        declared
    }

    /// The SSRCs that carry media, each with that of its RTX stream, and whether they are a simulcast's encodings.
    fn media_ssrcs(&self) -> Result<(Vec<MediaSsrc>, bool), OfferError> {
        let mut repairs: Vec<(u32, u32)> = Vec::new();
        for (semantics, ssrcs) in &self.groups {
            if let ("FID" | "FEC-FR", [media, repair]) = (*semantics, ssrcs.as_slice()) {
                if media == repair || repairs.iter().any(|(_, r)| r == repair) {
                    return Err(OfferError::Duplicate { what: "SSRC", value: repair.to_string() });
                }
                repairs.push((*media, *repair));
            }
        }
        let rtx = |media: u32| {
            let group = self.groups.iter().find(|(semantics, ssrcs)| *semantics == "FID" && ssrcs.len() == 2 && ssrcs.first() == Some(&media));
            group.and_then(|(_, ssrcs)| ssrcs.get(1).copied())
        };
        let media = self.ssrcs.iter().copied().filter(|s| repairs.iter().all(|(_, repair)| repair != s));
        // A simulcast without rids (a=ssrc-group:SIM) lists its encodings smallest first; the largest are taken, as with rids.
        let Some(encodings) = self.encodings() else { return Ok((media.map(|s| (s, rtx(s))).collect(), false)) };
        let first = encodings.len().saturating_sub(MOST_ENCODINGS);
        Ok((encodings.iter().skip(first).map(|s| (*s, rtx(*s))).collect(), true))
    }

    /// The SSRCs of a simulcast without rids.
    fn encodings(&self) -> Option<&[u32]> {
        self.groups.iter().find(|(semantics, ssrcs)| *semantics == "SIM" && ssrcs.len() > 1).map(|(_, ssrcs)| ssrcs.as_slice())
    }

    /// The encodings offered, and whether as a simulcast. `a=simulcast:send 1;~2,3 recv 4` (RFC 8853) orders them.
    fn send_rids(&self) -> Result<(Vec<Rid>, bool), OfferError> {
        let mut words = self.simulcast.unwrap_or_default().split_whitespace();
        let Some(list) = words.by_ref().find(|w| *w == "send").and_then(|_| words.next()) else {
            return Ok((self.rids.clone(), false));
        };
        let mut offered: Vec<Rid> = Vec::new();
        for text in list.split([';', ',']).take(MAX_RIDS) {
            let rid = rid(text.strip_prefix('~').unwrap_or(text))?;
            if self.rids.contains(&rid) && !offered.contains(&rid) {
                offered.push(rid);
            }
        }
        Ok((offered, true))
    }
}

fn read_mid(value: &str) -> Result<Mid, OfferError> {
    Mid::new(&token(value, "a=mid")?).ok_or_else(|| malformed("a=mid is longer than 16 bytes"))
}

fn rid(text: &str) -> Result<Rid, OfferError> {
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    Rid::new(text).filter(|_| allowed).ok_or_else(|| malformed("a rid that is not 1 to 16 letters and digits"))
}

/// The payload types of an audio or video m-line, each once.
fn payload_types(formats: &[String]) -> Result<Vec<u8>, OfferError> {
    let mut seen = [false; 128];
    let mut payload_types = Vec::with_capacity(formats.len().min(128));
    for format in formats {
        let payload_type: u8 = format.parse().map_err(|_| malformed("an audio or video m-line whose formats are not payload types"))?;
        let place = seen.get_mut(usize::from(payload_type)).ok_or_else(|| malformed("a payload type over 127"))?;
        if std::mem::replace(place, true) {
            return Err(OfferError::Duplicate { what: "payload type", value: payload_type.to_string() });
        }
        payload_types.push(payload_type);
    }
    Ok(payload_types)
}

/// Text that may be repeated in an answer: visible ASCII without separators, so that it can never begin another line.
fn token(text: &str, what: &str) -> Result<String, OfferError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed(&format!("{what}: empty, or with characters that do not belong there")));
    }
    Ok(text.to_owned())
}
