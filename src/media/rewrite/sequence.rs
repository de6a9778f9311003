//! Sequence numbers that go on without a seam when packets are left out and when a slot is pointed at another source.

use crate::base::prefetch::prefetch;

/// Epochs that are kept: each is a run of numbers between two places where packets were left out. More would let older packets be
/// sent again, at 24 bytes each for every subscription; with every second picture left out, 64 are two seconds and more.
pub const EPOCHS: usize = 64;
/// For so many there is place at first: most slots never leave anything out. Grows by doubling, so a power of two.
const FIRST_EPOCHS: usize = 4;

/// Maps a source's extended sequence numbers to a slot's.
///
/// Both are 64 bits wide and never wrap: the lowest 16 go on the wire, the rest is SRTP's rollover counter.
///
/// **Invariant:** each epoch continues the output exactly where the one before it ends. So outputs are unique, keep the order of a
/// source's inputs, and have no gap where an input was skipped; and an output leads back to its input.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct SequenceMap {
    newest: usize,
    len: usize,
    /// The highest input that was mapped since the last switch.
    highest_in: Option<u64>,
    /// The highest output ever given out.
    highest_out: Option<u64>,
    first_out: u64,
    /// A ring of a power of two: the newest epoch is at `newest`, older ones are below it. Takes no memory before the first
    /// switch.
    epochs: Vec<Epoch>,
}

/// A run of inputs with one offset: from `first_in` to where the next epoch's skipped numbers begin.
#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    /// Inputs from here to before `first_in` were skipped.
    skipped_from: u64,
    first_in: u64,
    /// What `first_in` becomes.
    first_out: u64,
}

impl SequenceMap {
    /// A map that gives out `first_out` first. It maps nothing until the first [`Self::switch`].
    pub fn new(first_out: u64) -> Self {
        Self { epochs: Vec::new(), newest: 0, len: 0, highest_in: None, highest_out: None, first_out }
    }

    /// A new source begins with `first_in`, which becomes the number after the highest one given out. What came before can no
    /// longer be mapped or looked up.
    pub fn switch(&mut self, first_in: u64) {
        let first_out = self.highest_out.map_or(self.first_out, |highest| highest.wrapping_add(1));
        self.len = 0;
        self.highest_in = None;
        self.push(Epoch { skipped_from: first_in, first_in, first_out });
    }

    /// The outgoing number of a packet that is sent now.
    ///
    /// A number that has not come leaves its place free, since it may still come. `None`: the number was skipped, lies before the
    /// switch, or is older than the epochs that are kept. The same input always gives the same output.
    pub fn map(&mut self, input: u64) -> Option<u64> {
        let epoch = self.epoch_of(input).map(|(_, epoch)| epoch).filter(|epoch| input >= epoch.first_in)?;
        let out = epoch.first_out.wrapping_add(input.wrapping_sub(epoch.first_in));
        self.highest_in = self.highest_in.max(Some(input));
        self.highest_out = self.highest_out.max(Some(out));
        Some(out)
    }

    /// Says that this input will never be sent, and closes the gap: everything after it moves up by one.
    ///
    /// False when the gap stays, because it or a later one was sent already (or it is older than what is kept): the number keeps
    /// its place in the output, and nothing is remembered.
    pub fn skip(&mut self, input: u64) -> bool {
        if self.highest_in.is_some_and(|highest| input <= highest) {
            return self.was_skipped(input);
        }
        let Some((age, epoch)) = self.epoch_of(input) else {
            return false;
        };
        if input < epoch.first_in {
            return true;
        }
        let after = input.wrapping_add(1);
        let newer_begins = age.checked_sub(1).and_then(|newer| self.epoch(newer)).map(|newer| newer.skipped_from);
        if newer_begins == Some(after) {
            self.change(age.wrapping_sub(1), |newer| newer.skipped_from = input);
            self.shift_up(age);
            if input == epoch.first_in {
                self.absorb(age);
            }
        } else if input == epoch.first_in {
            self.change(age, |epoch| epoch.first_in = after);
            self.shift_up(age);
        } else {
            let first_out = epoch.first_out.wrapping_add(input.wrapping_sub(epoch.first_in));
            self.shift_up(age);
            self.insert_after(age, Epoch { skipped_from: input, first_in: after, first_out });
        }
        true
    }

