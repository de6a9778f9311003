//! A waveform: how loud each piece of a file's sound is at most, worked out while it is decoded, however long it is.

use serde::Serialize;

/// Values that a waveform has at most: more than a page has pixels for it.
pub const MOST_VALUES: usize = 2_000;
/// Samples of a second, as they are decoded for this.
pub const RATE: u32 = 8_000;
/// Samples of the first pieces: 10 ms.
const FIRST_SPAN: usize = 80;

/// Peaks in the making: whenever there are too many, two become one.
#[derive(Debug)]
pub struct Peaks {
    /// Samples of a value.
    span: usize,
    values: Vec<u16>,
    /// The value that is not whole yet, and samples in it.
    loudest: u16,
    heard: usize,
    /// The first byte of a sample whose second one has not come.
    odd: Option<u8>,
}

/// A waveform, as it is kept beside a file.
#[derive(Debug, PartialEq, Serialize)]
pub struct Waveform {
    /// How many seconds a value is of.
    pub seconds_per_value: f64,
    /// The loudest of each piece, from 0 to 1.
    pub peaks: Vec<f64>,
}

impl Default for Peaks {
    fn default() -> Self {
        Self { span: FIRST_SPAN, values: Vec::with_capacity(MOST_VALUES), loudest: 0, heard: 0, odd: None }
    }
}

impl Peaks {
    /// Takes the next bytes: one channel at [`RATE`], two bytes a sample, the lower one first.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if let Some(low) = self.odd.take() {
            let Some((high, rest)) = bytes.split_first() else { return self.odd = Some(low) };
            self.hear(i16::from_le_bytes([low, *high]));
            bytes = rest;
        }
        let (samples, odd) = bytes.as_chunks::<2>();
        samples.iter().for_each(|sample| self.hear(i16::from_le_bytes(*sample)));
        self.odd = odd.first().copied();
    }

    /// What came of it; none when there was no sound at all.
    pub fn finish(mut self) -> Option<Waveform> {
        if self.heard > 0 {
            self.close();
        }
        let peak = |value: &u16| (f64::from(*value) / f64::from(i16::MIN.unsigned_abs()) * 1_000.0).round() / 1_000.0;
        let seconds_per_value = self.span as f64 / f64::from(RATE);
        (!self.values.is_empty()).then(|| Waveform { seconds_per_value, peaks: self.values.iter().map(peak).collect() })
    }

    fn hear(&mut self, sample: i16) {
        self.loudest = self.loudest.max(sample.unsigned_abs());
        self.heard += 1;
        if self.heard == self.span {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.values.len() == MOST_VALUES {
            self.values = self.values.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
            // What has been collected is the first half of a value of twice the length.
            self.span *= 2;
            if self.heard * 2 == self.span {
                return;
            }
        }
        self.values.push(self.loudest);
        (self.loudest, self.heard) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: impl Iterator<Item = i16>, piece: usize) -> Option<Waveform> {
        let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        let mut peaks = Peaks::default();
        bytes.chunks(piece).for_each(|bytes| peaks.take(bytes));
        peaks.finish()
    }

    #[test]
    fn a_short_file_has_a_value_each_ten_milliseconds_however_it_comes() {
        let samples = || (0..800).map(|n| if n == 85 { -16_384 } else { 0 });
        let waveform = of(samples(), 1_000).expect("there is sound");
        assert_eq!((waveform.seconds_per_value, waveform.peaks.len(), waveform.peaks[1]), (0.01, 10, 0.5));
        assert_eq!(waveform.peaks.iter().filter(|peak| **peak > 0.0).count(), 1);
        for piece in [1, 3, 7, 160] {
            assert_eq!(of(samples(), piece).as_ref(), Some(&waveform), "in pieces of {piece} bytes");
        }
    }

    #[test]
    fn a_long_file_has_as_few_values_as_fit_and_its_peaks_lie_where_they_were() {
        for seconds in [19.9, 20.0, 20.005, 20.01, 39.99, 61.3, 3_600.0] {
            let samples = (seconds * f64::from(RATE)) as usize;
            let click = samples * 2 / 3;
            let waveform = of((0..samples).map(|n| if n == click { i16::MIN } else { 100 }), 4_096).expect("there is sound");
            assert!((MOST_VALUES / 2 - 1..=MOST_VALUES).contains(&waveform.peaks.len()), "{seconds}: {}", waveform.peaks.len());
            let at = waveform.peaks.iter().position(|peak| *peak == 1.0).expect("the click");
            let (begins, wanted) = (at as f64 * waveform.seconds_per_value, click as f64 / f64::from(RATE));
            assert!(begins <= wanted && wanted < begins + waveform.seconds_per_value, "{seconds}: {begins} for {wanted}");
            let length = waveform.peaks.len() as f64 * waveform.seconds_per_value;
            assert!(length >= seconds - 0.001 && length - seconds < waveform.seconds_per_value, "{seconds}: {length}");
        }
    }

    #[test]
    fn no_sound_is_no_waveform() {
        assert_eq!(of(std::iter::empty(), 1), None);
    }
}
