//! The tap ring of a worker: what it copies for recordings, on the way to the thread that records.
//!
//! As the rings between workers: a packet that finds no room is lost and counted by the worker, which never waits.

use std::io;

use super::ring::{Bell, Rings, ring_to};

/// Bytes of a tap ring: a hundred recordings of 1.5 Mbit/s for 200 ms. Untouched parts take no memory.
pub const TAP_RING: usize = 4 << 20;

/// The worker's end.
pub struct TapWriter(Rings);

/// The recorder's end.
pub struct TapReader(Rings);

/// A tap ring whose reader wakes by `bell`. Fails when the process has no file descriptor left.
///
/// # Errors
/// As [`Bell::new`].
pub fn tap(bell: &Bell) -> io::Result<(TapWriter, TapReader)> {
    tap_of(bell, TAP_RING)
}

fn tap_of(bell: &Bell, bytes: usize) -> io::Result<(TapWriter, TapReader)> {
    let (writer, reader) = ring_to(&Bell::new()?, bell, bytes);
    Ok((TapWriter(writer), TapReader(reader)))
}

impl TapWriter {
    /// Leaves a frame of a head and a payload; false when there is no room, and it is lost.
    pub fn send(&mut self, head: &[u8], payload: &[u8]) -> bool {
        self.0.send(0, &[head, payload], false)
    }

    /// Rings if something was left and the reader sleeps; once a turn.
    pub fn ring_bell(&mut self) {
        self.0.ring_bells();
    }
}

impl TapReader {
    /// Takes the next frame, if a whole one is there.
    pub fn receive<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.receive(0, take)
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_and_a_full_ring_is_a_gap() {
        let bell = Bell::new().expect("eventfd");
        let (mut writer, mut reader) = tap_of(&bell, 1_000).expect("eventfd");
        bell.fall_asleep();
        let sent = (0..100u8).filter(|n| writer.send(&[*n], &[*n; 95])).count();
        assert_eq!(sent, 10, "it holds as many");
        writer.ring_bell();
        assert!(rustix::io::read(bell.fd(), &mut [0u8; 8]).is_ok(), "the reader is woken");
        let got: Vec<_> = std::iter::from_fn(|| reader.receive(|frame| (frame[0], frame.len()))).collect();
        assert_eq!(got, (0..10u8).map(|n| (n, 96)).collect::<Vec<_>>());
        assert!(reader.is_empty() && writer.send(&[1], &[2]) && !reader.is_empty(), "and goes on after it");
    }
}
