//! Reception statistics of one received stream, as receiver reports want them (RFC 3550 appendix A.3 and A.8).

use crate::base::{Ntp, Time};
use crate::media::packet::rtcp::ReportBlock;

/// Statistics of one SSRC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    first: Option<u64>,
    highest: u64,
    received: u64,
    bytes: u64,
    reported_expected: u64,
    reported_received: u64,
    /// Of what was received, what [`Self::uncounted`] has given out.
    counted: (u64, u64),
    /// Sixteen times the smoothed jitter, in timestamp units.
    jitter_x16: u32,
    last_transit: Option<u32>,
    last_timestamp: u32,
    last_sr: Option<(u32, Time)>,
}

impl Reception {
    /// A packet arrived. `clock_rate` is in Hz.
    pub fn arrived(&mut self, now: Time, sequence: u64, timestamp: u32, bytes: usize, clock_rate: u32) {
        self.received = self.received.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
        let newest = self.first.is_none() || sequence > self.highest;
        self.first = Some(self.first.map_or(sequence, |f| f.min(sequence)));
        self.highest = self.highest.max(sequence);
        if newest {
            self.measure_jitter(now, timestamp, clock_rate);
        }
    }

    /// A sender report arrived: what LSR and DLSR are about.
    pub fn sender_report(&mut self, now: Time, ntp: Ntp) {
        self.last_sr = Some((ntp.middle(), now));
    }

    /// The highest extended sequence number, if any packet has come.
    pub fn highest(&self) -> Option<u64> {
        self.first.map(|_| self.highest)
    }

    /// Bytes received so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets received since the last report.
    pub const fn unreported(&self) -> u64 {
        self.received.wrapping_sub(self.reported_received)
    }

    /// Packets and bytes received since the last call.
    pub const fn uncounted(&mut self) -> (u64, u64) {
        let (packets, bytes) = self.counted;
        self.counted = (self.received, self.bytes);
        (self.received.wrapping_sub(packets), self.bytes.wrapping_sub(bytes))
    }

    /// The report block about this stream; the fraction lost is since the last call.
    pub fn report(&mut self, now: Time, ssrc: u32) -> Option<ReportBlock> {
        let first = self.first?;
        let expected = self.highest - first + 1;
        let lost = (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7F_FFFF);
        let expected_now = expected.wrapping_sub(self.reported_expected);
        let received_now = self.received.wrapping_sub(self.reported_received);
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let (last_sr, delay) = self.last_sr.map_or((0, 0), |(sr, at)| (sr, (now.micros_since(at) * 65_536 / 1_000_000) as u32));
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: lost as i32,
            highest: self.highest as u32,
            jitter: self.jitter_x16 >> 4,
            last_sr,
            delay,
        })
    }

    fn measure_jitter(&mut self, now: Time, timestamp: u32, clock_rate: u32) {
        if self.last_transit.is_some() && timestamp == self.last_timestamp {
            return; // packets of one frame leave together: their spread is pacing, not jitter
        }
        let arrival = (u128::from(now.as_micros()) * u128::from(clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.last_transit {
            let d = (transit.wrapping_sub(last) as i32).unsigned_abs().min(1 << 26);
            self.jitter_x16 = self.jitter_x16.saturating_add(d).saturating_sub((self.jitter_x16 + 8) >> 4);
        }
        (self.last_transit, self.last_timestamp) = (Some(transit), timestamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_since_the_last_report_and_in_all() {
        let mut r = Reception::default();
        for n in (0..100u64).filter(|n| n % 4 != 1) {
            r.arrived(Time::from_millis(n * 20), 0x1_0000 + n, n as u32 * 960, 100, 48_000);
        }
        let block = r.report(Time::from_millis(2_000), 7).expect("packets came");
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest, block.jitter), (64, 25, 0x1_0063, 0));
        r.arrived(Time::from_millis(2_000), 0x1_0064, 96_000, 100, 48_000);
        let block = r.report(Time::from_millis(2_100), 7).expect("packets came");
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25));
    }

    #[test]
    fn nothing_is_reported_before_the_first_packet() {
        assert_eq!(Reception::default().report(Time::ZERO, 1), None);
    }

    #[test]
    fn jitter_settles_at_the_spread_of_arrivals() {
        let mut r = Reception::default();
        for n in 0..2_000u64 {
            let late = if n % 2 == 0 { 0 } else { 5_000 };
            r.arrived(Time::from_micros(n * 20_000 + late), n + 0x1_0000, n as u32 * 960, 100, 48_000);
        }
        let jitter = r.report(Time::from_millis(40_000), 1).expect("packets came").jitter;
        assert!((220..=250).contains(&jitter), "5 ms are 240 units: {jitter}");
    }

    #[test]
    fn the_delay_since_a_sender_report_is_in_units_of_a_65536th_second() {
        let mut r = Reception::default();
        r.arrived(Time::ZERO, 0x1_0000, 0, 1, 48_000);
        r.sender_report(Time::from_millis(100), Ntp(0x1234_5678_9ABC_DEF0));
        let block = r.report(Time::from_millis(600), 1).expect("packets came");
        assert_eq!((block.last_sr, block.delay), (0x5678_9ABC, 32_768));
    }
}
