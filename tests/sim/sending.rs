//! What a participant sends: stamped frames, repeats of them, reports about what it has received.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::base::{Ntp, Time};
use althing::contract::MediaKind;
use althing::media::packet::rtcp::{Compound, ReportBlock, SenderInfo};

use super::{Client, H264, LEVEL_ID, MID_ID, OPUS, TWCC_ID, VP8, VP8_RTX};

/// A stream that the client sends.
pub struct Published {
    pub mline: u8,
    pub kind: MediaKind,
    pub payload_type: u8,
    pub ssrc: u32,
    /// Extended number of the next packet: its stamp.
    pub next: u64,
    pub timestamp: u32,
    pub next_at: Time,
    pub active: bool,
    /// Its audio level in its packets, in −dBov; none: they say nothing of it.
    pub level: Option<u8>,
    pub key_frame_due: bool,
    pub key_frame_requests: u64,
    /// In the clear: where the payload begins, the packet, its extended number.
    sent: BTreeMap<u16, (usize, Vec<u8>, u64)>,
}

impl Client {
    pub fn publish(&mut self, now: Time, kind: MediaKind) {
        match kind {
            MediaKind::Audio => self.publish_as(now, 0, OPUS),
            MediaKind::Video => self.publish_as(now, 1, VP8),
        }
    }

    /// Sends a codec on an m-line.
    pub fn publish_as(&mut self, now: Time, mline: u8, payload_type: u8) {
        let kind = if payload_type == OPUS { MediaKind::Audio } else { MediaKind::Video };
        // Near the wrap, so that every story crosses it; where the first packets may be lost, a sender begins below 2^15, since
        // the receiver takes the rollover counter for 0 (RFC 3711 section 3.3.1).
        let first = if self.handshake.is_some() { 500 } else { 65_500 };
        let next = first + u64::from(self.random.next_u32() % 30);
        let ssrc = self.media_ssrc(mline);
        let timestamp = u32::MAX - 90_000;
        self.published.push(Published {
            mline,
            kind,
            payload_type,
            ssrc,
            next,
            timestamp,
            next_at: now,
            active: true,
            level: Some(20),
            key_frame_due: true,
            key_frame_requests: 0,
            sent: BTreeMap::new(),
        });
    }

    /// The SSRC that it sends with on an m-line; that of RTX is 8 more.
    pub fn media_ssrc(&self, mline: u8) -> u32 {
        0x2000_0000 + (self.index as u32) * 16 + u32::from(mline)
    }

    /// A packet of the client's own keys, whatever it says: header, payload, extended number.
    pub fn seal(&self, header: &[u8], payload: &[u8], number: u64) -> Vec<u8> {
        let srtp = self.srtp.as_ref().expect("keys are known");
        let ssrc = u32::from_be_bytes(header[8..12].try_into().expect("a header"));
        let mut packet = [header, payload, &[0; 16]].concat();
        let len = srtp.sender.seal_in_place(&mut packet, header.len(), payload.len(), ssrc, number).expect("room for the tag");
        packet.truncate(len);
        packet
    }

    /// An RTCP compound of the client's own keys, whatever it says.
    pub fn seal_rtcp(&mut self, compound: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [compound, &[0; 40]].concat();
        let len = self.srtp.as_mut()?.rtcp_sender.seal_rtcp(&mut buffer, compound.len())?;
        buffer.truncate(len);
        Some(buffer)
    }

    /// The header that every packet of the m-line has, and the stamped payload.
    pub fn stamped(&mut self, index: usize, number: u64, key: bool, first: bool, last: bool) -> (Vec<u8>, Vec<u8>) {
        let twcc = self.twcc;
        self.twcc = self.twcc.wrapping_add(1);
        let stream = &self.published[index];
        let payload_type = stream.payload_type;
        let mut header = vec![0x90, payload_type | if last { 0x80 } else { 0 }];
        header.extend((number as u16).to_be_bytes());
        header.extend(stream.timestamp.to_be_bytes());
        header.extend(stream.ssrc.to_be_bytes());
        header.extend([
            0xBE,
            0xDE,
            0,
            2,
            MID_ID << 4,
            b'0' + stream.mline,
            stream.level.map_or(0, |_| LEVEL_ID << 4),
            stream.level.unwrap_or(0),
            TWCC_ID << 4 | 1,
            (twcc >> 8) as u8,
            twcc as u8,
            0,
        ]);
        let mut payload = if stream.kind == MediaKind::Audio {
            vec![0xF8]
        } else if payload_type == H264 {
            // A slice of an IDR picture or of another one; the picture's first slice begins with a set bit.
            vec![if key { 0x65 } else { 0x61 }, if first { 0x80 } else { 0x40 }, 0, 0, 0]
        } else {
            // A VP8 descriptor with a 15-bit picture id; the frame header's lowest bit is 0 in a key frame.
            vec![0x80 | if first { 0x10 } else { 0 }, 0x80, 0x80 | (number >> 8 & 0x7F) as u8, number as u8, u8::from(!key)]
        };
        payload.extend((self.index as u32).to_be_bytes());
        payload.push(u8::from(stream.kind == MediaKind::Video));
        payload.extend(number.to_be_bytes());
        payload.extend(stream.timestamp.to_be_bytes());
        payload.push(u8::from(key && first));
        payload.resize(payload.len() + if stream.kind == MediaKind::Video { 900 } else { 80 }, 0xAB);
        (header, payload)
    }

