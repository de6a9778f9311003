//! The library of a real node: lists, playing, downloading, sharing, deleting, uploads, and what strangers get.

mod access;
#[path = "../s3/bucket.rs"]
mod bucket;
#[path = "../client/mod.rs"]
mod client;
#[path = "../client/folder.rs"]
mod folder;
mod lists;
#[path = "../nodes/mod.rs"]
mod nodes;
mod played;
#[path = "../nodes/process.rs"]
mod process;
mod recorded;
mod scene;
mod upload;
#[path = "../s3/way.rs"]
mod way;
