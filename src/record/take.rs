//! What one member shows in one place (camera and microphone, or the screen and its sound), as a row of files.
//!
//! A file has the tracks and the codecs that it begins with: where they change, the next one begins. Its time is the wall's: silence is
//! filled in where nobody spoke, and a picture stands where none came.

use std::collections::VecDeque;
use std::time::Duration;

use super::file::{Begin, Container, End, Picture, Piece, Writer};
use super::leg::{Frame, Leg};
use crate::base::{TapId, Time};
use crate::contract::{TapCodec, Tapped};

/// A piece of a file is this long: what a crash of the process loses. Less costs bytes and writes.
pub const PIECE: i64 = 500_000;
/// A file begins when all of its tracks have, or after so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// A track from which nothing came for so long is not waited for.
const LIVE: Duration = Duration::from_millis(1_200);
/// What has come is written after this, whatever else may still come: longer than a loss is waited for.
const HOLD: i64 = 1_500_000;
/// Sound that lies so far after the last piece is no gap.
const SLACK: i64 = 30_000;
/// Sound may begin so much before the end of the last piece, where its line in time is corrected.
const OVERLAP: i64 = 5_000;
/// Microseconds of a piece of silence.
const SILENCE: i64 = 20_000;
/// Twenty milliseconds of silence in Opus: its table of contents, and a frame in which nothing is coded (RFC 6716 section 3.1).
const SILENT: [u8; 3] = [0xf8, 0xff, 0xfe];
/// Microseconds after which a file is ended and the next one begun.
const LONGEST: i64 = 4 * 3_600 * 1_000_000;

/// A file on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken.
    Taken,
    /// It is lost, because the disk is slow or full; what comes after it may be taken again.
    Lost,
    /// Its file has been ended by the disk, which has lost something of it: another one begins.
    Ended,
}

/// Where files go. It never keeps anybody waiting.
pub trait Shelf {
    /// A file begins; none when there is no room for another.
    fn begin(&mut self, begin: Begin) -> Option<FileId>;
    /// A piece of it.
    fn append(&mut self, file: FileId, piece: Piece) -> Fate;
    /// It ends.
    fn finish(&mut self, file: FileId, end: End);
}

/// A row of files.
pub struct Take {
    lanes: Vec<Lane>,
    /// When the recording began.
    began: Time,
    key_every: Duration,
    file: Option<Open>,
    /// Since when a file could begin.
    since: Option<Time>,
    /// The next file is begun with the next key frame: sound has come to a picture.
    turn: bool,
    /// No file is begun before.
    not_before: Time,
    /// What tracks that have ended had lost.
    lost: u64,
}

/// A track, and what waits of it.
struct Lane {
    tap: TapId,
    leg: Leg,
    waiting: VecDeque<Frame>,
    /// The latest time of it.
    latest: i64,
    ended: bool,
}

/// The file that is being written.
struct Open {
    id: FileId,
    writer: Writer,
    /// Its time zero, on the node's clock.
    origin: i64,
    picture: Option<TapCodec>,
    sound: bool,
    /// Where its sound ends, from its time zero.
    heard_until: i64,
    /// Where its last piece of sound begins.
    sound_at: i64,
    /// Where its last picture lies.
    seen_at: i64,
    /// Where the piece that is being collected begins, and when.
    piece: Option<(i64, Time)>,
    awaits_key: bool,
    /// A piece was lost, and its track has not been told.
    broken: bool,
    /// The disk has ended it.
    gone: bool,
    /// Pieces of it that were lost, and what its tracks had lost when it began.
    lost: u64,
    lost_before: u64,
}

impl Take {
    /// A take of a recording that began then; nothing that was captured before is in it.
    pub fn new(began: Time, key_every: Duration) -> Self {
        Self { lanes: Vec::new(), began, key_every, file: None, since: None, turn: false, not_before: Time::ZERO, lost: 0 }
    }

