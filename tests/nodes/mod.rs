//! Nodes for tests, in the test's own process: on this machine alone, with ports that the system gives, and without a relay.

// Each test takes from here what it needs.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use althing::config::{Config, EventsConfig, LibraryConfig, RecordingConfig, WebhookConfig};
use althing::node::Node;

/// Where nodes and their clients are.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The settings that all have.
pub fn config() -> Config {
    let mut config = Config::default();
    config.http.listen = SocketAddr::from((HERE, 0));
    config.admin = SocketAddr::from((HERE, 0));
    config.media.port = 0;
    config.media.bind = vec![HERE];
    config.turn = None;
    config
}

/// Starts one, with what else is to be set.
pub async fn start(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = config();
    change(&mut config);
    // A port that the system has given for UDP may be a connection's by TCP a moment later: other tests have many.
    for _ in 0..4 {
        match Node::start(config.clone()).await {
            Err(error) if config.media.port == 0 && error.to_string().contains("in use") => {}
            started => return started.expect("the node starts"),
        }
    }
    panic!("no port can be had by UDP and TCP");
}

/// Recordings of two rooms at a time go to a folder, for as long as its disk has room.
pub fn recording(folder: &Path) -> RecordingConfig {
    RecordingConfig { folder: folder.to_owned(), recordings: 2, minimum_free: 0, quota: 0, queue_bytes: 64 << 20, key_every: Duration::from_secs(10) }
}

/// A folder is a library: everything in it stays, and nobody uploads.
pub fn library(folder: &Path) -> LibraryConfig {
    LibraryConfig { folder: folder.to_owned(), minimum_free: 0, keep: None, keep_bytes: None, room_mib: None, uploads: None }
}

/// What happens goes to a log in a folder, and is told to nobody.
pub fn events(folder: &Path) -> EventsConfig {
    let webhooks = WebhookConfig {
        urls: Vec::new(),
        secrets: Vec::new(),
        timeout: Duration::from_secs(5),
        at_once: 1,
        retry: Duration::from_secs(1),
        retry_most: Duration::from_secs(1),
        give_up: Duration::from_secs(60),
    };
    EventsConfig { folder: folder.to_owned(), node: "n1".into(), keep: Duration::from_secs(86_400), keep_bytes: 1 << 20, webhooks }
}
