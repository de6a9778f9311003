//! The machine: what its kernel gives, its clock, its disk.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::Finding;
use crate::control::auth::LEEWAY;

/// Tokens and credentials of relays expire by the clock; more than this and good ones are refused: as much as tokens are given.
const MOST_SECONDS_OFF: i64 = LEEWAY as i64;

/// Kernel buffers of a media socket, in bytes: what is wanted of both directions, what was had.
pub fn of_buffers(wanted: usize, receive: usize, send: usize) -> Finding {
    let short: Vec<_> = [("rmem_max", receive), ("wmem_max", send)].into_iter().filter(|(_, had)| *had < wanted).collect();
    if short.is_empty() {
        return Finding::ok("buffers", format!("Media sockets get their kernel buffers of {} KiB.", wanted / 1024));
    }
    let lines: Vec<_> = short.iter().map(|(name, _)| format!("net.core.{name}={wanted}")).collect();
    let least = short.iter().map(|(_, had)| had / 1024).min().unwrap_or_default();
    Finding::warning(
        "buffers",
        format!("Media sockets get kernel buffers of {least} KiB where {} KiB are wanted: bursts are lost, and pictures freeze.", wanted / 1024),
        format!("`sudo sysctl -w {}` (and into /etc/sysctl.d/althing.conf)", lines.join(" ")),
    )
}

/// Open files: how many may be, and how many the settings allow for. `None`: no limit.
pub fn of_files(limit: Option<u64>, needed: u64) -> Finding {
    match limit {
        Some(limit) if limit < needed => Finding::warning(
            "open_files",
            format!(
                "This process may have {limit} files open, and up to {needed} are allowed for (limits.sockets, turn.allocations): beyond that nobody gets in."
            ),
            format!("`ulimit -n {needed}` before the start, LimitNOFILE={needed} in a unit of systemd, or lower limits"),
        ),
        _ => Finding::ok("open_files", format!("As many files may be open as the settings allow for ({needed}).")),
    }
}

/// A directory that the node writes to.
pub fn of_directory(path: &Path, setting: &str, written: &io::Result<()>) -> Finding {
    match written {
        Ok(()) => Finding::ok("disk", format!("{} can be written to.", path.display())),
        Err(error) => Finding::problem(
            "disk",
            format!("{} cannot be written to: {error}.", path.display()),
            format!("let the user that runs althing write there, or name another directory with `--set {setting}=DIRECTORY`"),
        ),
    }
}

/// The disk that recordings go to: bytes that are free there, and how many it is to keep so.
pub fn of_space(path: &Path, free: u64, kept: u64) -> Option<Finding> {
    (free < kept).then(|| {
        Finding::warning(
            "disk_full",
            format!(
                "The disk of {} has {} MiB left, and recordings leave it {} (recording.minimum_free_mib): none begins.",
                path.display(),
                free >> 20,
                kept >> 20
            ),
            "make room there, name another disk with `--set recording.folder=DIRECTORY`, or have less kept free",
        )
    })
}

/// Settings by which servers elsewhere are spoken to over TLS, and whether this system knows any authority; `advice`: what to do where it does not.
pub fn of_trust(spoken_to: &[&str], trusts: bool, advice: &str) -> Option<Finding> {
    if spoken_to.is_empty() {
        return None;
    }
    let names = spoken_to.join(", ");
    Some(if trusts {
        Finding::ok("authorities", format!("This system has certificates of authorities, as {names} needs."))
    } else {
        Finding::problem("authorities", format!("This system has no certificates of authorities: nothing starts with {names}."), advice)
    })
}

/// How far this machine's clock is ahead of the one of `host`, in seconds.
pub fn of_clock(ahead: i64, host: &str) -> Finding {
    if ahead.abs() <= MOST_SECONDS_OFF {
        return Finding::ok("clock", format!("The clock agrees with that of {host} (which says something where that is another machine than this)."));
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    Finding::problem(
        "clock",
        format!("The clock is {} seconds {direction} that of {host}: tokens and relays' credentials that are good are refused.", ahead.abs()),
        "set it, and keep it right (`sudo timedatectl set-ntp true`, chrony)",
    )
}

/// The pages' listener, where clients that have one family only do not reach it: `names` are the addresses that the page's name leads to.
pub fn of_families(listen: SocketAddr, announced: &[IpAddr], names: &[IpAddr]) -> Option<Finding> {
    // A listener on [::] is reached by both.
    let four_only = listen.is_ipv4() && !listen.ip().is_loopback();
    let six = |places: &[IpAddr]| !places.is_empty() && places.iter().all(IpAddr::is_ipv6);
    (four_only && (six(announced) || six(names))).then(|| {
        Finding::problem(
            "http_family",
            format!("Pages and signaling listen on {listen}, by IPv4 alone, and clients come by IPv6."),
            format!("set http.listen to \"[::]:{}\", which takes both", listen.port()),
        )
    })
}

/// A page that could not be had.
pub fn of_page(url: &str, error: &str) -> Finding {
    Finding::problem(
        "url",
        format!("{url} does not answer as a page should: {error}."),
        "check that its name leads here, that its port is open, and what stands in front of this server",
    )
}
