//! Links to what is kept: made for whoever may see it, and checked when they are used.

use axum::http::StatusCode;
use serde::Deserialize;

use crate::control::auth::unix_time;
use crate::control::http::problem::Problem;
use crate::record::library::{BadLink, Purpose, Signer};

/// Seconds that a link is good for: a page that is open all day asks again.
const GOOD_FOR: u64 = 12 * 3_600;

/// Makes links that are good until one moment.
pub struct Links<'a> {
    signer: &'a Signer,
    expires: u64,
}

/// The part of a link after the question mark.
#[derive(Deserialize)]
pub struct Link {
    /// Until when it is good: seconds since the Unix epoch.
    #[serde(default)]
    pub expires: u64,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    download: String,
}

impl<'a> Links<'a> {
    /// Links that are good for a while, and not beyond `until` (seconds since the Unix epoch).
    pub fn new(signer: &'a Signer, until: Option<u64>) -> Self {
        let expires = unix_time().as_secs().saturating_add(GOOD_FOR);
        Self { signer, expires: until.map_or(expires, |until| until.min(expires)) }
    }

    /// A link to a part of something; `name` is that of a file, or empty.
    pub fn to(&self, purpose: Purpose, id: &str, name: &str) -> String {
        let expires = self.expires;
        let place = match purpose {
            Purpose::File => format!("/files/{name}"),
            Purpose::Waveform => format!("/files/{name}/waveform"),
            Purpose::Zip => "/zip".to_owned(),
            Purpose::Chat => "/chat".to_owned(),
            Purpose::Thumbnail => "/thumbnail".to_owned(),
            Purpose::Share => String::new(),
        };
        let signature = self.signer.sign(purpose, id, name, expires);
        format!("/api/v1/library/{id}{place}?expires={expires}&signature={signature}")
    }
}

impl Link {
    /// Whether it is to be saved rather than shown.
    pub fn is_download(&self) -> bool {
        !matches!(self.download.as_str(), "" | "0")
    }

    /// Checks it.
    ///
    /// # Errors
    /// What is answered, and how it is counted.
    pub fn check(&self, signer: &Signer, purpose: Purpose, id: &str, name: &str) -> Result<(), (Problem, &'static str)> {
        signer.check(purpose, id, name, (self.expires, &self.signature), unix_time().as_secs()).map_err(|bad| match bad {
            BadLink::Expired => (Problem::named(StatusCode::GONE, "link_expired", "the link has expired: ask for a new one"), "expired"),
            BadLink::Altered => {
                (Problem::named(StatusCode::FORBIDDEN, "link_invalid", "the link is incomplete, was changed, or is of another server"), "altered")
            }
        })
    }
}
