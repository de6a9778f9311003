//! A network device whose every frame is read and written (packet(7)).
//!
//! `unsafe` is here because the address and an option of such a socket have no safe wrapper; both calls read structures of ours
//! that live until they return.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

/// An Ethernet frame with its header. More is a train of segments or a device that still offloads, and would be judged as one packet.
pub const MOST_BYTES: usize = 1_514;

/// A device.
pub struct Device {
    socket: Socket,
    name: String,
    refused: Cell<u64>,
}

impl Device {
    /// # Errors
    /// When there is no such device here or the caller may not open it.
    pub fn open(name: &str) -> io::Result<Self> {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
        socket.set_nonblocking(true)?;
        // What comes while the machine is busy must not be lost here: it would be loss that nobody has asked for.
        let _ = socket.set_recv_buffer_size(4 << 20);
        let c_name = CString::new(name)?;
        let on: libc::c_int = 1;
        // SAFETY: `c_name`, `on` and `address` live until the calls return, and the sizes are theirs; all-zero is a `sockaddr_ll`.
        let results = unsafe {
            let index = libc::if_nametoindex(c_name.as_ptr());
            if index == 0 {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("no device {name} in this namespace")));
            }
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = index as i32;
            let (level, option) = (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING);
            [
                libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of::<libc::c_int>() as u32),
                libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32),
            ]
        };
        if results != [0, 0] {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket, name: name.to_owned(), refused: Cell::new(0) })
    }

    /// Reads a frame; none when nothing waits.
    ///
    /// # Errors
    /// When the device is gone, or joins frames so that what is counted and dropped would not be packets.
    pub fn receive(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::net::recv(&self.socket, frame, RecvFlags::TRUNC) {
            Ok((_, bytes)) if bytes > MOST_BYTES => {
                Err(io::Error::other(format!("a frame of {bytes} bytes on {}: switch its offloads off (ethtool -K)", self.name)))
            }
            Ok((_, bytes)) => Ok(Some(bytes)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a frame. What the device refuses is counted: it was not the way's shape that lost it.
    pub fn send(&self, frame: &[u8]) {
        if rustix::net::send(&self.socket, frame, SendFlags::empty()).is_err() {
            self.refused.set(self.refused.get() + 1);
        }
    }

    /// Frames that it has refused.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
