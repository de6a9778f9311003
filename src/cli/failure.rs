//! How commands end: the exit codes of sysexits.h, so that whoever starts them knows whether to try again.

use std::fmt;
use std::process::ExitCode;

/// `EX_USAGE`: the command line is wrong, or asks for what there is not.
pub const USAGE: u8 = 64;
/// `EX_DATAERR`: what was read is wrong.
pub const DATA: u8 = 65;
/// `EX_UNAVAILABLE`: a server, a port or an address is not to be had. It may be later.
pub const UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE`: what cannot happen.
pub const SOFTWARE: u8 = 70;
/// `EX_OSERR`: this machine does not give what is needed.
pub const SYSTEM: u8 = 71;
/// `EX_CANTCREAT`: a file cannot be written.
pub const CANNOT_WRITE: u8 = 73;
/// `EX_NOPERM`: a token is missing, or is not taken.
pub const NO_PERMISSION: u8 = 77;
/// `EX_CONFIG`: the settings cannot work. Trying again does not help.
pub const CONFIG: u8 = 78;

/// What `althing --help` and the manual say of them.
pub const HELP: &str = "Exit status:
  0   done, or nothing is wrong
  1   doctor found a problem, load missed what was expected, healthcheck found nobody well
  64  the command line is wrong
  65  a file that was read is wrong
  69  a server, a port or an address is not to be had
  71  the system refuses
  73  a file cannot be written
  77  a token is missing, or is not taken
  78  the settings cannot work

Settings come from the file, then from the environment (ALTHING_HTTP__LISTEN is http.listen; ALTHING_ICE__SECRET_FILE
names a file with ice.secret), then from flags: the later wins.";

/// Why a command was not carried out.
#[derive(Debug)]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// What to say, and the exit code.
    pub const fn new(text: String, code: u8) -> Self {
        Self { text, code }
    }

    /// For `map_err`: an error that ends with this code.
    pub fn with<E: ToString>(code: u8) -> impl Fn(E) -> Self {
        move |error| Self::new(error.to_string(), code)
    }

    /// Says it.
    pub fn end(&self) -> ExitCode {
        eprintln!("althing: {}", self.text);
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
