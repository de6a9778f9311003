//! A participant's life: it comes in through a door, negotiates, does what the server asks for, and leaves.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::board::{Board, stream};
use super::client::{Joining, Light};
#[cfg(feature = "full-clients")]
use super::full;
use super::media::Source;
use super::offer::{Answer, Offer};
use super::plan::{Door, Kind, Plan};
use super::presence::{Failure, Presence, Role};
use super::signaling::Signaling;
use super::thread::Thread;
use super::whip::Front;
use crate::base::Time;
use crate::base::random::Random;
use crate::contract::MediaKind;
use crate::media::transport::DtlsIdentity;
use crate::wire::{Event, OkResult, PublishLine, Request, SlotPair};

/// What all participants share.
pub struct Crew {
    /// What the run does.
    pub plan: Plan,
    /// What is being done.
    pub board: Arc<Board>,
    /// Tells the packets of this run.
    pub run: u32,
    /// The moment of [`Time::ZERO`].
    pub epoch: Instant,
    /// The certificate of all light clients.
    pub identity: DtlsIdentity,
    /// The threads of light clients.
    pub threads: Vec<Thread>,
    /// For WHIP and WHEP.
    pub front: Front,
    /// The publishers by room and the server's name of them: with tokens, the same names are in every room.
    pub roster: Mutex<BTreeMap<(String, String), u32>>,
    /// What full clients have found.
    #[cfg(feature = "full-clients")]
    pub full: Mutex<Vec<(usize, Arc<full::Heard>)>>,
}

