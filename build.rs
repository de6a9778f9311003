//! Makes cargo notice a page that was built anew. Building it is `make web`'s work: cargo never runs npm.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A path that is missing would make every build a new one; its parent changes when the page appears.
    let page = Path::new("web/app/dist");
    let watched = if page.exists() { page } else { Path::new("web/app") };
    if watched.exists() {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
}
