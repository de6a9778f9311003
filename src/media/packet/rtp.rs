//! The RTP header (RFC 3550 section 5.1), which is in clear in SRTP packets too.

use super::Malformed;
use super::bytes::{u16_at, u32_at};

const FIXED_LEN: usize = 12;

/// An RTP header, read once per received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The marker bit: the end of a picture, or the start of a talk spurt.
    pub marker: bool,
    /// The payload type, 0–127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the payload type's clock rate.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
    /// Whether padding ends the payload; its length is known only after decryption: [`padding_len`].
    pub padding: bool,
    /// The header extension, if there is one.
    pub extension: Option<ExtensionBlock>,
    /// Bytes before the payload: the fixed header, the CSRCs and the whole extension. Never more than the packet has.
    pub header_len: usize,
}

/// Where the elements of a header extension lie in the packet, without the four bytes that announce them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// How the elements are written.
    pub form: ExtensionForm,
    /// Offset of the first byte in the packet.
    pub start: usize,
    /// Offset after the last byte; never beyond the packet.
    pub end: usize,
}

/// The forms of header extension elements (RFC 8285 sections 4.2 and 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionForm {
    /// `0xBEDE`: ids 1–14, values of 1–16 bytes.
    OneByte,
    /// `0x100x`: ids 1–255, values of 0–255 bytes.
    TwoByte,
    /// Anything else: no elements.
    Unknown,
}

impl RtpHeader {
    /// Reads the header of an RTP or SRTP packet.
    ///
    /// # Errors
    /// [`Malformed::Version`], or [`Malformed::Truncated`] when the packet ends within its header.
    pub fn parse(packet: &[u8]) -> Result<RtpHeader, Malformed> {
        let &[first, second, ..] = packet.first_chunk::<FIXED_LEN>().ok_or(Malformed::Truncated)?;
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let csrcs_end = usize::from(first & 0x0f).wrapping_mul(4).wrapping_add(FIXED_LEN);
        let extension = if first & 0x10 == 0 { None } else { Some(ExtensionBlock::parse(packet, csrcs_end).ok_or(Malformed::Truncated)?) };
        let header_len = extension.map_or(csrcs_end, |block| block.end);
        if header_len > packet.len() {
            return Err(Malformed::Truncated);
        }
        Ok(RtpHeader {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16_at(packet, 2).ok_or(Malformed::Truncated)?,
            timestamp: u32_at(packet, 4).ok_or(Malformed::Truncated)?,
            ssrc: u32_at(packet, 8).ok_or(Malformed::Truncated)?,
            padding: first & 0x20 != 0,
            extension,
            header_len,
        })
    }
}

impl ExtensionBlock {
    /// The block announced at `at`; its end is not yet known to lie in the packet.
    fn parse(packet: &[u8], at: usize) -> Option<Self> {
        let form = match u16_at(packet, at)? {
            0xbede => ExtensionForm::OneByte,
            profile if profile & 0xfff0 == 0x1000 => ExtensionForm::TwoByte,
            _ => ExtensionForm::Unknown,
        };
        let words = u16_at(packet, at.wrapping_add(2))?;
        let start = at.wrapping_add(4);
        let end = usize::from(words).wrapping_mul(4).wrapping_add(start);
        Some(Self { form, start, end })
    }
}

/// The length of the padding that ends a decrypted payload, its last byte (RFC 3550 section 5.1).
///
/// `None` when that is impossible: no payload, zero, or more than the payload. A payload may be padding alone.
pub fn padding_len(payload: &[u8]) -> Option<usize> {
    let len = usize::from(*payload.last()?);
    (len != 0 && len <= payload.len()).then_some(len)
}

