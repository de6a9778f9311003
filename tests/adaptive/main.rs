//! Layered video over unequal ways: real engines, publishers whose every frame says what it refers to, subscribers that judge what
//! they are shown. One seed is one run.

mod book;
mod capacity;
mod coding;
mod cross;
mod decoder;
mod finder;
mod layering;
mod ledger;
mod link;
mod member;
mod opened;
mod oracle;
mod reach;
mod reading;
mod receiver;
mod rooms;
mod scoreboard;
mod scores;
mod sender;
mod sources;
mod stamp;
mod stream;
mod structure;
mod sweep;
mod switching;
mod views;
mod watching;
mod world;
