//! The bucket that recordings go to.

use std::fmt::Display;

use super::Finding;

/// Whether the bucket of this name can be written to, read, listed and cleared; what stands in the way of that.
pub fn of_bucket(name: &str, trouble: Option<&impl Display>) -> Finding {
    match trouble {
        None => Finding::ok("bucket", format!("The bucket {name} can be written to, read, listed and cleared.")),
        Some(trouble) => Finding::problem(
            "bucket",
            format!("The bucket {name} cannot be used: {trouble}."),
            "until it can be, recordings stay on this disk alone; calls and recording go on",
        ),
    }
}
