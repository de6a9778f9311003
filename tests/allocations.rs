//! The packet path allocates nothing once it has warmed up: counted, not believed.

#![allow(unsafe_code, reason = "a counting allocator must implement an unsafe trait; it only counts and passes on")]

#[path = "sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod client;
#[path = "sim/network.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod network;
#[path = "sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use althing::contract::{Counter, SrtpProfile};
use world::World;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|c| c.set(c.get() + 1));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    std::hint::black_box(vec![1u8; 100]);
    assert!(COUNT.get() > before);
}

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
        world.allocations = || COUNT.get();
        world.allocated = [0; 3];
        let before = world.count(Counter::RtpForwarded);
        world.run(Duration::from_secs(10));
        let forwarded = world.count(Counter::RtpForwarded) - before;
        assert!(forwarded > 100_000, "{forwarded} packets were forwarded");
        println!("{} allocations for {forwarded} forwards", world.allocated.iter().sum::<u64>());
        assert_eq!(world.allocated, [0; 3], "allocations for datagrams in, packets out, timers, while {forwarded} packets were forwarded");
    }
}
