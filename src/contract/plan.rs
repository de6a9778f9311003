//! What negotiation compiled for a peer: everything the packet path needs to know, as numbers.

use std::fmt;

use crate::base::WorkerId;

/// The CNAME of everything that the node sends, in SDP and in RTCP: one sender, one clock (RFC 3550 section 6.5.1).
pub const CNAME: &str = "althing";

/// How a participant's connection is reached and secured.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportPlan {
    /// ICE credentials of both sides.
    pub ice: IceCredentials,
    /// Where the SRTP keys come from.
    pub security: SecurityPlan,
}

/// ICE user name fragments and passwords (RFC 8445 section 5.3). Debug output hides the passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Ours: the first part of the USERNAME in checks towards us; unique within the node.
    pub local_ufrag: String,
    /// Ours: the key of MESSAGE-INTEGRITY in checks towards us.
    pub local_pwd: String,
    /// The peer's: the second part of that USERNAME.
    pub remote_ufrag: String,
    /// The peer's (an ICE-lite agent never needs it to check, it is kept for the record).
    pub remote_pwd: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("local_ufrag", &self.local_ufrag).field("remote_ufrag", &self.remote_ufrag).finish_non_exhaustive()
    }
}

/// Hexadecimal digits at the beginning of our user name fragments that say whose the connection is.
const OWNER_DIGITS: usize = 2;

/// One of our user name fragments, which says on which worker its connection is: workers may share one port.
pub fn ufrag_of(worker: WorkerId, drawn: &str) -> String {
    format!("{:02x}{drawn}", worker.0)
}

/// The worker that a user name fragment begins with.
pub fn owner_of_ufrag(ufrag: &str) -> Option<WorkerId> {
    u16::from_str_radix(ufrag.get(..OWNER_DIGITS)?, 16).ok().map(WorkerId)
}

/// Where SRTP keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SecurityPlan {
    /// A DTLS handshake (RFC 5764) with a peer whose certificate has this fingerprint.
    Dtls {
        /// Our part in it.
        role: DtlsRole,
        /// The peer's certificate, from authenticated signaling.
        fingerprint: Fingerprint,
    },
    /// Keys that are already agreed: a connection handed over by another process, or a simulated one.
    Keys(SrtpKeys),
}

/// Our part in the DTLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// We answer `a=setup:passive` (the usual case).
    Server,
    /// We answer `a=setup:active` (an offer that said `passive`).
    Client,
}

/// A certificate fingerprint (RFC 8122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function.
    pub hash: HashFunction,
    /// The hash: 32, 48 or 64 bytes.
    pub value: Vec<u8>,
}

/// Hash functions strong enough for a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

/// SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AEAD_AES_128_GCM (0x0007): preferred, 5.5 times cheaper here than the next.
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM (0x0008): for peers that list no shorter key.
    AeadAes256Gcm,
    /// AES_CM_128_HMAC_SHA1_80 (0x0001): the profile that every endpoint has.
    AesCm128HmacSha1_80,
}

impl SrtpProfile {
    /// The name that the registry of DTLS-SRTP protection profiles gives it.
    pub const fn name(self) -> &'static str {
        match self {
            SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            SrtpProfile::AesCm128HmacSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        }
    }

    /// Length of a master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AesCm128HmacSha1_80 => 16,
            SrtpProfile::AeadAes256Gcm => 32,
        }
    }

    /// Length of a master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 12,
            SrtpProfile::AesCm128HmacSha1_80 => 14,
        }
    }
}

/// Master keys and salts of both directions. Debug output hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// The protection profile.
    pub profile: SrtpProfile,
    /// Master key for what we receive ([`SrtpProfile::key_len`] bytes).
    pub receive_key: Vec<u8>,
    /// Master salt for what we receive ([`SrtpProfile::salt_len`] bytes).
    pub receive_salt: Vec<u8>,
    /// Master key for what we send.
    pub send_key: Vec<u8>,
    /// Master salt for what we send.
    pub send_salt: Vec<u8>,
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// The m-lines of one connection, compiled. An m-line that carries no media (rejected, data) is in neither list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlan {
    /// m-lines on which the peer sends to us.
    pub receive: Vec<ReceivePlan>,
    /// m-lines on which we send to the peer: the slots.
    pub send: Vec<SendPlan>,
    /// The m-line of data channels, when there is one.
    pub data: Option<DataPlan>,
}

/// The m-line of data channels (RFC 8841): one SCTP association over the connection's DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPlan {
    /// Bytes of the longest message that the peer takes (`a=max-message-size`).
    pub peer_takes: u32,
    /// What the peer is held to.
    pub limits: DataLimits,
}

