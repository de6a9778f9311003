//! What is said when a request is refused: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::control::Refusal;
use crate::wire::ErrorCode;

/// A refused request.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// For programs: a code of the signaling protocol.
    pub code: &'static str,
    /// For people: what is wrong and what to do about it.
    pub detail: Cow<'static, str>,
    pub header: Option<(HeaderName, &'static str)>,
    /// The room has counted it already.
    pub counted: bool,
}

impl Problem {
    /// A problem with the code of a signaling error.
    pub fn new(status: StatusCode, code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::named(status, code.name(), detail)
    }

    /// A problem that signaling does not know.
    pub fn named(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), header: None, counted: false }
    }

    /// With a header.
    pub fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// A method that this URL does not have.
    pub fn method(allowed: &'static str, why: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::UnknownMessage, why).with(header::ALLOW, allowed)
    }

    /// A page that may not use this server.
    pub fn strange_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "pages of this origin may not use this server (http.origins)")
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message, .. }: Refusal) -> Self {
        let header = match code {
            ErrorCode::TokenMissing | ErrorCode::TokenInvalid | ErrorCode::TokenExpired => Some((header::WWW_AUTHENTICATE, "Bearer")),
            ErrorCode::RateLimited => Some((header::RETRY_AFTER, "1")),
            ErrorCode::Full | ErrorCode::Draining | ErrorCode::RecordingUnavailable | ErrorCode::ScreenshotUnavailable | ErrorCode::Internal => {
                Some((header::RETRY_AFTER, "5"))
            }
            _ => None,
        };
        Self { header, ..Self::new(status(code), code, message) }
    }
}

const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Malformed | ErrorCode::UnknownMessage | ErrorCode::UnsupportedVersion | ErrorCode::SdpMalformed => StatusCode::BAD_REQUEST,
        ErrorCode::TokenMissing | ErrorCode::TokenInvalid | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ErrorCode::TokenWrongRoom | ErrorCode::Kicked | ErrorCode::Forbidden | ErrorCode::Locked | ErrorCode::NotAdmitted => StatusCode::FORBIDDEN,
        ErrorCode::InvalidRoomName | ErrorCode::InvalidName | ErrorCode::NotFound | ErrorCode::ResumeUnknown => StatusCode::NOT_FOUND,
        ErrorCode::WrongState
        | ErrorCode::DirectOnly
        | ErrorCode::NotDirect
        | ErrorCode::Busy
        | ErrorCode::EncryptionDiffers
        | ErrorCode::Encrypted => StatusCode::CONFLICT,
        ErrorCode::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::LibraryFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::PublishConflict
        | ErrorCode::SdpFingerprint
        | ErrorCode::SdpIce
        | ErrorCode::SdpBundle
        | ErrorCode::SdpTooManyMlines
        | ErrorCode::SdpNoCodec
        | ErrorCode::SdpChanged => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Full | ErrorCode::Draining | ErrorCode::RecordingUnavailable | ErrorCode::ScreenshotUnavailable | ErrorCode::Internal => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// What the query of a URL asks for.
///
/// # Errors
/// When it asks for something else.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let wrong = |error: QueryRejection| {
        let text = error.body_text();
        let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, format!("what is behind the `?` is not what it should be: {why}"))
    };
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(wrong)
}

/// How many items of a list are wanted, where it gives `usual` when nothing is said and `most` at most.
///
/// # Errors
/// When none or more are.
pub fn page_size(limit: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, format!("`limit` is {limit}: ask for 1 to {most} at a time")))
}

/// A refusal that is none of ours (a path that is not there, a method that it does not take) as one that is.
pub fn as_problem(answer: Response) -> Response {
    let status = answer.status();
    let is_one = answer.extensions().get::<ProblemCode>().is_some();
    if is_one || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => (ErrorCode::UnknownMessage, "this path does not take this method: the header Allow says which it takes"),
        _ if status.is_client_error() => (ErrorCode::Malformed, "the request is not well formed"),
        _ => (ErrorCode::Internal, "the server has failed: try again later"),
    };
    let mut problem = Problem::new(status, code, detail).into_response();
    for (name, value) in answer.headers().iter().filter(|(name, _)| ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name)) {
        problem.headers_mut().insert(name, value.clone());
    }
    problem
}

/// The code of the problem that an answer is, for whoever counts answers.
#[derive(Clone, Copy, Debug)]
pub struct ProblemCode(pub &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail });
        let mut response = (self.status, body.to_string()).into_response();
        response.extensions_mut().insert(ProblemCode(self.code));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
