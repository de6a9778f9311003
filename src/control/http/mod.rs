//! The listeners: the public one (page, signaling, WHIP and WHEP, the HTTP API) and the private one (metrics and health).

mod admin;
mod beside;
pub(in crate::control) mod cors;
mod handshakes;
pub(in crate::control) mod origin;
mod page;
pub(in crate::control) mod problem;
mod redirect;
mod serve;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{any, get};
use tokio::sync::watch;

use crate::config::AllowedOrigins;
use crate::control::signaling::Front;
use crate::control::{api, recordings, whip};

pub use admin::admin_router;
pub use beside::Beside;
pub use redirect::redirect_router;
pub use serve::{Door, Tls, serve};

/// What the public listener needs.
#[derive(Clone)]
pub struct Public {
    /// What signaling sockets share.
    pub front: Arc<Front>,
    /// Whose pages may open one, and use WHIP and WHEP.
    pub origins: AllowedOrigins,
    /// Whether its own pages come by HTTPS alone.
    pub secure: bool,
    /// Whether the node takes new members.
    pub ready: watch::Receiver<bool>,
    /// Sockets open now.
    pub sockets: Arc<AtomicUsize>,
}

impl Public {
    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
}

/// The public listener's routes.
pub fn public_router(public: Public) -> Router {
    let (ready, answered) = (public.ready.clone(), api::Once::new(public.front.access.clone()));
    Router::new()
        .merge(whip::routes(public.clone()))
        .merge(recordings::routes(public.clone(), answered.clone()))
        .merge(api::routes(public.clone(), answered))
        .route("/ws", any(upgrade::upgrade).with_state(public))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || readiness(ready.clone())))
        .merge(page::page_routes())
}

/// Has browsers come by HTTPS alone for a year (RFC 6797): not where a certificate is self-made, since nobody could pass its warning any more.
pub fn with_strict_transport_security(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        response
    }))
}

/// Whether new members should be sent here.
async fn readiness(ready: watch::Receiver<bool>) -> (StatusCode, &'static str) {
    if *ready.borrow() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "shutting down") }
}
