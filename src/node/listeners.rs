//! The listeners: which there are, what stands behind each, and what is said of them at the start.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{StartError, addresses};
use crate::config::{CertificateSource, Config};
use crate::control::admin::doctor::Verdict;
use crate::control::admin::doctor::addresses::of_announced;
use crate::control::http::{Beside, Door, Public, Tls, admin_router, public_router, redirect_router, serve, with_strict_transport_security};
use crate::control::rooms::Directory;
use crate::metrics::Metrics;
use crate::tls::Certificates;

/// Listeners that listen, and are not served yet.
pub struct Listeners {
    http: TcpListener,
    admin: TcpListener,
    redirect: Option<TcpListener>,
}

/// Where they listen.
#[derive(Clone, Copy)]
pub struct Bound {
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub redirect: Option<SocketAddr>,
}

/// Listens on every address that is set.
pub async fn open(config: &Config) -> Result<Listeners, StartError> {
    let http = listen(config.http.listen, "http.listen").await?;
    let admin = listen(config.admin, "admin.listen").await?;
    let redirect = match config.tls.as_ref().and_then(|tls| tls.redirect) {
        Some(address) => Some(listen(address, "tls.redirect").await?),
        None => None,
    };
    Ok(Listeners { http, admin, redirect })
}

impl Listeners {
    /// Where they listen.
    pub fn bound(&self) -> Bound {
        Bound { http: bound(&self.http), admin: bound(&self.admin), redirect: self.redirect.as_ref().map(bound) }
    }

    /// Serves them until the node closes.
    pub fn serve(
        self, config: &Config, public: &Public, certificates: Option<Certificates>, beside: Option<Beside>, metrics: Metrics, rooms: Directory,
        closing: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let plain = |router| Door { router, header: config.http.header, tls: None };
        let mut front = plain(public_router(public.clone()));
        if let (Some(tls), Some(certificates)) = (&config.tls, certificates) {
            let expiry = certificates.clone();
            let shown = metrics.show_certificate(Box::new(move || expiry.not_after()));
            shown.map_err(|error| StartError { what: "metrics".into(), advice: error.to_string() })?;
            let tls_front = Tls::new(certificates, tls.handshake, tls.handshakes, metrics.control.tls_handshakes.clone());
            front.tls = Some(tls_front.with(beside));
            if !matches!(tls.source, CertificateSource::Development { .. }) {
                front.router = with_strict_transport_security(front.router);
            }
        }
        if let Some(listener) = self.redirect {
            tokio::spawn(serve(listener, plain(redirect_router(Some(bound(&self.http).port()))), closing.clone()));
        }
        tokio::spawn(serve(self.http, front, closing.clone()));
        tokio::spawn(serve(self.admin, plain(admin_router(metrics, rooms, public.ready.clone(), config.admin_hosts.clone())), closing.clone()));
        Ok(())
    }
}

async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError { what: format!("cannot listen on {address}: {error}"), advice: advice(&error, address, setting) })
}

fn advice(error: &io::Error, address: SocketAddr, setting: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has this port (`ss -ltnp 'sport = :{}'` shows which); stop it, or choose another with `--set {setting}=HOST:PORT`",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need a privilege: allow it with `sudo setcap cap_net_bind_service=+ep $(command -v althing)`, with \
             AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit of systemd, or choose a higher one with `--set {setting}=HOST:PORT`"
        ),
        _ => format!("choose an address of this machine with `--set {setting}=HOST:PORT`"),
    }
}

fn bound(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// Says where everything is, and what nobody should be surprised by.
pub fn announce(config: &Config, at: Bound, media: &[IpAddr], development: bool) {
    let (http, admin) = (at.http, at.admin);
    let source = config.tls.as_ref().map(|tls| &tls.source);
    let scheme = if source.is_some() { "https" } else { "http" };
    match source {
        Some(CertificateSource::Acme(acme)) => {
            tracing::info!(%http, %admin, ?media, "ready: {}", acme.domains.iter().map(|domain| url(scheme, domain, http.port())).collect::<Vec<_>>().join(" "));
            tracing::info!(directory = acme.directory, "the authority connects to port 443 of each domain, which has to lead to {http}");
        }
        _ => tracing::info!(%http, %admin, ?media, "ready: {}", url(scheme, &near(http), http.port())),
    }
    let others = far(http, &addresses::of_machine(&config.media));
    if let Some(CertificateSource::Development { .. }) = source {
        let urls: Vec<_> = others.iter().map(|host| url(scheme, host, http.port())).collect();
        tracing::info!("from other devices: {} (the certificate is self-made: browsers warn once, go on from there)", urls.join(" "));
    } else if source.is_none() && development && !others.is_empty() {
        tracing::info!("other devices get camera and microphone by HTTPS only: `make run TLS=dev`, or tls.mode = \"dev\"");
    }
    let reach = of_announced(media, false);
    match (reach.verdict, &reach.next) {
        (Verdict::Ok, _) | (_, None) => {}
        // On a developer's own machine that is how it should be.
        (_, Some(next)) if development => tracing::info!(code = reach.code, "{} ({next})", reach.what),
        (_, Some(next)) => tracing::warn!(code = reach.code, "{} ({next}; `althing doctor` says more)", reach.what),
    }
    if development {
        tracing::warn!("DEVELOPMENT MODE: no auth.keys are set, so ANYBODY may join, listen to and moderate ANY room, from any page");
    }
}

/// How this machine's own browser finds it.
fn near(http: SocketAddr) -> String {
    if http.ip().is_unspecified() { "localhost".to_owned() } else { host(http.ip()) }
}

/// How other machines' browsers find it: by each address of the listener that is not loopback.
fn far(http: SocketAddr, addresses: &[IpAddr]) -> Vec<String> {
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let listens = |ip: &IpAddr| http.ip() == *ip || (http.ip().is_unspecified() && (http.is_ipv6() || ip.is_ipv4()));
    addresses.iter().filter(|ip| !ip.is_loopback() && !link_local(ip) && listens(ip)).map(|ip| host(*ip)).collect()
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn url(scheme: &str, host: &str, port: u16) -> String {
    match (scheme, port) {
        ("https", 443) | ("http", 80) => format!("{scheme}://{host}"),
        _ => format!("{scheme}://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_comes_with_what_to_do() {
        let at = SocketAddr::from(([0, 0, 0, 0], 443));
        let taken = advice(&io::ErrorKind::AddrInUse.into(), at, "http.listen");
        assert!(taken.contains("sport = :443") && taken.contains("http.listen"), "{taken}");
        let privileged = advice(&io::ErrorKind::PermissionDenied.into(), at, "tls.redirect");
        assert!(privileged.contains("cap_net_bind_service") && privileged.contains("tls.redirect"), "{privileged}");
    }

    #[test]
    fn others_are_told_the_addresses_that_are_listened_on() {
        let all: Vec<IpAddr> = ["127.0.0.1", "192.0.2.10", "::1", "2001:db8::7", "fe80::1"].map(|ip| ip.parse().expect("an address")).into();
        let told = |listen: &str| far(listen.parse().expect("an address"), &all);
        assert_eq!(told("0.0.0.0:8080"), ["192.0.2.10"]);
        assert_eq!(told("[::]:8080"), ["192.0.2.10", "[2001:db8::7]"]);
        assert_eq!(told("192.0.2.10:8080"), ["192.0.2.10"]);
        assert!(told("127.0.0.1:8080").is_empty());
        assert_eq!(url("https", "h", 443), "https://h");
        assert_eq!(url("https", "[2001:db8::7]", 80), "https://[2001:db8::7]:80");
    }
}
