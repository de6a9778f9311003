//! A simulated participant: real ICE checks, real SRTP with injected keys, streams whose every packet is stamped, so that
//! what arrives can be told exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::base::random::Random;
use althing::base::{Ntp, PeerId, Time};
use althing::contract::*;
use althing::media::packet::rtcp::{self, Compound, Rtcp, SenderInfo};
use althing::media::packet::rtp::RtpHeader;
use althing::media::transport::{ReceiveStream, SrtcpReceiver, SrtcpSender, SrtpError, SrtpReceiver, SrtpSender};
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const OPUS: u8 = 111;
const MID_ID: u8 = 4;
const LEVEL_ID: u8 = 1;
const TWCC_ID: u8 = 3;

/// A stream that the client sends.
pub struct Published {
    pub mline: u8,
    pub kind: MediaKind,
    pub ssrc: u32,
    /// Extended number of the next packet: its stamp.
    pub next: u64,
    timestamp: u32,
    next_at: Time,
    pub active: bool,
    key_frame_due: bool,
    pub key_frame_requests: u64,
    sent: BTreeMap<u16, (Vec<u8>, u64)>,
    nacked: u64,
}

/// What has come on one slot's SSRC.
#[derive(Default)]
pub struct Heard {
    stream: ReceiveStream,
    /// Extended outgoing number → stamp.
    pub packets: BTreeMap<u64, Stamp>,
    pub duplicates: u64,
    /// The very same packet, again: asked for twice.
    pub repeats: u64,
    missing: BTreeMap<u64, Time>,
    pub sender_reports: Vec<(Ntp, u32, Time)>,
    /// The outgoing RTP timestamp of the packet with the highest number.
    pub last_out_timestamp: u32,
}

/// What a packet says about itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp {
    pub client: u32,
    pub kind: u8,
    pub number: u64,
    pub timestamp: u32,
    pub key: bool,
}

pub struct Client {
    pub index: usize,
    pub peer: PeerId,
    pub ice: IceCredentials,
    keys: SrtpKeys,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    rtcp_sender: SrtcpSender,
    rtcp_receiver: SrtcpReceiver,
    pub published: Vec<Published>,
    /// By SSRC.
    pub heard: BTreeMap<u32, Heard>,
    rtx_streams: BTreeMap<u32, ReceiveStream>,
    pub has_rtx: bool,
    pub online: bool,
    /// Whether it sends ICE checks.
    pub checks: bool,
    pub reports_about_us: u64,
    pub feedback_packets: u64,
    next_check: Time,
    next_report: Time,
    random: Random,
    wall_offset: i64,
    twcc: u16,
}

impl Client {
    pub fn new(index: usize, seed: u64, profile: SrtpProfile) -> Self {
        let mut random = Random::new(seed ^ (index as u64 + 1).wrapping_mul(0x1234_5678_9ABC));
        let mut bytes = |n: usize| (0..n).map(|_| random.next_u32() as u8).collect::<Vec<_>>();
        let keys = SrtpKeys {
            profile,
            receive_key: bytes(16),
            receive_salt: bytes(profile.salt_len()),
            send_key: bytes(16),
            send_salt: bytes(profile.salt_len()),
        };
        let ice = IceCredentials {
            local_ufrag: format!("server{index}"),
            local_pwd: format!("server-password-of-{index:08}"),
            remote_ufrag: format!("client{index}"),
            remote_pwd: "client-password-0123456789".into(),
        };
        Self {
            index,
            peer: PeerId(index as u64 + 1),
            ice,
            sender: SrtpSender::new(profile, &keys.receive_key, &keys.receive_salt).expect("keys"),
            receiver: SrtpReceiver::new(profile, &keys.send_key, &keys.send_salt).expect("keys"),
            rtcp_sender: SrtcpSender::new(profile, &keys.receive_key, &keys.receive_salt).expect("keys"),
            rtcp_receiver: SrtcpReceiver::new(profile, &keys.send_key, &keys.send_salt).expect("keys"),
            keys,
            published: Vec::new(),
            heard: BTreeMap::new(),
            rtx_streams: BTreeMap::new(),
            has_rtx: true,
            online: true,
            checks: true,
            reports_about_us: 0,
            feedback_packets: 0,
            next_check: Time::ZERO,
            next_report: Time::ZERO,
            wall_offset: i64::from(random.next_u32() % 3_600_000) * 1_000,
            random,
            twcc: 0,
        }
    }

