//! The text of an answer.
//!
//! Everything repeated from the offer has been checked to be a number, a known word or a token without separators.

use std::net::{IpAddr, SocketAddr};

use rtc_sdp::SessionDescription;
use rtc_sdp::description::common::{Address, Attribute, ConnectionInformation};
use rtc_sdp::description::media::{MediaDescription, MediaName, RangedPort};
use rtc_sdp::description::session::{Origin, TimeDescription};

use super::line::{Accepted, Common, Line, Slot};
use super::offer::Offer;
use super::section::{Direction, OfferedExtension, Section};
use super::session::{Agreed, Local};
use crate::contract::{CodecPlan, DtlsRole, MediaKind};

/// The answer to `offer`, of whose m-lines we say `lines`.
pub(super) fn write(local: &Local, version: u64, agreed: &Agreed, offer: &Offer, lines: &[Line]) -> String {
    let both = || offer.sections.iter().zip(lines);
    let is_accepted = |mid| both().any(|(section, line)| section.mid == Some(mid) && *line != Line::Rejected);
    let bundle: Vec<_> = offer.bundle.iter().copied().filter(|mid| is_accepted(*mid)).collect();
    let writer = Writer { local, agreed };
    let media_descriptions = both().map(|(section, line)| match line {
        Line::Rejected => rejected(section),
        // The first m-line of the group carries the candidates for all (RFC 9143 section 7.3.1).
        Line::Accepted(line) => writer.accepted(section, line, offer.candidates_everywhere || section.mid == bundle.first().copied()),
    });
    let mut description = SessionDescription {
        origin: origin(local, version),
        session_name: "-".to_owned(),
        time_descriptions: vec![TimeDescription::default()],
        media_descriptions: media_descriptions.collect(),
        ..SessionDescription::default()
    };
    let mut attributes = Attributes(Vec::new());
    if !bundle.is_empty() {
        let mids: Vec<_> = bundle.iter().map(ToString::to_string).collect();
        attributes.value("group", format!("BUNDLE {}", mids.join(" ")));
    }
    attributes.flag("ice-lite");
    attributes.value("msid-semantic", " WMS *".to_owned());
    if offer.allow_mixed {
        attributes.flag("extmap-allow-mixed");
    }
    description.attributes = attributes.0;
    description.marshal()
}

fn origin(local: &Local, version: u64) -> Origin {
    Origin {
        username: "-".to_owned(),
        session_id: local.session_id & (u64::MAX >> 1),
        session_version: version,
        network_type: "IN".to_owned(),
        address_type: "IP4".to_owned(),
        unicast_address: "127.0.0.1".to_owned(),
    }
}

/// Port 0 (RFC 3264 section 6); the mid stays, so that the m-line can be told.
fn rejected(section: &Section) -> MediaDescription {
    let mut attributes = Attributes(Vec::new());
    if let Some(mid) = section.mid {
        attributes.value("mid", mid.to_string());
    }
    attributes.flag("inactive");
    describe(section, 0, None, vec![section.first_format.clone()], attributes)
}

fn describe(section: &Section, port: u16, address: Option<SocketAddr>, formats: Vec<String>, attributes: Attributes) -> MediaDescription {
    MediaDescription {
        media_name: MediaName {
            media: section.media.clone(),
            port: RangedPort { value: isize::try_from(port).unwrap_or(9), range: None },
            protos: section.proto.split('/').map(str::to_owned).collect(),
            formats,
        },
        connection_information: Some(connection(address)),
        attributes: attributes.0,
        ..MediaDescription::default()
    }
}

fn connection(address: Option<SocketAddr>) -> ConnectionInformation {
    let (kind, text) = match address.map(|a| a.ip()) {
        None => ("IP4", "0.0.0.0".to_owned()),
        Some(IpAddr::V4(ip)) => ("IP4", ip.to_string()),
        Some(IpAddr::V6(ip)) => ("IP6", ip.to_string()),
    };
    let address = Some(Address { address: text, ttl: None, range: None });
    ConnectionInformation { network_type: "IN".to_owned(), address_type: kind.to_owned(), address }
}

/// Attributes in the order in which they are written.
struct Attributes(Vec<Attribute>);

impl Attributes {
    fn flag(&mut self, key: &str) {
        self.0.push(Attribute::new(key.to_owned(), None));
    }

    fn value(&mut self, key: &str, value: String) {
        self.0.push(Attribute::new(key.to_owned(), Some(value)));
    }
}

struct Writer<'a> {
    local: &'a Local,
    agreed: &'a Agreed,
}

