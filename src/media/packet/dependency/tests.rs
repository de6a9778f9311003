mod written;

use proptest::prelude::*;

use super::*;
use crate::media::packet::layers::tests::simulation::{self, Frame};
use written::{Kind, Packet, Plan, l1t2, l1t3, l3t3, l3t3_key, layer, nine, put_below, s3t3, set};

#[test]
fn numbers_below_a_bound_take_a_bit_less_where_they_can() {
    let mut out = [0; 2];
    let mut put = PutBits::new(&mut out);
    (0..5).for_each(|number| put_below(&mut put, 5, number));
    assert_eq!(out, [0b0001_1011, 0b0111_0000]);
    let mut bits = Bits::new(&out);
    assert_eq!([(); 5].map(|()| bits.below(5).unwrap()), [0, 1, 2, 3, 4]);
    assert_eq!((bits.at(), bits.below(1), bits.at()), (12, Some(0), 12));
}

#[test]
fn bits_end_where_the_bytes_end() {
    let mut bits = Bits::new(&[0xa5, 0x0f, 0xff, 0xff, 0xff]);
    assert_eq!((bits.take(4), bits.take(32), bits.take(5)), (Some(0xa), Some(0x50ff_ffff), None));
    assert_eq!((bits.left(), bits.skip(5), bits.take(4), bits.take(0), bits.take(1)), (4, None, Some(0xf), Some(0), None));
    let mut put = PutBits::new(&mut []);
    assert_eq!((put.put(0, 0), put.put(0, 1), put.finish()), (Some(()), None, Some(0)));
}

/// Two temporal layers at 640×360, as the first packet of a stream brings them.
const L1T2: &[u8] = &[0xc0, 0, 0, 0x80, 0x01, 0x1e, 0xa8, 0x51, 0x41, 0x01, 0x0c, 0x09, 0xfc, 0x05, 0x9c];

#[test]
fn a_structure_is_read() {
    assert_eq!(Packet { attached: Some(&l1t2()), ..Packet::default() }.written(), L1T2);
    let structure = l1t2().structure();
    assert_eq!(structure.layers(), set(&[layer(0, 0), layer(0, 1)]));
    assert_eq!((structure.target_count(), structure.resolution(0), structure.resolution(1)), (2, Some((640, 360)), None));

    let structure = l1t3().structure();
    assert_eq!((structure.layers(), structure.resolution(0)), (set(&[layer(0, 0), layer(0, 1), layer(0, 2)]), None));

    for plan in [l3t3(), l3t3_key(), s3t3()] {
        let structure = plan.structure();
        assert_eq!((structure.layers(), structure.resolution(2)), (set(&nine()), Some((1280, 720))));
    }
}

#[test]
fn most_packets_are_a_template_and_a_number() {
    let structure = l1t3().structure();
    let d = Descriptor::parse(&[0x82, 0x12, 0x34], Some(&structure)).unwrap();
    assert_eq!((d.frame_number, d.key_frame, d.active, d.references), (0x1234, false, None, 0b10));
    assert_eq!((d.layers.layer, d.layers.begins(), d.layers.ends()), (layer(0, 1), true, false));
    assert_eq!(d.layers.present, set(&[layer(0, 1), layer(0, 2)]));
    assert_eq!(d.layers.decodable, d.layers.present);
    assert_eq!(d.layers.switch, set(&[layer(0, 2)]));
}

#[test]
fn a_structure_that_is_brought_holds_for_its_own_packet() {
    let key = Packet { attached: Some(&l1t2()), frame_number: 7, ..Packet::default() }.written();
    for known in [None, Some(&s3t3().structure())] {
        let d = Descriptor::parse(&key, known).unwrap();
        assert_eq!((d.key_frame, d.active, d.references), (true, Some(0b11), 0));
        assert_eq!((d.layers.decodable, d.layers.switch), (LayerSet::ALL, set(&[layer(0, 0), layer(0, 1)])));
    }
    assert_eq!(Structure::attached(&[0x80, 0, 0]), None);
}

