//! What each subscriber gets of each picture: looked at when its link, its tiles or the encodings have changed.

use std::cmp::Ordering;
use std::time::Duration;

use super::Room;
use super::health::link_state;
use crate::base::{Bitrate, PeerId, Time};
use crate::contract::{Counter, Event, Limit, MediaKind, Quality};
use crate::media::engine::Shared;
use crate::media::pace::Link;
use crate::media::packet::layers::Layer;
use crate::media::peer::UNLIMITED;
use crate::media::publish::key_frame::KeyFrames;
use crate::media::publish::track::Track;
use crate::media::route::leg::Leg;
use crate::media::select::ladder::height;
use crate::media::select::{Aim, Choice, Claim, Form, Ladder, Rung, allocate, ladder};

/// Whether encodings come or fail to come is looked at so often. Less costs turns, more lets a picture stand still for longer.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(150);
/// What nobody wants any more is still sent for so long: somebody may want it again, and a key frame costs more.
const DEMAND_OFF_AFTER: Duration = Duration::from_secs(3);

/// The share of an estimate that is kept free for repairs, at most.
const MOST_REPAIRS: f64 = 0.3;

/// Space for working out one subscriber's share, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) rungs: Vec<Rung>,
    forms: Vec<Form>,
    claims: Vec<Claim>,
    /// Of each claim, by where its forms begin: the leg, its track, and what is left out.
    legs: Vec<(usize, usize, Ladder)>,
}

impl Scratch {
    /// What the best form of a claim takes, in bit/s.
    fn most(&self, claim: &Claim) -> u64 {
        self.rate(claim, claim.count)
    }

    /// What the form takes that it gets, in bit/s.
    fn taken(&self, claim: &Claim) -> u64 {
        self.rate(claim, claim.gets)
    }

    fn rate(&self, claim: &Claim, of: usize) -> u64 {
        of.checked_sub(1).and_then(|last| self.forms.get(claim.first + last)).map_or(0, |form| form.rate.as_bps())
    }
}

impl Room {
    /// What the link to a peer carries, as far as it says what it receives.
    pub fn estimate(&self, peer: PeerId) -> Option<Bitrate> {
        self.peers.get(*self.peer_of.get(&peer)?)?.estimate()
    }

    /// A subscriber's share is worked out anew in this turn.
    pub(super) fn select_soon(&mut self, now: Time, subscriber: usize) {
        if let Some(peer) = self.peers.get_mut(subscriber) {
            peer.select_due = now;
            self.peers_due.sooner(subscriber, now);
        }
    }

