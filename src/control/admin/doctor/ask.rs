//! Asks over the network: STUN (RFC 8489) and TURN (RFC 8656) as a client does, a page for its clock, our own node for its health.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::redirect::Policy;
use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_REQUEST, CLASS_REQUEST, Getter, MESSAGE_HEADER_SIZE, METHOD_ALLOCATE, METHOD_REFRESH, Message, MessageType, Method, Setter, TransactionId,
};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::relayaddr::RelayedAddress;
use rtc_turn::proto::reqtrans::RequestedTransport;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::ports::Running;
use super::relays::Outcome;

/// After so long a datagram is sent once more.
const RESEND: Duration = Duration::from_millis(400);
/// Times that a datagram is sent.
const TRIES: usize = 4;
/// How long a connection or an answer on it may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// Answers are shorter.
const MOST_BYTES: usize = 2048;

/// Credentials of a relay.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The user's name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// A server of `ice.urls` (RFC 7064, RFC 7065), taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IceUrl {
    relay: bool,
    secure: bool,
    tcp: bool,
    host: String,
    port: u16,
}

impl IceUrl {
    /// From its text; none: it is no such URL.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let (relay, secure) = match scheme {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return None,
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let tcp = secure || query == "transport=tcp";
        let (host, port) = host_and_port(place, if secure { 5349 } else { 3478 })?;
        Some(Self { relay, secure, tcp, host, port })
    }

    /// A STUN server by UDP, from `HOST[:PORT]`.
    pub fn stun(place: &str) -> Option<Self> {
        let (host, port) = host_and_port(place, 3478)?;
        Some(Self { relay: false, secure: false, tcp: false, host, port })
    }
}

