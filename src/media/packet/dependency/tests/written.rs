//! Structures and descriptors in words, and as an encoder writes them.

use super::super::*;

/// A kind of frame: spatial id, temporal id, an indication for each target, chain differences, references.
pub type Kind = (u8, u8, &'static str, &'static [u8], &'static [u8]);

/// A structure in words, to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kinds: Vec<Kind>,
    /// Which chain protects each target.
    pub protected_by: &'static [u8],
    pub resolutions: Vec<(u16, u16)>,
}

// The modes as WebRTC's encoders make them.

pub fn l1t2() -> Plan {
    let kinds = vec![(0, 0, "SS", &[0][..], &[][..]), (0, 0, "SS", &[2], &[2]), (0, 1, "-D", &[1], &[1])];
    Plan { kinds, protected_by: &[0, 0], resolutions: vec![(640, 360)] }
}

pub fn l1t3() -> Plan {
    let kinds = vec![
        (0, 0, "SSS", &[0][..], &[][..]),
        (0, 0, "SSS", &[4], &[4]),
        (0, 1, "-DS", &[2], &[2]),
        (0, 2, "--D", &[1], &[1]),
        (0, 2, "--D", &[3], &[1]),
    ];
    Plan { kinds, protected_by: &[0, 0, 0], resolutions: vec![] }
}

pub const NINE: &[u8] = &[0, 0, 0, 1, 1, 1, 2, 2, 2];

/// For each spatial layer: key, delta T0, T1, the T2 after T0, the T2 after T1.
pub fn l3t3() -> Plan {
    let kinds = vec![
        (0, 0, "SSSSSSSSS", &[0, 0, 0][..], &[][..]),
        (0, 0, "SSSRRRRRR", &[12, 11, 10], &[12]),
        (0, 1, "-DS-RR-RR", &[6, 5, 4], &[6]),
        (0, 2, "--D--R--R", &[3, 2, 1], &[3]),
        (0, 2, "--D--R--R", &[9, 8, 7], &[3]),
        (1, 0, "---SSSSSS", &[1, 1, 1], &[1]),
        (1, 0, "---SSSRRR", &[1, 1, 1], &[12, 1]),
        (1, 1, "----DS-RR", &[7, 6, 5], &[6, 1]),
        (1, 2, "-----D--R", &[4, 3, 2], &[3, 1]),
        (1, 2, "-----D--R", &[10, 9, 8], &[3, 1]),
        (2, 0, "------SSS", &[2, 1, 1], &[1]),
        (2, 0, "------SSS", &[2, 1, 1], &[12, 1]),
        (2, 1, "-------DS", &[8, 7, 6], &[6, 1]),
        (2, 2, "--------D", &[5, 4, 3], &[3, 1]),
        (2, 2, "--------D", &[11, 10, 9], &[3, 1]),
    ];
    Plan { kinds, protected_by: NINE, resolutions: vec![(320, 180), (640, 360), (1280, 720)] }
}

pub fn l3t3_key() -> Plan {
    let kinds = vec![
        (0, 0, "SSSSSSSSS", &[0, 0, 0][..], &[][..]),
        (0, 0, "SSS------", &[12, 11, 10], &[12]),
        (0, 1, "-DS------", &[6, 5, 4], &[6]),
        (0, 2, "--D------", &[3, 2, 1], &[3]),
        (0, 2, "--D------", &[9, 8, 7], &[3]),
        (1, 0, "---SSSSSS", &[1, 1, 1], &[1]),
        (1, 0, "---SSS---", &[1, 12, 11], &[12]),
        (1, 1, "----DS---", &[7, 6, 5], &[6]),
        (1, 2, "-----D---", &[4, 3, 2], &[3]),
        (1, 2, "-----D---", &[10, 9, 8], &[3]),
        (2, 0, "------SSS", &[2, 1, 1], &[1]),
        (2, 0, "------SSS", &[2, 1, 12], &[12]),
        (2, 1, "-------DS", &[8, 7, 6], &[6]),
        (2, 2, "--------D", &[5, 4, 3], &[3]),
        (2, 2, "--------D", &[11, 10, 9], &[3]),
    ];
    Plan { kinds, protected_by: NINE, resolutions: vec![(320, 180), (640, 360), (1280, 720)] }
}

/// As the one with predicted keys, but each spatial layer has a key frame of its own.
pub fn s3t3() -> Plan {
    let mut plan = l3t3_key();
    plan.kinds[0] = (0, 0, "SSS------", &[0, 0, 0], &[]);
    plan.kinds[5] = (1, 0, "---SSS---", &[1, 0, 0], &[]);
    plan.kinds[10] = (2, 0, "------SSS", &[2, 1, 0], &[]);
    plan
}