    /// Works out what a subscriber gets, and aims its legs at it.
    pub(super) fn select(&mut self, now: Time, subscriber: usize, shared: &mut Shared) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.claim(now, subscriber, &mut scratch);
        let (budget, around) = self.budget(now, subscriber);
        let Some(peer) = self.peers.get_mut(subscriber) else { return };
        let outcome = allocate(&mut scratch.claims, &scratch.forms, budget, peer.patience.allows(now));
        let lowered = scratch.claims.iter().any(|claim| claim.gets < claim.has && claim.gets < claim.count);
        peer.patience.note(now, outcome.raised, lowered);
        let mut next = if outcome.could_raise { peer.patience.next_raise(now).max(now + LOOK_EVERY) } else { Time::NEVER };
        // Beside pictures that go on until their successors begin.
        let mut taken = 0;
        for place in 0..scratch.claims.len() {
            let claim = scratch.claims[place];
            let (leg, track, ladder) = scratch.legs[claim.order];
            let rungs = &scratch.rungs[claim.first..claim.first + claim.count];
            let present = self.peers.get(subscriber).and_then(|peer| peer.legs[leg].selection().present());
            let flows = present.is_some_and(|present| self.tracks.get(track).is_some_and(|track| track.is_sent(now, present.encoding)));
            let aim = aim(rungs, claim.gets, ladder, (present, flows));
            if self.peers.get(subscriber).is_some_and(|peer| peer.legs[leg].goes_on_with().is_none()) {
                taken += scratch.taken(&claim);
            }
            let limit = limit(&claim, ladder);
            let given = claim.gets.checked_sub(1).and_then(|last| rungs.get(last)).map(|rung| rung.choice);
            let leg_before = self.peers.get(subscriber).map(|peer| (peer.legs[leg].given(), peer.legs[leg].limit()));
            if let Some((before, _)) = leg_before.filter(|before| *before != (None, None))
                && let Some(cause) = self.tracks.get(track).and_then(|track| cause(&claim, by_size(track, before, given), limit))
            {
                shared.counters.add(cause);
            }
            self.aim(now, (subscriber, leg), track, aim, shared);
            let Some(peer) = self.peers.get_mut(subscriber) else { break };
            peer.legs[leg].explain(given, limit);
            if aim.meanwhile.is_some() {
                next = next.min(now + LOOK_EVERY);
            }
        }
        if self.leave_what_is_over(now, subscriber, budget.as_bps().saturating_sub(taken), shared) {
            next = next.min(now + LOOK_EVERY);
        }
        let most = scratch.claims.iter().map(|claim| scratch.most(claim)).sum::<u64>();
        self.scratch = scratch;
        self.tell_quality(subscriber, shared);
        let Some(peer) = self.peers.get_mut(subscriber) else { return };
        (peer.selected_at, peer.select_due) = (now, next);
        if let Some(link) = &mut peer.link {
            peer.selected_for = link.estimate();
            // With room to spare: a link that carries just what is wanted is not worth finding out.
            link.want(now, Bitrate::bps((most + around) * 11 / 10));
            peer.link_due = Some(now);
        }
    }

    /// Legs whose source has begun need that before it no longer, and none goes on with what the link does not carry beside the others
    /// (`spare` bit/s); whether any still does.
    fn leave_what_is_over(&mut self, now: Time, subscriber: usize, spare: u64, shared: &mut Shared) -> bool {
        let Some(peer) = self.peers.get(subscriber) else { return false };
        let going_on = peer.legs.iter().filter_map(Leg::goes_on_with);
        let rate = |(track, present): (usize, Choice)| self.tracks.get(track)?.encoding(present.encoding).map(|e| e.rates.of(present.layer).as_bps());
        // It is for a moment: a tenth more fills no queue.
        let too_much = peer.link.is_some() && going_on.filter_map(rate).sum::<u64>() * 10 > spare.saturating_mul(11);
        let mut goes_on = false;
        for leg in 0..peer.legs.len() {
            let before = &self.peers[subscriber].legs[leg];
            if before.is_done_with_before(now) || too_much && before.goes_on_with().is_some() {
                self.leave_before(now, (subscriber, leg), shared);
            }
            goes_on |= self.peers[subscriber].legs[leg].before().is_some();
        }
        goes_on
    }

    /// What a subscriber's pictures may take in all, and what goes to it beside them, in bit/s.
    fn budget(&self, now: Time, subscriber: usize) -> (Bitrate, u64) {
        let Some((peer, link)) = self.peers.get(subscriber).and_then(|peer| Some((peer, peer.link.as_deref()?))) else { return (UNLIMITED, 0) };
        let sound = |leg: &Leg| {
            let track = self.tracks.get(leg.source()?)?;
            (track.kind == MediaKind::Audio).then(|| track.encodings.first().map_or(0, |e| e.rates.of(Layer::TOP).as_bps()))
        };
        let around = peer.legs.iter().filter_map(sound).sum::<u64>();
        // What is lost is sent once more.
        let repairs = (link.inherent_loss().min(MOST_REPAIRS) * 1_000.0) as u64;
        let estimate = link.share(now).as_bps();
        (Bitrate::bps((estimate - estimate * repairs / 1_000).saturating_sub(around)), around)
    }

    /// Lists what a subscriber's pictures can be.
    fn claim(&self, now: Time, subscriber: usize, scratch: &mut Scratch) {
        let Scratch { rungs, forms, claims, legs } = scratch;
        rungs.clear();
        forms.clear();
        claims.clear();
        legs.clear();
        let Some(peer) = self.peers.get(subscriber) else { return };
        for (place, leg) in peer.legs.iter().enumerate() {
            let Some((index, track)) = leg.source().and_then(|index| Some((index, self.tracks.get(index)?))) else { continue };
            if track.kind != MediaKind::Video {
                continue;
            }
            let first = rungs.len();
            let decodable = track.encodings.iter().filter_map(|e| e.codec).all(|codec| leg.decodes(codec));
            let ladder = if decodable { ladder(now, track, leg.view(), rungs) } else { Ladder { undecodable: true, ..Ladder::default() } };
            let count = rungs.len() - first;
            forms.extend(rungs[first..].iter().map(|rung| Form { rate: rung.rate, level: rung.level }));
            let aim = leg.selection().aimed();
            let has = |aimed| rungs[first..].iter().rposition(|rung| is_at_most(rung, aimed, &rungs[first..])).map(|at| at + 1);
            // Where nothing comes that its tile needs it has something larger meanwhile.
            let has = aim.wanted.and_then(has).or_else(|| aim.meanwhile.and_then(has)).unwrap_or(0);
            let view = leg.view();
            let pixels = u32::from(view.width) * u32::from(view.height);
            // What nobody sees, or cannot decode, has nothing to begin with.
            let begins = count > 0 && aim == Aim::default();
            claims.push(Claim { rank: view.rank, pixels, first, count, has, begins, gets: 0, order: legs.len() });
            legs.push((place, index, ladder));
        }
    }

    /// Aims a leg, and keeps true who receives which encoding of its track.
    pub(super) fn aim(&mut self, now: Time, (subscriber, leg): (usize, usize), index: usize, aim: Aim, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(subscriber) else { return };
        let before = peer.legs[leg].selection().aimed();
        peer.legs[leg].aim(aim);
        let smaller = peer.legs[leg].selection().present().zip(aim.wanted).is_some_and(|(present, wanted)| wanted.encoding < present.encoding);
        if smaller && peer.link.as_deref().is_some_and(Link::is_overusing) {
            // The larger picture is lost already, and would only keep the queue full until the smaller one begins.
            peer.legs[leg].begin_anew();
        }
        if let Some(encoding) = peer.legs[leg].selection().present().and_then(|present| self.tracks.get(index)?.encoding(present.encoding)) {
            peer.legs[leg].look_ahead(encoding.ways());
        }
        let reachable = peer.srtp.is_some();
        let wanted = peer.legs[leg].selection().encodings();
        let Some(track) = self.tracks.get_mut(index) else { return };
        let mut changed = false;
        for (number, encoding) in (0..).zip(&mut track.encodings) {
            let receives = wanted >> number & 1 == 1;
            if receives != encoding.receivers.contains(subscriber) {
                changed = true;
                if receives {
                    encoding.receivers.insert(subscriber);
                } else {
                    encoding.lose_receiver(subscriber);
                }
            }
        }
        if aim != before && reachable {
            self.want_key_frames_for(subscriber);
            let peer = &mut self.peers[subscriber];
            peer.wish_due = peer.wish_due.min(now + KeyFrames::repeat());
            self.peer_due(subscriber);
        }
        if changed {
            self.receivers_changed(now, index, shared);
        }
    }

    /// Who gets which encoding of a track has changed.
    pub(super) fn receivers_changed(&mut self, now: Time, index: usize, shared: &mut Shared) {
        self.relay_changed(index);
        self.demand_changed(now, index, shared);
    }

    /// Looks at which encodings of a track are wanted, and tells whoever publishes it: of new ones at once.
    pub(super) fn demand_changed(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let wanted = track.wanted();
        for (number, encoding) in (0..).zip(&mut track.encodings) {
            let is_wanted = wanted >> number & 1 == 1;
            match (is_wanted, encoding.wanted_since == Time::ZERO) {
                (true, true) => encoding.wanted_since = now,
                (false, false) => encoding.wanted_since = Time::ZERO,
                _ => {}
            }
        }
        if track.import.is_some() || track.encodings.len() < 2 {
            return;
        }
        let told = track.demand_told.unwrap_or(u8::MAX);
        if wanted & !told != 0 {
            // What was told before and is not wanted any more has its time of grace still.
            track.demand_told = Some(told | wanted);
            shared.events.push_back(Event::Demand { room: self.id, track: track.id, encodings: told | wanted });
        }
        if track.demand_told.unwrap_or(u8::MAX) != wanted {
            let at = *track.demand_off_at.get_or_insert(now + DEMAND_OFF_AFTER);
            self.looks_due.sooner(index, at);
        } else {
            track.demand_off_at = None;
        }
    }

    /// Looks at tracks whose turn it is: which of their encodings are sent, and which are wanted no longer.
    pub(super) fn look_at_encodings(&mut self, now: Time, shared: &mut Shared) {
        while let Some(index) = self.looks_due.pop(now) {
            let Some(track) = self.tracks.get_mut(index) else { continue };
            let mut next = Time::NEVER;
            if let Some(at) = track.demand_off_at {
                if at <= now {
                    let wanted = track.wanted();
                    track.demand_off_at = None;
                    track.demand_told = Some(wanted);
                    shared.events.push_back(Event::Demand { room: self.id, track: track.id, encodings: wanted });
                } else {
                    next = at;
                }
            }
            let sent = (0..track.encodings.len() as u8).filter(|n| track.is_sent(now, *n)).fold(0, |sent, n| sent | 1 << n);
            let changed = std::mem::replace(&mut track.sent, sent) != sent;
            self.aim_tap(now, index, shared);
            self.demand_changed(now, index, shared);
            let Some(track) = self.tracks.get_mut(index) else { continue };
            next = next.min(track.demand_off_at.unwrap_or(Time::NEVER));
            if sent != 0 && track.encodings.len() > 1 {
                next = next.min(now + LOOK_EVERY);
            }
            self.looks_due.set(index, next);
            if changed {
                let mut from = 0;
                while let Some(subscriber) = self.tracks.get(index).and_then(|t| t.subscribers.next_from(from)) {
                    self.select_soon(now, subscriber);
                    from = subscriber + 1;
                }
            }
        }
    }

    /// Tells control what a subscriber is sent, if it has changed.
    fn tell_quality(&mut self, subscriber: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(subscriber) else { return };
        let mut tracks = std::mem::take(&mut self.qualities);
        tracks.clear();
        for leg in &peer.legs {
            let Some(track) = leg.source().and_then(|index| self.tracks.get(index)).filter(|t| t.kind == MediaKind::Video) else { continue };
            let aim = leg.selection().aimed();
            let gets = leg.selection().present().or(aim.meanwhile).or(aim.wanted).filter(|_| aim != Aim::default());
            let encoding = gets.map(|choice| place_of(track, choice.encoding));
            tracks.push(Quality { track: track.id, encoding, of: track.encodings.len() as u8, limit: leg.limit() });
        }
        if peer.quality_told != tracks {
            peer.quality_told.clone_from(&tracks);
            let link = peer.link.as_deref().map(link_state);
            shared.events.push_back(Event::Quality { room: self.id, peer: peer.id, tracks: tracks.clone(), link });
        }
        self.qualities = tracks;
    }
}

