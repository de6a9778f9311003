//! Files that are in the bucket alone: all of them, or a range, asked for piece by piece as whoever reads takes them.

use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http_range_header::parse_range_header;

use super::bytes::{lists, range, say, tag_of};
use crate::control::http::problem::Problem;
use crate::record::jobs::Unmade;
use crate::record::library::{Item, Library, LibraryError};
use crate::record::store::ledger::Stored;
use crate::record::store::{Busy, Store};

/// A file of an item as the bucket has it.
pub struct Object {
    store: Store,
    id: String,
    name: String,
    stored: Stored,
}

impl Object {
    /// What the bucket has of this file, if anything.
    pub fn of(library: &Library, item: &Item, name: &str) -> Option<Self> {
        let stored = item.stored.of(name)?.clone();
        Some(Self { store: library.store()?.clone(), id: item.manifest.id.clone(), name: name.to_owned(), stored })
    }

    /// How many bytes it has.
    pub const fn bytes(&self) -> u64 {
        self.stored.bytes
    }

    /// All its bytes.
    ///
    /// # Errors
    /// When too many read.
    pub fn reading(self) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Busy> {
        let all = 0..self.stored.bytes;
        Ok(self.store.reading()?.bytes(&self.id, &self.name, &self.stored, all))
    }
}

/// A file of the bucket as an answer to such a request, with the tag that it had on the disk: whoever plays it meanwhile notices nothing.
pub fn serve(library: &Library, item: &Item, name: &str, media_type: &str, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
    let object = Object::of(library, item, name).ok_or(LibraryError::Unknown)?;
    let (bytes, tag) = (object.stored.bytes, tag_of(object.stored.bytes, object.stored.modified.into()));
    let mut answer = if lists(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let asked = range(headers, &tag, bytes).and_then(|range| parse_range_header(range.to_str().ok()?).ok());
        match asked.map(|asked| asked.validate(bytes).map(|ranges| ranges.into_iter().next())) {
            Some(Err(_)) => {
                let beyond = [(header::CONTENT_RANGE, format!("bytes */{bytes}"))];
                (StatusCode::RANGE_NOT_SATISFIABLE, beyond).into_response()
            }
            Some(Ok(Some(part))) => {
                let (first, last) = (*part.start(), *part.end());
                let head = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{bytes}"))];
                let body = body(&object, first..last + 1, method)?;
                (StatusCode::PARTIAL_CONTENT, head, body).into_response()
            }
            Some(Ok(None)) | None => body(&object, 0..bytes, method)?.into_response(),
        }
    };
    say(&mut answer, &tag, media_type);
    Ok(answer)
}

fn body(object: &Object, part: std::ops::Range<u64>, method: &Method) -> Result<Response, Problem> {
    let length = part.end.saturating_sub(part.start);
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let reading = object.store.reading().map_err(|Busy| Problem::from(Unmade::Busy))?;
        Body::from_stream(reading.bytes(&object.id, &object.name, &object.stored, part))
    };
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(answer)
}
