//! A participant: its connection with injected keys, what it publishes, and what it is shown.

use std::time::Duration;

use althing::base::random::Random;
use althing::base::{PeerId, Time};
use althing::contract::*;
use althing::media::packet::rtcp::{self, Rtcp};
use althing::media::peer::Srtp;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

use crate::coding::Mode;
use crate::ledger::Ledger;
use crate::link::{Class, Datagram};
use crate::opened::Opener;
use crate::receiver::{self, Receiver, written};
use crate::sender::{Publishes, Sender, extensions};
use crate::stream::OPUS;
use crate::world::track;

pub struct Member {
    pub index: usize,
    /// The worker that it sends to.
    pub worker: usize,
    pub peer: PeerId,
    pub publishes: Publishes,
    pub sender: Sender,
    pub receiver: Receiver,
    pub keys: SrtpKeys,
    srtp: Srtp,
    opener: Opener,
    reachable: bool,
    next_check: Time,
    next_report: Time,
    pub pairs: u8,
}

impl Member {
    pub fn new(index: usize, seed: u64, publishes: Publishes, pairs: u8, receiver: Receiver) -> Self {
        let mut random = Random::new(seed ^ (index as u64 + 1).wrapping_mul(0x1234_5678_9ABC));
        let profile = SrtpProfile::AeadAes128Gcm;
        let mut bytes = |n: usize| (0..n).map(|_| random.next_u32() as u8).collect::<Vec<_>>();
        let (receive_key, receive_salt) = (bytes(profile.key_len()), bytes(profile.salt_len()));
        let (send_key, send_salt) = (bytes(profile.key_len()), bytes(profile.salt_len()));
        let keys = SrtpKeys { profile, receive_key, receive_salt, send_key, send_salt };
        Self {
            index,
            worker: 0,
            peer: PeerId(index as u64 + 1),
            publishes,
            sender: Sender::new(index as u16, publishes, &mut random),
            receiver,
            srtp: Srtp::new(&mirrored(&keys)).expect("keys"),
            keys,
            opener: Opener::default(),
            reachable: false,
            next_check: Time::ZERO,
            next_report: Time::ZERO,
            pairs,
        }
    }

    pub fn transport(&self) -> TransportPlan {
        TransportPlan { ice: self.ice(), security: SecurityPlan::Keys(self.keys.clone()) }
    }

    fn ice(&self) -> IceCredentials {
        let index = self.index;
        IceCredentials {
            local_ufrag: format!("server{index}"),
            local_pwd: format!("server-password-of-{index:08}"),
            remote_ufrag: format!("client{index}"),
            remote_pwd: "client-password-0123456789".into(),
        }
    }

    /// m-lines 0 (sound) and 1 (picture) publish, then pairs of slots.
    pub fn plan(&self) -> MediaPlan {
        let mut plan = MediaPlan::default();
        for (mline, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
            let rids = if kind == MediaKind::Video { self.publishes.rids() } else { &[] };
            let rids = rids.iter().map(|(rid, _, _)| Rid::new(rid).expect("short")).collect();
            let (mid, codecs, extensions) = (mid(mline), codecs(kind, true, false), extensions());
            plan.receive.push(ReceivePlan { mline, mid, kind, codecs, extensions, ssrcs: vec![], rids, ssrc_encodings: false });
        }
        let transport = matches!(self.receiver.feedback, receiver::Feedback::Transport(_));
        for pair in 0..self.pairs {
            for (half, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
                let mline = 2 + pair * 2 + half;
                let ssrc = self.slot_ssrc(mline);
                let rtx_ssrc = (kind == MediaKind::Video).then_some(ssrc + 1);
                let mut extensions = extensions();
                if !transport {
                    extensions.set(Extension::TransportCc, 0);
                }
                plan.send.push(SendPlan { mline, mid: mid(mline), kind, ssrc, rtx_ssrc, codecs: codecs(kind, transport, !transport), extensions });
            }
        }
        plan
    }

    pub fn slot_ssrc(&self, mline: u8) -> u32 {
        0x1000_0000 + (self.index as u32) * 0x1_0000 + u32::from(mline) * 2
    }

    /// The SSRC of a pair's picture.
    pub fn picture_ssrc(&self, pair: u8) -> u32 {
        self.slot_ssrc(3 + pair * 2)
    }

    pub fn next_at(&self) -> Time {
        let media = if self.reachable { self.sender.next_at() } else { Time::NEVER };
        media.min(self.receiver.next_at()).min(self.next_check).min(self.next_report)
    }

