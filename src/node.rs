//! A node: the only place that knows every room. What is started in which order, what is wired to what, and how it ends.
//!
//! Start: addresses → certificate → workers → metrics → library with its jobs → events → recorder → rooms → dispatch of workers' events → listeners.
//! Whoever is told to listen listens before the node says that it is ready.
//!
//! | channel | from → to | where its capacity is argued |
//! |---|---|---|
//! | commands, events, reports | rooms ↔ workers | [`crate::port`] |
//! | tap rings; mail; jobs of the disk | workers → recorder; rooms → recorder; its threads → the disk | [`crate::port`], [`crate::record`] |
//! | letters, media events | sockets, dispatch → a room | [`crate::control::rooms::actor`] |
//! | letters | sockets → a lobby | [`crate::control::calls::actor`] |
//! | outbox | a room → a socket | `control::signaling::outbox` |
//! | mapped addresses | dispatch → whoever asks STUN servers | [`reflexive`] |

mod addresses;
pub mod beforehand;
pub mod doctor;
mod life;
mod listeners;
pub mod logs;
mod reflexive;
mod relay;
#[cfg(feature = "otel")]
mod traces;
mod workers;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::config::{AllowedOrigins, CallPolicy, CertificateSource, Config};
use crate::contract::WorkerReport;
use crate::control::auth::Access;
use crate::control::calls::{self, Lobbies};
use crate::control::dispatch;
use crate::control::draw;
use crate::control::egress::{Egress, Outlets};
use crate::control::events::{Deliveries, Events, follow_jobs};
use crate::control::http::{Beside, Public};
use crate::control::p2p::{self, IceServers};
use crate::control::rooms::directory::{Settlement, WorkerAccess};
use crate::control::rooms::{Directory, Rules};
use crate::control::signaling::Front;
use crate::control::trace::Tracer;
use crate::metrics::{Metrics, ReadReport};
use crate::port::{RelayUsers, ReportSlot, WorkerHandle, events};
use crate::record::jobs::Jobs;
use crate::record::library::Library;
use crate::record::store::Store;
use crate::record::{Recorder, WorkerTap};
use crate::tls::{self, TlsError};
use crate::wire::Policy;

/// Mixdowns of which nobody has heard yet: they take minutes each.
const MIXDOWNS: usize = 16;
/// How long sockets may take to hear that the node ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// A running node. Dropping it leaves its tasks running; end it with [`Node::shut_down`].
pub struct Node {
    /// Where the public listener listens.
    pub http: SocketAddr,
    /// Where the private listener listens.
    pub admin: SocketAddr,
    /// Where plain requests are sent to HTTPS, if a listener does that.
    pub redirect: Option<SocketAddr>,
    /// Where clients are told that media is heard, worker by worker.
    pub media: Vec<SocketAddr>,
    rooms: Directory,
    lobbies: Lobbies,
    recorder: Option<Recorder>,
    library: Option<Library>,
    events: Option<Events>,
    deliveries: Option<Deliveries>,
    #[cfg(feature = "otel")]
    traces: Option<traces::Traces>,
    /// Says when nothing more will happen.
    telling: watch::Sender<bool>,
    public: Public,
    /// Has the certificate looked at again, where there is one.
    look: Option<tls::Look>,
    asked: Vec<Asked>,
    ready: watch::Sender<bool>,
    closing: watch::Sender<bool>,
}

/// A worker, and what it had said when it was last asked.
struct Asked {
    inbox: WorkerHandle,
    report: ReportSlot,
    before: Arc<WorkerReport>,
}

impl Asked {
    fn answers(&mut self) -> bool {
        let latest = self.report.latest();
        let answers = !Arc::ptr_eq(&latest, &self.before);
        self.before = latest;
        self.inbox.ask();
        answers
    }
}

/// Why a node cannot start.
#[derive(Debug)]
pub struct StartError {
    what: String,
    advice: String,
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self { what: format!("TLS: {}", error.what), advice: error.advice }
    }
}

