//! The constraints of a scope on the arguments of tools.

use super::atoms::Atoms;
use super::lower::{self, Site};
use crate::engine::program::{Constraint, regexes};
use crate::message::Surface;
use crate::policy::{Atom, Scope};
use crate::span::{Source, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles the constraints of a scope, each with atoms of its own.
///
/// # Errors
/// The tool and what is wrong with its constraint.
pub(crate) fn constraints(scope: &Scope) -> Result<BTreeMap<String, Constraint>, (String, String)> {
    let none = |_: &str| Err(Vec::new());
    scope
        .tool_constraints
        .iter()
        .map(|(tool, text)| {
            let source = Arc::new(Source::new("scope.tool_constraints", text.clone()));
            let on = std::iter::once(Surface::ToolCall).collect();
            let span = Span::new(0, text.len());
            let site = Site { source: &source, span, offset: Some(0), on, set: &none, clause: &none };
            let (mut atoms, mut diagnostics) = (Atoms::default(), Vec::new());
            let condition = lower::lower(text, &site, &mut atoms, &mut diagnostics).ok_or_else(|| {
                let reason = diagnostics
                    .first()
                    .map_or_else(|| "not a condition".to_string(), |it| it.message.clone());
                (tool.clone(), reason)
            })?;
            let atoms = atoms.into_vec();
            if let Some(atom) =
                atoms.iter().find(|atom| !atom.needs_tool_call() || matches!(atom, Atom::Scope(_)))
            {
                let what = if matches!(atom, Atom::Scope(_)) { "the scope itself" } else { "something else" };
                return Err((
                    tool.clone(),
                    format!("a constraint looks at the tool call only, not at {what}"),
                ));
            }
            let regexes = regexes(&atoms);
            Ok((tool.clone(), Constraint { atoms, regexes, condition }))
        })
        .collect()
}