    /// Everything that it sends by itself.
    pub fn tick(&mut self, now: Time, ledger: &mut Ledger, out: &mut Vec<Datagram>) {
        if self.next_check <= now {
            self.next_check = now + Duration::from_millis(if self.reachable { 2_000 } else { 100 });
            out.push(Datagram::new(Class::Report, self.check()));
        }
        if self.reachable {
            self.sender.tick(now, &self.srtp, ledger, out);
        }
        let mut compounds = Vec::new();
        let own = self.sender.streams.first().map_or(7, |s| s.ssrc);
        self.receiver.tick(now, own, &mut compounds);
        if self.next_report <= now {
            self.next_report = now + Duration::from_secs(1);
            compounds.extend(self.sender.reports(now).into_iter().map(|(ssrc, info)| written(|compound| compound.sender_report(ssrc, info, &[]))));
        }
        for compound in compounds.into_iter().filter(|compound| !compound.is_empty()) {
            let mut buffer = [&compound[..], &[0; 40]].concat();
            let len = self.srtp.rtcp_sender.seal_rtcp(&mut buffer, compound.len()).expect("room for the tag");
            buffer.truncate(len);
            out.push(Datagram::new(Class::Report, buffer));
        }
    }

    pub fn take(&mut self, now: Time, mut bytes: Vec<u8>) {
        match bytes.as_slice() {
            [0..=3, ..] => {
                if !std::mem::replace(&mut self.reachable, true) {
                    self.sender.begin(now);
                }
            }
            [128..=191, 192..=223, ..] => {
                let len = self.srtp.rtcp_receiver.open_rtcp(&mut bytes).expect("the server's RTCP is authentic");
                bytes.truncate(len);
                self.take_rtcp(now, &bytes);
            }
            _ => {
                let packet = self.opener.open(&self.srtp.receiver, bytes).expect("authentic, and only once");
                if let Some(stamp) = &packet.stamp {
                    let kind = if packet.is_sound() { MediaKind::Audio } else { MediaKind::Video };
                    assert_eq!(packet.source, Some(track(usize::from(stamp.stream.client), kind).0 as u32), "it names its source");
                }
                self.receiver.take(now, &packet);
            }
        }
    }

    fn take_rtcp(&mut self, now: Time, compound: &[u8]) {
        for packet in rtcp::packets(compound) {
            match packet.expect("the server's RTCP is well-formed") {
                Rtcp::SenderReport { ssrc, ntp, .. } => self.receiver.sender_report(now, ssrc, ntp),
                Rtcp::Nack { media, lost, .. } => lost.into_iter().for_each(|sequence| self.sender.send_again(now, media, sequence)),
                Rtcp::PictureLoss { media, .. } => self.sender.picture_lost(media),
                _ => {}
            }
        }
    }

    /// An ICE check that nominates its path.
    fn check(&self) -> Vec<u8> {
        let (ice, provider) = (self.ice(), rtc_crypto::default_provider().expect("a provider"));
        let mut message = Message::new();
        let mut id = [0; 12];
        id[..8].copy_from_slice(&(self.index as u64).to_be_bytes());
        TransactionId(id).add_to(&mut message).expect("id");
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, format!("{}:{}", ice.local_ufrag, ice.remote_ufrag).as_bytes());
        message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
        message.add(ATTR_USE_CANDIDATE, &[]);
        MessageIntegrity::new_short_term_integrity_with_provider(ice.local_pwd, provider.crypto()).add_to(&mut message).expect("integrity");
        FINGERPRINT.add_to(&mut message).expect("fingerprint");
        message.raw
    }
}

fn codecs(kind: MediaKind, transport_cc: bool, remb: bool) -> Vec<CodecPlan> {
    let picture = kind == MediaKind::Video;
    let feedback = Feedback { nack: picture, pli: picture, fir: false, transport_cc, remb };
    let plan = |payload_type: u8, codec, clock_rate, rtx| CodecPlan { payload_type, codec, clock_rate, rtx, feedback };
    if !picture {
        return vec![plan(OPUS, Codec::Opus, 48_000, None)];
    }
    let modes = [Mode::Vp8, Mode::Vp9, Mode::H264, Mode::Av1];
    modes.into_iter().map(|mode| plan(mode.payload_type(), mode.codec(), 90_000, Some(mode.payload_type() + 1))).collect()
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

fn mid(mline: u8) -> Mid {
    Mid::new(&mline.to_string()).expect("short")
}
