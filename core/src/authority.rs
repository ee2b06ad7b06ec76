//! Who outranks whom: levels of clauses, principals, and the order of priorities.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($name:ty { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [$name] = &[$(<$name>::$variant,)+];

            /// The word for it in documents and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(<$name>::$variant => $word,)+ }
            }

            /// Reads the word; `None` for any other text.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(<$name>::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
#[allow(unused_imports, reason = "used by modules that define words of their own")]
pub(crate) use words;

/// The level of authority of a clause. Later variants outrank earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Yields to anybody, also implicitly.
    Guideline,
    /// A default the user may change.
    User,
    /// A default the developer (operator) may change.
    Developer,
    /// Set by the platform.
    System,
    /// Changed by nobody.
    Root,
}

words!(Level { Guideline = "guideline", User = "user", Developer = "developer", System = "system", Root = "root" });

impl Level {
    /// Reads a level or one of the words other documents use for it: `platform` and `anthropic` for root,
    /// `operator` for developer.
    pub fn from_alias(word: &str) -> Option<Self> {
        match word {
            "platform" | "anthropic" => Some(Self::Root),
            "operator" => Some(Self::Developer),
            _ => Self::from_word(word),
        }
    }
}

/// Somebody who can switch clauses. Later variants outrank earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// The person talking to the model.
    User,
    /// Whoever deploys it; the Model Spec's developer.
    Operator,
    /// The platform it runs on.
    System,
}

words!(Principal { User = "user", Operator = "operator", System = "system" });

impl Principal {
    /// The highest level of clause whose defaults this principal may change.
    pub fn rank(self) -> Level {
        match self {
            Self::User => Level::User,
            Self::Operator => Level::Developer,
            Self::System => Level::System,
        }
    }

    /// Whether the principal's own rank reaches a clause of this level.
    pub fn reaches(self, level: Level) -> bool {
        self.rank() >= level
    }

    /// The principals from the highest to the lowest, the order in which settings are read.
    pub fn descending() -> impl Iterator<Item = Self> {
        [Self::System, Self::Operator, Self::User].into_iter()
    }
}

/// Orders findings of equal severity: safety first, helpfulness last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Not undermining human oversight.
    Safe,
    /// Good values, honesty, avoiding harm.
    Ethical,
    /// More specific guidance.
    #[default]
    Guideline,
    /// Being of use.
    Helpful,
}

words!(Priority { Safe = "safe", Ethical = "ethical", Guideline = "guideline", Helpful = "helpful" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_reach_exactly_their_own_level_and_below() {
        for principal in Principal::descending() {
            for &level in Level::ALL {
                assert_eq!(principal.reaches(level), level <= principal.rank(), "{principal} {level}");
            }
            assert!(!principal.reaches(Level::Root));
        }
    }

    #[test]
    fn words_and_aliases_round_trip() {
        for &level in Level::ALL {
            assert_eq!(Level::from_word(level.as_str()), Some(level));
        }
        assert_eq!(Level::from_alias("platform"), Some(Level::Root));
        assert_eq!(Level::from_alias("operator"), Some(Level::Developer));
        assert_eq!(Level::from_alias("admin"), None);
    }
}
