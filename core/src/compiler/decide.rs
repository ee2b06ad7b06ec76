//! Deciding conditions: which values of atoms can occur together, and whether a condition can hold at all.
//!
//! Settings and texts are endless, but what a condition sees of them is finite once every threshold is an atom. The
//! search below tries every combination of atom values that is not contradictory in itself, so *never* and *always*
//! are proofs. What it does not know (two pattern sets that happen to exclude one another) only makes it more careful.

use crate::engine::program::surfaces_of;
use crate::message::Surface;
use crate::policy::{ArgumentTest, Atom, Comparison, Condition, Place, Rule, TextTest, Threshold, Truth};
use std::cell::Cell;
use std::collections::HashMap;

/// How much work one question is worth, in comparisons of atoms and operations of conditions.
const MAX_WORK: usize = 4_000_000;
/// How much all questions about one policy are worth.
const MAX_TOTAL_WORK: usize = 200_000_000;

/// What is left of the work that one compilation may put into questions.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
    gave_up: Cell<bool>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(MAX_TOTAL_WORK), gave_up: Cell::new(false) }
    }
}

impl Budget {
    /// Takes some work away; `false` where less is left.
    pub(super) fn spend(&self, work: usize) -> bool {
        let left = self.left.get().checked_sub(work);
        self.left.set(left.unwrap_or(0));
        self.gave_up.set(self.gave_up.get() || left.is_none());
        left.is_some()
    }

    /// Whether some question was left open.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.get()
    }
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Satisfiable {
    Yes,
    Never,
    /// Too many combinations to try them all.
    GaveUp,
}

/// Whether some message on the surface makes every one of the formulas true.
pub(super) fn satisfiable(
    formulas: &[Formula<'_>],
    atoms: &[Atom],
    surface: Surface,
    budget: &Budget,
) -> Satisfiable {
    let mut used: Vec<u32> = formulas.iter().flat_map(Formula::atoms).collect();
    used.sort_unstable();
    used.dedup();
    let size = formulas.iter().map(Formula::size).sum();
    let mut search = Search { formulas, size, atoms, used, values: HashMap::new(), left: MAX_WORK, budget };
    for &atom in &search.used.clone() {
        let possible =
            search.atoms.get(atom as usize).is_some_and(|atom| surfaces_of(atom).contains(surface));
        if !possible {
            search.set(atom, Some(false));
        }
    }
    match search.solve(0) {
        Some(true) => Satisfiable::Yes,
        Some(false) => Satisfiable::Never,
        None => {
            budget.gave_up.set(true);
            Satisfiable::GaveUp
        }
    }
}

/// A rule's condition or its opposite.
#[derive(Clone, Copy)]
pub(super) enum Formula<'a> {
    Holds(&'a Condition),
    Matches(&'a Rule),
    DoesNotMatch(&'a Rule),
}

impl Formula<'_> {
    /// How many operations an evaluation takes.
    fn size(&self) -> usize {
        match self {
            Self::Holds(condition) => condition.0.len(),
            Self::Matches(rule) | Self::DoesNotMatch(rule) => {
                crate::engine::program::conditions(rule).map(|condition| condition.0.len()).sum()
            }
        }
    }

    fn atoms(&self) -> Vec<u32> {
        match self {
            Self::Holds(condition) => condition.atoms().collect(),
            Self::Matches(rule) | Self::DoesNotMatch(rule) => {
                crate::engine::program::conditions(rule).flat_map(Condition::atoms).collect()
            }
        }
    }

    fn eval(&self, value: &dyn Fn(u32) -> Truth) -> Truth {
        let rule = |rule: &Rule| {
            let excused = rule.unless.as_ref().map_or(Truth::False, |unless| unless.eval(value));
            rule.when.eval(value).min(excused.negated())
        };
        match self {
            Self::Holds(condition) => condition.eval(value),
            Self::Matches(it) => rule(it),
            Self::DoesNotMatch(it) => rule(it).negated(),
        }
    }
}

struct Search<'a> {
    formulas: &'a [Formula<'a>],
    atoms: &'a [Atom],
    size: usize,
    used: Vec<u32>,
    values: HashMap<u32, bool>,
    left: usize,
    budget: &'a Budget,
}

