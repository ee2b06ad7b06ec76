//! Streams of events: read from the upstream, judged, and told anew with what may be shown.
//!
//! ```text
//! bytes --sse--> events --Protocol, flow--> events --> bytes
//! ```
//!
//! A body that is polled: nothing is read from the upstream before the client wants more, and nothing outlives the client.

mod chat;
mod messages;
mod parts;
mod responses;
mod voice;

use crate::api::Api;
use crate::decode::Decoder;
use crate::failure::Failure;
use crate::flow::Flow;
use crate::judge::Exchange;
use crate::sse::{self, Event, Found, Reader};
use brightline::{Input, Verdict};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How one API tells an answer in events.
trait Protocol: Send + 'static {
    /// Takes one event and writes those that may be shown; whether the answer is over with it.
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<bool, Failure>;
    /// The upstream closed the stream between two events, and the answer is not over.
    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), Failure> {
        Err(Failure::UpstreamBroken)
    }
}

/// What a stream starts with.
pub(crate) struct Setup {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) context: Arc<Input<'static>>,
    /// The verdicts on the request.
    pub(crate) request: Vec<Verdict>,
    /// How many choices were asked for.
    pub(crate) choices: u64,
}

impl Setup {
    fn flow(&self) -> Flow {
        Flow::new(&self.exchange, &self.context, None)
    }
}

const FORM: Failure = Failure::Unreadable("an event is not in the form of the API");

fn parsed(event: &Event) -> Result<Value, Failure> {
    serde_json::from_str(&event.data).map_err(|_| Failure::Unreadable("an event is no JSON"))
}

/// A judged stream as a response's body.
pub(crate) struct Relay(State);

enum State {
    Idle(Box<Work>),
    Busy(Next),
    Over,
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Box<Work>)>> + Send>>;

struct Work {
    api: Api,
    upstream: axum::body::Body,
    decoder: Decoder,
    reader: Reader,
    /// Lost with work that failed.
    protocol: Option<Box<dyn Protocol>>,
    done: bool,
    exchange: Arc<Exchange>,
    /// How many bytes came so far, decoded.
    taken: usize,
    out: Vec<u8>,
}

impl Relay {
    pub(crate) fn new(api: Api, setup: Setup, upstream: axum::body::Body, decoder: Decoder) -> Self {
        let exchange = setup.exchange.clone();
        let protocol: Box<dyn Protocol> = match api {
            Api::Chat => Box::new(chat::Chunks::new(setup)),
            Api::Responses => Box::new(responses::Events::new(setup)),
            Api::Messages => Box::new(messages::Events::new(setup)),
        };
        let reader = Reader::new(exchange.config().limits.event_bytes);
        Self(State::Idle(Box::new(Work {
            api,
            upstream,
            decoder,
            reader,
            protocol: Some(protocol),
            done: false,
            exchange,
            taken: 0,
            out: Vec::new(),
        })))
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            match std::mem::replace(&mut self.0, State::Over) {
                State::Idle(work) => self.0 = State::Busy(Box::pin(work.next())),
                State::Busy(mut next) => match next.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.0 = State::Busy(next);
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some((bytes, work))) => {
                        self.0 = State::Idle(work);
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                },
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Work {
    /// Reads on until there is something to show; `None` at the end.
    async fn next(mut self: Box<Self>) -> Option<(Bytes, Box<Self>)> {
        while self.out.is_empty() {
            if self.done {
                self.exchange.ends(200, None);
                return None;
            }
            if let Err(failure) = self.step().await {
                self.exchange.ends(200, Some(&failure));
                // Nothing that was held back is shown.
                error_event(self.api, &failure, &mut self.out);
                self.done = true;
            }
        }
        Some((std::mem::take(&mut self.out).into(), self))
    }

    /// Takes one piece of the upstream's answer.
    async fn step(&mut self) -> Result<(), Failure> {
        let piece = read_piece(&mut self.upstream, &self.exchange).await?;
        let mut found = Vec::new();
        let ended = piece.is_none();
        if let Some(piece) = piece {
            let limit = self.exchange.config().limits.response_bytes;
            let mut bytes = Vec::new();
            self.decoder.decode(&piece, limit, &mut bytes)?;
            self.taken += bytes.len();
            if self.taken > limit {
                return Err(Failure::ResponseTooLarge(limit));
            }
            self.reader.read(&bytes, &mut |it| found.push(it))?;
        } else {
            self.decoder.finish()?;
            if !self.reader.is_between() {
                return Err(Failure::UpstreamBroken);
            }
        }
        if found.is_empty() && !ended {
            return Ok(());
        }
        let bytes =
            found.iter().map(|it| if let Found::Event(event) = it { event.data.len() } else { 0 }).sum();
        let mut protocol = self.protocol.take().ok_or(Failure::NotJudged)?;
        let (protocol, out, result) = self
            .exchange
            .work(bytes, move || {
                let mut out = Vec::new();
                let result = told(&mut *protocol, found, ended, &mut out);
                (protocol, out, result)
            })
            .await?;
        self.protocol = Some(protocol);
        self.out.extend_from_slice(&out);
        self.done = result?;
        Ok(())
    }
}

/// Tells what was found; whether the answer is over with it.
fn told(
    protocol: &mut dyn Protocol,
    found: Vec<Found>,
    ended: bool,
    out: &mut Vec<u8>,
) -> Result<bool, Failure> {
    let mut over = false;
    for it in found {
        match it {
            Found::Event(event) if !over => over = protocol.event(event, out)?,
            Found::Event(_) => {}
            Found::Comment => out.extend_from_slice(b":\n\n"),
        }
    }
    if ended && !over {
        protocol.end(out)?;
    }
    Ok(over || ended)
}

/// The event that tells of a failure.
fn error_event(api: Api, failure: &Failure, out: &mut Vec<u8>) {
    match api {
        Api::Chat => sse::write(out, None, &api.error(failure).to_string()),
        Api::Messages => sse::write(out, Some("error"), &api.error(failure).to_string()),
        Api::Responses => {
            let event = json!({
                "type": "error",
                "code": failure.kind(),
                "message": format!("brightline: {failure}"),
                "param": null,
            });
            sse::write(out, Some("error"), &event.to_string());
        }
    }
}

/// The next piece of the upstream's body, within the deadlines.
pub(crate) async fn read_piece(
    upstream: &mut axum::body::Body,
    exchange: &Exchange,
) -> Result<Option<Bytes>, Failure> {
    let idle = tokio::time::Instant::now() + exchange.config().deadlines.idle;
    let whole = exchange.deadline.into();
    loop {
        let frame = match tokio::time::timeout_at(idle.min(whole), upstream.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Failure::UpstreamBroken),
            Ok(None) => return Ok(None),
            Err(_) if whole <= idle => return Err(Failure::Deadline),
            Err(_) => return Err(Failure::UpstreamTimeout),
        };
        // Trailers say nothing these APIs use.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}
