//! A stream of chat completion chunks.

use super::{FORM, Protocol, Setup, parsed};
use crate::api::{self, chat};
use crate::failure::Failure;
use crate::fields::withhold;
use crate::flow::{Flow, Run};
use crate::sse::{self, Event};
use brightline::{Channel, Verdict};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Chunks of several choices, each judged by itself.
pub(super) struct Chunks {
    setup: Setup,
    choices: BTreeMap<u64, Choice>,
    /// The fields that every chunk repeats.
    envelope: Map<String, Value>,
    withheld: Vec<String>,
}

struct Choice {
    flow: Flow,
    text: Option<Run>,
    /// Under which name this upstream sends reasoning.
    reasoning: Option<(Run, &'static str)>,
    refusal: Option<Run>,
    calls: BTreeMap<u64, Call>,
    function: Option<Call>,
    begun: bool,
    ended: bool,
}

/// A tool call. Nothing of it is shown before something of its arguments may be.
struct Call {
    run: Run,
    head: Map<String, Value>,
    name: String,
    shown: bool,
}

impl Chunks {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, choices: BTreeMap::new(), envelope: Map::new(), withheld: Vec::new() }
    }

    fn chunk(&self, out: &mut Vec<u8>, choices: Value, extra: Option<(&str, Value)>) {
        let mut chunk = self.envelope.clone();
        chunk.insert("choices".to_string(), choices);
        if let Some((name, value)) = extra {
            chunk.insert(name.to_string(), value);
        }
        sse::write(out, None, &Value::Object(chunk).to_string());
    }

    fn delta(&self, out: &mut Vec<u8>, index: u64, delta: Map<String, Value>) {
        if !delta.is_empty() {
            let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
            self.chunk(out, json!([choice]), None);
        }
    }

    /// Ends a choice: what was held back, then why it ended.
    fn end_choice(&mut self, out: &mut Vec<u8>, index: u64, reason: Value) {
        let Some(mut choice) = self.choices.remove(&index) else { return };
        if !choice.ended {
            for delta in choice.close() {
                self.delta(out, index, delta);
            }
            let reason = match choice.flow.refused() {
                Some(text) => {
                    let mut delta = Map::new();
                    delta.insert("refusal".to_string(), text.into());
                    self.delta(out, index, delta);
                    "content_filter".into()
                }
                None => reason,
            };
            choice.ended = true;
            let ended = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": reason});
            let request: &[Verdict] = if index == 0 { &self.setup.request } else { &[] };
            let extension = api::extension(request, choice.flow.verdicts(), &self.withheld);
            let extra = (!extension.is_null()).then_some(("brightline", extension));
            self.chunk(out, json!([ended]), extra);
        }
        self.choices.insert(index, choice);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let open: Vec<u64> = self.choices.keys().copied().collect();
        for index in open {
            self.end_choice(out, index, "stop".into());
        }
        sse::write(out, None, "[DONE]");
    }

    fn take(&mut self, out: &mut Vec<u8>, choice: &mut Map<String, Value>) -> Result<(), Failure> {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        if index >= MAX_CHOICES {
            return Err(FORM);
        }
        withhold(choice, &["delta", "logprobs", "content_filter_results"], "choices", &mut self.withheld);
        let mut delta = match choice.remove("delta") {
            Some(Value::Object(delta)) => delta,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(FORM),
        };
        withhold(&mut delta, &chat::MESSAGE, "choices.delta", &mut self.withheld);
        let setup = &self.setup;
        let state = self.choices.entry(index).or_insert_with(|| Choice::new(setup));
        if state.ended {
            return Ok(());
        }
        let deltas = state.take(delta)?;
        let refused = state.flow.refused().is_some();
        for delta in deltas {
            self.delta(out, index, delta);
        }
        let reason = choice.remove("finish_reason").filter(|reason| !reason.is_null());
        if refused || reason.is_some() {
            self.end_choice(out, index, reason.unwrap_or_default());
        }
        Ok(())
    }
}

/// More choices than any API offers.
const MAX_CHOICES: u64 = 1024;

