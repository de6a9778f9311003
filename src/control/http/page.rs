//! The web page: files built by `make web`, embedded in the binary with their compressed forms.
//!
//! The build writes `web/app/dist` with a `.br` and a `.gz` beside each text file; nothing is compressed at run time.
//! Names under `assets/` carry a hash of their content and are cached for ever, everything else is asked for again each time.

use std::borrow::Cow;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

/// What the page may load and talk to: this server only. Browsers let `'self'` stand for its WebSocket too.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; media-src 'self' blob: mediastream:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What the worker that blurs backgrounds may do: compile WebAssembly of this server, which nothing else of the page may (CSP3 section 4.5.1).
const COMPILING_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// How the names of its script begin. A worker is held to the policy that comes with its own script (HTML section 10.2.4).
const COMPILING: &str = "assets/background.worker-";
/// Which powers of the browser the page may use; whoever frames or injects something gets none.
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), autoplay=(self), \
     fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), clipboard-write=(self), geolocation=(), payment=(), usb=()";
/// Sent with every response of this module.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // A room's address is its invitation: it is told to nobody.
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// The built page; empty when it was not built.
#[derive(RustEmbed)]
#[folder = "web/app/dist"]
#[allow_missing = true]
struct Files;

/// The routes of the page: `/`, `/r/<room>` and `/library` with all below (the same page, which reads from its address what to show), its files, and a
/// way back from wherever else there is nothing.
pub fn page_routes() -> Router {
    let index = get(|request: Request| async move { serve(Files::get, "index.html", request.headers()) });
    let file = get(|request: Request| async move { serve(Files::get, request.uri().path().trim_start_matches('/'), request.headers()) });
    Router::new()
        .route("/", index.clone())
        .route("/r/{*room}", index.clone())
        .route("/library", index.clone())
        .route("/library/", index.clone())
        .route("/library/{*place}", index)
        .route("/assets/{*name}", file.clone())
        .route("/icon.svg", file)
        .fallback(|| async { answer(StatusCode::NOT_FOUND, "index.html", Body::from(NOWHERE)) })
}

/// The answer to a request for a file: the smallest form that the client takes, or word that it has it already.
fn serve(find: impl Fn(&str) -> Option<EmbeddedFile>, name: &str, request: &HeaderMap) -> Response {
    if find("index.html").is_none() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "index.html", Body::from(NOT_BUILT));
    }
    // The compressed forms are found by negotiation only: asked for by name, they would come with the wrong type.
    let Some(plain) = find(name).filter(|_| coding_of(name).is_none()) else {
        return answer(StatusCode::NOT_FOUND, "text.txt", Body::from("not found\n"));
    };
    let (coding, file) = smallest(find, name, plain, request);
    let tag = tag(&file, coding);
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|tags| lists(tags, &tag));
    let mut response =
        if known { answer(StatusCode::NOT_MODIFIED, name, Body::empty()) } else { answer(StatusCode::OK, name, Body::from(bytes(file.data))) };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching(name)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if name.starts_with(COMPILING) {
        headers.insert(header::CONTENT_SECURITY_POLICY, COMPILING_POLICY);
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(coding) = coding.filter(|_| !known) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    response
}

/// What is said where the page should be.
const NOT_BUILT: &str = "<!doctype html><meta charset=\"utf-8\"><title>Althing</title>\
    <h1>The web page is not built</h1><p>This server was compiled without its page. Run <code>make web</code>, then build the server again; \
    <code>make run</code> does both.</p>";

/// What is said at an address where nothing is. No script runs for it, so it speaks both languages.
const NOWHERE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Althing</title>\
    <h1>There is nothing at this address</h1><p>A room is at <code>/r/</code> and its name. <a href=\"/\">To the first page</a></p>\
    <div lang=\"zh-CN\"><h2>此地址没有内容</h2><p>房间的地址是 <code>/r/</code> 加房间名。<a href=\"/\">返回首页</a></p></div></html>";

/// A content coding that the build makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// Best first.
    const ALL: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

    /// Its name in `Content-Encoding` (RFC 9110 section 8.4.1, RFC 7932).
    const fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// How the build names such files.
    const fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
        }
    }
}

fn coding_of(name: &str) -> Option<Coding> {
    Coding::ALL.into_iter().find(|coding| name.ends_with(coding.suffix()))
}

fn smallest(find: impl Fn(&str) -> Option<EmbeddedFile>, name: &str, plain: EmbeddedFile, request: &HeaderMap) -> (Option<Coding>, EmbeddedFile) {
    let compressed = Coding::ALL
        .into_iter()
        .filter(|coding| request.get_all(header::ACCEPT_ENCODING).iter().any(|value| takes(value, *coding)))
        .find_map(|coding| Some((Some(coding), find(&format!("{name}{}", coding.suffix()))?)));
    compressed.unwrap_or((None, plain))
}

/// Whether an `Accept-Encoding` lists a coding, other than to refuse it (RFC 9110 section 12.5.3).
fn takes(accepted: &HeaderValue, coding: Coding) -> bool {
    accepted.to_str().is_ok_and(|accepted| {
        accepted.split(',').any(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.name()));
            let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality == 0.0));
            named && !refused
        })
    })
}

/// A strong entity tag, another one for each coding (RFC 9110 section 8.8.3).
fn tag(file: &EmbeddedFile, coding: Option<Coding>) -> String {
    let hash: String = file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}{}\"", coding.map_or("", Coding::suffix))
}

/// Whether an `If-None-Match` has this tag, weakly compared (RFC 9110 section 13.1.2).
fn lists(tags: &HeaderValue, tag: &str) -> bool {
    tags.to_str().is_ok_and(|tags| tags.split(',').map(|known| known.trim().trim_start_matches("W/")).any(|known| known == tag || known == "*"))
}

