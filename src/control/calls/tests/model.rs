//! Random histories: whatever people do, and however often they are lost, what the lobby keeps always is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::scene::{GRACE, IDLE, RING, Scene, Told};
use crate::control::calls::LobbyRequest;
use crate::control::rooms::SocketId;
use crate::wire::{CallId, MemberId, RejectReason};

const NAMES: [&str; 4] = ["ada", "ben", "cleo", "mod"];

#[derive(Clone, Debug)]
enum Act {
    Enter(usize, bool),
    Leave(usize),
    Lose(usize),
    Call(usize, usize),
    Accept(usize),
    Reject(usize, bool),
    Cancel(usize),
    HangUp(usize),
    Kick(usize, usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (device, who) = (0..8usize, 0..4usize);
    prop_oneof![
        6 => (who.clone(), any::<bool>()).prop_map(|(who, claims)| Act::Enter(who, claims)),
        2 => device.clone().prop_map(Act::Leave),
        4 => device.clone().prop_map(Act::Lose),
        6 => (device.clone(), who.clone()).prop_map(|(device, to)| Act::Call(device, to)),
        6 => device.clone().prop_map(Act::Accept),
        2 => (device.clone(), any::<bool>()).prop_map(|(device, busy)| Act::Reject(device, busy)),
        1 => device.clone().prop_map(Act::Cancel),
        2 => device.clone().prop_map(Act::HangUp),
        1 => (device, who).prop_map(|(device, whom)| Act::Kick(device, whom)),
        4 => (1..20_000u64).prop_map(Act::Pass),
    ]
}

/// The history's devices: each with its owner, and the call that it has heard of last.
#[derive(Default)]
struct History {
    devices: Vec<(usize, SocketId, Option<CallId>)>,
}

impl History {
    fn device(&self, n: usize) -> Option<&(usize, SocketId, Option<CallId>)> {
        (!self.devices.is_empty()).then(|| &self.devices[n % self.devices.len()])
    }

    fn act(&mut self, scene: &mut Scene, act: &Act) {
        match act {
            Act::Enter(who, claims) => {
                let heard = self.devices.iter().filter(|(of, ..)| of == who).filter_map(|(.., call)| call.clone()).next_back();
                if let Ok(socket) = scene.try_enter(NAMES[*who], heard.as_ref().filter(|_| *claims)) {
                    self.devices.push((*who, socket, heard.filter(|_| *claims)));
                }
            }
            Act::Pass(millis) => scene.pass(Duration::from_millis(*millis)),
            Act::Lose(n) => {
                if let Some((_, socket, _)) = self.device(*n) {
                    scene.lose(*socket);
                }
            }
            Act::Leave(n) => self.ask(scene, *n, |_| Some(LobbyRequest::Leave)),
            Act::Call(n, to) => {
                if let Some((_, socket, _)) = self.device(*n).filter(|(_, socket, _)| scene.lobby.has_socket(*socket)) {
                    let _ = scene.call(*socket, NAMES[*to]);
                }
            }
            Act::Accept(n) => self.ask(scene, *n, |call| Some(LobbyRequest::Accept { call: call? })),
            Act::Reject(n, busy) => {
                let reason = if *busy { RejectReason::Busy } else { RejectReason::Declined };
                self.ask(scene, *n, |call| Some(LobbyRequest::Reject { call: call?, reason }));
            }
            Act::Cancel(n) => self.ask(scene, *n, |call| Some(LobbyRequest::Cancel { call: call? })),
            Act::HangUp(n) => self.ask(scene, *n, |call| Some(LobbyRequest::HangUp { call: call? })),
            Act::Kick(n, whom) => self.ask(scene, *n, |_| Some(LobbyRequest::Kick { member: MemberId(NAMES[*whom].into()) })),
        }
        for (_, socket, call) in &mut self.devices {
            for told in scene.calls(*socket) {
                let (Told::Rings(id, ..) | Told::Accepted(id, ..) | Told::Over(id, ..)) = told;
                *call = Some(id);
            }
        }
        self.devices.retain(|(_, socket, call)| scene.lobby.has_socket(*socket) || call.is_some());
        self.devices.drain(..self.devices.len().saturating_sub(16));
    }

    fn ask(&self, scene: &mut Scene, n: usize, what: impl FnOnce(Option<CallId>) -> Option<LobbyRequest>) {
        let Some((_, socket, call)) = self.device(n).filter(|(_, socket, _)| scene.lobby.has_socket(*socket)) else { return };
        if let Some(what) = what(call.clone()) {
            let _ = scene.ask(*socket, what);
        }
    }
}

/// What is kept always.
fn check(scene: &Scene) {
    let lobby = &scene.lobby;
    let mut ends = BTreeSet::new();
    for (id, call) in &lobby.calls {
        assert_ne!(call.caller.member, call.callee.member);
        for end in [&call.caller, &call.callee] {
            assert!(ends.insert(end.member.clone()), "{:?} is in two calls", end.member);
            assert_eq!(lobby.people.get(&end.member).and_then(|person| person.call.as_ref()), Some(id), "an end knows its call");
            if let Some(socket) = end.socket {
                assert_eq!(lobby.sockets.get(&socket).map(|(member, _)| member), Some(&end.member), "an end's device is its own");
                assert_eq!(end.lost, None);
            }
        }
        assert!(call.caller.socket.is_some() || call.caller.lost.is_some());
        match call.rings {
            Some(until) => assert!(until > scene.now && until <= scene.now + RING && call.callee.socket.is_none(), "what rings ends"),
            None => assert!(call.callee.socket.is_some() || call.callee.lost.is_some()),
        }
    }
    for (member, person) in &lobby.people {
        assert_eq!(person.call.is_some(), ends.contains(member), "{member:?}");
        assert_eq!(person.sockets.is_empty(), person.away.is_some(), "{member:?}");
        assert!(!lobby.kicked.contains(member));
        for socket in &person.sockets {
            assert_eq!(lobby.sockets.get(socket).map(|(of, _)| of), Some(member));
        }
    }
    assert_eq!(lobby.sockets.len(), lobby.people.values().map(|person| person.sockets.len()).sum::<usize>());
    assert!(lobby.deadline() > scene.now || scene.closed, "what is due is done");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_in_two_calls_what_rings_ends_and_when_all_have_left_nothing_is_left(acts in prop::collection::vec(act(), 1..80)) {
        let mut scene = Scene::new();
        let mut history = History::default();
        for act in &acts {
            if scene.closed {
                break;
            }
            history.act(&mut scene, act);
            check(&scene);
        }
        let all: Vec<_> = scene.lobby.sockets.keys().copied().collect();
        for (n, socket) in all.into_iter().enumerate() {
            if n % 2 == 0 { scene.lose(socket) } else { scene.leave(socket) }
        }
        scene.pass(GRACE + IDLE + Duration::from_millis(1));
        prop_assert!(scene.closed && scene.lobby.is_empty() && scene.lobby.calls.is_empty() && scene.lobby.sockets() == 0);
    }
}
