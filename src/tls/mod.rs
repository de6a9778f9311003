//! The certificate of this server, for every listener that speaks TLS: where it comes from, and which one is current.
//!
//! [`open`] makes it or reads it; [`Upkeep`] goes on replacing it while the node runs: files that have changed, an authority's next
//! certificate. Listeners ask [`Certificates`] for each new connection, so that a change costs no connection that is there.

mod acme;
mod dev;
mod error;
mod files;
mod identity;
mod look;
mod store;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::config::{CertificateSource, TlsConfig};
use identity::Identity;

pub use error::TlsError;
pub use look::{Shown, look, name, trusts_anybody};

/// [`Certificates::not_after`] while there is no certificate.
const NONE: i64 = i64::MIN;

/// Whoever asks for a look waits no longer: files lie on a disk that may not answer, and a node has more to hear.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);

/// The current certificate, cheap to clone: whoever accepts TLS holds one.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    current: ArcSwap<ServerConfig>,
    /// What an authority that tries us by TLS-ALPN-01 (RFC 8737) is answered with.
    challenge: Option<Arc<ServerConfig>>,
    not_after: AtomicI64,
}

impl Certificates {
    fn new(config: Arc<ServerConfig>, challenge: Option<Arc<ServerConfig>>) -> Self {
        Self(Arc::new(Inner { current: ArcSwap::new(config), challenge, not_after: AtomicI64::new(NONE) }))
    }

    fn of(identity: &Identity) -> Self {
        let certificates = Self::new(server_config(identity.resolver()), None);
        certificates.expire_at(identity.not_after);
        certificates
    }

    /// What a new connection is answered with: TLS 1.3 or 1.2 and the current certificate. `protocols` are those that the listener speaks
    /// (ALPN, RFC 7301), most wanted first; without any, none is negotiated.
    pub fn current(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let current = self.0.current.load_full();
        if protocols.is_empty() {
            return current;
        }
        // A few reference counts and these names: little beside the signature that comes next.
        let mut config = ServerConfig::clone(&current);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// What to answer instead when an authority tries whether this is its domain's server; it says nothing else on such a connection.
    pub fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        self.0.challenge.clone().filter(|_| rustls_acme::is_tls_alpn_challenge(hello))
    }

    /// When the current certificate expires, in seconds since 1970; none where there is no certificate yet.
    pub fn not_after(&self) -> Option<i64> {
        Some(self.0.not_after.load(Ordering::Relaxed)).filter(|at| *at != NONE)
    }

    /// From now on new connections get this one. Sessions of the one before are not resumed.
    fn replace(&self, identity: &Identity) {
        self.0.current.store(server_config(identity.resolver()));
        self.expire_at(identity.not_after);
    }

    fn expire_at(&self, at: i64) {
        self.0.not_after.store(at, Ordering::Relaxed);
    }
}

/// What goes on replacing the certificate.
pub struct Upkeep {
    certificates: Certificates,
    way: Way,
    look: Look,
    questions: mpsc::Receiver<Answer>,
}

/// What has come of looking at the certificate again: in how many days the one that is used from now on expires, or why the one before stays.
pub type Looked = Result<i64, TlsError>;
type Answer = oneshot::Sender<Looked>;

/// Has the certificate looked at before its time.
#[derive(Clone)]
pub struct Look(mpsc::Sender<Answer>);

impl Look {
    /// Looks at it now. None where nothing is looked at: an authority's certificate is ordered, and whoever orders does not hear this.
    pub async fn now(&self) -> Option<Looked> {
        let (answer, looked) = oneshot::channel();
        self.0.try_send(answer).ok()?;
        timeout(LOOKED_WITHIN, looked).await.ok()?.ok()
    }
}

enum Way {
    Files { files: files::Files, look_every: Duration },
    Acme(Box<acme::Orders>),
    Development(dev::Kept),
}

/// Reads the certificate, or makes it, or prepares to order it. `addresses` are those that this machine is reached by.
///
/// # Errors
/// When there is none to begin with; the text says what to do.
///
/// # Panics
/// Outside of tokio.
pub fn open(config: &TlsConfig, addresses: &[IpAddr]) -> Result<(Certificates, Upkeep), TlsError> {
    let (certificates, way) = match &config.source {
        CertificateSource::Files { cert, key } => {
            let mut files = files::Files::new(cert, key);
            (Certificates::of(&files.read(now())?), Way::Files { files, look_every: config.look_every })
        }
        CertificateSource::Development { cache } => {
            let kept = dev::Kept::new(cache, dev::names(addresses));
            (Certificates::of(&kept.read_or_make(now())?), Way::Development(kept))
        }
        CertificateSource::Acme(acme) => {
            let (certificates, orders) = acme::prepare(acme)?;
            (certificates, Way::Acme(Box::new(orders)))
        }
    };
    let (look, questions) = mpsc::channel(1);
    Ok((certificates.clone(), Upkeep { certificates, way, look: Look(look), questions }))
}

impl Upkeep {
    /// What has it look before its time.
    pub fn look(&self) -> Look {
        self.look.clone()
    }

    /// Goes on until the node ends. A [`Look`] has it look at once.
    pub async fn run(self, mut closing: watch::Receiver<bool>) {
        let Self { certificates, way, look: _, mut questions } = self;
        let ended = closing.wait_for(|closing| *closing);
        let work = async {
            match way {
                Way::Files { files, look_every } => follow(files, look_every, &mut questions, &certificates).await,
                Way::Acme(orders) => {
                    questions.close();
                    orders.run(&certificates).await;
                }
                Way::Development(kept) => remake(&kept, &mut questions, &certificates).await,
            }
        };
        tokio::select! {
            _ = ended => {}
            () = work => {}
        }
    }
}

/// Takes over what the files hold whenever they have changed, and when it is asked to; whoever asks says what has come of it.
async fn follow(mut files: files::Files, every: Duration, questions: &mut mpsc::Receiver<Answer>, certificates: &Certificates) {
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(every) => None,
            Some(answer) = questions.recv() => Some(answer),
        };
        if asked.is_none() && !files.changed() {
            continue;
        }
        let looked = take(files.read(now()), certificates);
        match (asked, looked) {
            (Some(answer), looked) => drop(answer.send(looked)),
            (None, Ok(expires_in_days)) => tracing::info!(expires_in_days, "a new certificate is used for new connections"),
            (None, Err(error)) => tracing::warn!("the new certificate is not used, the one before stays: {error}"),
        }
    }
}

/// Looks at a development certificate again when it is asked to.
async fn remake(kept: &dev::Kept, questions: &mut mpsc::Receiver<Answer>, certificates: &Certificates) {
    while let Some(answer) = questions.recv().await {
        // Who has asked may have given up.
        let _ = answer.send(take(kept.read_or_make(now()), certificates));
    }
}

fn take(read: Result<Identity, TlsError>, certificates: &Certificates) -> Looked {
    let identity = read?;
    certificates.replace(&identity);
    Ok(identity.days_left(now()))
}

/// The one crypto provider of this program.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS 1.3 and 1.2 as rustls has them by default, and no client's certificate.
fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&versions);
    let builder = builder.expect("the provider has cipher suites of both versions");
    Arc::new(builder.with_no_client_auth().with_cert_resolver(resolver))
}

/// Wall time, in seconds since 1970: what certificates count in.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests;
