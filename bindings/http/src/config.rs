//! What a deployer can set: limits, deadlines, and what happens where something fails.

use std::time::Duration;

/// What is judged, for how long things may take, and how large they may be.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What of a request is judged.
    pub judged: Judged,
    /// Sizes and counts.
    pub limits: Limits,
    /// Times.
    pub deadlines: Deadlines,
    /// What happens to an exchange that could not be judged.
    pub on_error: OnError,
    /// Send what is on no known path to the upstream unjudged, instead of answering 404.
    pub pass_through: bool,
    /// Read tags, signals and settings of the user from the header [`CONTEXT_HEADER`].
    pub trust_context: bool,
}

/// The header that carries what the host vouches for, where [`Config::trust_context`] is set.
pub const CONTEXT_HEADER: &str = "x-brightline-context";

/// Which messages of a request are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// All messages, rather than those that came after the model's last answer.
    pub history: bool,
    /// The system prompt and developer messages, too.
    pub system: bool,
}

/// What happens to a message that could not be judged, because the guard itself failed or is overloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes no further.
    #[default]
    Block,
    /// It goes on unjudged, and the header `x-brightline-action` says `unjudged`.
    Allow,
}

/// Sizes and counts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub request_bytes: usize,
    /// Bytes of a response's body, decoded; of all events together in a stream.
    pub response_bytes: usize,
    /// Bytes of one event of a stream.
    pub event_bytes: usize,
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Checks that may wait for a core or run on one; further ones fail.
    pub waiting_checks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 32 << 20,
            response_bytes: 32 << 20,
            event_bytes: 8 << 20,
            connections: 1024,
            waiting_checks: 1024,
        }
    }
}

/// Times.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// A whole exchange, from the request's head to the response's last byte.
    pub exchange: Duration,
    /// Until the head of a request, and then its body, has arrived; and for any pause in which the client does not take its
    /// answer.
    pub client: Duration,
    /// Until the upstream has accepted a connection.
    pub connect: Duration,
    /// Until the head of the upstream's response has arrived.
    pub first_byte: Duration,
    /// Between two pieces of the upstream's response.
    pub idle: Duration,
    /// How long exchanges in flight may go on after the signal to stop.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            exchange: Duration::from_secs(600),
            client: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}
