//! What a join costs the server, beside one bare handshake in the same run.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rustix::time::{ClockId, clock_gettime};

use super::participant::{Light, Sends, Wish};
use crate::client::Result;

/// A server in a process of its own, on this machine's own address. It ends with this value.
pub struct Server {
    process: Child,
    pub http: SocketAddr,
    pub admin: SocketAddr,
}

impl Server {
    /// Starts `program` on free ports and waits until it listens.
    pub fn start(program: &str) -> Result<Self> {
        let [http, admin] = [free_port()?, free_port()?];
        let mut command = Command::new(program);
        command.env("ALTHING_HTTP__LISTEN", http.to_string()).env("ALTHING_ADMIN__LISTEN", admin.to_string());
        // The one who speaks comes on top of a full room.
        command.env("ALTHING_ROOMS__MEMBERS", "501");
        command
            .env("ALTHING_MEDIA__BIND", "127.0.0.1")
            .env("ALTHING_MEDIA__PORT", "0")
            .env("ALTHING_TURN__ENABLED", "false")
            .env("ALTHING_LOG__LEVEL", "warn");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|e| format!("{program}: {e}"))?;
        let server = Self { process, http, admin };
        let begun = Instant::now();
        while std::net::TcpStream::connect(http).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("the server does not listen after 20 s".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.http)
    }

    /// CPU time of all its threads so far, in nanoseconds. Its threads live as long as it does.
    pub fn cpu(&self) -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).into_iter().flatten().flatten();
        threads.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// One round: server CPU per join, and CPU of one bare handshake.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub join: Duration,
    pub handshake: Duration,
}

impl Round {
    pub fn ratio(&self) -> f64 {
        self.join.as_secs_f64() / self.handshake.as_secs_f64()
    }
}

/// The round in the middle, by ratio.
pub fn median(mut rounds: Vec<Round>) -> Option<Round> {
    rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    rounds.get(rounds.len() / 2).copied()
}

/// A room with one who speaks and shows; then `joins` newcomers, one after the other. Each opens a socket, joins, offers
/// what Chromium offers, publishes microphone and camera, shakes hands and has its first media: so far it counts. Then it
/// leaves.
pub async fn rounds(server: &Server, rounds: usize, joins: u16) -> Result<Vec<Round>> {
    let wish = |number, sends| Wish { url: server.url(), room: "room".into(), number, sends, publishes: true };
    let sends = Sends { audio: Duration::from_millis(20), video: Duration::from_millis(500) };
    let first = Light::join(wish(1, Some(sends))).await?;
    // The first one warms up what is made once.
    let mut number = 2;
    let mut done = Vec::new();
    for round in 0..=rounds {
        let count = if round == 0 { 3 } else { joins };
        let mut spent = 0;
        for _ in 0..count {
            let before = server.cpu();
            let newcomer = Light::join(wish(number, None)).await?;
            newcomer.first_media().await?;
            spent += server.cpu() - before;
            newcomer.leave().await;
            // What leaving costs is not a part of the next one's joining.
            tokio::time::sleep(Duration::from_millis(5)).await;
            number += 1;
        }
        let join = Duration::from_nanos(spent / u64::from(count));
        let handshake = bare_handshake(40)?;
        if round > 0 {
            done.push(Round { join, handshake });
        }
    }
    first.leave().await;
    Ok(done)
}

/// CPU time of the server's half of one handshake of the library's alone: certificates on both sides as ours are.
pub fn bare_handshake(times: u32) -> Result<Duration> {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
    let certificate = || Certificate::generate_self_signed(vec!["bare.invalid".to_owned()], provider.crypto());
    let (server, client) = (certificate()?, certificate()?);
    let config = |certificate: &Certificate| {
        ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![certificate.clone()])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_insecure_skip_verify(true)
    };
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        spent += one_handshake(config(&server), config(&client))?;
    }
    Ok(spent / times)
}

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2);

fn one_handshake(server: ConfigBuilder, client: ConfigBuilder) -> Result<Duration> {
    let now = Instant::now();
    let mut them = Endpoint::new(CLIENT, TransportProtocol::UDP, None);
    them.connect(now, SERVER, Arc::new(client.build(true, Some(SERVER))?), None)?;
    let begun = cpu();
    let mut us = Endpoint::new(SERVER, TransportProtocol::UDP, Some(Arc::new(server.build(false, None)?)));
    let mut spent = cpu() - begun;
    for _ in 0..20 {
        while let Some(datagram) = them.poll_transmit() {
            let begun = cpu();
            let events = us.read(now, CLIENT, None, datagram.message)?;
            spent += cpu() - begun;
            if events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete)) {
                return Ok(spent);
            }
        }
        loop {
            let begun = cpu();
            let sent = us.poll_transmit();
            spent += cpu() - begun;
            let Some(datagram) = sent else { break };
            them.read(now, SERVER, None, datagram.message)?;
        }
    }
    Err("the bare handshake does not end".into())
}

fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}
