//! What a stream said, kept only where a shadow policy is to read it.

use brightline::message::{Part, Role};
use brightline::{Channel, Input, Message};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much of one stream is kept, in bytes; a longer one is not compared.
pub const MAX_TRANSCRIPT: usize = 256 << 10;

/// The text of a stream, up to [`MAX_TRANSCRIPT`].
pub struct Transcript {
    context: Arc<Input<'static>>,
    text: String,
    reasoning: String,
    /// Name and arguments by the index of the call.
    calls: BTreeMap<u32, (String, String)>,
    bytes: usize,
}

impl Transcript {
    pub(crate) fn new(context: Arc<Input<'static>>) -> Self {
        Self { context, text: String::new(), reasoning: String::new(), calls: BTreeMap::new(), bytes: 0 }
    }

    /// More of the name of a tool that is called.
    pub fn name(&mut self, index: u32, more: &str) {
        if self.fits(more) {
            self.calls.entry(index).or_default().0.push_str(more);
        }
    }

    /// More of a text.
    pub fn push(&mut self, channel: Channel, more: &str) {
        if !self.fits(more) {
            return;
        }
        match channel {
            Channel::Text => self.text.push_str(more),
            Channel::Reasoning => self.reasoning.push_str(more),
            Channel::ToolCall(index) => self.calls.entry(index).or_default().1.push_str(more),
        }
    }

    /// What was judged, as one message; `None` where it was too long to keep.
    pub fn input(&self) -> Option<Input<'_>> {
        if self.bytes > MAX_TRANSCRIPT {
            return None;
        }
        let mut parts = Vec::new();
        if !self.reasoning.is_empty() {
            parts.push(Part::Reasoning { text: self.reasoning.as_str().into(), at: None });
        }
        if !self.text.is_empty() {
            parts.push(Part::Text { text: self.text.as_str().into(), at: None });
        }
        parts.extend(self.calls.iter().map(|(at, (name, arguments))| Part::ToolCall {
            name: name.as_str().into(),
            arguments: arguments.as_str().into(),
            at: *at,
        }));
        let mut input = Input::clone(&self.context);
        input.messages.push(Message { role: Role::Assistant, parts });
        input.target = None;
        Some(input)
    }

    fn fits(&mut self, more: &str) -> bool {
        self.bytes = self.bytes.saturating_add(more.len());
        let fits = self.bytes <= MAX_TRANSCRIPT;
        if !fits {
            (self.text, self.reasoning) = (String::new(), String::new());
            self.calls.clear();
        }
        fits
    }
}
