//! The section `otel`: where traces of joins go.

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, invalid};

/// Where traces go, as it is written.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtelSettings {
    /// A receiver of OTLP over HTTP, like `http://127.0.0.1:4318`; empty for none.
    pub endpoint: String,
}

impl OtelSettings {
    /// Checks the section; none where nothing is traced.
    ///
    /// # Errors
    /// When it is no address, or this program was built without traces.
    pub fn check(&self) -> Result<Option<Url>, InvalidSetting> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        if !cfg!(feature = "otel") {
            return invalid("otel.endpoint", "this program was built without traces: build it with `cargo build --release --features otel`".into());
        }
        match Url::parse(&self.endpoint) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(Some(url)),
            _ => invalid("otel.endpoint", format!("`{}` is no such address: write it like http://127.0.0.1:4318", self.endpoint)),
        }
    }
}
