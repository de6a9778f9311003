//! A room, clients that write real offers, and a note of everything that is said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::workers::Workers;
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{DataLimits, MediaKind, RoomCommand};
use crate::control::Refusal;
use crate::control::egress::Instruction;
use crate::control::events::What;
pub use crate::control::rooms::Introduction;
use crate::control::rooms::{
    Admission, Attach, Command, Condition, Effect, Ground, JoinDraws, MOST_TRACKS, MemberRequest, OfferDraws, Purpose, Room, RoomName, Rules,
    SocketId, Trickle,
};
use crate::control::rooms::{RecordEffect, Wish};
use crate::sdp::{Fragment, Offer, OfferLimits};
use crate::wire::{
    ByeReason, ErrorCode, Event, Grants, LibraryGrant, MemberId, OkResult, PublishLine, SlotPair, Source, TrackInfo, TrackNumber, VideoCodec,
};
use crate::wire::{DirectAbility, DirectState, Policy};

pub const RESUME: Duration = Duration::from_secs(60);
pub const RETURN: Duration = Duration::from_secs(10);
pub const GRACE: Duration = Duration::from_secs(30);

/// The room, its clock, and all that came out of it.
pub struct Scene {
    pub room: Room,
    pub now: Time,
    pub commands: Vec<RoomCommand>,
    pub workers: Workers,
    pub closed: bool,
    pub events: BTreeMap<SocketId, Vec<(u64, Event)>>,
    pub byes: BTreeMap<SocketId, ByeReason>,
    pub replies: Vec<(SocketId, u32, Result<Option<OkResult>, Refusal>)>,
    pub direct: Vec<DirectState>,
    /// Secrets of sessions that were sent away.
    pub sent_away: Vec<MemberId>,
    /// How many connections have not come up in time.
    pub unreached: usize,
    pub data_refused: Vec<ErrorCode>,
    /// Sessions by HTTP offer data channels.
    pub data_by_http: bool,
    /// What was to be recorded, and how many had been told by then that the room is.
    pub recorded: Vec<(RecordEffect, usize)>,
    /// Pictures that were to be taken, and how many had been told by then.
    pub wishes: Vec<(Wish, usize)>,
    /// What the tasks of what is sent elsewhere were to do, and how many had been told by then.
    pub instructed: Vec<(Instruction, usize)>,
    /// What was said to whoever makes a bill of it.
    pub happened: Vec<What>,
    drawn: u64,
    /// What the tokens of those who join next let them publish, in kbit/s.
    pub publish_kbps: Option<u32>,
    /// Where connections go that do not go home.
    pub elsewhere: [WorkerId; 2],
}

/// A client: its socket, and the m-lines of its peer connection.
pub struct Client {
    pub name: String,
    pub socket: SocketId,
    pub secret: String,
    pub pairs: u32,
    /// The codecs of its pictures, in its order.
    pub sends: Vec<VideoCodec>,
    pub receives: Vec<VideoCodec>,
    lines: Vec<(MediaKind, bool)>,
    /// Whether it offers data channels, last of all.
    pub data: bool,
    certificate: u8,
}

