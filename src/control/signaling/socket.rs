//! A socket's two tasks: one reads requests and hands them on, one writes what waits in the outbox.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::encode;
use super::message::{self, Rejected};
use super::outbox::{End, Outbox, outbox};
use super::session::{Phase, Session, Step};
use super::writing::{LAST_WORDS, write};
use crate::config::{DataConfig, LimitSettings};
use crate::control::auth::{Access, unix_time};
use crate::control::calls::{self, Lobbies, LobbyRequest};
use crate::control::egress::Egress;
use crate::control::p2p::IceServers;
use crate::control::rooms::actor::Letter;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{Command, Directory, Introduction, MemberRequest, OwnedData, SocketId};
use crate::control::trace::{self, Journey, Tracer};
use crate::control::{Refusal, draw};
use crate::record::library::Library;
use crate::sdp::{Offer, OfferLimits};
use crate::wire::{DataPayload, ErrorCode, Limits, OkResult, Request, VERSION, WelcomeFeatures};

/// A socket that has joined no room by then is closed.
const JOIN_WITHIN: Duration = Duration::from_secs(60);
/// So many bytes of a message count as one message more: reading them costs as much.
const BYTES_A_MESSAGE: usize = 16 * 1024;
/// How often a room that has just ended is opened anew for one `join`.
pub(super) const JOIN_TRIES: u32 = 3;

/// What all sockets share.
pub struct Front {
    /// The rooms.
    pub rooms: Directory,
    /// The lobbies.
    pub lobbies: Lobbies,
    /// Who may join.
    pub access: Access,
    /// What a client may send.
    pub limits: LimitSettings,
    /// Where STUN and TURN are.
    pub ice: IceServers,
    /// Members may be connected directly.
    pub direct: bool,
    /// What members are held to that send data.
    pub data: DataConfig,
    /// What is kept of rooms, if anything is.
    pub library: Option<Library>,
    /// What sends calls to servers elsewhere, if anything may.
    pub egress: Option<Egress>,
    /// Between pings.
    pub heartbeat: Duration,
    /// How long a lost session may be resumed.
    pub resume: Duration,
    /// Where traces of joins go.
    pub tracer: Tracer,
    /// Becomes true when the node ends.
    pub closing: watch::Receiver<bool>,
}

/// Serves one socket until it closes.
pub async fn serve(socket: WebSocket, front: Arc<Front>) {
    let journey = front.tracer.begin(SystemTime::now());
    let (sink, stream) = socket.split();
    let (outbox, waiting) = outbox();
    let end = waiting.end.clone();
    let writer = tokio::spawn(write(sink, waiting, front.heartbeat));
    let rate = NonZeroU32::new(front.limits.messages_per_second).unwrap_or(NonZeroU32::MIN);
    let id = front.rooms.numbers().socket();
    let mut reader = Reader {
        id,
        rate: DefaultDirectRateLimiter::direct(Quota::per_second(rate)),
        session: Session::default(),
        room: None,
        lobby: None,
        user: String::new(),
        journey,
        outbox,
        front,
    };
    let mut stream = stream;
    let closed = reader.read(&mut stream, end).await;
    reader.close(closed).await;
    drop(reader);
    // What the client still sends is read and dropped: with unread bytes left, the system would cut off our last words.
    let drain = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::join!(writer, timeout(LAST_WORDS, drain));
}

/// How reading ended.
enum Closed {
    /// The client has closed the socket on purpose: it has left.
    Left,
    /// The socket is lost, or is closed by us: the session may be resumed, if it is still there.
    Lost(Option<End>),
}

pub(super) struct Reader {
    pub(super) id: SocketId,
    rate: DefaultDirectRateLimiter,
    pub(super) session: Session,
    pub(super) room: Option<Handle>,
    pub(super) lobby: Option<calls::directory::Handle>,
    /// What its member is called at relays.
    user: String,
    /// Of its join, as long as that is followed.
    journey: Journey,
    pub(super) outbox: Outbox,
    pub(super) front: Arc<Front>,
}

