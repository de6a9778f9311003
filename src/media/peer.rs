//! One participant's connection as a room sees it: how it is reached, what it sends, what it is sent.

use std::collections::VecDeque;

use crate::base::prefetch::prefetch;
use crate::base::random::Random;
use crate::base::{Bitrate, Ntp, PeerId, Time};
use crate::contract::{CodecPlan, Feedback, MediaPlan, Quality, ReceivePlan, SecurityPlan, SrtpKeys, TransportPlan};
use crate::media::pace::Link;
use crate::media::packet::twcc::Arrivals;
use crate::media::publish::allowance::Allowance;
use crate::media::publish::stream::Stream;
use crate::media::route::leg::Leg;
use crate::media::route::origins::Origins;
use crate::media::route::queue::PaceQueue;
use crate::media::route::way::Way;
use crate::media::select::Patience;
use crate::media::transport::ice::checks::IceChecks;
use crate::media::transport::{DtlsTransport, IceLite, Path, SctpTransport, SrtcpReceiver, SrtcpSender, SrtpError, SrtpReceiver, SrtpSender};
use crate::media::watch::Watch;

mod binding;

use binding::declared;

/// Lines of a leg's memory that a forward touches, its first ones.
const LEG_LINES: usize = 8;
/// The same of a link, when something was sent.
const LINK_LINES: usize = 5;
/// m-lines of a peer at most: indices are below this.
pub const MOST_MLINES: usize = 64;
/// Where an estimate begins. More overflows slow links at the beginning, less shows small pictures for longer; the first probes go
/// to three and to six times as much.
const START: Bitrate = Bitrate::kbps(800);
/// What a subscriber may be sent of whom nothing is known.
pub const UNLIMITED: Bitrate = Bitrate::bps(u64::MAX / 256);
/// In `by_track`: the track goes to none.
const NO_LEG: u8 = u8::MAX;
/// What an association of the DTLS library's holds beside our own, in bytes; it does not say, this was measured.
const ASSOCIATION: usize = 11 * 1_024;
/// DTLS datagrams that wait for their turn at most; a whole flight of a browser is five.
const MOST_WAITING_DTLS: usize = 16;
/// As many with data of a peer that has data channels: what SCTP sends at once.
const MOST_WAITING_DATA: usize = 64;
/// The first byte of a DTLS record with application data (RFC 6347 section 4.1).
const APPLICATION_DATA: u8 = 23;

/// A connection. What a forward touches comes first and lies together.
#[repr(C)]
pub struct Peer {
    /// Its keys.
    pub srtp: Option<Box<Srtp>>,
    /// Its subscriptions.
    pub legs: Vec<Leg>,
    /// For each track of the room: the leg that it goes to, or [`NO_LEG`].
    by_track: Vec<u8>,
    /// The next transport-wide sequence number towards it.
    pub transport_cc: u16,
    /// Congestion control towards it, when it says what it receives.
    pub link: Option<Box<Link>>,
    /// What it was sent, while much of that gets lost.
    pub origins: Option<Box<Origins>>,
    /// Pictures that wait for their turn.
    pub queue: PaceQueue,
    /// How it is reached.
    pub ice: IceLite,
    /// Its identity.
    pub id: PeerId,
    /// How it is secured, until keys are known and after (retransmitted flights, close).
    pub dtls: Option<Box<DtlsTransport>>,
    /// Its data channels, where they are negotiated.
    pub data: Option<Box<SctpTransport>>,
    /// Whether the handshake has begun.
    pub handshake_started: bool,
    /// What negotiation settled about what it sends; what it is sent is each leg's own.
    pub plan: MediaPlan,
    /// The SSRCs it sends, sorted.
    pub streams: Vec<Stream>,
    /// The track on each of its sending m-lines: index in the room.
    pub published: [Option<u16>; MOST_MLINES],
    /// What it may send, where that is bounded.
    pub allowance: Option<Box<Allowance>>,
    /// Transport-wide arrivals from it, not reported yet.
    pub arrivals: Option<Box<Arrivals>>,
    /// When feedback about them is due.
    pub feedback_due: Option<Time>,
    /// When missing packets are to be asked for.
    pub nack_due: Option<Time>,
    /// When its legs wish for key frames again.
    pub wish_due: Time,
    /// When what it gets of each picture is to be worked out anew.
    pub select_due: Time,
    /// For which estimate that was done last.
    pub selected_for: Bitrate,
    /// When that was done last.
    pub selected_at: Time,
    /// When its link has something to do: what waits may be sent, a probe is due, a report has come.
    pub link_due: Option<Time>,
    /// How long that waits.
    pub patience: Patience,
    /// What control was last told that it is sent.
    pub quality_told: Vec<Quality>,
    /// When the next sender and receiver reports are due.
    pub report_due: Time,
    /// Round trip time, from its receiver reports, in microseconds.
    pub rtt: Option<u32>,
    /// When a receiver that sends nothing said what its clock shows, and who it is there.
    pub reference_time: Option<(u32, Ntp, Time)>,
    /// The checks of a connection that this node has begun.
    pub checks: Option<Box<IceChecks>>,
    /// How it does.
    pub watch: Watch,
    /// Our wall clock minus its NTP clock, in microseconds, from its first sender report.
    pub clock_offset: Option<i64>,
    waiting_dtls: VecDeque<Vec<u8>>,
    fir_number: u8,
    memory: PeerMemory,
}

