//! Judging a response while it arrives.
//!
//! ```text
//! chunk -> text of its channel -> places at which words end -> detectors, rules -> released text
//! ```
//! Every decision is taken at a place that follows from the text, never from how it was cut: the same bytes give the same
//! releases and the same verdict, whatever chunks they come in. `docs/streaming.md` says what is held back for how long.

mod alive;
mod calls;
mod facts;
mod holding;
mod lane;
mod outlook;
mod points;
mod readings;
mod release;
mod shared;
mod steps;
mod utf8;
mod values;

pub(crate) use holding::Holding;

use super::guard::{CheckError, Guard, Outcome};
use crate::message::{Input, Surface};
use crate::policy::Action;
use crate::verdict::{Field, Verdict};
use calls::Call;
use lane::Lane;
use shared::Shared;

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
///
/// # What is released, and when?
/// Text of the answer and of the reasoning, as soon as nothing that follows can make it part of a finding of action
/// `redact` or stricter. What findings ask to redact comes out as placeholders. The arguments of a tool call come out in
/// one piece, once they are complete and cleared: half a call is of no use.
///
/// # What ends a stream?
/// A finding of action `block` or `escalate`. Nothing is released any more, on no channel, and the verdict is that on the
/// text up to there. A finding of action `revise` also takes back what was not released yet, and the rest of the message
/// is judged to the end, for the critique.
///
/// # What if the decision has to wait?
/// A rule may rest on something that is still to come: the other half of a conjunction, an excuse, a line that is missing so
/// far. The text it rests on waits, no longer than `[stream]` of the policy allows. What is released then and turns out to
/// be part of a finding is stated in the verdict, as `released_before` under `degraded`.
///
/// ```
/// use brightline::{Channel, Compiler, Guard, Input};
///
/// let policy = Compiler::new().text("house.md", r#"
/// ## Addresses stay with us {#addresses authority=developer}
///
/// Customers did not agree to see each other's mail.
///
/// ~~~rule
/// on     = ["response"]
/// when   = 'pii("email")'
/// action = "redact"
/// ~~~
///
/// ~~~examples
/// hits:   response: write to ann@example.com
/// misses: response: write to us
/// ~~~
/// "#).into_policy()?;
/// let guard = Guard::new(policy)?;
/// let mut stream = guard.stream(&Input::request("Who can help me?"))?;
/// let mut shown = String::new();
/// for chunk in ["Ask An", "n, at ann@exam", "ple.com", " or here."] {
///     for (channel, text) in stream.push(Channel::Text, chunk.as_bytes()).released {
///         assert_eq!(channel, Channel::Text);
///         shown.push_str(&text);
///     }
/// }
/// let end = stream.finish();
/// end.released.iter().for_each(|(_, text)| shown.push_str(text));
/// assert_eq!(shown, "Ask Ann, at [email] or here.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream {
    shared: Shared,
    text: Option<Lane>,
    reasoning: Option<Lane>,
    calls: Vec<Call>,
    /// The strictest action of what was found so far.
    action: Action,
    /// A finding takes back what was not released.
    frozen: bool,
    end: Option<End>,
}

/// What one chunk led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Text that may be shown, in order: pieces of one channel follow one another.
    pub released: Vec<(Channel, String)>,
    /// The strictest action among the findings that are certain by now, of `redact` and stricter. Lesser ones are left to
    /// the verdict.
    pub action: Action,
    /// Whether a finding has ended the stream: nothing more is released, and [`Stream::finish`] has the verdict.
    pub stopped: bool,
}

/// What the whole stream led to.
#[derive(Clone, Debug)]
pub struct End {
    /// Text that may be shown, in order.
    pub released: Vec<(Channel, String)>,
    /// The verdict on the message, or on what of it arrived before a finding ended the stream. It holds no redacted text:
    /// that was released. Places in its evidence are bytes of a channel's text, in the message that follows the context.
    pub verdict: Verdict,
    /// Whether a finding of action `block` or `escalate` ended the stream. The verdict's message is safe to show instead.
    pub stopped: bool,
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
        Ok(Stream {
            shared: Shared::new(self, context),
            text: None,
            reasoning: None,
            calls: Vec::new(),
            action: Action::Allow,
            frozen: false,
            end: None,
        })
    }
}

impl Stream {
    /// Declares a tool call before its arguments. The name may come in pieces, and later than the first arguments; the id
    /// is the host's own and plays no part. Indexes need not follow one another; a call without a name is judged as one of
    /// the tool ``.
    pub fn tool_call(&mut self, index: u32, id: &str, name: &str) {
        let _ = id;
        if self.end.is_none() {
            self.call(index).name.push_str(name);
        }
    }

    /// Takes the next bytes of a channel, cut anywhere, also inside of a character. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// After the end it releases nothing. An empty chunk declares that the channel is there, and lets time pass.
    pub fn push(&mut self, channel: Channel, bytes: &[u8]) -> Step {
        let mut released = Vec::new();
        if self.end.is_none() {
            match channel {
                Channel::Text | Channel::Reasoning => self.push_text(channel, bytes, &mut released),
                Channel::ToolCall(index) => self.push_call(index, bytes, &mut released),
            }
        }
        let stopped = self.end.as_ref().is_some_and(|end| end.stopped);
        let action = self.end.as_ref().map_or(self.action, |end| end.verdict.action);
        Step { released, action, stopped }
    }

    /// Ends the message. Called again, it gives the same verdict and releases nothing.
    pub fn finish(&mut self) -> End {
        let mut released = Vec::new();
        if self.end.is_none() {
            self.close(&mut released);
        }
        match &self.end {
            Some(end) => End { released, ..end.clone() },
            None => End {
                released,
                verdict: self.shared.verdict(Outcome::default(), Surface::Response, 0),
                stopped: false,
            },
        }
    }

    /// How many bytes of the message the stream holds in memory: what it holds back, and what detectors look back at.
    pub fn held(&self) -> usize {
        let lanes = self.text.iter().chain(&self.reasoning).map(Lane::held);
        lanes.chain(self.calls.iter().map(Call::held)).sum()
    }
}

fn lane(channel: Channel, shared: &Shared) -> Lane {
    let (surface, field) = match channel {
        Channel::Reasoning => (Surface::Reasoning, Field::Reasoning),
        _ => (Surface::Response, Field::Content),
    };
    Lane::new(surface, field, shared.reads(surface))
}
