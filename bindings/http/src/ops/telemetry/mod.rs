//! Structured logs, and traces and events for OpenTelemetry.
//!
//! Neither holds message text, headers or credentials: what they hold is listed in `docs/operations.md`.

#[cfg_attr(feature = "otel", path = "enabled.rs")]
#[cfg_attr(not(feature = "otel"), path = "disabled.rs")]
pub mod exporter;
pub mod logs;
pub mod names;
pub mod trace;
