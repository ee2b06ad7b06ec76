//! Policy → **`.blp` bytes** and back.
//!
//! ```text
//! magic "BLP" + format version (4) | content length, little endian (8) | BLAKE3 of the content (32) | content
//! ```
//! The content is the policy in `postcard` form. It is loaded as untrusted input: limits first, then the hash, then
//! decoding, then every index, every bound and every condition is checked before anything uses it.

mod check;

use crate::policy::{Policy, PolicyData};

/// The first bytes of an artifact.
pub const MAGIC: [u8; 3] = *b"BLP";
/// The version of the format. A change of the format, or of what any part of it means, raises it.
pub const FORMAT_VERSION: u8 = 4;
/// The largest artifact that is loaded, in bytes.
pub const MAX_ARTIFACT_BYTES: usize = 64 << 20;

const HEADER: usize = 4 + 8 + 32;

/// Why bytes are not a usable artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Larger than [`MAX_ARTIFACT_BYTES`].
    #[error("the artifact has {0} bytes; at most {MAX_ARTIFACT_BYTES} are loaded")]
    TooLarge(usize),
    /// The first bytes are not those of an artifact.
    #[error("not a compiled policy: the first bytes are not `BLP`")]
    NotAnArtifact,
    /// Written by another version.
    #[error(
        "the artifact has format version {0}, this build reads {FORMAT_VERSION}: compile the policy again"
    )]
    Version(u8),
    /// Bytes are missing or left over.
    #[error("the artifact holds {found} bytes of content, its header says {expected}")]
    Length {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: usize,
    },
    /// The content is not what was written.
    #[error("the artifact is damaged: its content does not have the hash in its header")]
    Hash,
    /// The content cannot be decoded.
    #[error("the artifact cannot be decoded: {0}")]
    Decode(String),
    /// The content refers to something it does not hold.
    #[error("the artifact is not valid: {0}")]
    Invalid(String),
}

fn content(data: &PolicyData) -> Vec<u8> {
    // Writing to a growing vector cannot fail: every length is known and no type of the policy refuses to be written.
    postcard::to_stdvec(data).unwrap_or_default()
}

/// Stamps compiled content with its hash.
pub(crate) fn seal(data: PolicyData) -> Policy {
    let hash = blake3::hash(&content(&data)).to_hex().to_string();
    Policy::from_checked(data, hash)
}

/// Writes a policy.
pub fn encode(policy: &Policy) -> Vec<u8> {
    let content = content(policy.data());
    let mut out = Vec::with_capacity(HEADER + content.len());
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT_VERSION);
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    out.extend_from_slice(blake3::hash(&content).as_bytes());
    out.extend_from_slice(&content);
    out
}

/// Reads a policy from untrusted bytes.
///
/// # Errors
/// If the bytes are too large, are no artifact of this version, are damaged, or hold a policy that refers to what is not
/// there. No input makes it panic, and it takes memory in proportion to the input.
pub fn decode(bytes: &[u8]) -> Result<Policy, ArtifactError> {
    if bytes.len() > MAX_ARTIFACT_BYTES {
        return Err(ArtifactError::TooLarge(bytes.len()));
    }
    let rest = bytes.strip_prefix(&MAGIC).ok_or(ArtifactError::NotAnArtifact)?;
    let (&version, rest) = rest.split_first().ok_or(ArtifactError::NotAnArtifact)?;
    if version != FORMAT_VERSION {
        return Err(ArtifactError::Version(version));
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or(ArtifactError::NotAnArtifact)?;
    let (hash, content) = rest.split_first_chunk::<32>().ok_or(ArtifactError::NotAnArtifact)?;
    let expected = u64::from_le_bytes(*length);
    if expected != content.len() as u64 {
        return Err(ArtifactError::Length { expected, found: content.len() });
    }
    let actual = blake3::hash(content);
    if actual.as_bytes() != hash {
        return Err(ArtifactError::Hash);
    }
    let data = decode_content(content)?;
    Ok(Policy::from_checked(data, actual.to_hex().to_string()))
}

/// Decodes and checks the content, past the header. Fuzzed on its own, so that the hash does not stand in the way.
#[doc(hidden)]
pub fn decode_content(content: &[u8]) -> Result<PolicyData, ArtifactError> {
    let (data, rest) = postcard::take_from_bytes::<PolicyData>(content)
        .map_err(|error| ArtifactError::Decode(error.to_string()))?;
    if !rest.is_empty() {
        return Err(ArtifactError::Decode(format!("{} bytes are left over", rest.len())));
    }
    check::check(&data).map_err(ArtifactError::Invalid)?;
    Ok(data)
}
