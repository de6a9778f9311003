//! The edges of a stream: another source, another SSRC, a gap, a repair, an interruption. Nothing may be doubled there, and
//! no SRTP index may ever protect two packets (the clients assert it of all that they receive).

use std::time::Duration;

use althing::base::{RoomId, TrackId};
use althing::contract::plan::H264Profile;
use althing::contract::{Codec, CodecPlan, Counter, Event, Feedback, MediaKind, RoomCommand, SrtpProfile, View};
use rtc_stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING};

use crate::client::{Client, VP8, written};
use crate::network::Link;
use crate::seeds;

use crate::world::{World, path, track};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const VIDEO: usize = 1;

/// Two people who see each other; `change` is done to both before they join.
fn two(seed: u64, change: impl Fn(&mut Client)) -> World {
    let mut world = World::new(seed);
    for index in 0..2 {
        let mut client = Client::new(index, seed, GCM);
        change(&mut client);
        world.add(client, 1);
    }
    world.connect_all();
    world
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn video_numbers(world: &World, subscriber: usize) -> Vec<u64> {
    world.clients[subscriber].heard[&world.clients[subscriber].slot_ssrc(3)].packets.keys().copied().collect()
}

fn assert_contiguous(numbers: &[u64], why: &str) {
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{why}");
}

/// What subscriber 0 has of its video slot, asked for again.
fn ask_again(world: &mut World, which: impl std::ops::RangeBounds<u64>) {
    let ssrc = world.clients[0].slot_ssrc(3);
    let lost: Vec<u16> = video_numbers(world, 0).into_iter().filter(|n| which.contains(n)).map(|n| n as u16).collect();
    for some in lost.chunks(100) {
        let compound = world.clients[0].seal_rtcp(&written(|c| c.nack(1, ssrc, &mut some.iter().copied()))).expect("keys");
        world.inject(path(0), compound);
    }
}

#[test]
fn a_packet_that_comes_late_after_its_rtx_repair_is_not_forwarded_twice() {
    for seed in seeds() {
        let mut world = two(seed, |c| c.repeats_as_rtx = true);
        world.link = Link { delay: millis(3), jitter: millis(60), loss_per_mille: 0 };
        world.run(Duration::from_secs(5));
        assert!(world.count(Counter::RtpRepaired) > 50, "some repairs overtake the original");
        assert!(world.count(Counter::DropReplay) > 50, "and the original is a repeat then");
        let repeats: u64 = world.clients.iter().map(|c| c.heard[&c.slot_ssrc(3)].repeats).sum();
        assert_eq!(repeats, 0);
    }
}

/// A packet may overtake the plan of its m-line: a browser sends as soon as it has the answer.
#[test]
fn packets_that_come_before_the_plan_of_their_m_line_are_not_taken_for_another_m_lines() {
    const SCREEN_AUDIO: u8 = 6;
    for declares in [false, true] {
        let mut world = two(5, |_| {});
        world.run(millis(500));
        let screen = track(9, MediaKind::Audio);
        let send = |world: &mut World, from: u64, with_mid: bool| {
            for number in from..from + 20 {
                let (mut header, payload) = world.clients[0].stamped(0, number, true, true, true);
                header[8..12].copy_from_slice(&0x7000_0000u32.to_be_bytes());
                // The MID is the first extension.
                if with_mid {
                    header[17] = b'0' + SCREEN_AUDIO;
                } else {
                    header[16..18].fill(0);
                }
                let packet = world.clients[0].seal(&header, &payload, number);
                world.inject(path(0), packet);
            }
            world.run(millis(100));
        };
        // One that carries no MID can only be judged by its payload type, until it is declared.
        send(&mut world, 1_000, !declares);
        assert_eq!(world.count(Counter::DropUnknownSsrc), if declares { 0 } else { 20 });

        let client = &world.clients[0];
        let mut plan = client.plan(2);
        let mut line = plan.receive[0].clone();
        (line.mline, line.mid) = (SCREEN_AUDIO, crate::client::mid(SCREEN_AUDIO));
        line.ssrcs = if declares { vec![(0x7000_0000, None)] } else { Vec::new() };
        plan.receive.push(line);
        let peer = client.peer;
        world.command(RoomCommand::Negotiate { peer, media: Box::new(plan) });
        world.command(RoomCommand::Publish { peer, mline: SCREEN_AUDIO, track: screen, voice: false });
        let subscriber = world.clients[1].peer;
        let plan = world.clients[1].plan(2);
        world.command(RoomCommand::Negotiate { peer: subscriber, media: Box::new(plan) });
        world.command(RoomCommand::Point { peer: subscriber, mline: 4, source: Some(screen), view: View::LARGE, name: Some(screen.0 as u32) });
        send(&mut world, 1_020, !declares);

        let heard = |mline: u8| world.clients[1].heard[&world.clients[1].slot_ssrc(mline)].from(0);
        let numbers: Vec<u64> = heard(4).iter().map(|s| s.number).collect();
        assert_eq!(numbers, (1_020..1_040).collect::<Vec<_>>(), "declared: {declares}");
        let strange = heard(2).iter().filter(|s| (1_000..1_040).contains(&s.number)).count();
        assert_eq!(strange, if declares { 20 } else { 0 }, "in the microphone's slot, declared: {declares}");
    }
}

#[test]
fn what_is_asked_for_of_the_source_before_is_not_answered_from_the_next_one() {
    let mut world = World::new(4);
    for index in 0..3 {
        let mut client = Client::new(index, 4, GCM);
        client.has_rtx = false;
        world.add(client, 1);
        world.clients[index].published[VIDEO].next = 1_000;
    }
    world.point(0, 0, Some(1));
    world.point(1, 0, Some(2));
    world.run(millis(1_000));
    world.point(0, 0, Some(2));
    // The next source is in the cache under the same numbers, and has not begun for this subscriber: the one before goes on.
    let before = world.count(Counter::RtpRetransmitted);
    ask_again(&mut world, ..);
    assert!(world.count(Counter::RtpRetransmitted) > before + 50);
    assert_eq!(world.count(Counter::NackMissed), 0);
    world.run(millis(1_000));
    // Now it has, and nothing of the one before is sent any more: not what was, and not what has its numbers now.
    let packets = &world.clients[0].heard[&world.clients[0].slot_ssrc(3)].packets;
    let begun = *packets.iter().find(|(_, stamp)| stamp.client == 2).expect("the next one has begun").0;
    let before = world.count(Counter::RtpRetransmitted);
    ask_again(&mut world, ..begun);
    assert_eq!(world.count(Counter::RtpRetransmitted), before);
    assert!(world.count(Counter::NackMissed) > 50);
    assert_contiguous(&video_numbers(&world, 0), "the slot's numbers go on");
}

#[test]
fn two_ssrcs_with_one_number_in_one_tick_are_not_forwarded_under_one_number() {
    let mut world = two(4, |_| {});
    for client in &mut world.clients {
        client.published.iter_mut().for_each(|p| p.active = false);
    }
    world.run(millis(100));
    let publisher = &mut world.clients[1];
    publisher.published[VIDEO].next = 500;
    let mut first = publisher.packet(VIDEO, true, true, true);
    publisher.published[VIDEO].ssrc += 0x100;
    publisher.published[VIDEO].next = 500;
    let mut second = publisher.packet(VIDEO, true, true, true);
    for datagram in [&mut first, &mut second] {
        world.engines[0].handle_read(world.now, path(1), datagram);
    }
    world.run(millis(100));
    let heard = &world.clients[0].heard[&world.clients[0].slot_ssrc(3)];
    assert_eq!((heard.packets.len(), heard.repeats), (1, 0), "the last one is what the track is now");
}

#[test]
fn a_subscriber_that_was_unreachable_for_long_goes_on_with_a_key_frame_and_the_next_number() {
    let mut world = two(5, |_| {});
    world.run(Duration::from_secs(2));
    world.clients[0].online = false;
    world.run(Duration::from_secs(40));
    world.clients[0].online = true;
    let before = video_numbers(&world, 0);
    world.run(Duration::from_secs(2));
    let heard = &world.clients[0].heard[&world.clients[0].slot_ssrc(3)];
    let (_, first) = heard.packets.range(before.last().expect("media came") + 1..).find(|(_, s)| s.number > 66_000).expect("media comes");
    assert!(first.key, "{first:?}");
    // What was sent into the void before consent ended is lost; what was not sent took no numbers.
    let after = video_numbers(&world, 0);
    let jump = after[before.len()] - before[before.len() - 1];
    assert!(jump < 31 * 30 * 4, "{jump}");
}

#[test]
fn media_from_a_path_whose_consent_was_lost_is_dropped() {
    let mut world = two(5, |_| {});
    world.run(Duration::from_secs(1));
    world.clients[0].checks = false;
    world.run(Duration::from_secs(32));
    let (dropped, heard) = (world.count(Counter::DropUnvalidatedAddress), world.clients[1].heard[&world.clients[1].slot_ssrc(3)].packets.len());
    assert!(dropped > 0);
    world.run(Duration::from_secs(1));
    assert!(world.count(Counter::DropUnvalidatedAddress) > dropped);
    assert_eq!(world.clients[1].heard[&world.clients[1].slot_ssrc(3)].packets.len(), heard);
}

#[test]
fn a_role_conflict_does_not_bring_consent_back() {
    let mut world = two(6, |_| {});
    world.run(Duration::from_secs(1));
    world.clients[0].checks = false;
    world.run(Duration::from_secs(33));
    let controlled =
        world.clients[0].check_with(&world.clients[0].username(), Some(&world.clients[0].ice.local_pwd), &[(ATTR_ICE_CONTROLLED, &[1; 8])]);
    world.inject(path(0), controlled);
    assert_eq!(world.count(Counter::StunRoleConflict), 1);
    let back = |world: &World| world.events.iter().filter(|e| matches!(e, Event::Reconnected { .. })).count();
    assert_eq!(back(&world), 0);
    world.clients[0].checks = true;
    world.run(Duration::from_secs(3));
    assert_eq!(back(&world), 1);
}

#[test]
fn a_path_that_another_has_validated_comes_back_with_its_owners_next_check() {
    let mut world = two(7, |_| {});
    world.run(Duration::from_secs(1));
    let stolen = world.clients[1].check_with(&world.clients[1].username(), Some(&world.clients[1].ice.local_pwd), &[(ATTR_ICE_CONTROLLING, &[1; 8])]);
    world.inject(path(0), stolen);
    world.run(millis(500));
    assert!(world.count(Counter::DropAuthentication) > 0, "until then its media is taken for the other's");
    world.run(Duration::from_secs(2));
    let before = (world.count(Counter::DropAuthentication), world.count(Counter::RtpIn));
    world.run(Duration::from_secs(1));
    assert_eq!(world.count(Counter::DropAuthentication), before.0);
    assert!(world.count(Counter::RtpIn) > before.1 + 200, "both are heard again");
}

#[test]
fn rtx_repairs_the_ssrc_that_is_sent_now() {
    let mut world = two(8, |c| c.repeats_as_rtx = true);
    world.run(Duration::from_secs(1));
    for client in &mut world.clients {
        client.published[VIDEO].ssrc += 0x100;
        client.published[VIDEO].next = 100;
        client.published[VIDEO].key_frame_due = true;
    }
    world.run(millis(500));
    world.link = Link { loss_per_mille: 50, ..Link::GOOD };
    let before = (world.count(Counter::RtpRepaired), world.network.lost);
    world.run(Duration::from_secs(5));
    assert!(world.count(Counter::RtpRepaired) - before.0 > (world.network.lost - before.1) / 5);
}

#[test]
fn a_gap_too_large_to_repair_is_closed_and_the_picture_begins_anew() {
    let mut world = two(9, |_| {});
    world.run(Duration::from_secs(2));
    let from = world.clients[1].published[VIDEO].next;
    for _ in 0..3 {
        world.clients[1].published[VIDEO].next += 30_000;
        world.run(millis(500));
    }
    assert_contiguous(&video_numbers(&world, 0), "a publisher's jumps are not its subscribers'");
    let heard = &world.clients[0].heard[&world.clients[0].slot_ssrc(3)];
    let first = heard.packets.values().find(|s| s.number >= from + 30_000).expect("media goes on");
    assert!(first.key, "{first:?}");
}

#[test]
fn a_codec_that_is_not_asked_for_again_is_not_sent_again() {
    let mut world = two(10, |_| {});
    let mut plan = world.clients[0].plan(1);
    let h264 = Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 };
    let feedback = Feedback { nack: true, pli: true, transport_cc: true, ..Feedback::default() };
    for line in plan.send.iter_mut().filter(|l| l.kind == MediaKind::Video) {
        line.codecs[0].rtx = None;
        line.codecs[0].feedback.nack = false;
        line.codecs.push(CodecPlan { payload_type: 102, codec: h264, clock_rate: 90_000, rtx: Some(103), feedback });
    }
    world.command(RoomCommand::Negotiate { peer: world.clients[0].peer, media: Box::new(plan) });
    world.run(Duration::from_secs(1));
    ask_again(&mut world, ..);
    world.run(millis(100));
    assert_eq!((world.count(Counter::RtpRetransmitted), world.clients[0].published.len()), (0, 2), "VP8 is {VP8}");
}

