//! Fallbacks: a track of video once more in another codec, for whoever is shown it and cannot decode it.
//!
//! A worker says who cannot decode what it is shown; the packets tell, for what is negotiated is only what might be sent. The track's
//! publisher is then asked for a fallback, and whoever cannot decode the track is pointed at that in its place, in the same slot.
//! Others know one track only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::journal::What;
use super::member::{Member, Seat, number};
use super::room::Room;
use crate::base::{Time, TrackId};
use crate::contract::plan::H264Profile;
use crate::contract::{Codec, CodecPlan, Limit, Quality, ReceivePlan};
use crate::wire::{Event, VideoCodec};

/// A fallback that nobody needs is taken back so late, and one in another codec is asked for so late. Less costs its publisher a key frame for
/// each that looks away for a moment, more an encoder that runs for nobody.
pub const LINGER: Duration = Duration::from_secs(5);

/// Codecs that still served somebody and were given up for others: each doubles how late the next one is, up to so many.
const MOST_DOUBLINGS: u32 = 6;

/// The codecs of a fallback, each in the form that every browser with the codec has; the first costs its publisher least.
const FORMS: [(VideoCodec, Codec); 4] = [
    (VideoCodec::Vp8, Codec::Vp8),
    (VideoCodec::H264, Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 }),
    (VideoCodec::Vp9, Codec::Vp9 { profile: 0 }),
    (VideoCodec::Av1, Codec::Av1 { profile: 0 }),
];

/// Some of [`FORMS`]: a bit for each, by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Forms(u8);

impl Forms {
    /// Those that an m-line with these codecs carries.
    pub fn of(codecs: &[CodecPlan]) -> Self {
        let carried = |form: Codec| codecs.iter().any(|plan| plan.codec.decodes(form));
        Self((0..).zip(FORMS).filter(|(_, (_, form))| carried(*form)).fold(0, |bits, (place, _)| bits | 1 << place))
    }

    fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// The codecs in which a fallback may be sent, those first that serve most of those who wait. Of those that serve as many the `present` one
/// comes first, and then the cheaper.
fn choose(sendable: Forms, waiting: &[Forms], present: Option<VideoCodec>) -> Vec<VideoCodec> {
    let served = |place| waiting.iter().filter(|forms| forms.has(place)).count();
    let forms = (0..).zip(FORMS).filter(|(place, _)| sendable.has(*place));
    let mut choice: Vec<_> = forms.map(|(place, (codec, _))| (Reverse(served(place)), Some(codec) != present, codec)).collect();
    choice.retain(|(served, ..)| served.0 > 0);
    choice.sort_unstable();
    choice.into_iter().map(|(.., codec)| codec).collect()
}

/// What is known of fallbacks in a room. There are no entries of tracks that have ended.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    /// Who cannot decode a track, or a fallback of one.
    undecodable: BTreeMap<TrackId, BTreeSet<Seat>>,
    /// The fallback of each track that has one.
    sent: BTreeMap<TrackId, TrackId>,
    /// What publishers were asked for.
    wishes: BTreeMap<TrackId, Wish>,
    /// Tracks of which somebody may need a fallback now, or no longer.
    changed: BTreeSet<TrackId>,
}

/// What the publisher of a track was asked for.
#[derive(Debug, Default)]
struct Wish {
    /// The codecs, the best first; none, if it is needed no longer.
    codecs: Vec<VideoCodec>,
    /// When others are asked for in their place, if that is still so by then; and whether somebody is served by the first of them yet.
    ends: Option<(Time, bool)>,
    /// How often the first of them was given up while it still served somebody.
    turns: u32,
    /// The fallback that the publisher's journal tells of.
    noted: Option<TrackId>,
}

impl Fallbacks {
    /// The fallback of a track.
    pub fn of(&self, track: TrackId) -> Option<TrackId> {
        self.sent.get(&track).copied()
    }

    /// Whether it is the fallback of a track.
    pub fn is_one(&self, track: TrackId) -> bool {
        self.original(track) != track
    }

