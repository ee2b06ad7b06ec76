//! Attribute lists of headings: `{#id key=value key="two words"}`.

use crate::span::Span;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the source.
    pub span: Span,
}

/// The attributes of one heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The word after `#`.
    pub id: Option<Spanned<String>>,
    /// Keys and values, in order.
    pub pairs: Vec<(Spanned<String>, Spanned<String>)>,
    /// The whole list with its braces.
    pub span: Option<Span>,
}

/// What is wrong with a list, and where.
pub(super) type Problem = (Span, String, &'static str);

impl Attributes {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name.value == key).map(|(_, value)| value.value.as_str())
    }
}

/// Splits a heading's text into its title and its attributes. `offset` is where the text begins in the source.
pub(super) fn split(heading: &str, offset: usize, problems: &mut Vec<Problem>) -> (String, Attributes) {
    let trimmed = heading.trim_end();
    let plain = |text: &str| (text.trim().to_string(), Attributes::default());
    let Some(open) = trimmed.rfind('{') else { return plain(trimmed) };
    let (title, list) = trimmed.split_at_checked(open).unwrap_or((trimmed, ""));
    let span = Span::new(offset + open, offset + trimmed.len());
    // A brace in the middle of a title is only text; one that opens an attribute must close.
    let looks_like_list = list.starts_with("{#") || list.contains('=');
    if !looks_like_list {
        return plain(trimmed);
    }
    let Some(inner) = list.strip_prefix('{').and_then(|list| list.strip_suffix('}')) else {
        problems.push((
            span,
            "the attribute list is not closed".to_string(),
            "a heading ends in `{#id key=value}`",
        ));
        return plain(title);
    };
    let mut out = Attributes { span: Some(span), ..Attributes::default() };
    for (start, word) in words(inner) {
        let at =
            |from: usize, len: usize| Span::new(offset + open + 1 + from, offset + open + 1 + from + len);
        let whole = at(start, word.len());
        if let Some(id) = word.strip_prefix('#') {
            let valid =
                !id.is_empty() && id.chars().all(|ch| ch.is_alphanumeric() || matches!(ch, '_' | '-' | '.'));
            if !valid {
                problems.push((
                    whole,
                    format!("`{word}` is no id"),
                    "letters, digits, `_` and `-` after `#`",
                ));
            } else if out.id.is_some() {
                problems.push((whole, format!("a second id `{word}`"), "a heading has one id"));
            } else {
                out.id = Some(Spanned { value: id.to_string(), span: at(start + 1, id.len()) });
            }
            continue;
        }
        match word.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                let unquoted = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'));
                let Some(text) = unquoted else {
                    problems.push((
                        whole,
                        format!("the quote in `{word}` is not closed"),
                        "`key=\"two words\"`",
                    ));
                    continue;
                };
                let from = start + key.len() + 1 + usize::from(text.len() < value.len());
                let key = Spanned { value: key.to_string(), span: at(start, key.len()) };
                if out.pairs.iter().any(|(known, _)| known.value == key.value) {
                    problems.push((
                        whole,
                        format!("`{}` is set twice", key.value),
                        "each attribute stands once",
                    ));
                    continue;
                }
                out.pairs.push((key, Spanned { value: text.to_string(), span: at(from, text.len()) }));
            }
            _ => problems.push((
                whole,
                format!("`{word}` is no attribute"),
                "attributes are `#id` and `key=value`",
            )),
        }
    }
    (title.trim().to_string(), out)
}

/// Words separated by white space, quotes kept together, with their places.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut quoted) = (None, false);
    for (at, ch) in text.char_indices() {
        match (ch, start) {
            ('"', _) => {
                quoted = !quoted;
                start = start.or(Some(at));
            }
            (ch, Some(from)) if ch.is_whitespace() && !quoted => {
                out.extend(text.get(from..at).map(|word| (from, word)));
                start = None;
            }
            (ch, None) if !ch.is_whitespace() => start = Some(at),
            _ => {}
        }
    }
    if let Some(from) = start {
        out.extend(text.get(from..).map(|word| (from, word)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(heading: &str) -> (String, Attributes, Vec<String>) {
        let mut problems = Vec::new();
        let (title, attributes) = split(heading, 10, &mut problems);
        for (_, value) in &attributes.pairs {
            assert_eq!(&heading[value.span.start as usize - 10..value.span.end as usize - 10], value.value);
        }
        (title, attributes, problems.into_iter().map(|it| it.1).collect())
    }

    #[test]
    fn reads_ids_keys_and_quotes() {
        let (title, attributes, problems) =
            read("Be kind {#be_kind authority=user tags=a,b note=\"two words\"}  ");
        assert_eq!((title.as_str(), problems.len()), ("Be kind", 0));
        assert_eq!(attributes.id.as_ref().map(|id| id.value.as_str()), Some("be_kind"));
        assert_eq!(attributes.get("note"), Some("two words"));
        assert_eq!(attributes.get("tags"), Some("a,b"));
        assert_eq!(read("{#only}").0, "");
    }

    #[test]
    fn braces_in_titles_are_text() {
        for title in ["Use {braces} well", "Set {a, b}", "No list", "C {"] {
            assert_eq!(read(title), (title.trim().to_string(), Attributes::default(), vec![]));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (heading, expected) in [
            ("x {#a", "the attribute list is not closed"),
            ("x {#a #b}", "a second id `#b`"),
            ("x {#a =v}", "`=v` is no attribute"),
            ("x {#a junk k=v}", "`junk` is no attribute"),
            ("x {#a k=1 k=2}", "`k` is set twice"),
            ("x {#a k=\"open}", "the quote in `k=\"open` is not closed"),
            ("x {#}", "`#` is no id"),
        ] {
            assert_eq!(read(heading).2, [expected], "{heading}");
        }
    }
}
