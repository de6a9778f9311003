//! What the layers of an encoding take, measured as they arrive.

use crate::base::{Bitrate, Time};
use crate::media::packet::layers::Layer;

/// Layers told apart: four spatial with four temporal each.
const LAYERS: usize = 16;
/// A measurement takes so long, in microseconds. Less is led astray by key frames, more is late.
const WINDOW: u64 = 500_000;
/// Bytes around the RTP packet on the wire: IPv4 and UDP, the tag of SRTP, and what our header extensions have more than its own.
const AROUND: usize = 28 + 16 + 8;
/// A layer that was not seen for so many windows is not there any more.
const FORGET_AFTER: u8 = 6;

/// Rates of the layers of one encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerRates {
    since: Option<Time>,
    /// Bytes of each layer in this window.
    bytes: [u32; LAYERS],
    /// Smoothed rate of each layer alone, in bit/s.
    rates: [u32; LAYERS],
    /// Windows since a layer was last seen; [`FORGET_AFTER`] for one that is not there.
    unseen: [u8; LAYERS],
    /// Bits of the layers that are there.
    present: u16,
}

impl LayerRates {
    /// A packet of a layer came; its bytes as RTP. What is measured is what it takes on the wire when it goes out.
    pub fn count(&mut self, now: Time, layer: Layer, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        if now.micros_since(since) >= WINDOW {
            self.close(now, since);
        }
        let place = place_of(layer);
        self.present |= 1 << place;
        self.unseen[place] = 0;
        self.bytes[place] = self.bytes[place].saturating_add((bytes + AROUND) as u32);
    }

    /// The rate of what a receiver at `layer` is sent; zero when nothing was measured yet. What is not sent keeps its last rate.
    pub fn of(&self, layer: Layer) -> Bitrate {
        let below = self.layers().filter(|l| l.spatial() <= layer.spatial() && l.temporal() <= layer.temporal());
        Bitrate::bps(below.map(|l| u64::from(self.rates[place_of(l)])).sum())
    }

    /// The layers that are there, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = Layer> + '_ {
        (0..LAYERS as u8).filter(|place| self.present >> place & 1 == 1).map(|place| Layer::new(place >> 2, place & 3))
    }

    /// Whether anything was measured.
    pub fn is_known(&self) -> bool {
        self.rates.iter().any(|rate| *rate > 0)
    }

    fn close(&mut self, now: Time, since: Time) {
        let took = now.micros_since(since).max(1);
        // A pause is not a rate: what came before it is spread over its window alone.
        let span = if took > 2 * WINDOW { WINDOW } else { took };
        for place in 0..LAYERS {
            if self.present >> place & 1 == 0 {
                continue;
            }
            let measured = (u64::from(std::mem::take(&mut self.bytes[place])) * 8_000_000 / span).min(u64::from(u32::MAX)) as u32;
            let rate = &mut self.rates[place];
            // Up faster than down, so that nobody is given more than fits; neither follows a single key frame.
            *rate = match measured.checked_sub(*rate) {
                _ if *rate == 0 => measured,
                Some(more) => *rate + more / 2,
                None => *rate - (*rate - measured) / 4,
            };
            self.unseen[place] = self.unseen[place].saturating_add(1);
            if self.unseen[place] > FORGET_AFTER {
                (self.rates[place], self.unseen[place]) = (0, 0);
                self.present &= !(1 << place);
            }
        }
        self.since = Some(now);
    }
}

fn place_of(layer: Layer) -> usize {
    usize::from(layer.spatial() << 2 | layer.temporal())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(temporal: u8) -> Layer {
        Layer::new(0, temporal)
    }

    /// Thirty pictures a second in three temporal layers, the base twice as large.
    fn feed(rates: &mut LayerRates, from: u64, seconds: u64, temporal: u8) {
        for n in 0..seconds * 30 {
            let t = [0, 2, 1, 2][n as usize % 4];
            if t <= temporal {
                rates.count(Time::from_micros(from + n * 33_333), layer(t), if t == 0 { 2_000 } else { 1_000 });
            }
        }
    }

    #[test]
    fn a_layer_takes_what_it_and_those_below_it_take() {
        let mut rates = LayerRates::default();
        assert!(!rates.is_known());
        feed(&mut rates, 0, 4, 2);
        let kbps = |t| rates.of(layer(t)).as_bps() / 1_000;
        assert!((110..=140).contains(&kbps(0)), "{}", kbps(0));
        assert!((170..=205).contains(&kbps(1)), "{}", kbps(1));
        assert!((285..=340).contains(&kbps(2)), "{}", kbps(2));
        assert_eq!(rates.layers().collect::<Vec<_>>(), [layer(0), layer(1), layer(2)]);
        assert_eq!(rates.of(Layer::TOP), rates.of(layer(2)));
    }

    #[test]
    fn a_layer_that_is_sent_no_longer_is_forgotten_and_a_pause_of_all_changes_nothing() {
        let mut rates = LayerRates::default();
        feed(&mut rates, 0, 4, 2);
        let before = rates.of(Layer::TOP).as_bps();
        feed(&mut rates, 20_000_000, 2, 2);
        assert!(rates.of(Layer::TOP).as_bps().abs_diff(before) < before / 5);
        feed(&mut rates, 30_000_000, 6, 1);
        assert_eq!(rates.layers().last(), Some(layer(1)));
    }
}
