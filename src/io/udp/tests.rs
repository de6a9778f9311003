#![allow(unsafe_code, reason = "a test enters a network namespace of its own")]

use super::*;
use crate::base::outgoing::Outgoing;
use crate::contract::{Counter, Counters};
use crate::media::transport::Path;

fn socket(address: &str) -> OwnedFd {
    bind(address.parse().expect("an address")).expect("bound")
}

fn local_address(socket: &OwnedFd) -> SocketAddr {
    rustix::net::getsockname(socket).expect("bound").try_into().expect("an internet address")
}

fn send(socket: OwnedFd, out: &Outgoing) -> Counters {
    let sockets = [socket];
    let (mut held, mut counters) = (Outgoing::new(0, 0), Counters::default());
    Sender::new(&sockets).send(&sockets[..], out, &mut held, &mut counters);
    counters
}

/// All that waits, with the number of calls it took.
fn receive_all(receiver: &mut Receiver, socket: &OwnedFd) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        match receiver.receive(socket).expect("received") {
            0 => return all,
            count => all.extend((0..count).map(|i| receiver.datagram(i).map(|(from, bytes)| (from, bytes.to_vec())).expect("whole"))),
        }
    }
}

/// Lengths as video has them: runs of equal ones with a shorter end, a longer one after a shorter, one alone.
const LENGTHS: [usize; 12] = [1_200, 1_200, 1_200, 700, 1_200, 900, 900, 1_000, 1_000, 1_000, 1_000, 40];

fn round_trip(address: &str, runs: bool) {
    let (a, b) = (socket(address), socket(address));
    let (to, from) = (local_address(&b), local_address(&a));
    let runs = runs && receive_runs(&b);
    let mut out = Outgoing::new(64 * 1_500, 100);
    let sent: Vec<Vec<u8>> = (0..36).map(|n| vec![n as u8; LENGTHS[n % LENGTHS.len()]]).collect();
    for bytes in &sent {
        assert!(out.push(Path { local: 0, remote: to }, bytes));
    }
    let counters = send(a, &out);
    let bytes = sent.iter().map(|b| b.len() as u64).sum::<u64>();
    assert_eq!((counters.get(Counter::DatagramsOut), counters.get(Counter::BytesOut)), (36, bytes));
    assert_eq!(counters.get(Counter::MessagesOut), 12, "1200×3+700, 1200+900, 900+…: four runs a round");
    let received = receive_all(&mut Receiver::new(runs), &b);
    assert_eq!(received, sent.into_iter().map(|bytes| (from, bytes)).collect::<Vec<_>>());
}

#[test]
fn batches_arrive_whole_and_in_order_over_ipv4() {
    round_trip("127.0.0.1:0", false);
    round_trip("127.0.0.1:0", true);
}

#[test]
fn batches_arrive_whole_and_in_order_over_ipv6() {
    if bind("[::1]:0".parse().expect("address")).is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    round_trip("[::1]:0", false);
    round_trip("[::1]:0", true);
}

#[test]
fn a_run_is_at_most_sixteen_datagrams_and_all_to_one_address() {
    let (a, b, c) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut out = Outgoing::new(64 * 1_500, 100);
    for n in 0..60u8 {
        let to = if n < 40 { &b } else { &c };
        assert!(out.push(Path { local: 0, remote: local_address(to) }, &[n; 500]));
    }
    let counters = send(a, &out);
    // 16 + 16 + 8 to the first, 16 + 4 to the second.
    assert_eq!((counters.get(Counter::DatagramsOut), counters.get(Counter::MessagesOut), counters.get(Counter::SendCalls)), (60, 5, 1));
    assert_eq!(receive_all(&mut Receiver::new(false), &b).len(), 40);
    assert_eq!(receive_all(&mut Receiver::new(false), &c).len(), 20);
}

#[test]
fn an_unreachable_destination_does_not_stop_the_others() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut out = Outgoing::new(64 * 1_500, 100);
    out.push(Path { local: 0, remote: "255.255.255.255:9".parse().expect("address") }, &[1; 10]);
    out.push(Path { local: 0, remote: local_address(&b) }, &[2; 10]);
    let counters = send(a, &out);
    assert_eq!(counters.get(Counter::DropSocketError), 1);
    assert_eq!(receive_all(&mut Receiver::new(false), &b).len(), 1);
}

