//! CEL → [`Condition`]: types are checked and every expression is reduced to operations over atoms.

mod calls;
mod compare;
mod spans;

use super::atoms::Atoms;
use crate::diagnostic::{Code, Diagnostic};
use crate::message::{Surface, Surfaces};
use crate::policy::{ArgumentTest, Atom, Comparison, Condition, Op, Place, ScopeTest};
use crate::span::{Source, Span};
use cel::common::ast::{Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo};
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
            "unverified" => self.atom(Atom::Unverified),
            _ => {
                let known = ["untrusted", "trusted", "request", "response", "tool", "scope", "unverified"];
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
