//! The gateway's own endpoints: judging without an upstream.

pub(crate) mod check;
pub(crate) mod litellm;
pub(crate) mod moderations;

use crate::ask::read_request;
use crate::failure::Failure;
use crate::judge::{Exchange, Judge};
use crate::reply::{failure_response, json_response};
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;

/// Serves one request: its body goes to `answer`, what it says goes back as JSON.
async fn serve<F>(
    judge: Arc<Judge>,
    endpoint: &'static str,
    request: Request<Body>,
    answer: impl FnOnce(Arc<Exchange>, Vec<u8>) -> F,
) -> Response<Body>
where
    F: Future<Output = Result<Value, Failure>>,
{
    let (parts, body) = request.into_parts();
    let exchange = judge.begin(endpoint, &parts.headers);
    let encoded = parts.headers.get(header::CONTENT_ENCODING).is_some_and(|it| it != "identity");
    let answered = async {
        if encoded {
            return Err(Failure::RequestEncoding);
        }
        answer(exchange.clone(), read_request(body, exchange.config()).await?.into()).await
    };
    match answered.await {
        Ok(json) => {
            exchange.ends(200, None);
            json_response(StatusCode::OK, &json)
        }
        Err(failure) => {
            exchange.ends(failure.status().as_u16(), Some(&failure));
            failure_response(false, &failure)
        }
    }
}

/// Reads the body as JSON of a form.
fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            // The message of a wrong type may quote the value.
            serde_json::error::Category::Data => "a field is missing or of another type",
            _ => "not JSON",
        };
        Failure::invalid("", format!("{what}, at line {} column {}", error.line(), error.column()))
    })
}
