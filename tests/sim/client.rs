//! A simulated participant: real ICE checks, SRTP with injected keys or from a real handshake, streams whose every packet
//! is stamped, so that what arrives can be told exactly.

#[path = "heard.rs"]
mod heard;
#[path = "sending.rs"]
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use althing::base::random::Random;
use althing::base::{PeerId, Time};
use althing::contract::*;
use althing::media::packet::ext;
use althing::media::packet::rtcp::{self, Rtcp};
use althing::media::packet::rtp::RtpHeader;
use althing::media::packet::twcc::Arrivals;
use althing::media::peer::Srtp;
use althing::media::rewrite::SourceExtensions;
use althing::media::transport::{DtlsEvent, DtlsIdentity, DtlsTransport, ReceiveStream, SrtpError};
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

#[allow(unused_imports, reason = "some of those who share this file need no name for it")]
pub use heard::{Heard, Stamp, stamp};
#[allow(unused_imports, reason = "likewise")]
pub use sending::{Published, written};

pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const H264: u8 = 102;
pub const H264_RTX: u8 = 103;
pub const OPUS: u8 = 111;
pub const MID_ID: u8 = 4;
pub const LEVEL_ID: u8 = 1;
pub const TWCC_ID: u8 = 3;

pub struct Client {
    pub index: usize,
    /// The worker that it sends to.
    pub worker: usize,
    pub peer: PeerId,
    pub ice: IceCredentials,
    /// As the server has them; replaced when a handshake agrees on others.
    pub keys: SrtpKeys,
    /// None until a handshake is done.
    pub srtp: Option<Srtp>,
    /// A real handshake instead of injected keys: our half of it, and what the server is to expect.
    dtls: Option<Box<DtlsTransport>>,
    handshake: Option<(DtlsRole, Fingerprint)>,
    pub published: Vec<Published>,
    /// By SSRC.
    pub heard: BTreeMap<u32, Heard>,
    rtx_streams: BTreeMap<u32, ReceiveStream>,
    /// RTX SSRCs that an answer has announced, each with its media SSRC; without one, an RTX SSRC is its media SSRC and one.
    pub rtx_of: BTreeMap<u32, u32>,
    pub has_rtx: bool,
    /// Whether its slots negotiate transport-wide feedback, so that the server estimates its link. Without, it is sent all there is.
    pub is_estimated: bool,
    /// Whether it answers NACK with RTX (as browsers do) or with the very same packet.
    pub repeats_as_rtx: bool,
    rtx_next: u64,
    pub online: bool,
    /// A check of its own has been answered.
    reachable: bool,
    /// Whether it sends ICE checks.
    pub checks: bool,
    /// Whether it sends receiver reports, and the SSRCs that they have named.
    pub reports: bool,
    reported: BTreeSet<u32>,
    pub reports_about_us: u64,
    pub feedback_packets: u64,
    next_check: Time,
    next_report: Time,
    random: Random,
    wall_offset: i64,
    twcc: u16,
    /// Transport-wide numbers that came, as it reports them.
    arrivals: Arrivals,
}

impl Client {
    pub fn new(index: usize, seed: u64, profile: SrtpProfile) -> Self {
        let mut random = Random::new(seed ^ (index as u64 + 1).wrapping_mul(0x1234_5678_9ABC));
        let mut bytes = |n: usize| (0..n).map(|_| random.next_u32() as u8).collect::<Vec<_>>();
        let keys = SrtpKeys {
            profile,
            receive_key: bytes(profile.key_len()),
            receive_salt: bytes(profile.salt_len()),
            send_key: bytes(profile.key_len()),
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
            worker: 0,
            peer: PeerId(index as u64 + 1),
            ice,
            srtp: Some(Srtp::new(&mirrored(&keys)).expect("keys")),
            dtls: None,
            handshake: None,
            keys,
            published: Vec::new(),
            heard: BTreeMap::new(),
            rtx_streams: BTreeMap::new(),
            rtx_of: BTreeMap::new(),
            has_rtx: true,
            is_estimated: false,
            repeats_as_rtx: false,
            rtx_next: 1,
            online: true,
            reachable: false,
            checks: true,
            reports: false,
            reported: BTreeSet::new(),
            reports_about_us: 0,
            feedback_packets: 0,
            next_check: Time::ZERO,
            next_report: Time::ZERO,
            wall_offset: i64::from(random.next_u32() % 3_600_000) * 1_000,
            random,
            twcc: 0,
            arrivals: Arrivals::new(),
        }
    }

