//! What a packet of layered video means to a receiver of some of its layers: whether it is needed, and where a receiver may
//! change to other layers.
//!
//! Each codec says this in its own words (RFC 7741 section 4.2, RFC 9628 section 4.2, the AV1 RTP specification's dependency
//! descriptor); [`FrameLayers`] is what is left when the words are taken away. Forwarding knows nothing else about layers.

use super::{vp8, vp9};
use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A layer, meaning everything that a receiver of it gets: a picture size (spatial, 0–3) at a frame rate (temporal, 0–3).
///
/// The order is spatial first: a larger picture is worth more than a higher rate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer(u8);

impl Layer {
    /// The smallest picture at the lowest rate.
    pub const BASE: Self = Self(0);
    /// The highest that can be named, whether a stream has it or not.
    pub const TOP: Self = Self(0x0f);

    /// From a spatial and a temporal id; ids above 3 count as 3.
    pub const fn new(spatial: u8, temporal: u8) -> Self {
        let (spatial, temporal) = (if spatial > 3 { 3 } else { spatial }, if temporal > 3 { 3 } else { temporal });
        Self(spatial << 2 | temporal)
    }

    /// From ids that a sender wrote; `None` when one is above 3. Such a layer goes to nobody, and no lower one misses it.
    pub const fn named(spatial: u8, temporal: u8) -> Option<Self> {
        if spatial > 3 || temporal > 3 { None } else { Some(Self::new(spatial, temporal)) }
    }

    /// The spatial id, 0–3.
    pub const fn spatial(self) -> u8 {
        self.0 >> 2
    }

    /// The temporal id, 0–3.
    pub const fn temporal(self) -> u8 {
        self.0 & 3
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}T{}", self.spatial(), self.temporal())
    }
}

/// Any of the sixteen layers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LayerSet(u16);

/// One bit for each spatial id, at its temporal id 0.
const SPATIAL: u16 = 0x1111;

impl LayerSet {
    /// No layer.
    pub const NONE: Self = Self(0);
    /// All layers.
    pub const ALL: Self = Self(u16::MAX);

    /// The layers that are no higher than `limit` in either way.
    pub const fn within(limit: Layer) -> Self {
        let rates = 0x0f >> (3 & !limit.temporal());
        let sizes = u16::MAX >> (0x0c & !(limit.spatial() << 2));
        Self(SPATIAL.wrapping_mul(rates) & sizes)
    }

    /// The layers that are no lower than `floor` in either way: who needs a frame of `floor` when layers build on all below.
    pub const fn above(floor: Layer) -> Self {
        let rates = 0x0f << floor.temporal() & 0x0f;
        let sizes = u16::MAX << (floor.spatial() << 2);
        Self(SPATIAL.wrapping_mul(rates) & sizes)
    }

    /// The layers of one picture size.
    pub const fn of_spatial(spatial: u8) -> Self {
        Self(0x0f << ((spatial & 3) << 2))
    }

    /// The layers of one rate.
    pub const fn of_temporal(temporal: u8) -> Self {
        Self(SPATIAL << (temporal & 3))
    }

    /// Whether no layer is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `layer` is in the set.
    pub const fn contains(self, layer: Layer) -> bool {
        self.0 >> layer.0 & 1 != 0
    }

    /// Adds `layer`.
    pub const fn insert(&mut self, layer: Layer) {
        self.0 |= 1 << layer.0;
    }

    /// What is left of the set without the layers of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The layers, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        (0..16).map(Layer).filter(move |layer| self.contains(*layer))
    }

    /// The best layer of the set that is no higher than `limit` in either way: the largest picture, then the highest rate.
    pub const fn highest_within(self, limit: Layer) -> Option<Layer> {
        match (self.0 & Self::within(limit).0).checked_ilog2() {
            Some(highest) => Some(Layer(highest as u8)),
            None => None,
        }
    }
}

impl BitOr for LayerSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for LayerSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for LayerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What one packet means. A *frame* here is one picture of one spatial layer.
///
/// A receiver has a current layer, and has been given every frame that was `present` for it. [`Self::step`] is the rule by
/// which that layer changes. One that has been given nothing begins with a key frame, at the best layer of its `switch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayers {
    /// The frame's own ids.
    pub layer: Layer,
    edges: u8,
    /// Receivers at these layers need the packet.
    pub present: LayerSet,
    /// Receivers at these layers were given all that the frame refers to. Those who need it are among them.
    pub decodable: LayerSet,
    /// Who can decode the frame can also decode all that follows at these layers.
    pub switch: LayerSet,
}

const BEGINS: u8 = 1;
const ENDS: u8 = 2;
const UNREAD: u8 = 4;

// One of these is kept beside every cached packet.
const _: () = assert!(size_of::<FrameLayers>() <= 8);

impl FrameLayers {
    /// A packet of a codec without layers: everybody needs it, and a key frame opens everything.
    pub fn whole(begins: bool, ends: bool, key: bool) -> Self {
        let (decodable, switch) = (LayerSet::ALL, if key { LayerSet::ALL } else { LayerSet::NONE });
        Self { layer: Layer::BASE, edges: edges(begins, ends), present: LayerSet::ALL, decodable, switch }
    }

    /// A packet of which only the structure that its key frame begins with will say what it means: until then nobody is sent it.
    pub const fn unread() -> Self {
        let none = LayerSet::NONE;
        Self { layer: Layer::BASE, edges: UNREAD, present: none, decodable: none, switch: none }
    }

    /// Whether it is such a packet.
    pub const fn is_unread(self) -> bool {
        self.edges & UNREAD != 0
    }

