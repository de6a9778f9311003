//! What members ask for, one file each.

mod chat;
mod data;
mod describe;
mod direct;
mod gestures;
mod join;
mod leave;
mod moderate;
mod offer;
mod publish;
mod resume;
mod subscribe;
mod view;
mod whip;

use super::command::{MemberRequest, SocketId};
use super::room::Room;
use crate::base::Time;
use crate::control::Refusal;
use crate::wire::ErrorCode;

pub(super) use data::Sending;

impl Room {
    /// One answer to each request, wherever it goes.
    pub(super) fn request(&mut self, socket: SocketId, id: u32, what: MemberRequest, now: Time) {
        let Some(seat) = self.sockets.get(&socket).copied() else {
            let refusal = Refusal::new(ErrorCode::WrongState, "this session is over: join again");
            return self.reply(socket, id, Err(refusal));
        };
        let outcome = match what {
            MemberRequest::Leave => return self.leave(seat, socket, id),
            MemberRequest::Offer { offer, publish, draws } => return self.offer(seat, id, &offer, &publish, draws),
            MemberRequest::Publish { line, track } => self.publish(seat, &line, track),
            MemberRequest::Unpublish { track } => self.unpublish(seat, track),
            MemberRequest::Mute { track, muted } => self.mute(seat, track, muted),
            MemberRequest::Want { tracks, wanted } => self.want(seat, &tracks, wanted),
            MemberRequest::View { tiles } => self.view(seat, &tiles),
            MemberRequest::Signal { session, signal } => self.signal(seat, session, signal, now),
            MemberRequest::Direct { session, state } => self.direct_state(seat, &session, state, now),
            MemberRequest::Release => self.release(seat),
            MemberRequest::Policy { policy } => self.set_policy(seat, policy, now),
            MemberRequest::Chat { text, key, echo, at } => self.say(seat, text, key, echo, at),
            MemberRequest::History { before, limit } => self.history(seat, before, limit),
            MemberRequest::Data(data) => self.send_data(seat, data, now),
            MemberRequest::Hand { raised, member } => self.set_hand(seat, raised, member, now),
            MemberRequest::React { reaction } => self.react(seat, reaction, now),
            MemberRequest::Describe { metadata, attributes } => self.describe(seat, metadata, attributes, now),
            MemberRequest::Audience { source, members } => self.set_audience(seat, source, members, now),
            MemberRequest::Kick { member } => self.kick(seat, &member),
            MemberRequest::MuteMember { track, muted } => self.mute_member(seat, track, muted),
            MemberRequest::Record { recording, at, members, sources } => self.record(seat, recording, at, members, sources),
            MemberRequest::StopRecording => self.stop_recording(seat),
            MemberRequest::Screenshot { member, source } => return self.screenshot((seat, socket, id), &member, source),
            MemberRequest::MuteAll { source, muted } => self.mute_all(seat, source, muted),
            MemberRequest::Lock { locked } => self.lock(seat, locked),
            MemberRequest::Admit { member, admitted } => self.admit(seat, &member, admitted),
        };
        self.reply(socket, id, outcome);
    }
}
