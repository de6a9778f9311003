//! What is said when a request is refused: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
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
    fn new(status: StatusCode, code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: code.name(), detail: detail.into(), header: None, counted: false }
    }

    /// A method that this URL does not have.
    pub fn method(allowed: &'static str, why: &'static str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::UnknownMessage, why);
        Self { header: Some((header::ALLOW, allowed)), ..problem }
    }

    /// A page that may not use this server.
    pub fn strange_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "pages of this origin may not use this server (http.origins)")
    }

    /// A body that is no offer.
    pub fn media_type() -> Self {
        let problem =
            Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, "the body has to be an offer, with Content-Type: application/sdp");
        Self { header: Some((HeaderName::from_static("accept-post"), super::SDP)), ..problem }
    }

    /// A body that did not come in time.
    pub fn slow_body() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the offer did not come in time")
    }

    /// A body that ended early.
    pub fn broken_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, "the offer did not come whole")
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message }: Refusal) -> Self {
        let header = match code {
            ErrorCode::TokenMissing | ErrorCode::TokenInvalid | ErrorCode::TokenExpired => Some((header::WWW_AUTHENTICATE, "Bearer")),
            ErrorCode::RateLimited => Some((header::RETRY_AFTER, "1")),
            ErrorCode::Full | ErrorCode::RecordingUnavailable | ErrorCode::Internal => Some((header::RETRY_AFTER, "5")),
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
        ErrorCode::PublishConflict
        | ErrorCode::SdpFingerprint
        | ErrorCode::SdpIce
        | ErrorCode::SdpBundle
        | ErrorCode::SdpTooManyMlines
        | ErrorCode::SdpNoCodec
        | ErrorCode::SdpChanged => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Full | ErrorCode::RecordingUnavailable | ErrorCode::Internal => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail });
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
