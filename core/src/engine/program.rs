//! What a guard derives from a policy once: automata, and per surface what there is to look for.

use super::matcher::{Matcher, build_regex};
use super::personal::PersonalKinds;
use super::scan::TextScan;
use super::scores::{Classifier, reads_labels};
use super::secrets::SecretKinds;
use super::stream::Holding;
use crate::classifier::takes_context;
use crate::message::{Surface, Surfaces};
use crate::policy::{
    ArgumentTest, Atom, Condition, Kind, Op, Place, Policy, PolicyData, Rule, Scope, ScopeTest, TextTest,
    Truth,
};
use regex_automata::meta;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The runtime form of a policy.
pub(crate) struct Program {
    pub matcher: Matcher,
    /// The sets each pattern belongs to.
    pub members: Vec<Vec<u32>>,
    pub plans: [Plan; 5],
    /// The regular expression of each atom that tests a string with one.
    pub regexes: Vec<Option<meta::Regex>>,
    pub scope: Option<CompiledScope>,
    /// What some surface looks for in the request before the judged message, and in the answer before it.
    pub request: Wanted,
    pub response: Wanted,
    /// What streams need besides, by surface; made when the first stream asks.
    holding: [OnceLock<Holding>; 5],
}

/// A deployment's scope with its constraints compiled.
pub(crate) struct CompiledScope {
    pub scope: Scope,
    pub constraints: BTreeMap<String, Constraint>,
}

/// One condition on a tool's arguments, with atoms of its own.
pub(crate) struct Constraint {
    pub atoms: Vec<Atom>,
    pub regexes: Vec<Option<meta::Regex>>,
    pub condition: Condition,
}

/// What the rules of one surface need.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rules that demand something, by index.
    pub rules: Vec<usize>,
    /// Those of them that text may excuse.
    pub excusable: Vec<usize>,
    /// By set, places in `rules` of those that cannot hold unless one of their sets matches.
    pub stirred: Vec<Vec<u32>>,
    /// Places of those that may hold where personal data or a secret is found.
    pub stirred_by_data: Vec<u32>,
    /// Places of those that may hold of any text.
    pub alert: Vec<u32>,
    /// Rules of exceptions, by index.
    pub exceptions: Vec<usize>,
    /// What to look for in the judged text.
    pub judged: Wanted,
    /// Whether atoms ask for the request before it, or the answer before it.
    pub request: bool,
    pub response: bool,
    /// Whether atoms ask for the parts without authority.
    pub regions: bool,
    /// Whether models read for a rule that text may excuse.
    pub labels: bool,
}

/// Which detectors a text has to go through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub patterns: bool,
    /// Whether models read the text, and so its views.
    pub views: bool,
    pub length: bool,
    pub personal: PersonalKinds,
    pub secrets: SecretKinds,
}

impl Wanted {
    fn add(&mut self, atom: &Atom) {
        match atom {
            Atom::Match { .. } | Atom::Count { .. } | Atom::Near { .. } => self.patterns = true,
            Atom::Personal { kinds, .. } => self.personal = self.personal.union(*kinds),
            Atom::Secret { kinds, .. } => self.secrets = self.secrets.union(*kinds),
            Atom::Length { .. } => self.length = true,
            atom if atom.needs_model() => self.views = true,
            _ => {}
        }
    }
}

/// Every condition of a rule.
pub(crate) fn conditions(rule: &Rule) -> impl Iterator<Item = &Condition> {
    std::iter::once(&rule.when).chain(rule.unless.as_ref())
}

/// Whether more text can make a rule hold less.
fn is_excusable(rule: &Rule, atoms: &[Atom]) -> bool {
    let reads = |index: u32| atoms.get(index as usize).is_some_and(|atom| atom.place().is_some());
    let bounded = |index: u32| match atoms.get(index as usize) {
        Some(Atom::Count { compare, .. }) => compare.holds(0.0) || !compare.holds(f64::INFINITY),
        _ => false,
    };
    conditions(rule).flat_map(Condition::atoms).any(bounded)
        || rule.unless.as_ref().is_some_and(|unless| unless.atoms().any(reads))
        || rule.when.0.contains(&Op::Not) && rule.when.atoms().any(reads)
}

impl Program {
    pub(crate) fn new(
        policy: &Policy,
        scope: Option<CompiledScope>,
        classifier: Option<&Classifier>,
    ) -> Result<Self, super::matcher::MatcherError> {
        let data = policy.data();
        let mut members = vec![Vec::new(); data.patterns.len()];
        for (set, entry) in (0u32..).zip(&data.sets) {
            for &pattern in &entry.patterns {
                if let Some(sets) = members.get_mut(pattern as usize) {
                    sets.push(set);
                }
            }
        }
        let mut plans: [Plan; 5] = Default::default();
        let (mut request, mut response) = (Wanted::default(), Wanted::default());
        for (plan, &surface) in plans.iter_mut().zip(Surface::ALL) {
            *plan = Plan::new(data, surface, classifier, &mut request, &mut response);
        }
        Ok(Self {
            matcher: Matcher::new(&data.patterns)?,
            members,
            plans,
            regexes: regexes(&data.atoms),
            scope,
            request,
            response,
            holding: Default::default(),
        })
    }

    /// What holds a text of this surface back.
    pub(crate) fn holding(&self, data: &PolicyData, surface: Surface) -> &Holding {
        let [request, response, reasoning, tool_call, tool_result] = &self.holding;
        let slot = match surface {
            Surface::Request => request,
            Surface::Response => response,
            Surface::Reasoning => reasoning,
            Surface::ToolCall => tool_call,
            Surface::ToolResult => tool_result,
        };
        slot.get_or_init(|| Holding::new(data, self.plan(surface), surface))
    }

