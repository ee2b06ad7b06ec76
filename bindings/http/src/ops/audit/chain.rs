//! The form of an audit log, and its verification.
//!
//! ```text
//! {"seq":7,"time":"…","prev":"<hash of line 6>","event":"decision",…,"hash":"<hash of this line>"}
//! ```
//! A line's hash is BLAKE3 over its bytes before `,"hash"`, so the bytes in the file are the canonical bytes: nothing has to
//! be parsed and written again to verify them. The first line of a chain has number 0 and a `prev` of zeros.

use blake3::Hash;
use serde::de::IgnoredAny;
use std::io::BufRead;

/// The longest line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 20;

const HASH: &[u8] = b",\"hash\":\"";
const HEX: usize = 64;
/// `,"hash":"` + 64 digits + `"}`.
const TAIL: usize = HASH.len() + HEX + 2;

/// Where a chain stands: what the next line must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The number of the next line; `None` where only the head is known.
    pub next: Option<u64>,
    /// The hash of the last line; zeros before the first.
    pub head: Hash,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next: Some(0), head: Hash::from_bytes([0; 32]) }
    }
}

impl Chain {
    /// What follows a line of which only the hash is known: the last line of an earlier file.
    pub fn after(head: Hash) -> Self {
        Self { next: None, head }
    }

    /// The same, for a hash in 64 lower-case hexadecimal digits; `None` for anything else.
    pub fn after_hex(head: &str) -> Option<Self> {
        digest(head.as_bytes()).map(Self::after)
    }

    /// The hash of the last line, in hexadecimal digits.
    pub fn head_hex(&self) -> String {
        self.head.to_hex().to_string()
    }

    /// Appends a line to `out`. `members` are those of a JSON object, without its braces.
    pub(super) fn append(&mut self, time: &str, members: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let Self { next, head } = *self;
        let next = next.unwrap_or(0);
        out.extend_from_slice(
            format!("{{\"seq\":{next},\"time\":\"{time}\",\"prev\":\"{}\",", head.to_hex()).as_bytes(),
        );
        out.extend_from_slice(members);
        let hash = blake3::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(HASH);
        out.extend_from_slice(hash.to_hex().as_bytes());
        out.extend_from_slice(b"\"}\n");
        *self = Self { next: Some(next + 1), head: hash };
    }
}

/// Why a line does not continue a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file ends within a line.
    #[error("the line is cut off: it does not end in a line break")]
    Torn,
    /// Longer than any line that is written.
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Not in the form of an audit line.
    #[error("not a line of an audit log")]
    Form,
    /// The content does not have the hash that the line gives.
    #[error("the content of the line does not have the hash it gives: the line was changed")]
    Hash,
    /// Lines are missing, or stand twice or elsewhere.
    #[error("the line has number {found}, and {expected} comes next: lines were removed, added or moved")]
    Number {
        /// What follows from the line before.
        expected: u64,
        /// What the line says.
        found: u64,
    },
    /// The line before is not the one this line was written after.
    #[error("the line follows another line than the one before it: its `prev` is {found}, not {expected}")]
    Previous {
        /// The hash of the line before.
        expected: String,
        /// What the line says.
        found: String,
    },
}

/// A chain that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {flaw}")]
pub struct Break {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// Why a file cannot be called verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It can, and does not hold.
    #[error(transparent)]
    Broken(#[from] Break),
}

/// What a line says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub seq: u64,
    pub prev: Hash,
    pub hash: Hash,
}

/// Reads one line, without its line break, and checks it against its own hash.
pub(super) fn link(line: &[u8]) -> Result<Link, Flaw> {
    let (content, tail) =
        line.len().checked_sub(TAIL).and_then(|at| line.split_at_checked(at)).ok_or(Flaw::Form)?;
    let written = tail.strip_prefix(HASH).and_then(|rest| rest.strip_suffix(b"\"}")).ok_or(Flaw::Form)?;
    let hash = blake3::hash(content);
    if hash.to_hex().as_bytes() != written {
        return Err(if digest(written).is_some() { Flaw::Hash } else { Flaw::Form });
    }
    let place = || {
        let rest = content.strip_prefix(b"{\"seq\":")?;
        let comma = rest.iter().position(|byte| *byte == b',')?;
        let (seq, rest) = rest.split_at_checked(comma)?;
        let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
        let rest = rest.strip_prefix(b",\"time\":\"")?;
        let quote = rest.iter().position(|byte| *byte == b'"')?;
        let rest = rest.split_at_checked(quote)?.1.strip_prefix(b"\",\"prev\":\"")?;
        let (prev, rest) = rest.split_at_checked(HEX)?;
        rest.strip_prefix(b"\",")?;
        Some((seq, digest(prev)?))
    };
    let (seq, prev) = place().ok_or(Flaw::Form)?;
    serde_json::from_slice::<IgnoredAny>(line).map_err(|_| Flaw::Form)?;
    Ok(Link { seq, prev, hash })
}

/// Sixty-four lower-case hexadecimal digits.
fn digest(digits: &[u8]) -> Option<Hash> {
    let hash = Hash::from_hex(digits).ok()?;
    (hash.to_hex().as_bytes() == digits).then_some(hash)
}

/// Verifies the lines of one file, moves `chain` on to its end, where the next file continues, and says how many lines hold.
///
/// # What does success mean?
/// Every line is one that was written after the line before it, from `chain` on, and none is missing in between. Whether
/// lines are missing at the *end* cannot be seen: compare the head with one that was noted elsewhere.
///
/// # Errors
/// At the first line that does not follow, or if reading fails.
pub fn verify(mut file: impl BufRead, chain: &mut Chain) -> Result<u64, VerifyError> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = std::io::Read::take(&mut file, limit).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(number - 1);
        }
        let flaw = |flaw| Break { line: number, flaw };
        let Some(content) = line.strip_suffix(b"\n") else {
            return Err(flaw(if read as u64 == limit { Flaw::TooLong } else { Flaw::Torn }).into());
        };
        let Link { seq, prev, hash } = link(content).map_err(flaw)?;
        if let Some(expected) = chain.next.filter(|expected| *expected != seq) {
            return Err(flaw(Flaw::Number { expected, found: seq }).into());
        }
        if prev != chain.head {
            let (expected, found) = (chain.head.to_hex().to_string(), prev.to_hex().to_string());
            return Err(flaw(Flaw::Previous { expected, found }).into());
        }
        *chain = Chain { next: seq.checked_add(1), head: hash };
    }
    Ok(u64::MAX)
}
