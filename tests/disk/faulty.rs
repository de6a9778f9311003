//! A disk with a cache that forgets: a file system of one file, for a loop device. What is written since the last flush is kept apart, so
//! that the power can be cut at any moment; it can refuse writes, and be slow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use althing::base::random::Random;

use super::fuse::{Content, IO_ERROR, Refused};

/// What a disk writes whole or not at all.
const BLOCK: usize = 4_096;

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Blocks that were never written before cannot be: a file's new data, not the file system's own.
    NewBlocks,
    /// Nothing can be written.
    AllBlocks,
    /// Each write and each flush takes so long.
    Slow(Duration),
    /// Writes and flushes do not come back, until something else is wrong.
    Hang,
}

/// What a power cut leaves of what was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Some blocks, which these numbers choose.
    Some(u64),
}

/// The disk.
pub struct Disk {
    platter: Mutex<Platter>,
    /// Something else is wrong.
    changed: Condvar,
}

struct Platter {
    /// What is read.
    now: Vec<u8>,
    /// What a power cut leaves: blocks in which there is something.
    lasting: BTreeMap<usize, Arc<[u8]>>,
    /// What was written since the last flush, in order: the block, and what is in it then.
    cache: Vec<(usize, Arc<[u8]>)>,
    ever_written: BTreeSet<usize>,
    fault: Fault,
    /// When the fault was first felt.
    felt: Option<Instant>,
}

impl Disk {
    /// A disk of so many bytes with this at its beginning.
    pub fn new(len: u64, image: &[u8]) -> Self {
        let mut now = vec![0; len as usize];
        now[..image.len()].copy_from_slice(image);
        let blocks = image.chunks(BLOCK).enumerate().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
        let lasting: BTreeMap<usize, Arc<[u8]>> = blocks.map(|(block, bytes)| (block, bytes.into())).collect();
        let ever_written = lasting.keys().copied().collect();
        let platter = Platter { now, lasting, cache: Vec::new(), ever_written, fault: Fault::None, felt: None };
        Self { platter: Mutex::new(platter), changed: Condvar::new() }
    }

    /// From now on this is wrong.
    pub fn suffer(&self, fault: Fault) {
        let mut platter = self.platter();
        (platter.fault, platter.felt) = (fault, if fault == Fault::None { platter.felt } else { None });
        self.changed.notify_all();
    }

    /// When the last fault was first felt by whoever uses the disk.
    pub fn felt(&self) -> Option<Instant> {
        self.platter().felt
    }

    /// Writes what would be there if the power went off now into a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cut(&self, left: Left, image: &Path) -> io::Result<()> {
        let platter = self.platter();
        let (len, mut blocks) = (platter.now.len() as u64, platter.lasting.clone());
        if let Left::Some(seed) = left {
            let mut random = Random::new(seed);
            blocks.extend(platter.cache.iter().filter(|_| random.next_u64().is_multiple_of(2)).cloned());
        }
        drop(platter);
        let file = File::create(image)?;
        file.set_len(len)?;
        blocks.iter().try_for_each(|(block, bytes)| file.write_all_at(bytes, (block * BLOCK) as u64))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, once it gets to it; an error when it refuses. `fresh` is of blocks that were never written.
    fn reach(&self, fresh: impl Fn(&Platter) -> bool) -> Result<MutexGuard<'_, Platter>, Refused> {
        let mut platter = self.platter();
        let begun = Instant::now();
        loop {
            let fault = platter.fault;
            let refuses = match fault {
                Fault::None => return Ok(platter),
                Fault::NewBlocks => fresh(&platter),
                Fault::AllBlocks => true,
                Fault::Slow(_) | Fault::Hang => false,
            };
            if fault == Fault::NewBlocks && !refuses {
                return Ok(platter);
            }
            platter.felt.get_or_insert(begun);
            let wait = match fault {
                Fault::Slow(takes) => takes.saturating_sub(begun.elapsed()),
                _ => Duration::from_secs(60),
            };
            if refuses {
                return Err(IO_ERROR);
            }
            if wait.is_zero() {
                return Ok(platter);
            }
            platter = self.changed.wait_timeout(platter, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Platter {
    fn write(&mut self, offset: usize, data: &[u8]) {
        self.now[offset..offset + data.len()].copy_from_slice(data);
        for block in offset / BLOCK..(offset + data.len()).div_ceil(BLOCK) {
            let end = self.now.len().min((block + 1) * BLOCK);
            self.cache.push((block, self.now[block * BLOCK..end].into()));
            self.ever_written.insert(block);
        }
    }

    fn flush(&mut self) {
        self.lasting.extend(self.cache.drain(..));
    }
}

impl Content for Disk {
    fn len(&self) -> u64 {
        self.platter().now.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let platter = self.platter();
        let from = platter.now.len().min(offset as usize);
        platter.now[from..platter.now.len().min(from + len)].to_vec()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Refused> {
        let offset = offset as usize;
        let blocks = || offset / BLOCK..(offset + data.len()).div_ceil(BLOCK);
        self.reach(|platter| blocks().any(|block| !platter.ever_written.contains(&block)))?.write(offset, data);
        Ok(())
    }

    fn sync(&self) -> Result<(), Refused> {
        self.reach(|_| false)?.flush();
        Ok(())
    }
}
