//! Conditions: three-valued programs over atoms.
//!
//! A condition is lowered to postfix operations over a table of atoms shared by the whole policy. Evaluation is
//! three-valued (Kleene): a detector that is not there makes its atom [`Truth::Unknown`], and the condition stays
//! unknown only where the answer really depends on it.

use crate::authority::words;
use crate::engine::personal::PersonalKinds;
use crate::engine::secrets::SecretKinds;
use serde::{Deserialize, Serialize};

/// The classifier's labels. `unsafe` is the overall score.
pub const LABELS: &[&str] = &[
    "violent_crime",
    "nonviolent_crime",
    "sexual_crime",
    "child_exploitation",
    "weapons_cbrn",
    "weapons_conventional",
    "cyber_abuse",
    "self_harm",
    "hate",
    "harassment",
    "sexual_content",
    "privacy",
    "misinformation",
    "specialized_advice",
    "critical_infrastructure",
    "power_seizure",
    "prompt_injection",
    "jailbreak",
    "system_prompt_extraction",
    "tool_abuse",
    "refusal",
    "harmful_compliance",
    "unsafe",
];

/// The value of a condition or an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Truth {
    /// It does not hold.
    False,
    /// A detector it needs is not there.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// The opposite; unknown stays unknown.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Which text an atom looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The text that is judged.
    #[default]
    Judged,
    /// The last user message before it, or the judged request itself.
    Request,
    /// The last answer of the assistant before it, or the judged answer itself.
    Response,
    /// The parts of the judged text that carry no authority.
    Untrusted,
    /// The parts that do.
    Trusted,
}

words!(Place {
    Judged = "judged",
    Request = "request",
    Response = "response",
    Untrusted = "untrusted",
    Trusted = "trusted",
});

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    Less(f64),
    /// `<=`
    AtMost(f64),
    /// `==`
    Equal(f64),
    /// `!=`
    NotEqual(f64),
    /// `>=`
    AtLeast(f64),
    /// `>`
    Greater(f64),
}

impl Comparison {
    /// Whether the value stands in this relation to the number.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Less(bound) => value < bound,
            Self::AtMost(bound) => value <= bound,
            Self::Equal(bound) => value == bound,
            Self::NotEqual(bound) => value != bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Greater(bound) => value > bound,
        }
    }

    /// The number compared with.
    pub fn bound(self) -> f64 {
        match self {
            Self::Less(bound)
            | Self::AtMost(bound)
            | Self::Equal(bound)
            | Self::NotEqual(bound)
            | Self::AtLeast(bound)
            | Self::Greater(bound) => bound,
        }
    }
}

/// When a label counts as given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Threshold {
    /// Above the score that this share of benign traffic exceeds.
    AtFpr(f64),
    /// In this relation to a probability.
    Score(Comparison),
}

/// A test on a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextTest {
    /// Equal to one of these.
    OneOf(Vec<String>),
    /// Begins with.
    StartsWith(String),
    /// Ends with.
    EndsWith(String),
    /// Contains.
    Contains(String),
    /// A match of this regular expression somewhere in it.
    Matches(String),
}

/// A test on a tool argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ArgumentTest {
    /// It is there.
    Present,
    /// It is a string that passes.
    Text(TextTest),
    /// It is a number in this relation.
    Number(Comparison),
    /// It is this boolean.
    Bool(bool),
}

/// A question to the deployment's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScopeTest {
    /// The tool is among those allowed.
    AllowsTool,
    /// The tool's argument constraint holds.
    AllowsArgs,
    /// The cost so far lies within the budget.
    WithinBudget,
    /// The time lies within the limit.
    WithinTime,
}

