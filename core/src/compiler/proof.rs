//! What settings can do to a clause, proved by trying all of them.
//!
//! Settings touch a clause only where they name it, and clauses do not influence one another, so the settings that name
//! one clause in every possible way stand for all settings: three positions of three switches, a lock and a grant for each
//! of the two principals above the user, and context that yields or not.

use crate::authority::Principal;
use crate::policy::{Clause, Context, Force, ForceScratch, Kind, Lift, PrincipalSettings, Settings, Switch};
use serde::Serialize;
use std::collections::BTreeSet;

/// Who can lift a clause, and whether they need somebody's grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Liftable {
    /// The clause.
    pub clause: String,
    /// Principals who can lift it by themselves, and `context`.
    pub by: Vec<&'static str>,
    /// Principals who can only with a grant from above.
    pub with_grant: Vec<&'static str>,
    /// How many combinations of settings were tried.
    pub tried: usize,
}

impl Liftable {
    /// Whether no settings lift the clause.
    pub fn never(&self) -> bool {
        self.by.is_empty() && self.with_grant.is_empty()
    }
}

/// Tries every combination of settings that names the clause.
pub(crate) fn lifts(clause: &Clause) -> Liftable {
    let (mut alone, mut granted) = (BTreeSet::new(), BTreeSet::new());
    let mut tried = 0;
    let mut scratch = ForceScratch::default();
    let clauses = std::slice::from_ref(clause);
    for_all_settings(&clause.id, &mut |deployment, request, grants| {
        tried += 1;
        let (force, _) = Force::new(clauses, deployment.clone());
        force.apply_request(Some(request), &mut scratch);
        // An exception that is switched off is a tightening, not a lift.
        if clause.kind == Kind::Exception {
            return;
        }
        if let Some(lift) = force.lifted(&scratch, 0) {
            let set = if grants { &mut granted } else { &mut alone };
            set.insert(match lift {
                Lift::By(principal) => principal.as_str(),
                Lift::Context => "context",
            });
        }
    });
    let order = |set: &BTreeSet<&'static str>| {
        let all = Principal::descending().map(Principal::as_str).chain(std::iter::once("context"));
        all.filter(|word| set.contains(word)).collect::<Vec<_>>()
    };
    let with_grant = granted.difference(&alone).copied().collect();
    Liftable { clause: clause.id.clone(), by: order(&alone), with_grant: order(&with_grant), tried }
}

/// Calls `each` with every deployment's and request's settings that name the clause, and whether they hold a grant.
pub(crate) fn for_all_settings(id: &str, each: &mut dyn FnMut(&Settings, &Settings, bool)) {
    let list = |named: bool| if named { vec![id.to_string()] } else { Vec::new() };
    let principal = |position: usize, lock: bool, grant: bool| {
        let switch = [None, Some(Switch::On), Some(Switch::Off)].get(position).copied().flatten();
        PrincipalSettings {
            switch: switch.map(|switch| (id.to_string(), switch)).into_iter().collect(),
            lock: list(lock),
            grant: list(grant),
            tags: Vec::new(),
        }
    };
    for bits in 0u32..64 {
        let bit = |n: u32| bits >> n & 1 == 1;
        for positions in 0..27 {
            let deployment = Settings {
                system: principal(positions % 3, bit(0), bit(1)),
                operator: principal(positions / 3 % 3, bit(2), bit(3)),
                context: Context { yields: list(bit(4)), tags: Vec::new() },
                ..Settings::default()
            };
            let request = Settings {
                user: principal(positions / 9, false, false),
                context: Context { yields: list(bit(5)), tags: Vec::new() },
                ..Settings::default()
            };
            each(&deployment, &request, bit(1) || bit(3));
        }
    }
}
