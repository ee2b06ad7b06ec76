//! Which parts of a text carry no authority: quotes, fenced blocks, `<untrusted>` blocks, and whatever tools gave back.

use crate::message::Surface;
use crate::span::Span;
use serde::Serialize;

/// Why a part of a text carries no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Provenance {
    /// It came from a tool.
    Tool,
    /// It stands in an `<untrusted>` block.
    Untrusted,
    /// It is quoted: in quotation marks, a block quote or a fenced block.
    Quoted,
}

/// The shortest quotation in quotation marks that counts as quoted text rather than as a name, in bytes.
const MIN_QUOTE: usize = 12;
/// The longest quotation in quotation marks; an unbalanced mark ends nothing.
const MAX_QUOTE: usize = 4096;

/// Finds the parts of `text` without authority, in order and without overlaps.
pub(crate) fn regions(text: &str, surface: Surface, out: &mut Vec<(Span, Provenance)>) {
    out.clear();
    if surface == Surface::ToolResult {
        out.push((Span::new(0, text.len()), Provenance::Tool));
        return;
    }
    tagged(text, out);
    lines(text, out);
    quotes(text, out);
    out.sort_unstable_by_key(|(span, provenance)| (span.start, *provenance as u8));
    let mut end = 0;
    out.retain_mut(|(span, _)| {
        span.start = span.start.max(end);
        end = end.max(span.end);
        !span.is_empty()
    });
}

/// The provenance of the largest part of `span`, if it lies in such parts at all.
pub(crate) fn of(regions: &[(Span, Provenance)], span: Span) -> Option<Provenance> {
    let from = regions.partition_point(|(region, _)| region.end <= span.start);
    regions
        .get(from..)?
        .iter()
        .take_while(|(region, _)| region.start < span.end.max(span.start + 1))
        .max_by_key(|(region, _)| region.end.min(span.end).saturating_sub(region.start.max(span.start)))
        .map(|(_, provenance)| *provenance)
}

/// `<untrusted…> … </untrusted…>`; a block that is never closed reaches to the end.
fn tagged(text: &str, out: &mut Vec<(Span, Provenance)>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(open) = find_ignoring_case(bytes, b"<untrusted", at) {
        let Some(body) = memchr::memchr(b'>', bytes.get(open..).unwrap_or_default()).map(|n| open + n + 1)
        else {
            return;
        };
        let close = find_ignoring_case(bytes, b"</untrusted", body).unwrap_or(bytes.len());
        out.push((Span::new(body, close), Provenance::Untrusted));
        at = close.max(body);
    }
}

fn find_ignoring_case(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(b'<', haystack.get(at..)?)?;
        if haystack.get(at..at + needle.len()).is_some_and(|here| here.eq_ignore_ascii_case(needle)) {
            return Some(at);
        }
        at += 1;
    }
}

/// Block quotes and fenced blocks.
fn lines(text: &str, out: &mut Vec<(Span, Provenance)>) {
    if memchr::memchr3(b'>', b'`', b'~', text.as_bytes()).is_none() {
        return;
    }
    let mut fence: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let body = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| body.starts_with(marker));
        match (fence, marker) {
            (None, Some(marker)) => fence = Some((marker, end)),
            (Some((open, from)), Some(marker)) if open == marker => {
                out.push((Span::new(from, start), Provenance::Quoted));
                fence = None;
            }
            (None, None) if body.starts_with('>') => out.push((Span::new(start, end), Provenance::Quoted)),
            _ => {}
        }
    }
    if let Some((_, from)) = fence {
        out.push((Span::new(from, text.len()), Provenance::Quoted));
    }
}

/// A place that a search found and does not look for again until it is passed.
#[derive(Default)]
struct Next(Option<usize>);

impl Next {
    /// The first place at or after `from`; past every text where there is none. `from` never goes back.
    fn after(&mut self, finder: &memchr::memmem::Finder<'_>, text: &str, from: usize) -> usize {
        match self.0 {
            Some(known) if known >= from => known,
            _ => {
                let found = text.as_bytes().get(from..).and_then(|rest| finder.find(rest));
                *self.0.insert(found.map_or(usize::MAX, |n| from + n))
            }
        }
    }
}

/// Quotations in quotation marks of several words, within one paragraph.
fn quotes(text: &str, out: &mut Vec<(Span, Provenance)>) {
    const PAIRS: [(&str, &str); 4] = [("\"", "\""), ("“", "”"), ("«", "»"), ("「", "」")];
    for (open, close) in PAIRS {
        let opens = memchr::memmem::Finder::new(open);
        let closes = memchr::memmem::Finder::new(close);
        let breaks = memchr::memmem::Finder::new("\n\n");
        // The next closing mark and the next end of a paragraph, each looked for once and kept until it is passed.
        let (mut next_close, mut next_break) = (Next::default(), Next::default());
        let mut at = 0;
        while let Some(from) =
            text.as_bytes().get(at..).and_then(|rest| opens.find(rest)).map(|n| at + n + open.len())
        {
            let reach = text.len().min(from + MAX_QUOTE).min(next_break.after(&breaks, text, from));
            let end = next_close.after(&closes, text, from);
            if end.saturating_add(close.len()) > reach {
                at = from;
                continue;
            }
            let window = text.as_bytes().get(from..reach).unwrap_or_default();
            let len = end - from;
            let inner = window.get(..len).unwrap_or_default();
            let many_words = inner.iter().any(u8::is_ascii_whitespace) || open == "「";
            if len >= MIN_QUOTE && many_words {
                out.push((Span::new(from, from + len), Provenance::Quoted));
            }
            at = from + len + close.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, Provenance)> {
        let mut out = Vec::new();
        regions(text, Surface::Request, &mut out);
        out.iter().map(|(span, provenance)| (&text[span.range()], *provenance)).collect()
    }

    #[test]
    fn finds_what_is_quoted() {
        assert_eq!(found("Please say hello"), []);
        assert_eq!(
            found("He said \"go home now please\" twice"),
            [("go home now please", Provenance::Quoted)]
        );
        assert_eq!(found("the \"best\" tool"), [], "a name in quotes is no quotation");
        assert_eq!(found("> one\nmine\n"), [("> one\n", Provenance::Quoted)]);
        assert_eq!(found("a\n```\nx = 1\n```\nb"), [("x = 1\n", Provenance::Quoted)]);
        assert_eq!(
            found("sum up: <UNTRUSTED_text id=1>do evil</untrusted_text> ok"),
            [("do evil", Provenance::Untrusted)]
        );
        assert_eq!(found("<untrusted>never closed"), [("never closed", Provenance::Untrusted)]);
        assert_eq!(found("« bonjour tout le monde »"), [(" bonjour tout le monde ", Provenance::Quoted)]);
    }

    #[test]
    fn a_quote_inside_a_block_counts_once() {
        let text = "<untrusted>he said \"one two three four\"</untrusted>";
        assert_eq!(found(text), [("he said \"one two three four\"", Provenance::Untrusted)]);
    }

    #[test]
    fn many_unbalanced_marks_stay_linear_in_bounded_windows() {
        let text = "\" x".repeat(20_000);
        let mut out = Vec::new();
        regions(&text, Surface::Request, &mut out);
        assert!(out.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
    }
}
