//! The three chat APIs: where their requests and answers hold text, and how each says that something was refused.

pub(crate) mod chat;
pub(crate) mod messages;
mod place;
pub(crate) mod responses;

use crate::config::Judged;
use crate::conversation::targets;
use crate::failure::Failure;
use crate::fields::ambiguous_key;
use crate::judge::Exchange;
use brightline::verdict::Redaction;
use brightline::{Input, Message, Verdict, wire};
use serde_json::{Value, json};

/// An API whose traffic is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// A request as it was read.
pub(crate) struct Asked {
    /// What goes to the upstream: the request as the guard has read it, so that nobody can read it otherwise.
    pub(crate) json: Value,
    /// The conversation in the guard's terms; its messages are those of the request, one for one.
    pub(crate) input: Input<'static>,
    /// Which of them are judged.
    pub(crate) targets: Vec<usize>,
    /// Whether the answer is to be streamed.
    pub(crate) streaming: bool,
    /// Whether a stream is to end with the usage.
    pub(crate) usage: bool,
    /// The model that was asked for.
    pub(crate) model: String,
}

/// One message of an answer.
pub(crate) struct Answer {
    /// What is judged.
    pub(crate) message: Message<'static>,
    /// Its position in the list of choices.
    pub(crate) at: usize,
    /// Its index, as the API counts.
    pub(crate) choice: u32,
}

/// A request that goes no further.
pub(crate) struct Refused<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) model: &'a str,
    pub(crate) text: &'a str,
    pub(crate) extension: Value,
    pub(crate) usage: bool,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Responses, Self::Messages];

    /// The path it is served at.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// The API of a path.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    /// Reads a request.
    pub(crate) fn read(self, body: &[u8], context: Option<&str>, judged: Judged) -> Result<Asked, Failure> {
        let mut json: Value = serde_json::from_slice(body).map_err(|error| {
            Failure::invalid("", format!("not JSON, at line {} column {}", error.line(), error.column()))
        })?;
        if !json.is_object() {
            return Err(Failure::invalid("", "expected an object"));
        }
        if let Some(key) = ambiguous_key(&json, "") {
            return Err(Failure::invalid(key, "known fields are written in lower case"));
        }
        let streaming = flag(&json, "stream")?;
        let usage = json.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false);
        let model = json.get("model").and_then(Value::as_str).unwrap_or("unknown").to_string();
        let context = context.map(context_of).transpose()?;
        let input = match self {
            Self::Chat => chat::conversation(&json, context),
            Self::Responses => responses::conversation(&mut json, context),
            Self::Messages => messages::conversation(&json, context),
        }?;
        let targets = targets(&input.messages, judged);
        Ok(Asked { json, input, targets, streaming, usage, model })
    }

    /// Puts a redacted text into message number `at` of a request; false where it has no place there.
    pub(crate) fn redact(self, json: &mut Value, at: usize, redaction: &Redaction) -> bool {
        let list = if self == Self::Responses { "input" } else { "messages" };
        match json.get_mut(list) {
            Some(text @ Value::String(_)) if at == 0 => {
                *text = Value::String(redaction.text.clone());
                true
            }
            Some(Value::Array(items)) => {
                items.get_mut(at).is_some_and(|message| place::replace(message, redaction))
            }
            _ => false,
        }
    }

    /// Reads an answer, and takes out of it what holds words nobody can judge.
    pub(crate) fn answers(
        self,
        json: &mut Value,
        withheld: &mut Vec<String>,
    ) -> Result<Vec<Answer>, Failure> {
        match self {
            Self::Chat => chat::answers(json, withheld),
            Self::Responses => responses::answers(json, withheld),
            Self::Messages => messages::answers(json, withheld),
        }
    }

    /// Puts a redacted text into an answer; false where it has no place there.
    pub(crate) fn redact_answer(self, json: &mut Value, at: usize, redaction: &Redaction) -> bool {
        match self {
            Self::Chat => chat::redact(json, at, redaction),
            Self::Responses => responses::redact(json, redaction),
            Self::Messages => messages::redact(json, redaction),
        }
    }

    /// Puts a refusal in the place of an answer.
    pub(crate) fn refuse_answer(self, json: &mut Value, at: usize, text: &str) {
        match self {
            Self::Chat => chat::refuse(json, at, text),
            Self::Responses => responses::refuse(json, text),
            Self::Messages => messages::refuse(json, text),
        }
    }

    /// The answer to a request that was refused.
    pub(crate) fn refusal(self, refused: &Refused<'_>) -> Value {
        match self {
            Self::Chat => chat::refusal(refused),
            Self::Responses => responses::refusal(refused),
            Self::Messages => messages::refusal(refused),
        }
    }

    /// The same as a stream of events.
    pub(crate) fn refusal_events(self, refused: &Refused<'_>) -> Vec<u8> {
        match self {
            Self::Chat => chat::refusal_events(refused),
            Self::Responses => responses::refusal_events(refused),
            Self::Messages => messages::refusal_events(refused),
        }
    }

    /// A failure in the form the API's clients expect.
    pub(crate) fn error(self, failure: &Failure) -> Value {
        error(self == Self::Messages, failure)
    }
}

