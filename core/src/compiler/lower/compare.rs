//! Comparisons, each with an atom on one side and a literal on the other.

use super::{Lowered, Lowering, Number, Typed};
use crate::diagnostic::Code;
use crate::policy::{ArgumentTest, Atom, Comparison, Op, TextTest, Threshold};
use cel::common::ast::{IdedExpr, operators};

impl Lowering<'_, '_> {
    pub(super) fn compare(
        &mut self,
        operator: &str,
        left: Typed,
        right: Typed,
        at: &IdedExpr,
    ) -> Lowered<Typed> {
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

pub(super) fn comparison(operator: &str) -> Option<fn(f64) -> Comparison> {
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
