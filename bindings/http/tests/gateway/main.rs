//! The gateway against an upstream that misbehaves, byte by byte.

#![allow(unreachable_pub, reason = "the support modules serve examples and benchmarks as well")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test may panic"
)]

mod corpus;
mod endpoints;
mod faults;
mod json;
mod models;
mod streams;
mod support;
