//! Looks at the machine with the hands that a node starts with, for `althing doctor` to say what would stop a call.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use rustix::process::{Resource, getrlimit};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::addresses::{self, Addresses};
use super::beforehand::{INSTALL, spoken_to};
use super::reflexive;
use crate::base::address::Reach;
use crate::config::{CertificateSource, Config, TurnConfig};
use crate::control::admin::doctor::addresses::{Seen, of_detours, of_seen};
use crate::control::admin::doctor::ask::{self, Credentials, IceUrl};
use crate::control::admin::doctor::bucket::of_bucket;
use crate::control::admin::doctor::certificate::{Certificate, of_certificate, of_challenge};
use crate::control::admin::doctor::machine::{of_buffers, of_clock, of_directory, of_families, of_files, of_page, of_space, of_trust};
use crate::control::admin::doctor::ports::{Found, Running, Service, of_ports};
use crate::control::admin::doctor::relays::{Outcome, of_last_resort, of_range, of_relay, of_sealed, of_secret};
use crate::control::admin::doctor::{Finding, Report};
use crate::control::p2p::IceServers;
use crate::io::udp;
use crate::record::store::{Trouble, try_out};
use crate::tls;

/// Ports of the relay's range that are tried, spread over all of it: thousands cost seconds.
const RELAYED_TRIED: u16 = 16;
/// Media ports that a running node is asked on: it answers a hundred STUN requests a second from one network.
const MOST_ASKED: usize = 48;
/// A bucket has to be tried out in so long.
const BUCKET: Duration = Duration::from_secs(30);
/// Files that a node has open beside sockets of members: listeners, wake-ups, the log.
const OTHER_FILES: u64 = 128;

/// What is asked beside the settings.
#[derive(Clone, Default)]
pub struct Questions {
    /// Where browsers find the page.
    pub url: Option<String>,
    /// A STUN server by UDP (`HOST[:PORT]`) that says how this machine is seen; without it `media.stun_server`, or those of `ice.urls`.
    pub stun: Option<String>,
}

/// A page's URL, looked at: `(scheme, host, port)`.
struct Page {
    url: String,
    scheme: String,
    host: String,
    port: u16,
}

/// Looks at everything. Nothing stays changed: what is bound is let go, and allocations are given up.
pub async fn examine(config: &Config, questions: &Questions) -> Report {
    let mut findings = vec![settings(config)];
    let page = match questions.url.as_deref().map(page).transpose() {
        Ok(page) => page,
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let development = config.auth.is_empty();
    let addresses =
        addresses::of_media(&config.media, development).unwrap_or(Addresses { bound: Vec::new(), announced: Vec::new(), seen: Vec::new() });
    let own = addresses::of_machine(&config.media);
    let places = match &page {
        Some(page) => lookup_host((page.host.as_str(), page.port)).await.map(|all| all.map(|at| at.ip()).collect()).unwrap_or_default(),
        None => Vec::new(),
    };

    let running = ask::running(config.admin).await;
    let addresses = match &config.media.stun_server {
        // A node that runs has the media ports: any other is seen behind the same address.
        Some(server) => {
            let port = if running == Running::No { config.media.port } else { 0 };
            let seen = reflexive::at_start(server, &addresses.bound, port).await;
            addresses.with_seen(seen)
        }
        None => addresses,
    };
    let ports = if running == Running::No { tried(config, &addresses) } else { asked(config, &addresses).await };
    findings.extend(of_ports(running, config.admin, &ports));

    let elsewhere = places.iter().any(|ip| Reach::of(*ip) == Reach::Public);
    findings.extend(of_seen(&addresses.announced, seen(config, questions).await.as_ref(), elsewhere));
    if running != Running::No {
        let interfaces = addresses::of_interfaces();
        let detours: Vec<_> =
            media_ports(config, &addresses.announced).into_iter().filter(|at| !interfaces.contains(&at.ip())).take(MOST_ASKED).collect();
        findings.extend(of_detours(&unanswered(detours).await));
    }

    let shown_as = page.as_ref().map(|page| (page.scheme.as_str(), page.host.as_str()));
    findings.push(of_certificate(&certificate(config, shown_as, &own).await, shown_as, unix_seconds(SystemTime::now())));
    if let Some(CertificateSource::Acme(_)) = config.tls.as_ref().map(|tls| &tls.source) {
        findings.extend(of_challenge(config.http.listen.port()));
    }
    findings.extend(sealed_relay(config, &own).await);
    findings.extend(of_families(config.http.listen, &addresses.announced, &places));
    findings.extend(page_findings(config, page.as_ref(), &places, &own).await);
    findings.extend(machine(config, addresses.bound.len()));
    if let Some(s3) = &config.s3 {
        let tried = timeout(BUCKET, try_out(s3)).await;
        findings.push(of_bucket(&s3.bucket, tried.unwrap_or_else(|_| Err(Trouble::Unreachable("it takes too long".into()))).as_ref().err()));
    }
    findings.extend(relays(config).await);
    findings.extend(config.turn.as_ref().and_then(|turn| of_range(turn.ports.len(), turn.allocations)));
    findings.extend(of_last_resort(config.rooms.policy, config.turn.is_some(), &config.ice.urls));
    findings.extend(of_secret(config.ice.secret.is_some(), &config.ice.urls));
    Report { findings }
}

fn settings(config: &Config) -> Finding {
    let what = if config.auth.is_empty() {
        "The settings can work (development mode: there are no auth.keys, anybody may join)."
    } else {
        "The settings can work."
    };
    Finding::ok("settings", what)
}

fn page(text: &str) -> Result<Page, Finding> {
    let wrong = || Finding::problem("url", format!("`{text}` is no URL of a page."), "write --url https://meet.example.org");
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err(wrong()) };
    if !["http", "https"].contains(&url.scheme()) {
        return Err(wrong());
    }
    Ok(Page { scheme: url.scheme().to_owned(), host: host.trim_matches(['[', ']']).to_owned(), port, url: text.to_owned() })
}

