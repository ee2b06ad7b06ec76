//! Tokens that a registered prefix introduces.

use super::SecretKind;
use crate::engine::anchor::{
    after_escape, begins_word, byte_at, byte_before, is_word, run_backward, run_forward,
};
use crate::engine::checksum;
use crate::engine::found::Finds;

/// Longer than any token of these families; a run that goes on is something else.
const LONGEST: usize = 400;
/// The longest text before the first mark of a token.
const LONGEST_STEM: usize = 8;

/// Looks at the `_` or `-` at `at` for a token whose prefix it belongs to; returns where to go on.
pub(super) fn at_mark(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> usize {
    if !is_word(byte_at(bytes, at + 1)) {
        return at + 1;
    }
    let mut length = run_backward(bytes, at, LONGEST_STEM + 2, is_word);
    if length > 1 && begins_word(bytes, at + 1 - length) && is_word(byte_before(bytes, at + 1 - length)) {
        length -= 1;
    }
    if !(2..=LONGEST_STEM).contains(&length) {
        return at + 1;
    }
    let start = at - length;
    let end = at + 1 + run_forward(bytes, at + 1, LONGEST, is_word);
    let (Some(stem), Some(body)) = (bytes.get(start..at), bytes.get(at + 1..end)) else { return at + 1 };
    let kind =
        if byte_at(bytes, at) == b'_' { after_underscore(stem, body) } else { after_hyphen(stem, body) };
    let Some(kind) = kind.filter(|_| body.len() < LONGEST) else { return at + 1 };
    finds.push(kind, start, end);
    end
}

/// The kind of the token `stem_body`.
fn after_underscore(stem: &[u8], body: &[u8]) -> Option<SecretKind> {
    let (kind, fits) = match stem {
        b"ghp" | b"gho" | b"ghu" | b"ghs" | b"ghr" => (SecretKind::GithubToken, github(body)),
        b"github" => (SecretKind::GithubToken, body.strip_prefix(b"pat_").is_some_and(github_fine_grained)),
        b"sk" | b"rk" => {
            let rest =
                [&b"live_"[..], b"test_", b"org_live_"].iter().find_map(|mode| body.strip_prefix(*mode));
            (SecretKind::StripeKey, rest.is_some_and(|key| key.len() >= 16 && plain(key) && mixed(key)))
        }
        b"whsec" => (SecretKind::StripeKey, body.len() >= 32 && plain(body) && mixed(body)),
        b"hf" => (SecretKind::HuggingfaceToken, hugging_face(body)),
        b"api" => (SecretKind::HuggingfaceToken, body.strip_prefix(b"org_").is_some_and(hugging_face)),
        b"npm" => (SecretKind::NpmToken, body.len() == 36 && plain(body) && mixed(body)),
        _ => return None,
    };
    fits.then_some(kind)
}

/// The kind of the token `stem-body`.
fn after_hyphen(stem: &[u8], body: &[u8]) -> Option<SecretKind> {
    let (kind, fits) = match stem {
        b"sk" => match body.strip_prefix(b"ant-") {
            Some(rest) => (SecretKind::AnthropicKey, anthropic(rest)),
            None => (SecretKind::OpenaiKey, openai(body)),
        },
        b"glpat" | b"gldt" | b"glrt" | b"glptt" | b"glft" | b"glsoat" | b"glcbt" | b"glimt" | b"glagent"
        | b"gloas" => (SecretKind::GitlabToken, body.len() >= 20 && mixed(body)),
        b"xoxb" | b"xoxp" | b"xoxa" | b"xoxr" | b"xoxs" | b"xapp" => (SecretKind::SlackToken, slack(body)),
        b"GOCSPX" => (SecretKind::GoogleApiKey, body.len() == 28 && mixed(body)),
        b"pypi" => (SecretKind::PypiToken, pypi(body)),
        _ => return None,
    };
    fits.then_some(kind)
}

fn github(body: &[u8]) -> bool {
    body.len() == 36 && checksum::base62_crc(body)
}

fn github_fine_grained(body: &[u8]) -> bool {
    body.len() == 82 && body.get(22) == Some(&b'_') && !body.contains(&b'-') && mixed(body)
}

fn openai(body: &[u8]) -> bool {
    let scoped =
        [&b"proj-"[..], b"svcacct-", b"admin-", b"None-"].iter().find_map(|scope| body.strip_prefix(*scope));
    match scoped {
        Some(key) => key.len() >= 40 && mixed(key),
        None => body.len() == 48 && plain(body) && mixed(body),
    }
}

/// "pypi.org" or "test.pypi.org" is the first field of the macaroon.
fn pypi(body: &[u8]) -> bool {
    body.len() >= 80 && (body.starts_with(b"AgEIcHlwaS5vcmc") || body.starts_with(b"AgENdGVzdC5weXBpLm9yZ"))
}

fn hugging_face(body: &[u8]) -> bool {
    body.len() == 34
        && plain(body)
        && body.iter().any(u8::is_ascii_lowercase)
        && body.iter().any(u8::is_ascii_uppercase)
        && varied(body)
}

fn anthropic(body: &[u8]) -> bool {
    let issue = body.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let (issue, rest) = body.split_at(issue);
    let known = matches!(issue, b"api" | b"admin" | b"oat" | b"ort" | b"sid");
    let version = matches!(rest, [b'0'..=b'9', b'0'..=b'9', b'-', ..]);
    known && version && rest.len() >= 80 && mixed(rest)
}

fn slack(body: &[u8]) -> bool {
    let numbers = body.split(|&byte| byte == b'-').filter(|part| part.iter().any(u8::is_ascii_digit)).count();
    body.len() >= 24 && numbers >= 2 && mixed(body)
}

fn plain(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_alphanumeric)
}

