//! Rooms on workers: the pure rooms of the control plane drive the engines, as their tasks do on a node.

use std::time::Duration;

use althing::base::{PeerId, RoomId, Time, TrackId, WorkerId};
use althing::contract::{Event as Media, RoomCommand, SecurityPlan, SrtpProfile};
use althing::control::Refusal;
use althing::control::rooms::{
    Admission, Command, Effect, Ground, Introduction, JoinDraws, MOST_TRACKS, MemberRequest, OfferDraws, Room, RoomName, Rules, SocketId,
};
use althing::sdp::{Offer, OfferLimits};
use althing::wire::{Event, Grants, LibraryGrant, OkResult, PublishLine, Source};

use crate::client::{Client, OPUS};
use crate::member::{Codecs, Member};
use crate::offer::offer;
use crate::world::World;

/// What a request came to.
type Reply = Result<Option<OkResult>, Refusal>;

pub struct House {
    pub world: World,
    rooms: Vec<Placed>,
    pub members: Vec<Member>,
    /// What a client's transport is to be, while its offer is answered.
    offering: usize,
    drawn: u64,
    /// Connections of a room on its home worker from which on others go elsewhere.
    pub spread_from: usize,
}

struct Placed {
    id: RoomId,
    worker: usize,
    room: Room,
    closed: bool,
    replies: Vec<(SocketId, u32, Reply)>,
}

impl House {
    pub fn new(seed: u64, workers: u64) -> Self {
        Self { world: World::with_workers(seed, workers), rooms: Vec::new(), members: Vec::new(), offering: 0, drawn: 0, spread_from: usize::MAX }
    }

