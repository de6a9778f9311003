use super::*;
use proptest::prelude::*;
use simulation::{Frame, follow};

/// Receivers of made streams whose true references are known.
pub(in super::super) mod simulation {
    use super::*;
    use proptest::test_runner::TestCaseError;

    /// A frame in a single packet.
    pub struct Frame {
        pub layers: FrameLayers,
        /// Which earlier frames it needs, by their places in the stream.
        pub references: Vec<usize>,
        /// Whether a receiver can begin here.
        pub key: bool,
    }

    /// Follows [`FrameLayers::step`] through a stream that begins with a key frame: each limit holds for some frames, the last
    /// one from then on. Returns the layer at each frame, and fails at a frame that is forwarded without its references.
    pub fn follow(frames: &[Frame], limits: &[(usize, Layer)], nested: impl Fn(Layer) -> LayerSet) -> Result<Vec<Layer>, TestCaseError> {
        let mut limits = limits
            .iter()
            .flat_map(|(count, limit)| std::iter::repeat_n(*limit, *count))
            .chain(limits.last().into_iter().map(|(_, limit)| *limit).cycle());
        let mut current = None;
        let mut given = vec![false; frames.len()];
        let mut layers = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let limit = limits.next().unwrap();
            let next = match current {
                Some(current) => frame.layers.step(current, limit, nested(current)),
                None => frame.layers.switch.highest_within(limit).filter(|_| frame.key).unwrap(),
            };
            if frame.layers.present.contains(next) {
                let missing = frame.references.iter().find(|reference| !given[**reference]);
                if let Some(missing) = missing {
                    return Err(TestCaseError::fail(format!("frame {at} {:?} for {next:?} without {missing}", frame.layers)));
                }
                given[at] = true;
            }
            current = Some(next);
            layers.push(next);
        }
        Ok(layers)
    }
}

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer::new(spatial, temporal)
}

fn layers() -> impl Iterator<Item = Layer> {
    LayerSet::ALL.iter()
}

#[test]
fn a_larger_picture_is_worth_more_than_a_higher_rate() {
    assert!(layer(1, 0) > layer(0, 3) && layer(1, 1) > layer(1, 0));
    assert_eq!((Layer::BASE, Layer::TOP), (layer(0, 0), layer(3, 3)));
    assert_eq!((layer(2, 1).spatial(), layer(2, 1).temporal(), layer(9, 4)), (2, 1, Layer::TOP));
    assert_eq!((Layer::named(3, 3), Layer::named(4, 0), Layer::named(0, 4)), (Some(Layer::TOP), None, None));
}

#[test]
fn sets_are_cut_in_both_ways() {
    for (a, b) in layers().flat_map(|a| layers().map(move |b| (a, b))) {
        let not_above = b.spatial() <= a.spatial() && b.temporal() <= a.temporal();
        assert_eq!(LayerSet::within(a).contains(b), not_above, "{a:?} {b:?}");
        assert_eq!(LayerSet::above(b).contains(a), not_above, "{a:?} {b:?}");
        assert_eq!(LayerSet::of_spatial(a.spatial()).contains(b), a.spatial() == b.spatial());
        assert_eq!(LayerSet::of_temporal(a.temporal()).contains(b), a.temporal() == b.temporal());
    }
    assert_eq!(LayerSet::ALL.without(LayerSet::above(layer(0, 1))), LayerSet::of_temporal(0));
    assert!(LayerSet::NONE.is_empty() && LayerSet::NONE.iter().next().is_none());
}

fn vp8(start: bool, key: bool, temporal: u8, sync: bool) -> FrameLayers {
    let payload = [if start { 0x90 } else { 0x80 }, 0x20, temporal << 6 | u8::from(sync) << 5, u8::from(!key)];
    FrameLayers::from_vp8(&vp8::Descriptor::parse(&payload).unwrap(), true)
}

/// A packet that is a frame in non-flexible mode: P, SID, TID, U and D.
fn vp9(predicted: bool, spatial: u8, temporal: u8, up: bool, inter_layer: bool) -> FrameLayers {
    let ids = temporal << 5 | u8::from(up) << 4 | spatial << 1 | u8::from(inter_layer);
    let payload = [0x2c | u8::from(predicted) << 6, ids, 0, 0x82];
    FrameLayers::from_vp9(&vp9::Descriptor::parse(&payload).unwrap())
}

