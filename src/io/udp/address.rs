//! Socket addresses between the kernel's form and ours.
//!
//! `unsafe` is here because the kernel writes one of two structs into the same place and says in its first field which.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The address in a place that the kernel has written; `None` for another family than IPv4 and IPv6.
pub fn read(storage: &libc::sockaddr_in6) -> Option<SocketAddr> {
    match i32::from(storage.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the place holds a sockaddr_in, which is smaller and less aligned.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            Some(SocketAddrV4::new(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)), u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(storage.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(storage.sin6_port), 0, storage.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Writes an address as the kernel reads it; returns its length in bytes.
pub fn write(address: SocketAddr, target: &mut MaybeUninit<libc::sockaddr_in6>) -> libc::socklen_t {
    // SAFETY: all-zero values of these plain C structs are valid.
    let (mut v4, mut v6): (libc::sockaddr_in, libc::sockaddr_in6) = unsafe { (zeroed(), zeroed()) };
    match address {
        SocketAddr::V4(address) => {
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = address.port().to_be();
            v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            // SAFETY: sockaddr_in is smaller and less aligned than sockaddr_in6.
            unsafe { target.as_mut_ptr().cast::<libc::sockaddr_in>().write(v4) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = address.ip().octets();
            v6.sin6_scope_id = address.scope_id();
            target.write(v6);
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_there_and_back() {
        for text in ["192.0.2.7:40000", "[2001:db8::7]:40000", "[fe80::7%3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            // SAFETY: an all-zero sockaddr_in6 is valid.
            let mut place = MaybeUninit::new(unsafe { zeroed() });
            write(address, &mut place);
            // SAFETY: it was initialised above.
            assert_eq!(read(unsafe { place.assume_init_ref() }), Some(address));
        }
    }
}
