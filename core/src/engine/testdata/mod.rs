//! What the tests of the detectors share.

#![expect(clippy::string_slice, reason = "a test may fail by a panic")]

use super::found::{Found, Kind, Kinds};
use super::{Channel, Guard};
use crate::compiler::Compiler;
use crate::message::Input;
use std::sync::LazyLock;

/// Sentences with numbers, codes and names in which there is nothing to find, one a line.
pub(crate) const BENIGN: &str = include_str!("benign.txt");

/// Takes the marks `«` and `»` out of a text, and returns the marked parts.
pub(crate) fn marked(text: &str) -> (String, Vec<&str>) {
    let plain = text.replace(['«', '»'], "");
    let parts = text.split('«').skip(1).map(|part| part.split('»').next().unwrap()).collect();
    (plain, parts)
}

/// Checks for one kind that the marked parts of each hit are found and nothing in the misses is.
pub(crate) fn check<K: Kind + std::fmt::Debug>(
    scan: fn(&str, Kinds<K>, &mut Vec<Found<K>>),
    kind: K,
    hits: &[&str],
    misses: &[&str],
) {
    let find = |text: &str| {
        let mut found = Vec::new();
        scan(text, Kinds::NONE.with(kind), &mut found);
        found.iter().map(|find| text[find.span.range()].to_owned()).collect::<Vec<_>>()
    };
    for hit in hits {
        let (plain, wanted) = marked(hit);
        assert_eq!(find(&plain), wanted, "{kind:?} in {plain:?}");
        check_stream(&plain);
    }
    for miss in misses {
        assert_eq!(find(miss), [""; 0], "{kind:?} in {miss:?}");
        check_stream(miss);
    }
}

/// Replaces whatever the detectors find.
static REDACTS: LazyLock<Guard> = LazyLock::new(|| {
    let text = "## Values {#values authority=user}\n\nThey are private.\n\n~~~rule\non = [\"response\"]\n\
                when = 'pii() || secret()'\naction = \"redact\"\n~~~\n";
    Guard::new(Compiler::without_files().text("values.md", text).into_policy().unwrap()).unwrap()
});

/// Checks that a stream shows of a text what a check of the whole would, byte by byte and word by word.
pub(crate) fn check_stream(text: &str) {
    let verdict = REDACTS.check(&Input::exchange("?", text)).unwrap();
    let wanted = verdict.redacted().unwrap_or(text);
    let every: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let words: Vec<&[u8]> = text.split_inclusive(' ').map(str::as_bytes).collect();
    let halves: Vec<&[u8]> = text.as_bytes().chunks(text.len().div_ceil(2).max(1)).collect();
    for chunks in [every, words, halves] {
        let mut stream = REDACTS.stream(&Input::request("?")).unwrap();
        let mut shown = String::new();
        for chunk in &chunks {
            shown.extend(stream.push(Channel::Text, chunk).released.into_iter().map(|it| it.1));
        }
        shown.extend(stream.finish().released.into_iter().map(|it| it.1));
        assert_eq!(shown, wanted, "{} pieces of {text:?}", chunks.len());
    }
}

/// Checks the order of finds, and that each lies on character boundaries of the text.
pub(crate) fn check_spans<K>(text: &str, found: &[Found<K>]) {
    let mut end = 0;
    for find in found {
        assert!(find.span.start >= end && !find.span.is_empty());
        assert!(text.get(find.span.range()).is_some());
        end = find.span.end;
    }
    check_stream(text);
}
