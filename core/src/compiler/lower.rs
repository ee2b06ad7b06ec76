//! CEL → [`Condition`]: types are checked and every expression is reduced to operations over atoms.

use super::atoms::Atoms;
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::personal::{PersonalKind, PersonalKinds};
use crate::engine::secrets::{SecretKind, SecretKinds};
use crate::message::{Surface, Surfaces};
use crate::policy::{
    ArgumentTest, Atom, Comparison, Condition, LABELS, MAX_OPS, Op, Place, ScopeTest, TextTest, Threshold,
};
use crate::span::{Source, Span};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};
use cel::parser::Parser;
use std::sync::Arc;

/// The longest condition that is read, in bytes.
pub const MAX_CONDITION_BYTES: usize = 4096;
/// How deep conditions may be nested.
pub const MAX_CONDITION_DEPTH: u16 = 48;

/// Where a condition stands and which names it may use.
pub(super) struct Site<'a> {
    pub source: &'a Arc<Source>,
    /// The span of the TOML value, quotes included.
    pub span: Span,
    /// Whether offsets in the text are offsets in the source, moved by this much.
    pub offset: Option<usize>,
    pub on: Surfaces,
    /// Finds a pattern set by name.
    pub set: &'a dyn Fn(&str) -> Result<u32, Vec<String>>,
    /// Finds a clause by id.
    pub clause: &'a dyn Fn(&str) -> Result<u32, Vec<String>>,
}

/// Lowers one condition. `None` after at least one diagnostic.
pub(super) fn lower(
    text: &str,
    site: &Site<'_>,
    atoms: &mut Atoms,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Condition> {
    let mut lowering = Lowering { text, site, atoms, diagnostics, info: SourceInfo::default() };
    lowering.run()
}

/// What an expression is before it becomes a truth value.
enum Typed {
    Bool(Vec<Op>),
    /// A number that an atom can compare.
    Number(Number),
    /// An argument of the tool call, whose type only the call knows.
    Argument(Vec<String>),
    ToolName,
    Tool,
    ToolArgs,
    Scope,
    Place(Place),
    StringLit(String),
    NumberLit(f64),
    BoolLit(bool),
    Strings(Vec<String>),
}

enum Number {
    Label { label: u8, place: Place },
    Like { clause: u32, place: Place },
    Count { set: u32, place: Place },
    Length { place: Place },
    Signal(String),
}

impl Typed {
    fn describe(&self) -> &'static str {
        match self {
            Self::Bool(_) | Self::BoolLit(_) => "a truth value",
            Self::Number(Number::Label { .. }) => "a label's probability",
            Self::Number(_) | Self::NumberLit(_) => "a number",
            Self::Argument(_) => "a tool argument",
            Self::ToolName | Self::StringLit(_) => "a string",
            Self::Tool | Self::ToolArgs => "the tool call",
            Self::Scope => "the scope",
            Self::Place(_) => "a text",
            Self::Strings(_) => "a list",
        }
    }
}

struct Lowering<'a, 'b> {
    text: &'a str,
    site: &'a Site<'a>,
    atoms: &'b mut Atoms,
    diagnostics: &'b mut Vec<Diagnostic>,
    info: SourceInfo,
}

type Lowered<T> = Option<T>;

