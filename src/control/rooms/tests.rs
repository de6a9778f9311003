//! Rooms without sockets and without a worker: what members are told and what the worker is told.

mod account;
mod administration;
mod chat;
mod choice;
mod coming_and_going;
mod data;
mod direct;
mod door;
mod egress;
mod encryption;
mod fallback;
mod gestures;
mod kept;
mod ledger;
mod limits;
mod media;
mod model;
mod moderation;
mod publishing;
mod recording;
mod scene;
mod screenshot;
mod slots;
mod spread;
mod whip;
mod workers;
