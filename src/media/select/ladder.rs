//! The forms in which a track of video can be sent to one subscriber, the least first.

use super::Choice;
use crate::base::{Bitrate, Time};
use crate::contract::View;
use crate::media::packet::layers::Layer;
use crate::media::publish::encoding::Encoding;
use crate::media::publish::track::Track;

/// What an encoding is taken to need before it was measured, by how many larger ones there are: as browsers send 720p, 360p and 180p.
const UNMEASURED: [Bitrate; 3] = [Bitrate::kbps(1_500), Bitrate::kbps(500), Bitrate::kbps(150)];
/// A picture may be enlarged by so much before the next larger encoding is taken, in per cent of its height: the eye does not see it,
/// and it costs a third.
const ENLARGE_PER_CENT: u32 = 125;
/// An encoding that is wanted and does not come for so long is not counted on, in microseconds. Its publisher cannot send it, or its
/// connection carries no more.
const WITHHELD_AFTER: u64 = 2_000_000;

/// One form of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The encoding and its layer.
    pub choice: Choice,
    /// What it takes.
    pub rate: Bitrate,
    /// How good it is: spatial steps count more than temporal ones.
    pub level: u8,
    /// Whether it is being sent.
    pub sent: bool,
}

/// What a track's forms are for a subscriber, beside the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// Larger forms are left out, because the picture is shown small or not at all.
    pub cut_by_view: bool,
    /// The subscriber cannot decode it.
    pub undecodable: bool,
    /// The largest encoding that would be taken, if its publisher sent it.
    pub withheld: Option<u8>,
}

/// Appends the forms of `track` for a subscriber that shows it like `view`.
pub fn ladder(now: Time, track: &Track, view: View, rungs: &mut Vec<Rung>) -> Ladder {
    let mut ladder = Ladder::default();
    if !view.is_visible() || track.encodings.is_empty() {
        ladder.cut_by_view = true;
        return ladder;
    }
    let mut order: [u8; crate::contract::MOST_ENCODINGS] = std::array::from_fn(|number| number as u8);
    let order = &mut order[..track.encodings.len().min(crate::contract::MOST_ENCODINGS)];
    order.sort_by_key(|number| (height(track, *number), *number));
    let largest = largest_shown(track, order, view);
    ladder.cut_by_view = largest + 1 < order.len();
    // What its publisher keeps back is passed over only where it sends something else: a way that is interrupted carries nothing.
    let any = order.iter().any(|number| track.is_sent(now, *number));
    let begin = rungs.len();
    for (place, number) in (0..).zip(&order[..=largest]) {
        let Some(encoding) = track.encoding(*number) else { continue };
        let sent = track.is_sent(now, *number);
        if any && !sent && is_withheld(now, track, encoding) {
            ladder.withheld = Some(*number);
            continue;
        }
        ladder.withheld = None;
        let larger = order.len() - 1 - usize::from(place);
        let most = most_within(encoding, size(track, *number), view);
        ladder.cut_by_view |= most + 1 < sizes(encoding);
        layers(encoding, place, larger, most, |layer, rate, level| {
            rungs.push(Rung { choice: Choice { encoding: *number, layer }, rate, level, sent });
        });
    }
    // Of those that would do none comes: a picture that is larger than its tile is better than none.
    if rungs.len() == begin && ladder.withheld.is_some() {
        let larger = (0..).zip(&*order).skip(largest + 1).find(|(_, number)| track.is_sent(now, **number));
        if let Some((place, number)) = larger
            && let Some(encoding) = track.encoding(*number)
        {
            layers(encoding, place, order.len() - 1 - usize::from(place), most_within(encoding, size(track, *number), view), |layer, rate, level| {
                rungs.push(Rung { choice: Choice { encoding: *number, layer }, rate, level, sent: true });
            });
        }
    }
    // Each takes more than the one before it: what does not is no step.
    let mut least = Bitrate::default();
    let mut kept = begin;
    for place in begin..rungs.len() {
        if rungs[place].rate >= least {
            least = rungs[place].rate;
            rungs[kept] = rungs[place];
            kept += 1;
        }
    }
    rungs.truncate(kept);
    ladder
}

