//! A stream of events of the Responses API.
//!
//! Its later events repeat what the deltas said: the end of a part, of an item, and of the whole. They are told anew from
//! what the deltas were allowed to say.

use super::parts::{Kind, TEXTS, index, part_of, repeat_part, set_call, string, text_event};
use super::voice::Voice;
use super::{FORM, Protocol, Setup, parsed};
use crate::api::{self, responses};
use crate::failure::Failure;
use crate::fields::{holds_text, withhold};
use crate::flow::Shown;
use crate::json::Json;
use crate::sse::{self, Event};
use brightline::Channel;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Events of one response. Texts are told one after the other, each to its end before the next begins.
pub(super) struct Events {
    setup: Setup,
    voice: Voice,
    queue: VecDeque<Waiting>,
    /// The texts, in the order in which they began.
    texts: HashMap<Place, Text>,
    order: Vec<Place>,
    /// Annotations that passed, by the indexes of item and content.
    annotations: HashMap<(u64, u64), Vec<Value>>,
    /// Items by the upstream's index: the name of the tool it calls, where it does.
    items: HashMap<u64, Item>,
    /// The item that the client was told of last, while it has not ended.
    open: Option<Value>,
    /// Items as they were told to their end.
    output: Vec<Value>,
    last_response: Value,
    number: u64,
    withheld: Vec<String>,
}

/// Where a text stands: the upstream's index of the item, what it is, and its index there.
type Place = (u64, Kind, u64);

#[derive(Default)]
struct Item {
    added: Option<Value>,
    id: String,
    name: String,
    withheld: bool,
}

struct Text {
    number: usize,
    shown: String,
    /// Nothing came in pieces so far.
    empty: bool,
}

enum Waiting {
    Event(Value),
    Text(Told),
}

/// A text on its way to the client.
struct Told {
    place: Place,
    /// Events before its first piece, told no earlier than that.
    before: Vec<Value>,
    /// The events of a piece and of the end, without their text.
    delta: Value,
    ready: String,
    last: bool,
}

