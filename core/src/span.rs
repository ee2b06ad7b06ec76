//! Places in source text: byte ranges, and the lines they stand on.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A half-open range of bytes in one source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span from byte offsets; offsets past 4 GiB saturate (sources are limited far below that).
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end.max(start)) }
    }

    /// The span as a range for slicing.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether the span holds no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The same range moved right by `by` bytes.
    #[must_use]
    pub fn shifted(self, by: usize) -> Self {
        Self::new(self.start as usize + by, self.end as usize + by)
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

/// A source text with its name and an index of its lines.
#[derive(Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

/// The name and the size; the text would bury everything around it.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

impl Source {
    /// Indexes `text`. The name is what diagnostics show, usually a path.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| Span::new(at + 1, at + 1).start))
            .collect();
        Self { name: name.into(), text, line_starts }
    }

    /// The name given to [`Source::new`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte offset, counted from 1. An offset past the end belongs to the last line.
    pub fn line_of(&self, offset: usize) -> u32 {
        let at = Span::new(offset, offset).start;
        u32::try_from(self.line_starts.partition_point(|&start| start <= at)).unwrap_or(u32::MAX)
    }

    /// How many lines the text has; a final line break does not open another.
    pub fn line_count(&self) -> u32 {
        self.line_of(self.text.len().saturating_sub(1))
    }

    /// The bytes of a line counted from 1, with its line break.
    pub fn line_span(&self, line: u32) -> Option<Span> {
        let at = (line as usize).checked_sub(1)?;
        let start = *self.line_starts.get(at)? as usize;
        let end = self.line_starts.get(at + 1).map_or(self.text.len(), |&next| next as usize);
        Some(Span::new(start, end))
    }

    /// The text of a span, or `""` where it does not lie on character boundaries of this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one_and_cover_the_text() {
        let source = Source::new("a.md", "one\ntwo\r\nthree");
        assert_eq!(source.line_count(), 3);
        let lines: Vec<_> = (1..=3).map(|n| source.slice(source.line_span(n).unwrap())).collect();
        assert_eq!(lines, ["one\n", "two\r\n", "three"]);
        assert_eq!(
            (source.line_of(0), source.line_of(3), source.line_of(4), source.line_of(999)),
            (1, 1, 2, 3)
        );
        assert_eq!(source.line_span(0), None);
        assert_eq!(source.line_span(4), None);
        assert_eq!(Source::new("b", "x\n").line_count(), 1);
    }
}
