use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustix::event::Timespec;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

struct Scene {
    streams: Streams,
    wakes: OwnedFd,
    counters: Counters,
    now: Time,
    port: u16,
    /// What has come.
    came: Vec<(Path, Vec<u8>)>,
}

impl Scene {
    fn new(framing: Framing) -> Self {
        Self::sealed(framing, None)
    }

    fn sealed(framing: Framing, tls: Option<Certificates>) -> Self {
        let wakes = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
        let mut streams = Streams::new(&wakes, Arc::new(StreamPrefixes::new(MOST_OF_PREFIX))).expect("streams");
        let probe = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let at = probe.local_addr().expect("an address");
        drop(probe);
        streams.listen(at, false, framing, tls).expect("listening");
        Self { streams, wakes, counters: Counters::default(), now: Time::from_millis(1_000), port: at.port(), came: Vec::new() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("accepted by the kernel")
    }

    /// Serves whatever has come or comes within a moment.
    fn turn(&mut self) {
        let mut events = Vec::with_capacity(64);
        let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        epoll::wait(&self.wakes, rustix::buffer::spare_capacity(&mut events), Some(&wait)).expect("a wait");
        self.streams.begin_turn();
        for event in events {
            let came = &mut self.came;
            self.streams.serve(self.now, event.data.u64(), |path, _, message| came.push((path, message.to_vec())));
        }
    }

    #[track_caller]
    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        // On a busy machine what has come is told of piece by piece: a number of turns says nothing.
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("it has not come to pass: {} open, {} refused", self.streams.len(), self.streams.counters.get(Counter::StreamsRefused));
    }

    fn send(&mut self, path: Path, message: &[u8], droppable: bool) {
        let mut out = Outgoing::new(64 * 1_024, 64);
        out.set_droppable(droppable);
        assert!(out.push(path, message));
        self.streams.send(&out, &mut self.counters);
    }
}

#[test]
fn messages_come_and_go_on_a_stream() {
    let mut scene = Scene::new(Framing::Ice);
    let mut client = scene.connect();
    client.write_all(b"\x00\x05hello\x00\x03").expect("written");
    scene.until(|scene| scene.came.len() == 1);
    client.write_all(b"abc").expect("written");
    scene.until(|scene| scene.came.len() == 2);
    let (path, first) = scene.came[0].clone();
    assert_eq!((&first[..], &scene.came[1].1[..], path.remote), (&b"hello"[..], &b"abc"[..], client.local_addr().expect("an address")));
    scene.send(path, b"good day", false);
    let mut answer = [0; 10];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"\x00\x08good day");
    drop(client);
    scene.until(|scene| scene.streams.is_empty());
    assert_eq!(scene.streams.poll_ended(), Some((path, Framing::Ice)));
    scene.send(path, b"nobody", false);
    assert_eq!(scene.counters.get(Counter::DropSocketError), 1);
}

#[test]
fn a_place_that_is_given_anew_is_another_path() {
    let mut scene = Scene::new(Framing::Ice);
    let mut paths = Vec::new();
    for _ in 0..2 {
        let mut client = scene.connect();
        client.write_all(b"\x00\x01a").expect("written");
        let before = scene.came.len();
        scene.until(|scene| scene.came.len() > before);
        paths.push(scene.came[before].0);
        drop(client);
        scene.until(|scene| scene.streams.is_empty());
    }
    assert_ne!(paths[0].local, paths[1].local);
}

#[test]
fn garbage_ends_a_stream_and_no_other() {
    let mut scene = Scene::new(Framing::Turn);
    let (mut good, mut bad) = (scene.connect(), scene.connect());
    scene.until(|scene| scene.streams.len() == 2);
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    scene.until(|scene| scene.streams.len() == 1);
    good.write_all(&[0x40, 1, 0, 1, 9, 0, 0, 0]).expect("written");
    scene.until(|scene| scene.came.len() == 1);
    assert_eq!(scene.came[0].1, [0x40, 1, 0, 1, 9]);
}

#[test]
fn whoever_says_nothing_is_closed_and_whoever_is_known_stays() {
    let mut scene = Scene::new(Framing::Ice);
    let (_silent, known) = (scene.connect(), scene.connect());
    scene.until(|scene| scene.streams.len() == 2);
    let port = known.local_addr().expect("an address").port();
    for _ in 0..40 {
        scene.now = scene.now + Duration::from_secs(1);
        scene.streams.handle_timeout(scene.now, |path, _| path.remote.port() == port);
    }
    assert_eq!(scene.streams.len(), 1);
}

