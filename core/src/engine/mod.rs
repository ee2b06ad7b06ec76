//! The run-time half: detectors read the text views of a message and report what they find, and where.

mod anchor;
mod checksum;
pub mod found;
pub mod personal;
pub mod secrets;

#[cfg(test)]
mod testdata;
