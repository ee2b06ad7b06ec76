//! Secrets without a form of their own, given away by the name they are assigned to.

use super::SecretKind;
use super::values;
use crate::engine::anchor::{byte_at, byte_before, is_word, run_backward, run_forward};
use crate::engine::found::Finds;

const LONGEST_NAME: usize = 48;
const LONGEST_VALUE: usize = 256;

/// What stands before the token of an `Authorization` header.
const SCHEMES: [&str; 6] = ["Bearer ", "bearer ", "Basic ", "basic ", "Token ", "token "];

/// What the name says about the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Chosen by a person.
    Password,
    /// Made by a machine, so long and random.
    Token,
    /// `Authorization`: a scheme, then a token.
    Header,
    /// Part of an Azure connection string or signature.
    Azure,
}

/// Endings of names, in lower case and without `_` and `-`. The first that fits counts.
const NAMES: [(&str, Name); 30] = [
    ("accountkey", Name::Azure),
    ("sharedaccesskey", Name::Azure),
    ("password", Name::Password),
    ("passwd", Name::Password),
    ("passphrase", Name::Password),
    ("passwort", Name::Password),
    ("kennwort", Name::Password),
    ("contrase\u{f1}a", Name::Password),
    ("motdepasse", Name::Password),
    ("passcode", Name::Password),
    ("pwd", Name::Password),
    ("dbpass", Name::Password),
    ("userpass", Name::Password),
    ("pass", Name::Password),
    ("secret", Name::Token),
    ("secretkey", Name::Token),
    ("secretaccesskey", Name::Token),
    ("apikey", Name::Token),
    ("apisecret", Name::Token),
    ("accesskey", Name::Token),
    ("authkey", Name::Token),
    ("privatekey", Name::Token),
    ("signingkey", Name::Token),
    ("encryptionkey", Name::Token),
    ("masterkey", Name::Token),
    ("token", Name::Token),
    ("credential", Name::Token),
    ("authorization", Name::Header),
    ("sharedsecret", Name::Token),
    ("sig", Name::Azure),
];

/// Looks at the `=` or `:` at `at` for a secret on its right; returns where to go on.
pub(super) fn at_sign(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> usize {
    let next = at + 1;
    let Some((name, name_start)) = name_before(bytes, at) else { return next };
    let Some(value) = value_after(bytes, at) else { return next };
    let (from, text) = value.strip_scheme(bytes, name);
    let kind = match name {
        Name::Azure => azure(text).then_some((SecretKind::AzureKey, from, from + text.len())),
        _ => provider(bytes, name_start, at, text)
            .or_else(|| secret(name, text, value.quoted).then_some(SecretKind::PasswordAssignment))
            .map(|kind| (kind, from, from + text.len())),
    };
    let Some((kind, start, end)) = kind else { return next };
    finds.push(kind, start, end);
    // The value may hold a token with a form of its own, which goes before this find.
    start
}

/// The meaning of the name before the sign at `at`, and where the name starts.
fn name_before(bytes: &[u8], at: usize) -> Option<(Name, usize)> {
    const MOST_GAP: usize = 6;
    // `:=` and the quotes and blanks of JSON, YAML and source code stand between name and sign.
    let is_gap = |byte: u8| matches!(byte, b' ' | b'"' | b'\'' | b'\\' | b'`' | b':' | b']' | b'*');
    let gap = run_backward(bytes, at, MOST_GAP, is_gap);
    let end = at - gap;
    let between = bytes.get(end..at)?;
    let compared = matches!((byte_at(bytes, at), byte_at(bytes, at + 1)), (b'=', b'=') | (b':', b':' | b'='));
    let colons = between.iter().filter(|&&byte| byte == b':').count();
    let define = byte_at(bytes, at) == b'=' && byte_before(bytes, at) == b':' && colons == 1;
    if compared || colons > 0 && !define {
        return None;
    }
    let is_part = |byte: u8| is_word(byte) || byte >= 0x80 || byte == b' ';
    let length = run_backward(bytes, end, LONGEST_NAME, is_part);
    let written = bytes.get(end - length..end)?;
    let (name, used) =
        NAMES.iter().find_map(|&(ending, name)| Some((name, ends_with(written, ending.as_bytes())?)))?;
    let start = end - used;
    // `bypass` and `compass` end in a name, `DB_PASS`, `dbPass` and `my pass` contain one.
    let before = byte_before(bytes, start);
    let inside = before.is_ascii_lowercase() && byte_at(bytes, start).is_ascii_lowercase()
        || before.is_ascii_uppercase() && byte_at(bytes, start).is_ascii_uppercase();
    let short = used <= 5;
    (!(inside && short)).then_some((name, end - run_backward(bytes, end, LONGEST_NAME, is_word)))
}

/// How many bytes of `written` the name takes at its end, where `_`, `-` and single spaces between its letters do not
/// count.
fn ends_with(written: &[u8], name: &[u8]) -> Option<usize> {
    let mut wanted = name.iter().rev().peekable();
    let mut used = 0;
    for byte in written.iter().rev() {
        let Some(&&next) = wanted.peek() else { break };
        if byte.to_ascii_lowercase() == next {
            wanted.next();
        } else if used == 0 || !matches!(byte, b'_' | b'-' | b' ') {
            return None;
        }
        used += 1;
    }
    wanted.peek().is_none().then_some(used)
}

/// The text on the right of a sign.
struct Value<'t> {
    from: usize,
    text: &'t [u8],
    quoted: bool,
}

