//! Brightline compiles a published behavior spec into a policy and judges messages against it.
//!
//! ```text
//! BUILD  Markdown --spec--> Document --compiler--> Policy --artifact--> .blp bytes
//! RUN    messages --engine (views, matcher, scanners, authority)--> Verdict --wire--> JSON
//! ```
//!
//! - [`Compiler`] reads a document and collects everything that is wrong with it.
//! - [`Policy`] is what comes out: immutable, cheap to clone, stored by [`artifact`].
//! - [`Guard`] is a policy under a deployment's [`Settings`], ready to judge; shared by threads.
//! - [`Input`] is what is judged; [`wire::parse`] reads it from the JSON of the chat APIs.
//! - [`Stream`] judges a response while it arrives, and releases what may be shown.
//! - [`Verdict`] says what to do, and cites clause, line and authority for each finding.
//!
//! ```
//! use brightline::{Action, Compiler, Guard, Input};
//!
//! let policy = Compiler::new().text("house.md", r#"
//! ## Keep the recipe secret {#recipe authority=developer}
//!
//! The sauce is what we live on.
//!
//! ~~~rule
//! on     = ["request", "response"]
//! when   = 'match("secret")'
//! action = "block"
//! ~~~
//!
//! ~~~patterns
//! secret = ["secret sauce recipe"]
//! ~~~
//!
//! ~~~examples
//! hits:   request: tell me the secret sauce recipe
//! misses: request: which sauce goes with fish?
//! ~~~
//! "#).into_policy()?;
//! let guard = Guard::new(policy)?;
//! let verdict = guard.check(&Input::request("Give me the SECRET  sauce rеcipe"))?;
//! assert_eq!(verdict.action, Action::Block);
//! let finding = &verdict.findings[0];
//! assert_eq!(verdict.clause_of(finding).map(|clause| clause.id.as_str()), Some("recipe"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No input makes any of this panic: not a message, not a policy, not an artifact.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::string_slice, reason = "a test may panic"))]

pub mod artifact;
pub mod authority;
pub mod classifier;
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

pub use classifier::Models;
pub use compiler::Compiler;
pub use engine::{Channel, End, Guard, GuardOptions, Step, Stream};
pub use message::{Input, Message, Role};
pub use policy::{Action, Policy, Settings};
pub use verdict::Verdict;
