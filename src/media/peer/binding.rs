//! Which m-line an SSRC is of.

use super::Peer;
use crate::contract::{Extension, MediaPlan, ReceivePlan, Rid};
use crate::media::packet::rtp::RtpHeader;
use crate::media::publish::stream::{Bound, StreamKind};
use crate::media::rewrite::SourceExtensions;

impl Peer {
    /// Where an SSRC belongs that has just authenticated for the first time: by declaration, by MID (with RID or repaired RID),
    /// or because only one m-line has its payload type (RFC 9143 section 9.2). A MID that no m-line has is that of a plan still on
    /// its way: such a packet is nobody's, whatever its payload type. Neither is one of a simulcast that does not say which
    /// encoding it is: senders say it until they know that it was understood.
    pub fn bind(&self, header: &RtpHeader, packet: &[u8]) -> Option<Bound> {
        if let Some(declared) = declared(&self.plan, header.ssrc) {
            return Some(declared);
        }
        let (line, tokens) = match self.line_by_mid(header, packet) {
            Named::Line(line, tokens) => (line, tokens),
            Named::Unknown => return None,
            Named::Nothing => (self.line_by_payload_type(header)?, Tokens::default()),
        };
        let repairs = line.codecs.iter().any(|c| c.rtx == Some(header.payload_type));
        let kind = if repairs { StreamKind::Repair } else { StreamKind::Media };
        let bound = |kind, encoding| Bound { mline: line.mline, kind, encoding };
        match (line.rids.len(), tokens.rid.or(tokens.repaired)) {
            (0, _) | (1, None) => Some(bound(kind, 0)),
            (_, Some(rid)) => match line.rids.iter().position(|accepted| *accepted == rid) {
                Some(encoding) => Some(bound(kind, encoding as u8)),
                None => Some(bound(StreamKind::Unwanted, 0)),
            },
            (_, None) => None,
        }
    }

    fn line_by_mid(&self, header: &RtpHeader, packet: &[u8]) -> Named<'_> {
        let mut named = Named::Nothing;
        for line in &self.plan.receive {
            let extensions = SourceExtensions::read(header, &line.extensions, packet);
            let token = |kind| extensions.get(kind, packet).and_then(Rid::from_bytes);
            match token(Extension::Mid) {
                Some(mid) if mid == line.mid => {
                    return Named::Line(line, Tokens { rid: token(Extension::RtpStreamId), repaired: token(Extension::RepairedRtpStreamId) });
                }
                Some(_) => named = Named::Unknown,
                None => {}
            }
        }
        named
    }

    fn line_by_payload_type(&self, header: &RtpHeader) -> Option<&ReceivePlan> {
        let mut lines =
            self.plan.receive.iter().filter(|l| l.codecs.iter().any(|c| c.payload_type == header.payload_type || c.rtx == Some(header.payload_type)));
        let line = lines.next()?;
        lines.next().is_none().then_some(line)
    }
}

/// Where an SSRC belongs by declaration.
pub(super) fn declared(plan: &MediaPlan, ssrc: u32) -> Option<Bound> {
    plan.receive.iter().find_map(|line| {
        let (number, kind) = (0..).zip(&line.ssrcs).find_map(|(number, (media, repair))| match ssrc {
            ssrc if *media == ssrc => Some((number, StreamKind::Media)),
            ssrc if *repair == Some(ssrc) => Some((number, StreamKind::Repair)),
            _ => None,
        })?;
        Some(Bound { mline: line.mline, kind, encoding: if line.ssrc_encodings { number } else { 0 } })
    })
}

/// What a packet's MID says.
enum Named<'a> {
    Line(&'a ReceivePlan, Tokens),
    /// A MID that no m-line has.
    Unknown,
    /// It carries none.
    Nothing,
}

#[derive(Clone, Copy, Default)]
struct Tokens {
    rid: Option<Rid>,
    repaired: Option<Rid>,
}
