//! Brightline compiles a published behavior spec into a policy and judges messages against it.
#![forbid(unsafe_code)]

pub mod authority;
pub mod diagnostic;
pub mod engine;
pub mod span;
