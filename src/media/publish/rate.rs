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
    /// Bytes of the last key frame in each spatial layer, and what key frames come to in bit/s: each is spread over the time to the
    /// next one, since it is many times as large as what follows, and may be the only one for minutes.
    key_bytes: [u32; LAYERS / 4],
    key_rates: [u32; LAYERS / 4],
    /// When the last key frame began, and for how long there had been none before.
    key_at: Option<Time>,
    key_apart: Option<u64>,
    /// Smoothed rate of each layer alone, in bit/s, without key frames.
    rates: [u32; LAYERS],
    /// Windows since a layer was last seen; [`FORGET_AFTER`] for one that is not there.
    unseen: [u8; LAYERS],
    /// Bits of the layers that are there.
    present: u16,
}

impl LayerRates {
    /// A key frame begins.
    pub fn key_frame(&mut self, now: Time) {
        self.key_apart = self.key_at.map(|at| now.micros_since(at));
        self.key_at = Some(now);
        self.key_bytes = [0; LAYERS / 4];
    }

    /// A packet of a layer came, of a key frame or not; its bytes as RTP. What is measured is what it takes on the wire when it goes
    /// out.
    pub fn count(&mut self, now: Time, layer: Layer, key: bool, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        if now.micros_since(since) >= WINDOW {
            self.close(now, since);
        }
        let place = place_of(layer);
        self.present |= 1 << place;
        self.unseen[place] = 0;
        let bytes_of = if key { &mut self.key_bytes[place >> 2] } else { &mut self.bytes[place] };
        *bytes_of = bytes_of.saturating_add((bytes + AROUND) as u32);
    }

    /// The rate of what a receiver at `layer` is sent; zero when nothing was measured yet. What is not sent keeps its last rate.
    pub fn of(&self, layer: Layer) -> Bitrate {
        let below = self.layers().filter(|l| l.spatial() <= layer.spatial() && l.temporal() <= layer.temporal());
        let keys: u64 = self.key_rates[..=usize::from(layer.spatial())].iter().map(|rate| u64::from(*rate)).sum();
        Bitrate::bps(below.map(|l| u64::from(self.rates[place_of(l)])).sum::<u64>() + keys)
    }

    /// The layers that are there, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = Layer> + '_ {
        (0..LAYERS as u8).filter(|place| self.present >> place & 1 == 1).map(|place| Layer::new(place >> 2, place & 3))
    }

    /// Whether anything was measured.
    pub fn is_known(&self) -> bool {
        self.rates.iter().chain(&self.key_rates).any(|rate| *rate > 0)
    }

    fn close(&mut self, now: Time, since: Time) {
        let took = now.micros_since(since).max(1);
        // A pause is not a rate: what came before it is spread over its window alone.
        let span = if took > 2 * WINDOW { WINDOW } else { took };
        let per_second = |bytes: u32| (u64::from(bytes) * 8_000_000 / span).min(u64::from(u32::MAX)) as u32;
        let apart = self.key_apart.zip(self.key_at).map(|(apart, at)| apart.max(now.micros_since(at)).max(WINDOW));
        for (rate, bytes) in self.key_rates.iter_mut().zip(self.key_bytes) {
            *rate = apart.map_or(0, |apart| (u64::from(bytes) * 8_000_000 / apart).min(u64::from(u32::MAX)) as u32);
        }
        for place in 0..LAYERS {
            if self.present >> place & 1 == 0 {
                continue;
            }
            let measured = per_second(std::mem::take(&mut self.bytes[place]));
            let rate = &mut self.rates[place];
            // What is much more is followed faster, so that nobody is given more than fits; what scatters in both directions alike, or
            // all would be taken for more than they are.
            *rate = match measured.checked_sub(*rate) {
                _ if *rate == 0 => measured,
                Some(more) if more > *rate / 3 => *rate + more / 2,
                Some(more) => *rate + more / 4,
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
                rates.count(Time::from_micros(from + n * 33_333), layer(t), false, if t == 0 { 2_000 } else { 1_000 });
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
    fn key_frames_count_by_how_often_they_come() {
        let kbps = |rates: &LayerRates| rates.of(Layer::TOP).as_bps() / 1_000;
        let (mut without, mut with) = (LayerRates::default(), LayerRates::default());
        let key = |rates: &mut LayerRates, second: u64| {
            rates.key_frame(Time::from_millis(second * 1_000));
            rates.count(Time::from_millis(second * 1_000), layer(0), true, 40_000);
        };
        feed(&mut without, 0, 2, 2);
        key(&mut with, 0);
        feed(&mut with, 0, 2, 2);
        assert_eq!(kbps(&with), kbps(&without), "the first may be the only one");
        for second in 2..20 {
            key(&mut with, second);
            feed(&mut with, second * 1_000_000, 1, 2);
        }
        assert!(kbps(&with).abs_diff(kbps(&without) + 320) < 30, "{} beside {}", kbps(&with), kbps(&without));
        feed(&mut with, 20_000_000, 15, 2);
        assert!(kbps(&with) < kbps(&without) + 30, "{} beside {}", kbps(&with), kbps(&without));
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