fn host_and_port(place: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// A way to a server: datagrams, or a stream of messages that say how long they are.
enum Way {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Way {
    async fn datagrams(server: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        Ok(Self::Datagrams(socket))
    }

    async fn to(url: &IceUrl, server: SocketAddr) -> io::Result<Self> {
        if !url.tcp {
            return Self::datagrams(server).await;
        }
        let stream = connect(server).await?;
        if !url.secure {
            return Ok(Self::Stream(Box::new(stream)));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        let shaken = timeout(PATIENCE, TlsConnector::from(config).connect(name, stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Self::Stream(Box::new(shaken)))
    }

    /// The answer to this request; none: there was none in time.
    async fn ask(&mut self, request: &Message) -> io::Result<Option<Message>> {
        match self {
            Self::Datagrams(socket) => ask_by_datagram(socket, request).await,
            Self::Stream(stream) => match timeout(PATIENCE, ask_by_stream(stream, request)).await {
                Ok(answer) => answer.map(Some),
                Err(_) => Ok(None),
            },
        }
    }
}

async fn ask_by_datagram(socket: &UdpSocket, request: &Message) -> io::Result<Option<Message>> {
    let mut bytes = [0; MOST_BYTES];
    for _ in 0..TRIES {
        socket.send(&request.raw).await?;
        let answer = timeout(RESEND, async {
            loop {
                let len = socket.recv(&mut bytes).await?;
                if let Some(answer) = answer_to(request, bytes.get(..len).unwrap_or_default()) {
                    return Ok::<_, io::Error>(answer);
                }
            }
        });
        if let Ok(answer) = answer.await {
            return answer.map(Some);
        }
    }
    Ok(None)
}

async fn ask_by_stream(stream: &mut Box<dyn Stream>, request: &Message) -> io::Result<Message> {
    stream.write_all(&request.raw).await?;
    stream.flush().await?;
    loop {
        let mut bytes = vec![0; MESSAGE_HEADER_SIZE];
        stream.read_exact(&mut bytes).await?;
        let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if len > MOST_BYTES {
            return Err(io::Error::other("what answers there does not speak STUN"));
        }
        bytes.resize(MESSAGE_HEADER_SIZE + len, 0);
        stream.read_exact(&mut bytes[MESSAGE_HEADER_SIZE..]).await?;
        if let Some(answer) = answer_to(request, &bytes) {
            return Ok(answer);
        }
    }
}

fn answer_to(request: &Message, bytes: &[u8]) -> Option<Message> {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).ok()?;
    (message.transaction_id == request.transaction_id).then_some(message)
}

fn request(typ: MessageType, content: &[&dyn Setter]) -> io::Result<Message> {
    let mut message = Message { typ, transaction_id: TransactionId::new(), ..Message::new() };
    message.write_header();
    content.iter().try_for_each(|setter| setter.add_to(&mut message)).map_err(io::Error::other)?;
    Ok(message)
}

fn refusal(message: &Message) -> Option<(u16, String)> {
    let mut code = ErrorCodeAttribute::default();
    code.get_from(message).ok().map(|()| (code.code.0, String::from_utf8_lossy(&code.reason).into_owned()))
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    timeout(PATIENCE, TcpStream::connect(server)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Whether something accepts TCP there.
pub async fn accepts(server: SocketAddr) -> bool {
    connect(server).await.is_ok()
}

/// Whether something answers HTTP there, whatever it says: one that speaks TLS sends plain requests elsewhere.
pub async fn answers_http(server: SocketAddr) -> bool {
    match client(Policy::none()) {
        Some(client) => client.get(format!("http://{server}/healthz")).send().await.is_ok(),
        None => false,
    }
}

/// Whether a STUN Binding is answered there, by UDP.
pub async fn answers_binding(server: SocketAddr) -> bool {
    let asked = async { bind(&mut Way::datagrams(server).await?).await };
    matches!(asked.await, Ok(Outcome::Seen(_)))
}

/// How a STUN server sees what is sent from a local address.
///
/// # Errors
/// When nothing can be sent from there.
pub async fn seen_from(local: SocketAddr, server: SocketAddr) -> io::Result<Option<SocketAddr>> {
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    match bind(&mut Way::Datagrams(socket)).await? {
        Outcome::Seen(address) => Ok(Some(address)),
        _ => Ok(None),
    }
}

/// Whether a relay is there: it asks whoever comes without credentials for them.
pub async fn challenges(server: SocketAddr, tcp: bool) -> bool {
    let url = IceUrl { relay: true, secure: false, tcp, host: server.ip().to_string(), port: server.port() };
    let asked = async { allocate(&mut Way::to(&url, server).await?, None).await };
    matches!(asked.await, Ok(Outcome::Refused(401, _)))
}

/// Asks a server of `ice.urls` for what clients would ask it for.
pub async fn ice_server(url: &IceUrl, credentials: Option<Credentials<'_>>) -> Outcome {
    let asked = async {
        let found = lookup_host((url.host.as_str(), url.port)).await.map_err(|error| io::Error::other(format!("its name is not known: {error}")))?;
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        let server = *found.first().ok_or_else(|| io::Error::other("its name has no address"))?;
        let mut way = Way::to(url, server).await?;
        if url.relay { allocate(&mut way, credentials).await } else { bind(&mut way).await }
    };
    asked.await.unwrap_or_else(|error| Outcome::Unreachable(error.to_string()))
}

async fn bind(way: &mut Way) -> io::Result<Outcome> {
    let Some(answer) = way.ask(&request(BINDING_REQUEST, &[])?).await? else { return Ok(Outcome::Silent) };
    if let Some((code, phrase)) = refusal(&answer) {
        return Ok(Outcome::Refused(code, phrase));
    }
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&answer).map_err(io::Error::other)?;
    Ok(Outcome::Seen(SocketAddr::new(mapped.ip, mapped.port)))
}

/// An allocation, given up at once (RFC 8656 sections 7 and 8).
async fn allocate(way: &mut Way, credentials: Option<Credentials<'_>>) -> io::Result<Outcome> {
    let transport = RequestedTransport { protocol: PROTO_UDP };
    let Some(challenge) = way.ask(&request(typed(METHOD_ALLOCATE), &[&transport])?).await? else { return Ok(Outcome::Silent) };
    let (Some((401, _)), Some(credentials)) = (refusal(&challenge), credentials) else { return Ok(granted(&challenge)) };
    let text = |kind| TextAttribute::get_from_as(&challenge, kind).map_err(io::Error::other);
    let (realm, nonce) = (text(ATTR_REALM)?, text(ATTR_NONCE)?);
    let user = TextAttribute::new(ATTR_USERNAME, credentials.username.to_owned());
    let (name, password) = (credentials.username.to_owned(), credentials.password.to_owned());
    let integrity = MessageIntegrity::new_long_term_integrity_with_provider(name, realm.text.clone(), password, &AwsLcRsCrypto);
    let integrity = integrity.map_err(io::Error::other)?;
    let named = |kind, of: &TextAttribute| TextAttribute::new(kind, of.text.clone());
    let (realm, nonce) = (named(ATTR_REALM, &realm), named(ATTR_NONCE, &nonce));
    let Some(answer) = way.ask(&request(typed(METHOD_ALLOCATE), &[&transport, &user, &realm, &nonce, &integrity])?).await? else {
        return Ok(Outcome::Silent);
    };
    let outcome = granted(&answer);
    if matches!(outcome, Outcome::Granted(_)) {
        let give_up = request(typed(METHOD_REFRESH), &[&Lifetime(Duration::ZERO), &user, &realm, &nonce, &integrity])?;
        // It has been granted: that the answer to this is lost changes nothing, and it ends by itself.
        let _ = way.ask(&give_up).await;
    }
    Ok(outcome)
}

fn typed(method: Method) -> MessageType {
    MessageType::new(method, CLASS_REQUEST)
}

fn granted(answer: &Message) -> Outcome {
    if let Some((code, phrase)) = refusal(answer) {
        return Outcome::Refused(code, phrase);
    }
    let mut relayed = RelayedAddress::default();
    match relayed.get_from(answer) {
        Ok(()) => Outcome::Granted(SocketAddr::new(relayed.ip, relayed.port)),
        Err(error) => Outcome::Unreachable(error.to_string()),
    }
}

/// Whether a node of ours runs behind this private listener.
pub async fn running(admin: SocketAddr) -> Running {
    let Some(client) = client(Policy::none()) else { return Running::No };
    let get = async |path: &str| client.get(format!("http://{admin}{path}")).send().await.ok();
    let Some(metrics) = get("/metrics").await else { return Running::No };
    // Others have their metrics on this port, too: it is Prometheus' own.
    if !metrics.text().await.is_ok_and(|text| text.contains("althing_")) {
        return Running::No;
    }
    match get("/readyz").await {
        Some(ready) if ready.status().is_success() => Running::Ready,
        _ => Running::Ending,
    }
}

/// What is found at an address of a private listener.
///
/// # Errors
/// Why there is nothing: nobody answers, or not with success.
pub async fn text(url: &str) -> Result<String, String> {
    let client = client(Policy::none()).ok_or("HTTP cannot be set up")?;
    let answer = client.get(url).send().await.map_err(|error| innermost(&error))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| innermost(&error))?;
    if status.is_success() { Ok(text) } else { Err(format!("it says {status}: {}", text.trim_end())) }
}

/// What a page's server says the time is. `own` is a certificate (DER) that is believed beside those that authorities have signed.
///
/// # Errors
/// Why there is no answer.
pub async fn date(url: &str, own: Option<&[u8]>) -> Result<Option<SystemTime>, String> {
    let own = own.and_then(|der| reqwest::Certificate::from_der(der).ok());
    let client = builder(Policy::limited(4)).tls_certs_merge(own).build().map_err(|error| innermost(&error))?;
    let answer = client.get(url).send().await.map_err(|error| innermost(&error))?;
    if answer.status().is_server_error() {
        return Err(format!("it says {}", answer.status()));
    }
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
}

/// The cause that says most: what is around it repeats the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// For listeners of this machine, by plain HTTP: a minimal system has no certificates of authorities, and a client that is to know them cannot be made there.
fn client(redirects: Policy) -> Option<reqwest::Client> {
    builder(redirects).tls_certs_only([]).build().ok()
}

fn builder(redirects: Policy) -> reqwest::ClientBuilder {
    reqwest::Client::builder().timeout(PATIENCE).redirect(redirects).no_proxy()
}
