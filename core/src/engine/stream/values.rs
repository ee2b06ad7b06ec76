//! Which personal data, secrets and disguises may still be under way at the end of a text that goes on.
//!
//! At the end of a word most values are complete. What spreads over several words is held back by its first bytes, for
//! as long as a value of its sort can be.

use crate::engine::personal::{MONTHS, PersonalKind, PersonalKinds, STREETS, adjective_before};
use crate::engine::secrets::SecretKinds;

/// How far a number in groups reaches: an IBAN with its spaces, a date of birth in words.
const NUMBER: usize = 64;
/// House number and five words of a street.
const STREET: usize = 136;
/// Three lines of a travel document.
const DOCUMENT: usize = 140;
/// The longest private key that is held back.
pub(super) const LONGEST: usize = 16 << 10;
/// The longest run without white space, or of encoded groups, that is.
const TOKEN: usize = 4 << 10;

/// The first byte of `text` that may belong to a value which what follows could make, change or undo.
pub(super) fn open_from(text: &str, personal: PersonalKinds, secrets: SecretKinds) -> usize {
    let bytes = text.as_bytes();
    let mut open = token_start(bytes, bytes.len());
    if !personal.is_empty() {
        let reach = if personal.contains(PersonalKind::StreetAddress) { STREET } else { NUMBER };
        let from = bytes.len().saturating_sub(reach);
        let digit = (from..bytes.len()).find(|&at| bytes.get(at).is_some_and(u8::is_ascii_digit));
        let number = digit.map_or(bytes.len(), |at| token_start(bytes, at));
        // What stands before any other number was let go before its digit came.
        let lead = bytes.get(number..digit.unwrap_or(number)).unwrap_or_default();
        if lead.len() < 8 && lead.iter().all(u8::is_ascii_punctuation) {
            let before = bytes.get(..number).unwrap_or_default();
            open = open.min(announcing(before, personal, digit.is_some()));
        }
        open = open.min(number);
        if personal.contains(PersonalKind::PassportMrz) {
            let from = bytes.len().saturating_sub(DOCUMENT);
            let filler = memchr::memchr(b'<', bytes.get(from..).unwrap_or_default());
            open = open.min(filler.map_or(open, |at| token_start(bytes, from + at)));
        }
    }
    if !secrets.is_empty() {
        open = open.min(private_key(bytes).unwrap_or(open));
    }
    open.min(letters(text)).min(encoded(bytes))
}

/// Where the run without white space that reaches `at` begins.
fn token_start(bytes: &[u8], at: usize) -> usize {
    let low = at.saturating_sub(TOKEN);
    let before = bytes.get(low..at).unwrap_or_default();
    before.iter().rposition(u8::is_ascii_whitespace).map_or(low, |space| low + space + 1)
}