pub use life::run;

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// When an address cannot be listened on, there is none for media or no certificate; the text says which setting to change.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let epoch = Instant::now();
        beforehand::trust(&config, tls::trusts_anybody)?;
        let access = Access::new(config.auth.clone(), config.limits.name_bytes);
        let development = access.development();
        let mut addresses =
            addresses::of_media(&config.media, development).map_err(|advice| StartError { what: "no address for media".into(), advice })?;
        if let Some(server) = &config.media.stun_server {
            let seen = reflexive::at_start(server, &addresses.bound, config.media.port).await;
            addresses = addresses.with_seen(seen);
        }
        let questions: Option<[u8; 8]> = config.media.stun_server.as_ref().map(|_| draw::bytes());
        let opened = config.tls.as_ref().map(|tls| tls::open(tls, &addresses::of_machine(&config.media))).transpose()?;
        let (certificates, upkeep) = opened.unzip();
        let look = upkeep.as_ref().map(tls::Upkeep::look);
        let (event_sender, event_receiver) = events();
        let users = Arc::new(RelayUsers::new(config.turn.as_ref().map_or(0, |turn| turn.user_allocations), config.ice.credential_lifetime));
        let relay = config.turn.clone().map(|turn| relay::OwnRelay::new(turn, certificates.as_ref(), users.clone()));
        let sessions = config.whip_out.as_ref().map_or(0, |whip_out| whip_out.sessions);
        let mut fleet =
            workers::start(&config.media, (relay.as_ref(), config.recording.is_some(), sessions), &addresses, &event_sender, epoch, questions)?;
        let server = config.media.stun_server.clone().zip(questions);
        let watch = server.map(|(server, begin)| reflexive::Watch::new(server, begin, &mut fleet.workers, &addresses));
        let media = fleet.workers.iter().flat_map(|worker| worker.candidates.clone()).collect();
        let taps = fleet.workers.iter_mut().filter_map(|worker| worker.tap.take()).collect();
        let reports = fleet.workers.iter().map(|w| (w.id, reader(w.report.clone()))).collect();
        let metrics = Metrics::new(reports).map_err(|e| StartError { what: "metrics".into(), advice: e.to_string() })?;
        let library = open_library(&config, &metrics)?;
        let events = open_events(&config, &metrics)?;
        tell_of_jobs(library.as_ref(), events.as_ref());
        let recorder = start_recorder(&config, taps, epoch, library.clone(), &metrics)?;
        let asked = fleet.workers.iter().map(|w| Asked { inbox: w.inbox.clone(), report: w.report.clone(), before: w.report.latest() }).collect();
        let gauges = fleet.workers.iter().map(|w| (w.id, w.report.clone())).collect();
        let relay_addresses = fleet.workers.first().map(|worker| worker.relay.clone()).unwrap_or_default();
        let inboxes = fleet.workers.iter().map(|worker| worker.inbox.clone()).collect();
        let beside = relay.as_ref().filter(|relay| relay.is_beside_pages()).map(|_| Beside::new(inboxes));
        let named = match &config.tls {
            Some(tls) => tls::name(tls).await,
            None => None,
        };
        let relay = relay.map(|relay| {
            let sealed = relay.sealed_url(named.as_deref());
            // Browsers do not ask anybody whether they trust a relay: one with a self-made certificate would help nobody.
            let made = config.tls.as_ref().is_some_and(|tls| matches!(tls.source, CertificateSource::Development { .. }));
            if sealed.is_none() && !made && config.tls.is_some() && relay.config.tls_port.is_some() {
                tracing::warn!("clients are told no relay behind TLS: the certificate is for no name; set turn.host to one that it is for");
            }
            p2p::OwnRelay { addresses: relay_addresses, sealed, secret: relay.secret }
        });
        let egress = open_egress(&config, &fleet, &addresses)?;
        let stun_addresses = fleet.workers.first().map(|worker| worker.candidates.clone()).unwrap_or_default();
        let rooms = Directory::new(Settlement {
            most: config.rooms.max,
            rules: rules(&config),
            fingerprint: fleet.fingerprint,
            workers: fleet.workers.into_iter().map(|w| WorkerAccess { inbox: w.inbox, candidates: w.candidates }).collect(),
            epoch,
            metrics: metrics.control.clone(),
            relay_users: users,
            recorder: recorder.clone(),
            library: library.clone(),
            events: events.clone(),
            kept: config.kept,
        });
        let (mapped, answers) = mpsc::channel(reflexive::ANSWERS);
        tokio::spawn(dispatch::run(event_receiver, rooms.clone(), mapped));
        let (ready, ready_seen) = watch::channel(false);
        let (closing, closing_seen) = watch::channel(false);
        tokio::spawn(workers::measure(gauges, rooms.clone(), closing_seen.clone()));
        let lobbies = Lobbies::new(config.calls.lobbies, lobby_rules(&config), access.clone(), epoch, metrics.control.clone());
        #[cfg(feature = "otel")]
        let (traces, tracer) = config.otel.as_ref().map(traces::Traces::open).transpose()?.unzip();
        #[cfg(feature = "otel")]
        let tracer: Tracer = tracer.unwrap_or_default();
        #[cfg(not(feature = "otel"))]
        let tracer = Tracer;
        let front = Arc::new(Front {
            direct: config.rooms.policy != CallPolicy::Sfu,
            data: config.data,
            library: library.clone(),
            egress,
            ice: IceServers::new(&config.ice, &stun_addresses, relay),
            rooms: rooms.clone(),
            lobbies: lobbies.clone(),
            access,
            limits: config.limits.clone(),
            heartbeat: config.http.heartbeat,
            resume: config.rooms.resume,
            tracer,
            closing: closing_seen.clone(),
        });
        if let Some(library) = library.clone() {
            if let Some(store) = library.store().cloned() {
                tokio::spawn(store.run(library.clone(), closing_seen.clone()));
            }
            tokio::spawn(library.run(closing_seen.clone()));
        }
        let (telling, telling_seen) = watch::channel(false);
        let deliveries = match (&config.events, &events) {
            (Some(kept), Some(events)) => Some(events.deliver(kept, &telling_seen).map_err(|error| no_events(&kept.folder, &error))?),
            _ => None,
        };
        if let Some(watch) = watch {
            let (rooms, front) = (rooms.clone(), front.clone());
            let tell = move |candidates: Vec<Vec<SocketAddr>>| {
                front.ice.found_at(candidates.first().map_or(&[], Vec::as_slice));
                rooms.found_at(candidates);
            };
            tokio::spawn(watch.run(answers, reflexive::Times::default(), tell, closing_seen.clone()));
        }
        let public = Public {
            front,
            origins: if development { AllowedOrigins::Any } else { config.http.origins.clone() },
            secure: certificates.is_some(),
            ready: ready_seen.clone(),
            sockets: Arc::default(),
        };
        let listeners = listeners::open(&config).await?;
        let at = listeners.bound();
        listeners.serve(&config, &public, certificates, beside, metrics, rooms.clone(), &closing_seen)?;
        if let Some(upkeep) = upkeep {
            tokio::spawn(upkeep.run(closing_seen));
        }
        ready.send_replace(true);
        listeners::announce(&config, at, &addresses.announced, development);
        Ok(Self {
            http: at.http,
            admin: at.admin,
            redirect: at.redirect,
            media,
            rooms,
            lobbies,
            recorder,
            library,
            events,
            deliveries,
            #[cfg(feature = "otel")]
            traces,
            telling,
            public,
            look,
            asked,
            ready,
            closing,
        })
    }

    /// Makes the dispatch of a room fail on its home worker, on purpose: for the tests of what comes after it.
    ///
    /// # Panics
    /// When there is no such room.
    #[cfg(feature = "fault-hooks")]
    pub fn break_room(&self, name: &str) {
        assert!(self.rooms.break_room(name), "there is a room of this name");
    }

    /// Lets the node run dry: it is not ready any more, no room begins, and members are told that it ends after `within`. Lobbies end at once.
    pub async fn drain(&self, within: Duration) {
        self.ready.send_replace(false);
        self.lobbies.shut_down().await;
        self.rooms.drain(within).await;
    }

    /// Takes up keys and secrets of settings that were read again; nothing else of them. Who is inside stays inside, and what goes on goes on.
    ///
    /// # Errors
    /// Why the keys stay as they were: all of them.
    pub fn take_up(&self, config: &Config) -> Result<(), String> {
        self.public.front.access.take_up(config.auth.clone())?;
        self.public.front.ice.take_up(config.ice.secret.as_ref());
        if let (Some(deliveries), Some(events)) = (&self.deliveries, &config.events) {
            deliveries.take_up(&events.webhooks.secrets);
        }
        if let (Some(store), Some(s3)) = (self.library.as_ref().and_then(Library::store), &config.s3) {
            store.take_up(s3);
        }
        Ok(())
    }

    /// Looks at the certificate again; none where there is none to be looked at.
    pub async fn look_at_certificate(&self) -> Option<tls::Looked> {
        self.look.as_ref()?.now().await
    }

    /// Whether no room is left.
    pub fn is_empty(&self) -> bool {
        self.rooms.count() == 0
    }

    /// Whether every worker has reported since this was last called; each is asked to, for the next time.
    pub fn answers(&mut self) -> bool {
        self.asked.iter_mut().map(Asked::answers).filter(|answers| !answers).count() == 0
    }

    /// Ends the node: nobody new is taken, everybody is told, sockets get a moment to hear it.
    pub async fn shut_down(self) {
        self.ready.send_replace(false);
        self.lobbies.shut_down().await;
        self.rooms.shut_down().await;
        if let Some(recorder) = &self.recorder {
            recorder.settled().await;
        }
        self.closing.send_replace(true);
        let silence = async {
            while self.public.open_sockets() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(FAREWELL, silence).await.is_err() {
            tracing::warn!(sockets = self.public.open_sockets(), "some sockets did not close in time");
        }
        if let Some(egress) = &self.public.front.egress {
            egress.ended().await;
        }
        if let Some(library) = &self.library {
            library.close();
        }
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.end().await;
        }
        self.end_events().await;
    }

    /// What has happened is on the disk, and told as far as receivers take it within a moment.
    async fn end_events(self) {
        let Some(events) = &self.events else { return };
        let over = async {
            while !self.rooms.is_settled() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        // A room that does not end in time is closed by the next node here.
        let _ = timeout(FAREWELL, over).await;
        events.flush().await;
        self.telling.send_replace(true);
        if let Some(deliveries) = self.deliveries {
            deliveries.ended().await;
        }
    }
}