    /// Agrees on keys by DTLS, the server taking `server_role`; `announced` is the certificate that the server is told of.
    pub fn with_handshake(mut self, server_role: DtlsRole, server: Fingerprint, epoch: Instant, announced: Option<Fingerprint>) -> Self {
        let identity = DtlsIdentity::generate().expect("a certificate");
        let role = if server_role == DtlsRole::Server { DtlsRole::Client } else { DtlsRole::Server };
        self.handshake = Some((server_role, announced.unwrap_or_else(|| identity.fingerprint())));
        self.dtls = Some(Box::new(DtlsTransport::new(&identity, role, server, epoch)));
        self.srtp = None;
        self
    }

    pub fn transport(&self) -> TransportPlan {
        let security = match &self.handshake {
            Some((role, fingerprint)) => SecurityPlan::Dtls { role: *role, fingerprint: fingerprint.clone() },
            None => SecurityPlan::Keys(self.keys.clone()),
        };
        TransportPlan { ice: self.ice.clone(), security }
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
                rids: Vec::new(),
                ssrc_encodings: false,
            });
        }
        for pair in 0..pairs {
            for (half, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
                let mline = 2 + pair * 2 + half;
                let ssrc = self.slot_ssrc(mline);
                let rtx_ssrc = (self.has_rtx && kind == MediaKind::Video).then_some(ssrc + 1);
                let mut codec = self.codec(kind);
                codec.feedback.transport_cc = self.is_estimated;
                plan.send.push(SendPlan { mline, mid: mid(mline), kind, ssrc, rtx_ssrc, codecs: vec![codec], extensions: extensions() });
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

    pub fn next_at(&self) -> Time {
        let media = self.published.iter().filter(|p| p.active).map(|p| p.next_at).min().unwrap_or(Time::NEVER);
        let dtls = self.dtls.as_ref().and_then(|d| d.poll_timeout()).unwrap_or(Time::NEVER);
        media.min(self.next_check).min(self.next_report).min(dtls)
    }

    /// Everything that the client sends by itself.
    pub fn tick(&mut self, now: Time, out: &mut Vec<Vec<u8>>) {
        if self.next_check <= now {
            self.next_check = now + Duration::from_secs(2);
            if self.checks {
                out.push(self.check());
            }
            self.after_dtls(out);
        }
        if let Some(dtls) = &mut self.dtls
            && dtls.poll_timeout().is_some_and(|at| at <= now)
        {
            dtls.handle_timeout(now);
            self.after_dtls(out);
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
            [0..=3, ..] => {
                self.reachable = true;
                if let Some(dtls) = &mut self.dtls {
                    dtls.start(now);
                    self.after_dtls(out);
                }
            }
            [20..=63, ..] => {
                if let Some(dtls) = &mut self.dtls {
                    let _ = dtls.handle_datagram(now, &bytes);
                    self.after_dtls(out);
                }
            }
            [128..=191, 192..=223, ..] => {
                let Some(srtp) = &mut self.srtp else { return };
                let len = srtp.rtcp_receiver.open_rtcp(&mut bytes).expect("the server's RTCP is authentic");
                self.take_rtcp(now, &bytes[..len], out);
            }
            _ => self.take_rtp(now, bytes),
        }
    }

    /// An ICE check with the present credentials that nominates its path.
    pub fn check(&self) -> Vec<u8> {
        self.check_with(&self.username(), Some(&self.ice.local_pwd), &[(ATTR_ICE_CONTROLLING, &[7; 8]), (ATTR_USE_CANDIDATE, &[])])
    }

    /// The user name of its checks.
    pub fn username(&self) -> String {
        format!("{}:{}", self.ice.local_ufrag, self.ice.remote_ufrag)
    }

    /// An ICE check with any user name and attributes, with or without integrity.
    pub fn check_with(&self, username: &str, password: Option<&str>, attributes: &[(AttrType, &[u8])]) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().expect("a provider");
        let mut message = Message::new();
        let mut id = [0; 12];
        id[..8].copy_from_slice(&(self.index as u64).to_be_bytes());
        TransactionId(id).add_to(&mut message).expect("id");
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, username.as_bytes());
        attributes.iter().for_each(|(kind, value)| message.add(*kind, value));
        if let Some(password) = password {
            MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto()).add_to(&mut message).expect("integrity");
        }
        FINGERPRINT.add_to(&mut message).expect("fingerprint");
        message.raw
    }

    /// Ends the connection as a browser does: with DTLS. It goes out with the next tick.
    pub fn close(&mut self, now: Time) {
        if let Some(dtls) = &mut self.dtls {
            dtls.close(now);
            self.next_check = now;
            self.checks = false;
        }
    }

    fn after_dtls(&mut self, out: &mut Vec<Vec<u8>>) {
        let Some(dtls) = &mut self.dtls else { return };
        while let Some(datagram) = dtls.poll_transmit() {
            out.push(datagram.to_vec());
        }
        while let Some(event) = dtls.poll_event() {
            if let DtlsEvent::Established(keys) = event {
                self.srtp = Some(Srtp::new(&keys).expect("keys"));
                self.keys = mirrored(&keys);
            }
        }
    }

    fn take_rtp(&mut self, now: Time, mut bytes: Vec<u8>) {
        let Some(receiver) = self.srtp.as_ref().map(|s| &s.receiver) else { return };
        let header = RtpHeader::parse(&bytes).expect("well-formed");
        let received = SourceExtensions::read(&header, &extensions(), &bytes);
        let number = received.get(Extension::TransportCc, &bytes).and_then(ext::transport_cc);
        let is_told = received.get(Extension::Mid, &bytes).is_some() || self.reported.contains(&header.ssrc);
        let is_rtx = matches!(header.payload_type, VP8_RTX | H264_RTX);
        let media_ssrc = if is_rtx { self.rtx_of.get(&header.ssrc).copied().unwrap_or(header.ssrc.wrapping_sub(1)) } else { header.ssrc };
        let heard = self.heard.entry(media_ssrc).or_default();
        if is_rtx {
            let stream = self.rtx_streams.entry(header.ssrc).or_default();
            let opened = receiver.open(stream, &mut bytes, header.header_len, header.sequence, header.ssrc).expect("authentic RTX");
            number.inspect(|number| self.arrivals.record(*number, now));
            if header.padding {
                return;
            }
            let payload = &bytes[header.header_len..header.header_len + opened.payload_len];
            let original = heard.stream.index(u16::from_be_bytes([payload[0], payload[1]]));
            if let Some(stamp) = heard::stamp(header.payload_type, &payload[2..]) {
                heard.note(now, original, stamp);
            }
            return;
        }
        assert!(is_told, "a packet of SSRC {} says nothing of its m-line, and nothing of it has been reported", header.ssrc);
        let sealed = bytes.clone();
        let opened = match receiver.open(&mut heard.stream, &mut bytes, header.header_len, header.sequence, header.ssrc) {
            Ok(opened) => opened,
            Err(error) => {
                assert_eq!(error, SrtpError::Replay, "authentic");
                let index = heard.stream.index(header.sequence);
                assert!(heard.sealed.get(&index).is_none_or(|first| *first == sealed), "one SRTP index protects two packets: {index}");
                heard.repeats += 1;
                return;
            }
        };
        number.inspect(|number| self.arrivals.record(*number, now));
        heard.sealed.insert(opened.index, sealed);
        if heard.sealed.len() > 2_000 {
            heard.sealed.pop_first();
        }
        let stamp = heard::stamp(header.payload_type, &bytes[header.header_len..header.header_len + opened.payload_len]);
        if heard.packets.last_key_value().is_none_or(|(highest, _)| opened.index > *highest) {
            heard.last_out_timestamp = header.timestamp;
        }
        if let Some(stamp) = stamp {
            heard.note(now, opened.index, stamp);
        }
    }

    fn take_rtcp(&mut self, now: Time, compound: &[u8], out: &mut Vec<Vec<u8>>) {
        for packet in rtcp::packets(compound) {
            match packet.expect("the server's RTCP is well-formed") {
                Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, .. } => {
                    self.heard.entry(ssrc).or_default().sender_reports.push((ntp, rtp_timestamp, now))
                }
                Rtcp::ReceiverReport { blocks, .. } => self.reports_about_us += blocks.into_iter().count() as u64,
                Rtcp::Nack { media, lost, .. } => {
                    for sequence in lost.into_iter() {
                        self.send_again(media, sequence, out);
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

/// The other side's view of the same keys.
pub fn mirrored(keys: &SrtpKeys) -> SrtpKeys {
    SrtpKeys {
        profile: keys.profile,
        receive_key: keys.send_key.clone(),
        receive_salt: keys.send_salt.clone(),
        send_key: keys.receive_key.clone(),
        send_salt: keys.receive_salt.clone(),
    }
}

pub fn mid(mline: u8) -> Mid {
    Mid::new(&mline.to_string()).expect("short")
}

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for (extension, id) in [(Extension::Mid, MID_ID), (Extension::AudioLevel, LEVEL_ID), (Extension::TransportCc, TWCC_ID)] {
        map.set(extension, id);
    }
    map
}
