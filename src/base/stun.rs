//! STUN messages as they lie in a datagram (RFC 8489 sections 5 and 14): looked at in place, before anything is known about who sent them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Length of the header, in bytes.
pub const HEADER: usize = 20;
/// The magic cookie.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// A well-formed message.
#[derive(Clone, Copy, Debug)]
pub struct StunView<'a> {
    /// Class and method, as they are written.
    pub kind: u16,
    /// The transaction id.
    pub transaction: &'a [u8; 12],
    attributes: Attributes<'a>,
}

impl<'a> StunView<'a> {
    /// The message that a datagram holds from its first byte to its last; none when it is not one, or an attribute is cut off.
    pub fn of(datagram: &'a [u8]) -> Option<Self> {
        let (header, rest) = datagram.split_at_checked(HEADER)?;
        let (kind, header) = header.split_first_chunk()?;
        let (len, header) = header.split_first_chunk()?;
        let (cookie, transaction) = header.split_first_chunk()?;
        let kind = u16::from_be_bytes(*kind);
        if kind >> 14 != 0 || usize::from(u16::from_be_bytes(*len)) != rest.len() || u32::from_be_bytes(*cookie) != MAGIC_COOKIE {
            return None;
        }
        let mut walk = Attributes { rest };
        while walk.next().is_some() {}
        walk.rest.is_empty().then_some(Self { kind, transaction: transaction.try_into().ok()?, attributes: Attributes { rest } })
    }

    /// The attributes, as type and value.
    pub const fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }

    /// The value of the first attribute of a type.
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// What an XOR-MAPPED-ADDRESS or one like it says (RFC 8489 section 14.2).
    pub fn xor_address(&self, value: &[u8]) -> Option<SocketAddr> {
        let ([_, family, p, q], address) = value.split_first_chunk()?;
        let port = u16::from_be_bytes([*p, *q]) ^ (MAGIC_COOKIE >> 16) as u16;
        let ip: IpAddr = match family {
            1 => Ipv4Addr::from_bits(u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC_COOKIE).into(),
            2 => Ipv6Addr::from_bits(u128::from_be_bytes(address.try_into().ok()?) ^ self.mask()).into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    fn mask(&self) -> u128 {
        mask(self.transaction)
    }
}

/// Writes the value of an XOR-MAPPED-ADDRESS or one like it; its length in bytes: 8 or 20.
pub fn write_xor_address(address: SocketAddr, transaction: &[u8; 12], out: &mut [u8; 20]) -> usize {
    let [p, q] = (address.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes();
    match address.ip() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = (v4.to_bits() ^ MAGIC_COOKIE).to_be_bytes();
            *out = [0, 1, p, q, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            8
        }
        IpAddr::V6(v6) => {
            let (head, tail) = out.split_at_mut(4);
            head.copy_from_slice(&[0, 2, p, q]);
            tail.copy_from_slice(&(v6.to_bits() ^ mask(transaction)).to_be_bytes());
            20
        }
    }
}

/// What IPv6 addresses are masked with: the magic cookie, then the transaction id.
fn mask(transaction: &[u8; 12]) -> u128 {
    let id = transaction.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
    u128::from(MAGIC_COOKIE) << 96 | id
}

/// Walks over attributes; stops where the next one is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([a, b, c, d], after) = self.rest.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*c, *d]));
        let (padded, rest) = after.split_at_checked(len.next_multiple_of(4))?;
        let value = padded.get(..len)?;
        self.rest = rest;
        Some((u16::from_be_bytes([*a, *b]), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 section 2.2: a Binding response over IPv4, with the address 192.0.2.1:32853.
    const ANSWER: [u8; 32] = *b"\x01\x01\x00\x0c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";

    #[test]
    fn the_example_of_the_rfc_is_read_and_written() {
        let view = StunView::of(&ANSWER).expect("a message");
        assert_eq!(view.kind, 0x101);
        let value = view.find(0x20).expect("an address");
        assert_eq!(view.xor_address(value), Some("192.0.2.1:32853".parse().expect("an address")));
        let mut out = [0xAA; 20];
        let len = write_xor_address("192.0.2.1:32853".parse().expect("an address"), view.transaction, &mut out);
        assert_eq!(&out[..len], value);
    }

    #[test]
    fn addresses_of_both_families_come_back() {
        let view = StunView::of(&ANSWER).expect("a message");
        for text in ["127.0.0.1:1", "255.255.255.255:65535", "[::1]:9", "[2001:db8:1234:5678:9abc:def0:1234:5678]:32853"] {
            let mut out = [0; 20];
            let len = write_xor_address(text.parse().expect("an address"), view.transaction, &mut out);
            assert_eq!(view.xor_address(&out[..len]).map(|at| at.to_string()).as_deref(), Some(text));
            assert_eq!(view.xor_address(&out[..len - 1]), None, "cut off");
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_no_message() {
        for len in 0..ANSWER.len() {
            assert!(StunView::of(&ANSWER[..len]).is_none(), "{len} bytes");
        }
        assert!(StunView::of(&[&ANSWER[..], &[0; 4]].concat()).is_none(), "longer than it says");
        let mut other = ANSWER;
        other[23] = 9;
        assert!(StunView::of(&other).is_none(), "an attribute that goes on after the end");
    }
}
