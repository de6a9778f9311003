//! The limit, to whom subscribers report as often as to Althing: what comes is received and dropped.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::estimated::REPORT_EVERY;
use super::measure::{Case, Forwarder, Tally, cpu_ns};

/// A sealed report of ten packets.
const REPORT: [u8; 68] = [0; 68];

pub struct Told<F> {
    forwarder: F,
    subscribers: Vec<(UdpSocket, Instant)>,
    next_report: Instant,
    aside: u64,
}

impl<F: Forwarder> Told<F> {
    pub fn new(case: &Case, forwarder: F) -> Self {
        let (begin, count) = (Instant::now(), case.subscribers as u32);
        let socket = |index| (UdpSocket::bind("127.0.0.1:0").expect("a socket"), begin + REPORT_EVERY * index / count);
        Self { forwarder, subscribers: (0..count).map(socket).collect(), next_report: begin, aside: 0 }
    }
}

impl<F: Forwarder> Forwarder for Told<F> {
    fn port(&self) -> u16 {
        self.forwarder.port()
    }

    fn warm_up(&self) -> Duration {
        self.forwarder.warm_up()
    }

    fn turn(&mut self) {
        self.forwarder.turn();
        let now = Instant::now();
        if self.next_report > now {
            return;
        }
        let begun = cpu_ns();
        let to = (Ipv4Addr::LOCALHOST, self.forwarder.port());
        for (socket, report_at) in &mut self.subscribers {
            if *report_at <= now {
                *report_at += REPORT_EVERY;
                // One that does not fit into the socket is lost, as with Althing.
                socket.send_to(&REPORT, to).ok();
            }
        }
        self.next_report = self.subscribers.iter().map(|(_, report_at)| *report_at).min().unwrap_or(now);
        self.aside += cpu_ns() - begun;
    }

    fn tally(&self) -> Tally {
        let tally = self.forwarder.tally();
        Tally { aside: tally.aside + self.aside, ..tally }
    }
}