impl Lowering<'_, '_> {
    fn run(&mut self) -> Lowered<Condition> {
        let whole = self.site.span;
        if self.text.len() > MAX_CONDITION_BYTES {
            self.report(
                Code::ConditionTooLarge,
                whole,
                format!("the condition has {} bytes", self.text.len()),
            )
            .help =
                Some(format!("conditions hold at most {MAX_CONDITION_BYTES} bytes; split the rule in two"));
            return None;
        }
        if nesting(self.text) > usize::from(MAX_CONDITION_DEPTH) {
            self.too_deep();
            return None;
        }
        match Parser::new().max_recursion_depth(256).parse_with_source_info(self.text) {
            Ok((expr, info)) => {
                self.info = info;
                let typed = self.expr(&expr, 0)?;
                let ops = self.truth(typed, &expr)?;
                let condition = Condition(ops);
                if !condition.is_valid(self.atoms.len()) {
                    self.too_deep();
                    return None;
                }
                Some(condition)
            }
            Err(errors) => {
                for error in errors.errors {
                    let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(0) as usize);
                    let before: usize =
                        self.text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>() + column;
                    let span = self.span_at(before, before + 1);
                    self.report(Code::ConditionSyntax, span, syntax_error(&error.msg)).help =
                        Some("conditions are written in CEL: `match(\"set\") && !tag(\"medical\")`".into());
                }
                None
            }
        }
    }

    fn too_deep(&mut self) {
        let span = self.site.span;
        self.report(Code::ConditionTooLarge, span, "the condition is nested too deeply").help =
            Some(format!("at most {MAX_CONDITION_DEPTH} levels; split the rule in two"));
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::new(code, self.site.source, span, message));
        #[expect(clippy::unwrap_used, reason = "an element was just pushed")]
        self.diagnostics.last_mut().unwrap()
    }

    /// Offsets in the condition's text as a span of the document; the whole value where escapes moved them.
    fn span_at(&self, start: usize, end: usize) -> Span {
        let Some(offset) = self.site.offset else { return self.site.span };
        let len = self.text.len();
        let (mut start, mut end) = (start.min(len), end.min(len));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Span::new(start, end).shifted(offset)
    }

    fn span_of(&self, expr: &IdedExpr) -> Span {
        match self.extent(expr, 0) {
            Some((start, end)) => self.span_at(start, end),
            None => self.site.span,
        }
    }

    /// From the first byte of an expression to one past its last. The parser marks an operator or a bracket only.
    fn extent(&self, expr: &IdedExpr, depth: u16) -> Option<(usize, usize)> {
        let (start, last) = self.info.offset_for(expr.id)?;
        let (mut start, mut end) = (start as usize, last as usize + 1);
        let children: Vec<&IdedExpr> = match &expr.expr {
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Expr::Select(select) => vec![&select.operand],
            _ => Vec::new(),
        };
        for child in children.into_iter().filter(|_| depth < MAX_CONDITION_DEPTH) {
            if let Some((from, to)) = self.extent(child, depth + 1) {
                (start, end) = (start.min(from), end.max(to));
            }
        }
        match &expr.expr {
            Expr::Call(call) if call.func_name.starts_with(|ch: char| ch.is_ascii_alphabetic()) => {
                if call.target.is_none()
                    && self.text.get(..start).is_some_and(|text| text.ends_with(&call.func_name))
                {
                    start -= call.func_name.len();
                }
                let closing = self.text.get(end..).unwrap_or("");
                end += closing
                    .find(')')
                    .filter(|at| closing.get(..*at).is_some_and(|gap| gap.trim().is_empty()))
                    .map_or(0, |at| at + 1);
            }
            Expr::Select(select) => {
                let rest = self.text.get(end..).unwrap_or("");
                if rest.starts_with(&select.field) {
                    end += select.field.len();
                }
            }
            _ => {}
        }
        Some((start, end))
    }

    fn fail<T>(&mut self, code: Code, at: &IdedExpr, message: impl Into<String>, help: &str) -> Lowered<T> {
        let span = self.span_of(at);
        let diagnostic = self.report(code, span, message);
        if !help.is_empty() {
            diagnostic.help = Some(help.to_string());
        }
        None
    }

    fn atom(&mut self, atom: Atom) -> Typed {
        Typed::Bool(vec![Op::Atom(self.atoms.intern(atom))])
    }

    /// Reads an expression as a truth value.
    fn truth(&mut self, typed: Typed, at: &IdedExpr) -> Lowered<Vec<Op>> {
        match typed {
            Typed::Bool(ops) => Some(ops),
            Typed::BoolLit(value) => Some(vec![Op::Const(value)]),
            Typed::Number(Number::Like { clause, place }) => {
                let compare = Comparison::Greater(0.5);
                Some(vec![Op::Atom(self.atoms.intern(Atom::Like { clause, place, compare }))])
            }
            Typed::Place(Place::Untrusted) => Some(vec![Op::Atom(self.atoms.intern(Atom::Untrusted))]),
            Typed::Argument(path) => {
                let atom = Atom::ToolArgument { path, test: ArgumentTest::Bool(true) };
                Some(vec![Op::Atom(self.atoms.intern(atom))])
            }
            Typed::Number(Number::Label { .. }) => self.fail(
                Code::ConditionType,
                at,
                "a label is a probability, not a truth value",
                "compare it, `label(\"x\") > 0.7`, or name an operating point, `label(\"x\").at_fpr(0.001)`",
            ),
            other => {
                let message = format!("{} is no truth value", other.describe());
                self.fail(Code::ConditionType, at, message, "compare it with something")
            }
        }
    }

    fn bool_expr(&mut self, expr: &IdedExpr, depth: u16) -> Lowered<Vec<Op>> {
        let typed = self.expr(expr, depth)?;
        self.truth(typed, expr)
    }

    fn expr(&mut self, expr: &IdedExpr, depth: u16) -> Lowered<Typed> {
        if depth > MAX_CONDITION_DEPTH {
            self.too_deep();
            return None;
        }
        match &expr.expr {
            Expr::Literal(literal) => self.literal(literal, expr),
            Expr::Ident(name) => self.ident(name, expr),
            Expr::Select(select) => self.select(select, expr, depth),
            Expr::Call(call) => self.call(call, expr, depth),
            Expr::List(list) => {
                let mut strings = Vec::new();
                for element in &list.elements {
                    match self.expr(element, depth + 1)? {
                        Typed::StringLit(text) => strings.push(text),
                        other => {
                            let message = format!("{} stands in a list of strings", other.describe());
                            return self.fail(
                                Code::ConditionType,
                                element,
                                message,
                                "lists hold strings: `[\"a\", \"b\"]`",
                            );
                        }
                    }
                }
                Some(Typed::Strings(strings))
            }
            Expr::Comprehension(_) => self.fail(
                Code::ConditionUnsupported,
                expr,
                "macros over lists cannot be lowered",
                "a test on an array holds when one of its elements passes, so no `exists` is needed",
            ),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.fail(Code::ConditionUnsupported, expr, "maps and messages cannot be lowered", "")
            }
        }
    }

    fn literal(&mut self, literal: &LiteralValue, at: &IdedExpr) -> Lowered<Typed> {
        Some(match literal {
            LiteralValue::Boolean(value) => Typed::BoolLit(*value.inner()),
            LiteralValue::Double(value) => Typed::NumberLit(*value.inner()),
            #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles as well")]
            LiteralValue::Int(value) => Typed::NumberLit(*value.inner() as f64),
            #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles as well")]
            LiteralValue::UInt(value) => Typed::NumberLit(*value.inner() as f64),
            LiteralValue::String(value) => Typed::StringLit(value.inner().to_string()),
            LiteralValue::Bytes(_) | LiteralValue::Null => {
                return self.fail(Code::ConditionUnsupported, at, "bytes and null cannot be lowered", "");
            }
        })
    }

    fn ident(&mut self, name: &str, at: &IdedExpr) -> Lowered<Typed> {
        Some(match name {
            "untrusted" => Typed::Place(Place::Untrusted),
            "trusted" => Typed::Place(Place::Trusted),
            "request" => Typed::Place(Place::Request),
            "response" => Typed::Place(Place::Response),
            "tool" => {
                if !self.site.on.contains(Surface::ToolCall) {
                    return self.fail(
                        Code::ConditionWrongSurface,
                        at,
                        "`tool` is only there on the surface `tool_call`",
                        "add `tool_call` to `on`",
                    );
                }
                Typed::Tool
            }
            "scope" => Typed::Scope,
            _ => {
                let known = ["untrusted", "trusted", "request", "response", "tool", "scope"];
                let help = crate::suggest::help(name, known.into_iter(), "names");
                return self.fail(Code::ConditionUnknownName, at, format!("unknown name `{name}`"), &help);
            }
        })
    }

    fn select(&mut self, select: &SelectExpr, at: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let operand = self.expr(&select.operand, depth + 1)?;
        let field = select.field.as_str();
        if select.test {
            return match operand {
                Typed::ToolArgs => Some(self.argument_present(vec![field.to_string()])),
                Typed::Argument(mut path) => {
                    path.push(field.to_string());
                    Some(self.argument_present(path))
                }
                other => {
                    let message = format!("`has` asks for a tool argument, not {}", other.describe());
                    self.fail(Code::ConditionType, at, message, "`has(tool.args.path)`")
                }
            };
        }
        match (operand, field) {
            (Typed::Tool, "name") => Some(Typed::ToolName),
            (Typed::Tool, "args") => Some(Typed::ToolArgs),
            (Typed::ToolArgs, _) => Some(Typed::Argument(vec![field.to_string()])),
            (Typed::Argument(mut path), _) => {
                path.push(field.to_string());
                Some(Typed::Argument(path))
            }
            (Typed::Scope, _) => {
                let test = match field {
                    "allows_tool" => ScopeTest::AllowsTool,
                    "allows_args" => ScopeTest::AllowsArgs,
                    "within_budget" => ScopeTest::WithinBudget,
                    "within_time" => ScopeTest::WithinTime,
                    _ => {
                        let known = ["allows_tool", "allows_args", "within_budget", "within_time"];
                        let help = crate::suggest::help(field, known.into_iter(), "questions to the scope");
                        let message = format!("`scope` has no `{field}`");
                        return self.fail(Code::ConditionUnknownName, at, message, &help);
                    }
                };
                Some(self.atom(Atom::Scope(test)))
            }
            (other, _) => {
                let message = format!("{} has no field `{field}`", other.describe());
                self.fail(Code::ConditionUnknownName, at, message, "`tool.name`, `tool.args.…`, `scope.…`")
            }
        }
    }

    fn argument_present(&mut self, path: Vec<String>) -> Typed {
        self.atom(Atom::ToolArgument { path, test: ArgumentTest::Present })
    }

    fn call(&mut self, call: &CallExpr, at: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let next = depth + 1;
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, args) => self.join(args, Op::And, next),
            (operators::LOGICAL_OR, None, args) => self.join(args, Op::Or, next),
            (operators::LOGICAL_NOT, None, [arg]) => {
                let mut ops = self.bool_expr(arg, next)?;
                ops.push(Op::Not);
                Some(Typed::Bool(ops))
            }
            (operators::CONDITIONAL, None, [test, yes, no]) => {
                let (test, yes, no) =
                    (self.bool_expr(test, next)?, self.bool_expr(yes, next)?, self.bool_expr(no, next)?);
                // The test stands twice, so conditionals inside of it double the condition each time.
                if 2 * test.len() + yes.len() + no.len() > MAX_OPS {
                    self.report(
                        Code::ConditionTooLarge,
                        self.site.span,
                        "the condition grows too large when it is lowered",
                    )
                    .help = Some("a conditional repeats its test; split the rule in two".into());
                    return None;
                }
                let mut ops = test.clone();
                ops.extend(yes);
                ops.push(Op::And);
                ops.extend(test);
                ops.push(Op::Not);
                ops.extend(no);
                ops.extend([Op::And, Op::Or]);
                Some(Typed::Bool(ops))
            }
            (operators::NEGATE, None, [arg]) => match self.expr(arg, next)? {
                Typed::NumberLit(value) => Some(Typed::NumberLit(-value)),
                other => {
                    let message = format!("`-` before {}", other.describe());
                    self.fail(Code::ConditionUnsupported, at, message, "only numbers can be negative")
                }
            },
            (operators::INDEX, None, [operand, key]) => {
                let (operand, key) = (self.expr(operand, next)?, self.expr(key, next)?);
                match (operand, key) {
                    (Typed::ToolArgs, Typed::StringLit(key)) => Some(Typed::Argument(vec![key])),
                    (Typed::Argument(mut path), Typed::StringLit(key)) => {
                        path.push(key);
                        Some(Typed::Argument(path))
                    }
                    _ => self.fail(
                        Code::ConditionUnsupported,
                        at,
                        "only tool arguments can be indexed, and only by name",
                        "`tool.args[\"file-name\"]`",
                    ),
                }
            }
            (operators::IN, None, [left, right]) => {
                let (left, right) = (self.expr(left, next)?, self.expr(right, next)?);
                match (left, right) {
                    (Typed::ToolName, Typed::Strings(list)) => {
                        Some(self.atom(Atom::ToolName(TextTest::OneOf(list))))
                    }
                    (Typed::Argument(path), Typed::Strings(list)) => {
                        let test = ArgumentTest::Text(TextTest::OneOf(list));
                        Some(self.atom(Atom::ToolArgument { path, test }))
                    }
                    (left, _) => {
                        let message = format!("`in` with {} on the left", left.describe());
                        self.fail(Code::ConditionType, at, message, "`tool.name in [\"a\", \"b\"]`")
                    }
                }
            }
            (name, None, [left, right]) if comparison(name).is_some() => {
                let (left, right) = (self.expr(left, next)?, self.expr(right, next)?);
                self.compare(name, left, right, at)
            }
            ("match" | "count" | "near" | "label" | "like" | "pii" | "secret" | "length", target, args) => {
                let place = match target {
                    None => Place::Judged,
                    Some(target) => match self.expr(target, next)? {
                        Typed::Place(place) => place,
                        other => {
                            let message =
                                format!("`{}` does not look at {}", call.func_name, other.describe());
                            let help =
                                "`request.`, `response.`, `untrusted.` or `trusted.` may stand before it";
                            return self.fail(Code::ConditionType, target, message, help);
                        }
                    },
                };
                self.detector(&call.func_name, place, args, at, next)
            }
            ("tag", None, [arg]) => {
                let name = self.string(arg, "a tag", next)?;
                Some(self.atom(Atom::Tag(name)))
            }
            ("signal", None, [arg]) => {
                let name = self.string(arg, "a signal's name", next)?;
                Some(Typed::Number(Number::Signal(name)))
            }
            ("at_fpr", Some(target), [arg]) => {
                let (subject, rate) = (self.expr(target, next)?, self.expr(arg, next)?);
                match (subject, rate) {
                    (Typed::Number(Number::Label { label, place }), Typed::NumberLit(rate))
                        if rate > 0.0 && rate < 1.0 =>
                    {
                        Some(self.atom(Atom::Label { label, place, threshold: Threshold::AtFpr(rate) }))
                    }
                    (Typed::Number(Number::Label { .. }), _) => {
                        let help = "a share between 0 and 1: `at_fpr(0.001)` is 0.1 %";
                        self.fail(Code::ConditionType, arg, "not a false-positive rate", help)
                    }
                    _ => {
                        let help = "`label(\"x\").at_fpr(0.001)`";
                        self.fail(Code::ConditionType, at, "`at_fpr` belongs to a label", help)
                    }
                }
            }
            ("startsWith" | "endsWith" | "contains" | "matches", Some(target), [arg]) => {
                let subject = self.expr(target, next)?;
                let text = self.string(arg, "text", next)?;
                let test = match call.func_name.as_str() {
                    "startsWith" => TextTest::StartsWith(text),
                    "endsWith" => TextTest::EndsWith(text),
                    "contains" => TextTest::Contains(text),
                    _ => {
                        if let Err(problem) = super::patterns::check_plain_regex(&text) {
                            let message = format!("cannot use the regular expression `{text}`: {problem}");
                            return self.fail(Code::PatternSyntax, arg, message, "");
                        }
                        TextTest::Matches(text)
                    }
                };
                match subject {
                    Typed::ToolName => Some(self.atom(Atom::ToolName(test))),
                    Typed::Argument(path) => {
                        Some(self.atom(Atom::ToolArgument { path, test: ArgumentTest::Text(test) }))
                    }
                    other => {
                        let message = format!("`{}` on {}", call.func_name, other.describe());
                        let help = "string tests look at `tool.name` and `tool.args.…`; for text use `match(\"set\")`";
                        self.fail(Code::ConditionType, at, message, help)
                    }
                }
            }
            (name, _, _) if name.starts_with('_') || name.starts_with('@') || name.starts_with('-') => {
                let sign = name.trim_matches(['_', '@', '?']);
                self.fail(Code::ConditionUnsupported, at, format!("`{sign}` cannot be lowered"), "")
            }
            (name, _, args) => {
                let known = [
                    "match",
                    "count",
                    "near",
                    "label",
                    "like",
                    "pii",
                    "secret",
                    "length",
                    "tag",
                    "signal",
                    "has",
                    "at_fpr",
                    "startsWith",
                    "endsWith",
                    "contains",
                    "matches",
                ];
                if known.contains(&name) {
                    let message = format!("`{name}` does not take {} arguments here", args.len());
                    return self.fail(
                        Code::ConditionType,
                        at,
                        message,
                        "docs/policy-language.md lists the forms",
                    );
                }
                let help = crate::suggest::help(name, known.into_iter(), "functions");
                self.fail(Code::ConditionUnknownName, at, format!("unknown function `{name}`"), &help)
            }
        }
    }

    fn join(&mut self, args: &[IdedExpr], op: Op, depth: u16) -> Lowered<Typed> {
        let mut ops = Vec::new();
        let mut complete = true;
        for (at, arg) in args.iter().enumerate() {
            match self.bool_expr(arg, depth) {
                Some(more) => ops.extend(more),
                None => complete = false,
            }
            if at > 0 {
                ops.push(op);
            }
        }
        complete.then_some(Typed::Bool(ops))
    }

    fn string(&mut self, arg: &IdedExpr, what: &str, depth: u16) -> Lowered<String> {
        match self.expr(arg, depth)? {
            Typed::StringLit(text) => Some(text),
            other => {
                let message = format!("{} where {what} is expected", other.describe());
                self.fail(Code::ConditionType, arg, message, "put it in quotes")
            }
        }
    }

    fn detector(
        &mut self,
        name: &str,
        place: Place,
        args: &[IdedExpr],
        at: &IdedExpr,
        depth: u16,
    ) -> Lowered<Typed> {
        match (name, args) {
            ("match", [set]) => {
                let set = self.set(set, depth)?;
                Some(self.atom(Atom::Match { set, place }))
            }
            ("count", [set]) => Some(Typed::Number(Number::Count { set: self.set(set, depth)?, place })),
            ("near", [first, second, gap]) => {
                let (first, second) = (self.set(first, depth), self.set(second, depth));
                let gap = match self.expr(gap, depth)? {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "checked to be small"
                    )]
                    Typed::NumberLit(gap) if (0.0..=10_000.0).contains(&gap) => gap as u32,
                    _ => {
                        let help =
                            "`near(\"a\", \"b\", 60)`: up to 60 bytes of normalized text between the two";
                        return self.fail(
                            Code::ConditionType,
                            at,
                            "the distance is a number up to 10000",
                            help,
                        );
                    }
                };
                let (first, second) = (first?, second?);
                Some(self.atom(Atom::Near { first, second, gap, place }))
            }
            ("label", [arg]) => {
                let label = self.string(arg, "a label", depth)?;
                match LABELS.iter().position(|known| *known == label) {
                    Some(index) => {
                        let label = u8::try_from(index).unwrap_or(u8::MAX);
                        Some(Typed::Number(Number::Label { label, place }))
                    }
                    None => {
                        let help = crate::suggest::help(&label, LABELS.iter().copied(), "labels");
                        self.fail(Code::ConditionUnknownName, arg, format!("unknown label `{label}`"), &help)
                    }
                }
            }
            ("like", [arg]) => {
                let id = self.string(arg, "a clause", depth)?;
                match (self.site.clause)(&id) {
                    Ok(clause) => Some(Typed::Number(Number::Like { clause, place })),
                    Err(known) => {
                        let help = crate::suggest::help(&id, known.iter().map(String::as_str), "clauses");
                        self.fail(Code::ReferenceDangling, arg, format!("no clause `{id}`"), &help)
                    }
                }
            }
            ("length", []) if matches!(place, Place::Untrusted | Place::Trusted) => {
                let help = "`length()` counts the whole text; `request.` and `response.` may stand before it";
                self.fail(
                    Code::ConditionUnsupported,
                    at,
                    format!("`{place}.length()` cannot be lowered"),
                    help,
                )
            }
            ("length", []) => Some(Typed::Number(Number::Length { place })),
            ("pii", []) => Some(self.atom(Atom::Personal { kinds: PersonalKinds::all(), place })),
            ("pii", [arg]) => {
                let word = self.string(arg, "a kind of personal data", depth)?;
                let Some(kind) = PersonalKind::from_word(&word) else {
                    let known = PersonalKind::ALL.iter().map(|kind| kind.as_str());
                    let help = crate::suggest::help(&word, known, "kinds of personal data");
                    let message = format!("unknown kind of personal data `{word}`");
                    return self.fail(Code::ConditionUnknownName, arg, message, &help);
                };
                Some(self.atom(Atom::Personal { kinds: PersonalKinds::default().with(kind), place }))
            }
            ("secret", []) => Some(self.atom(Atom::Secret { kinds: SecretKinds::all(), place })),
            ("secret", [arg]) => {
                let word = self.string(arg, "a kind of secret", depth)?;
                let Some(kind) = SecretKind::from_word(&word) else {
                    let known = SecretKind::ALL.iter().map(|kind| kind.as_str());
                    let help = crate::suggest::help(&word, known, "kinds of secrets");
                    return self.fail(
                        Code::ConditionUnknownName,
                        arg,
                        format!("unknown kind of secret `{word}`"),
                        &help,
                    );
                };
                Some(self.atom(Atom::Secret { kinds: SecretKinds::default().with(kind), place }))
            }
            _ => {
                let message = format!("`{name}` does not take {} arguments", args.len());
                self.fail(Code::ConditionType, at, message, "docs/policy-language.md lists the forms")
            }
        }
    }

    fn set(&mut self, arg: &IdedExpr, depth: u16) -> Lowered<u32> {
        let name = self.string(arg, "the name of a pattern set", depth)?;
        match (self.site.set)(&name) {
            Ok(set) => Some(set),
            Err(known) => {
                let help = crate::suggest::help(&name, known.iter().map(String::as_str), "pattern sets");
                self.fail(Code::ConditionUnknownName, arg, format!("no pattern set `{name}`"), &help)
            }
        }
    }

    fn compare(&mut self, operator: &str, left: Typed, right: Typed, at: &IdedExpr) -> Lowered<Typed> {
        let (Some(make), Some(flipped)) = (comparison(operator), flip(operator).and_then(comparison)) else {
            return None;
        };
        let equality = matches!(operator, operators::EQUALS | operators::NOT_EQUALS);
        let negate = operator == operators::NOT_EQUALS;
        let typed = match (left, right) {
            (Typed::Number(number), Typed::NumberLit(bound)) => self.number(number, make(bound)),
            (Typed::NumberLit(bound), Typed::Number(number)) => self.number(number, flipped(bound)),
            (Typed::Argument(path), Typed::NumberLit(bound))
            | (Typed::NumberLit(bound), Typed::Argument(path))
                if equality =>
            {
                return Some(self.argument_equals(
                    path,
                    ArgumentTest::Number(Comparison::Equal(bound)),
                    negate,
                ));
            }
            (Typed::Argument(path), Typed::NumberLit(bound)) => {
                self.atom(Atom::ToolArgument { path, test: ArgumentTest::Number(make(bound)) })
            }
            (Typed::NumberLit(bound), Typed::Argument(path)) => {
                self.atom(Atom::ToolArgument { path, test: ArgumentTest::Number(flipped(bound)) })
            }
            (Typed::ToolName, Typed::StringLit(text)) | (Typed::StringLit(text), Typed::ToolName)
                if equality =>
            {
                let mut ops = vec![Op::Atom(self.atoms.intern(Atom::ToolName(TextTest::OneOf(vec![text]))))];
                if negate {
                    ops.push(Op::Not);
                }
                return Some(Typed::Bool(ops));
            }
            (Typed::Argument(path), Typed::StringLit(text))
            | (Typed::StringLit(text), Typed::Argument(path))
                if equality =>
            {
                let test = ArgumentTest::Text(TextTest::OneOf(vec![text]));
                return Some(self.argument_equals(path, test, negate));
            }
            (Typed::Argument(path), Typed::BoolLit(value))
            | (Typed::BoolLit(value), Typed::Argument(path))
                if equality =>
            {
                return Some(self.argument_equals(path, ArgumentTest::Bool(value), negate));
            }
            (Typed::Bool(mut ops), Typed::BoolLit(value)) | (Typed::BoolLit(value), Typed::Bool(mut ops))
                if equality =>
            {
                if value == negate {
                    ops.push(Op::Not);
                }
                Typed::Bool(ops)
            }
            (left, right) => {
                let message = format!("cannot compare {} with {}", left.describe(), right.describe());
                let help = "numbers with numbers, strings with strings in quotes";
                return self.fail(Code::ConditionType, at, message, help);
            }
        };
        Some(typed)
    }

    /// `==`, or `!=`: the argument is there and not equal.
    fn argument_equals(&mut self, path: Vec<String>, test: ArgumentTest, negate: bool) -> Typed {
        let equal = self.atoms.intern(Atom::ToolArgument { path: path.clone(), test });
        if !negate {
            return Typed::Bool(vec![Op::Atom(equal)]);
        }
        let present = self.atoms.intern(Atom::ToolArgument { path, test: ArgumentTest::Present });
        Typed::Bool(vec![Op::Atom(present), Op::Atom(equal), Op::Not, Op::And])
    }

    fn number(&mut self, number: Number, compare: Comparison) -> Typed {
        self.atom(match number {
            Number::Label { label, place } => {
                Atom::Label { label, place, threshold: Threshold::Score(compare) }
            }
            Number::Like { clause, place } => Atom::Like { clause, place, compare },
            Number::Count { set, place } => Atom::Count { set, place, compare },
            Number::Length { place } => Atom::Length { place, compare },
            Number::Signal(name) => Atom::Signal { name, compare },
        })
    }
}

