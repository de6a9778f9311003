//! From what a leg is to get to what it gets: it changes only where a decoder can follow.
//!
//! Another encoding begins with its key frame, and until then the old one goes on. Within an encoding a leg goes down to a layer
//! that is part of the present one at the next picture, and up where a frame says that a receiver may.

use crate::base::seq::timestamp_after;
use crate::media::packet::layers::{FrameLayers, Layer, LayerSet};
use crate::media::publish::cache::PacketMeta;

/// An encoding of a track, and a layer of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The encoding's number.
    pub encoding: u8,
    /// The highest layer.
    pub layer: Layer,
}

/// What a leg is to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// What it is to get; none: nothing.
    pub wanted: Option<Choice>,
    /// What it is to get until that is being sent.
    pub meanwhile: Option<Choice>,
}

impl Aim {
    /// An aim without an alternative.
    pub const fn at(choice: Choice) -> Self {
        Self { wanted: Some(choice), meanwhile: None }
    }

    /// A bit for each encoding that it names.
    pub fn encodings(self) -> u8 {
        [self.wanted, self.meanwhile].into_iter().flatten().fold(0, |bits, choice| bits | 1 << choice.encoding)
    }

    fn of(self, encoding: u8) -> Option<Choice> {
        [self.wanted, self.meanwhile].into_iter().flatten().find(|choice| choice.encoding == encoding)
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Forward,
    /// It goes on, and has nothing to do with what went before.
    Begin,
    /// It is of a layer that is left out: its number is closed.
    Leave,
    /// It is of an encoding that is not forwarded (yet).
    Other,
    /// Nothing is forwarded before a key frame, and it is none.
    AwaitKeyFrame,
}

/// What one leg gets of its track.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// The encoding that is forwarded; none before one has begun.
    on: Option<u8>,
    /// The layer of it, from the packet with number `since` on.
    layer: Layer,
    /// The generation of the encoding.
    generation: u32,
    /// Whether a beginning needs a key frame: sound does not.
    needs_key_frame: bool,
    /// The timestamp of the newest picture.
    picture: u32,
    since: u64,
    /// The layer before that.
    before: Layer,
    aim: Aim,
}

impl Default for Switch {
    fn default() -> Self {
        let (layer, before) = (Layer::TOP, Layer::TOP);
        Self { on: None, layer, generation: 0, needs_key_frame: true, picture: 0, since: 0, before, aim: Aim::default() }
    }
}

impl Switch {
    /// Another track, of which nothing is aimed at yet.
    pub const fn point(&mut self, needs_key_frame: bool) {
        (self.on, self.needs_key_frame) = (None, needs_key_frame);
        self.aim = Aim { wanted: None, meanwhile: None };
    }

    /// Aims at something else of the same track. Aiming at nothing ends what is forwarded.
    pub const fn aim(&mut self, aim: Aim) {
        self.aim = aim;
        if aim.wanted.is_none() && aim.meanwhile.is_none() {
            self.on = None;
        }
    }

    /// What it is to get.
    pub const fn aimed(&self) -> Aim {
        self.aim
    }

    /// The encoding and the layer that are forwarded; none before a beginning.
    pub fn present(&self) -> Option<Choice> {
        self.on.map(|encoding| Choice { encoding, layer: self.layer })
    }

    /// What comes next has nothing to do with what went out.
    pub const fn begin_anew(&mut self) {
        self.on = None;
    }

    /// Whether something is forwarded.
    pub const fn has_begun(&self) -> bool {
        self.on.is_some()
    }

    /// A bit for each encoding whose packets it has to see.
    pub fn encodings(&self) -> u8 {
        self.aim.encodings() | self.on.map_or(0, |on| 1 << on)
    }

    /// The encoding whose key frame it waits for: of what is wanted, else of what it gets meanwhile.
    pub fn awaits(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        let (on, needs) = (self.on, self.needs_key_frame);
        let encodings = [self.aim.wanted, self.aim.meanwhile].into_iter().flatten().map(|choice| choice.encoding);
        encodings.filter(move |encoding| needs && on != Some(*encoding))
    }

    /// Whether this is a packet of what is forwarded now, in this generation.
    pub fn is_on(&self, encoding: u8, generation: u32) -> bool {
        self.on == Some(encoding) && self.generation == generation
    }

    /// What becomes of a packet of encoding `encoding`. `nested` says to which layers one may go down from one at any time.
    pub fn step(&mut self, encoding: u8, meta: &PacketMeta, nested: impl Fn(Layer) -> LayerSet) -> Step {
        if self.on == Some(encoding) && self.generation != meta.generation {
            self.on = None;
        }
        if self.on != Some(encoding) {
            return self.enter(encoding, meta);
        }
        if let Some(choice) = self.aim.of(encoding) {
            self.follow(choice.layer, meta, nested);
        }
        if self.sends(meta.sequence, &meta.layers) { Step::Forward } else { Step::Leave }
    }

    /// Whether a packet of what is forwarded is of a layer that went out when it was its turn.
    pub fn sends(&self, sequence: u64, layers: &FrameLayers) -> bool {
        layers.present.contains(if sequence < self.since { self.before } else { self.layer })
    }

    /// Whether this packet is the last of its picture for this leg: the layers above it are cut.
    pub fn ends_picture(&self, meta: &PacketMeta) -> bool {
        meta.marker || meta.layers.ends() && meta.layers.layer.spatial() == self.layer.spatial() && self.layer.spatial() < Layer::TOP.spatial()
    }

    /// Since which number of the source the present layer holds.
    pub const fn since(&self) -> u64 {
        self.since
    }

    fn enter(&mut self, encoding: u8, meta: &PacketMeta) -> Step {
        let Some(choice) = self.aim.of(encoding) else { return Step::Other };
        // What it gets meanwhile is no better than what is wanted, once that is forwarded.
        let meanwhile = self.aim.wanted.is_some_and(|wanted| wanted.encoding != encoding);
        if meanwhile && self.on.is_some() && self.on == self.aim.wanted.map(|wanted| wanted.encoding) {
            return Step::Other;
        }
        if self.needs_key_frame && !meta.starts_key_frame {
            return if self.on.is_none() { Step::AwaitKeyFrame } else { Step::Other };
        }
        (self.on, self.generation) = (Some(encoding), meta.generation);
        self.layer = meta.layers.switch.highest_within(choice.layer).unwrap_or(choice.layer);
        (self.before, self.since, self.picture) = (self.layer, meta.sequence, meta.timestamp);
        Step::Begin
    }

    /// The layer may become another one: a lower one only where a picture begins, so that none goes out without its upper part.
    fn follow(&mut self, limit: Layer, meta: &PacketMeta, nested: impl Fn(Layer) -> LayerSet) {
        let begins = timestamp_after(meta.timestamp, self.picture);
        if begins {
            self.picture = meta.timestamp;
        }
        // A key frame brings layers of its own; those from before it may not be there any more.
        let layer = if begins && meta.starts_key_frame {
            meta.layers.switch.highest_within(limit).unwrap_or(self.layer)
        } else if limit != self.layer {
            meta.layers.step(self.layer, limit, nested(self.layer))
        } else {
            return;
        };
        if begins || layer > self.layer {
            self.change(meta.sequence, layer);
        }
    }

    fn change(&mut self, sequence: u64, layer: Layer) {
        if layer != self.layer {
            (self.before, self.layer, self.since) = (self.layer, layer, sequence);
        }
    }
}
