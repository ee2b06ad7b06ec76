//! What leaves the stream: text with placeholders where findings ask for them.

use crate::engine::redact::Redactable;

/// A place in the stream's text with what is shown instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replaced {
    start: usize,
    end: usize,
    placeholder: &'static str,
}

/// How far the text was released, and what of it was replaced.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// Everything before it was.
    pub end: usize,
    /// The replaced places, as far back as findings are told of.
    replaced: Vec<(usize, usize)>,
}

/// How many replaced places are remembered.
const REMEMBERED: usize = 1 << 16;

impl Released {
    /// Releases the text up to `limit`, or up to the place before it that is not over by then. `text` is what follows
    /// what was released; `places` are those of findings.
    pub(super) fn advance(&mut self, text: &str, limit: usize, places: &mut Vec<Redactable>) -> String {
        let mut out = String::new();
        places.retain(|place| place.span.end as usize > self.end);
        places.sort_by_key(|place| (place.span.start, std::cmp::Reverse(place.span.end)));
        let mut limit = limit;
        let mut at = self.end;
        for place in merged(places) {
            if place.start >= limit {
                break;
            }
            if place.end > limit {
                limit = place.start.max(at);
                break;
            }
            // What was let go of before the finding cannot be taken back.
            let start = place.start.max(at);
            out.push_str(text.get(at - self.end..start - self.end).unwrap_or(""));
            out.push_str(place.placeholder);
            at = place.end;
            if place.start >= self.end && self.replaced.len() < REMEMBERED {
                self.replaced.push((place.start, place.end));
            }
        }
        out.push_str(text.get(at - self.end..limit.max(at) - self.end).unwrap_or(""));
        self.end = limit.max(at);
        out
    }

    /// Whether some of this text was shown.
    pub(super) fn shows(&self, start: usize, end: usize) -> bool {
        let hidden = self.replaced.iter().any(|&(from, to)| from <= start && end <= to);
        start < self.end && !hidden && self.replaced.len() < REMEMBERED
    }
}

/// Overlapping places are one, with the placeholder of the first.
fn merged(places: &[Redactable]) -> impl Iterator<Item = Replaced> {
    let mut rest = places.iter().peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let (start, mut end) = (first.span.start, first.span.end);
        while let Some(next) = rest.next_if(|next| next.span.start < end) {
            end = end.max(next.span.end);
        }
        Some(Replaced { start: start as usize, end: end as usize, placeholder: first.placeholder })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;
    use crate::verdict::Field;

    fn place(start: usize, end: usize, placeholder: &'static str) -> Redactable {
        Redactable { field: Field::Content, part: None, span: Span::new(start, end), placeholder }
    }

    #[test]
    fn a_place_is_shown_by_its_placeholder_once_it_is_over() {
        let places = || vec![place(5, 7, "[x]"), place(6, 9, "[y]"), place(12, 14, "[z]")];
        let mut released = Released::default();
        let text = "call abcd at ef now";
        assert_eq!(released.advance(text, 8, &mut places()), "call ");
        assert_eq!((released.end, released.shows(5, 9)), (5, false));
        assert_eq!(released.advance(&text[5..], 13, &mut places()), "[x] at");
        assert_eq!(released.advance(&text[12..], 19, &mut places()), "[z] now".replace("[z] ", "[z]f "));
        assert!(released.shows(0, 2) && !released.shows(12, 14));
    }
}