impl Search<'_> {
    fn set(&mut self, atom: u32, value: Option<bool>) {
        match value {
            Some(value) => self.values.insert(atom, value),
            None => self.values.remove(&atom),
        };
    }

    /// Pays for the next piece of work; `None` where it is not worth it.
    fn spend(&mut self, work: usize) -> Option<()> {
        self.left = self.left.checked_sub(work)?;
        self.budget.spend(work).then_some(())
    }

    /// Whether the formulas can all be true from here on; `None` where the work grew too much.
    fn solve(&mut self, next: usize) -> Option<bool> {
        self.spend(self.size + self.used.len())?;
        let value = |atom: u32| self.values.get(&atom).map_or(Truth::Unknown, |value| (*value).into());
        let mut open = false;
        for formula in self.formulas {
            match formula.eval(&value) {
                Truth::False => return Some(false),
                Truth::Unknown => open = true,
                Truth::True => {}
            }
        }
        let Some((index, &atom)) =
            self.used.iter().enumerate().skip(next).find(|(_, atom)| !self.values.contains_key(atom))
        else {
            return Some(!open && self.consistent()?);
        };
        if !open && self.consistent()? {
            return Some(true);
        }
        let mut gave_up = false;
        for choice in [false, true] {
            self.set(atom, Some(choice));
            let found = match self.consistent() {
                Some(true) => self.solve(index + 1),
                other => other,
            };
            self.set(atom, None);
            match found {
                Some(true) => return Some(true),
                Some(false) => {}
                None => gave_up = true,
            }
        }
        if gave_up { None } else { Some(false) }
    }

    fn assigned(&self) -> impl Iterator<Item = (&Atom, bool)> {
        self.used.iter().filter_map(|&atom| {
            let value = *self.values.get(&atom)?;
            Some((self.atoms.get(atom as usize)?, value))
        })
    }

    /// Whether the values given so far do not contradict one another; `None` where that is too much work.
    fn consistent(&mut self) -> Option<bool> {
        self.spend(self.values.len() * self.values.len())?;
        let mut numbers = 0usize;
        let outcome = self.contradiction_free(&mut numbers);
        self.spend(numbers)?;
        Some(outcome)
    }

    fn contradiction_free(&self, numbers: &mut usize) -> bool {
        let assigned: Vec<(&Atom, bool)> = self.assigned().collect();
        for (at, (left, left_value)) in assigned.iter().enumerate() {
            for (right, right_value) in assigned.iter().skip(at + 1) {
                let contradiction = (*left_value && !*right_value && implies(left, right))
                    || (*right_value && !*left_value && implies(right, left))
                    || (*left_value && *right_value && excludes(left, right));
                if contradiction {
                    return false;
                }
            }
            let same_number: Vec<(Comparison, bool)> =
                assigned.iter().filter_map(|(other, value)| Some((compared(left, other)?, *value))).collect();
            if same_number.len() > MAX_RELATIONS {
                continue;
            }
            *numbers += same_number.len().pow(3);
            if same_number.len() > 1 && !some_number(&same_number, is_whole(left), may_be_absent(left)) {
                return false;
            }
        }
        true
    }
}

/// How many relations of one number are looked at together; more are taken to be possible, which is the careful answer.
const MAX_RELATIONS: usize = 32;

/// If both atoms compare the same number, how the second does.
fn compared(reference: &Atom, atom: &Atom) -> Option<Comparison> {
    match (reference, atom) {
        (Atom::Count { set: a, place: p, .. }, Atom::Count { set: b, place: q, compare })
            if a == b && p == q =>
        {
            Some(*compare)
        }
        (Atom::Count { set: a, place: p, .. }, Atom::Match { set: b, place: q }) if a == b && p == q => {
            Some(Comparison::AtLeast(1.0))
        }
        (
            Atom::Label { label: a, place: p, threshold: Threshold::Score(_) },
            Atom::Label { label: b, place: q, threshold: Threshold::Score(compare) },
        ) if a == b && p == q => Some(*compare),
        (Atom::Like { clause: a, place: p, .. }, Atom::Like { clause: b, place: q, compare })
            if a == b && p == q =>
        {
            Some(*compare)
        }
        (Atom::Length { place: p, .. }, Atom::Length { place: q, compare }) if p == q => Some(*compare),
        (Atom::Signal { name: a, .. }, Atom::Signal { name: b, compare }) if a == b => Some(*compare),
        _ => None,
    }
}

