//! From what a leg is to get to what it gets: it changes only where a decoder can follow.
//!
//! Another encoding begins with its key frame, and until then the old one goes on. Within an encoding a leg goes down to a layer
//! that is part of the present one at the next picture, and up where a frame says that a receiver may.

use crate::base::seq::timestamp_after;
use crate::media::packet::dependency::Structure;
use crate::media::packet::layers::{Layer, LayerSet};
use crate::media::publish::cache::PacketMeta;

/// Changes of layer that are remembered: what comes late, or again, is judged by what held in its time. More would cost 24 bytes each
/// for every subscription; as many do not happen while packets are repaired.
const CHANGES: usize = 4;

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

/// The layers of an encoding, and how one gets from one to another: as its descriptors say, or nested as those of VP8 and VP9 are.
#[derive(Clone, Copy, Debug)]
pub struct Ways<'a>(pub Option<&'a Structure>);

impl Ways<'_> {
    /// The layers that there are, as far as that is known.
    pub fn known(self) -> LayerSet {
        self.0.map_or(LayerSet::ALL, Structure::layers)
    }

    /// The layers to which one may go down from one at any picture.
    pub fn nested(self, layer: Layer) -> LayerSet {
        self.0.map_or(LayerSet::within(layer), |structure| structure.nested(layer))
    }
}

/// What one leg gets of its track.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// The encoding that is forwarded; none before one has begun.
    on: Option<u8>,
    /// The generation of the encoding.
    generation: u32,
    /// Whether a beginning needs a key frame: sound does not.
    needs_key_frame: bool,
    /// The layer that is aimed at cannot be reached without a key frame.
    stuck: bool,
    /// The timestamp of the newest picture.
    picture: u32,
    /// Whether anything of that was left out, or its end was marked before all of it had come: nothing can be added to it.
    cut: bool,
    /// The highest number seen of the encoding.
    highest: u64,
    /// Layers and since when they hold, the newest first.
    changes: [Change; CHANGES],
    aim: Aim,
}

/// A layer, the number of the packet from which on it holds, and the timestamp of that packet's picture.
#[derive(Clone, Copy, Debug)]
struct Change {
    layer: Layer,
    since: u64,
    picture: u32,
}

impl Default for Switch {
    fn default() -> Self {
        let change = Change { layer: Layer::TOP, since: 0, picture: 0 };
        Self {
            on: None,
            generation: 0,
            needs_key_frame: true,
            stuck: false,
            picture: 0,
            cut: false,
            highest: 0,
            changes: [change; CHANGES],
            aim: Aim::default(),
        }
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
        self.stuck = false;
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
        self.on.map(|encoding| Choice { encoding, layer: self.layer() })
    }

    /// What comes next has nothing to do with what went out.
    pub const fn begin_anew(&mut self) {
        self.on = None;
    }

    /// Whether a beginning needs a key frame: sound does not.
    pub const fn needs_key_frame(&self) -> bool {
        self.needs_key_frame
    }

    /// Whether something is forwarded.
    pub const fn has_begun(&self) -> bool {
        self.on.is_some()
    }

    /// Whether what is forwarded is another encoding than the one that is wanted.
    pub fn is_leaving(&self) -> bool {
        self.on.is_some() && self.on != self.aim.wanted.map(|wanted| wanted.encoding)
    }

    /// A bit for each encoding whose packets it has to see.
    pub fn encodings(&self) -> u8 {
        self.aim.encodings() | self.on.map_or(0, |on| 1 << on)
    }

    /// The encodings whose key frame it waits for: to begin with them, or to reach another layer of the present one.
    pub fn awaits(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        let (on, needs, stuck) = (self.on, self.needs_key_frame, self.stuck);
        let encodings = [self.aim.wanted, self.aim.meanwhile].into_iter().flatten().map(|choice| choice.encoding);
        encodings.filter(move |encoding| needs && (on != Some(*encoding) || stuck))
    }

    /// Looks whether the layer that is aimed at can be reached without a key frame; what is awaited follows from it.
    pub fn look_ahead(&mut self, ways: Ways<'_>) {
        let Some(choice) = self.on.and_then(|on| self.aim.of(on)) else { return self.stuck = false };
        let Some(target) = ways.known().highest_within(choice.layer) else { return self.stuck = false };
        let layer = self.layer();
        // More pictures a second come by themselves, at the next frame that allows it.
        self.stuck = target.spatial() != layer.spatial() && !ways.nested(layer).contains(target);
    }

    /// Whether this is a packet of what is forwarded now, in this generation.
    pub fn is_on(&self, encoding: u8, generation: u32) -> bool {
        self.on == Some(encoding) && self.generation == generation
    }

    /// Whether this packet of what is forwarded now is newer than all that it has seen of it.
    pub fn awaits_number(&self, encoding: u8, meta: &PacketMeta) -> bool {
        self.is_on(encoding, meta.generation) && meta.sequence > self.highest
    }

