//! A packet from the server, opened.

use std::collections::BTreeMap;

use althing::contract::Extension;
use althing::media::packet::rtp::{RtpHeader, padding_len};
use althing::media::rewrite::SourceExtensions;
use althing::media::transport::{ReceiveStream, SrtpError, SrtpReceiver};

use crate::sender::extensions;
use crate::stamp::Stamp;
use crate::stream::OPUS;

/// A packet of a slot's stream.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The media SSRC, also of a repeat.
    pub ssrc: u32,
    /// The media payload type, also of a repeat.
    pub payload_type: u8,
    /// Its number, which never wraps.
    pub number: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// The contributing source that it names.
    pub source: Option<u32>,
    /// Whether it came as RTX.
    pub repeat: bool,
    pub transport: Option<u16>,
    pub dependency: Option<Vec<u8>>,
    /// Without padding: empty when there was nothing else.
    pub payload: Vec<u8>,
    pub stamp: Option<Stamp>,
}

impl Packet {
    pub fn is_sound(&self) -> bool {
        self.payload_type == OPUS
    }
}

/// What is known of each SSRC.
#[derive(Default)]
pub struct Opener {
    streams: BTreeMap<u32, ReceiveStream>,
}

impl Opener {
    /// Opens a packet, and undoes RTX.
    ///
    /// # Errors
    /// As [`SrtpReceiver::open`].
    pub fn open(&mut self, receiver: &SrtpReceiver, mut bytes: Vec<u8>) -> Result<Packet, SrtpError> {
        let header = RtpHeader::parse(&bytes).expect("well-formed");
        let stream = self.streams.entry(header.ssrc).or_default();
        let opened = receiver.open(stream, &mut bytes, header.header_len, header.sequence, header.ssrc)?;
        let extensions = SourceExtensions::read(&header, &extensions(), &bytes);
        let transport = extensions.get(Extension::TransportCc, &bytes).map(|value| u16::from_be_bytes([value[0], value[1]]));
        let dependency = extensions.get(Extension::DependencyDescriptor, &bytes).map(<[u8]>::to_vec);
        let mut payload = &bytes[header.header_len..header.header_len + opened.payload_len];
        if header.padding {
            payload = &payload[..payload.len() - padding_len(payload).expect("padding says its length")];
        }
        // Slots have even SSRCs and payload types for media, odd ones for RTX; sound has no RTX.
        let repeat = header.ssrc & 1 == 1;
        let mut packet = Packet {
            ssrc: header.ssrc & !1,
            payload_type: if repeat { header.payload_type - 1 } else { header.payload_type },
            number: opened.index,
            timestamp: header.timestamp,
            marker: header.marker,
            source: (bytes[0] & 0x0f == 1).then(|| u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])),
            repeat,
            transport,
            dependency,
            payload: Vec::new(),
            stamp: None,
        };
        if repeat && payload.len() >= 2 {
            let original = u16::from_be_bytes([payload[0], payload[1]]);
            packet.number = self.streams.get(&packet.ssrc).map_or(u64::from(original), |media| media.index(original));
            payload = &payload[2..];
        }
        packet.stamp = Stamp::read(payload);
        packet.payload = payload.to_vec();
        Ok(packet)
    }
}
