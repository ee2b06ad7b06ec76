//! The guard as a [`tower::Layer`]: around a service that speaks one of the chat APIs, or that forwards to one.

use crate::api::{Answer, Api, Asked, Refused, extend, extension};
use crate::config::{CONTEXT_HEADER, Config, OnError};
use crate::decode::Decoder;
use crate::failure::Failure;
use crate::fields::words;
use crate::judge::{Exchange, Judge, Outcome, refusal_of};
use crate::ops::Observer;
use crate::ops::live::Live;
use crate::relay::{Relay, Setup, read_piece};
use axum::body::Body;
use brightline::message::{Part, Role};
use brightline::{Action, Guard, Input, Message, Verdict};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service, ServiceExt};

/// The strictest action that was taken on a request, or on a response that is no stream.
pub const ACTION_HEADER: HeaderName = HeaderName::from_static("x-brightline-action");
/// The clauses that were found, separated by commas.
pub const CLAUSES_HEADER: HeaderName = HeaderName::from_static("x-brightline-clauses");
/// Types of parts that are no text and were not judged.
pub const NOT_JUDGED_HEADER: HeaderName = HeaderName::from_static("x-brightline-not-judged");
/// The gateway's id of the exchange, as in its logs.
pub const ID_HEADER: HeaderName = HeaderName::from_static("x-brightline-id");

/// Judges what goes through a service.
///
/// Requests to the paths of [`Api`] are judged before the inner service sees them, and its responses before the client does,
/// JSON and event streams alike. Requests to other paths are handed on as they are: what to do with those is for the router
/// around it.
///
/// ```
/// use axum::{Router, routing::post};
/// use brightline_http::GuardLayer;
///
/// # let policy = brightline::Compiler::new().file("default").into_policy()?;
/// let guard = brightline::Guard::new(policy)?;
/// let app: Router = Router::new()
///     .route("/v1/chat/completions", post(async || "{}"))
///     .layer(GuardLayer::new(guard));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GuardLayer(Arc<Judge>);

impl GuardLayer {
    /// A layer with the default configuration.
    pub fn new(guard: Guard) -> Self {
        Self::with(Arc::new(Live::new(guard)), Arc::default(), Config::default())
    }

    /// A layer that follows a policy which may be exchanged, and tells an observer of every decision.
    pub fn with(live: Arc<Live>, observer: Arc<Observer>, config: Config) -> Self {
        Self(Arc::new(Judge::new(live, observer, config)))
    }

    /// How many exchanges are in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    pub(crate) fn judge(&self) -> &Arc<Judge> {
        &self.0
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, judge: self.0.clone() }
    }
}

/// What [`GuardLayer`] makes of a service.
#[derive(Clone)]
pub struct GuardService<S> {
    inner: S,
    judge: Arc<Judge>,
}

type Answering<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for GuardService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone that was polled ready is the one that is called.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        match Api::of(request.uri().path()) {
            Some(api) => {
                let judge = self.judge.clone();
                Box::pin(async move { serve(&judge, api, request, inner).await })
            }
            None => Box::pin(inner.oneshot(request)),
        }
    }
}

async fn serve<S>(
    judge: &Arc<Judge>,
    api: Api,
    request: Request<Body>,
    inner: S,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>> + Send,
    S::Future: Send,
    S::Error: Send,
{
    let exchange = judge.begin(api.path(), request.headers());
    let mut response = match ask(&exchange, api, request).await {
        Ok(Next::Answer(response)) => response,
        Err(failure) => failed(&exchange, api, &failure),
        Ok(Next::Forward(forward)) => {
            let Forward { request, asked, seen } = *forward;
            let first_byte = tokio::time::Instant::now() + judge.config.deadlines.first_byte;
            let until = first_byte.min(exchange.deadline.into());
            match tokio::time::timeout_at(until, inner.oneshot(request)).await {
                Err(_) => failed(&exchange, api, &Failure::UpstreamTimeout),
                Ok(Err(error)) => {
                    exchange.ends(502, Some(&Failure::Unreachable));
                    return Err(error);
                }
                Ok(Ok(answer)) => match answered(&exchange, api, asked, seen, answer).await {
                    Ok(response) => response,
                    Err(failure) => failed(&exchange, api, &failure),
                },
            }
        }
    };
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        response.headers_mut().insert(ID_HEADER, id);
    }
    Ok(response)
}

