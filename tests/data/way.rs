//! A way between a client and the node that loses datagrams: whatever they are, in each direction, by a seed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use althing::base::random::Random;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A lossy way to one client.
pub struct Way {
    /// Where the client sends to.
    pub address: SocketAddr,
    /// Datagrams that came, and those of them that were lost: to the node, and from it.
    pub counts: Arc<[[AtomicU64; 2]; 2]>,
    task: JoinHandle<()>,
}

impl Way {
    /// To the node's media port; of a hundred datagrams `loss` are lost each way.
    pub async fn new(node: SocketAddr, loss: u64, seed: u64) -> Self {
        let inside = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let outside = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = inside.local_addr().expect("bound");
        let counts: Arc<[[AtomicU64; 2]; 2]> = Arc::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut random = Random::new(seed);
            let (mut client, mut from_client, mut from_node) = (None, [0; 2_048], [0; 2_048]);
            loop {
                let (direction, len) = tokio::select! {
                    came = inside.recv_from(&mut from_client) => {
                        let Ok((len, from)) = came else { continue };
                        client = Some(from);
                        (0, len)
                    }
                    came = outside.recv_from(&mut from_node) => {
                        let Ok((len, _)) = came else { continue };
                        (1, len)
                    }
                };
                counted[direction][0].fetch_add(1, Ordering::Relaxed);
                if random.next_u64() % 100 < loss {
                    counted[direction][1].fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let _ = match (direction, client) {
                    (0, _) => outside.send_to(&from_client[..len], node).await,
                    (_, Some(client)) => inside.send_to(&from_node[..len], client).await,
                    _ => Ok(0),
                };
            }
        });
        Self { address, counts, task }
    }

    /// Of a hundred datagrams so many were lost, both ways together.
    pub fn lost(&self) -> f64 {
        let sum = |at: usize| self.counts.iter().map(|way| way[at].load(Ordering::Relaxed)).sum::<u64>() as f64;
        100.0 * sum(1) / sum(0).max(1.0)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}
