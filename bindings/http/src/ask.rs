//! The request's way through the guard: read, judged, refused or made ready for the upstream.

use crate::api::{Api, Asked, Refused};
use crate::config::{CONTEXT_HEADER, Config, OnError};
use crate::failure::Failure;
use crate::judge::{Exchange, Outcome, refusal_of};
use crate::reply::{Seen, event_stream, json_response};
use axum::body::Body;
use brightline::message::Role;
use brightline::{Action, Input, Message, Verdict};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;

/// What becomes of a request.
pub(crate) enum Next {
    Answer(Response<Body>),
    Forward(Box<Forward>),
}

/// A request on its way to the upstream.
pub(crate) struct Forward {
    pub(crate) request: Request<Body>,
    pub(crate) asked: Asked,
    pub(crate) seen: Seen,
}

/// Reads and judges the request.
pub(crate) async fn ask(exchange: &Arc<Exchange>, api: Api, request: Request<Body>) -> Result<Next, Failure> {
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
pub(crate) fn refuse_redaction(mut verdict: Verdict) -> Verdict {
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
