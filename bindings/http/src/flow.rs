//! The guard's stream behind one choice of an answer: texts go in, what may be shown comes out, and one refusal ends it.

use crate::failure::Failure;
use crate::fields::words;
use crate::judge::{Exchange, Outcome, refusal_of};
use crate::ops::StreamMeter;
use crate::ops::shadow::Transcript;
use brightline::message::{Message, Part, Role};
use brightline::{Channel, Input, Stream, Verdict};
use serde_json::Value;
use std::sync::Arc;

/// One choice of an answer.
pub(crate) struct Flow {
    exchange: Arc<Exchange>,
    context: Arc<Input<'static>>,
    choice: Option<u32>,
    verdicts: Vec<Verdict>,
    refused: Option<String>,
}

/// One text of it: the answer, reasoning, or the arguments of a tool call.
pub(crate) struct Run {
    stream: Stream,
    channel: Channel,
    meter: StreamMeter,
    /// What was said, where a shadow policy is to read it.
    kept: Option<Transcript>,
}

impl Run {
    /// More of the name of the tool that is called.
    pub(crate) fn name(&mut self, more: &str) {
        if let Channel::ToolCall(index) = self.channel {
            self.call(index, "", more);
        }
    }

    fn call(&mut self, index: u32, id: &str, name: &str) {
        self.stream.tool_call(index, id, name);
        if let Some(kept) = &mut self.kept {
            kept.name(index, name);
        }
    }
}

impl Flow {
    pub(crate) fn new(exchange: &Arc<Exchange>, context: &Arc<Input<'static>>, choice: Option<u32>) -> Self {
        let (exchange, context) = (exchange.clone(), context.clone());
        Self { exchange, context, choice, verdicts: Vec::new(), refused: None }
    }

    /// Begins a text.
    pub(crate) fn open(&self, channel: Channel) -> Result<Run, Failure> {
        let stream = self.exchange.loaded.guard.stream(&self.context).map_err(|_| Failure::NotJudged)?;
        let observer = self.exchange.observer();
        Ok(Run { stream, channel, meter: observer.stream(), kept: observer.transcript(&self.context) })
    }

    /// Begins the arguments of a tool call.
    pub(crate) fn open_call(&self, id: &str, name: &str) -> Result<Run, Failure> {
        let mut run = self.open(Channel::ToolCall(0))?;
        run.call(0, id, name);
        Ok(run)
    }

    /// Takes more of a text; gives what may be shown of it.
    pub(crate) fn push(&mut self, run: &mut Run, text: &str) -> String {
        if self.refused.is_some() {
            return String::new();
        }
        let step = run.stream.push(run.channel, text.as_bytes());
        run.meter.holds(run.stream.held());
        if let Some(kept) = &mut run.kept {
            kept.push(run.channel, text);
        }
        let mut shown = joined(step.released);
        if step.stopped {
            shown.push_str(&self.close(run));
        }
        shown
    }

    /// Ends a text; gives the rest that may be shown.
    pub(crate) fn close(&mut self, run: &mut Run) -> String {
        if self.refused.is_some() {
            return String::new();
        }
        let end = run.stream.finish();
        run.meter.holds(0);
        let input = run.kept.as_ref().and_then(Transcript::input);
        self.note(input.as_ref(), end.verdict, end.stopped);
        joined(end.released)
    }

    /// Judges what came in one piece; whether it may pass as it is.
    pub(crate) fn whole(&mut self, parts: Vec<Part<'static>>) -> Result<bool, Failure> {
        if self.refused.is_some() || parts.is_empty() {
            return Ok(self.refused.is_none());
        }
        let mut input = Input::clone(&self.context);
        input.messages.push(Message { role: Role::Assistant, parts });
        input.target = None;
        let verdict = self.exchange.loaded.guard.check(&input).map_err(|_| Failure::NotJudged)?;
        let passes = Outcome::of(verdict.action) == Outcome::Pass;
        // What came whole has no text to put a placeholder in.
        self.note(Some(&input), verdict, !passes);
        Ok(passes)
    }

    /// Judges the words of a value that came in one piece.
    pub(crate) fn words(&mut self, value: &Value) -> Result<bool, Failure> {
        let text = words(value);
        if text.is_empty() {
            return Ok(self.refused.is_none());
        }
        self.whole(vec![Part::Text { text: text.into(), at: None }])
    }

    fn note(&mut self, input: Option<&Input<'_>>, verdict: Verdict, stopped: bool) {
        self.exchange.decided(input, &verdict, self.choice);
        if stopped || Outcome::of(verdict.action) == Outcome::Refuse {
            self.refused.get_or_insert_with(|| refusal_of(&verdict));
        }
        self.verdicts.push(verdict);
    }

    /// The words of the refusal, once something was refused.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The verdicts so far.
    pub(crate) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// The exchange it belongs to.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

fn joined(released: Vec<(Channel, String)>) -> String {
    let mut texts = released.into_iter().map(|it| it.1);
    let mut first = texts.next().unwrap_or_default();
    texts.for_each(|text| first.push_str(&text));
    first
}

/// Where the text of one block ends and that of the next begins, in the texts of a [`Chain`]. The guard reads it as the line
/// break it joins blocks by.
const BREAK: char = '\u{2028}';

/// Blocks of text that follow one another and are judged as one: what is found across two of them counts.
pub(crate) struct Chain {
    run: Run,
    waiting: std::collections::VecDeque<usize>,
}

impl Chain {
    pub(crate) fn new(run: Run, block: usize) -> Self {
        Self { run, waiting: [block].into() }
    }

    /// A further block begins.
    pub(crate) fn next(&mut self, flow: &mut Flow, block: usize) -> Vec<Shown> {
        let mut buffer = [0; 4];
        self.waiting.push_back(block);
        let shown = flow.push(&mut self.run, BREAK.encode_utf8(&mut buffer));
        self.spread(&shown)
    }

    /// Takes more of the last block.
    pub(crate) fn push(&mut self, flow: &mut Flow, text: &str) -> Vec<Shown> {
        let shown = if text.contains(BREAK) {
            flow.push(&mut self.run, &text.replace(BREAK, "\n"))
        } else {
            flow.push(&mut self.run, text)
        };
        self.spread(&shown)
    }

    /// No block follows.
    pub(crate) fn close(mut self, flow: &mut Flow) -> Vec<Shown> {
        let rest = flow.close(&mut self.run);
        let mut shown = self.spread(&rest);
        shown.extend(self.waiting.iter().map(|block| Shown {
            block: *block,
            text: String::new(),
            last: true,
        }));
        shown
    }

    fn spread(&mut self, text: &str) -> Vec<Shown> {
        let mut shown = Vec::new();
        for (at, piece) in text.split(BREAK).enumerate() {
            if at > 0 {
                let ended = self.waiting.pop_front();
                shown.extend(ended.map(|block| Shown { block, text: String::new(), last: true }));
            }
            if let (Some(block), false) = (self.waiting.front(), piece.is_empty()) {
                shown.push(Shown { block: *block, text: piece.to_string(), last: false });
            }
        }
        shown
    }
}

/// Text that may be shown, and the block it belongs to.
pub(crate) struct Shown {
    pub(crate) block: usize,
    pub(crate) text: String,
    /// No more of this block follows.
    pub(crate) last: bool,
}