/// The media port of each worker at each of these addresses.
fn media_ports(config: &Config, at: &[IpAddr]) -> Vec<SocketAddr> {
    let media = &config.media;
    let last = if media.single_port { media.port } else { media.port.saturating_add(media.workers - 1) };
    let ports = || (media.port..=last).filter(|port| *port != 0);
    at.iter().flat_map(|ip| ports().map(|port| SocketAddr::new(*ip, port))).collect()
}

/// What a node would bind, bound as it does and let go again.
fn tried(config: &Config, addresses: &Addresses) -> Vec<(Service, SocketAddr, Found)> {
    let tcp = |at: SocketAddr| TcpListener::bind(at).map(drop);
    let udp = |at: SocketAddr| udp::bind(at).map(drop);
    let found = |service, at, had: io::Result<()>| (service, at, had.map_or_else(|error| Found::Refused(error.kind()), |()| Found::Free));
    let mut all = vec![found(Service::Http, config.http.listen, tcp(config.http.listen)), found(Service::Admin, config.admin, tcp(config.admin))];
    all.extend(redirect(config).map(|at| found(Service::Redirect, at, tcp(at))));
    let media = media_ports(config, &addresses.bound);
    all.extend(media.iter().map(|at| found(Service::MediaUdp, *at, udp(*at))));
    if config.media.takes_tcp() {
        all.extend(media.iter().map(|at| found(Service::MediaTcp, *at, tcp(*at))));
    }
    let Some(turn) = &config.turn else { return all };
    let fronts = turn_fronts(turn, &addresses.bound);
    all.extend(fronts.iter().map(|at| found(Service::TurnUdp, *at, udp(*at))));
    all.extend(fronts.iter().map(|at| found(Service::TurnTcp, *at, tcp(*at))));
    all.extend(sealed_fronts(config, turn, &addresses.bound).iter().map(|at| found(Service::TurnTls, *at, tcp(*at))));
    all.extend(addresses.bound.first().into_iter().flat_map(|ip| relayed(turn, *ip)));
    all
}

/// Some of the relay's range: all is well where most can be had.
fn relayed(turn: &TurnConfig, ip: IpAddr) -> Vec<(Service, SocketAddr, Found)> {
    let (first, last) = (*turn.ports.start(), *turn.ports.end());
    let step = ((last - first) / RELAYED_TRIED).max(1);
    let mut free = None;
    let mut refused = Vec::new();
    for port in (first..=last).step_by(step.into()) {
        let at = SocketAddr::new(ip, port);
        match udp::bind_relayed(at) {
            Ok(_) => free = free.or(Some(at)),
            Err(error) => refused.push((Service::Relayed, at, Found::Refused(error.kind()))),
        }
    }
    // A relay takes another port where one is taken: only many are trouble.
    match free {
        Some(at) if refused.len() <= usize::from(RELAYED_TRIED / 4) => vec![(Service::Relayed, at, Found::Free)],
        _ => refused,
    }
}

fn redirect(config: &Config) -> Option<SocketAddr> {
    config.tls.as_ref().and_then(|tls| tls.redirect)
}

