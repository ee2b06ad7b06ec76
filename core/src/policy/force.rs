//! Which clauses are in force: settings against levels, kinds, locks and grants.
//!
//! Clauses do not influence one another here, so what holds for one clause under every setting that names it holds
//! for the policy. `compiler::proof` relies on that.

use super::{Clause, Kind, PrincipalSettings, Settings, Switch};
use crate::authority::{Level, Principal};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

/// Who lifted a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lift {
    /// A principal, by a switch.
    By(Principal),
    /// The conversation, at guideline level.
    Context,
}

/// A setting that asks for more than it may, or names nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingProblem {
    /// The table: `system`, `operator`, `user`, `context`.
    pub by: &'static str,
    /// The key in it: `switch`, `lock`, `grant`, `yields`.
    pub key: &'static str,
    /// The clause it names.
    pub clause: String,
    /// Why it is not followed.
    pub reason: SettingReason,
}

/// Why a setting is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SettingReason {
    /// No clause has this id.
    UnknownClause,
    /// Nobody lifts a hard clause.
    Hard,
    /// The principal's rank does not reach the clause, and nobody above granted it.
    RankTooLow,
    /// A principal above locked it.
    Locked,
    /// The operator cannot lift a protection of the user, nor let others do so.
    Protected,
    /// The protection cannot be waived.
    NotWaivable,
    /// Only guidelines yield to context.
    NotGuideline,
}

impl fmt::Display for SettingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownClause => "the policy has no such clause",
            Self::Hard => "a hard clause is in force under every setting",
            Self::RankTooLow => "its level is above this principal's rank and nobody granted it",
            Self::Locked => "it is locked by a principal above",
            Self::Protected => "it protects the user and only the user may waive it",
            Self::NotWaivable => "it cannot be waived",
            Self::NotGuideline => "only clauses at guideline level yield to context",
        })
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} `{}`: {}", self.by, self.key, self.clause, self.reason)
    }
}

/// Whether the principal may lift the clause without anybody's grant.
pub(super) fn own_power(clause: &Clause, principal: Principal) -> bool {
    match clause.kind {
        Kind::Hard => false,
        Kind::Protection => principal == Principal::User && clause.waivable,
        Kind::Rule | Kind::Exception => principal.reaches(clause.level),
        Kind::DefaultOn | Kind::DefaultOff => {
            principal.reaches(clause.level) && clause.switch.is_none_or(|lowest| principal >= lowest)
        }
    }
}

/// Whether a switch in this position loosens what the clause demands.
fn loosens(kind: Kind, switch: Switch) -> bool {
    match kind {
        Kind::Hard | Kind::Rule | Kind::DefaultOn | Kind::Protection => switch == Switch::Off,
        Kind::DefaultOff | Kind::Exception => switch == Switch::On,
    }
}

/// Where a clause stands under some settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    lifted: Option<Lift>,
    /// Somebody explicitly asked for the strict position, so context does not set it aside.
    insisted: bool,
}

/// The clauses in force for a deployment, and how a request changes that.
#[derive(Clone, Debug)]
pub(crate) struct Force {
    clauses: Vec<Clause>,
    by_id: HashMap<String, usize>,
    deployment: Settings,
    base: Vec<Standing>,
}

/// The state of one request, reused between requests.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    standing: Vec<Standing>,
    changed: bool,
}

impl Force {
    /// Applies the deployment's settings; every setting that asks for too much is returned, none is followed halfway.
    pub(crate) fn new(clauses: &[Clause], deployment: Settings) -> (Self, Vec<SettingProblem>) {
        let mut force = Self {
            by_id: clauses.iter().enumerate().map(|(at, clause)| (clause.id.clone(), at)).collect(),
            base: vec![Standing::default(); clauses.len()],
            clauses: clauses.to_vec(),
            deployment,
        };
        let mut problems = Vec::new();
        let mut base = std::mem::take(&mut force.base);
        for principal in Principal::descending() {
            let settings = force.deployment.of(principal);
            force.check_powers(principal, settings, &mut problems);
            force.apply(&mut base, principal, settings, &mut problems);
        }
        force.yield_to_context(&mut base, &force.deployment.context.yields, &mut problems);
        force.base = base;
        (force, problems)
    }

