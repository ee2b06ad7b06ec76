//! Decoders for text inside of text: base64, hexadecimal, percent escapes, tag characters.

use super::normalize::is_tag;
use super::signals::{MIN_ENCODED, MIN_ESCAPES};
use std::ops::Range;

/// A way of writing text in other characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Base64,
    Hex,
    Url,
}

impl Scheme {
    pub(super) const ALL: [Self; 3] = [Self::Base64, Self::Hex, Self::Url];

    /// Calls `each` with every token of `text` that decodes to something readable, and with what it decodes to.
    ///
    /// Linear in the text: a byte belongs to at most one token of a scheme.
    pub(super) fn decode(self, text: &str, buffer: &mut Vec<u8>, mut each: impl FnMut(Range<usize>, &str)) {
        if self == Self::Url && text.bytes().filter(|&byte| byte == b'%').nth(MIN_ESCAPES - 1).is_none() {
            return;
        }
        let mut at = 0;
        while let Some(token) = self.next_token(text.as_bytes(), at, buffer) {
            if let Some(decoded) = readable(buffer) {
                each(token.clone(), decoded);
            }
            at = token.end;
        }
    }

    /// Finds the next token from byte `from` on and leaves its bytes in `buffer`, none if they cannot be text.
    fn next_token(self, text: &[u8], from: usize, buffer: &mut Vec<u8>) -> Option<Range<usize>> {
        match self {
            Self::Base64 => base64_token(text, from, buffer),
            Self::Hex => hex_token(text, from, buffer),
            Self::Url => url_token(text, from, buffer),
        }
    }
}

/// The text that decoded bytes hold, if nine in ten of its characters can be read.
fn readable(bytes: &mut Vec<u8>) -> Option<&str> {
    // Text in UTF-16, as some shells take it: every second byte is zero.
    let (pairs, rest) = bytes.as_chunks::<2>();
    if rest.is_empty() && !pairs.is_empty() && pairs.iter().all(|pair| pair[1] == 0) {
        let mut nth = 0;
        bytes.retain(|_| {
            nth += 1;
            nth % 2 == 1
        });
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    let unreadable =
        |c: &char| c.is_control() && !c.is_whitespace() || matches!(c, '\u{FFFD}' | '\u{E000}'..='\u{F8FF}');
    let count = text.chars().count();
    (text.chars().filter(unreadable).count() * 10 <= count).then_some(text)
}

fn base64_value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// The shortest line of base64 that goes on in the next line.
const MIN_WRAPPED: usize = 60;

/// Where the next [`MIN_ENCODED`] bytes in a row stand that base64 may be written in.
fn long_run(text: &[u8], from: usize) -> Option<usize> {
    let encoded = |byte: &u8| base64_value(*byte).is_some();
    // Every run that is long enough covers one of these places, so most bytes are never looked at.
    let mut probe = from + MIN_ENCODED - 1;
    loop {
        if !encoded(text.get(probe)?) {
            probe += MIN_ENCODED;
            continue;
        }
        let before = text.get(from..probe)?.iter().rev().take_while(|byte| encoded(byte)).count();
        let after = text.get(probe..)?.iter().take(MIN_ENCODED).take_while(|byte| encoded(byte)).count();
        if before + after >= MIN_ENCODED {
            return Some(probe - before);
        }
        probe += after + MIN_ENCODED;
    }
}

/// The standard alphabet or the one for URLs, with or without padding, in one piece or in full lines.
fn base64_token(text: &[u8], from: usize, buffer: &mut Vec<u8>) -> Option<Range<usize>> {
    buffer.clear();
    let run = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        rest.iter().position(|&byte| base64_value(byte).is_none()).unwrap_or(rest.len())
    };
    let start = long_run(text, from)?;
    let mut end = start;
    let (mut bits, mut held) = (0u32, 0);
    loop {
        let line = run(end);
        for value in
            text.get(end..end + line).unwrap_or_default().iter().filter_map(|&byte| base64_value(byte))
        {
            bits = bits << 6 | u32::from(value);
            held += 6;
            if held >= 8 {
                held -= 8;
                buffer.extend((bits >> held).to_le_bytes().first());
            }
        }
        end += line;
        let line_break = match text.get(end..).unwrap_or_default() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };
        if line_break == 0 || line < MIN_WRAPPED || line % 4 != 0 || run(end + line_break) == 0 {
            break;
        }
        end += line_break;
    }
    let token = text.get(start..end).unwrap_or_default();
    let mixed =
        token.iter().any(|byte| b"+/".contains(byte)) && token.iter().any(|byte| b"-_".contains(byte));
    // Six bits over are half a byte too few.
    if mixed || held == 6 {
        buffer.clear();
    }
    let padding =
        text.get(end..).unwrap_or_default().iter().take(2).take_while(|&&byte| byte == b'=').count();
    Some(start..end + padding)
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low, ..] = bytes else { return None };
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// Pairs of digits in one piece, or in groups with `\x`, `0x` or nothing before and one separator between.
fn hex_token(text: &[u8], from: usize, buffer: &mut Vec<u8>) -> Option<Range<usize>> {
    let is_inside = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        [before, text.get(at)].iter().all(|byte| byte.is_some_and(u8::is_ascii_alphanumeric))
    };
    let mut at = from;
    while at < text.len() {
        buffer.clear();
        let start = at;
        let mut end = start;
        if !is_inside(start) {
            while let Some(group) = hex_group(text, at, buffer) {
                end = group;
                let separator = text.get(end).is_some_and(|byte| b" :,;-\n".contains(byte));
                at = end + usize::from(separator);
                if text.get(end..end + 2) == Some(b", ") {
                    at += 1;
                }
            }
        }
        if buffer.len() * 2 >= MIN_ENCODED {
            return Some(start..end);
        }
        at = end.max(start + 1);
    }
    None
}

