//! Payment cards, bank accounts and wallets.

use super::PersonalKind;
use super::digits::{Phrase, closes};
use crate::engine::anchor::{byte_at, byte_before, run_forward, word_before};
use crate::engine::checksum;
use crate::engine::found::Finds;

/// Words that announce a card, and how far before its number they may stand.
const NAMES: [&str; 6] = ["card", "visa", "maestro", "unionpay", "discover", "pan"];
const REACH: usize = 32;

/// Reports the payment card that starts the phrase.
pub(super) fn card(bytes: &[u8], phrase: &Phrase, finds: &mut Finds<'_, PersonalKind>) {
    if !finds.wants(PersonalKind::CreditCard) {
        return;
    }
    let groups = match phrase.lengths() {
        [14..=16, ..] => 1,
        // Numbers of 64 bits have as many digits.
        [17..=19, ..] if word_before(bytes, phrase.start, REACH, &NAMES) => 1,
        [4, 4, 4, 4, 3, ..] => 5,
        [4, 4, 4, 4, ..] => 4,
        [4, 6, 4 | 5, ..] => 3,
        _ => return,
    };
    // A verification code of three digits may follow sixteen digits with the same separator.
    let options = if groups == 5 { 4..=5 } else { groups..=groups };
    for groups in options.rev() {
        let digits = phrase.digits(groups);
        let joined = matches!(phrase.joined_by(groups), Some(0 | b' ' | b'-' | b'.'));
        let end = phrase.end(groups);
        if joined && issued(digits) && checksum::luhn(digits) && closes_card(bytes, end) {
            finds.push(PersonalKind::CreditCard, phrase.start, end);
            return;
        }
    }
}

/// Like [`closes`], but an expiry date or a code may be joined by a hyphen: only the longest runs of digits are numbers of
/// another sort.
fn closes_card(bytes: &[u8], end: usize) -> bool {
    let joined = byte_at(bytes, end) == b'-' && byte_at(bytes, end + 1).is_ascii_digit();
    let code = run_forward(bytes, end + 1, 5, |byte| byte.is_ascii_digit());
    closes(bytes, end) || joined && code == 3
}

/// Whether an issuer has the prefix, for numbers of this length.
fn issued(digits: &[u8]) -> bool {
    let prefix = |length: usize| digits.get(..length).map_or(0, checksum::number);
    let (two, three, four, six) = (prefix(2), prefix(3), prefix(4), prefix(6));
    match digits.len() {
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            matches!(two, 40..=49 | 51..=55 | 65 | 81)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011 | 2200..=2204)
                || matches!(three, 644..=649)
                || matches!(six, 622_126..=622_925)
                || maestro(four)
        }
        19 => matches!(two, 40..=49 | 62 | 65) || matches!(four, 6011 | 3528..=3589) || maestro(four),
        17 | 18 => two == 62 || maestro(four),
        _ => false,
    }
}

fn maestro(four: u64) -> bool {
    matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763)
}

/// Countries with an IBAN and its length, from the SWIFT registry (release 99).
const IBAN_LENGTHS: &[(&[u8; 2], u8)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];
const LONGEST_IBAN: usize = 33;

/// Reports the IBAN whose two check digits start the run at `digits`.
pub(super) fn iban(bytes: &[u8], digits: usize, run: usize, finds: &mut Finds<'_, PersonalKind>) {
    let Some(start) = digits.checked_sub(2).filter(|_| run >= 2 && finds.wants(PersonalKind::Iban)) else {
        return;
    };
    let Some(country) = bytes.get(start..digits) else { return };
    let before = byte_before(bytes, start);
    if before.is_ascii_alphanumeric() || before == b'_' {
        return;
    }
    let Some(&(_, length)) = IBAN_LENGTHS.iter().find(|(code, _)| country.eq_ignore_ascii_case(&code[..]))
    else {
        return;
    };
    let lower = country.iter().all(u8::is_ascii_lowercase);
    let upper = country.iter().all(u8::is_ascii_uppercase);
    let length = usize::from(length);
    let mut characters = [0u8; LONGEST_IBAN];
    let (mut filled, mut at) = (0, start);
    while filled < length {
        let byte = byte_at(bytes, at);
        let fits =
            byte.is_ascii_digit() || upper && byte.is_ascii_uppercase() || lower && byte.is_ascii_lowercase();
        let gap = matches!(byte, b' ' | b'-') && filled % 4 == 0 && filled > 0;
        match characters.get_mut(filled) {
            Some(character) if fits => (*character, filled) = (byte, filled + 1),
            Some(_) if gap && byte_before(bytes, at).is_ascii_alphanumeric() => {}
            _ => return,
        }
        at += 1;
    }
    if closes(bytes, at) && characters.get(..length).is_some_and(checksum::iban) {
        finds.push(PersonalKind::Iban, start, at);
    }
}

/// Reports the wallet whose first digit is at `digit`: the `1` or `3` that opens a Base58 address, or the `1` behind the
/// prefix of a Bech32 address.
pub(super) fn wallet(bytes: &[u8], digit: usize, finds: &mut Finds<'_, PersonalKind>) {
    let first = byte_at(bytes, digit);
    if !matches!(first, b'1' | b'3') || !finds.wants(PersonalKind::CryptoWallet) {
        return;
    }
    let tail = run_forward(bytes, digit, 65, |byte| byte.is_ascii_alphanumeric());
    let end = digit + tail;
    let Some(token) = bytes.get(digit..end) else { return };
    if byte_at(bytes, end) == b'_' || tail < 26 {
        return;
    }
    let before = byte_before(bytes, digit);
    if !before.is_ascii_alphanumeric() {
        let bare = before != b'_' && (26..=35).contains(&tail);
        if bare && matches!(checksum::base58check(token), Some(0 | 5)) {
            finds.push(PersonalKind::CryptoWallet, digit, end);
        }
        return;
    }
    let prefixes = [&b"bc"[..], b"ltc"];
    for prefix in prefixes.iter().filter(|_| first == b'1') {
        let Some(start) = digit.checked_sub(prefix.len()) else { continue };
        let Some(written) = bytes.get(start..digit) else { continue };
        let outside = byte_before(bytes, start);
        let single_case =
            !token.iter().any(u8::is_ascii_uppercase) || !token.iter().any(u8::is_ascii_lowercase);
        if written.eq_ignore_ascii_case(prefix)
            && single_case
            && !outside.is_ascii_alphanumeric()
            && outside != b'_'
            && matches!(tail, 40 | 60)
            && checksum::bech32(prefix, token.iter().skip(1).map(u8::to_ascii_lowercase))
        {
            finds.push(PersonalKind::CryptoWallet, start, end);
        }
    }
}