    /// Whether this packet, or a newer one, of what is forwarded now has been seen.
    pub fn has_seen(&self, encoding: u8, meta: &PacketMeta) -> bool {
        self.is_on(encoding, meta.generation) && meta.sequence <= self.highest
    }

    /// What becomes of a packet of encoding `encoding`.
    pub fn step(&mut self, encoding: u8, meta: &PacketMeta, ways: Ways<'_>) -> Step {
        if self.on == Some(encoding) && self.generation != meta.generation {
            self.on = None;
        }
        if self.on != Some(encoding) {
            return self.enter(encoding, meta);
        }
        let newest = meta.sequence > self.highest;
        self.highest = self.highest.max(meta.sequence);
        // Also of what is being left: what is aimed at may be this encoding again before the picture ends.
        let begins = timestamp_after(meta.timestamp, self.picture);
        if begins {
            (self.picture, self.cut) = (meta.timestamp, false);
        }
        if let Some(choice) = self.aim.of(encoding) {
            self.follow(choice.layer, meta, (begins, newest), ways);
        }
        let sends = self.sends(meta);
        if meta.timestamp == self.picture && (!sends || self.ends_picture(meta) && !meta.marker) {
            self.cut = true;
        }
        if sends { Step::Forward } else { Step::Leave }
    }

    /// Whether a packet of what is forwarded is of a layer that went out when it was its turn.
    fn sends(&self, meta: &PacketMeta) -> bool {
        self.layer_at(meta).is_none_or(|layer| meta.layers.present.contains(layer))
    }

    /// Whether a packet of what is forwarded has gone out for sure: what was left out, and went out as padding, is not sent later.
    pub fn has_sent(&self, meta: &PacketMeta) -> bool {
        self.layer_at(meta).is_some_and(|layer| meta.layers.present.contains(layer))
    }

    /// Whether this packet is the last of its picture for this leg: the layers above it are cut.
    pub fn ends_picture(&self, meta: &PacketMeta) -> bool {
        let cut = |layer: Layer| layer.spatial() < Layer::TOP.spatial() && meta.layers.layer.spatial() == layer.spatial();
        meta.marker || meta.layers.ends() && self.layer_at(meta).is_some_and(cut)
    }

    fn layer(&self) -> Layer {
        let [newest, ..] = self.changes;
        newest.layer
    }

    /// The layer that holds for a packet: a picture is whole, whichever of its packets was the first to come. None when that is
    /// forgotten: what has a place among the numbers still is sent, since padding in it would leave a hole in a frame.
    fn layer_at(&self, meta: &PacketMeta) -> Option<Layer> {
        let held = self.changes.iter().find(|change| meta.sequence >= change.since || meta.timestamp == change.picture);
        held.map(|change| change.layer)
    }

    fn enter(&mut self, encoding: u8, meta: &PacketMeta) -> Step {
        let Some(choice) = self.aim.of(encoding) else { return Step::Other };
        if self.needs_key_frame && !meta.starts_key_frame {
            return if self.on.is_none() { Step::AwaitKeyFrame } else { Step::Other };
        }
        if self.aim.wanted.is_some_and(|wanted| wanted.encoding == encoding) {
            // Here it is: what it got meanwhile is not to come back by itself.
            self.aim.meanwhile = None;
        }
        (self.on, self.generation, self.picture, self.highest, self.stuck) = (Some(encoding), meta.generation, meta.timestamp, meta.sequence, false);
        let layer = meta.layers.switch.highest_within(choice.layer).unwrap_or(choice.layer);
        self.cut = false;
        self.changes = [Change { layer, since: meta.sequence, picture: meta.timestamp }; CHANGES];
        Step::Begin
    }

    /// The layer may become another one: a lower one only where a picture begins, so that none goes out without its upper part, and
    /// a higher one only with the newest packet: of a frame whose later packets were left out nothing can be sent any more.
    fn follow(&mut self, limit: Layer, meta: &PacketMeta, (begins, newest): (bool, bool), ways: Ways<'_>) {
        let present = self.layer();
        // What comes first of a key frame need not be its beginning.
        let is_whole = meta.timestamp == self.picture && !self.cut;
        // A key frame brings layers of its own; those from before it may not be there any more.
        let layer = if is_whole && meta.starts_key_frame {
            meta.layers.switch.highest_within(limit).unwrap_or(present)
        } else if limit != present {
            self.look_ahead(ways);
            meta.layers.step(present, limit, ways.nested(present))
        } else {
            return;
        };
        if layer != present && (begins && layer < present || layer > present && is_whole && (newest || meta.starts_key_frame)) {
            self.changes.copy_within(..CHANGES - 1, 1);
            self.changes[0] = Change { layer, since: meta.sequence, picture: meta.timestamp };
        }
    }
}
