//! Ports: whether a node can have them, or is reached on them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::{Finding, listed};

/// What a port is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Service {
    /// Page and signaling.
    Http,
    /// Metrics and health.
    Admin,
    /// Media by UDP.
    MediaUdp,
    /// Media by TCP (ICE-TCP, RFC 6544).
    MediaTcp,
    /// Where plain requests are sent to HTTPS.
    Redirect,
    /// The relay's front by UDP.
    TurnUdp,
    /// The relay's front by TCP.
    TurnTcp,
    /// The relay's front behind TLS.
    TurnTls,
    /// What the relay lends out.
    Relayed,
}

impl Service {
    /// What people call it, how, and the setting.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Http => ("page and signaling", "TCP", "http.listen"),
            Self::Admin => ("metrics and health", "TCP", "admin.listen"),
            Self::Redirect => ("plain requests, which are sent to HTTPS", "TCP", "tls.redirect"),
            Self::MediaUdp => ("media", "UDP", "media.port"),
            Self::MediaTcp => ("media", "TCP", "media.port"),
            Self::TurnUdp => ("the relay", "UDP", "turn.port"),
            Self::TurnTcp => ("the relay", "TCP", "turn.port"),
            Self::TurnTls => ("the relay behind TLS", "TCP", "turn.tls_port"),
            Self::Relayed => ("allocations of the relay", "UDP", "turn.first_port"),
        }
    }
}

/// What was found at a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It can be had.
    Free,
    /// It cannot.
    Refused(io::ErrorKind),
    /// Our own node answers there.
    Answers,
    /// Our own node runs, and did not answer there.
    Silent,
}

/// What is at the private listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Running {
    /// No node.
    No,
    /// A node that takes members.
    Ready,
    /// A node that ends.
    Ending,
}

/// One line of the node, and then one of each service where all is well, or one of each kind of trouble.
pub fn of_ports(running: Running, admin: SocketAddr, ports: &[(Service, SocketAddr, Found)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    match running {
        Running::No => findings.push(Finding::ok("no_node", format!("No node runs here (nothing of ours at {admin}): the ports are tried out."))),
        Running::Ready => findings.push(Finding::ok("node", format!("A node runs here (it answers at {admin}): it is asked on its ports."))),
        Running::Ending => findings.push(Finding::warning(
            "node_ending",
            format!("The node that runs here (at {admin}) takes no more members: it is about to end."),
            "wait for it to end, and start it anew",
        )),
    }
    let mut of_service: BTreeMap<(Service, u8), Vec<(SocketAddr, Found)>> = BTreeMap::new();
    for (service, at, found) in ports {
        let kind = match found {
            Found::Free | Found::Answers => 0,
            Found::Silent => 1,
            Found::Refused(io::ErrorKind::AddrInUse) => 2,
            Found::Refused(_) => 3,
        };
        of_service.entry((*service, kind)).or_default().push((*at, *found));
    }
    findings.extend(of_service.into_iter().filter_map(|((service, _), all)| of_service_ports(service, &all)));
    findings
}

fn of_service_ports(service: Service, all: &[(SocketAddr, Found)]) -> Option<Finding> {
    let (name, transport, setting) = service.names();
    let (first, found) = *all.first()?;
    let places = listed(&all.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    let number = first.port();
    Some(match found {
        Found::Free => Finding::ok("port_free", format!("For {name}: {transport} {places} can be had.")),
        Found::Answers => Finding::ok("port_answers", format!("For {name}: {transport} {places} answers.")),
        Found::Silent => Finding::problem(
            "port_silent",
            format!("The node runs, but {transport} {places} ({setting}) does not answer."),
            format!("check that it was started with these settings, and that no firewall of this machine drops {transport} port {number}"),
        ),
        Found::Refused(io::ErrorKind::AddrInUse) => Finding::problem(
            "port_taken",
            format!("Another program has {transport} {places}, which is for {name}."),
            match service {
                Service::Http | Service::Admin | Service::Redirect => {
                    format!("{}, or choose another with `--set {setting}=HOST:PORT`", stop(transport, number))
                }
                Service::Relayed => "choose other ports with `--set turn.first_port=PORT` and turn.last_port".to_owned(),
                _ => format!("{}, or choose another with `--set {setting}=PORT`", stop(transport, number)),
            },
        ),
        Found::Refused(io::ErrorKind::PermissionDenied) => Finding::problem(
            "port_privileged",
            format!("This user may not have {transport} {places}, which is for {name}."),
            format!(
                "allow it with `sudo setcap cap_net_bind_service=+ep $(command -v althing)` or AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit \
                 of systemd, or choose one above 1023 ({setting})"
            ),
        ),
        Found::Refused(kind) => Finding::problem(
            "port_refused",
            format!("{transport} {places}, which is for {name}, cannot be had: {}.", io::Error::from(kind)),
            match service {
                Service::Http | Service::Admin | Service::Redirect => format!("choose an address of this machine with `--set {setting}=HOST:PORT`"),
                _ => "name addresses that interfaces of this machine have with `--set media.bind=ADDRESS`".to_owned(),
            },
        ),
    })
}

fn stop(transport: &str, port: u16) -> String {
    let which = if transport == "UDP" { "-lnup" } else { "-lntp" };
    format!("see which with `ss {which} 'sport = :{port}'` and stop it")
}
