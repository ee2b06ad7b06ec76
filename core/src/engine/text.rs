//! The text of one field of a message, with the way back to the pieces it was put together from.

use crate::span::Span;
use std::borrow::Cow;

/// A field's text as one string. Content blocks are joined by line breaks; JSON escapes are resolved.
#[derive(Debug, Default)]
pub(crate) struct FieldText {
    joined: String,
    runs: Vec<Run>,
}

/// From `out` on, the text is that of `part` from `at` on, byte for byte.
#[derive(Clone, Copy, Debug)]
struct Run {
    out: u32,
    part: Option<u32>,
    at: u32,
    /// The run stands for something of another length: an escape, or the break between two parts.
    opaque: bool,
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl FieldText {
    /// Starts over.
    pub(crate) fn clear(&mut self) {
        self.joined.clear();
        self.runs.clear();
    }

    /// Adds a content block.
    pub(crate) fn push(&mut self, text: &str, part: Option<u32>) {
        self.separate(part);
        self.runs.push(Run { out: small(self.joined.len()), part, at: 0, opaque: false });
        self.joined.push_str(text);
    }

    /// A line break between two parts, which belongs to neither.
    fn separate(&mut self, part: Option<u32>) {
        if !self.runs.is_empty() {
            self.runs.push(Run { out: small(self.joined.len()), part, at: 0, opaque: true });
            self.joined.push('\n');
        }
    }

    /// Adds JSON text with its string escapes resolved, so that patterns see what the tool will see.
    pub(crate) fn push_json(&mut self, json: &str, part: Option<u32>) {
        self.separate(part);
        let mut rest = json;
        let mut at = 0usize;
        self.runs.push(Run { out: small(self.joined.len()), part, at: 0, opaque: false });
        while let Some(plain) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (before, escape) = rest.split_at_checked(plain).unwrap_or((rest, ""));
            self.joined.push_str(before);
            at += plain;
            let (decoded, len) = unescape(escape);
            self.runs.push(Run { out: small(self.joined.len()), part, at: small(at), opaque: true });
            self.joined.push(decoded);
            at += len;
            self.runs.push(Run { out: small(self.joined.len()), part, at: small(at), opaque: false });
            rest = escape.get(len..).unwrap_or("");
        }
        self.joined.push_str(rest);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.joined
    }

    /// The original places of a span: one for each part it touches.
    pub(crate) fn to_original(&self, span: Span) -> impl Iterator<Item = (Option<u32>, Span)> {
        let first = self.runs.partition_point(|run| run.out <= span.start).saturating_sub(1);
        let mut places: Vec<(Option<u32>, Span)> = Vec::new();
        for (index, run) in self.runs.iter().enumerate().skip(first) {
            if run.out >= span.end.max(span.start + 1) {
                break;
            }
            let run_end = self.runs.get(index + 1).map_or(small(self.joined.len()), |next| next.out);
            let (from, to) = (span.start.max(run.out), span.end.min(run_end));
            let separator = run.opaque && self.runs.get(index + 1).is_some_and(|next| next.at == 0);
            if separator || (from >= to && !span.is_empty()) {
                continue;
            }
            let original = if run.opaque {
                let end = self.runs.get(index + 1).map_or(run.at, |next| next.at);
                Span { start: run.at, end }
            } else {
                Span { start: run.at + (from - run.out), end: run.at + (to.max(from) - run.out) }
            };
            match places.last_mut() {
                Some((part, last)) if *part == run.part && last.end >= original.start => {
                    last.end = original.end
                }
                _ => places.push((run.part, original)),
            }
        }
        places.into_iter()
    }
}

/// Decodes the escape at the start of `text`; what is no escape stands for itself.
fn unescape(text: &str) -> (char, usize) {
    let code = |from: usize| text.get(from..from + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match text.as_bytes().get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b' | b'f') => (' ', 2),
        Some(b @ (b'"' | b'\\' | b'/')) => (char::from(*b), 2),
        Some(b'u') => match code(2) {
            Some(high @ 0xD800..=0xDBFF) if text.get(6..8) == Some("\\u") => match code(8) {
                Some(low @ 0xDC00..=0xDFFF) => {
                    let value = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    (char::from_u32(value).unwrap_or('\u{FFFD}'), 12)
                }
                _ => ('\u{FFFD}', 6),
            },
            Some(value) => (char::from_u32(value).unwrap_or('\u{FFFD}'), 6),
            None => ('\\', 1),
        },
        _ => ('\\', 1),
    }
}

/// The text that is judged: borrowed where the field is one plain string.
pub(crate) enum Judged<'a> {
    Plain(&'a str, Option<u32>),
    Joined(&'a FieldText),
}

impl<'a> Judged<'a> {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Plain(text, _) => text,
            Self::Joined(field) => field.as_str(),
        }
    }

    pub(crate) fn places(&self, span: Span) -> Cow<'static, [(Option<u32>, Span)]> {
        match self {
            Self::Plain(_, part) => Cow::Owned(vec![(*part, span)]),
            Self::Joined(field) => Cow::Owned(field.to_original(span).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_spans_find_their_way_back() {
        let mut field = FieldText::default();
        field.push("nerve", Some(0));
        field.push("agent x", Some(2));
        assert_eq!(field.as_str(), "nerve\nagent x");
        let places: Vec<_> = field.to_original(Span::new(0, 11)).collect();
        assert_eq!(places, [(Some(0), Span::new(0, 5)), (Some(2), Span::new(0, 5))]);
    }

    #[test]
    fn json_escapes_are_resolved_with_their_places() {
        let json = r#"{"cmd":"r\u006d -rf \"x\"","e":"\ud83d\ude00!","bad":"\q"}"#;
        let mut field = FieldText::default();
        field.push_json(json, Some(0));
        assert_eq!(field.as_str(), "{\"cmd\":\"rm -rf \"x\"\",\"e\":\"😀!\",\"bad\":\"\\q\"}");
        let found = field.as_str().find("rm -rf").unwrap();
        let places: Vec<_> = field.to_original(Span::new(found, found + 6)).collect();
        assert_eq!(&json[places[0].1.range()], "r\\u006d -rf");
        let face = field.as_str().find('😀').unwrap();
        let places: Vec<_> = field.to_original(Span::new(face, face + 4)).collect();
        assert_eq!(&json[places[0].1.range()], "\\ud83d\\ude00");
    }
}
