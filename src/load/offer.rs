//! The offers of light clients, and what they read of the answers.

use std::fmt::Write;
use std::net::SocketAddr;

use super::media::{LEVEL_ID, OPUS, TRANSPORT_CC_ID, VP8, VP8_RTX};
use crate::contract::{DtlsRole, Extension, Fingerprint, HashFunction, MediaKind};
use crate::wire::{PublishLine, Source};

/// What a client offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Our ICE user name fragment.
    pub ufrag: String,
    /// Our ICE password.
    pub pwd: String,
    /// Our certificate's SHA-256, as `AB:CD:…`.
    pub fingerprint: String,
    /// What is sent: kind and SSRC of each stream.
    pub sends: Vec<(MediaKind, u32)>,
    /// Kinds of each receiving pair.
    pub kinds: Vec<MediaKind>,
    /// Receiving pairs.
    pub pairs: u32,
    /// Whether lost packets are asked for again.
    pub nack: bool,
    /// Whether what is received is reported transport-wide, and repaired by RTX.
    pub transport_cc: bool,
}

impl Offer {
    /// The session description.
    pub fn sdp(&self, version: u32) -> String {
        let lines = self.lines();
        let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
        let mut sdp = format!("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "));
        sdp += "a=msid-semantic: WMS *\r\n";
        for (mid, (kind, ssrc)) in lines.into_iter().enumerate() {
            self.section(mid, kind, ssrc, &mut sdp);
        }
        sdp
    }

    /// What the sending m-lines carry.
    pub fn publish(&self) -> Vec<PublishLine> {
        let source = |kind| if kind == MediaKind::Audio { Source::Microphone } else { Source::Camera };
        let line =
            |(mid, (kind, _)): (usize, &(MediaKind, u32))| PublishLine { mid: mid.to_string(), source: source(*kind), muted: false, fallback: false };
        self.sends.iter().enumerate().map(line).collect()
    }

    /// The m-lines in order; those that send have an SSRC. More pairs come behind what was there.
    fn lines(&self) -> Vec<(MediaKind, Option<u32>)> {
        let sends = self.sends.iter().map(|(kind, ssrc)| (*kind, Some(*ssrc)));
        let receives = (0..self.pairs).flat_map(|_| self.kinds.iter().map(|kind| (*kind, None)));
        sends.chain(receives).collect()
    }

    fn section(&self, mid: usize, kind: MediaKind, ssrc: Option<u32>, sdp: &mut String) {
        let (name, payload_type, codec) = match kind {
            MediaKind::Audio => ("audio", OPUS, "opus/48000/2"),
            MediaKind::Video => ("video", VP8, "VP8/90000"),
        };
        let Self { ufrag, pwd, fingerprint, .. } = self;
        let reports = self.transport_cc && ssrc.is_none();
        let repairs = reports && self.nack && kind == MediaKind::Video;
        let mut write = |line: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = sdp.write_fmt(format_args!("{line}\r\n"));
        };
        let rtx = if repairs { format!(" {VP8_RTX}") } else { String::new() };
        write(format_args!("m={name} 9 UDP/TLS/RTP/SAVPF {payload_type}{rtx}"));
        write(format_args!("c=IN IP4 0.0.0.0"));
        write(format_args!("a=mid:{mid}"));
        write(format_args!("a=ice-ufrag:{ufrag}"));
        write(format_args!("a=ice-pwd:{pwd}"));
        write(format_args!("a=fingerprint:sha-256 {fingerprint}"));
        write(format_args!("a=setup:actpass"));
        write(format_args!("a=rtcp-mux"));
        write(format_args!("a=rtcp-rsize"));
        write(format_args!("a=rtpmap:{payload_type} {codec}"));
        if kind == MediaKind::Audio {
            write(format_args!("a=fmtp:{payload_type} minptime=10;useinbandfec=1"));
            write(format_args!("a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level"));
        } else {
            write(format_args!("a=rtcp-fb:{payload_type} nack pli"));
            write(format_args!("a=rtcp-fb:{payload_type} ccm fir"));
        }
        // What we send we send again when asked.
        if self.nack || ssrc.is_some() {
            write(format_args!("a=rtcp-fb:{payload_type} nack"));
        }
        if repairs {
            write(format_args!("a=rtpmap:{VP8_RTX} rtx/90000"));
            write(format_args!("a=fmtp:{VP8_RTX} apt={payload_type}"));
        }
        if reports {
            write(format_args!("a=rtcp-fb:{payload_type} transport-cc"));
            let uri = Extension::TransportCc.uri();
            write(format_args!("a=extmap:{TRANSPORT_CC_ID} {uri}"));
        }
        match ssrc {
            None => write(format_args!("a=recvonly")),
            Some(ssrc) => {
                write(format_args!("a=sendonly"));
                write(format_args!("a=msid:load {name}"));
                write(format_args!("a=ssrc:{ssrc} cname:load"));
                write(format_args!("a=ssrc:{ssrc} msid:load {name}"));
            }
        }
    }
}