/// Letters and digits, as random text of some length has and names do not.
fn mixed(body: &[u8]) -> bool {
    body.iter().any(u8::is_ascii_digit) && body.iter().any(u8::is_ascii_alphabetic) && varied(body)
}

/// At least eight different characters: not `xxxxxxxx` or `00000000`.
fn varied(body: &[u8]) -> bool {
    let seen = body.iter().fold(0u128, |seen, &byte| seen | 1 << (byte & 127));
    seen.count_ones() >= 8
}

/// Looks at the `A`, `G` or `K` at `at` for a token that its capitals introduce; returns where to go on.
pub(super) fn at_capital(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let (kind, start, length) = match rest {
        [b'A', b'K' | b'S', b'I', b'A', ..] | [b'A', b'B', b'I', b'A', ..] | [b'A', b'C', b'C', b'A', ..] => {
            (SecretKind::AwsKey, at, 20)
        }
        [b'A', b'I', b'z', b'a', ..] => (SecretKind::GoogleApiKey, at, 39),
        [b'G', b'.', ..] if byte_before(bytes, at) == b'S' => (SecretKind::SendgridKey, at - 1, 69),
        [b'K', b'0'..=b'9' | b'a'..=b'f', ..] if byte_before(bytes, at) == b'S' => {
            (SecretKind::TwilioKey, at - 1, 34)
        }
        _ => return at + 1,
    };
    let end = start + length;
    let Some(token) = bytes.get(start..end) else { return at + 1 };
    let (_, body) = token.split_at(token.len().min(4));
    let fits = match kind {
        SecretKind::AwsKey => body.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')),
        SecretKind::GoogleApiKey => body.iter().copied().all(is_word) && mixed(body),
        SecretKind::SendgridKey => {
            let mut parts = token.split(|&byte| byte == b'.').map(<[u8]>::len);
            let lengths = (parts.next(), parts.next(), parts.next(), parts.next());
            lengths == (Some(2), Some(22), Some(43), None)
                && token.iter().all(|&byte| is_word(byte) || byte == b'.')
                && mixed(body)
        }
        _ => token.iter().skip(2).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && mixed(body),
    };
    let apart = begins_word(bytes, start) && !is_word(byte_at(bytes, end));
    if !(fits && apart && varied(body)) {
        return at + 1;
    }
    finds.push(kind, start, end);
    end
}

/// Looks at the `J` at `at` for the mark `JQQJ99` inside a key of an Azure AI service; returns where to go on.
pub(super) fn azure_service(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> usize {
    const MARK: &[u8] = b"JQQJ99";
    const BEFORE: usize = 52;
    const LENGTH: usize = 84;
    let marked = bytes.get(at..).is_some_and(|rest| rest.starts_with(MARK));
    let Some(start) = at.checked_sub(BEFORE).filter(|_| marked) else { return at + 1 };
    let end = start + LENGTH;
    let apart = begins_word(bytes, start) && !is_word(byte_at(bytes, end));
    if !(apart && bytes.get(start..end).is_some_and(plain)) {
        return at + 1;
    }
    finds.push(SecretKind::AzureKey, start, end);
    end
}

/// Looks at the `~` at `at` for the mark `Q~` inside the secret of an Azure application; returns where to go on.
pub(super) fn azure_application(bytes: &[u8], at: usize, finds: &mut Finds<'_, SecretKind>) -> usize {
    let is_part = |byte: u8| is_word(byte) || byte == b'.' || byte == b'~';
    let reach = run_backward(bytes, at, 7, is_part);
    let Some(start) = at.checked_sub(5).filter(|_| byte_before(bytes, at) == b'Q') else { return at + 1 };
    if reach != 5 && !(reach == 6 && after_escape(bytes, start)) {
        return at + 1;
    }
    let length = run_forward(bytes, at + 1, 40, is_part);
    let body = bytes.get(at + 1..at + 1 + length).unwrap_or_default();
    let end = at + 1 + length - usize::from(body.ends_with(b"."));
    let digit = byte_at(bytes, start + 3).is_ascii_digit();
    if !(digit && (31..=34).contains(&(end - at - 1)) && mixed(body)) {
        return at + 1;
    }
    finds.push(SecretKind::AzureKey, start, end);
    end
}
