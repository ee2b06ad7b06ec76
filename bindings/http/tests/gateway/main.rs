//! The gateway against an upstream that misbehaves, byte by byte.

mod endpoints;
mod faults;
mod json;
mod streams;
mod support;