fn open_library(config: &Config, metrics: &Metrics) -> Result<Option<Library>, StartError> {
    let Some(library) = &config.library else { return Ok(None) };
    let refused = |error| no_folder(&library.folder, &error);
    let store = config.s3.as_ref().map(|s3| Store::new(s3, &library.folder, library.minimum_free, metrics.store.clone()));
    let store = store
        .transpose()
        .map_err(|trouble| StartError { what: format!("the bucket cannot be used: {trouble}"), advice: "`althing doctor` tries it out".into() })?;
    let opened = Library::open_with(library, store.clone(), metrics.library.clone()).map_err(refused)?;
    let jobs = Jobs::start(&config.jobs, &library.folder, library.minimum_free, metrics.jobs.clone()).map_err(refused)?;
    store.into_iter().for_each(|store| jobs.bring_from(store));
    opened.make_with(jobs);
    Ok(Some(opened))
}

fn open_egress(config: &Config, fleet: &workers::Fleet, addresses: &addresses::Addresses) -> Result<Option<Egress>, StartError> {
    let Some(whip_out) = &config.whip_out else { return Ok(None) };
    let ports = fleet.workers.iter().map(|worker| worker.outlets.clone()).collect();
    let outlets = Outlets { bound: addresses.bound.clone(), announced: addresses.announced.clone(), ports };
    let refused =
        |why| StartError { what: format!("no client for other servers: {why}"), advice: "this is a fault of the program; please report it".into() };
    Egress::new(whip_out.clone(), outlets, addresses.announced.clone()).map(Some).map_err(refused)
}

