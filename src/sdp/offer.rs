//! An offer as a whole: limits, BUNDLE, the transport, duplicates.

use std::io::Cursor;

use memchr::memchr2_iter;
use rtc_sdp::SessionDescription;
use rtc_sdp::description::media::MediaDescription;

use super::error::{OfferError, malformed};
use super::repeats::{self, Place, Shortened};
use super::section::{Direction, Section, TransportLines};
use crate::contract::{DtlsRole, Extension, Fingerprint, HashFunction, MediaKind, Mid};

/// What an offer may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferLimits {
    /// m-lines. Their index is a byte: more than 255 are never accepted.
    pub max_mlines: usize,
    /// Bytes. An offer of Chromium has about 3 KB for each receiving m-line, 1 KB with codec preferences set.
    pub max_bytes: usize,
}

/// An offer that has been read and checked on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub(super) sections: Vec<Section>,
    /// The mids of the BUNDLE group, in its order.
    pub(super) bundle: Vec<Mid>,
    /// How the offerer is reached; `None` when every m-line is stopped.
    pub(super) transport: Option<OfferedTransport>,
    /// `a=extmap-allow-mixed` for the whole session.
    pub(super) allow_mixed: bool,
    /// Whether the answer has the candidates on every m-line.
    pub(super) candidates_everywhere: bool,
}

/// Which way media flows, where it flows one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneWay {
    /// From the offerer to us.
    Sent,
    /// From us to the offerer.
    Received,
}

/// The transport that all m-lines share.
#[derive(Clone, PartialEq)]
pub(super) struct OfferedTransport {
    pub ufrag: String,
    pub pwd: String,
    pub fingerprint: Fingerprint,
    pub setup: Setup,
}

// By hand, so that no password reaches a log.
impl std::fmt::Debug for OfferedTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfferedTransport")
            .field("ufrag", &self.ufrag)
            .field("fingerprint", &self.fingerprint)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

/// `a=setup` (RFC 4145, RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    ActPass,
    Active,
    Passive,
}

impl Setup {
    /// Our part, when nothing has been agreed yet.
    pub fn our_role(self) -> DtlsRole {
        match self {
            Setup::ActPass | Setup::Active => DtlsRole::Server,
            Setup::Passive => DtlsRole::Client,
        }
    }

    /// Whether we may go on in `role`.
    pub fn allows(self, role: DtlsRole) -> bool {
        self == Setup::ActPass || self.our_role() == role
    }
}

impl Offer {
    /// Reads an offer and checks all that can be checked without knowing the offers before it.
    ///
    /// # Errors
    /// Any [`OfferError`] but `Changed`; `NoCodec` comes later too. Sizes are checked before anything is read.
    pub fn parse(sdp: &str, limits: &OfferLimits) -> Result<Offer, OfferError> {
        check_size(sdp, limits)?;
        Self::read(&repeats::shorten(sdp), false)
    }

    /// The same of a description whose sender may be lite: an answer to what we have offered, being a full agent.
    pub(super) fn parse_from_any_agent(sdp: &str, limits: &OfferLimits) -> Result<Offer, OfferError> {
        check_size(sdp, limits)?;
        Self::read(&repeats::shorten(sdp), true)
    }

