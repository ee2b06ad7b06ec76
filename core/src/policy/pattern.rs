//! Patterns and the sets they form.

use serde::{Deserialize, Serialize};

/// A pattern over normalized text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pattern {
    /// What it matches.
    pub kind: PatternKind,
    /// As the author wrote it, for explanations.
    pub written: String,
}

/// The two forms of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PatternKind {
    /// Fixed text, already normalized.
    Literal {
        /// The text.
        text: String,
        /// The match may begin inside a word.
        open_start: bool,
        /// The match may end inside a word.
        open_end: bool,
    },
    /// A regular expression with ASCII classes.
    Regex {
        /// The expression without its slashes.
        source: String,
        /// The longest match in bytes.
        max_len: u32,
        /// What must be seen before it is tried.
        trigger: Trigger,
    },
}

/// What must stand at a place before a regular expression is tried there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// One of these texts, with which every match begins.
    Prefixes {
        /// The texts.
        texts: Vec<Vec<u8>>,
        /// Every match begins at the start of a word.
        word_start: bool,
    },
    /// Nothing: it is tried everywhere.
    Always,
}

/// A named set of patterns; it matches where one of them does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternSet {
    /// `clause/name`, or `name` for a shared set.
    pub name: String,
    /// Indexes of the patterns.
    pub patterns: Vec<u32>,
}
