//! What a run does, as values that have been checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::media::Source;
use super::presence::{Place, Role};
use super::shape::{AudioPattern, VideoShape};
use super::trace::Trace;
use super::whip;
use crate::base::random::Random;
use crate::contract::MediaKind;

/// Through which door clients come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// Althing's own signaling: `ws://host:port/ws`.
    Socket {
        /// Its address.
        url: String,
    },
    /// WHIP for those who publish, WHEP for those who receive: templates with `{room}`, `{member}` and `{members}`.
    Http {
        /// Where publishers post.
        whip: Option<String>,
        /// Where subscribers post.
        whep: Option<String>,
    },
}

/// How a client is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Our own: counts all, opens some, a thousand on a core.
    Light,
    /// A whole peer connection of the `webrtc` crate: repairs, feedback, jitter buffers.
    Full,
}

impl Kind {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Light => "light",
            Kind::Full => "full",
        }
    }
}

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The door.
    pub door: Door,
    /// Tokens by the index of the place; fewer than places: none for the rest.
    pub tokens: Vec<String>,
    /// Rooms.
    pub rooms: u32,
    /// What their names begin with.
    pub room_prefix: String,
    /// Publishers in each room.
    pub publishers: u32,
    /// Those who only receive, in each room.
    pub subscribers: u32,
    /// Whether publishers receive the others too.
    pub publishers_receive: bool,
    /// The picture of each publisher.
    pub video: Option<VideoShape>,
    /// The sound of each publisher.
    pub audio: Option<AudioPattern>,
    /// Sent in place of both; what of it is sent is what [`Self::video`] and [`Self::audio`] say.
    pub trace: Option<Arc<Trace>>,
    /// How clients are built.
    pub kind: Kind,
    /// Joins a second.
    pub join_rate: f64,
    /// How long packets count.
    pub duration: Duration,
    /// How long everybody may take to receive what is theirs.
    pub patience: Duration,
    /// Receiving pairs of each client; without it what the server asks for.
    pub pairs: Option<u32>,
    /// Threads of light clients; without it one for each thousand.
    pub threads: Option<usize>,
    /// One packet in so many is opened; without it all in a small run, one in 64 in a large one.
    pub open_one_in: Option<u32>,
    /// Whether light clients ask for lost packets again.
    pub nack: bool,
    /// Whether light clients report what they receive transport-wide and are repaired by RTX, as browsers are.
    pub transport_cc: bool,
    /// Whether the kernel may hand over trains of packets.
    pub merged: bool,
    /// The server's process, when it runs on this machine.
    pub server_pid: Option<u32>,
    /// Where the server's metrics are read.
    pub metrics: Option<String>,
}

/// Packets a second above which not all are opened.
const OPEN_ALL_BELOW: u64 = 50_000;
/// One in so many is opened then.
const OPEN_ONE_IN: u32 = 64;
/// Light clients on one thread.
const CLIENTS_A_THREAD: usize = 1_000;

