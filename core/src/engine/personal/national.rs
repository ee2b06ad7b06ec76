//! Numbers that states give to persons.

use super::PersonalKind;
use super::digits::{Phrase, closes, opens};
use crate::engine::anchor::{byte_at, byte_back, byte_before, word_before};
use crate::engine::checksum;
use crate::engine::found::Finds;

/// How far before a number a word may stand that says what it is.
const REACH: usize = 40;

/// Reports the national number that starts the phrase, for those that consist of digits alone.
pub(super) fn grouped(bytes: &[u8], phrase: &Phrase, finds: &mut Finds<'_, PersonalKind>) {
    use PersonalKind::{BrCpf, DeTaxId, InAadhaar, UkNhs, UsSsn};
    let said = |words: &[&str]| word_before(bytes, phrase.start, REACH, words);
    let mut report = |kind, groups, valid: &dyn Fn(&[u8]) -> bool| {
        if finds.wants(kind) && phrase.alone(bytes, groups) && valid(phrase.digits(groups)) {
            finds.push(kind, phrase.start, phrase.end(groups));
        }
    };
    let separator = |groups| phrase.joined_by(groups);
    match phrase.lengths() {
        [3, 2, 4, ..] if matches!(separator(3), Some(b'-' | b' ')) => report(UsSsn, 3, &ssn),
        [9, 2, ..] if separator(2) == Some(b'-') => report(BrCpf, 2, &|digits| cpf(digits) && said(&["cpf"])),
        [9, ..] => report(UsSsn, 1, &|digits| ssn(digits) && said(&["ssn", "social security", "ss#"])),
        [3, 3, 4, ..] if separator(3) == Some(b' ') => report(UkNhs, 3, &|digits| {
            let range = matches!(digits, [4 | 9, ..] | [6, ..] | [7, 0, ..]);
            nhs(digits)
                && (said(&["nhs"]) || range && !said(&["phone", "tel", "call", "mobile", "fax", "cell"]))
        }),
        [3, 3, 4, ..] if separator(3) == Some(b'-') => {
            report(UkNhs, 3, &|digits| nhs(digits) && said(&["nhs"]))
        }
        [10, ..] => report(UkNhs, 1, &|digits| nhs(digits) && said(&["nhs"])),
        [2, 3, 3, 3, ..] if separator(4) == Some(b' ') => report(DeTaxId, 4, &german),
        [3, 3, 3, 2, ..] if phrase.separator(1) == b'.' && phrase.separator(2) == b'.' => {
            if matches!(phrase.separator(3), b'-' | b'/') {
                report(BrCpf, 4, &cpf);
            }
        }
        [11, ..] => {
            report(DeTaxId, 1, &german);
            report(BrCpf, 1, &|digits| cpf(digits) && said(&["cpf"]));
        }
        [4, 4, 4, ..] if matches!(separator(3), Some(b' ' | b'-')) => report(InAadhaar, 3, &aadhaar),
        [12, ..] => report(InAadhaar, 1, &|digits| {
            aadhaar(digits) && said(&["aadhaar", "aadhar", "adhaar", "uidai", "uid"])
        }),
        _ => {}
    }
}

/// The ranges that were never issued: area 000, 666 and 900 to 999, group 00, serial 0000.
fn ssn(digits: &[u8]) -> bool {
    let part = |range: std::ops::Range<usize>| digits.get(range).map_or(0, checksum::number);
    let area = part(0..3);
    area != 0 && area != 666 && area < 900 && part(3..5) != 0 && part(5..9) != 0
}

fn nhs(digits: &[u8]) -> bool {
    digits.try_into().is_ok_and(checksum::nhs)
}

fn german(digits: &[u8]) -> bool {
    digits.try_into().is_ok_and(checksum::german_tax_id)
}

fn cpf(digits: &[u8]) -> bool {
    digits.try_into().is_ok_and(checksum::cpf)
}

fn aadhaar(digits: &[u8]) -> bool {
    let varied = digits.iter().any(|digit| Some(digit) != digits.first());
    varied && matches!(digits, [2..=9, ..]) && checksum::verhoeff(digits)
}

/// Reports a Spanish DNI (eight digits and a letter) or NIE (X, Y or Z, seven digits and a letter).
pub(super) fn spanish(bytes: &[u8], digits: usize, run: usize, finds: &mut Finds<'_, PersonalKind>) {
    if !matches!(run, 7 | 8) || !finds.wants(PersonalKind::EsDni) {
        return;
    }
    let after = digits + run;
    let letter = after + usize::from(byte_at(bytes, after) == b'-');
    let end = letter + 1;
    let value = bytes.get(digits..after).unwrap_or_default();
    let value = value.iter().fold(0u64, |value, byte| value * 10 + u64::from(byte.wrapping_sub(b'0')));
    let (start, value) = if run == 8 {
        (digits, value)
    } else {
        let dash = usize::from(byte_before(bytes, digits) == b'-');
        let leading = match byte_back(bytes, digits, dash + 1) {
            letter @ b'X'..=b'Z' => u64::from(letter - b'X'),
            _ => return,
        };
        (digits - dash - 1, leading * 10_000_000 + value)
    };
    if opens(bytes, start) && closes(bytes, end) && byte_at(bytes, letter) == checksum::dni_letter(value) {
        finds.push(PersonalKind::EsDni, start, end);
    }
}

/// Where a separator may stand in a French number: sex, year, month, department, commune, order, key.
const FRENCH_GAPS: [usize; 6] = [1, 3, 5, 7, 10, 13];

/// Reports a French social security number. Its department may be `2A` or `2B`, which count as 19 and 18.
pub(super) fn french(bytes: &[u8], start: usize, run: usize, finds: &mut Finds<'_, PersonalKind>) {
    let written =
        matches!(run, 1 | 6 | 13 | 15) && matches!(byte_at(bytes, start), b'1'..=b'4' | b'7' | b'8');
    if !written || !finds.wants(PersonalKind::FrInsee) {
        return;
    }
    let mut digits = [0u8; 15];
    let (mut filled, mut at) = (0, start);
    while let Some(digit) = digits.get_mut(filled) {
        let byte = byte_at(bytes, at);
        let corsica = filled == 6 && byte_before(bytes, at) == b'2';
        match byte {
            b'0'..=b'9' => (*digit, filled) = (byte - b'0', filled + 1),
            b'A' | b'B' if corsica => {
                *digit = if byte == b'A' { 9 } else { 8 };
                if let Some(tens) = digits.get_mut(5) {
                    *tens = 1;
                }
                filled += 1;
            }
            b' ' | b'.' | b'-'
                if FRENCH_GAPS.contains(&filled) && byte_before(bytes, at).is_ascii_alphanumeric() => {}
            _ => return,
        }
        at += 1;
    }
    let (body, key) = digits.split_at(13);
    let month = body.get(3..5).map_or(0, checksum::number);
    let valid = matches!(month, 1..=12 | 20..=42 | 50..=99);
    if valid && closes(bytes, at) && checksum::number(key) + checksum::number(body) % 97 == 97 {
        finds.push(PersonalKind::FrInsee, start, at);
    }
}
