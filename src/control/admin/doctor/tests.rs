use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::addresses::{Seen, of_announced, of_detours, of_seen};
use super::ask::IceUrl;
use super::certificate::{Certificate, of_certificate, of_challenge};
use super::machine::{of_buffers, of_clock, of_directory, of_families, of_files, of_page, of_space};
use super::ports::{Found, Running, Service, of_ports};
use super::relays::{Outcome, of_last_resort, of_range, of_relay, of_sealed, of_secret};
use super::*;
use crate::config::CallPolicy;
use crate::tls::TlsError;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn codes(findings: &[Finding]) -> Vec<(Verdict, &'static str)> {
    findings.iter().map(|finding| (finding.verdict, finding.code)).collect()
}

const ADMIN: &str = "127.0.0.1:9090";
const DAY: i64 = 86_400;

#[test]
fn a_good_machine() {
    let free = |service, place: &str| (service, at(place), Found::Free);
    let mut findings = vec![Finding::ok("settings", "The settings can work.")];
    findings.extend(of_ports(
        Running::No,
        at(ADMIN),
        &[
            free(Service::Http, "0.0.0.0:443"),
            free(Service::Admin, ADMIN),
            free(Service::MediaUdp, "198.51.100.7:40000"),
            free(Service::MediaUdp, "198.51.100.7:40001"),
            free(Service::MediaTcp, "198.51.100.7:40000"),
            free(Service::TurnUdp, "198.51.100.7:3478"),
            free(Service::TurnTcp, "198.51.100.7:3478"),
            free(Service::Relayed, "198.51.100.7:49152"),
        ],
    ));
    findings.extend(of_seen(&ips(&["198.51.100.7"]), Some(&Seen::As(ips(&["198.51.100.7"])[0])), true));
    findings.push(of_certificate(&Certificate::Shown { not_after: 61 * DAY, fits: true }, Some(("https", "meet.example.org")), 0));
    findings.push(of_clock(-2, "meet.example.org"));
    findings.push(of_buffers(4 << 20, 4 << 20, 4 << 20));
    findings.push(of_files(None, 24_224));
    findings.push(of_directory(Path::new("/var/lib/althing/tls"), "tls.cache", &Ok(())));
    findings.push(of_relay("turn:turn.example.org", &Outcome::Granted(at("198.51.100.9:50000"))));
    let report = Report { findings };
    assert_eq!(report.verdict(), Verdict::Ok);
    insta::assert_snapshot!(report);
}

#[test]
fn a_bad_machine() {
    let mut findings = of_ports(
        Running::No,
        at(ADMIN),
        &[
            (Service::Http, at("0.0.0.0:443"), Found::Refused(io::ErrorKind::PermissionDenied)),
            (Service::MediaUdp, at("10.0.0.5:40000"), Found::Refused(io::ErrorKind::AddrInUse)),
            (Service::MediaUdp, at("10.0.0.5:40001"), Found::Free),
            (Service::TurnUdp, at("10.0.0.9:3478"), Found::Refused(io::ErrorKind::AddrNotAvailable)),
        ],
    );
    findings.extend(of_seen(&ips(&["10.0.0.5"]), Some(&Seen::As(ips(&["203.0.113.9"])[0])), true));
    findings.push(of_certificate(&Certificate::Unusable(TlsError::new("the certificate in cert.pem expired 3 days ago", "renew it")), None, 0));
    findings.push(of_page("https://meet.example.org", "connection refused"));
    findings.push(of_clock(95, "meet.example.org"));
    findings.push(of_buffers(4 << 20, 208 << 10, 208 << 10));
    findings.push(of_files(Some(1_024), 24_224));
    findings.push(of_directory(Path::new("/var/lib/althing/tls"), "tls.cache", &Err(io::ErrorKind::PermissionDenied.into())));
    findings.push(of_relay("turn:turn.example.org", &Outcome::Silent));
    findings.push(of_relay("turns:turn.example.org", &Outcome::Refused(401, "Unauthorized".into())));
    let report = Report { findings };
    assert_eq!(report.verdict(), Verdict::Problem);
    insta::assert_snapshot!(report);
}

#[test]
fn a_disk_with_less_than_recordings_leave_it_is_a_warning() {
    let left = |mib: u64| of_space(Path::new("/srv/recordings"), mib << 20, 1_024 << 20);
    assert_eq!(left(1_024), None);
    let found = left(1_023).expect("less than is kept");
    assert_eq!((found.verdict, found.code), (Verdict::Warning, "disk_full"));
    assert!(found.what.contains("/srv/recordings has 1023 MiB left"), "{}", found.what);
}

#[test]
fn a_relay_with_fewer_ports_than_allocations_is_a_warning() {
    assert_eq!(of_range(4_096, 4_096), None);
    let found = of_range(9, 4_096).expect("too few");
    assert_eq!((found.verdict, found.code), (Verdict::Warning, "relay_ports"));
    assert!(found.what.contains("9 ports, and 4096 allocations"), "{}", found.what);
}

