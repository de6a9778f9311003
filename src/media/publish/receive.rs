//! From an SRTP datagram to a packet of a stream: authenticate, decrypt in place, find its codec, undo RTX.

use std::time::Duration;

use super::holes::Arrival;
use super::stream::{Bound, MOST_STREAMS, Stream, StreamKind};
use crate::base::Time;
use crate::contract::{Codec, Counter, Counters, Extension, ReceivePlan};
use crate::media::packet::ext;
use crate::media::packet::rtp::{RtpHeader, padding_len};
use crate::media::peer::Peer;
use crate::media::rewrite::SourceExtensions;
use crate::media::transport::{ReceiveStream, SrtpError};

/// Transport-wide feedback is sent so often. Less costs packets, more makes the publisher's rate slow to adapt.
const FEEDBACK_EVERY: Duration = Duration::from_millis(100);
/// Bytes before the original payload in an RTX packet: the original sequence number (RFC 4588 section 4).
const OSN: usize = 2;

/// A packet that was received, and where it belongs.
pub struct Received {
    /// Its header; of an RTX packet, the one that the repaired packet had.
    pub header: RtpHeader,
    /// Extended sequence number of the media stream.
    pub sequence: u64,
    /// Index of the media stream in the peer.
    pub stream: usize,
    /// Index of the codec in the plan, and the codec; none for padding and for payload types that are not forwarded.
    pub codec: Option<(u8, Codec)>,
    /// Its header extensions.
    pub extensions: SourceExtensions,
    /// More packets are missing before it than are asked for.
    pub gap_too_large: bool,
}

/// Takes in an SRTP datagram. The slice that comes back is header and payload in the clear, without padding.
///
/// # Errors
/// The counter of the reason why it is dropped.
pub fn receive<'a>(now: Time, peer: &mut Peer, datagram: &'a mut [u8], counters: &mut Counters) -> Result<(Received, &'a [u8]), Counter> {
    let header = RtpHeader::parse(datagram).map_err(|_| Counter::DropMalformed)?;
    let (stream, sequence, payload_len) = authenticate(peer, &header, datagram)?;
    counters.add(Counter::RtpIn);
    let whole = header.header_len + payload_len;
    let Stream { kind, mline, .. } = peer.streams[stream];
    if let Some(allowance) = &mut peer.allowance {
        allowance.weigh(now, mline, datagram.len());
    }
    let packet = datagram.get_mut(..whole).ok_or(Counter::DropMalformed)?;
    let plan = peer.plan.receive.iter().find(|l| l.mline == mline).ok_or(Counter::DropUnpublished)?;
    let extensions = SourceExtensions::read(&header, &plan.extensions, packet);
    if let Some(number) = extensions.get(Extension::TransportCc, packet).and_then(ext::transport_cc)
        && let Some(arrivals) = &mut peer.arrivals
    {
        arrivals.record(number, now);
        peer.feedback_due.get_or_insert(now + FEEDBACK_EVERY);
    }
    let padding = if header.padding { padding_len(&packet[header.header_len..]).ok_or(Counter::DropMalformed)? } else { 0 };
    let packet = &mut packet[..whole - padding];
    match kind {
        StreamKind::Unwanted => Err(Counter::DropEncoding),
        StreamKind::Media => Ok((media(now, peer, header, stream, sequence, packet.len(), extensions, counters)?, packet)),
        StreamKind::Repair => repair(now, peer, header, stream, sequence, packet, extensions, counters),
    }
}

/// Opens the packet in place and finds its stream; a new SSRC is remembered once it has authenticated.
fn authenticate(peer: &mut Peer, header: &RtpHeader, datagram: &mut [u8]) -> Result<(usize, u64, usize), Counter> {
    let receiver = &peer.srtp.as_ref().ok_or(Counter::DropNoKeys)?.receiver;
    let place = peer.streams.binary_search_by_key(&header.ssrc, |s| s.ssrc);
    if let Ok(stream) = place {
        let known = &mut peer.streams[stream].srtp;
        let opened = receiver.open(known, datagram, header.header_len, header.sequence, header.ssrc).map_err(srtp_drop)?;
        return Ok((stream, opened.index, opened.payload_len));
    }
    let mut fresh = ReceiveStream::new();
    let opened = receiver.open(&mut fresh, datagram, header.header_len, header.sequence, header.ssrc).map_err(srtp_drop)?;
    let bound = peer.bind(header, datagram).ok_or(Counter::DropUnknownSsrc)?;
    if peer.streams.len() >= MOST_STREAMS {
        return Err(Counter::DropSsrcCap);
    }
    let stream = place.unwrap_or_else(|at| at);
    peer.streams.insert(stream, Stream::new(header.ssrc, bound, fresh));
    Ok((stream, opened.index, opened.payload_len))
}

