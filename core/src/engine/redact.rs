//! Putting placeholders where the evidence was.

use crate::message::{Message, Part};
use crate::span::Span;
use crate::verdict::{Field, Redaction};

/// One place to redact, in the original text of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redactable {
    pub field: Field,
    pub part: Option<u32>,
    pub span: Span,
    pub placeholder: &'static str,
}

/// The texts of the message that hold something to redact, with placeholders in place of it.
pub(crate) fn apply(message: &Message<'_>, mut places: Vec<Redactable>) -> Vec<Redaction> {
    if places.is_empty() {
        return Vec::new();
    }
    places.sort_unstable_by_key(|place| {
        (place.field, place.part, place.span.start, std::cmp::Reverse(place.span.end))
    });
    message
        .parts
        .iter()
        .filter_map(|part| {
            let (field, at, text) = match part {
                Part::Text { text, at } | Part::ToolResult { text, at } => (Field::Content, *at, text),
                Part::Reasoning { text, at } => (Field::Reasoning, *at, text),
                Part::ToolCall { arguments, at, .. } => (Field::ToolCalls, Some(*at), arguments),
                Part::Unjudged { .. } => return None,
            };
            let from = places.partition_point(|place| (place.field, place.part) < (field, at));
            let here =
                places.get(from..)?.iter().take_while(|place| (place.field, place.part) == (field, at));
            let mut here = here.peekable();
            here.peek()?;
            Some(Redaction { field, part: at, text: replace(text, here) })
        })
        .collect()
}

/// Replaces the spans, in order of their starts. Overlapping ones become one placeholder: the first.
fn replace<'a>(text: &str, places: impl Iterator<Item = &'a Redactable>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0usize;
    for place in places {
        let span = place.span.range();
        if span.start >= end {
            out.push_str(text.get(end..span.start).unwrap_or(""));
            out.push_str(place.placeholder);
        }
        end = end.max(span.end);
    }
    out.push_str(text.get(end..).unwrap_or(""));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Role;

    #[test]
    fn overlapping_places_become_one_placeholder() {
        let message = Message::text(Role::Assistant, "call ab at cd now");
        let place = |start, end, placeholder| Redactable {
            field: Field::Content,
            part: None,
            span: Span::new(start, end),
            placeholder,
        };
        let places = vec![place(11, 13, "[y]"), place(5, 7, "[x]"), place(6, 7, "[z]")];
        let redacted = apply(&message, places);
        assert_eq!(redacted.len(), 1);
        assert_eq!(redacted[0].text, "call [x] at [y] now");
        assert_eq!(apply(&message, Vec::new()), []);
    }
}
