//! The command line.

mod doctor;
mod failure;
mod health;
mod load;
mod papers;
mod rooms;
mod settings;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use self::failure::{CONFIG, Failure, SYSTEM, UNAVAILABLE, USAGE};
use crate::config::{self, Config, Overrides, Settings};
use crate::node;

/// Althing: a WebRTC SFU in one binary.
#[derive(Parser)]
#[command(name = "althing", version, propagate_version = true, after_long_help = failure::HELP)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What every command takes.
#[derive(Args)]
struct Common {
    /// A file with settings (TOML)
    #[arg(long, short, global = true, env = "ALTHING_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, like --set media.port=41000; `althing config print` lists them all
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Where page and signaling are served (http.listen)
    #[arg(long, global = true, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address that clients find media at, where it differs from this machine's (media.announce)
    #[arg(long, global = true, value_name = "ADDRESS")]
    announce: Option<String>,
    /// What is logged: error, warn, info, debug or trace (log.level)
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server (what happens without a command, too)
    Run,
    /// Say what would stop a call, and what to do about it
    Doctor(doctor::Doctor),
    /// Test a server with participants by the thousand, and count what comes
    Load(Box<load::Load>),
    /// Join tokens
    Token {
        #[command(subcommand)]
        verb: token::Verb,
    },
    /// The settings
    Config {
        #[command(subcommand)]
        verb: settings::Verb,
    },
    /// The calls of a node on this machine
    Rooms(rooms::Rooms),
    /// Ask a node on this machine how it is, for containers
    Healthcheck(health::Health),
    /// Print what completes this command line in a shell
    Completions(papers::Completions),
    /// Print the manual (roff)
    Man(papers::Manual),
}

/// Carries out the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are asked for like this, too.
        Err(said) => {
            let wrong = said.use_stderr();
            let _ = said.print();
            return if wrong { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    arguments.carry_out().unwrap_or_else(|failure| failure.end())
}

impl Arguments {
    fn carry_out(self) -> Result<ExitCode, Failure> {
        let Self { common, verb } = self;
        let done = match verb {
            None | Some(Verb::Run) => run(&common),
            Some(Verb::Doctor(asked)) => return doctor::run(&asked, &common),
            Some(Verb::Load(load)) => return Ok(load::run(&load, &common.checked()?)),
            Some(Verb::Healthcheck(asked)) => return health::run(&asked, &common.checked()?),
            Some(Verb::Rooms(asked)) => rooms::run(&asked, &common.checked()?),
            Some(Verb::Token { verb }) => token::run(verb, &common.checked()?).map_err(Failure::with(USAGE)),
            Some(Verb::Config { verb }) => settings::run(&verb, &common),
            Some(Verb::Completions(asked)) => papers::complete(&asked, Self::command()),
            Some(Verb::Man(asked)) => papers::manual(&asked, Self::command()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

fn run(common: &Common) -> Result<(), Failure> {
    let config = common.checked()?;
    let log = node::logs::Log::begin(&config.log).map_err(Failure::with(CONFIG))?;
    // Media has a thread on each core, and goes first: signaling makes do with half as many, which hand less over to one another.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("the system gives no threads: {e}"), SYSTEM))?;
    let read_again = || common.checked().map_err(|failure| failure.to_string());
    runtime.block_on(node::run(config, &log, read_again)).map_err(Failure::with(UNAVAILABLE))
}

impl Common {
    /// The settings as written.
    fn settings(&self) -> Result<Settings, Failure> {
        let mut overrides: Overrides = self.set.iter().cloned().collect();
        let flags = [("http.listen", &self.listen), ("media.announce", &self.announce), ("log.level", &self.log)];
        overrides.extend(flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
        let environment: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        config::load(self.config.as_deref(), environment, &overrides).map_err(Failure::with(CONFIG))
    }

    fn checked(&self) -> Result<Config, Failure> {
        let config = self.settings()?.check().map_err(Failure::with(CONFIG))?;
        node::logs::check_level(&config.log.level).map_err(Failure::with(CONFIG))?;
        Ok(config)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_is_the_documented_one() {
        insta::assert_snapshot!(Arguments::command().term_width(100).render_long_help());
    }
}