/// What a peer held when it was last looked at, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerMemory {
    /// Its legs.
    pub legs: u32,
    /// Its DTLS.
    pub handshake: u32,
    /// All the rest.
    pub rest: u32,
}

/// SRTP and SRTCP of a connection, both ways.
pub struct Srtp {
    /// Opens RTP.
    pub receiver: SrtpReceiver,
    /// Seals RTP.
    pub sender: SrtpSender,
    /// Opens RTCP.
    pub rtcp_receiver: SrtcpReceiver,
    /// Seals RTCP.
    pub rtcp_sender: SrtcpSender,
}

impl Srtp {
    /// Expands the keys, once.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn new(keys: &SrtpKeys) -> Result<Self, SrtpError> {
        Ok(Self {
            receiver: SrtpReceiver::from_keys(keys)?,
            sender: SrtpSender::from_keys(keys)?,
            rtcp_receiver: SrtcpReceiver::from_keys(keys)?,
            rtcp_sender: SrtcpSender::from_keys(keys)?,
        })
    }
}

/// A peer's legs, and what they need of its connection to send.
pub struct Downlink<'a> {
    legs: &'a mut [Leg],
    by_track: &'a [u8],
    way: Way<'a>,
    /// Pictures that wait for their turn.
    pub queue: &'a mut PaceQueue,
    wish_due: &'a mut Time,
}

impl<'a> Downlink<'a> {
    /// The leg that a track of the room goes to.
    pub fn leg_of(&mut self, track: usize) -> Option<(&mut Leg, &mut Way<'a>)> {
        let leg = self.by_track.get(track).copied().filter(|leg| *leg != NO_LEG)?;
        self.leg(leg.into())
    }

    /// A leg by its place.
    pub fn leg(&mut self, leg: usize) -> Option<(&mut Leg, &mut Way<'a>)> {
        Some((self.legs.get_mut(leg)?, &mut self.way))
    }

    /// The places of all legs.
    pub const fn places(&self) -> std::ops::Range<usize> {
        0..self.legs.len()
    }

    /// Whether a picture's packet may leave now; those that wait go first.
    pub fn may_send(&mut self, now: Time) -> bool {
        self.way.link.as_mut().is_none_or(|link| link.pacer().is_ready(now))
    }

    /// How much waits, and for how long, so that the rate may rise with it.
    pub fn tell_waiting(&mut self, now: Time) {
        if let Some(link) = &mut self.way.link {
            link.pacer().queued(self.queue.bytes(), self.queue.oldest(now));
        }
    }

    /// Too much waits: nothing of it will be sent, and pictures begin anew, with key frames that are asked for in the peer's next turn.
    pub fn give_up(&mut self, now: Time) {
        self.queue.clear();
        self.legs.iter_mut().filter(|leg| leg.is_paced()).for_each(Leg::begin_anew);
        *self.wish_due = now;
    }