    /// The track that a fallback is of; any other track is its own.
    pub fn original(&self, track: TrackId) -> TrackId {
        self.sent.iter().find(|(_, fallback)| **fallback == track).map_or(track, |(original, _)| *original)
    }

    /// What a member is to be pointed at to be shown a track: the fallback when it can decode nothing else.
    pub fn shown(&self, seat: Seat, track: TrackId) -> TrackId {
        let fails = |track: TrackId| self.undecodable.get(&track).is_some_and(|seats| seats.contains(&seat));
        self.of(track).filter(|fallback| fails(track) && !fails(*fallback)).unwrap_or(track)
    }

    /// Notes whether a member can decode what it is pointed at; whether that is new.
    fn mark(&mut self, seat: Seat, track: TrackId, fails: bool) -> bool {
        let seats = self.undecodable.entry(track).or_default();
        let changed = if fails { seats.insert(seat) } else { seats.remove(&seat) };
        if seats.is_empty() {
            self.undecodable.remove(&track);
        }
        changed
    }

    /// A track has a fallback now.
    pub fn begin(&mut self, track: TrackId, fallback: TrackId) {
        self.sent.insert(track, fallback);
        self.changed.insert(track);
    }

    /// A track, or a fallback, has ended.
    pub fn forget(&mut self, track: TrackId) {
        let original = self.original(track);
        self.sent.remove(&original);
        self.undecodable.remove(&track);
        self.wishes.remove(&track);
        self.changed.insert(original);
    }

    /// Nothing is known any more of what a member can decode; the tracks that it could not.
    pub fn forget_seat(&mut self, seat: Seat) -> Vec<TrackId> {
        let failed = self.look_again(seat);
        for track in &failed {
            self.mark(seat, *track, false);
        }
        failed
    }

    /// Nothing is known any more of who can decode a track; those who could not.
    pub fn forget_seats(&mut self, track: TrackId) -> Vec<Seat> {
        self.changed.insert(self.original(track));
        self.undecodable.remove(&track).unwrap_or_default().into_iter().collect()
    }

    /// What a member is shown, or how, has changed; the tracks that it cannot decode.
    pub fn look_again(&mut self, seat: Seat) -> Vec<TrackId> {
        let failed: Vec<TrackId> = self.undecodable.iter().filter(|(_, seats)| seats.contains(&seat)).map(|(track, _)| *track).collect();
        for track in &failed {
            self.changed.insert(self.original(*track));
        }
        failed
    }

    /// Whether nobody is known to be unable to decode anything.
    #[cfg(test)]
    pub fn waits_for_nobody(&self) -> bool {
        self.undecodable.is_empty()
    }

    /// Whether nothing is known.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.undecodable.is_empty() && self.sent.is_empty() && self.wishes.is_empty() && self.changed.is_empty()
    }

    /// When one is given up, if nothing else happens.
    pub fn deadline(&self) -> Option<Time> {
        self.wishes.values().filter_map(|wish| wish.ends).map(|(at, _)| at).min()
    }
}

impl Room {
    /// How many fallbacks are asked for, and how many there are.
    pub fn fallbacks(&self) -> [usize; 2] {
        [self.fallbacks.wishes.values().filter(|wish| !wish.codecs.is_empty()).count(), self.fallbacks.sent.len()]
    }

    /// A worker has said whether a member can decode what it is pointed at.
    pub(super) fn note_undecodable(&mut self, seat: Seat, tracks: &[Quality]) {
        for told in tracks {
            let fails = told.limit == Some(Limit::Codec);
            if self.tracks.contains_key(&told.track) && self.fallbacks.mark(seat, told.track, fails) {
                let track = self.fallbacks.original(told.track);
                self.fallbacks.changed.insert(track);
                self.point_again(seat, track);
            }
        }
    }

    /// A track has got a fallback, or has lost it: whoever cannot decode it is pointed there, or back.
    pub(super) fn point_undecoding(&mut self, track: TrackId) {
        let seats: Vec<Seat> = self.fallbacks.undecodable.get(&track).into_iter().flatten().copied().collect();
        seats.into_iter().for_each(|seat| self.point_again(seat, track));
    }

