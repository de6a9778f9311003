//! `althing completions`, `althing man`: what packages put beside the binary, made from the command line itself.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::{CANNOT_WRITE, Failure};

#[derive(Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub struct Manual {
    /// Write a page for each command into this directory, instead of the first one to standard output
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub fn complete(asked: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut command, "althing", &mut script);
    print(&script)
}

pub fn manual(asked: &Manual, command: Command) -> Result<(), Failure> {
    match &asked.dir {
        Some(folder) => {
            let refused = |error: io::Error| Failure::new(format!("{} cannot be written: {error}", folder.display()), CANNOT_WRITE);
            std::fs::create_dir_all(folder).map_err(refused)?;
            clap_mangen::generate_to(command, folder).map_err(refused)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(Failure::with(CANNOT_WRITE))?;
            print(&page)
        }
    }
}

/// To standard output. A reader that is gone (a closed pipe) is no reason to fail.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::with(CANNOT_WRITE)(error)),
        _ => Ok(()),
    }
}