/// What a client needs of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The server's ICE user name fragment.
    pub ufrag: String,
    /// The server's ICE password.
    pub pwd: String,
    /// The server's certificate.
    pub fingerprint: Fingerprint,
    /// Our part in the DTLS handshake.
    pub role: DtlsRole,
    /// Where the server is found over UDP, most preferred first.
    pub candidates: Vec<SocketAddr>,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn read(sdp: &str) -> Result<Self, String> {
        let value = |name: &str| sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let needed = |name: &str| value(name).map(str::to_owned).ok_or_else(|| format!("the answer has no a={name}"));
        let mut candidates: Vec<(u32, SocketAddr)> = sdp.lines().filter_map(|l| candidate(l.strip_prefix("a=candidate:")?)).collect();
        candidates.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        candidates.dedup_by_key(|(_, address)| *address);
        if candidates.is_empty() {
            return Err("the answer has no UDP candidate with an address".to_owned());
        }
        let fingerprints = sdp.lines().filter_map(|l| l.strip_prefix("a=fingerprint:"));
        Ok(Self {
            ufrag: needed("ice-ufrag")?,
            pwd: needed("ice-pwd")?,
            fingerprint: fingerprints.filter_map(fingerprint).next().ok_or("the answer has no fingerprint by SHA-256, SHA-384 or SHA-512")?,
            role: if value("setup") == Some("active") { DtlsRole::Server } else { DtlsRole::Client },
            candidates: candidates.into_iter().map(|(_, address)| address).collect(),
        })
    }
}

