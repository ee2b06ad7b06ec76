//! What a running gateway keeps and tells: the policy in force, and what was decided.

pub mod live;

use brightline::{Input, Verdict};
use live::Loaded;
use std::time::Duration;

/// One decision, as the gateway hands it to whoever counts, logs or compares.
pub struct Decision<'a> {
    /// The gateway's id of the exchange; the same for its request and its response.
    pub exchange: &'a str,
    /// The endpoint, such as `/v1/chat/completions`.
    pub endpoint: &'static str,
    /// What was judged. `None` for a stream, which is not kept.
    pub input: Option<&'a Input<'a>>,
    /// Index of the choice, where a response has several.
    pub choice: Option<u32>,
    /// What came of it.
    pub verdict: &'a Verdict,
    /// The policy that was asked.
    pub loaded: &'a Loaded,
}

/// How an exchange ended.
pub struct Ended<'a> {
    /// The gateway's id of the exchange.
    pub exchange: &'a str,
    /// The endpoint.
    pub endpoint: &'static str,
    /// The status the client got.
    pub status: u16,
    /// The kind of failure, where there was one: a row of the table in `docs/gateway.md`.
    pub failure: Option<&'static str>,
    /// From the first byte of the request to the last of the response.
    pub elapsed: Duration,
    /// How much of it was spent judging.
    pub judging: Duration,
}

/// Told of every decision and every end of an exchange. One place for all surfaces and endpoints.
#[derive(Default)]
pub struct Observer {}

impl Observer {
    /// A verdict was reached.
    pub fn decided(&self, _decision: &Decision<'_>) {}

    /// An exchange is over, however it went.
    pub fn ended(&self, _ended: &Ended<'_>) {}
}