    pub fn transport(&self) -> TransportPlan {
        TransportPlan { ice: self.ice.clone(), security: SecurityPlan::Keys(self.keys.clone()) }
    }

    /// m-lines 0 (audio) and 1 (video) publish, then pairs of slots.
    pub fn plan(&self, pairs: u8) -> MediaPlan {
        let mut plan = MediaPlan::default();
        for (mline, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
            plan.receive.push(ReceivePlan {
                mline,
                mid: mid(mline),
                kind,
                codecs: vec![self.codec(kind)],
                extensions: extensions(),
                ssrcs: Vec::new(),
                rid: None,
            });
        }
        for pair in 0..pairs {
            for (half, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
                let mline = 2 + pair * 2 + half;
                let ssrc = self.slot_ssrc(mline);
                let rtx_ssrc = (self.has_rtx && kind == MediaKind::Video).then_some(ssrc + 1);
                plan.send.push(SendPlan { mline, mid: mid(mline), kind, ssrc, rtx_ssrc, codecs: vec![self.codec(kind)], extensions: extensions() });
            }
        }
        plan
    }

    pub fn slot_ssrc(&self, mline: u8) -> u32 {
        0x1000_0000 + (self.index as u32) * 0x1_0000 + u32::from(mline) * 2
    }

    fn codec(&self, kind: MediaKind) -> CodecPlan {
        let feedback = Feedback { nack: true, pli: kind == MediaKind::Video, fir: false, transport_cc: true, remb: false };
        match kind {
            MediaKind::Audio => CodecPlan { payload_type: OPUS, codec: Codec::Opus, clock_rate: 48_000, rtx: None, feedback },
            MediaKind::Video => {
                CodecPlan { payload_type: VP8, codec: Codec::Vp8, clock_rate: 90_000, rtx: self.has_rtx.then_some(VP8_RTX), feedback }
            }
        }
    }

    pub fn publish(&mut self, now: Time, kind: MediaKind) {
        let mline = if kind == MediaKind::Audio { 0 } else { 1 };
        // Near the wrap, so that every story crosses it.
        let next = 65_500 + u64::from(self.random.next_u32() % 30);
        let ssrc = 0x2000_0000 + (self.index as u32) * 16 + u32::from(mline);
        let timestamp = u32::MAX - 90_000;
        self.published.push(Published {
            mline,
            kind,
            ssrc,
            next,
            timestamp,
            next_at: now,
            active: true,
            key_frame_due: true,
            key_frame_requests: 0,
            sent: BTreeMap::new(),
            nacked: 0,
        });
    }

    pub fn next_at(&self) -> Time {
        let media = self.published.iter().filter(|p| p.active).map(|p| p.next_at).min().unwrap_or(Time::NEVER);
        media.min(self.next_check).min(self.next_report)
    }

    /// Everything that the client sends by itself.
    pub fn tick(&mut self, now: Time, out: &mut Vec<Vec<u8>>) {
        if self.next_check <= now {
            self.next_check = now + Duration::from_secs(2);
            if self.checks {
                out.push(self.check());
            }
        }
        for index in 0..self.published.len() {
            if self.published[index].active && self.published[index].next_at <= now {
                self.send_frame(index, out);
            }
        }
        if self.next_report <= now {
            self.next_report = now + Duration::from_millis(50);
            self.send_feedback(now, out);
        }
    }

    pub fn take(&mut self, now: Time, mut bytes: Vec<u8>, out: &mut Vec<Vec<u8>>) {
        match bytes.as_slice() {
            [0..=3, ..] => {}
            [128..=191, 192..=223, ..] => {
                let len = self.rtcp_receiver.open_rtcp(&mut bytes).expect("the server's RTCP is authentic");
                self.take_rtcp(now, &bytes[..len], out);
            }
            _ => self.take_rtp(now, bytes),
        }
    }

