//! What a document consists of.

use super::attributes::Attributes;
use super::example::Example;
use crate::span::{Source, Span};
use std::sync::Arc;

/// A parsed document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text it was parsed from.
    pub source: Arc<Source>,
    /// The TOML between two `+++` lines at the top.
    pub front_matter: Option<Block>,
    /// The headings, in order, each with what stands under it up to the next heading.
    pub sections: Vec<Section>,
}

/// A stretch of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its bytes.
    pub span: Span,
    /// Its first line.
    pub line: u32,
}

/// A heading and what stands under it.
#[derive(Clone, Debug)]
pub struct Section {
    /// 1 for `#`, 6 for `######`.
    pub depth: u8,
    /// The heading as plain text.
    pub title: String,
    /// The attributes in braces at its end.
    pub attributes: Attributes,
    /// The bytes of the heading line.
    pub heading: Span,
    /// The line of the heading.
    pub line: u32,
    /// The last line before the next heading.
    pub end_line: u32,
    /// The index of the section this one stands under.
    pub parent: Option<usize>,
    /// The first paragraph of prose, as plain text.
    pub rationale: String,
    /// Fenced blocks.
    pub fences: Vec<Fence>,
    /// Examples in the Model Spec's form.
    pub examples: Vec<Example>,
    /// Footnote references.
    pub footnotes: Vec<Footnote>,
    /// References to other sections.
    pub references: Vec<Reference>,
}

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The first word after the fence.
    pub info: String,
    /// The body: exactly the source under `span`.
    pub text: String,
    /// The bytes of the body.
    pub span: Span,
    /// The line of the opening fence.
    pub line: u32,
}

/// A footnote reference such as `[^zyu5]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footnote {
    /// The id without its marks.
    pub id: String,
    /// Where it stands.
    pub span: Span,
}

/// A reference to another section: `[text](#id)`, or `[?](#id)`, which stands for the section's title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The id it points to.
    pub target: String,
    /// Where it stands.
    pub span: Span,
    /// Whether it asks for the section's title.
    pub by_title: bool,
}

impl Document {
    /// The section with this id.
    pub fn section(&self, id: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.attributes.id.as_ref().is_some_and(|it| it.value == id))
    }

    /// The sections that name an authority.
    pub fn clauses(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.attributes.get("authority").is_some())
    }

    /// The text of some lines, counted from 1, both ends included; `None` where they do not all exist.
    pub fn lines(&self, first: u32, last: u32) -> Option<&str> {
        if first > last || last > self.source.line_count() {
            return None;
        }
        let (first, last) = (self.source.line_span(first)?, self.source.line_span(last)?);
        self.source.text().get(first.start as usize..last.end as usize)
    }
}

/// Eight hexadecimal digits that change when the text does; white space does not count.
pub fn fingerprint(text: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in text.split_whitespace() {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
    hasher.finalize().to_hex().chars().take(8).collect()
}
