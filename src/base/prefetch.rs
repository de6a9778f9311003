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

/// Asks for the first `lines` lines at the address that is word `word` of a value: for what a library's type points to and does not
/// show. A word that is no address costs time and nothing else.
#[inline]
pub fn prefetch_behind<T>(value: &T, word: usize, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(first) = word_of(value, word) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in 0..lines {
            // SAFETY: the instruction accesses nothing, whatever the address is.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, word, lines);
}

/// Word `word` of a value, taken for an address; `None` when it has not as many.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn word_of<T>(value: &T, word: usize) -> Option<*const i8> {
    if (word + 1) * size_of::<usize>() > size_of::<T>() {
        return None;
    }
    let read: *const i8;
    // SAFETY: the word lies in `value`, and is read by an instruction, for which it need be neither initialised nor an address.
    unsafe {
        std::arch::asm!(
            "mov {read}, [{at}]",
            at = in(reg) std::ptr::from_ref(value).cast::<usize>().add(word),
            read = out(reg) read,
            options(nostack, preserves_flags, readonly, pure)
        );
    }
    Some(read)
}
