//! [`Observer`]: the one place that is told of every decision.

use super::audit::{Audit, Receipt};
use super::metrics::{Metrics, clauses_of, degraded};
use super::shadow::{Shadow, Transcript};
use super::telemetry::exporter::{Exporter, Span};
use super::telemetry::trace::Trace;
use super::{Decision, Ended};
use brightline::{Action, Input};
use http::HeaderMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Told of every decision and every end of an exchange: one place for all surfaces and endpoints, so that none is forgotten.
///
/// Nothing here waits: what cannot be taken at once is counted, and a [`Receipt`] says where there is something to wait for.
#[derive(Default)]
pub struct Observer {
    metrics: Arc<Metrics>,
    audit: Option<Audit>,
    shadow: Option<Shadow>,
    exporter: Option<Exporter>,
    /// Exchanges that have begun and not ended, by id.
    open: Mutex<HashMap<String, Open>>,
}

/// What is kept of an exchange until it ends.
#[derive(Default)]
struct Open {
    trace: Trace,
    span: Option<Span>,
}

impl Observer {
    /// An observer that counts.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// The same observer, which writes decisions to a log.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Self {
        self.metrics.watch(audit.clone());
        Self { audit: Some(audit), ..self }
    }

    /// The same observer, which has decisions judged by a second policy.
    #[must_use]
    pub fn with_shadow(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// The same observer, which exports traces and events.
    #[must_use]
    pub fn with_exporter(self, exporter: Exporter) -> Self {
        Self { exporter: Some(exporter), ..self }
    }

    /// The numbers.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The audit log, where there is one.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// The shadow policy, where there is one.
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }

    /// An exchange begins. `headers` are the client's; the trace that comes back goes into those for the upstream.
    pub fn began(&self, exchange: &str, endpoint: &'static str, headers: &HeaderMap) -> Trace {
        let parent = Trace::from_headers(headers);
        let span = self.exporter.as_ref().map(|exporter| exporter.began(endpoint, parent));
        let trace = span.as_ref().map_or(parent, |span| Trace::of(span.context()));
        let open = Open { trace, span };
        if self.open.lock().insert(exchange.to_string(), open).is_none() {
            self.metrics.in_flight.inc();
        }
        trace
    }

    /// A verdict was reached. The receipt says when it is on record; see [`Receipt::settled`].
    pub fn decided(&self, decision: &Decision<'_>) -> Receipt {
        self.metrics.decided(decision);
        let trace = self.open.lock().get(decision.exchange).map(|open| open.trace).unwrap_or_default();
        if let Some(exporter) = &self.exporter {
            exporter.decided(decision, trace);
        }
        log(decision, trace);
        if let Some(shadow) = &self.shadow {
            shadow.decided(decision);
        }
        self.audit.as_ref().map_or_else(Receipt::default, |audit| audit.record(decision))
    }

    /// An exchange is over, however it went.
    pub fn ended(&self, ended: &Ended<'_>) {
        self.metrics.ended(ended);
        let open = self.open.lock().remove(ended.exchange);
        if open.is_some() {
            self.metrics.in_flight.dec();
        }
        let Open { trace, span } = open.unwrap_or_default();
        if let (Some(exporter), Some(span)) = (&self.exporter, span) {
            exporter.ended(ended, span);
        }
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(
                    exchange = ended.exchange,
                    endpoint = ended.endpoint,
                    status = ended.status,
                    failure = ended.failure,
                    elapsed_us = micros(ended.elapsed),
                    judging_us = micros(ended.judging),
                    trace_id = trace.id(),
                    "exchange"
                )
            };
        }
        if ended.failure.is_some() || ended.status >= 500 { say!(warn) } else { say!(debug) }
    }

    /// A stream begins to be judged; dropping the meter ends it.
    pub fn stream(&self) -> StreamMeter {
        self.metrics.streams.inc();
        StreamMeter { metrics: Arc::clone(&self.metrics), held: 0 }
    }

    /// Where the text of a stream is kept for the shadow policy; `None` where there is none. Its input goes into the decision
    /// on the stream.
    pub fn transcript(&self, context: &Arc<Input<'static>>) -> Option<Transcript> {
        self.shadow.as_ref().map(|_| Transcript::new(Arc::clone(context)))
    }

    /// Writes out what is on its way: the end of the audit log, and spans that were not exported yet.
    pub fn close(&self) {
        if let Some(audit) = &self.audit {
            audit.close();
        }
        if let Some(exporter) = &self.exporter {
            exporter.close();
        }
    }
}

/// One line for a decision: `info` where something was found or is limited, `debug` otherwise.
fn log(decision: &Decision<'_>, trace: Trace) {
    let verdict = decision.verdict;
    let reasons = degraded(verdict);
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                exchange = decision.exchange,
                endpoint = decision.endpoint,
                choice = decision.choice,
                surface = verdict.surface.as_str(),
                action = verdict.action.as_str(),
                clauses = clauses_of(verdict).join(","),
                degraded = reasons.join(","),
                unverified = verdict.unverified,
                bytes = verdict.scanned.bytes,
                elapsed_us = verdict.elapsed_us,
                hash = verdict.policy().hash(),
                trace_id = trace.id(),
                "decision"
            )
        };
    }
    if verdict.action > Action::Allow || !verdict.failures.is_empty() { say!(info) } else { say!(debug) }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Counts an open stream and what it holds in memory.
pub struct StreamMeter {
    metrics: Arc<Metrics>,
    held: i64,
}

impl StreamMeter {
    /// How many bytes the stream holds in memory now.
    pub fn holds(&mut self, bytes: usize) {
        let held = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.held.inc_by(held - self.held);
        self.held = held;
    }
}

impl Drop for StreamMeter {
    fn drop(&mut self) {
        self.metrics.held.dec_by(self.held);
        self.metrics.streams.dec();
    }
}