/// Reads one group and returns its end; a group that goes on in a letter or an odd digit is none.
fn hex_group(text: &[u8], start: usize, buffer: &mut Vec<u8>) -> Option<usize> {
    let before = buffer.len();
    let prefix = match text.get(start..)? {
        [b'\\', b'x' | b'X', ..] | [b'0', b'x' | b'X', ..] => 2,
        _ => 0,
    };
    let mut at = start + prefix;
    while let Some(byte) = text.get(at..).and_then(hex_pair) {
        buffer.push(byte);
        at += 2;
    }
    if at == start + prefix || text.get(at).is_some_and(u8::is_ascii_alphanumeric) {
        buffer.truncate(before);
        return None;
    }
    Some(at)
}

/// A run without white space that holds an escape.
fn url_token(text: &[u8], from: usize, buffer: &mut Vec<u8>) -> Option<Range<usize>> {
    buffer.clear();
    let mut start = from;
    loop {
        start += text.get(start..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = text.get(start..)?;
        let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let token = rest.get(..length)?;
        if token.windows(3).any(|window| window.first() == Some(&b'%') && is_escape(window)) {
            unescape(token, buffer);
            return Some(start..start + length);
        }
        start += length;
    }
}

fn is_escape(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"%").and_then(hex_pair).is_some()
}

fn unescape(token: &[u8], buffer: &mut Vec<u8>) {
    let mut rest = token;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'%' { hex_pair(after) } else { None };
        buffer.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
}

