//! The web page.

use axum::Router;
use axum::response::Html;
use axum::routing::get;

/// The page's routes.
pub fn page_routes() -> Router {
    Router::new().route("/", get(|| async { Html("<!doctype html><title>Althing</title><p>Althing is running. Signaling is at <code>/ws</code>.") }))
}
