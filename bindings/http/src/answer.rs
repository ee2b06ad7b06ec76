//! The answer's way through the guard: whole, or handed to the relay as a stream.

use crate::api::{Answer, Api, Asked, extend};
use crate::ask::refuse_redaction;
use crate::config::OnError;
use crate::decode::Decoder;
use crate::failure::Failure;
use crate::fields::words;
use crate::judge::{Exchange, Outcome, refusal_of};
use crate::layer::{ACTION_HEADER, CLAUSES_HEADER, ID_HEADER, NOT_JUDGED_HEADER};
use crate::relay::{Relay, Setup, read_piece};
use crate::reply::{Seen, event_stream};
use axum::body::Body;
use brightline::Message;
use brightline::message::{Part, Role};
use http::{HeaderName, HeaderValue, Response, header};
use std::sync::Arc;

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
pub(crate) async fn answered(
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
    let several = answers.len() > 1;
    let target = input.messages.len();
    let (mut answers, mut open, mut verdicts) = (answers.into_iter(), None, Vec::new());
    let judged = exchange.checks(bytes, move |pace| {
        loop {
            if let Some(Answer { message, at, choice }) = open.is_none().then(|| answers.next()).flatten() {
                input.messages.truncate(target);
                input.messages.push(message);
                open = Some((at, several.then_some(choice)));
            }
            let Some((at, choice)) = open else { return Ok(Some(std::mem::take(&mut verdicts))) };
            let Some(verdict) = worker.check_now(&mut input, target, choice, pace)? else {
                return Ok(None);
            };
            verdicts.push((at, verdict));
            open = None;
        }
    });
    let verdicts = match judged.await {
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