/// The place of an encoding among those of its track, from the smallest.
fn place_of(track: &Track, encoding: u8) -> u8 {
    (0..track.encodings.len() as u8).filter(|other| height(track, *other) < height(track, encoding)).count() as u8
}

/// Whether a picture becomes larger or smaller: none is the smallest.
fn by_size(track: &Track, before: Option<Choice>, after: Option<Choice>) -> Ordering {
    let size = |choice: Choice| (place_of(track, choice.encoding), choice.layer.spatial());
    match (before, after) {
        // Of what is not measured yet nobody knows which sizes there are within.
        (Some(before), Some(after)) if before.encoding == after.encoding && [before.layer, after.layer].contains(&Layer::TOP) => Ordering::Equal,
        _ => after.map(size).cmp(&before.map(size)),
    }
}

/// Whether a form is no better than what a leg is aimed at.
fn is_at_most(rung: &Rung, aimed: Choice, rungs: &[Rung]) -> bool {
    if rung.choice == aimed {
        return true;
    }
    let level = rungs.iter().find(|r| r.choice == aimed).map(|r| r.level);
    match level {
        Some(level) => rung.level <= level,
        // What it is aimed at is not among the forms any more: the same encoding's, or a smaller one's.
        None => rung.choice.encoding <= aimed.encoding,
    }
}

