//! The run-time half: detectors read the text views of a message and report what they find, and where.
//!
//! ```text
//! message -> fields -> text views -> matcher, scanners -> atoms -> rules -> authority -> Verdict
//! ```

mod anchor;
mod checksum;
pub mod found;
mod guard;
mod judge;
pub(crate) mod matcher;
pub mod personal;
pub(crate) mod program;
pub(crate) mod provenance;
mod redact;
mod scan;
pub(crate) mod scores;
pub mod secrets;
mod stream;
#[cfg(test)]
mod testdata;
pub(crate) mod text;
mod tools;
pub mod views;

pub use guard::{CheckError, Guard, GuardError, GuardOptions};
pub use provenance::Provenance;
pub use scores::SurfaceScores;
pub use stream::{Channel, End, Step, Stream};
