//! TLS for the public listener: what its settings mean.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{InvalidSetting, at_least, invalid};
use super::schema::{TlsMode, TlsSettings};

/// How often files are looked at: what an operator who replaces them may have to wait, for four calls of `stat` each time.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Handshakes under way at most: the oldest is looked for among all of them.
const MOST_HANDSHAKES: usize = 16_384;

/// TLS for the public listener.
#[derive(Clone, PartialEq, Debug)]
pub struct TlsConfig {
    /// Where the certificate comes from.
    pub source: CertificateSource,
    /// A plain listener that sends everybody to HTTPS.
    pub redirect: Option<SocketAddr>,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// Handshakes under way at a time.
    pub handshakes: usize,
    /// How often files are looked at for changes.
    pub look_every: Duration,
}

/// Where the certificate comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum CertificateSource {
    /// From files that somebody else keeps up to date.
    Files {
        /// The certificate and those that vouch for it.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// From an authority that speaks ACME.
    Acme(AcmeConfig),
    /// Self-made.
    Development {
        /// Directory that keeps it.
        cache: PathBuf,
    },
}

/// An authority that speaks ACME (RFC 8555), and what it is asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct AcmeConfig {
    /// Names that the certificate is for: one or more.
    pub domains: Vec<String>,
    /// Where the authority may write to.
    pub email: Option<String>,
    /// Directory that keeps the account's key, the certificate and its key.
    pub cache: PathBuf,
    /// The authority's directory.
    pub directory: String,
    /// Certificates to trust the directory by, beside the system's.
    pub directory_ca: Option<PathBuf>,
}

/// What the settings mean.
///
/// # Errors
/// The first that cannot work.
pub(super) fn check(settings: &TlsSettings, listen: SocketAddr) -> Result<Option<TlsConfig>, InvalidSetting> {
    at_least("tls.handshake_seconds", settings.handshake_seconds, 1)?;
    at_least("tls.handshakes", settings.handshakes as u64, 1)?;
    if settings.handshakes > MOST_HANDSHAKES {
        return invalid("tls.handshakes", format!("it is {}: choose at most {MOST_HANDSHAKES}", settings.handshakes));
    }
    if settings.handshake_seconds > 3_600 {
        return invalid("tls.handshake_seconds", format!("it is {}: choose at most an hour", settings.handshake_seconds));
    }
    let redirect = redirect(settings, listen)?;
    let source = match settings.mode {
        TlsMode::Off => return Ok(None),
        TlsMode::Files => CertificateSource::Files { cert: named("tls.cert", &settings.cert)?, key: named("tls.key", &settings.key)? },
        TlsMode::Acme => CertificateSource::Acme(acme(settings)?),
        TlsMode::Dev => CertificateSource::Development { cache: cache(settings)? },
    };
    let handshake = Duration::from_secs(settings.handshake_seconds);
    Ok(Some(TlsConfig { source, redirect, handshake, handshakes: settings.handshakes, look_every: LOOK_EVERY }))
}

fn redirect(settings: &TlsSettings, listen: SocketAddr) -> Result<Option<SocketAddr>, InvalidSetting> {
    if settings.redirect.is_empty() {
        return Ok(None);
    }
    let Ok(address) = settings.redirect.parse::<SocketAddr>() else {
        return invalid("tls.redirect", format!("`{}` is no address with a port: write one like 0.0.0.0:80", settings.redirect));
    };
    if settings.mode == TlsMode::Off {
        return invalid("tls.redirect", "there is no HTTPS to send anybody to: set tls.mode, too".to_owned());
    }
    if address == listen {
        return invalid(
            "tls.redirect",
            format!("{address} is http.listen: choose another port, or none (plain requests there are redirected anyway)"),
        );
    }
    Ok(Some(address))
}

fn acme(settings: &TlsSettings) -> Result<AcmeConfig, InvalidSetting> {
    if settings.domains.is_empty() {
        return invalid("tls.domains", "the authority has to be told for which names: list them, like \"meet.example.org\"".to_owned());
    }
    for domain in &settings.domains {
        check_domain(domain)?;
    }
    if !settings.email.is_empty() && (!settings.email.contains('@') || settings.email.contains(char::is_whitespace)) {
        return invalid("tls.email", format!("`{}` is no address of mail", settings.email));
    }
    if !settings.directory.starts_with("https://") {
        return invalid("tls.directory", format!("`{}` is no such URL: it begins with https:// (RFC 8555 section 6.1)", settings.directory));
    }
    let directory_ca = Some(settings.directory_ca.clone()).filter(|path| !path.as_os_str().is_empty());
    let email = Some(settings.email.clone()).filter(|email| !email.is_empty());
    Ok(AcmeConfig { domains: settings.domains.clone(), email, cache: cache(settings)?, directory: settings.directory.clone(), directory_ca })
}

/// Names of hosts, without ports; in lower case.
pub(super) fn names(setting: &str, names: &[String]) -> Result<Vec<String>, InvalidSetting> {
    let is_name = |name: &String| name.len() <= 253 && name.split('.').all(is_label);
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => invalid(setting, format!("`{name}` is no name of a host: write it like althing.internal, without a port")),
        None => Ok(names.iter().map(|name| name.to_ascii_lowercase()).collect()),
    }
}

