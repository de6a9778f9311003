//! The packet path allocates nothing once it has warmed up: counted, not believed.

#[path = "sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod client;
mod counting;
#[path = "sim/network.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod network;
#[path = "sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod world;

use std::time::Duration;

use althing::base::{RoomId, TapId};
use althing::contract::{Counter, MediaKind, RoomCommand, SrtpProfile};
use world::World;

/// Ten people who all see each other, for ten seconds after the first five: datagrams in (STUN excepted, which the
/// library allocates for), packets out, timers; on one worker, and on two with what crosses between them.
#[test]
fn forwarding_allocates_nothing_after_warm_up() {
    for (profile, workers) in [(SrtpProfile::AeadAes128Gcm, 1), (SrtpProfile::AesCm128HmacSha1_80, 1), (SrtpProfile::AeadAes128Gcm, 2)] {
        let mut world = World::with_workers(1, workers);
        for index in 0..10 {
            world.join_on(index % workers as usize, 9, profile);
        }
        world.connect_all();
        world.run(Duration::from_secs(5));
        for client in &mut world.clients {
            client.checks = false;
        }
        world.allocations = counting::allocated;
        world.allocated = [0; 3];
        for client in 0..10 {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let (track, tap) = (world::track(client, kind), Some(TapId(client as u64)));
                world.command_in(client % workers as usize, RoomId(1), RoomCommand::Tap { track, tap });
            }
        }
        world.run(Duration::from_secs(1));
        world.allocated = [0; 3];
        let (before, copied) = (world.count(Counter::RtpForwarded), world.taps.taken);
        world.run(Duration::from_secs(10));
        let forwarded = world.count(Counter::RtpForwarded) - before;
        assert!(forwarded > 100_000, "{forwarded} packets were forwarded");
        assert!(world.taps.taken - copied > 10_000, "{} packets were copied for recordings", world.taps.taken - copied);
        println!("{} allocations for {forwarded} forwards", world.allocated.iter().sum::<u64>());
        assert_eq!(world.allocated, [0; 3], "allocations for datagrams in, packets out, timers, while {forwarded} packets were forwarded");
    }
}
