//! What goes on all the while: two clients, one by UDP and one by TCP, who exchange data through the relay.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::report::Report;
use crate::scene::Scene;
use crate::turn::{From, Turn};

/// As sound does.
const EVERY: Duration = Duration::from_millis(20);
/// How long the last data may take.
const LAST: Duration = Duration::from_millis(700);
const CHANNEL: u16 = 0x4001;

/// The exchange.
pub struct Exchange {
    stop: Arc<AtomicBool>,
    ends: Option<[JoinHandle<End>; 2]>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// What one end has seen.
struct End {
    sent: usize,
    received: BTreeSet<u32>,
    /// The longest time without data.
    longest: Duration,
}

impl Exchange {
    /// Begins: one end sends by a channel, the other one by indications.
    pub fn begin(scene: &Scene) -> Self {
        let [one, other] = ["exchange", "exchange"].map(|room| scene.join(room).credentials);
        let mut ada = Turn::udp([127, 0, 200, 1], &one);
        let mut ben = Turn::tcp([127, 0, 201, 1], &other);
        let [a, b] = [ada.allocate(false), ben.allocate(false)].map(|relayed| relayed.expect("an allocation"));
        ada.bind(CHANNEL, b).expect("bound");
        ben.permit(a).expect("permitted");
        let stop = Arc::new(AtomicBool::new(false));
        let ends = [(ada, None, b), (ben, Some(a), a)].map(|(turn, to, from)| {
            let stop = stop.clone();
            std::thread::spawn(move || run(turn, to, from, &stop))
        });
        Self { stop, ends: Some(ends) }
    }

    /// Ends it, and says what has become of it.
    pub fn end(mut self, report: &mut Report) {
        self.stop.store(true, Ordering::SeqCst);
        let [ada, ben] = self.ends.take().expect("not yet ended").map(|end| end.join().expect("no panic"));
        let lost = |sender: &End, receiver: &End| sender.sent.saturating_sub(receiver.received.len());
        report.at_least("exchange_sent", (ada.sent + ben.sent) as f64, "datagrams", 20.0);
        report.exactly("exchange_lost", (lost(&ada, &ben) + lost(&ben, &ada)) as f64, "datagrams", 0.0);
        report.at_most("exchange_longest_gap", ada.longest.max(ben.longest).as_secs_f64() * 1_000.0, "ms", 2_000.0);
    }
}

/// Sends to a peer, or by the channel, and counts what comes from where it has to come.
fn run(mut turn: Turn, to: Option<SocketAddr>, from: SocketAddr, stop: &AtomicBool) -> End {
    let mut end = End { sent: 0, received: BTreeSet::new(), longest: Duration::ZERO };
    let (mut due, mut last, mut stopped) = (Instant::now(), Instant::now(), None);
    loop {
        if stopped.is_none() && stop.load(Ordering::SeqCst) {
            stopped = Some(Instant::now());
        }
        if stopped.is_some_and(|at| at.elapsed() > LAST) {
            return end;
        }
        if stopped.is_none() && Instant::now() >= due {
            due += EVERY;
            let data = [&(end.sent as u32).to_be_bytes()[..], &[0x5A; 156]].concat();
            let sent = match to {
                Some(peer) => turn.send_to(peer, &data),
                None => turn.send_by(CHANNEL, &data),
            };
            end.sent += 1;
            // Whatever the other end goes on sending is lost: that is found at the end.
            if sent.is_err() {
                return end;
            }
        }
        let patience = due.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), EVERY);
        if let Some((by, data)) = turn.next_data(patience) {
            assert_eq!(by, if to.is_some() { From::Peer(from) } else { From::Channel(CHANNEL) });
            assert_eq!(&data[4..], &[0x5A; 156], "as it was sent");
            let number = u32::from_be_bytes(data[..4].try_into().expect("four bytes"));
            assert!(end.received.insert(number), "{number} came twice");
            if stopped.is_none() {
                end.longest = end.longest.max(last.elapsed());
            }
            last = Instant::now();
        }
    }
}
