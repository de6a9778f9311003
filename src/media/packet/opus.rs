//! The Opus table-of-contents byte (RFC 6716 section 3.1).

const MAX_SAMPLES: u32 = 5_760;

/// How much sound an Opus packet holds, in samples at 48 kHz (the unit of its RTP timestamps, RFC 7587).
///
/// `None` when the packet is empty, cut within its frame count, without frames or longer than the 120 ms that are allowed.
pub fn frame_samples_48k(payload: &[u8]) -> Option<u32> {
    let toc = *payload.first()?;
    let frames = match toc & 0x03 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    let samples = samples_of_one_frame(toc >> 3).wrapping_mul(frames);
    (samples != 0 && samples <= MAX_SAMPLES).then_some(samples)
}

/// Table 2: SILK has frames of 10–60 ms, hybrid of 10 and 20 ms, CELT of 2.5–20 ms.
const fn samples_of_one_frame(configuration: u8) -> u32 {
    match configuration {
        0..12 => match configuration & 3 {
            0 => 480,
            1 => 960,
            2 => 1_920,
            _ => 2_880,
        },
        12..16 => 480 << (configuration & 1),
        _ => 120 << (configuration & 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_how_long_a_frame_is() {
        let expected: Vec<u32> = [[480, 960, 1_920, 2_880].repeat(3), [480, 960].repeat(2), [120, 240, 480, 960].repeat(4)].concat();
        let read: Vec<u32> = (0..32).map(|configuration| frame_samples_48k(&[configuration << 3]).unwrap()).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn the_code_says_how_many_frames_there_are() {
        // 20 ms CELT, as browsers send it.
        assert_eq!(frame_samples_48k(&[0xf8, 1]), Some(960));
        assert_eq!(frame_samples_48k(&[0xf9, 1]), Some(1_920));
        assert_eq!(frame_samples_48k(&[0xfa, 1]), Some(1_920));
        assert_eq!(frame_samples_48k(&[0xfb, 0x83]), Some(2_880));
    }

    #[test]
    fn impossible_counts_are_refused() {
        assert_eq!(frame_samples_48k(&[]), None);
        assert_eq!(frame_samples_48k(&[0xfb]), None);
        assert_eq!(frame_samples_48k(&[0xfb, 0]), None);
        assert_eq!(frame_samples_48k(&[0xfb, 6]), Some(5_760));
        assert_eq!(frame_samples_48k(&[0xfb, 7]), None);
        assert_eq!(frame_samples_48k(&[0x1b, 63]), None);
    }
}