impl Writer<'_> {
    fn accepted(&self, section: &Section, line: &Accepted, candidates: bool) -> MediaDescription {
        let common = &line.common;
        let mut attributes = Attributes(Vec::new());
        self.transport(section, &mut attributes);
        attributes.flag(section.direction.answered());
        attributes.flag("rtcp-mux");
        if section.rtcp_rsize {
            attributes.flag("rtcp-rsize");
        }
        common.extmaps.iter().for_each(|e| attributes.value("extmap", extmap(e)));
        if section.allow_mixed {
            attributes.flag("extmap-allow-mixed");
        }
        for codec in &common.codecs {
            let offered = section.codecs.iter().find(|c| c.plan.payload_type == codec.payload_type);
            let (encoding, parameters) = offered.map_or(("", ""), |c| (c.encoding(), c.parameters.as_str()));
            payload_type(codec, encoding, parameters, &mut attributes);
        }
        if let Some(rid) = line.receive.as_ref().and_then(|r| r.rid) {
            attributes.value("rid", format!("{rid} recv"));
            if section.simulcast {
                attributes.value("simulcast", format!("recv {rid}"));
            }
        }
        if let Some(slot) = &line.send {
            self.slot(slot, &mut attributes);
        }
        if candidates {
            self.candidates(&mut attributes);
        }
        let address = self.local.candidates.first().copied();
        describe(section, address.map_or(9, |a| a.port()), address, formats(section, common), attributes)
    }

    /// Said on every m-line: some clients look for it there, BUNDLE or not.
    fn transport(&self, section: &Section, attributes: &mut Attributes) {
        if let Some(mid) = section.mid {
            attributes.value("mid", mid.to_string());
        }
        attributes.value("ice-ufrag", self.agreed.ice.local_ufrag.clone());
        attributes.value("ice-pwd", self.agreed.ice.local_pwd.clone());
        attributes.value("fingerprint", format!("sha-256 {}", self.local.fingerprint_sha256));
        let setup = match self.agreed.role {
            DtlsRole::Server => "passive",
            DtlsRole::Client => "active",
        };
        attributes.value("setup", setup.to_owned());
    }

    /// Both halves of a pair are in one msid stream, because browsers synchronise sound and pictures only within one.
    fn slot(&self, slot: &Slot, attributes: &mut Attributes) {
        let kind = match slot.plan.kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        let msid = format!("pair-{0} pair-{0}-{kind}", slot.pair);
        attributes.value("msid", msid.clone());
        if let Some(rtx) = slot.plan.rtx_ssrc {
            attributes.value("ssrc-group", format!("FID {} {rtx}", slot.plan.ssrc));
        }
        for ssrc in [Some(slot.plan.ssrc), slot.plan.rtx_ssrc].into_iter().flatten() {
            attributes.value("ssrc", format!("{ssrc} cname:{}", self.local.cname));
            attributes.value("ssrc", format!("{ssrc} msid:{msid}"));
        }
    }

    fn candidates(&self, attributes: &mut Attributes) {
        for (i, candidate) in self.local.candidates.iter().enumerate() {
            let (ip, port) = (candidate.ip(), candidate.port());
            attributes.value("candidate", format!("{} 1 udp {} {ip} {port} typ host", i.saturating_add(1), priority(i)));
        }
        attributes.flag("end-of-candidates");
    }
}

/// RFC 8445 section 5.1.2.1, with 126 for host candidates and the local preference falling from the first candidate on.
fn priority(i: usize) -> u32 {
    let preference = u16::MAX.saturating_sub(u16::try_from(i).unwrap_or(u16::MAX));
    (126 << 24) | (u32::from(preference) << 8) | 255
}

/// A direction in the offer is turned round in the answer (RFC 8285 section 6).
fn extmap(offered: &OfferedExtension) -> String {
    let direction = offered.direction.map_or_else(String::new, |d: Direction| format!("/{}", d.answered()));
    format!("{}{direction} {}", offered.id, offered.extension.uri())
}

/// The accepted payload types, RTX among them, in the order of the offer.
fn formats(section: &Section, common: &Common) -> Vec<String> {
    let accepted = |pt: &&u8| common.codecs.iter().any(|c| c.payload_type == **pt || c.rtx == Some(**pt));
    section.formats.iter().filter(accepted).map(ToString::to_string).collect()
}

fn payload_type(codec: &CodecPlan, encoding: &str, parameters: &str, attributes: &mut Attributes) {
    let pt = codec.payload_type;
    attributes.value("rtpmap", format!("{pt} {encoding}"));
    if !parameters.is_empty() {
        attributes.value("fmtp", format!("{pt} {parameters}"));
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
        attributes.value("rtcp-fb", format!("{pt} {kind}"));
    }
    if let Some(rtx) = codec.rtx {
        attributes.value("rtpmap", format!("{rtx} rtx/{}", codec.clock_rate));
        attributes.value("fmtp", format!("{rtx} apt={pt}"));
    }
}