enum Next {
    Answer(Response<Body>),
    Forward(Box<Forward>),
}

struct Forward {
    request: Request<Body>,
    asked: Asked,
    seen: Seen,
}

/// What was found so far.
#[derive(Default)]
struct Seen {
    request: Vec<Verdict>,
    response: Vec<Verdict>,
    withheld: Vec<String>,
    unjudged: bool,
}

impl Seen {
    fn headers(&self, headers: &mut HeaderMap) {
        let verdicts = || self.request.iter().chain(&self.response);
        let strictest = verdicts().map(|verdict| verdict.action).max().unwrap_or(Action::Allow);
        let action = if self.unjudged { "unjudged" } else { strictest.as_str() };
        let mut clauses: Vec<&str> = verdicts()
            .flat_map(|verdict| verdict.findings.iter().filter_map(|it| verdict.clause_of(it)))
            .map(|clause| clause.id.as_str())
            .collect();
        let mut kinds: Vec<&str> =
            verdicts().flat_map(|verdict| verdict.not_judged.iter().map(String::as_str)).collect();
        for list in [&mut clauses, &mut kinds] {
            list.sort_unstable();
            list.dedup();
        }
        headers.insert(ACTION_HEADER, HeaderValue::from_str(action).unwrap_or(HeaderValue::from_static("?")));
        for (name, list) in [(CLAUSES_HEADER, clauses), (NOT_JUDGED_HEADER, kinds)] {
            // An id that no header can carry stands in the extension field.
            if let (false, Ok(value)) = (list.is_empty(), HeaderValue::from_str(&list.join(","))) {
                headers.insert(name, value);
            }
        }
    }

    fn extension(&self) -> serde_json::Value {
        extension(&self.request, &self.response, &self.withheld)
    }
}

/// Reads and judges the request.
async fn ask(exchange: &Arc<Exchange>, api: Api, request: Request<Body>) -> Result<Next, Failure> {
    let config = exchange.config();
    let (mut parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Failure::Method);
    }
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|it| it != "identity") {
        return Err(Failure::RequestEncoding);
    }
    let body = read_request(body, config).await?;
    let length = body.len();
    let context = parts.headers.remove(CONTEXT_HEADER).filter(|_| config.trust_context);
    let context = context
        .as_ref()
        .map(|header| header.to_str().map_err(|_| Failure::invalid(CONTEXT_HEADER, "not ASCII")))
        .transpose()?;
    let judged = config.judged;
    let context = context.map(str::to_string);
    let read = move || api.read(&body, context.as_deref(), judged);
    let mut asked = exchange.apart(length, read).await??;
    let mut seen = Seen::default();
    match judge_request(exchange, api, &mut asked, &mut seen).await {
        Ok(()) => {}
        Err(Failure::Overloaded | Failure::NotJudged) if config.on_error == OnError::Allow => {
            seen.unjudged = true;
        }
        Err(failure) => return Err(failure),
    }
    if let Some(verdict) = seen.request.iter().find(|it| Outcome::of(it.action) == Outcome::Refuse) {
        return Ok(Next::Answer(refused(exchange, api, &asked, &seen, &refusal_of(verdict))));
    }
    let body = serde_json::to_vec(&asked.json).map_err(|_| Failure::NotJudged)?;
    let headers = &mut parts.headers;
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT, header::RANGE] {
        headers.remove(name);
    }
    exchange.trace.write(headers);
    // What arrives encoded must be decoded before it can be judged; an upstream may still do so.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request::from_parts(parts, Body::from(body));
    Ok(Next::Forward(Box::new(Forward { request, asked, seen })))
}