/// Appends ns(n) numbers.
pub fn put_below(put: &mut PutBits<'_>, values: u32, number: u32) {
    if values == 1 {
        return;
    }
    let longest = values.ilog2() + 1;
    let short = (1 << longest) - values;
    if number < short {
        put.put(number, longest - 1).unwrap();
    } else {
        put.put(number + short, longest).unwrap();
    }
}

pub fn put_indications(put: &mut PutBits<'_>, indications: &str) {
    for symbol in indications.chars() {
        put.put("-DSR".find(symbol).unwrap() as u32, 2).unwrap();
    }
}

impl Plan {
    pub fn put(&self, put: &mut PutBits<'_>, template_id_offset: u8) {
        let (targets, chains) = (self.protected_by.len() as u32, self.kinds[0].3.len() as u32);
        put.put(template_id_offset.into(), 6).unwrap();
        put.put(targets - 1, 5).unwrap();
        for pair in self.kinds.windows(2) {
            put.put(if pair[1].0 != pair[0].0 { 2 } else { (pair[1].1 - pair[0].1).into() }, 2).unwrap();
        }
        put.put(3, 2).unwrap();
        self.kinds.iter().for_each(|kind| put_indications(put, kind.2));
        for kind in &self.kinds {
            kind.4.iter().for_each(|reference| put.put(0x10 | (u32::from(*reference) - 1), 5).unwrap());
            put.put(0, 1).unwrap();
        }
        put_below(put, targets + 1, chains);
        if chains > 0 {
            self.protected_by.iter().for_each(|chain| put_below(put, chains, (*chain).into()));
            self.kinds.iter().flat_map(|kind| kind.3).for_each(|difference| put.put((*difference).into(), 4).unwrap());
        }
        put.put(u32::from(!self.resolutions.is_empty()), 1).unwrap();
        for (width, height) in &self.resolutions {
            put.put(u32::from(*width - 1), 16).unwrap();
            put.put(u32::from(*height - 1), 16).unwrap();
        }
    }

    pub fn structure(&self) -> Structure {
        Structure::attached(&Packet { template: 0, attached: Some(self), ..Packet::default() }.written()).unwrap()
    }
}

/// A descriptor in words, to be written: whole frames with a template id offset of 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet<'a> {
    pub template: u8,
    pub frame_number: u16,
    pub attached: Option<&'a Plan>,
    /// A bitmask and its length.
    pub active: Option<(u32, u32)>,
    pub targets: Option<&'a str>,
    pub references: Option<&'a [u16]>,
    pub chains: Option<&'a [u8]>,
}

impl Packet<'_> {
    pub fn written(&self) -> Vec<u8> {
        let mut out = [0; 1024];
        let mut put = PutBits::new(&mut out);
        put.put(0xc0 | u32::from(self.template), 8).unwrap();
        put.put(self.frame_number.into(), 16).unwrap();
        let flags = [self.attached.is_some(), self.active.is_some(), self.targets.is_some(), self.references.is_some(), self.chains.is_some()];
        if flags.contains(&true) {
            flags.iter().for_each(|flag| put.put((*flag).into(), 1).unwrap());
        }
        if let Some(plan) = self.attached {
            plan.put(&mut put, 0);
        }
        if let Some((mask, len)) = self.active {
            put.put(mask, len).unwrap();
        }
        if let Some(targets) = self.targets {
            put_indications(&mut put, targets);
        }
        if let Some(references) = self.references {
            for reference in references {
                let less = u32::from(*reference) - 1;
                let size = if less < 16 { 1 } else { 2 + u32::from(less > 0xff) };
                put.put(size, 2).unwrap();
                put.put(less, 4 * size).unwrap();
            }
            put.put(0, 2).unwrap();
        }
        self.chains.into_iter().flatten().for_each(|difference| put.put((*difference).into(), 8).unwrap());
        let len = put.finish().unwrap();
        out[..len].to_vec()
    }
}

pub fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer::new(spatial, temporal)
}

pub fn nine() -> Vec<Layer> {
    (0..3).flat_map(|spatial| (0..3).map(move |temporal| layer(spatial, temporal))).collect()
}

pub fn set(layers: &[Layer]) -> LayerSet {
    let mut set = LayerSet::NONE;
    layers.iter().for_each(|layer| set.insert(*layer));
    set
}