impl Reader {
    async fn read(&mut self, stream: &mut SplitStream<WebSocket>, mut end: watch::Receiver<Option<End>>) -> Closed {
        let mut closing = self.front.closing.clone();
        let mut join_by = Instant::now() + JOIN_WITHIN;
        loop {
            let silence = self.front.heartbeat * 2;
            let message = tokio::select! {
                _ = end.wait_for(Option::is_some) => return Closed::Lost(None),
                // Those in a room or in a lobby are told by it.
                _ = closing.wait_for(|c| *c), if self.is_nowhere() => return Closed::Lost(Some(End::close(close_code::AWAY, "shutting down"))),
                () = sleep_until(join_by), if self.is_nowhere() => {
                    return Closed::Lost(Some(End::close(close_code::POLICY, "no room was joined, and no lobby entered")));
                }
                message = timeout(silence, stream.next()) => message,
            };
            let text = match message {
                Err(_) => return Closed::Lost(Some(End::close(close_code::AWAY, "silent for too long"))),
                Ok(None) => return Closed::Lost(None),
                Ok(Some(Err(error))) => return Closed::Lost(broken(error)),
                Ok(Some(Ok(Message::Close(frame)))) => return how_closed(frame.as_ref()),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Binary(_)))) => {
                    self.reject(&malformed("a message is text"));
                    continue;
                }
                Ok(Some(Ok(Message::Text(text)))) => text,
            };
            if !self.within_rate(text.as_str()).await {
                continue;
            }
            match message::read(text.as_str(), &self.front.limits) {
                Ok(message) => self.carry_out(message.id, message.request).await,
                Err(rejected) => {
                    self.reject(&rejected);
                    if rejected.too_large {
                        return Closed::Lost(Some(End::close(close_code::SIZE, "message too large")));
                    }
                }
            }
            if !self.is_nowhere() {
                join_by = Instant::now() + JOIN_WITHIN;
            }
        }
    }

    /// In no room and in no lobby.
    fn is_nowhere(&self) -> bool {
        !matches!(self.session.phase(), Phase::Joined | Phase::Reachable)
    }

    /// A flood is refused message by message, and read no faster than it is refused.
    async fn within_rate(&self, text: &str) -> bool {
        let cost = u32::try_from(text.len() / BYTES_A_MESSAGE).unwrap_or(u32::MAX).saturating_add(1).min(self.front.limits.messages_per_second);
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        if matches!(self.rate.check_n(cost), Ok(Ok(()))) {
            return true;
        }
        let why = format!("at most {} messages a second: slow down", self.front.limits.messages_per_second);
        let refusal = Refusal::new(ErrorCode::RateLimited, why);
        self.reject(&Rejected { id: message::id_of(text), refusal, too_large: false });
        sleep(Duration::from_secs(1) / self.front.limits.messages_per_second.max(1)).await;
        false
    }

    async fn carry_out(&mut self, id: u32, request: Request) {
        let name = request.name();
        match self.session.step(request) {
            Step::Answer(result) => self.answer(id, name, &result),
            Step::Welcome => self.answer(id, name, &Ok(Some(self.welcome()))),
            Step::Enter(request) => {
                if let Err(refusal) = self.enter(id, request).await {
                    self.journey.refused(refusal.code.name());
                    self.answer(id, name, &Err(refusal));
                }
            }
            Step::IceServers => {
                let lifetime_ms = u64::try_from(self.front.ice.lifetime().as_millis()).unwrap_or(u64::MAX);
                let servers = self.front.ice.of(&self.user, unix_time());
                self.answer(id, name, &Ok(Some(OkResult::IceServers { servers, lifetime_ms })));
            }
            Step::EnterLobby(request) => {
                if let Err(refusal) = self.enter_lobby(id, request).await {
                    self.answer(id, name, &Err(refusal));
                }
            }
            Step::Lobby(request) => match self.lobby_request(request) {
                Ok(what) => self.hand_to_lobby(id, name, what).await,
                Err(refusal) => self.answer(id, name, &Err(refusal)),
            },
            Step::Leave if self.lobby.is_some() => {
                self.hand_to_lobby(id, name, LobbyRequest::Leave).await;
                self.lobby = None;
            }
            Step::Leave => {
                self.hand_over(id, name, MemberRequest::Leave).await;
                self.room = None;
            }
            Step::Room(request) => match self.member_request(request) {
                // The room goes on with it from here.
                Ok(what) if name == "offer" => {
                    self.hand_over(id, name, what).await;
                    self.journey = Journey::default();
                }
                Ok(what) => self.hand_over(id, name, what).await,
                Err(refusal) => self.answer(id, name, &Err(refusal)),
            },
        }
    }

    /// Joins or resumes; the room answers, unless there is none to do it.
    async fn enter(&mut self, id: u32, request: Request) -> Result<(), Refusal> {
        let begun = Instant::now();
        self.journey.passed(trace::Step::Socket, SystemTime::now());
        let admission = match &request {
            Request::Join { room, name, token, me, .. } => Some(self.front.access.admit(room, name, token.as_deref(), me.as_ref())?),
            _ => None,
        };
        self.journey.passed(trace::Step::Token, SystemTime::now());
        for _ in 0..JOIN_TRIES {
            let (room, command) = match (&admission, &request) {
                (Some(admission), Request::Join { direct, knock, encrypted, .. }) => {
                    let room = self.front.rooms.open(&admission.room, &admission.settings)?;
                    let draws = draw::join(room.id);
                    let introduction = Introduction { direct: direct.clone(), knock: *knock, encrypted: *encrypted };
                    (room, Command::Join { socket: self.id, id, admission: admission.clone(), draws, introduction })
                }
                (None, Request::Resume { resume, seq }) => {
                    let room = self.front.rooms.of_secret(resume).ok_or_else(no_session)?;
                    (room, Command::Resume { socket: self.id, id, secret: resume.clone(), seq: *seq })
                }
                _ => return Err(no_session()),
            };
            let (entered, outcome) = oneshot::channel();
            let (outbox, journey) = (self.outbox.clone(), self.journey.clone());
            let letter = Letter::Enter { command, socket: self.id, outbox, journey, entered };
            if room.send(letter).await.is_ok()
                && let Ok(entered) = outcome.await
            {
                if let Some(user) = entered {
                    self.front.rooms.metrics().join_seconds.observe(begun.elapsed().as_secs_f64());
                    self.session.entered();
                    self.room = Some(room);
                    self.user = user;
                }
                return Ok(());
            }
        }
        Err(if admission.is_some() { failed() } else { no_session() })
    }

    async fn hand_over(&self, id: u32, name: &'static str, what: MemberRequest) {
        let letter = Letter::Command(Command::Request { socket: self.id, id, what }, name);
        let sent = match &self.room {
            Some(room) => room.send(letter).await.is_ok(),
            None => false,
        };
        if !sent {
            self.answer(id, name, &Err(failed()));
        }
    }

    /// Does what may take long (reading an offer) here, and draws what the room has to be given.
    fn member_request(&self, request: Request) -> Result<MemberRequest, Refusal> {
        if matches!(request, Request::Offer { .. }) {
            self.journey.waited(SystemTime::now());
        }
        let numbers = self.front.rooms.numbers();
        Ok(match request {
            Request::Offer { sdp, publish } => {
                let limits = OfferLimits { max_mlines: self.front.limits.mlines as usize, max_bytes: self.front.limits.offer_bytes as usize };
                let offer = Box::new(Offer::parse(&sdp, &limits)?);
                MemberRequest::Offer { offer, publish, draws: self.front.rooms.draw_offer() }
            }
            Request::Publish { line } => MemberRequest::Publish { line, track: numbers.tracks(1) },
            Request::Unpublish { track } => MemberRequest::Unpublish { track },
            Request::Mute { track, muted } => MemberRequest::Mute { track, muted },
            Request::Subscribe { tracks } => MemberRequest::Want { tracks, wanted: true },
            Request::Unsubscribe { tracks } => MemberRequest::Want { tracks, wanted: false },
            Request::View { tiles } => MemberRequest::View { tiles },
            Request::Signal { session, signal } => MemberRequest::Signal { session, signal },
            Request::Direct { session, state } => MemberRequest::Direct { session, state },
            Request::Release {} => MemberRequest::Release,
            Request::Policy { policy } => MemberRequest::Policy { policy },
            Request::Chat { text, key, echo } => {
                let at = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
                MemberRequest::Chat { text, key, echo, at }
            }
            Request::History { before, limit } => MemberRequest::History { before, limit },
            Request::Data { topic, to, payload, lossy, number } => {
                let (text, payload) = match payload {
                    DataPayload::Text(text) => (true, text.into_bytes()),
                    DataPayload::Base64(text) => (false, STANDARD.decode(text).map_err(|_| not_base64())?),
                };
                MemberRequest::Data(OwnedData { topic, to, text, payload, lossy, number })
            }
            Request::Hand { raised, member } => MemberRequest::Hand { raised, member },
            Request::React { reaction } => MemberRequest::React { reaction },
            Request::Describe { metadata, attributes } => MemberRequest::Describe { metadata, attributes },
            Request::Audience { source, members } => MemberRequest::Audience { source, members },
            Request::Kick { member } => MemberRequest::Kick { member },
            Request::MuteMember { track, muted } => MemberRequest::MuteMember { track, muted },
            Request::Record { members, sources } => {
                let room = self.room.as_ref().ok_or_else(failed)?;
                self.front.rooms.may_record(&room.name)?;
                let at = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
                MemberRequest::Record { recording: draw::hex::<12>(), at, members, sources }
            }
            Request::StopRecording {} => MemberRequest::StopRecording,
            Request::Screenshot { member, source } => {
                self.front.rooms.may_take_pictures()?;
                let room = self.room.as_ref().ok_or_else(failed)?;
                self.front.rooms.may_keep(&room.name)?;
                MemberRequest::Screenshot { member, source }
            }
            Request::MuteAll { source, muted } => MemberRequest::MuteAll { source, muted },
            Request::Lock { locked } => MemberRequest::Lock { locked },
            Request::Admit { member, admitted } => MemberRequest::Admit { member, admitted },
            // The session keeps these for itself.
            Request::Leave {}
            | Request::Enter { .. }
            | Request::Call { .. }
            | Request::Accept { .. }
            | Request::Reject { .. }
            | Request::Cancel { .. }
            | Request::HangUp { .. }
            | Request::Hello { .. }
            | Request::Join { .. }
            | Request::Resume { .. }
            | Request::Candidate { .. }
            | Request::IceServers {}
            | Request::Ping {} => {
                return Err(Refusal::new(ErrorCode::WrongState, "not a request to a room"));
            }
        })
    }

    fn welcome(&self) -> OkResult {
        let limits = &self.front.limits;
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        OkResult::Welcome {
            version: VERSION,
            server: concat!("althing/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits {
                message_bytes: limits.message_bytes,
                offer_bytes: limits.offer_bytes,
                mlines: limits.mlines,
                messages_per_second: limits.messages_per_second,
                chat_bytes: limits.chat_bytes,
                name_bytes: limits.name_bytes,
                data_bytes: self.front.data.limits.message_bytes,
                metadata_bytes: limits.metadata_bytes,
            },
            heartbeat_ms: millis(self.front.heartbeat),
            resume_ms: millis(self.front.resume),
            features: WelcomeFeatures {
                development: self.front.access.development(),
                direct: self.front.direct,
                data: self.front.data.channels,
                recording: self.front.rooms.records(),
                relay: self.front.ice.relays_itself(),
                library: self.front.library.is_some(),
                uploads: self.front.library.as_ref().is_some_and(|library| library.config().uploads.is_some()),
                screenshots: self.front.rooms.may_take_pictures().is_ok(),
            },
        }
    }

    pub(super) fn answer(&self, id: u32, name: &'static str, result: &Result<Option<OkResult>, Refusal>) {
        self.front.rooms.metrics().answered(name, result.as_ref().err().map(|r| r.code.name()));
        self.push(encode::reply(id, result));
    }

    fn reject(&self, rejected: &Rejected) {
        self.front.rooms.metrics().rejected(rejected.refusal.code.name());
        self.push(encode::error(rejected.id, &rejected.refusal));
    }

    /// A client that does not take its own answers is lost.
    fn push(&self, text: String) {
        if self.outbox.push(text).is_err() {
            self.outbox.finish(End { at_once: true, ..End::close(close_code::POLICY, "too slow") });
        }
    }

    async fn close(&mut self, closed: Closed) {
        self.leave_lobby(matches!(closed, Closed::Left)).await;
        if let Some(room) = self.room.take() {
            let command = match closed {
                Closed::Left => Command::Request { socket: self.id, id: 0, what: MemberRequest::Leave },
                Closed::Lost(_) => Command::SocketLost { socket: self.id, bye: None },
            };
            let _ = room.send(Letter::Command(command, "socket_closed")).await;
        }
        let end = match closed {
            Closed::Lost(Some(end)) => end,
            Closed::Left | Closed::Lost(None) => End::close(close_code::NORMAL, ""),
        };
        self.outbox.finish(end);
    }
}

