//! A participant: joins, negotiates, sends, counts.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing::wire::{Event, MemberId, OkResult, Request, SlotPair, VERSION};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::peer_connection::RTCPeerConnectionState;

use super::connection::Connection;
use super::media::{AUDIO_PERIOD, Audio, FRAME_PERIOD, Video};
use super::signaling::Signaling;
use super::tally::{Count, Kind, Tally};
use super::{Error, Result};

/// Who joins, where, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's socket, `ws://host:port/ws`.
    pub url: String,
    /// The room.
    pub room: String,
    /// The number in this participant's stamps; its name is made from it.
    pub number: u16,
    /// A join token, where the server wants one.
    pub token: Option<String>,
    /// Our address.
    pub address: IpAddr,
    /// Slot pairs to offer from the start, if that is more than the server asks for.
    pub pairs: u32,
}

/// What is being sent now. All participants of a call follow one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Packets flow and do not count.
    WarmUp,
    /// Packets count.
    Count,
    /// Packets flow and do not count again: a loss at the end of what counts shows only in what follows it.
    Tail,
    /// Nothing is sent any more.
    Stop,
}

/// How many packets counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offered {
    /// Of sound.
    pub audio: u32,
    /// Of pictures.
    pub video: u32,
}

/// What the server has said so far.
#[derive(Clone, Default, Debug)]
pub struct View {
    /// Who is in which slot pair.
    pub slots: Vec<SlotPair>,
    /// Offers made.
    pub offers: u32,
    /// What went wrong in answering the server's wishes.
    pub trouble: Option<String>,
}

/// What is noted when the server has lost the room's media.
const RESTART: &str = "the server lost the room's media";

/// One participant of a call.
pub struct Participant {
    /// Its identity.
    pub member: MemberId,
    /// Its number.
    pub number: u16,
    signaling: Signaling,
    connection: Arc<Connection>,
    view: Arc<Mutex<View>>,
    offered: Arc<[AtomicU32; 2]>,
    tasks: Vec<JoinHandle<()>>,
}

impl Participant {
    /// Joins, publishes and is connected.
    ///
    /// # Errors
    /// When any step fails or takes longer than 20 s.
    pub async fn join(settings: &Settings, phase: watch::Receiver<Phase>) -> Result<Self> {
        let (signaling, events) = Signaling::open(&settings.url).await?;
        let (member, pairs) = enter(&signaling, settings).await?;
        let pairs = pairs.max(settings.pairs);
        let connection = Arc::new(Connection::new(settings.address, settings.number, pairs).await?);
        let view = Arc::new(Mutex::new(View::default()));
        negotiate(&signaling, &connection, &view).await?;
        let mut participant = Self {
            member,
            number: settings.number,
            signaling: signaling.clone(),
            connection: Arc::clone(&connection),
            view: Arc::clone(&view),
            offered: Arc::default(),
            tasks: Vec::new(),
        };
        participant.tasks.push(tokio::spawn(follow(events, signaling, Arc::clone(&connection), pairs, view)));
        participant.connected().await?;
        participant.send(phase);
        Ok(participant)
    }

    /// Whether the server has said that the connection is lost and another one is to be made.
    pub fn is_told_to_restart(&self) -> bool {
        self.view().trouble.is_some_and(|trouble| trouble.contains(RESTART))
    }

    /// Makes another connection in the same session, as it is told to.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn restart(mut self, settings: &Settings, phase: watch::Receiver<Phase>) -> Result<Self> {
        self.tasks.drain(..).for_each(|task| task.abort());
        self.connection = Arc::new(Connection::new(settings.address, settings.number, settings.pairs).await?);
        *self.view.lock().expect("no panic while locked") = View::default();
        negotiate(&self.signaling, &self.connection, &self.view).await?;
        self.connected().await?;
        self.send(phase);
        Ok(self)
    }

    /// What came of `publisher`'s `kind`.
    pub fn count(&self, publisher: u16, kind: Kind) -> Count {
        self.tally(|t| t.count(publisher, kind))
    }

    /// Looks at everything that was counted.
    pub fn tally<T>(&self, look: impl FnOnce(&Tally) -> T) -> T {
        look(&self.connection.tally.lock().expect("no panic while locked"))
    }

    /// How much was sent that counts. Final once the phase is past [`Phase::Count`] for a frame's time.
    pub fn offered(&self) -> Offered {
        let [audio, video] = &*self.offered;
        Offered { audio: audio.load(Ordering::Relaxed), video: video.load(Ordering::Relaxed) }
    }

    /// How often the server has asked for a key frame.
    pub fn key_frames_asked(&self) -> u32 {
        self.connection.asked.load(Ordering::Relaxed)
    }

    /// What the server has said so far.
    pub fn view(&self) -> View {
        self.view.lock().expect("no panic while locked").clone()
    }

    /// The signaling socket.
    pub fn signaling(&self) -> &Signaling {
        &self.signaling
    }

    /// Leaves the room and closes everything.
    pub async fn leave(self) {
        let _ = self.signaling.ask(Request::Leave {}).await;
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connection.close().await;
        self.signaling.close().await;
    }

    async fn connected(&self) -> Result<()> {
        let mut state = self.connection.state.clone();
        let up = state.wait_for(|s| matches!(s, RTCPeerConnectionState::Connected | RTCPeerConnectionState::Failed));
        let reached = *tokio::time::timeout(Duration::from_secs(20), up).await.map_err(|_| "not connected after 20 s")??;
        if reached == RTCPeerConnectionState::Connected { Ok(()) } else { Err("the connection failed".into()) }
    }

    fn send(&mut self, phase: watch::Receiver<Phase>) {
        let (connection, offered) = (Arc::clone(&self.connection), Arc::clone(&self.offered));
        self.tasks.push(tokio::spawn(send_video(self.number, connection, phase.clone(), offered)));
        let (connection, offered) = (Arc::clone(&self.connection), Arc::clone(&self.offered));
        self.tasks.push(tokio::spawn(send_audio(self.number, connection, phase, offered)));
    }
}

