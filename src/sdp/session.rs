//! One connection's negotiation: what holds from offer to offer, and the slots with their SSRCs.

use std::fmt;
use std::net::SocketAddr;

use super::answer;
use super::error::{Change, OfferError};
use super::line::{Accepted, Common, Line, Slot};
use super::offer::{Offer, OfferedTransport};
use super::repeats::HELD_AGAINST;
use super::section::Section;
use crate::base::Bitrate;
use crate::contract::{
    DataLimits, DataPlan, DtlsRole, Fingerprint, IceCredentials, MediaKind, MediaPlan, Mid, ReceivePlan, Rid, SecurityPlan, SendPlan, TransportPlan,
};

/// What is ours in every answer of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Our certificate's SHA-256, as `AB:CD:...`.
    pub fingerprint_sha256: String,
    /// Where we listen, most preferred first: one host candidate each.
    pub candidates: Vec<SocketAddr>,
    /// Whether we listen there for TCP, too (RFC 6544): as many passive candidates.
    pub tcp: bool,
    /// The CNAME of everything we send (RFC 8834 section 4.9: one for a connection).
    pub cname: String,
    /// The session's id in `o=`; the highest bit is not used (RFC 8829 section 5.2.1).
    pub session_id: u64,
    /// What data channels are held to; none where none are taken.
    pub data: Option<DataLimits>,
    /// What may be sent to us, all m-lines together, if that is bounded.
    pub publish: Option<Bitrate>,
}

/// Randomness that an answer, or an offer of ours, may need. It is drawn by the caller for each offer; what is not needed is dropped.
#[derive(Clone)]
pub struct Fresh {
    /// Our ICE user name fragment, unique within the node; taken when ICE begins or restarts.
    pub ufrag: String,
    /// Our ICE password; taken when ICE begins or restarts.
    pub pwd: String,
    /// Where the SSRCs of new slots come from.
    pub ssrc_seed: u64,
}

/// One connection's negotiation. [`Session::answer`] is the only thing that changes it, and only when it succeeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    local: Local,
    /// The version in `o=`, one more with each answer.
    version: u64,
    agreed: Option<Agreed>,
    mlines: Vec<Mline>,
}

/// The answer to an offer.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// The session description.
    pub sdp: String,
    /// The m-lines, compiled.
    pub media: MediaPlan,
    /// How the connection is secured: with the first answer only.
    pub transport: Option<TransportPlan>,
    /// New ICE credentials: when the offer restarted ICE.
    pub restart: Option<IceCredentials>,
    /// The slot pairs; the index is the pair's number, which an m-line keeps for life.
    pub pairs: Vec<Pair>,
    /// m-lines on which the peer sends something that we can forward: mid, kind, index.
    pub publishable: Vec<(Mid, MediaKind, u8)>,
}

/// The m-lines of a slot pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The slot for sound.
    pub audio: Option<MlineRef>,
    /// The slot for pictures.
    pub video: Option<MlineRef>,
}

/// Names an m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MlineRef {
    /// Its index in the offer.
    pub index: u8,
    /// Its mid.
    pub mid: Mid,
}

// By hand: the text has our ICE password in it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("media", &self.media)
            .field("transport", &self.transport)
            .field("restart", &self.restart)
            .field("pairs", &self.pairs)
            .field("publishable", &self.publishable)
            .finish_non_exhaustive()
    }
}

/// What the first offer and its answer settled about the transport.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Agreed {
    pub role: DtlsRole,
    pub fingerprint: Fingerprint,
    pub ice: IceCredentials,
    /// How often ICE has been restarted.
    pub restarts: u8,
}

impl Agreed {
    /// Goes over to another ICE generation, if `next` is of one; what it is then.
    fn follow(&mut self, next: IceCredentials) -> Result<Option<IceCredentials>, OfferError> {
        match (next.remote_ufrag != self.ice.remote_ufrag, next.remote_pwd != self.ice.remote_pwd) {
            (false, false) => Ok(None),
            (true, true) => {
                self.ice = next.clone();
                self.restarts = self.restarts.saturating_add(1);
                Ok(Some(next))
            }
            _ => Err(OfferError::BadIce("a restart changes both a=ice-ufrag and a=ice-pwd (RFC 8445 section 9)")),
        }
    }
}

