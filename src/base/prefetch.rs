//! Asking the processor for memory before it is needed.
//!
//! `unsafe` is here because the instruction takes a raw pointer; it reads nothing into the program and cannot fault.
#![allow(unsafe_code)]

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Asks for the first `lines` lines of a value, or all of it if it is shorter. Changes nothing but the time that the next access takes.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = std::ptr::from_ref(value).cast::<i8>();
        for line in 0..lines.min(size_of_val(value).div_ceil(LINE)) {
            // SAFETY: the address lies in `value`, and the instruction accesses nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, lines);
}