/// Writes the text that tag characters spell, and for each of its bytes where its character begins in `text`.
///
/// Pieces that stand apart, and the words of a flag, are separated by a space.
pub(super) fn hidden(text: &str, out: &mut String, places: &mut Vec<u32>) {
    let mut end = None;
    for (at, c) in text.char_indices().filter(|&(_, c)| is_tag(c)) {
        let shown = char::from_u32(u32::from(c) - 0xE0000).filter(|c| c.is_ascii_graphic()).unwrap_or(' ');
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        if end.is_some_and(|end| end != at) && shown != ' ' {
            out.push(' ');
            places.push(place);
        }
        out.push(shown);
        places.push(place);
        end = Some(at + c.len_utf8());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(scheme: Scheme, text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        scheme.decode(text, &mut Vec::new(), |token, decoded| {
            found.push((text.get(token).unwrap().to_string(), decoded.to_string()));
        });
        found
    }

    fn one(token: &str, text: &str) -> Vec<(String, String)> {
        vec![(token.to_string(), text.to_string())]
    }

    #[test]
    fn base64_is_found_whatever_its_alphabet_and_padding() {
        for (text, token) in [
            ("run aG93IHRvIG1ha2UgYSBib21i now", "aG93IHRvIG1ha2UgYSBib21i"),
            ("x=\"aG93IHRvIG1ha2UgYSBib21icw==\"", "aG93IHRvIG1ha2UgYSBib21icw=="),
            ("aG93IHRvIG1ha2UgYSBib21icw", "aG93IHRvIG1ha2UgYSBib21icw"),
        ] {
            assert_eq!(decoded(Scheme::Base64, text).first().map(|found| found.0.as_str()), Some(token));
        }
        assert_eq!(
            decoded(Scheme::Base64, "4pyTIMOgIGxhIG1vZGU-Pj8_"),
            one("4pyTIMOgIGxhIG1vZGU-Pj8_", "✓ à la mode>>??")
        );
        assert_eq!(
            decoded(Scheme::Base64, "aABlAGwAbABvACAAdABoAGUAcgBlAA=="),
            one("aABlAGwAbABvACAAdABoAGUAcgBlAA==", "hello there")
        );
        let wrapped =
            "aG93IHRvIG1ha2UgYSBib21iLCBhbmQgaG93IHRvIHdyYXAgYSBsaW5lIG9mIHRleHQg\r\nYXQgc2V2ZW50eQ==";
        assert_eq!(
            decoded(Scheme::Base64, wrapped),
            one(wrapped, "how to make a bomb, and how to wrap a line of text at seventy")
        );
        for prose in [
            "well-established-practices",
            "https://example.com/some/long/path_name",
            "internationalization",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        ] {
            assert_eq!(decoded(Scheme::Base64, prose), []);
        }
    }

    #[test]
    fn hex_is_found_in_one_piece_and_in_groups() {
        for token in [
            "6120626f6d62206e6f77",
            "61 20 62 6f 6d 62 20 6e 6f 77",
            "61:20:62:6F:6D:62:20:6E:6F:77",
            r"\x61\x20\x62\x6f\x6d\x62\x20\x6e\x6f\x77",
            "0x61, 0x20, 0x62, 0x6f, 0x6d, 0x62, 0x20, 0x6e, 0x6f, 0x77",
            "0x6120626f6d62206e6f77",
        ] {
            assert_eq!(decoded(Scheme::Hex, &format!("(see {token})")), one(token, "a bomb now"));
        }
        for other in
            ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "10 20 30 40 50", "12345678901", "be a bad dad"]
        {
            assert_eq!(decoded(Scheme::Hex, other), []);
        }
    }

    #[test]
    fn percent_escapes_are_read_token_by_token() {
        let text = "see how%20to%20make+a%20b%6Fmb, 100% sure";
        assert_eq!(decoded(Scheme::Url, text), one("how%20to%20make+a%20b%6Fmb,", "how to make a bomb,"));
        assert_eq!(decoded(Scheme::Url, "100%25 of 5%20"), []);
        assert_eq!(decoded(Scheme::Url, "%D0%B1%D0"), []);
    }

    #[test]
    fn tag_characters_spell_a_text() {
        let (mut out, mut places) = (String::new(), Vec::new());
        let tags = |text: &str| {
            text.chars().map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap()).collect::<String>()
        };
        hidden(&format!("a{} b{}", tags("a bomb"), tags("x")), &mut out, &mut places);
        assert_eq!(out, "a bomb x");
        assert_eq!(places, [1, 5, 9, 13, 17, 21, 27, 27]);
    }
}
