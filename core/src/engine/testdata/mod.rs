//! What the tests of the detectors share.

#![expect(clippy::string_slice, reason = "a test may fail by a panic")]

use super::found::{Found, Kind, Kinds};

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
    }
    for miss in misses {
        assert_eq!(find(miss), [""; 0], "{kind:?} in {miss:?}");
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
}
