//! People who come, go, look away and publish in any order, against a model of what each of them can decode.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::scene::{Client, Scene, track};
use super::{BOTH, CAMERA, ROOM, asked, peer, shown, wants};
use crate::base::{PeerId, TrackId, WorkerId};
use crate::contract::{Event as Media, Limit, MediaKind, Quality};
use crate::control::rooms::Command;
use crate::wire::VideoCodec::{self, Av1, H264, Vp8, Vp9};
use crate::wire::{Source, TrackNumber};

/// Something that happens; the numbers are who and what.
#[derive(Clone, Debug)]
enum Act {
    Come(usize, u8, u8),
    Go(usize),
    Want(usize, usize, bool),
    Publish(usize, u8),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..4usize;
    prop_oneof![
        4 => (who.clone(), 1..16u8, 1..16u8).prop_map(|(w, s, r)| Act::Come(w, s, r)),
        1 => who.clone().prop_map(Act::Go),
        2 => (who.clone(), who.clone(), any::<bool>()).prop_map(|(a, b, wanted)| Act::Want(a, b, wanted)),
        2 => (who, 0..4u8).prop_map(|(w, what)| Act::Publish(w, what)),
        3 => (1..8u64).prop_map(Act::Pass),
    ]
}

struct Person {
    client: Client,
    peer: PeerId,
    /// What it was last asked for.
    asked: Vec<VideoCodec>,
    camera: Option<TrackNumber>,
    fallback: Option<(TrackNumber, VideoCodec)>,
}

/// People who send the first codec that they list, and workers that say who can decode it.
#[derive(Default)]
struct World {
    people: BTreeMap<usize, Person>,
}

impl World {
    fn act(&mut self, scene: &mut Scene, act: &Act) {
        let some = |bits: u8| [Vp8, H264, Vp9, Av1].into_iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| c).collect::<Vec<_>>();
        match *act {
            Act::Come(who, sends, receives) if !self.people.contains_key(&who) => {
                let mut client = scene.join(&format!("m{who}"));
                (client.sends, client.receives) = (some(sends), some(receives));
                client.sends.reverse();
                client.add_all(&[MediaKind::Audio, MediaKind::Video, MediaKind::Video]);
                client.grow(4);
                let published = scene.offer(&client, CAMERA).expect("answered");
                let (peer, camera) = (peer(scene), Some(track(&published, Source::Camera)));
                self.people.insert(who, Person { client, peer, asked: vec![], camera, fallback: None });
            }
            Act::Go(who) => {
                if let Some(person) = self.people.remove(&who) {
                    scene.leave(&person.client);
                }
            }
            Act::Want(who, whose, wanted) => {
                let track = self.people.get(&whose).and_then(|p| p.camera).filter(|_| who != whose);
                if let (Some(person), Some(track)) = (self.people.get(&who), track) {
                    wants(scene, &person.client, track, wanted);
                }
            }
            Act::Publish(who, what) => {
                let Some(person) = self.people.get_mut(&who) else { return };
                let list: &[(&str, Source)] = match what {
                    0 => &CAMERA[..1],
                    1 => CAMERA,
                    _ => BOTH,
                };
                let published = scene.offer(&person.client, list).expect("answered");
                let of = |fallback| published.iter().find(|(_, t)| t.source == Source::Camera && t.fallback == fallback).map(|(_, t)| t.track);
                let codec = person.fallback.map(|(_, codec)| codec).or(person.asked.first().copied()).unwrap_or(Vp8);
                if person.camera != of(false) {
                    person.asked.clear();
                }
                (person.camera, person.fallback) = (of(false), of(true).map(|track| (track, codec)));
            }
            Act::Pass(seconds) => scene.pass(Duration::from_secs(seconds)),
            Act::Come(..) => {}
        }
    }

    fn codec(&self, track: TrackNumber) -> Option<VideoCodec> {
        self.people.values().find_map(|p| {
            let fallback = p.fallback.filter(|(t, _)| *t == track).map(|(_, codec)| codec);
            fallback.or_else(|| (p.camera == Some(track)).then(|| p.client.sends[0]))
        })
    }

    /// The workers say what they find, until that changes nothing.
    fn report(&mut self, scene: &mut Scene) {
        for _ in 0..4 {
            for person in self.people.values() {
                let quality = |track: TrackNumber| {
                    let decodes = self.codec(track).is_none_or(|codec| person.client.receives.contains(&codec));
                    Quality { track: TrackId(track.0), encoding: decodes.then_some(0), of: 1, limit: (!decodes).then_some(Limit::Codec) }
                };
                let tracks = shown(scene, person.peer).into_iter().map(quality).collect();
                scene.apply(Command::Media(Media::Quality { room: ROOM, peer: person.peer, tracks, link: None }));
            }
        }
        for person in self.people.values_mut() {
            person.asked = asked(scene, &person.client).pop().unwrap_or_else(|| std::mem::take(&mut person.asked));
        }
    }

    fn check(&self, scene: &Scene) {
        for (who, publisher) in &self.people {
            let Some(camera) = publisher.camera else { continue };
            let mut unserved = Vec::new();
            for viewer in self.people.iter().filter(|(other, _)| *other != who).map(|(_, p)| p) {
                let its = |track: &TrackNumber| *track == camera || publisher.fallback.is_some_and(|(t, _)| t == *track);
                let Some(shown) = shown(scene, viewer.peer).into_iter().find(its) else { continue };
                let decodes = |codec: VideoCodec| viewer.client.receives.contains(&codec);
                let wanted = publisher.fallback.filter(|(_, codec)| !decodes(publisher.client.sends[0]) && decodes(*codec));
                assert_eq!(shown, wanted.map_or(camera, |(track, _)| track), "the track itself, if it is decodable, and else what is");
                if !decodes(publisher.client.sends[0]) && publisher.client.sends.iter().any(|codec| decodes(*codec)) {
                    unserved.push(viewer);
                }
            }
            if !unserved.is_empty() {
                assert!(!publisher.asked.is_empty(), "somebody needs a fallback, and nobody has been asked for it");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_everybody_is_shown_what_they_can_decode_as_soon_as_it_is_sent(
        acts in proptest::collection::vec((act(), 0u16..3), 1..40), spread_from in prop_oneof![Just(8), 0..3usize],
    ) {
        let mut scene = Scene::with(|rules| rules.spread_from = spread_from);
        let mut world = World::default();
        for (act, worker) in acts {
            if scene.closed {
                (scene, world) = (Scene::with(|rules| rules.spread_from = spread_from), World::default());
            }
            scene.elsewhere = [WorkerId(worker); 2];
            world.act(&mut scene, &act);
            world.report(&mut scene);
            world.check(&scene);
        }
        for who in 0..4 {
            world.act(&mut scene, &Act::Go(who));
            world.report(&mut scene);
            let nobody_waits = world.people.len() < 2;
            assert!(!nobody_waits || scene.room.fallbacks.waits_for_nobody(), "nothing is kept of those who have gone");
        }
        assert!(scene.room.fallbacks.is_empty(), "nor of their tracks");
    }
}
