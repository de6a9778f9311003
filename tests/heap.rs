//! How much memory a participant takes on its worker: the whole allocator is asked, so that what the ciphers' library
//! takes counts too.
//!
//! People who publish one audio and one video each, all with what Chromium negotiates for them, after real handshakes and
//! with media flowing. What they hold is what comes back when the engine goes.

#![allow(unsafe_code, reason = "the C library's allocator is asked for its figures")]

#[path = "sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod client;
#[path = "sim/network.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod network;
#[path = "sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod world;

use std::time::Duration;

use althing::base::Time;
use althing::contract::{DtlsRole, MediaPlan, RoomCommand, SrtpProfile};
use althing::sdp::{Fresh, Local, Offer, OfferLimits, Session};
use client::Client;
use world::World;

/// What one participant may take beside its caches.
const MOST_KIB: f64 = 64.0;
/// People in the room; each sees all others.
const PEOPLE: usize = 10;

/// What Chromium's offer with twelve pairs comes to.
const OFFER: &str = include_str!("sdp/offers/chromium-pairs12.sdp");

#[test]
fn a_participant_takes_little_memory() {
    // SAFETY: only sets a parameter of the allocator: everything lies in one arena, whose figures are then all there is.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let empty = held(World::new(1)).0;
    let (whole, caches) = held(room());
    let kib = |bytes: usize| bytes as f64 / 1_024.0 / PEOPLE as f64;
    let (heap, caches) = (kib(whole - empty - caches), kib(caches));
    println!("{heap:.1} KiB of heap and {caches:.1} KiB of caches for a participant");
    assert!(heap > 1.0 && heap <= MOST_KIB, "{heap:.1} KiB for each participant beside its caches");
    assert!(caches > 1.0 && caches <= 256.0 + 32.0 + 64.0, "{caches:.1} KiB of caches for each participant");
}

fn room() -> World {
    let mut world = World::new(1);
    let server = world.identity.fingerprint();
    for index in 0..PEOPLE {
        let client = Client::new(index, 1, SrtpProfile::AeadAes128Gcm).with_handshake(DtlsRole::Server, server.clone(), world.epoch, None);
        let (peer, plan) = (client.peer, negotiated(&client));
        world.add(client, 0);
        world.command(RoomCommand::Negotiate { peer, media: Box::new(plan) });
    }
    world.connect_all();
    world.run(Duration::from_secs(10));
    for client in &world.clients {
        let heard = client.heard.values().filter(|h| h.packets.len() > 100).count();
        assert_eq!(heard, 2 * (PEOPLE - 1), "everybody hears and sees everybody");
    }
    world
}

/// A plan as control makes it, with the m-lines and SSRCs that the simulated client knows.
fn negotiated(client: &Client) -> MediaPlan {
    let local = Local {
        fingerprint_sha256: ["AB"; 32].join(":"),
        tcp: true,
        candidates: vec!["192.0.2.1:5000".parse().expect("one")],
        cname: "c".into(),
        session_id: 1,
        data: None,
        publish: None,
    };
    let limits = OfferLimits { max_mlines: 64, max_bytes: 512 * 1_024 };
    let offer = Offer::parse(OFFER, &limits).expect("Chromium's");
    let fresh = Fresh { ufrag: "u".into(), pwd: "p".repeat(24), ssrc_seed: 1 };
    let mut plan = Session::new(local).answer(&offer, fresh).expect("answered").media;
    let known = client.plan(((plan.send.len()) / 2) as u8);
    for (line, known) in plan.receive.iter_mut().zip(known.receive) {
        assert_eq!((line.mline, line.kind), (known.mline, known.kind));
        (line.mid, line.extensions) = (known.mid, known.extensions);
        line.ssrcs.clear();
    }
    for (line, known) in plan.send.iter_mut().zip(known.send) {
        assert_eq!((line.mline, line.kind), (known.mline, known.kind));
        (line.mid, line.ssrc, line.rtx_ssrc, line.extensions) = (known.mid, known.ssrc, known.rtx_ssrc, known.extensions);
    }
    plan
}

/// Bytes that the engine holds, and those of them in caches.
fn held(mut world: World) -> (usize, usize) {
    let engine = world.engines.remove(0);
    assert!(world.now >= Time::ZERO);
    let caches = engine.report().memory.caches as usize;
    let before = in_use();
    drop(engine);
    (before - in_use(), caches)
}

/// Bytes that the allocator has given out.
fn in_use() -> usize {
    // SAFETY: reads the allocator's own figures.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