    /// A member may decode what it could not before: it is shown everything as it is, and a worker says what comes of it.
    pub(super) fn decodes_else(&mut self, seat: Seat) {
        for track in self.fallbacks.forget_seat(seat) {
            self.point_again(seat, self.fallbacks.original(track));
        }
    }

    /// A member may send its tracks in other codecs than before, when their order is another one.
    pub(super) fn sends_else(&mut self, seat: Seat, before: &[ReceivePlan]) {
        let Some((member, connection)) = self.members.get(&seat).and_then(|m| Some((m, m.connection.as_ref()?))) else { return };
        let codecs = |lines: &[ReceivePlan], mid| lines.iter().find(|line| line.mid == mid).map(|line| line.codecs.clone());
        let is_same = |mid| codecs(before, mid) == codecs(&connection.receive, mid);
        let tracks: Vec<TrackId> = member.tracks.iter().filter(|t| !t.source.is_audio() && !is_same(t.mid)).map(|t| t.id).collect();
        for track in tracks {
            for viewer in self.fallbacks.forget_seats(track) {
                self.point_again(viewer, self.fallbacks.original(track));
            }
        }
    }

    /// Asks publishers for what is needed now, and takes back what is needed no longer.
    pub(super) fn settle_fallbacks(&mut self, now: Time) {
        let mut changed = std::mem::take(&mut self.fallbacks.changed);
        changed.extend(self.fallbacks.wishes.iter().filter(|(_, wish)| wish.ends.is_some_and(|(at, _)| now >= at)).map(|(track, _)| *track));
        changed.into_iter().for_each(|track| self.settle_fallback(now, track));
    }

    fn settle_fallback(&mut self, now: Time, track: TrackId) {
        let Some((seat, publisher)) = self.tracks.get(&track).and_then(|seat| Some((*seat, self.members.get(seat)?))) else { return };
        // Nobody can be asked for anything by HTTP.
        let Some(sendable) = sendable(publisher, track).filter(|_| publisher.http.is_none()) else { return };
        let waiting = self.waiting(track);
        let sent = self.fallbacks.of(track);
        if waiting.is_empty() && sent.is_none() && !self.fallbacks.wishes.contains_key(&track) {
            return;
        }
        let wish = self.fallbacks.wishes.entry(track).or_default();
        let codecs = wish.next(now, choose(sendable, &waiting, wish.codecs.first().copied()));
        let noted = std::mem::replace(&mut wish.noted, sent);
        let Some(publisher) = self.members.get_mut(&seat) else { return };
        if sent != noted {
            publisher.journal.note(now, What::FallbackSent { track: number(track), fallback: sent.map(number) });
        }
        if let Some(codecs) = codecs {
            publisher.journal.note(now, What::Fallback { track: number(track), codecs: codecs.clone(), waiting: waiting.len() });
            self.tell(|s| s == seat, Event::Fallback { track: number(track), codecs });
        }
    }

    /// Tells a publisher once more what it was asked for.
    pub(super) fn tell_fallbacks(&mut self, seat: Seat) {
        let own = |track: &TrackId| self.tracks.get(track) == Some(&seat);
        let wishes = self.fallbacks.wishes.iter().filter(|(track, _)| own(track));
        let events: Vec<Event> = wishes.map(|(track, wish)| Event::Fallback { track: number(*track), codecs: wish.codecs.clone() }).collect();
        events.into_iter().for_each(|event| self.tell(|s| s == seat, event));
    }

    /// What each of those could decode who are shown a track, to be seen, and cannot decode it.
    fn waiting(&self, track: TrackId) -> Vec<Forms> {
        let waits = |seat: &Seat| {
            let member = self.members.get(seat)?;
            let connection = member.connection.as_ref()?;
            let (pair, _) = member.slots.filled().find(|(_, shown)| shown.video == Some(track))?;
            let mline = connection.pairs.get(pair)?.video?;
            let (_, forms) = connection.decodes.iter().find(|(index, _)| *index == mline.index)?;
            self.view_of(member, track).is_visible().then_some(*forms)
        };
        self.fallbacks.undecodable.get(&track).into_iter().flatten().filter_map(waits).collect()
    }
}