    fn read(short: &Shortened<'_>, from_any_agent: bool) -> Result<Offer, OfferError> {
        let grammar =
            |text: &str| SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).map_err(|e| malformed(&shortened(&e.to_string())));
        let description = grammar(&short.text)?;
        let mut session = SessionLines::read(&description)?;
        session.ice_lite &= !from_any_agent;
        let sections = sections(&description.media_descriptions, &short.mlines, session.direction)?;
        if sections.is_empty() {
            return Err(malformed("it has no m-line: add a transceiver first"));
        }
        check_mids(&sections)?;
        check_bundle(&sections, &session.bundle)?;
        check_ssrcs(&sections)?;
        check_identifying_extensions(&sections)?;
        let tagged = session.bundle.iter().find_map(|mid| sections.iter().find(|s| s.mid == Some(*mid) && !s.stopped));
        let transport = match tagged {
            Some(tagged) => Some(session.transport_of(tagged)?),
            None => None,
        };
        check_rtcp_mux(&sections, tagged, session.rtcp_mux)?;
        Ok(Offer { sections, bundle: session.bundle, transport, allow_mixed: session.allow_mixed, candidates_everywhere: false })
    }

    /// Lets media flow one way only: `sendrecv` is answered as if it had been `sendonly`, or `recvonly` (RFC 9725 section 4.2).
    pub fn one_way(mut self, way: OneWay) -> Self {
        for direction in self.sections.iter_mut().map(|s| &mut s.direction) {
            match way {
                OneWay::Sent => direction.receives = false,
                OneWay::Received => direction.sends = false,
            }
        }
        self
    }

    /// Has the answer repeat the candidates on every m-line. RFC 9143 section 7.1.3 wants them on the first only, but aiortc takes those
    /// of the last m-line of a transport, and finds no way to us without.
    pub fn with_candidates_everywhere(mut self) -> Self {
        self.candidates_everywhere = true;
        self
    }

    /// The m-lines on which the offerer sends something that we can forward, in their order.
    pub fn sending(&self) -> impl Iterator<Item = (Mid, MediaKind)> {
        let sending = self.sections.iter().filter(|s| s.direction.sends && !s.stopped && !s.codecs.is_empty());
        sending.filter_map(|s| Some((s.mid?, s.kind()?)))
    }
}

