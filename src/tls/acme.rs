//! Certificates from an authority that speaks ACME (RFC 8555), proven by TLS-ALPN-01 (RFC 8737) on the public listener itself.

mod cache;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_acme::acme::{AcmeError, Identifier, Problem};
use rustls_acme::{AcmeConfig as Request, AcmeState, EventError, EventOk, OrderError};

use super::error::TlsError;
use super::{Certificates, files, provider, server_config, store};
use crate::config::AcmeConfig;
pub use cache::Cache;

/// After the first refusal; doubled after each. Let's Encrypt takes five failed tries an hour and account: more often helps nobody.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// What is repeated of what an authority has written.
const MOST_TEXT: usize = 600;

/// Orders at an authority, for as long as the node runs.
pub struct Orders {
    state: AcmeState<io::Error>,
    cache: Cache,
    directory: String,
    domains: String,
}

/// Prepares to order; nobody is asked yet. Until there is a certificate, handshakes fail.
///
/// # Errors
/// When certificates cannot be kept, or there is nothing to trust the authority by.
pub fn prepare(config: &AcmeConfig) -> Result<(Certificates, Orders), TlsError> {
    store::private_directory(&config.cache).map_err(|error| TlsError::unwritable(&config.cache, &error))?;
    let client = client(config.directory_ca.as_deref())?;
    let cache = Cache::new(&config.cache);
    let contact = config.email.iter().map(|email| format!("mailto:{email}"));
    let request = Request::new_with_client_config(&config.domains, client).directory(&config.directory).contact(contact);
    let state = request.cache(cache.clone()).state();
    let challenge = state.challenge_rustls_config_with_provider(provider());
    let certificates = Certificates::new(server_config(state.resolver()), Some(challenge));
    Ok((certificates, Orders { state, cache, directory: config.directory.clone(), domains: config.domains.join(", ") }))
}

