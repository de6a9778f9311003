use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::*;
use crate::config::WhipOutSettings;

/// What a server answers with, and how long it waits before it does.
type Script = fn(&str) -> (String, Duration);

/// A server that answers each request by a script, and notes what it was asked.
struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn new(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 16_384];
                    let mut len = 0;
                    while !String::from_utf8_lossy(&request[..len]).contains("\r\n\r\n") {
                        match stream.read(&mut request[len..]).await {
                            Ok(more) if more > 0 => len += more,
                            _ => return,
                        }
                    }
                    let request = String::from_utf8_lossy(&request[..len]).into_owned();
                    let (answer, wait) = script(&request);
                    heard.lock().expect("no panic").push(request);
                    sleep(wait).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    // Whoever closes with something unread resets the connection, and the answer may be lost.
                    let _ = stream.read(&mut [0; 16_384]).await;
                });
            }
        });
        Self { at, asked }
    }

    fn url(&self) -> Url {
        Url::parse(&format!("http://{}/whip/room", self.at)).expect("a URL")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> (String, Duration) {
    (format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()), Duration::ZERO)
}

const GOOD: &str = "Content-Type: application/sdp\r\nLocation: /session/1\r\n";

fn sdp(candidate: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n\
         a=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:passive\r\n\
         a=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n{candidate}"
    )
}

const CANDIDATE: &str = "a=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n";

fn client_with(networks: &[&str]) -> Client {
    let settings = WhipOutSettings {
        allow_hosts: vec!["127.0.0.1".into(), "localhost".into(), "10.0.0.1".into()],
        allow_http: true,
        allow_networks: networks.iter().map(|net| (*net).to_owned()).collect(),
        timeout_seconds: 1,
        ..WhipOutSettings::default()
    };
    let config = settings.check().expect("it can work").expect("it is on");
    let deny = Arc::new(DenyList::new(Vec::new(), config.networks.clone()));
    Client::new(&config, &deny).expect("a client")
}

fn client() -> Client {
    client_with(&["127.0.0.0/8", "::1"])
}

async fn offer(client: &Client, url: &Url) -> Result<Given, Trouble> {
    client.offer(url, Some("secret"), "v=0\r\n").await
}

async fn trouble(script: Script) -> Trouble {
    let server = Server::new(script).await;
    offer(&client(), &server.url()).await.expect_err("no session")
}