fn is_whole(atom: &Atom) -> bool {
    matches!(atom, Atom::Count { .. } | Atom::Length { .. })
}

/// Whether the number may not be there at all. A count always is, and so is the length of the judged text.
fn may_be_absent(atom: &Atom) -> bool {
    !matches!(atom, Atom::Count { .. } | Atom::Length { place: Place::Judged, .. })
}

/// Whether some number stands in all these relations. One that is not there fails every one of them.
fn some_number(relations: &[(Comparison, bool)], whole: bool, may_be_absent: bool) -> bool {
    let bounds: Vec<f64> = relations.iter().map(|(compare, _)| compare.bound()).collect();
    let mut candidates = vec![0.0, 1.0];
    for &bound in &bounds {
        candidates.extend([bound, bound - 1.0, bound + 1.0, bound.floor(), bound.ceil()]);
        candidates.extend(bounds.iter().map(|other| f64::midpoint(bound, *other)));
    }
    let all_fail = relations.iter().all(|(_, value)| !value);
    (all_fail && may_be_absent)
        || candidates.into_iter().any(|number| {
            (!whole || (number >= 0.0 && number.fract() == 0.0))
                && relations.iter().all(|(compare, value)| compare.holds(number) == *value)
        })
}

/// Whether the first atom cannot be true without the second.
fn implies(first: &Atom, second: &Atom) -> bool {
    let within = |narrow: Place, wide: Place| {
        narrow == wide || (wide == Place::Judged && matches!(narrow, Place::Untrusted | Place::Trusted))
    };
    match (first, second) {
        (Atom::Match { set: a, place: p }, Atom::Match { set: b, place: q }) => a == b && within(*p, *q),
        (Atom::Near { first, second, place: p, .. }, Atom::Match { set, place: q }) => {
            (first == set || second == set) && within(*p, *q)
        }
        (
            Atom::Near { first: a, second: b, gap: narrow, place: p },
            Atom::Near { first: c, second: d, gap: wide, place: q },
        ) => ((a, b) == (c, d) || (a, b) == (d, c)) && narrow <= wide && within(*p, *q),
        (Atom::Personal { kinds: a, place: p }, Atom::Personal { kinds: b, place: q }) => {
            b.contains_all(*a) && within(*p, *q)
        }
        (Atom::Secret { kinds: a, place: p }, Atom::Secret { kinds: b, place: q }) => {
            b.contains_all(*a) && within(*p, *q)
        }
        (
            Atom::Label { label: a, place: p, threshold: Threshold::AtFpr(strict) },
            Atom::Label { label: b, place: q, threshold: Threshold::AtFpr(loose) },
        ) => a == b && p == q && strict <= loose,
        (Atom::ToolName(a), Atom::ToolName(b)) => text_implies(a, b),
        (Atom::ToolArgument { path: a, .. }, Atom::ToolArgument { path: b, test: ArgumentTest::Present }) => {
            a == b
        }
        (atom, Atom::Untrusted) => atom.place() == Some(Place::Untrusted) && !atom.holds_of_nothing(),
        _ => false,
    }
}

fn text_implies(first: &TextTest, second: &TextTest) -> bool {
    match (first, second) {
        (TextTest::OneOf(list), test) => list.iter().all(|text| passes(test, text) == Some(true)),
        (TextTest::StartsWith(long), TextTest::StartsWith(short)) => long.starts_with(short.as_str()),
        (TextTest::EndsWith(long), TextTest::EndsWith(short)) => long.ends_with(short.as_str()),
        (
            TextTest::StartsWith(long) | TextTest::EndsWith(long) | TextTest::Contains(long),
            TextTest::Contains(short),
        ) => long.contains(short.as_str()),
        _ => false,
    }
}

