//! How far the run has come: bars on a terminal, plain lines elsewhere, both on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between plain lines of one stage.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows one stage after the other.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    stage: Option<Stage>,
}

struct Stage {
    name: String,
    bar: ProgressBar,
    length: u64,
    said: Instant,
}

impl Progress {
    /// `quiet`: nothing is shown.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), stage: None }
    }

    /// Begins a stage of so many steps.
    pub fn begin(&mut self, name: impl Into<String>, length: u64) {
        self.end();
        let name = name.into();
        let target = if self.terminal && !self.quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {bar:40} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.clone());
        if !self.terminal && !self.quiet {
            eprintln!("{name} …");
        }
        self.stage = Some(Stage { name, bar, length, said: Instant::now() });
    }

    /// Where the stage is, and a word about it.
    pub fn at(&mut self, position: u64, message: impl FnOnce() -> String) {
        let Some(stage) = &mut self.stage else { return };
        stage.bar.set_position(position);
        let speaks = !self.terminal && !self.quiet && stage.said.elapsed() >= LINE_EVERY;
        if self.terminal || speaks {
            let message = message();
            if speaks {
                eprintln!("{} {position}/{} {message}", stage.name, stage.length);
                stage.said = Instant::now();
            }
            stage.bar.set_message(message);
        }
    }

    /// Ends the stage.
    pub fn end(&mut self) {
        if let Some(stage) = self.stage.take() {
            stage.bar.finish_and_clear();
        }
    }
}