    /// The input that the outgoing number `out` stands for: the nearest extended number at or below the highest given out.
    ///
    /// `None` when it was never given out or has been forgotten. A free place leads to the input that would fill it.
    pub fn source_of(&self, out: u16) -> Option<u64> {
        let highest = self.highest_out?;
        let extended = highest.checked_sub(u64::from((highest as u16).wrapping_sub(out)))?;
        let epoch = self.newest_first().find(|epoch| extended >= epoch.first_out)?;
        Some(epoch.first_in.wrapping_add(extended.wrapping_sub(epoch.first_out)))
    }

    /// Asks for the memory of the newest epoch.
    pub fn fetch(&self) {
        if let Some(newest) = self.epochs.get(self.newest) {
            prefetch(newest, 1);
        }
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.epochs.capacity().saturating_mul(size_of::<Epoch>())
    }

    /// The highest input that was mapped since the last switch.
    pub const fn highest_in(&self) -> Option<u64> {
        self.highest_in
    }

    /// The highest number given out so far.
    pub const fn highest_out(&self) -> Option<u64> {
        self.highest_out
    }

    fn was_skipped(&self, input: u64) -> bool {
        self.epoch_of(input).is_some_and(|(_, epoch)| input < epoch.first_in)
    }

    /// The epoch that has `input` in its run or among the numbers skipped before it, and its age (0 is the newest).
    fn epoch_of(&self, input: u64) -> Option<(usize, Epoch)> {
        // Nearly always.
        if let Some(newest) = self.epochs.get(self.newest).filter(|newest| self.len > 0 && input >= newest.skipped_from) {
            return Some((0, *newest));
        }
        self.newest_first().enumerate().find(|(_, epoch)| input >= epoch.skipped_from)
    }

    fn newest_first(&self) -> impl Iterator<Item = Epoch> {
        (0..self.len).filter_map(|age| self.epoch(age))
    }

    fn epoch(&self, age: usize) -> Option<Epoch> {
        self.epochs.get(self.place(age)).copied()
    }

    fn change(&mut self, age: usize, change: impl FnOnce(&mut Epoch)) {
        let place = self.place(age);
        if let Some(epoch) = self.epochs.get_mut(place) {
            change(epoch);
        }
    }

    fn place(&self, age: usize) -> usize {
        self.newest.wrapping_sub(age) & self.epochs.len().wrapping_sub(1)
    }

    /// Moves the outputs of all epochs newer than `age` up by one.
    fn shift_up(&mut self, age: usize) {
        for newer in 0..age {
            self.change(newer, |epoch| epoch.first_out = epoch.first_out.wrapping_sub(1));
        }
    }

    /// Appends the newest epoch; the oldest goes when there are [`EPOCHS`].
    fn push(&mut self, epoch: Epoch) {
        if self.len >= self.epochs.len() && self.epochs.len() < EPOCHS {
            self.grow();
        }
        self.newest = self.newest.wrapping_add(1);
        self.newest = self.place(0);
        self.len = self.len.wrapping_add(1).min(self.epochs.len());
        self.change(0, |place| *place = epoch);
    }

    /// Doubles the ring; the oldest epoch is at its beginning then.
    fn grow(&mut self) {
        let capacity = self.epochs.len().saturating_mul(2).clamp(FIRST_EPOCHS, EPOCHS);
        let mut epochs = Vec::with_capacity(capacity);
        epochs.extend((0..self.len).rev().filter_map(|age| self.epoch(age)));
        epochs.resize(capacity, Epoch::default());
        self.epochs = epochs;
        self.newest = self.len.wrapping_sub(1) & capacity.wrapping_sub(1);
    }

    /// Puts an epoch between that of `age` and the next newer one.
    fn insert_after(&mut self, age: usize, epoch: Epoch) {
        self.push(epoch);
        for newer in 0..age {
            if let Some(moved) = self.epoch(newer.wrapping_add(1)) {
                self.change(newer, |place| *place = moved);
            }
        }
        self.change(age, |place| *place = epoch);
    }

    /// Takes out the epoch of `age`, whose run has become empty: the next newer one has its skipped numbers now.
    fn absorb(&mut self, age: usize) {
        if let (Some(empty), Some(newer)) = (self.epoch(age), age.checked_sub(1)) {
            self.change(newer, |epoch| epoch.skipped_from = empty.skipped_from);
        }
        for younger in (0..age).rev() {
            if let Some(moved) = self.epoch(younger) {
                self.change(younger.wrapping_add(1), |place| *place = moved);
            }
        }
        self.newest = self.place(1);
        self.len = self.len.wrapping_sub(1);
    }
}

#[cfg(test)]
mod tests;
