//! What a guard derives for streams from the rules of one surface: which patterns and values hold text back.

use super::alive::Alive;
use crate::engine::judge::polarities;
use crate::engine::personal::PersonalKinds;
use crate::engine::program::{Plan, conditions};
use crate::engine::secrets::SecretKinds;
use crate::message::Surface;
use crate::policy::{Action, Atom, Comparison, Condition, Place, PolicyData};

/// The rules of a surface that demand more than a note, and what their findings may rest on.
pub(crate) struct Holding {
    /// Rules of action `redact` or stricter: their places in the plan, and their indexes.
    pub rules: Vec<(usize, usize)>,
    /// Matches of their patterns that are under way.
    pub alive: Alive,
    /// By pattern, whether it is one of theirs.
    pub held: Vec<bool>,
    /// By pattern, whether any rule asks for it, or a match of it would hold text back.
    pub needed: Vec<bool>,
    /// By set, whether a finding of theirs may rest on it.
    pub sets: Vec<bool>,
    pub personal: PersonalKinds,
    pub secrets: SecretKinds,
    /// Whether one of them asks for the length of the text.
    pub length: bool,
    /// By set, how many of its matches some condition counts to.
    pub counted: Vec<usize>,
    /// The largest gap between two sets that some condition looks for, in bytes of a view.
    pub reach: u32,
    /// The longest match of any pattern, in bytes of a view.
    pub longest: usize,
}

impl Holding {
    pub(crate) fn new(data: &PolicyData, plan: &Plan, surface: Surface) -> Self {
        let rule = |index: &usize| data.rules.get(*index).filter(|rule| rule.action >= Action::Redact);
        let rules: Vec<(usize, usize)> =
            plan.rules.iter().copied().enumerate().filter(|(_, index)| rule(index).is_some()).collect();
        let mut holding = Self {
            rules: Vec::new(),
            alive: Alive::nothing(),
            held: vec![false; data.patterns.len()],
            needed: vec![false; data.patterns.len()],
            sets: vec![false; data.sets.len()],
            personal: PersonalKinds::NONE,
            secrets: SecretKinds::NONE,
            length: false,
            counted: vec![0; data.sets.len()],
            reach: 0,
            longest: 0,
        };
        let atom = |index: u32| data.atoms.get(index as usize);
        for rule in rules.iter().filter_map(|(_, index)| rule(index)) {
            let positive = polarities(&rule.when).into_iter().filter(|(_, positive)| *positive);
            positive.filter_map(|(index, _)| atom(index)).for_each(|atom| holding.rest_on(atom));
            let lengths = conditions(rule).flat_map(Condition::atoms).filter_map(atom);
            holding.length |= lengths.into_iter().any(|atom| matches!(atom, Atom::Length { .. }));
        }
        let all = plan.rules.iter().chain(&plan.exceptions).filter_map(|index| data.rules.get(*index));
        for atom in all.flat_map(conditions).flat_map(Condition::atoms).filter_map(atom) {
            holding.count(atom);
            let elsewhere = match atom.place() {
                Some(Place::Request) => surface != Surface::Request,
                Some(Place::Response) => surface != Surface::Response,
                _ => false,
            };
            if !elsewhere {
                mark(&mut holding.needed, data, atom.sets());
            }
        }
        let held = (0u32..).zip(&holding.sets).filter(|(_, held)| **held).map(|(set, _)| set);
        mark(&mut holding.held, data, held);
        holding.needed.iter_mut().zip(&holding.held).for_each(|(needed, held)| *needed |= held);
        let patterns = data.patterns.iter().zip(&holding.held).filter(|(_, held)| **held);
        let patterns = patterns.map(|(pattern, _)| pattern);
        // The guard's own automata hold the same patterns. Were these not to be built, all text would wait.
        holding.alive = Alive::new(patterns).unwrap_or_else(|_| Alive::everything());
        holding.longest = Alive::longest(data.patterns.iter());
        holding.rules = rules;
        holding
    }

    /// A finding may rest on what the atom finds.
    fn rest_on(&mut self, atom: &Atom) {
        match atom {
            Atom::Personal { kinds, .. } => self.personal = self.personal.union(*kinds),
            Atom::Secret { kinds, .. } => self.secrets = self.secrets.union(*kinds),
            _ => {}
        }
        for set in atom.sets() {
            if let Some(held) = self.sets.get_mut(set as usize) {
                *held = true;
            }
        }
    }

    fn count(&mut self, atom: &Atom) {
        match atom {
            Atom::Near { gap, .. } => self.reach = self.reach.max(*gap),
            Atom::Count { set, compare, .. } => {
                let bound: Comparison = *compare;
                let most = bound.bound().clamp(0.0, MOST_COUNTED).ceil();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
                let most = most as usize;
                if let Some(counted) = self.counted.get_mut(*set as usize) {
                    *counted = (*counted).max(most);
                }
            }
            _ => {}
        }
    }
}

/// Marks the patterns of sets.
fn mark(patterns: &mut [bool], data: &PolicyData, sets: impl Iterator<Item = u32>) {
    for &pattern in sets.filter_map(|set| data.sets.get(set as usize)).flat_map(|set| &set.patterns) {
        if let Some(marked) = patterns.get_mut(pattern as usize) {
            *marked = true;
        }
    }
}

/// Counts beyond this are not told apart in a stream: every match that is counted is kept.
const MOST_COUNTED: f64 = 4096.0;
