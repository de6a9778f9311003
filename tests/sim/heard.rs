//! What comes out at a participant: every packet's stamp, its number, and what is missing.

use std::collections::BTreeMap;

use althing::base::{Ntp, Time};
use althing::media::transport::ReceiveStream;

use super::OPUS;

/// What has come on one slot's SSRC.
#[derive(Default)]
pub struct Heard {
    pub(super) stream: ReceiveStream,
    /// Extended outgoing number → stamp.
    pub packets: BTreeMap<u64, Stamp>,
    pub duplicates: u64,
    /// What was received on the wire, by extended number: no two packets may have one number.
    pub(super) sealed: BTreeMap<u64, Vec<u8>>,
    /// The very same packet, again: asked for twice.
    pub repeats: u64,
    pub(super) missing: BTreeMap<u64, Time>,
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

impl Heard {
    pub(super) fn note(&mut self, now: Time, number: u64, stamp: Stamp) {
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

/// Reads the stamp that `sending` put into a payload; none in what was cut short or changed on purpose.
pub fn stamp(payload_type: u8, payload: &[u8]) -> Option<Stamp> {
    let stamp = payload.get(if payload_type == OPUS { 1 } else { 5 }..)?;
    let word = |at: usize| Some(u32::from_be_bytes(stamp.get(at..at + 4)?.try_into().ok()?));
    Some(Stamp {
        client: word(0)?,
        kind: *stamp.get(4)?,
        number: u64::from(word(5)?) << 32 | u64::from(word(9)?),
        timestamp: word(13)?,
        key: *stamp.get(17)? == 1,
    })
}