    /// Whether another source, or another encoding, has begun on any leg.
    pub const fn has_begun(&self) -> bool {
        self.way.begun
    }
}

impl Peer {
    /// A connection that nothing has come from yet. `dtls` is what the plan's security asks for.
    pub fn new(now: Time, id: PeerId, transport: TransportPlan, dtls: Option<Box<DtlsTransport>>) -> Self {
        let srtp = match &transport.security {
            SecurityPlan::Keys(keys) => Srtp::new(keys).ok().map(Box::new),
            SecurityPlan::Dtls { .. } => None,
        };
        Self {
            id,
            ice: IceLite::new(transport.ice),
            dtls,
            data: None,
            checks: None,
            handshake_started: false,
            srtp,
            plan: MediaPlan::default(),
            streams: Vec::new(),
            published: [None; MOST_MLINES],
            legs: Vec::new(),
            by_track: Vec::new(),
            transport_cc: 0,
            link: None,
            queue: PaceQueue::default(),
            allowance: None,
            arrivals: None,
            feedback_due: None,
            nack_due: None,
            wish_due: now,
            select_due: Time::NEVER,
            selected_for: Bitrate::default(),
            selected_at: Time::ZERO,
            origins: None,
            link_due: None,
            patience: Patience::default(),
            quality_told: Vec::new(),
            report_due: now,
            fir_number: 0,
            rtt: None,
            reference_time: None,
            watch: Watch::new(now),
            clock_offset: None,
            waiting_dtls: VecDeque::new(),
            memory: PeerMemory::default(),
        }
    }

    /// What it held when it was last looked at.
    pub const fn memory(&self) -> PeerMemory {
        self.memory
    }

    /// Looks at what it holds. With many legs that is some microseconds: once a second, in its own turn.
    pub fn measure(&mut self) {
        let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let legs = self.legs.capacity() * size_of::<Leg>() + self.legs.iter().map(Leg::memory).sum::<usize>();
        let plan = self.plan.receive.iter().map(|l| size_of::<ReceivePlan>() + l.codecs.capacity() * size_of::<CodecPlan>()).sum::<usize>();
        let streams = self.streams.capacity() * size_of::<Stream>() + self.streams.iter().map(|s| s.holes.memory()).sum::<usize>();
        let arrivals = self.arrivals.as_ref().map_or(0, |a| size_of::<Arrivals>() + a.memory());
        let srtp = self.srtp.as_ref().map_or(0, |_| size_of::<Srtp>());
        let link = self.link.as_ref().map_or(0, |l| size_of::<Link>() + l.memory()) + self.queue.memory();
        let waiting = self.waiting_dtls.iter().map(Vec::capacity).sum::<usize>();
        let data = self.data.as_ref().map_or(0, |d| d.memory());
        let allowance = self.allowance.as_ref().map_or(0, |_| size_of::<Allowance>());
        let association = self.dtls.as_ref().map_or(0, |d| size_of::<DtlsTransport>() + if d.has_association() { ASSOCIATION } else { 0 });
        self.memory = PeerMemory {
            legs: bytes(legs),
            handshake: bytes(association + waiting),
            rest: bytes(size_of::<Peer>() + plan + streams + arrivals + srtp + link + data + allowance + self.by_track.capacity()),
        };
    }

    /// Where to send, if it may be sent to at all (RFC 7675).
    pub fn path(&self) -> Option<Path> {
        if self.ice.may_send() { self.ice.selected() } else { None }
    }

