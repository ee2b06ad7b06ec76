//! Judging a response while it arrives.

mod utf8;

use super::guard::{CheckError, Guard};
use crate::message::{Input, Message, Part, Role};
use crate::policy::Action;
use crate::verdict::{Field, Verdict};
use std::borrow::Cow;
use utf8::Decoder;

/// A part of a streamed message that arrives on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// The answer.
    Text,
    /// The model's visible reasoning.
    Reasoning,
    /// The arguments of a tool call, by its index.
    ToolCall(u32),
}

/// A response that is judged while it arrives. It does no I/O: chunks go in, text that may be shown comes out.
pub struct Stream {
    guard: Guard,
    context: Input<'static>,
    text: Held,
    reasoning: Held,
    calls: Vec<Call>,
    end: Option<End>,
}

/// What one chunk led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Text that may be shown, in order.
    pub released: Vec<(Channel, String)>,
    /// The strictest action of what was found so far.
    pub action: Action,
    /// Whether the stream has ended: nothing more is released.
    pub stopped: bool,
}

/// What the whole stream led to.
#[derive(Clone, Debug)]
pub struct End {
    /// Text that may be shown, in order.
    pub released: Vec<(Channel, String)>,
    /// The verdict on the whole message.
    pub verdict: Verdict,
    /// Whether a finding ended the stream.
    pub stopped: bool,
}

#[derive(Default)]
struct Held {
    decoder: Decoder,
    text: String,
}

impl Held {
    fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes, &mut self.text);
    }
}

struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: Held,
}

impl Guard {
    /// Judges a response while it arrives. `context` is the conversation so far: it ends with the request, and its settings,
    /// tags and signals apply. The streamed message is the assistant's message after it.
    ///
    /// # Errors
    /// If the context holds settings that a request may not carry.
    pub fn stream(&self, context: &Input<'_>) -> Result<Stream, CheckError> {
        if let Some(settings) = &context.settings {
            settings.check_request().map_err(|error| CheckError::Settings(error.to_string()))?;
        }
        let mut context = context.to_static();
        context.target = None;
        Ok(Stream {
            guard: self.clone(),
            context,
            text: Held::default(),
            reasoning: Held::default(),
            calls: Vec::new(),
            end: None,
        })
    }
}

impl Stream {
    /// Declares a tool call before its arguments.
    pub fn tool_call(&mut self, index: u32, id: &str, name: &str) {
        if self.end.is_some() {
            return;
        }
        let call = self.call(index);
        call.id.push_str(id);
        call.name.push_str(name);
    }

    fn call(&mut self, index: u32) -> &mut Call {
        let at = match self.calls.iter().position(|call| call.index == index) {
            Some(at) => at,
            None => {
                let arguments = Held::default();
                self.calls.push(Call { index, id: String::new(), name: String::new(), arguments });
                self.calls.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.calls[at]
    }

    /// Takes the next bytes of a channel, cut anywhere.
    pub fn push(&mut self, channel: Channel, bytes: &[u8]) -> Step {
        if let Some(end) = &self.end {
            return Step { released: Vec::new(), action: end.verdict.action, stopped: end.stopped };
        }
        match channel {
            Channel::Text => self.text.push(bytes),
            Channel::Reasoning => self.reasoning.push(bytes),
            Channel::ToolCall(index) => self.call(index).arguments.push(bytes),
        }
        Step::default()
    }

    /// Ends the message. Called again, it gives the same verdict and releases nothing.
    pub fn finish(&mut self) -> End {
        if let Some(end) = &self.end {
            return End { released: Vec::new(), ..end.clone() };
        }
        let end = self.judge();
        self.end = Some(End { released: Vec::new(), ..end.clone() });
        end
    }

    fn judge(&mut self) -> End {
        let mut parts = Vec::new();
        let mut order = Vec::new();
        for (channel, held) in [(Channel::Reasoning, &mut self.reasoning), (Channel::Text, &mut self.text)] {
            held.decoder.finish(&mut held.text);
            let text: Cow<'static, str> = Cow::Owned(std::mem::take(&mut held.text));
            if !text.is_empty() {
                order.push(channel);
                parts.push(match channel {
                    Channel::Reasoning => Part::Reasoning { text, at: None },
                    _ => Part::Text { text, at: None },
                });
            }
        }
        self.calls.sort_by_key(|call| call.index);
        for call in &mut self.calls {
            call.arguments.decoder.finish(&mut call.arguments.text);
            let arguments = Cow::Owned(std::mem::take(&mut call.arguments.text));
            order.push(Channel::ToolCall(call.index));
            parts.push(Part::ToolCall {
                name: Cow::Owned(std::mem::take(&mut call.name)),
                arguments,
                at: call.index,
            });
        }
        let mut input = std::mem::take(&mut self.context);
        input.messages.push(Message { role: Role::Assistant, parts });
        let verdict = self.guard.judged(&input);
        let stopped = verdict.action >= Action::Escalate;
        let mut released = Vec::new();
        let message = input.messages.pop();
        if verdict.action <= Action::Redact {
            let parts = message.into_iter().flat_map(|message| message.parts);
            for (channel, part) in order.into_iter().zip(parts) {
                let (field, at, text) = match part {
                    Part::Text { text, at } => (Field::Content, at, text),
                    Part::Reasoning { text, at } => (Field::Reasoning, at, text),
                    Part::ToolCall { arguments, at, .. } => (Field::ToolCalls, Some(at), arguments),
                    _ => continue,
                };
                let redacted = verdict.redactions.iter().find(|it| it.field == field && it.part == at);
                let text = redacted.map_or_else(|| text.into_owned(), |it| it.text.clone());
                if !text.is_empty() {
                    released.push((channel, text));
                }
            }
        }
        End { released, verdict, stopped }
    }

    /// How many bytes of the message the stream holds.
    pub fn held(&self) -> usize {
        let held = |held: &Held| held.text.len() + held.decoder.held();
        held(&self.text)
            + held(&self.reasoning)
            + self.calls.iter().map(|it| held(&it.arguments)).sum::<usize>()
    }
}
