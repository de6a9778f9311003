//! Classes of attacks that are many packets rather than strange ones. `ALTHING_ATTACKS_FULL=1`, as `make attacks` has it, asks for all of each.

use althing::contract::Event;
use althing::media::transport::DtlsTransport;

use super::*;

fn count(full: usize, quick: usize) -> usize {
    if std::env::var_os("ALTHING_ATTACKS_FULL").is_some_and(|value| value == "1") { full } else { quick }
}

/// The race for the ClientHello: at every moment of a set-up somebody at a third address sends one, as good as that of whom it is meant for.
#[test]
fn m1_a_client_hello_from_a_third_address_wins_no_race() {
    for seed in 0..count(1_000, 100) as u64 {
        let mut world = World::new(seed);
        let server = world.identity.fingerprint();
        // Towards the first half the server is the DTLS server, towards the others the client.
        let role = if seed % 2 == 0 { DtlsRole::Server } else { DtlsRole::Client };
        world.add(Client::new(0, seed, GCM).with_handshake(role, server.clone(), world.epoch, None), 1);
        let mut hello = DtlsTransport::new(&world.identity, DtlsRole::Client, server, world.epoch);
        hello.start(Time::ZERO);
        let hello = hello.poll_transmit().expect("a ClientHello").to_vec();
        let is_connected = |world: &World| world.events.iter().any(|event| matches!(event, Event::Connected { .. }));
        let mut raced = 0;
        while !is_connected(&world) {
            let (sent, heard) = (world.sent_back, world.count(Counter::DropUnvalidatedAddress));
            world.inject(path(STRANGER), hello.clone());
            assert_eq!((world.sent_back, world.count(Counter::DropUnvalidatedAddress)), (sent, heard + 1), "set-up {seed}: nothing is answered");
            raced += 1;
            world.run(Duration::from_millis(1));
            assert!(raced < 5_000, "set-up {seed} does not succeed");
        }
        assert!(raced > 5, "there was a race: {raced}");
        assert_eq!((world.count(Counter::HandshakeCompleted), world.count(Counter::HandshakeFailed)), (1, 0), "set-up {seed}");
    }
}

#[test]
fn m8_storms_of_requests_are_no_storm_for_whom_they_are_about() {
    let mut door = Door::new(GCM);
    let slots = [door.bad().slot_ssrc(3), door.bad().slot_ssrc(5)];
    let asked = door.world.count(Counter::KeyFrameRequestOut);
    let begun = door.world.now;
    for n in 0..count(10_000, 2_000) {
        let slot = slots[n % 2];
        let compound = match n % 4 {
            0 => written(|c| c.picture_loss(1, slot)),
            1 => written(|c| c.full_intra_request(1, slot, n as u8)),
            2 => written(|c| c.nack(1, slot, &mut (0..200u16).map(|i| i.wrapping_mul(3)))),
            // A REMB that wants next to nothing.
            _ => [&[0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0][..], b"REMB", &[1, 0, 0, 1], &slot.to_be_bytes()].concat(),
        };
        let sealed = door.bad().seal_rtcp(&compound).expect("keys");
        let (risen, _) = door.send(path(BAD), sealed);
        assert!(risen.contains(&(Counter::RtcpIn, 1)), "it is read: {risen:?}");
        if n % 10 == 0 {
            door.world.run(Duration::from_millis(1));
        }
    }
    let seconds = (door.world.now.as_micros() - begun.as_micros()).div_ceil(1_000_000) as f64;
    let requests = door.world.count(Counter::KeyFrameRequestOut) - asked;
    assert!((requests as f64) <= 2.0 * (4.0 * seconds + 4.0), "two publishers were asked {requests} times in {seconds} s");
    door.others_are_unharmed();
}

#[test]
fn m8_one_at_a_hundred_times_its_rate_takes_nothing_from_others() {
    let mut door = Door::new(GCM);
    // Sound is fifty packets a second, pictures about a hundred: five and ten each millisecond.
    let before = door.world.count(Counter::RtpIn);
    for _ in 0..count(2_000, 500) {
        for index in [AUDIO; 5].into_iter().chain([VIDEO; 10]) {
            let packet = door.packet(index);
            door.world.inject(path(BAD), packet);
        }
        door.world.run(Duration::from_millis(1));
    }
    assert!(door.world.count(Counter::RtpIn) - before >= count(30_000, 7_500) as u64, "they are authentic, and taken");
    let memory = door.world.engines[0].report().memory;
    assert!(memory.caches <= 6 * 300 * 1024, "{} bytes of caches for three people", memory.caches);
    door.others_are_unharmed();
}

#[test]
fn m8_ten_thousand_ssrcs_are_as_many_as_a_peer_may_have() {
    let mut door = Door::new(GCM);
    let mut taken = 0;
    for n in 0..count(10_000, 2_000) as u32 {
        let (header, payload, number) = door.stamped(AUDIO);
        let packet = door.bad().seal(&with_ssrc(header, 0x7200_0000 + n), &payload, number & 0xFFFF);
        let (risen, _) = door.send(path(BAD), packet);
        taken += usize::from(risen.first() == Some(&(Counter::RtpIn, 1)));
    }
    assert_eq!(taken, 62, "sixty-four, two of which were there");
    assert!(door.world.engines[0].report().memory.caches <= 6 * 300 * 1024);
    door.others_are_unharmed();
}

#[test]
fn m9_a_million_wrong_passwords_open_nothing_and_leave_nothing() {
    let mut door = Door::new(GCM);
    let attributes: [(_, &[u8]); 2] = [(ATTR_ICE_CONTROLLING, &[7; 8]), (ATTR_USE_CANDIDATE, &[])];
    let user = door.bad().username();
    let tries = count(1_000_000, 20_000);
    let (memory, sent) = (door.world.engines[0].report().memory.peers, door.world.sent_back);
    // A hundred passwords that are tried from everywhere: making one costs more than refusing it.
    let checks: Vec<_> = (0..100).map(|n| door.bad().check_with(&user, Some(&format!("guess-number-{n:06}-of-a-million")), &attributes)).collect();
    let before = door.world.count(Counter::StunBadIntegrity);
    for n in 0..tries {
        door.world.inject(path(STRANGER + n % 1_000), checks[n % 100].clone());
    }
    assert_eq!(door.world.count(Counter::StunBadIntegrity) - before, tries as u64);
    assert_eq!((door.world.engines[0].report().memory.peers, door.world.sent_back), (memory, sent), "nothing is kept, nothing answered");
    door.refuses(path(STRANGER), vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], Counter::DropUnvalidatedAddress, "and nothing opened");
    door.others_are_unharmed();
}