/// What is remembered of an m-line.
#[derive(Clone, Debug, PartialEq)]
struct Mline {
    mid: Option<Mid>,
    media: String,
    /// The last answer accepted it. One that is not open may be taken for something else.
    open: bool,
    ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    pair: Option<usize>,
    /// The encodings taken so far: an encoding keeps its place.
    rids: Vec<Rid>,
}

impl Mline {
    fn of(section: &Section) -> Self {
        Self { mid: section.mid, media: section.media.clone(), open: false, ssrc: None, rtx_ssrc: None, pair: None, rids: Vec::new() }
    }
}

impl Session {
    /// A connection about which nothing is agreed yet.
    pub fn new(local: Local) -> Self {
        Self { local, version: 0, agreed: None, mlines: Vec::new() }
    }

    /// From the next answer on, so much may be sent to us.
    pub const fn allow(&mut self, publish: Option<Bitrate>) {
        self.local.publish = publish;
    }

    /// A connection that we propose, with these m-lines: their mids, kinds, and whether they have RTX. Their SSRCs are drawn.
    pub(super) fn proposing(local: Local, ssrc_seed: u64, lines: impl Iterator<Item = (Mid, &'static str, bool)>) -> Self {
        let mut ssrcs = Ssrcs { state: ssrc_seed, taken: Vec::new() };
        let mut mline = |(mid, media, rtx): (Mid, &'static str, bool)| Mline {
            mid: Some(mid),
            media: media.to_owned(),
            open: false,
            ssrc: Some(ssrcs.draw()),
            rtx_ssrc: rtx.then(|| ssrcs.draw()),
            pair: None,
            rids: Vec::new(),
        };
        Self { mlines: lines.map(&mut mline).collect(), ..Self::new(local) }
    }

    /// The SSRCs of the m-lines that are proposed, each with that of its RTX stream.
    pub(super) fn proposed_ssrcs(&self) -> impl Iterator<Item = (u32, Option<u32>)> {
        self.mlines.iter().filter_map(|mline| Some((mline.ssrc?, mline.rtx_ssrc)))
    }

    /// Answers an offer (RFC 8829 section 5.3). The role, the fingerprint, and each m-line's index, mid, kind and SSRCs hold for life.
    ///
    /// # Errors
    /// `Changed` when the offer changes one of these, `BadIce` when it restarts ICE by half, `NoCodec` when nothing is left to agree on,
    /// `Duplicate` when it takes an SSRC that is ours. After an error the session is as it was.
    pub fn answer(&mut self, offer: &Offer, fresh: Fresh) -> Result<Answer, OfferError> {
        let mut next = self.clone();
        let answer = next.negotiate(offer, fresh)?;
        *self = next;
        Ok(answer)
    }

    /// Restarts ICE and leaves all else as it is (RFC 9725 section 4.3.3), if these are the credentials of another generation than the present
    /// one; the credentials of both sides then.
    ///
    /// # Errors
    /// `BadIce` when only one of the two is new. After an error the session is as it was.
    pub fn restart(&mut self, (ufrag, pwd): (String, String), fresh: Fresh) -> Result<Option<IceCredentials>, OfferError> {
        let Some(agreed) = &mut self.agreed else { return Ok(None) };
        agreed.follow(IceCredentials { local_ufrag: fresh.ufrag, local_pwd: fresh.pwd, remote_ufrag: ufrag, remote_pwd: pwd })
    }

    /// Our user name fragment of the present ICE generation.
    pub fn local_ufrag(&self) -> Option<&str> {
        self.agreed.as_ref().map(|agreed| agreed.ice.local_ufrag.as_str())
    }

    /// Our credentials and candidates of the present ICE generation, as a fragment (RFC 8840 section 9).
    pub fn fragment(&self) -> Option<String> {
        let open = || self.mlines.iter().filter(|m| m.open).filter_map(|m| Some((m.mid?, m.media.as_str())));
        let bundle: Vec<Mid> = open().map(|(mid, _)| mid).collect();
        Some(answer::write_fragment(&self.local, self.agreed.as_ref()?, &bundle, open().next()?))
    }

    fn negotiate(&mut self, offer: &Offer, fresh: Fresh) -> Result<Answer, OfferError> {
        self.adopt_mlines(offer)?;
        let mut ssrcs = Ssrcs::new(fresh.ssrc_seed, self, offer)?;
        let (transport, restart) = self.agree_transport(offer.transport.as_ref(), fresh.ufrag, fresh.pwd)?;
        let mut lines = Vec::with_capacity(offer.sections.len());
        for i in 0..offer.sections.len() {
            lines.push(self.line(offer, i, &mut ssrcs, &lines)?);
        }
        if transport.is_some() && !lines.iter().any(|l| *l != Line::Rejected) {
            return Err(OfferError::NoCodec { mid: None });
        }
        self.version = self.version.wrapping_add(1);
        let Some(agreed) = &self.agreed else { return Err(OfferError::NoCodec { mid: None }) };
        Ok(Answer {
            sdp: answer::write(&self.local, self.version, agreed, offer, &lines),
            media: MediaPlan {
                receive: lines.iter().filter_map(Line::receive).cloned().collect(),
                send: lines.iter().filter_map(Line::send).map(|s| s.plan.clone()).collect(),
                data: lines.iter().find_map(Line::data),
            },
            transport,
            restart,
            pairs: self.pairs(&lines),
            publishable: lines.iter().filter_map(Line::receive).map(|r| (r.mid, r.kind, r.mline)).collect(),
        })
    }

    /// m-lines in use stay what they are; rejected ones may be taken for another (RFC 8829 section 5.2.2); new ones come last.
    fn adopt_mlines(&mut self, offer: &Offer) -> Result<(), OfferError> {
        if offer.sections.len() < self.mlines.len() {
            return Err(OfferError::Changed(Change::Mlines));
        }
        for (i, section) in offer.sections.iter().enumerate() {
            let index = index_of(i);
            let Some(mline) = self.mlines.get_mut(i) else {
                self.mlines.push(Mline::of(section));
                continue;
            };
            if mline.open {
                // A stopped m-line may come without a mid.
                if section.mid != mline.mid && !(section.stopped && section.mid.is_none()) {
                    return Err(OfferError::Changed(Change::Mid { index }));
                }
                if section.media != mline.media {
                    return Err(OfferError::Changed(Change::Kind { index }));
                }
            } else if section.mid != mline.mid || section.media != mline.media {
                *mline = Mline::of(section);
            }
        }
        Ok(())
    }

    fn agree_transport(
        &mut self, offered: Option<&OfferedTransport>, ufrag: String, pwd: String,
    ) -> Result<(Option<TransportPlan>, Option<IceCredentials>), OfferError> {
        let Some(offered) = offered else { return Ok((None, None)) };
        let new_ice = IceCredentials { local_ufrag: ufrag, local_pwd: pwd, remote_ufrag: offered.ufrag.clone(), remote_pwd: offered.pwd.clone() };
        let Some(agreed) = &mut self.agreed else {
            let role = offered.setup.our_role();
            let security = SecurityPlan::Dtls { role, fingerprint: offered.fingerprint.clone() };
            self.agreed = Some(Agreed { role, fingerprint: offered.fingerprint.clone(), ice: new_ice.clone(), restarts: 0 });
            return Ok((Some(TransportPlan { ice: new_ice, security }), None));
        };
        if !offered.setup.allows(agreed.role) {
            return Err(OfferError::Changed(Change::Role));
        }
        if offered.fingerprint != agreed.fingerprint {
            return Err(OfferError::Changed(Change::Fingerprint));
        }
        Ok((None, agreed.follow(new_ice)?))
    }

    /// What we say to one m-line.
    fn line(&mut self, offer: &Offer, i: usize, ssrcs: &mut Ssrcs, before: &[Line]) -> Result<Line, OfferError> {
        let (Some(section), Some(mline)) = (offer.sections.get(i), self.mlines.get_mut(i)) else { return Ok(Line::Rejected) };
        // The client begins the association, and over DTLS whose client we are nobody would. There is one association, and so one m-line.
        let serves = self.agreed.as_ref().is_some_and(|agreed| agreed.role == DtlsRole::Server) && before.iter().all(|line| line.data().is_none());
        if let (true, Some(limits), true, false) = (section.is_data(), self.local.data, serves, section.stopped || section.mid.is_none()) {
            mline.open = true;
            return Ok(Line::Data(DataPlan { peer_takes: section.max_message, limits }));
        }
        let (Some(kind), Some(mid), false) = (section.kind(), section.mid, section.stopped) else {
            (mline.open, mline.pair) = (false, None);
            return Ok(Line::Rejected);
        };
        if section.codecs.is_empty() {
            return if mline.open { Err(OfferError::NoCodec { mid: Some(mid) }) } else { Ok(Line::Rejected) };
        }
        mline.open = true;
        // Most m-lines say the same as one before, and so do we.
        let same = offer.sections.iter().zip(before).rev().take(HELD_AGAINST).find(|(s, _)| s.says_the_same(section));
        let common = match same {
            Some((_, Line::Accepted(line))) => line.common.clone(),
            _ => Common::of(section, offer.allow_mixed || section.allow_mixed),
        };
        let receive = section.direction.sends.then(|| {
            section.take_rids(&mut mline.rids);
            ReceivePlan {
                mline: index_of(i),
                mid,
                kind,
                codecs: common.codecs.clone(),
                extensions: common.to_us,
                ssrcs: section.ssrcs_to_expect(),
                rids: mline.rids.clone(),
                ssrc_encodings: section.rids.is_empty() && section.ssrc_encodings,
            }
        });
        let send = section.direction.receives.then(|| {
            let (ssrc, rtx_ssrc, pair) = self.slot(i, common.codecs.iter().any(|c| c.rtx.is_some()), ssrcs);
            let codecs = common.codecs.clone();
            Slot { plan: SendPlan { mline: index_of(i), mid, kind, ssrc, rtx_ssrc, codecs, extensions: common.to_them }, pair }
        });
        Ok(Line::Accepted(Box::new(Accepted { common, receive, send })))
    }

    /// The SSRCs and the pair of an m-line as a slot: given once and kept.
    fn slot(&mut self, i: usize, rtx: bool, ssrcs: &mut Ssrcs) -> (u32, Option<u32>, usize) {
        let free = self.free_pair(i);
        let Some(mline) = self.mlines.get_mut(i) else { return (ssrcs.draw(), None, free) };
        let ssrc = *mline.ssrc.get_or_insert_with(|| ssrcs.draw());
        let rtx_ssrc = rtx.then(|| *mline.rtx_ssrc.get_or_insert_with(|| ssrcs.draw()));
        (ssrc, rtx_ssrc, *mline.pair.get_or_insert(free))
    }

    /// The lowest pair that has no slot of the kind of m-line `i`.
    fn free_pair(&self, i: usize) -> usize {
        let media = self.mlines.get(i).map(|m| m.media.as_str());
        let taken: Vec<usize> = self.mlines.iter().filter(|m| Some(m.media.as_str()) == media).filter_map(|m| m.pair).collect();
        (0..=taken.len()).find(|pair| !taken.contains(pair)).unwrap_or(taken.len())
    }

    fn pairs(&self, lines: &[Line]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for slot in lines.iter().filter_map(Line::send) {
            if pairs.len() <= slot.pair {
                pairs.resize(slot.pair.saturating_add(1), Pair::default());
            }
            let mline = Some(MlineRef { index: slot.plan.mline, mid: slot.plan.mid });
            match (pairs.get_mut(slot.pair), slot.plan.kind) {
                (Some(pair), MediaKind::Audio) => pair.audio = mline,
                (Some(pair), MediaKind::Video) => pair.video = mline,
                (None, _) => {}
            }
        }
        pairs
    }
}

/// m-lines are limited to 255 when the offer is read.
fn index_of(i: usize) -> u8 {
    u8::try_from(i).unwrap_or(u8::MAX)
}

/// Draws SSRCs that nobody in the session has.
struct Ssrcs {
    state: u64,
    taken: Vec<u32>,
}

impl Ssrcs {
    fn new(seed: u64, session: &Session, offer: &Offer) -> Result<Self, OfferError> {
        let ours: Vec<u32> = session.mlines.iter().flat_map(|m| [m.ssrc, m.rtx_ssrc]).flatten().collect();
        let theirs = || offer.sections.iter().flat_map(|s| s.declared.iter().copied());
        if let Some(both) = theirs().find(|s| ours.contains(s)) {
            return Err(OfferError::Duplicate { what: "SSRC, which the server has already,", value: both.to_string() });
        }
        Ok(Self { state: seed, taken: ours.into_iter().chain(theirs()).collect() })
    }

    /// A step of SplitMix64: the seed is random, this only spreads it.
    fn draw(&mut self) -> u32 {
        loop {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let ssrc = ((z ^ (z >> 31)) >> 32) as u32;
            if ssrc != 0 && !self.taken.contains(&ssrc) {
                self.taken.push(ssrc);
                return ssrc;
            }
        }
    }
}
