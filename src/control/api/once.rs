//! Requests that may come again (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header): whoever did not hear the answer asks once more, and
//! is answered as the first time. Only what was carried out is kept: a refusal has changed nothing, and is decided anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::{BODY_WITHIN, JSON_BYTES, malformed, too_long};
use crate::control::auth::Access;
use crate::control::http::problem::{Problem, bearer};
use crate::wire::ErrorCode;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const KEY_CHARS: usize = 128;
/// How long an answer is kept: longer than anybody tries.
const KEPT: Duration = Duration::from_secs(3_600);
/// Answers that are kept; beyond, the oldest go.
const ANSWERS: usize = 4_096;
/// Bytes of all of them.
const BYTES: usize = 16 * 1024 * 1024;

/// The answers, and who may ask.
#[derive(Clone)]
pub struct Once {
    access: Access,
    answers: Arc<Mutex<Answers>>,
}

impl Once {
    /// Without any answer.
    pub fn new(access: Access) -> Self {
        Self { access, answers: Arc::default() }
    }
}

type Hash = [u8; 32];

#[derive(Default)]
struct Answers {
    known: HashMap<Hash, Entry>,
    /// In the order of their coming.
    order: VecDeque<(Hash, Instant)>,
    bytes: usize,
}

struct Entry {
    /// Of the request's body: a key is for one request.
    asked: Hash,
    /// None while the first request is carried out.
    kept: Option<Kept>,
}

#[derive(Clone)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What is known of a request.
enum Known {
    New,
    UnderWay,
    Another,
    Answered(Kept),
}

impl Answers {
    fn begin(&mut self, place: Hash, asked: Hash, now: Instant) -> Known {
        while self.order.front().is_some_and(|(_, at)| now.saturating_duration_since(*at) > KEPT || self.order.len() >= ANSWERS || self.bytes > BYTES)
        {
            if let Some((oldest, _)) = self.order.pop_front() {
                self.forget(&oldest);
            }
        }
        match self.known.get(&place) {
            Some(entry) if entry.asked != asked => Known::Another,
            Some(Entry { kept: Some(kept), .. }) => Known::Answered(kept.clone()),
            Some(_) => Known::UnderWay,
            None => {
                self.known.insert(place, Entry { asked, kept: None });
                self.order.push_back((place, now));
                Known::New
            }
        }
    }

    fn keep(&mut self, place: &Hash, kept: Kept) {
        if let Some(entry) = self.known.get_mut(place) {
            self.bytes += kept.body.len();
            entry.kept = Some(kept);
        }
    }

    fn forget(&mut self, place: &Hash) {
        let gone = self.known.remove(place).and_then(|entry| entry.kept);
        self.bytes -= gone.map_or(0, |kept| kept.body.len());
    }
}

/// A request that is carried out: forgotten when nothing comes of it, however that is.
struct UnderWay {
    answers: Arc<Mutex<Answers>>,
    place: Hash,
    kept: Option<Kept>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match self.kept.take() {
            Some(kept) => answers.keep(&self.place, kept),
            None => {
                answers.forget(&self.place);
                answers.order.retain(|(place, _)| *place != self.place);
            }
        }
    }
}

/// Around requests that change something without saying what there will be: those by POST.
pub async fn once(State(once): State<Once>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(key) = headers.get(KEY).filter(|_| request.method() == Method::POST) else { return next.run(request).await };
    let Some(key) = key.to_str().ok().map(|key| key.trim_matches('"').to_owned()).filter(|key| (1..=KEY_CHARS).contains(&key.len())) else {
        return malformed(format!("an Idempotency-Key has 1 to {KEY_CHARS} characters")).into_response();
    };
    // Whose token is not valid is told so where it is looked at.
    let Ok((who, rights)) = once.access.bearer_of(bearer(headers)) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY_WITHIN, to_bytes(body, JSON_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return too_long().into_response(),
        Err(_) => return Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the request did not come in time").into_response(),
    };
    let (place, asked) = (hash(&[&who.0, &rights, parts.uri.path(), &key]), hash(&[&body]));
    let known = once.answers.lock().unwrap_or_else(PoisonError::into_inner).begin(place, asked, Instant::now());
    match known {
        Known::New => {}
        Known::Answered(kept) => return replayed(kept),
        Known::UnderWay => {
            let why = "a request with this Idempotency-Key is being carried out: ask again in a moment";
            return Problem::new(StatusCode::CONFLICT, ErrorCode::Busy, why).with(header::RETRY_AFTER, "1").into_response();
        }
        Known::Another => {
            let why = "this Idempotency-Key is that of another request: draw a new one for each";
            return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::WrongState, why).into_response();
        }
    }
    let mut under_way = UnderWay { answers: once.answers.clone(), place, kept: None };
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !answer.status().is_success() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    // Of JSON that was made whole: it is there at once.
    let Ok(body) = to_bytes(body, BYTES).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    under_way.kept = Some(Kept { status: parts.status, headers: parts.headers.clone(), body: body.clone() });
    drop(under_way);
    Response::from_parts(parts, Body::from(body))
}

fn replayed(Kept { status, headers, body }: Kept) -> Response {
    let mut answer = (status, body).into_response();
    *answer.headers_mut() = headers;
    answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}

fn hash<T: AsRef<[u8]>>(parts: &[T]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.as_ref().len() as u64).to_be_bytes());
        context.update(part.as_ref());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize) -> Kept {
        Kept { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(vec![0; bytes]) }
    }

    fn begin(answers: &mut Answers, number: usize, now: Instant) -> Known {
        answers.begin(hash(&[number.to_string()]), hash(&["asked"]), now)
    }

    #[test]
    fn answers_are_kept_for_a_while_in_number_and_in_bytes() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        for number in 0..ANSWERS * 2 {
            assert!(matches!(begin(&mut answers, number, now), Known::New));
            answers.keep(&hash(&[number.to_string()]), kept(1));
        }
        assert_eq!((answers.known.len(), answers.order.len(), answers.bytes), (ANSWERS, ANSWERS, ANSWERS));
        assert!(matches!(begin(&mut answers, ANSWERS * 2 - 1, now), Known::Answered(_)), "the latest are there");
        assert!(matches!(begin(&mut answers, 0, now), Known::New), "the oldest are not");
        let later = now + KEPT + Duration::from_secs(1);
        assert!(matches!(begin(&mut answers, ANSWERS * 2 - 1, later), Known::New));
        assert_eq!((answers.known.len(), answers.bytes), (1, 0));
        for number in 1..40 {
            begin(&mut answers, number, later);
            answers.keep(&hash(&[number.to_string()]), kept(1 << 20));
            assert!(answers.bytes <= BYTES + (1 << 20), "{} bytes", answers.bytes);
        }
    }

    #[test]
    fn of_what_comes_to_nothing_nothing_is_kept() {
        let answers = Arc::new(Mutex::new(Answers::default()));
        let place = hash(&["1"]);
        let begun = || answers.lock().expect("a lock").begin(place, hash(&["asked"]), Instant::now());
        assert!(matches!(begun(), Known::New));
        assert!(matches!(begun(), Known::UnderWay));
        drop(UnderWay { answers: answers.clone(), place, kept: None });
        assert!(answers.lock().expect("a lock").order.is_empty());
        assert!(matches!(begun(), Known::New));
        assert!(matches!(answers.lock().expect("a lock").begin(place, hash(&["else"]), Instant::now()), Known::Another));
    }
}
