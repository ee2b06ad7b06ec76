//! Credentials with an inner structure: private keys, JSON web tokens, URLs with a password.

use super::SecretKind;
use super::values;
use crate::engine::anchor::{begins_word, byte_at, byte_before, is_word, run_backward, run_forward};
use crate::engine::found::Finds;

/// Looks at the `-` at `at` for the head of a PEM private key. `None` if it is no head of one.
pub(super) fn pem(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> Option<usize> {
    const HEAD: &[u8] = b"-----BEGIN ";
    const DASHES: &[u8] = b"-----";
    const LONGEST_TITLE: usize = 40;
    /// Fewer characters than any key has; an ellipsis or an explanation has none.
    const SHORTEST_BODY: usize = 40;
    if byte_before(bytes, at) == b'-' || !bytes.get(at..)?.starts_with(HEAD) {
        return None;
    }
    let title_at = at + HEAD.len();
    let title_length =
        run_forward(bytes, title_at, LONGEST_TITLE, |byte| byte.is_ascii_uppercase() || byte == b' ');
    let title = bytes.get(title_at..title_at + title_length)?;
    let private = title.ends_with(b"PRIVATE KEY") || title.ends_with(b"PRIVATE KEY BLOCK");
    let body_at = title_at + title_length + DASHES.len();
    if !private || !bytes.get(title_at + title_length..)?.starts_with(DASHES) {
        return None;
    }
    let rest = bytes.get(body_at..)?;
    let body_length = memchr::memmem::find(rest, DASHES);
    let body = rest.get(..body_length.unwrap_or(rest.len()))?;
    let is_body = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n\\ \t:,.-()\"'".contains(&byte);
    let written = body.iter().take_while(|&&byte| is_body(byte)).count();
    let dense = body.iter().take(written).filter(|byte| byte.is_ascii_alphanumeric()).count();
    let run =
        body.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/".contains(byte))).map(<[u8]>::len).max();
    if dense < SHORTEST_BODY || run < Some(24) || !finds.wants(SecretKind::PrivateKey) {
        return Some(body_at);
    }
    let end = match body_length.and_then(|length| rest.get(length..)) {
        Some(tail) if written == body.len() && tail.starts_with(b"-----END ") => {
            let foot = body_at + written + HEAD.len() - 2;
            let title =
                run_forward(bytes, foot, LONGEST_TITLE, |byte| byte.is_ascii_uppercase() || byte == b' ');
            foot + title + run_forward(bytes, foot + title, DASHES.len(), |byte| byte == b'-')
        }
        _ => body_at + body.get(..written)?.trim_ascii_end().len(),
    };
    finds.push(SecretKind::PrivateKey, at, end);
    Some(end)
}

/// Looks at the `J` at `at` for the start `eyJ` (that is, `{"`) of a JSON web token. `None` if it is none.
pub(super) fn jwt(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> Option<usize> {
    const LONGEST: usize = 8192;
    let start = at.checked_sub(2).filter(|&start| bytes.get(start..at) == Some(b"ey"))?;
    if !begins_word(bytes, start) || !finds.wants(SecretKind::Jwt) {
        return None;
    }
    let mut lengths = [0usize; 5];
    let (mut parts, mut end) = (0, start);
    for length in &mut lengths {
        *length = run_forward(bytes, end, LONGEST, is_word);
        (parts, end) = (parts + 1, end + *length);
        if byte_at(bytes, end) != b'.'
            || !(is_word(byte_at(bytes, end + 1)) || byte_at(bytes, end + 1) == b'.')
        {
            break;
        }
        end += 1;
    }
    // Signed: header, claims, signature. Encrypted: header, key (may be empty), vector, text, tag.
    let [header, second, third, ..] = lengths;
    let (parts, end) = match parts {
        3 | 4 => (3, start + header + second + third + 2),
        parts => (parts, end),
    };
    let sized = match parts {
        3 => second >= 4 && third >= 20,
        5 => third >= 8,
        _ => false,
    };
    let header = bytes.get(start..start + header)?;
    if !(sized && names_algorithm(header)) || byte_before(bytes, end) == b'.' {
        return None;
    }
    finds.push(SecretKind::Jwt, start, end);
    Some(end)
}

/// Whether the Base64 of the header contains the key `"alg"`.
fn names_algorithm(header: &[u8]) -> bool {
    const LONGEST: usize = 1024;
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'-' => 62,
        _ => 63,
    };
    // The last five decoded characters, as one number.
    let mut window = 0u64;
    let mut found = false;
    let wanted = b"\"alg\"".iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    let mut push = |byte: u32| {
        window = (window << 8 | u64::from(byte & 0xff)) & 0xff_ffff_ffff;
        found |= window == wanted;
    };
    for four in header.get(..header.len().min(LONGEST)).unwrap_or_default().chunks(4) {
        let bits = four.iter().fold(0, |bits, &byte| bits << 6 | value(byte)) << (6 * (4 - four.len()));
        push(bits >> 16);
        push(bits >> 8);
        push(bits);
    }
    found
}

/// Looks at the `:` at `at` for a URL with a password, or for the address of a Slack webhook. `None` if it is neither.
pub(super) fn url(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> Option<usize> {
    const LONGEST_SCHEME: usize = 24;
    const LONGEST_NAME: usize = 256;
    let from = at + 3;
    let scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
    let length = run_backward(bytes, at, LONGEST_SCHEME, scheme);
    if bytes.get(at..from)? != b"://" || length < 2 {
        return None;
    }
    let start = at - length;
    let start = start + usize::from(after_backslash(bytes, start));
    let webhook = bytes.get(from..)?;
    if webhook.starts_with(b"hooks.slack.com/") {
        let end = from
            + run_forward(bytes, from, LONGEST_NAME, |byte| is_word(byte) || matches!(byte, b'.' | b'/'));
        let path = bytes.get(from..end)?;
        let last = path.rsplit(|&byte| byte == b'/').next()?;
        if last.len() >= 20 && values::random(last) {
            finds.push(SecretKind::SlackToken, start, end);
            return Some(end);
        }
    }
    let is_part = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'/' | b'@' | b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`')
    };
    let user = run_forward(bytes, from, LONGEST_NAME, |byte| is_part(byte) && byte != b':');
    let password_at = from + user + 1;
    if byte_at(bytes, from + user) != b':' {
        return None;
    }
    let password_length = run_forward(bytes, password_at, LONGEST_NAME, is_part);
    let host_at = password_at + password_length + 1;
    let password = bytes.get(password_at..password_at + password_length)?;
    let host = run_forward(bytes, host_at, LONGEST_NAME, |byte| scheme(byte) || b"_:,[]".contains(&byte));
    if byte_at(bytes, password_at + password_length) != b'@'
        || host == 0
        || password.len() < 3
        || values::is_placeholder(password)
    {
        return None;
    }
    let host = bytes.get(host_at..host_at + host)?;
    let trailing = host.iter().rev().take_while(|byte| matches!(byte, b'.' | b',' | b':' | b']')).count();
    let end = host_at + host.len() - trailing;
    finds.push(SecretKind::ConnectionString, start, end);
    // What follows the host may assign further secrets.
    Some(end)
}

/// Whether the scheme begins with the letter of an escaped line break.
fn after_backslash(bytes: &[u8], start: usize) -> bool {
    byte_before(bytes, start) == b'\\' && matches!(byte_at(bytes, start), b'n' | b'r' | b't')
}
