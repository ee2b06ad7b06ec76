//! Bodies of the fuzz targets: each takes any bytes and panics where a promise is broken.
//!
//! `run.sh` drives them with libFuzzer; `cargo test -p brightline-fuzz` runs each over its seeds and a few thousand
//! mutations of them, without instrumentation.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a fuzz target reports by panicking"
)]

use brightline::artifact::{self, FORMAT_VERSION, MAGIC};
use brightline::compiler::{Compiled, SHIPPED, shipped};
use brightline::message::Part;
use brightline::policy::Action;
use brightline::span::{Source, Span};
use brightline::{Channel, Compiler, Guard, Input, Message, Policy, Role, Verdict, spec, wire};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// A policy with an atom of every sort on every surface.
const SMALL: &str = include_str!("small.md");

static SMALL_GUARD: LazyLock<Guard> = LazyLock::new(|| guard("small.md", SMALL));

/// What the artifact target mutates.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bytes = artifact::encode(SMALL_GUARD.policy());
    bytes[HEADER..].to_vec()
});

static SHIPPED_GUARDS: LazyLock<Vec<Guard>> =
    LazyLock::new(|| SHIPPED.iter().map(|name| guard(name, shipped(name).unwrap())).collect());

/// Magic and version, length, hash.
const HEADER: usize = 4 + 8 + 32;

fn guard(name: &str, text: &str) -> Guard {
    let compiled = Compiler::without_files().text(name, text);
    Guard::new(compiled.into_policy().unwrap()).unwrap()
}

fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Content with the header that belongs to it.
pub fn sealed(content: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(FORMAT_VERSION);
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    out.extend_from_slice(blake3::hash(content).as_bytes());
    out.extend_from_slice(content);
    out
}

/// Bytes as a Markdown document.
pub fn markdown(data: &[u8]) {
    let source = Arc::new(Source::new("fuzz.md", text(data)));
    let parsed = spec::parse(&source);
    let whole = source.text();
    let holds = |span: Span| {
        assert!(span.start <= span.end, "{span:?} is turned round");
        assert!(whole.get(span.range()).is_some(), "{span:?} cuts a character or ends past the text");
    };
    for diagnostic in &parsed.diagnostics {
        holds(diagnostic.span);
    }
    let document = &parsed.document;
    if let Some(block) = document.front_matter {
        holds(block.span);
    }
    let (mut last_start, mut last_line) = (None, 0);
    for (at, section) in document.sections.iter().enumerate() {
        holds(section.heading);
        assert!(last_start < Some(section.heading.start), "sections are out of order");
        assert!(last_line <= section.line && section.line <= section.end_line, "lines are out of order");
        assert!((1..=6).contains(&section.depth));
        (last_start, last_line) = (Some(section.heading.start), section.line);
        if let Some(parent) = section.parent {
            assert!(parent < at && document.sections[parent].depth < section.depth, "not a parent");
        }
        if let Some(id) = &section.attributes.id {
            holds(id.span);
        }
        for (key, value) in &section.attributes.pairs {
            holds(key.span);
            holds(value.span);
        }
        for fence in &section.fences {
            holds(fence.span);
            assert_eq!(fence.text, source.slice(fence.span), "a fence is not its own source");
        }
        for example in &section.examples {
            holds(example.span);
            for turn in &example.turns {
                holds(turn.span);
            }
        }
        for footnote in &section.footnotes {
            assert!(source.slice(footnote.span).contains(footnote.id.as_str()));
        }
        for reference in &section.references {
            holds(reference.span);
        }
    }
    document.dangling(&[]);
}

/// The first byte picks a fence, the rest stands in it.
pub fn rule_fences(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let body = text(rest);
    let front = "+++\nname = \"fuzz\"\nversion = \"1\"\n";
    let heading = "## A clause {#clause authority=user}\n\nProse.\n\n";
    let rule = "~~~rule\nwhen = 'match(\"words\")'\n~~~\n\n";
    let patterns = "~~~patterns\nwords = [\"nerve agent\"]\n~~~\n\n";
    let document = match first % 6 {
        0 => format!("{front}+++\n\n{heading}~~~~~rule\n{body}\n~~~~~\n\n{patterns}"),
        1 => format!("{front}+++\n\n{heading}{rule}~~~~~patterns\n{body}\n~~~~~\n"),
        2 => format!("{front}+++\n\n{heading}{rule}{patterns}~~~~~examples\n{body}\n~~~~~\n"),
        3 => format!("{front}{body}\n+++\n\n{heading}{rule}{patterns}"),
        4 => format!("{front}+++\n\n## A clause {{#clause {body}}}\n\n{rule}{patterns}"),
        _ => format!("{front}+++\n\n{body}"),
    };
    compiled(&Compiler::without_files().text("fuzz.md", document));
}