/// The smallest thing a condition asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Atom {
    /// A set matches at least so many times in the place.
    Match {
        /// Index of the set.
        set: u32,
        /// Where.
        place: Place,
    },
    /// The number of places where the set matches.
    Count {
        /// Index of the set.
        set: u32,
        /// Where.
        place: Place,
        /// The relation.
        compare: Comparison,
    },
    /// Matches of two sets close to one another.
    Near {
        /// Index of the one set.
        first: u32,
        /// Index of the other.
        second: u32,
        /// At most so many bytes of normalized text between them.
        gap: u32,
        /// Where.
        place: Place,
    },
    /// A score of the classifier.
    Label {
        /// Index into [`LABELS`].
        label: u8,
        /// Where.
        place: Place,
        /// When it counts.
        threshold: Threshold,
    },
    /// Likeness to the examples of a clause.
    Like {
        /// Index of the clause.
        clause: u32,
        /// Where.
        place: Place,
        /// When it counts.
        compare: Comparison,
    },
    /// Personal data.
    Personal {
        /// Which kinds.
        kinds: PersonalKinds,
        /// Where.
        place: Place,
    },
    /// A credential.
    Secret {
        /// Which kinds.
        kinds: SecretKinds,
        /// Where.
        place: Place,
    },
    /// The number of characters.
    Length {
        /// Where.
        place: Place,
        /// The relation.
        compare: Comparison,
    },
    /// The tool's name.
    ToolName(TextTest),
    /// An argument of the tool call.
    ToolArgument {
        /// Keys from the outside in.
        path: Vec<String>,
        /// What must hold.
        test: ArgumentTest,
    },
    /// The deployment's scope.
    Scope(ScopeTest),
    /// A tag of the context.
    Tag(String),
    /// A score from the host.
    Signal {
        /// Its name.
        name: String,
        /// The relation.
        compare: Comparison,
    },
    /// Text without authority is involved.
    Untrusted,
    /// The judged text lies outside what the models were measured on.
    Unverified,
}

impl Atom {
    /// Where the atom looks, for those that look at text.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Match { place, .. }
            | Self::Count { place, .. }
            | Self::Near { place, .. }
            | Self::Label { place, .. }
            | Self::Like { place, .. }
            | Self::Personal { place, .. }
            | Self::Secret { place, .. }
            | Self::Length { place, .. } => Some(*place),
            Self::Unverified => Some(Place::Judged),
            Self::ToolName(_)
            | Self::ToolArgument { .. }
            | Self::Scope(_)
            | Self::Tag(_)
            | Self::Signal { .. }
            | Self::Untrusted => None,
        }
    }

    /// The pattern sets that it asks for.
    pub(crate) fn sets(&self) -> impl Iterator<Item = u32> + use<> {
        let sets = match self {
            Self::Match { set, .. } | Self::Count { set, .. } => [Some(*set), None],
            Self::Near { first, second, .. } => [Some(*first), Some(*second)],
            _ => [None, None],
        };
        sets.into_iter().flatten()
    }

    /// Whether a model must be loaded to decide it.
    pub fn needs_model(&self) -> bool {
        matches!(self, Self::Label { .. } | Self::Like { .. } | Self::Unverified)
    }

    /// Whether it holds of a text that is not there: a count of nothing is 0, everything else is false.
    pub(crate) fn holds_of_nothing(&self) -> bool {
        matches!(self, Self::Count { compare, .. } if compare.holds(0.0))
    }

    /// Whether it needs an automaton of its own.
    pub(crate) fn is_regex_test(&self) -> bool {
        let (Self::ToolName(test) | Self::ToolArgument { test: ArgumentTest::Text(test), .. }) = self else {
            return false;
        };
        matches!(test, TextTest::Matches(_))
    }

    /// Whether only a tool call can make it true.
    pub fn needs_tool_call(&self) -> bool {
        matches!(
            self,
            Self::ToolName(_)
                | Self::ToolArgument { .. }
                | Self::Scope(ScopeTest::AllowsTool | ScopeTest::AllowsArgs)
        )
    }
}

