//! A response that is judged while it arrives.

use crate::error::Failure;
use crate::guard::NativeGuard;
use crate::judged::{Judged, judged};
use brightline::message::Part;
use brightline::{Channel, Message, Role, Stream, wire};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi::{Either, Env, Task};
use napi_derive::napi;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The numbers that stand for channels other than tool calls, whose number is their index.
const TEXT: i64 = -1;
const REASONING: i64 = -2;

/// Text that may be shown.
#[napi(object, object_from_js = false)]
pub struct Piece {
    /// The number of its channel.
    pub channel: i64,
    /// The text.
    pub text: String,
}

/// What a chunk led to.
#[napi(object, object_from_js = false)]
pub struct PushStep {
    /// Text that may be shown, in order.
    pub released: Vec<Piece>,
    /// The strictest action that is certain by now.
    pub action: &'static str,
    /// Whether a finding has ended the stream.
    pub stopped: bool,
}

/// What the whole stream led to.
#[napi(object, object_from_js = false)]
pub struct FinishStep {
    /// Text that may be shown, in order.
    pub released: Vec<Piece>,
    /// The verdict.
    pub verdict: Judged,
    /// Whether a finding has ended the stream.
    pub stopped: bool,
}

/// A stream and what the places of its verdict are counted in.
pub(crate) struct Open {
    stream: Stream,
    /// The conversation so far, as JSON.
    context: String,
    names: BTreeMap<u32, String>,
    arrived: BTreeMap<Channel, Vec<u8>>,
}

/// A stream, shared with the threads that judge.
#[napi]
pub struct NativeStream(Arc<Mutex<Open>>);

#[napi]
impl NativeGuard {
    /// A stream of the message that follows the context.
    #[napi]
    pub fn stream(&self, context: String) -> napi::Result<NativeStream> {
        let input = wire::parse(context.as_bytes()).map_err(Failure::from)?;
        let stream = self.0.stream(&input).map_err(Failure::from)?;
        drop(input);
        let open = Open { stream, context, names: BTreeMap::new(), arrived: BTreeMap::new() };
        Ok(NativeStream(Arc::new(Mutex::new(open))))
    }
}

#[napi]
impl NativeStream {
    /// Declares a tool call, or goes on with its name.
    #[napi]
    pub fn tool_call(&self, index: u32, id: String, name: String) {
        let mut open = lock(&self.0);
        open.stream.tool_call(index, &id, &name);
        open.names.entry(index).or_default().push_str(&name);
    }

    /// Takes the next chunk of a channel.
    #[napi]
    pub fn push(&self, channel: i64, chunk: Either<String, Buffer>) -> PushStep {
        lock(&self.0).push(channel, bytes(&chunk))
    }

    /// Takes the next chunk of a channel on a thread of the pool.
    #[napi]
    pub fn push_async(&self, channel: i64, chunk: Either<String, Buffer>) -> AsyncTask<Push> {
        AsyncTask::new(Push { open: Arc::clone(&self.0), channel, chunk: bytes(&chunk).to_vec() })
    }

    /// Ends the message.
    #[napi]
    pub fn finish(&self) -> FinishStep {
        lock(&self.0).finish()
    }

    /// Ends the message on a thread of the pool.
    #[napi]
    pub fn finish_async(&self) -> AsyncTask<Finish> {
        AsyncTask::new(Finish { open: Arc::clone(&self.0) })
    }
}

/// The stream, also after a thread failed on it: what was released stays released, and nothing else is.
fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(chunk: &Either<String, Buffer>) -> &[u8] {
    match chunk {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

fn channel_of(number: i64) -> Channel {
    match number {
        REASONING => Channel::Reasoning,
        number => u32::try_from(number).map_or(Channel::Text, Channel::ToolCall),
    }
}

fn pieces(released: Vec<(Channel, String)>) -> Vec<Piece> {
    let piece = |(channel, text)| Piece {
        channel: match channel {
            Channel::Text => TEXT,
            Channel::Reasoning => REASONING,
            Channel::ToolCall(index) => i64::from(index),
        },
        text,
    };
    released.into_iter().map(piece).collect()
}

impl Open {
    fn push(&mut self, channel: i64, chunk: &[u8]) -> PushStep {
        let channel = channel_of(channel);
        self.arrived.entry(channel).or_default().extend_from_slice(chunk);
        let step = self.stream.push(channel, chunk);
        PushStep { released: pieces(step.released), action: step.action.as_str(), stopped: step.stopped }
    }

    fn finish(&mut self) -> FinishStep {
        let end = self.stream.finish();
        let verdict = match wire::parse(self.context.as_bytes()) {
            Ok(mut input) => {
                input.messages.push(self.message());
                judged(&end.verdict, &input)
            }
            // The context was parsed when the stream began.
            Err(_) => judged(&end.verdict, &brightline::Input::default()),
        };
        FinishStep { released: pieces(end.released), verdict, stopped: end.stopped }
    }

    /// The streamed message, in the parts that places of the verdict name.
    fn message(&self) -> Message<'_> {
        let parts = self.arrived.iter().map(|(channel, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            match channel {
                Channel::Text => Part::Text { text, at: None },
                Channel::Reasoning => Part::Reasoning { text, at: None },
                Channel::ToolCall(index) => Part::ToolCall {
                    name: self.names.get(index).map_or("", String::as_str).into(),
                    arguments: text,
                    at: *index,
                },
            }
        });
        Message { role: Role::Assistant, parts: parts.collect() }
    }
}

/// A chunk on a thread of the pool.
pub struct Push {
    open: Arc<Mutex<Open>>,
    channel: i64,
    chunk: Vec<u8>,
}

impl Task for Push {
    type Output = PushStep;
    type JsValue = PushStep;

    fn compute(&mut self) -> napi::Result<PushStep> {
        Ok(lock(&self.open).push(self.channel, &self.chunk))
    }

    fn resolve(&mut self, _: Env, step: PushStep) -> napi::Result<PushStep> {
        Ok(step)
    }
}

/// The end of a stream on a thread of the pool.
pub struct Finish {
    open: Arc<Mutex<Open>>,
}

impl Task for Finish {
    type Output = FinishStep;
    type JsValue = FinishStep;

    fn compute(&mut self) -> napi::Result<FinishStep> {
        Ok(lock(&self.open).finish())
    }

    fn resolve(&mut self, _: Env, step: FinishStep) -> napi::Result<FinishStep> {
        Ok(step)
    }
}
