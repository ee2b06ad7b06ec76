//! Moving through text from anchor to anchor: the bytes that something worth a closer look must contain.

/// Length of the pieces that are tested at once. Short enough that one anchor spoils little, long enough to
/// fill the vector registers of common machines.
const PIECE: usize = 32;

/// The place of the first byte at or after `from` whose `distance` is 0.
///
/// The distance is a number rather than a condition because the smallest of many numbers compiles to vector instructions,
/// where a condition with many cases becomes one table lookup for each byte.
#[inline]
pub(crate) fn next_anchor(bytes: &[u8], from: usize, distance: impl Fn(u8) -> u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (pieces, tail) = rest.as_chunks::<PIECE>();
    let mut at = from;
    for piece in pieces {
        if piece.iter().fold(u8::MAX, |least, &byte| least.min(distance(byte))) == 0 {
            return piece.iter().position(|&byte| distance(byte) == 0).map(|offset| at + offset);
        }
        at += PIECE;
    }
    tail.iter().position(|&byte| distance(byte) == 0).map(|offset| at + offset)
}

/// The distance of a byte to the nearest of `anchors`: 0 if it is one of them.
#[inline]
pub(crate) fn nearest<const N: usize>(byte: u8, anchors: [u8; N]) -> u8 {
    anchors.into_iter().fold(u8::MAX, |least, anchor| least.min(byte ^ anchor))
}

/// The byte at `at`, or NUL past the end.
#[inline]
pub(crate) fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The byte before `at`, or NUL at the start.
#[inline]
pub(crate) fn byte_before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |before| byte_at(bytes, before))
}

/// The byte `back` places before `at`, or NUL before the start.
#[inline]
pub(crate) fn byte_back(bytes: &[u8], at: usize, back: usize) -> u8 {
    at.checked_sub(back).map_or(0, |before| byte_at(bytes, before))
}

/// Whether the byte is part of a word as identifiers and tokens use it.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether the byte before `at` is the letter of an escaped line break or tab, as in JSON.
pub(crate) fn after_escape(bytes: &[u8], at: usize) -> bool {
    matches!(byte_before(bytes, at), b'n' | b'r' | b't') && byte_back(bytes, at, 2) == b'\\'
}

/// Whether no word goes on across `at` from the left.
pub(crate) fn begins_word(bytes: &[u8], at: usize) -> bool {
    !is_word(byte_before(bytes, at)) || after_escape(bytes, at)
}

/// How many bytes from `from` on satisfy `is_part`, counted up to `limit`.
#[inline]
pub(crate) fn run_forward(bytes: &[u8], from: usize, limit: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes.get(from..).unwrap_or_default().iter().take(limit).take_while(|&&byte| is_part(byte)).count()
}

/// How many bytes before `to` satisfy `is_part`, counted up to `limit`.
#[inline]
pub(crate) fn run_backward(bytes: &[u8], to: usize, limit: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes.get(..to).unwrap_or_default().iter().rev().take(limit).take_while(|&&byte| is_part(byte)).count()
}

/// Whether one of `words` (lower case) stands as a whole word in the `reach` bytes before `at`; `_` separates words, as in
/// `customer_phone`. A word whose last character is no letter needs no boundary after it.
pub(crate) fn word_before(bytes: &[u8], at: usize, reach: usize, words: &[&str]) -> bool {
    find_word(bytes, at, reach, words, |byte| byte.is_ascii_alphanumeric() || byte >= 0x80)
}

/// Like [`word_before`] for words that mean something else inside an identifier, such as `call`.
pub(crate) fn free_word_before(bytes: &[u8], at: usize, reach: usize, words: &[&str]) -> bool {
    find_word(bytes, at, reach, words, |byte| is_word(byte) || byte >= 0x80)
}

fn find_word(bytes: &[u8], at: usize, reach: usize, words: &[&str], is_part: impl Fn(u8) -> bool) -> bool {
    let low = at.saturating_sub(reach);
    let Some(window) = bytes.get(low..at) else { return false };
    let mut previous = byte_before(bytes, low);
    for (offset, &byte) in window.iter().enumerate() {
        let opens = !is_part(previous) || after_escape(bytes, low + offset);
        previous = byte;
        if !opens {
            continue;
        }
        let rest = window.get(offset..).unwrap_or_default();
        let lower = byte.to_ascii_lowercase();
        let hit = words.iter().any(|word| {
            word.as_bytes().first() == Some(&lower)
                && rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
                && !(word.ends_with(|last: char| last.is_alphabetic()) && is_part(byte_at(rest, word.len())))
        });
        if hit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_found_at_every_place() {
        for length in [1, 31, 32, 33, 100] {
            for place in 0..length {
                let mut text = vec![b'a'; length];
                text[place] = b'@';
                assert_eq!(next_anchor(&text, 0, |byte| nearest(byte, *b"#@")), Some(place));
                assert_eq!(next_anchor(&text, place + 1, |byte| nearest(byte, *b"#@")), None);
            }
        }
        assert_eq!(next_anchor(b"@", 5, |byte| nearest(byte, *b"#@")), None);
    }

    #[test]
    fn words_are_whole() {
        let text = b"Call me: 12";
        assert!(word_before(text, 9, 20, &["call"]));
        assert!(!word_before(b"recall: 12", 8, 20, &["call"]));
        assert!(!word_before(b"caller: 12", 8, 20, &["call"]));
        assert!(word_before(b"tel:12", 4, 20, &["tel"]));
        assert!(word_before(b"home_phone: 12", 12, 20, &["phone"]));
        assert!(!free_word_before(b"DO_CALL = 12", 10, 20, &["call"]));
        assert!(!word_before(text, 9, 4, &["call"]));
    }
}