    /// A track belongs to it from now on.
    pub fn attach(&mut self, now: Time, tap: TapId, audio: bool) {
        self.lanes.push(Lane {
            tap,
            leg: Leg::new(audio, micros(self.began), self.key_every, now),
            waiting: VecDeque::new(),
            latest: 0,
            ended: false,
        });
    }

    /// A track has ended.
    pub fn detach(&mut self, now: Time, tap: TapId, shelf: &mut impl Shelf) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.tap == tap) {
            lane.leg.end(now);
            lane.ended = true;
            lane.fetch();
        }
        self.advance(now, shelf);
    }

    /// Whether all of its tracks have ended.
    pub fn is_over(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes something that a worker has copied.
    pub fn take(&mut self, now: Time, tapped: Tapped<'_>) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.tap == tapped.tap()) else { return };
        match tapped {
            Tapped::Packet(packet, payload) => lane.leg.packet(now, packet, payload),
            Tapped::Skipped(place) => lane.leg.skipped(now, place),
            Tapped::Clock(clock) => lane.leg.clock(clock),
        }
        lane.fetch();
    }

    /// Calls `wish` for each track of which a key frame is needed.
    pub fn wishes(&mut self, now: Time, mut wish: impl FnMut(TapId)) {
        if now < self.not_before {
            return;
        }
        for lane in &mut self.lanes {
            if lane.leg.wishes_key_frame(now) {
                wish(lane.tap);
            }
        }
    }

    /// Writes what is due.
    pub fn advance(&mut self, now: Time, shelf: &mut impl Shelf) {
        for lane in &mut self.lanes {
            lane.leg.drain(now);
            lane.fetch();
        }
        if now < self.not_before {
            self.leave_out();
        } else if self.file.is_some() || self.may_begin(now) {
            let until = self.horizon(now);
            while let Some(frame) = self.next_until(until) {
                if !self.write(now, frame, shelf) {
                    break;
                }
            }
            self.fill(now, micros(now) - HOLD, shelf);
        }
        let over = |lane: &Lane| lane.ended && lane.waiting.is_empty();
        self.lost += self.lanes.iter().filter(|lane| over(lane)).map(|lane| lane.leg.lost).sum::<u64>();
        self.lanes.retain(|lane| !over(lane));
        self.cut_if_old(now, shelf);
    }

    /// Ends it: what is there is written, up to now.
    pub fn end(&mut self, now: Time, shelf: &mut impl Shelf) {
        for lane in &mut self.lanes {
            lane.leg.end(now);
            lane.fetch();
        }
        while let Some(frame) = self.next_until(i64::MAX) {
            self.write(now, frame, shelf);
        }
        self.finish(now, micros(now), shelf);
        self.lanes.clear();
    }

    /// No file may begin yet: what has come is left out, and pictures go on with a key frame then.
    fn leave_out(&mut self) {
        self.since = None;
        for lane in &mut self.lanes {
            lane.waiting.clear();
            lane.leg.begin_anew();
        }
    }

    fn may_begin(&mut self, now: Time) -> bool {
        if self.lanes.iter().all(|lane| lane.waiting.is_empty()) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.lanes.iter().all(|lane| !lane.waiting.is_empty()) || now.since(since) >= PATIENCE
    }

    /// What lies before this is written: nothing comes any more that belongs before it.
    fn horizon(&self, now: Time) -> i64 {
        let live = self.lanes.iter().filter(|lane| !lane.ended && now.since(lane.leg.heard) < LIVE);
        let latest = live.map(|lane| lane.latest).min().unwrap_or(i64::MAX);
        latest.max(micros(now) - HOLD)
    }

    fn next_until(&mut self, until: i64) -> Option<Frame> {
        let first = |lane: &Lane| lane.waiting.front().map_or(i64::MAX, |frame| frame.at);
        let lane = self.lanes.iter_mut().min_by_key(|lane| first(lane))?;
        lane.waiting.pop_front_if(|frame| frame.at <= until)
    }

    /// False when the file is gone: the next one waits for all of its tracks again.
    fn write(&mut self, now: Time, frame: Frame, shelf: &mut impl Shelf) -> bool {
        let audio = frame.codec.is_audio();
        if !self.fits(now, &frame) {
            if self.turn && audio || !audio && !frame.key || now < self.not_before {
                return true;
            }
            self.finish(now, frame.at, shelf);
            self.begin(now, &frame, shelf);
        }
        let Some(file) = &mut self.file else { return true };
        let at = (frame.at - file.origin).max(0);
        if audio {
            file.hear(at, frame)
        } else {
            file.see(at, frame, now, shelf)
        }
        file.cut_if_long(at, now, shelf);
        self.mind_loss();
        self.file.is_some()
    }

    /// Whether a frame belongs into the file that is open.
    fn fits(&mut self, now: Time, frame: &Frame) -> bool {
        let Some(file) = &self.file else { return false };
        let audio = frame.codec.is_audio();
        let begins = if file.picture.is_some() { !audio && frame.key } else { true };
        if begins && (self.turn || frame.at - file.origin > LONGEST) {
            self.turn = false;
            return false;
        }
        if audio && !file.sound && file.picture.is_some() {
            // Its picture shall go on without a gap: the next file begins with a key frame, if any may come.
            for lane in self.lanes.iter_mut().filter(|lane| !lane.leg.is_audio() && now.since(lane.leg.heard) < LIVE) {
                lane.leg.want_key_frame();
                self.turn = true;
            }
            return false;
        }
        if audio { file.sound } else { file.picture == Some(frame.codec) }
    }

    /// Begins a file with this frame, and with the picture that waits if there is one.
    fn begin(&mut self, now: Time, first: &Frame, shelf: &mut impl Shelf) {
        let waiting = self.lanes.iter().filter(|lane| !lane.leg.is_audio()).find_map(|lane| lane.waiting.front().filter(|frame| frame.key));
        let picture = if first.codec.is_audio() { waiting } else { Some(first) };
        let sound = self.lanes.iter().any(|lane| lane.leg.is_audio());
        let seen = picture.map(Picture::of);
        let (writer, header) = Writer::new(seen.as_ref(), sound);
        let begin = Begin {
            container: Container::of(seen.as_ref().map(|p| p.codec)),
            picture: seen.as_ref().map(|p| p.codec),
            size: seen.as_ref().and_then(|p| p.size),
            sound,
            at: first.at,
            header,
        };
        let picture = seen.map(|p| p.codec);
        let (awaits_key, lost_before) = (picture.is_some(), self.lost());
        self.file = shelf.begin(begin).map(|id| Open {
            id,
            writer,
            origin: first.at,
            picture,
            sound,
            heard_until: 0,
            sound_at: -1_000,
            seen_at: -1,
            piece: None,
            awaits_key,
            broken: false,
            gone: false,
            lost: 0,
            lost_before,
        });
        self.turn = false;
        if self.file.is_none() {
            self.not_before = now + PATIENCE;
            self.leave_out();
        }
    }

    /// Where nothing is heard, silence is.
    fn fill(&mut self, now: Time, until: i64, shelf: &mut impl Shelf) {
        let quiet = self.lanes.iter().all(|lane| !lane.leg.is_audio() || now.since(lane.leg.heard) >= LIVE);
        if let Some(file) = self.file.as_mut().filter(|file| file.sound && quiet) {
            file.fill(until - file.origin);
            file.cut_if_long(until - file.origin, now, shelf);
        }
        self.mind_loss();
    }

    fn cut_if_old(&mut self, now: Time, shelf: &mut impl Shelf) {
        if let Some(file) = &mut self.file
            && file.piece.is_some_and(|(_, began)| micros(now) - micros(began) > PIECE + SLACK)
        {
            file.cut(shelf);
        }
        self.mind_loss();
    }

    /// Pictures go on with a key frame after a loss; in the next file, if this one is gone.
    fn mind_loss(&mut self) {
        if self.file.take_if(|file| file.gone).is_some() {
            (self.since, self.turn) = (None, false);
            self.lanes.iter_mut().for_each(Lane::begin_anew);
        }
        if self.file.as_mut().is_some_and(|file| std::mem::take(&mut file.broken)) {
            self.lanes.iter_mut().for_each(|lane| lane.leg.begin_anew());
        }
    }

    /// What its tracks have lost so far.
    fn lost(&self) -> u64 {
        self.lost + self.lanes.iter().map(|lane| lane.leg.lost).sum::<u64>()
    }

    fn finish(&mut self, now: Time, at: i64, shelf: &mut impl Shelf) {
        let Some(mut file) = self.file.take() else { return };
        let end = (at - file.origin).max(file.heard_until).max(file.seen_at);
        if file.sound {
            while file.heard_until + SLACK < end {
                let until = end.min(file.heard_until + PIECE);
                file.fill(until);
                file.cut_if_long(until, now, shelf);
                if file.heard_until + SILENCE > end {
                    break;
                }
            }
        }
        file.writer.finish(end);
        file.cut(shelf);
        if file.gone {
            return self.lanes.iter_mut().for_each(Lane::begin_anew);
        }
        // What its tracks have lost since it began.
        let lost = file.lost + self.lost() - file.lost_before;
        shelf.finish(file.id, End { length: end, lost });
    }
}

