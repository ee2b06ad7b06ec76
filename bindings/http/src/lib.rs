//! Brightline in front of a chat endpoint: a [`tower::Layer`] that judges what goes in and out, and the gateway built on it.
//!
//! ```text
//! client -> request: api, fields -> judge -> upstream -> answer: api, or relay (sse, flow) -> judge -> client
//! ```
//!
//! - [`GuardLayer`] goes around any service that speaks one of the [`Api`]s.
//! - [`Gateway`] is the whole of `brightline serve`: the layer in front of an [`Upstream`], with endpoints of its own.
//! - [`Failure`] is everything that can go wrong; what is done about each is in `docs/gateway.md`.
//!
//! A response is polled for: nothing is read before the client wants more, and no task outlives its client.
#![forbid(unsafe_code)]

mod answer;
mod api;
mod ask;
mod config;
mod conversation;
mod decode;
mod failure;
mod fields;
mod flow;

mod json;
mod judge;
mod layer;
pub mod ops;
mod relay;
mod reply;
mod routes;
mod server;
mod sse;
mod stalls;
mod upstream;

pub use api::Api;
pub use config::{CONTEXT_HEADER, Config, Deadlines, Judged, Limits, OnError};
pub use failure::Failure;
pub use layer::{ACTION_HEADER, CLAUSES_HEADER, GuardLayer, GuardService, ID_HEADER, NOT_JUDGED_HEADER};
pub use server::{Gateway, ServeError};
pub use upstream::{Upstream, UpstreamError};
