//! The offer of a session, its answer, and what its m-lines are pointed at: what the other server and the worker are told.

use std::time::Duration;

use super::{EgressDraws, Link, Offered, State};
use crate::base::{Time, TrackId};
use crate::contract::{CNAME, MediaKind, ReceivePlan, RoomCommand, View, ufrag_of};
use crate::control::egress::{Instruction, Trouble};
use crate::control::rooms::member::{Connection, Track};
use crate::control::rooms::room::Room;
use crate::sdp::{Answer, Fresh, Local, Proposal, RemoteAnswer};
use crate::wire::EgressInfo;

/// An answered session whose connection is not up by then is tried again.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// What is there to send: the connection, and its tracks of one group.
pub(super) struct Present<'a> {
    pub(super) connection: &'a Connection,
    pub(super) tracks: Vec<(&'a Track, &'a ReceivePlan)>,
}

impl Present<'_> {
    pub(super) fn of(&self, kind: MediaKind) -> Option<TrackId> {
        self.tracks.iter().find(|(_, plan)| plan.kind == kind).map(|(track, _)| track.id)
    }
}

impl Room {
    /// Has numbers drawn for another offer.
    pub(super) fn begin_try(&mut self, index: usize) {
        if let Some(session) = self.egresses.sessions.get_mut(index) {
            session.state = State::Drawing;
            session.tries = session.tries.saturating_add(1);
        }
        self.instruct(index, Instruction::Draw);
    }

    pub(super) fn offer_egress(&mut self, index: usize, draws: EgressDraws) {
        let Some(session) = self.egresses.sessions.get(index).filter(|session| matches!(session.state, State::Drawing)) else { return };
        let proposed = self.present(&session.info).and_then(|present| {
            let worker = present.connection.worker;
            let local = Local {
                fingerprint_sha256: self.ground.fingerprint.clone(),
                candidates: draws.outlets.candidates(worker, draws.slot),
                tcp: false,
                cname: CNAME.to_owned(),
                session_id: draws.offer.session,
                data: None,
                publish: None,
            };
            let fresh = Fresh { ufrag: ufrag_of(worker, &draws.offer.ufrag), pwd: draws.offer.pwd.clone(), ssrc_seed: draws.offer.ssrc_seed };
            let sources: Vec<&ReceivePlan> = present.tracks.iter().map(|(_, plan)| *plan).collect();
            Some((Proposal::new(local, fresh, &sources)?, worker))
        });
        match proposed {
            Some((proposal, worker)) => {
                let sdp = proposal.sdp();
                self.set_egress(index, State::Offered(Box::new(Offered { proposal, worker, draws })));
                self.instruct(index, Instruction::Offer { sdp });
            }
            // It has gone meanwhile.
            None => self.set_egress(index, State::Waiting),
        }
    }

    pub(super) fn take_answer(&mut self, index: usize, answer: &RemoteAnswer, now: Time) {
        let Some(session) = self.egresses.sessions.get_mut(index) else { return };
        let offered = match std::mem::replace(&mut session.state, State::Connecting { until: now + CONNECT_WITHIN }) {
            State::Offered(offered) => offered,
            other => return session.state = other,
        };
        let Offered { proposal, worker, draws } = *offered;
        let agreed = match proposal.agree(answer) {
            Ok(agreed) => agreed,
            Err(error) => return self.egress_in_vain(index, Trouble::from(&error), now),
        };
        let pairs = draws.outlets.pairs(draws.slot, &answer.candidates);
        let (Some(transport), false) = (agreed.transport.clone(), pairs.is_empty()) else {
            return self.egress_in_vain(index, Trouble::NoWay, now);
        };
        let peer = draws.offer.peer;
        let lines = agreed.media.send.iter().map(|line| (line.kind, line.mline, None)).collect();
        let Answer { media, .. } = agreed;
        self.worker(worker, RoomCommand::AddPeer { peer, transport: Box::new(transport) });
        self.worker(worker, RoomCommand::Negotiate { peer, media: Box::new(media) });
        self.worker(worker, RoomCommand::CheckIce { peer, pairs, tie_breaker: draws.tie_breaker });
        if let Some(session) = self.egresses.sessions.get_mut(index) {
            session.link = Some(Link { peer, worker, lines });
        }
    }

    /// Points its m-lines at what they are to bring.
    pub(super) fn point_egress(&mut self, index: usize, wanted: &[Option<TrackId>]) {
        let Some(link) = self.egresses.sessions.get_mut(index).and_then(|session| session.link.as_mut()) else { return };
        let (peer, worker) = (link.peer, link.worker);
        let changed = link.lines.iter_mut().zip(wanted).filter(|((.., shown), wanted)| shown != *wanted);
        let points: Vec<_> = changed
            .map(|((_, mline, shown), wanted)| {
                *shown = *wanted;
                RoomCommand::Point { peer, mline: *mline, source: *wanted, view: View::LARGE, name: None }
            })
            .collect();
        points.into_iter().for_each(|point| self.worker(worker, point));
    }

    /// What a member publishes at present of what a session is of. What is for some alone is not for everybody elsewhere.
    pub(super) fn present(&self, info: &EgressInfo) -> Option<Present<'_>> {
        let member = self.members.get(self.identities.get(&info.member)?)?;
        let connection = member.connection.as_ref()?;
        let of_group = |track: &&Track| !track.fallback && track.source.is_screen() == info.screen && !self.restricted.contains_key(&track.id);
        let tracks = member.tracks.iter().filter(of_group);
        let with_plans = tracks.filter_map(|track| Some((track, connection.receive.iter().find(|line| line.mid == track.mid)?)));
        Some(Present { connection, tracks: with_plans.collect() })
    }
}
