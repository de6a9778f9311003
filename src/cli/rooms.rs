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
    #[serde(default)]
    members: Option<usize>,
    #[serde(default)]
    troubles: Option<usize>,
    #[serde(default)]
    epoch_unix_ms: u64,
    #[serde(default)]
    at_present: Vec<Trouble>,
}

/// A time in which somebody has bad pictures or sound, and which lasts.
#[derive(Deserialize)]
struct Trouble {
    from_ms: u64,
    had_by: Vec<String>,
    leg: String,
    leg_of: String,
    sign: String,
    #[serde(default)]
    shown: Option<Shown>,
}

/// What it is about.
#[derive(Deserialize)]
struct Shown {
    member: String,
    source: String,
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

/// A line for each: its number, how long it has gone on or how long ago it ended, its name; below it, who has it bad at present.
fn table(calls: &[Listed], all: bool, now: Duration) -> Vec<String> {
    let ago = |then: u64| spoken(now.saturating_sub(Duration::from_millis(then)));
    let shown = calls.iter().filter(|call| all || call.ended_unix_ms.is_none());
    let lines = shown.flat_map(|call| {
        let members = call.members.map_or_else(String::new, |count| format!("  {}", counted(count, "member")));
        let line = match call.ended_unix_ms {
            None => format!("{:>8}  for {:<12}  {}{members}", call.id, ago(call.began_unix_ms), call.room),
            Some(ended) => format!("{:>8}  over {:<11}  {}{members}", call.id, ago(ended), call.room),
        };
        let troubles = call.at_present.iter().map(|trouble| format!("{:10}{}", "", trouble.spoken(&ago(call.epoch_unix_ms + trouble.from_ms))));
        let more = call.troubles.unwrap_or(0).saturating_sub(call.at_present.len());
        let more = (more > 0 && call.ended_unix_ms.is_none()).then(|| format!("{:10}and {more} more", ""));
        std::iter::once(line).chain(troubles).chain(more).collect::<Vec<_>>()
    });
    lines.collect()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl Trouble {
    /// `for`: how long it has lasted.
    fn spoken(&self, lasts: &str) -> String {
        let Self { leg_of, .. } = self;
        let what = match &self.shown {
            Some(Shown { member, source }) => format!("{} of {member}", said(source)),
            None => "pictures and sound".to_owned(),
        };
        let leg = match self.leg.as_str() {
            "uplink" => format!("on the way from {leg_of} to the server"),
            "downlink" => format!("on the way from the server to {leg_of}"),
            _ => format!("on the connection of {leg_of}"),
        };
        format!("for {lasts}  {}: bad {what}: {} {leg}", self.had_by.join(", "), said(&self.sign))
    }
}

/// A word of the list in plain words; one that is not known as it is.
fn said(word: &str) -> &str {
    match word {
        "camera" => "picture",
        "microphone" => "sound",
        "screen_audio" => "sound of the screen",
        "loss" => "packets are lost",
        "jitter" => "packets come unevenly",
        "delay" => "packets take long",
        "silent" => "no picture comes",
        "frozen" => "the picture waits for a key frame",
        "reduced" => "a smaller picture is sent, for the link carries no more,",
        "paused" => "no picture is sent, for the link carries too little,",
        "undecodable" => "the codec cannot be decoded",
        "disconnected" => "there is no connection",
        other => other,
    }
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
    fn who_has_it_bad_now_is_said_below_the_call() {
        let text = r#"[{"id":7,"room":"hall","began_unix_ms":1000,"members":3,"troubles":3,"epoch_unix_ms":500,"at_present":[
            {"from_ms":9500,"had_by":["ada","eve"],"leg":"uplink","leg_of":"bob","sign":"loss","shown":{"track":4,"member":"bob","source":"camera"},"worst":{}},
            {"from_ms":9500,"had_by":["ada"],"leg":"connection","leg_of":"ada","sign":"delay","worst":{}}]}]"#;
        let calls: Vec<Listed> = serde_json::from_str(text).expect("a list");
        let lines = [
            "       7  for 21 s          hall  3 members",
            "          for 12 s  ada, eve: bad picture of bob: packets are lost on the way from bob to the server",
            "          for 12 s  ada: bad pictures and sound: packets take long on the connection of ada",
            "          and 1 more",
        ];
        assert_eq!(table(&calls, false, Duration::from_secs(22)), lines);
    }

    #[test]
    fn calls_that_go_on_are_listed_and_those_that_are_over_when_it_is_wished() {
        let text = r#"[{"id":7,"room":"hall","began_unix_ms":1000},{"id":3,"room":"attic","began_unix_ms":0,"ended_unix_ms":5000,"members":2,"troubles":0}]"#;
        let calls: Vec<Listed> = serde_json::from_str(text).expect("a list");
        let now = Duration::from_secs(3_725);
        assert_eq!(table(&calls, false, now), ["       7  for 1 h 2 min     hall"]);
        assert_eq!(table(&calls, true, now)[1], "       3  over 1 h 2 min    attic  2 members");
        assert_eq!([59, 60, 3_599].map(|s| spoken(Duration::from_secs(s))), ["59 s", "1 min", "59 min"]);
    }
}