/// A session by HTTP.
pub struct Session {
    pub socket: SocketId,
    pub secret: String,
    pub peer: PeerId,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules {
            members: 500,
            grace: GRACE,
            resume: RESUME,
            history: 200,
            chat_bytes: 4_096,
            mlines: 64,
            spread_from: 8,
            tcp: true,
            last_n: 100,
            voices: 200,
            policy: Policy::Auto,
            return_after: RETURN,
            data: DataLimits::default(),
            data_channels: true,
            tracks: 4,
            publish_kbps: None,
            library_mib: None,
            metadata_bytes: 1_024,
        };
        change(&mut rules);
        let ground = Ground { worker: WorkerId(0), fingerprint: ["AB"; 32].join(":"), salt: "s".into() };
        let room = Room::new(RoomName::new("room").expect("a name"), rules, ground, Time::ZERO);
        let (commands, events, byes, replies) = Default::default();
        Self {
            room,
            now: Time::from_millis(1_000),
            commands,
            workers: Workers::default(),
            closed: false,
            events,
            byes,
            replies,
            direct: Vec::new(),
            sent_away: Vec::new(),
            unreached: 0,
            data_refused: Vec::new(),
            data_by_http: false,
            recorded: Vec::new(),
            wishes: Vec::new(),
            instructed: Vec::new(),
            happened: Vec::new(),
            drawn: 0,
            publish_kbps: None,
            elsewhere: [WorkerId(0); 2],
        }
    }

    pub fn apply(&mut self, command: Command) {
        for effect in self.room.apply(command, self.now) {
            match effect {
                Effect::Reply { socket, id, result } => self.replies.push((socket, id, result)),
                Effect::Tell { to, event } => {
                    to.into_iter().for_each(|(socket, seq)| self.events.entry(socket).or_default().push((seq, event.clone())))
                }
                Effect::Bye { socket, seq, reason } => {
                    self.events.entry(socket).or_default().push((seq, Event::Bye { reason }));
                    self.byes.insert(socket, reason);
                }
                Effect::Worker(worker, command) => {
                    self.workers.take(worker, &command);
                    self.commands.push(command);
                }
                Effect::Record(what) => {
                    let told = |events: &&Vec<(u64, Event)>| events.iter().any(|(_, e)| matches!(e, Event::Recording { recording: Some(_), .. }));
                    self.recorded.push((what, self.events.values().filter(told).count()));
                }
                Effect::Screenshot(wish) => {
                    let told = |events: &&Vec<(u64, Event)>| events.iter().any(|(_, e)| matches!(e, Event::Screenshot { .. }));
                    self.wishes.push((*wish, self.events.values().filter(told).count()));
                }
                Effect::Egress { what, .. } => {
                    let told = |events: &&Vec<(u64, Event)>| events.iter().any(|(_, e)| matches!(e, Event::Egress { .. }));
                    self.instructed.push((what, self.events.values().filter(told).count()));
                }
                Effect::Direct(state) => self.direct.push(state),
                Effect::Unreached => self.unreached += 1,
                Effect::DataRefused(code) => self.data_refused.push(code),
                Effect::SentAway { member } => self.sent_away.push(member),
                Effect::Happened(what) => self.happened.push(*what),
                Effect::Closed => self.closed = true,
            }
        }
        self.workers.agree();
    }

    /// The one answer to the command.
    fn answer(&mut self, socket: SocketId, command: impl FnOnce(u32) -> Command) -> Result<Option<OkResult>, ErrorCode> {
        let id = self.draw() as u32;
        self.replies.clear();
        self.apply(command(id));
        let [(to, of, result)] = &self.replies[..] else { panic!("{} answers instead of one", self.replies.len()) };
        assert_eq!((*to, *of), (socket, id));
        result.clone().map_err(|refusal| refusal.code)
    }

    pub fn request(&mut self, client: &Client, what: MemberRequest) -> Result<Option<OkResult>, ErrorCode> {
        let socket = client.socket;
        self.answer(socket, |id| Command::Request { socket, id, what })
    }

    pub fn try_join(&mut self, name: &str, change: impl FnOnce(&mut Grants)) -> Result<Client, ErrorCode> {
        self.try_join_as(name, change, None)
    }

    /// Joins as one who can be connected directly.
    pub fn join_direct(&mut self, name: &str, held: Option<&str>) -> Client {
        self.try_join_as(name, |_| (), Some(DirectAbility { held: held.map(Into::into) })).expect("admitted")
    }

    pub fn try_join_as(&mut self, name: &str, change: impl FnOnce(&mut Grants), direct: Option<DirectAbility>) -> Result<Client, ErrorCode> {
        self.try_join_with(name, change, Introduction { direct, ..Introduction::default() })
    }

    /// Joins with what the client says of itself.
    pub fn try_join_with(&mut self, name: &str, change: impl FnOnce(&mut Grants), introduction: Introduction) -> Result<Client, ErrorCode> {
        let socket = SocketId(self.draw());
        let mut grants = Grants {
            publish: Source::ALL.to_vec(),
            subscribe: true,
            chat: true,
            data: true,
            moderate: false,
            record: false,
            library: LibraryGrant::None,
            describe: true,
        };
        change(&mut grants);
        let admission = Admission {
            publish_kbps: self.publish_kbps,
            ..Admission::new(RoomName::new("room").expect("a name"), id(name), name.to_uppercase(), grants)
        };
        let draws = JoinDraws { resume: format!("1.{name}-{}", self.draw()) };
        let certificate = self.draw() as u8;
        match self.answer(socket, |id| Command::Join { socket, id, admission, draws, introduction })? {
            Some(OkResult::Joined { resume, pairs, .. }) => Ok(Client {
                name: name.to_owned(),
                socket,
                secret: resume,
                pairs,
                sends: vp8(),
                receives: vp8(),
                lines: Vec::new(),
                data: false,
                certificate,
            }),
            other => panic!("not joined: {other:?}"),
        }
    }

    pub fn join(&mut self, name: &str) -> Client {
        self.try_join(name, |_| ()).expect("admitted")
    }

    pub fn moderator(&mut self, name: &str) -> Client {
        self.try_join(name, |g| g.moderate = true).expect("admitted")
    }

    /// Joins and publishes camera and microphone.
    pub fn join_with_media(&mut self, name: &str) -> Client {
        let mut client = self.join(name);
        self.connect(&mut client);
        client
    }

    pub fn connect(&mut self, client: &mut Client) {
        client.lines = vec![(MediaKind::Audio, true), (MediaKind::Video, true)];
        client.grow(client.pairs);
        self.offer(client, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    }

    pub fn offer(&mut self, client: &Client, publish: &[(&str, Source)]) -> Result<Vec<(String, TrackInfo)>, ErrorCode> {
        let what = self.offer_request(client, publish);
        match self.request(client, what)? {
            Some(OkResult::Answer { published, .. }) => Ok(published),
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Offers with this publish list; an m-line that begins with `+` is a fallback.
    pub fn offer_request(&mut self, client: &Client, publish: &[(&str, Source)]) -> MemberRequest {
        let offer = Offer::parse(&client.sdp(), &OfferLimits { max_mlines: 64, max_bytes: 1 << 20 }).expect("a good offer");
        let line = |(mid, source): &(&str, Source)| PublishLine {
            mid: mid.trim_start_matches('+').into(),
            source: *source,
            muted: false,
            fallback: mid.starts_with('+'),
        };
        let publish = publish.iter().map(line).collect();
        let draws = self.offer_draws();
        MemberRequest::Offer { offer: Box::new(offer), publish, draws }
    }

    fn offer_draws(&mut self) -> OfferDraws {
        let n = self.draw();
        let tracks = TrackId(n * MOST_TRACKS);
        OfferDraws {
            peer: PeerId(n),
            tracks,
            ufrag: format!("ufrag{n}"),
            pwd: "p".repeat(24),
            ssrc_seed: n,
            session: n,
            elsewhere: self.elsewhere,
            candidates: Arc::new(vec![vec!["192.0.2.1:40000".parse().expect("an address")]; 3]),
        }
    }

    /// Publishes or plays by HTTP, with these m-lines: the session, and the answer.
    pub fn attach(&mut self, name: &str, purpose: Purpose, lines: &[(MediaKind, bool)]) -> Result<(Session, String), ErrorCode> {
        let socket = SocketId(self.draw());
        let certificate = self.draw() as u8;
        let lines = lines.to_vec();
        let client = Client {
            name: name.to_owned(),
            socket,
            secret: String::new(),
            pairs: 0,
            sends: vp8(),
            receives: vp8(),
            lines,
            data: self.data_by_http,
            certificate,
        };
        let offer = Box::new(Offer::parse(&client.sdp(), &OfferLimits { max_mlines: 64, max_bytes: 1 << 20 }).expect("a good offer"));
        let publishes = purpose == Purpose::Publish;
        let grants = Grants {
            publish: if publishes { Source::ALL.to_vec() } else { Vec::new() },
            subscribe: !publishes,
            chat: false,
            data: false,
            moderate: false,
            record: false,
            library: LibraryGrant::None,
            describe: true,
        };
        let admission = Admission::new(RoomName::new("room").expect("a name"), id(name), name.to_uppercase(), grants);
        let joining = JoinDraws { resume: format!("1.{name}-{}", self.draw()) };
        let (secret, offering) = (joining.resume.clone(), self.offer_draws());
        let peer = offering.peer;
        let attach = Attach { socket, admission, purpose, offer, joining, offering };
        self.replies.clear();
        self.apply(Command::Attach(Box::new(attach)));
        let [(to, _, result)] = &self.replies[..] else { panic!("{} answers instead of one", self.replies.len()) };
        assert_eq!(*to, socket);
        match result.clone().map_err(|refusal| refusal.code)? {
            Some(OkResult::Answer { sdp, .. }) => Ok((Session { socket, secret, peer }, sdp)),
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Patches a session by HTTP: the fragment that it is answered, if any.
    pub fn trickle(&mut self, secret: &str, condition: Condition, fragment: &str) -> Result<Option<String>, ErrorCode> {
        let (socket, offering) = (SocketId(self.draw()), self.offer_draws());
        let fragment = Fragment::parse(fragment).expect("a good fragment");
        self.replies.clear();
        self.apply(Command::Trickle(Box::new(Trickle { socket, secret: secret.to_owned(), condition, fragment, offering })));
        let [(to, _, result)] = &self.replies[..] else { panic!("{} answers instead of one", self.replies.len()) };
        assert_eq!(*to, socket);
        match result.clone().map_err(|refusal| refusal.code)? {
            Some(OkResult::Answer { sdp, .. }) => Ok(Some(sdp)),
            None => Ok(None),
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Ends a session by HTTP.
    pub fn detach(&mut self, secret: &str) -> Result<(), ErrorCode> {
        let socket = SocketId(self.draw());
        self.replies.clear();
        self.apply(Command::Detach { socket, secret: secret.to_owned() });
        let [(to, _, result)] = &self.replies[..] else { panic!("{} answers instead of one", self.replies.len()) };
        assert_eq!(*to, socket);
        result.clone().map(|_| ()).map_err(|refusal| refusal.code)
    }

    pub fn resume(&mut self, client: &mut Client, seq: u64) -> Result<OkResult, ErrorCode> {
        let socket = SocketId(self.draw());
        let secret = client.secret.clone();
        let joined = self.answer(socket, |id| Command::Resume { socket, id, secret, seq })?;
        client.socket = socket;
        Ok(joined.expect("the room"))
    }

    pub fn lose(&mut self, client: &Client) {
        self.apply(Command::SocketLost { socket: client.socket, bye: None });
    }

    pub fn leave(&mut self, client: &Client) {
        assert_eq!(self.request(client, MemberRequest::Leave), Ok(None));
    }

    /// Lets time pass; deadlines are kept as the room's task keeps them.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.room.deadline() <= end && !self.closed {
            self.now = self.room.deadline().max(self.now);
            self.apply(Command::Timeout);
        }
        self.now = end;
    }

    /// What a client has been told since it was last asked.
    pub fn told(&mut self, client: &Client) -> Vec<Event> {
        self.events.remove(&client.socket).unwrap_or_default().into_iter().map(|(_, event)| event).collect()
    }

    pub fn forget(&mut self) {
        self.events.clear();
        self.commands.clear();
    }

    pub fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    /// Where a member is shown in a client's slots, from the last list that it was told.
    pub fn slots(&mut self, client: &Client) -> Option<Vec<SlotPair>> {
        let told = self.told(client);
        told.into_iter().rev().find_map(|e| if let Event::Slots { slots } = e { Some(slots) } else { None })
    }
}

impl Client {
    pub fn id(&self) -> MemberId {
        id(&self.name)
    }

    /// Adds slot pairs until there are so many.
    pub fn grow(&mut self, pairs: u32) {
        let have = self.lines.iter().filter(|(_, sends)| !sends).count() as u32 / 2;
        for _ in have..pairs {
            self.lines.extend([(MediaKind::Audio, false), (MediaKind::Video, false)]);
        }
    }

    /// Whether it has a peer connection.
    pub fn is_connected(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Adds a sending m-line; its mid.
    pub fn add(&mut self, kind: MediaKind) -> String {
        self.lines.push((kind, true));
        (self.lines.len() - 1).to_string()
    }

    /// Adds sending m-lines.
    pub fn add_all(&mut self, kinds: &[MediaKind]) {
        self.lines.extend(kinds.iter().map(|kind| (*kind, true)));
    }

    /// Makes a new peer connection, as a page that is loaded again does.
    pub fn reload(&mut self) {
        self.certificate = self.certificate.wrapping_add(128);
        self.lines.clear();
    }

    fn sdp(&self) -> String {
        let mids: Vec<String> = (0..self.lines.len()).map(|i| i.to_string()).chain(self.data.then(|| "data".to_owned())).collect();
        let mut sdp = format!("v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "));
        for (mid, (kind, sends)) in self.lines.iter().enumerate() {
            let codecs: Vec<(u8, &str)> = match kind {
                MediaKind::Audio => vec![(111, "opus/48000/2")],
                MediaKind::Video => if *sends { &self.sends } else { &self.receives }.iter().map(|codec| payload(*codec)).collect(),
            };
            let payloads: Vec<String> = codecs.iter().map(|(payload, _)| payload.to_string()).collect();
            let (media, direction) = (if *kind == MediaKind::Audio { "audio" } else { "video" }, if *sends { "sendonly" } else { "recvonly" });
            sdp += &format!("m={media} 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\n", payloads.join(" "));
            sdp += "a=rtcp-mux\r\n";
            for (payload, map) in codecs {
                let (name, format) = map.split_once(' ').unwrap_or((map, ""));
                sdp += &format!("a=rtpmap:{payload} {name}\r\n");
                if !format.is_empty() {
                    sdp += &format!("a=fmtp:{payload} {format}\r\n");
                }
            }
            sdp += &self.transport();
        }
        if self.data {
            sdp += "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=sctp-port:5000\r\n";
            sdp += &self.transport();
        }
        sdp
    }

    fn transport(&self) -> String {
        let ice = format!("a=ice-ufrag:u{:03}\r\na=ice-pwd:{}\r\n", self.certificate, "x".repeat(24));
        ice + &format!("a=fingerprint:sha-256 {}\r\na=setup:actpass\r\n", vec![format!("{:02X}", self.certificate); 32].join(":"))
    }
}

fn vp8() -> Vec<VideoCodec> {
    vec![VideoCodec::Vp8]
}

/// A codec's payload type, its name and its parameters.
fn payload(codec: VideoCodec) -> (u8, &'static str) {
    match codec {
        VideoCodec::Vp8 => (96, "VP8/90000"),
        VideoCodec::H264 => (102, "H264/90000 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
        VideoCodec::Vp9 => (98, "VP9/90000 profile-id=0"),
        VideoCodec::Av1 => (45, "AV1/90000 level-idx=5;profile=0;tier=0"),
    }
}

pub fn id(name: &str) -> MemberId {
    MemberId(name.to_owned())
}

pub fn track(published: &[(String, TrackInfo)], source: Source) -> TrackNumber {
    published.iter().find(|(_, t)| t.source == source).expect("published").1.track
}
