//! WHIP (RFC 9725) and WHEP from the client's side: one POST with an offer, one DELETE at the end.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, Url};

use super::presence::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MOST_ANSWER: usize = 512 * 1_024;

/// Who is asked, and on whose behalf.
#[derive(Clone)]
pub struct Front {
    client: Client,
}

/// A session that the server has made.
pub struct Session {
    /// The session description that it answered with.
    pub answer: String,
    /// Where the session is ended, when the server said so.
    resource: Option<Url>,
    token: Option<String>,
    client: Client,
}

impl Front {
    /// A client for all sessions of a run.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, String> {
        // One connection for each exchange that is under way, as clients that do not know each other have.
        let builder = || Client::builder().http1_only().timeout(PATIENCE).user_agent(concat!("althing-load/", env!("CARGO_PKG_VERSION")));
        // A minimal system has no certificates of authorities: plain HTTP goes all the same.
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self { client: client.map_err(|e| format!("HTTP cannot be set up: {e}"))? })
    }

    /// Posts an offer.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not answer with 201 and a session description.
    pub async fn open(&self, url: &str, token: Option<&str>, offer: String) -> Result<Session, Failure> {
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/sdp").header(ACCEPT, "application/sdp").body(offer);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.send().await.map_err(|e| not_reached(url, &e))?;
        let status = response.status();
        let base = response.url().clone();
        let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok()).and_then(|l| base.join(l).ok());
        let answer = text(response).await?;
        if status.as_u16() != 201 && status.as_u16() != 200 {
            let said: String = answer.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(Failure::new(format!("refused: HTTP {}", status.as_u16()), format!("{url}: {said}")));
        }
        Ok(Session { answer, resource: location, token: token.map(str::to_owned), client: self.client.clone() })
    }
}

impl Session {
    /// Ends the session.
    pub async fn close(self) {
        let Some(resource) = self.resource else { return };
        let mut request = self.client.delete(resource).timeout(Duration::from_secs(5));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        // The server notices a client that is gone without it too.
        let _ = request.send().await;
    }
}

/// Fills `{room}` and `{member}` (and `{members}`: several, with commas between) into a template.
pub fn address(template: &str, room: &str, member: &str, members: &str) -> String {
    template.replace("{room}", room).replace("{members}", members).replace("{member}", member)
}

async fn text(mut response: Response) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Failure::new("the answer broke off", e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_ANSWER {
            return Err(Failure::new("the answer is too long", ""));
        }
    }
    String::from_utf8(bytes).map_err(|e| Failure::new("the answer is no text", e))
}

fn not_reached(url: &str, error: &reqwest::Error) -> Failure {
    let reason = if error.is_connect() {
        "nothing listens there"
    } else if error.is_timeout() {
        "the server does not answer"
    } else if error.is_builder() {
        "not an http:// or https:// address"
    } else {
        "the server cannot be reached"
    };
    Failure::new(reason, format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        assert_eq!(address("http://h/whip/{room}/{member}", "r1", "p2", ""), "http://h/whip/r1/p2");
        assert_eq!(address("http://h/whep/{room}/{members}", "r1", "s", "p1,p2"), "http://h/whep/r1/p1,p2");
    }
}
