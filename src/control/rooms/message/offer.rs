//! `offer`: a session description, and whole what its sending m-lines carry.

use super::publish::Desired;
use crate::base::{Bitrate, TrackId, WorkerId};
use crate::contract::{CNAME, DataLimits, Fingerprint, MediaKind, MediaPlan, RoomCommand, SecurityPlan, ufrag_of};
use crate::control::Refusal;
use crate::control::rooms::command::OfferDraws;
use crate::control::rooms::fallback::Forms;
use crate::control::rooms::member::{Connection, Seat};
use crate::control::rooms::room::{Outcome, Room};
use crate::control::rooms::slots::Slots;
use crate::sdp::{Answer, Fresh, Local, Offer, OfferError, Session};
use crate::wire::{ErrorCode, OkResult, PairMids, PublishLine};

/// An offer that has been answered, and is not yet carried out.
pub(super) struct Negotiated {
    session: Session,
    pub(super) answer: Answer,
    /// It is of a connection that did not exist before.
    fresh: bool,
    worker: WorkerId,
}

impl Room {
    /// Answers, and only then tells the others and fills slots: the client has to know its m-lines before what is in them.
    pub(in crate::control::rooms) fn offer(&mut self, seat: Seat, id: u32, offer: &Offer, publish: &[PublishLine], draws: OfferDraws) {
        let Some(socket) = self.members.get(&seat).and_then(|m| m.socket()) else { return };
        let first_track = draws.tracks;
        match self.negotiate(seat, offer, publish, draws) {
            Err(refusal) => self.reply(socket, id, Err(refusal)),
            Ok((negotiated, desired)) => {
                let answer = self.commit(seat, negotiated);
                let place = self.effects.len();
                self.set_published(seat, &desired, first_track);
                self.fill_after(seat);
                // What was done for the publish list is in the answer, which comes before the events of it.
                let reply = self.answered(seat, &answer);
                self.reply(socket, id, reply);
                if let Some(reply) = self.effects.pop() {
                    self.effects.insert(place, reply);
                }
            }
        }
    }

    /// Everything that can be refused, without changing anything.
    fn negotiate(&self, seat: Seat, offer: &Offer, publish: &[PublishLine], draws: OfferDraws) -> Result<(NegotiatedFor, Vec<Desired>), Refusal> {
        let Some(member) = self.members.get(&seat) else {
            return Err(Refusal::new(ErrorCode::WrongState, "this session is over: join again"));
        };
        let desired = Desired::list(&member.grants, self.most_tracks(member.most_tracks), publish)?;
        let peer = draws.peer;
        let data = self.rules.data_channels.then_some(self.rules.data);
        let terms = Terms { data, publish: self.publish_limit(member.most_kbps) };
        let negotiated = self.answer(member.connection.as_ref(), offer, terms, draws)?;
        for line in &desired {
            line.check(&negotiated.answer.publishable)?;
        }
        Ok((NegotiatedFor { peer, negotiated }, desired))
    }

    /// The offer is of the connection that there is, or of a new one: a page that was loaded again, or was told to restart.
    pub(super) fn answer(
        &self, connection: Option<&Connection>, offer: &Offer, Terms { data, publish }: Terms, draws: OfferDraws,
    ) -> Result<Negotiated, OfferError> {
        let fresh = |worker| Fresh { ufrag: ufrag_of(worker, &draws.ufrag), pwd: draws.pwd.clone(), ssrc_seed: draws.ssrc_seed };
        let anew = || {
            let worker = self.place(draws.elsewhere, draws.candidates.len());
            let mut session = Session::new(Local {
                fingerprint_sha256: self.ground.fingerprint.clone(),
                candidates: draws.candidates.get(usize::from(worker.0)).cloned().unwrap_or_default(),
                tcp: self.rules.tcp,
                cname: CNAME.to_owned(),
                session_id: draws.session,
                data,
                publish,
            });
            session.answer(offer, fresh(worker)).map(|answer| Negotiated { session, answer, fresh: true, worker })
        };
        let Some(connection) = connection else { return anew() };
        let mut session = connection.session.clone();
        session.allow(publish);
        match session.answer(offer, fresh(connection.worker)) {
            Ok(answer) => Ok(Negotiated { session, answer, fresh: false, worker: connection.worker }),
            // A new connection has a certificate of its own; with the old one it is the same connection, gone wrong.
            Err(error) => anew().ok().filter(|n| fingerprint(&n.answer) != connection.fingerprint).ok_or(error),
        }
    }