#[test]
fn without_layers_everybody_needs_everything_and_key_frames_open_all() {
    let (key, other) = (FrameLayers::whole(true, false, true), FrameLayers::whole(false, true, false));
    assert_eq!((key.present, key.decodable, key.switch, key.begins(), key.ends()), (LayerSet::ALL, LayerSet::ALL, LayerSet::ALL, true, false));
    assert_eq!((other.present, other.switch, other.begins(), other.ends()), (LayerSet::ALL, LayerSet::NONE, false, true));
    let no_ids = vp8::Descriptor::parse(&[0x10, 0]).unwrap();
    assert_eq!(FrameLayers::from_vp8(&no_ids, false), key);
    let no_ids = vp9::Descriptor::parse(&[0x44, 0]).unwrap();
    assert_eq!(FrameLayers::from_vp9(&no_ids), other);
}

#[test]
fn a_vp8_frame_is_needed_at_its_rate_and_above() {
    let frame = vp8(true, false, 1, false);
    assert_eq!((frame.layer, frame.present, frame.switch), (layer(0, 1), LayerSet::above(layer(0, 1)), LayerSet::NONE));
    assert!(frame.begins() && frame.ends());
    assert_eq!(vp8(true, true, 0, false).switch, LayerSet::ALL);
}

#[test]
fn a_vp8_sync_opens_its_own_rate_to_everybody() {
    let step = |frame: FrameLayers, from: u8| frame.step(layer(0, from), layer(0, 3), LayerSet::within(layer(0, from))).temporal();
    assert_eq!([0, 1, 2].map(|from| step(vp8(true, false, 1, true), from)), [1, 1, 2]);
    assert_eq!([0, 1, 2].map(|from| step(vp8(true, false, 2, true), from)), [2, 2, 2]);
    assert_eq!([0, 1, 2].map(|from| step(vp8(true, false, 2, false), from)), [0, 1, 2]);
    assert_eq!(step(vp8(false, false, 2, true), 0), 0, "a later packet of the frame");
}

#[test]
fn a_vp9_key_picture_opens_everything_at_its_base() {
    let base = vp9(false, 0, 0, false, false);
    assert_eq!((base.present, base.decodable, base.switch), (LayerSet::ALL, LayerSet::ALL, LayerSet::ALL));
    assert_eq!(base.step(layer(0, 0), layer(2, 2), LayerSet::NONE), layer(2, 2));
}

#[test]
fn a_vp9_frame_that_renews_its_layer_opens_it_to_the_next_lower_one() {
    let renewed = vp9(false, 1, 0, true, true);
    let step = |frame: FrameLayers, from| frame.step(from, layer(2, 2), LayerSet::within(from));
    assert_eq!(step(renewed, layer(0, 1)), layer(1, 2));
    assert_eq!(step(vp9(false, 1, 0, false, true), layer(0, 2)), layer(1, 0), "nothing was said about higher rates");
    assert_eq!(step(vp9(false, 2, 0, true, true), layer(0, 2)), layer(0, 2), "the frame between is missing");
    assert_eq!(step(vp9(true, 1, 0, true, true), layer(0, 2)), layer(0, 2), "it refers to earlier ones");
}

#[test]
fn a_vp9_switching_up_point_opens_higher_rates_to_those_who_have_its_own() {
    let point = vp9(true, 1, 1, true, true);
    let step = |from| point.step(from, layer(2, 2), LayerSet::within(from));
    assert_eq!((step(layer(1, 1)), step(layer(1, 0)), step(layer(0, 1)), step(layer(2, 1))), (layer(1, 2), layer(1, 0), layer(0, 1), layer(2, 1)));
}

#[test]
fn a_vp9_layer_that_cannot_be_named_goes_to_nobody() {
    for frame in [vp9(false, 4, 0, true, true), vp9(true, 0, 4, true, false)] {
        assert_eq!((frame.present, frame.decodable, frame.switch), (LayerSet::NONE, LayerSet::NONE, LayerSet::NONE));
    }
}