fn turn_fronts(turn: &TurnConfig, at: &[IpAddr]) -> Vec<SocketAddr> {
    at.iter().filter(|_| turn.port != 0).map(|ip| SocketAddr::new(*ip, turn.port)).collect()
}

/// Where the relay is heard behind TLS.
fn sealed_fronts(config: &Config, turn: &TurnConfig, at: &[IpAddr]) -> Vec<SocketAddr> {
    // At the port of the pages their listener is tried out.
    let port = turn.tls_port.filter(|_| config.tls.is_some() && !turn.beside_pages);
    at.iter().flat_map(|ip| port.map(|port| SocketAddr::new(*ip, port))).collect()
}

/// What the node that runs answers to.
async fn asked(config: &Config, addresses: &Addresses) -> Vec<(Service, SocketAddr, Found)> {
    let near = |at: SocketAddr| match at.ip() {
        ip if !ip.is_unspecified() => at,
        IpAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], at.port())),
        IpAddr::V6(_) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], at.port())),
    };
    let found = |service, at, answers: bool| (service, at, if answers { Found::Answers } else { Found::Silent });
    let mut all = vec![found(Service::Http, config.http.listen, ask::answers_http(near(config.http.listen)).await)];
    if let Some(at) = redirect(config) {
        all.push(found(Service::Redirect, at, ask::answers_http(near(at)).await));
    }
    let media: Vec<_> = media_ports(config, &addresses.bound).into_iter().take(MOST_ASKED).collect();
    let bindings = join_all(media.iter().map(|at| ask::answers_binding(*at))).await;
    all.extend(media.iter().zip(bindings).map(|(at, answers)| found(Service::MediaUdp, *at, answers)));
    if config.media.takes_tcp() {
        let accepted = join_all(media.iter().map(|at| ask::accepts(*at))).await;
        all.extend(media.iter().zip(accepted).map(|(at, accepts)| found(Service::MediaTcp, *at, accepts)));
    }
    let fronts = config.turn.as_ref().map(|turn| turn_fronts(turn, &addresses.bound)).unwrap_or_default();
    for (service, tcp) in [(Service::TurnUdp, false), (Service::TurnTcp, true)] {
        let challenged = join_all(fronts.iter().map(|at| ask::challenges(*at, tcp))).await;
        all.extend(fronts.iter().zip(challenged).map(|(at, challenges)| found(service, *at, challenges)));
    }
    let sealed = config.turn.as_ref().map(|turn| sealed_fronts(config, turn, &addresses.bound)).unwrap_or_default();
    let accepted = join_all(sealed.iter().map(|at| ask::accepts(*at))).await;
    all.extend(sealed.iter().zip(accepted).map(|(at, accepts)| found(Service::TurnTls, *at, accepts)));
    all
}

async fn unanswered(places: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let answers = join_all(places.iter().map(|at| ask::answers_binding(*at))).await;
    places.into_iter().zip(answers).filter(|(_, answers)| !answers).map(|(at, _)| at).collect()
}

/// How the first STUN server that there is sees this machine.
async fn seen(config: &Config, questions: &Questions) -> Option<Seen> {
    let (name, server) = match questions.stun.clone().or_else(|| config.media.stun_server.as_ref().map(ToString::to_string)) {
        Some(place) => (place.clone(), IceUrl::stun(&place)),
        None => config.ice.urls.iter().find(|url| url.starts_with("stun:")).map(|url| (url.clone(), IceUrl::parse(url)))?,
    };
    let outcome = match server {
        Some(server) => ask::ice_server(&server, None).await,
        None => Outcome::Silent,
    };
    Some(match outcome {
        Outcome::Seen(at) => Seen::As(at.ip()),
        _ => Seen::Unanswered(name),
    })
}

async fn certificate(config: &Config, url: Option<(&str, &str)>, own: &[IpAddr]) -> Certificate {
    let Some(tls) = &config.tls else { return Certificate::Off { local: config.http.listen.ip().is_loopback() } };
    match tls::look(tls, own).await {
        Ok(Some(shown)) => Certificate::Shown { not_after: shown.not_after, fits: url.is_none_or(|(_, host)| shown.is_for(host)) },
        Ok(None) => Certificate::Pending,
        Err(error) => Certificate::Unusable(error),
    }
}

