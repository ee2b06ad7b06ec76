//! What can go wrong in an exchange, and the status it is answered with: the table of `docs/gateway.md` as data.

use http::StatusCode;

/// Why an exchange failed. Messages hold no text of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The request's body is larger than the limit.
    #[error("the request is larger than {0} bytes")]
    RequestTooLarge(usize),
    /// The request's body did not arrive in time.
    #[error("the request did not arrive in time")]
    RequestTimeout,
    /// The request's body broke off.
    #[error("the request broke off")]
    RequestBroken,
    /// The request's body is compressed.
    #[error("a compressed request cannot be judged; send it without `content-encoding`")]
    RequestEncoding,
    /// The request is not what its endpoint takes.
    #[error("{}{message}", if path.is_empty() { String::new() } else { format!("`{path}`: ") })]
    InvalidRequest {
        /// The field, where one can be named.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The path is unknown, and nothing is passed through.
    #[error("unknown path; the gateway was not told to pass it through")]
    UnknownPath,
    /// The path is known, the method is not.
    #[error("this method is not allowed here")]
    Method,
    /// Too many checks wait already.
    #[error("too many messages are waiting to be judged")]
    Overloaded,
    /// The guard failed.
    #[error("the message could not be judged")]
    NotJudged,
    /// The decision could not be written to the log of decisions, and that log is required.
    #[error("the decision could not be recorded")]
    NotRecorded,
    /// No connection to the upstream, or it was closed before an answer.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// The upstream took too long to connect, to answer, or between two pieces of its answer.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
    /// The upstream's answer broke off.
    #[error("the upstream's answer broke off")]
    UpstreamBroken,
    /// The upstream's answer cannot be read, so it cannot be judged.
    #[error("the upstream's answer cannot be judged: {0}")]
    Unreadable(&'static str),
    /// The upstream's answer is larger than the limit.
    #[error("the upstream's answer is larger than {0} bytes")]
    ResponseTooLarge(usize),
    /// The exchange took longer than its deadline.
    #[error("the exchange took longer than its deadline")]
    Deadline,
}

impl Failure {
    /// Every kind, for tests and for the documentation.
    pub const KINDS: [&str; 16] = [
        "request_too_large",
        "request_timeout",
        "request_broken",
        "request_encoding",
        "invalid_request",
        "unknown_path",
        "method_not_allowed",
        "overloaded",
        "not_judged",
        "not_recorded",
        "upstream_unreachable",
        "upstream_timeout",
        "upstream_broken",
        "upstream_unreadable",
        "response_too_large",
        "deadline",
    ];

    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { path: path.into(), message: message.into() }
    }

    /// Its name in error bodies, logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RequestTooLarge(_) => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RequestBroken => "request_broken",
            Self::RequestEncoding => "request_encoding",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::UnknownPath => "unknown_path",
            Self::Method => "method_not_allowed",
            Self::Overloaded => "overloaded",
            Self::NotJudged => "not_judged",
            Self::NotRecorded => "not_recorded",
            Self::Unreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::Unreadable(_) => "upstream_unreadable",
            Self::ResponseTooLarge(_) => "response_too_large",
            Self::Deadline => "deadline",
        }
    }

    /// The status it is answered with, where no response has begun yet.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::RequestTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RequestBroken | Self::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
            Self::RequestEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Overloaded | Self::NotRecorded => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotJudged => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable | Self::UpstreamBroken | Self::Unreadable(_) | Self::ResponseTooLarge(_) => {
                StatusCode::BAD_GATEWAY
            }
            Self::UpstreamTimeout | Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The field of the request that is to blame.
    pub(crate) fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidRequest { path, .. } if !path.is_empty() => Some(path),
            _ => None,
        }
    }
}