#[tokio::test]
async fn an_offer_goes_out_with_its_token_and_the_session_is_ended_where_it_is() {
    let server =
        Server::new(|request| if request.starts_with("POST") { answer("201 Created", GOOD, &sdp(CANDIDATE)) } else { answer("200 OK", "", "") })
            .await;
    let given = offer(&client(), &server.url()).await.expect("a session");
    assert_eq!(given.answer.candidates, [SocketAddr::from(([127, 0, 0, 1], 5_000))]);
    let resource = given.resource.expect("a resource");
    client().end(&resource, Some("secret")).await.expect("ended");
    let asked = server.asked();
    assert!(asked[0].starts_with("POST /whip/room HTTP/1.1\r\n") && asked[1].starts_with("DELETE /session/1 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked.iter().all(|request| request.to_lowercase().contains("authorization: bearer secret\r\n")));
    assert!(asked[0].to_lowercase().contains("content-type: application/sdp\r\n"));
}

#[tokio::test]
async fn what_the_other_server_does_wrong_has_a_name() {
    assert_eq!(trouble(|_| answer("401 Unauthorized", "", "")).await, Trouble::Refused(401));
    assert_eq!(trouble(|_| answer("404 Not Found", "", "")).await, Trouble::Refused(404));
    assert_eq!(trouble(|_| answer("503 Service Unavailable", "", "")).await, Trouble::Refused(503));
    assert_eq!(trouble(|_| answer("201 Created", "Content-Type: text/html\r\n", "<html>")).await, Trouble::Answer);
    assert_eq!(trouble(|_| answer("201 Created", GOOD, "v=0\r\nwhatever")).await, Trouble::Answer);
    assert_eq!(trouble(|_| answer("204 No Content", "", "")).await, Trouble::Answer);
    assert_eq!(trouble(|_| answer("201 Created", GOOD, &"a".repeat(MOST_ANSWER + 1))).await, Trouble::TooLarge);
    assert_eq!(trouble(|_| answer("201 Created", GOOD, &sdp(""))).await, Trouble::NoWay);
    assert_eq!(trouble(|_| answer("201 Created", GOOD, &sdp("a=candidate:1 1 udp 1 192.168.0.1 5000 typ host\r\n"))).await, Trouble::Forbidden);
    assert_eq!(trouble(|_| ("nonsense\r\n\r\n".into(), Duration::ZERO)).await, Trouble::Unreachable);
}

#[tokio::test]
async fn a_server_that_is_slow_is_not_waited_for() {
    let begun = Instant::now();
    assert_eq!(trouble(|_| (answer("201 Created", GOOD, "").0, Duration::from_secs(30))).await, Trouble::Timeout);
    // The head comes, and the body never does.
    let slow: Script = |_| (format!("HTTP/1.1 201 Created\r\n{GOOD}Content-Length: 100\r\n\r\nv=0\r\n"), Duration::ZERO);
    assert_eq!(trouble(slow).await, Trouble::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_session_that_cannot_be_used_is_ended() {
    let server = Server::new(|_| answer("201 Created", GOOD, "v=0\r\n")).await;
    offer(&client(), &server.url()).await.expect_err("no answer");
    for _ in 0..100 {
        if server.asked().len() == 2 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(server.asked().last().is_some_and(|last| last.starts_with("DELETE /session/1")), "{:?}", server.asked());
}

#[tokio::test]
async fn redirects_are_followed_by_307_and_308_within_the_hosts_that_are_allowed() {
    let here: Script = |request| match request.starts_with("POST /whip/room ") {
        true => answer("307 Temporary Redirect", "Location: /elsewhere\r\n", ""),
        false => answer("201 Created", GOOD, &sdp(CANDIDATE)),
    };
    let server = Server::new(here).await;
    offer(&client(), &server.url()).await.expect("a session");
    assert!(server.asked()[1].starts_with("POST /elsewhere "));
    for script in [
        (|_| answer("308 Permanent Redirect", "Location: http://evil.example/\r\n", "")) as Script,
        |_| answer("307 Temporary Redirect", "Location: ftp://127.0.0.1/\r\n", ""),
        |_| answer("307 Temporary Redirect", "", ""),
        |_| answer("302 Found", "Location: /elsewhere\r\n", ""),
        |_| answer("303 See Other", "Location: /elsewhere\r\n", ""),
    ] {
        assert_eq!(trouble(script).await, Trouble::Redirect);
    }
    let around = Server::new(|_| answer("307 Temporary Redirect", "Location: /again\r\n", "")).await;
    assert_eq!(offer(&client(), &around.url()).await.expect_err("no end"), Trouble::Redirect);
    assert_eq!(around.asked().len(), MOST_REDIRECTS + 1);
}

#[tokio::test]
async fn no_request_goes_where_none_may_whatever_the_name_says() {
    let server = Server::new(|_| answer("201 Created", GOOD, &sdp(CANDIDATE))).await;
    let port = server.at.port();
    let guarded = client_with(&[]);
    for text in [format!("http://127.0.0.1:{port}/"), format!("http://localhost:{port}/"), "http://10.0.0.1/".into(), "http://2130706433/".into()] {
        let url = Url::parse(&text).expect("a URL");
        assert_eq!(offer(&guarded, &url).await.expect_err("nothing is sent"), Trouble::Forbidden, "{text}");
        assert_eq!(guarded.end(&url, None).await, Err(Trouble::Forbidden), "{text}");
    }
    assert_eq!(offer(&client(), &Url::parse(&format!("http://[::1]:{port}/")).expect("a URL")).await.expect_err("another host"), Trouble::Redirect);
    assert!(server.asked().is_empty());
    // And a name whose address is allowed is sent to.
    offer(&client(), &Url::parse(&format!("http://localhost:{port}/")).expect("a URL")).await.expect("a session");
}