    fn check(&self) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().expect("a provider");
        let mut message = Message::new();
        let mut id = [0; 12];
        id[..8].copy_from_slice(&(self.index as u64).to_be_bytes());
        let username = format!("{}:{}", self.ice.local_ufrag, self.ice.remote_ufrag);
        TransactionId(id).add_to(&mut message).expect("id");
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_ICE_CONTROLLING, &7u64.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        MessageIntegrity::new_short_term_integrity_with_provider(self.ice.local_pwd.clone(), provider.crypto())
            .add_to(&mut message)
            .expect("integrity");
        FINGERPRINT.add_to(&mut message).expect("fingerprint");
        message.raw
    }

    fn send_frame(&mut self, index: usize, out: &mut Vec<Vec<u8>>) {
        let stream = &mut self.published[index];
        let (packets, step, every) = match stream.kind {
            MediaKind::Audio => (1, 960, Duration::from_millis(20)),
            MediaKind::Video => (if stream.key_frame_due { 8 } else { 3 }, 3_000, Duration::from_micros(33_333)),
        };
        let key = std::mem::take(&mut stream.key_frame_due) && stream.kind == MediaKind::Video;
        stream.timestamp = stream.timestamp.wrapping_add(step);
        stream.next_at = stream.next_at + every;
        for n in 0..packets {
            let bytes = self.packet(index, key, n == 0, n + 1 == packets);
            out.push(bytes);
        }
    }

    fn packet(&mut self, index: usize, key: bool, first: bool, last: bool) -> Vec<u8> {
        let twcc = self.twcc;
        self.twcc = self.twcc.wrapping_add(1);
        let stream = &mut self.published[index];
        let number = stream.next;
        stream.next += 1;
        let payload_type = if stream.kind == MediaKind::Audio { OPUS } else { VP8 };
        let mut packet = vec![0x90, payload_type | if last { 0x80 } else { 0 }];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(stream.timestamp.to_be_bytes());
        packet.extend(stream.ssrc.to_be_bytes());
        packet.extend([0xBE, 0xDE, 0, 2, MID_ID << 4, b'0' + stream.mline, LEVEL_ID << 4, 20, TWCC_ID << 4 | 1, (twcc >> 8) as u8, twcc as u8, 0]);
        let header_len = packet.len();
        if stream.kind == MediaKind::Audio {
            packet.push(0xF8);
        } else {
            // A VP8 descriptor with a 15-bit picture id; the frame header's lowest bit is 0 in a key frame.
            packet.extend([0x80 | if first { 0x10 } else { 0 }, 0x80, 0x80 | (number >> 8 & 0x7F) as u8, number as u8, u8::from(!key)]);
        }
        packet.extend((self.index as u32).to_be_bytes());
        packet.push(u8::from(stream.kind == MediaKind::Video));
        packet.extend(number.to_be_bytes());
        packet.extend(stream.timestamp.to_be_bytes());
        packet.push(u8::from(key && first));
        packet.resize(packet.len() + if stream.kind == MediaKind::Video { 900 } else { 80 }, 0xAB);
        let len = packet.len();
        packet.resize(len + 16, 0);
        let sealed = self.sender.seal_in_place(&mut packet, header_len, len - header_len, stream.ssrc, number).expect("room for the tag");
        packet.truncate(sealed);
        stream.sent.insert(number as u16, (packet.clone(), number));
        if stream.sent.len() > 600 {
            stream.sent.pop_first();
        }
        packet
    }

    /// Receiver reports by RTCP: NACK for holes, sender reports for what is published.
    fn send_feedback(&mut self, now: Time, out: &mut Vec<Vec<u8>>) {
        let own = self.published.first().map_or(7, |p| p.ssrc);
        for (ssrc, heard) in &mut self.heard {
            let due: Vec<u16> =
                heard.missing.iter().filter(|(_, since)| now.since(**since) >= Duration::from_millis(20)).map(|(n, _)| *n as u16).collect();
            if due.is_empty() {
                continue;
            }
            let mut buffer = [0; 1_400];
            let mut compound = Compound::new(&mut buffer[..1_300]);
            assert!(compound.nack(own, *ssrc, &mut due.into_iter()));
            let len = compound.len();
            let sealed = self.rtcp_sender.seal_rtcp(&mut buffer, len).expect("room");
            out.push(buffer[..sealed].to_vec());
        }
        let wall = Ntp::from_unix(Duration::from_secs(1_700_000_000)).plus_micros(now.as_micros() as i64 + self.wall_offset);
        for stream in self.published.iter().filter(|p| p.active && p.next > 65_540) {
            let mut buffer = [0; 1_400];
            let mut compound = Compound::new(&mut buffer[..1_300]);
            let age = now.micros_since(stream.next_at) as i64 - if stream.kind == MediaKind::Audio { 20_000 } else { 33_333 };
            let rate = if stream.kind == MediaKind::Audio { 48 } else { 90 };
            let info =
                SenderInfo { ntp: wall, rtp_timestamp: stream.timestamp.wrapping_add((age.max(0) * rate / 1_000) as u32), packets: 1, octets: 1 };
            assert!(compound.sender_report(stream.ssrc, info, &[]));
            let len = compound.len();
            let sealed = self.rtcp_sender.seal_rtcp(&mut buffer, len).expect("room");
            out.push(buffer[..sealed].to_vec());
        }
    }

    fn take_rtp(&mut self, now: Time, mut bytes: Vec<u8>) {
        let header = RtpHeader::parse(&bytes).expect("well-formed");
        let is_rtx = header.payload_type == VP8_RTX;
        let media_ssrc = if is_rtx { header.ssrc - 1 } else { header.ssrc };
        let heard = self.heard.entry(media_ssrc).or_default();
        if is_rtx {
            let stream = self.rtx_streams.entry(header.ssrc).or_default();
            let opened = self.receiver.open(stream, &mut bytes, header.header_len, header.sequence, header.ssrc).expect("authentic RTX");
            let payload = &bytes[header.header_len..header.header_len + opened.payload_len];
            let original = heard.stream.index(u16::from_be_bytes([payload[0], payload[1]]));
            return heard.note(now, original, stamp(header.payload_type, &payload[2..]));
        }
        let opened = match self.receiver.open(&mut heard.stream, &mut bytes, header.header_len, header.sequence, header.ssrc) {
            Ok(opened) => opened,
            Err(error) => {
                assert_eq!(error, SrtpError::Replay, "authentic");
                heard.repeats += 1;
                return;
            }
        };
        let stamp = stamp(header.payload_type, &bytes[header.header_len..header.header_len + opened.payload_len]);
        if heard.packets.last_key_value().is_none_or(|(highest, _)| opened.index > *highest) {
            heard.last_out_timestamp = header.timestamp;
        }
        heard.note(now, opened.index, stamp);
    }

    fn take_rtcp(&mut self, now: Time, compound: &[u8], out: &mut Vec<Vec<u8>>) {
        for packet in rtcp::packets(compound) {
            match packet.expect("the server's RTCP is well-formed") {
                Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, .. } => {
                    self.heard.entry(ssrc).or_default().sender_reports.push((ntp, rtp_timestamp, now))
                }
                Rtcp::ReceiverReport { blocks, .. } => self.reports_about_us += blocks.into_iter().count() as u64,
                Rtcp::Nack { media, lost, .. } => {
                    let Some(stream) = self.published.iter_mut().find(|p| p.ssrc == media) else { continue };
                    for sequence in lost.into_iter() {
                        stream.nacked += 1;
                        out.extend(stream.sent.get(&sequence).map(|(bytes, _)| bytes.clone()));
                    }
                }
                Rtcp::PictureLoss { media, .. } => {
                    if let Some(stream) = self.published.iter_mut().find(|p| p.ssrc == media) {
                        stream.key_frame_due = true;
                        stream.key_frame_requests += 1;
                    }
                }
                Rtcp::TransportFeedback { .. } => self.feedback_packets += 1,
                _ => {}
            }
        }
    }
}