#[test]
fn what_cannot_be_reached_at_once_is_reached_by_the_layers_between() {
    let frame = FrameLayers { switch: LayerSet::of_spatial(1), ..FrameLayers::whole(true, true, false) };
    assert_eq!(frame.step(layer(0, 2), layer(2, 2), LayerSet::NONE), layer(1, 2));
    assert_eq!(frame.step(layer(2, 2), layer(0, 2), LayerSet::NONE), layer(2, 2), "nothing within the limit");
    assert_eq!(frame.step(layer(2, 2), layer(0, 1), LayerSet::within(layer(2, 2))), layer(0, 1));
}

/// Up to `count` references to frames that are allowed, chosen by `choice`.
fn chosen(allowed: &[usize], choice: u32, count: usize) -> Vec<usize> {
    if allowed.is_empty() { vec![] } else { (0..count).map(|n| allowed[(choice >> (8 * n)) as usize % allowed.len()]).collect() }
}

/// A stream that keeps VP8's promises and no others: a frame with Y refers to the base, and no later frame of its rate or
/// below to anything above the base that is older.
fn vp8_stream(steps: &[(u8, bool, u32)]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut freed = [0; 3];
    for (at, &(kind, sync, choice)) in steps.iter().enumerate() {
        let temporal = if at == 0 { 0 } else { kind.saturating_sub(1) % 3 };
        let key = at == 0 || kind == 0 && choice % 4 == 0;
        let sync = sync && temporal > 0;
        if key {
            freed = [at; 3];
        }
        let oldest = freed[usize::from(temporal)];
        let last_key = freed[0];
        let allowed = |other: &usize| {
            let rate = frames[*other].layers.layer.temporal();
            *other >= last_key && rate <= temporal && (rate == 0 || !sync && *other >= oldest)
        };
        let allowed: Vec<usize> = (0..at).filter(allowed).collect();
        let references = if key { vec![] } else { chosen(&allowed, choice, 3) };
        if sync {
            (1..=temporal).for_each(|rate| freed[usize::from(rate)] = at);
        }
        frames.push(Frame { layers: vp8(true, key, temporal, sync), references, key });
    }
    frames
}

/// A picture: temporal layer, U, how many spatial layers, which of them is renewed (0: all, a key picture), whether upper
/// layers are predicted from lower ones, and what decides the references.
type Picture = (u8, bool, u8, Option<u8>, bool, u32);

/// A stream that keeps VP9's promises and no others. Inter-picture references are to any spatial layer up to the frame's.
fn vp9_stream(pictures: &[Picture]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut picture_of: Vec<usize> = Vec::new();
    let mut points: Vec<(usize, u8)> = Vec::new();
    let mut renewed = [0; 3];
    for (number, &(temporal, up, sizes, renews, inter_layer, choice)) in pictures.iter().enumerate() {
        let renews = if number == 0 { Some(0) } else { renews };
        let temporal = if renews.is_some() { 0 } else { temporal };
        if renews == Some(0) {
            renewed = [number; 3];
        }
        for spatial in 0..sizes {
            let at = frames.len();
            let fresh = renews == Some(0) || renews == Some(spatial);
            if fresh {
                renewed[usize::from(spatial)] = number;
            }
            let allowed = |other: &usize| {
                let (ids, then) = (frames[*other].layers.layer, picture_of[*other]);
                let promised = points.iter().any(|(point, rate)| temporal > *rate && ids.temporal() > *rate && then < *point);
                then < number && ids.spatial() <= spatial && ids.temporal() <= temporal && then >= renewed[usize::from(ids.spatial())] && !promised
            };
            let allowed: Vec<usize> = (0..at).filter(allowed).collect();
            let mut references = if fresh { vec![] } else { chosen(&allowed, choice.rotate_left(spatial.into()), 2) };
            let inter_layer = spatial > 0 && (inter_layer || fresh);
            if inter_layer {
                references.push(at - 1);
            }
            picture_of.push(number);
            frames.push(Frame { layers: vp9(!fresh, spatial, temporal, up, inter_layer), references, key: fresh && spatial == 0 });
        }
        if up {
            points.push((number, temporal));
        }
    }
    frames
}

