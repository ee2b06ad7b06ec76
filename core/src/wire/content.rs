//! Messages and their content blocks, of both APIs.

use super::record::Seen;
use crate::message::{Message, Part, Role};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A string that is borrowed where it can be.
#[derive(Clone, Debug)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_string())))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A string, a list of blocks, or nothing.
#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content blocks")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Content::Nothing)
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element()? {
                    blocks.push(block);
                }
                Ok(Content::Blocks(blocks))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

const BLOCK_FIELDS: [&str; 7] = ["type", "text", "thinking", "refusal", "name", "input", "content"];

/// One content block; which fields it has depends on its type. A bare string stands for a block of text.
#[derive(Default)]
pub(super) struct Block<'a> {
    kind: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    thinking: Option<Cow<'a, str>>,
    refusal: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    input: Option<&'a RawValue>,
    content: Content<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Block<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlockVisitor;
        impl<'de> Visitor<'de> for BlockVisitor {
            type Value = Block<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a content block")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Block { text: Some(Cow::Borrowed(text)), ..Block::default() })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Block { text: Some(Cow::Owned(text.to_string())), ..Block::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut block = Block::default();
                let mut seen = Seen::default();
                let text = |text: Option<Text<'de>>| text.map(|text| text.0);
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    seen.note(&BLOCK_FIELDS, &key.0)?;
                    match &*key.0 {
                        "type" => block.kind = Some(map.next_value::<Text<'de>>()?.0),
                        "text" => block.text = text(map.next_value()?),
                        "thinking" => block.thinking = text(map.next_value()?),
                        "refusal" => block.refusal = text(map.next_value()?),
                        "name" => block.name = text(map.next_value()?),
                        "input" => block.input = map.next_value()?,
                        "content" => block.content = map.next_value()?,
                        _ => {
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(block)
            }
        }
        deserializer.deserialize_any(BlockVisitor)
    }
}

/// One message as either API writes it.
#[derive(Deserialize)]
pub(super) struct WireMessage<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<WireToolCall<'a>>>,
    /// The form that came before `tool_calls`.
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
}

/// A tool call, in OpenAI's form or with its two fields at the top.
#[derive(Default, Deserialize)]
pub(super) struct WireToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl<'a> WireToolCall<'a> {
    /// The call as a part of a message; `None` where it names no tool.
    pub(super) fn into_part(self, at: u32) -> Option<Part<'a>> {
        let (name, arguments) = match self.function {
            Some(function) => (function.name, function.arguments),
            None => (self.name?, self.arguments),
        };
        Some(Part::ToolCall { name: name.0, arguments: arguments_text(arguments), at })
    }
}

/// Arguments are JSON, or a string that holds JSON.
fn arguments_text(raw: Option<&RawValue>) -> Cow<'_, str> {
    let Some(raw) = raw.map(RawValue::get) else { return Cow::Borrowed("") };
    if raw.starts_with('"') {
        serde_json::from_str::<Text<'_>>(raw).map_or(Cow::Borrowed(raw), |text| text.0)
    } else if raw == "null" {
        Cow::Borrowed("")
    } else {
        Cow::Borrowed(raw)
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> WireMessage<'a> {
    /// The message in the guard's terms.
    ///
    /// # Errors
    /// The field that is wrong, relative to the message, and why.
    pub(super) fn into_message(self) -> Result<Message<'a>, (String, String)> {
        let role = match &*self.role.0 {
            "function" => Role::Tool,
            word => Role::from_word(word).ok_or_else(|| {
                let known = Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
                (
                    "role".to_string(),
                    format!("unknown role `{}`; known are {known}", super::without_text(word)),
                )
            })?,
        };
        let mut parts = Vec::with_capacity(1);
        if let Some(text) = self.reasoning_content {
            parts.push(Part::Reasoning { text: text.0, at: None });
        }
        self.content.into_parts(&mut parts)?;
        if let Some(text) = self.refusal {
            parts.push(Part::Text { text: text.0, at: None });
        }
        let legacy = self
            .function_call
            .map(|function| WireToolCall { function: Some(function), ..WireToolCall::default() });
        for (at, call) in self.tool_calls.into_iter().flatten().chain(legacy).enumerate() {
            let part = call.into_part(index(at)).ok_or_else(|| {
                (format!("tool_calls[{at}]"), "a tool call needs `function.name` or `name`".to_string())
            })?;
            parts.push(part);
        }
        Ok(Message { role, parts })
    }
}

impl<'a> Content<'a> {
    fn into_parts(self, parts: &mut Vec<Part<'a>>) -> Result<(), (String, String)> {
        match self {
            Self::Nothing => {}
            Self::Text(text) => parts.push(Part::Text { text, at: None }),
            Self::Blocks(blocks) => {
                for (at, block) in blocks.into_iter().enumerate() {
                    let place = |field: &str| format!("content[{at}]{field}");
                    let mut block = block;
                    // What a tool result holds besides text is reported like any other part that is not judged.
                    let others = block.content.unjudged(index(at));
                    parts.push(block.into_part(index(at)).map_err(|(field, why)| (place(&field), why))?);
                    parts.extend(others);
                }
            }
        }
        Ok(())
    }

    /// Takes out the blocks that are no text.
    fn unjudged(&mut self, at: u32) -> Vec<Part<'a>> {
        let Self::Blocks(blocks) = self else { return Vec::new() };
        let others = blocks.extract_if(.., |block| block.text.is_none());
        others.map(|block| Part::Unjudged { kind: block.kind.unwrap_or_default(), at }).collect()
    }

    /// The text of a system prompt or a tool result: its blocks of text, joined by line breaks.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Nothing => None,
            Self::Text(text) => Some(text),
            Self::Blocks(blocks) => {
                let mut texts = blocks.into_iter().filter_map(|block| block.text).peekable();
                let first = texts.next()?;
                if texts.peek().is_none() {
                    return Some(first);
                }
                Some(Cow::Owned(std::iter::once(first).chain(texts).collect::<Vec<_>>().join("\n")))
            }
        }
    }
}

impl<'a> Block<'a> {
    fn into_part(self, at: u32) -> Result<Part<'a>, (String, String)> {
        let missing = |field: &str| (format!(".{field}"), format!("a block of this type needs `{field}`"));
        let at_block = Some(at);
        match self.kind.as_deref() {
            None | Some("text" | "input_text" | "output_text") => {
                let text = self.text.ok_or_else(|| missing("text"))?;
                Ok(Part::Text { text, at: at_block })
            }
            Some("refusal") => {
                Ok(Part::Text { text: self.refusal.ok_or_else(|| missing("refusal"))?, at: at_block })
            }
            Some("thinking" | "reasoning") => {
                let text = self.thinking.or(self.text).ok_or_else(|| missing("thinking"))?;
                Ok(Part::Reasoning { text, at: at_block })
            }
            Some("tool_use" | "server_tool_use") => {
                let name = self.name.ok_or_else(|| missing("name"))?;
                Ok(Part::ToolCall { name, arguments: arguments_text(self.input), at })
            }
            Some("tool_result") => {
                Ok(Part::ToolResult { text: self.content.into_text().unwrap_or_default(), at: at_block })
            }
            Some(_) => Ok(Part::Unjudged { kind: self.kind.unwrap_or_default(), at }),
        }
    }
}