/// Whether the two cannot be true together. Arrays can hold several values, so this is only about the tool's name.
fn excludes(first: &Atom, second: &Atom) -> bool {
    let (Atom::ToolName(first), Atom::ToolName(second)) = (first, second) else { return false };
    match (first, second) {
        (TextTest::OneOf(list), test) | (test, TextTest::OneOf(list)) => {
            list.iter().all(|text| passes(test, text) == Some(false))
        }
        (TextTest::StartsWith(a), TextTest::StartsWith(b)) => {
            !a.starts_with(b.as_str()) && !b.starts_with(a.as_str())
        }
        (TextTest::EndsWith(a), TextTest::EndsWith(b)) => {
            !a.ends_with(b.as_str()) && !b.ends_with(a.as_str())
        }
        _ => false,
    }
}

fn passes(test: &TextTest, text: &str) -> Option<bool> {
    Some(match test {
        TextTest::OneOf(list) => list.iter().any(|item| item == text),
        TextTest::StartsWith(prefix) => text.starts_with(prefix.as_str()),
        TextTest::EndsWith(suffix) => text.ends_with(suffix.as_str()),
        TextTest::Contains(part) => text.contains(part.as_str()),
        TextTest::Matches(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Op;

    fn tag(name: &str) -> Atom {
        Atom::Tag(name.into())
    }

    fn length(compare: Comparison) -> Atom {
        Atom::Length { place: Place::Judged, compare }
    }

    fn sat(ops: Vec<Op>, atoms: &[Atom]) -> Satisfiable {
        satisfiable(&[Formula::Holds(&Condition(ops))], atoms, Surface::Request, &Budget::default())
    }

    #[test]
    fn finds_contradictions_in_numbers_names_and_places() {
        let both = vec![Op::Atom(0), Op::Atom(1), Op::And];
        let neither = vec![Op::Atom(0), Op::Atom(1), Op::Or, Op::Not];
        let numbers = [length(Comparison::Less(5.0)), length(Comparison::Greater(10.0))];
        assert_eq!(sat(both.clone(), &numbers), Satisfiable::Never);
        assert_eq!(sat(neither.clone(), &numbers), Satisfiable::Yes);
        let covering = [length(Comparison::Less(5.0)), length(Comparison::AtLeast(5.0))];
        assert_eq!(sat(neither.clone(), &covering), Satisfiable::Never);
        assert_eq!(sat(both.clone(), &[tag("a"), tag("b")]), Satisfiable::Yes);
        let names = [
            Atom::ToolName(TextTest::OneOf(vec!["shell".into()])),
            Atom::ToolName(TextTest::StartsWith("mail.".into())),
        ];
        let on_call =
            satisfiable(&[Formula::Holds(&Condition(both))], &names, Surface::ToolCall, &Budget::default());
        assert_eq!(on_call, Satisfiable::Never);
    }

    #[test]
    fn a_missing_signal_fails_every_comparison() {
        let signal = |compare| Atom::Signal { name: "x".into(), compare };
        let atoms = [signal(Comparison::Less(1.0)), signal(Comparison::AtLeast(1.0))];
        assert_eq!(sat(vec![Op::Atom(0), Op::Atom(1), Op::Or, Op::Not], &atoms), Satisfiable::Yes);
    }

    #[test]
    fn near_cannot_hold_without_its_sets() {
        let atoms = [
            Atom::Near { first: 0, second: 1, gap: 5, place: Place::Judged },
            Atom::Match { set: 1, place: Place::Judged },
        ];
        assert_eq!(sat(vec![Op::Atom(0), Op::Atom(1), Op::Not, Op::And], &atoms), Satisfiable::Never);
    }

    #[test]
    fn tool_atoms_are_false_where_there_is_no_tool() {
        let atoms = [Atom::ToolName(TextTest::Contains("x".into()))];
        let condition = Condition(vec![Op::Atom(0)]);
        for (surface, expected) in
            [(Surface::Request, Satisfiable::Never), (Surface::ToolCall, Satisfiable::Yes)]
        {
            let found = satisfiable(&[Formula::Holds(&condition)], &atoms, surface, &Budget::default());
            assert_eq!(found, expected);
        }
    }
}
