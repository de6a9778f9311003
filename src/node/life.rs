//! A node as whoever runs the machine sees it: signals (signal(7)) that drain it, end it or have it read its settings again, and a service
//! manager that hears how it is (sd_notify(3)).

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::logs::{Log, check_level};
use super::{Node, StartError};
use crate::config::Config;
use crate::tls::Looked;

/// How often it is looked whether a draining node is empty.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where no service manager asks, workers are not asked either.
const NEVER: Duration = Duration::from_secs(3_600);

/// Runs a node until the process is told to end: SIGTERM lets it run dry for `drain.seconds` at most, a second one, or SIGINT, ends it. SIGHUP has
/// it take up the certificate as it is now, and the log's level, the keys and the secrets that `read_again` finds.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, log: &Log, read_again: impl Fn() -> Result<Config, String>) -> Result<(), StartError> {
    let signals = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let (drain, at_start) = (config.drain, config.clone());
    let mut node = Node::start(config).await?;
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let [mut hang_up, mut interrupt, mut terminate] = signals.map(Result::ok);
    let watchdog = sd_notify::watchdog_enabled();
    // Twice within the time that it is given, and no sooner than workers report.
    node.answers();
    let mut beat = interval(watchdog.map_or(NEVER, |within| within / 2).max(Duration::from_secs(2)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = interval(LOOK_EVERY);
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            () = received(&mut hang_up) => read_settings_again(log, &node, &at_start, &read_again).await,
            () = received(&mut interrupt) => break,
            () = received(&mut terminate) => {
                if until.is_some() || drain.is_zero() {
                    break;
                }
                tracing::info!(seconds = drain.as_secs(), "draining: no room begins any more, members are told; once more, and it ends at once");
                tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
                until = Some(Instant::now() + drain);
                node.drain(drain).await;
            }
            _ = look.tick(), if until.is_some() => {
                if node.is_empty() || until.is_some_and(|until| until <= Instant::now()) {
                    break;
                }
            }
            _ = beat.tick(), if watchdog.is_some() => {
                if node.answers() {
                    tell(&[NotifyState::Watchdog]);
                } else {
                    tracing::error!("a worker does not answer: the service manager is not told that all is well");
                }
            }
        }
    }
    tracing::info!("shutting down");
    tell(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
    node.shut_down().await;
    Ok(())
}

async fn read_settings_again(log: &Log, node: &Node, at_start: &Config, read_again: &impl Fn() -> Result<Config, String>) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
    let taken = read_again().and_then(|config| {
        check_level(&config.log.level).map_err(|error| error.to_string())?;
        node.take_up(&config)?;
        log.set_level(&config.log.level).map_err(|error| error.to_string())?;
        Ok(config)
    });
    let certificate = node.look_at_certificate().await;
    let said = outcome(taken.as_ref().err(), certificate.as_ref());
    match &taken {
        Ok(config) => {
            let (level, keys) = (&config.log.level, config.auth.ids().collect::<Vec<_>>());
            match &certificate {
                Some(Err(_)) => tracing::warn!(level, ?keys, "{said}"),
                _ => tracing::info!(level, ?keys, "{said}"),
            }
            let sections = at_start.waits_for_a_restart(config);
            if !sections.is_empty() {
                tracing::warn!(?sections, "other settings have changed since the start: they wait for a restart");
            }
        }
        Err(_) => tracing::warn!("{said}"),
    }
    tell(&[NotifyState::Ready]);
}

/// What was taken up and what was not, in one line.
fn outcome(unusable: Option<&String>, certificate: Option<&Looked>) -> String {
    let settings = "the log's level is read again, and keys and secrets are";
    match (unusable, certificate) {
        (None, None) => format!("{settings}; other settings need a restart"),
        (None, Some(Ok(days))) => format!("{settings}, and the certificate is (it expires in {days} days); other settings need a restart"),
        (None, Some(Err(error))) => format!("{settings}; the certificate is not used, the one before stays: {error}"),
        (Some(error), None) => format!("the settings are as before: {error}"),
        (Some(error), Some(Ok(days))) => {
            format!("the certificate is read again (it expires in {days} days), but the settings are as before: {error}")
        }
        (Some(error), Some(Err(why))) => {
            format!("nothing is taken up. The certificate is not used, the one before stays: {why}. And the settings are as before: {error}")
        }
    }
}

/// Tells the service manager, if there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager does not hear");
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