fn open_events(config: &Config, metrics: &Metrics) -> Result<Option<Events>, StartError> {
    let Some(events) = &config.events else { return Ok(None) };
    Events::open(events, metrics.events.clone()).map(Some).map_err(|error| no_events(&events.folder, &error))
}

/// What is made of recordings is said where events are kept.
fn tell_of_jobs(library: Option<&Library>, events: Option<&Events>) {
    let (Some(jobs), Some(events)) = (library.and_then(Library::jobs), events.cloned()) else { return };
    let (told, made) = mpsc::channel(MIXDOWNS);
    jobs.tell(told);
    tokio::spawn(follow_jobs(made, events));
}

fn no_events(folder: &Path, error: &io::Error) -> StartError {
    StartError {
        what: format!("events cannot be kept in {}: {error}", folder.display()),
        advice: "choose a directory that this process may write to with `--set events.folder=DIRECTORY`, and that no other node uses".into(),
    }
}

fn start_recorder(
    config: &Config, taps: Vec<WorkerTap>, epoch: Instant, library: Option<Library>, metrics: &Metrics,
) -> Result<Option<Recorder>, StartError> {
    let Some(recording) = &config.recording else { return Ok(None) };
    let started = Recorder::start(recording, taps, epoch, library, metrics.record.clone()).map_err(|error| no_folder(&recording.folder, &error))?;
    Ok(Some(started))
}

fn no_folder(folder: &Path, error: &io::Error) -> StartError {
    StartError {
        what: format!("recordings cannot go to {}: {error}", folder.display()),
        advice: "choose a directory that this process may write to with `--set recording.folder=DIRECTORY`, and that no other node uses".into(),
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        members: config.rooms.members,
        grace: config.rooms.grace,
        resume: config.rooms.resume,
        history: config.rooms.history,
        last_n: config.rooms.last_n,
        voices: config.rooms.voices,
        policy: match config.rooms.policy {
            CallPolicy::Auto => Policy::Auto,
            CallPolicy::P2p => Policy::P2p,
            CallPolicy::Sfu => Policy::Sfu,
        },
        return_after: config.rooms.return_after,
        chat_bytes: config.limits.chat_bytes as usize,
        mlines: config.limits.mlines as usize,
        spread_from: usize::from(config.media.spread_from),
        tcp: config.media.takes_tcp(),
        data: config.data.limits,
        data_channels: config.data.channels,
        tracks: config.rooms.tracks.into(),
        publish_kbps: config.rooms.publish_kbps,
        library_mib: config.library.as_ref().and_then(|library| library.room_mib),
        metadata_bytes: config.limits.metadata_bytes as usize,
    }
}

fn lobby_rules(config: &Config) -> calls::Rules {
    calls::Rules {
        people: config.calls.people,
        ring: config.calls.ring,
        grace: config.calls.grace,
        calls_per_minute: config.calls.per_minute,
        idle: config.rooms.grace,
    }
}

fn reader(slot: crate::port::ReportSlot) -> ReadReport {
    Box::new(move || slot.latest())
}