impl Events {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            voice: Voice::new(setup.flow()),
            setup,
            queue: VecDeque::new(),
            texts: HashMap::new(),
            order: Vec::new(),
            annotations: HashMap::new(),
            items: HashMap::new(),
            open: None,
            output: Vec::new(),
            last_response: Value::Null,
            number: 0,
            withheld: Vec::new(),
        }
    }

    fn told(&mut self, place: Place) -> Option<&mut Told> {
        self.queue.iter_mut().find_map(|it| match it {
            Waiting::Text(told) if told.place == place => Some(told),
            _ => None,
        })
    }

    fn show(&mut self, shown: Vec<Shown>) {
        for Shown { block, text, last } in shown {
            let Some(place) = self.order.get(block).copied() else { continue };
            if let Some(told) = self.told(place) {
                told.ready.push_str(&text);
                told.last |= last;
            }
            if let Some(known) = self.texts.get_mut(&place) {
                known.shown.push_str(&text);
            }
        }
    }

    fn close(&mut self) {
        let shown = self.voice.close();
        self.show(shown);
    }

    /// Begins a text, if it has not begun.
    fn begin(&mut self, place: Place, delta: Value) -> Result<(), Failure> {
        if self.texts.contains_key(&place) {
            return Ok(());
        }
        let number = self.order.len();
        self.order.push(place);
        self.texts.insert(place, Text { number, shown: String::new(), empty: true });
        let mut told = Told { place, before: Vec::new(), delta, ready: String::new(), last: false };
        let item = self.items.entry(place.0).or_default();
        let shown = if place.1 == Kind::Call {
            told.before.extend(item.added.take());
            let (id, name) = (item.id.clone(), item.name.clone());
            self.voice.call(&id, &name, number)?
        } else {
            let channel = if place.1 == Kind::Content { Channel::Text } else { Channel::Reasoning };
            self.voice.text(channel, number)?
        };
        self.show(shown);
        self.queue.push_back(Waiting::Text(told));
        Ok(())
    }

    fn push(&mut self, place: Place, text: &str) -> Result<(), Failure> {
        let Some(known) = self.texts.get_mut(&place) else { return Ok(()) };
        known.empty &= text.is_empty();
        let shown = self.voice.push(known.number, text)?;
        self.show(shown);
        Ok(())
    }

    fn text(&mut self, json: &Value, of: (&'static str, &'static str, Kind, bool)) -> Result<(), Failure> {
        let (stem, field, kind, ended) = of;
        let inner = if kind == Kind::Summary { "summary_index" } else { "content_index" };
        let place = (index(json, "output_index"), kind, index(json, inner));
        if self.items.get(&place.0).is_some_and(|item| item.withheld) {
            return Ok(());
        }
        let mut delta = json!({"type": stem, "item_id": json["item_id"], "output_index": place.0});
        if kind != Kind::Call {
            delta.put(inner, place.2);
        }
        if stem == "response.output_text" {
            delta.put("logprobs", json!([]));
        }
        self.begin(place, delta)?;
        if !ended {
            let text = json.get("delta").and_then(Value::as_str).ok_or(FORM)?;
            self.push(place, text)?;
        } else if let Some(known) = self.texts.get(&place) {
            let number = known.number;
            // A text that came in no pieces is told as one.
            if known.empty {
                self.push(place, &string(json, field))?;
            }
            let shown = self.voice.end_call(number);
            self.show(shown);
        }
        Ok(())
    }

    fn item_added(&mut self, mut json: Value) -> Result<(), Failure> {
        let at = index(&json, "output_index");
        let mut item = json.get("item").cloned().ok_or(FORM)?;
        let kind = string(&item, "type");
        let mut state = Item { id: string(&item, "call_id"), name: string(&item, "name"), ..Item::default() };
        if matches!(kind.as_str(), "message" | "reasoning") {
            // Whatever it begins with comes again in pieces.
            for key in ["content", "summary"] {
                if item.get(key).is_some_and(Value::is_array) {
                    item.put(key, json!([]));
                }
            }
        }
        let mut bare = item.clone();
        set_call(&mut bare, "");
        let passes = responses::read(&mut bare, 0, &mut self.withheld).is_some();
        json.put("item", bare);
        if !passes {
            state.withheld = true;
        } else if matches!(kind.as_str(), "message" | "reasoning") {
            self.queue.push_back(Waiting::Event(json));
        } else {
            if state.name.is_empty() {
                state.name = kind;
            }
            state.added = Some(json);
        }
        self.items.insert(at, state);
        Ok(())
    }

    fn item_done(&mut self, mut json: Value) -> Result<(), Failure> {
        let at = index(&json, "output_index");
        let state = self.items.entry(at).or_default();
        if state.withheld {
            return Ok(());
        }
        let added = state.added.take();
        let told: Vec<Place> = self.order.iter().filter(|place| place.0 == at).copied().collect();
        let item = json.get_mut("item").ok_or(FORM)?;
        let Some(mut parts) = responses::read(item, 0, &mut self.withheld) else { return Ok(()) };
        if told.is_empty() {
            // It came whole, with nothing before it.
            self.close();
            if !self.voice.flow.whole(std::mem::take(&mut parts))? {
                return Ok(());
            }
            self.queue.extend(added.map(Waiting::Event));
        } else if string(item, "type").ends_with("_call") && told.iter().all(|place| place.1 != Kind::Call) {
            return Err(FORM);
        } else if matches!(item["type"].as_str(), Some("mcp_call" | "code_interpreter_call")) {
            // What the tool gave back was not part of the pieces.
            self.close();
            self.voice.flow.whole(parts)?;
        }
        self.queue.push_back(Waiting::Event(json));
        Ok(())
    }

    /// Puts what was told into an event that repeats it.
    fn repeat(&self, json: &mut Value) {
        let at = index(json, "output_index");
        let shown = |kind, inner| self.texts.get(&(at, kind, inner)).map(|text| text.shown.clone());
        let notes = |inner| self.annotations.get(&(at, inner)).cloned().unwrap_or_default();
        match json.kind() {
            "response.content_part.done" => {
                let inner = index(json, "content_index");
                let reasons = json.at("part").kind() == "reasoning_text";
                let kind = if reasons { Kind::Reasoning } else { Kind::Content };
                repeat_part(json, shown(kind, inner).unwrap_or_default(), notes(inner));
            }
            "response.reasoning_summary_part.done" => {
                let inner = index(json, "summary_index");
                repeat_part(json, shown(Kind::Summary, inner).unwrap_or_default(), Vec::new());
            }
            "response.output_item.done" => {
                let Some(item) = json.get_mut("item") else { return };
                let content = if item.kind() == "reasoning" { Kind::Reasoning } else { Kind::Content };
                let told = self.order.iter().any(|place| place.0 == at);
                for (key, kind) in [("content", content), ("summary", Kind::Summary)] {
                    let parts = item.get_mut(key).and_then(Value::as_array_mut).filter(|_| told);
                    let Some(parts) = parts else { continue };
                    let mut inner = 0;
                    parts.retain_mut(|part| {
                        let text = shown(kind, inner);
                        let told = text.map(|text| *part = part_of(part.kind(), text, notes(inner)));
                        inner += 1;
                        told.is_some()
                    });
                }
                if let Some(text) = shown(Kind::Call, 0) {
                    set_call(item, &text);
                }
            }
            _ => {}
        }
    }

    /// Writes an event, with the numbers the client counts by.
    fn write(&mut self, out: &mut Vec<u8>, mut json: Value) {
        self.repeat(&mut json);
        let told = self.output.len();
        if json.get("output_index").is_some() {
            json.put("output_index", told);
        }
        match json.get("type").and_then(Value::as_str) {
            Some("response.output_item.added") => self.open = Some(json.at("item").clone()),
            Some("response.output_item.done") => {
                self.open = None;
                self.output.push(json.at("item").clone());
            }
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                if let Some(response) = json.get_mut("response") {
                    response.put("output", std::mem::take(&mut self.output));
                }
            }
            _ => {}
        }
        self.number(out, json);
    }

    fn number(&mut self, out: &mut Vec<u8>, mut json: Value) {
        json.put("sequence_number", self.number);
        self.number += 1;
        sse::write(out, json.get("type").and_then(Value::as_str), &json.to_string());
    }

    /// Tells what need not wait.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let refused = self.voice.flow.refused().is_some();
        loop {
            let events: Vec<Value> = match self.queue.front_mut() {
                None => break,
                Some(Waiting::Event(event)) => {
                    let event = event.take();
                    self.queue.pop_front();
                    vec![event]
                }
                Some(Waiting::Text(told)) => {
                    if told.ready.is_empty() && (refused || !told.last) {
                        break;
                    }
                    let mut events = std::mem::take(&mut told.before);
                    let stem = string(&told.delta, "type");
                    let of = |ending: &str, key: &str, text: String| {
                        let mut event = told.delta.clone();
                        event.put("type", format!("{stem}.{ending}"));
                        event.put(key, text);
                        event
                    };
                    let ready = std::mem::take(&mut told.ready);
                    if !ready.is_empty() {
                        events.push(of("delta", "delta", ready));
                    }
                    let (place, last) = (told.place, told.last && !refused);
                    if last {
                        let field = TEXTS.iter().find(|it| it.0 == stem).map_or("text", |it| it.1);
                        let whole = self.texts.get(&place).map(|text| text.shown.clone());
                        let mut event = of("done", field, whole.unwrap_or_default());
                        if stem == "response.function_call_arguments" {
                            event.put("name", string_of(&self.items, place.0));
                        }
                        events.push(event);
                        self.queue.pop_front();
                    }
                    if refused {
                        self.queue.clear();
                    }
                    for event in events {
                        self.write(out, event);
                    }
                    if last && !refused {
                        continue;
                    }
                    break;
                }
            };
            for event in events {
                self.write(out, event);
            }
        }
    }

    fn extension(&self) -> Value {
        api::extension(&self.setup.request, self.voice.flow.verdicts(), &self.withheld)
    }

    /// Ends with a refusal what was begun.
    fn refuse(&mut self, out: &mut Vec<u8>) {
        let Some(text) = self.voice.flow.refused().map(str::to_string) else { return };
        self.queue.clear();
        if let Some(mut item) = self.open.take() {
            let at = self.order.last().map(|place| place.0);
            let texts = self.order.iter().filter(|place| Some(place.0) == at);
            let texts: Vec<_> = texts.filter_map(|it| Some((it.1, &self.texts.get(it)?.shown))).collect();
            item.put("status", "incomplete");
            if item.kind() == "message" {
                let parts = texts.iter().filter(|it| it.0 == Kind::Content);
                item.put(
                    "content",
                    parts.map(|it| part_of("output_text", it.1.clone(), Vec::new())).collect::<Vec<_>>(),
                );
            }
            if let Some((_, text)) = texts.iter().find(|it| it.0 == Kind::Call) {
                set_call(&mut item, text);
            }
            // No text of the upstream has this index: the item is told as it stands here.
            self.write(
                out,
                json!({"type": "response.output_item.done", "output_index": u64::MAX, "item": item}),
            );
        }
        let item = responses::refused_item(&self.voice.flow.exchange().id, &text);
        let at = self.output.len() as u64;
        self.texts.clear();
        self.order.clear();
        for event in responses::refused_item_events(&item, at, &text) {
            // The parts of a refusal are not among the texts that events repeat.
            if event.kind() == "response.content_part.done" {
                self.number(out, event);
            } else {
                self.write(out, event);
            }
        }
        let mut response = self.last_response.take();
        response.put("status", "completed");
        api::extend(&mut response, self.extension());
        self.write(out, json!({"type": "response.completed", "response": response}));
    }

    fn response(&mut self, mut json: Value, last: bool) -> Result<(), Failure> {
        let response = json.get_mut("response").ok_or(FORM)?;
        withhold(response.as_object_mut().ok_or(FORM)?, &responses::TOP, "response", &mut self.withheld);
        response.put("output", json!([]));
        if let Some(message) = response.pointer_mut("/error/message") {
            *message = "brightline: the upstream failed".into();
        }
        if !last {
            self.last_response = response.clone();
        } else {
            self.close();
            let extension = self.extension();
            if let Some(response) = json.get_mut("response") {
                api::extend(response, extension);
            }
        }
        self.queue.push_back(Waiting::Event(json));
        Ok(())
    }
}

