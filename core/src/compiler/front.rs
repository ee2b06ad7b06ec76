//! The front matter of a policy.

use crate::authority::Level;
use crate::diagnostic::{Code, Diagnostic};
use crate::message::{Surface, Surfaces};
use crate::policy::{
    Action, MAX_HOLD_CHARS, MAX_HOLD_MS, OnError, PrincipalSettings, Scope, Settings, Streaming, Then,
};
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
    pub stream: RawStream,
}

impl RawStream {
    /// What this document says, over what those before it said.
    pub(super) fn over(&self, below: Streaming) -> Streaming {
        let value = |said: &Option<Spanned<u32>>| said.as_ref().map(|value| *value.as_ref());
        Streaming {
            hold_chars: value(&self.hold_chars).unwrap_or(below.hold_chars),
            hold_ms: value(&self.hold_ms).or(below.hold_ms),
            then: self.then.unwrap_or(below.then),
        }
    }

    /// The first value that is too large, with its limit.
    fn excess(&self) -> Option<(&'static str, &Spanned<u32>, u32)> {
        [("hold_chars", &self.hold_chars, MAX_HOLD_CHARS), ("hold_ms", &self.hold_ms, MAX_HOLD_MS)]
            .into_iter()
            .filter_map(|(key, value, max)| Some((key, value.as_ref()?, max)))
            .find(|(_, value, max)| value.as_ref() > max)
    }
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
    #[serde(default)]
    stream: RawStream,
}

/// The table `[stream]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStream {
    hold_chars: Option<Spanned<u32>>,
    hold_ms: Option<Spanned<u32>>,
    then: Option<Then>,
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
        if let Some((key, value, max)) = raw.stream.excess() {
            let message = format!("`{key}` is {}; at most {max} is allowed", value.as_ref());
            let span = Span::from(value.span()).shifted(offset);
            diagnostics.push(
                Diagnostic::new(Code::FrontMatterInvalid, source, span, message)
                    .help("a stream keeps in memory what it holds back"),
            );
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
            stream: raw.stream,
        }
    }
}