fn caching(name: &str) -> &'static str {
    if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn answer(status: StatusCode, name: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(SECURITY_HEADERS);
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use rust_embed::Metadata;

    use super::*;

    fn file(data: &'static str) -> EmbeddedFile {
        let mut hash = [0; 32];
        hash.iter_mut().zip(data.bytes()).for_each(|(to, from)| *to = from);
        EmbeddedFile { data: Cow::Borrowed(data.as_bytes()), metadata: Metadata::__rust_embed_new(hash, None, None) }
    }

    fn built(name: &str) -> Option<EmbeddedFile> {
        match name {
            "index.html" => Some(file("the page")),
            "index.html.br" => Some(file("page/br")),
            "index.html.gz" => Some(file("page/gz")),
            "assets/a-1234.js" => Some(file("script")),
            "assets/background.worker-1234.js" => Some(file("worker")),
            "assets/a-1234.wasm" => Some(file("program")),
            _ => None,
        }
    }

    fn asking(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_best_form_that_the_client_takes_is_sent() {
        for (accepted, coding, body) in [
            ("gzip, deflate, br, zstd", "br", "page/br"),
            ("gzip", "gzip", "page/gz"),
            ("br;q=0, gzip;q=0.5", "gzip", "page/gz"),
            ("identity", "", "the page"),
            ("", "", "the page"),
        ] {
            let response = serve(built, "index.html", &asking(&[(header::ACCEPT_ENCODING, accepted)]));
            assert_eq!(header(&response, header::CONTENT_ENCODING), coding, "{accepted}");
            assert_eq!(header(&response, header::CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(header(&response, header::VARY), "accept-encoding");
            assert_eq!(text(response).await, body);
        }
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_again() {
        let script = serve(built, "assets/a-1234.js", &HeaderMap::new());
        assert_eq!(header(&script, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header(&script, header::CONTENT_TYPE), "text/javascript; charset=utf-8");
        let page = serve(built, "index.html", &HeaderMap::new());
        assert_eq!(header(&page, header::CACHE_CONTROL), "no-cache");
    }

    #[test]
    fn the_worker_that_blurs_may_compile_and_nothing_else_may() {
        let policy = |name| header(&serve(built, name, &HeaderMap::new()), header::CONTENT_SECURITY_POLICY).to_owned();
        assert!(policy("assets/background.worker-1234.js").contains("script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"));
        for other in ["index.html", "assets/a-1234.js", "assets/a-1234.wasm", "assets/no-such-file.js"] {
            assert!(policy(other).contains("script-src 'self'; style-src") && !policy(other).contains("unsafe"), "{other}");
        }
        assert_eq!(header(&serve(built, "assets/a-1234.wasm", &HeaderMap::new()), header::CONTENT_TYPE), "application/wasm");
    }

    #[tokio::test]
    async fn a_client_that_has_the_page_is_told_so_in_each_coding_by_itself() {
        let page = serve(built, "index.html", &asking(&[(header::ACCEPT_ENCODING, "br")]));
        let tag = header(&page, header::ETAG).to_owned();
        let again = serve(built, "index.html", &asking(&[(header::ACCEPT_ENCODING, "br"), (header::IF_NONE_MATCH, &format!("\"x\", W/{tag}"))]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&again, header::ETAG), tag);
        assert_eq!(text(again).await, "");
        let plain = serve(built, "index.html", &asking(&[(header::IF_NONE_MATCH, &tag)]));
        assert_eq!(plain.status(), StatusCode::OK);
    }

    #[test]
    fn whatever_is_answered_carries_the_security_headers() {
        for (find, name, status) in [
            (built as fn(&str) -> Option<EmbeddedFile>, "index.html", StatusCode::OK),
            (built, "no-such-file", StatusCode::NOT_FOUND),
            (|_: &str| None, "index.html", StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let response = serve(find, name, &HeaderMap::new());
            assert_eq!(response.status(), status);
            for (name, value) in SECURITY_HEADERS {
                assert_eq!(response.headers().get(&name), Some(&value), "{name}");
            }
        }
    }

    #[test]
    fn nothing_outside_of_the_built_files_is_found() {
        for name in ["../Cargo.toml", "/etc/passwd", "assets/../../Cargo.toml", "", "index.html.br", "assets/a-1234.js.gz"] {
            assert_eq!(serve(built, name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
            assert!(serve(Files::get, name, &HeaderMap::new()).status().as_u16() >= 400, "{name}");
        }
    }

    #[tokio::test]
    async fn a_server_without_its_page_says_how_to_build_it() {
        let response = serve(|_| None, "index.html", &HeaderMap::new());
        assert_eq!(header(&response, header::CACHE_CONTROL), "no-store");
        assert!(text(response).await.contains("make web"));
    }

    #[tokio::test]
    async fn rooms_and_the_library_have_the_same_page() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, page_routes()).await });
        let mut answers = Vec::new();
        for path in ["/", "/r/hall", "/r/hall/", "/library", "/library/", "/library/hall/1?expires=1", "/rooms/hall", "/assets/none.js"] {
            answers.push(status_and_body(address, path).await);
        }
        server.abort();
        let (none, pages) = answers.split_last().unwrap();
        let (nowhere, pages) = pages.split_last().unwrap();
        assert!(nowhere.0.contains(" 404 ") && nowhere.1.contains("href=\"/\""), "a way back: {nowhere:?}");
        assert!(pages.iter().all(|page| *page == answers[0]), "{pages:?}");
        assert!(!none.0.contains(" 200 "), "a file that is not there: {}", none.0);
    }

    /// One request by hand: the status line and the body.
    async fn status_and_body(address: std::net::SocketAddr, path: &str) -> (String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}
