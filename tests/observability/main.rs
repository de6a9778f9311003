//! What an operator sees of a node: metrics that promtool has nothing against, alerts and dashboards that ask for what there is, and who had
//! bad pictures, when, and on which leg.

mod boards;
mod calls;
#[path = "../client/mod.rs"]
mod client;
mod files;
#[path = "../client/folder.rs"]
mod folder;
mod node;
#[path = "../nodes/mod.rs"]
mod nodes;
#[path = "../nodes/port.rs"]
mod port;
#[path = "../prove/row.rs"]
#[allow(dead_code, reason = "shared with the proofs")]
mod row;
mod scrape;
#[path = "../attacks/turn.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod turn;
#[path = "../s3/way.rs"]
#[allow(dead_code, reason = "shared with the library's tests")]
mod way;
#[path = "../load/wire.rs"]
mod wire;

/// What a client is told of the relay.
mod scene {
    #[derive(Clone, Debug)]
    pub struct Credentials {
        pub relays: Vec<std::net::SocketAddr>,
        pub username: String,
        pub password: String,
    }

    impl Credentials {
        /// The relay at an address of a family.
        pub fn relay(&self, ipv6: bool) -> std::net::SocketAddr {
            *self.relays.iter().find(|at| at.is_ipv6() == ipv6).expect("a relay of this family")
        }
    }
}
