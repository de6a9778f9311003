//! What WHIP and WHEP ask for: a session that begins with an offer, its candidates and its ICE restarts, and its end.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::offer::{NegotiatedFor, Terms};
use super::publish::Desired;
use crate::base::Time;
use crate::contract::{MediaKind, RoomCommand, ufrag_of};
use crate::control::Refusal;
use crate::control::rooms::command::{Introduction, SocketId};
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::control::rooms::whip::{Attach, Condition, HttpSession, Purpose, Trickle};
use crate::sdp::{Fresh, Offer, OneWay};
use crate::wire::{ErrorCode, LeaveReason, OkResult, PublishLine, Source};

impl Room {
    /// Joins and negotiates at once. The answer goes out when the worker has been told what it says.
    pub(in crate::control::rooms) fn attach(&mut self, attach: Attach, now: Time) {
        let socket = attach.socket;
        let outcome = self.try_attach(attach, now);
        self.reply(socket, 0, outcome);
    }

    /// Whatever can be refused is, before anything changes: a bad offer does not end the session that it would replace.
    fn try_attach(&mut self, attach: Attach, now: Time) -> Outcome {
        let Attach { socket, admission, purpose, offer, joining, offering } = attach;
        let offer = offer.one_way(if purpose == Purpose::Publish { OneWay::Sent } else { OneWay::Received }).with_candidates_everywhere();
        self.may_join(&admission.identity, self.identities.get(&admission.identity).copied(), false, false)?;
        let lines = if purpose == Purpose::Publish { publish_lines(&offer)? } else { Vec::new() };
        let desired = Desired::list(&admission.grants, self.most_tracks(admission.tracks), &lines)?;
        let (peer, first_track) = (offering.peer, offering.tracks);
        let negotiated = self.answer(None, &offer, Terms { data: None, publish: self.publish_limit(admission.publish_kbps) }, offering)?;
        for line in &desired {
            line.check(&negotiated.answer.publishable)?;
        }
        if purpose != Purpose::Publish && negotiated.answer.pairs.is_empty() {
            return Err(Refusal::new(
                ErrorCode::PublishConflict,
                "the offer receives nothing: add recvonly m-lines, one audio and one video a member",
            ));
        }
        let seat = self.take_in(socket, admission, joining, Introduction::default(), now)?;
        if let Some(member) = self.members.get_mut(&seat) {
            member.http = Some(HttpSession::new(purpose, now));
        }
        self.announce_join(socket);
        let answer = self.commit(seat, NegotiatedFor { peer, negotiated });
        self.set_published(seat, &desired, first_track);
        self.fill_after(seat);
        self.answered(seat, &answer)
    }

    /// Ends a session by its secret.
    pub(in crate::control::rooms) fn detach(&mut self, socket: SocketId, secret: &str) {
        let outcome = self.session_of(secret).map(|seat| {
            self.remove(seat, LeaveReason::Left);
            None
        });
        self.reply(socket, 0, outcome);
    }

    /// Takes candidates, which need nothing done, or restarts ICE; the answer goes out when the worker has been told.
    pub(in crate::control::rooms) fn trickle(&mut self, trickle: Trickle) {
        let socket = trickle.socket;
        let outcome = self.try_trickle(trickle);
        self.reply(socket, 0, outcome);
    }

    /// What is ours now is the answer to a restart, and to `*`: whoever repeats a restart of which it has heard nothing is told the same again.
    fn try_trickle(&mut self, Trickle { secret, condition, fragment, offering, .. }: Trickle) -> Outcome {
        let seat = self.session_of(&secret)?;
        let Some(connection) = self.members.get_mut(&seat).and_then(|m| m.connection.as_mut()) else { return Err(no_session()) };
        if !connection.session.local_ufrag().is_some_and(|tag| condition.is_met(tag)) {
            let why = "ICE has been restarted since: take the entity tag of the latest answer";
            return Err(Refusal::new(ErrorCode::WrongState, why));
        }
        let Some(credentials) = fragment.credentials else { return Ok(None) };
        let fresh = Fresh { ufrag: ufrag_of(connection.worker, &offering.ufrag), pwd: offering.pwd, ssrc_seed: offering.ssrc_seed };
        let restarted = connection.session.restart(credentials, fresh)?;
        let answered = restarted.is_some() || condition == Condition::Any;
        let fragment = connection.session.fragment().filter(|_| answered);
        let (peer, worker) = (connection.peer, connection.worker);
        if let Some(ice) = restarted {
            self.worker(worker, RoomCommand::RestartIce { peer, ice });
        }
        Ok(fragment.map(|sdp| OkResult::Answer { sdp, pairs: Vec::new(), published: Vec::new() }))
    }

    /// Whose session has this secret.
    fn session_of(&self, secret: &str) -> Result<Seat, Refusal> {
        let is_it = |resume: &str| verify_slices_are_equal(resume.as_bytes(), secret.as_bytes()).is_ok();
        self.members.iter().find(|(_, m)| m.http.is_some() && is_it(&m.resume)).map(|(seat, _)| *seat).ok_or_else(no_session)
    }
}

fn no_session() -> Refusal {
    Refusal::new(ErrorCode::ResumeUnknown, "there is no such session (any more)")
}

/// What a publisher's m-lines carry: the first audio and the first video are microphone and camera, the second of each the
/// screen with its sound.
fn publish_lines(offer: &Offer) -> Result<Vec<PublishLine>, Refusal> {
    let (mut audio, mut video) = ([Source::Microphone, Source::ScreenAudio].into_iter(), [Source::Camera, Source::Screen].into_iter());
    let mut lines = Vec::new();
    for (mid, kind) in offer.sending() {
        let source = match kind {
            MediaKind::Audio => audio.next(),
            MediaKind::Video => video.next(),
        };
        let Some(source) = source else {
            return Err(conflict(
                "the offer sends more than two audio or two video m-lines: a member has a microphone, a camera, a screen and its sound",
            ));
        };
        lines.push(PublishLine { mid: mid.to_string(), source, muted: false, fallback: false });
    }
    if lines.is_empty() {
        return Err(conflict("the offer sends nothing that can be forwarded: add a sendonly m-line with Opus, VP8, VP9, H.264 or AV1"));
    }
    Ok(lines)
}

fn conflict(why: &'static str) -> Refusal {
    Refusal::new(ErrorCode::PublishConflict, why)
}
