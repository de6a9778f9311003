mod scene;

use mkv_element::io::blocking_impl::ReadFrom;
use mkv_element::prelude::{Element, Header};
use proptest::prelude::*;

use super::*;
use crate::contract::{TapClock, TapPacket, TapPlace};
use crate::record::file::{Cue, webm};
use scene::{CAMERA, KEY_EVERY, MICROPHONE, Memory, Scene, at, gaps};

#[test]
fn a_file_has_all_that_was_sent_at_its_time() {
    let mut scene = Scene::new();
    scene.talk(10_000);
    scene.end();
    let file = scene.only();
    assert_eq!(
        (file.begin.container, file.begin.picture, file.begin.sound, file.begin.size),
        (Container::Webm, Some(TapCodec::Vp8), true, Some((320, 180)))
    );
    assert_eq!((file.of(1).len(), file.of(2).len(), file.millis()), (250, 500, 10_000));
    assert_eq!(file.of(1), (0..250).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(file.of(2), (0..500).map(|n| n * 20).collect::<Vec<_>>());
    assert!(file.cues.windows(2).all(|pair| pair[1].at - pair[0].at <= PIECE + 40_000), "pieces are short");
    assert_eq!(file.end.map(|end| end.lost), Some(0));
}

#[test]
fn a_file_ends_when_the_call_does_whatever_was_silent() {
    for quiet in [400, 5_000] {
        let mut scene = Scene::new();
        scene.talk(2_000);
        // A picture that stands, and no sound but now and then.
        scene.run(20_000, |scene, now| {
            if now.is_multiple_of(quiet) {
                scene.sound();
            }
        });
        scene.end();
        let file = scene.only();
        assert_eq!(file.millis(), 22_000);
        let sound = file.of(2);
        assert!(gaps(&sound) <= 50, "{} ms of nothing", gaps(&sound));
        assert!(sound.last().is_some_and(|last| *last >= 21_930), "{sound:?}");
        assert!(sound.is_sorted());
    }
}

#[test]
fn sender_reports_put_sound_and_picture_in_step() {
    let mut scene = Scene::new();
    // Pictures take 120 ms longer than sound to arrive; their clocks say so.
    let clock = |tap, timestamp, captured| Tapped::Clock(TapClock { tap, encoding: 0, generation: 0, timestamp, captured });
    scene.take.take(at(1_000), clock(CAMERA, 1_000 * 90, 1_000_000 + 10_000));
    scene.take.take(at(1_000), clock(MICROPHONE, 1_000 * 48, 1_000_000 + 130_000));
    scene.talk(5_000);
    scene.end();
    let file = scene.only();
    let (pictures, sound) = (file.of(1), file.of(2));
    assert_eq!((pictures[0], sound[0]), (0, 0), "silence, until there is sound");
    assert_eq!(sound.last().zip(pictures.last()).map(|(sound, picture)| sound - picture), Some(120 + 20));
}

#[test]
fn what_was_captured_before_the_recording_began_is_not_kept() {
    let mut scene = Scene::new();
    let clock = |tap, timestamp, captured| Tapped::Clock(TapClock { tap, encoding: 0, generation: 0, timestamp, captured });
    scene.take.take(at(1_000), clock(CAMERA, 1_000 * 90, 300_000));
    scene.take.take(at(1_000), clock(MICROPHONE, 1_000 * 48, 300_000));
    scene.talk(1_000);
    scene.talk(5_000);
    scene.end();
    let file = scene.only();
    assert!(file.begin.at >= 1_000_000, "{}", file.begin.at);
    assert_eq!(scene.wishes.get(), 0, "a key frame came by itself");
}

#[test]
fn after_a_loss_pictures_go_on_with_a_key_frame_that_is_asked_for() {
    let mut scene = Scene::new();
    scene.talk(2_000);
    let wishes = scene.wishes.get();
    scene.sequence[0] += 1;
    let mut asked = false;
    scene.run(4_000, |scene, now| {
        scene.sound();
        if now.is_multiple_of(40) {
            let answered = scene.wishes.get() > wishes && !std::mem::replace(&mut asked, scene.wishes.get() > wishes);
            scene.picture(TapCodec::Vp8, answered);
        }
    });
    scene.end();
    let file = scene.only();
    assert_eq!(scene.wishes.get() - wishes, 1);
    let blocks = file.blocks();
    let pictures: Vec<_> = blocks.iter().filter(|block| block.0 == 1).collect();
    let gap = pictures.windows(2).position(|pair| pair[1].1 - pair[0].1 > 40).expect("a gap");
    assert!(pictures[gap + 1].2, "it goes on with a key frame");
    assert!((900..1_400).contains(&(pictures[gap + 1].1 - pictures[gap].1)), "{:?}", &pictures[gap..gap + 2]);
    assert!(gaps(&file.of(2)) <= 20, "nobody misses a word");
    assert_eq!(file.end.map(|end| end.lost), Some(1));
    assert_eq!(file.millis(), 6_000);
}

#[test]
fn a_repaired_packet_takes_its_place() {
    let mut scene = Scene::new();
    scene.talk(1_000);
    let (missing, before) = (scene.place(CAMERA, 0), scene.now);
    scene.sequence[0] += 1;
    scene.run(300, |scene, now| {
        scene.sound();
        if now % 40 == 20 {
            scene.picture(TapCodec::Vp8, false);
        }
    });
    let packet = TapPacket {
        place: missing,
        timestamp: (before * 90) as u32,
        arrived: at(scene.now),
        codec: TapCodec::Vp8,
        marker: true,
        starts_key_frame: false,
    };
    scene.give(packet, &[0x10, 0x11, 0, 0, 9]);
    scene.run(1_000, |scene, _| scene.sound());
    scene.end();
    let file = scene.only();
    assert!(file.of(1).contains(&(before as i64 - 1_000)) && file.of(1).is_sorted());
    assert_eq!(file.end.map(|end| end.lost), Some(0));
}

#[test]
fn another_encoding_goes_on_in_the_same_file() {
    let mut scene = Scene::new();
    scene.talk(2_000);
    // Other numbers and timestamps, and a clock line of its own.
    let (from, base) = (scene.now, 0xffff_ff00_u32);
    scene.take.take(at(from), Tapped::Clock(TapClock { tap: CAMERA, encoding: 1, generation: 3, timestamp: base, captured: from as i64 * 1_000 }));
    scene.run(2_000, |scene, now| {
        scene.sound();
        if now.is_multiple_of(40) {
            let n = (now - from) / 40;
            let place = TapPlace { tap: CAMERA, encoding: 1, generation: 3, sequence: 7 + n };
            let timestamp = base.wrapping_add((n * 3_600) as u32);
            let packet = TapPacket { place, timestamp, arrived: at(now), codec: TapCodec::Vp8, marker: true, starts_key_frame: n == 0 };
            let payload: &[u8] = if n == 0 { &[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01] } else { &[0x10, 0x11, 0, 0, 9] };
            scene.give(packet, payload);
        }
    });
    scene.end();
    let file = scene.only();
    assert_eq!(file.of(1), (0..100).map(|n| n * 40).collect::<Vec<_>>());
}

#[test]
fn another_codec_and_a_picture_that_comes_late_begin_another_file() {
    let mut scene = Scene::new();
    scene.run(5_000, |scene, _| scene.sound());
    scene.talk(3_000);
    let from = scene.now;
    scene.run(3_000, |scene, now| {
        scene.sound();
        if now.is_multiple_of(40) {
            scene.picture(TapCodec::Vp9, now == from);
        }
    });
    scene.end();
    let files = &scene.shelf.files;
    assert_eq!(files.iter().map(|file| file.begin.picture).collect::<Vec<_>>(), [None, Some(TapCodec::Vp8), Some(TapCodec::Vp9)]);
    assert_eq!(files.iter().map(|file| file.begin.at).collect::<Vec<_>>(), [1_000_000, 6_000_000, 9_000_000]);
    assert_eq!(files.iter().map(Memory::millis).collect::<Vec<_>>(), [5_000, 3_000, 3_000], "one after the other, without a gap");
    assert!(files.iter().all(|file| gaps(&file.of(2)) <= 20));
}

#[test]
fn sound_that_comes_to_a_picture_takes_no_picture_away() {
    let mut scene = Scene::new();
    scene.take = Take::new(at(1_000), KEY_EVERY);
    scene.take.attach(at(1_000), CAMERA, false);
    let pictures = |scene: &mut Scene, now: u64| {
        if now.is_multiple_of(40) {
            let key = now == 1_000 || scene.wishes.take() > 0;
            scene.picture(TapCodec::Vp8, key);
        }
    };
    scene.run(2_000, pictures);
    scene.take.attach(at(scene.now), MICROPHONE, true);
    scene.run(3_000, |scene, now| {
        pictures(scene, now);
        scene.sound();
    });
    scene.end();
    let files = &scene.shelf.files;
    assert_eq!(files.iter().map(|file| file.begin.sound).collect::<Vec<_>>(), [false, true]);
    assert_eq!(files.iter().map(|file| file.of(1).len()).sum::<usize>(), 125);
    let waited = files[1].begin.at - 3_000_000;
    assert!(waited < 1_200_000, "{waited}");
}

#[test]
fn what_the_disk_refuses_is_a_gap_after_which_pictures_begin_anew() {
    let mut scene = Scene::new();
    scene.talk(2_000);
    scene.shelf.refuses = true;
    scene.run(3_000, |scene, now| {
        scene.sound();
        if now.is_multiple_of(40) {
            let key = scene.wishes.take() > 0;
            scene.picture(TapCodec::Vp8, key);
        }
    });
    scene.shelf.refuses = false;
    scene.run(3_000, |scene, now| {
        scene.sound();
        if now.is_multiple_of(40) {
            let key = scene.wishes.take() > 0;
            scene.picture(TapCodec::Vp8, key);
        }
    });
    scene.end();
    let file = scene.only();
    let blocks = file.blocks();
    let pictures: Vec<_> = blocks.iter().filter(|block| block.0 == 1).collect();
    let gap = pictures.windows(2).position(|pair| pair[1].1 - pair[0].1 > 1_000).expect("a gap");
    assert!(pictures[gap + 1].2, "it goes on with a key frame");
    assert_eq!(file.millis(), 8_000);
    assert!(file.end.is_some_and(|end| end.lost > 0));
}

#[test]
fn a_file_that_the_disk_has_ended_is_followed_by_one_with_all_of_its_tracks() {
    // At once, or when the disk takes something again.
    [false, true].into_iter().for_each(disk_ends_a_file);
}

fn disk_ends_a_file(refuses: bool) {
    let mut scene = Scene::new();
    scene.talk(3_000);
    (scene.shelf.ended, scene.shelf.refuses) = (1, refuses);
    let (mut from, wishes) = (scene.now as i64 * 1_000, scene.wishes.get());
    let mut answered = wishes;
    let mut go_on = |scene: &mut Scene| {
        scene.run(4_000, |scene, now| {
            scene.sound();
            if now.is_multiple_of(40) {
                let asked = scene.wishes.get();
                scene.picture(TapCodec::Vp8, std::mem::replace(&mut answered, asked) != asked);
            }
        });
    };
    if refuses {
        go_on(&mut scene);
        (scene.shelf.refuses, from) = (false, from + 4_000_000);
    }
    go_on(&mut scene);
    scene.end();
    let [first, second] = &scene.shelf.files[..] else { panic!("{:?}", scene.shelf.files) };
    assert!(first.end.is_none(), "the disk has ended it");
    assert_eq!((second.begin.picture, second.begin.sound), (Some(TapCodec::Vp8), true));
    // What waits when the disk takes something again is taken too.
    assert!((from - 500_000..from + if refuses { 3_000_000 } else { 1_500_000 }).contains(&second.begin.at), "{} after {from}", second.begin.at);
    assert!(second.blocks().iter().find(|block| block.0 == 1).is_some_and(|block| block.2), "it begins with a key frame");
    assert_eq!(second.end.map(|end| second.begin.at + end.length), Some(from + 4_000_000));
    assert!(scene.wishes.get() - wishes <= if refuses { 4 } else { 1 });
}

#[test]
fn a_track_that_ends_ends_nothing_else() {
    let mut scene = Scene::new();
    scene.talk(2_000);
    scene.take.detach(at(scene.now), CAMERA, &mut scene.shelf);
    scene.run(2_000, |scene, _| scene.sound());
    assert!(!scene.take.is_over());
    scene.take.detach(at(scene.now), MICROPHONE, &mut scene.shelf);
    assert!(scene.take.is_over());
    scene.end();
    assert_eq!((scene.only().millis(), scene.only().of(1).len()), (4_000, 50));
}

#[test]
fn a_publisher_whose_packets_make_no_sense_has_no_file_and_costs_no_more() {
    let mut scene = Scene::new();
    for n in 0..2_000u32 {
        let place = scene.place(CAMERA, 0);
        scene.sequence[0] += u64::from(1 + n % 3);
        let packet = TapPacket {
            place,
            timestamp: n.wrapping_mul(0x9e37_79b9),
            arrived: at(scene.now),
            codec: [TapCodec::Vp8, TapCodec::H264, TapCodec::Av1, TapCodec::Vp9][n as usize % 4],
            marker: n.is_multiple_of(5),
            starts_key_frame: n.is_multiple_of(7),
        };
        // An aggregate of H.264 that ends within a length, an OBU whose extension is missing.
        let payload: &[u8] = [&[0x78, 0, 1, 7, 0][..], &[0x10, 0x36], &[0xff], &[]][n as usize % 4];
        scene.give(packet, payload);
        scene.now += 5;
        if n.is_multiple_of(20) {
            scene.turn();
        }
    }
    scene.end();
}

/// A cue as it is known before its piece is read to its end.
fn unmeasured(cue: &Cue) -> Cue {
    Cue { until: cue.at, ..*cue }
}

fn complete_file() -> (Memory, Vec<u8>) {
    let mut scene = Scene::new();
    scene.talk(6_000);
    scene.talk(4_000);
    scene.end();
    let mut file = scene.shelf.files.remove(0);
    let bytes = file.bytes.clone();
    let completion = webm::complete(&file.begin.header, &file.cues, bytes.len() as u64, 10_000_000);
    file.bytes.extend(&completion.tail);
    for (place, patch) in &completion.patches {
        file.bytes[*place as usize..*place as usize + patch.len()].copy_from_slice(patch);
    }
    (file, bytes)
}

#[test]
fn a_complete_file_says_how_long_it_is_and_where_its_key_frames_are() {
    let (file, bytes) = complete_file();
    assert_eq!(file.bytes.len(), bytes.len() + file.bytes.len() - bytes.len());
    let cues = &file.bytes[bytes.len()..];
    assert_eq!(Header::read_from(&mut &cues[..]).expect("an element").id, mkv_element::prelude::Cues::ID);
    let whole =
        webm::scan(file.bytes.len() as u64, |at, len| Ok(file.bytes[at as usize..(at as usize + len).min(file.bytes.len())].to_vec())).expect("read");
    assert_eq!((whole.len, whole.cues), (bytes.len() as u64, file.cues.iter().map(unmeasured).collect::<Vec<_>>()));
    let last = file.cues.last().expect("pieces");
    assert_eq!(webm::end_of(&bytes[last.position as usize..], last.at), 10_000_000);
    assert_eq!(last.until, 10_000_000);
    assert_eq!(file.cues.iter().filter(|cue| cue.key).count(), 2, "at 0 and at 6 s");
    // Its length, as a float of eight bytes, in milliseconds.
    assert!(file.bytes.windows(11).any(|bytes| bytes[..3] == [0x44, 0x89, 0x88] && bytes[3..] == 10_000f64.to_be_bytes()));
}

proptest! {
    #[test]
    fn whatever_was_written_before_a_crash_can_be_made_whole(cut in 0.0f64..1.0) {
        let (file, bytes) = complete_file();
        let cut = (bytes.len() as f64 * cut) as usize;
        let cut = &bytes[..cut];
        let read = |at: u64, len: usize| Ok(cut[(at as usize).min(cut.len())..(at as usize + len).min(cut.len())].to_vec());
        match webm::scan(cut.len() as u64, read) {
            Err(_) => prop_assert!(cut.len() < file.begin.header.len()),
            Ok(whole) => {
                let cues: Vec<Cue> = file.cues.iter().enumerate().filter(|(n, _)| {
                    let end = file.cues.get(n + 1).map_or(bytes.len() as u64, |next| next.position);
                    end <= cut.len() as u64
                }).map(|(_, cue)| unmeasured(cue)).collect();
                prop_assert_eq!(&whole.cues, &cues);
                prop_assert!(whole.len as usize <= cut.len());
                prop_assert!(whole.len <= whole.cues.last().map_or(whole.head, |_| whole.len));
            }
        }
    }
}