impl<'t> Value<'t> {
    /// The value without the scheme of an `Authorization` header.
    fn strip_scheme(&self, bytes: &'t [u8], name: Name) -> (usize, &'t [u8]) {
        if name != Name::Header {
            return (self.from, self.text);
        }
        let rest = bytes.get(self.from..).unwrap_or_default();
        let scheme = SCHEMES.iter().find(|scheme| rest.starts_with(scheme.as_bytes()));
        let Some(scheme) = scheme else { return (self.from, b"") };
        let from = self.from + scheme.len();
        let length = run_forward(bytes, from, LONGEST_VALUE, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
        });
        (from, bytes.get(from..from + length).unwrap_or_default())
    }
}

/// The value after the sign at `at`: up to the closing quote, or a word.
fn value_after(bytes: &[u8], at: usize) -> Option<Value<'_>> {
    const MOST_GAP: usize = 6;
    // `=>` assigns in some languages.
    let arrow = usize::from(byte_at(bytes, at) == b'=' && byte_at(bytes, at + 1) == b'>');
    let gap = run_forward(bytes, at + 1 + arrow, MOST_GAP, |byte| byte == b' ');
    let mut from = at + 1 + arrow + gap;
    from += usize::from(byte_at(bytes, from) == b'\\');
    let quote = byte_at(bytes, from);
    let quoted = matches!(quote, b'"' | b'\'' | b'`');
    from += usize::from(quoted);
    let is_part = |byte: u8| {
        let always = byte > b' ' && byte != 0x7f && !matches!(byte, b'"' | b'\\' | b'`');
        let bare = quoted || !matches!(byte, b'\'' | b',' | b';' | b'&' | b'<' | b'>' | b'=' | b':');
        always && bare && !(quoted && byte == quote)
    };
    let length = run_forward(bytes, from, LONGEST_VALUE, is_part);
    // The padding of Base64 belongs to the value; any other sign would open a value of its own, so that no byte is part
    // of many.
    let padding = if quoted { 0 } else { run_forward(bytes, from + length, 2, |byte| byte == b'=') };
    let length = length + padding;
    let mut text = bytes.get(from..from + length).filter(|text| text.len() < LONGEST_VALUE)?;
    if quoted {
        // Blanks before the closing quote make a phrase of it.
        let closed = byte_at(bytes, from + length);
        return (closed == quote || closed == b'\\').then_some(Value { from, text, quoted });
    }
    while let [rest @ .., b'.' | b'!' | b'?' | b')' | b']' | b'}' | b':' | b'*'] = text {
        let ends_line = byte_at(bytes, from + text.len()) <= b' ';
        let punctuation = !text.ends_with(b"!") && !text.ends_with(b"*");
        if !punctuation || !ends_line && text.ends_with(b":") {
            break;
        }
        text = rest;
    }
    Some(Value { from, text, quoted })
}

/// Whether the value is a secret, as far as the name lets expect one.
fn secret(name: Name, value: &[u8], quoted: bool) -> bool {
    if values::is_placeholder(value) || !quoted && values::is_expression(value) {
        return false;
    }
    match name {
        Name::Password => value.len() >= 6 && values::chosen(value),
        Name::Token => value.len() >= 12 && values::random(value) && !is_reference(value),
        Name::Header => value.len() >= 12 && (values::random(value) || values::chosen(value)),
        Name::Azure => false,
    }
}

/// Whether the value names a place or a version rather than a secret: `https://..`, `/run/key-1.txt`, `v1.2.3`.
fn is_reference(value: &[u8]) -> bool {
    value.starts_with(b"/")
        || value.starts_with(b"./")
        || memchr::memmem::find(value, b"://").is_some()
        || value.iter().filter(|&&byte| byte == b'/').count() >= 3 && value.contains(&b'.')
}

/// The provider whose credential the name says the value is.
fn provider(bytes: &[u8], name_start: usize, at: usize, value: &[u8]) -> Option<SecretKind> {
    let name = bytes.get(name_start..at)?;
    let says = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if value.len() == 40 && says(b"aws") && value.iter().all(base64) && values::random(value) {
        return Some(SecretKind::AwsKey);
    }
    let hexadecimal = value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit) && values::random(value);
    (hexadecimal && says(b"twilio")).then_some(SecretKind::TwilioKey)
}

/// 32 or 64 bytes in Base64, as they are or with the signs of a URL.
fn azure(value: &[u8]) -> bool {
    let decoded = memchr::memchr_iter(b'%', value).count();
    let length = value.len() - 2 * decoded.min(value.len() / 3);
    let padded = value.ends_with(b"=") || value.ends_with(b"%3D") || value.ends_with(b"%3d");
    matches!(length, 44 | 88)
        && padded
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=%".contains(byte))
        && values::random(value)
}
