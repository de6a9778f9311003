//! The dependency descriptor, a header extension for any codec (AV1 RTP specification, appendix A).
//!
//! A key frame's first packet brings a [`Structure`]: *templates*, one for each kind of frame, that say which *decode targets*
//! (layers, as a receiver would name them) a frame belongs to. Most packets then name a template and a frame number in three
//! bytes; those that follow no template say what differs.
//!
//! Chains are passed over. They tell a receiver that a loss matters to it; what to forward follows from the targets alone.

mod bits;

use self::bits::{Bits, PutBits};
use super::layers::{FrameLayers, Layer, LayerSet};

/// The most templates that a structure can have: their ids take six bits.
const TEMPLATES: usize = 64;
/// The most decode targets: their number takes five bits.
const TARGETS: usize = 32;
/// Spatial ids, as AV1 has them.
const SPATIAL_IDS: u8 = 4;
/// Temporal ids, as AV1 has them. Those that [`Layer`] cannot name are read, and forwarded to nobody.
const TEMPORAL_IDS: u8 = 8;
/// Bytes of the part that every descriptor has. One that is no longer has nothing else (section A.8.2).
const MANDATORY_LEN: usize = 3;

// The extended part's flags, as they stand in its first five bits.
const STRUCTURE: u32 = 0x10;
const ACTIVE: u32 = 0x08;
const CUSTOM_TARGETS: u32 = 0x04;
const CUSTOM_REFERENCES: u32 = 0x02;
const CUSTOM_CHAINS: u32 = 0x01;
const FLAGS_LEN: u32 = 5;

/// What a stream's frames are like, from one key frame to the next. It has no pointers: it is to be kept in place, and
/// overwritten by the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    target_count: u8,
    chain_count: u8,
    template_count: u8,
    templates: [Template; TEMPLATES],
    /// What each target is called here. `None` for one that no template belongs to, that [`Layer`] cannot name, or whose name an
    /// earlier one has.
    targets: [Option<Layer>; TARGETS],
    layers: LayerSet,
    nested: [LayerSet; 16],
    /// Width and height for each spatial id; zeros where they are not told.
    resolutions: [(u16, u16); SPATIAL_IDS as usize],
}

// One of these is held for each published track.
const _: () = assert!(size_of::<Structure>() <= 640);

/// A kind of frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Template {
    spatial: u8,
    temporal: u8,
    targets: Targets,
    /// Bit n: it refers to the frame numbered n + 1 lower.
    references: u16,
}

/// What a frame is to the decode targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Targets {
    present: LayerSet,
    switch: LayerSet,
}

impl Structure {
    /// The structure that a descriptor brings; `None` when it brings none, or when it is not to be understood.
    pub fn attached(bytes: &[u8]) -> Option<Self> {
        let (_, flags, mut bits) = Head::read(bytes)?;
        if flags & STRUCTURE == 0 { None } else { Self::read(&mut bits) }
    }

    /// The layers of the stream: those that its decode targets stand for.
    pub const fn layers(&self) -> LayerSet {
        self.layers
    }

    /// The layers among [`Self::layers`] that a bitmask of active decode targets leaves.
    pub fn layers_in(&self, active: u32) -> LayerSet {
        let mut layers = LayerSet::NONE;
        for (_, layer) in self.named_targets().filter(|(bit, _)| active & bit != 0) {
            layers.insert(layer);
        }
        layers
    }

    /// The bitmask of the decode targets that a receiver can decode who is given `layer`, or the best of the stream's layers
    /// within it. Where spatial layers stand alone, the lower ones are not among them: their frames are not forwarded.
    pub fn active_for(&self, layer: Layer) -> u32 {
        let decodable = self.layers.highest_within(layer).map_or(LayerSet::NONE, |best| self.nested(best));
        self.named_targets().filter(|(_, layer)| decodable.contains(*layer)).fold(0, |mask, (bit, _)| mask | bit)
    }