impl Plan {
    /// Everybody, in the order of joining: publishers first.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut add = |room: u32, name: String, role| {
            places.push(Place { index: places.len(), room, room_name: format!("{}{room}", self.room_prefix), name, role });
        };
        for room in 0..self.rooms {
            for number in 0..self.publishers {
                add(room, format!("p{number}"), Role::Publisher(room * self.publishers + number));
            }
        }
        for room in 0..self.rooms {
            for number in 0..self.subscribers {
                add(room, format!("s{number}"), Role::Subscriber);
            }
        }
        places
    }

    /// Publishers of all rooms.
    pub fn all_publishers(&self) -> u32 {
        self.rooms * self.publishers
    }

    /// What each publisher sends.
    pub fn kinds(&self) -> Vec<MediaKind> {
        let recorded = |kind| self.trace.as_ref().is_none_or(|t| !t.of(kind).is_empty());
        let audio = (self.audio.is_some() && recorded(MediaKind::Audio)).then_some(MediaKind::Audio);
        let video = (self.video.is_some() && recorded(MediaKind::Video)).then_some(MediaKind::Video);
        audio.into_iter().chain(video).collect()
    }

    /// Where a publisher's packets of a kind come from; `None` for what it does not send.
    pub fn source(&self, publisher: u32, kind: MediaKind, random: &mut Random) -> Option<Source> {
        match (&self.trace, kind) {
            (Some(trace), _) => Some(Source::Trace { trace: trace.clone(), kind, at: 0, turn: 0, frame: (true, 0) }),
            (None, MediaKind::Video) => Some(Source::Video { shape: self.video?, random: Random::new(random.next_u64()) }),
            (None, MediaKind::Audio) => Some(Source::Audio { pattern: self.audio?, publisher }),
        }
    }

    /// Whether somebody receives.
    pub fn receives(&self, role: Role) -> bool {
        match role {
            Role::Subscriber => true,
            Role::Publisher(_) => self.publishers_receive && matches!(self.door, Door::Socket { .. }),
        }
    }

    /// The publishers that somebody should receive.
    pub fn wanted(&self, place: &Place) -> Vec<u32> {
        if !self.receives(place.role) || self.publishers == 0 {
            return Vec::new();
        }
        let first = place.room * self.publishers;
        if self.plays_one() {
            return vec![first + (place.index as u32) % self.publishers];
        }
        (first..first + self.publishers).filter(|p| place.publisher() != Some(*p)).collect()
    }

    /// Where somebody posts its offer.
    pub fn address(&self, place: &Place) -> Option<String> {
        let Door::Http { whip, whep } = &self.door else { return None };
        let name = |publisher: &u32| format!("p{}", publisher % self.publishers.max(1));
        match place.role {
            Role::Publisher(_) => whip.as_ref().map(|template| whip::address(template, &place.room_name, &place.name, &place.name)),
            Role::Subscriber => {
                let names: Vec<String> = self.wanted(place).iter().map(name).collect();
                let member = names.first().map_or(place.name.as_str(), String::as_str);
                whep.as_ref().map(|template| whip::address(template, &place.room_name, member, &names.join(",")))
            }
        }
    }

    /// Host and port of the server, as the door's address names them.
    pub fn host(&self) -> Option<(String, u16)> {
        let address = match &self.door {
            Door::Socket { url } => url.as_str(),
            Door::Http { whip, whep } => whip.as_deref().or(whep.as_deref())?,
        };
        let (scheme, rest) = address.split_once("://")?;
        let authority = rest.split(['/', '?', '{']).next()?;
        let port = if matches!(scheme, "wss" | "https") { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, number)) if !number.ends_with(']') => (host, number.parse().ok()?),
            _ => (authority, port),
        };
        Some((host.trim_matches(['[', ']']).to_owned(), port))
    }

    /// Packets a second that all receivers together should get, roughly.
    pub fn expected_rate(&self) -> u64 {
        let video = self.video.map_or(0, |v| v.bitrate / 8 / 1_100 + u64::from(v.frames) / 2);
        let audio = if self.audio.is_some() { 50 } else { 0 };
        let receivers: u64 = self.places().iter().map(|p| self.wanted(p).len() as u64).sum();
        receivers * (video + audio)
    }

    /// One packet in so many is opened.
    pub fn opening(&self) -> u32 {
        self.open_one_in.unwrap_or(if self.expected_rate() <= OPEN_ALL_BELOW { 1 } else { OPEN_ONE_IN }).max(1)
    }

    /// Threads of light clients.
    pub fn thread_count(&self) -> usize {
        self.threads.unwrap_or_else(|| self.places().len().div_ceil(CLIENTS_A_THREAD)).max(1)
    }

    /// A WHEP template that names one member.
    fn plays_one(&self) -> bool {
        matches!(&self.door, Door::Http { whep: Some(whep), .. } if whep.contains("{member}") && !whep.contains("{members}"))
    }
}

