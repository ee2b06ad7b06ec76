//! `/v1/check` and `/v1/check/batch`: records and verdicts in the wire form, as `brightline score` reads and writes them.

use super::serve;
use crate::failure::Failure;
use crate::json::Json;
use crate::judge::{Exchange, Judge, Pace};
use axum::body::Body;
use axum::extract::State;
use brightline::wire::{self, WireError};
use http::{Request, Response};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many records a batch may hold.
pub(crate) const MAX_BATCH: usize = 10_000;

/// One record in, one verdict out.
pub(crate) async fn one(State(judge): State<Arc<Judge>>, request: Request<Body>) -> Response<Body> {
    serve(judge, "/v1/check", request, async |exchange, body| {
        let worker = exchange.clone();
        exchange
            .checks(body.len(), move |pace| {
                verdict(&worker, &body, pace).map_err(|(_, error)| Failure::InvalidRequest {
                    path: error.path,
                    message: error.message,
                })
            })
            .await
    })
    .await
}

/// `{"records": [..]}` in, `{"verdicts": [..]}` out, in the same order; a record that cannot be judged gives an error record.
pub(crate) async fn batch(State(judge): State<Arc<Judge>>, request: Request<Body>) -> Response<Body> {
    #[derive(serde::Deserialize)]
    struct Batch {
        records: Vec<Box<RawValue>>,
    }
    serve(judge, "/v1/check/batch", request, async |exchange, body| {
        let Batch { records } = super::parsed(&body)?;
        if records.len() > MAX_BATCH {
            return Err(Failure::invalid("records", format!("at most {MAX_BATCH} are allowed")));
        }
        let worker = exchange.clone();
        let verdicts: Vec<Value> = exchange
            .work(body.len(), move || {
                let judged = records.iter().enumerate().map(|(at, record)| {
                    verdict(&worker, record.get().as_bytes(), Pace::Full)
                        .map(Option::unwrap_or_default)
                        .unwrap_or_else(|(id, error)| {
                            let mut about = json!({"message": error.message});
                            if !error.path.is_empty() {
                                about.put("path", error.path);
                            }
                            let mut json = json!({"record": at, "error": about});
                            if let Some(id) = id {
                                json.put("id", id);
                            }
                            json
                        })
                });
                judged.collect()
            })
            .await?;
        Ok(json!({"verdicts": verdicts}))
    })
    .await
}

/// The verdict on one record; `None` where it would take longer than its pace allows.
fn verdict(
    exchange: &Exchange,
    record: &[u8],
    pace: Pace,
) -> Result<Option<Value>, (Option<String>, WireError)> {
    let input = wire::parse(record).map_err(|error| (wire::id(record), error))?;
    let verdict = exchange.paced(&input, pace).map_err(|error| {
        let error = WireError { path: "settings".to_string(), message: error.to_string() };
        (input.id.as_ref().map(|id| id.to_string()), error)
    })?;
    Ok(verdict.map(|verdict| {
        exchange.decided(Some(&input), &verdict, None);
        serde_json::to_value(&verdict).unwrap_or_default()
    }))
}
