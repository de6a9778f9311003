//! A listener: connections → TLS, where there is any → HTTP/2 or HTTP/1.1 → routes.
//!
//! Whoever is slow holds little, and not for long: a handshake has its time, and so has the header of each next request.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus::IntCounterVec;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::beside::Beside;
use super::handshakes::Handshakes;
use super::redirect::redirect_router;
use crate::tls::Certificates;

/// How long to wait when the system gives no more sockets: soon one will have been closed.
const BREATHER: Duration = Duration::from_millis(200);
/// What is left of an answer when its connection is to end has so many times the time of a header: a page's files on the worst link, not more.
const FAREWELL: u32 = 2;
/// A connection by HTTP/2 that is silent for so long is asked whether it is there, and has as long to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Bytes of a request's header (HTTP/2). As in HTTP/1.1, where hyper has its own limits.
const HEADER_BYTES: u32 = 16 * 1024;
/// Requests of one HTTP/2 connection at a time: a page asks for some twenty files.
const STREAMS: u32 = 64;
/// What is negotiated (RFC 7301). A browser asks for HTTP/1.1 alone for its WebSocket.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
const HTTP2: &[u8] = PROTOCOLS[0];
/// Where the relay is at the same port, those of its clients that name what they speak are taken, too (RFC 7443).
const PROTOCOLS_BESIDE: [&[u8]; 3] = [b"h2", b"http/1.1", b"stun.turn"];

/// What stands behind a listener.
#[derive(Clone)]
pub struct Door {
    /// The routes.
    pub router: Router,
    /// Within which the header of a connection's next request has to be there.
    pub header: Duration,
    /// TLS, if it speaks that.
    pub tls: Option<Tls>,
}

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct Tls {
    certificates: Certificates,
    /// How long a handshake may take.
    within: Duration,
    handshakes: Handshakes,
    counted: IntCounterVec,
    beside: Option<Beside>,
}

/// How a handshake ended without a connection to serve.
#[derive(Debug)]
enum NoConnection {
    /// It failed.
    Failed,
    /// It took too long.
    Slow,
    /// It had to make room for another.
    Evicted,
    /// An authority has tried whether this is its domain's server.
    Challenge,
    /// It was no handshake but a plain request, and has been answered.
    Plain,
}

impl NoConnection {
    /// Its label in the metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "timeout",
            Self::Evicted => "evicted",
            Self::Challenge => "challenge",
            Self::Plain => "plain",
        }
    }
}

impl Tls {
    /// With at most `most` handshakes under way, each of which may take so long. `counted` has the label `result`.
    pub fn new(certificates: Certificates, within: Duration, most: usize, counted: IntCounterVec) -> Self {
        Self { certificates, within, handshakes: Handshakes::new(most), counted, beside: None }
    }

    /// With a relay beside the pages.
    pub fn with(mut self, beside: Option<Beside>) -> Self {
        self.beside = beside;
        self
    }

    async fn accept(&self, stream: TcpStream, from: SocketAddr) -> Option<TlsStream<TcpStream>> {
        let mut handshake = self.handshakes.begin(from.ip());
        let ended = tokio::select! {
            ended = timeout(self.within, self.shake(stream, from)) => ended.unwrap_or(Err(NoConnection::Slow)),
            () = handshake.evicted() => Err(NoConnection::Evicted),
        };
        self.counted.with_label_values(&[ended.as_ref().map_or_else(NoConnection::name, |_| "ok")]).inc();
        ended.ok()
    }

