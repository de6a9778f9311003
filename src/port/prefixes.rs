//! What the workers know together of streams: how many each source prefix has open.
//!
//! Looked at when a stream is accepted and when it ends, never for data.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::base::prefix::prefix_of;

/// Streams of each source prefix (/24, /56), at all workers together: each of them alone would give one network as many again.
pub struct StreamPrefixes {
    most: u32,
    table: Mutex<HashMap<IpAddr, u32>>,
}

impl StreamPrefixes {
    /// With so many for each.
    pub fn new(most: u32) -> Self {
        Self { most, table: Mutex::default() }
    }

    /// One more stream from an address; false when its prefix has as many as it may.
    pub fn claim(&self, from: IpAddr) -> bool {
        self.change(from, |count| if count < self.most { Some(count + 1) } else { None })
    }

    /// One stream less.
    pub fn release(&self, from: IpAddr) {
        self.change(from, |count| Some(count.saturating_sub(1)));
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Changes a count; no trace is left of one that is zero.
    fn change(&self, from: IpAddr, change: impl FnOnce(u32) -> Option<u32>) -> bool {
        // Each change is one step: what a panic has left is consistent.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = prefix_of(from);
        let changed = change(table.get(&prefix).copied().unwrap_or_default());
        match changed {
            Some(0) => drop(table.remove(&prefix)),
            Some(count) => drop(table.insert(prefix, count)),
            None => {}
        }
        changed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_and_no_trace_is_left_of_them() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let prefixes = StreamPrefixes::new(2);
        assert!(prefixes.claim(ip("192.0.2.1")) && prefixes.claim(ip("::ffff:192.0.2.200")) && !prefixes.claim(ip("192.0.2.3")));
        assert!(prefixes.claim(ip("192.0.3.1")));
        prefixes.release(ip("192.0.2.200"));
        assert!(prefixes.claim(ip("192.0.2.3")) && !prefixes.claim(ip("192.0.2.3")));
        for from in ["192.0.2.1", "192.0.2.3", "192.0.3.1", "192.0.4.1"] {
            prefixes.release(ip(from));
        }
        assert!(prefixes.is_empty());
        assert!(!StreamPrefixes::new(0).claim(ip("192.0.2.1")) && StreamPrefixes::new(0).is_empty());
    }
}
