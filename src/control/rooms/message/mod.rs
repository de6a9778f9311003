//! What members ask for, one file each.

mod chat;
mod data;
mod direct;
mod join;
mod leave;
mod moderate;
mod offer;
mod publish;
mod resume;
mod subscribe;
mod view;
mod whip;

pub(super) use data::Sending;