    /// A VP8 packet; `marker` is the RTP header's.
    ///
    /// A frame of temporal layer t is needed by all who have t or more, whichever spatial layer they have. One with Y refers to
    /// the base only, so that everybody can decode it, and frees what follows at t from what was before. It frees no higher
    /// layer: one that goes from 0 to 2 waits for a frame of layer 2 with Y, or passes by 1.
    pub fn from_vp8(descriptor: &vp8::Descriptor, marker: bool) -> Self {
        let whole = Self::whole(descriptor.start_of_frame, marker, descriptor.key_frame);
        let Some(temporal) = descriptor.temporal_id else {
            return whole;
        };
        let layer = Layer::new(0, temporal);
        let present = LayerSet::above(layer);
        match (descriptor.key_frame, descriptor.layer_sync) {
            (true, _) => Self { layer, present, ..whole },
            (_, true) => Self { layer, present, switch: LayerSet::of_temporal(temporal), ..whole },
            _ => Self { layer, present, decodable: present, ..whole },
        }
    }

    /// A VP9 packet.
    ///
    /// A frame of spatial layer s and temporal layer t is needed by all who have s and t or more. That holds also where the
    /// upper layers do without the lower ones (Z): whoever gets them all can come down at once, and forwarding less would make
    /// every way down wait for a key frame.
    ///
    /// What opens:
    /// - The base of a key picture (no prediction from other pictures at s = 0) opens everything to everybody.
    /// - No prediction from other pictures at s > 0 leaves at most the next lower frame of the same picture to refer to. That
    ///   opens s to those who are given that frame.
    /// - U says that later pictures above t refer to no earlier picture above t. Who has t goes on to any rate. Who has less
    ///   does not: nothing is said about this picture's own references. Nor does another spatial layer open.
    pub fn from_vp9(descriptor: &vp9::Descriptor) -> Self {
        let whole = Self::whole(descriptor.start_of_frame, descriptor.end_of_frame, !descriptor.predicted);
        let Some(vp9::LayerIds { spatial, temporal, switching_up, .. }) = descriptor.layer else {
            return whole;
        };
        let Some(layer) = Layer::named(spatial, temporal) else {
            let none = LayerSet::NONE;
            return Self { layer: Layer::new(spatial, temporal), present: none, decodable: none, switch: none, ..whole };
        };
        let present = LayerSet::above(layer);
        if !descriptor.predicted && spatial == 0 {
            return Self { layer, present, ..whole };
        }
        let lower = if descriptor.predicted { layer } else { Layer::new(spatial.saturating_sub(1), temporal) };
        let rates = match (switching_up, descriptor.predicted) {
            (true, _) => present,
            (false, false) => LayerSet::of_temporal(temporal),
            (false, true) => LayerSet::NONE,
        };
        Self { layer, present, decodable: LayerSet::above(lower), switch: rates & LayerSet::of_spatial(spatial), ..whole }
    }

    /// A packet with a dependency descriptor.
    ///
    /// `present` and `switch` are its decode targets with an indication other than "not present", and with "switch". The latter
    /// holds for who can decode the frame: whoever needs it, and everybody when it refers to no frame (`independent`).
    pub(super) fn from_dependency(layer: Layer, (begins, ends): (bool, bool), present: LayerSet, switch: LayerSet, independent: bool) -> Self {
        let decodable = if independent { LayerSet::ALL } else { present };
        Self { layer, edges: edges(begins, ends), present, decodable, switch }
    }

    /// Bytes that [`Self::to_bytes`] takes.
    pub const BYTES: usize = 8;

    /// All of it in bytes, for another worker of this process.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let ([a, b], [c, d], [e, f]) = (self.present.0.to_be_bytes(), self.decodable.0.to_be_bytes(), self.switch.0.to_be_bytes());
        [self.layer.0, self.edges, a, b, c, d, e, f]
    }

    /// What [`Self::to_bytes`] made bytes of.
    pub const fn from_bytes([layer, edges, a, b, c, d, e, f]: [u8; Self::BYTES]) -> Self {
        let (present, decodable, switch) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), u16::from_be_bytes([e, f]));
        Self { layer: Layer(layer & 0x0f), edges, present: LayerSet(present), decodable: LayerSet(decodable), switch: LayerSet(switch) }
    }

    /// Whether this is the frame's first packet.
    pub const fn begins(self) -> bool {
        self.edges & BEGINS != 0
    }

    /// Whether this is the frame's last packet. Where no higher spatial layer is forwarded, it ends the picture.
    pub const fn ends(self) -> bool {
        self.edges & ENDS != 0
    }

    /// The layer that a receiver at `current` has from this packet on, this packet included, when `limit` is the best that it
    /// may have. The packet is to be forwarded when it is `present` for the answer.
    ///
    /// `limit` is a layer that the stream has. `nested` are the layers whose frames are all among `current`'s, so that going
    /// there needs nothing: [`LayerSet::within`] for VP8 and VP9, [`Structure::nested`](super::dependency::Structure::nested)
    /// where there are descriptors, all where there are no layers. The way to `limit` may lead through layers between. While no
    /// layer within `limit` can be reached, `current` stays, above `limit` or not.
    ///
    /// It is asked for every packet, in the order of their sending. To leave no picture without its upper part, lower `limit`
    /// only at the first packet of a picture.
    pub fn step(self, current: Layer, limit: Layer, nested: LayerSet) -> Layer {
        if !self.begins() {
            return current;
        }
        let opened = if self.decodable.contains(current) { self.switch } else { LayerSet::NONE };
        let mut reachable = opened | nested;
        reachable.insert(current);
        reachable.highest_within(limit).unwrap_or(current)
    }
}

const fn edges(begins: bool, ends: bool) -> u8 {
    (if begins { BEGINS } else { 0 }) | (if ends { ENDS } else { 0 })
}

#[cfg(test)]
pub(super) mod tests;
