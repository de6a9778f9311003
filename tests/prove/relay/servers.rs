//! The two relays, each a process of its own, as one that is given credentials sees it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing::wire::{OkResult, Request, VERSION};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::client::{Result, Signaling};

/// Of the credentials that Debian's coturn takes.
const SECRET: &str = "north-north-north-north-north-north";
/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A relay that is running. It ends with this value.
pub struct Server {
    process: Child,
    /// Where clients find it.
    pub turn: SocketAddr,
    /// Good for all of the run's clients.
    pub username: String,
    /// The password of it.
    pub password: String,
}

impl Server {
    /// Althing with one worker; credentials as every member of a room gets them.
    pub fn althing(program: &str, clients: usize) -> Result<Self> {
        let [http, admin] = [free_port()?, free_port()?];
        let settings = [
            format!("http.listen={http}"),
            format!("admin.listen={admin}"),
            "log.level=warn".to_owned(),
            "media.workers=1".to_owned(),
            "media.bind=127.0.0.1".to_owned(),
            "media.port=0".to_owned(),
            "turn.port=0".to_owned(),
            "turn.allow_peers=127.0.0.0/8".to_owned(),
            format!("turn.user_allocations={clients}"),
        ];
        let mut command = Command::new(program);
        settings.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        let process = start(&mut command)?;
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut server = Self { process, turn: nowhere, username: String::new(), password: String::new() };
        wait_for(|| TcpStream::connect(http).is_ok())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        (server.turn, server.username, server.password) = runtime.block_on(credentials(&format!("ws://{http}/ws")))?;
        Ok(server)
    }

    /// Debian's coturn with one thread that relays.
    pub fn coturn() -> Result<Self> {
        let turn = SocketAddr::from((Ipv4Addr::LOCALHOST, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port()));
        let pid_file = std::env::temp_dir().join(format!("coturn-{}.pid", turn.port()));
        let mut command = Command::new("turnserver");
        command.args(["-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=althing", "--use-auth-secret", "--relay-threads=1"]);
        command.args(["--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers", "--log-file=stdout", "--simple-log"]);
        command.arg(format!("--listening-port={}", turn.port())).arg(format!("--static-auth-secret={SECRET}"));
        command.arg(format!("--pidfile={}", pid_file.display()));
        let process = start(&mut command)?;
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3_600;
        let username = format!("{expires}:ada");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        let password = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        let server = Self { process, turn, username, password };
        wait_for(|| TcpStream::connect(turn).is_ok())?;
        Ok(server)
    }

    /// CPU time of all its threads so far, in nanoseconds. Its threads live as long as it does.
    pub fn cpu(&self) -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).into_iter().flatten().flatten();
        threads.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map_err(|error| format!("{program} does not start: {error}").into())
}

fn wait_for(is_up: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_up() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("the server does not listen after {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Joins a room, and asks how clients there reach each other.
async fn credentials(url: &str) -> Result<(SocketAddr, String, String)> {
    let (signaling, _events) = Signaling::open(url).await?;
    signaling.ask(Request::Hello { versions: vec![VERSION], features: Vec::new() }).await?;
    signaling.ask(Request::join("room", "ada", None)).await?;
    let Some(OkResult::IceServers { servers, .. }) = signaling.ask(Request::IceServers {}).await? else {
        return Err("no ICE servers were told".into());
    };
    for server in servers {
        let udp = server.urls.iter().find_map(|url| url.strip_prefix("turn:")?.strip_suffix("?transport=udp"));
        if let (Some(address), Some(username), Some(credential)) = (udp, server.username, server.credential) {
            return Ok((address.parse()?, username, credential));
        }
    }
    Err("there is no relay among the ICE servers".into())
}

fn free_port() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
