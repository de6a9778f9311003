//! A room in a hundred lines, and the real one held against it under random histories.
//!
//! The model knows who is there, what they publish, what they do not want, and from these alone what each member's view
//! must be. A member's view is put together from what it was told: answers and events. So a forgotten, doubled or
//! misplaced event shows as a difference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::scene::{Client, RESUME, Scene, id};
use crate::base::{RoomId, WorkerId};
use crate::contract::{Event as Media, MediaKind, RoomCommand};
use crate::control::rooms::{Command, MemberRequest};
use crate::wire::{Event, MemberId, OkResult, Source, TrackNumber};

#[derive(Clone, Debug)]
enum Act {
    Join(usize),
    Leave(usize),
    Lose(usize),
    Resume(usize),
    Publish(usize, u8),
    Reload(usize),
    Fail,
    Unwant(usize, usize),
    Chat(usize),
    Hand(usize, bool),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..5usize;
    prop_oneof![
        4 => who.clone().prop_map(Act::Join),
        2 => who.clone().prop_map(Act::Leave),
        2 => who.clone().prop_map(Act::Lose),
        3 => who.clone().prop_map(Act::Resume),
        5 => (who.clone(), 0..16u8).prop_map(|(w, sources)| Act::Publish(w, sources)),
        1 => (who.clone(), who.clone()).prop_map(|(a, b)| Act::Unwant(a, b)),
        2 => who.clone().prop_map(Act::Reload),
        1 => Just(Act::Fail),
        2 => who.clone().prop_map(Act::Chat),
        2 => (who, any::<bool>()).prop_map(|(w, raised)| Act::Hand(w, raised)),
        1 => (1..90u64).prop_map(Act::Pass),
    ]
}

/// What is true, by the history alone.
#[derive(Default)]
struct Model {
    members: BTreeMap<usize, Truth>,
    said: u64,
}

#[derive(Default)]
struct Truth {
    away: Option<Duration>,
    /// The room's media was lost while it was away: it has no connection.
    cut: bool,
    publishes: BTreeSet<Source>,
    unwanted: BTreeSet<(usize, Source)>,
    hand: bool,
}

/// What a client has put together.
#[derive(Default)]
struct View {
    members: BTreeMap<MemberId, BTreeMap<TrackNumber, Source>>,
    away: BTreeSet<MemberId>,
    shown: BTreeMap<u32, (MemberId, bool)>,
    chat: u64,
    hands: BTreeSet<MemberId>,
    seq: u64,
}

struct World {
    scene: Scene,
    model: Model,
    clients: BTreeMap<usize, (Client, View)>,
    at: Duration,
    spread_from: usize,
    /// What the workers would forward: (peer, m-line) → track.
    pointed: BTreeMap<(u64, u8), u64>,
}

fn name(who: usize) -> String {
    format!("m{who}")
}

impl View {
    fn joined(&mut self, joined: OkResult) {
        let OkResult::Joined { me, members, chat, seq, slots, .. } = joined else { panic!("not joined") };
        self.away = members.iter().filter(|m| m.away).map(|m| m.member.clone()).collect();
        self.hands = members.iter().chain([&*me]).filter(|m| m.hand.is_some()).map(|m| m.member.clone()).collect();
        self.members = members.into_iter().map(|m| (m.member, m.tracks.iter().map(|t| (t.track, t.source)).collect())).collect();
        self.shown = slots.into_iter().map(|s| (s.pair, (s.member, s.screen))).collect();
        self.chat = chat.last().map_or(0, |m| m.number);
        self.seq = seq;
    }

