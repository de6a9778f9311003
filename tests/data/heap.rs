//! An allocator that knows how much of the heap a thread has taken.

#![allow(unsafe_code, reason = "a counting allocator must implement an unsafe trait; it only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that this thread has taken and not given back.
pub fn held() -> isize {
    HELD.get()
}

#[test]
fn what_is_held_is_counted() {
    let before = held();
    let some = std::hint::black_box(vec![0u8; 1 << 20]);
    assert!(held() - before >= 1 << 20);
    drop(some);
    assert!((held() - before).abs() < 1 << 10);
}
