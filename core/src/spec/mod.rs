//! Markdown → **`Document`**: headings with attributes, prose, fences, examples, footnotes and references.
//!
//! Nothing here knows what an authority or a rule is; it finds where things stand.

mod attributes;
mod document;
mod example;
mod parse;

pub use attributes::{Attributes, Spanned};
pub use document::{Block, Document, Fence, Footnote, Reference, Section, fingerprint};
pub use example::{Example, Judgment, Label, Turn};
pub use parse::{MAX_SOURCE_BYTES, Parsed, parse};
