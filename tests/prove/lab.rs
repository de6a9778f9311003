//! Two network namespaces with a cable between them, which can lose packets. Needs root.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use super::client::{Error, Result};

/// Two namespaces: the server's and the clients'. Gone when dropped.
pub struct Lab {
    /// The server's end.
    pub server: End,
    /// The clients' end.
    pub clients: End,
}

/// One end of the cable.
pub struct End {
    namespace: String,
    device: String,
    /// Its address.
    pub address: IpAddr,
}

/// UDP packets that came to an end, and how many of them were dropped there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Packets that came.
    pub came: u64,
    /// Packets dropped.
    pub dropped: u64,
}

impl Lab {
    /// Makes the namespaces and the cable.
    ///
    /// # Errors
    /// When one of the steps is refused; nothing is left behind.
    pub fn new() -> Result<Self> {
        let end = |side: &str, host| {
            let id = std::process::id();
            End { namespace: format!("althing-{side}-{id}"), device: format!("al{side}{id}"), address: Ipv4Addr::new(10, 77, 0, host).into() }
        };
        // Made before anything exists: what fails half way is cleaned up by dropping it.
        let lab = Self { server: end("s", 1), clients: end("c", 2) };
        for end in [&lab.server, &lab.clients] {
            run(&["ip", "netns", "add", &end.namespace])?;
        }
        let (s, c) = (&lab.server, &lab.clients);
        run(&["ip", "link", "add", &s.device, "netns", &s.namespace, "type", "veth", "peer", "name", &c.device, "netns", &c.namespace])?;
        lab.server.raise()?;
        lab.clients.raise()?;
        Ok(lab)
    }

    /// Lets both ends drop `percent` of the UDP packets that come to them.
    ///
    /// # Errors
    /// When the rules are refused.
    pub fn lose(&self, percent: u32) -> Result<()> {
        for end in [&self.server, &self.clients] {
            let rules = [
                "table inet loss {",
                "chain input {",
                "type filter hook input priority 0",
                "meta l4proto udp counter",
                &format!("meta l4proto udp numgen random mod 100 < {percent} counter drop"),
                "}",
                "}",
            ];
            end.run(&["nft", &rules.join("\n")])?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for end in [&self.server, &self.clients] {
            let _ = Command::new("ip").args(["netns", "del", &end.namespace]).stderr(Stdio::null()).status();
        }
    }
}

impl End {
    /// A command that runs `program` at this end.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// What came and what was dropped so far; nothing before [`Lab::lose`].
    pub fn loss(&self) -> Loss {
        let output = self.command("nft").args(["list", "table", "inet", "loss"]).stderr(Stdio::null()).output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        let counters = text.split("counter packets ").skip(1).map(|rest| rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0));
        match counters.collect::<Vec<u64>>()[..] {
            [came, dropped] => Loss { came, dropped },
            _ => Loss::default(),
        }
    }

    fn raise(&self) -> Result<()> {
        self.run(&["ip", "link", "set", "lo", "up"])?;
        // A train of segments would be one packet to the rule that drops; the cable takes none.
        self.run(&["ip", "link", "set", &self.device, "gso_max_segs", "1", "up"])?;
        self.run(&["ip", "address", "add", &format!("{}/24", self.address), "dev", &self.device])
    }

    fn run(&self, command: &[&str]) -> Result<()> {
        run(&[&["ip", "netns", "exec", &self.namespace], command].concat())
    }
}

impl Loss {
    /// The share that was dropped, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.dropped as f64 / self.came.max(1) as f64
    }
}

fn run(command: &[&str]) -> Result<()> {
    let output = Command::new(command[0]).args(&command[1..]).output().map_err(|e| format!("{}: {e}", command[0]))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::from(format!("`{}` failed: {}", command.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}