/// One step of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Push a constant.
    Const(bool),
    /// Push the value of an atom.
    Atom(u32),
    /// Replace the top by its opposite.
    Not,
    /// Replace the two on top by their conjunction.
    And,
    /// Replace the two on top by their disjunction.
    Or,
}

/// A condition in postfix form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Condition(pub Vec<Op>);

/// How many values a condition may hold at once.
pub const MAX_STACK: usize = 64;
/// How many operations a condition may have.
pub const MAX_OPS: usize = 4096;

impl Condition {
    /// Evaluates with the atoms' values. A malformed condition is `Unknown`; [`Condition::is_valid`] rules that out.
    pub fn eval(&self, mut value: impl FnMut(u32) -> Truth) -> Truth {
        if let [Op::Atom(atom)] = self.0.as_slice() {
            return value(*atom);
        }
        let mut stack = [Truth::Unknown; MAX_STACK];
        let mut top = 0usize;
        for op in &self.0 {
            match *op {
                Op::Const(_) | Op::Atom(_) => {
                    let Some(slot) = stack.get_mut(top) else { return Truth::Unknown };
                    *slot =
                        if let Op::Atom(atom) = *op { value(atom) } else { (*op == Op::Const(true)).into() };
                    top += 1;
                }
                Op::Not => {
                    let Some(slot) = top.checked_sub(1).and_then(|at| stack.get_mut(at)) else {
                        return Truth::Unknown;
                    };
                    *slot = slot.negated();
                }
                Op::And | Op::Or => {
                    let Some([left, right]) = top.checked_sub(2).and_then(|at| stack.get_mut(at..top)) else {
                        return Truth::Unknown;
                    };
                    *left = if *op == Op::And { (*left).min(*right) } else { (*left).max(*right) };
                    top -= 1;
                }
            }
        }
        if top == 1 { stack[0] } else { Truth::Unknown }
    }

    /// The atoms it uses, with repetitions.
    pub fn atoms(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter_map(|op| if let Op::Atom(atom) = op { Some(*atom) } else { None })
    }

    /// Whether the operations fit together and are at most [`MAX_OPS`], the stack stays within [`MAX_STACK`] and every
    /// atom is below `atoms`.
    pub fn is_valid(&self, atoms: usize) -> bool {
        if self.0.len() > MAX_OPS {
            return false;
        }
        let mut depth = 0usize;
        for op in &self.0 {
            match op {
                Op::Const(_) => depth += 1,
                Op::Atom(atom) if (*atom as usize) < atoms => depth += 1,
                Op::Not if depth >= 1 => {}
                Op::And | Op::Or if depth >= 2 => depth -= 1,
                _ => return false,
            }
            if depth > MAX_STACK {
                return false;
            }
        }
        depth == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    #[test]
    fn evaluation_is_three_valued() {
        let or = Condition(vec![Op::Atom(0), Op::Atom(1), Op::Or]);
        let and_not = Condition(vec![Op::Atom(0), Op::Atom(1), Op::Not, Op::And]);
        for (a, b, want_or, want_and_not) in [
            (True, Unknown, True, Unknown),
            (False, Unknown, Unknown, False),
            (Unknown, False, Unknown, Unknown),
            (True, False, True, True),
            (False, False, False, False),
        ] {
            let value = |atom| if atom == 0 { a } else { b };
            assert_eq!(or.eval(value), want_or);
            assert_eq!(and_not.eval(value), want_and_not);
        }
    }

    #[test]
    fn malformed_conditions_are_invalid_and_unknown() {
        for ops in [vec![], vec![Op::And], vec![Op::Atom(0), Op::Atom(0)], vec![Op::Not], vec![Op::Atom(9)]] {
            let condition = Condition(ops);
            assert!(!condition.is_valid(1));
            if condition.0 != [Op::Atom(9)] {
                assert_eq!(condition.eval(|_| True), Unknown);
            }
        }
        assert!(!Condition(vec![Op::Const(true); MAX_STACK + 1]).is_valid(0));
    }
}