/// The m-lines in the order of the offer: those that were read, and those that say the same (none are given when all were read).
fn sections(read: &[MediaDescription], mlines: &[Place<'_>], direction: Direction) -> Result<Vec<Section>, OfferError> {
    if mlines.is_empty() {
        return read.iter().map(|m| Section::read(m, direction)).collect();
    }
    if mlines.iter().filter(|place| matches!(place, Place::Kept(_))).count() != read.len() {
        return Err(malformed("its m-lines cannot be told apart"));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(mlines.len());
    for place in mlines {
        let section = match *place {
            Place::Kept(n) => read.get(n).map(|m| Section::read(m, direction)),
            Place::As(index, mid) => sections.get(index).map(|s| s.with_mid(mid)),
        };
        sections.push(section.ok_or_else(|| malformed("an m-line cannot be read"))??);
    }
    Ok(sections)
}

/// The attributes before the first m-line.
struct SessionLines {
    direction: Direction,
    bundle: Vec<Mid>,
    allow_mixed: bool,
    rtcp_mux: bool,
    ice_lite: bool,
    transport: TransportLines,
}

impl SessionLines {
    fn read(description: &SessionDescription) -> Result<Self, OfferError> {
        let mut lines = Self {
            direction: Direction::SENDRECV,
            bundle: Vec::new(),
            allow_mixed: false,
            rtcp_mux: false,
            ice_lite: false,
            transport: TransportLines::default(),
        };
        for attribute in &description.attributes {
            match (attribute.key.as_str(), attribute.value.as_deref()) {
                ("group", Some(value)) if value.split_whitespace().next() == Some("BUNDLE") => lines.bundle_group(value)?,
                ("extmap-allow-mixed", None) => lines.allow_mixed = true,
                ("rtcp-mux", None) => lines.rtcp_mux = true,
                ("ice-lite", None) => lines.ice_lite = true,
                (name, None) => lines.direction = Direction::read(name).unwrap_or(lines.direction),
                _ => lines.transport.read(attribute),
            }
        }
        Ok(lines)
    }

    /// `a=group:BUNDLE <mid> ...`; a second group would be a second transport.
    fn bundle_group(&mut self, value: &str) -> Result<(), OfferError> {
        if !self.bundle.is_empty() {
            return Err(OfferError::NoBundle);
        }
        // As many as an m-line index can count: the rest could not be m-lines of this offer.
        for text in value.split_whitespace().skip(1).take(256) {
            let mid = Mid::new(text).ok_or_else(|| malformed("a mid of the BUNDLE group is longer than 16 bytes"))?;
            if self.bundle.contains(&mid) {
                return Err(OfferError::Duplicate { what: "mid of the BUNDLE group", value: mid.to_string() });
            }
            self.bundle.push(mid);
        }
        Ok(())
    }

    /// What `tagged`, the first m-line of the BUNDLE group, says for all of them (RFC 9143 section 7.1.3), else the session.
    fn transport_of(&self, tagged: &Section) -> Result<OfferedTransport, OfferError> {
        let (own, all) = (&tagged.transport, &self.transport);
        if self.ice_lite {
            return Err(OfferError::BadIce("a=ice-lite, as ours is: one side has to send checks"));
        }
        let (Some(ufrag), Some(pwd)) = (own.ufrag.as_ref().or(all.ufrag.as_ref()), own.pwd.as_ref().or(all.pwd.as_ref())) else {
            return Err(OfferError::NoIce);
        };
        check_ice(ufrag, pwd).map_err(OfferError::BadIce)?;
        let fingerprints = if own.fingerprints.is_empty() { &all.fingerprints } else { &own.fingerprints };
        Ok(OfferedTransport {
            ufrag: ufrag.clone(),
            pwd: pwd.clone(),
            fingerprint: strong_fingerprint(fingerprints)?,
            setup: setup(own.setup.as_ref().or(all.setup.as_ref()))?,
        })
    }
}

/// The cheapest checks first: a hostile offer is refused before anything is allocated for it.
fn check_size(sdp: &str, limits: &OfferLimits) -> Result<(), OfferError> {
    if sdp.len() > limits.max_bytes {
        return Err(OfferError::TooLarge { bytes: sdp.len(), limit: limits.max_bytes });
    }
    let limit = limits.max_mlines.min(usize::from(u8::MAX));
    // The grammar also takes a lone CR between lines.
    let begins = |at: usize| sdp.as_bytes().get(at..).is_some_and(|line| line.starts_with(b"m="));
    let count = memchr2_iter(b'\n', b'\r', sdp.as_bytes()).filter(|end| begins(end + 1)).count() + usize::from(begins(0));
    if count > limit {
        return Err(OfferError::TooManyMlines { count, limit });
    }
    Ok(())
}

/// Every m-line in use has a mid, and no two have the same.
fn check_mids(sections: &[Section]) -> Result<(), OfferError> {
    for (i, section) in sections.iter().enumerate() {
        let Some(mid) = section.mid else {
            if section.stopped {
                continue;
            }
            return Err(malformed("an m-line has no a=mid"));
        };
        if sections.iter().take(i).any(|s| s.mid == Some(mid)) {
            return Err(OfferError::Duplicate { what: "mid", value: mid.to_string() });
        }
    }
    Ok(())
}

fn check_bundle(sections: &[Section], bundle: &[Mid]) -> Result<(), OfferError> {
    let in_use = sections.iter().filter(|s| !s.stopped).filter_map(|s| s.mid);
    if in_use.into_iter().any(|mid| !bundle.contains(&mid)) {
        return Err(OfferError::NoBundle);
    }
    Ok(())
}

/// An SSRC belongs to one m-line: with BUNDLE it says which one a packet is of.
fn check_ssrcs(sections: &[Section]) -> Result<(), OfferError> {
    let mut all: Vec<u32> = sections.iter().flat_map(|s| s.declared.iter().copied()).collect();
    all.sort_unstable();
    match all.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(OfferError::Duplicate { what: "SSRC", value: pair.first().copied().unwrap_or_default().to_string() }),
        None => Ok(()),
    }
}

/// The extensions that say which m-line a packet is of are read before that is known: their ids hold for all m-lines.
fn check_identifying_extensions(sections: &[Section]) -> Result<(), OfferError> {
    let identifying = [Extension::Mid, Extension::RtpStreamId, Extension::RepairedRtpStreamId];
    let offered = || sections.iter().filter(|s| !s.stopped).flat_map(|s| s.extensions.iter());
    for extension in identifying {
        let Some(id) = offered().find(|e| e.extension == extension).map(|e| e.id) else { continue };
        if offered().any(|e| (e.extension == extension) != (e.id == id)) {
            return Err(OfferError::Duplicate { what: "header extension id", value: format!("{id}, with two meanings in one BUNDLE group") });
        }
    }
    Ok(())
}

/// With BUNDLE, the tagged m-line may speak for the others (RFC 9143 section 7.1.3).
fn check_rtcp_mux(sections: &[Section], tagged: Option<&Section>, session: bool) -> Result<(), OfferError> {
    if session || tagged.is_some_and(|s| s.rtcp_mux) {
        return Ok(());
    }
    match sections.iter().find(|s| s.kind().is_some() && !s.stopped && !s.rtcp_mux) {
        Some(Section { mid: Some(mid), .. }) => Err(OfferError::NoRtcpMux { mid: *mid }),
        _ => Ok(()),
    }
}

/// RFC 8839 section 5.4: 4 to 256 and 22 to 256 letters, digits, `+` and `/`.
pub(super) fn check_ice(ufrag: &str, pwd: &str) -> Result<(), &'static str> {
    // Some implementations use other visible characters too; what matters is that nothing breaks a line or a user name.
    let fine = |text: &str, least: usize| (least..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if !fine(ufrag, 4) {
        return Err("a=ice-ufrag has to have 4 to 256 characters");
    }
    if !fine(pwd, 22) {
        return Err("a=ice-pwd has to have 22 to 256 characters");
    }
    Ok(())
}

/// The first fingerprint by a strong hash function.
fn strong_fingerprint(lines: &[String]) -> Result<Fingerprint, OfferError> {
    if lines.is_empty() {
        return Err(OfferError::NoFingerprint);
    }
    for line in lines {
        let (hash, value) = line.trim().split_once(' ').ok_or_else(|| malformed("a=fingerprint without a value"))?;
        let (hash, len) = match hash.to_ascii_lowercase().as_str() {
            "sha-256" => (HashFunction::Sha256, 32),
            "sha-384" => (HashFunction::Sha384, 48),
            "sha-512" => (HashFunction::Sha512, 64),
            _ => continue,
        };
        let value = hex_pairs(value.trim()).filter(|v| v.len() == len).ok_or_else(|| malformed("a=fingerprint whose value is not one"))?;
        return Ok(Fingerprint { hash, value });
    }
    Err(OfferError::WeakFingerprint)
}

/// `AB:CD:...`; `None` when it is anything else, or longer than any hash.
fn hex_pairs(text: &str) -> Option<Vec<u8>> {
    if text.len() > 3 * 64 {
        return None;
    }
    let pair = |p: &str| if p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()) { u8::from_str_radix(p, 16).ok() } else { None };
    text.split(':').map(pair).collect()
}