#[test]
fn addresses_are_told_apart_by_who_can_reach_them() {
    let looks = |list: &[&str], elsewhere| codes(&[of_announced(&ips(list), elsewhere)])[0];
    assert_eq!(looks(&["198.51.100.7", "10.0.0.5", "127.0.0.1"], true), (Verdict::Ok, "announced"));
    assert_eq!(looks(&["2a00::7"], true), (Verdict::Ok, "announced"));
    for private in ["10.0.0.5", "192.168.1.2", "172.20.0.2", "100.64.0.1", "169.254.3.4", "fd00::7"] {
        assert_eq!(looks(&[private, "127.0.0.1"], false), (Verdict::Warning, "announced_private"), "{private}");
        assert_eq!(looks(&[private], true), (Verdict::Problem, "announced_private"), "{private}");
    }
    assert_eq!(looks(&["127.0.0.1", "::1"], false), (Verdict::Warning, "announced_loopback"));
    assert_eq!(looks(&[], false), (Verdict::Problem, "announced_none"));
}

#[test]
fn what_a_stun_server_sees_is_compared_with_what_is_announced() {
    let seen = |list: &[&str], seen: &str| of_seen(&ips(list), Some(&Seen::As(ips(&[seen])[0])), false);
    assert_eq!(codes(&seen(&["198.51.100.7"], "198.51.100.7")), [(Verdict::Ok, "announced"), (Verdict::Ok, "announced_seen")]);
    let behind = seen(&["10.0.0.5"], "203.0.113.9");
    assert_eq!(codes(&behind), [(Verdict::Problem, "announced_other_than_seen")], "one sentence, not two");
    assert!(behind[0].next.as_deref().is_some_and(|next| next.contains("--announce 203.0.113.9")));
    assert_eq!(codes(&seen(&["10.0.0.5", "2a00::7"], "203.0.113.9")), [(Verdict::Problem, "announced_other_than_seen")], "each family by itself");
    assert_eq!(codes(&seen(&["198.51.100.7"], "203.0.113.9"))[1], (Verdict::Warning, "announced_other_than_seen"));
    let silent = of_seen(&ips(&["198.51.100.7"]), Some(&Seen::Unanswered("stun.example.org".into())), false);
    assert_eq!(codes(&silent)[1], (Verdict::Warning, "stun_unanswered"));
    assert_eq!(of_detours(&[]), None);
    assert_eq!(of_detours(&[at("203.0.113.9:40000")]).map(|finding| finding.verdict), Some(Verdict::Warning));
}

#[test]
fn a_port_says_who_has_it_and_which_setting_names_it() {
    let of = |running, service, found| of_ports(running, at(ADMIN), &[(service, at("10.0.0.5:40000"), found)]).remove(1);
    for (service, setting) in [
        (Service::Http, "http.listen"),
        (Service::Admin, "admin.listen"),
        (Service::Redirect, "tls.redirect"),
        (Service::MediaUdp, "media.port"),
        (Service::MediaTcp, "media.port"),
        (Service::TurnUdp, "turn.port"),
        (Service::TurnTcp, "turn.port"),
        (Service::Relayed, "turn.first_port"),
    ] {
        let taken = of(Running::No, service, Found::Refused(io::ErrorKind::AddrInUse));
        assert_eq!((taken.verdict, taken.code), (Verdict::Problem, "port_taken"));
        assert!(taken.what.contains("Another program") && taken.next.is_some_and(|next| next.contains(setting)), "{setting}");
    }
    assert_eq!(of(Running::Ready, Service::MediaUdp, Found::Answers).code, "port_answers");
    let silent = of(Running::Ready, Service::MediaTcp, Found::Silent);
    assert!(silent.verdict == Verdict::Problem && silent.what.contains("TCP 10.0.0.5:40000 (media.port)"), "{silent}");
    assert_eq!(of_ports(Running::Ending, at(ADMIN), &[])[0].code, "node_ending");
}

#[test]
fn without_tls_it_depends_on_who_is_to_reach_the_page() {
    let off = |local, url| of_certificate(&Certificate::Off { local }, url, 0);
    assert_eq!((off(false, None).verdict, off(true, None).verdict), (Verdict::Warning, Verdict::Ok));
    assert_eq!(off(false, Some(("https", "meet.example.org"))).code, "tls_in_front");
    assert_eq!(off(false, Some(("http", "meet.example.org"))).verdict, Verdict::Warning);
}

