//! The bytes of a file: all of them, or a range (RFC 9110 section 14).

use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_http::services::ServeFile;

use crate::control::http::problem::Problem;
use crate::record::library::LibraryError;

/// Bytes read at a time. More: fewer calls for a fast reader; less: memory of a slow one.
const CHUNK: usize = 64 * 1024;
/// What a name may have as it is in a header's extended value (RFC 8187 section 3.2.1).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A file as an answer to such a request; none where there is no such file.
pub async fn serve(path: &Path, media_type: &str, method: &Method, headers: &HeaderMap) -> Result<Option<Response>, Problem> {
    let metadata = match tokio::fs::metadata(path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(LibraryError::from)?,
    };
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let tag = tag_of(metadata.len(), modified.as_nanos());
    let mut answer = if lists(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        if let Some(range) = range(headers, &tag, metadata.len()) {
            request.headers_mut().insert(header::RANGE, range);
        }
        let served = ServeFile::new(path).with_buf_chunk_size(CHUNK).try_call(request).await.map_err(LibraryError::from)?;
        served.map(Body::new)
    };
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    say(&mut answer, &tag, media_type);
    Ok(Some(answer))
}

/// The entity tag of a file. Until it is complete it grows, and its beginning is written over at the end: each state has a tag of its own.
pub fn tag_of(bytes: u64, modified: u128) -> String {
    format!("\"{bytes:x}-{modified:x}\"")
}

/// What is said of a file with each answer.
pub fn say(answer: &mut Response, tag: &str, media_type: &str) {
    let success = answer.status().is_success();
    let headers = answer.headers_mut();
    headers.remove(header::LAST_MODIFIED);
    headers.extend(HeaderValue::try_from(tag).map(|tag| (header::ETAG, tag)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if success {
        let media_type = HeaderValue::try_from(media_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::CONTENT_TYPE, media_type);
    }
}

/// The one range that is asked for. Several at once may be answered with everything (RFC 9110 section 14.2), one in other units than bytes has to be,
/// and so is one of what the file was before (section 13.1.5). The end of a file of so many bytes, of which more is asked for than there is, is all of it
/// (section 14.1.2).
pub fn range(headers: &HeaderMap, tag: &str, bytes: u64) -> Option<HeaderValue> {
    let same = headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes());
    let asked = headers.get(header::RANGE).filter(|_| same)?.to_str().ok()?;
    let (unit, range) = asked.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let suffix = range.trim().strip_prefix('-').filter(|suffix| !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()));
    // One that is no number of 64 bits is longer than any file.
    let all = bytes > 0 && suffix.is_some_and(|suffix| suffix.parse().map_or(true, |suffix: u64| suffix > bytes));
    HeaderValue::try_from(if all { "bytes=0-".to_owned() } else { format!("bytes={range}") }).ok()
}

/// Whether an `If-None-Match` has this tag, weakly compared (RFC 9110 section 13.1.2).
pub fn lists(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    known.is_some_and(|tags| tags.split(',').map(|known| known.trim().trim_start_matches("W/")).any(|known| known == tag || known == "*"))
}

/// A name that every system takes for one of a file.
pub fn saved_as(name: &str) -> String {
    let strange = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    name.chars().map(|c| if strange(c) { '_' } else { c }).collect()
}

/// Has the answer saved under this name (RFC 6266): as it is for who understands that, with ASCII alone for others.
pub fn attachment(name: &str) -> HeaderValue {
    let name = saved_as(name);
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, ESCAPED));
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_to_save_by_cannot_leave_its_folder_or_its_header() {
        let value = |name| attachment(name).to_str().expect("ASCII").to_owned();
        assert_eq!(value("Budget 2026.webm"), "attachment; filename=\"Budget 2026.webm\"; filename*=UTF-8''Budget%202026.webm");
        assert_eq!(value("会议.webm"), "attachment; filename=\"__.webm\"; filename*=UTF-8''%E4%BC%9A%E8%AE%AE.webm");
        assert_eq!(value("../\"\r\nx: y"), "attachment; filename=\"..____x_ y\"; filename*=UTF-8''..____x_%20y");
    }

    #[test]
    fn a_range_of_what_the_file_was_before_is_answered_with_all_of_it() {
        let of = |pairs: &[(header::HeaderName, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let asked = |pairs: &[_]| range(&of(pairs), "\"a\"", 100).is_some();
        assert!(asked(&[(header::RANGE, "bytes=0-1")]));
        assert!(asked(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"a\"")]));
        assert!(!asked(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"b\"")]));
        assert!(!asked(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "W/\"a\"")]), "a weak tag is never the same (section 13.1.5)");
        assert!(!asked(&[(header::RANGE, "bytes=0-1,4-5")]));
        assert!(!asked(&[(header::RANGE, "items=0-1")]), "a unit that nobody knows (section 14.2)");
        assert!(lists(&of(&[(header::IF_NONE_MATCH, "\"b\", W/\"a\"")]), "\"a\"") && !lists(&of(&[(header::IF_NONE_MATCH, "\"b\"")]), "\"a\""));
    }
}
