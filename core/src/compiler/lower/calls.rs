//! Functions and operators of a condition.

use super::super::patterns::check_plain_regex;
use super::compare::comparison;
use super::{Lowered, Lowering, Number, Typed};
use crate::diagnostic::Code;
use crate::engine::personal::{PersonalKind, PersonalKinds};
use crate::engine::secrets::{SecretKind, SecretKinds};
use crate::policy::{ArgumentTest, Atom, LABELS, MAX_OPS, Op, Place, TextTest, Threshold};
use cel::common::ast::{CallExpr, IdedExpr, operators};

const FUNCTIONS: [&str; 16] = [
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

impl Lowering<'_, '_> {
    pub(super) fn call(&mut self, call: &CallExpr, at: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let next = depth + 1;
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, args) => self.join(args, Op::And, next),
            (operators::LOGICAL_OR, None, args) => self.join(args, Op::Or, next),
            (operators::LOGICAL_NOT, None, [arg]) => {
                let mut ops = self.bool_expr(arg, next)?;
                ops.push(Op::Not);
                Some(Typed::Bool(ops))
            }
            (operators::CONDITIONAL, None, [test, yes, no]) => self.conditional(test, yes, no, next),
            (operators::NEGATE, None, [arg]) => match self.expr(arg, next)? {
                Typed::NumberLit(value) => Some(Typed::NumberLit(-value)),
                other => {
                    let message = format!("`-` before {}", other.describe());
                    self.fail(Code::ConditionUnsupported, at, message, "only numbers can be negative")
                }
            },
            (operators::INDEX, None, [operand, key]) => self.index(operand, key, at, next),
            (operators::IN, None, [left, right]) => self.member(left, right, at, next),
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
            ("at_fpr", Some(target), [arg]) => self.operating_point(target, arg, at, next),
            ("startsWith" | "endsWith" | "contains" | "matches", Some(target), [arg]) => {
                self.text_test(&call.func_name, target, arg, at, next)
            }
            (name, _, _) if name.starts_with('_') || name.starts_with('@') || name.starts_with('-') => {
                let sign = name.trim_matches(['_', '@', '?']);
                self.fail(Code::ConditionUnsupported, at, format!("`{sign}` cannot be lowered"), "")
            }
            (name, _, args) if FUNCTIONS.contains(&name) => {
                let message = format!("`{name}` does not take {} arguments here", args.len());
                self.fail(Code::ConditionType, at, message, "docs/policy-language.md lists the forms")
            }
            (name, _, _) => {
                let help = crate::suggest::help(name, FUNCTIONS.into_iter(), "functions");
                self.fail(Code::ConditionUnknownName, at, format!("unknown function `{name}`"), &help)
            }
        }
    }

    /// `test ? yes : no`.
    fn conditional(&mut self, test: &IdedExpr, yes: &IdedExpr, no: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let (test, yes, no) =
            (self.bool_expr(test, depth)?, self.bool_expr(yes, depth)?, self.bool_expr(no, depth)?);
        // The test stands twice, so conditionals inside of it double the condition each time.
        if 2 * test.len() + yes.len() + no.len() > MAX_OPS {
            let message = "the condition grows too large when it is lowered";
            self.report(Code::ConditionTooLarge, self.site.span, message).help =
                Some("a conditional repeats its test; split the rule in two".into());
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

    /// `tool.args["name"]`.
    fn index(&mut self, operand: &IdedExpr, key: &IdedExpr, at: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let (operand, key) = (self.expr(operand, depth)?, self.expr(key, depth)?);
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

    /// `left in [..]`.
    fn member(&mut self, left: &IdedExpr, right: &IdedExpr, at: &IdedExpr, depth: u16) -> Lowered<Typed> {
        let (left, right) = (self.expr(left, depth)?, self.expr(right, depth)?);
        match (left, right) {
            (Typed::ToolName, Typed::Strings(list)) => Some(self.atom(Atom::ToolName(TextTest::OneOf(list)))),
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

    /// `label("x").at_fpr(rate)`.
    fn operating_point(
        &mut self,
        target: &IdedExpr,
        rate: &IdedExpr,
        at: &IdedExpr,
        depth: u16,
    ) -> Lowered<Typed> {
        match (self.expr(target, depth)?, self.expr(rate, depth)?) {
            (Typed::Number(Number::Label { label, place }), Typed::NumberLit(share))
                if share > 0.0 && share < 1.0 =>
            {
                Some(self.atom(Atom::Label { label, place, threshold: Threshold::AtFpr(share) }))
            }
            (Typed::Number(Number::Label { .. }), _) => {
                let help = "a share between 0 and 1: `at_fpr(0.001)` is 0.1 %";
                self.fail(Code::ConditionType, rate, "not a false-positive rate", help)
            }
            _ => {
                let help = "`label(\"x\").at_fpr(0.001)`";
                self.fail(Code::ConditionType, at, "`at_fpr` belongs to a label", help)
            }
        }
    }

    /// `tool.name.startsWith(..)` and its like.
    fn text_test(
        &mut self,
        name: &str,
        target: &IdedExpr,
        arg: &IdedExpr,
        at: &IdedExpr,
        depth: u16,
    ) -> Lowered<Typed> {
        let subject = self.expr(target, depth)?;
        let text = self.string(arg, "text", depth)?;
        let test = match name {
            "startsWith" => TextTest::StartsWith(text),
            "endsWith" => TextTest::EndsWith(text),
            "contains" => TextTest::Contains(text),
            _ => {
                if let Err(problem) = check_plain_regex(&text) {
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
                let message = format!("`{name}` on {}", other.describe());
                let help =
                    "string tests look at `tool.name` and `tool.args.…`; for text use `match(\"set\")`";
                self.fail(Code::ConditionType, at, message, help)
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
}
