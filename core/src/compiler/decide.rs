//! Deciding conditions: which values of atoms can occur together, and whether a condition can hold at all.
//!
//! Settings and texts are endless, but what a condition sees of them is finite once every threshold is an atom. The
//! search below tries every combination of atom values that is not contradictory in itself, so *never* and *always*
//! are proofs. What it does not know (two pattern sets that happen to exclude one another) only makes it more careful.

use crate::engine::program::surfaces_of;
use crate::message::Surface;
use crate::policy::{ArgumentTest, Atom, Comparison, Condition, Place, Rule, TextTest, Threshold, Truth};

/// How many combinations are tried for one question before giving up.
const MAX_STEPS: usize = 20_000;

/// How many combinations may be tried for a whole policy: a bound on what a hostile document can cost.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(2_000_000)
    }
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Satisfiable {
    Yes,
    Never,
    /// Too many atoms to try every combination.
    GaveUp,
}

/// Whether some message on the surface makes every one of the formulas true.
pub(super) fn satisfiable(
    formulas: &[Formula<'_>],
    atoms: &[Atom],
    surface: Surface,
    budget: &mut Budget,
) -> Satisfiable {
    let mut used: Vec<u32> = formulas.iter().flat_map(Formula::atoms).collect();
    used.sort_unstable();
    used.dedup();
    let values = used
        .iter()
        .map(|&atom| {
            let possible = atoms.get(atom as usize).is_some_and(|atom| surfaces_of(atom).contains(surface));
            if possible { None } else { Some(false) }
        })
        .collect();
    let limit = MAX_STEPS.min(budget.0);
    let mut search = Search { formulas, atoms, used, values, steps: 0, limit };
    let found = search.solve(0);
    budget.0 = budget.0.saturating_sub(search.steps);
    match found {
        Some(true) => Satisfiable::Yes,
        Some(false) => Satisfiable::Never,
        None => Satisfiable::GaveUp,
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
    /// The atoms the formulas use, sorted, and beside them the values tried.
    used: Vec<u32>,
    values: Vec<Option<bool>>,
    steps: usize,
    limit: usize,
}

impl Search<'_> {
    fn set(&mut self, position: usize, value: Option<bool>) {
        if let Some(slot) = self.values.get_mut(position) {
            *slot = value;
        }
    }

    /// Whether the formulas can all be true from here on; `None` where the steps ran out. The values given so far do not
    /// contradict one another.
    fn solve(&mut self, next: usize) -> Option<bool> {
        self.steps += 1;
        if self.steps > self.limit {
            return None;
        }
        let value = |atom: u32| {
            let position = self.used.binary_search(&atom).ok();
            match position.and_then(|at| self.values.get(at)) {
                Some(Some(value)) => (*value).into(),
                _ => Truth::Unknown,
            }
        };
        let mut open = false;
        for formula in self.formulas {
            match formula.eval(&value) {
                Truth::False => return Some(false),
                Truth::Unknown => open = true,
                Truth::True => {}
            }
        }
        // With every formula decided, atoms without a value can take whatever fits.
        let free = (next..self.values.len()).find(|&at| self.values.get(at) == Some(&None));
        let Some(position) = free.filter(|_| open) else { return Some(!open) };
        let mut gave_up = false;
        for choice in [false, true] {
            self.set(position, Some(choice));
            let result = if self.fits(position, choice) { self.solve(position + 1) } else { Some(false) };
            self.set(position, None);
            match result {
                Some(true) => return Some(true),
                Some(false) => {}
                None => gave_up = true,
            }
        }
        if gave_up { None } else { Some(false) }
    }

    fn assigned(&self) -> impl Iterator<Item = (&Atom, bool)> {
        self.used
            .iter()
            .zip(&self.values)
            .filter_map(|(&atom, value)| Some((self.atoms.get(atom as usize)?, (*value)?)))
    }

    /// Whether a new value contradicts none of the others.
    fn fits(&self, position: usize, value: bool) -> bool {
        let Some(atom) = self.used.get(position).and_then(|&at| self.atoms.get(at as usize)) else {
            return false;
        };
        let apart = self.assigned().all(|(other, other_value)| {
            std::ptr::eq(atom, other)
                || !((value && !other_value && implies(atom, other))
                    || (other_value && !value && implies(other, atom))
                    || (value && other_value && (excludes(atom, other))))
        });
        // A match is a count of at least one: the count knows how to compare both.
        let reference = self.assigned().map(|(other, _)| other).find(|other| compared(other, atom).is_some());
        let reference = reference.filter(|_| matches!(atom, Atom::Match { .. })).unwrap_or(atom);
        let same_number: Vec<(Comparison, bool)> =
            self.assigned().filter_map(|(other, value)| Some((compared(reference, other)?, value))).collect();
        apart && (same_number.len() < 2 || some_number(&same_number, is_count(reference)))
    }
}

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

fn is_count(atom: &Atom) -> bool {
    matches!(atom, Atom::Count { .. } | Atom::Length { .. })
}

/// Whether some number stands in all these relations. A signal that is not there fails every one of them.
fn some_number(relations: &[(Comparison, bool)], count: bool) -> bool {
    let bounds: Vec<f64> = relations.iter().map(|(compare, _)| compare.bound()).collect();
    let mut candidates = vec![0.0, 1.0];
    for &bound in &bounds {
        candidates.extend([bound, bound - 1.0, bound + 1.0, bound.floor(), bound.ceil()]);
        candidates.extend(bounds.iter().map(|other| f64::midpoint(bound, *other)));
    }
    let all_fail = relations.iter().all(|(_, value)| !value);
    (all_fail && !count)
        || candidates.into_iter().any(|number| {
            (!count || (number >= 0.0 && number.fract() == 0.0))
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
        (atom, Atom::Untrusted) => atom.place() == Some(Place::Untrusted),
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
        satisfiable(&[Formula::Holds(&Condition(ops))], atoms, Surface::Request, &mut Budget::default())
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
        let on_call = satisfiable(
            &[Formula::Holds(&Condition(both))],
            &names,
            Surface::ToolCall,
            &mut Budget::default(),
        );
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
            assert_eq!(
                satisfiable(&[Formula::Holds(&condition)], &atoms, surface, &mut Budget::default()),
                expected
            );
        }
    }
}
