//! What a join costs: CPU time of the whole server from a newcomer's socket to its first media, beside the server's half of
//! one bare DTLS handshake in the same run. Prints JSON lines.

#[path = "../tests/client/mod.rs"]
mod client;
#[path = "../tests/light/mod.rs"]
mod light;

use light::cost::{Server, median, rounds};

fn main() -> client::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::start(env!("CARGO_BIN_EXE_althing"))?;
    let rounds = runtime.block_on(rounds(&server, 5, 40))?;
    let numbered = rounds.iter().copied().enumerate().map(|(n, round)| ((n + 1).to_string(), round));
    for (which, round) in numbered.chain(median(rounds.clone()).map(|round| ("median".to_owned(), round))) {
        let (join, handshake) = (round.join.as_secs_f64() * 1e3, round.handshake.as_secs_f64() * 1e3);
        println!(r#"{{"bench":"join","round":"{which}","join_cpu_ms":{join:.3},"handshake_cpu_ms":{handshake:.3},"ratio":{:.2}}}"#, round.ratio());
    }
    Ok(())
}
