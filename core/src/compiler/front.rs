//! The front matter of a policy.

use crate::authority::Level;
use crate::diagnostic::{Code, Diagnostic};
use crate::message::{Surface, Surfaces};
use crate::policy::{Action, OnError, PrincipalSettings, Scope, Settings};
use crate::span::{Source, Span};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;

/// What the front matter says.
#[derive(Debug, Default)]
pub(super) struct Front {
    pub name: Option<Spanned<String>>,
    pub version: Option<String>,
    pub extends: Vec<Spanned<String>>,
    /// The published document that `source` attributes point into.
    pub source: Option<String>,
    pub edition: Option<String>,
    pub aliases: BTreeMap<String, Level>,
    pub defaults: Defaults,
    pub settings: Settings,
}

/// What a rule that does not say gets.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub on: Surfaces,
    pub action: Action,
    pub on_error: OnError,
}

impl Default for Defaults {
    fn default() -> Self {
        let on = [Surface::Request, Surface::Response].into_iter().collect();
        Self { on, action: Action::Flag, on_error: OnError::Flag }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Option<Spanned<String>>,
    version: Option<Spanned<String>>,
    #[serde(default)]
    extends: Vec<Spanned<String>>,
    source: Option<String>,
    edition: Option<String>,
    #[serde(default)]
    principals: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    defaults: RawDefaults,
    #[serde(default)]
    operator: PrincipalSettings,
    #[serde(default)]
    system: PrincipalSettings,
    scope: Option<Scope>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDefaults {
    on: Option<Vec<Surface>>,
    action: Option<Action>,
    on_error: Option<OnError>,
}

impl Front {
    /// Reads the TOML between the two `+++` lines.
    pub(super) fn read(
        text: &str,
        at: Span,
        source: &Arc<Source>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let offset = at.start as usize;
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let span = error.span().map_or(at, |span| Span::from(span).shifted(offset));
                diagnostics.push(
                    Diagnostic::new(Code::FrontMatterInvalid, source, span, error.message().to_string())
                        .help("docs/policy-language.md lists the keys of the front matter"),
                );
                return Self::default();
            }
        };
        let mut aliases = BTreeMap::new();
        for (alias, level) in raw.principals {
            match Level::from_alias(level.as_ref()) {
                Some(level) => {
                    aliases.insert(alias.into_inner(), level);
                }
                None => diagnostics.push(
                    Diagnostic::new(
                        Code::LevelUnknown,
                        source,
                        Span::from(level.span()).shifted(offset),
                        format!("unknown level `{}`", level.as_ref()),
                    )
                    .help("root, system, developer, user, guideline"),
                ),
            }
        }
        if let Some(name) = &raw.name {
            let valid = !name.as_ref().is_empty()
                && name.as_ref().chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '-' || ch == '_');
            if !valid {
                let span = Span::from(name.span()).shifted(offset);
                let message = format!("`{}` is no name", name.as_ref());
                diagnostics.push(
                    Diagnostic::new(Code::FrontMatterInvalid, source, span, message)
                        .help("letters, digits, `-` and `_`"),
                );
            }
        }
        let defaults = Defaults::default();
        Self {
            name: raw.name,
            version: raw.version.map(Spanned::into_inner),
            extends: raw.extends,
            source: raw.source,
            edition: raw.edition,
            aliases,
            defaults: Defaults {
                on: raw.defaults.on.map_or(defaults.on, |on| on.into_iter().collect()),
                action: raw.defaults.action.unwrap_or(defaults.action),
                on_error: raw.defaults.on_error.unwrap_or(defaults.on_error),
            },
            settings: Settings {
                operator: raw.operator,
                system: raw.system,
                scope: raw.scope,
                ..Settings::default()
            },
        }
    }
}