fn string_of(items: &HashMap<u64, Item>, at: u64) -> String {
    items.get(&at).map(|item| item.name.clone()).unwrap_or_default()
}

impl Protocol for Events {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<bool, Failure> {
        if event.data.trim() == "[DONE]" {
            return Ok(false);
        }
        let mut json = parsed(&event)?;
        let kind = json.get("type").and_then(Value::as_str).ok_or(FORM)?.to_string();
        let mut over = false;
        match kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => self.response(json, false)?,
            "response.completed" | "response.incomplete" | "response.failed" => {
                over = true;
                self.response(json, true)?;
            }
            "response.output_item.added" => self.item_added(json)?,
            "response.output_item.done" => self.item_done(json)?,
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                repeat_part(&mut json, String::new(), Vec::new());
                self.queue.push_back(Waiting::Event(json));
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                self.queue.push_back(Waiting::Event(json));
            }
            "response.output_text.annotation.added" => {
                if self.voice.flow.words(json.at("annotation"))? {
                    let place = (index(&json, "output_index"), index(&json, "content_index"));
                    self.annotations.entry(place).or_default().push(json.at("annotation").clone());
                    self.queue.push_back(Waiting::Event(json));
                }
            }
            "error" => return Err(Failure::UpstreamBroken),
            kind => match text_event(kind) {
                Some(text) => self.text(&json, text)?,
                None if !holds_text(&json) => self.queue.push_back(Waiting::Event(json)),
                None => self.withheld.push(kind.chars().take(64).collect()),
            },
        }
        self.flush(out);
        let refused = self.voice.flow.refused().is_some();
        if refused {
            self.refuse(out);
        }
        Ok(refused || over)
    }
}