fn check_domain(domain: &str) -> Result<(), InvalidSetting> {
    let why = if domain.starts_with("*.") {
        "TLS-ALPN-01 proves single names only (RFC 8737): list each, or get a certificate by DNS-01 elsewhere and use tls.mode = \"files\""
    } else if domain.parse::<std::net::IpAddr>().is_ok() {
        "it is an address: the authority vouches for names"
    } else if domain.is_empty() || domain.len() > 253 || !domain.split('.').all(is_label) {
        "it is no name of a host: write it like meet.example.org, names in other scripts as xn--…"
    } else {
        return Ok(());
    };
    invalid("tls.domains", format!("`{domain}`: {why}"))
}

/// RFC 1123 section 2.1.
fn is_label(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

fn named(name: &str, path: &Path) -> Result<PathBuf, InvalidSetting> {
    if path.as_os_str().is_empty() {
        return invalid(name, "tls.mode is \"files\": say in which (PEM)".to_owned());
    }
    Ok(path.to_owned())
}

/// The directory that is set, or one in the user's home (the XDG base directory specification).
fn cache(settings: &TlsSettings) -> Result<PathBuf, InvalidSetting> {
    if !settings.cache.as_os_str().is_empty() {
        return Ok(settings.cache.clone());
    }
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    match state {
        Some(state) => Ok(state.join("althing/tls")),
        None => invalid("tls.cache", "the user has no home here: name a directory for certificates and keys, like /var/lib/althing/tls".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut TlsSettings)) -> Result<Option<TlsConfig>, InvalidSetting> {
        let mut settings = TlsSettings { cache: "/tmp/kept".into(), ..TlsSettings::default() };
        change(&mut settings);
        check(&settings, SocketAddr::from(([0, 0, 0, 0], 8443)))
    }

    fn refused(change: impl FnOnce(&mut TlsSettings)) -> String {
        checked(change).expect_err("refused").name
    }

    #[test]
    fn each_mode_needs_its_own_settings_and_no_others() {
        assert_eq!(checked(|_| ()), Ok(None));
        assert_eq!(refused(|s| s.mode = TlsMode::Files), "tls.cert");
        assert_eq!(refused(|s| (s.mode, s.cert) = (TlsMode::Files, "a.pem".into())), "tls.key");
        assert_eq!(refused(|s| s.mode = TlsMode::Acme), "tls.domains");
        let source = |change: fn(&mut TlsSettings)| checked(change).expect("taken").expect("TLS").source;
        assert_eq!(source(|s| s.mode = TlsMode::Dev), CertificateSource::Development { cache: "/tmp/kept".into() });
        assert_eq!(
            source(|s| (s.mode, s.cert, s.key) = (TlsMode::Files, "a.pem".into(), "b.pem".into())),
            CertificateSource::Files { cert: "a.pem".into(), key: "b.pem".into() }
        );
    }

    #[test]
    fn names_that_no_authority_vouches_for_are_refused() {
        for domain in ["", "*.example.org", "192.0.2.7", "2001:db8::1", "a..b", "-a.org", "exa mple.org", "https://example.org", "münchen.example"] {
            assert_eq!(refused(|s| (s.mode, s.domains) = (TlsMode::Acme, vec![domain.to_owned()])), "tls.domains", "{domain}");
        }
        let taken = checked(|s| (s.mode, s.domains) = (TlsMode::Acme, vec!["meet.example.org".into(), "xn--mnchen-3ya.example".into()]));
        assert!(
            matches!(taken.expect("taken").expect("TLS").source, CertificateSource::Acme(acme) if acme.domains.len() == 2 && acme.email.is_none())
        );
        let acme = |s: &mut TlsSettings| (s.mode, s.domains) = (TlsMode::Acme, vec!["meet.example.org".into()]);
        assert_eq!(refused(|s| (acme(s), s.email = "nobody".into()).1), "tls.email");
        assert_eq!(refused(|s| (acme(s), s.directory = "http://ca.example".into()).1), "tls.directory");
    }

    #[test]
    fn a_redirect_leads_somewhere_else_and_only_where_there_is_https() {
        let dev = |redirect: &'static str| move |s: &mut TlsSettings| (s.mode, s.redirect) = (TlsMode::Dev, redirect.into());
        assert_eq!(checked(dev("0.0.0.0:80")).expect("taken").expect("TLS").redirect, Some(SocketAddr::from(([0, 0, 0, 0], 80))));
        assert_eq!(refused(dev("0.0.0.0:8443")), "tls.redirect");
        assert_eq!(refused(dev("port 80")), "tls.redirect");
        assert_eq!(refused(|s| s.redirect = "0.0.0.0:80".into()), "tls.redirect");
    }

    #[test]
    fn times_and_numbers_are_within_reason() {
        assert_eq!(refused(|s| s.handshake_seconds = 0), "tls.handshake_seconds");
        assert_eq!(refused(|s| s.handshake_seconds = 4_000), "tls.handshake_seconds");
        assert_eq!(refused(|s| s.handshakes = 0), "tls.handshakes");
        assert_eq!(refused(|s| s.handshakes = 20_000), "tls.handshakes");
    }
}
