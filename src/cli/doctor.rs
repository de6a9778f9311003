//! `althing doctor`: what would stop a call.

use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::failure::{Failure, SOFTWARE, SYSTEM};
use crate::control::admin::doctor::{Finding, Report, Verdict};
use crate::node::doctor::{Questions, examine};

#[derive(Args)]
pub struct Doctor {
    /// Where browsers find the page: its certificate and its clock are looked at
    #[arg(long, value_name = "https://HOST")]
    url: Option<String>,
    /// A STUN server that says how this machine is seen from outside; without it the first `stun:` of ice.urls
    #[arg(long, value_name = "HOST:PORT")]
    stun: Option<String>,
    /// JSON, for machines
    #[arg(long)]
    json: bool,
}

/// Looks and says what it found. The exit code: 0 nothing stops a call, 1 something does.
pub fn run(doctor: &Doctor, common: &Common) -> Result<ExitCode, Failure> {
    let report = report(doctor, common)?;
    if doctor.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::with(SOFTWARE))?);
    } else {
        print!("{report}");
    }
    Ok(if report.verdict() == Verdict::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Settings that cannot work are a finding like others: nothing else can be looked at then.
fn report(doctor: &Doctor, common: &Common) -> Result<Report, Failure> {
    let config = match common.checked() {
        Ok(config) => config,
        Err(error) => {
            let what = format!("Nothing starts with these settings: {error}");
            return Ok(Report { findings: vec![Finding::problem("settings", what, "correct it and look again")] });
        }
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|e| Failure::new(format!("the system gives no threads: {e}"), SYSTEM))?;
    let questions = Questions { url: doctor.url.clone(), stun: doctor.stun.clone() };
    let report = runtime.block_on(examine(&config, &questions));
    // A lookup of a name that still waits is not waited for.
    runtime.shutdown_background();
    Ok(report)
}