    /// Takes a negotiated plan. m-lines keep their index; legs keep their state, unless their m-line was taken for another one.
    pub fn negotiate(&mut self, now: Time, plan: MediaPlan, random: &mut Random) {
        let MediaPlan { receive, send, data } = plan;
        self.legs.reserve_exact(send.len().saturating_sub(self.legs.len()));
        for line in send.into_iter().filter(|l| usize::from(l.mline) < MOST_MLINES) {
            match self.legs.iter_mut().find(|l| l.mline() == line.mline) {
                Some(leg) if leg.ssrc() == line.ssrc => leg.renegotiate(line),
                // Another SSRC begins with a rollover counter of 0: its numbers cannot be those of the one before.
                Some(leg) => *leg = Leg::new(now, line, random),
                None => self.legs.push(Leg::new(now, line, random)),
            }
        }
        if !self.legs.iter().any(Leg::is_reported) {
            self.link = None;
        }
        self.measure_link(now);
        let plan = MediaPlan { receive, send: Vec::new(), data };
        if self.arrivals.is_none() && plan.receive.iter().any(|l| l.codecs.iter().any(|c| c.feedback.transport_cc)) {
            self.arrivals = Some(Box::default());
        }
        self.plan = plan;
        // What was taken for another m-line's by its payload type is where the new plan declares it.
        for stream in &mut self.streams {
            if let Some(declared) = declared(&self.plan, stream.ssrc).filter(|d| *d != stream.bound()) {
                stream.bind(declared);
            }
        }
    }

    /// Begins to measure what its link carries, if it is to report what it receives and that is not done yet; whether that begins now.
    pub fn measure_link(&mut self, now: Time) -> bool {
        let begins = self.link.is_none() && self.legs.iter().any(Leg::is_reported);
        if begins {
            self.link = Some(Box::new(Link::new(now, START)));
        }
        begins
    }

    /// The plan of an m-line on which it sends.
    pub fn receive_plan(&self, mline: u8) -> Option<&ReceivePlan> {
        self.plan.receive.iter().find(|l| l.mline == mline)
    }

    /// The leg that a track of the room goes to.
    pub fn leg_of(&self, track: usize) -> Option<usize> {
        self.by_track.get(track).copied().filter(|leg| *leg != NO_LEG).map(usize::from)
    }

    /// The leg for an SSRC that we send: media, or its RTX.
    pub fn leg_by_ssrc(&self, ssrc: u32) -> Option<usize> {
        self.legs.iter().position(|l| l.ssrc() == ssrc || l.rtx_ssrc() == Some(ssrc))
    }

    /// Notes that a track goes to a leg, or to none.
    pub fn route(&mut self, track: usize, leg: Option<usize>) {
        if self.by_track.len() <= track {
            self.by_track.resize(track + 1, NO_LEG);
        }
        self.by_track[track] = leg.and_then(|l| u8::try_from(l).ok()).unwrap_or(NO_LEG);
    }