/// 1000 and 1001 (a tab that is closed, a page that is left) are said on purpose. Anything else may be an accident.
fn how_closed(frame: Option<&CloseFrame>) -> Closed {
    match frame.map(|f| f.code) {
        Some(close_code::NORMAL | close_code::AWAY) => Closed::Left,
        _ => Closed::Lost(None),
    }
}

/// What a client that breaks the rules of WebSocket is told.
fn broken(error: axum::Error) -> Option<End> {
    let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
    match *error {
        tungstenite::Error::Capacity(_) => Some(End::close(close_code::SIZE, "message too large")),
        tungstenite::Error::Utf8(_) => Some(End::close(close_code::INVALID, "not UTF-8")),
        tungstenite::Error::Protocol(_) => Some(End::close(close_code::PROTOCOL, "not WebSocket")),
        _ => None,
    }
}

fn not_base64() -> Refusal {
    Refusal::new(ErrorCode::Malformed, "the payload is not base64 (RFC 4648 section 4, with padding)")
}

fn malformed(why: &'static str) -> Rejected {
    Rejected { id: None, refusal: Refusal::new(ErrorCode::Malformed, why), too_large: false }
}

fn no_session() -> Refusal {
    Refusal::new(ErrorCode::ResumeUnknown, "there is no such session any more: join again")
}

fn failed() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the room is lost: join again")
}