#[test]
fn a_certificate_is_looked_at_for_name_and_time() {
    let shown = |days, fits| of_certificate(&Certificate::Shown { not_after: days * DAY, fits }, Some(("https", "meet.example.org")), 0);
    assert_eq!((shown(14, true).verdict, shown(13, true).verdict), (Verdict::Ok, Verdict::Warning));
    assert_eq!((shown(90, false).verdict, shown(90, false).code), (Verdict::Problem, "certificate_other_name"));
    assert_eq!(of_certificate(&Certificate::Pending, None, 0).verdict, Verdict::Ok);
}

#[test]
fn pages_by_one_family_alone_are_told_of_where_clients_come_by_the_other() {
    let (four, six) = (vec!["192.0.2.7".parse().unwrap()], vec!["2001:db8::7".parse().unwrap()]);
    let listen = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(of_families(listen("0.0.0.0:8080"), &six, &[]).map(|finding| finding.code), Some("http_family"));
    assert_eq!(of_families(listen("0.0.0.0:8080"), &four, &six).map(|finding| finding.code), Some("http_family"));
    assert_eq!(of_families(listen("0.0.0.0:8080"), &[four.clone(), six.clone()].concat(), &four), None);
    assert_eq!(of_families(listen("[::]:8080"), &six, &six), None);
    assert_eq!(of_families(listen("127.0.0.1:8080"), &six, &[]), None, "behind a proxy");
}

#[test]
fn the_relay_behind_tls_is_found_by_a_name_that_its_certificate_is_for() {
    assert_eq!(of_sealed(Some(("turn.example.org", true))), None);
    assert_eq!(of_sealed(Some(("turn.example.org", false))).map(|finding| finding.verdict), Some(Verdict::Problem));
    assert_eq!(of_sealed(None).map(|finding| finding.verdict), Some(Verdict::Warning));
}

#[test]
fn the_machine_is_measured_against_what_the_settings_want() {
    assert_eq!(of_buffers(4 << 20, 4 << 20, 1 << 20).next.as_deref().map(|next| next.contains("wmem_max") && !next.contains("rmem_max")), Some(true));
    assert_eq!((of_files(Some(100), 100).verdict, of_files(Some(99), 100).verdict), (Verdict::Ok, Verdict::Warning));
    assert_eq!(of_challenge(443), None);
    assert!(of_challenge(8_443).is_some_and(|finding| finding.verdict == Verdict::Warning && finding.what.contains("8443")));
    assert_eq!((of_clock(10, "h").verdict, of_clock(-10, "h").verdict), (Verdict::Ok, Verdict::Ok));
    assert!(of_clock(11, "h").what.contains("11 seconds ahead of") && of_clock(-11, "h").what.contains("11 seconds behind"));
}

#[test]
fn a_relay_that_does_not_help_says_what_is_wrong_with_it() {
    let code = |outcome| of_relay("turn:h", &outcome).code;
    assert_eq!(code(Outcome::Granted(at(ADMIN))), "relay");
    assert_eq!((code(Outcome::Refused(401, String::new())), code(Outcome::Refused(441, String::new()))), ("relay_credentials", "relay_credentials"));
    assert_eq!((code(Outcome::Refused(486, String::new())), code(Outcome::Silent)), ("relay_refused", "relay_silent"));
    assert_eq!(code(Outcome::Unreachable("refused".into())), "relay_unreachable");
}

#[test]
fn direct_calls_without_a_last_resort_and_a_secret_for_nobody_are_warned_of() {
    let (stun, turn) = (vec!["stun:h".to_owned()], vec!["stun:h".to_owned(), "turns:h".to_owned()]);
    assert!(of_last_resort(CallPolicy::P2p, false, &stun).is_some_and(|finding| finding.verdict == Verdict::Warning));
    for (policy, own, urls) in [(CallPolicy::P2p, true, &stun), (CallPolicy::P2p, false, &turn), (CallPolicy::Auto, false, &stun)] {
        assert_eq!(of_last_resort(policy, own, urls), None);
    }
    assert!(of_secret(true, &stun).is_some_and(|finding| finding.what.contains("ice.secret")));
    assert_eq!((of_secret(true, &turn), of_secret(false, &stun)), (None, None));
}

#[test]
fn urls_of_ice_servers_are_taken_apart() {
    let same = |a: &str, b: &str| assert_eq!(IceUrl::parse(a), IceUrl::parse(b), "{a} {b}");
    same("turn:h", "turn:h:3478?transport=udp");
    same("turns:h", "turns:h:5349?transport=tcp");
    same("stun:[2001:db8::1]", "stun:[2001:db8::1]:3478");
    assert_ne!(IceUrl::parse("turn:h"), IceUrl::parse("turn:h?transport=tcp"));
    assert_eq!(IceUrl::stun("h:19302"), IceUrl::parse("stun:h:19302"));
    for wrong in ["http://h", "turn:", "turn:h:port", "stun:[::1"] {
        assert_eq!(IceUrl::parse(wrong), None, "{wrong}");
    }
}
