//! A folder for the time of a test.

use std::fs;
use std::path::PathBuf;

/// A folder that is gone with it.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Of this name, in the system's folder for such things.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("althing-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