/// Where the words begin that what follows would make part of a value: a month, a street, the first of two words of one.
/// After the first of two, no number follows.
fn announcing(bytes: &[u8], personal: PersonalKinds, number: bool) -> usize {
    let end = bytes.trim_ascii_end().len();
    let start = token_start(bytes, end);
    let word = bytes.get(start..end).unwrap_or_default();
    let lower = |at: usize| word.get(at).map(u8::to_ascii_lowercase);
    let month = personal.contains(PersonalKind::DateOfBirth)
        && MONTHS.iter().any(|month| month.bytes().enumerate().all(|(at, byte)| lower(at) == Some(byte)));
    let street = personal.contains(PersonalKind::StreetAddress)
        && STREETS.iter().any(|ending| {
            let tail = word.len().checked_sub(ending.len()).and_then(|at| word.get(at..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
        });
    // The first of two words of a street, and the second.
    let before = if street { bytes.get(..start).unwrap_or_default() } else { bytes };
    let adjective = before.strip_suffix(b" ").filter(|_| personal.contains(PersonalKind::StreetAddress));
    match adjective.and_then(|before| adjective_before(before, before.len())) {
        Some(first) if street || !number => first,
        _ if street || month => start,
        _ => bytes.len(),
    }
}

/// The head of a private key that may not have ended.
fn private_key(bytes: &[u8]) -> Option<usize> {
    const HEAD: &[u8] = b"-----BEGIN ";
    const DASHES: &[u8] = b"-----";
    const TITLE: usize = 48;
    let from = bytes.len().saturating_sub(LONGEST);
    let window = bytes.get(from..)?;
    // Forwards is the quicker way to find that there is none.
    memchr::memmem::find(window, HEAD)?;
    let head = memchr::memmem::rfind(window, HEAD)?;
    let rest = window.get(head + HEAD.len()..)?;
    let title = rest.get(..rest.len().min(TITLE))?;
    if let Some(end) = memchr::memmem::find(title, DASHES)
        && memchr::memmem::find(title.get(..end)?, b"PRIVATE KEY").is_none()
    {
        return None;
    }
    let foot = memchr::memmem::find(rest, b"-----END ").and_then(|at| rest.get(at + 9..));
    let ends = foot.and_then(|foot| Some(memchr::memmem::find(foot, DASHES)? + DASHES.len() < foot.len()));
    (ends != Some(true)).then_some(from + head)
}

/// Separated letters that may go on: `b o m `.
fn letters(text: &str) -> usize {
    let mut at = text.len();
    let mut chars = text.char_indices().rev().peekable();
    let is_separator = |c: char| c.is_whitespace() || matches!(c, '.' | '-' | '_' | '*');
    loop {
        let mut separated = at == text.len();
        while chars.next_if(|&(_, c)| is_separator(c) || !c.is_alphanumeric() && !c.is_ascii()).is_some() {
            separated = true;
        }
        let Some((start, _)) = chars.next_if(|&(_, c)| c.is_alphabetic()).filter(|_| separated) else {
            return at;
        };
        let alone = chars.peek().is_none_or(|&(_, c)| !c.is_alphanumeric());
        if !alone || text.len() - start > TOKEN {
            return at;
        }
        at = start;
    }
}

/// Groups of hexadecimal digits, or full lines of base64, that may go on.
fn encoded(bytes: &[u8]) -> usize {
    let mut open = bytes.len();
    let (mut hex, mut lines) = (true, true);
    while (hex || lines) && bytes.len() - open < TOKEN {
        let before = bytes.get(..open).unwrap_or_default();
        let end = before.trim_ascii_end().len();
        let start = token_start(bytes, end);
        let token = bytes.get(start..end).unwrap_or_default();
        hex &= !token.is_empty() && is_hexadecimal(token);
        lines &=
            token.len() >= 60 && open > end && bytes.get(end..open).is_some_and(|gap| gap.contains(&b'\n'));
        if hex || lines {
            open = start;
        }
    }
    open
}

/// Whether a word may be a group of hexadecimal bytes: `6f`, `0x6f,`, `\x6f`.
fn is_hexadecimal(token: &[u8]) -> bool {
    let rest = token.strip_prefix(b"0x").or_else(|| token.strip_prefix(b"\\x")).unwrap_or(token);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let signs = rest.iter().skip(digits).all(|byte| !byte.is_ascii_alphabetic() || b"xX".contains(byte));
    digits >= 2 && digits % 2 == 0 && (signs || rest.iter().any(|byte| b":,;-".contains(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> &str {
        &text[open_from(text, PersonalKinds::all(), SecretKinds::all())..]
    }

    #[test]
    fn ordinary_words_are_complete() {
        for text in ["The train leaves. ", "It was said ", "mail a@example.com ", "this is well-established "]
        {
            assert_eq!(open(text), "", "{text}");
        }
        assert_eq!(open("The tra"), "tra");
    }

    #[test]
    fn values_of_several_words_are_open() {
        for (text, wanted) in [
            ("card 4111 1111 ", "4111 1111 "),
            ("born on March ", "March "),
            ("in der Langen Straße ", "Langen Straße "),
            ("pay to DE89 3704 ", "DE89 3704 "),
            ("to make a b o ", "a b o "),
            ("see 61 20 62 ", "61 20 62 "),
            ("key -----BEGIN PRIVATE KEY-----\nMIIE ", "-----BEGIN PRIVATE KEY-----\nMIIE "),
            (
                "-----BEGIN RSA PRIVATE KEY-----\ndGhpcyBpcyBubyBrZXkgYXQgYWxsLCBvbmx5IHdvcmRz\n",
                "-----BEGIN RSA PRIVATE KEY-----\ndGhpcyBpcyBubyBrZXkgYXQgYWxsLCBvbmx5IHdvcmRz\n",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", ""),
        ] {
            assert_eq!(open(text), wanted, "{text}");
        }
    }
}