#[test]
fn what_went_out_before_rtx_was_given_up_is_not_sent_again_with_another_header() {
    let mut world = two(11, |_| {});
    world.run(Duration::from_secs(1));
    world.clients[0].has_rtx = false;
    let plan = world.clients[0].plan(1);
    world.command(RoomCommand::Negotiate { peer: world.clients[0].peer, media: Box::new(plan) });
    ask_again(&mut world, ..);
    assert_eq!(world.count(Counter::RtpRetransmitted), 0);
    let first = *video_numbers(&world, 0).last().expect("media came") + 20;
    world.run(Duration::from_secs(1));
    ask_again(&mut world, first..);
    assert!(world.count(Counter::RtpRetransmitted) > 10, "what goes out from then on is");
    world.run(millis(100));
}

#[test]
fn a_slot_whose_m_line_is_gone_is_sent_nothing_and_one_taken_for_another_begins_anew() {
    let mut world = two(12, |_| {});
    world.run(Duration::from_secs(1));
    let before = world.count(Counter::RtpForwarded);
    let mut plan = world.clients[0].plan(1);
    let slots = std::mem::take(&mut plan.send);
    world.command(RoomCommand::Negotiate { peer: world.clients[0].peer, media: Box::new(plan.clone()) });
    let sum = |world: &World| world.clients[0].heard.values().map(|h| h.packets.len()).sum::<usize>();
    world.run(millis(50));
    let heard = sum(&world);
    world.run(Duration::from_secs(1));
    assert!(world.count(Counter::RtpForwarded) > before + 100, "the other is not disturbed");
    assert_eq!(sum(&world), heard);
    plan.send = slots;
    let old = video_numbers(&world, 0);
    for line in &mut plan.send {
        line.ssrc += 0x100;
        line.rtx_ssrc = line.rtx_ssrc.map(|s| s + 0x100);
    }
    let ssrc = plan.send[1].ssrc;
    world.command(RoomCommand::Negotiate { peer: world.clients[0].peer, media: Box::new(plan) });
    world.point(0, 0, Some(1));
    world.run(Duration::from_secs(1));
    let first = *world.clients[0].heard[&ssrc].packets.first_key_value().expect("media comes").0;
    assert_ne!(first, old.last().expect("media came") + 1, "another SSRC, other numbers, whose rollover counter begins at 0");
}

#[test]
fn a_slot_cannot_be_pointed_at_a_track_whose_m_line_is_gone_and_stays_what_it_was() {
    let mut world = World::new(13);
    for _ in 0..3 {
        world.join(2, GCM);
    }
    world.point(0, 0, Some(1));
    world.run(Duration::from_secs(1));
    let mut plan = world.clients[2].plan(2);
    plan.receive.clear();
    world.command(RoomCommand::Negotiate { peer: world.clients[2].peer, media: Box::new(plan) });
    world.point(0, 0, Some(2));
    assert_eq!(world.count(Counter::CommandUnknown), 2);
    let before = video_numbers(&world, 0).len();
    world.run(Duration::from_secs(1));
    assert!(video_numbers(&world, 0).len() > before + 80);
    for kind in [MediaKind::Audio, MediaKind::Video] {
        world.command(RoomCommand::Unpublish { track: track(1, kind) });
    }
    world.leave(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.engines[0].report().peers, 2);
    world.command_in(0, RoomId(1), RoomCommand::Unpublish { track: TrackId(999) });
    assert_eq!(world.count(Counter::CommandUnknown), 3);
}
