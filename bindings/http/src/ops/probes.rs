//! `/health`, `/ready` and `/metrics`.

use super::live::Live;
use super::{Observer, audit::AuditStatus};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the probes look at. Cheap to clone.
#[derive(Clone)]
pub struct Probes {
    live: Arc<Live>,
    observer: Arc<Observer>,
    draining: Arc<AtomicBool>,
}

impl Probes {
    /// Probes of a gateway whose policy and models are verified, as [`Live::open`] does before it returns.
    pub fn new(live: Arc<Live>, observer: Arc<Observer>) -> Self {
        Self { live, observer, draining: Arc::default() }
    }

    /// From now on the gateway is not ready: a balancer sends it nothing more while it finishes what it has.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The three routes.
    pub fn router(self) -> axum::Router {
        use axum::routing::get;
        axum::Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// Whether the process runs. Says nothing about whether it should be sent traffic.
pub async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether the gateway should be sent traffic, and with which policy it answers.
///
/// A refused reload leaves it ready, since the old policy answers, and is told in `refused`. It is not ready while it ends,
/// or while a required audit log cannot be written.
pub async fn ready(State(probes): State<Probes>) -> Response {
    let audit = probes.observer.audit().map(|audit| audit.status());
    let blocked = audit.is_some_and(|audit| audit.required && audit.failing);
    let draining = probes.draining.load(Ordering::Relaxed);
    let status = match (draining, blocked) {
        (true, _) => "draining",
        (false, true) => "audit_failing",
        (false, false) => "ready",
    };
    let mut body = json!({"status": status});
    if let (Some(out), Value::Object(about)) = (body.as_object_mut(), probes.live.status()) {
        out.extend(about);
        if let Some(shadow) = probes.observer.shadow() {
            let mut about = shadow.live().status();
            if let Some(about) = about.as_object_mut() {
                about.insert("pending".into(), shadow.pending().into());
            }
            out.insert("shadow".into(), about);
        }
        if let Some(AuditStatus { queued, written, lost, failing, required }) = audit {
            let audit = json!({
                "queued": queued, "written": written, "lost": lost, "failing": failing, "required": required,
            });
            out.insert("audit".into(), audit);
        }
    }
    let status = if draining || blocked { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(body)).into_response()
}

/// All numbers, for Prometheus.
pub async fn metrics(State(probes): State<Probes>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], probes.observer.metrics().encode()).into_response()
}