impl Lane {
    /// What cannot be begun with is left out.
    fn begin_anew(&mut self) {
        self.leg.begin_anew();
        while self.waiting.pop_front_if(|frame| !frame.key).is_some() {}
    }

    fn fetch(&mut self) {
        while let Some(frame) = self.leg.next_frame() {
            self.latest = self.latest.max(frame.at);
            self.waiting.push_back(frame);
        }
    }
}

impl Open {
    fn hear(&mut self, at: i64, frame: Frame) {
        if at + frame.span <= self.heard_until {
            return;
        }
        self.fill(at);
        let at = at.max(self.heard_until - OVERLAP).max(self.sound_at + 1_000);
        self.writer.sound(at, &frame.data);
        (self.sound_at, self.heard_until) = (at, at + frame.span);
        self.piece.get_or_insert((at, Time::ZERO));
    }

    fn see(&mut self, at: i64, frame: Frame, now: Time, shelf: &mut impl Shelf) {
        if self.awaits_key && !frame.key {
            return;
        }
        self.awaits_key = false;
        let at = at.max(self.seen_at + 1_000);
        if frame.key {
            // So that every picture that can be sought is at the beginning of a piece.
            self.cut(shelf);
        }
        self.writer.picture(at, frame.key, &frame.data);
        self.seen_at = at;
        self.piece.get_or_insert((at, now));
    }

    /// Silence up to there, in whole pieces of it.
    fn fill(&mut self, until: i64) {
        while self.heard_until + SLACK < until {
            self.writer.sound(self.heard_until, &SILENT);
            self.sound_at = self.heard_until;
            self.piece.get_or_insert((self.heard_until, Time::ZERO));
            self.heard_until += SILENCE;
        }
    }

    fn cut_if_long(&mut self, at: i64, now: Time, shelf: &mut impl Shelf) {
        match &mut self.piece {
            Some((began, _)) if at - *began >= PIECE => self.cut(shelf),
            Some((_, since)) if *since == Time::ZERO => *since = now,
            _ => {}
        }
    }

    fn cut(&mut self, shelf: &mut impl Shelf) {
        self.piece = None;
        let Some(piece) = self.writer.cut().filter(|_| !self.gone) else { return };
        match shelf.append(self.id, piece) {
            Fate::Taken => {}
            Fate::Lost => {
                self.lost += 1;
                (self.broken, self.awaits_key) = (true, self.picture.is_some());
            }
            Fate::Ended => self.gone = true,
        }
    }
}

fn micros(time: Time) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
