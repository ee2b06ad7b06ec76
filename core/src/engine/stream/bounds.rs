//! The smallest and the largest value that conditions may yet take of a text that goes on.

use crate::engine::judge::{Judge, Scoring};
use crate::engine::scores::Slot;
use crate::policy::{Atom, Comparison, Condition, Op, Rule, Threshold, Truth};

/// The smallest and the largest value.
pub(super) type Bounds = (Truth, Truth);

impl Judge<'_> {
    /// The smallest and the largest value a rule may yet take, and the one it has.
    pub(super) fn outlook(&mut self, rule: &Rule) -> (Truth, Truth, Truth) {
        let (low, high) = self.bounds(&rule.when);
        if high == Truth::False {
            return (low, high, Truth::False);
        }
        let now = rule.when.eval(|atom| self.decided(atom));
        let Some(unless) = &rule.unless else { return (low, high, now) };
        let (excused, may_be) = self.bounds(unless);
        let excuse = unless.eval(|atom| self.decided(atom));
        (low.min(may_be.negated()), high.min(excused.negated()), now.min(excuse.negated()))
    }

    /// Whether the rule may come to hold by nothing but the length of the text.
    pub(super) fn may_hold_by_length(&mut self, rule: &Rule) -> bool {
        let mut bounds = |condition: &Condition| {
            let all = self.all_bounds(condition, &mut |judge, index| {
                let now = judge.decided(index);
                match judge.data.atoms.get(index as usize) {
                    Some(Atom::Length { .. }) => UNDECIDED,
                    _ => (now, now),
                }
            });
            all.last().copied().unwrap_or(UNDECIDED)
        };
        bounds(&rule.when).1 == Truth::True
            && rule.unless.as_ref().is_none_or(|unless| bounds(unless).0 != Truth::True)
    }

    fn bounds(&mut self, condition: &Condition) -> Bounds {
        let all = self.all_bounds(condition, &mut |judge, index| judge.atom_bounds(index));
        all.last().copied().unwrap_or(UNDECIDED)
    }

    /// The bounds of every part of a condition, by the place of its operation.
    fn all_bounds(
        &mut self,
        condition: &Condition,
        atom: &mut dyn FnMut(&mut Self, u32) -> Bounds,
    ) -> Vec<Bounds> {
        let mut stack: Vec<Bounds> = Vec::new();
        let mut all = Vec::with_capacity(condition.0.len());
        for op in &condition.0 {
            let mut pop = || stack.pop().unwrap_or(UNDECIDED);
            let value = match op {
                Op::Const(value) => (Truth::from(*value), Truth::from(*value)),
                Op::Atom(index) => atom(self, *index),
                Op::Not => {
                    let (low, high) = pop();
                    (high.negated(), low.negated())
                }
                Op::And => {
                    let (right, left) = (pop(), pop());
                    (left.0.min(right.0), left.1.min(right.1))
                }
                Op::Or => {
                    let (right, left) = (pop(), pop());
                    (left.0.max(right.0), left.1.max(right.1))
                }
            };
            stack.push(value);
            all.push(value);
        }
        all
    }

    /// The value of an atom; models may read what stands before the message. What they say of the message is known.
    pub(super) fn decided(&mut self, index: u32) -> Truth {
        self.scoring = Scoring::Likes;
        let value = self.value(index);
        self.scoring = Scoring::Nothing;
        value
    }

    fn atom_bounds(&mut self, index: u32) -> Bounds {
        let now = self.decided(index);
        let Some(atom) = self.data.atoms.get(index as usize) else { return UNDECIDED };
        let judged = atom.place().is_some_and(|place| self.slot(place, self.reading).0 == Slot::Judged);
        if !judged {
            return (now, now);
        }
        match atom {
            Atom::Match { .. } | Atom::Near { .. } | Atom::Personal { .. } | Atom::Secret { .. } => {
                (now, Truth::True)
            }
            Atom::Count { compare, .. } | Atom::Length { compare, .. } => grows(*compare, now),
            // Without models it stays undecided.
            _ if self.classifier.is_none() => (now, now),
            // A growing passage may come to score less.
            Atom::Label { threshold: Threshold::Score(compare), .. } | Atom::Like { compare, .. } => {
                let (low, high) = grows(*compare, now);
                (low.min(self.settled(index)), high)
            }
            Atom::Label { .. } => (now.min(self.settled(index)), Truth::True),
            _ => UNDECIDED,
        }
    }

    /// The atoms on which a condition may come to rest: those whose being true may help to make it true.
    pub(super) fn alive(&mut self, condition: &Condition) -> Vec<u32> {
        let mut sizes: Vec<usize> = Vec::new();
        let mut stack: Vec<usize> = Vec::new();
        for op in &condition.0 {
            let size = match op {
                Op::Const(_) | Op::Atom(_) => 1,
                Op::Not => 1 + stack.pop().unwrap_or(0),
                Op::And | Op::Or => 1 + stack.pop().unwrap_or(0) + stack.pop().unwrap_or(0),
            };
            stack.push(size);
            sizes.push(size);
        }
        let bounds = self.all_bounds(condition, &mut |judge, index| judge.atom_bounds(index));
        let mut out = Vec::new();
        let mut open = vec![(condition.0.len(), true)];
        while let Some((end, positive)) = open.pop() {
            let Some(last) = end.checked_sub(1) else { continue };
            let (Some(op), Some(&(low, high))) = (condition.0.get(last), bounds.get(last)) else { continue };
            if positive && high == Truth::False || !positive && low == Truth::True {
                continue;
            }
            match op {
                Op::Const(_) => {}
                Op::Atom(atom) => out.extend(positive.then_some(*atom)),
                Op::Not => open.push((last, !positive)),
                Op::And | Op::Or => {
                    let right = sizes.get(last.wrapping_sub(1)).copied().unwrap_or(0);
                    open.extend([(last, positive), (last - right, positive)]);
                }
            }
        }
        out
    }
}

const UNDECIDED: Bounds = (Truth::False, Truth::True);

/// The values a comparison may yet take of a number that can only grow.
fn grows(compare: Comparison, now: Truth) -> Bounds {
    match (compare, now) {
        (Comparison::AtLeast(_) | Comparison::Greater(_), now) => (now, Truth::True),
        (Comparison::Less(_) | Comparison::AtMost(_), now) => (Truth::False, now),
        _ => UNDECIDED,
    }
}
