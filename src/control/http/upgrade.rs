//! From an HTTP request to a signaling socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use prometheus::IntGauge;

use super::Public;
use super::origin::permits;
use crate::control::signaling;
use crate::wire::SUBPROTOCOL;

/// Bytes of the buffers of a socket: an idle one holds hardly more. Bigger: fewer reads for an offer.
const BUFFER_BYTES: usize = 8 * 1024;
/// The write buffer never holds more than a few messages: each batch is flushed before the next.
const MAX_WRITE_BYTES: usize = 8 * 1024 * 1024;

pub async fn upgrade(State(public): State<Public>, uri: Uri, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    let refused = &public.front.rooms.metrics().sockets_refused;
    if !permits(&public, &uri, &headers) {
        refused.with_label_values(&["origin"]).inc();
        return (StatusCode::FORBIDDEN, "pages of this origin may not open a socket here (http.origins)").into_response();
    }
    let Some(open) = Open::take(&public) else {
        refused.with_label_values(&["full"]).inc();
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sockets").into_response();
    };
    // Twice the size of an offer is still read, so that whoever sends too much is told so.
    let readable = public.front.limits.offer_bytes as usize * 2;
    let socket = socket.protocols([SUBPROTOCOL]).read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let socket = socket.max_write_buffer_size(MAX_WRITE_BYTES).max_message_size(readable).max_frame_size(readable);
    socket.on_upgrade(move |socket| async move {
        signaling::serve(socket, public.front.clone()).await;
        drop(open);
    })
}

/// A socket that is counted as long as it lives.
struct Open {
    sockets: Arc<AtomicUsize>,
    gauge: IntGauge,
}

impl Open {
    fn take(public: &Public) -> Option<Self> {
        let before = public.sockets.fetch_add(1, Ordering::Relaxed);
        let gauge = public.front.rooms.metrics().sockets.clone();
        gauge.inc();
        let open = Self { sockets: public.sockets.clone(), gauge };
        (before < public.front.limits.sockets).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}
