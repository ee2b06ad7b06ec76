//! What is wrong with a policy as a whole.

use super::clauses::Draft;
use super::decide::{Budget, Formula, Satisfiable, satisfiable};
use crate::authority::Level;
use crate::diagnostic::{Code, Diagnostic};
use crate::message::Surface;
use crate::policy::{Action, Atom, Condition, Kind, Op, Place, Rule, Truth};
use crate::span::Span;

/// A rule with the place of its condition.
pub(super) struct Located<'a> {
    pub rule: &'a Rule,
    pub draft: &'a Draft,
    pub when: Span,
}

/// Conditions that hold always, never, or never on some surface they name.
pub(super) fn conditions(
    rules: &[Located<'_>],
    atoms: &[Atom],
    budget: &Budget,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for Located { rule, draft, when } in rules {
        let mut report = |code, message: String, help: &str| {
            diagnostics.push(Diagnostic::new(code, &draft.document, *when, message).help(help));
        };
        let outcome: Vec<(Surface, Satisfiable)> = rule
            .on
            .iter()
            .map(|surface| {
                let silent = draft.kind == Kind::Exception && !authority_speaks(&rule.when, atoms, surface);
                let found = if silent {
                    Satisfiable::Never
                } else {
                    satisfiable(&[Formula::Matches(rule)], atoms, surface, budget)
                };
                (surface, found)
            })
            .collect();
        if outcome.iter().all(|(_, found)| *found == Satisfiable::Never) {
            let never = rule.on.iter().all(|surface| {
                satisfiable(&[Formula::Holds(&rule.when)], atoms, surface, budget) == Satisfiable::Never
            });
            if never {
                let message = format!("the condition of `{}` holds for no message", draft.id);
                report(
                    Code::ConditionAlwaysFalse,
                    message,
                    "its parts contradict one another, or do not exist on these surfaces",
                );
            } else {
                let message = format!("no message can trigger this rule of `{}`", draft.id);
                let help = match draft.kind {
                    Kind::Exception => {
                        "only text with authority triggers an exception: look at `request.` or judge requests"
                    }
                    _ => "`unless` excuses everything that `when` finds",
                };
                report(Code::ClauseUnreachable, message, help);
            }
            continue;
        }
        for (surface, found) in &outcome {
            if *found == Satisfiable::Never {
                let message = format!("the condition of `{}` cannot hold on `{surface}`", draft.id);
                report(
                    Code::ConditionWrongSurface,
                    message,
                    "take the surface out of `on`, or look at `request.` or `response.`",
                );
            }
            if satisfiable(&[Formula::DoesNotMatch(rule)], atoms, *surface, budget) == Satisfiable::Never {
                let message =
                    format!("the condition of `{}` holds for every message on `{surface}`", draft.id);
                report(Code::ConditionAlwaysTrue, message, "a rule that always matches judges nothing");
            }
        }
    }
}

/// Whether a condition of an exception can hold on a surface: what the assistant or a tool says makes none hold, and
/// what is known of a tool call only by its own words is unknown.
fn authority_speaks(condition: &Condition, atoms: &[Atom], surface: Surface) -> bool {
    let value = |index: u32, call: Truth| match atoms.get(index as usize) {
        Some(atom) => match atom.place() {
            Some(Place::Judged | Place::Trusted) if surface != Surface::Request => {
                atom.holds_of_nothing().into()
            }
            Some(Place::Untrusted | Place::Response) => atom.holds_of_nothing().into(),
            None if atom.needs_tool_call() => call,
            _ => Truth::Unknown,
        },
        None => Truth::Unknown,
    };
    [Truth::False, Truth::True]
        .into_iter()
        .all(|call| condition.eval(|index| value(index, call)) != Truth::False)
}

/// Clauses that demand opposite things with nothing to decide between them.
pub(super) fn conflicts(
    rules: &[Located<'_>],
    atoms: &[Atom],
    budget: &Budget,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // With nothing found in a text, two rules that together leave no way out include one that matches.
    let idle = |rule: &Rule| rule.when.eval(|_| Truth::False) == Truth::True;
    for (at, left) in rules.iter().enumerate() {
        for right in rules.iter().skip(at + 1) {
            if left.rule.clause == right.rule.clause
                || left.draft.level != right.draft.level
                || !left.rule.on.intersects(right.rule.on)
                || decided(left, right)
                || !budget.spend(left.rule.when.0.len() * right.rule.when.0.len())
                || !share_atom(left.rule, right.rule)
            {
                continue;
            }
            let strict = |rule: &Rule| rule.action >= Action::Revise;
            let problem =
                left.rule.on.iter().filter(|surface| right.rule.on.contains(*surface)).find_map(|surface| {
                    let never = |formulas: &[Formula<'_>]| {
                        satisfiable(formulas, atoms, surface, budget) == Satisfiable::Never
                    };
                    let both_strict = strict(left.rule) && strict(right.rule);
                    if both_strict && (idle(left.rule) || idle(right.rule)) {
                        let way_out = [Formula::DoesNotMatch(left.rule), Formula::DoesNotMatch(right.rule)];
                        if never(&way_out) {
                            return Some(format!(
                                "no message on `{surface}` satisfies both `{}` and `{}`",
                                left.draft.id, right.draft.id
                            ));
                        }
                    }
                    let (allow, forbid) = match (left.rule.action, right.rule.action) {
                        (Action::Allow, action) if action >= Action::Revise => (left, right),
                        (action, Action::Allow) if action >= Action::Revise => (right, left),
                        _ => return None,
                    };
                    let same = never(&[Formula::Matches(allow.rule), Formula::DoesNotMatch(forbid.rule)])
                        || never(&[Formula::Matches(forbid.rule), Formula::DoesNotMatch(allow.rule)]);
                    same.then(|| {
                        format!(
                            "`{}` allows on `{surface}` what `{}` forbids",
                            allow.draft.id, forbid.draft.id
                        )
                    })
                });
            if let Some(message) = problem {
                let (code, help) = if left.draft.level == Level::Root {
                    (Code::DemandsConflictRoot, "two root clauses in conflict: the safe side wins")
                } else {
                    (
                        Code::DemandsConflict,
                        "give one of them a higher level, narrow it, or write an exception",
                    )
                };
                let line = left.draft.document.line_of(left.when.start as usize);
                diagnostics.push(Diagnostic::new(code, &right.draft.document, right.when, message).help(
                    format!("{help}; the other rule is on line {line} of {}", left.draft.document.name()),
                ));
            }
        }
    }
}

/// Whether one of the two is an exception, which decides by itself.
fn decided(left: &Located<'_>, right: &Located<'_>) -> bool {
    left.draft.kind == Kind::Exception || right.draft.kind == Kind::Exception
}

fn share_atom(left: &Rule, right: &Rule) -> bool {
    left.when.0.iter().any(|op| matches!(op, Op::Atom(_)) && right.when.0.contains(op))
}
