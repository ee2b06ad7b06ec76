//! A stream of Anthropic's events.

use super::voice::Voice;
use super::{FORM, Protocol, Setup, parsed};
use crate::api::{self, messages};
use crate::failure::Failure;
use crate::fields::{holds_text, withhold};
use crate::flow::Shown;
use crate::json::Json;
use crate::sse::{self, Event};
use brightline::Channel;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};

/// Events of one message. Blocks are told one after the other, each to its end before the next begins.
pub(super) struct Events {
    setup: Setup,
    voice: Voice,
    /// Blocks and other events that wait for a block before them.
    queue: VecDeque<Waiting>,
    /// Blocks by the upstream's index.
    known: HashMap<u64, usize>,
    blocks: usize,
    /// Blocks told to the client so far.
    told: u64,
    withheld: Vec<String>,
}

enum Waiting {
    Event(Value),
    Block(Block),
}

struct Block {
    number: usize,
    start: Value,
    told: bool,
    ready: String,
    /// What follows the text: citations, a signature.
    after: Vec<Value>,
    /// How many bytes came in and went out: they differ where something was redacted.
    bytes: (usize, usize),
    last: bool,
    /// The kind of its delta and the field of its text.
    delta: (&'static str, &'static str),
}

impl Events {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            voice: Voice::new(setup.flow()),
            setup,
            queue: VecDeque::new(),
            known: HashMap::new(),
            blocks: 0,
            told: 0,
            withheld: Vec::new(),
        }
    }

    fn block(&mut self, number: usize) -> Option<&mut Block> {
        self.queue.iter_mut().find_map(|it| match it {
            Waiting::Block(block) if block.number == number => Some(block),
            _ => None,
        })
    }

    fn show(&mut self, shown: Vec<Shown>) {
        for Shown { block, text, last } in shown {
            if let Some(block) = self.block(block) {
                block.bytes.1 += text.len();
                block.ready.push_str(&text);
                block.last |= last;
            }
        }
    }

    fn close(&mut self) {
        let shown = self.voice.close();
        self.show(shown);
    }

    fn start(&mut self, json: Value) -> Result<(), Failure> {
        let index = json.get("index").and_then(Value::as_u64).ok_or(FORM)?;
        let mut content = json.get("content_block").cloned().ok_or(FORM)?;
        let kind = content.get("type").and_then(Value::as_str).ok_or(FORM)?.to_string();
        let number = self.blocks;
        self.blocks += 1;
        let (channel, delta) = match kind.as_str() {
            "text" => (Some(Channel::Text), ("text_delta", "text")),
            "thinking" => (Some(Channel::Reasoning), ("thinking_delta", "thinking")),
            _ => (None, ("input_json_delta", "partial_json")),
        };
        let mut block = Block {
            number,
            start: Value::Null,
            told: false,
            ready: String::new(),
            after: Vec::new(),
            bytes: (0, 0),
            last: false,
            delta,
        };
        let Some(channel) = channel else {
            self.close();
            let call = kind.ends_with("tool_use");
            let Some(parts) = messages::read(&mut content, 0, &mut self.withheld) else { return Ok(()) };
            if call {
                let text = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or_default();
                self.voice.call(text("id"), text("name"), number)?;
                // Arguments that come whole are told like those that come in pieces.
                let whole = content.pull("input");
                content.put("input", json!({}));
                if whole.as_object().is_some_and(|input| !input.is_empty()) {
                    let shown = self.voice.push(number, &whole.to_string())?;
                    block.ready.extend(shown.into_iter().map(|shown| shown.text));
                }
            } else {
                self.voice.flow.whole(parts)?;
                block.last = true;
            }
            block.start = content;
            self.known.insert(index, number);
            self.queue.push_back(Waiting::Block(block));
            return Ok(());
        };
        // The text that a block may begin with is told like any other.
        let first = content.get(delta.1).and_then(Value::as_str).unwrap_or_default().to_string();
        content.put(delta.1, "");
        let fields = content.as_object_mut().ok_or(FORM)?;
        withhold(fields, &["text", "thinking"], "content_block", &mut self.withheld);
        fields.remove("signature");
        block.start = content;
        self.known.insert(index, number);
        self.queue.push_back(Waiting::Block(block));
        let shown = self.voice.text(channel, number)?;
        self.show(shown);
        self.text(number, &first)
    }

    fn text(&mut self, number: usize, text: &str) -> Result<(), Failure> {
        if let Some(block) = self.block(number) {
            block.bytes.0 += text.len();
        }
        let shown = self.voice.push(number, text)?;
        self.show(shown);
        Ok(())
    }

    fn delta(&mut self, json: &mut Value) -> Result<(), Failure> {
        let index = json.get("index").and_then(Value::as_u64).ok_or(FORM)?;
        // Of a block that may not pass, nothing does.
        let Some(number) = self.known.get(&index).copied() else { return Ok(()) };
        let delta = json.get_mut("delta").and_then(Value::as_object_mut).ok_or(FORM)?;
        let kind = delta.get("type").and_then(Value::as_str).ok_or(FORM)?.to_string();
        let text = |key: &str| delta.get(key).and_then(Value::as_str).ok_or(FORM).map(str::to_string);
        let of = self.block(number).map(|block| block.delta);
        match kind.as_str() {
            "text_delta" | "thinking_delta" | "input_json_delta" => {
                let (_, field) = of.filter(|of| of.0 == kind).ok_or(FORM)?;
                let text = text(field)?;
                self.text(number, &text)?;
            }
            "signature_delta" => {
                let signature = json.pull("delta");
                self.after(number, signature);
            }
            "citations_delta" => {
                let citation = json.pull("delta");
                if self.voice.flow.words(citation.at("citation"))? {
                    self.after(number, citation);
                }
            }
            _ if !holds_text(json.at("delta")) => {
                let delta = json.pull("delta");
                self.after(number, delta);
            }
            _ => {
                let path = format!("delta.{kind}");
                if !self.withheld.contains(&path) {
                    self.withheld.push(path);
                }
            }
        }
        Ok(())
    }

    fn after(&mut self, number: usize, delta: Value) {
        if let Some(block) = self.block(number) {
            block.after.push(delta);
        }
    }

    fn stop(&mut self, json: &Value) {
        let index = json.get("index").and_then(Value::as_u64);
        let number = index.and_then(|index| self.known.get(&index).copied());
        let shown = number.map(|number| self.voice.end_call(number)).unwrap_or_default();
        self.show(shown);
    }

    /// Tells what need not wait.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let refused = self.voice.flow.refused().is_some();
        while let Some(first) = self.queue.front_mut() {
            let block = match first {
                Waiting::Event(event) => {
                    write(out, event);
                    self.queue.pop_front();
                    continue;
                }
                Waiting::Block(block) => block,
            };
            // The last piece before a refusal may still be shown, where its block is.
            let begins = !block.ready.is_empty() || block.last;
            if !block.told && (!begins || (refused && block.ready.is_empty())) {
                break;
            }
            let index = self.told;
            if !std::mem::replace(&mut block.told, true) {
                let start = std::mem::take(&mut block.start);
                write(out, &json!({"type": "content_block_start", "index": index, "content_block": start}));
            }
            let tell = |out: &mut Vec<u8>, delta: Value| {
                write(out, &json!({"type": "content_block_delta", "index": index, "delta": delta}));
            };
            if !block.ready.is_empty() {
                let mut delta = Map::new();
                delta.insert("type".to_string(), block.delta.0.into());
                delta.insert(block.delta.1.to_string(), std::mem::take(&mut block.ready).into());
                tell(out, Value::Object(delta));
            }
            if !block.last && !refused {
                break;
            }
            for delta in block.after.drain(..) {
                let signed = delta.kind() == "signature_delta";
                let changed = block.bytes.0 != block.bytes.1;
                if !refused && (!signed || !changed) {
                    tell(out, delta);
                }
            }
            write(out, &json!({"type": "content_block_stop", "index": index}));
            self.told += 1;
            self.queue.pop_front();
            if refused {
                break;
            }
        }
    }

    fn extension(&self) -> Value {
        api::extension(&self.setup.request, self.voice.flow.verdicts(), &self.withheld)
    }

    /// Ends with a refusal what was begun.
    fn refuse(&mut self, out: &mut Vec<u8>) {
        let Some(text) = self.voice.flow.refused() else { return };
        let index = self.told;
        let mut end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": "refusal", "stop_sequence": null},
            "usage": {"output_tokens": 0},
        });
        api::extend(&mut end, self.extension());
        for event in [
            json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}),
            json!({"type": "content_block_stop", "index": index}),
            end,
            json!({"type": "message_stop"}),
        ] {
            write(out, &event);
        }
        self.queue.clear();
    }
}