    /// Opens a room on a worker; returns its number.
    pub fn open(&mut self, worker: usize) -> usize {
        let rules = Rules {
            members: 100,
            grace: Duration::from_secs(30),
            resume: Duration::from_secs(60),
            history: 200,
            chat_bytes: 4_096,
            mlines: 64,
            spread_from: self.spread_from,
            tcp: false,
            last_n: 100,
            voices: u8::MAX,
            policy: althing::wire::Policy::Auto,
            return_after: std::time::Duration::from_secs(10),
            data: Default::default(),
            data_channels: true,
            tracks: 4,
            publish_kbps: None,
            library_mib: None,
            metadata_bytes: 1_024,
        };
        let fingerprint = self.world.identity.fingerprint().value.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":");
        let ground = Ground { worker: WorkerId(worker as u16), fingerprint, salt: "sim".into() };
        let name = RoomName::new(&format!("room{}", self.rooms.len())).expect("a name");
        let room = Room::new(name, rules, ground, self.world.now);
        let id = RoomId(self.rooms.len() as u64 + 1);
        self.rooms.push(Placed { id, worker, room, closed: false, replies: Vec::new() });
        self.rooms.len() - 1
    }

    /// Somebody joins, connects, and publishes microphone and camera; returns the member's number.
    pub fn enter(&mut self, room: usize, name: &str) -> usize {
        self.enter_with(room, name, |_| ())
    }

    /// The same, with other codecs.
    pub fn enter_with(&mut self, room: usize, name: &str, change: impl FnOnce(&mut Codecs)) -> usize {
        let member = self.join(room, name).expect("admitted");
        change(&mut self.members[member].codecs);
        self.connect(member);
        member
    }

    pub fn join(&mut self, room: usize, name: &str) -> Result<usize, Refusal> {
        let socket = SocketId(self.draw());
        let member = self.members.len();
        self.members.push(Member::new(name, room, socket, usize::MAX));
        let grants = Grants {
            publish: Source::ALL.to_vec(),
            subscribe: true,
            chat: true,
            data: true,
            moderate: name.starts_with("mod"),
            record: false,
            library: LibraryGrant::None,
            describe: true,
        };
        let place = RoomName::new(&format!("room{room}")).expect("a name");
        let admission = Admission::new(place, self.members[member].id(), name.to_uppercase(), grants);
        let draws = JoinDraws { resume: format!("{room}.{name}.{}", self.draw()) };
        match self.ask(member, |socket, id| Command::Join { socket, id, admission, draws, introduction: Introduction::default() }) {
            Ok(_) => Ok(member),
            Err(refusal) => {
                self.members.pop();
                Err(refusal)
            }
        }
    }

    /// A new peer connection: a new client in the world, and its offer.
    pub fn connect(&mut self, member: usize) {
        let index = self.world.clients.len();
        let mut client = Client::new(index, self.world.seed, SrtpProfile::AeadAes128Gcm);
        client.worker = self.rooms[self.members[member].room].worker;
        (client.repeats_as_rtx, client.reports) = (true, true);
        client.publish_as(self.world.now, 0, OPUS);
        client.publish_as(self.world.now, 1, self.members[member].codecs.sends[0]);
        if let Some(before) = self.world.clients.get_mut(self.members[member].client) {
            before.online = false;
        }
        self.world.clients.push(client);
        self.members[member].client = index;
        self.offer(member);
    }

    pub fn offer(&mut self, member: usize) {
        let Member { client, pairs, .. } = self.members[member];
        self.members[member].offers += 1;
        self.offering = client;
        let text = offer(&self.world.clients[client], &self.members[member].codecs, pairs);
        let offer = Offer::parse(&text, &OfferLimits { max_mlines: 64, max_bytes: 1 << 20 }).expect("a good offer");
        let publish = [("0", Source::Microphone), ("1", Source::Camera)];
        let publish = publish.map(|(mid, source)| PublishLine { mid: mid.into(), source, muted: false, fallback: false }).to_vec();
        let n = self.draw();
        let pwd = format!("server-password-{n:08}");
        let draws = OfferDraws {
            peer: PeerId(n),
            tracks: TrackId(n * MOST_TRACKS),
            ufrag: format!("ufrag{n}"),
            pwd,
            ssrc_seed: n,
            session: n,
            candidates: vec![vec!["192.0.2.1:40000".parse().expect("an address")]; self.world.engines.len()].into(),
            elsewhere: [WorkerId((n % self.world.engines.len() as u64) as u16); 2],
        };
        self.request(member, MemberRequest::Offer { offer: Box::new(offer), publish, draws }).expect("answered");
        self.world.clients[client].rtx_of = self.members[member].rtx();
    }

    pub fn request(&mut self, member: usize, what: MemberRequest) -> Reply {
        self.ask(member, |socket, id| Command::Request { socket, id, what })
    }

    /// Sends the camera once more in another codec, on the spare m-line; the server need not be asked for an answer.
    pub fn fall_back(&mut self, member: usize, payload_type: u8) {
        let line = PublishLine { mid: "2".into(), source: Source::Camera, muted: false, fallback: true };
        let track = TrackId(1_000_000 + self.draw());
        self.request(member, MemberRequest::Publish { line, track }).expect("published");
        self.world.clients[self.members[member].client].publish_as(self.world.now, 2, payload_type);
    }

    pub fn say(&mut self, member: usize, text: &str) {
        self.request(member, MemberRequest::Chat { text: text.into(), key: None, echo: true, at: 1 }).expect("said");
    }

    /// The member's socket is lost; its media goes on.
    pub fn lose(&mut self, member: usize) {
        let Member { room, socket, .. } = self.members[member];
        self.apply(room, Command::SocketLost { socket, bye: None });
    }

    pub fn resume(&mut self, member: usize) -> Reply {
        let socket = SocketId(self.draw());
        let Member { secret, seq, .. } = &self.members[member];
        let (secret, seq) = (secret.clone(), *seq);
        self.members[member].socket = socket;
        self.ask(member, |socket, id| Command::Resume { socket, id, secret, seq })
    }

    pub fn leave(&mut self, member: usize) {
        self.request(member, MemberRequest::Leave).expect("left");
        self.world.clients[self.members[member].client].online = false;
    }

    /// A fault drops the room's media on its worker.
    pub fn fail(&mut self, room: usize) {
        let Placed { id, worker, .. } = self.rooms[room];
        self.world.command_in(worker, id, RoomCommand::Close);
        self.world.events.push(Media::RoomFailed { room: id });
        self.hear();
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.world.now + span;
        loop {
            let deadline = self.rooms.iter().filter(|r| !r.closed).map(|r| r.room.deadline()).min().unwrap_or(Time::NEVER);
            let stepped = self.world.step(end.min(deadline));
            self.hear();
            if !stepped && deadline > end {
                break;
            }
            self.world.now = self.world.now.max(if stepped { Time::ZERO } else { deadline });
            for room in 0..self.rooms.len() {
                if !self.rooms[room].closed && self.rooms[room].room.deadline() <= self.world.now {
                    self.apply(room, Command::Timeout);
                }
            }
        }
        self.world.now = end;
    }

    pub fn is_closed(&self, room: usize) -> bool {
        self.rooms[room].closed
    }

    /// What has happened, to compare runs: what every member was told, and what every client received.
    pub fn digest(&self) -> String {
        let members: Vec<_> = self.members.iter().map(|m| (&m.name, &m.events, &m.chat, m.offers)).collect();
        format!("{members:?} {}", self.world.digest())
    }

    /// What the workers have said since goes to the rooms.
    fn hear(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            let of = match &event {
                Media::Connected { room, .. }
                | Media::Disconnected { room, .. }
                | Media::Reconnected { room, .. }
                | Media::Speakers { room, .. }
                | Media::Demand { room, .. }
                | Media::Quality { room, .. }
                | Media::Health { room, .. }
                | Media::TrackStarted { room, .. }
                | Media::Excess { room, .. }
                | Media::DataChannel { room, .. }
                | Media::Data { room, .. }
                | Media::RoomFailed { room } => *room,
                // No worker here asks how it is seen.
                Media::Mapped(_) => unreachable!("{event:?}"),
            };
            if let Some(room) = self.rooms.iter().position(|r| r.id == of) {
                self.apply(room, Command::Media(event));
            }
        }
    }

    /// The one answer to a command.
    fn ask(&mut self, member: usize, command: impl FnOnce(SocketId, u32) -> Command) -> Reply {
        let Member { room, socket, .. } = self.members[member];
        let id = self.draw() as u32;
        self.rooms[room].replies.clear();
        self.apply(room, command(socket, id));
        let [(to, of, result)] = &self.rooms[room].replies[..] else { panic!("not one answer") };
        assert_eq!((*to, *of), (socket, id));
        result.clone()
    }

    fn apply(&mut self, room: usize, command: Command) {
        for effect in self.rooms[room].room.apply(command, self.world.now) {
            match effect {
                Effect::Reply { socket, id, result } => {
                    if let (Ok(Some(result)), Some(member)) = (&result, self.member_at(socket)) {
                        member.answered(result);
                    }
                    self.rooms[room].replies.push((socket, id, result));
                }
                Effect::Tell { to, event } => to.into_iter().for_each(|(socket, seq)| self.tell(socket, seq, event.clone())),
                Effect::Bye { socket, seq, reason } => {
                    if let Some(member) = self.member_at(socket) {
                        member.told(seq, Event::Bye { reason });
                        member.bye = Some(reason);
                    }
                }
                Effect::Worker(worker, command) => self.command(room, worker, command),
                // Nobody here says that it can be connected directly.
                Effect::Direct(state) => unreachable!("{state:?}"),
                // Nobody here has anything recorded.
                Effect::Record(what) => unreachable!("{what:?}"),
                Effect::Screenshot(wish) => unreachable!("{wish:?}"),
                // Nor sent elsewhere.
                Effect::Egress { what, .. } => unreachable!("{what:?}"),
                Effect::DataRefused(code) => unreachable!("{code:?}"),
                // Nobody here uses relays, and nobody reads a log.
                Effect::SentAway { .. } | Effect::Unreached => {}
                // And nobody makes a bill of it.
                Effect::Happened(what) => unreachable!("{what:?}"),
                Effect::Closed => self.rooms[room].closed = true,
            }
        }
    }

    fn tell(&mut self, socket: SocketId, seq: u64, event: Event) {
        if let Some(member) = self.member_at(socket) {
            member.told(seq, event);
        }
    }

    /// A command on its way to the worker: instead of a handshake, the client's keys are known there.
    fn command(&mut self, room: usize, worker: WorkerId, mut command: RoomCommand) {
        let client = &mut self.world.clients.get_mut(self.offering);
        match (&mut command, client) {
            (RoomCommand::AddPeer { peer, transport }, Some(client)) => {
                (client.peer, client.ice, client.worker) = (*peer, transport.ice.clone(), usize::from(worker.0));
                transport.security = SecurityPlan::Keys(client.keys.clone());
            }
            (RoomCommand::RestartIce { ice, .. }, Some(client)) => client.ice = ice.clone(),
            _ => {}
        }
        assert!(self.spread_from < usize::MAX || usize::from(worker.0) == self.rooms[room].worker);
        self.world.command_in(usize::from(worker.0), self.rooms[room].id, command);
    }

    fn member_at(&mut self, socket: SocketId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.socket == socket)
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}
