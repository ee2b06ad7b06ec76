//! Export over OTLP/HTTP, set up by OpenTelemetry's environment variables.
//!
//! Spans and events go through the SDK's bounded queues; a collector that is slow or gone costs spans, never time.

use super::names::{Attribute, EVENT, GUARDRAIL_RESULT, SPAN, Subject, Value};
use super::trace::{Context as Place, Trace};
use crate::ops::{Decision, Ended};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, LogExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// The name under which spans and events are exported, where `OTEL_SERVICE_NAME` gives no other.
const SERVICE: &str = "brightline";
/// How long the last spans may take when the process ends.
const CLOSING: Duration = Duration::from_secs(5);
/// How long a collector may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How much of a collector's answer is read.
const MAX_ANSWER: usize = 1 << 20;

/// Exports traces and events.
pub struct Exporter {
    tracer: SdkTracer,
    logger: SdkLogger,
    spans: SdkTracerProvider,
    events: SdkLoggerProvider,
}

/// The span of an exchange.
pub struct Span(opentelemetry_sdk::trace::Span);

/// Why nothing is exported although it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The environment holds something that cannot be used.
    #[error("cannot export traces: {0}")]
    Build(#[from] ExporterBuildError),
    /// There is nothing to run requests on.
    #[error("cannot export traces: {0}")]
    Runtime(#[from] std::io::Error),
}

impl Exporter {
    /// `None` where the environment names no collector.
    ///
    /// # Errors
    /// If the environment holds something that cannot be used.
    pub fn from_env() -> Result<Option<Self>, ExporterError> {
        let named = std::env::vars_os().any(|(name, value)| {
            let name = name.to_string_lossy();
            name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("ENDPOINT") && !value.is_empty()
        });
        if !named {
            return Ok(None);
        }
        Self::build(None).map(Some)
    }

    /// Exports to this collector, such as `http://localhost:4318`.
    ///
    /// # Errors
    /// As [`Exporter::from_env`].
    pub fn to(collector: &str) -> Result<Self, ExporterError> {
        Self::build(Some(collector.trim_end_matches('/')))
    }

    fn build(collector: Option<&str>) -> Result<Self, ExporterError> {
        let mut spans = SpanExporter::builder().with_http().with_http_client(Sender::new()?);
        let mut events = LogExporter::builder().with_http().with_http_client(Sender::new()?);
        if let Some(collector) = collector {
            spans = spans.with_endpoint(format!("{collector}/v1/traces"));
            events = events.with_endpoint(format!("{collector}/v1/logs"));
        }
        let (spans, events) = (spans.build()?, events.build()?);
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE);
        }
        let resource =
            resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
        let spans =
            SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        let events = SdkLoggerProvider::builder().with_batch_exporter(events).with_resource(resource).build();
        let (tracer, logger) = (spans.tracer(SERVICE), events.logger(SERVICE));
        Ok(Self { tracer, logger, spans, events })
    }

    pub(crate) fn began(&self, endpoint: &'static str, parent: Trace) -> Span {
        let parent = match parent.context() {
            Some(place) => Context::new().with_remote_span_context(span_context(place, true)),
            None => Context::new(),
        };
        let builder = self.tracer.span_builder(endpoint).with_kind(SpanKind::Server);
        Span(self.tracer.build_with_context(builder, &parent))
    }

    pub(crate) fn decided(&self, decision: &Decision<'_>, trace: Trace) {
        let findings = &decision.verdict.findings;
        if findings.is_empty() {
            self.event(&Subject { decision, finding: None }, trace);
        }
        for finding in findings {
            self.event(&Subject { decision, finding: Some(finding) }, trace);
        }
    }

    fn event(&self, subject: &Subject<'_>, trace: Trace) {
        let mut record = self.logger.create_log_record();
        record.set_event_name(GUARDRAIL_RESULT);
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(Severity::Info);
        if let Some(place) = trace.context() {
            let context = span_context(place, false);
            record.set_trace_context(context.trace_id(), context.span_id(), Some(context.trace_flags()));
        }
        for attribute in EVENT {
            let Some(value) = (attribute.value)(subject) else { continue };
            let value = match value {
                Value::Text(text) => AnyValue::String(text.into()),
                Value::Number(number) => AnyValue::Double(number),
                Value::Whole(number) => AnyValue::Int(number),
            };
            record.add_attribute(attribute.name, value);
        }
        self.logger.emit(record);
    }

    pub(crate) fn ended(&self, ended: &Ended<'_>, span: Span) {
        let Span(mut span) = span;
        for Attribute { name, value, .. } in SPAN {
            let (name, Some(value)) = (*name, value(ended)) else { continue };
            span.set_attribute(match value {
                Value::Text(text) => KeyValue::new(name, text),
                Value::Number(number) => KeyValue::new(name, number),
                Value::Whole(number) => KeyValue::new(name, number),
            });
        }
        if ended.status >= 500 {
            span.set_status(Status::error(ended.failure.unwrap_or_default()));
        }
        span.end();
    }

    pub(crate) fn close(&self) {
        for closed in [self.spans.shutdown_with_timeout(CLOSING), self.events.shutdown_with_timeout(CLOSING)]
        {
            if let Err(error) = closed {
                tracing::warn!(%error, "the last traces may not have been exported");
            }
        }
    }
}

impl Span {
    pub(crate) fn context(&self) -> Place {
        let context = self.0.span_context();
        Place {
            trace: context.trace_id().to_bytes(),
            span: context.span_id().to_bytes(),
            flags: context.trace_flags().to_u8(),
        }
    }
}

fn span_context(place: Place, remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(place.trace),
        SpanId::from_bytes(place.span),
        TraceFlags::new(place.flags),
        remote,
        TraceState::NONE,
    )
}

/// Sends requests on a runtime of its own, which runs while the SDK's threads wait for an answer: export neither needs the
/// gateway's runtime nor outlives it.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Sender {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), runtime: Some(runtime) })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // An observer may be dropped by a task, where waiting for a runtime to end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.as_ref().ok_or("the exporter has ended")?;
        runtime.block_on(async {
            let answer = self.client.request(request.map(Full::new));
            let (head, body) = tokio::time::timeout(ANSWERS_WITHIN, answer).await??.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect();
            let body = tokio::time::timeout(ANSWERS_WITHIN, body).await??.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }
}