#[test]
fn a_run_that_the_kernel_refuses_goes_out_one_by_one() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    // Without checksums there are no runs: the kernel answers EIO, as it does where a network card has no checksum offload.
    options::set(&a, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("set");
    let mut out = Outgoing::new(64 * 1_500, 100);
    for n in 0..20u8 {
        out.push(Path { local: 0, remote: local_address(&b) }, &[n; 500]);
    }
    let counters = send(a, &out);
    assert!(counters.get(Counter::RunRefused) >= 1, "the kernel has taken a run");
    assert_eq!((counters.get(Counter::DatagramsOut), counters.get(Counter::DropSocketError)), (20, 0));
    let received = receive_all(&mut Receiver::new(false), &b);
    assert_eq!(received.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), (0..20).collect::<Vec<u8>>());
}

/// A network of its own for this thread, whose only way out takes 8 kbit/s; false where that is not allowed.
fn enter_slow_network() -> bool {
    let run = |line: &str| {
        let mut words = line.split(' ');
        std::process::Command::new(words.next().expect("a program")).args(words).status().is_ok_and(|s| s.success())
    };
    // SAFETY: it takes no pointers, and moves this test's thread alone.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    entered
        && ["ip link add slow type ifb", "ip link set slow up", "ip addr add 10.9.0.1/24 dev slow"].iter().all(|line| run(line))
        && run("tc qdisc add dev slow root tbf rate 8kbit burst 1600 limit 10000000")
}

#[test]
fn a_full_socket_drops_media_and_keeps_replies() {
    if !enter_slow_network() {
        return eprintln!("*** SKIPPED: making a network namespace needs root. Nothing was shown about full sockets. ***");
    }
    for droppable in [true, false] {
        let sockets = [socket("0.0.0.0:0")];
        options::set(&sockets[0], libc::SOL_SOCKET, libc::SO_SNDBUF, 20_000).expect("set");
        let mut out = Outgoing::new(200 * 1_500, 200);
        out.set_droppable(droppable);
        for n in 0..100u8 {
            // Different lengths: no runs.
            assert!(out.push(Path { local: 0, remote: ([10, 9, 0, 2], 9).into() }, &vec![n; 1_200 + usize::from(n)]));
        }
        let (mut held, mut counters) = (Outgoing::new(200 * 1_500, 200), Counters::default());
        Sender::new(&sockets).send(&sockets[..], &out, &mut held, &mut counters);
        let [sent, dropped, kept] = [Counter::DatagramsOut, Counter::DropSocketFull, Counter::HeldSocketFull].map(|c| counters.get(c));
        assert_eq!((sent + dropped + kept, kept as usize), (100, held.datagrams().len()));
        assert!(sent > 0 && sent < 100 && if droppable { kept == 0 } else { dropped == 0 }, "sent {sent}, dropped {dropped}, kept {kept}");
        if let Some(first) = held.datagrams().first() {
            assert_eq!(u64::from(held.payload(first)[0]), sent, "what is kept is what comes next");
        }
    }
}

#[test]
fn a_datagram_longer_than_its_slot_is_said_to_be() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    rustix::net::sendto(&a, &[7; 3_000], rustix::net::SendFlags::empty(), &local_address(&b)).expect("sent");
    let mut receiver = Receiver::new(false);
    assert_eq!(receiver.receive(&b).expect("received"), 1);
    assert!(receiver.datagram(0).is_none());
}

#[test]
fn what_is_too_long_for_its_path_goes_in_pieces_and_the_rest_as_it_is() {
    let run = |line: &str| {
        let mut words = line.split(' ');
        std::process::Command::new(words.next().expect("a program")).args(words).status().is_ok_and(|s| s.success())
    };
    // SAFETY: it takes no pointers, and moves this test's thread alone.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    if !entered || !run("ip link set lo up") || !run("ip link set lo mtu 800") {
        return eprintln!("*** SKIPPED: making a network namespace needs root. Nothing was shown about narrow paths. ***");
    }
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut out = Outgoing::new(64 * 1_500, 100);
    let lengths = [100, 1_200, 1_200, 1_200, 100, 900];
    for (n, len) in lengths.iter().enumerate() {
        assert!(out.push(Path { local: 0, remote: local_address(&b) }, &vec![n as u8; *len]));
    }
    let counters = send(a, &out);
    assert_eq!((counters.get(Counter::DatagramsOut), counters.get(Counter::DropSocketError)), (6, 0));
    assert_eq!(counters.get(Counter::Fragmented), 4);
    let received = receive_all(&mut Receiver::new(false), &b);
    assert_eq!(received.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), lengths);
}