#[test]
fn what_follows_no_template_says_so_itself() {
    let structure = l3t3().structure();
    let packet = Packet {
        template: 6,
        active: Some((0x1ff, 9)),
        targets: Some("---SSSSSS"),
        references: Some(&[1, 17, 64, 4096]),
        chains: Some(&[1, 0, 200]),
        ..Packet::default()
    };
    let bytes = packet.written();
    let d = Descriptor::parse(&bytes, Some(&structure)).unwrap();
    assert_eq!((d.active, d.references), (Some(0x1ff), 1 | 1 << 16 | 1 << 63));
    assert_eq!(d.layers.switch, set(&nine()[3..]));
    for cut in 0..bytes.len() {
        assert_eq!(Descriptor::parse(&bytes[..cut], Some(&structure)).map(|_| ()), (cut == 3).then_some(()), "{cut}");
    }
}

#[test]
fn a_template_of_another_structure_means_nothing() {
    let structure = l1t3().structure();
    assert_eq!(Descriptor::parse(&[0xc5, 0, 1], Some(&structure)), None);
    assert_eq!(Descriptor::parse(&[0xc0, 0, 1], None), None);
}

#[test]
fn template_ids_go_around() {
    let mut out = [0; 64];
    let mut put = PutBits::new(&mut out);
    put.put(0xc0 | 62, 8).unwrap();
    put.put(0, 16).unwrap();
    put.put(STRUCTURE, 5).unwrap();
    l1t3().put(&mut put, 62);
    let structure = Structure::attached(&out).unwrap();
    let temporal = |id: u8| Some(Descriptor::parse(&[0xc0 | id, 0, 1], Some(&structure))?.layers.layer.temporal());
    assert_eq!([61, 62, 63, 0, 1, 2, 3].map(temporal), [None, Some(0), Some(0), Some(1), Some(2), Some(2), None]);
}

#[test]
fn with_full_prediction_every_lower_layer_is_nested() {
    let structure = l3t3().structure();
    for from in nine() {
        assert_eq!(structure.nested(from), LayerSet::within(from) & structure.layers(), "{from:?}");
    }
    assert_eq!(structure.nested(Layer::TOP), LayerSet::NONE);
}

#[test]
fn where_spatial_layers_stand_alone_only_rates_are_nested() {
    for plan in [l3t3_key(), s3t3()] {
        let structure = plan.structure();
        for from in nine() {
            let same_size = LayerSet::of_spatial(from.spatial());
            assert_eq!(structure.nested(from), LayerSet::within(from) & same_size & structure.layers(), "{from:?}");
        }
    }
}

#[test]
fn cutting_layers_leaves_the_targets_that_are_nested() {
    let structure = l3t3().structure();
    assert_eq!(structure.active_for(Layer::TOP), 0b1_1111_1111);
    assert_eq!(structure.active_for(layer(1, 3)), 0b11_1111);
    assert_eq!(structure.active_for(layer(2, 1)), 0b0_1101_1011);
    for layer in nine() {
        assert_eq!(structure.layers_in(structure.active_for(layer)), LayerSet::within(layer) & structure.layers());
    }
    let structure = l3t3_key().structure();
    assert_eq!((structure.active_for(Layer::TOP), structure.active_for(layer(2, 1))), (0b1_1100_0000, 0b0_1100_0000));
}

#[test]
fn a_switch_on_a_frame_that_the_receiver_cannot_decode_opens_nothing() {
    // The delta frame of S1 refers to the one before, which a receiver of S0 was not given.
    let delta = Descriptor::parse(&[0xc6, 0, 9], Some(&l3t3().structure())).unwrap().layers;
    assert!(delta.switch.contains(layer(1, 2)));
    assert_eq!(delta.step(layer(0, 2), layer(2, 2), LayerSet::NONE), layer(0, 2));
    assert_eq!(delta.step(layer(1, 0), layer(2, 2), LayerSet::NONE), layer(1, 2));
}