/// Bytes as a condition on every surface.
pub fn cel(data: &[u8]) {
    let condition = text(data);
    // Written raw where possible, so that diagnostics point into the condition; else with every escape.
    let raw = !condition.contains("'''")
        && !condition.chars().any(|ch| ch.is_control() && ch != '\n' && ch != '\t');
    let value = if raw && !condition.ends_with('\'') {
        format!("'''{condition}'''")
    } else {
        let escaped: String = condition.chars().map(|ch| format!("\\U{:08x}", u32::from(ch))).collect();
        format!("\"{escaped}\"")
    };
    let document = format!(
        "+++\nname = \"fuzz\"\nversion = \"1\"\n+++\n\n## A clause {{#clause authority=user}}\n\n~~~~~rule\n\
         on = [\"request\", \"response\", \"reasoning\", \"tool_call\", \"tool_result\"]\nwhen = {value}\n~~~~~\n\n\
         ~~~patterns\na = [\"nerve agent\"]\nb = [\"production\", \"/gas (mask|cloud)/\"]\n~~~\n"
    );
    compiled(&Compiler::without_files().text("fuzz.md", document));
}

/// What compiles can be written, read, and used; what does not says where.
fn compiled(compiled: &Compiled) {
    for diagnostic in &compiled.diagnostics {
        let place = diagnostic.source.text().get(diagnostic.span.range());
        assert!(place.is_some(), "{diagnostic}: {:?} is no place in the document", diagnostic.span);
        assert!(!diagnostic.to_string().is_empty());
    }
    let Some(policy) = &compiled.policy else {
        assert!(!compiled.diagnostics.is_empty(), "no policy and no reason");
        return;
    };
    let read = artifact::decode(&artifact::encode(policy)).expect("what was compiled can be loaded");
    assert_eq!(read.hash(), policy.hash());
    assert_eq!(read.data(), policy.data());
    used(&read);
}

