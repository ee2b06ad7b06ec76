//! Brightline compiles a published behavior spec into a policy and judges messages against it.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::string_slice, reason = "a test may panic"))]

pub mod artifact;
pub mod authority;
pub mod compiler;
pub mod diagnostic;
pub mod engine;
pub mod message;
pub mod policy;
pub mod span;
pub mod spec;
mod suggest;
pub mod verdict;
pub mod wire;

pub use compiler::Compiler;
pub use engine::{Guard, GuardOptions};
pub use message::{Input, Message, Role};
pub use policy::{Action, Policy, Settings};
pub use verdict::Verdict;
