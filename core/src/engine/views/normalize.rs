//! The normalized text of a message: one pass, with runs of plain ASCII taken eight bytes at a time.

use super::fold::fold;
use super::offsets::OffsetMap;
use std::ops::Range;

/// Normalizes a text the way messages are normalized, so that a pattern matches what its author meant.
///
/// Lower case; compatibility forms folded; accents, invisible characters and controls removed; look-alike letters of
/// other scripts replaced by Latin ones, typographic quotes and dashes by ASCII; each run of white space and line
/// breaks is one space. Normalizing twice changes nothing. Each character is folded without a look at its neighbors,
/// so the normalized form of a part is a part of the normalized form.
///
/// ```
/// use brightline::engine::views::normalize;
///
/// assert_eq!(normalize("Ｎｅｒｖｅ\u{200B}\r\n  Аgént"), "nerve agent");
/// ```
pub fn normalize(text: &str) -> String {
    let mut out = Vec::new();
    Normalizer { out: &mut out, map: &mut OffsetMap::default(), space: None }.run(text);
    String::from_utf8(out).unwrap_or_default()
}

/// One pass over a text: appends to `out` and notes in `map` where each piece came from.
pub(super) struct Normalizer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) map: &'a mut OffsetMap,
    /// White space that was read and not yet written, because more may follow.
    pub(super) space: Option<Range<usize>>,
}

impl Normalizer<'_> {
    /// Normalizes `text`. Returns whether it holds tag characters.
    pub(super) fn run(&mut self, text: &str) -> bool {
        let mut at = 0;
        let mut has_tags = false;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = plain_prefix(rest.as_bytes());
            if plain > 0 {
                self.write_space();
                self.map.copied(self.out.len(), at, plain);
                self.out.extend(rest.bytes().take(plain).map(|byte| byte.to_ascii_lowercase()));
                at += plain;
            } else {
                let (read, tags) = self.characters(rest, at);
                at += read;
                has_tags |= tags;
            }
        }
        self.write_space();
        has_tags
    }

    /// Takes characters one by one, up to the next that may begin a plain run. Returns how many bytes were read.
    fn characters(&mut self, text: &str, start: usize) -> (usize, bool) {
        let mut chars = text.chars();
        let mut at = start;
        let mut has_tags = false;
        while !chars.as_str().as_bytes().first().is_none_or(u8::is_ascii_graphic) {
            let Some(c) = chars.next() else { break };
            let end = at + c.len_utf8();
            let folded = fold(c);
            if folded.is_space() {
                self.space = Some(self.space.as_ref().map_or(at, |space| space.start)..end);
            } else if folded.is_removed() {
                has_tags |= is_tag(c);
            } else {
                self.write_space();
                let out = self.out.len();
                let written = folded.write(c, self.out);
                if folded.is_same() {
                    self.map.copied(out, at, written);
                } else {
                    self.map.element(out, written, at..end);
                }
            }
            at = end;
        }
        (at - start, has_tags)
    }

    #[inline]
    fn write_space(&mut self) {
        if let Some(space) = self.space.take() {
            // A single space or line feed is a byte for a byte, and joins the run around it.
            self.map.element(self.out.len(), 1, space);
            self.out.push(b' ');
        }
    }
}

/// A character of the block that repeats ASCII invisibly.
pub(super) fn is_tag(c: char) -> bool {
    ('\u{E0000}'..='\u{E007F}').contains(&c)
}

/// The length of the longest prefix that only needs lower case: visible ASCII and single spaces between.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    if !bytes.first().is_some_and(u8::is_ascii_graphic) {
        return 0;
    }
    let mut plain = 0;
    let mut space_before = 0;
    for word in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        // Marks the high bit of each byte that is zero, exactly up to the first one and above only near it: what is
        // marked in error ends the run early and is taken character by character.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let spaces = zeros(word ^ (ONES * 0x20));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let double = spaces & (spaces << 8 | space_before);
        let stop = (word & HIGH) | controls | zeros(word ^ (ONES * 0x7F)) | double;
        if stop != 0 {
            plain += (stop.trailing_zeros() / 8) as usize;
            return without_space(bytes, plain);
        }
        space_before = spaces >> 56;
        plain += 8;
    }
    for &byte in bytes.get(plain..).unwrap_or_default() {
        let is_space = byte == b' ';
        if !byte.is_ascii_graphic() && !is_space || is_space && space_before != 0 {
            break;
        }
        space_before = if is_space { 0x80 } else { 0 };
        plain += 1;
    }
    without_space(bytes, plain)
}

/// Leaves a space at the end to be folded together with what follows.
fn without_space(bytes: &[u8], plain: usize) -> usize {
    let ends_in_space = plain.checked_sub(1).and_then(|last| bytes.get(last)) == Some(&b' ');
    plain - usize::from(ends_in_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_folds_to_one_space() {
        for (text, normal) in [
            ("", ""),
            (" ", " "),
            ("a\r\n\r\n b", "a b"),
            ("\ta \u{200B}\u{A0}\u{2028}b ", " a b "),
            ("a, b! c  d !e", "a, b! c d !e"),
            ("tab\tand  double spaces here and  there\n", "tab and double spaces here and there "),
            ("\u{200B}", ""),
            ("a\0b\u{1B}[0m", "ab[0m"),
        ] {
            assert_eq!(normalize(text), normal, "{text:?}");
        }
    }

    #[test]
    fn a_plain_prefix_stops_where_characters_need_a_look() {
        for (text, length) in [
            ("plain text of some length, with single spaces", 45),
            ("plain text of\nsome", 13),
            ("plain  text", 5),
            ("1234567  8", 7),
            ("1234567 8 ", 9),
            ("12345678 ", 8),
            ("1234567\u{7f}89", 7),
            ("123456é89", 6),
            ("12345678 é", 8),
            (" a", 0),
            ("\u{1}", 0),
        ] {
            assert_eq!(plain_prefix(text.as_bytes()), length, "{text:?}");
        }
    }

    #[test]
    fn plain_text_costs_one_entry() {
        let mut map = OffsetMap::default();
        let text = "Plain text.\nTwo lines, single spaces, nothing else. ".repeat(50);
        let mut out = Vec::new();
        Normalizer { out: &mut out, map: &mut map, space: None }.run(&text);
        assert_eq!((out.len(), map.entries()), (text.len(), 1));
    }
}