    async fn shake(&self, stream: TcpStream, from: SocketAddr) -> Result<TlsStream<TcpStream>, NoConnection> {
        let failed = |error: io::Error| {
            tracing::debug!(%error, "a TLS handshake has failed");
            NoConnection::Failed
        };
        let mut first = [0];
        stream.peek(&mut first).await.map_err(failed)?;
        if first[0].is_ascii_uppercase() {
            self.send_to_https(stream, from).await;
            return Err(NoConnection::Plain);
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
        if let Some(config) = self.certificates.challenge(&hello.client_hello()) {
            hello.into_stream(config).await.map_err(failed)?;
            return Err(NoConnection::Challenge);
        }
        let protocols = if self.beside.is_some() { &PROTOCOLS_BESIDE[..] } else { &PROTOCOLS[..] };
        hello.into_stream(self.certificates.current(protocols)).await.map_err(failed)
    }

    /// Somebody has typed the address without `https://`: methods begin with a capital letter, TLS records do not (RFC 8446 section 5.1).
    async fn send_to_https(&self, stream: TcpStream, from: SocketAddr) {
        let service = routes(redirect_router(None), from, watch::Sender::new(0));
        let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    }
}

/// Serves a listener until the node closes.
pub async fn serve(listener: TcpListener, door: Door, mut closing: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, from)) => {
                tokio::spawn(serve_one(stream, from, door.clone(), closing.clone()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; are there too many open files (ulimit -n)?");
                sleep(BREATHER).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn serve_one(stream: TcpStream, from: SocketAddr, door: Door, closing: watch::Receiver<bool>) {
    // Messages are written whole: to wait for more only makes them late.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &door.tls else { return serve_http1(stream, from, door, closing).await };
    let Some(mut stream) = tls.accept(stream, from).await else { return };
    match (stream.get_ref().1.alpn_protocol(), &tls.beside) {
        (Some(HTTP2), _) => return serve_http2(stream, from, door, closing).await,
        // Browsers name no protocol for `turns:`, nor do plain clients of HTTP; coturn's client names `http/1.1`: the first byte tells.
        (_, Some(beside)) => match timeout(door.header, stream.fill_buf()).await {
            Ok(Ok([first, ..])) if Beside::begins_with(*first) => {
                if beside.hand_over(stream, from).is_none() {
                    tls.counted.with_label_values(&["relay_full"]).inc();
                }
                return;
            }
            Ok(Ok([_, ..])) => {}
            _ => return,
        },
        _ => {}
    }
    serve_http1(stream, from, door, closing).await;
}

async fn serve_http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, from: SocketAddr, door: Door, closing: watch::Receiver<bool>) {
    let requests = watch::Sender::new(0);
    let end = end(requests.subscribe(), door.header, closing);
    let mut http = http1::Builder::new();
    // From the end of one request to the end of the next one's header, however it comes.
    http.timer(TokioTimer::new()).header_read_timeout(door.header);
    let connection = http.serve_connection(TokioIo::new(stream), routes(door.router, from, requests)).with_upgrades();
    drive(connection, |connection| connection.graceful_shutdown(), end, door.header * FAREWELL).await;
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, from: SocketAddr, door: Door, closing: watch::Receiver<bool>) {
    let requests = watch::Sender::new(0);
    let end = end(requests.subscribe(), door.header, closing);
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
    http.max_header_list_size(HEADER_BYTES).max_concurrent_streams(STREAMS);
    let connection = http.serve_connection(TokioIo::new(stream), routes(door.router, from, requests));
    drive(connection, |connection| connection.graceful_shutdown(), end, door.header * FAREWELL).await;
}

/// Serves a connection until it ends or is to end; then what is under way has so long.
async fn drive<C: Future>(connection: C, shut_down: impl FnOnce(Pin<&mut C>), end: impl Future<Output = ()>, farewell: Duration) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = end => {}
    }
    shut_down(connection.as_mut());
    let _ = timeout(farewell, connection).await;
}

/// Waits until the node closes, or there has been nothing to answer for so long: a connection that idles, or one whose answers are not read.
async fn end(requests: watch::Receiver<usize>, patience: Duration, mut closing: watch::Receiver<bool>) {
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        () = idle(requests, patience) => {}
    }
}

/// Waits until no request has been under way for so long.
async fn idle(mut under_way: watch::Receiver<usize>, patience: Duration) {
    loop {
        if under_way.wait_for(|requests| *requests == 0).await.is_err() {
            return std::future::pending().await;
        }
        // Another request, or a piece of the answer to the last one that the other end has made room for.
        match timeout(patience, under_way.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// The routes for one connection: each request knows whom it is from, and is counted while it is under way.
fn routes(
    router: Router, from: SocketAddr, under_way: watch::Sender<usize>,
) -> impl Service<hyper::Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> {
    let under_way = Arc::new(under_way);
    service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(from));
        let (router, request_under_way) = (router.clone(), Request::begin(&under_way));
        async move {
            let response = router.oneshot(request).await;
            response.map(|response| response.map(|body| Body::new(Moving { body, under_way: request_under_way.end() })))
        }
    })
}

/// The body of an answer: as long as the other end takes pieces of it, the connection does not idle.
struct Moving {
    body: Body,
    under_way: Arc<watch::Sender<usize>>,
}

impl HttpBody for Moving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) {
            self.under_way.send_modify(|_| ());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is counted as long as this lives.
struct Request(Arc<watch::Sender<usize>>);

impl Request {
    fn begin(under_way: &Arc<watch::Sender<usize>>) -> Self {
        under_way.send_modify(|requests| *requests += 1);
        Self(Arc::clone(under_way))
    }

    /// It is answered, as far as that is not its answer's body.
    fn end(self) -> Arc<watch::Sender<usize>> {
        Arc::clone(&self.0)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}
