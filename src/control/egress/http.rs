//! The HTTP of a session: an offer out, an answer back, and the session's end. Requests go nowhere but where they may: the host is one of those that
//! are set, the scheme is HTTPS, and each address that a name stands for is looked at before it is connected to.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use tokio::net::lookup_host;

use super::Trouble;
use crate::base::address::DenyList;
use crate::config::WhipOutConfig;
use crate::sdp::{OfferLimits, RemoteAnswer};

/// The media type of offers and answers.
const SDP: &str = "application/sdp";
/// Bytes of an answer: those of browsers to two m-lines have 5 KB.
const MOST_ANSWER: usize = 64 << 10;
/// m-lines of an answer: one more than are offered, so that it is said what is wrong.
const MOST_MLINES: usize = 3;
/// How often one server may send us to another (307 and 308, RFC 9725 section 4.5).
const MOST_REDIRECTS: usize = 3;
const AGENT: &str = concat!("althing/", env!("CARGO_PKG_VERSION"));

/// The client of all sessions.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    config: WhipOutConfig,
    deny: Arc<DenyList>,
}

/// A session that the other server has given us.
#[derive(Debug)]
pub(super) struct Given {
    pub answer: RemoteAnswer,
    /// Where it is ended; none where it has said nothing that we may use.
    pub resource: Option<Url>,
}

/// A name stands for no address that may be sent to.
#[derive(Debug)]
struct Denied;

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address that may be sent to")
    }
}

impl Error for Denied {}

/// Resolves names, and leaves out what may not be sent to.
struct Guarded(Arc<DenyList>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let deny = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            let any = !found.is_empty();
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|at| !deny.denies(at.ip())).collect();
            if allowed.is_empty() && any {
                return Err(Denied.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl Client {
    pub fn new(config: &WhipOutConfig, deny: &Arc<DenyList>) -> io::Result<Self> {
        let http = reqwest::Client::builder()
            // Followed by hand: each host is looked at.
            .redirect(Policy::none())
            .no_proxy()
            .timeout(config.timeout)
            .connect_timeout(config.timeout)
            .pool_idle_timeout(Duration::from_secs(5))
            .dns_resolver(Arc::new(Guarded(deny.clone())))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { http, config: config.clone(), deny: deny.clone() })
    }

    /// Posts an offer.
    ///
    /// # Errors
    /// Why there is no session.
    pub async fn offer(&self, url: &Url, token: Option<&str>, sdp: &str) -> Result<Given, Trouble> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.look(&url)?;
            let mut request = self.http.post(url.clone()).header(CONTENT_TYPE, SDP).header(ACCEPT, SDP).header(USER_AGENT, AGENT);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.body(sdp.to_owned()).send().await.map_err(|error| trouble(&error))?;
            match answer.status() {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => url = self.next(&url, answer.headers())?,
                status if status.is_redirection() => return Err(Trouble::Redirect),
                StatusCode::CREATED | StatusCode::OK => return self.read(&url, token, answer).await,
                status if status.is_success() => return Err(Trouble::Answer),
                status => return Err(Trouble::Refused(status.as_u16())),
            }
        }
        Err(Trouble::Redirect)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Why it is not known whether it has ended.
    pub async fn end(&self, resource: &Url, token: Option<&str>) -> Result<(), Trouble> {
        self.look(resource)?;
        let mut request = self.http.delete(resource.clone()).header(USER_AGENT, AGENT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let status = request.send().await.map_err(|error| trouble(&error))?.status();
        // One that is gone has ended.
        if status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            Ok(())
        } else {
            Err(Trouble::Refused(status.as_u16()))
        }
    }

    /// Whether requests may go there; names are looked at again when they are resolved.
    fn look(&self, url: &Url) -> Result<(), Trouble> {
        if !self.config.allows(url) {
            return Err(Trouble::Redirect);
        }
        let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if literal.is_some_and(|ip| self.deny.denies(ip)) { Err(Trouble::Forbidden) } else { Ok(()) }
    }

    /// Where a redirect leads. From HTTPS it never leads to HTTP: the token goes with it.
    fn next(&self, from: &Url, headers: &HeaderMap) -> Result<Url, Trouble> {
        let next = location(from, headers).ok_or(Trouble::Redirect)?;
        let worse = from.scheme() == "https" && next.scheme() != "https";
        if worse || !self.config.allows(&next) { Err(Trouble::Redirect) } else { Ok(next) }
    }

    async fn read(&self, url: &Url, token: Option<&str>, mut answer: reqwest::Response) -> Result<Given, Trouble> {
        let resource = location(url, answer.headers()).filter(|resource| self.config.allows(resource));
        let unusable = |trouble| self.unusable(resource.clone(), token, trouble);
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP)) {
            return Err(unusable(Trouble::Answer));
        }
        let mut text = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if text.len() + chunk.len() > MOST_ANSWER => return Err(unusable(Trouble::TooLarge)),
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(unusable(trouble(&error))),
            }
        }
        let limits = OfferLimits { max_mlines: MOST_MLINES, max_bytes: MOST_ANSWER };
        let read = String::from_utf8(text).ok().and_then(|text| RemoteAnswer::parse(&text, &limits).ok());
        let Some(mut answer) = read else { return Err(unusable(Trouble::Answer)) };
        let named = answer.candidates.len();
        answer.candidates.retain(|at| !self.deny.denies(at.ip()));
        match answer.candidates.is_empty() {
            true if named > 0 => Err(unusable(Trouble::Forbidden)),
            true => Err(unusable(Trouble::NoWay)),
            false => Ok(Given { answer, resource }),
        }
    }

    /// There is a session that we cannot use: it is ended, whether that is heard or not.
    fn unusable(&self, resource: Option<Url>, token: Option<&str>, trouble: Trouble) -> Trouble {
        if let Some(resource) = resource {
            let (client, token) = (self.clone(), token.map(str::to_owned));
            tokio::spawn(async move { client.end(&resource, token.as_deref()).await });
        }
        trouble
    }
}

fn location(from: &Url, headers: &HeaderMap) -> Option<Url> {
    from.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// What an error of the client's comes to.
fn trouble(error: &reqwest::Error) -> Trouble {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(present) = cause {
        if present.is::<Denied>() {
            return Trouble::Forbidden;
        }
        if matches!(present.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return Trouble::Certificate;
        }
        // What an I/O error carries is not its source: its source is what that one has.
        let carried = present.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = carried.map_or_else(|| present.source(), |carried| Some(carried));
    }
    if error.is_timeout() { Trouble::Timeout } else { Trouble::Unreachable }
}

#[cfg(test)]
mod tests;