/// What a peer may send on its data channels, and what is kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// Bytes of a message's payload.
    pub message_bytes: u32,
    /// Messages a second, and twice as many at once.
    pub messages_per_second: u32,
    /// Bytes of messages a second, and twice as many at once.
    pub bytes_per_second: u32,
    /// Bytes of messages that wait for a peer to take them.
    pub queue_bytes: u32,
}

impl Default for DataLimits {
    fn default() -> Self {
        Self { message_bytes: 16 * 1024, messages_per_second: 200, bytes_per_second: 512 * 1024, queue_bytes: 512 * 1024 }
    }
}

impl DataLimits {
    /// Bytes that go before a payload at most: topic, receivers.
    pub const ENVELOPE: u32 = 4 * 1024;

    /// Bytes of the longest message as it is on a channel: what the answer's `a=max-message-size` says.
    pub const fn longest(&self) -> u32 {
        self.message_bytes.saturating_add(Self::ENVELOPE)
    }
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// An m-line on which the peer sends.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivePlan {
    /// Index in the offer.
    pub mline: u8,
    /// Its `a=mid`.
    pub mid: Mid,
    /// What it carries.
    pub kind: MediaKind,
    /// Accepted codecs, in the order of the answer.
    pub codecs: Vec<CodecPlan>,
    /// Header extensions that the peer may put into its packets.
    pub extensions: ExtensionMap,
    /// Declared SSRCs (`a=ssrc`), each with the SSRC of its RTX stream (`a=ssrc-group:FID`) when there is one.
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// The encodings of a simulcast by their `rid` (RFC 8851), as they were first offered: a place here is an encoding's number for
    /// life. Empty when the offer had no rids.
    pub rids: Vec<Rid>,
    /// Whether the declared SSRCs are the encodings of a simulcast (`a=ssrc-group:SIM`), and not one stream after another.
    pub ssrc_encodings: bool,
}

/// Encodings of one m-line that are taken; what is offered beyond them is not accepted. Browsers send three.
pub const MOST_ENCODINGS: usize = 3;

impl ReceivePlan {
    /// How many encodings the m-line may carry: 1 to [`MOST_ENCODINGS`].
    pub fn encodings(&self) -> usize {
        let by_ssrc = if self.ssrc_encodings { self.ssrcs.len() } else { 1 };
        self.rids.len().max(by_ssrc).clamp(1, MOST_ENCODINGS)
    }
}

/// An m-line on which we send: one half of a slot pair.
#[derive(Clone, Debug, PartialEq)]
pub struct SendPlan {
    /// Index in the offer.
    pub mline: u8,
    /// Its `a=mid`.
    pub mid: Mid,
    /// What it carries.
    pub kind: MediaKind,
    /// The SSRC that we announced for it; never changes.
    pub ssrc: u32,
    /// The SSRC of its RTX stream (RFC 4588), announced when any codec has RTX.
    pub rtx_ssrc: Option<u32>,
    /// Codecs that the peer can receive here.
    pub codecs: Vec<CodecPlan>,
    /// Header extensions that we may write.
    pub extensions: ExtensionMap,
}

/// One payload type of an m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct CodecPlan {
    /// The payload type, 0–127.
    pub payload_type: u8,
    /// What it means.
    pub codec: Codec,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// The payload type of its RTX packets (RFC 4588), if negotiated.
    pub rtx: Option<u8>,
    /// Negotiated RTCP feedback.
    pub feedback: Feedback,
}

/// Codecs that pass through, with the parameters that decide whether one endpoint's stream is another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// Redundant audio over Opus (RFC 2198); the payload type of the Opus blocks inside.
    Red {
        /// Payload type of the blocks.
        primary: u8,
    },
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9 {
        /// `profile-id`, 0–3.
        profile: u8,
    },
    /// H.264 (RFC 6184).
    H264 {
        /// `profile_idc` and constraint flags that matter, as `profile-level-id` without its level.
        profile: H264Profile,
        /// `packetization-mode`, 0 or 1.
        packetization_mode: u8,
    },
    /// AV1 (the AV1 RTP payload format).
    Av1 {
        /// `profile`, 0–2.
        profile: u8,
    },
}

/// H.264 profiles as RFC 6184 section 8.1 (table 5) tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum H264Profile {
    /// Constrained baseline.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained high.
    ConstrainedHigh,
    /// High.
    High,
    /// Predictive high 4:4:4.
    PredictiveHigh444,
}