/// Counts by word.
pub fn tallied(words: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Two rooms of two publishers and three subscribers.
    pub fn plan() -> Plan {
        Plan {
            door: Door::Socket { url: "ws://127.0.0.1:1/ws".into() },
            tokens: vec![],
            rooms: 2,
            room_prefix: "load-".into(),
            publishers: 2,
            subscribers: 3,
            publishers_receive: true,
            video: "1500k@30".parse().ok(),
            audio: "4/12".parse().ok(),
            trace: None,
            kind: Kind::Light,
            join_rate: 100.0,
            duration: Duration::from_secs(1),
            patience: Duration::from_secs(20),
            pairs: None,
            threads: None,
            open_one_in: None,
            nack: true,
            transport_cc: false,
            merged: true,
            server_pid: None,
            metrics: None,
        }
    }

    #[test]
    fn publishers_join_first_and_everybody_is_to_receive_the_others_of_the_room() {
        let plan = plan();
        let places = plan.places();
        let names: Vec<_> = places.iter().map(|p| format!("{}/{}", p.room_name, p.name)).collect();
        assert_eq!(names[..4], ["load-0/p0", "load-0/p1", "load-1/p0", "load-1/p1"]);
        assert_eq!(names[4..6], ["load-0/s0", "load-0/s1"]);
        assert_eq!((names.len(), plan.all_publishers()), (10, 4));
        assert_eq!(plan.wanted(&places[2]), [3]);
        assert_eq!(plan.wanted(&places[9]), [2, 3]);
        let deaf = Plan { publishers_receive: false, ..plan };
        assert_eq!(deaf.wanted(&places[2]), [0u32; 0]);
    }

    #[test]
    fn over_http_publishers_only_send_and_templates_name_whom_to_play() {
        let door = |whep: &str| Door::Http { whip: Some("http://h/whip/{room}/{member}".into()), whep: Some(whep.into()) };
        let all = Plan { door: door("http://h/whep/{room}/{members}"), ..plan() };
        let places = all.places();
        assert_eq!(all.address(&places[3]).as_deref(), Some("http://h/whip/load-1/p1"));
        assert_eq!(all.address(&places[9]).as_deref(), Some("http://h/whep/load-1/p0,p1"));
        assert_eq!(all.wanted(&places[3]), [0u32; 0]);
        let one = Plan { door: door("http://h/whep/{room}-{member}"), ..plan() };
        assert_eq!(one.address(&places[9]).as_deref(), Some("http://h/whep/load-1-p1"));
        assert_eq!(one.wanted(&places[9]), [3]);
    }

    #[test]
    fn the_host_is_read_from_any_address() {
        let host = |url: &str| Plan { door: Door::Socket { url: url.into() }, ..plan() }.host();
        assert_eq!(host("ws://127.0.0.1:8080/ws"), Some(("127.0.0.1".into(), 8080)));
        assert_eq!(host("wss://meet.example.org/ws"), Some(("meet.example.org".into(), 443)));
        assert_eq!(host("ws://[::1]:81/ws"), Some(("::1".into(), 81)));
        assert_eq!(host("ws://[::1]/ws"), Some(("::1".into(), 80)));
        assert_eq!(host("nonsense"), None);
    }

    #[test]
    fn a_trace_says_which_kinds_there_are() {
        let trace = Arc::new(Trace::read("0 100 1 video").expect("a trace"));
        let plan = Plan { trace: Some(trace), ..plan() };
        assert_eq!(plan.kinds(), [MediaKind::Video]);
        assert_eq!(Plan { video: None, ..plan }.kinds(), []);
    }

    #[test]
    fn a_small_run_opens_all_packets_and_a_large_one_some() {
        assert_eq!((plan().opening(), plan().thread_count()), (1, 1));
        let large = Plan { subscribers: 1_500, ..plan() };
        assert_eq!((large.opening(), large.thread_count()), (64, 4));
        assert_eq!(Plan { open_one_in: Some(7), threads: Some(2), ..large }.opening(), 7);
    }
}