impl Protocol for Chunks {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<bool, Failure> {
        if event.data.trim() == "[DONE]" {
            self.finish(out);
            return Ok(true);
        }
        let mut json = parsed(&event)?;
        let fields = json.as_object_mut().ok_or(FORM)?;
        if fields.contains_key("error") {
            return Err(Failure::UpstreamBroken);
        }
        withhold(fields, &chat::TOP, "", &mut self.withheld);
        let choices = match fields.remove("choices") {
            Some(Value::Array(choices)) => choices,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(FORM),
        };
        let usage = fields.remove("usage").filter(|usage| !usage.is_null());
        self.envelope = std::mem::take(fields);
        for mut choice in choices {
            self.take(out, choice.as_object_mut().ok_or(FORM)?)?;
        }
        if let Some(usage) = usage {
            self.chunk(out, json!([]), Some(("usage", usage)));
        }
        // What the upstream would still say is not worth waiting for.
        let refused = |choice: &Choice| choice.flow.refused().is_some();
        let over = !self.choices.is_empty()
            && self.choices.len() as u64 >= self.setup.choices
            && self.choices.values().all(refused);
        if over {
            self.finish(out);
        }
        Ok(over)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.choices.is_empty() || self.choices.values().any(|choice| !choice.ended) {
            return Err(Failure::UpstreamBroken);
        }
        self.finish(out);
        Ok(())
    }
}

impl Choice {
    fn new(setup: &Setup) -> Self {
        Self {
            flow: setup.flow(),
            text: None,
            reasoning: None,
            refusal: None,
            calls: BTreeMap::new(),
            function: None,
            begun: false,
            ended: false,
        }
    }

    /// Takes one delta; gives those that may be shown.
    fn take(&mut self, mut delta: Map<String, Value>) -> Result<Vec<Map<String, Value>>, Failure> {
        let mut shown = Vec::new();
        let mut first = Map::new();
        if !std::mem::replace(&mut self.begun, true) {
            first.insert("role".to_string(), "assistant".into());
            if delta.contains_key("content") {
                first.insert("content".to_string(), "".into());
            }
        }
        shown.push(first);
        for name in ["reasoning_content", "reasoning"] {
            let Some(text) = text_of(&mut delta, name)? else { continue };
            // Some upstreams send the same under both names.
            let (run, kept) = match &mut self.reasoning {
                Some((run, kept)) => (run, *kept),
                empty => {
                    let (run, kept) = empty.insert((self.flow.open(Channel::Reasoning)?, name));
                    (run, *kept)
                }
            };
            if kept == name {
                shown.push(one(name, self.flow.push(run, &text)));
            }
        }
        if let Some(text) = text_of(&mut delta, "content")?.filter(|text| !text.is_empty()) {
            if let Some((mut run, name)) = self.reasoning.take() {
                shown.push(one(name, self.flow.close(&mut run)));
            }
            let run = match &mut self.text {
                Some(run) => run,
                empty => empty.insert(self.flow.open(Channel::Text)?),
            };
            shown.push(one("content", self.flow.push(run, &text)));
        }
        if let Some(text) = text_of(&mut delta, "refusal")? {
            let run = match &mut self.refusal {
                Some(run) => run,
                empty => empty.insert(self.flow.open(Channel::Text)?),
            };
            shown.push(one("refusal", self.flow.push(run, &text)));
        }
        if let Some(annotations) = delta.remove("annotations").filter(|it| !it.is_null())
            && self.flow.words(&annotations)?
        {
            let mut delta = Map::new();
            delta.insert("annotations".to_string(), annotations);
            shown.push(delta);
        }
        match delta.remove("tool_calls") {
            None | Some(Value::Null) => {}
            Some(Value::Array(calls)) => {
                for (at, call) in calls.into_iter().enumerate() {
                    shown.push(self.call(at, call)?);
                }
            }
            Some(_) => return Err(FORM),
        }
        if let Some(Value::Object(call)) = delta.remove("function_call") {
            shown.push(self.function_call(call)?);
        }
        shown.retain(|delta| !delta.is_empty());
        Ok(shown)
    }