impl Heard {
    fn note(&mut self, now: Time, number: u64, stamp: Stamp) {
        if let Some((highest, _)) = self.packets.last_key_value() {
            for missing in highest + 1..number {
                self.missing.insert(missing, now);
            }
        }
        self.missing.remove(&number);
        if self.packets.insert(number, stamp).is_some() {
            self.duplicates += 1;
        }
    }

    /// Stamps of one sender, by outgoing number.
    pub fn from(&self, client: usize) -> Vec<Stamp> {
        self.packets.values().filter(|s| s.client == client as u32).copied().collect()
    }

    pub fn still_missing(&self) -> usize {
        self.missing.len()
    }
}

fn stamp(payload_type: u8, payload: &[u8]) -> Stamp {
    let at = if payload_type == OPUS { 1 } else { 5 };
    let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("stamped"));
    Stamp {
        client: word(at),
        kind: payload[at + 4],
        number: u64::from(word(at + 5)) << 32 | u64::from(word(at + 9)),
        timestamp: word(at + 13),
        key: payload[at + 17] == 1,
    }
}

fn mid(mline: u8) -> Mid {
    Mid::new(&mline.to_string()).expect("short")
}

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for (extension, id) in [(Extension::Mid, MID_ID), (Extension::AudioLevel, LEVEL_ID), (Extension::TransportCc, TWCC_ID)] {
        map.set(extension, id);
    }
    map
}