    pub(crate) fn plan(&self, surface: Surface) -> &Plan {
        let [request, response, reasoning, tool_call, tool_result] = &self.plans;
        match surface {
            Surface::Request => request,
            Surface::Response => response,
            Surface::Reasoning => reasoning,
            Surface::ToolCall => tool_call,
            Surface::ToolResult => tool_result,
        }
    }
}

impl Plan {
    fn new(
        data: &PolicyData,
        surface: Surface,
        classifier: Option<&Classifier>,
        request: &mut Wanted,
        response: &mut Wanted,
    ) -> Self {
        let mut plan = Self { stirred: vec![Vec::new(); data.sets.len()], ..Self::default() };
        let with_request = classifier.is_some() && takes_context(surface);
        let every = classifier.is_some_and(|it| it.all);
        plan.request |= with_request && every;
        plan.judged.views |= every;
        for (index, rule) in data.rules.iter().enumerate() {
            if !rule.on.contains(surface) {
                continue;
            }
            let exception =
                data.clauses.get(rule.clause as usize).is_some_and(|clause| clause.kind == Kind::Exception);
            if exception {
                plan.exceptions.push(index);
            } else {
                plan.add(index, rule, &data.atoms, surface);
                if is_excusable(rule, &data.atoms) {
                    plan.excusable.push(index);
                    plan.labels |= classifier.is_some() && reads_labels(rule, &data.atoms);
                }
            }
            for atom in conditions(rule).flat_map(Condition::atoms) {
                let Some(atom) = data.atoms.get(atom as usize) else { continue };
                plan.regions |= *atom == Atom::Untrusted || exception;
                let Some(place) = atom.place() else { continue };
                plan.regions |= matches!(place, Place::Untrusted | Place::Trusted);
                plan.request |= with_request && atom.needs_model();
                match (place, surface) {
                    (Place::Request, Surface::Request) | (Place::Response, Surface::Response) => {
                        plan.judged.add(atom)
                    }
                    (Place::Request, _) => {
                        plan.request = true;
                        request.add(atom);
                    }
                    (Place::Response, _) => {
                        plan.response = true;
                        response.add(atom);
                    }
                    (Place::Judged | Place::Untrusted | Place::Trusted, _) => plan.judged.add(atom),
                }
            }
        }
        plan
    }

    fn add(&mut self, index: usize, rule: &Rule, atoms: &[Atom], surface: Surface) {
        let Ok(place) = u32::try_from(self.rules.len()) else { return };
        self.rules.push(index);
        let atom = |index: u32| atoms.get(index as usize);
        let nothing_found = rule.when.eval(|index| match atom(index) {
            Some(Atom::Match { .. } | Atom::Near { .. } | Atom::Personal { .. } | Atom::Secret { .. }) => {
                Truth::False
            }
            Some(count @ Atom::Count { .. }) if !count.holds_of_nothing() => Truth::False,
            Some(atom) if atom.needs_tool_call() && surface != Surface::ToolCall => Truth::False,
            _ => Truth::Unknown,
        });
        if nothing_found != Truth::False {
            self.alert.push(place);
            return;
        }
        for atom in rule.when.atoms().filter_map(atom) {
            if matches!(atom, Atom::Personal { .. } | Atom::Secret { .. }) {
                self.stirred_by_data.push(place);
            }
            for set in atom.sets() {
                if let Some(rules) = self.stirred.get_mut(set as usize) {
                    rules.push(place);
                }
            }
        }
    }

    /// Marks in `awake`, a bit for each of `rules`, those that may hold of what was found.
    pub(crate) fn wake(&self, scans: &[&TextScan], awake: &mut Vec<u64>) {
        awake.clear();
        if scans.iter().any(|scan| !scan.matching.failed.is_empty()) {
            awake.resize(self.rules.len().div_ceil(64), u64::MAX);
            return;
        }
        awake.resize(self.rules.len().div_ceil(64), 0);
        let mut wake = |places: &[u32]| {
            for &place in places {
                if let Some(word) = awake.get_mut(place as usize / 64) {
                    *word |= 1 << (place % 64);
                }
            }
        };
        wake(&self.alert);
        for scan in scans {
            if !(scan.personal.is_empty() && scan.secrets.is_empty()) {
                wake(&self.stirred_by_data);
            }
            for set in scan.touched_sets() {
                wake(self.stirred.get(set).map_or(&[], Vec::as_slice));
            }
        }
    }
}

/// Compiles the regular expressions of string tests.
pub(crate) fn regexes(atoms: &[Atom]) -> Vec<Option<meta::Regex>> {
    atoms
        .iter()
        .map(|atom| match atom {
            Atom::ToolName(TextTest::Matches(source))
            | Atom::ToolArgument { test: ArgumentTest::Text(TextTest::Matches(source)), .. } => {
                build_regex(source)
            }
            _ => None,
        })
        .collect()
}

/// The surfaces on which an atom can be true at all.
pub(crate) fn surfaces_of(atom: &Atom) -> Surfaces {
    let only = |surfaces: &[Surface]| surfaces.iter().copied().collect();
    match atom {
        _ if atom.needs_tool_call() => only(&[Surface::ToolCall]),
        Atom::Scope(ScopeTest::WithinBudget | ScopeTest::WithinTime) => Surfaces::ALL,
        Atom::Untrusted => only(&[Surface::Request, Surface::ToolCall, Surface::ToolResult]),
        _ => match atom.place().filter(|_| !atom.holds_of_nothing()) {
            Some(Place::Untrusted) => only(&[Surface::Request, Surface::ToolResult]),
            Some(Place::Trusted) => only(&[Surface::Request]),
            _ => Surfaces::ALL,
        },
    }
}
