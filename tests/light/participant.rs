//! A participant: joins as a page does, sends what it is asked to, counts what comes.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing::wire::{Event, OkResult, Request, VERSION};
use rtc::rtp::Packet;
use rtc::shared::marshal::Marshal;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use super::offer::{AUDIO_SSRC, VIDEO_SSRC, offer, publish};
use super::transport::{Server, Transport, identity};
use crate::client::{Audio, Result, Signaling, Tally, Video};

/// How long a step may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that a socket's buffer may hold; the kernel gives less where `net.core.rmem_max` says so.
const BUFFER: usize = 4 << 20;

/// What a participant sends, each so often.
#[derive(Clone, Copy, Debug)]
pub struct Sends {
    /// From audio packet to audio packet.
    pub audio: Duration,
    /// From frame to frame; a frame has several packets.
    pub video: Duration,
}

/// Who joins, and where.
#[derive(Clone, Debug)]
pub struct Wish {
    /// `ws://host:port/ws`.
    pub url: String,
    pub room: String,
    /// The number in its stamps.
    pub number: u16,
    /// Publishes microphone and camera and sends; others publish nothing.
    pub sends: Option<Sends>,
    /// Publishes both although it sends nothing.
    pub publishes: bool,
}

/// What its tasks share.
#[derive(Default)]
pub struct Shared {
    pub tally: Mutex<Tally>,
    /// Something of others came.
    pub media: Notify,
    pub has_media: AtomicBool,
    /// Whether what it sends counts.
    pub counts: AtomicBool,
    /// What it has sent that counts: audio, video.
    pub offered: [AtomicU32; 2],
    pub trouble: Mutex<Option<String>>,
}

/// A participant.
pub struct Light {
    pub number: u16,
    pub shared: Arc<Shared>,
    signaling: Signaling,
    tasks: Vec<JoinHandle<()>>,
}

impl Light {
    /// Joins and negotiates; the connection goes on by itself.
    pub async fn join(wish: Wish) -> Result<Self> {
        let (signaling, events) = Signaling::open(&wish.url).await?;
        let join = Request::join(wish.room.clone(), format!("participant {}", wish.number), None);
        // As the page does, without waiting for the welcome.
        let hello = signaling.ask(Request::Hello { versions: vec![VERSION], features: Vec::new() });
        let (_, joined) = tokio::try_join!(hello, signaling.ask(join))?;
        let Some(OkResult::Joined { pairs, .. }) = joined else { return Err("not joined".into()) };
        let lines = Lines::new(&wish);
        let server = lines.negotiate(&signaling, pairs, 0).await?;
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(server.address).await?;
        let shared = Arc::new(Shared::default());
        let transport = Transport::new(&server, &lines.ufrag);
        let mut tasks = vec![tokio::spawn(run(transport, socket, wish.clone(), shared.clone()))];
        tasks.push(tokio::spawn(follow(events, signaling.clone(), lines, pairs, shared.clone())));
        Ok(Self { number: wish.number, shared, signaling, tasks })
    }

    /// Waits for the first packet of somebody else's.
    pub async fn first_media(&self) -> Result<()> {
        let wait = async {
            while !self.shared.has_media.load(Ordering::Acquire) {
                self.shared.media.notified().await;
            }
        };
        timeout(PATIENCE, wait).await.map_err(|_| format!("participant {} has no media after {PATIENCE:?}: {:?}", self.number, self.trouble()).into())
    }

    pub fn tally<T>(&self, look: impl FnOnce(&Tally) -> T) -> T {
        look(&self.shared.tally.lock().expect("no panic while locked"))
    }

    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().expect("no panic while locked").clone()
    }

    /// Is gone without a word.
    pub fn abandon(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// Leaves the room and is gone.
    pub async fn leave(self) {
        let _ = self.signaling.ask(Request::Leave {}).await;
        self.tasks.iter().for_each(JoinHandle::abort);
        self.signaling.close().await;
    }
}

/// Its half of the negotiation.
struct Lines {
    ufrag: String,
    pwd: String,
    publishes: bool,
}

impl Lines {
    fn new(wish: &Wish) -> Self {
        let number = wish.number;
        Self { ufrag: format!("l{number:05}"), pwd: format!("light-password-of-{number:06}"), publishes: wish.publishes || wish.sends.is_some() }
    }