impl Orders {
    /// Takes the certificate that is kept, orders the next in time, and keeps it.
    pub async fn run(mut self, certificates: &Certificates) {
        let mut pause = FIRST_PAUSE;
        while let Some(event) = self.state.next().await {
            if let Some(at) = self.cache.not_after() {
                certificates.expire_at(at);
            }
            match event {
                Ok(EventOk::DeployedCachedCert) => tracing::info!(domains = self.domains, "the certificate that was kept is used"),
                Ok(EventOk::DeployedNewCert) => {
                    pause = FIRST_PAUSE;
                    tracing::info!(domains = self.domains, "a new certificate is used for new connections");
                }
                Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
                Err(error @ (EventError::Order(_) | EventError::NewCertParse(_))) => {
                    tracing::warn!(directory = self.directory, domains = self.domains, retry_seconds = pause.as_secs(), "{}", why(&error));
                    // Nothing is ordered while nobody asks the state for what is next.
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => tracing::warn!("{}", why(&error)),
            }
        }
    }
}

fn why(error: &EventError<io::Error, io::Error>) -> TlsError {
    match error {
        EventError::Order(error) => refusal(error),
        EventError::NewCertParse(error) => TlsError::new(format!("the authority has given what is no certificate: {error}"), "correct tls.directory"),
        error => TlsError::new(
            format!("certificates are not kept as they should be: {}", short(error)),
            "correct tls.cache: what is not kept is ordered anew at each start, and authorities limit that",
        ),
    }
}

/// Why there is no certificate, and what to do.
fn refusal(error: &OrderError) -> TlsError {
    let text = reason(error);
    let said = |kind: &str| text.contains(&format!("urn:ietf:params:acme:error:{kind}"));
    let advice = if said("rateLimited") {
        "it takes no more orders for a while; it is asked again later (a staging directory is for trying out)"
    } else if said("rejectedIdentifier") || said("unsupportedIdentifier") || said("caa") {
        "it may not or will not vouch for one of these names: correct tls.domains, or the CAA records of the domain"
    } else if said("invalidContact") || said("unsupportedContact") {
        "correct tls.email, or leave it empty"
    } else if said("externalAccountRequired") {
        "it takes only accounts that were made elsewhere: use another, or its own client and tls.mode = \"files\""
    } else if matches!(error, OrderError::BadAuth(_) | OrderError::TooManyAttemptsAuth(_)) || said("connection") || said("dns") || said("tls") {
        "each name in tls.domains has to lead here, and port 443 of its address to http.listen (TLS-ALPN-01): check DNS, firewall and forwarding, \
         and that nothing in between ends TLS"
    } else if matches!(error, OrderError::Acme(AcmeError::HttpRequest(_) | AcmeError::Io(_))) && !said("") {
        "it cannot be reached: check tls.directory, this machine's way out, and (for an authority of your own) tls.directory_ca"
    } else {
        "see what it says"
    };
    TlsError::new(format!("the authority has given no certificate: {text}"), advice)
}

/// What the authority says of it: its problem documents (RFC 8555 section 6.7), without what is around them.
fn reason(error: &OrderError) -> String {
    let told = |problem: Option<&Problem>| {
        let problem = problem.map(|problem| [problem.detail.as_deref(), problem.typ.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" "));
        problem.unwrap_or_else(|| "it does not say why".to_owned())
    };
    match error {
        OrderError::BadAuth(auth) => {
            let Identifier::Dns(domain) = &auth.identifier;
            short(&format!("{domain}: {}", told(auth.challenges.iter().find_map(|challenge| challenge.error.as_ref()))))
        }
        OrderError::BadOrder(order) => short(&told(order.error.as_ref())),
        error => short(error),
    }
}

fn short(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.chars().filter(|c| !c.is_control()).take(MOST_TEXT).collect()
}

/// How the authority is known: by the system's certificates, and those of a file.
fn client(own: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = own {
        let text = files::read(path).map_err(|error| TlsError::unreadable(path, &error, "tls.directory_ca"))?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().unwrap_or_default();
        if roots.add_parsable_certificates(found).0 == 0 {
            let what = format!("there is no certificate in {} (tls.directory_ca)", path.display());
            return Err(TlsError::new(what, "put those of the authority there in PEM"));
        }
    }
    if roots.is_empty() {
        return Err(TlsError::new("this system trusts nobody", "install ca-certificates, or name the authority's certificate with tls.directory_ca"));
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| TlsError::new(format!("TLS cannot be set up: {error}"), "use another build"))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_authority_says_comes_with_what_to_do() {
        let no_challenge = OrderError::Acme(AcmeError::NoTlsAlpn01Challenge);
        assert_eq!(refusal(&no_challenge).advice, "see what it says");
        let refused = refusal(&OrderError::TooManyAttemptsAuth("meet.example.org".into()));
        assert!(refused.what.contains("meet.example.org") && refused.advice.contains("port 443"), "{refused}");
        let auth = serde_json::json!({
            "status": "invalid",
            "identifier": { "type": "dns", "value": "meet.example.org" },
            "challenges": [{
                "type": "tls-alpn-01", "url": "https://ca.example/1", "token": "a-token",
                "error": { "type": "urn:ietf:params:acme:error:unauthorized", "detail": "Failed to connect to 192.0.2.7:443" },
            }],
        });
        let tried = refusal(&OrderError::BadAuth(serde_json::from_value(auth).expect("an authorization")));
        let what = "meet.example.org: Failed to connect to 192.0.2.7:443 urn:ietf:params:acme:error:unauthorized";
        assert!(tried.what.ends_with(what) && tried.advice.contains("firewall"), "{tried}");
        let unreachable = refusal(&OrderError::Acme(AcmeError::Io(io::Error::other("no route\nto host"))));
        assert!(unreachable.advice.contains("tls.directory") && !unreachable.what.contains('\n'), "{unreachable}");
    }

    #[test]
    fn an_authority_of_ones_own_is_named_by_a_file_with_a_certificate() {
        let missing = client(Some(Path::new("/nonexistent/ca.pem"))).expect_err("no file");
        assert!(missing.advice.contains("tls.directory_ca"), "{missing}");
        let other = client(Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")))).expect_err("no certificate");
        assert!(other.what.contains("Cargo.toml") && other.advice.contains("PEM"), "{other}");
    }
}
