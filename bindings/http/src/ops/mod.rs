//! What a running gateway keeps and tells: the policy in force, and what was decided.
//!
//! ```text
//! files --live--> Guard --(the gateway judges)--> Decision --Observer--> metrics, audit log, logs, traces, shadow policy
//! ```

pub mod audit;
mod clock;
pub mod live;
pub mod metrics;
mod observer;
pub mod probes;
pub mod shadow;
pub mod signals;
pub mod telemetry;

pub use observer::{Observer, StreamMeter};

use brightline::{Input, Verdict};
use live::Loaded;
use std::time::Duration;

/// One decision, as the gateway hands it to whoever counts, logs or compares.
pub struct Decision<'a> {
    /// The gateway's id of the exchange; the same for its request and its response.
    pub exchange: &'a str,
    /// The endpoint, such as `/v1/chat/completions`.
    pub endpoint: &'static str,
    /// What was judged. `None` for a stream that was not kept; see [`Observer::transcript`].
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

/// What a policy is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its verdicts are acted on.
    Live,
    /// Its verdicts are compared with those of the live one.
    Shadow,
}

impl Role {
    /// The word for it in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
        }
    }
}
