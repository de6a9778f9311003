//! The ports that a worker is heard at.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use super::udp;

/// Ports of the system's choice that are tried until one can be had by TCP as well.
const PORTS_TRIED: usize = 16;

/// Binds sockets with one port; the second value is the port. `tcp`: it shall be free for streams, too, as far as the system chooses it.
pub fn bind_all(addresses: &[SocketAddr], shared: bool, tcp: bool) -> io::Result<(Vec<OwnedFd>, u16)> {
    let chosen = addresses.first().is_some_and(|address| address.port() == 0);
    let mut bound = bind_once(addresses, shared)?;
    for _ in 0..PORTS_TRIED {
        let free = |address: &SocketAddr| TcpListener::bind(SocketAddr::new(address.ip(), bound.1)).is_ok();
        if !chosen || !tcp || addresses.iter().all(free) {
            break;
        }
        bound = bind_once(addresses, shared)?;
    }
    Ok(bound)
}

/// Binds as many more ports of the system's choice at the same addresses, behind the sockets that there are; which ones.
pub fn bind_outlets(addresses: &[SocketAddr], count: u16, sockets: &mut Vec<OwnedFd>) -> io::Result<Vec<u16>> {
    let anywhere: Vec<_> = addresses.iter().map(|address| SocketAddr::new(address.ip(), 0)).collect();
    let mut bind = |_| {
        let (bound, port) = bind_free(&anywhere)?;
        sockets.extend(bound);
        Ok(port)
    };
    (0..count).map(&mut bind).collect()
}

/// One port at all addresses: what is free at the first need not be free at the others.
fn bind_free(addresses: &[SocketAddr]) -> io::Result<(Vec<OwnedFd>, u16)> {
    for _ in 1..PORTS_TRIED {
        if let Ok(bound) = bind_once(addresses, false) {
            return Ok(bound);
        }
    }
    bind_once(addresses, false)
}

fn bind_once(addresses: &[SocketAddr], shared: bool) -> io::Result<(Vec<OwnedFd>, u16)> {
    let mut port = addresses.first().map_or(0, SocketAddr::port);
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port);
        let socket = if shared { udp::bind_shared(address) } else { udp::bind(address) }?;
        port = SocketAddr::try_from(rustix::net::getsockname(&socket)?).map_or(port, |bound| bound.port());
        sockets.push(socket);
    }
    Ok((sockets, port))
}