    /// Makes the answer true: the connection, its credentials and its plan.
    pub(super) fn commit(&mut self, seat: Seat, NegotiatedFor { peer, negotiated }: NegotiatedFor) -> Answer {
        let Negotiated { session, answer, fresh, worker } = negotiated;
        if fresh {
            self.end_connection(seat);
        }
        let first_there = fresh && !self.on_workers().contains(&worker);
        let Some(member) = self.members.get_mut(&seat) else { return answer };
        let connection = member.connection.get_or_insert_with(|| Connection {
            peer,
            worker,
            session: session.clone(),
            fingerprint: fingerprint(&answer),
            pairs: Vec::new(),
            receive: Vec::new(),
            decodes: Vec::new(),
            publishable: Vec::new(),
            data: false,
            publish_kbps: None,
        });
        connection.session = session;
        connection.pairs.clone_from(&answer.pairs);
        let sent_before = std::mem::replace(&mut connection.receive, answer.media.receive.clone());
        let renegotiated = sent_before != answer.media.receive;
        let video = answer.media.send.iter().filter(|line| line.kind == MediaKind::Video);
        let decodes: Vec<_> = video.map(|line| (line.mline, Forms::of(&line.codecs))).collect();
        let decoded_before = std::mem::replace(&mut connection.decodes, decodes);
        let decodes_else = !decoded_before.iter().all(|before| connection.decodes.contains(before));
        connection.publishable.clone_from(&answer.publishable);
        member.asked = member.asked.max(answer.pairs.len());
        let (peer, worker) = (connection.peer, connection.worker);
        self.peers.insert(peer, seat);
        if let Some(transport) = answer.transport.clone() {
            self.awaited.begin(peer);
            self.worker(worker, RoomCommand::AddPeer { peer, transport: Box::new(transport) });
        }
        if let Some(ice) = answer.restart.clone() {
            self.worker(worker, RoomCommand::RestartIce { peer, ice });
        }
        self.hold_to_limit(seat);
        let media: Box<MediaPlan> = Box::new(answer.media.clone());
        self.worker(worker, RoomCommand::Negotiate { peer, media });
        if first_there {
            self.introduce(worker);
        }
        if renegotiated {
            let tracks: Vec<_> = self.members.get(&seat).into_iter().flat_map(|m| m.tracks.iter().map(|t| (t.id, t.mid))).collect();
            tracks.into_iter().for_each(|(track, mid)| self.export(track, mid, worker));
            self.sends_else(seat, &sent_before);
        }
        if decodes_else {
            self.decodes_else(seat);
        }
        answer
    }

    /// A connection that another takes the place of, or that is lost: its tracks and slots end with it.
    pub(super) fn end_connection(&mut self, seat: Seat) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let (connection, tracks) = (member.connection.take(), std::mem::take(&mut member.tracks));
        member.slots = Slots::default();
        self.fallbacks.forget_seat(seat);
        if let Some(connection) = connection {
            self.peers.remove(&connection.peer);
            self.worker(connection.worker, RoomCommand::RemovePeer { peer: connection.peer });
            self.leave_worker(connection.worker);
            tracks.iter().for_each(|track| self.withdraw(track.id, connection.worker));
        }
        for track in tracks {
            self.end_track(seat, &track);
        }
    }

    pub(super) fn answered(&self, seat: Seat, answer: &Answer) -> Outcome {
        let tracks = self.members.get(&seat).map(|m| m.tracks.as_slice()).unwrap_or_default();
        let pairs = answer.pairs.iter().enumerate().map(|(i, pair)| PairMids {
            pair: i as u32,
            audio: pair.audio.map(|m| m.mid.to_string()),
            video: pair.video.map(|m| m.mid.to_string()),
        });
        Ok(Some(OkResult::Answer {
            sdp: answer.sdp.clone(),
            pairs: pairs.collect(),
            published: tracks.iter().map(|t| (t.mid.to_string(), t.info())).collect(),
        }))
    }
}

/// What a connection is held to.
pub(super) struct Terms {
    /// Its data channels, where there may be any.
    pub(super) data: Option<DataLimits>,
    /// What it sends, where that is bounded.
    pub(super) publish: Option<Bitrate>,
}

/// A negotiation and the identity for its connection, should it be a new one.
pub(super) struct NegotiatedFor {
    pub(super) peer: crate::base::PeerId,
    pub(super) negotiated: Negotiated,
}

fn fingerprint(answer: &Answer) -> Option<Fingerprint> {
    match &answer.transport.as_ref()?.security {
        SecurityPlan::Dtls { fingerprint, .. } => Some(fingerprint.clone()),
        SecurityPlan::Keys(_) => None,
    }
}

/// The identity of the `i`th new track of an offer.
pub(super) const fn nth_track(first: TrackId, i: u64) -> TrackId {
    TrackId(first.0 + i)
}