    /// What it takes to send to it; `None` while it cannot be sent to.
    pub fn downlink(&mut self) -> Option<Downlink<'_>> {
        let way = Way {
            path: self.path()?,
            sender: &self.srtp.as_ref()?.sender,
            transport_cc: &mut self.transport_cc,
            link: self.link.as_deref_mut(),
            origins: self.origins.as_deref_mut(),
            begun: false,
        };
        Some(Downlink { legs: &mut self.legs, by_track: &self.by_track, way, queue: &mut self.queue, wish_due: &mut self.wish_due })
    }

    /// Asks for the memory that [`Self::fetch_routes`] and [`Self::downlink`] read.
    pub fn fetch(&self) {
        prefetch(self, 2);
        prefetch(&self.ice, 4);
    }

    /// Asks for the memory that [`Self::fetch_downlink`] reads; best after [`Self::fetch`].
    pub fn fetch_routes(&self, track: usize) {
        if let Some(route) = self.by_track.get(track) {
            prefetch(route, 1);
        }
        if let Some(srtp) = &self.srtp {
            prefetch(&srtp.sender, 2);
        }
        if let Some(link) = self.link.as_deref() {
            prefetch(link, LINK_LINES);
        }
    }

    /// Asks for the leg that a track of the room goes to, and for what its keys and its link point to; best after
    /// [`Self::fetch_routes`].
    pub fn fetch_downlink(&self, track: usize) {
        if let Some(leg) = self.leg_of(track).and_then(|leg| self.legs.get(leg)) {
            prefetch(leg, LEG_LINES);
        }
        if let Some(srtp) = &self.srtp {
            srtp.sender.fetch();
        }
        if let Some(link) = self.link.as_deref() {
            link.fetch();
        }
    }

    /// Asks for what a report is opened with, and what it changes: nearly each of a subscriber's comes when that has left the cache.
    pub fn fetch_uplink(&self) {
        if let Some(srtp) = &self.srtp {
            prefetch(&srtp.rtcp_receiver, usize::MAX);
            srtp.rtcp_receiver.fetch();
        }
        if let Some(link) = self.link.as_deref() {
            prefetch(link, usize::MAX);
            link.fetch_reported();
        }
    }

    /// Asks for what that leg points to; best after [`Self::fetch_downlink`].
    pub fn fetch_leg(&self, track: usize) {
        if let Some(leg) = self.leg_of(track).and_then(|leg| self.legs.get(leg)) {
            leg.fetch();
        }
    }

    /// The SSRC that our feedback to it comes from: one that we announced, so that it is known.
    pub fn own_ssrc(&self) -> u32 {
        self.legs.first().map_or(1, |l| l.ssrc())
    }

    /// The number of the next full intra request (RFC 5104 section 4.3.1.1), which rises when there is one.
    pub fn next_fir(&mut self, sending: bool) -> u8 {
        self.fir_number = self.fir_number.wrapping_add(u8::from(sending));
        self.fir_number
    }

    /// Whether it adapts its rate to REMB, having no transport-wide feedback.
    pub fn wants_remb(&self) -> bool {
        let feedback = |pick: fn(&Feedback) -> bool| self.plan.receive.iter().any(|l| l.codecs.iter().any(|c| pick(&c.feedback)));
        feedback(|f| f.remb) && !feedback(|f| f.transport_cc)
    }

    /// When feedback for its packets is due: missing ones, or arrivals.
    pub fn next_feedback(&self) -> Option<Time> {
        [self.nack_due, self.feedback_due].into_iter().flatten().min()
    }

    /// When anything of it is due.
    pub fn next_due(&self) -> Time {
        let dtls = self.dtls.as_ref().and_then(|d| d.poll_timeout());
        let wish = (self.srtp.is_some() && self.legs.iter().any(|l| l.awaits_key_frames().next().is_some())).then_some(self.wish_due);
        let report = self.may_report().then_some(self.report_due);
        let select = Some(self.select_due);
        let data = self.data.as_ref().and_then(|d| d.due);
        let checks = self.checks.as_ref().map(|checks| checks.next_due());
        [checks, self.next_feedback(), self.link_due, select, dtls, data, wish, self.ice.consent_deadline(), report]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// What its link carries on the wire, as far as it says what it receives.
    pub fn estimate(&self) -> Option<Bitrate> {
        self.link.as_ref().map(|link| link.estimate())
    }

    /// Something waits for its turn: when it comes.
    pub fn pace_later(&mut self) -> Option<Time> {
        let link = self.link.as_deref_mut().filter(|_| !self.queue.is_empty())?;
        let at = link.pacer().next_at();
        let due = self.link_due.map_or(at, |due| due.min(at));
        self.link_due = Some(due);
        Some(due)
    }

    /// Whether it can be sent reports at all.
    pub fn may_report(&self) -> bool {
        self.srtp.is_some() && self.path().is_some()
    }

    /// Keeps a DTLS datagram for its turn; false when too many wait.
    pub fn queue_dtls(&mut self, datagram: &[u8]) -> bool {
        let most = match &self.data {
            Some(_) if is_data(datagram) => MOST_WAITING_DATA,
            Some(_) => MOST_WAITING_DATA + MOST_WAITING_DTLS,
            None => MOST_WAITING_DTLS,
        };
        if self.waiting_dtls.len() >= most {
            return false;
        }
        self.waiting_dtls.push_back(datagram.to_vec());
        true
    }

    /// The next DTLS datagram whose turn it is.
    pub fn next_dtls(&mut self) -> Option<Vec<u8>> {
        self.waiting_dtls.pop_front()
    }
}

/// Whether a DTLS datagram is of application data, as far as its first record says.
pub fn is_data(datagram: &[u8]) -> bool {
    datagram.first() == Some(&APPLICATION_DATA)
}