    /// The layers whose frames are all frames of `from` too, `from` included: a receiver of `from` may go there at any frame.
    /// None when `from` is not among [`Self::layers`].
    ///
    /// That is what the templates say. A sender that writes other indications into single frames can break it, until its next
    /// key frame.
    pub fn nested(&self, from: Layer) -> LayerSet {
        self.nested.get(index(from)).copied().unwrap_or_default()
    }

    /// Width and height of a spatial id's pictures, in pixels; `None` when the structure does not tell.
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.resolutions.get(usize::from(spatial)).copied().filter(|size| *size != (0, 0))
    }

    /// How many decode targets there are, 1–32: the length of a bitmask, in bits.
    pub const fn target_count(&self) -> u32 {
        self.target_count as u32
    }

    fn named_targets(&self) -> impl Iterator<Item = (u32, Layer)> {
        self.targets.iter().enumerate().filter_map(|(at, layer)| Some((1_u32.wrapping_shl(at as u32), (*layer)?)))
    }

    fn templates(&self) -> &[Template] {
        self.templates.get(..self.template_count.into()).unwrap_or_default()
    }

    fn template(&self, id: u8) -> Option<&Template> {
        self.templates().get(usize::from(id.wrapping_sub(self.template_id_offset) & 0x3f))
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let template_id_offset = bits.take(6)? as u8;
        let target_count = (bits.take(5)? as u8).wrapping_add(1);
        let mut structure = Self {
            template_id_offset,
            target_count,
            chain_count: 0,
            template_count: 0,
            templates: [Template::default(); TEMPLATES],
            targets: [None; TARGETS],
            layers: LayerSet::NONE,
            nested: [LayerSet::NONE; 16],
            resolutions: [(0, 0); SPATIAL_IDS as usize],
        };
        structure.read_ids(bits)?;
        structure.read_targets(bits)?;
        structure.read_references(bits)?;
        structure.pass_chains(bits)?;
        if bits.flag()? {
            structure.read_resolutions(bits)?;
        }
        structure.find_nested();
        Some(structure)
    }

    /// Each template's layer, told as a step from the one before. More templates or higher ids than there can be are refused.
    fn read_ids(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        for template in &mut self.templates {
            (template.spatial, template.temporal) = (spatial, temporal);
            self.template_count = self.template_count.wrapping_add(1);
            match bits.take(2)? {
                0 => {}
                1 => temporal = temporal.wrapping_add(1),
                2 => (spatial, temporal) = (spatial.wrapping_add(1), 0),
                _ => return Some(()),
            }
            if spatial >= SPATIAL_IDS || temporal >= TEMPORAL_IDS {
                return None;
            }
        }
        None
    }

    /// The templates' indications. They are read twice: a target's name is known only after the last template.
    fn read_targets(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let mut ahead = *bits;
        let mut highest = [None::<(u8, u8)>; TARGETS];
        for template in self.templates.iter().take(self.template_count.into()) {
            for target in highest.iter_mut().take(self.target_count.into()) {
                if Indication::read(&mut ahead)?.present() {
                    let (spatial, temporal) = target.unwrap_or_default();
                    *target = Some((spatial.max(template.spatial), temporal.max(template.temporal)));
                }
            }
        }
        for (name, ids) in self.targets.iter_mut().zip(highest) {
            *name = ids.and_then(|(spatial, temporal)| Layer::named(spatial, temporal)).filter(|layer| !self.layers.contains(*layer));
            if let Some(layer) = *name {
                self.layers.insert(layer);
            }
        }
        for at in 0..usize::from(self.template_count) {
            let targets = self.read_indications(bits)?;
            self.templates.get_mut(at)?.targets = targets;
        }
        Some(())
    }

    /// One indication for each target.
    fn read_indications(&self, bits: &mut Bits<'_>) -> Option<Targets> {
        let mut targets = Targets::default();
        for name in self.targets.iter().take(self.target_count.into()) {
            let indication = Indication::read(bits)?;
            let Some(layer) = *name else { continue };
            if indication.present() {
                targets.present.insert(layer);
            }
            if indication == Indication::SWITCH {
                targets.switch.insert(layer);
            }
        }
        Some(targets)
    }

    fn read_references(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        for template in self.templates.iter_mut().take(self.template_count.into()) {
            while bits.flag()? {
                template.references |= 1_u16.wrapping_shl(bits.take(4)?);
            }
        }
        Some(())
    }

    fn pass_chains(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let chains = bits.below(self.target_count().wrapping_add(1))?;
        self.chain_count = chains as u8;
        if chains == 0 {
            return Some(());
        }
        for _ in 0..self.target_count {
            bits.below(chains)?;
        }
        bits.skip(usize::from(self.template_count).wrapping_mul(4).wrapping_mul(self.chain_count.into()))
    }

    fn read_resolutions(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let highest = self.templates().last()?.spatial;
        for size in self.resolutions.iter_mut().take(usize::from(highest).wrapping_add(1)) {
            let mut side = || Some((bits.take(16)? as u16).saturating_add(1));
            *size = (side()?, side()?);
        }
        Some(())
    }

    fn find_nested(&mut self) {
        for from in self.layers.iter() {
            let foreign = self.templates().iter().map(|template| template.targets.present).filter(|present| !present.contains(from));
            let nested = foreign.fold(self.layers, LayerSet::without);
            if let Some(place) = self.nested.get_mut(index(from)) {
                *place = nested;
            }
        }
    }
}