/// The body of a request, within its limit and its deadline.
pub(crate) async fn read_request(body: Body, config: &Config) -> Result<Bytes, Failure> {
    let limit = config.limits.request_bytes;
    match tokio::time::timeout(config.deadlines.client, Limited::new(body, limit).collect()).await {
        Err(_) => Err(Failure::RequestTimeout),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Failure::RequestTooLarge(limit))
        }
        Ok(Err(_)) => Err(Failure::RequestBroken),
    }
}

async fn judge_request(
    exchange: &Arc<Exchange>,
    api: Api,
    asked: &mut Asked,
    seen: &mut Seen,
) -> Result<(), Failure> {
    if exchange.config().judged.system {
        // A system prompt outside the messages is judged as a message of its own.
        if let Some(system) = asked.input.system.clone() {
            let messages = vec![Message::text(Role::System, system)];
            let alone = Input { system: None, messages, ..asked.input.clone() };
            let (_, verdicts) = exchange.check(alone, vec![0]).await?;
            seen.request.extend(verdicts.into_iter().map(|(_, verdict)| refuse_redaction(verdict)));
        }
    }
    let input = std::mem::take(&mut asked.input);
    // The conversation is lost with a check that fails; it is needed again only where the exchange goes on all the same.
    let kept = (exchange.config().on_error == OnError::Allow).then(|| input.clone());
    let checked = exchange.check(input, std::mem::take(&mut asked.targets)).await;
    let (input, verdicts) = match (checked, kept) {
        (Err(failure), Some(kept)) => {
            asked.input = kept;
            return Err(failure);
        }
        (checked, _) => checked?,
    };
    asked.input = input;
    for (at, mut verdict) in verdicts {
        if Outcome::of(verdict.action) == Outcome::Redact
            && !verdict.redactions.iter().all(|it| api.redact(&mut asked.json, at, it))
        {
            verdict = refuse_redaction(verdict);
        }
        seen.request.push(verdict);
    }
    Ok(())
}

/// What has no place for a placeholder is refused: it is not passed on with what should have been taken out.
fn refuse_redaction(mut verdict: Verdict) -> Verdict {
    if verdict.action == Action::Redact {
        verdict.action = Action::Block;
    }
    verdict
}

fn refused(exchange: &Arc<Exchange>, api: Api, asked: &Asked, seen: &Seen, text: &str) -> Response<Body> {
    let (model, usage) = (asked.model.as_str(), asked.usage);
    let refused = Refused { exchange, model, text, extension: seen.extension(), usage };
    exchange.ends(200, None);
    let mut response = if asked.streaming {
        let mut response = Response::new(Body::from(api.refusal_events(&refused)));
        event_stream(response.headers_mut());
        response
    } else {
        json_response(StatusCode::OK, &api.refusal(&refused))
    };
    seen.headers(response.headers_mut());
    response
}