/// `<foundation> <component> udp <priority> <address> <port> …` (RFC 8839 section 5.1); the first component, no names to resolve.
fn candidate(text: &str) -> Option<(u32, SocketAddr)> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, "1", protocol, priority, address, port, ..] = fields.as_slice() else { return None };
    let address = SocketAddr::new(address.parse().ok()?, port.parse().ok()?);
    protocol.eq_ignore_ascii_case("udp").then_some((priority.parse().ok()?, address))
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    let (hash, value) = text.trim().split_once(' ')?;
    let (hash, len) = match hash.to_ascii_lowercase().as_str() {
        "sha-256" => (HashFunction::Sha256, 32),
        "sha-384" => (HashFunction::Sha384, 48),
        "sha-512" => (HashFunction::Sha512, 64),
        _ => return None,
    };
    let value: Option<Vec<u8>> = value.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    value.filter(|v| v.len() == len).map(|value| Fingerprint { hash, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::CNAME;
    use crate::sdp::{Fresh, Local, OfferLimits, Session};

    fn offer(pairs: u32) -> Offer {
        Offer {
            ufrag: "loadufrag".into(),
            pwd: "a-password-of-enough-letters".into(),
            fingerprint: ["AB"; 32].join(":"),
            sends: vec![(MediaKind::Audio, 11), (MediaKind::Video, 12)],
            kinds: vec![MediaKind::Audio, MediaKind::Video],
            pairs,
            nack: true,
            transport_cc: false,
        }
    }

    fn answered(session: &mut Session, offer: &Offer, version: u32) -> crate::sdp::Answer {
        let limits = OfferLimits { max_mlines: 64, max_bytes: 65_536 };
        let parsed = crate::sdp::Offer::parse(&offer.sdp(version), &limits).expect("an offer");
        let fresh = Fresh { ufrag: "server".into(), pwd: "another-password-of-enough-letters".into(), ssrc_seed: 1 };
        session.answer(&parsed, fresh).expect("an answer")
    }

    fn session() -> Session {
        let candidates = vec!["192.0.2.1:40000".parse().expect("address"), "[2001:db8::1]:40000".parse().expect("address")];
        Session::new(Local {
            fingerprint_sha256: ["CD"; 32].join(":"),
            candidates,
            tcp: false,
            cname: CNAME.into(),
            session_id: 1,
            data: None,
            publish: None,
        })
    }

    #[test]
    fn the_server_understands_an_offer_and_we_its_answer() {
        let mut session = session();
        let answer = answered(&mut session, &offer(2), 1);
        assert_eq!((answer.pairs.len(), answer.publishable.len()), (2, 2));
        assert!(answer.pairs.iter().all(|p| p.audio.is_some() && p.video.is_some()));
        assert_eq!(answer.media.receive[1].ssrcs, [(12, None)]);
        let read = Answer::read(&answer.sdp).expect("an answer");
        assert_eq!((read.ufrag.as_str(), read.pwd.as_str(), read.role), ("server", "another-password-of-enough-letters", DtlsRole::Client));
        assert_eq!(read.fingerprint.value, [0xcd; 32]);
        let candidates: Vec<String> = read.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(candidates, ["192.0.2.1:40000", "[2001:db8::1]:40000"]);
    }

    #[test]
    fn browsers_feedback_is_offered_on_what_is_received() {
        let answer = answered(&mut session(), &Offer { transport_cc: true, ..offer(1) }, 1);
        let video = answer.media.send.iter().find(|s| s.kind == MediaKind::Video).expect("a slot");
        assert_eq!((video.codecs[0].rtx, video.codecs[0].feedback.transport_cc), (Some(VP8_RTX), true));
        assert_eq!(video.extensions.id(Extension::TransportCc), Some(TRANSPORT_CC_ID));
        assert!(video.rtx_ssrc.is_some() && answer.media.receive.iter().all(|r| !r.codecs[0].feedback.transport_cc));
    }

    #[test]
    fn more_pairs_leave_the_lines_before_them_as_they_were() {
        let mut session = session();
        answered(&mut session, &offer(1), 1);
        assert_eq!(answered(&mut session, &offer(4), 2).pairs.len(), 4);
    }

    #[test]
    fn what_is_published_is_named_by_its_mid() {
        let lines: Vec<_> = offer(3).publish().into_iter().map(|l| (l.mid, l.source)).collect();
        assert_eq!(lines, [("0".to_owned(), Source::Microphone), ("1".to_owned(), Source::Camera)]);
    }

    #[test]
    fn an_answer_that_lacks_something_says_what() {
        let whole = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:active\r\na=candidate:1 1 UDP 5 10.0.0.1 9 typ host\r\n".to_owned()
            + &format!("a=fingerprint:sha-256 {}\r\n", ["01"; 32].join(":"));
        let read = Answer::read(&whole).expect("an answer");
        assert_eq!(read.role, DtlsRole::Server);
        for (line, what) in [("a=ice-ufrag", "ice-ufrag"), ("a=ice-pwd", "ice-pwd"), ("a=candidate", "candidate"), ("a=fingerprint", "fingerprint")] {
            let cut: String = whole.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\r\n")).collect();
            assert!(Answer::read(&cut).is_err_and(|e| e.contains(what)), "{line}");
        }
    }

    #[test]
    fn candidates_are_taken_by_priority_and_others_than_udp_left_out() {
        let of = |text: &str| candidate(text).map(|(p, a)| (p, a.to_string()));
        assert_eq!(of("1 1 udp 100 10.0.0.1 5000 typ host"), Some((100, "10.0.0.1:5000".into())));
        assert_eq!(of("1 2 udp 100 10.0.0.1 5000 typ host"), None);
        assert_eq!(of("1 1 tcp 100 10.0.0.1 5000 typ host tcptype passive"), None);
        assert_eq!(of("1 1 udp 100 abc.local 5000 typ host"), None);
    }
}
