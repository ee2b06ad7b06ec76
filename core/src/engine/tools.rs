//! Tool calls: tests on names and arguments, the deployment's scope, and arguments taken from untrusted text.

use super::program::{CompiledScope, Constraint};
use super::provenance::{self, Provenance};
use crate::message::{Input, Part, Role, Surface};
use crate::policy::{ArgumentTest, Atom, ScopeTest, TextTest, Truth};
use crate::span::Span;
use regex_automata::meta;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The shortest argument whose origin is looked for, in bytes; shorter ones occur everywhere by chance.
pub(crate) const MIN_TAINTED: usize = 8;
/// How many string arguments of one call are traced.
const MAX_TRACED: usize = 64;

/// One tool call while it is judged.
pub(crate) struct Call<'a> {
    pub name: &'a str,
    pub arguments: &'a str,
    parsed: Option<Result<Value, ()>>,
    taint: Option<Result<Option<Taint>, OutOfBudget>>,
}

/// How many bytes of conversation one check searches for the origin of arguments.
pub(crate) const TRACE_BUDGET: usize = 256 << 20;

/// The conversation is too long, or the arguments are too many, to trace all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfBudget;

/// Where an argument came from.
#[derive(Clone, Debug)]
pub(crate) struct Taint {
    /// The argument's text.
    pub argument: String,
    /// The message it was taken from, the content block in it, and the place there.
    pub message: usize,
    pub part: Option<u32>,
    pub span: Span,
    pub provenance: Provenance,
}

impl<'a> Call<'a> {
    pub(crate) fn new(name: &'a str, arguments: &'a str) -> Self {
        Self { name, arguments, parsed: None, taint: None }
    }

    /// The arguments as JSON; an error where they are none, or are ambiguous.
    fn value(&mut self) -> Result<&Value, ()> {
        self.parsed
            .get_or_insert_with(|| {
                let text = self.arguments.trim();
                if text.is_empty() {
                    return Ok(Value::Null);
                }
                serde_json::from_str::<Strict>(text).map(|Strict(value)| value).map_err(|_| ())
            })
            .as_ref()
            .map_err(|&()| ())
    }

    /// The value of an atom about the call; `Unknown` where the arguments are not JSON.
    pub(crate) fn test(&mut self, atom: &Atom, regex: Option<&meta::Regex>) -> Truth {
        match atom {
            Atom::ToolName(test) => text_test(test, self.name, regex).into(),
            Atom::ToolArgument { path, test } => match self.value() {
                Ok(value) => any_value(value, path, &mut |value| argument_test(test, value, regex)).into(),
                Err(()) => Truth::Unknown,
            },
            _ => Truth::False,
        }
    }

    /// The text of an argument that passes the test, for evidence.
    pub(crate) fn evidence(&mut self, atom: &Atom, regex: Option<&meta::Regex>) -> Option<String> {
        let Atom::ToolArgument { path, test } = atom else { return None };
        let mut found = None;
        any_value(self.value().ok()?, path, &mut |value| {
            let passes = argument_test(test, value, regex);
            if passes {
                found = value.as_str().map(str::to_string).or_else(|| Some(value.to_string()));
            }
            passes
        });
        found
    }

    /// Asks the deployment's scope.
    pub(crate) fn allowed_by(&mut self, scope: &CompiledScope, test: ScopeTest) -> Truth {
        match test {
            ScopeTest::AllowsTool => match &scope.scope.allowed_tools {
                None => Truth::True,
                Some(tools) => tools
                    .iter()
                    .any(|tool| match tool.strip_suffix('*') {
                        Some(prefix) => self.name.starts_with(prefix),
                        None => self.name == tool,
                    })
                    .into(),
            },
            ScopeTest::AllowsArgs => match scope.constraints.get(self.name) {
                None => Truth::True,
                Some(Constraint { atoms, regexes, condition }) => condition.eval(|index| {
                    let regex = regexes.get(index as usize).and_then(Option::as_ref);
                    atoms.get(index as usize).map_or(Truth::Unknown, |atom| self.test(atom, regex))
                }),
            },
            ScopeTest::WithinBudget | ScopeTest::WithinTime => Truth::Unknown,
        }
    }

    /// The first argument that stands word for word in text without authority, and nowhere in text that has it.
    ///
    /// # Errors
    /// If the search would exceed what is left of the budget.
    pub(crate) fn taint(
        &mut self,
        input: &Input<'_>,
        before: usize,
        budget: &mut usize,
    ) -> Result<Option<&Taint>, OutOfBudget> {
        if self.taint.is_none() {
            let mut strings = Vec::new();
            match self.value() {
                Ok(value) => collect_strings(value, &mut strings),
                Err(()) => strings.push(self.arguments.to_string()),
            }
            self.taint = Some(trace(&strings, input, before, budget));
        }
        match &self.taint {
            Some(Ok(taint)) => Ok(taint.as_ref()),
            _ => Err(OutOfBudget),
        }
    }
}

