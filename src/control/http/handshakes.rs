//! TLS handshakes that are under way: never more than so many, and whoever begins too many loses their own first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::base::prefix::prefix_of;

/// The handshakes under way on one listener.
#[derive(Clone)]
pub struct Handshakes(Arc<Mutex<UnderWay>>);

/// A handshake that is counted as long as this lives.
pub struct Handshake {
    all: Handshakes,
    ticket: u64,
    evicted: oneshot::Receiver<()>,
}

struct UnderWay {
    most: usize,
    next: u64,
    /// By age: the lowest ticket is the oldest.
    by_ticket: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

impl Handshakes {
    /// At most so many.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(UnderWay { most, next: 0, by_ticket: BTreeMap::new() })))
    }

    /// One more. Where there are as many as there may be, the oldest of the network that has most ends: strangers who say nothing
    /// must not keep others out.
    pub fn begin(&self, from: IpAddr) -> Handshake {
        let (ticket, evicted) = self.under_way().begin(prefix_of(from));
        Handshake { all: self.clone(), ticket, evicted }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Waits until it has to make room for another one.
    pub async fn evicted(&mut self) {
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.under_way().by_ticket.remove(&self.ticket);
    }
}

impl UnderWay {
    fn begin(&mut self, prefix: IpAddr) -> (u64, oneshot::Receiver<()>) {
        if self.by_ticket.len() >= self.most
            && let Some(oldest) = self.oldest_of_most()
        {
            // Its sender goes with it: that is how its task hears.
            self.by_ticket.remove(&oldest);
        }
        let (sender, evicted) = oneshot::channel();
        let ticket = self.next;
        self.next += 1;
        self.by_ticket.insert(ticket, (prefix, sender));
        (ticket, evicted)
    }

    /// Looks at all: where there are several hundred, that is still less than a signature.
    fn oldest_of_most(&self) -> Option<u64> {
        let mut networks: BTreeMap<IpAddr, (usize, Reverse<u64>)> = BTreeMap::new();
        for (ticket, (prefix, _)) in &self.by_ticket {
            networks.entry(*prefix).or_insert((0, Reverse(*ticket))).0 += 1;
        }
        networks.into_values().max().map(|(_, Reverse(oldest))| oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn is_evicted(handshake: &mut Handshake) -> bool {
        handshake.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn one_too_many_ends_the_oldest_of_the_network_that_has_most() {
        let all = Handshakes::new(4);
        let mut fair = all.begin(ip("198.51.100.1"));
        let mut flood: Vec<_> = (1..=3).map(|host| all.begin(ip(&format!("192.0.2.{host}")))).collect();
        let mut late = all.begin(ip("203.0.113.1"));
        assert!(is_evicted(&mut flood[0]) && !is_evicted(&mut flood[1]) && !is_evicted(&mut flood[2]));
        assert!(!is_evicted(&mut fair) && !is_evicted(&mut late));
        let mut last = all.begin(ip("203.0.113.9"));
        assert!(is_evicted(&mut flood[1]) && !is_evicted(&mut late), "of networks with as many, the one that has the older");
        assert!(!is_evicted(&mut last) && !is_evicted(&mut fair));
        assert_eq!(all.under_way().by_ticket.len(), 4);
    }

    #[test]
    fn what_has_ended_makes_room() {
        let all = Handshakes::new(2);
        let mut first = all.begin(ip("192.0.2.1"));
        drop(all.begin(ip("192.0.2.2")));
        let second = all.begin(ip("192.0.2.3"));
        assert!(!is_evicted(&mut first));
        drop((first, second));
        assert!(all.under_way().by_ticket.is_empty());
    }
}