#[test]
fn a_layer_that_comes_back_without_a_key_frame_opens_to_who_knows_what_was_given() {
    let returned = Packet { template: 6, references: Some(&[1]), ..Packet::default() }.written();
    let mut d = Descriptor::parse(&returned, Some(&l3t3().structure())).unwrap();
    assert_eq!(d.layers.step(layer(0, 2), layer(2, 2), LayerSet::NONE), layer(0, 2));
    let given = 0b1;
    assert_eq!(d.references & !given, 0);
    d.layers.decodable.insert(layer(0, 2));
    assert_eq!(d.layers.step(layer(0, 2), layer(2, 2), LayerSet::NONE), layer(1, 2));
}

#[test]
fn targets_that_cannot_be_told_apart_or_named_go_to_nobody() {
    // The third target has the ids of the second, the fourth has a frame of T4, the fifth has no frame.
    let kinds = vec![
        (0, 0, "SSSS-", &[][..], &[][..]),
        (0, 1, "-D-D-", &[], &[1]),
        (0, 1, "-DDD-", &[], &[1]),
        (0, 2, "---D-", &[], &[1]),
        (0, 3, "---D-", &[], &[1]),
        (0, 4, "---D-", &[], &[1]),
    ];
    let structure = Plan { kinds, protected_by: &[0; 5], resolutions: vec![] }.structure();
    assert_eq!((structure.layers(), structure.active_for(Layer::TOP)), (set(&[layer(0, 0), layer(0, 1)]), 0b11));
    let top = Descriptor::parse(&[0xc5, 0, 1], Some(&structure)).unwrap();
    assert_eq!((top.layers.layer, top.layers.present), (layer(0, 3), LayerSet::NONE));
}

#[test]
fn more_layers_or_templates_than_there_can_be_are_refused() {
    let with_steps = |steps: &[u32]| {
        let mut out = [0; 1024];
        let mut put = PutBits::new(&mut out);
        put.put(0xc000_0000, 24).unwrap();
        put.put(STRUCTURE, 5).unwrap();
        put.put(0, 11).unwrap();
        steps.iter().for_each(|step| put.put(*step, 2).unwrap());
        put.put(3, 2).unwrap();
        Structure::attached(&out)
    };
    assert!(with_steps(&[2; 3]).is_some() && with_steps(&[2; 4]).is_none());
    assert!(with_steps(&[1; 7]).is_some() && with_steps(&[1; 8]).is_none());
    assert!(with_steps(&[0; 63]).is_some() && with_steps(&[0; 64]).is_none());
}

#[test]
fn a_number_alone_is_patched_in_place() {
    let mut out = [0; 8];
    assert_eq!(rewrite(&[0x82, 1, 2], &mut out, 0xabcd, None), Some(3));
    assert_eq!(out[..3], [0x82, 0xab, 0xcd]);
    assert_eq!(rewrite(&[0x82, 1], &mut out, 0, None), None);
    assert_eq!(rewrite(&[0x82, 1, 2], &mut out[..2], 0, None), None);
}

#[test]
fn a_short_descriptor_grows_when_it_tells_what_is_active() {
    let structure = l1t3().structure();
    let mut out = [0xff; 8];
    assert_eq!(rewrite(&[0x82, 1, 2], &mut out, 3, Some((0b011, &structure))), Some(4));
    assert_eq!(out[..4], [0x82, 0, 3, 0b0100_0011]);
    assert_eq!(rewrite(&[0x82, 1, 2], &mut out[..3], 3, Some((0b011, &structure))), None);
}

#[test]
fn the_structure_that_a_packet_brings_says_how_many_targets_are_active() {
    let key = Packet { attached: Some(&l3t3()), ..Packet::default() }.written();
    let mut out = [0; 256];
    let len = rewrite(&key, &mut out, 9, Some((0b11_1111, &l1t2().structure()))).unwrap();
    let d = Descriptor::parse(&out[..len], None).unwrap();
    assert_eq!((d.frame_number, d.active, d.key_frame), (9, Some(0b11_1111), true));
    assert_eq!(Structure::attached(&out[..len]), Some(l3t3().structure()));
}