/// Whether a packet of the RTP port is RTCP (RFC 5761 section 4): its second byte is 192–223.
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|second| matches!(second, 192..=223))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bytes::Bytes;
    use proptest::prelude::*;
    use rtc_rtp::header::{Extension, Header};
    use rtc_shared::marshal::{Marshal, Unmarshal};

    /// Two CSRCs, a one-byte block of one word, three bytes of payload.
    const PACKET: [u8; 31] =
        [0x92, 0xe0, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0x01, 0x02, 0x03, 0x04, 0, 0, 0, 9, 0, 0, 0, 8, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, 1, 2, 3];

    #[test]
    fn a_header_with_csrcs_and_an_extension_is_read() {
        let extension = Some(ExtensionBlock { form: ExtensionForm::OneByte, start: 24, end: 28 });
        let expected = RtpHeader {
            marker: true,
            payload_type: 96,
            sequence: 0x1234,
            timestamp: 0xdead_beef,
            ssrc: 0x0102_0304,
            padding: false,
            extension,
            header_len: 28,
        };
        assert_eq!(RtpHeader::parse(&PACKET), Ok(expected));
    }

    #[test]
    fn a_header_cut_anywhere_is_truncated_and_a_payload_cut_anywhere_is_not() {
        for cut in 0..PACKET.len() {
            let parsed = RtpHeader::parse(&PACKET[..cut]);
            if cut < 28 { assert_eq!(parsed, Err(Malformed::Truncated), "{cut}") } else { assert_eq!(parsed.map(|h| h.header_len), Ok(28)) }
        }
    }

    #[test]
    fn another_version_is_refused() {
        for version in [0u8, 1, 3] {
            let mut packet = PACKET;
            packet[0] = packet[0] & 0x3f | version << 6;
            assert_eq!(RtpHeader::parse(&packet), Err(Malformed::Version));
        }
    }

    #[test]
    fn the_profile_says_the_form() {
        for (profile, form) in [
            (0xbede_u16, ExtensionForm::OneByte),
            (0x1000, ExtensionForm::TwoByte),
            (0x100f, ExtensionForm::TwoByte),
            (0x1010, ExtensionForm::Unknown),
        ] {
            let mut packet = PACKET;
            packet[20..22].copy_from_slice(&profile.to_be_bytes());
            assert_eq!(RtpHeader::parse(&packet).unwrap().extension.unwrap().form, form);
        }
    }

    #[test]
    fn padding_is_believed_only_when_it_is_possible() {
        assert_eq!(padding_len(&[]), None);
        assert_eq!(padding_len(&[7, 0]), None);
        assert_eq!(padding_len(&[7, 3]), None);
        assert_eq!(padding_len(&[7, 2]), Some(2));
        assert_eq!(padding_len(&[7, 7, 1]), Some(1));
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_byte() {
        assert!(!is_rtcp(&[0x80]));
        for second in 0..=255 {
            assert_eq!(is_rtcp(&[0x80, second]), (192..=223).contains(&second));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_header_inside_them_or_a_refusal(packet in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(header) = RtpHeader::parse(&packet) {
                prop_assert!(header.header_len <= packet.len());
                if let Some(block) = header.extension {
                    prop_assert!(block.start <= block.end && block.end == header.header_len);
                }
            }
        }

        #[test]
        fn headers_written_by_another_implementation_are_read_alike(
            (marker, padding) in any::<(bool, bool)>(),
            payload_type in 0u8..128,
            (sequence, timestamp, ssrc) in any::<(u16, u32, u32)>(),
            csrc in proptest::collection::vec(any::<u32>(), 0..16),
            value in proptest::collection::vec(any::<u8>(), 1..17),
        ) {
            let extensions = vec![Extension { id: 3, payload: Bytes::from(value.clone()) }];
            let header = Header {
                version: 2, padding, extension: true, marker, payload_type, sequence_number: sequence, timestamp, ssrc, csrc,
                extension_profile: 0xbede, extensions, extensions_padding: (4 - (value.len() + 1) % 4) % 4,
            };
            let bytes = header.marshal().unwrap();
            let ours = RtpHeader::parse(&bytes).unwrap();
            prop_assert_eq!((ours.marker, ours.padding, ours.payload_type, ours.sequence), (marker, padding, payload_type, sequence));
            prop_assert_eq!((ours.timestamp, ours.ssrc, ours.header_len), (timestamp, ssrc, bytes.len()));
            prop_assert_eq!(Header::unmarshal(&mut bytes.clone()).unwrap().csrc, header.csrc);
        }
    }
}
