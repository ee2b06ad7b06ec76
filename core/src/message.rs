//! What is judged: conversations in the form of the chat APIs, reduced to the parts a guard can read.

use crate::authority::words;
use crate::verdict::{EvidenceSpan, Field};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The platform.
    System,
    /// The deployer.
    Developer,
    /// The person talking to the model.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

words!(Role { System = "system", Developer = "developer", User = "user", Assistant = "assistant", Tool = "tool" });

/// What a text is, which decides the rules it is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// Text addressed to the model.
    Request,
    /// The model's answer.
    Response,
    /// The model's visible reasoning.
    Reasoning,
    /// A tool call: its name and arguments.
    ToolCall,
    /// What a tool gave back.
    ToolResult,
}

words!(Surface {
    Request = "request",
    Response = "response",
    Reasoning = "reasoning",
    ToolCall = "tool_call",
    ToolResult = "tool_result",
});

/// A set of surfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Surfaces(u8);

impl Surfaces {
    /// Every surface.
    pub const ALL: Self = Self(0b1_1111);

    /// The set with one more surface.
    #[must_use]
    pub fn with(self, surface: Surface) -> Self {
        Self(self.0 | 1 << surface as u8)
    }

    /// Whether the set holds the surface.
    pub fn contains(self, surface: Surface) -> bool {
        self.0 & (1 << surface as u8) != 0
    }

    /// Whether the two sets share a surface.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The surfaces in it, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Surface> {
        Surface::ALL.iter().copied().filter(move |&surface| self.contains(surface))
    }

    /// Whether no bit outside the known surfaces is set; an artifact is checked with it.
    pub(crate) fn is_valid(self) -> bool {
        self.0 & !Self::ALL.0 == 0
    }
}

impl FromIterator<Surface> for Surfaces {
    fn from_iter<I: IntoIterator<Item = Surface>>(iter: I) -> Self {
        iter.into_iter().fold(Self::default(), Self::with)
    }
}

/// One readable piece of a message, with its index among the content blocks (`None` where the content is one string).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// Plain text.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Index of the content block.
        at: Option<u32>,
    },
    /// The model's visible reasoning.
    Reasoning {
        /// The text.
        text: Cow<'a, str>,
        /// Index of the content block.
        at: Option<u32>,
    },
    /// A tool call.
    ToolCall {
        /// The tool's name.
        name: Cow<'a, str>,
        /// The arguments as JSON text.
        arguments: Cow<'a, str>,
        /// Index among the tool calls, or of the content block.
        at: u32,
    },
    /// What a tool gave back, inside a message of another role.
    ToolResult {
        /// The text.
        text: Cow<'a, str>,
        /// Index of the content block.
        at: Option<u32>,
    },
    /// Something that is no text, such as an image: passed through, reported as not judged.
    Unjudged {
        /// The type the API gives it.
        kind: Cow<'a, str>,
        /// Index of the content block.
        at: u32,
    },
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Who wrote it.
    pub role: Role,
    /// Its pieces, in order.
    pub parts: Vec<Part<'a>>,
}

impl Part<'_> {
    /// The type of a part that no detector reads.
    pub(crate) fn not_judged(&self) -> Option<&str> {
        if let Self::Unjudged { kind, .. } = self { Some(kind) } else { None }
    }

    fn to_static(&self) -> Part<'static> {
        match self {
            Self::Text { text, at } => Part::Text { text: owned(text), at: *at },
            Self::Reasoning { text, at } => Part::Reasoning { text: owned(text), at: *at },
            Self::ToolCall { name, arguments, at } => {
                Part::ToolCall { name: owned(name), arguments: owned(arguments), at: *at }
            }
            Self::ToolResult { text, at } => Part::ToolResult { text: owned(text), at: *at },
            Self::Unjudged { kind, at } => Part::Unjudged { kind: owned(kind), at: *at },
        }
    }
}

fn owned(text: &Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.to_string())
}

impl<'a> Message<'a> {
    /// A message of one piece of text.
    pub fn text(role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        Self { role, parts: vec![Part::Text { text: text.into(), at: None }] }
    }

    /// A message of the assistant that calls one tool.
    pub fn tool_call(name: impl Into<Cow<'a, str>>, arguments: impl Into<Cow<'a, str>>) -> Self {
        let call = Part::ToolCall { name: name.into(), arguments: arguments.into(), at: 0 };
        Self { role: Role::Assistant, parts: vec![call] }
    }
}

/// What one check looks at: a conversation, the message in question, and the context that the host vouches for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input<'a> {
    /// The caller's name for this record; repeated in the verdict.
    pub id: Option<Cow<'a, str>>,
    /// A system prompt that stands outside the messages, as in Anthropic's form.
    pub system: Option<Cow<'a, str>>,
    /// The conversation, oldest message first.
    pub messages: Vec<Message<'a>>,
    /// Index of the message that is judged; the last one where this is `None`.
    pub target: Option<usize>,
    /// Who switched what for this request.
    pub settings: Option<Box<crate::policy::Settings>>,
    /// What the host knows about the context, such as `under_18`.
    pub tags: Vec<Cow<'a, str>>,
    /// Scores the host supplies by name.
    pub signals: Vec<(Cow<'a, str>, f64)>,
}

impl<'a> Input<'a> {
    /// One request with nothing around it.
    pub fn request(text: impl Into<Cow<'a, str>>) -> Self {
        Self { messages: vec![Message::text(Role::User, text)], ..Self::default() }
    }

    /// A response and the request it answers.
    pub fn exchange(request: impl Into<Cow<'a, str>>, response: impl Into<Cow<'a, str>>) -> Self {
        let messages = vec![Message::text(Role::User, request), Message::text(Role::Assistant, response)];
        Self { messages, ..Self::default() }
    }

    /// The same input with texts of its own.
    pub fn to_static(&self) -> Input<'static> {
        let message = |message: &Message<'_>| Message {
            role: message.role,
            parts: message.parts.iter().map(Part::to_static).collect(),
        };
        Input {
            id: self.id.as_ref().map(owned),
            system: self.system.as_ref().map(owned),
            messages: self.messages.iter().map(message).collect(),
            target: self.target,
            settings: self.settings.clone(),
            tags: self.tags.iter().map(owned).collect(),
            signals: self.signals.iter().map(|(name, value)| (owned(name), *value)).collect(),
        }
    }

    /// The text under a span of evidence; `None` where it does not lie in this conversation.
    pub fn slice(&self, span: &EvidenceSpan) -> Option<&str> {
        let message = self.messages.get(span.message as usize)?;
        let text = message.parts.iter().find_map(|part| match (part, span.field) {
            (Part::Text { text, at } | Part::ToolResult { text, at }, Field::Content) if *at == span.part => {
                Some(text)
            }
            (Part::Reasoning { text, at }, Field::Reasoning) if *at == span.part => Some(text),
            (Part::ToolCall { arguments, at, .. }, Field::ToolCalls) if Some(*at) == span.part => {
                Some(arguments)
            }
            (Part::ToolCall { name, at, .. }, Field::ToolName) if Some(*at) == span.part => Some(name),
            _ => None,
        })?;
        text.get(span.start as usize..span.end as usize)
    }

    /// The message that is judged and its index; `None` in an empty conversation or where `target` points past it.
    pub fn judged(&self) -> Option<(usize, &Message<'a>)> {
        let at = self.target.or(self.messages.len().checked_sub(1))?;
        self.messages.get(at).map(|message| (at, message))
    }
}