#[test]
fn where_no_descriptor_is_left_nothing_is_accepted_for_a_moment_and_the_worker_sleeps() {
    let mut scene = Scene::new(Framing::Ice);
    scene.streams.pause(scene.now);
    let _waiting = scene.connect();
    let mut events = Vec::with_capacity(4);
    let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    epoll::wait(&scene.wakes, rustix::buffer::spare_capacity(&mut events), Some(&wait)).expect("a wait");
    assert!(events.is_empty(), "whoever waits does not wake it");
    scene.now = scene.streams.poll_timeout().expect("it is to go on");
    scene.streams.handle_timeout(scene.now, |_, _| false);
    scene.until(|scene| scene.streams.len() == 1);
}

#[test]
fn of_one_network_only_so_many_are_accepted() {
    let mut scene = Scene::new(Framing::Ice);
    let clients: Vec<_> = (0..MOST_OF_PREFIX + 20)
        .map(|n| {
            let client = scene.connect();
            if n % 32 == 0 {
                scene.turn();
            }
            client
        })
        .collect();
    scene.until(|scene| scene.streams.counters.get(Counter::StreamsRefused) == 20);
    assert_eq!(scene.streams.len(), MOST_OF_PREFIX as usize);
    drop(clients);
    scene.until(|scene| scene.streams.is_empty());
    assert!(scene.streams.prefixes.is_empty());
}

#[test]
fn a_reader_that_is_slow_loses_media_and_gets_what_it_reads_in_order() {
    let mut scene = Scene::new(Framing::Ice);
    let mut client = scene.connect();
    client.write_all(b"\x00\x01a").expect("written");
    scene.until(|scene| scene.came.len() == 1);
    let path = scene.came[0].0;
    let mut sent = 0_u32;
    while scene.counters.get(Counter::DropSocketFull) == 0 {
        let mut message = vec![0; 1_200];
        message[..4].copy_from_slice(&sent.to_be_bytes());
        scene.send(path, &message, true);
        sent += 1;
        assert!(sent < 100_000, "it is never full");
    }
    scene.send(path, &[0xFF; 4], false);
    assert_eq!(scene.counters.get(Counter::DropSocketFull), 1, "a reply has room where media has none");
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    for expected in 0..sent - 1 {
        let mut message = [0; 1_202];
        let mut filled = 0;
        while filled < message.len() {
            scene.streams.serve(scene.now, STREAM_WAKES, |_, _, _| ());
            filled += client.read(&mut message[filled..]).expect("more");
        }
        assert_eq!(message[2..6], expected.to_be_bytes());
    }
}

/// A certificate of our own making, and a client that trusts it.
fn certificate() -> (Certificates, Arc<ClientConfig>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let cache = std::env::temp_dir().join(format!("althing-streams-{}-{:?}", std::process::id(), std::thread::current().id()));
    let mut settings = crate::config::Settings::default();
    (settings.tls.mode, settings.tls.cache) = (crate::config::TlsMode::Dev, cache.clone());
    let config = settings.check().expect("fine").tls.expect("TLS");
    let (certificates, _) = crate::tls::open(&config, &[]).expect("a certificate");
    let pem = std::fs::read_dir(&cache).expect("a cache").flatten().map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "pem"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(pem.expect("a file")).expect("PEM").flatten() {
        roots.add(certificate).expect("a root");
    }
    std::fs::remove_dir_all(&cache).expect("removed");
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let client = client.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots).with_no_client_auth();
    (certificates, Arc::new(client))
}

#[test]
fn behind_tls_messages_come_and_go_as_without() {
    let (certificates, config) = certificate();
    let mut scene = Scene::sealed(Framing::Turn, Some(certificates));
    let socket = scene.connect();
    let client = std::thread::spawn(move || {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = rustls::StreamOwned::new(ClientConnection::new(config, name).expect("a client"), socket);
        let long = [&[0x40, 1, 0x04, 0xB0][..], &[7; 1_200]].concat();
        for _ in 0..100 {
            stream.write_all(&long).expect("written");
        }
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).expect("an answer");
        answer
    });
    scene.until(|scene| scene.came.len() == 100);
    assert!(scene.came.iter().all(|(_, message)| message[4..] == [7; 1_200]));
    let path = scene.came[0].0;
    scene.send(path, &[0x40, 1, 0, 1, 9], true);
    while !client.is_finished() {
        scene.turn();
    }
    assert_eq!(client.join().expect("answered"), [0x40, 1, 0, 1, 9, 0, 0, 0]);
}

#[test]
fn behind_tls_what_is_no_handshake_is_closed() {
    let (certificates, _) = certificate();
    let mut scene = Scene::sealed(Framing::Turn, Some(certificates));
    let mut client = scene.connect();
    client.write_all(&[0x40, 1, 0, 1, 9, 0, 0, 0]).expect("written");
    scene.until(|scene| scene.streams.counters.get(Counter::StreamsAccepted) == 1 && scene.streams.is_empty());
    assert!(scene.came.is_empty());
}