/// Pictures of three frames each: a key picture every `period` pictures, between them T0, T2, T1, T2.
fn pictures(plan: &Plan, period: usize, pictures: usize) -> Vec<Frame> {
    let mut structure = None;
    let mut frames = Vec::new();
    for picture in 0..pictures {
        // Which of its spatial layer's kinds.
        let kind = match (picture % period, picture % period % 4) {
            (0, _) => 0,
            (_, place) => [1, 3, 2, 4][place],
        };
        for spatial in 0..3 {
            let number = frames.len();
            let template = spatial * 5 + kind;
            let attached = (template == 0).then_some(plan);
            let bytes = Packet { template, frame_number: number as u16, attached, ..Packet::default() }.written();
            structure = Structure::attached(&bytes).or(structure);
            let layers = Descriptor::parse(&bytes, structure.as_ref()).unwrap().layers;
            let references = plan.kinds[usize::from(template)].4.iter().map(|difference| number - usize::from(*difference)).collect();
            frames.push(Frame { layers, references, key: attached.is_some() });
        }
    }
    frames
}

fn plans() -> impl Strategy<Value = Plan> {
    prop_oneof![Just(l1t2()), Just(l1t3()), Just(l3t3()), Just(l3t3_key()), Just(s3t3())]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let indications = |count| proptest::collection::vec(proptest::sample::select(vec!['-', 'D', 'S', 'R']), count);
    let kind = (0..3_u8, 0..2_u8, indications(4), proptest::collection::vec(0..16_u8, 2), proptest::collection::vec(1..=16_u8, 0..3));
    let sizes = proptest::collection::vec((1..=u16::MAX, 1..=u16::MAX), 4);
    (proptest::collection::vec(kind, 1..20), any::<bool>(), sizes).prop_map(|(kinds, sized, sizes)| {
        let (mut spatial, mut temporal) = (0, 0);
        let mut made: Vec<Kind> = Vec::new();
        for (up, faster, indications, chains, references) in kinds {
            if !made.is_empty() && up == 2 && spatial < 3 {
                (spatial, temporal) = (spatial + 1, 0);
            } else if !made.is_empty() && temporal < 7 {
                temporal += faster;
            }
            let indications: String = indications.into_iter().collect();
            made.push((spatial, temporal, indications.leak(), chains.leak(), references.leak()));
        }
        let resolutions = if sized { sizes[..=usize::from(spatial)].to_vec() } else { vec![] };
        Plan { kinds: made, protected_by: &[0, 1, 0, 1], resolutions }
    })
}