/// The aim of a leg that may have all forms.
pub(super) fn best_aim(rungs: &[Rung], ladder: Ladder, present: (Option<Choice>, bool)) -> Aim {
    aim(rungs, rungs.len(), ladder, present)
}

/// The aim that a share comes to: its best form, and until that is sent what is forwarded at present, if that still flows, else the
/// best one that is sent.
fn aim(rungs: &[Rung], gets: usize, ladder: Ladder, (present, flows): (Option<Choice>, bool)) -> Aim {
    let Some(best) = gets.checked_sub(1).and_then(|last| rungs.get(last)) else { return Aim::default() };
    let sent = rungs[..gets].iter().rev().find(|rung| rung.sent).or_else(|| rungs.iter().find(|rung| rung.sent));
    // With room for all there is, also for what its publisher keeps back: it may come at any time.
    if let Some(encoding) = ladder.withheld.filter(|_| gets == rungs.len()) {
        return Aim { wanted: Some(Choice { encoding, layer: best.choice.layer }), meanwhile: Some(sent.unwrap_or(best).choice) };
    }
    if best.sent || flows {
        return Aim::at(best.choice);
    }
    // What was forwarded has stopped, and nothing else is sent, because nobody wanted it: the next smaller one is wanted now.
    let stopped = present.is_some_and(|present| present.encoding == best.choice.encoding);
    let smaller = || rungs[..gets].iter().rev().find(|rung| rung.choice.encoding != best.choice.encoding).filter(|_| stopped);
    Aim { wanted: Some(best.choice), meanwhile: sent.or_else(smaller).map(|rung| rung.choice) }
}