/// Says hello and joins; returns who we are, and how many slot pairs the server wants to be offered.
async fn enter(signaling: &Signaling, settings: &Settings) -> Result<(MemberId, u32)> {
    signaling.ask(Request::Hello { versions: vec![VERSION], features: Vec::new() }).await?;
    let name = format!("participant {}", settings.number);
    let join = Request::join(settings.room.clone(), name, settings.token.clone());
    match signaling.ask(join).await? {
        Some(OkResult::Joined { me, pairs, .. }) => Ok((me.member, pairs)),
        other => Err(format!("join was answered with {other:?}").into()),
    }
}

async fn negotiate(signaling: &Signaling, connection: &Connection, view: &Mutex<View>) -> Result<()> {
    let (sdp, publish) = connection.offer().await?;
    match signaling.ask(Request::Offer { sdp, publish }).await? {
        Some(OkResult::Answer { sdp, .. }) => {
            view.lock().expect("no panic while locked").offers += 1;
            connection.take_answer(sdp).await
        }
        other => Err(format!("an offer was answered with {other:?}").into()),
    }
}

/// Does what the server asks for, and remembers what it says.
async fn follow(
    mut events: mpsc::UnboundedReceiver<Event>, signaling: Signaling, connection: Arc<Connection>, mut pairs: u32, view: Arc<Mutex<View>>,
) {
    while let Some(event) = events.recv().await {
        let done = match event {
            Event::Slots { slots } => {
                view.lock().expect("no panic while locked").slots = slots;
                Ok(())
            }
            Event::Need { pairs: wanted } if wanted > pairs => {
                let more = wanted - pairs;
                pairs = wanted;
                grow(&signaling, &connection, more, &view).await
            }
            Event::Bye { reason } => Err(Error::from(format!("the server said good bye: {reason:?}"))),
            Event::Restart {} => Err(Error::from(RESTART)),
            _ => Ok(()),
        };
        if let Err(error) = done {
            view.lock().expect("no panic while locked").trouble = Some(error.to_string());
        }
    }
}

async fn grow(signaling: &Signaling, connection: &Connection, more: u32, view: &Mutex<View>) -> Result<()> {
    connection.add_pairs(more).await?;
    negotiate(signaling, connection, view).await
}

/// Participants send at different moments: ten frames in one millisecond would be a burst that no call has.
fn first(number: u16, period: Duration) -> Instant {
    Instant::now() + period.mul_f64(f64::from(number % 10) / 10.0)
}

async fn send_video(number: u16, connection: Arc<Connection>, phase: watch::Receiver<Phase>, offered: Arc<[AtomicU32; 2]>) {
    let mut video = Video::new(number, connection.video.ssrc);
    let mut clock = interval_at(first(number, FRAME_PERIOD), FRAME_PERIOD);
    // Different from the number of requests at first: the first frame is a key frame.
    let mut answered = u32::MAX;
    loop {
        clock.tick().await;
        let now = *phase.borrow();
        if now == Phase::Stop {
            return;
        }
        let asked = connection.asked.load(Ordering::Relaxed);
        let key = asked != answered;
        answered = asked;
        for packet in video.frame(key, now == Phase::Count) {
            if connection.video.track.write_rtp(packet).await.is_err() {
                return;
            }
        }
        offered[1].store(video.counted(), Ordering::Relaxed);
    }
}

async fn send_audio(number: u16, connection: Arc<Connection>, phase: watch::Receiver<Phase>, offered: Arc<[AtomicU32; 2]>) {
    let mut audio = Audio::new(number, connection.audio.ssrc);
    let mut clock = interval_at(first(number, AUDIO_PERIOD), AUDIO_PERIOD);
    loop {
        clock.tick().await;
        let now = *phase.borrow();
        if now == Phase::Stop || connection.audio.track.write_rtp(audio.packet(now == Phase::Count)).await.is_err() {
            return;
        }
        offered[0].store(audio.counted(), Ordering::Relaxed);
    }
}