#[test]
fn a_vp8_receiver_who_wants_more_has_it_after_the_next_syncs() {
    // T0, T2 with Y, T1 with Y, T2.
    let places = [(1, false), (3, true), (2, true), (3, false)];
    let steps: Vec<_> = (0..24).map(|at| (places[at % 4].0, places[at % 4].1, 1)).collect();
    let layers = follow(&vp8_stream(&steps), &[(9, layer(0, 0)), (1, layer(0, 2)), (4, layer(0, 1)), (1, layer(0, 2))], LayerSet::within);
    let rates: Vec<u8> = layers.unwrap().into_iter().map(Layer::temporal).collect();
    assert_eq!(rates, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn a_vp9_receiver_who_wants_a_higher_rate_has_it_with_the_next_base_and_a_larger_picture_with_the_next_key_picture() {
    let pictures: Vec<_> = (0..20).map(|at| ([0, 2, 1, 2][at % 4], true, 3, (at == 12).then_some(0), true, 7)).collect();
    let layers = follow(&vp9_stream(&pictures), &[(15, layer(0, 0)), (1, layer(2, 2))], LayerSet::within).unwrap();
    let bases: Vec<_> = layers.into_iter().step_by(3).collect();
    assert_eq!(bases[..8], [0; 8].map(|_| layer(0, 0)), "no base since the wish");
    assert_eq!(bases[8..12], [0; 4].map(|_| layer(0, 2)));
    assert_eq!(bases[12..], [0; 8].map(|_| layer(2, 2)));
}

fn picture() -> impl Strategy<Value = Picture> {
    let renews = proptest::option::weighted(0.2, 0..3_u8);
    (0..3_u8, any::<bool>(), 1..=3_u8, renews, any::<bool>(), any::<u32>())
}

fn limits(spatial: u8) -> impl Strategy<Value = Vec<(usize, Layer)>> {
    proptest::collection::vec((1..12_usize, (0..=spatial, 0..3_u8).prop_map(|(s, t)| Layer::new(s, t))), 1..12)
}

proptest! {
    #[test]
    fn the_best_layer_within_a_limit_is_found(bits in any::<u16>(), limit in 0..16_u8) {
        let (set, limit) = (LayerSet(bits), Layer(limit));
        let expected = set.iter().filter(|l| l.spatial() <= limit.spatial() && l.temporal() <= limit.temporal()).max();
        prop_assert_eq!(set.highest_within(limit), expected);
        let mut copy = LayerSet::NONE;
        set.iter().for_each(|layer| copy.insert(layer));
        prop_assert_eq!(copy, set);
    }

    #[test]
    fn a_vp8_receiver_is_never_given_a_frame_without_its_references(
        steps in proptest::collection::vec((0..4_u8, any::<bool>(), any::<u32>()), 1..80),
        limits in limits(0),
    ) {
        follow(&vp8_stream(&steps), &limits, LayerSet::within)?;
    }

    #[test]
    fn a_vp9_receiver_is_never_given_a_frame_without_its_references(
        pictures in proptest::collection::vec(picture(), 1..60),
        limits in limits(2),
    ) {
        follow(&vp9_stream(&pictures), &limits, LayerSet::within)?;
    }

    #[test]
    fn any_packet_moves_a_receiver_to_a_layer_that_was_there_to_be_reached(
        bytes in proptest::collection::vec(any::<u8>(), 0..12), current in 0..16_u8, limit in 0..16_u8,
    ) {
        let (current, limit) = (Layer(current), Layer(limit));
        let vp8 = vp8::Descriptor::parse(&bytes).map(|d| FrameLayers::from_vp8(&d, true));
        let vp9 = vp9::Descriptor::parse(&bytes).map(|d| FrameLayers::from_vp9(&d));
        for frame in [vp8, vp9].into_iter().flatten() {
            prop_assert_eq!(frame.decodable | frame.present, frame.decodable);
            let next = frame.step(current, limit, LayerSet::within(current));
            let opened = frame.begins() && frame.decodable.contains(current) && frame.switch.contains(next);
            prop_assert!(opened || LayerSet::within(current).contains(next));
            prop_assert!(next == current || LayerSet::within(limit).contains(next));
        }
    }
}