    async fn negotiate(&self, signaling: &Signaling, pairs: u32, version: u32) -> Result<Server> {
        let sdp = offer(&self.ufrag, &self.pwd, &identity().fingerprint_sha256(), pairs, version);
        let publish = if self.publishes { publish() } else { Vec::new() };
        match signaling.ask(Request::Offer { sdp, publish }).await? {
            Some(OkResult::Answer { sdp, .. }) => Server::read(&sdp).ok_or_else(|| "the answer names no server".into()),
            other => Err(format!("an offer was answered with {other:?}").into()),
        }
    }
}

/// Offers more pairs when the server asks for them.
async fn follow(mut events: mpsc::UnboundedReceiver<Event>, signaling: Signaling, lines: Lines, mut pairs: u32, shared: Arc<Shared>) {
    let mut version = 0;
    while let Some(event) = events.recv().await {
        let trouble = match event {
            Event::Need { pairs: wanted } if wanted > pairs => {
                (pairs, version) = (wanted, version + 1);
                lines.negotiate(&signaling, pairs, version).await.err().map(|e| e.to_string())
            }
            Event::Bye { reason } => Some(format!("the server said good bye: {reason:?}")),
            Event::Restart {} => Some("the server lost the room's media".to_owned()),
            _ => None,
        };
        if trouble.is_some() {
            *shared.trouble.lock().expect("no panic while locked") = trouble;
        }
    }
}

async fn run(mut transport: Transport, socket: UdpSocket, wish: Wish, shared: Arc<Shared>) {
    let mut sender = Sender::new(&wish);
    let mut buffer = vec![0; 2_048];
    let mut out = Vec::new();
    loop {
        transport.tick(&mut out);
        if transport.is_connected() {
            sender.send(&mut transport, &shared, &mut out);
        }
        for datagram in out.drain(..) {
            let _ = socket.send(&datagram).await;
        }
        let next = if transport.is_connected() { transport.next_tick().min(sender.next()) } else { transport.next_tick() };
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                // An error is the answer to an earlier datagram.
                let Ok(mut len) = received else { continue };
                loop {
                    if let Some(payload) = transport.take(&mut buffer[..len], &mut out) {
                        shared.tally.lock().expect("no panic while locked").take(payload);
                        if !shared.has_media.swap(true, Ordering::AcqRel) {
                            shared.media.notify_waiters();
                            shared.media.notify_one();
                        }
                    }
                    match socket.try_recv(&mut buffer) {
                        Ok(more) => len = more,
                        Err(_) => break,
                    }
                }
            }
            () = sleep_until(next.into()) => {}
        }
    }
}

/// Sends packets when they are due.
struct Sender {
    sends: Option<Sends>,
    audio: Audio,
    video: Video,
    next_audio: Instant,
    next_video: Instant,
    frames: u32,
}

impl Sender {
    fn new(wish: &Wish) -> Self {
        let now = Instant::now();
        Self {
            sends: wish.sends,
            audio: Audio::from_the_beginning(wish.number, AUDIO_SSRC),
            video: Video::from_the_beginning(wish.number, VIDEO_SSRC),
            next_audio: now,
            next_video: now,
            frames: 0,
        }
    }

    fn next(&self) -> Instant {
        if self.sends.is_some() { self.next_audio.min(self.next_video) } else { Instant::now() + Duration::from_secs(3_600) }
    }

    fn send(&mut self, transport: &mut Transport, shared: &Shared, out: &mut Vec<Vec<u8>>) {
        let Some(sends) = self.sends else { return };
        let now = Instant::now();
        let counts = shared.counts.load(Ordering::Relaxed);
        let mut seal = |packet: Packet| {
            let bytes = packet.marshal().expect("a packet");
            out.extend(transport.seal(&bytes, packet.header.ssrc));
        };
        while self.next_audio <= now {
            self.next_audio += sends.audio;
            seal(self.audio.packet(counts));
        }
        while self.next_video <= now {
            self.next_video += sends.video;
            self.frames += 1;
            // Requests are not read: whoever comes waits half a second at most.
            let key = self.frames % 15 == 1;
            self.video.frame(key, counts).for_each(&mut seal);
        }
        shared.offered[0].store(self.audio.counted(), Ordering::Relaxed);
        shared.offered[1].store(self.video.counted(), Ordering::Relaxed);
    }
}
