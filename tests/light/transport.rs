//! The connection: ICE checks, the DTLS client, SRTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use althing::base::Time;
use althing::contract::{DtlsRole, Fingerprint, HashFunction};
use althing::media::packet::rtp::{RtpHeader, padding_len};
use althing::media::peer::Srtp;
use althing::media::transport::{DtlsEvent, DtlsIdentity, DtlsTransport, ReceiveStream};
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

/// A check that was not answered is sent again after this.
const CHECK_AGAIN: Duration = Duration::from_millis(200);
/// Consent is asked for so often.
const CONSENT: Duration = Duration::from_secs(4);

/// What the server's answer says of its end.
#[derive(Clone, Debug)]
pub struct Server {
    pub ufrag: String,
    pub pwd: String,
    pub fingerprint: Fingerprint,
    pub address: SocketAddr,
}

impl Server {
    /// Reads an answer.
    pub fn read(answer: &str) -> Option<Self> {
        let value = |prefix: &str| answer.lines().find_map(|l| l.strip_prefix(prefix)).map(str::trim);
        let bytes = value("a=fingerprint:sha-256 ")?.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
        let mut candidate = value("a=candidate:")?.split(' ').skip(4);
        let address = format!("{}:{}", candidate.next()?, candidate.next()?);
        Some(Self {
            ufrag: value("a=ice-ufrag:")?.to_owned(),
            pwd: value("a=ice-pwd:")?.to_owned(),
            fingerprint: Fingerprint { hash: HashFunction::Sha256, value: bytes.collect::<Option<_>>()? },
            address: address.parse().ok()?,
        })
    }
}

/// One certificate serves all participants of a process: making it is not what is measured.
pub fn identity() -> &'static DtlsIdentity {
    static IDENTITY: OnceLock<DtlsIdentity> = OnceLock::new();
    IDENTITY.get_or_init(|| DtlsIdentity::generate().expect("a certificate"))
}

/// One connection, without its socket: it is told what came and when, and says what is to be sent.
pub struct Transport {
    username: String,
    pwd: String,
    dtls: DtlsTransport,
    begun: Instant,
    next_check: Duration,
    reachable: bool,
    srtp: Option<Srtp>,
    streams: HashMap<u32, ReceiveStream>,
    /// Our own streams' next indices.
    indices: HashMap<u32, u64>,
}

impl Transport {
    pub fn new(server: &Server, ufrag: &str) -> Self {
        let begun = Instant::now();
        Self {
            username: format!("{}:{ufrag}", server.ufrag),
            pwd: server.pwd.clone(),
            dtls: DtlsTransport::new(identity(), DtlsRole::Client, server.fingerprint.clone(), begun),
            begun,
            next_check: Duration::ZERO,
            reachable: false,
            srtp: None,
            streams: HashMap::new(),
            indices: HashMap::new(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.srtp.is_some()
    }

    /// What is due by the clock.
    pub fn tick(&mut self, out: &mut Vec<Vec<u8>>) {
        let since = self.begun.elapsed();
        if since >= self.next_check {
            self.next_check = since + if self.reachable { CONSENT } else { CHECK_AGAIN };
            out.push(self.check());
        }
        if self.dtls.poll_timeout().is_some_and(|at| at <= self.now()) {
            self.dtls.handle_timeout(self.now());
        }
        self.after_dtls(out);
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_tick(&self) -> Instant {
        let dtls = self.dtls.poll_timeout().map_or(Duration::MAX, |at| Duration::from_micros(at.as_micros()));
        self.begun + self.next_check.min(dtls)
    }

    /// Takes a datagram; of an RTP packet, returns the payload.
    pub fn take<'a>(&mut self, datagram: &'a mut [u8], out: &mut Vec<Vec<u8>>) -> Option<&'a [u8]> {
        match *datagram {
            [0..=3, ..] => {
                if !std::mem::replace(&mut self.reachable, true) {
                    self.next_check = self.begun.elapsed() + CONSENT;
                    self.dtls.start(self.now());
                }
            }
            [20..=63, ..] => {
                let _ = self.dtls.handle_datagram(self.now(), datagram);
            }
            [128..=191, 192..=223, ..] => return None,
            _ => return self.open(datagram),
        }
        self.after_dtls(out);
        None
    }

    /// Takes application data from now on.
    pub fn take_data(&mut self) {
        self.dtls.take_data();
    }

    /// The next application data that came.
    pub fn data(&mut self) -> Option<Vec<u8>> {
        self.dtls.poll_data().map(|data| data.to_vec())
    }

    /// A datagram with application data.
    pub fn seal_data(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        self.dtls.seal(self.now(), data).map(|datagram| datagram.to_vec())
    }

    /// Seals an RTP packet with a plain header of 12 bytes.
    pub fn seal(&mut self, packet: &[u8], ssrc: u32) -> Option<Vec<u8>> {
        let srtp = self.srtp.as_ref()?;
        let sequence = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
        // The first number is below 2^15 and every one is sent: the rollover counter is counted here.
        let index = self.indices.entry(ssrc).and_modify(|index| *index += 1).or_insert(sequence);
        let mut out = vec![0; packet.len() + 32];
        out[..12].copy_from_slice(&packet[..12]);
        let len = srtp.sender.seal_scatter(&mut out, 12, &packet[12..], ssrc, *index)?;
        out.truncate(len);
        Some(out)
    }

    fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
        let header = RtpHeader::parse(datagram).ok()?;
        let stream = self.streams.entry(header.ssrc).or_default();
        let opened = self.srtp.as_ref()?.receiver.open(stream, datagram, header.header_len, header.sequence, header.ssrc).ok()?;
        let payload = datagram.get(header.header_len..header.header_len + opened.payload_len)?;
        let padding = if header.padding { padding_len(payload)? } else { 0 };
        payload.get(..payload.len() - padding)
    }

    fn after_dtls(&mut self, out: &mut Vec<Vec<u8>>) {
        while let Some(datagram) = self.dtls.poll_transmit() {
            out.push(datagram.to_vec());
        }
        while let Some(event) = self.dtls.poll_event() {
            if let DtlsEvent::Established(keys) = event {
                self.srtp = Srtp::new(&keys).ok();
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.begun.elapsed().as_micros() as u64)
    }

    fn check(&self) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().expect("a provider");
        let mut message = Message::new();
        let mut id = [0; 12];
        id[..8].copy_from_slice(&(self.begun.elapsed().as_nanos() as u64).to_be_bytes());
        TransactionId(id).add_to(&mut message).expect("an id");
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
        message.add(ATTR_USE_CANDIDATE, &[]);
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(self.pwd.clone(), provider.crypto());
        integrity.add_to(&mut message).expect("integrity");
        FINGERPRINT.add_to(&mut message).expect("a fingerprint");
        message.raw
    }
}