/// The forms of one encoding: its layers, of which the last is all of it. `most` is the largest size within it that is worth sending.
fn layers(encoding: &Encoding, place: u8, larger: usize, most: u8, mut push: impl FnMut(Layer, Bitrate, u8)) {
    if !encoding.rates.is_known() {
        // The smallest is tried whatever it takes: on another worker than its publisher's nothing is known before it comes.
        let rate = if place == 0 { UNMEASURED[UNMEASURED.len() - 1] } else { UNMEASURED.get(larger).copied().unwrap_or_default() };
        return push(Layer::TOP, rate, level(place, Layer::TOP));
    }
    let last = encoding.rates.layers().filter(|layer| layer.spatial() <= most).last();
    for layer in encoding.rates.layers().filter(|layer| layer.spatial() <= most) {
        // The base alone of three temporal layers is a slide show: of all but the smallest, a smaller picture that moves is better.
        let base = layer.temporal() == 0 && encoding.rates.layers().any(|l| l.spatial() == layer.spatial() && l.temporal() >= 2);
        if base && (place > 0 || layer.spatial() > 0) {
            continue;
        }
        let rate = encoding.rates.of(layer);
        // The last is all there is of its size, and what there may be more of it.
        let aimed = if Some(layer) == last { Layer::new(layer.spatial(), Layer::TOP.temporal()) } else { layer };
        push(aimed, rate, level(place, layer));
    }
}

/// How many sizes there are within an encoding.
fn sizes(encoding: &Encoding) -> u8 {
    encoding.rates.layers().map(|layer| layer.spatial() + 1).max().unwrap_or(1)
}

/// The largest size within an encoding that is worth sending: each is half the next one.
fn most_within(encoding: &Encoding, size: (u16, u16), view: View) -> u8 {
    let sizes = sizes(encoding);
    let enough = |spatial: &u8| {
        let halvings = sizes - 1 - spatial;
        is_enough((size.0 >> halvings, size.1 >> halvings), view)
    };
    (0..sizes).find(enough).unwrap_or(sizes - 1)
}

/// A temporal step counts one, a spatial one more than all of them.
const fn level(place: u8, layer: Layer) -> u8 {
    1 + place * 16 + layer.spatial() * 4 + layer.temporal()
}

/// The place in `order` of the largest encoding that is worth sending.
fn largest_shown(track: &Track, order: &[u8], view: View) -> usize {
    order.iter().position(|number| is_enough(size(track, *number), view)).unwrap_or(order.len() - 1)
}

/// Whether a picture of this size fills its tile: it is fitted into it by its narrower side.
fn is_enough((width, height): (u16, u16), view: View) -> bool {
    let scaled = |pixels: u16| u32::from(pixels) * ENLARGE_PER_CENT / 100;
    scaled(width) >= u32::from(view.width) || scaled(height) >= u32::from(view.height)
}

/// Width and height of an encoding: as its key frame says, else half the next larger one's.
fn size(track: &Track, number: u8) -> (u16, u16) {
    if let Some(size) = track.encoding(number).and_then(|e| e.size) {
        return size;
    }
    let last = track.encodings.len().saturating_sub(1) as u8;
    if number >= last {
        return (1_280, 720);
    }
    let (width, height) = size(track, number + 1);
    (width / 2, height / 2)
}

/// Height of an encoding in pixels, as far as it is known.
pub fn height(track: &Track, number: u8) -> u16 {
    size(track, number).1
}

/// Whether an encoding has been asked for in vain for a while.
fn is_withheld(now: Time, track: &Track, encoding: &Encoding) -> bool {
    let since = encoding.wanted_since.max(encoding.last_packet);
    track.started && encoding.wanted_since != Time::ZERO && now.micros_since(since) > WITHHELD_AFTER
}
