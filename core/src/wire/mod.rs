//! JSON in and out: one form for every binding.
//!
//! A record is a conversation in OpenAI's or Anthropic's form, or a short form; see [`parse`]. A verdict is written by its
//! [`serde::Serialize`] implementation.

mod case;
mod content;
mod record;
mod verdict;

pub use case::{Case, Expect};

use crate::message::Input;

/// The largest record that is read, in bytes.
pub const MAX_RECORD_BYTES: usize = 256 << 20;

/// A record that cannot be judged: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("`{path}`: ") })]
pub struct WireError {
    /// The field, such as `messages[2].role`; empty where the JSON itself is broken.
    pub path: String,
    /// What is wrong, with line and column where the JSON is broken.
    pub message: String,
}

impl WireError {
    fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The id of a record that could not be read otherwise, if its JSON can.
pub fn id(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: record::Id<'a>,
    }
    serde_json::from_slice::<OnlyId<'_>>(json).ok().map(|only| only.id.0.into_owned())
}

/// Reads one record. Text is borrowed where it holds no escapes.
///
/// # What is a record?
/// `{"id"?, "messages": [..], "system"?, "target"?, "settings"?, "tags"?, "signals"?}` with messages as OpenAI's or
/// Anthropic's chat API takes them, or in short
/// `{"id"?, "request"?, "response"?, "tool_call"?, "tool_result"?, "text"?}`: the last of these that is given is judged.
/// Other fields are passed over, unless they look like one of these misspelled.
///
/// # Errors
/// If the JSON is broken, a field has the wrong type, a role is unknown, or there is nothing to judge.
pub fn parse(json: &[u8]) -> Result<Input<'_>, WireError> {
    if json.len() > MAX_RECORD_BYTES {
        let message = format!("the record has {} bytes; at most {MAX_RECORD_BYTES} are read", json.len());
        return Err(WireError::at("", message));
    }
    match serde_json::from_slice::<record::Record<'_>>(json) {
        Ok(record) => record.into_input(),
        // Only a failure pays for knowing its place.
        Err(error) => {
            let mut reader = serde_json::Deserializer::from_slice(json);
            let path = match serde_path_to_error::deserialize::<_, record::Record<'_>>(&mut reader) {
                Err(error) if error.inner().is_data() => error.path().to_string(),
                _ => String::new(),
            };
            Err(WireError::at(if path == "." { "" } else { &path }, without_text(&error.to_string())))
        }
    }
}

/// The longest message of an error, in bytes.
const MAX_ERROR_BYTES: usize = 240;

/// What types are called where they are expected.
const TYPES: [(&str, &str); 4] = [
    ("expected struct WireMessage", "expected an object"),
    ("expected f64", "expected a number"),
    ("expected usize", "expected a whole number"),
    ("expected u32", "expected a whole number"),
];

/// What is wrong with a value, without the value: an error record holds no message text.
fn without_text(message: &str) -> String {
    let quoted = message.find("string \"").map(|at| at + "string".len());
    let stripped = quoted
        .zip(message.rfind("\", expected"))
        .and_then(|(from, to)| Some([message.get(..from)?, message.get(to.max(from) + 1..)?].concat()));
    let mut short = stripped.unwrap_or_else(|| message.to_string());
    for (theirs, ours) in TYPES {
        short = short.replace(theirs, ours);
    }
    if short.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|at| short.is_char_boundary(*at)).unwrap_or(0);
        short.truncate(end);
        short.push('…');
    }
    short
}
