//! Hears the requests for key frames among the incoming RTCP, which the crate keeps to itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::sansio::Protocol;

use crate::load::board::Board;
use crate::load::member::lock;

/// How often each stream of ours was asked for a key frame.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<BTreeMap<u32, u32>>>);

impl Asked {
    /// Requests so far.
    pub fn of(&self, ssrc: u32) -> u32 {
        lock(&self.0).get(&ssrc).copied().unwrap_or(0)
    }
}

/// Counts requests by SSRC; lets everything pass.
pub(super) struct KeyFrameRequests {
    board: Arc<Board>,
    asked: Asked,
    incoming: VecDeque<TaggedPacket>,
    outgoing: VecDeque<TaggedPacket>,
}

impl KeyFrameRequests {
    /// Counts on the board and into `asked`.
    pub fn new(board: Arc<Board>, asked: Asked) -> Self {
        Self { board, asked, incoming: VecDeque::new(), outgoing: VecDeque::new() }
    }

    fn note(&self, ssrc: u32) {
        *lock(&self.asked.0).entry(ssrc).or_default() += 1;
        self.board.key_frames_asked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for KeyFrameRequests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            for packet in packets {
                if let Some(request) = packet.as_any().downcast_ref::<PictureLossIndication>() {
                    self.note(request.media_ssrc);
                } else if let Some(request) = packet.as_any().downcast_ref::<FullIntraRequest>() {
                    request.fir.iter().for_each(|entry| self.note(entry.ssrc));
                }
            }
        }
        self.incoming.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.incoming.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        self.outgoing.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outgoing.pop_front()
    }
}

impl Interceptor for KeyFrameRequests {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
