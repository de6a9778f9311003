//! `althing rooms`: the calls of a node, as its private listener lists them.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::failure::{DATA, Failure, SYSTEM, UNAVAILABLE};
use super::health::reachable;
use crate::config::Config;
use crate::control::admin::doctor::ask;
use crate::control::auth::unix_time;

#[derive(Args)]
pub struct Rooms {
    /// Another node's private listener, instead of admin.listen
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<SocketAddr>,
    /// Those that are over and still known, too
    #[arg(long)]
    all: bool,
    /// JSON, as the node says it
    #[arg(long)]
    json: bool,
}

/// A call, in the node's list.
#[derive(Deserialize)]
struct Listed {
    id: u64,
    room: String,
    began_unix_ms: u64,
    #[serde(default)]
    ended_unix_ms: Option<u64>,
}

/// Prints them, the newest first.
pub fn run(asked: &Rooms, config: &Config) -> Result<(), Failure> {
    let url = format!("http://{}/calls/list", asked.admin.unwrap_or_else(|| reachable(config.admin)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::with(SYSTEM))?;
    let text = runtime.block_on(ask::text(&url)).map_err(|why| Failure::new(format!("{url}: {why}"), UNAVAILABLE))?;
    if asked.json {
        println!("{}", text.trim_end());
        return Ok(());
    }
    let calls: Vec<Listed> = serde_json::from_str(&text).map_err(|why| Failure::new(format!("{url}: this is no list of calls: {why}"), DATA))?;
    for line in table(&calls, asked.all, unix_time()) {
        println!("{line}");
    }
    Ok(())
}

/// A line for each: its number, how long it has gone on or how long ago it ended, its name.
fn table(calls: &[Listed], all: bool, now: Duration) -> Vec<String> {
    let ago = |then: u64| spoken(now.saturating_sub(Duration::from_millis(then)));
    let shown = calls.iter().filter(|call| all || call.ended_unix_ms.is_none());
    let lines = shown.map(|call| match call.ended_unix_ms {
        None => format!("{:>8}  for {:<12}  {}", call.id, ago(call.began_unix_ms), call.room),
        Some(ended) => format!("{:>8}  over {:<11}  {}", call.id, ago(ended), call.room),
    });
    lines.collect()
}

fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_go_on_are_listed_and_those_that_are_over_when_it_is_wished() {
        let text = r#"[{"id":7,"room":"hall","began_unix_ms":1000},{"id":3,"room":"attic","began_unix_ms":0,"ended_unix_ms":5000,"members":2,"troubles":0}]"#;
        let calls: Vec<Listed> = serde_json::from_str(text).expect("a list");
        let now = Duration::from_secs(3_725);
        assert_eq!(table(&calls, false, now), ["       7  for 1 h 2 min     hall"]);
        assert_eq!(table(&calls, true, now)[1], "       3  over 1 h 2 min    attic");
        assert_eq!([59, 60, 3_599].map(|s| spoken(Duration::from_secs(s))), ["59 s", "1 min", "59 min"]);
    }
}
