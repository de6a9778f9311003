//! The spans of a join.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use super::{Journey, Step};

/// Makes traces of joins, where somebody is to be told of them.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<SdkTracer>);

/// The trace of one join.
#[derive(Debug)]
pub struct Spans {
    tracer: SdkTracer,
    /// The span of the whole, which the others are parts of.
    whole: Context,
    /// The step that was done last, and when.
    done: Mutex<(Option<Step>, SystemTime)>,
}

impl Tracer {
    /// With this tracer.
    pub const fn new(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// A join whose socket was accepted then.
    pub fn begin(&self, at: SystemTime) -> Journey {
        let Some(tracer) = &self.0 else { return Journey::default() };
        let whole = tracer.span_builder("join").with_kind(SpanKind::Server).with_start_time(at).start_with_context(tracer, &Context::new());
        let whole = Context::new().with_span(whole);
        Journey { spans: Some(Arc::new(Spans { tracer: tracer.clone(), whole, done: Mutex::new((None, at)) })) }
    }
}

impl Spans {
    pub fn passed(&self, step: Step, at: SystemTime) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.0 >= Some(step) {
            return;
        }
        // Clocks of two threads may differ by a moment.
        let at = at.max(done.1);
        let mut span = self.tracer.span_builder(step.name()).with_start_time(done.1).start_with_context(&self.tracer, &self.whole);
        span.end_with_timestamp(at);
        *done = (Some(step), at);
        if step == Step::FirstPacket {
            self.whole.span().end_with_timestamp(at);
        }
    }

    pub fn waited(&self, at: SystemTime) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.1 = done.1.max(at);
    }

    pub fn refused(&self, code: &'static str) {
        let whole = self.whole.span();
        whole.set_attribute(KeyValue::new("althing.error", code));
        whole.set_status(Status::error(code));
        whole.end();
    }
}
