//! Reading the log behind the writer: whoever delivers, and whoever asks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::log::Shared;
use super::segment::{self, Frame, Next};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// An event as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// Its place in the log.
    pub place: u64,
    /// Its JSON, as it is delivered.
    pub json: Vec<u8>,
}

/// A place in the log.
pub struct Reader {
    shared: Arc<Shared>,
    /// The place of the next event that is wanted.
    next: u64,
    at: Option<At>,
}

/// Where that is.
struct At {
    segment: u64,
    file: File,
    /// The place of the event at `offset`, should there be one.
    place: u64,
    offset: u64,
}

impl Reader {
    /// Begins behind this place.
    pub(super) fn new(shared: Arc<Shared>, after: u64) -> Self {
        Self { shared, next: after.saturating_add(1), at: None }
    }

    /// The place of the last event that was read, or passed over because it is not kept any more.
    pub fn through(&self) -> u64 {
        self.next - 1
    }

    /// The next events that last: `most` of them at most, and not many more bytes than are read at once; none at the end.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub fn read(&mut self, most: usize) -> io::Result<Vec<Kept>> {
        let lasting = *self.shared.lasting.borrow();
        let mut kept = Vec::new();
        while self.next <= lasting && kept.len() < most {
            let Some(segment) = self.find() else { break };
            let before = (self.next, self.at.as_ref().map(|at| (at.segment, at.offset)));
            self.read_some(segment, lasting, most, &mut kept)?;
            if !kept.is_empty() {
                break;
            }
            if before == (self.next, self.at.as_ref().map(|at| (at.segment, at.offset))) {
                self.pass_over(segment, lasting);
            }
        }
        Ok(kept)
    }

    /// The segment with the next event; the oldest one, where it is not kept any more.
    fn find(&mut self) -> Option<u64> {
        let segments = self.shared.segments();
        let oldest = segments.first()?.first;
        self.next = self.next.max(oldest);
        segments.iter().rev().find(|segment| segment.first <= self.next).map(|segment| segment.first)
    }

    fn read_some(&mut self, segment: u64, lasting: u64, most: usize, kept: &mut Vec<Kept>) -> io::Result<()> {
        if self.at.as_ref().is_none_or(|at| at.segment != segment) {
            let file = File::open(segment::path(&self.shared.folder, segment))?;
            self.at = Some(At { segment, file, place: segment, offset: 0 });
        }
        let Some(at) = &mut self.at else { return Ok(()) };
        let length = at.file.metadata()?.len().saturating_sub(at.offset);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(CHUNK)];
        at.file.read_exact_at(&mut bytes, at.offset)?;
        if at.offset == 0 && matches!(segment::next(&bytes, 0), Next::Torn) {
            // A head is as long as there is much open.
            bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            at.file.read_exact_at(&mut bytes, 0)?;
        }
        let mut offset = 0;
        while let Next::Frame(frame, end) = segment::next(&bytes, offset) {
            if let Frame::Event(json) = frame {
                if at.place > lasting || kept.len() >= most {
                    break;
                }
                if at.place >= self.next {
                    kept.push(Kept { place: at.place, json: json.to_vec() });
                    self.next = at.place + 1;
                }
                at.place += 1;
            }
            offset = end;
        }
        at.offset += offset as u64;
        Ok(())
    }

    /// What should be here cannot be read: the next segment's events are the next ones.
    fn pass_over(&mut self, segment: u64, lasting: u64) {
        let next = self.shared.segments().iter().find(|other| other.first > segment).map(|other| other.first);
        let next = next.unwrap_or(lasting + 1);
        tracing::error!(events = next - self.next, "events are passed over: {} is spoilt", segment::path(&self.shared.folder, segment).display());
        self.shared.metrics.lost("spoilt", next - self.next);
        self.next = next;
        self.at = None;
    }
}
