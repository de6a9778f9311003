//! Where traces go: by OTLP over the HTTP client that this program has anyway, in batches, beside everything else.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Url;
use tokio::runtime::Handle;

use super::StartError;
use crate::control::outward;
use crate::control::trace::Tracer;

/// A receiver that takes longer has lost the batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// What of an answer is read.
const ANSWER: usize = 64 << 10;

/// Traces on their way; what has not left yet does when it is told to end.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Has traces of joins go to a receiver. Nothing is asked of it yet. Needs a runtime.
    ///
    /// # Errors
    /// When there can be no HTTP client, or the address is none for it.
    pub fn open(endpoint: &Url) -> Result<(Self, Tracer), StartError> {
        let refused = |why: String| StartError { what: format!("traces cannot go to {endpoint}: {why}"), advice: "check otel.endpoint".into() };
        let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let client = outward::client(builder, endpoint.scheme() == "https").map_err(|error| refused(error.to_string()))?;
        let builder = SpanExporter::builder().with_http().with_http_client(Over { client, runtime: Handle::current() });
        let builder = builder.with_protocol(Protocol::HttpBinary).with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')));
        let exporter = builder.with_timeout(PATIENCE).build().map_err(|error| refused(error.to_string()))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("althing").with_attribute(version).build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        let tracer = Tracer::new(provider.tracer("althing"));
        Ok((Self(provider), tracer))
    }

    /// Sends what has not left yet.
    pub async fn end(&self) {
        let provider = self.0.clone();
        // It waits for its own thread, which waits for this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces were not taken");
        }
    }
}

/// The exporter has a thread of its own, and requests need the runtime.
#[derive(Debug)]
struct Over {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Over {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
        let client = self.client.clone();
        let answered = self.runtime.spawn(async move {
            let mut answer = client.execute(request).await?;
            let (status, mut body) = (answer.status(), Vec::new());
            while let Some(chunk) = answer.chunk().await?.filter(|chunk| body.len() + chunk.len() <= ANSWER) {
                body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>((status, body))
        });
        let (status, body) = answered.await??;
        Ok(Response::builder().status(status).body(body.into())?)
    }
}
