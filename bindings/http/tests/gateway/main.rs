//! The gateway against an upstream that misbehaves, byte by byte.

#![allow(unreachable_pub, reason = "the support modules serve examples and benchmarks as well")]

mod endpoints;
mod faults;
mod json;
mod streams;
mod support;
