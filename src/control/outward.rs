//! Clients for servers elsewhere.

use reqwest::{Client, ClientBuilder};

/// A client. A minimal system has no certificates of authorities, and a client that is to know them cannot be made there; who never
/// speaks TLS needs none.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(builder: ClientBuilder, speaks_tls: bool) -> reqwest::Result<Client> {
    if speaks_tls { builder.build() } else { builder.tls_certs_only([]).build() }
}
