//! Views that rewrite the normalized text: separated letters joined, digits for letters, rot13, backwards.

use super::offsets::{Cursor, OffsetMap};
use super::signals::MIN_LETTERS;
use std::ops::Range;

/// Writes `text` with runs of separated single letters joined. Returns whether there was one.
///
/// `map` leads from `text` to `original`, where a wider gap than one separator ends a run. A run after another word
/// that begins with `a` or `i` may begin with the English word: it is written both ways, apart and joined.
pub(super) fn unspaced(
    text: &str,
    map: &OffsetMap,
    original: &str,
    out: &mut Vec<u8>,
    out_map: &mut OffsetMap,
) -> bool {
    let (mut copied, mut looked_at) = (Cursor::default(), Cursor::default());
    let mut copy = |range: Range<usize>| {
        out_map.append(out.len(), map, &mut copied, range.clone());
        out.extend_from_slice(text.as_bytes().get(range).unwrap_or_default());
    };
    let mut done = 0;
    let mut at = 0;
    while let Some(start) = next_word(text, at) {
        let Some((separator, end)) = separated(text, start, |gap| {
            is_wide_gap(original.get(map.source_near(&mut looked_at, gap).range()).unwrap_or_default())
        }) else {
            at = word_end(text, start);
            continue;
        };
        copy(done..start);
        let letters = || letter_ranges(text, start, end);
        let article = start > 1
            && separator == b' '
            && matches!(text.as_bytes().get(start), Some(b'a' | b'i'))
            && letters().count() > MIN_LETTERS;
        if article {
            copy(start..start + 2);
            letters().skip(1).for_each(&mut copy);
            copy(start + 1..start + 2);
        }
        letters().for_each(&mut copy);
        (done, at) = (end, end);
    }
    copy(done..text.len());
    done > 0
}

/// The letters of a run, without the separators of one byte between.
fn letter_ranges(text: &str, start: usize, end: usize) -> impl Iterator<Item = Range<usize>> {
    text.get(start..end)
        .unwrap_or_default()
        .char_indices()
        .step_by(2)
        .map(move |(at, c)| start + at..start + at + c.len_utf8())
}

/// The separator and the end of the run of separated letters that begins at `start`.
fn separated(text: &str, start: usize, mut is_wide: impl FnMut(usize) -> bool) -> Option<(u8, usize)> {
    let mut chars = text.get(start..)?.chars().filter(|c| c.is_alphabetic());
    let mut letter = start..start + chars.next().filter(|_| starts_with_letter(text, start))?.len_utf8();
    let separator = text.as_bytes().get(letter.end).copied().filter(|byte| b" .-_*".contains(byte))?;
    let mut letters = 1;
    while text.as_bytes().get(letter.end) == Some(&separator) && !(separator == b' ' && is_wide(letter.end)) {
        let next = letter.end + 1;
        let Some(c) = text.get(next..).and_then(|rest| rest.chars().next()).filter(|c| c.is_alphabetic())
        else {
            break;
        };
        if starts_with_letter(text, next + c.len_utf8()) {
            break;
        }
        letters += 1;
        letter = next..next + c.len_utf8();
    }
    (letters >= MIN_LETTERS).then_some((separator, letter.end))
}

/// Whether what was folded to one space is more than one space or line break.
fn is_wide_gap(gap: &str) -> bool {
    gap != "\r\n" && gap.chars().filter(|c| c.is_whitespace()).nth(1).is_some()
}

fn starts_with_letter(text: &str, at: usize) -> bool {
    text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphanumeric)
}

/// The next place from `at` on where a word begins; `at` itself lies on no word's inside.
fn next_word(text: &str, at: usize) -> Option<usize> {
    let (found, _) = text.get(at..)?.char_indices().find(|(_, c)| c.is_alphanumeric())?;
    Some(at + found)
}

fn word_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.char_indices().find(|(_, c)| !c.is_alphanumeric()).map_or(text.len(), |(end, _)| at + end)
}

/// Writes `text` with digits and signs read as letters inside of words. Returns whether that changed anything.
///
/// A word counts if one of the digits or signs stands between two letters, so `mp3` and `3rd` stay what they are, and
/// so do addresses of electronic mail. In a text with several such words, every word that holds a letter counts. Bytes
/// stay where they are.
pub(super) fn leet(text: &str, out: &mut Vec<u8>) -> bool {
    let mut disguised = 0;
    tokens(text, &mut |token, _| disguised += usize::from(is_disguised(token)));
    let throughout = disguised >= THROUGHOUT;
    tokens(text, &mut |token, between| {
        if is_disguised(token) || (throughout && token.iter().any(u8::is_ascii_alphabetic)) {
            let word = token.iter().rposition(|&byte| byte != b'!').map_or(0, |last| last + 1);
            let (word, marks) = token.split_at_checked(word).unwrap_or((token, &[]));
            out.extend(word.iter().map(|&byte| read_leet(byte).unwrap_or(byte)));
            out.extend_from_slice(marks);
        } else {
            out.extend_from_slice(token);
        }
        out.extend_from_slice(between.as_bytes());
    });
    disguised > 0
}

/// How many disguised words say that a text is written so throughout.
const THROUGHOUT: usize = 2;

/// Calls `each` with every word, and what stands between it and the next. An address is no word.
fn tokens(text: &str, each: &mut dyn FnMut(&[u8], &str)) {
    let mut rest = text;
    while !rest.is_empty() {
        let (token, after) = rest.split_at_checked(token_length(rest)).unwrap_or((rest, ""));
        let is_address = token.contains('@')
            && after.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_alphanumeric()));
        let end = after.find(is_leet_char).unwrap_or(after.len());
        let (between, next) = after.split_at_checked(end).unwrap_or((after, ""));
        match rest.split_at_checked(token.len() + end) {
            Some((all, _)) if is_address => each(&[], all),
            _ => each(token.as_bytes(), between),
        }
        rest = next;
    }
}

fn is_leet_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '@' | '$' | '!')
}

fn token_length(text: &str) -> usize {
    text.find(|c| !is_leet_char(c)).unwrap_or(text.len())
}

pub(super) fn read_leet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        _ => return None,
    })
}

/// The shortest token of hexadecimal digits that is taken for an identifier and not for a word.
const SHORTEST_DIGEST: usize = 8;

/// Whether a digit or sign that reads as a letter stands between two letters of a token.
fn is_disguised(token: &[u8]) -> bool {
    let is_digest = token.len() >= SHORTEST_DIGEST && token.iter().all(u8::is_ascii_hexdigit);
    if is_digest {
        return false;
    }
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let (Some(first), Some(last)) = (token.iter().position(letter), token.iter().rposition(letter)) else {
        return false;
    };
    token.get(first..last).unwrap_or_default().iter().any(|&byte| read_leet(byte).is_some())
}

/// Writes `text` in rot13. Bytes stay where they are.
pub(super) fn rot13(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().map(|byte| match byte {
        b'a'..=b'm' => byte + 13,
        b'n'..=b'z' => byte - 13,
        _ => byte,
    }));
}

/// Writes the characters of `text` backwards. Returns whether that changed anything.
pub(super) fn reversed(text: &str, out: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4];
    for c in text.chars().rev() {
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
    out.as_slice() != text.as_bytes()
}
