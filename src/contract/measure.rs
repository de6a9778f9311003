//! What a worker measures as distributions: how many values lay below each of some bounds, and their sum. They are cumulative, as
//! counters are, and taken at the pace of reports, of turns or of handshakes; none is taken for a packet.

/// Most bounds of a distribution.
const MOST_BOUNDS: usize = 14;

macro_rules! measures {
    ($($(#[doc = $doc:literal])* $name:ident => $metric:literal, $label:literal, $scale:ident;)*) => {
        /// Everything that a worker measures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Measure {
            $($(#[doc = $doc])* $name,)*
        }

        impl Measure {
            /// All measures, in the order of their discriminants.
            pub const ALL: &'static [Measure] = &[$(Measure::$name,)*];

            /// The metric's name (without the `althing_` prefix), and `key=value` of its labels, with commas between them.
            pub const fn metric(self) -> (&'static str, &'static str) {
                match self {
                    $(Measure::$name => ($metric, $label),)*
                }
            }

            /// The bounds that its values are sorted by.
            pub const fn scale(self) -> &'static Scale {
                match self {
                    $(Measure::$name => &$scale,)*
                }
            }
        }
    };
}

measures! {
    /// Microseconds from a connection's plan to the first ICE check that was validated.
    IceTime => "ice_connect_seconds", "", BEGINNINGS;
    /// Microseconds from there to the keys.
    HandshakeTime => "dtls_handshake_seconds", "", BEGINNINGS;
    /// Microseconds from a connection's plan to its first packet of media that authenticated, of those that send any.
    FirstMediaTime => "first_media_seconds", "", BEGINNINGS;
    /// Microseconds to a peer and back, as its receiver reports say.
    RoundTrip => "round_trip_seconds", "", ROUND_TRIPS;
    /// Microseconds of jitter of a publisher's sound.
    JitterReceivedAudio => "jitter_seconds", "direction=received,kind=audio", JITTER;
    /// Microseconds of jitter of a publisher's picture.
    JitterReceivedVideo => "jitter_seconds", "direction=received,kind=video", JITTER;
    /// Microseconds of jitter of sound, as its subscriber reports it.
    JitterSentAudio => "jitter_seconds", "direction=sent,kind=audio", JITTER;
    /// Microseconds of jitter of a picture, as its subscriber reports it.
    JitterSentVideo => "jitter_seconds", "direction=sent,kind=video", JITTER;
    /// Millionths of a publisher's sound that were lost since the last report.
    LossReceivedAudio => "loss_ratio", "direction=received,kind=audio", LOSS;
    /// Millionths of a publisher's picture that were lost since the last report.
    LossReceivedVideo => "loss_ratio", "direction=received,kind=video", LOSS;
    /// Millionths of sound that were lost on the way to a subscriber, as it reports.
    LossSentAudio => "loss_ratio", "direction=sent,kind=audio", LOSS;
    /// Millionths of a picture that were lost on the way to a subscriber, as it reports.
    LossSentVideo => "loss_ratio", "direction=sent,kind=video", LOSS;
    /// What subscribers' links are estimated to carry, in bytes a second.
    Estimate => "link_estimate_bytes_per_second", "", RATES;
    /// Microseconds that timers were served later than they were due: how far the loop lags behind.
    LoopLag => "worker_loop_lag_seconds", "", LAGS;
    /// Messages taken from a socket at once.
    ReceiveBatch => "worker_receive_batch_messages", "", BATCHES;
}

/// The upper bounds of a distribution, and by what its values are divided to be in the metric's unit.
#[derive(Debug, PartialEq)]
pub struct Scale {
    /// Upper bounds, rising; what is above all of them is counted as well.
    pub bounds: &'static [u64],
    /// Values in one of the metric's unit.
    pub unit: f64,
}

const MICROS: f64 = 1e6;
const BEGINNINGS: Scale = Scale {
    bounds: &[5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000],
    unit: MICROS,
};
const ROUND_TRIPS: Scale =
    Scale { bounds: &[1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000], unit: MICROS };
const JITTER: Scale = Scale { bounds: &[500, 1_000, 2_500, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 250_000], unit: MICROS };
const LOSS: Scale = Scale { bounds: &[0, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 300_000, 500_000], unit: 1e6 };
const RATES: Scale =
    Scale { bounds: &[6_250, 12_500, 25_000, 50_000, 100_000, 187_500, 312_500, 625_000, 1_250_000, 2_500_000, 6_250_000, 12_500_000], unit: 1.0 };
const LAGS: Scale = Scale { bounds: &[100, 250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000], unit: MICROS };
const BATCHES: Scale = Scale { bounds: &[0, 1, 2, 4, 8, 16, 31], unit: 1.0 };

/// How many values lay where, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Values up to each bound and above the one before, then those above all.
    counts: [u64; MOST_BOUNDS + 1],
    sum: u64,
}

impl Distribution {
    /// Takes in a value.
    pub fn observe(&mut self, scale: &Scale, value: u64) {
        let place = scale.bounds.iter().position(|bound| value <= *bound).unwrap_or(scale.bounds.len());
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.wrapping_add(1);
        }
        self.sum = self.sum.wrapping_add(value);
    }

    /// For each bound, how many values were not above it.
    pub fn cumulative<'a>(&'a self, scale: &'a Scale) -> impl Iterator<Item = (u64, u64)> + 'a {
        let counts = self.counts.iter().scan(0u64, |sum, count| {
            *sum = sum.wrapping_add(*count);
            Some(*sum)
        });
        scale.bounds.iter().copied().zip(counts)
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Their sum.
    pub const fn sum(&self) -> u64 {
        self.sum
    }
}

/// The distributions of one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Distributions {
    values: [Distribution; Measure::ALL.len()],
}

impl Default for Distributions {
    fn default() -> Self {
        Self { values: [Distribution::default(); Measure::ALL.len()] }
    }
}

impl Distributions {
    /// Takes in a value, in the unit that its measure says.
    pub fn observe(&mut self, measure: Measure, value: u64) {
        if let Some(distribution) = self.values.get_mut(measure as usize) {
            distribution.observe(measure.scale(), value);
        }
    }

    /// What has been measured so far.
    pub const fn get(&self, measure: Measure) -> &Distribution {
        &self.values[measure as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_up_to_its_bound_and_one_above_all_bounds_counts_as_well() {
        let mut all = Distributions::default();
        for value in [0, 31, 32, 1_000] {
            all.observe(Measure::ReceiveBatch, value);
        }
        let found = all.get(Measure::ReceiveBatch);
        let cumulative: Vec<_> = found.cumulative(&BATCHES).collect();
        assert_eq!(cumulative, [(0, 1), (1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (31, 2)]);
        assert_eq!((found.count(), found.sum()), (4, 1_063));
        assert_eq!(all.get(Measure::LoopLag), &Distribution::default(), "no other measure has changed");
    }

    #[test]
    fn every_scale_rises_and_fits() {
        for measure in Measure::ALL {
            let bounds = measure.scale().bounds;
            assert!(bounds.len() <= MOST_BOUNDS && bounds.windows(2).all(|pair| pair[0] < pair[1]), "{measure:?}");
        }
    }
}
