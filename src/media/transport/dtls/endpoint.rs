//! The `rtc-dtls` library behind the [`Dtls`] trait.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use super::identity::{DtlsIdentity, has_fingerprint};
use super::{Dtls, Fault, Step};
use crate::base::Time;
use crate::contract::{Fingerprint, SrtpKeys, SrtpProfile};
use bytes::BytesMut;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The library wants an address for each association; ours has one, wherever its datagrams really come from.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// The label of RFC 5764 section 4.2.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// Forward secrecy and an AEAD, or nothing.
const SERVER_SUITES: [CipherSuiteId; 2] =
    [CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256, CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256];
/// A server may have an RSA certificate; ours has not.
const CLIENT_SUITES: [CipherSuiteId; 4] = [
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
    CipherSuiteId::Tls_Ecdhe_Rsa_With_ChaCha20_Poly1305_Sha256,
];

/// One association of the library's.
pub(super) struct RtcEndpoint {
    endpoint: Endpoint,
    remote: Fingerprint,
    epoch: Instant,
    done: bool,
    data: VecDeque<BytesMut>,
}

impl RtcEndpoint {
    /// A server that accepts `profile` alone.
    pub fn server(identity: &DtlsIdentity, remote: &Fingerprint, epoch: Instant, profile: SrtpProfile) -> Result<Self, Fault> {
        let config = config(identity, remote, &SERVER_SUITES, &[profile]).build(false, None).map_err(|_| Fault)?;
        Ok(Self::new(Some(config), remote, epoch))
    }

    /// A client that offers every profile, in our order; its ClientHello waits to be sent.
    pub fn client(identity: &DtlsIdentity, remote: &Fingerprint, epoch: Instant, now: Time) -> Result<Self, Fault> {
        let profiles = [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::AesCm128HmacSha1_80];
        let config = config(identity, remote, &CLIENT_SUITES, &profiles).build(true, Some(PEER)).map_err(|_| Fault)?;
        let mut client = Self::new(None, remote, epoch);
        let now = client.instant(now);
        client.endpoint.connect(now, PEER, Arc::new(config), None).map_err(|_| Fault)?;
        Ok(client)
    }

    fn new(server: Option<HandshakeConfig>, remote: &Fingerprint, epoch: Instant) -> Self {
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, server.map(Arc::new));
        Self { endpoint, remote: remote.clone(), epoch, done: false, data: VecDeque::new() }
    }

    fn instant(&self, now: Time) -> Instant {
        self.epoch.checked_add(Duration::from_micros(now.as_micros())).unwrap_or(self.epoch)
    }

    /// The keys, if the certificate is the right one: asked again here, whatever the library asked before.
    fn keys(&self) -> Option<SrtpKeys> {
        let state = self.endpoint.get_connection_state(PEER)?;
        has_fingerprint(&state.peer_certificates, &self.remote).then_some(())?;
        export_keys(state)
    }
}

impl Dtls for RtcEndpoint {
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]) -> Result<Step, Fault> {
        let result = self.endpoint.read(self.instant(now), PEER, None, BytesMut::from(datagram));
        let events = match result {
            Ok(events) => events,
            // After the handshake only an alert under its keys ends the association; other trouble is a stranger's.
            Err(error) if self.done && error != Error::ErrAlertFatalOrClose => return Ok(Step::Pending),
            Err(_) => return Err(Fault),
        };
        let mut step = Step::Pending;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => step = Step::Done(self.keys().ok_or(Fault)?),
                EndpointEvent::PeerClosed => return Ok(Step::Closed),
                EndpointEvent::ApplicationData(data) => self.data.push_back(data),
                _ => {}
            }
        }
        self.done |= step != Step::Pending;
        Ok(step)
    }

    fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message)
    }

    fn poll_data(&mut self) -> Option<BytesMut> {
        self.data.pop_front()
    }

    fn seal(&mut self, now: Time, data: &[u8]) -> Option<BytesMut> {
        self.endpoint.write(self.instant(now), PEER, data).ok()?;
        self.poll_transmit()
    }

    fn close(&mut self, now: Time) {
        // The only error would be that there is no association to close.
        let _ = self.endpoint.close(self.instant(now));
    }
}

fn config(identity: &DtlsIdentity, remote: &Fingerprint, suites: &[CipherSuiteId], profiles: &[SrtpProfile]) -> ConfigBuilder {
    let expected = remote.clone();
    ConfigBuilder::default()
        .with_crypto_provider(identity.provider())
        .with_certificates(vec![identity.certificate()])
        .with_cipher_suites(suites.to_vec())
        .with_srtp_protection_profiles(profiles.iter().copied().map(to_library).collect())
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_extended_master_secret(ExtendedMasterSecretType::Require)
        // There is no authority to ask: the certificate is the one that signaling named (RFC 8827 section 6.5).
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(move |chain, _| match has_fingerprint(chain, &expected) {
            true => Ok(()),
            false => Err(Error::ErrNoMatchingCertificateFingerprint),
        })))
}

/// RFC 5764 section 4.2: the client's key, the server's, the client's salt, the server's.
pub(super) fn export_keys(state: &State) -> Option<SrtpKeys> {
    let profile = from_library(state.srtp_protection_profile())?;
    let (key, salt) = (profile.key_len(), profile.salt_len());
    let material = state.export_keying_material(EXPORTER, &[], 2 * (key + salt)).ok()?;
    let (keys, salts) = material.as_ref().split_at_checked(2 * key)?;
    let (client_key, server_key) = keys.split_at_checked(key)?;
    let (client_salt, server_salt) = salts.split_at_checked(salt)?;
    let (client, server) = ((client_key.to_vec(), client_salt.to_vec()), (server_key.to_vec(), server_salt.to_vec()));
    let ((send_key, send_salt), (receive_key, receive_salt)) = if state.is_client() { (client, server) } else { (server, client) };
    Some(SrtpKeys { profile, receive_key, receive_salt, send_key, send_salt })
}

const fn to_library(profile: SrtpProfile) -> SrtpProtectionProfile {
    match profile {
        SrtpProfile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpProfile::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpProfile::AesCm128HmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    }
}

const fn from_library(profile: SrtpProtectionProfile) -> Option<SrtpProfile> {
    match profile {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Some(SrtpProfile::AeadAes128Gcm),
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Some(SrtpProfile::AeadAes256Gcm),
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Some(SrtpProfile::AesCm128HmacSha1_80),
        _ => None,
    }
}