/// Judges a few messages under a policy.
fn used(policy: &Policy) {
    // Settings of an artifact can still ask for what no guard can be built from.
    let Ok(guard) = Guard::new(policy.clone()) else { return };
    for input in [
        Input::exchange("ask for a nerve agent", "production of a gas mask: a@example.com"),
        Input {
            messages: vec![Message::tool_call("shell", r#"{"cmd": "rm -rf /", "n": [1, 2]}"#)],
            ..Input::default()
        },
    ] {
        judged(&guard, &input);
    }
}

/// Bytes as an artifact, as its content, and as edits to the content of a valid one.
pub fn artifact(data: &[u8]) {
    let _ = artifact::decode(data);
    let _ = artifact::decode_content(data);
    let mut content = CONTENT.clone();
    for edit in data.chunks(4) {
        let &[how, low, high, value] = edit else { break };
        let at = usize::from(u16::from_le_bytes([low, high])) % content.len().max(1);
        match how % 5 {
            0 if at < content.len() => content[at] = value,
            1 if at < content.len() => content[at] ^= 1 << (value % 8),
            2 => content.insert(at, value),
            3 if at < content.len() => {
                content.remove(at);
            }
            4 => content.truncate(at.max(content.len().saturating_sub(usize::from(value)))),
            _ => {}
        }
    }
    if let Ok(decoded) = artifact::decode_content(&content) {
        let policy = artifact::decode(&sealed(&content)).expect("the content is valid");
        assert_eq!(policy.data().clauses, decoded.clauses);
        used(&policy);
    }
}

/// Bytes as a record.
pub fn wire(data: &[u8]) {
    match wire::parse(data) {
        Ok(input) => {
            judged(&SMALL_GUARD, &input);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The first byte picks a surface, the rest is the message; judged under every shipped policy.
pub fn engine(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let body = text(rest);
    let body = &*body;
    let (left, right) = body.split_once('\n').unwrap_or((body, body));
    let reasoning = |text, at| Part::Reasoning { text: Cow::Borrowed(text), at };
    let one = |message: Message<'static>| vec![message];
    let part = |(at, text): (u32, String)| match at % 3 {
        0 => Part::Text { text: text.into(), at: Some(at) },
        1 => Part::ToolResult { text: text.into(), at: Some(at) },
        _ => Part::ToolCall { name: "send".into(), arguments: text.into(), at },
    };
    let messages = match first % 8 {
        0 => vec![Message::text(Role::User, body)],
        1 => vec![Message::text(Role::User, left), Message::text(Role::Assistant, right)],
        2 => vec![Message { role: Role::Assistant, parts: vec![reasoning(body, None)] }],
        3 => vec![Message::tool_call(left, right)],
        4 => one(Message::tool_call("shell", serde_json::json!({ "cmd": body, "path": left }).to_string())),
        5 => vec![Message::text(Role::Tool, body)],
        6 => one(Message {
            role: Role::User,
            parts: (0..).zip(body.split('|').map(str::to_string)).take(16).map(part).collect(),
        }),
        _ => vec![
            Message::text(Role::User, left),
            Message::text(Role::Tool, right),
            Message::tool_call("mail.send", serde_json::json!({ "to": right, "body": [left] }).to_string()),
        ],
    };
    let tags = if first & 8 == 0 { Vec::new() } else { vec![Cow::Borrowed("under_18")] };
    let input = Input { messages, tags, ..Input::default() };
    for guard in &*SHIPPED_GUARDS {
        judged(guard, &input).expect("a message to judge is there");
    }
}

/// Bytes as a streamed answer: the first picks the policy and the request, the next eight where it is cut.
///
/// # Panics
/// If cuts change what is released or decided.
pub fn stream(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    // No chunk at all is not the same as an empty one, which says that there is an answer.
    let Some((cuts, body)) = rest.split_first_chunk::<8>().filter(|it| !it.1.is_empty()) else { return };
    let guard = if first & 1 == 0 { &*SMALL_GUARD } else { &SHIPPED_GUARDS[0] };
    let request = if first & 2 == 0 { "hello" } else { "how do i synthesize a nerve agent" };
    let channel = match first >> 2 & 3 {
        0 => Channel::Reasoning,
        1 => Channel::ToolCall(2),
        _ => Channel::Text,
    };
    let context = Input::request(request);
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut stream = guard.stream(&context).expect("the context is well formed");
        stream.tool_call(2, "id", "shell");
        let mut released = String::new();
        let mut note = |pieces: Vec<(Channel, String)>| {
            pieces.iter().filter(|(of, _)| *of == channel).for_each(|(_, text)| released.push_str(text));
        };
        pieces.for_each(|piece| note(stream.push(channel, piece).released));
        let mut end = stream.finish();
        note(std::mem::take(&mut end.released));
        end.verdict.elapsed_us = 0;
        (released, serde_json::to_string(&end.verdict).expect("a verdict can be written"), end.stopped)
    };
    let whole = run(&mut std::iter::once(body));
    assert_eq!(run(&mut body.chunks(1)), whole, "byte by byte");
    let mut pieces = Vec::new();
    let mut left = body;
    for width in cuts.iter().cycle().map(|cut| usize::from(*cut) + 1) {
        let (piece, after) = left.split_at(width.min(left.len()));
        pieces.push(piece);
        left = after;
        if left.is_empty() {
            break;
        }
    }
    assert_eq!(run(&mut pieces.into_iter()), whole, "cut at {cuts:?}");
}

/// Checks a message and what every verdict promises.
fn judged(guard: &Guard, input: &Input<'_>) -> Option<Verdict> {
    let mut verdict = guard.check(input).ok()?;
    let strictest = verdict.findings.iter().map(|finding| finding.action).max();
    assert_eq!(verdict.action, strictest.unwrap_or(Action::Allow));
    for evidence in verdict.findings.iter().flat_map(|finding| &finding.evidence) {
        for span in &evidence.spans {
            assert!(
                input.slice(span).is_some(),
                "{}: {span:?} is no place in the conversation",
                evidence.detector
            );
        }
    }
    let json = serde_json::to_vec(&verdict).expect("a verdict can be written");
    let read: serde_json::Value = serde_json::from_slice(&json).expect("and read");
    assert_eq!(read["action"], verdict.action.as_str());
    // A warm guard says what a cold one said.
    let mut again = guard.check(input).expect("it was judged before");
    (verdict.elapsed_us, again.elapsed_us) = (0, 0);
    assert_eq!(serde_json::to_vec(&verdict).unwrap(), serde_json::to_vec(&again).unwrap());
    Some(verdict)
}
