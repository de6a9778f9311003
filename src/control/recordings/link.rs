//! Links to what is kept: made for whoever may see it, and checked when they are used.

use axum::http::StatusCode;
use serde::Deserialize;

use crate::control::auth::unix_time;
use crate::control::http::problem::Problem;
use crate::record::library::{BadLink, Holder, Library, Purpose, Signer};

/// Seconds that a link is good for: a page that is open all day asks again.
const GOOD_FOR: u64 = 12 * 3_600;

/// Makes links that are good until one moment.
pub struct Links<'a> {
    signer: &'a Signer,
    expires: u64,
    holder: Option<Holder>,
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
    /// Whom it was handed to, once it is checked.
    #[serde(skip)]
    holder: Option<Holder>,
}

impl<'a> Links<'a> {
    /// Links for somebody that are good for a while; for nobody in particular where everybody may do everything.
    pub fn new(signer: &'a Signer, holder: Option<Holder>) -> Self {
        Self { signer, expires: unix_time().as_secs().saturating_add(GOOD_FOR), holder }
    }

    /// Links for whoever came by this one: they are good for no longer, and end with it.
    pub fn by(signer: &'a Signer, link: &Link) -> Self {
        let links = Self::new(signer, link.holder.clone());
        Self { expires: links.expires.min(link.expires), ..links }
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
        let signature = self.signer.sign(purpose, id, name, expires, self.holder.as_ref());
        format!("/api/v1/library/{id}{place}?expires={expires}&signature={signature}")
    }
}

impl Link {
    /// Whether it is to be saved rather than shown.
    pub fn is_download(&self) -> bool {
        !matches!(self.download.as_str(), "" | "0")
    }

    /// Checks it, and notes whom it was handed to.
    ///
    /// # Errors
    /// What is answered, and how it is counted.
    pub fn check(&mut self, library: &Library, purpose: Purpose, id: &str, name: &str) -> Result<(), (Problem, &'static str)> {
        let now = unix_time().as_secs();
        self.holder = library.signer().check(purpose, id, name, (self.expires, &self.signature), now).map_err(|bad| match bad {
            BadLink::Expired => (Problem::named(StatusCode::GONE, "link_expired", "the link has expired: ask for a new one"), "expired"),
            BadLink::Altered => {
                (Problem::named(StatusCode::FORBIDDEN, "link_invalid", "the link is incomplete, was changed, or is of another server"), "altered")
            }
        })?;
        if self.holder.as_ref().is_some_and(|holder| library.has_ended(id, holder)) {
            let why = "whoever this link was made for has been removed from the room: it has ended";
            return Err((Problem::named(StatusCode::GONE, "link_ended", why), "ended"));
        }
        Ok(())
    }
}
