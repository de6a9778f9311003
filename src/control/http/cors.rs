//! Browsers elsewhere: what a page of another origin may ask for and see (the Fetch standard's CORS protocol).

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Public;
use super::origin::permits;

/// What some URLs let pages ask for and see.
pub struct Allowed {
    /// Methods.
    pub methods: &'static str,
    /// Headers of requests, beside those that every page may send.
    pub headers: &'static str,
    /// Headers of answers, beside those that every page sees.
    pub exposed: &'static str,
}

/// The origin of the page that asks, if it is a page.
pub struct Cors {
    origin: Option<HeaderValue>,
    allowed: bool,
}

impl Cors {
    /// Of a request.
    pub fn of(request: &Request, public: &Public) -> Self {
        let headers = request.headers();
        Self { origin: headers.get(header::ORIGIN).cloned(), allowed: permits(public, request.uri(), headers) }
    }

    /// Whether it may use this server.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The answer to `OPTIONS`, with or without a page behind it.
    pub fn preflight(&self, allowed: &Allowed) -> Response {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, allowed.methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.headers),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    }

    /// Lets the page see a response of ours.
    pub fn around(&self, allowed: &Allowed, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.origin.clone().filter(|_| self.allowed) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(allowed.exposed));
        }
        response
    }
}