    fn call(&mut self, at: usize, call: Value) -> Result<Map<String, Value>, Failure> {
        let Value::Object(mut call) = call else { return Err(FORM) };
        let function = match call.remove("function") {
            Some(Value::Object(function)) => function,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(FORM),
        };
        let last = self.calls.keys().next_back().copied();
        let begins = call.get("id").is_some_and(Value::is_string);
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(match last {
            // Upstreams that leave the index out send one call after the other.
            Some(last) => last + u64::from(begins),
            None => at as u64,
        });
        let text = |key: &str| match function.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(FORM),
        };
        let (name, arguments) = (text("name")?, text("arguments")?);
        let state = match self.calls.entry(index) {
            std::collections::btree_map::Entry::Occupied(entry) => {
                let state = entry.into_mut();
                if !state.shown {
                    state.name.push_str(&name);
                    state.run.name(&name);
                }
                state
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
                let run = self.flow.open_call(id, &name)?;
                let mut head = Map::new();
                head.insert("index".to_string(), index.into());
                for key in ["id", "type"] {
                    if let Some(value) = call.remove(key) {
                        head.insert(key.to_string(), value);
                    }
                }
                entry.insert(Call { run, head, name, shown: false })
            }
        };
        let text = self.flow.push(&mut state.run, &arguments);
        Ok(state.shown(text, false).map(|call| list("tool_calls", call)).unwrap_or_default())
    }

    fn function_call(&mut self, call: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        let text = |key: &str| call.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let (name, arguments) = (text("name"), text("arguments"));
        let state = match &mut self.function {
            Some(state) => state,
            empty => {
                let run = self.flow.open_call("", &name)?;
                empty.insert(Call { run, head: Map::new(), name, shown: false })
            }
        };
        let text = self.flow.push(&mut state.run, &arguments);
        Ok(state.shown(text, false).map(legacy).unwrap_or_default())
    }

    /// Ends every text; gives the deltas that may still be shown.
    fn close(&mut self) -> Vec<Map<String, Value>> {
        let mut shown = Vec::new();
        if let Some((mut run, name)) = self.reasoning.take() {
            shown.push(one(name, self.flow.close(&mut run)));
        }
        for (run, name) in [(&mut self.text, "content"), (&mut self.refusal, "refusal")] {
            if let Some(mut run) = run.take() {
                shown.push(one(name, self.flow.close(&mut run)));
            }
        }
        for mut call in std::mem::take(&mut self.calls).into_values() {
            let text = self.flow.close(&mut call.run);
            let passes = self.flow.refused().is_none();
            shown.extend(call.shown(text, passes).map(|call| list("tool_calls", call)));
        }
        if let Some(mut call) = self.function.take() {
            let text = self.flow.close(&mut call.run);
            let passes = self.flow.refused().is_none();
            shown.extend(call.shown(text, passes).map(legacy));
        }
        shown.retain(|delta| !delta.is_empty());
        shown
    }
}

impl Call {
    /// The call with more of its arguments; `None` where there is nothing to show. With `ended` its head is shown even
    /// if it has no arguments.
    fn shown(&mut self, arguments: String, ended: bool) -> Option<Map<String, Value>> {
        if arguments.is_empty() && (self.shown || !ended) {
            return None;
        }
        let mut call = Map::new();
        let mut function = Map::new();
        if std::mem::replace(&mut self.shown, true) {
            call.extend(self.head.get("index").map(|index| ("index".to_string(), index.clone())));
        } else {
            call = self.head.clone();
            function.insert("name".to_string(), self.name.as_str().into());
        }
        function.insert("arguments".to_string(), arguments.into());
        call.insert("function".to_string(), Value::Object(function));
        Some(call)
    }
}

fn text_of(delta: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match delta.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(FORM),
    }
}

fn one(name: &str, text: String) -> Map<String, Value> {
    let mut delta = Map::new();
    if !text.is_empty() {
        delta.insert(name.to_string(), text.into());
    }
    delta
}

fn list(name: &str, item: Map<String, Value>) -> Map<String, Value> {
    let mut delta = Map::new();
    delta.insert(name.to_string(), json!([item]));
    delta
}

fn legacy(mut call: Map<String, Value>) -> Map<String, Value> {
    let mut delta = Map::new();
    delta.extend(call.remove("function").map(|function| ("function_call".to_string(), function)));
    delta
}
