//! The other side of a handshake, and the way between.

use super::super::endpoint::export_keys;
use super::*;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;
use std::net::SocketAddr;
use std::sync::Arc;

/// One end of a conversation.
pub trait Side {
    fn receive(&mut self, now: Time, datagram: &[u8]);
    fn transmits(&mut self) -> Vec<Vec<u8>>;
    fn tick(&mut self, now: Time);
}

impl Side for DtlsTransport {
    fn receive(&mut self, now: Time, datagram: &[u8]) {
        let _ = self.handle_datagram(now, datagram);
    }

    fn transmits(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.poll_transmit()).map(|datagram| datagram.to_vec()).collect()
    }

    fn tick(&mut self, now: Time) {
        self.start(now);
        if self.poll_timeout().is_some_and(|when| now >= when) {
            self.handle_timeout(now);
        }
    }
}

/// Lets two sides talk for 31 s in steps of 10 ms. What `a` sends goes through `there`, what `b` sends through `back`.
pub fn converse(
    a: &mut dyn Side, b: &mut dyn Side, mut there: impl FnMut(u64, Vec<u8>) -> Vec<Vec<u8>>, mut back: impl FnMut(u64, Vec<u8>) -> Vec<Vec<u8>>,
) {
    for millis in (0..31_000).step_by(10) {
        let now = at(millis);
        a.tick(now);
        b.tick(now);
        for datagram in a.transmits().into_iter().flat_map(|datagram| there(millis, datagram)) {
            b.receive(now, &datagram);
        }
        for datagram in b.transmits().into_iter().flat_map(|datagram| back(millis, datagram)) {
            a.receive(now, &datagram);
        }
    }
}

/// Cuts each ClientHello in a datagram into `parts` records of its own, and leaves other records as they are.
/// Record numbers are spread out so that none comes twice.
pub fn split_hellos(datagram: &[u8], parts: usize) -> Vec<Vec<u8>> {
    let mut datagrams = vec![];
    for record in record::records(datagram) {
        if !hello::is_client_hello(&record) || record.epoch != 0 {
            let mut other = record.bytes.to_vec();
            if record.epoch == 0 {
                other[5..11].copy_from_slice(&(record.sequence + 200).to_be_bytes()[2..]);
            }
            datagrams.push(other);
            continue;
        }
        let body = &record.body[12..];
        for part in 0..parts {
            let (from, to) = (body.len() * part / parts, body.len() * (part + 1) / parts);
            let mut piece = record.bytes[..5].to_vec();
            piece.extend_from_slice(&(record.sequence * 20 + part as u64).to_be_bytes()[2..]);
            piece.extend_from_slice(&((12 + to - from) as u16).to_be_bytes());
            piece.extend_from_slice(&record.body[..6]);
            piece.extend_from_slice(&(from as u32).to_be_bytes()[1..]);
            piece.extend_from_slice(&((to - from) as u32).to_be_bytes()[1..]);
            piece.extend_from_slice(&body[from..to]);
            datagrams.push(piece);
        }
    }
    datagrams
}

/// The library alone, in either role.
pub struct LibraryPeer {
    endpoint: Endpoint,
    client: Option<Arc<rtc_dtls::config::HandshakeConfig>>,
    identity: DtlsIdentity,
    epoch: Instant,
    pub done: bool,
    pub failed: bool,
    pub closed: bool,
}

impl LibraryPeer {
    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

    pub fn client(listed: &[Listed]) -> Self {
        Self::new(listed, true, |config, identity| config.with_certificates(vec![identity.certificate()]))
    }

    pub fn client_without_certificate(listed: &[Listed]) -> Self {
        Self::new(listed, true, |config, _| config)
    }

    pub fn client_without_extended_master_secret(listed: &[Listed]) -> Self {
        Self::new(listed, true, |config, identity| {
            config.with_certificates(vec![identity.certificate()]).with_extended_master_secret(ExtendedMasterSecretType::Disable)
        })
    }

    pub fn server(listed: &[Listed]) -> Self {
        Self::new(listed, false, |config, identity| {
            config.with_certificates(vec![identity.certificate()]).with_client_auth(ClientAuthType::RequireAnyClientCert)
        })
    }

    fn new(listed: &[Listed], is_client: bool, more: impl Fn(ConfigBuilder, &DtlsIdentity) -> ConfigBuilder) -> Self {
        let identity = identity();
        let config = ConfigBuilder::default()
            .with_crypto_provider(identity.provider())
            .with_srtp_protection_profiles(listed.to_vec())
            .with_flight_interval(Duration::from_millis(400))
            .with_insecure_skip_verify(true);
        let config = Arc::new(more(config, &identity).build(is_client, Some(Self::ADDRESS)).unwrap());
        let (client, server) = if is_client { (Some(config), None) } else { (None, Some(config)) };
        let endpoint = Endpoint::new(Self::ADDRESS, TransportProtocol::UDP, server);
        Self { endpoint, client, identity, epoch: Instant::now(), done: false, failed: false, closed: false }
    }

    pub fn identity(&self) -> &DtlsIdentity {
        &self.identity
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    pub fn fingerprint_with(&self, hash: HashFunction) -> Fingerprint {
        let algorithm = match hash {
            HashFunction::Sha256 => &aws_lc_rs::digest::SHA256,
            HashFunction::Sha384 => &aws_lc_rs::digest::SHA384,
            HashFunction::Sha512 => &aws_lc_rs::digest::SHA512,
        };
        let value = aws_lc_rs::digest::digest(algorithm, &self.identity.certificate().certificate[0]).as_ref().to_vec();
        Fingerprint { hash, value }
    }

    pub fn keys(&self) -> Option<SrtpKeys> {
        export_keys(self.endpoint.get_connection_state(Self::ADDRESS)?)
    }

    pub fn close(&mut self, now: Time) {
        self.endpoint.close(self.instant(now)).unwrap();
    }

    pub fn write(&mut self, now: Time, data: &[u8]) {
        self.endpoint.write(self.instant(now), Self::ADDRESS, data).unwrap();
    }

    fn instant(&self, now: Time) -> Instant {
        self.epoch + Duration::from_micros(now.as_micros())
    }
}

impl Side for LibraryPeer {
    fn receive(&mut self, now: Time, datagram: &[u8]) {
        match self.endpoint.read(self.instant(now), Self::ADDRESS, None, BytesMut::from(datagram)) {
            Ok(events) => {
                for event in events {
                    self.done |= matches!(event, EndpointEvent::HandshakeComplete);
                    self.closed |= matches!(event, EndpointEvent::PeerClosed);
                }
            }
            Err(_) => self.failed = true,
        }
    }

    fn transmits(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message.to_vec()).collect()
    }

    fn tick(&mut self, now: Time) {
        let now = self.instant(now);
        if let Some(config) = self.client.take() {
            self.endpoint.connect(now, Self::ADDRESS, config, None).unwrap();
        }
        self.failed |= self.endpoint.get_connection_state(Self::ADDRESS).is_some() && self.endpoint.handle_timeout(Self::ADDRESS, now).is_err();
    }
}
