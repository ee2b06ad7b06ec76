//! Tool calls: their arguments wait until they are complete.

use super::Shared;
use super::utf8::Decoder;
use crate::engine::guard::Outcome;
use crate::engine::redact;
use crate::message::{Message, Part, Role};
use crate::policy::Action;

pub(super) struct Call {
    pub index: u32,
    pub name: String,
    decoder: Decoder,
    arguments: String,
    json: JsonEnd,
    /// What the rules made of the call when it was complete.
    judged: Option<Judged>,
}

/// A call that was judged.
struct Judged {
    outcome: Outcome,
    bytes: u64,
    /// How long name and arguments were then.
    name: usize,
    arguments: usize,
    /// What may be released, until it is.
    cleared: Option<String>,
}

impl Call {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            name: String::new(),
            decoder: Decoder::default(),
            arguments: String::new(),
            json: JsonEnd::default(),
            judged: None,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.arguments.len() + self.decoder.held()
    }

    /// Takes bytes of the arguments; whether the arguments are complete and were not judged before.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let from = self.arguments.len();
        self.decoder.push(bytes, &mut self.arguments);
        self.json.read(self.arguments.get(from..).unwrap_or(""), from);
        self.json.end.is_some() && self.judged.is_none()
    }

    /// Judges the arguments up to the end of their JSON; with `all`, whatever came.
    pub(super) fn judge(&mut self, shared: &mut Shared, all: bool) {
        if all {
            self.decoder.finish(&mut self.arguments);
        }
        let length = self.json.end.filter(|_| !all).unwrap_or(self.arguments.len());
        let known = |judged: &Judged| (judged.name, judged.arguments) == (self.name.len(), length);
        let rest = self.arguments.get(length..).unwrap_or("");
        if self.judged.as_ref().is_some_and(|judged| {
            known(judged) || rest.trim().is_empty() && judged.name == self.name.len() && !all
        }) {
            return;
        }
        let shown = self
            .judged
            .as_ref()
            .filter(|judged| judged.cleared.is_none())
            .map_or(0, |judged| judged.arguments);
        let arguments = self.arguments.get(..length).unwrap_or("").to_string();
        let part =
            Part::ToolCall { name: self.name.clone().into(), arguments: arguments.into(), at: self.index };
        let message = Message { role: Role::Assistant, parts: vec![part] };
        let (mut outcome, bytes, message) = shared.judge_alone(message);
        let redactions = redact::apply(&message, std::mem::take(&mut outcome.redact));
        let text = match redactions.into_iter().next() {
            Some(redaction) => redaction.text,
            None => self.arguments.get(shown..length).unwrap_or("").to_string(),
        };
        let (name, arguments) = (self.name.len(), length);
        self.judged = Some(Judged { outcome, bytes, name, arguments, cleared: Some(text) });
    }

    /// The strictest action of what was found.
    pub(super) fn action(&self) -> Action {
        let findings = self.judged.iter().flat_map(|judged| &judged.outcome.findings);
        findings.map(|finding| finding.action).max().unwrap_or_default()
    }

    /// The arguments, once.
    pub(super) fn release(&mut self) -> Option<String> {
        self.judged.as_mut()?.cleared.take()
    }

    pub(super) fn outcome(&self) -> Option<(Outcome, u64)> {
        self.judged.as_ref().map(|judged| (judged.outcome.clone(), judged.bytes))
    }
}

/// Finds the end of a JSON object or array.
#[derive(Default)]
struct JsonEnd {
    depth: usize,
    quoted: bool,
    escaped: bool,
    end: Option<usize>,
}

impl JsonEnd {
    fn read(&mut self, text: &str, from: usize) {
        for (at, byte) in text.bytes().enumerate() {
            if self.end.is_some() {
                return;
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quoted => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                _ if self.quoted => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.end = Some(from + at + 1);
                    }
                }
                _ => {}
            }
        }
    }
}
