//! What goes back to the client besides the answer itself: headers, the extension field, failures.

use crate::api::{Api, extension};
use crate::failure::Failure;
use crate::judge::Exchange;
use crate::layer::{ACTION_HEADER, CLAUSES_HEADER, NOT_JUDGED_HEADER};
use axum::body::Body;
use brightline::{Action, Verdict};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// What was found so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) request: Vec<Verdict>,
    pub(crate) response: Vec<Verdict>,
    pub(crate) withheld: Vec<String>,
    pub(crate) unjudged: bool,
}

impl Seen {
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
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

    pub(crate) fn extension(&self) -> serde_json::Value {
        extension(&self.request, &self.response, &self.withheld)
    }
}

pub(crate) fn event_stream(headers: &mut HeaderMap) {
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

/// A failure in the form of the exchange's API.
pub(crate) fn failed(exchange: &Exchange, api: Api, failure: &Failure) -> Response<Body> {
    exchange.ends(failure.status().as_u16(), Some(failure));
    json_response(failure.status(), &api.error(failure))
}