/// Without `a=setup` the offerer leaves the choice to us, as `actpass` does (RFC 8842 section 5.2 wants it written).
fn setup(value: Option<&String>) -> Result<Setup, OfferError> {
    match value.map(String::as_str) {
        None | Some("actpass") => Ok(Setup::ActPass),
        Some("active") => Ok(Setup::Active),
        Some("passive") => Ok(Setup::Passive),
        Some(_) => Err(malformed("a=setup is none of actpass, active, passive")),
    }
}

/// What the grammar says, without repeating a whole hostile line.
fn shortened(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    if visible.len() < text.len() { format!("{visible}...") } else { visible }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn corpus() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdp/offers");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        files.filter(|text| text.starts_with("v=0")).map(|text| text.replace("\r\n", "\n").replace('\n', "\r\n")).collect()
    }

    fn both(sdp: &str) -> [Result<Offer, OfferError>; 2] {
        [Offer::read(&repeats::shorten(sdp), false), Offer::read(&repeats::whole(sdp), false)]
    }

    #[test]
    fn an_offer_is_what_it_is_whether_its_repetitions_are_read_or_not() {
        let mut shorter = 0;
        for sdp in corpus() {
            let [short, whole] = both(&sdp);
            assert_eq!(short, whole);
            shorter += usize::from(repeats::shorten(&sdp).text.len() < sdp.len());
        }
        assert!(shorter > 5, "{shorter} offers have repetitions");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn so_is_one_that_was_tampered_with(file in any::<prop::sample::Index>(), changes in proptest::collection::vec((0u8..4, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
            let all = corpus();
            let sdp = file.get(&all);
            let mut lines: Vec<&str> = sdp.split_inclusive('\n').collect();
            for (what, at, other) in changes {
                let (at, other) = (at.index(lines.len()), other.index(lines.len()));
                match what {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(at, lines[other]),
                    2 => lines[at] = lines[other],
                    _ => lines.swap(at, other),
                }
                prop_assume!(!lines.is_empty());
            }
            let [short, whole] = both(&lines.concat());
            // Which of several faults is named may differ: the grammar's come first, and it reads less.
            prop_assert_eq!(short.as_ref().ok(), whole.as_ref().ok());
        }
    }
}