fn index(layer: Layer) -> usize {
    usize::from(layer.spatial() << 2 | layer.temporal())
}

/// What a frame is to one decode target (table A.1).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Indication(u8);

impl Indication {
    const NOT_PRESENT: Self = Self(0);
    const SWITCH: Self = Self(2);

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        bits.take(2).map(|value| Self(value as u8))
    }

    fn present(self) -> bool {
        self != Self::NOT_PRESENT
    }
}

/// The part that every descriptor has.
struct Head {
    begins: bool,
    ends: bool,
    template_id: u8,
    frame_number: u16,
}

impl Head {
    /// The head, the flags of what follows it, and that.
    fn read(bytes: &[u8]) -> Option<(Self, u32, Bits<'_>)> {
        let mut bits = Bits::new(bytes);
        let (begins, ends) = (bits.flag()?, bits.flag()?);
        let head = Self { begins, ends, template_id: bits.take(6)? as u8, frame_number: bits.take(16)? as u16 };
        let flags = if bytes.len() > MANDATORY_LEN { bits.take(FLAGS_LEN)? } else { 0 };
        Some((head, flags, bits))
    }
}

/// What a packet's descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it means for forwarding.
    pub layers: FrameLayers,
    /// The frame's number: one more for each frame of any layer, modulo 2^16. Gaps say nothing.
    pub frame_number: u16,
    /// Whether it brings a structure, which only the first packet of a key frame does.
    pub key_frame: bool,
    /// The decode targets that are active from here on, if the packet tells: bit n for target n.
    pub active: Option<u32>,
    /// The frames that this one refers to. Bit n: the frame numbered n + 1 lower; bit 63: any that is 64 or more lower.
    ///
    /// [`FrameLayers::decodable`] does not know which frames a receiver was given. Who keeps that in such a mask can add its own
    /// layer to the set where none of these is missing: an upper layer that comes back without a key frame is reached so.
    pub references: u64,
}

impl Descriptor {
    /// Reads a descriptor against the structure that holds, or against the one that it brings ([`Structure::attached`]).
    ///
    /// `None` when it ends too early, when there is no structure, or when its template is not in the structure: then it belongs
    /// to another one, which was lost or is late, and nothing is known of the frame.
    pub fn parse(bytes: &[u8], structure: Option<&Structure>) -> Option<Self> {
        let (head, flags, mut bits) = Head::read(bytes)?;
        if flags & STRUCTURE == 0 {
            return Self::read(&head, flags, &mut bits, structure?);
        }
        let attached = Structure::read(&mut bits)?;
        Self::read(&head, flags, &mut bits, &attached)
    }

