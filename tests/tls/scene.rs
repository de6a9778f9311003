//! A node with TLS in this process, and what clients see of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use althing::config::{CertificateSource, Config, TlsConfig};
use althing::node::Node;
use althing::wire::{ClientMessage, OkResult, Request, SUBPROTOCOL, ServerMessage, VERSION};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::authority::{Authority, Given};
use crate::nodes;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A directory that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("althing-tls-e2e-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub fn cert(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A node whose certificate is in files, and the authority that gave it.
pub struct Scene {
    pub node: Node,
    pub authority: Authority,
    pub first: Given,
    pub folder: Folder,
}

pub async fn scene(change: impl FnOnce(&mut Config)) -> Scene {
    let (authority, folder) = (Authority::new(), Folder::new());
    let first = authority.give();
    first.write(&folder.cert(), &folder.key());
    let mut config = config(CertificateSource::Files { cert: folder.cert(), key: folder.key() });
    change(&mut config);
    let node = Node::start(config).await.expect("the node starts");
    Scene { node, authority, first, folder }
}

pub fn config(source: CertificateSource) -> Config {
    let mut config = nodes::config();
    config.media.workers = 1;
    let look_every = Duration::from_millis(50);
    config.tls = Some(TlsConfig { source, redirect: None, handshake: Duration::from_secs(10), handshakes: 512, look_every });
    config
}

/// The TLS settings of a node that has them.
pub fn tls(config: &mut Config) -> &mut TlsConfig {
    config.tls.as_mut().expect("TLS")
}

impl Scene {
    /// The certificate that a new connection is shown.
    pub async fn shown(&self) -> CertificateDer<'static> {
        let stream = shake(self.node.http, "localhost", self.authority.client(&[b"http/1.1"])).await.expect("a handshake");
        leaf(&stream)
    }

    /// What a metric of this name and these labels says.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.node, name).await
    }

    pub async fn socket(&self) -> Socket {
        Socket::open(&format!("wss://localhost:{}/ws", self.node.http.port()), self.authority.client(&[])).await
    }

    /// A client of HTTP, and where it finds the node.
    pub fn http(&self) -> (reqwest::Client, String) {
        let root = reqwest::Certificate::from_pem(self.authority.pem.as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([root]).timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        (client.build().expect("a client"), format!("https://localhost:{}", self.node.http.port()))
    }
}

pub fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").clone().into_owned()
}

pub async fn shake(at: SocketAddr, name: &'static str, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await?;
    TlsConnector::from(config).connect(ServerName::try_from(name).expect("a name"), stream).await
}

pub async fn metric(node: &Node, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("metrics").text().await.expect("text");
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}

/// Waits until it holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}

/// A signaling socket over TLS.
pub struct Socket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u32,
}

impl Socket {
    pub async fn open(url: &str, client: Arc<ClientConfig>) -> Self {
        Self::try_open(url, client, None).await.expect("a socket")
    }

    pub async fn try_open(url: &str, client: Arc<ClientConfig>, origin: Option<&str>) -> Result<Self, tungstenite::Error> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header"));
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("a header"));
        }
        let (socket, _) = connect_async_tls_with_config(request, None, false, Some(Connector::Rustls(client))).await?;
        let mut socket = Self { socket, next: 0 };
        let welcome = socket.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await;
        assert!(matches!(welcome, Some(OkResult::Welcome { .. })), "{welcome:?}");
        Ok(socket)
    }

    pub async fn ask(&mut self, request: Request) -> Option<OkResult> {
        self.next += 1;
        let message = serde_json::to_string(&ClientMessage { id: self.next, request }).expect("JSON");
        self.socket.send(Message::text(message)).await.expect("sent");
        loop {
            let said = timeout(PATIENCE, self.socket.next()).await.expect("an answer in time").expect("open").expect("no error");
            let Message::Text(text) = said else { continue };
            match serde_json::from_str(&text).expect("a message") {
                ServerMessage::Ok { id, result } if id == self.next => return result,
                ServerMessage::Error { code, .. } => panic!("refused: {code:?}"),
                _ => {}
            }
        }
    }
}