/// The page as browsers find it, and its clock where that is another one than ours.
async fn page_findings(config: &Config, page: Option<&Page>, places: &[IpAddr], own: &[IpAddr]) -> Option<Finding> {
    let page = page?;
    match ask::date(&page.url, self_made(config, own).await.as_ref().map(tls::Shown::certificate)).await {
        Err(error) => Some(of_page(&page.url, &error)),
        Ok(_) if places.iter().any(|ip| own.contains(ip)) => {
            Some(Finding::ok("url", format!("{} answers; its clock is this machine's own.", page.url)))
        }
        Ok(None) => None,
        Ok(Some(theirs)) => Some(of_clock(unix_seconds(SystemTime::now()) - unix_seconds(theirs), &page.host)),
    }
}

/// The certificate that was made here, which no authority has signed: what becomes of that is said elsewhere.
async fn self_made(config: &Config, own: &[IpAddr]) -> Option<tls::Shown> {
    let tls = config.tls.as_ref().filter(|tls| matches!(tls.source, CertificateSource::Development { .. }))?;
    tls::look(tls, own).await.ok().flatten()
}

fn machine(config: &Config, addresses: usize) -> Vec<Finding> {
    let mut findings: Vec<_> = of_trust(&spoken_to(config), tls::trusts_anybody(), INSTALL).into_iter().collect();
    if let Ok((wanted, receive, send)) = udp::kernel_buffers() {
        findings.push(of_buffers(wanted, receive, send));
    }
    let allocations = config.turn.as_ref().map_or(0, |turn| turn.allocations);
    let sockets = usize::from(config.media.workers) * addresses * 4;
    let needed = (config.limits.sockets + allocations + sockets) as u64 + OTHER_FILES;
    findings.push(of_files(getrlimit(Resource::Nofile).current, needed));
    if let Some(CertificateSource::Development { cache }) = config.tls.as_ref().map(|tls| &tls.source) {
        findings.push(of_directory(cache, "tls.cache", &written(cache)));
    } else if let Some(CertificateSource::Acme(acme)) = config.tls.as_ref().map(|tls| &tls.source) {
        findings.push(of_directory(&acme.cache, "tls.cache", &written(&acme.cache)));
    }
    if let Some(events) = &config.events {
        findings.push(of_directory(&events.folder, "events.folder", &written(&events.folder)));
    }
    if let Some(recording) = &config.recording {
        let is_written = written(&recording.folder);
        findings.push(of_directory(&recording.folder, "recording.folder", &is_written));
        if let (Ok(()), Some(free)) = (is_written, free(&recording.folder)) {
            findings.extend(of_space(&recording.folder, free, recording.minimum_free));
        }
    }
    findings
}

/// Bytes that the disk of a directory has left for such as this process.
fn free(directory: &Path) -> Option<u64> {
    let space = directory.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Writes a file there and removes it again; in the nearest directory above where there is none yet.
fn written(directory: &Path) -> io::Result<()> {
    let there = directory.ancestors().find(|path| path.exists()).ok_or(io::ErrorKind::NotFound)?;
    let probe = there.join(format!(".althing-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

/// Whether clients find the own relay behind TLS, and take it.
async fn sealed_relay(config: &Config, own: &[IpAddr]) -> Option<Finding> {
    let turn = config.turn.as_ref().filter(|turn| turn.tls_port.is_some())?;
    // Browsers do not ask anybody whether they trust a relay: one that was made here helps nobody, and no relay behind TLS is missed.
    let tls = config.tls.as_ref().filter(|tls| !matches!(tls.source, CertificateSource::Development { .. }))?;
    // One that is not there yet will be for the names that are asked for; one that cannot be used is told of already.
    let shown = tls::look(tls, own).await.ok().flatten()?;
    let name = match &turn.host {
        Some(name) => Some(name.clone()),
        None => tls::name(tls).await,
    };
    of_sealed(name.as_deref().map(|name| (name, shown.is_for(name))))
}

async fn relays(config: &Config) -> Vec<Finding> {
    let servers = IceServers::new(&config.ice, &[], None).of("doctor", Duration::from_secs(unix_seconds(SystemTime::now()).unsigned_abs()));
    let urls = servers.iter().flat_map(|server| {
        let credentials = server.username.as_deref().zip(server.credential.as_deref());
        let credentials = credentials.map(|(username, password)| Credentials { username, password });
        server.urls.iter().filter(|url| config.ice.urls.contains(url)).map(move |url| (url, credentials))
    });
    join_all(urls.map(async |(url, credentials)| {
        let outcome = match IceUrl::parse(url) {
            Some(server) => ask::ice_server(&server, credentials).await,
            None => Outcome::Unreachable("it has no host and port that can be read".to_owned()),
        };
        of_relay(url, &outcome)
    }))
    .await
}

fn unix_seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
