//! What the compiler says about a document: every problem it found, each with a stable code, a place and a way out.

use crate::span::{Source, Span};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// The policy works, but probably not as meant.
    Warning,
    /// The policy is not compiled.
    Error,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $severity:ident;)+) => {
        /// The registry of diagnostics. A code never changes its meaning; `docs/diagnostics.md` explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it is shown, such as `BL0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// The document is larger than the compiler reads.
    SourceTooLarge = "BL0001", Error;
    /// A file could not be read.
    SourceUnreadable = "BL0002", Error;
    /// The text is not UTF-8.
    SourceNotUtf8 = "BL0003", Error;

    /// The front matter is not closed.
    FrontMatterUnclosed = "BL0101", Error;
    /// The front matter is not valid TOML, or holds an unknown key or a wrong type.
    FrontMatterInvalid = "BL0102", Error;
    /// An `extends` entry cannot be found or read.
    ExtendsNotFound = "BL0103", Error;
    /// Documents extend one another in a circle, or too deep.
    ExtendsCycle = "BL0104", Error;

    /// A heading has an attribute list that cannot be read.
    AttributeInvalid = "BL0201", Error;
    /// An attribute the language does not know.
    AttributeUnknown = "BL0202", Error;
    /// An authority level the language does not know.
    LevelUnknown = "BL0203", Error;
    /// A clause kind the language does not know.
    KindUnknown = "BL0204", Error;
    /// A clause without an id.
    ClauseIdMissing = "BL0205", Error;
    /// Two headings with the same id.
    ClauseIdDuplicate = "BL0206", Error;
    /// A cross-reference to an id that does not exist.
    ReferenceDangling = "BL0207", Error;
    /// An attribute that makes no sense on a clause of this kind.
    AttributeMisplaced = "BL0208", Error;
    /// A fence that is opened and never closed.
    FenceUnclosed = "BL0209", Error;
    /// An example block whose tags cannot be matched up.
    ExampleMalformed = "BL0210", Warning;

    /// A rule fence is not valid TOML, or holds an unknown key or a wrong type.
    RuleInvalid = "BL0301", Error;
    /// A rule without a condition.
    RuleWithoutCondition = "BL0302", Error;
    /// A rule under a heading that names no authority, or before the first heading.
    RuleWithoutClause = "BL0303", Error;
    /// `unless` on a hard clause.
    HardWithExcuse = "BL0304", Error;
    /// A rule or a switch that claims more authority than its clause has.
    RuleAboveClause = "BL0305", Error;
    /// `exempts` names a clause above the exception, or a hard one.
    ExemptionTooHigh = "BL0306", Error;
    /// `coverage` without a reason, or a reason that nothing needs.
    CoverageUnexplained = "BL0307", Error;

    /// A condition is not valid CEL.
    ConditionSyntax = "BL0401", Error;
    /// A condition uses CEL that cannot be lowered.
    ConditionUnsupported = "BL0402", Error;
    /// A condition compares or combines values of the wrong type.
    ConditionType = "BL0403", Error;
    /// A condition names a pattern set, label, tag kind or detector that does not exist.
    ConditionUnknownName = "BL0404", Error;
    /// A condition that holds for every message.
    ConditionAlwaysTrue = "BL0405", Error;
    /// A condition that holds for no message.
    ConditionAlwaysFalse = "BL0406", Error;
    /// A condition looks at something its surface does not have.
    ConditionWrongSurface = "BL0407", Error;
    /// A condition is too large to decide.
    ConditionTooLarge = "BL0408", Error;

    /// A pattern fence is not valid TOML, or holds something that is not a list of patterns.
    PatternsInvalid = "BL0501", Error;
    /// A regular expression that does not parse.
    PatternSyntax = "BL0502", Error;
    /// A pattern that is too short to mean anything.
    PatternTooShort = "BL0503", Error;
    /// A regular expression without a bounded length.
    PatternUnbounded = "BL0504", Error;
    /// A regular expression that must be tried at every place of every text.
    PatternCostly = "BL0505", Warning;
    /// A pattern that normalized text can never match.
    PatternUnreachable = "BL0506", Error;
    /// A pattern set that no condition uses.
    PatternSetUnused = "BL0507", Warning;
    /// The same pattern twice in a set.
    PatternRedundant = "BL0508", Warning;

    /// An examples fence that cannot be read.
    ExamplesInvalid = "BL0601", Error;
    /// A clause with a rule and no examples.
    ExamplesMissing = "BL0602", Warning;
    /// The same text among the hits and the misses.
    ExamplesContradict = "BL0603", Error;
    /// An example its own rule gets wrong.
    ExampleMisjudged = "BL0604", Error;
    /// An example that cannot be judged until a model is loaded.
    ExampleNotJudged = "BL0605", Note;
    /// An example that the models get wrong.
    ExampleMissedByModels = "BL0606", Warning;
    /// A `like` with fewer than four examples of a kind.
    LikeTooFew = "BL0607", Warning;
    /// A `like` whose examples are judged wrong when they are left out.
    LikeDisagrees = "BL0608", Warning;

    /// A clause that no message can trigger.
    ClauseUnreachable = "BL0701", Error;
    /// Two clauses demand opposite things and nothing decides between them.
    DemandsConflict = "BL0702", Error;
    /// Two root clauses demand opposite things; the safe side wins.
    DemandsConflictRoot = "BL0703", Warning;
    /// A clause without a rule and without a stated reason.
    ClauseNotEnforced = "BL0704", Warning;
    /// A clause that needs a model.
    ClauseNeedsModel = "BL0705", Note;
    /// Conditions that could not all be compared.
    AnalysisIncomplete = "BL0706", Warning;

    /// Settings name a clause that does not exist.
    SettingUnknownClause = "BL0801", Error;
    /// Settings ask for more than the principal may.
    SettingExceedsPower = "BL0802", Error;

    /// The document given with `--against` has no such id.
    AgainstMissing = "BL0901", Error;
    /// The level in the document differs.
    AgainstLevel = "BL0902", Error;
    /// The lines do not lie in the document, or not under the heading.
    AgainstLines = "BL0903", Error;
    /// The text under a name has changed since the policy was written.
    AgainstTextChanged = "BL0904", Error;
    /// The text stands unchanged on other lines.
    AgainstTextMoved = "BL0905", Error;
    /// A clause of the document that the policy does not account for.
    AgainstUnaccounted = "BL0906", Warning;
    /// A source reference without a fingerprint.
    AgainstNoFingerprint = "BL0907", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One problem in one place.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Which problem.
    pub code: Code,
    /// The document it is in.
    pub source: Arc<Source>,
    /// Where.
    pub span: Span,
    /// What is wrong, with the offending input in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic without a help line.
    pub fn new(code: Code, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self { code, source: Arc::clone(source), span, message: message.into(), help: None }
    }

    /// Adds the help line.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Shorthand for the severity of the code.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// The line, counted from 1.
    pub fn line(&self) -> u32 {
        self.source.line_of(self.span.start as usize)
    }
}

/// The diagnostic as JSON: `code`, `severity`, `document`, `line`, `start`, `end`, `message`, `help`.
impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Diagnostic", 8)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("severity", &self.severity())?;
        out.serialize_field("document", self.source.name())?;
        out.serialize_field("line", &self.line())?;
        out.serialize_field("start", &self.span.start)?;
        out.serialize_field("end", &self.span.end)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        out.end()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.source.name(), self.line(), self.code, self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity() {
            Severity::Note => miette::Severity::Advice,
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let span = miette::SourceSpan::new((self.span.start as usize).into(), self.span.len());
        Some(Box::new(std::iter::once(miette::LabeledSpan::new_with_span(None, span))))
    }
}
