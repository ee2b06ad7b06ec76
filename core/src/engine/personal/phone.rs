//! Telephone numbers.

use super::PersonalKind;
use super::digits::{Phrase, closes, opens};
use crate::engine::anchor::{byte_at, byte_back, byte_before, free_word_before, word_before};
use crate::engine::found::Finds;

/// Words that announce a number.
const NAMES: [&str; 17] = [
    "phone",
    "phones",
    "telephone",
    "tel",
    "cell",
    "cellphone",
    "mobile",
    "mob",
    "fax",
    "whatsapp",
    "hotline",
    "helpline",
    "telefon",
    "handy",
    "telefono",
    "celular",
    "landline",
];
/// Words that announce a number in a sentence, and mean something else in an identifier.
const VERBS: [&str; 8] = ["call", "calls", "text me", "text us", "sms", "dial", "contact", "number is"];
const REACH: usize = 24;

/// Reports the telephone number that starts the phrase.
pub(super) fn number(bytes: &[u8], phrase: &Phrase, finds: &mut Finds<'_, PersonalKind>) {
    let total = phrase.digits(phrase.lengths().len()).len();
    if !finds.wants(PersonalKind::Phone) || total < 7 {
        return;
    }
    let before = byte_before(bytes, phrase.start);
    let found = match before {
        b'+' => international(bytes, phrase),
        b'(' => national(bytes, phrase).filter(|_| phrase.separator(1) == b'('),
        _ if !opens(bytes, phrase.start) || phrase.continues(bytes) => None,
        _ => national(bytes, phrase).or_else(|| announced(bytes, phrase)),
    };
    let Some(groups) = found else { return };
    let plus = before == b'+' || before == b'(' && phrase.separator(1) == b'(';
    let start = phrase.start - usize::from(plus);
    let start = if byte_before(bytes, start) == b'(' && before == b'+' { start - 1 } else { start };
    finds.push(PersonalKind::Phone, start, phrase.end(groups));
}

/// The number of groups of an international number after its `+`.
fn international(bytes: &[u8], phrase: &Phrase) -> Option<usize> {
    let outside = byte_back(bytes, phrase.start, 2);
    let groups = whole(bytes, phrase)?;
    let digits = phrase.digits(groups);
    let round = digits.ends_with(&[0, 0, 0, 0, 0]);
    let north_america = matches!(digits, [1, ..]);
    let planned = if north_america {
        matches!(digits, [1, area @ 2..=9, _, _, 2..=9, ..] if digits.len() == 11 && *area > 1)
    } else {
        !digits.starts_with(&[0]) && (9..=15).contains(&digits.len())
    };
    // `+1.5` is a signed decimal: dots join numbers only in three groups or more.
    let dotted = (1..groups).any(|group| phrase.separator(group) == b'.');
    let decimal = dotted && groups < 3;
    // Years of more than four digits carry a sign in ISO 8601: `+12024-12-31`.
    let date = phrase.separator(1) == b'-' && phrase.lengths().first() > Some(&4);
    let sum = outside.is_ascii_alphanumeric() || matches!(outside, b')' | b'+');
    (planned && !round && !decimal && !date && !sum).then_some(groups)
}

/// The number of groups of a number in one of the usual national forms.
fn national(bytes: &[u8], phrase: &Phrase) -> Option<usize> {
    let groups = whole(bytes, phrase)?;
    let lengths = phrase.lengths().get(..groups)?;
    let digits = phrase.digits(groups);
    let joint = phrase.joined_by(groups);
    let area = |digits: &[u8]| matches!(digits, [2..=9, b, c, 2..=9, ..] if !(*b == 1 && *c == 1));
    let fits = match lengths {
        [3, 3, 4] => {
            let paired = phrase.separator(1) == b'(' && matches!(phrase.separator(2), b'-' | b' ' | b'.');
            area(digits) && (paired || matches!(joint, Some(b'-' | b'.' | b' ')))
        }
        [1, 3, 3, 4] => matches!(digits, [1, rest @ ..] if area(rest)) && phrase.separator(2) != b'/',
        // Code points and card numbers come in fours, telephone numbers of this length do not.
        [4, 4, 4, ..] => false,
        // 00 is the international prefix of most countries.
        [3..=5, _, _, ..] if matches!(digits, [0, 0, 1..=9, ..]) => {
            joint == Some(b' ') && (11..=17).contains(&digits.len())
        }
        _ if !matches!(digits, [0, 1..=9, ..]) || !(9..=12).contains(&digits.len()) => false,
        [2..=5, second, third] => {
            let bracket = phrase.separator(1) == b'(';
            let plain = matches!(joint, Some(b' ' | b'-' | b'.'));
            (bracket || plain) && *second >= 2 && *third >= 3
        }
        [2..=5, second] => *second >= 5 && matches!(joint, Some(b' ' | b'/' | b'(')),
        [2, 2, 2, 2, 2] => matches!(joint, Some(b' ' | b'.' | b'-')),
        [3..=5, 2..=3, 2..=3, 2..=3] => joint == Some(b' '),
        _ => false,
    };
    fits.then_some(groups)
}

/// The number of groups of a number that a word announces.
fn announced(bytes: &[u8], phrase: &Phrase) -> Option<usize> {
    let groups = whole(bytes, phrase)?;
    let lengths = phrase.lengths().get(..groups)?;
    let count = phrase.digits(groups).len();
    let joint = phrase.joined_by(groups);
    let years =
        lengths == [4, 4] && matches!(phrase.digits(groups), [1, 9, ..] | [2, 0, ..]) && joint == Some(b'-');
    let date = matches!(lengths, [4, 2, 2] | [2, 2, 4]) || years;
    let shaped = match lengths {
        [_] => (9..=15).contains(&count),
        [3, 4] => joint == Some(b'-'),
        _ => (8..=15).contains(&count) && lengths.iter().all(|length| (2..=8).contains(length)) && !date,
    };
    let plain = matches!(joint, Some(0 | b' ' | b'-'));
    let said = word_before(bytes, phrase.start, REACH, &NAMES)
        || free_word_before(bytes, phrase.start, REACH, &VERBS);
    (shaped && plain && said).then_some(groups)
}

/// The number of groups of the phrase, if nothing is glued to its end.
fn whole(bytes: &[u8], phrase: &Phrase) -> Option<usize> {
    let groups = phrase.lengths().len();
    let end = phrase.end(groups);
    let price =
        matches!(byte_at(bytes, end), b'%' | b'$') || byte_at(bytes, end) == b',' && digit_after(bytes, end);
    (closes(bytes, end) && !price).then_some(groups)
}

fn digit_after(bytes: &[u8], at: usize) -> bool {
    byte_at(bytes, at + 1).is_ascii_digit()
}
