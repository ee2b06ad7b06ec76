//! A stream of events of the Responses API.
//!
//! Its later events repeat what the deltas said: the end of a part, of an item, and of the whole. They are told anew from
//! what the deltas were allowed to say.

use super::{FORM, Protocol, Setup, error_event, parsed};
use crate::api::{self, Api, responses};
use crate::failure::Failure;
use crate::fields::{holds_text, withhold};
use crate::flow::{Chain, Flow, Run, Shown};
use crate::sse::{self, Event};
use brightline::Channel;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Events of one response. Texts are told one after the other, each to its end before the next begins.
pub(super) struct Events {
    setup: Setup,
    flow: Flow,
    queue: VecDeque<Waiting>,
    chain: Option<(Chain, Channel)>,
    call: Option<(Run, usize)>,
    /// The texts, in the order in which they began.
    texts: HashMap<Place, Text>,
    order: Vec<Place>,
    /// Items by the upstream's index: the name of the tool it calls, where it does.
    items: HashMap<u64, Item>,
    /// The item that the client was told of last, while it has not ended.
    open: Option<Value>,
    /// Items as they were told to their end.
    output: Vec<Value>,
    last_response: Value,
    number: u64,
    withheld: Vec<String>,
    done: bool,
}

/// Where a text stands: the upstream's index of the item, what it is, and its index there.
type Place = (u64, Kind, u64);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Content,
    Reasoning,
    Summary,
    Call,
}

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

/// The events that carry text: type without its ending, field of the whole text at the end, what it is.
const TEXTS: [(&str, &str, Kind); 8] = [
    ("response.output_text", "text", Kind::Content),
    ("response.refusal", "refusal", Kind::Content),
    ("response.reasoning_text", "text", Kind::Reasoning),
    ("response.reasoning_summary_text", "text", Kind::Summary),
    ("response.function_call_arguments", "arguments", Kind::Call),
    ("response.custom_tool_call_input", "input", Kind::Call),
    ("response.mcp_call_arguments", "arguments", Kind::Call),
    ("response.code_interpreter_call_code", "code", Kind::Call),
];

fn text_event(kind: &str) -> Option<(&'static str, &'static str, Kind, bool)> {
    let (stem, ending) = kind.rsplit_once('.')?;
    let (stem, field, what) = TEXTS.into_iter().find(|(known, ..)| *known == stem)?;
    match ending {
        "delta" => Some((stem, field, what, false)),
        "done" => Some((stem, field, what, true)),
        _ => None,
    }
}