impl Crew {
    fn now(&self) -> Time {
        Time::ZERO + Duration::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

/// Joins, stays until `leaving` is true, and leaves.
pub async fn attend(crew: Arc<Crew>, presence: Arc<Presence>, leaving: watch::Receiver<bool>) {
    presence.note_start();
    let done = match &crew.plan.door {
        Door::Socket { url } => by_socket(&crew, url, &presence, leaving).await,
        Door::Http { .. } => by_http(&crew, &presence, leaving).await,
    };
    if let Err(failure) = done {
        presence.fail(failure);
    }
}

async fn by_socket(crew: &Arc<Crew>, url: &str, presence: &Arc<Presence>, mut leaving: watch::Receiver<bool>) -> Result<(), Failure> {
    let mut signaling = Signaling::open(url).await?;
    let place = &presence.place;
    let token = crew.plan.tokens.get(place.index).cloned();
    let join = Request::join(place.room_name.clone(), place.name.clone(), token);
    let (me, wish) = match signaling.ask(join).await? {
        Some(OkResult::Joined { me, pairs, .. }) => (me.member, pairs),
        _ => return Err(Failure::new("an answer of another kind", "to `join`")),
    };
    if let Role::Publisher(number) = place.role {
        lock(&crew.roster).insert((place.room_name.clone(), me.0), number);
    }
    let mut pairs = if crew.plan.receives(place.role) { crew.plan.pairs.unwrap_or(wish) } else { 0 };
    let mut connection = Connection::new(crew, presence, pairs).await?;
    negotiate(&mut signaling, &mut connection, crew, presence, pairs).await?;
    loop {
        let event = tokio::select! {
            event = signaling.event() => event,
            _ = leaving.wait_for(|l| *l) => break,
        };
        match event {
            Some(Event::Slots { slots }) => presence.set_placed(placed(crew, &place.room_name, &slots)),
            Some(Event::Need { pairs: wanted }) if wanted > pairs && pairs > 0 && crew.plan.pairs.is_none() => {
                pairs = wanted;
                negotiate(&mut signaling, &mut connection, crew, presence, pairs).await?;
            }
            Some(Event::Bye { reason }) => return Err(Failure::new("sent away by the server", format!("{reason:?}"))),
            Some(Event::Restart {}) => return Err(Failure::new("the server lost the room's media", "")),
            Some(_) => {}
            None => return Err(Failure::new("the signaling socket was lost", "")),
        }
    }
    connection.close().await;
    signaling.leave().await;
    Ok(())
}

async fn negotiate(
    signaling: &mut Signaling, connection: &mut Connection, crew: &Arc<Crew>, presence: &Arc<Presence>, pairs: u32,
) -> Result<(), Failure> {
    let (sdp, publish) = connection.offer(pairs).await?;
    presence.note_offer();
    match signaling.ask(Request::Offer { sdp, publish }).await? {
        Some(OkResult::Answer { sdp, .. }) => connection.take_answer(crew, presence, sdp, signaling.server()).await,
        _ => Err(Failure::new("an answer of another kind", "to `offer`")),
    }
}

async fn by_http(crew: &Arc<Crew>, presence: &Arc<Presence>, mut leaving: watch::Receiver<bool>) -> Result<(), Failure> {
    let place = &presence.place;
    let url = crew.plan.address(place).ok_or_else(|| Failure::new("no address to post to", ""))?;
    let wanted = crew.plan.wanted(place);
    let pairs = wanted.len() as u32;
    let mut connection = Connection::new(crew, presence, pairs).await?;
    let (sdp, _) = connection.offer(pairs).await?;
    presence.note_offer();
    let token = crew.plan.tokens.get(place.index).map(String::as_str);
    let session = crew.front.open(&url, token, sdp).await?;
    connection.take_answer(crew, presence, session.answer.clone(), None).await?;
    let kinds = crew.plan.kinds();
    presence.set_placed(wanted.iter().flat_map(|p| kinds.iter().map(|kind| stream(*p, *kind))).collect());
    let _ = leaving.wait_for(|l| *l).await;
    connection.close().await;
    session.close().await;
    Ok(())
}

/// The streams that the server says are in the slots; those of others than our publishers are no business of ours.
fn placed(crew: &Crew, room: &str, slots: &[SlotPair]) -> std::collections::BTreeSet<u32> {
    let roster = lock(&crew.roster);
    let of = |slot: &SlotPair| {
        let publisher = *roster.get(&(room.to_owned(), slot.member.0.clone()))?;
        let audio = slot.audio.map(|_| stream(publisher, MediaKind::Audio));
        let video = slot.video.map(|_| stream(publisher, MediaKind::Video));
        Some(audio.into_iter().chain(video))
    };
    slots.iter().filter(|s| !s.screen).filter_map(of).flatten().collect()
}

/// A participant's connection, of either kind.
enum Connection {
    Light {
        offer: Box<Offer>,
        version: u32,
        /// What it sends; taken with the first answer.
        sends: Option<Vec<(u32, u32, Source)>>,
        seed: u64,
    },
    #[cfg(feature = "full-clients")]
    Full(Box<full::Connection>),
}

impl Connection {
    async fn new(crew: &Arc<Crew>, presence: &Arc<Presence>, pairs: u32) -> Result<Self, Failure> {
        let place = &presence.place;
        let mut random = Random::new(u64::from(crew.run) << 32 | place.index as u64);
        let mut sends = Vec::new();
        for kind in place.publisher().map(|_| crew.plan.kinds()).unwrap_or_default() {
            let publisher = place.publisher().unwrap_or(0);
            // SSRCs of one run differ from each other, whatever the server does with them.
            let ssrc = 0x1000_0000 + stream(publisher, kind);
            if let Some(source) = crew.plan.source(publisher, kind, &mut random) {
                sends.push((stream(publisher, kind), ssrc, source));
            }
        }
        if crew.plan.kind == Kind::Full {
            return Self::full(crew, presence, sends, pairs).await;
        }
        let offer = Offer {
            ufrag: letters(&mut random, 8),
            pwd: letters(&mut random, 24),
            fingerprint: crew.identity.fingerprint_sha256(),
            sends: sends.iter().map(|(stream, ssrc, _)| (super::board::kind_of(*stream), *ssrc)).collect(),
            kinds: crew.plan.kinds(),
            pairs,
            nack: crew.plan.nack,
            transport_cc: crew.plan.transport_cc,
        };
        Ok(Self::Light { offer: Box::new(offer), version: 0, sends: Some(sends), seed: random.next_u64() })
    }

    #[cfg(feature = "full-clients")]
    async fn full(crew: &Arc<Crew>, presence: &Arc<Presence>, sends: Vec<(u32, u32, Source)>, pairs: u32) -> Result<Self, Failure> {
        let connection = full::Connection::new(crew, presence, sends, pairs).await?;
        lock(&crew.full).push((presence.place.index, connection.heard()));
        Ok(Self::Full(Box::new(connection)))
    }

    #[cfg(not(feature = "full-clients"))]
    async fn full(_: &Arc<Crew>, _: &Arc<Presence>, _: Vec<(u32, u32, Source)>, _: u32) -> Result<Self, Failure> {
        Err(Failure::new("this build has no full clients", "build it with the feature `full-clients`"))
    }

    async fn offer(&mut self, pairs: u32) -> Result<(String, Vec<PublishLine>), Failure> {
        match self {
            Self::Light { offer, version, .. } => {
                offer.pairs = pairs;
                *version += 1;
                Ok((offer.sdp(*version), offer.publish()))
            }
            #[cfg(feature = "full-clients")]
            Self::Full(connection) => connection.offer(pairs).await,
        }
    }

    async fn take_answer(&mut self, crew: &Arc<Crew>, presence: &Arc<Presence>, sdp: String, server: Option<IpAddr>) -> Result<(), Failure> {
        match self {
            Self::Light { offer, sends, seed, .. } => {
                // Later answers say nothing that a light client needs: it takes every stream that comes.
                let Some(sends) = sends.take() else { return Ok(()) };
                let answer = Answer::read(&sdp).map_err(|e| Failure::new("an answer that we do not understand", e))?;
                let joining = Joining {
                    presence: presence.clone(),
                    answer,
                    ice: (offer.ufrag.clone(), offer.pwd.clone()),
                    server,
                    sends,
                    merged: crew.plan.merged,
                    transport_cc: crew.plan.transport_cc,
                    seed: *seed,
                };
                let client = Light::new(crew.now(), joining, &crew.identity, crew.epoch)?;
                let thread = crew.threads.get(presence.place.index % crew.threads.len().max(1));
                thread.ok_or_else(|| Failure::new("no thread", ""))?.join(client);
                Ok(())
            }
            #[cfg(feature = "full-clients")]
            Self::Full(connection) => connection.take_answer(sdp).await,
        }
    }

    async fn close(&self) {
        match self {
            // Its thread says goodbye.
            Self::Light { .. } => {}
            #[cfg(feature = "full-clients")]
            Self::Full(connection) => connection.close().await,
        }
    }
}

/// Letters and digits for ICE. They guard nothing but a load test's own media from mixing with another's.
fn letters(random: &mut Random, count: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..count).map(|_| char::from(LETTERS[(random.next_u32() % 32) as usize])).collect()
}

/// A lock whose holder never panics while it holds it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