/// A packet of a media stream.
fn media(
    now: Time, peer: &mut Peer, header: RtpHeader, stream: usize, sequence: u64, packet_len: usize, extensions: SourceExtensions,
    counters: &mut Counters,
) -> Result<Received, Counter> {
    let state = &mut peer.streams[stream];
    let plan = peer.plan.receive.iter().find(|l| l.mline == state.mline).ok_or(Counter::DropUnpublished)?;
    let codec = plan.codecs.iter().position(|c| c.payload_type == header.payload_type);
    let clock_rate = codec.map_or(90_000, |c| plan.codecs[c].clock_rate);
    let arrival = state.holes.arrived(now, state.reception.highest(), sequence);
    state.reception.arrived(now, sequence, header.timestamp, packet_len, clock_rate);
    match arrival {
        Arrival::Gap if nacks(plan) => peer.nack_due = Some(now),
        Arrival::Gap | Arrival::TooManyMissing => state.holes.clear(),
        Arrival::Filled => counters.add(Counter::RtpRepaired),
        Arrival::InOrder | Arrival::Late => {}
    }
    if codec.is_none() {
        counters.add(Counter::DropPayloadType);
    }
    let codec = codec.filter(|_| packet_len > header.header_len).map(|c| (c as u8, plan.codecs[c].codec));
    Ok(Received { header, sequence, stream, codec, extensions, gap_too_large: arrival == Arrival::TooManyMissing })
}

/// An RTX packet: becomes the packet that it repairs, if that one is missing (RFC 4588).
fn repair<'a>(
    now: Time, peer: &mut Peer, mut header: RtpHeader, stream: usize, sequence: u64, packet: &'a mut [u8], extensions: SourceExtensions,
    counters: &mut Counters,
) -> Result<(Received, &'a [u8]), Counter> {
    let (mline, encoding) = (peer.streams[stream].mline, peer.streams[stream].encoding);
    peer.streams[stream].reception.arrived(now, sequence, header.timestamp, packet.len(), 90_000);
    let plan = peer.plan.receive.iter().find(|l| l.mline == mline).ok_or(Counter::DropUnpublished)?;
    let codec = plan.codecs.iter().position(|c| c.rtx == Some(header.payload_type)).ok_or(Counter::DropPayloadType)?;
    let original = packet.get(header.header_len..header.header_len + OSN).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    let original = original.filter(|_| packet.len() > header.header_len + OSN).ok_or(Counter::DropPadding)?;
    // An encoding whose SSRC has changed has several media streams: the one that misses it.
    let repaired = Bound { mline, kind: StreamKind::Media, encoding };
    let misses = |s: &Stream| s.bound() == repaired && s.holes.has(s.srtp.index(original));
    let media = peer.streams.iter().position(misses).ok_or(Counter::DropPadding)?;
    let state = &mut peer.streams[media];
    let original = state.srtp.index(original);
    if state.holes.arrived(now, state.reception.highest().map(|h| h.max(original)), original) != Arrival::Filled {
        return Err(Counter::DropPadding);
    }
    // The original may still come late: it is a repeat then.
    state.srtp.accept(original);
    counters.add(Counter::RtpRepaired);
    header.ssrc = state.ssrc;
    header.sequence = original as u16;
    header.payload_type = plan.codecs[codec].payload_type;
    // The header moves up to the payload over the original sequence number; extensions are found by their distance from its start.
    packet.copy_within(..header.header_len, OSN);
    let codec = Some((codec as u8, plan.codecs[codec].codec));
    Ok((Received { header, sequence: original, stream: media, codec, extensions, gap_too_large: false }, &packet[OSN..]))
}

/// Whether missing packets of the m-line may be asked for.
pub fn nacks(plan: &ReceivePlan) -> bool {
    plan.codecs.iter().any(|c| c.feedback.nack)
}

/// Which counter a packet goes to that SRTP or SRTCP refused.
pub const fn srtp_drop(error: SrtpError) -> Counter {
    match error {
        SrtpError::Replay => Counter::DropReplay,
        SrtpError::Short => Counter::DropMalformed,
        SrtpError::Authentication | SrtpError::KeyLength => Counter::DropAuthentication,
    }
}
