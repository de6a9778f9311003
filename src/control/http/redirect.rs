//! Plain requests where there is HTTPS: they are sent there (308, so that a method and a body go along).

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Sends every request to the same host's HTTPS, at this port; none: at the port that it came to.
pub fn redirect_router(port: Option<u16>) -> Router {
    Router::new().fallback(move |request: Request| async move { redirect(&request, port) })
}

fn redirect(request: &Request, port: Option<u16>) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match host.and_then(|host| secure_url(host, port, request.uri().path_and_query().map_or("/", |path| path.as_str()))) {
        Some(url) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, url)], "this server speaks HTTPS\n").into_response(),
        None => (StatusCode::BAD_REQUEST, "this server speaks HTTPS, and the request does not say at which host\n").into_response(),
    }
}

fn secure_url(host: &str, port: Option<u16>, path: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    if authority.as_str().contains('@') || authority.host().is_empty() || !path.starts_with('/') {
        return None;
    }
    let host = authority.host();
    match port.or(authority.port_u16()).filter(|port| *port != 443) {
        Some(port) => Some(format!("https://{host}:{port}{path}")),
        None => Some(format!("https://{host}{path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_host_and_path_with_https() {
        let url = |host, port, path| secure_url(host, port, path);
        assert_eq!(url("meet.example.org", Some(443), "/r/hall?x=1").as_deref(), Some("https://meet.example.org/r/hall?x=1"));
        assert_eq!(url("meet.example.org:80", Some(8443), "/").as_deref(), Some("https://meet.example.org:8443/"));
        assert_eq!(url("192.0.2.10:8080", None, "/").as_deref(), Some("https://192.0.2.10:8080/"));
        assert_eq!(url("[2001:db8::1]:80", Some(443), "/").as_deref(), Some("https://[2001:db8::1]/"));
        assert_eq!(url("h", None, "//evil.example").as_deref(), Some("https://h//evil.example"), "a path stays a path");
        for host in ["", "h@evil.example", "a b", "h/evil", "h\r\nx: y"] {
            assert_eq!(url(host, None, "/"), None, "{host}");
        }
        assert_eq!(url("h", None, "*"), None);
    }
}
