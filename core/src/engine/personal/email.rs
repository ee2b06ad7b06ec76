//! Mail addresses, found at their `@`.

use super::PersonalKind;
use crate::engine::anchor::{after_escape, byte_at, byte_back, byte_before, run_backward, run_forward};
use crate::engine::found::Finds;

/// Limits of RFC 5321.
const LOCAL_LIMIT: usize = 64;
const DOMAIN_LIMIT: usize = 253;

/// Last labels that are file names or code far more often than domains: `icon@2x.png`.
const NO_DOMAINS: [&[u8]; 12] =
    [b"png", b"jpg", b"jpeg", b"gif", b"webp", b"svg", b"css", b"js", b"ts", b"json", b"html", b"local"];

/// Looks at the `@` at `at`; returns where to go on.
pub(super) fn at_sign(bytes: &[u8], at: usize, finds: &mut Finds<'_, PersonalKind>) -> usize {
    if !finds.wants(PersonalKind::Email) {
        return at + 1;
    }
    let Some(start) = local_start(bytes, at) else { return at + 1 };
    let Some(end) = domain_end(bytes, at + 1) else { return at + 1 };
    if bytes.get(start..at) == Some(b"git") || in_url(bytes, start) {
        return at + 1;
    }
    finds.push(PersonalKind::Email, start, end);
    end
}

/// The start of the local part that ends before `at`.
fn local_start(bytes: &[u8], at: usize) -> Option<usize> {
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-'&~".contains(&byte);
    let reach = run_backward(bytes, at, LOCAL_LIMIT + 1, is_local);
    let local = bytes.get(at - reach..at)?;
    let trimmed = local.iter().take_while(|byte| b".-'&%~+".contains(byte)).count();
    let start = at - reach + trimmed;
    let start = start + usize::from(after_escape(bytes, start + 1));
    let local = bytes.get(start..at)?;
    let dots = local.windows(2).any(|pair| pair == b"..") || local.ends_with(b".");
    (!local.is_empty() && local.len() <= LOCAL_LIMIT && !dots && byte_before(bytes, start) != b'@')
        .then_some(start)
}

/// The end of the domain that starts at `from`.
fn domain_end(bytes: &[u8], from: usize) -> Option<usize> {
    let reach =
        run_forward(bytes, from, DOMAIN_LIMIT + 1, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let run = bytes.get(from..from + reach)?;
    // A sentence may end right behind the address, and a hyphen may join it to the next word.
    let trailing = run.iter().rev().take_while(|&&byte| byte == b'.' || byte == b'-').count();
    let domain = run.get(..run.len() - trailing)?;
    let mut labels = domain.split(|&byte| byte == b'.');
    let first = labels.next()?;
    let top = labels.next_back()?;
    let version = first.iter().all(u8::is_ascii_digit) && labels.next().is_some();
    let whole = domain
        .split(|&byte| byte == b'.')
        .all(|label| (1..=63).contains(&label.len()) && !label.starts_with(b"-") && !label.ends_with(b"-"));
    let letters = top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic)
        || top.len() > 4 && top.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"));
    let file = NO_DOMAINS.iter().any(|ending| top.eq_ignore_ascii_case(ending));
    let end = from + domain.len();
    let goes_on = matches!(byte_at(bytes, end), b'(' | b'_' | b'@');
    (domain.len() <= DOMAIN_LIMIT && whole && letters && !version && !file && !goes_on).then_some(end)
}

/// Whether a name at `start` is the user or password of a URL: `https://user:word@host.example`.
fn in_url(bytes: &[u8], start: usize) -> bool {
    const REACH: usize = 80;
    match byte_before(bytes, start) {
        b'/' => byte_back(bytes, start, 2) == b'/',
        b':' => {
            let reach = run_backward(bytes, start, REACH, |byte| byte.is_ascii_graphic() && byte != b'"');
            bytes.get(start - reach..start).is_some_and(|before| before.windows(3).any(|part| part == b"://"))
        }
        _ => false,
    }
}
