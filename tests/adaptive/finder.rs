//! Which frames a receiver takes a frame to refer to, by what its descriptor says: the rules of libwebrtc's reference finders.

use std::collections::{BTreeMap, BTreeSet};

use althing::media::packet::{dependency, vp8, vp9};

/// A frame whose packets are all there.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The numbers of its first and last packet.
    pub first: u64,
    pub last: u64,
    pub key: bool,
    pub said: Said,
    /// Its picture id or frame number, and its TL0PICIDX, as they are without wrapping.
    pub numbers: (i64, i64),
}

/// What its first packet's descriptor says.
#[derive(Clone, Debug)]
pub enum Said {
    Vp8(vp8::Descriptor),
    Vp9(vp9::Descriptor),
    Described(dependency::Descriptor),
    Nothing,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its number among all frames, and those of the frames that it refers to.
    Frame(i64, Vec<i64>),
    /// Something before it is missing.
    Wait,
    Drop,
}

/// Pictures that are remembered as missing.
const MOST_MISSING: i64 = 100;
/// Base pictures that are remembered.
const MOST_BASES: i64 = 50;
/// Spatial layers, as frames are numbered.
const SPATIAL: i64 = 5;

/// A number that wraps after some bits, made one that does not.
#[derive(Clone, Copy, Default)]
pub struct Unwrapped(Option<i64>);

impl Unwrapped {
    pub fn next(&mut self, value: u16, bits: u32) -> i64 {
        let turn = 1_i64 << bits;
        let near = self.0.unwrap_or(i64::from(value) + turn);
        let ahead = (i64::from(value) - near).rem_euclid(turn);
        let unwrapped = near + if ahead < turn / 2 { ahead } else { ahead - turn };
        self.0 = Some(unwrapped);
        unwrapped
    }
}

/// The references of one stream's frames.
#[derive(Default)]
pub struct Finder {
    pictures: Unwrapped,
    bases: Unwrapped,
    vp8: Vp8,
    vp9: Groups,
    /// The last packet, padding included, and the last frame of what began with a key frame.
    chain: Option<(u64, i64)>,
    padding: BTreeSet<u64>,
}

impl Finder {
    /// The numbers of what has just come. To be asked once: they are told from those that came before.
    pub fn numbers(&mut self, said: &Said) -> (i64, i64) {
        let (id, tl0) = match said {
            Said::Vp8(said) => (said.picture_id, said.tl0_picture_index),
            Said::Vp9(said) => (said.picture_id, said.tl0_picture_index),
            Said::Described(said) => return (self.pictures.next(said.frame_number, 16), 0),
            Said::Nothing => return (0, 0),
        };
        (id.map_or(0, |id| self.pictures.next(id.value, 15)), tl0.map_or(0, |(_, tl0)| self.bases.next(tl0.into(), 8)))
    }

    pub fn find(&mut self, frame: &Assembled) -> Found {
        let (id, tl0) = frame.numbers;
        match &frame.said {
            Said::Vp8(said) => match said.temporal_id {
                Some(temporal) => self.vp8.find(id, tl0, usize::from(temporal), frame.key, said.layer_sync),
                None => Found::Drop,
            },
            Said::Vp9(said) => {
                let Some(layer) = said.layer else { return Found::Drop };
                let found = match said.tl0_picture_index {
                    Some(_) => self.vp9.find(id, tl0, layer, frame.key, said),
                    None => Found::Frame(id, said.references.iter().filter(|back| **back != 0).map(|back| id - i64::from(*back)).collect()),
                };
                let Found::Frame(id, references) = found else { return found };
                let spatial = i64::from(layer.spatial);
                let mut references: Vec<i64> = references.iter().map(|reference| reference * SPATIAL + spatial).collect();
                references.extend(layer.inter_layer.then_some(id * SPATIAL + spatial - 1));
                Found::Frame(id * SPATIAL + spatial, references)
            }
            Said::Described(said) => {
                assert_eq!(said.references >> 63, 0, "no reference is further back than can be told");
                Found::Frame(id, (0..63).filter(|bit| said.references >> bit & 1 == 1).map(|bit| id - 1 - bit).collect())
            }
            Said::Nothing => self.follow(frame),
        }
    }

    /// A number that will be no frame's.
    pub fn padding(&mut self, number: u64) {
        self.padding.insert(number);
        if self.padding.len() > 500 {
            self.padding.pop_first();
        }
    }

    /// Without any descriptor a frame refers to the one before it, and no number between may be missing.
    fn follow(&mut self, frame: &Assembled) -> Found {
        let id = frame.last as i64;
        if frame.key {
            self.chain = Some((frame.last, id));
            return Found::Frame(id, vec![]);
        }
        let Some((mut end, before)) = self.chain else { return Found::Wait };
        while self.padding.contains(&(end + 1)) {
            end += 1;
        }
        if frame.first <= end {
            return Found::Drop;
        }
        if frame.first != end + 1 {
            return Found::Wait;
        }
        self.chain = Some((frame.last, id));
        Found::Frame(id, vec![before])
    }
}