    fn read(head: &Head, flags: u32, bits: &mut Bits<'_>, structure: &Structure) -> Option<Self> {
        let template = structure.template(head.template_id)?;
        let active = match flags & (ACTIVE | STRUCTURE) {
            0 => None,
            // A structure alone makes all its targets active (section A.4).
            STRUCTURE => Some(u32::MAX.wrapping_shr(32_u32.wrapping_sub(structure.target_count()))),
            _ => Some(bits.take(structure.target_count())?),
        };
        let targets = if flags & CUSTOM_TARGETS == 0 { template.targets } else { structure.read_indications(bits)? };
        let references = if flags & CUSTOM_REFERENCES == 0 { template.references.into() } else { custom_references(bits)? };
        if flags & CUSTOM_CHAINS != 0 {
            bits.skip(usize::from(structure.chain_count).wrapping_mul(8))?;
        }
        let layer = Layer::new(template.spatial, template.temporal);
        let edges = (head.begins, head.ends);
        Some(Self {
            layers: FrameLayers::from_dependency(layer, edges, targets.present, targets.switch, references == 0),
            frame_number: head.frame_number,
            key_frame: flags & STRUCTURE != 0,
            active,
            references,
        })
    }
}

fn custom_references(bits: &mut Bits<'_>) -> Option<u64> {
    let mut references = 0;
    loop {
        match bits.take(2)? {
            0 => return Some(references),
            size => references |= 1_u64.wrapping_shl(bits.take(size.wrapping_mul(4))?.min(63)),
        }
    }
}

/// Writes `source` into `out` with another frame number, and returns its length in bytes.
///
/// With `active`, it also tells that the decode targets in that bitmask are the active ones, in place of what it told. It takes
/// the structure that holds, for the length of a bitmask; a structure that `source` brings goes before it. The descriptor grows
/// by up to 5 bytes then, and is in need of the two-byte form of extensions beyond 16.
///
/// References are told as differences, so that all frame numbers of a stream must be moved by the same.
///
/// `None` when `out` is too small, or when `source` ends too early.
pub fn rewrite(source: &[u8], out: &mut [u8], frame_number: u16, active: Option<(u32, &Structure)>) -> Option<usize> {
    let len = match active {
        Some((mask, structure)) => insert_active(source, out, mask, structure)?,
        None => {
            out.get_mut(..source.len())?.copy_from_slice(source);
            source.len()
        }
    };
    match out.get_mut(..len)? {
        [_, high, low, ..] => [*high, *low] = frame_number.to_be_bytes(),
        _ => return None,
    }
    Some(len)
}

fn insert_active(source: &[u8], out: &mut [u8], mask: u32, structure: &Structure) -> Option<usize> {
    let (_, flags, mut bits) = Head::read(source)?;
    let after_flags = bits.at();
    let attached = if flags & STRUCTURE == 0 { None } else { Some(Structure::read(&mut bits)?.target_count()) };
    let mask_len = attached.unwrap_or(structure.target_count());
    let structure_len = bits.at().wrapping_sub(after_flags);
    let replaced = if flags & ACTIVE == 0 { 0 } else { mask_len };
    bits.skip(replaced as usize)?;

    let (mut from, mut put) = (Bits::new(source), PutBits::new(out));
    put.copy(&mut from, MANDATORY_LEN.wrapping_mul(8))?;
    put.put(flags | ACTIVE, FLAGS_LEN)?;
    from.skip(after_flags.wrapping_sub(from.at()))?;
    put.copy(&mut from, structure_len)?;
    put.put(mask, mask_len)?;
    from.skip(replaced as usize)?;
    put.copy(&mut from, bits.left())?;
    put.finish()
}

#[cfg(test)]
mod tests;