impl Wish {
    /// What is to be said of it, when these codecs are wanted; nothing, if that was said last, or as long as it may be for a moment only.
    fn next(&mut self, now: Time, codecs: Vec<VideoCodec>) -> Option<Vec<VideoCodec>> {
        let Some(first) = self.codecs.first() else {
            self.codecs.clone_from(&codecs);
            return (!codecs.is_empty()).then_some(codecs);
        };
        if self.codecs == codecs {
            self.ends = None;
            return None;
        }
        // Whoever is served by the present one stands still for a moment when it is given up: not again and again.
        let turns = codecs.first() != Some(first) && codecs.contains(first);
        let wait = if turns { LINGER * (1 << self.turns.min(MOST_DOUBLINGS)) } else { LINGER };
        let (ends_at, _) = *self.ends.insert(self.ends.filter(|(_, turned)| *turned == turns).unwrap_or((now + wait, turns)));
        if now < ends_at {
            return None;
        }
        self.ends = None;
        self.turns = self.turns.saturating_add(turns.into());
        self.codecs.clone_from(&codecs);
        Some(codecs)
    }
}

/// The forms in which the picture of a track may be sent, as its m-line was negotiated; none for a fallback.
fn sendable(publisher: &Member, track: TrackId) -> Option<Forms> {
    let own = publisher.track(track).filter(|own| !own.fallback && !own.source.is_audio())?;
    let line = publisher.connection.as_ref()?.receive.iter().find(|line| line.mid == own.mid)?;
    Some(Forms::of(&line.codecs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Feedback;

    fn forms(codecs: &[VideoCodec]) -> Forms {
        let form = |codec: &VideoCodec| FORMS.iter().find(|(other, _)| other == codec).expect("a form").1;
        let plans =
            codecs.iter().map(|c| CodecPlan { payload_type: 96, codec: form(c), clock_rate: 90_000, rtx: None, feedback: Feedback::default() });
        Forms::of(&plans.collect::<Vec<_>>())
    }

    use VideoCodec::{Av1, H264, Vp8, Vp9};

    #[test]
    fn what_serves_most_comes_first_and_of_the_same_the_cheapest() {
        let all = forms(&[Av1, Vp9, H264, Vp8]);
        assert_eq!(choose(all, &[all], None), [Vp8, H264, Vp9, Av1]);
        assert_eq!(choose(all, &[forms(&[Vp8, Vp9]), forms(&[Vp9])], None), [Vp9, Vp8]);
        assert_eq!(choose(forms(&[Vp9]), &[forms(&[Vp8, Vp9]), forms(&[Vp9])], None), [Vp9], "no more than can be sent");
        assert_eq!(choose(forms(&[Av1]), &[forms(&[Vp8])], None), [], "nothing that serves nobody");
        assert_eq!(choose(all, &[], None), []);
    }

    #[test]
    fn what_is_sent_already_stays_as_long_as_nothing_serves_more() {
        let all = forms(&[Vp8, H264, Vp9]);
        assert_eq!(choose(all, &[all], Some(H264)), [H264, Vp8, Vp9]);
        assert_eq!(choose(all, &[forms(&[Vp8, H264]), forms(&[Vp8])], Some(H264)), [Vp8, H264]);
    }

    #[test]
    fn the_form_of_a_codec_counts_and_not_its_name_alone() {
        let plan = |codec| [CodecPlan { payload_type: 96, codec, clock_rate: 90_000, rtx: None, feedback: Feedback::default() }];
        assert_eq!(Forms::of(&plan(Codec::Vp9 { profile: 2 })), Forms(0));
        assert_eq!(Forms::of(&plan(Codec::H264 { profile: H264Profile::High, packetization_mode: 1 })), Forms(0));
    }
}
