//! Patterns as the language reference describes them: every one is tried at every place, slowly and obviously.

use std::fmt;

/// What texts and literals are made of, each with its normal form. Syllables, so that words overlap; no single letters
/// and no digits that read as letters, so that nothing looks like a disguise and there is one view.
pub const PIECES: [(&str, &str); 15] = [
    ("ka", "ka"),
    ("ki", "ki"),
    ("KA", "ka"),
    ("Ｋi", "ki"),
    ("ké", "ke"),
    ("ﬁ", "fi"),
    ("ku\u{200B}", "ku"),
    (" ", " "),
    ("\r\n", " "),
    ("-", "-"),
    ("_", "_"),
    ("2", "2"),
    ("жд", "жд"),
    ("你好", "你好"),
    ("क\u{94D}", "क\u{94D}"),
];

/// A text as its author wrote it and as patterns see it, with the place each byte came from.
#[derive(Clone, Default)]
pub struct Text {
    /// As it was written.
    pub original: String,
    /// As patterns see it.
    pub normal: String,
    /// For each byte of `normal`, the range of `original` that it stands for.
    places: Vec<(usize, usize)>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.original.fmt(f)
    }
}

impl Text {
    /// The text of these pieces.
    pub fn new(pieces: &[usize]) -> Self {
        let mut text = Self::default();
        pieces.iter().for_each(|&piece| text.push(PIECES[piece]));
        text
    }

    /// Adds a piece with its normal form.
    pub fn push(&mut self, (original, normal): (&str, &str)) {
        let at = self.original.len();
        self.original.push_str(original);
        if normal == " " && self.normal.ends_with(' ') {
            // White space is one space, however much there is of it.
            self.places.last_mut().unwrap().1 = self.original.len();
        } else if original.chars().count() == normal.chars().count() {
            let mut from = at;
            for (written, read) in original.chars().zip(normal.chars()) {
                let to = from + written.len_utf8();
                self.places.extend(vec![(from, to); read.len_utf8()]);
                from = to;
            }
        } else {
            // Two letters and something unseen; one sign for two letters; a line break of two characters.
            let seen = original.trim_end_matches('\u{200B}');
            let whole = (at, at + seen.len());
            let letters = (0..normal.len()).map(|nth| (at + nth, at + nth + 1));
            self.places.extend(if seen == normal { letters.collect() } else { vec![whole; normal.len()] });
        }
        if !(normal == " " && self.normal.ends_with(' ')) {
            self.normal.push_str(normal);
        }
    }

    /// The range of the original that a range of normalized text stands for.
    pub fn place(&self, (start, end): (usize, usize)) -> (usize, usize) {
        (self.places[start].0, self.places[end - 1].1)
    }

    fn char_before(&self, at: usize) -> Option<char> {
        self.normal[..at].chars().next_back()
    }

    fn char_after(&self, at: usize) -> Option<char> {
        self.normal[at..].chars().next()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '\u{94D}'
}

/// Words end between two characters unless both belong to words of a script with spaces.
fn is_bound(text: &Text, at: usize) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| is_word(c) && !"你好".contains(c));
    !(inside(text.char_before(at)) && inside(text.char_after(at)))
}

/// An expression; what it may match is listed in the order in which a leftmost-first search prefers it.
#[derive(Clone, Debug)]
pub enum Node {
    /// This text.
    Text(&'static str),
    /// One of `a`, `i`, `k`.
    Class,
    /// At most so many bytes.
    Any(usize),
    /// This text, or nothing.
    Optional(&'static str),
    /// The first of these texts that leads to a match.
    Either(Vec<&'static str>),
    /// A word boundary of ASCII.
    Bound,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Class => f.write_str("[aik]"),
            Self::Any(most) => write!(f, ".{{0,{most}}}"),
            Self::Optional(text) => write!(f, "(?:{text})?"),
            Self::Either(texts) => write!(f, "({})", texts.join("|")),
            Self::Bound => f.write_str(r"\b"),
        }
    }
}

impl Node {
    /// The length of the shortest match.
    pub fn shortest(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Class => 1,
            Self::Either(texts) => texts.iter().map(|text| text.len()).min().unwrap(),
            Self::Any(_) | Self::Optional(_) | Self::Bound => 0,
        }
    }

    fn ends(&self, text: &[u8], at: usize) -> Vec<usize> {
        let after = |part: &str| text[at..].starts_with(part.as_bytes()).then_some(at + part.len());
        let is_word =
            |at: usize| text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        match self {
            Self::Text(part) => after(part).into_iter().collect(),
            Self::Class => {
                text.get(at).filter(|byte| b"aik".contains(byte)).map(|_| at + 1).into_iter().collect()
            }
            Self::Any(most) => (at..=(at + most).min(text.len())).rev().collect(),
            Self::Optional(part) => after(part).into_iter().chain([at]).collect(),
            Self::Either(parts) => parts.iter().filter_map(|part| after(part)).collect(),
            Self::Bound => {
                let bound = at.checked_sub(1).is_some_and(is_word) != is_word(at);
                bound.then_some(at).into_iter().collect()
            }
        }
    }
}

fn ends_of(nodes: &[Node], text: &[u8], at: usize) -> Vec<usize> {
    let Some((first, rest)) = nodes.split_first() else { return vec![at] };
    first.ends(text, at).into_iter().flat_map(|at| ends_of(rest, text, at)).collect()
}

/// A pattern of either form.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Fixed text.
    Literal {
        /// `*` before it.
        open_start: bool,
        /// The text.
        text: Text,
        /// `*` behind it.
        open_end: bool,
    },
    /// An expression: its parts in a row.
    Regex(Vec<Node>),
}

impl Pattern {
    /// As it stands in a policy.
    pub fn written(&self) -> String {
        let star = |open: &bool| if *open { "*" } else { "" };
        match self {
            Self::Literal { open_start, text, open_end } => {
                format!("{}{}{}", star(open_start), text.original, star(open_end))
            }
            Self::Regex(nodes) => format!("/{}/", nodes.iter().map(Node::to_string).collect::<String>()),
        }
    }

    /// Whether it is no expression.
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal { .. })
    }

    /// Every place of normalized text where the pattern matches.
    pub fn matches(&self, text: &Text) -> Vec<(usize, usize)> {
        let bytes = text.normal.as_bytes();
        let end = |at: usize| match self {
            Self::Literal { open_start, text: literal, open_end } => {
                let literal = literal.normal.trim();
                let end = at + literal.len();
                let starts = bytes[at..].starts_with(literal.as_bytes());
                let closed = |open: bool, c: Option<char>| !open && c.is_some_and(is_word);
                (starts
                    && (!closed(*open_start, literal.chars().next()) || is_bound(text, at))
                    && (!closed(*open_end, literal.chars().next_back()) || is_bound(text, end)))
                .then_some(end)
            }
            Self::Regex(nodes) => ends_of(nodes, bytes, at).first().copied(),
        };
        (0..bytes.len()).filter_map(|at| Some((at, end(at)?))).collect()
    }
}

/// From left to right, those that begin where the last one counted has ended.
pub fn apart(mut matches: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    matches.sort_unstable();
    let mut end = 0;
    matches.retain(|found| {
        let counts = found.0 >= end;
        if counts {
            end = found.1;
        }
        counts
    });
    matches
}
