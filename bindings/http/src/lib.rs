//! Brightline in front of a chat endpoint: a [`tower::Layer`] that judges what goes in and out, and the gateway built on it.
//!
//! ```text
//! client --> GuardLayer: read, judge --> upstream --> read, judge, release --> client
//! ```
#![forbid(unsafe_code)]

pub mod ops;