/// What a change of a share is counted as, if its picture becomes larger or smaller by `size`; none where it stays.
fn cause(claim: &Claim, size: Ordering, limit: Option<Limit>) -> Option<Counter> {
    match (claim.gets.cmp(&claim.has), size, limit) {
        (Ordering::Less, ..) if claim.gets == 0 => Some(Counter::LayersPaused),
        (Ordering::Less, ..) => Some(Counter::LayersDownBandwidth),
        (Ordering::Greater, ..) | (_, Ordering::Greater, _) => Some(Counter::LayersUp),
        // There are fewer forms than before, and it has all of them.
        (_, Ordering::Less, Some(Limit::Publisher)) => Some(Counter::LayersDownPublisher),
        (_, Ordering::Less, Some(Limit::View)) => Some(Counter::LayersDownView),
        _ => None,
    }
}

/// Why a picture is not better than it is.
fn limit(claim: &Claim, ladder: Ladder) -> Option<Limit> {
    if ladder.undecodable {
        Some(Limit::Codec)
    } else if claim.gets < claim.count {
        Some(Limit::Bandwidth)
    } else if ladder.withheld.is_some() {
        Some(Limit::Publisher)
    } else if ladder.cut_by_view {
        Some(Limit::View)
    } else {
        None
    }
}
