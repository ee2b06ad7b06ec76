//! Conditions as the language reference describes them: an interpreter of their syntax in three-valued logic.

use brightline::message::Message;
use brightline::{Input, Role};

/// `None` is undecided.
pub type Truth = Option<bool>;

/// The comparisons of numbers.
pub const OPERATORS: [&str; 6] = ["<", "<=", "==", "!=", ">=", ">"];

fn compare(left: f64, operator: &str, right: f64) -> bool {
    match operator {
        "<" => left < right,
        "<=" => left <= right,
        "==" => left == right,
        "!=" => left != right,
        ">=" => left >= right,
        _ => left > right,
    }
}

/// An atom, with the place it looks at written before it.
#[derive(Clone, Debug)]
pub enum Atom {
    /// The place, the set.
    Match(&'static str, &'static str),
    /// The place, the set, the operator, the number.
    Count(&'static str, &'static str, &'static str, u8),
    /// `a` near `c`: the place, the distance.
    Near(&'static str, u8),
    /// Personal data of one kind: the place.
    Email(&'static str),
    /// The place, the operator, the number.
    Length(&'static str, &'static str, u8),
    /// A tag of the context.
    Tag(&'static str),
    /// The name, the operator, the number to which a half is added.
    Signal(&'static str, &'static str, i8),
    /// Whether text without authority is involved.
    Untrusted,
    /// Needs a model, a number into [`MODELS`].
    Model(usize),
}

/// Atoms that are undecided without a model.
pub const MODELS: [&str; 5] = [
    "label(\"hate\") > 0.5",
    "label(\"hate\") <= 0.25",
    "label(\"self_harm\").at_fpr(0.001)",
    "request.label(\"hate\") > 0.5",
    "like(\"c\")",
];

impl Atom {
    fn written(&self, flipped: bool) -> String {
        let comparison = |left: String, operator: &str, right: String| {
            let mirrored = operator.replace('<', "\0").replace('>', "<").replace('\0', ">");
            if flipped { format!("{right} {mirrored} {left}") } else { format!("{left} {operator} {right}") }
        };
        match self {
            Self::Match(place, set) => format!("{place}match(\"{set}\")"),
            Self::Count(place, set, operator, bound) => {
                comparison(format!("{place}count(\"{set}\")"), operator, bound.to_string())
            }
            Self::Near(place, gap) => format!("{place}near(\"a\", \"c\", {gap})"),
            Self::Email(place) => format!("{place}pii(\"email\")"),
            Self::Length(place, operator, bound) => {
                comparison(format!("{place}length()"), operator, bound.to_string())
            }
            Self::Tag(tag) => format!("tag(\"{tag}\")"),
            Self::Signal(name, operator, bound) => {
                comparison(format!("signal(\"{name}\")"), operator, format!("{bound}.5"))
            }
            Self::Untrusted => "untrusted".to_string(),
            Self::Model(nth) => MODELS[*nth].to_string(),
        }
    }

    fn value(&self, world: &World, models: Option<[bool; 5]>) -> Truth {
        let words = |place: &str, wanted: &[&str]| -> Vec<(usize, usize)> {
            let Some(text) = world.at(place) else { return Vec::new() };
            let counts = |word: &&Word| match place {
                "untrusted." => {
                    world.surface == "tool_result" || (world.surface == "request" && word.foreign)
                }
                "trusted." => world.surface == "request" && !word.foreign,
                "" if world.unquoted => world.surface != "request" || !word.foreign,
                "request." if world.unquoted => !word.foreign,
                _ => true,
            };
            let found = text.words.iter().filter(|word| wanted.contains(&word.word)).filter(counts);
            found.map(|word| (word.start, word.start + word.word.len())).collect()
        };
        let set = |name: &str| -> &[&str] {
            match name {
                "a" => &["alpha"],
                "b" => &["beta", "alpha"],
                _ => &["gamma"],
            }
        };
        Some(match self {
            Self::Match(place, name) => !words(place, set(name)).is_empty(),
            Self::Count(place, name, operator, bound) => {
                compare(words(place, set(name)).len() as f64, operator, f64::from(*bound))
            }
            Self::Near(place, gap) => words(place, &["alpha"]).iter().any(|alpha| {
                let mut gammas = words(place, &["gamma"]).into_iter();
                gammas.any(|it| it.0.max(alpha.0) - it.1.min(alpha.1) <= usize::from(*gap))
            }),
            Self::Email(place) => !words(place, &[EMAIL]).is_empty(),
            Self::Length(place, operator, bound) => world
                .at(place)
                .is_some_and(|text| compare(text.text.chars().count() as f64, operator, f64::from(*bound))),
            Self::Tag(tag) => world.tags.contains(tag),
            Self::Signal(name, operator, bound) => {
                let signal = world.signals.iter().find(|signal| signal.0 == *name);
                let bound: f64 = format!("{bound}.5").parse().unwrap();
                signal.is_some_and(|signal| compare(signal.1, operator, bound))
            }
            Self::Untrusted => match world.surface {
                "tool_result" => true,
                "request" => world.judged.words.iter().any(|word| word.foreign),
                _ => false,
            },
            Self::Model(nth) => return models.map(|models| models[*nth]),
        })
    }
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Expr {
    /// An atom, with its number on the left or on the right.
    Atom(Atom, bool),
    /// `true` or `false`.
    Const(bool),
    /// `!`
    Not(Box<Expr>),
    /// `&&`
    And(Box<Expr>, Box<Expr>),
    /// `||`
    Or(Box<Expr>, Box<Expr>),
    /// `? :`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `== true` or `== false`
    Is(Box<Expr>, bool),
}

impl Expr {
    /// As it stands in a rule.
    pub fn written(&self) -> String {
        match self {
            Self::Atom(atom, flipped) => atom.written(*flipped),
            Self::Const(value) => value.to_string(),
            Self::Not(inner) => format!("!({})", inner.written()),
            Self::And(left, right) => format!("({} && {})", left.written(), right.written()),
            Self::Or(left, right) => format!("({} || {})", left.written(), right.written()),
            Self::If(test, yes, no) => {
                format!("({} ? {} : {})", test.written(), yes.written(), no.written())
            }
            Self::Is(inner, value) => format!("((false || {}) == {value})", inner.written()),
        }
    }

    /// Its value; with the models' answers to [`MODELS`], or without models.
    pub fn value(&self, world: &World, models: Option<[bool; 5]>) -> Truth {
        let of = |expr: &Self| expr.value(world, models);
        match self {
            Self::Atom(atom, _) => atom.value(world, models),
            Self::Const(value) => Some(*value),
            Self::Not(inner) => of(inner).map(|value| !value),
            Self::And(left, right) => and(of(left), of(right)),
            Self::Or(left, right) => or(of(left), of(right)),
            Self::If(test, yes, no) => {
                let test = of(test);
                or(and(test, of(yes)), and(test.map(|value| !value), of(no)))
            }
            Self::Is(inner, value) => of(inner).map(|inner| inner == *value),
        }
    }
}

/// What a rule comes to: its condition without its excuse, read with or without what a request quotes.
pub fn rule(when: &Expr, unless: Option<&Expr>, world: &World, models: Option<[bool; 5]>) -> Truth {
    let read = |world: &World| {
        let excused = unless.map_or(Some(false), |unless| unless.value(world, models));
        and(when.value(world, models), excused.map(|excused| !excused))
    };
    or(read(world), read(&World { unquoted: true, ..world.clone() }))
}

/// Both.
pub fn and(left: Truth, right: Truth) -> Truth {
    if left == Some(false) || right == Some(false) { Some(false) } else { left.zip(right).map(|_| true) }
}

fn or(left: Truth, right: Truth) -> Truth {
    if left == Some(true) || right == Some(true) { Some(true) } else { left.zip(right).map(|_| false) }
}

/// A word that is personal data.
pub const EMAIL: &str = "me@example.org";

/// A word of a text.
#[derive(Clone, Debug)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// Its first byte.
    pub start: usize,
    /// Whether it is marked as untrusted.
    pub foreign: bool,
}

/// A text and what stands in it.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
}

/// What a check looks at.
#[derive(Clone, Debug)]
pub struct World {
    /// The surface of the judged text.
    pub surface: &'static str,
    /// A user's message before it.
    pub request: Option<Text>,
    /// An answer before it.
    pub response: Option<Text>,
    /// The judged text.
    pub judged: Text,
    /// What the host knows.
    pub tags: Vec<&'static str>,
    /// The host's scores.
    pub signals: Vec<(&'static str, f64)>,
    /// Whether patterns and personal data in untrusted parts of a request are passed over.
    pub unquoted: bool,
}

impl World {
    fn at(&self, place: &str) -> Option<&Text> {
        match (place, self.surface) {
            ("request.", "request") | ("response.", "response") => Some(&self.judged),
            ("request.", _) => self.request.as_ref(),
            ("response.", _) => self.response.as_ref(),
            _ => Some(&self.judged),
        }
    }

    /// The world as something to check.
    pub fn input(&self) -> Input<'_> {
        let message = |role, text: &Text| Message::text(role, text.text.clone());
        let role = match self.surface {
            "request" => Role::User,
            "response" => Role::Assistant,
            _ => Role::Tool,
        };
        let before = self.request.iter().map(|text| message(Role::User, text));
        let before = before.chain(self.response.iter().map(|text| message(Role::Assistant, text)));
        Input {
            messages: before.chain([message(role, &self.judged)]).collect(),
            tags: self.tags.iter().map(|&tag| tag.into()).collect(),
            signals: self.signals.iter().map(|&(name, value)| (name.into(), value)).collect(),
            ..Input::default()
        }
    }
}