fn event_stream(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

pub(crate) fn json_response(status: StatusCode, json: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A failure outside the chat APIs.
pub(crate) fn failure_response(anthropic: bool, failure: &Failure) -> Response<Body> {
    json_response(failure.status(), &crate::api::error(anthropic, failure))
}

fn failed(exchange: &Exchange, api: Api, failure: &Failure) -> Response<Body> {
    exchange.ends(failure.status().as_u16(), Some(failure));
    json_response(failure.status(), &api.error(failure))
}

/// Headers of the upstream's response that do not go on: they are about the bytes it sent.
const ABOUT_BYTES: [HeaderName; 12] = [
    // What the gateway says, the gateway says.
    ACTION_HEADER,
    CLAUSES_HEADER,
    NOT_JUDGED_HEADER,
    ID_HEADER,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ETAG,
    header::ACCEPT_RANGES,
    header::TRAILER,
    header::CONTENT_RANGE,
];

/// Judges the upstream's answer.
async fn answered(
    exchange: &Arc<Exchange>,
    api: Api,
    asked: Asked,
    mut seen: Seen,
    response: Response<Body>,
) -> Result<Response<Body>, Failure> {
    let (mut parts, mut body) = response.into_parts();
    if let Some(failure) = parts.extensions.get::<Failure>() {
        return Err(failure.clone());
    }
    let mut decoder = Decoder::of(&parts.headers)?;
    for name in ABOUT_BYTES {
        parts.headers.remove(name);
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let is_stream = kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    if is_stream && parts.status.is_success() {
        seen.headers(&mut parts.headers);
        event_stream(&mut parts.headers);
        let choices = asked.json.get("n").and_then(serde_json::Value::as_u64).unwrap_or(1);
        let context = Arc::new(asked.input);
        let setup = Setup { exchange: exchange.clone(), context, request: seen.request, choices };
        return Ok(Response::from_parts(parts, Body::new(Relay::new(api, setup, body, decoder))));
    }
    let limit = exchange.config().limits.response_bytes;
    let mut bytes = Vec::new();
    while let Some(piece) = read_piece(&mut body, exchange).await? {
        decoder.decode(&piece, limit, &mut bytes)?;
    }
    decoder.finish()?;
    let length = bytes.len();
    let read = move || serde_json::from_slice(&bytes).map_err(|_| Failure::Unreadable("no JSON"));
    let mut json: serde_json::Value = exchange.apart(length, read).await??;
    if parts.status.is_success() {
        judge_answers(exchange, api, asked, &mut seen, &mut json).await?;
    } else {
        judge_error(exchange, asked, &mut seen, &json).await?;
    }
    let extension = seen.extension();
    extend(&mut json, extension);
    seen.headers(&mut parts.headers);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    exchange.ends(parts.status.as_u16(), None);
    Ok(Response::from_parts(parts, Body::from(json.to_string())))
}

async fn judge_answers(
    exchange: &Arc<Exchange>,
    api: Api,
    asked: Asked,
    seen: &mut Seen,
    json: &mut serde_json::Value,
) -> Result<(), Failure> {
    let answers = api.answers(json, &mut seen.withheld)?;
    let bytes = answers.iter().map(|answer| crate::conversation::len(&answer.message)).sum();
    let mut input = asked.input;
    let worker = exchange.clone();
    let judged = exchange.work(bytes, move || {
        let several = answers.len() > 1;
        let target = input.messages.len();
        answers
            .into_iter()
            .map(|Answer { message, at, choice }| {
                input.messages.truncate(target);
                input.messages.push(message);
                let verdict = worker.check_now(&mut input, target, several.then_some(choice))?;
                Ok((at, verdict))
            })
            .collect::<Result<Vec<_>, Failure>>()
    });
    let verdicts = match judged.await.and_then(|verdicts| verdicts) {
        Ok(verdicts) => verdicts,
        Err(Failure::Overloaded | Failure::NotJudged) if exchange.config().on_error == OnError::Allow => {
            seen.unjudged = true;
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    for (at, mut verdict) in verdicts {
        if Outcome::of(verdict.action) == Outcome::Redact
            && !verdict.redactions.iter().all(|it| api.redact_answer(json, at, it))
        {
            verdict = refuse_redaction(verdict);
        }
        if Outcome::of(verdict.action) == Outcome::Refuse {
            api.refuse_answer(json, at, &refusal_of(&verdict));
        }
        seen.response.push(verdict);
    }
    Ok(())
}

/// Judges the words of an error: some upstreams quote in it what the model wrote.
async fn judge_error(
    exchange: &Arc<Exchange>,
    asked: Asked,
    seen: &mut Seen,
    json: &serde_json::Value,
) -> Result<(), Failure> {
    let mut input = asked.input;
    let at = input.messages.len();
    let text = Part::Text { text: words(json).into(), at: None };
    input.messages.push(Message { role: Role::Assistant, parts: vec![text] });
    let (_, verdicts) = exchange.check(input, vec![at]).await?;
    seen.response.extend(verdicts.into_iter().map(|(_, verdict)| verdict));
    if seen.response.iter().all(|verdict| Outcome::of(verdict.action) == Outcome::Pass) {
        Ok(())
    } else {
        Err(Failure::Unreadable("an error that quotes what the policy keeps back"))
    }
}