proptest! {
    #[test]
    fn a_receiver_is_never_given_a_frame_without_its_references(
        plan in prop_oneof![Just(l3t3()), Just(l3t3_key()), Just(s3t3())],
        period in 5..40_usize,
        limits in proptest::collection::vec((1..20_usize, (0..3_u8, 0..3_u8)), 1..20),
    ) {
        let structure = plan.structure();
        let frames = pictures(&plan, period, 80);
        let limits: Vec<_> = limits.into_iter().map(|(frames, (spatial, temporal))| (frames, layer(spatial, temporal))).collect();
        let layers = simulation::follow(&frames, &limits, |current| structure.nested(current))?;
        // Whoever keeps wanting the same is there after the next key picture and the four after it.
        let (settled, wanted) = (limits.iter().map(|(frames, _)| frames).sum::<usize>() + 3 * (period + 5), limits.last().unwrap().1);
        prop_assert!(layers.iter().skip(settled).all(|layer| *layer == wanted), "{:?} for {:?}", layers, wanted);
    }

    #[test]
    fn any_structure_that_is_written_is_read(plan in any_plan(), number in any::<u16>()) {
        let bytes = Packet { frame_number: number, attached: Some(&plan), ..Packet::default() }.written();
        let structure = Structure::attached(&bytes).unwrap();
        prop_assert_eq!(Descriptor::parse(&bytes, None).unwrap().frame_number, number);
        for (spatial, size) in plan.resolutions.iter().enumerate() {
            prop_assert_eq!(structure.resolution(spatial as u8), Some(*size));
        }
        for (template, kind) in plan.kinds.iter().enumerate() {
            let d = Descriptor::parse(&[template as u8, 0, 0], Some(&structure)).unwrap();
            prop_assert_eq!(d.layers.layer, layer(kind.0, kind.1));
            prop_assert_eq!(d.references, kind.4.iter().fold(0, |mask, reference| mask | 1 << (reference - 1)));
            for (target, symbol) in kind.2.chars().enumerate() {
                if let Some(layer) = structure.targets[target] {
                    prop_assert_eq!(d.layers.present.contains(layer), symbol != '-');
                    prop_assert_eq!(d.layers.switch.contains(layer), symbol == 'S');
                }
            }
        }
        for from in structure.layers().iter() {
            let broken = |to: Layer| structure.templates().iter().any(|t| t.targets.present.contains(to) && !t.targets.present.contains(from));
            prop_assert!(structure.layers().iter().all(|to| structure.nested(from).contains(to) != broken(to)));
        }
    }

    #[test]
    fn a_rewritten_descriptor_says_the_same_with_another_number_and_mask(
        plan in plans(),
        brings in any::<bool>(),
        told in any::<bool>(),
        custom in any::<(bool, bool, bool)>(),
        references in proptest::collection::vec(1..=4096_u16, 0..4),
        number in any::<u16>(),
        mask in any::<u32>(),
    ) {
        let structure = plan.structure();
        let count = structure.target_count();
        let mask = mask & ((1 << count) - 1);
        let switches = "S".repeat(count as usize);
        let chains = vec![3; plan.kinds[0].3.len()];
        let packet = Packet {
            template: 1,
            frame_number: 77,
            attached: brings.then_some(&plan),
            active: told.then_some((1, count)),
            targets: custom.0.then_some(&switches),
            references: custom.1.then_some(&references[..]),
            chains: custom.2.then_some(&chains[..]),
        };
        let source = packet.written();
        let before = Descriptor::parse(&source, Some(&structure)).unwrap();
        let mut out = [0xff; 512];

        let len = rewrite(&source, &mut out, number, None).unwrap();
        prop_assert_eq!(Descriptor::parse(&out[..len], Some(&structure)), Some(Descriptor { frame_number: number, ..before }));
        prop_assert_eq!((&out[..1], &out[3..len]), (&source[..1], &source[3..]));

        let len = rewrite(&source, &mut out, number, Some((mask, &structure))).unwrap();
        prop_assert!(len <= source.len() + 5);
        let expected = Descriptor { frame_number: number, active: Some(mask), ..before };
        prop_assert_eq!(Descriptor::parse(&out[..len], Some(&structure)), Some(expected));
        prop_assert_eq!(Structure::attached(&out[..len]), brings.then_some(structure));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160), extended in any::<bool>(), room in 0..170_usize) {
        let structure = l3t3().structure();
        let mut bytes = bytes;
        if let (true, Some(flags)) = (extended, bytes.get_mut(3)) {
            *flags |= 0x80;
        }
        let attached = Structure::attached(&bytes);
        let parsed = Descriptor::parse(&bytes, Some(&structure));
        if let Some(d) = parsed {
            prop_assert_eq!(d.key_frame, attached.is_some());
            let layers = attached.as_ref().unwrap_or(&structure).layers();
            prop_assert!(d.layers.present | layers == layers && d.layers.switch | d.layers.present == d.layers.present);
        }
        let mut out = vec![0; room];
        if let Some(len) = rewrite(&bytes, &mut out, 5, Some((0, &structure))) {
            prop_assert!(len <= room);
            if let Some(d) = parsed {
                prop_assert_eq!(Descriptor::parse(&out[..len], Some(&structure)), Some(Descriptor { frame_number: 5, active: Some(0), ..d }));
            }
        }
    }
}