/// A JSON value in which no object has a key twice: readers disagree about which of the two counts.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrictVisitor;
        impl<'de> Visitor<'de> for StrictVisitor {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON without repeated keys")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut items = Vec::new();
                while let Some(Strict(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Strict(items.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut fields = serde_json::Map::new();
                while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
                    if fields.insert(key, value).is_some() {
                        return Err(de::Error::custom("a key stands twice"));
                    }
                }
                Ok(Strict(fields.into()))
            }
        }
        deserializer.deserialize_any(StrictVisitor)
    }
}

fn text_test(test: &TextTest, text: &str, regex: Option<&meta::Regex>) -> bool {
    match test {
        TextTest::OneOf(list) => list.iter().any(|item| item == text),
        TextTest::StartsWith(prefix) => text.starts_with(prefix),
        TextTest::EndsWith(suffix) => text.ends_with(suffix),
        TextTest::Contains(part) => text.contains(part),
        TextTest::Matches(_) => regex.is_some_and(|regex| regex.is_match(text.as_bytes())),
    }
}

fn argument_test(test: &ArgumentTest, value: &Value, regex: Option<&meta::Regex>) -> bool {
    match test {
        ArgumentTest::Present => true,
        ArgumentTest::Text(test) => value.as_str().is_some_and(|text| text_test(test, text, regex)),
        ArgumentTest::Number(compare) => value.as_f64().is_some_and(|number| compare.holds(number)),
        ArgumentTest::Bool(wanted) => value.as_bool() == Some(*wanted),
    }
}

/// Whether the value at the path passes; an array passes where one of its elements does.
fn any_value(value: &Value, path: &[String], test: &mut dyn FnMut(&Value) -> bool) -> bool {
    if let Value::Array(items) = value {
        if path.is_empty() && test(value) {
            return true;
        }
        return items.iter().any(|item| any_value(item, path, test));
    }
    match path.split_first() {
        None => test(value),
        Some((key, rest)) => value.get(key).is_some_and(|inner| any_value(inner, rest, test)),
    }
}

fn collect_strings(value: &Value, out: &mut Vec<String>) {
    if out.len() >= MAX_TRACED {
        return;
    }
    match value {
        Value::String(text) if text.trim().len() >= MIN_TAINTED => out.push(text.trim().to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect_strings(item, out)),
        Value::Object(fields) => fields.values().for_each(|item| collect_strings(item, out)),
        _ => {}
    }
}

/// Looks the strings up in the conversation before message number `before`.
fn trace(
    strings: &[String],
    input: &Input<'_>,
    before: usize,
    budget: &mut usize,
) -> Result<Option<Taint>, OutOfBudget> {
    let mut regions = Vec::new();
    for argument in strings {
        let finder = memchr::memmem::Finder::new(argument);
        let mut taint = None;
        let mut vouched = match &input.system {
            Some(system) => {
                *budget = budget.checked_sub(system.len()).ok_or(OutOfBudget)?;
                finder.find(system.as_bytes()).is_some()
            }
            None => false,
        };
        for (message, entry) in input.messages.iter().enumerate().take(before) {
            for part in &entry.parts {
                let (text, at, from_tool) = match part {
                    Part::Text { text, at } if entry.role == Role::Tool => (text, *at, true),
                    Part::ToolResult { text, at } => (text, *at, true),
                    Part::Text { text, at } if entry.role != Role::Assistant => (text, *at, false),
                    _ => continue,
                };
                let surface = if from_tool { Surface::ToolResult } else { Surface::Request };
                *budget = budget.checked_sub(text.len()).ok_or(OutOfBudget)?;
                let mut places = finder.find_iter(text.as_bytes()).peekable();
                if places.peek().is_none() {
                    continue;
                }
                *budget = budget.checked_sub(text.len()).ok_or(OutOfBudget)?;
                provenance::regions(text, surface, &mut regions);
                for start in places {
                    let span = Span::new(start, start + argument.len());
                    match provenance::of(&regions, span) {
                        Some(provenance) if taint.is_none() => {
                            let argument = argument.clone();
                            taint = Some(Taint { argument, message, part: at, span, provenance });
                        }
                        Some(_) => {}
                        None => vouched = true,
                    }
                }
            }
        }
        if let (Some(taint), false) = (taint, vouched) {
            return Ok(Some(taint));
        }
    }
    Ok(None)
}