#[derive(Default)]
struct Vp8 {
    last: Option<i64>,
    missing: BTreeSet<i64>,
    /// For each base picture, by its TL0PICIDX: the last picture of each temporal layer.
    layers: BTreeMap<i64, [Option<i64>; 4]>,
}

impl Vp8 {
    fn find(&mut self, id: i64, tl0: i64, temporal: usize, key: bool, layer_sync: bool) -> Found {
        let oldest = id - MOST_MISSING;
        self.missing.retain(|missing| *missing >= oldest);
        let last = self.last.get_or_insert(id);
        *last = (*last).max(oldest);
        while *last < id {
            *last += 1;
            self.missing.insert(*last);
        }
        self.layers.retain(|base, _| *base >= tl0 - MOST_BASES);
        if key {
            if temporal != 0 {
                return Found::Drop;
            }
            self.layers.insert(tl0, [None; 4]);
            self.received(id, tl0, 0);
            return Found::Frame(id, vec![]);
        }
        let Some(known) = self.layers.get(&if temporal == 0 { tl0 - 1 } else { tl0 }).copied() else { return Found::Wait };
        if temporal == 0 {
            self.layers.entry(tl0).or_insert(known);
            if known[0].is_some_and(|before| before >= id) {
                return Found::Drop;
            }
            self.received(id, tl0, 0);
            return Found::Frame(id, known[0].into_iter().collect());
        }
        if layer_sync {
            if known[temporal].is_some_and(|before| before >= id) {
                return Found::Drop;
            }
            self.received(id, tl0, temporal);
            return Found::Frame(id, known[0].into_iter().collect());
        }
        let mut references = Vec::new();
        for before in &known[..=temporal] {
            let Some(before) = *before else { return Found::Wait };
            if before >= id {
                return Found::Drop;
            }
            if self.missing.range(before + 1..id).next().is_some() {
                return Found::Wait;
            }
            references.push(before);
        }
        self.received(id, tl0, temporal);
        Found::Frame(id, references)
    }

    fn received(&mut self, id: i64, tl0: i64, temporal: usize) {
        for base in tl0.. {
            let Some(layers) = self.layers.get_mut(&base) else { break };
            if layers[temporal].is_some_and(|newer| newer > id) {
                break;
            }
            layers[temporal] = Some(id);
        }
        self.missing.remove(&id);
    }
}

/// VP9 whose references follow a group of pictures. Here it is always that of four: T0, T2, T1, T2.
#[derive(Default)]
struct Groups {
    /// For each base picture, by its TL0PICIDX: where its group's numbers begin, and the last picture.
    bases: BTreeMap<i64, (i64, i64)>,
    /// Missing pictures by the temporal layer that their place in the group has.
    missing: [BTreeSet<i64>; 3],
    /// Pictures from which higher rates may be gone to.
    up: BTreeMap<i64, u8>,
}

const GROUP: [(u8, i64); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];

impl Groups {
    fn find(&mut self, id: i64, tl0: i64, layer: vp9::LayerIds, key: bool, said: &vp9::Descriptor) -> Found {
        let base = if said.structure.is_some() {
            self.bases.entry(tl0).or_insert((id, id));
            tl0
        } else if key {
            return Found::Drop;
        } else {
            let before = if layer.temporal == 0 { tl0 - 1 } else { tl0 };
            let Some((start, _)) = self.bases.get(&before).copied() else { return Found::Wait };
            if layer.temporal == 0 {
                self.bases.entry(tl0).or_insert((start, id));
            }
            tl0
        };
        if !key {
            self.bases.retain(|known, _| *known >= tl0 - MOST_BASES);
        }
        let Some((start, last)) = self.bases.get_mut(&base) else { return Found::Wait };
        let place = |id: i64| GROUP[(id - *start).rem_euclid(4) as usize];
        if id > *last {
            for between in *last + 1..id {
                self.missing[usize::from(place(between).0)].insert(between);
            }
            *last = id;
        } else {
            self.missing[usize::from(place(id).0)].remove(&id);
        }
        if key {
            return Found::Frame(id, vec![]);
        }
        let (temporal, back) = place(id);
        let reference = id - back;
        if self.missing[..usize::from(temporal)].iter().any(|missing| missing.range(reference..id).next().is_some()) {
            return Found::Wait;
        }
        if layer.switching_up {
            self.up.entry(id).or_insert(layer.temporal);
        }
        self.up.retain(|at, _| *at >= id - 50);
        let cut = self.up.range(reference + 1..id).any(|(_, rate)| *rate < layer.temporal);
        Found::Frame(id, if said.predicted && !cut { vec![reference] } else { vec![] })
    }
}
