//! Data channels: after everything else of a turn, a bounded part at a time.
//!
//! What comes is handed up to control, which knows who it is for, and comes down again as a message for the peers of this worker. Control
//! says when it has dealt with a message; until then it is handed a bounded number of them.

use bytes::Bytes;

use super::Room;
use crate::base::{PeerId, Time};
use crate::contract::{Counter, DataEnd, DataPlan, Event};
use crate::media::demux::PeerAt;
use crate::media::engine::Shared;
use crate::media::transport::{SctpEvent, SctpTransport};

/// Messages of a room that control has not dealt with at most; whoever sends more reliably waits, what is lossy is dropped.
pub(super) const MOST_IN_CONTROL: u32 = 128;

impl Room {
    /// An offer has, or has no more, an m-line of data channels.
    pub(super) fn take_data_plan(&mut self, index: usize, plan: Option<DataPlan>, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        match (plan, &mut peer.data, &mut peer.dtls) {
            (Some(plan), Some(data), _) => data.set_plan(plan),
            (Some(plan), none, Some(dtls)) => {
                dtls.take_data();
                *none = Some(Box::new(SctpTransport::new(plan, shared.epoch)));
            }
            (None, Some(data), _) => {
                data.close();
                self.list_data(index, shared);
            }
            (_, None, _) => {}
        }
    }

    /// Application data has come through a peer's DTLS: packets of SCTP.
    pub(super) fn take_data(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let (Some(dtls), Some(data)) = (&mut peer.dtls, &mut peer.data) else { return };
        while let Some(packet) = dtls.poll_data() {
            data.handle_packet(now, &packet, &mut self.data_room, &mut shared.counters);
        }
        self.list_data(index, shared);
    }

    /// A message of control's for some peers. It is queued now, and sent in their turn.
    pub(super) fn send_data(&mut self, now: Time, to: &[PeerId], message: Vec<u8>, reliable: bool, shared: &mut Shared) {
        let message = Bytes::from(message);
        for id in to {
            let index = self.peer_index(*id);
            let Some((index, data)) = index.and_then(|index| Some((index, self.peers.get_mut(index)?.data.as_mut()?))) else {
                shared.counters.add(Counter::DataDropNoChannel);
                continue;
            };
            data.send(now, &message, reliable, &mut shared.counters);
            self.list_data(index, shared);
        }
    }

    /// Control has dealt with messages of this room: as many more may be handed up.
    pub(super) fn data_taken(&mut self, messages: u32, shared: &mut Shared) {
        let had_room = self.data_room > 0;
        self.data_room = self.data_room.saturating_add(messages).min(MOST_IN_CONTROL);
        // Where there was room, nobody waits for it: this comes with each message.
        if had_room {
            return;
        }
        let waiting: Vec<usize> =
            self.peers.iter().filter(|(_, p)| p.data.as_ref().is_some_and(|d| d.has_unread())).map(|(index, _)| index).collect();
        waiting.into_iter().for_each(|index| self.list_data(index, shared));
    }

    /// What a peer's data channels have to do by now; the bytes that were sent.
    pub fn data_turn(&mut self, now: Time, index: usize, shared: &mut Shared) -> usize {
        let Some(peer) = self.peers.get_mut(index) else { return 0 };
        let (path, id) = (peer.path(), peer.id);
        let (Some(dtls), Some(data)) = (&mut peer.dtls, &mut peer.data) else { return 0 };
        data.listed = false;
        let mut sent = 0;
        // Without a way to the peer its clock stands still: it would only wait longer and longer between its tries.
        if let Some(path) = path {
            data.handle_timeout(now, &mut self.data_room, &mut shared.counters);
            while let Some(packet) = data.poll_transmit(now, &mut shared.counters) {
                if let Some(datagram) = dtls.seal(now, &packet) {
                    sent += datagram.len();
                    shared.reply(path, &datagram);
                }
            }
        }
        while let Some(event) = data.poll_event() {
            let room = self.id;
            shared.events.push_back(match event {
                SctpEvent::Opened => {
                    shared.counters.add(Counter::DataOpened);
                    Event::DataChannel { room, peer: id, end: None }
                }
                SctpEvent::Ended(end) => {
                    if end == DataEnd::Closed {
                        shared.counters.add(Counter::DataClosed);
                    }
                    Event::DataChannel { room, peer: id, end: Some(end) }
                }
                SctpEvent::Message { message, reliable } => Event::Data { room, worker: shared.worker, peer: id, message, reliable },
            });
        }
        data.due = data.poll_timeout(now).filter(|_| path.is_some());
        if let Some(at) = data.due {
            self.peers_due.sooner(index, at);
        }
        sent
    }

    /// What is due by a peer's data channels is done after packets.
    pub(super) fn data_due(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let due = self.peers.get(index).and_then(|peer| peer.data.as_ref()?.due);
        if due.is_some_and(|at| at <= now) {
            self.list_data(index, shared);
        }
    }

    pub(super) fn list_data(&mut self, index: usize, shared: &mut Shared) {
        let Some(data) = self.peers.get_mut(index).and_then(|peer| peer.data.as_mut()) else { return };
        data.due = None;
        if !std::mem::replace(&mut data.listed, true) {
            shared.list_data(PeerAt { room: self.key, peer: index });
        }
    }
}