    pub(super) fn send_frame(&mut self, index: usize, out: &mut Vec<Vec<u8>>) {
        let stream = &mut self.published[index];
        let (packets, step, every) = match stream.kind {
            MediaKind::Audio => (1, 960, Duration::from_millis(20)),
            MediaKind::Video => (if stream.key_frame_due { 8 } else { 3 }, 3_000, Duration::from_micros(33_333)),
        };
        stream.next_at = stream.next_at + every;
        stream.timestamp = stream.timestamp.wrapping_add(step);
        // As in a browser, nothing is sent before there is a way, and keys.
        if self.srtp.is_none() || !self.reachable {
            return;
        }
        let key = std::mem::take(&mut stream.key_frame_due) && stream.kind == MediaKind::Video;
        for n in 0..packets {
            out.push(self.packet(index, key, n == 0, n + 1 == packets));
        }
    }

    /// The next packet of a stream, sealed.
    pub fn packet(&mut self, index: usize, key: bool, first: bool, last: bool) -> Vec<u8> {
        let number = self.published[index].next;
        self.published[index].next += 1;
        let (header, payload) = self.stamped(index, number, key, first, last);
        let sealed = self.seal(&header, &payload, number);
        let sent = &mut self.published[index].sent;
        sent.insert(number as u16, (header.len(), [header, payload].concat(), number));
        if sent.len() > 600 {
            sent.pop_first();
        }
        sealed
    }

    /// Answers a NACK.
    pub(super) fn send_again(&mut self, media: u32, sequence: u16, out: &mut Vec<Vec<u8>>) {
        let Some(stream) = self.published.iter().find(|p| p.ssrc == media) else { return };
        let Some((header_len, packet, number)) = stream.sent.get(&sequence).cloned() else { return };
        let (header, payload) = packet.split_at(header_len);
        if !self.repeats_as_rtx || stream.kind == MediaKind::Audio {
            return out.push(self.seal(header, payload, number));
        }
        out.push(self.rtx(header, payload));
    }

    /// The RTX packet that repeats a packet.
    pub fn rtx(&mut self, header: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut again = header.to_vec();
        let ssrc = u32::from_be_bytes(header[8..12].try_into().expect("a header")) + 8;
        again[1] = again[1] & 0x80 | VP8_RTX;
        again[2..4].copy_from_slice(&(self.rtx_next as u16).to_be_bytes());
        again[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let sealed = self.seal(&again, &[&header[2..4], payload].concat(), self.rtx_next);
        self.rtx_next += 1;
        sealed
    }

    /// Feedback by RTCP: NACK for holes, sender reports for what is published.
    pub(super) fn send_feedback(&mut self, now: Time, out: &mut Vec<Vec<u8>>) {
        let own = self.published.first().map_or(7, |p| p.ssrc);
        let mut compounds = Vec::new();
        for (ssrc, heard) in &mut self.heard {
            let due: Vec<u16> =
                heard.missing.iter().filter(|(_, since)| now.since(**since) >= Duration::from_millis(20)).map(|(n, _)| *n as u16).collect();
            if !due.is_empty() {
                compounds.push(written(|compound| compound.nack(own, *ssrc, &mut due.into_iter())));
            }
        }
        let wall = Ntp::from_unix(Duration::from_secs(1_700_000_000)).plus_micros(now.as_micros() as i64 + self.wall_offset);
        for stream in self.published.iter().filter(|p| p.active && p.sent.len() > 20) {
            let age = now.micros_since(stream.next_at) as i64 - if stream.kind == MediaKind::Audio { 20_000 } else { 33_333 };
            let rate = if stream.kind == MediaKind::Audio { 48 } else { 90 };
            let info =
                SenderInfo { ntp: wall, rtp_timestamp: stream.timestamp.wrapping_add((age.max(0) * rate / 1_000) as u32), packets: 1, octets: 1 };
            compounds.push(written(|compound| compound.sender_report(stream.ssrc, info, &[])));
        }
        let came = self.heard.iter().filter(|(_, heard)| !heard.sealed.is_empty()).map(|(ssrc, _)| *ssrc).chain(self.rtx_streams.keys().copied());
        let came: Vec<u32> = came.filter(|_| self.reports).collect();
        for ssrcs in came.chunks(16) {
            let blocks: Vec<ReportBlock> = ssrcs.iter().map(|ssrc| ReportBlock { ssrc: *ssrc, ..ReportBlock::default() }).collect();
            compounds.push(written(|compound| compound.receiver_report(own, &blocks)));
            self.reported.extend(ssrcs);
        }
        let mut fci = [0; 1_100];
        while let Some(len) = self.arrivals.write_fci(&mut fci) {
            compounds.push(written(|compound| compound.transport_feedback(own, 0, &fci[..len])));
        }
        out.extend(compounds.into_iter().filter_map(|compound| self.seal_rtcp(&compound)));
    }
}

/// A compound in the clear.
pub fn written(write: impl FnOnce(&mut Compound<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 1_300];
    let mut compound = Compound::new(&mut buffer);
    assert!(write(&mut compound), "it fits");
    let len = compound.len();
    buffer[..len].to_vec()
}