/// What the parser found, without its list of everything else it would have taken.
fn syntax_error(message: &str) -> String {
    let quoted =
        message.split_once('\'').and_then(|(_, rest)| rest.split_once('\'')).map(|(inside, _)| inside);
    match quoted {
        Some("<EOF>") => "the condition ends too early".to_string(),
        Some(found) => format!("cannot read the condition at `{found}`"),
        None => "cannot read the condition".to_string(),
    }
}

fn comparison(operator: &str) -> Option<fn(f64) -> Comparison> {
    Some(match operator {
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::AtMost,
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::GREATER_EQUALS => Comparison::AtLeast,
        operators::GREATER => Comparison::Greater,
        _ => return None,
    })
}

/// The operator with its sides exchanged.
fn flip(operator: &str) -> Option<&str> {
    Some(match operator {
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        other => other,
    })
}

/// The deepest nesting of brackets and signs outside strings, found before the parser recurses over them.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut run) = (0usize, 0usize, 0usize);
    let mut quote = None;
    for byte in text.bytes() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, b'!' | b'-' | b'?' | b'.') => run += 1,
            (None, _) => {}
        }
        deepest = deepest.max(depth);
    }
    // Signs, selections and conditionals nest without brackets; a condition that needs so many is a mistake.
    if run > 400 { usize::MAX } else { deepest }
}
