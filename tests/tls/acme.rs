//! Certificates from an authority that speaks ACME: pebble, the one that Let's Encrypt tests its clients with. It connects to the listener.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use althing::config::{AcmeConfig, CertificateSource};
use althing::node::Node;
use tokio::time::sleep;

use crate::authority::{Authority, trusting};
use crate::port::free_port;
use crate::scene::{Folder, config, leaf, metric, shake, until};

const DOMAINS: [&str; 2] = ["meet.example.org", "call.example.org"];

/// An authority and a name server of its own, both ended with the test.
struct Pebble {
    processes: Vec<Child>,
    directory: String,
    management: String,
    ca: Authority,
    folder: Folder,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

impl Pebble {
    fn end(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts it; it tries domains at this port of 127.0.0.1.
async fn pebble(tls_port: u16) -> Option<Pebble> {
    let installed = |name: &str| Command::new(name).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !installed("pebble") || !installed("pebble-challtestsrv") {
        eprintln!("*** SKIPPED: pebble is not installed (apt-get install pebble). Nothing was shown about ACME. ***");
        return None;
    }
    let (ca, folder) = (Authority::new(), Folder::new());
    let own = ca.give();
    own.write(&folder.cert(), &folder.key());
    std::fs::write(folder.0.join("ca.pem"), &ca.pem).expect("written");
    let (port, management, names, names_management) = (free_port(), free_port(), free_port(), free_port());
    let settings = serde_json::json!({ "pebble": {
        "listenAddress": format!("127.0.0.1:{port}"),
        "managementListenAddress": format!("127.0.0.1:{management}"),
        "certificate": folder.cert(),
        "privateKey": folder.key(),
        "httpPort": free_port(),
        "tlsPort": tls_port,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
    }});
    let at = folder.0.join("pebble.json");
    std::fs::write(&at, settings.to_string()).expect("written");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        // At once, and without the mistakes that it makes on purpose: retries are rustls-acme's own business.
        command.args(arguments).env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
    };
    let server = format!("127.0.0.1:{names}");
    let manage = format!("127.0.0.1:{names_management}");
    let none = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
    let names = run("pebble-challtestsrv", &[&["-defaultIPv6", "", "-dns01", &server, "-management", &manage], &none[..]].concat());
    let authority = run("pebble", &["-config", at.to_str().expect("UTF-8"), "-dnsserver", &server]);
    let directory = format!("https://localhost:{port}/dir");
    let mut pebble = Pebble { processes: vec![names, authority], directory, management: format!("https://localhost:{management}"), ca, folder };
    pebble.is_there().await;
    Some(pebble)
}

impl Pebble {
    /// Waits until it answers: on a busy machine it makes its keys for a while.
    async fn is_there(&mut self) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.ask(&self.directory).await.is_none() {
            for process in &mut self.processes {
                assert!(process.try_wait().expect("a process").is_none(), "the authority has ended: is one of its ports taken?");
            }
            assert!(Instant::now() < end, "the authority does not answer within a minute");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask(&self, url: &str) -> Option<String> {
        let root = reqwest::Certificate::from_pem(self.ca.pem.as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
        client.get(url).send().await.ok()?.text().await.ok()
    }

    /// What its certificates are trusted by.
    async fn root(&self) -> String {
        self.ask(&format!("{}/roots/0", self.management)).await.expect("a root")
    }

    fn source(&self, cache: &Path) -> CertificateSource {
        CertificateSource::Acme(AcmeConfig {
            domains: DOMAINS.map(str::to_owned).to_vec(),
            email: Some("ops@example.org".to_owned()),
            cache: cache.to_owned(),
            directory: self.directory.clone(),
            directory_ca: Some(self.folder.0.join("ca.pem")),
        })
    }
}

async fn node_at(address: SocketAddr, source: CertificateSource) -> Node {
    let mut config = config(source);
    config.http.listen = address;
    Node::start(config).await.expect("the node starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_tries_the_listener_and_its_certificate_survives_a_restart() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let Some(mut pebble) = pebble(address.port()).await else { return };
    let folder = Folder::new();
    let cache = folder.0.join("acme");
    let node = node_at(address, pebble.source(&cache)).await;
    assert_eq!(metric(&node, "althing_tls_certificate_expires_seconds").await, 0.0, "there is none yet");

    let client = trusting(pebble.root().await.as_bytes(), &[b"h2"]);
    let shown = async |at| shake(at, DOMAINS[0], client.clone()).await.ok().map(|stream| leaf(&stream));
    let ordered = async {
        while shown(node.http).await.is_none() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ordered).await.expect("the authority gives a certificate");
    let first = shown(node.http).await.expect("a certificate");
    assert!(shake(node.http, DOMAINS[1], client.clone()).await.is_ok(), "it is for both names");
    assert!(shake(node.http, "other.example.org", client.clone()).await.is_err(), "and for no other");
    assert!(metric(&node, "althing_tls_handshakes_total{result=\"challenge\"}").await >= 2.0, "the listener was tried for each name");
    until("when it expires is known", async || metric(&node, "althing_tls_certificate_expires_seconds").await > 3_600.0).await;
    for (path, mode) in std::fs::read_dir(&cache).expect("a directory").map(|entry| mode(&entry.expect("an entry").path())).chain([mode(&cache)]) {
        assert_eq!(mode & 0o077, 0, "{path} is its owner's alone");
    }
    node.shut_down().await;

    // The authority is gone: whoever shows this certificate has kept it.
    pebble.end();
    let again = node_at(SocketAddr::from(([127, 0, 0, 1], 0)), pebble.source(&cache)).await;
    until("the kept certificate is shown", async || shown(again.http).await.is_some_and(|leaf| leaf == first)).await;
    until("when it expires is known", async || metric(&again, "althing_tls_certificate_expires_seconds").await > 3_600.0).await;
    again.shut_down().await;
}

fn mode(path: &Path) -> (String, u32) {
    use std::os::unix::fs::PermissionsExt;
    (path.display().to_string(), std::fs::metadata(path).expect("there").permissions().mode())
}
