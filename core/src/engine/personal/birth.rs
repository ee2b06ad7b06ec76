//! Dates of birth.

use super::PersonalKind;
use super::digits::{Phrase, closes, opens};
use crate::engine::anchor::{byte_at, byte_before, run_backward, run_forward, word_before};
use crate::engine::checksum::number;
use crate::engine::found::Finds;

const BORN: [&str; 17] = [
    "born",
    "birth",
    "birthdate",
    "dob",
    "d.o.b",
    "birthday is",
    "birthday:",
    "birthday was",
    "geboren",
    "geb.",
    "geburtsdatum",
    "naissance",
    "nacimiento",
    "nacido",
    "nacida",
    "nascido",
    "nascimento",
];
/// How far before the date the word may stand.
const REACH: usize = 32;

pub(crate) const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reports the date of birth whose first number starts the phrase.
pub(super) fn date(bytes: &[u8], phrase: &Phrase, finds: &mut Finds<'_, PersonalKind>) {
    let first = phrase.lengths().first().copied().unwrap_or(0);
    if !matches!(first, 1 | 2 | 4) || !finds.wants(PersonalKind::DateOfBirth) {
        return;
    }
    let Some((start, end)) = numeric(bytes, phrase).or_else(|| worded(bytes, phrase, first)) else { return };
    if word_before(bytes, start, REACH, &BORN) {
        finds.push(PersonalKind::DateOfBirth, start, end);
    }
}

/// `1990-03-05`, `5.3.1990`, `03/05/90`.
fn numeric(bytes: &[u8], phrase: &Phrase) -> Option<(usize, usize)> {
    let separator = phrase.joined_by(3).filter(|&separator| matches!(separator, b'-' | b'/' | b'.'))?;
    let digits = phrase.digits(3);
    let &[one, two, three, ..] = phrase.lengths() else { return None };
    let (head, rest) = digits.split_at(usize::from(one).min(digits.len()));
    let (middle, tail) = rest.split_at(usize::from(two).min(rest.len()));
    let (head, middle, tail) = (number(head), number(middle), number(tail));
    let valid = match (one, two, three) {
        (4, 1..=2, 1..=2) => year(head) && month(middle) && day(tail),
        (1..=2, 1..=2, 4) => year(tail) && (day(head) && month(middle) || month(head) && day(middle)),
        (1..=2, 1..=2, 2) => separator != b'.' && (day(head) && month(middle) || month(head) && day(middle)),
        _ => false,
    };
    let end = phrase.end(3);
    (valid && opens(bytes, phrase.start) && closes(bytes, end)).then_some((phrase.start, end))
}

/// `5 March 1990`, `5th of March, 1990`, `March 5, 1990`.
fn worded(bytes: &[u8], phrase: &Phrase, first: u8) -> Option<(usize, usize)> {
    if !matches!(first, 1 | 2) || !day(number(phrase.digits(1))) {
        return None;
    }
    let mut at = phrase.end(1);
    let ordinal = bytes.get(at..at + 2).unwrap_or_default();
    if [b"st", b"nd", b"rd", b"th"].iter().any(|ending| ordinal.eq_ignore_ascii_case(&ending[..])) {
        at += 2;
    }
    if let Some(start) = month_before(bytes, phrase.start) {
        return Some((start, year_at(bytes, skip_gap(bytes, at))?));
    }
    at = skip_gap(bytes, at);
    if bytes.get(at..at + 3).is_some_and(|word| word.eq_ignore_ascii_case(b"of ")) {
        at += 3;
    }
    let length = run_forward(bytes, at, 10, |byte| byte.is_ascii_alphabetic());
    is_month(bytes.get(at..at + length)?).then_some(())?;
    Some((phrase.start, year_at(bytes, skip_gap(bytes, at + length))?))
}

/// The start of the name of a month right before `at`.
fn month_before(bytes: &[u8], at: usize) -> Option<usize> {
    let gap = run_backward(bytes, at, 2, |byte| byte == b' ' || byte == b'.');
    let length = run_backward(bytes, at - gap, 10, |byte| byte.is_ascii_alphabetic());
    let start = at - gap - length;
    is_month(bytes.get(start..at - gap)?).then_some(start)
}

fn is_month(word: &[u8]) -> bool {
    word.len() <= 9
        && word
            .get(..3)
            .is_some_and(|head| MONTHS.iter().any(|month| head.eq_ignore_ascii_case(month.as_bytes())))
}

/// Past at most three spaces, commas and dots.
fn skip_gap(bytes: &[u8], at: usize) -> usize {
    at + run_forward(bytes, at, 3, |byte| matches!(byte, b' ' | b',' | b'.'))
}

/// The end of the year that starts at `at`.
fn year_at(bytes: &[u8], at: usize) -> Option<usize> {
    let length = run_forward(bytes, at, 5, |byte| byte.is_ascii_digit());
    let value =
        bytes.get(at..at + length)?.iter().fold(0, |value, &byte| value * 10 + u64::from(byte - b'0'));
    let apart = byte_before(bytes, at) == b' ' && !byte_at(bytes, at + length).is_ascii_alphanumeric();
    (length == 4 && year(value) && apart).then_some(at + length)
}

fn day(value: u64) -> bool {
    (1..=31).contains(&value)
}

fn month(value: u64) -> bool {
    (1..=12).contains(&value)
}

/// Years in which somebody now living, or talked about as a person of today, was born.
fn year(value: u64) -> bool {
    (1900..=2035).contains(&value)
}
