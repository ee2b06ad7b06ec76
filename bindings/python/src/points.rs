//! Byte offsets → **code points**, the units of Python's strings.

use brightline::verdict::{EvidenceSpan, Field};
use brightline::{Input, Verdict};

/// Start and end of every span of a verdict in code points, in the order of the spans.
pub(crate) fn of(verdict: &Verdict, convert: impl FnMut(&EvidenceSpan) -> (u32, u32)) -> Box<[(u32, u32)]> {
    let evidence = verdict.findings.iter().flat_map(|finding| &finding.evidence);
    evidence.flat_map(|evidence| &evidence.spans).map(convert).collect()
}

/// Counts code points in the texts of a conversation; spans that follow one another are counted once.
pub(crate) struct Counter<'i, 't> {
    input: &'i Input<'t>,
    last: Option<(EvidenceSpan, u32)>,
}

impl<'i, 't> Counter<'i, 't> {
    pub(crate) fn new(input: &'i Input<'t>) -> Self {
        Self { input, last: None }
    }

    /// Both ends of a span, or `None` where it does not lie in the conversation.
    pub(crate) fn ends(&mut self, span: &EvidenceSpan) -> Option<(u32, u32)> {
        let (from, before) = match &self.last {
            Some((last, count)) if same_text(last, span) && last.start <= span.start => (last.start, *count),
            _ => (0, 0),
        };
        let start = before + self.count(span, from, span.start)?;
        let end = start + self.count(span, span.start, span.end)?;
        self.last = Some((span.clone(), start));
        Some((start, end))
    }

    fn count(&self, span: &EvidenceSpan, start: u32, end: u32) -> Option<u32> {
        let text = self.input.slice(&EvidenceSpan { start, end, ..span.clone() })?;
        u32::try_from(text.chars().count()).ok()
    }
}

fn same_text(a: &EvidenceSpan, b: &EvidenceSpan) -> bool {
    (a.message, a.field, a.part) == (b.message, b.field, b.part)
}

/// Where characters start in the text of a channel: an eighth of its bytes, kept so that the stream need not keep the text.
#[derive(Default)]
pub(crate) struct Starts {
    words: Vec<u64>,
    /// Characters before each word.
    before: Vec<u32>,
    bytes: usize,
    characters: u32,
}

impl Starts {
    pub(crate) fn push(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if self.bytes.is_multiple_of(64) {
                self.words.push(0);
                self.before.push(self.characters);
            }
            // A byte of the form 10xxxxxx goes on with a character.
            if byte & 0b1100_0000 != 0b1000_0000 {
                if let Some(word) = self.words.last_mut() {
                    *word |= 1 << (self.bytes % 64);
                }
                self.characters += 1;
            }
            self.bytes += 1;
        }
    }

    /// How many characters start before a byte.
    pub(crate) fn characters_before(&self, byte: u32) -> u32 {
        let byte = byte as usize;
        match (self.words.get(byte / 64), self.before.get(byte / 64)) {
            (Some(word), Some(before)) => before + (word & ((1 << (byte % 64)) - 1)).count_ones(),
            _ => self.characters,
        }
    }
}

/// The text a span lies in, from its first character to its last.
pub(crate) fn text_of<'i>(input: &'i Input<'_>, span: &EvidenceSpan) -> Option<&'i str> {
    use brightline::message::Part;
    input.messages.get(span.message as usize)?.parts.iter().find_map(|part| match (part, span.field) {
        (Part::Text { text, at } | Part::ToolResult { text, at }, Field::Content) if *at == span.part => {
            Some(&**text)
        }
        (Part::Reasoning { text, at }, Field::Reasoning) if *at == span.part => Some(&**text),
        (Part::ToolCall { arguments, at, .. }, Field::ToolCalls) if Some(*at) == span.part => {
            Some(&**arguments)
        }
        (Part::ToolCall { name, at, .. }, Field::ToolName) if Some(*at) == span.part => Some(&**name),
        _ => None,
    })
}