    /// Applies a request's settings over the deployment's.
    pub(crate) fn apply_request(
        &self,
        request: Option<&Settings>,
        scratch: &mut Scratch,
    ) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        scratch.changed = false;
        let Some(request) = request else { return problems };
        if request.user == PrincipalSettings::default() && request.context.yields.is_empty() {
            return problems;
        }
        scratch.changed = true;
        scratch.standing.clone_from(&self.base);
        self.apply(&mut scratch.standing, Principal::User, &request.user, &mut problems);
        self.yield_to_context(&mut scratch.standing, &request.context.yields, &mut problems);
        problems
    }

    /// Who lifted the clause, if anybody did. For an exception: who switched it off.
    pub(crate) fn lifted(&self, scratch: &Scratch, clause: usize) -> Option<Lift> {
        let standing = if scratch.changed { &scratch.standing } else { &self.base };
        standing.get(clause).and_then(|standing| standing.lifted)
    }

    fn settings_above(&self, principal: Principal) -> impl Iterator<Item = (Principal, &PrincipalSettings)> {
        Principal::descending()
            .take_while(move |&above| above > principal)
            .map(|above| (above, self.deployment.of(above)))
    }

    fn locked_above(&self, principal: Principal, clause: &Clause) -> bool {
        self.settings_above(principal).any(|(_, settings)| settings.lock.contains(&clause.id))
    }

    /// Own power, or a grant from somebody above who has the power to give.
    fn power(&self, principal: Principal, clause: &Clause) -> bool {
        if own_power(clause, principal) {
            return true;
        }
        if matches!(clause.kind, Kind::Hard | Kind::Protection) {
            return false;
        }
        self.settings_above(principal)
            .any(|(above, settings)| settings.grant.contains(&clause.id) && self.power(above, clause))
    }

    /// Why the principal may not lift the clause.
    fn refusal(&self, principal: Principal, clause: &Clause) -> Option<SettingReason> {
        match clause.kind {
            Kind::Hard => Some(SettingReason::Hard),
            Kind::Protection if principal != Principal::User => Some(SettingReason::Protected),
            Kind::Protection if !clause.waivable => Some(SettingReason::NotWaivable),
            _ if !self.power(principal, clause) => Some(SettingReason::RankTooLow),
            _ if self.locked_above(principal, clause) => Some(SettingReason::Locked),
            _ => None,
        }
    }

    fn apply(
        &self,
        standing: &mut [Standing],
        principal: Principal,
        settings: &PrincipalSettings,
        problems: &mut Vec<SettingProblem>,
    ) {
        for (id, &switch) in &settings.switch {
            let mut refuse = |reason| {
                let by = principal.as_str();
                problems.push(SettingProblem { by, key: "switch", clause: id.clone(), reason });
            };
            let Some((clause, state)) =
                self.by_id.get(id).and_then(|&at| Some((self.clauses.get(at)?, standing.get_mut(at)?)))
            else {
                refuse(SettingReason::UnknownClause);
                continue;
            };
            if clause.kind == Kind::Exception {
                // An exception loosens by being there: switched off it is gone, and only power brings it back.
                match (switch, state.lifted) {
                    (Switch::Off, _) => state.lifted = Some(Lift::By(principal)),
                    (Switch::On, None) => {}
                    (Switch::On, Some(_)) => match self.refusal(principal, clause) {
                        None => state.lifted = None,
                        Some(reason) => refuse(reason),
                    },
                }
            } else if !loosens(clause.kind, switch) {
                *state = Standing { lifted: None, insisted: true };
            } else {
                match self.refusal(principal, clause) {
                    None => *state = Standing { lifted: Some(Lift::By(principal)), insisted: false },
                    Some(reason) => refuse(reason),
                }
            }
        }
    }

    fn yield_to_context(
        &self,
        standing: &mut [Standing],
        yields: &[String],
        problems: &mut Vec<SettingProblem>,
    ) {
        for id in yields {
            let mut refuse = |reason| {
                problems.push(SettingProblem { by: "context", key: "yields", clause: id.clone(), reason });
            };
            let Some((clause, state)) =
                self.by_id.get(id).and_then(|&at| Some((self.clauses.get(at)?, standing.get_mut(at)?)))
            else {
                refuse(SettingReason::UnknownClause);
                continue;
            };
            let yielding = matches!(clause.kind, Kind::Rule | Kind::DefaultOn | Kind::DefaultOff);
            if clause.level != Level::Guideline || !yielding {
                refuse(SettingReason::NotGuideline);
            } else if Principal::descending().any(|who| self.deployment.of(who).lock.contains(id)) {
                refuse(SettingReason::Locked);
            } else if state.lifted.is_none() && !state.insisted {
                state.lifted = Some(Lift::Context);
            }
        }
    }

    /// Locks and grants must name clauses that exist, and a grant must not exceed the granter's own power.
    fn check_powers(
        &self,
        principal: Principal,
        settings: &PrincipalSettings,
        problems: &mut Vec<SettingProblem>,
    ) {
        let by = principal.as_str();
        for (key, ids) in [("lock", &settings.lock), ("grant", &settings.grant)] {
            for id in ids {
                let clause = self.by_id.get(id).and_then(|&at| self.clauses.get(at));
                let reason = match clause {
                    None => Some(SettingReason::UnknownClause),
                    Some(_) if key == "lock" => None,
                    Some(clause) if clause.kind == Kind::Hard => Some(SettingReason::Hard),
                    Some(clause) if clause.kind == Kind::Protection => Some(SettingReason::Protected),
                    Some(clause) if !self.power(principal, clause) => Some(SettingReason::RankTooLow),
                    Some(_) => None,
                };
                if let Some(reason) = reason {
                    problems.push(SettingProblem { by, key, clause: id.clone(), reason });
                }
            }
        }
    }
}
