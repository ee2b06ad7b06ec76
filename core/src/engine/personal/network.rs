//! Addresses of machines: IP and MAC.

use super::PersonalKind;
use super::digits::{Phrase, closes};
use crate::engine::anchor::{byte_at, byte_back, byte_before, run_backward, run_forward, word_before};
use crate::engine::found::Finds;
use std::net::Ipv6Addr;

/// Words after which four numbers with dots are a version or the number of a section.
const VERSIONS: [&str; 20] = [
    "version", "versions", "ver", "v", "release", "build", "firmware", "rev", "revision", "driver", "patch",
    "sdk", "upgrade", "section", "sections", "sec", "chapter", "clause", "article", "figure",
];
const ADDRESSES: [&str; 9] = ["ip", "ips", "ipv4", "address", "host", "ping", "server", "client", "peer"];
const REACH: usize = 16;

/// Reports the IP address that starts with this run of digits.
pub(super) fn address(bytes: &[u8], phrase: &Phrase, run: usize, finds: &mut Finds<'_, PersonalKind>) {
    if !finds.wants(PersonalKind::IpAddress) {
        return;
    }
    if matches!(phrase.lengths(), [1..=3, 1..=3, 1..=3, 1..=3, ..]) && phrase.joined_by(4) == Some(b'.') {
        version_four(bytes, phrase, finds);
    } else if run <= 4 && matches!(byte_at(bytes, phrase.start), b'2' | b'3') {
        version_six(bytes, phrase.start, finds);
    }
}

fn version_four(bytes: &[u8], phrase: &Phrase, finds: &mut Finds<'_, PersonalKind>) {
    let mut octets = [0u8; 4];
    let mut rest = phrase.digits(4);
    for (octet, &length) in octets.iter_mut().zip(phrase.lengths()) {
        let (part, after) = rest.split_at(usize::from(length).min(rest.len()));
        let value = part.iter().fold(0u16, |value, &digit| value * 10 + u16::from(digit));
        let padded = part.len() > 1 && part.first() == Some(&0);
        let Some(value) = u8::try_from(value).ok().filter(|_| !padded) else { return };
        (*octet, rest) = (value, after);
    }
    let end = phrase.end(4);
    // A port or a path may follow, a fifth number or a word may not.
    let after = byte_at(bytes, end);
    let ends = after == b':' || after == b'/' || after == b'-' || closes(bytes, end);
    // Versions and object identifiers start with small numbers, addresses in use hardly ever do.
    let small = matches!(octets, [0..=9, 0..=9, ..]);
    let said_version = word_before(bytes, phrase.start, REACH, &VERSIONS);
    let said_address = word_before(bytes, phrase.start, REACH + 8, &ADDRESSES);
    if ends && public(octets) && !said_version && (!small || said_address) {
        finds.push(PersonalKind::IpAddress, phrase.start, end);
    }
}

/// Whether the address can belong to one host on the public internet (RFC 6890). Addresses that end in 0 name networks.
fn public(octets: [u8; 4]) -> bool {
    !matches!(
        octets,
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [.., 0]
    )
}

/// Global unicast addresses start with 2 or 3, so that a digit is always their first character.
fn version_six(bytes: &[u8], start: usize, finds: &mut Finds<'_, PersonalKind>) {
    const LONGEST: usize = 39;
    let first = run_forward(bytes, start, 5, |byte| byte.is_ascii_hexdigit());
    if first != 4 || byte_at(bytes, start + 4) != b':' {
        return;
    }
    let reach = run_forward(bytes, start, LONGEST + 1, |byte| byte.is_ascii_hexdigit() || byte == b':');
    let trailing =
        usize::from(byte_before(bytes, start + reach) == b':' && byte_back(bytes, start + reach, 2) != b':');
    let end = start + reach - trailing;
    let written = bytes.get(start..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("");
    let Ok(address) = written.parse::<Ipv6Addr>() else { return };
    let [first, second, ..] = address.segments();
    let groups = written.split(':').filter(|group| !group.is_empty()).count();
    let documentation = first == 0x2001 && second == 0x0db8 || first == 0x3fff && second < 0x1000;
    if !documentation && groups >= 3 && closes(bytes, end) {
        finds.push(PersonalKind::IpAddress, start, end);
    }
}

/// Looks at the `:` or `-` at `at` for the first separator of a MAC address; returns where to go on.
pub(super) fn separator(bytes: &[u8], at: usize, finds: &mut Finds<'_, PersonalKind>) -> usize {
    const LENGTH: usize = 17;
    let separator = byte_at(bytes, at);
    let Some(start) = at.checked_sub(2) else { return at + 1 };
    if byte_at(bytes, at + 3) != separator || !finds.wants(PersonalKind::MacAddress) {
        return at + 1;
    }
    let end = start + LENGTH;
    let Some(text) = bytes.get(start..end) else { return at + 1 };
    let shaped = text.iter().enumerate().all(|(place, &byte)| match place % 3 {
        2 => byte == separator,
        _ => byte.is_ascii_hexdigit(),
    });
    let (before, after) = (byte_before(bytes, start), byte_at(bytes, end));
    let outside = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'_' && byte != separator;
    let continued = after == separator && byte_at(bytes, end + 1).is_ascii_hexdigit();
    // The sign of "MAC:" is not one of the address, that of a pair of digits is.
    let word = run_backward(bytes, start.saturating_sub(1), 3, |byte| byte.is_ascii_alphanumeric());
    let opens = outside(before) || before == b':' && word != 2;
    let closes = outside(after) || after == separator && !continued;
    let mut pairs = text.chunks(3).map(|pair| pair.get(..2).unwrap_or_default());
    let first = pairs.next().unwrap_or_default();
    let varied = pairs.any(|pair| !pair.eq_ignore_ascii_case(first));
    if !(shaped && varied && opens && closes) {
        return at + 1;
    }
    finds.push(PersonalKind::MacAddress, start, end);
    end
}