    fn told(&mut self, seq: u64, event: Event) {
        assert_eq!(seq, self.seq + 1, "no event is lost or doubled");
        self.seq = seq;
        match event {
            Event::MemberJoined { member } => {
                let tracks = member.tracks.iter().map(|t| (t.track, t.source)).collect();
                assert!(self.members.insert(member.member, tracks).is_none(), "nobody comes twice");
            }
            Event::MemberLeft { member, .. } => {
                self.away.remove(&member);
                self.hands.remove(&member);
                assert!(self.members.remove(&member).is_some(), "nobody goes twice");
            }
            Event::MemberAway { member, away } => {
                assert!(if away { self.away.insert(member) } else { self.away.remove(&member) });
            }
            Event::Track { member, track } => {
                self.members.get_mut(&member).expect("a member").insert(track.track, track.source);
            }
            Event::TrackEnded { member, track } => {
                assert!(self.members.get_mut(&member).expect("a member").remove(&track).is_some());
            }
            Event::Slots { slots } => self.shown = slots.into_iter().map(|s| (s.pair, (s.member, s.screen))).collect(),
            Event::Chat { message } => {
                assert_eq!(message.number, self.chat + 1);
                self.chat = message.number;
            }
            Event::Restart {} => {
                self.members.values_mut().for_each(BTreeMap::clear);
                self.shown.clear();
            }
            Event::Hand { member, hand } => {
                assert!(if hand.is_some() { self.hands.insert(member) } else { self.hands.remove(&member) });
            }
            Event::Need { .. } => panic!("five members fit into the first pairs"),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

impl World {
    /// Connections go elsewhere when so many are at home.
    fn new(spread_from: usize) -> Self {
        // All that five members may publish fits into the first pairs: eight groups of others.
        Self {
            scene: Scene::with(|rules| rules.spread_from = spread_from),
            spread_from,
            model: Model::default(),
            clients: BTreeMap::new(),
            at: Duration::ZERO,
            pointed: BTreeMap::new(),
        }
    }

    fn here(&self, who: usize) -> bool {
        self.model.members.get(&who).is_some_and(|m| m.away.is_none())
    }

    fn act(&mut self, act: Act) {
        if self.scene.closed {
            assert!(self.model.members.is_empty(), "only an empty room closes");
            *self = Self::new(self.spread_from);
        }
        match act {
            Act::Join(who) if !self.model.members.contains_key(&who) => self.join(who),
            Act::Leave(who) if self.here(who) => {
                let (client, _) = self.clients.remove(&who).expect("a client");
                self.scene.leave(&client);
                self.model.members.remove(&who);
                self.forget_ended(who);
            }
            Act::Lose(who) if self.here(who) => {
                self.scene.lose(&self.clients[&who].0);
                self.model.members.get_mut(&who).expect("a member").away = Some(self.at);
            }
            Act::Resume(who) if self.model.members.contains_key(&who) => {
                let (client, view) = self.clients.get_mut(&who).expect("a client");
                let joined = self.scene.resume(client, view.seq).expect("resumed");
                view.joined(joined);
                let truth = self.model.members.get_mut(&who).expect("a member");
                truth.away = None;
                if std::mem::take(&mut truth.cut) {
                    self.clients.get_mut(&who).expect("a client").0.reload();
                    self.connect(who);
                }
            }
            Act::Publish(who, sources) if self.here(who) => self.publish(who, sources),
            Act::Reload(who) if self.here(who) => {
                self.clients.get_mut(&who).expect("a client").0.reload();
                self.connect(who);
            }
            Act::Fail if !self.model.members.is_empty() => self.fail(),
            Act::Unwant(who, whose) if self.here(who) && who != whose => self.unwant(who, whose),
            Act::Chat(who) if self.here(who) => {
                let what = MemberRequest::Chat { text: "x".into(), key: None, echo: true, at: 0 };
                self.scene.request(&self.clients[&who].0, what).expect("said");
                self.model.said += 1;
            }
            Act::Hand(who, raised) if self.here(who) => {
                let what = MemberRequest::Hand { raised, member: None };
                self.scene.request(&self.clients[&who].0, what).expect("raised or lowered");
                self.model.members.get_mut(&who).expect("a member").hand = raised;
            }
            Act::Pass(seconds) => {
                let span = Duration::from_secs(seconds);
                self.scene.pass(span);
                self.at += span;
                let lost: Vec<usize> =
                    self.model.members.iter().filter(|(_, m)| m.away.is_some_and(|a| self.at - a >= RESUME)).map(|(w, _)| *w).collect();
                for who in lost {
                    self.model.members.remove(&who);
                    self.clients.remove(&who);
                    self.forget_ended(who);
                }
            }
            _ => {}
        }
        self.deliver();
    }

    fn join(&mut self, who: usize) {
        let mut client = self.scene.join(&name(who));
        // Resuming at once gives the same view that the answer to the join gave.
        let mut view = View::default();
        let joined = self.scene.resume(&mut client, 0).expect("resumed");
        view.joined(joined);
        self.clients.insert(who, (client, view));
        self.model.members.insert(who, Truth::default());
        self.connect(who);
    }

    /// A new connection, on which nothing is published yet.
    fn connect(&mut self, who: usize) {
        let (client, _) = self.clients.get_mut(&who).expect("a client");
        for kind in [MediaKind::Audio, MediaKind::Video, MediaKind::Audio, MediaKind::Video] {
            client.add(kind);
        }
        client.grow(10);
        self.publish(who, 0);
    }

    /// The room's media is lost on a worker: everybody begins again, who is away when he comes back.
    fn fail(&mut self) {
        self.scene.apply(Command::Media(Media::RoomFailed { room: RoomId(1) }));
        for member in self.model.members.values_mut() {
            member.publishes.clear();
            member.unwanted.clear();
            member.cut = member.away.is_some();
        }
        self.pointed.clear();
        self.deliver();
        let here: Vec<usize> = self.model.members.keys().copied().filter(|who| self.here(*who)).collect();
        for who in here {
            self.clients.get_mut(&who).expect("a client").0.reload();
            self.connect(who);
        }
    }

    fn publish(&mut self, who: usize, sources: u8) {
        let wanted: Vec<(String, Source)> =
            Source::ALL.into_iter().enumerate().filter(|(i, _)| sources >> i & 1 == 1).map(|(i, s)| (i.to_string(), s)).collect();
        let publish: Vec<(&str, Source)> = wanted.iter().map(|(mid, s)| (mid.as_str(), *s)).collect();
        self.scene.offer(&self.clients[&who].0, &publish).expect("answered");
        self.model.members.get_mut(&who).expect("a member").publishes = wanted.iter().map(|(_, s)| *s).collect();
        self.forget_ended(who);
    }

    fn unwant(&mut self, who: usize, whose: usize) {
        let (client, view) = &self.clients[&who];
        let Some(tracks) = view.members.get(&MemberId(name(whose))) else { return };
        let (tracks, sources): (Vec<TrackNumber>, Vec<Source>) = tracks.iter().map(|(t, s)| (*t, *s)).unzip();
        self.scene.request(client, MemberRequest::Want { tracks, wanted: false }).expect("done");
        self.model.members.get_mut(&who).expect("a member").unwanted.extend(sources.into_iter().map(|s| (whose, s)));
    }

    /// A track that is published anew is wanted at first, like any.
    fn forget_ended(&mut self, whose: usize) {
        let published = self.model.members.get(&whose).map(|m| m.publishes.clone()).unwrap_or_default();
        for member in self.model.members.values_mut() {
            member.unwanted.retain(|(w, s)| *w != whose || published.contains(s));
        }
    }

    fn deliver(&mut self) {
        for (client, view) in self.clients.values_mut() {
            for (seq, event) in self.scene.events.remove(&client.socket).unwrap_or_default() {
                if !matches!(event, Event::Bye { .. }) {
                    view.told(seq, event);
                }
            }
        }
        for command in self.scene.commands.drain(..) {
            match command {
                RoomCommand::Point { peer, mline, source: Some(track), .. } => drop(self.pointed.insert((peer.0, mline), track.0)),
                RoomCommand::Point { peer, mline, source: None, .. } => drop(self.pointed.remove(&(peer.0, mline))),
                RoomCommand::RemovePeer { peer } => self.pointed.retain(|(p, _), _| *p != peer.0),
                _ => {}
            }
        }
    }

    fn check(&self) {
        let mut halves = 0;
        for (who, truth) in &self.model.members {
            let others = || self.model.members.iter().filter(|(other, _)| *other != who);
            let wanted = || {
                let all = others().flat_map(|(other, m)| m.publishes.iter().map(move |s| (*other, *s)));
                all.filter(|track| !truth.unwanted.contains(track))
            };
            let groups: BTreeSet<(MemberId, bool)> = wanted().map(|(other, s)| (MemberId(name(other)), s.is_screen())).collect();
            halves += if truth.cut { 0 } else { wanted().count() };
            if truth.away.is_some() {
                continue;
            }
            let view = &self.clients[who].1;
            let seen: BTreeMap<_, BTreeSet<Source>> = view.members.iter().map(|(m, t)| (m.clone(), t.values().copied().collect())).collect();
            assert_eq!(seen, others().map(|(other, m)| (MemberId(name(*other)), m.publishes.clone())).collect());
            assert_eq!(view.away, others().filter(|(_, m)| m.away.is_some()).map(|(other, _)| MemberId(name(*other))).collect());
            assert_eq!(view.shown.values().cloned().collect::<BTreeSet<_>>(), groups);
            assert_eq!(view.shown.len(), groups.len(), "nobody is shown twice");
            assert_eq!(view.chat, self.model.said);
            let hands = self.model.members.iter().filter(|(_, m)| m.hand).map(|(who, _)| id(&name(*who)));
            assert_eq!(view.hands, hands.collect());
        }
        assert_eq!(self.pointed.len(), halves, "the worker forwards what is wanted, to those away too");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn every_history_leads_to_the_same_room_for_everybody_on_any_workers(
        acts in proptest::collection::vec((act(), 0u16..3, 0u16..3), 1..40), spread_from in prop_oneof![Just(8), 0..3usize],
    ) {
        let mut world = World::new(spread_from);
        for (act, best, alike) in acts {
            world.scene.elsewhere = [WorkerId(best), WorkerId(alike)];
            world.act(act);
            world.check();
        }
    }
}
