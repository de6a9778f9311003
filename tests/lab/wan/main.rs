//! A way between two network devices that carries less than everything: it passes Ethernet frames between them with a capacity
//! and its queue, delay, jitter and loss, for each direction of its own. Linux has netem for that where it was built with it.
//!
//! `wan NEAR FAR`: `up` is from NEAR to FAR, `down` the other way. A JSON request a line comes in and a reply goes out:
//! `{"shape": {"down": {"capacity": 250000, "queue_ms": 300}}}` shapes a direction anew, whole; `"count"` tells what has passed;
//! `"forget"` lets the figures of the queues begin anew. It ends when nobody can ask any more.

mod random;
mod shape;
mod socket;
mod way;

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::{Value, json};

use self::random::Random;
use self::shape::Shape;
use self::socket::{Device, MOST_BYTES};
use self::way::Way;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Frames that are read from a device before the other things get their turn.
const TURN: usize = 64;

/// What may be asked.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Shape(Box<Shapes>),
    Count,
    Forget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shapes {
    up: Option<Shape>,
    down: Option<Shape>,
}

/// Both directions.
struct Wan {
    /// Each device with the way that begins there.
    ends: [(Device, Way); 2],
    asked: Vec<u8>,
}

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let [near, far] = &names[..] else { return Err("wan NEAR FAR: names of two network devices".into()) };
    let seed = std::env::var("WAN_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let now = Instant::now();
    let ends = [(Device::open(near)?, Way::new(now, Random::new(seed))), (Device::open(far)?, Way::new(now, Random::new(!seed)))];
    Wan { ends, asked: Vec::new() }.run()
}

impl Wan {
    fn run(mut self) -> Result<()> {
        let stdin = std::io::stdin();
        let mut frame = vec![0; MOST_BYTES + 1];
        loop {
            self.deliver(Instant::now());
            let [near, far] = &self.ends;
            let next = near.1.next_at().into_iter().chain(far.1.next_at()).min();
            let wait = next.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
            let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
            let mut ready = [stdin.as_fd(), near.0.as_fd(), far.0.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut ready, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [asked, near, far] = ready.map(|fd| !fd.revents().is_empty());
            for (device, way) in self.ends.iter_mut().zip([near, far]).filter_map(|(end, ready)| ready.then_some(end)) {
                for _ in 0..TURN {
                    let Some(bytes) = device.receive(&mut frame)? else { break };
                    way.take(Instant::now(), &frame[..bytes]);
                }
            }
            if asked && !self.answer(&stdin)? {
                return Ok(());
            }
        }
    }

    fn deliver(&mut self, now: Instant) {
        let [near, far] = &mut self.ends;
        for (way, device) in [(&mut near.1, &far.0), (&mut far.1, &near.0)] {
            while let Some(frame) = way.arrived(now) {
                device.send(&frame);
            }
        }
    }

    /// Answers what has been asked by now; false when nobody can ask any more.
    fn answer(&mut self, stdin: &std::io::Stdin) -> Result<bool> {
        let mut read = [0; 4096];
        let bytes = rustix::io::read(stdin, &mut read)?;
        self.asked.extend_from_slice(&read[..bytes]);
        while let Some(end) = self.asked.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.asked.drain(..=end).collect();
            let reply = serde_json::from_slice(&line).map_or_else(|error| json!({ "error": error.to_string() }), |request| self.obey(request));
            writeln!(std::io::stdout(), "{reply}")?;
        }
        Ok(bytes > 0)
    }

    fn obey(&mut self, request: Request) -> Value {
        let now = Instant::now();
        let [(near, up), (far, down)] = &mut self.ends;
        match request {
            Request::Shape(shapes) => {
                for (way, shape) in [(up, shapes.up), (down, shapes.down)] {
                    if let Some(shape) = shape {
                        way.reshape(now, shape);
                    }
                }
                json!({ "shaped": true })
            }
            Request::Count => json!({ "up": up.counts(now), "down": down.counts(now), "refused": near.refused() + far.refused() }),
            Request::Forget => {
                up.forget();
                down.forget();
                json!({ "forgotten": true })
            }
        }
    }
}
