//! The run-time half: detectors read the text views of a message and report what they find, and where.

pub mod anchor;
pub mod checksum;
pub mod found;
pub mod personal;
pub mod secrets;
