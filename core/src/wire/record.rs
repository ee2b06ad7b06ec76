//! One record of a log.

use super::WireError;
use super::content::{Content, Text, WireMessage, WireToolCall};
use crate::message::{Input, Message, Role};
use crate::policy::Settings;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

const FIELDS: [&str; 12] = [
    "id",
    "messages",
    "system",
    "target",
    "settings",
    "tags",
    "signals",
    "request",
    "response",
    "tool_call",
    "tool_result",
    "text",
];

/// A record with whichever fields it has.
#[derive(Default)]
pub(super) struct Record<'a> {
    id: Option<Cow<'a, str>>,
    messages: Option<Vec<WireMessage<'a>>>,
    system: Content<'a>,
    target: Option<usize>,
    settings: Option<Box<Settings>>,
    tags: Vec<Text<'a>>,
    signals: Signals,
    request: Option<Text<'a>>,
    response: Option<Text<'a>>,
    tool_call: Option<WireToolCall<'a>>,
    tool_result: Option<Text<'a>>,
    text: Option<Text<'a>>,
}

/// The fields of an object that were read so far. Who reads one of two and a model the other judges the wrong text.
#[derive(Default)]
pub(super) struct Seen(u32);

impl Seen {
    /// Notes a field.
    ///
    /// # Errors
    /// If it is one of `fields` and stood before.
    pub(super) fn note<E: de::Error>(&mut self, fields: &[&'static str], field: &str) -> Result<(), E> {
        let Some((bit, known)) = (0u32..).zip(fields).find(|(_, known)| **known == field) else {
            return Ok(());
        };
        if self.0 >> bit & 1 == 1 {
            return Err(E::duplicate_field(known));
        }
        self.0 |= 1 << bit;
        Ok(())
    }
}

/// An id is a string or a number.
pub(super) struct Id<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl<'de> Visitor<'de> for IdVisitor {
            type Value = Id<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Id(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Id(Cow::Owned(text.to_string())))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Id(Cow::Owned(number.to_string())))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Id(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordVisitor;
        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = Record<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `messages`, or with `request`, `response`, `tool_call`, `tool_result` or `text`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut record = Record::default();
                let mut seen = Seen::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    seen.note(&FIELDS, &key.0)?;
                    match &*key.0 {
                        "id" => record.id = map.next_value::<Option<Id<'de>>>()?.map(|id| id.0),
                        "messages" => record.messages = map.next_value()?,
                        "system" => record.system = map.next_value()?,
                        "target" => record.target = map.next_value()?,
                        "settings" => record.settings = map.next_value()?,
                        "tags" => record.tags = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "signals" => record.signals = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "request" => record.request = map.next_value()?,
                        "response" => record.response = map.next_value()?,
                        "tool_call" => record.tool_call = map.next_value()?,
                        "tool_result" => record.tool_result = map.next_value()?,
                        "text" => record.text = map.next_value()?,
                        other => {
                            if let Some(meant) = misspelled(other) {
                                return Err(de::Error::custom(format!(
                                    "unknown field `{other}`, did you mean `{meant}`?"
                                )));
                            }
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(RecordVisitor)
    }
}

/// How many tags, and how many signals, a record may carry: every rule may look through all of them.
const MAX_TAGS: usize = 256;

/// Scores by name.
#[derive(Default)]
struct Signals(BTreeMap<String, f64>);

impl<'de> Deserialize<'de> for Signals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SignalsVisitor;
        impl<'de> Visitor<'de> for SignalsVisitor {
            type Value = Signals;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut signals = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, f64>()? {
                    if signals.len() >= MAX_TAGS {
                        return Err(de::Error::custom(format!("at most {MAX_TAGS} signals are allowed")));
                    }
                    if signals.contains_key(&name) {
                        return Err(de::Error::custom(format!("duplicate signal `{name}`")));
                    }
                    signals.insert(name, value);
                }
                Ok(Signals(signals))
            }
        }
        deserializer.deserialize_map(SignalsVisitor)
    }
}

/// The field a word was probably meant to be: one letter more, fewer or other, or two exchanged.
fn misspelled(word: &str) -> Option<&'static str> {
    let close = |known: &str| {
        let (a, b) = (word.as_bytes(), known.as_bytes());
        let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let (a, b) = (a.get(front..).unwrap_or_default(), b.get(front..).unwrap_or_default());
        let back = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
        let (a, b) =
            (a.get(..a.len() - back).unwrap_or_default(), b.get(..b.len() - back).unwrap_or_default());
        matches!((a, b), ([_], []) | ([], [_]) | ([_], [_]))
            || matches!((a, b), ([p, q], [r, s]) if p == s && q == r)
    };
    // Short words are close to too many others.
    FIELDS.into_iter().filter(|known| known.len() > 4).find(|known| close(known))
}

impl<'a> Record<'a> {
    /// The record in the guard's terms.
    pub(super) fn into_input(self) -> Result<Input<'a>, WireError> {
        let short = self.request.is_some()
            || self.response.is_some()
            || self.tool_call.is_some()
            || self.tool_result.is_some()
            || self.text.is_some();
        let messages = match self.messages {
            Some(_) if short => {
                let message = "a record has either `messages` or the short form, not both";
                return Err(WireError::at("messages", message));
            }
            Some(messages) => messages
                .into_iter()
                .enumerate()
                .map(|(at, message)| {
                    message
                        .into_message()
                        .map_err(|(field, why)| WireError::at(format!("messages[{at}].{field}"), why))
                })
                .collect::<Result<Vec<_>, _>>()?,
            None => {
                let text = |role, text: Option<Text<'a>>| text.map(|text| Message::text(role, text.0));
                let call = match self.tool_call.map(|call| call.into_part(0)) {
                    None => None,
                    Some(Some(part)) => Some(Message { role: Role::Assistant, parts: vec![part] }),
                    Some(None) => return Err(WireError::at("tool_call", "a tool call needs `name`")),
                };
                let result = text(Role::Tool, self.tool_result);
                [
                    text(Role::User, self.request),
                    text(Role::Assistant, self.response),
                    call,
                    result,
                    text(Role::User, self.text),
                ]
                .into_iter()
                .flatten()
                .collect()
            }
        };
        if messages.is_empty() {
            let message = "nothing to judge: give `messages`, `request`, `response`, `tool_call`, `tool_result` or `text`";
            return Err(WireError::at("", message));
        }
        if let Some(target) = self.target.filter(|target| *target >= messages.len()) {
            let message = format!("{target} is past the last of {} messages", messages.len());
            return Err(WireError::at("target", message));
        }
        if let Some(settings) = &self.settings {
            settings.check_request().map_err(|error| WireError::at("settings", error.to_string()))?;
        }
        if self.tags.len() > MAX_TAGS {
            let message = format!("{} tags; at most {MAX_TAGS} are allowed", self.tags.len());
            return Err(WireError::at("tags", message));
        }
        if let Some((name, _)) = self.signals.0.iter().find(|(_, value)| !value.is_finite()) {
            return Err(WireError::at(format!("signals.{name}"), "not a finite number"));
        }
        Ok(Input {
            id: self.id,
            system: self.system.into_text(),
            messages,
            target: self.target,
            settings: self.settings,
            tags: self.tags.into_iter().map(|tag| tag.0).collect(),
            signals: self.signals.0.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect(),
        })
    }
}