fn index(json: &Value, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn string(json: &Value, key: &str) -> String {
    json.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

impl Events {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            flow: setup.flow(),
            setup,
            queue: VecDeque::new(),
            chain: None,
            call: None,
            texts: HashMap::new(),
            order: Vec::new(),
            items: HashMap::new(),
            open: None,
            output: Vec::new(),
            last_response: Value::Null,
            number: 0,
            withheld: Vec::new(),
            done: false,
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

    fn end_chain(&mut self) {
        if let Some((chain, _)) = self.chain.take() {
            let shown = chain.close(&mut self.flow);
            self.show(shown);
        }
    }

    fn end_call(&mut self) {
        if let Some((mut run, block)) = self.call.take() {
            let text = self.flow.close(&mut run);
            self.show(vec![Shown { block, text, last: true }]);
        }
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
        if place.1 == Kind::Call {
            told.before.extend(item.added.take());
            let (id, name) = (item.id.clone(), item.name.clone());
            self.end_chain();
            self.end_call();
            self.call = Some((self.flow.open_call(&id, &name)?, number));
        } else {
            self.end_call();
            let channel = if place.1 == Kind::Content { Channel::Text } else { Channel::Reasoning };
            match &mut self.chain {
                Some((chain, same)) if *same == channel => {
                    let shown = chain.next(&mut self.flow, number);
                    self.show(shown);
                }
                _ => {
                    self.end_chain();
                    self.chain = Some((Chain::new(self.flow.open(channel)?, number), channel));
                }
            }
        }
        self.queue.push_back(Waiting::Text(told));
        Ok(())
    }

    fn push(&mut self, place: Place, text: &str) {
        let Some(known) = self.texts.get_mut(&place) else { return };
        known.empty &= text.is_empty();
        let number = known.number;
        let shown = match (&mut self.call, &mut self.chain) {
            (Some((run, block)), _) if *block == number => {
                vec![Shown { block: number, text: self.flow.push(run, text), last: false }]
            }
            (_, Some((chain, _))) if place.1 != Kind::Call => chain.push(&mut self.flow, text),
            _ => Vec::new(),
        };
        self.show(shown);
    }

    fn text(&mut self, json: &Value, of: (&'static str, &'static str, Kind, bool)) -> Result<(), Failure> {
        let (stem, field, kind, ended) = of;
        let inner = if kind == Kind::Summary { "summary_index" } else { "content_index" };
        let place = (index(json, "output_index"), kind, index(json, inner));
        if self.items.get(&place.0).is_some_and(|item| item.withheld) {
            return Ok(());
        }
        let mut delta = json!({"type": stem, "item_id": json["item_id"], "output_index": place.0});
        match kind {
            Kind::Content => {
                delta[inner] = place.2.into();
                delta["logprobs"] = json!([]);
            }
            Kind::Call => {}
            _ => delta[inner] = place.2.into(),
        }
        if stem == "response.refusal" {
            delta.as_object_mut().map(|fields| fields.remove("logprobs"));
        }
        self.begin(place, delta)?;
        if !ended {
            let text = json.get("delta").and_then(Value::as_str).ok_or(FORM)?;
            self.push(place, text);
        } else {
            // A text that came in no pieces is told as one.
            if self.texts.get(&place).is_some_and(|text| text.empty) {
                self.push(place, &string(json, field));
            }
            if kind == Kind::Call {
                self.end_call();
            }
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
                    item[key] = json!([]);
                }
            }
        }
        let mut bare = item.clone();
        set_call(&mut bare, "");
        let passes = responses::read(&mut bare, 0, &mut self.withheld).is_some();
        json["item"] = bare;
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
            self.end_chain();
            self.end_call();
            if !self.flow.whole(std::mem::take(&mut parts))? {
                return Ok(());
            }
            self.queue.extend(added.map(Waiting::Event));
        } else if string(item, "type").ends_with("_call") && told.iter().all(|place| place.1 != Kind::Call) {
            return Err(FORM);
        } else if matches!(item["type"].as_str(), Some("mcp_call" | "code_interpreter_call")) {
            // What the tool gave back was not part of the pieces.
            self.end_call();
            self.flow.whole(parts)?;
        }
        self.queue.push_back(Waiting::Event(json));
        Ok(())
    }

    /// Puts what was told into an event that repeats it.
    fn repeat(&self, json: &mut Value) {
        let at = index(json, "output_index");
        let shown = |kind, inner| self.texts.get(&(at, kind, inner)).map(|text| text.shown.clone());
        match json.get("type").and_then(Value::as_str) {
            Some("response.content_part.done") => {
                let inner = index(json, "content_index");
                let kind =
                    if json["part"]["type"] == "reasoning_text" { Kind::Reasoning } else { Kind::Content };
                repeat_part(&mut json["part"], shown(kind, inner).unwrap_or_default());
            }
            Some("response.reasoning_summary_part.done") => {
                let inner = index(json, "summary_index");
                repeat_part(&mut json["part"], shown(Kind::Summary, inner).unwrap_or_default());
            }
            Some("response.output_item.done") => {
                let item = &mut json["item"];
                let kind = string(item, "type");
                let content = if kind == "reasoning" { Kind::Reasoning } else { Kind::Content };
                let told = self.order.iter().any(|place| place.0 == at);
                for (key, kind) in [("content", content), ("summary", Kind::Summary)] {
                    let Some(parts) = item.get_mut(key).and_then(Value::as_array_mut).filter(|_| told) else {
                        continue;
                    };
                    let mut inner = 0;
                    parts.retain_mut(|part| {
                        let text = shown(kind, inner);
                        inner += 1;
                        text.map(|text| repeat_part(part, text)).is_some()
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
            json["output_index"] = told.into();
        }
        match json.get("type").and_then(Value::as_str) {
            Some("response.output_item.added") => self.open = Some(json["item"].clone()),
            Some("response.output_item.done") => {
                self.open = None;
                self.output.push(json["item"].clone());
            }
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                json["response"]["output"] = Value::Array(std::mem::take(&mut self.output));
            }
            _ => {}
        }
        self.number(out, json);
    }

    fn number(&mut self, out: &mut Vec<u8>, mut json: Value) {
        json["sequence_number"] = self.number.into();
        self.number += 1;
        sse::write(out, json.get("type").and_then(Value::as_str), &json.to_string());
    }

    /// Tells what need not wait.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let refused = self.flow.refused().is_some();
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
                        event["type"] = format!("{stem}.{ending}").into();
                        event[key] = text.into();
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
                            event["name"] = string_of(&self.items, place.0).into();
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
        api::extension(&self.setup.request, self.flow.verdicts(), &self.withheld)
    }

    /// Ends with a refusal what was begun.
    fn refuse(&mut self, out: &mut Vec<u8>) {
        let Some(text) = self.flow.refused().map(str::to_string) else { return };
        self.queue.clear();
        if let Some(mut item) = self.open.take() {
            let at = self.order.last().map(|place| place.0);
            let texts = self.order.iter().filter(|place| Some(place.0) == at);
            let texts: Vec<_> = texts.filter_map(|it| Some((it.1, &self.texts.get(it)?.shown))).collect();
            item["status"] = "incomplete".into();
            if item["type"] == "message" {
                let parts = texts.iter().filter(|it| it.0 == Kind::Content);
                item["content"] =
                    parts.map(|it| json!({"type": "output_text", "text": it.1, "annotations": []})).collect();
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
        let item = responses::refused_item(&self.flow.exchange().id, &text);
        let at = self.output.len() as u64;
        self.texts.clear();
        self.order.clear();
        for event in responses::refused_item_events(&item, at, &text) {
            // The parts of a refusal are not among the texts that events repeat.
            if event["type"] == "response.content_part.done" {
                self.number(out, event);
            } else {
                self.write(out, event);
            }
        }
        let mut response = self.last_response.take();
        response["status"] = "completed".into();
        api::extend(&mut response, self.extension());
        self.write(out, json!({"type": "response.completed", "response": response}));
        self.done = true;
    }

    fn response(&mut self, mut json: Value, last: bool) -> Result<(), Failure> {
        let response = json.get_mut("response").ok_or(FORM)?;
        withhold(response.as_object_mut().ok_or(FORM)?, &responses::TOP, "response", &mut self.withheld);
        response["output"] = json!([]);
        if let Some(message) = response.pointer_mut("/error/message") {
            *message = "brightline: the upstream failed".into();
        }
        if !last {
            self.last_response = response.clone();
        } else {
            self.end_chain();
            self.end_call();
            let extension = self.extension();
            api::extend(&mut json["response"], extension);
        }
        self.queue.push_back(Waiting::Event(json));
        Ok(())
    }
}

/// Puts a text where an item holds what a tool is called with.
fn set_call(item: &mut Value, text: &str) {
    for key in ["arguments", "input", "code"] {
        if let Some(place) = item.get_mut(key).filter(|place| place.is_string()) {
            *place = text.into();
        }
    }
}

fn string_of(items: &HashMap<u64, Item>, at: u64) -> String {
    items.get(&at).map(|item| item.name.clone()).unwrap_or_default()
}

fn repeat_part(part: &mut Value, text: String) {
    if let Some(fields) = part.as_object_mut() {
        let key = if fields.contains_key("refusal") { "refusal" } else { "text" };
        fields.insert(key.to_string(), text.into());
        if fields.contains_key("logprobs") {
            fields.insert("logprobs".to_string(), json!([]));
        }
    }
}

impl Protocol for Events {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Failure> {
        if event.data.trim() == "[DONE]" {
            return Ok(());
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
                repeat_part(&mut json["part"], String::new());
                json["part"]["annotations"] = json!([]);
                if json["part"]["type"] != "output_text" {
                    json["part"].as_object_mut().map(|part| part.remove("annotations"));
                }
                self.queue.push_back(Waiting::Event(json));
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                self.queue.push_back(Waiting::Event(json));
            }
            "response.output_text.annotation.added" => {
                if self.flow.words(&json["annotation"])? {
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
        if self.flow.refused().is_some() {
            self.refuse(out);
        } else if over {
            self.done = true;
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), Failure> {
        if self.done { Ok(()) } else { Err(Failure::UpstreamBroken) }
    }

    fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        error_event(Api::Responses, failure, out);
        self.done = true;
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