/// A failure as OpenAI's clients expect it, or Anthropic's.
pub(crate) fn error(anthropic: bool, failure: &Failure) -> Value {
    let (status, message) = (failure.status().as_u16(), format!("brightline: {failure}"));
    if anthropic {
        let kind = match status {
            400 | 415 => "invalid_request_error",
            404 | 405 => "not_found_error",
            413 => "request_too_large",
            408 | 504 => "timeout_error",
            503 => "overloaded_error",
            _ => "api_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": message}})
    } else {
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        let error =
            json!({"message": message, "type": kind, "param": failure.param(), "code": failure.kind()});
        json!({"error": error})
    }
}

/// What a client is told of the verdicts: their wire form, without any text of the messages.
pub(crate) fn extension<'a>(
    request: impl IntoIterator<Item = &'a Verdict>,
    response: impl IntoIterator<Item = &'a Verdict>,
    withheld: &[String],
) -> Value {
    let bare = |verdict: &Verdict| {
        let mut json = serde_json::to_value(verdict).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|key, _| key != "redacted" && key != "redactions");
        }
        json
    };
    let request: Vec<Value> = request.into_iter().filter(|it| says_something(it)).map(bare).collect();
    let response: Vec<Value> = response.into_iter().filter(|it| says_something(it)).map(bare).collect();
    let mut out = serde_json::Map::new();
    for (name, verdicts) in [("request", request), ("response", response)] {
        if !verdicts.is_empty() {
            out.insert(name.to_string(), Value::Array(verdicts));
        }
    }
    if !withheld.is_empty() {
        out.insert("withheld".to_string(), withheld.into());
    }
    if out.is_empty() { Value::Null } else { Value::Object(out) }
}

fn says_something(verdict: &Verdict) -> bool {
    verdict.action > brightline::Action::Allow
        || !verdict.not_judged.is_empty()
        || !verdict.failures.is_empty()
}

/// Puts the extension field into an object, where there is something to say.
pub(crate) fn extend(json: &mut Value, extension: Value) {
    if let (Some(fields), false) = (json.as_object_mut(), extension.is_null()) {
        fields.insert("brightline".to_string(), extension);
    }
}

fn flag(json: &Value, name: &str) -> Result<bool, Failure> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Failure::invalid(name, "expected true or false")),
    }
}

/// What the host vouches for.
fn context_of(header: &str) -> Result<serde_json::Map<String, Value>, Failure> {
    let wrong = |message: String| Failure::invalid(crate::config::CONTEXT_HEADER, message);
    let fields: serde_json::Map<String, Value> =
        serde_json::from_str(header).map_err(|_| wrong("expected a JSON object".to_string()))?;
    match fields.keys().find(|key| !matches!(key.as_str(), "tags" | "signals" | "settings")) {
        Some(_) => Err(wrong("known fields are `tags`, `signals` and `settings`".to_string())),
        None => Ok(fields),
    }
}

/// Reads messages as the wire form does.
fn conversation(
    system: Option<&Value>,
    messages: &Value,
    context: Option<serde_json::Map<String, Value>>,
    list: &str,
) -> Result<Input<'static>, Failure> {
    let mut record = context.unwrap_or_default();
    if let Some(system) = system {
        record.insert("system".to_string(), system.clone());
    }
    // Written apart, so that images are not copied once more.
    let mut bytes = serde_json::to_vec(&record).unwrap_or_default();
    bytes.pop();
    if !record.is_empty() {
        bytes.push(b',');
    }
    bytes.extend_from_slice(b"\"messages\":");
    bytes.extend_from_slice(&serde_json::to_vec(messages).unwrap_or_default());
    bytes.push(b'}');
    let input = wire::parse(&bytes).map_err(|error| {
        let path = error.path.replacen("messages", list, 1);
        Failure::InvalidRequest { path, message: error.message }
    })?;
    Ok(input.to_static())
}

/// A list that has to be there and may not be empty.
fn listed<'a>(json: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    match json.get(name) {
        Some(list @ Value::Array(items)) if !items.is_empty() => Ok(list),
        Some(Value::Array(_)) => Err(Failure::invalid(name, "empty: there is nothing to judge")),
        Some(_) => Err(Failure::invalid(name, "expected a list")),
        None => Err(Failure::invalid(name, "missing")),
    }
}
