//! TLS on the public listener of a whole node: certificates that change, clients that are slow, an authority that speaks ACME.

#[path = "tls/acme.rs"]
mod acme;
#[path = "tls/authority.rs"]
mod authority;
#[path = "tls/beside.rs"]
mod beside;
#[path = "tls/dev.rs"]
mod dev;
#[path = "tls/files.rs"]
mod files;
mod nodes;
#[path = "tls/plain.rs"]
mod plain;
#[path = "nodes/port.rs"]
mod port;
#[path = "tls/scene.rs"]
mod scene;
#[path = "tls/slow.rs"]
mod slow;