fn write(out: &mut Vec<u8>, event: &Value) {
    sse::write(out, event.get("type").and_then(Value::as_str), &event.to_string());
}

impl Protocol for Events {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<bool, Failure> {
        let mut json = parsed(&event)?;
        let kind = json.get("type").and_then(Value::as_str).ok_or(FORM)?.to_string();
        match kind.as_str() {
            "message_start" => {
                let message = json.get_mut("message").and_then(Value::as_object_mut).ok_or(FORM)?;
                withhold(message, &messages::TOP, "message", &mut self.withheld);
                if message.get("content").and_then(Value::as_array).is_some_and(|it| !it.is_empty()) {
                    return Err(FORM);
                }
                write(out, &json);
            }
            "ping" => write(out, &json!({"type": "ping"})),
            "content_block_start" => self.start(json)?,
            "content_block_delta" => self.delta(&mut json)?,
            "content_block_stop" => self.stop(&json),
            "message_delta" => {
                self.close();
                withhold(
                    json.as_object_mut().ok_or(FORM)?,
                    &["delta", "usage"],
                    "message_delta",
                    &mut self.withheld,
                );
                if let Some(delta) = json.get_mut("delta").and_then(Value::as_object_mut) {
                    withhold(delta, &["container"], "message_delta", &mut self.withheld);
                }
                if self.voice.flow.refused().is_none() {
                    let extension = self.extension();
                    api::extend(&mut json, extension);
                    self.queue.push_back(Waiting::Event(json));
                }
            }
            "message_stop" => {
                self.close();
                self.queue.push_back(Waiting::Event(json!({"type": "message_stop"})));
            }
            "error" => return Err(Failure::UpstreamBroken),
            _ if !holds_text(&json) => self.queue.push_back(Waiting::Event(json)),
            _ => self.withheld.push(kind.chars().take(64).collect()),
        }
        self.flush(out);
        let refused = self.voice.flow.refused().is_some();
        if refused {
            self.refuse(out);
        }
        Ok(refused || kind == "message_stop")
    }
}
