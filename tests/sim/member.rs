//! A member as it sees itself: what it was told, in order, and what its slots are.

use std::collections::BTreeMap;

use althing::contract::MediaKind;
use althing::control::rooms::SocketId;
use althing::wire::{ByeReason, Event, MemberId, OkResult, PairMids, SlotPair, Source, TrackInfo, TrackNumber};

use crate::client::VP8;
use crate::offer::announced;

/// The codecs of pictures that a client offers, by payload type, in its order.
#[derive(Clone, Debug)]
pub struct Codecs {
    pub sends: Vec<u8>,
    pub receives: Vec<u8>,
    /// Whether it has one more m-line to send a picture on.
    pub spare: bool,
}

pub struct Member {
    pub name: String,
    pub codecs: Codecs,
    pub room: usize,
    pub socket: SocketId,
    pub secret: String,
    /// Its present connection's client in the world.
    pub client: usize,
    /// Pairs that its next offer will have.
    pub pairs: u32,
    pub offers: u32,
    /// All that it was told, with the numbers.
    pub events: Vec<(u64, Event)>,
    pub bye: Option<ByeReason>,
    /// The number up to which it knows the room.
    pub seq: u64,
    pub chat: BTreeMap<u64, String>,
    pub slots: Vec<SlotPair>,
    pub published: Vec<TrackInfo>,
    mids: Vec<PairMids>,
    ssrcs: BTreeMap<String, (u32, Option<u32>)>,
}

impl Member {
    pub fn new(name: &str, room: usize, socket: SocketId, client: usize) -> Self {
        Self {
            name: name.to_owned(),
            codecs: Codecs { sends: vec![VP8], receives: vec![VP8], spare: false },
            room,
            socket,
            secret: String::new(),
            client,
            pairs: 0,
            offers: 0,
            events: Vec::new(),
            bye: None,
            seq: 0,
            chat: BTreeMap::new(),
            slots: Vec::new(),
            published: Vec::new(),
            mids: Vec::new(),
            ssrcs: BTreeMap::new(),
        }
    }

    pub fn id(&self) -> MemberId {
        MemberId(self.name.clone())
    }

    /// Takes in an event; each number is the one after that before.
    pub fn told(&mut self, seq: u64, event: Event) {
        assert_eq!(seq, self.seq + 1, "{}: an event is missing or doubled before {event:?}", self.name);
        self.seq = seq;
        match &event {
            Event::Slots { slots } => self.slots.clone_from(slots),
            Event::Chat { message } => self.heard(message.number, &message.text),
            Event::Restart {} => (self.slots, self.published) = (Vec::new(), Vec::new()),
            _ => {}
        }
        self.events.push((seq, event));
    }

    /// Takes in what a request returned.
    pub fn answered(&mut self, result: &OkResult) {
        match result {
            OkResult::Joined { resume, pairs, seq, slots, chat, .. } => {
                (self.secret, self.pairs, self.seq) = (resume.clone(), *pairs, *seq);
                self.slots.clone_from(slots);
                chat.iter()
                    .filter(|m| !self.chat.contains_key(&m.number))
                    .cloned()
                    .collect::<Vec<_>>()
                    .iter()
                    .for_each(|m| self.heard(m.number, &m.text));
            }
            OkResult::Answer { sdp, pairs, published } => {
                self.ssrcs = announced(sdp);
                self.mids.clone_from(pairs);
                self.published = published.iter().map(|(_, track)| track.clone()).collect();
            }
            _ => {}
        }
    }

    /// The RTX SSRCs of its slots, each with its media SSRC.
    pub fn rtx(&self) -> BTreeMap<u32, u32> {
        self.ssrcs.values().filter_map(|(media, rtx)| Some(((*rtx)?, *media))).collect()
    }

    /// Whom its slots show, with the SSRC of their sound and picture.
    pub fn shown(&self) -> Vec<(MemberId, Option<u32>, Option<u32>)> {
        let ssrc = |mid: &Option<String>| mid.as_ref().and_then(|mid| self.ssrcs.get(mid)).map(|(media, _)| *media);
        let mids = |pair: u32| self.mids.iter().find(|m| m.pair == pair).expect("the pair is in the answer");
        self.slots
            .iter()
            .map(|s| {
                let mids = mids(s.pair);
                (s.member.clone(), s.audio.and_then(|_| ssrc(&mids.audio)), s.video.and_then(|_| ssrc(&mids.video)))
            })
            .collect()
    }

    /// The SSRC of the slot that shows a member.
    pub fn ssrc_of(&self, whom: &str, kind: MediaKind) -> Option<u32> {
        let shown = self.shown().into_iter().find(|(member, _, _)| member.0 == whom)?;
        if kind == MediaKind::Audio { shown.1 } else { shown.2 }
    }

    /// The number of its own track.
    pub fn track(&self, source: Source) -> TrackNumber {
        self.published.iter().find(|t| t.source == source).expect("published").track
    }

    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, e)| is(e)).count()
    }

    fn heard(&mut self, number: u64, text: &str) {
        assert!(self.chat.insert(number, text.to_owned()).is_none(), "{} is told message {number} twice", self.name);
    }
}
