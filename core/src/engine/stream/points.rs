//! Where a text is judged while it arrives. The places follow from the text alone, never from how it was cut.

use crate::engine::views::words::is_written_without_spaces;

/// A text without a space is judged after so many bytes at the latest.
pub(super) const MOST_BETWEEN: usize = 64;

/// The next place after `from`, itself one, at which a word has ended; `None` until it has arrived.
pub(super) fn next_point(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.char_indices()
        .map(|(at, c)| (c, at + c.len_utf8()))
        .find(|&(c, end)| c.is_whitespace() || is_written_without_spaces(c) || end >= MOST_BETWEEN)
        .map(|(_, end)| from + end)
}

/// The last place in `low..=high` at which a text may be read from anew: nothing that spreads over several words, be it
/// encoded bytes, separated letters or a number in groups, goes on across it.
pub(super) fn quiet_before(text: &str, low: usize, high: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    (low.max(1)..=high).rev().find(|&at| {
        if !is_space(at - 1) || is_space(at) || at >= 2 && is_space(at - 2) {
            return false;
        }
        let before = bytes.get(low..at - 1).unwrap_or_default();
        let word = before.iter().rev().skip_while(|byte| b",.;:!?".contains(byte));
        let word = word.take_while(|byte| byte.is_ascii_alphabetic()).take(24);
        let (mut letters, mut beyond_hex) = (0, false);
        for byte in word {
            letters += 1;
            beyond_hex |= byte.to_ascii_lowercase() > b'f';
        }
        letters >= 3 && beyond_hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<usize> {
        let mut all = vec![0];
        while let Some(next) = next_point(text, *all.last().unwrap()) {
            all.push(next);
        }
        all
    }

    #[test]
    fn words_end_at_spaces() {
        assert_eq!(points("one two\nthree"), [0, 4, 8]);
        assert_eq!(points("日本 x"), [0, 3, 6, 7]);
        assert_eq!(points(&"x".repeat(130)), [0, 64, 128]);
        assert_eq!(points(&"é".repeat(33)), [0, 64]);
    }

    #[test]
    fn quiet_places_follow_ordinary_words() {
        let text = "so the code is 61 20 be bad b o m b, then done  x";
        let quiet: Vec<usize> =
            (0..=text.len()).filter(|&at| quiet_before(text, 0, at) == Some(at)).collect();
        assert_eq!(quiet, [7, 12, 42], "not after short words, digits, hexadecimal words and double spaces");
        assert_eq!(quiet_before(text, 0, 41), Some(12));
        assert_eq!(quiet_before(text, 13, 30), None);
    }
}