impl Codec {
    /// What it carries.
    pub const fn kind(self) -> MediaKind {
        match self {
            Codec::Opus | Codec::Red { .. } => MediaKind::Audio,
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::H264 { .. } | Codec::Av1 { .. } => MediaKind::Video,
        }
    }

    /// Whether a decoder for `self` can decode a stream of `sent`.
    pub fn decodes(self, sent: Codec) -> bool {
        match (self, sent) {
            (Codec::Red { .. }, Codec::Red { .. }) => true,
            (a, b) => a == b,
        }
    }
}

/// RTCP feedback of one payload type (`a=rtcp-fb`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Generic NACK (RFC 4585).
    pub nack: bool,
    /// Picture loss indication (RFC 4585).
    pub pli: bool,
    /// Full intra request (RFC 5104).
    pub fir: bool,
    /// Transport-wide congestion control feedback.
    pub transport_cc: bool,
    /// Receiver estimated maximum bitrate.
    pub remb: bool,
}

/// Header extensions that Althing reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Extension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    RtpStreamId,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRtpStreamId,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// Transport-wide congestion control sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc,
    /// Absolute send time, 24 bits of 6.18 fixed point seconds.
    AbsSendTime,
    /// Absolute capture time: an NTP timestamp of the capture and, optionally, a clock offset.
    AbsCaptureTime,
    /// Playout delay limits.
    PlayoutDelay,
    /// Coordination of video orientation (3GPP TS 26.114).
    VideoOrientation,
    /// The AV1 dependency descriptor.
    DependencyDescriptor,
    /// Video content type (screen or camera).
    VideoContentType,
}

impl Extension {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Extension; 11] = [
        Extension::Mid,
        Extension::RtpStreamId,
        Extension::RepairedRtpStreamId,
        Extension::AudioLevel,
        Extension::TransportCc,
        Extension::AbsSendTime,
        Extension::AbsCaptureTime,
        Extension::PlayoutDelay,
        Extension::VideoOrientation,
        Extension::DependencyDescriptor,
        Extension::VideoContentType,
    ];

    /// The URI in `a=extmap`.
    pub const fn uri(self) -> &'static str {
        match self {
            Extension::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Extension::RtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Extension::RepairedRtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Extension::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Extension::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Extension::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Extension::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Extension::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Extension::VideoOrientation => "urn:3gpp:video-orientation",
            Extension::DependencyDescriptor => "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
            Extension::VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
        }
    }
}

/// Ids of the negotiated header extensions (RFC 8285).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionMap {
    ids: [u8; Extension::ALL.len()],
    /// Whether `a=extmap-allow-mixed` was agreed: the two-byte form may be used.
    pub two_byte_allowed: bool,
}

impl ExtensionMap {
    /// The id of an extension (1–255), if negotiated.
    pub const fn id(&self, extension: Extension) -> Option<u8> {
        match self.ids[extension as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// Says that `extension` has `id` (1–255); 0 takes it away.
    pub fn set(&mut self, extension: Extension, id: u8) {
        self.ids[extension as usize] = id;
    }

    /// The extension that has `id`, if any.
    pub fn extension(&self, id: u8) -> Option<Extension> {
        if id == 0 {
            return None;
        }
        Extension::ALL.into_iter().find(|e| self.ids[*e as usize] == id)
    }
}

/// A short token that packets carry: at most 16 bytes (RFC 8852, RFC 9143 allow longer ones, no one sends them).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortToken {
    len: u8,
    bytes: [u8; 16],
}

/// The value of `a=mid`.
pub type Mid = ShortToken;
/// The value of `a=rid`.
pub type Rid = ShortToken;

impl ShortToken {
    /// The longest token, in bytes.
    pub const MAX: usize = 16;

    /// A token from text; `None` when it is empty or longer than [`Self::MAX`] bytes.
    pub fn new(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// A token from bytes; `None` when there are none or more than [`Self::MAX`].
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        (!text.is_empty()).then_some(Self { len: text.len() as u8, bytes })
    }

    /// The token's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for ShortToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for ShortToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_says_whose_it_is() {
        assert_eq!(owner_of_ufrag(&ufrag_of(WorkerId(0), "abc")), Some(WorkerId(0)));
        assert_eq!(owner_of_ufrag(&ufrag_of(WorkerId(255), "abc")), Some(WorkerId(255)));
        for none in ["", "f", "zz9", "é9"] {
            assert_eq!(owner_of_ufrag(none), None);
        }
    }
}
