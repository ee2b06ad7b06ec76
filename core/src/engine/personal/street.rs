//! Postal addresses: the line with street and house number.

use super::PersonalKind;
use super::digits::opens;
use crate::engine::anchor::{byte_at, byte_back, byte_before, run_backward, run_forward, word_before};
use crate::engine::found::Finds;

const ENGLISH: [&[u8]; 34] = [
    b"Street",
    b"St",
    b"Avenue",
    b"Ave",
    b"Road",
    b"Rd",
    b"Boulevard",
    b"Blvd",
    b"Lane",
    b"Ln",
    b"Drive",
    b"Dr",
    b"Court",
    b"Ct",
    b"Place",
    b"Pl",
    b"Square",
    b"Sq",
    b"Terrace",
    b"Way",
    b"Parkway",
    b"Pkwy",
    b"Circle",
    b"Cir",
    b"Highway",
    b"Hwy",
    b"Close",
    b"Crescent",
    b"Gardens",
    b"Grove",
    b"Mews",
    b"Row",
    b"Quay",
    b"Hill",
];
/// Endings of street names that also end other names.
const WEAK: [&[u8]; 8] = [b"Drive", b"Court", b"Place", b"Way", b"Circle", b"Close", b"Row", b"Hill"];
/// Words before a weak ending that make another name of it: a hard drive, the supreme court, first place.
const NO_NAMES: [&[u8]; 16] = [
    b"Hard",
    b"Flash",
    b"Google",
    b"Disk",
    b"Pen",
    b"Tape",
    b"Supreme",
    b"High",
    b"District",
    b"Crown",
    b"Appeals",
    b"First",
    b"Second",
    b"Third",
    b"Milky",
    b"Test",
];
const FRENCH: [&[u8]; 13] = [
    b"rue",
    b"avenue",
    b"av.",
    b"boulevard",
    b"bd",
    b"place",
    b"chemin",
    b"impasse",
    b"quai",
    b"cours",
    b"square",
    b"route",
    b"all\xc3\xa9e",
];
pub(crate) const GERMAN: [&[u8]; 4] = [b"stra\xc3\x9fe", b"strasse", b"str.", b"gasse"];

/// Words after which a number that could be a year is a house number: "in 2008 Wall Street", but "at 2008 Main Street".
const PLACES: [&str; 10] =
    ["at", "address", "live", "lives", "lived", "located", "street", "visit", "home", "deliver to"];

/// Reports the address whose house number is the run of digits at `start`.
pub(super) fn house_number(bytes: &[u8], start: usize, run: usize, finds: &mut Finds<'_, PersonalKind>) {
    if !(1..=5).contains(&run) || !finds.wants(PersonalKind::StreetAddress) || byte_at(bytes, start) == b'0' {
        return;
    }
    let letter = matches!(byte_at(bytes, start + run), b'A'..=b'F' | b'a'..=b'f');
    let after = start + run + usize::from(letter);
    if let Some(name) = german_before(bytes, start).filter(|_| !byte_at(bytes, after).is_ascii_alphanumeric())
    {
        return finds.push(PersonalKind::StreetAddress, name, after);
    }
    let gap = run_forward(bytes, after, 2, |byte| matches!(byte, b' ' | b','));
    if gap == 0 || byte_before(bytes, after + gap) != b' ' || !opens(bytes, start) {
        return;
    }
    let words = Words { bytes, at: after + gap };
    let century = bytes.get(start..start + 2);
    let year = run == 4
        && (century == Some(b"19") || century == Some(b"20"))
        && !word_before(bytes, start, 24, &PLACES);
    if let Some(end) = french(words).or_else(|| english(words)).filter(|_| !year) {
        finds.push(PersonalKind::StreetAddress, start, end);
    }
}

/// The words of one line, each separated from the next by one space.
#[derive(Clone, Copy)]
struct Words<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Iterator for Words<'t> {
    /// A word and its end.
    type Item = (&'t [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        const LONGEST: usize = 24;
        let is_word =
            |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'\'' | b'.' | b'-');
        let length = run_forward(self.bytes, self.at, LONGEST, is_word);
        let end = self.at + length;
        let word = self.bytes.get(self.at..end).filter(|word| !word.is_empty())?;
        // Past anything but a space the words of the line end.
        self.at = if byte_at(self.bytes, end) == b' ' { end + 1 } else { self.bytes.len() };
        Some((word, end))
    }
}

/// The end of "Baker Street", "5th Ave", "St. James's Square" and the like.
fn english(words: Words<'_>) -> Option<usize> {
    const MOST_WORDS: usize = 5;
    let mut last: Option<&[u8]> = None;
    for (word, end) in words.take(MOST_WORDS) {
        let bare = word.strip_suffix(b".").unwrap_or(word);
        if let Some(name) = last
            && ENGLISH.contains(&bare)
        {
            let other = WEAK.contains(&bare) && NO_NAMES.contains(&name);
            return (!other).then_some(end - (word.len() - bare.len()));
        }
        let ordinal = [&b"st"[..], b"nd", b"rd", b"th"].iter().any(|ending| word.ends_with(ending));
        let named = word.first().is_some_and(|&byte| byte.is_ascii_uppercase() || byte >= 0x80);
        let numbered = word.first().is_some_and(u8::is_ascii_digit) && ordinal;
        if !(named || numbered) {
            return None;
        }
        last = Some(bare);
    }
    None
}

/// The end of "rue de Rivoli" and the like, in which the name starts with a capital or is led in by an article.
fn french(mut words: Words<'_>) -> Option<usize> {
    let (kind, _) = words.next()?;
    FRENCH.contains(&kind).then_some(())?;
    for (word, end) in words.take(4) {
        let article = matches!(word, b"de" | b"du" | b"des" | b"la" | b"le" | b"les");
        let elided = [&b"d'"[..], b"l'"].iter().any(|lead| word.starts_with(lead));
        if word.first().is_some_and(|&byte| byte.is_ascii_uppercase()) || elided {
            return Some(end - usize::from(word.ends_with(b".")));
        }
        if !article {
            return None;
        }
    }
    None
}

/// The start of the street name before a German house number: one word with its ending, or an adjective and the bare word.
fn german_before(bytes: &[u8], number: usize) -> Option<usize> {
    let name_end = number.checked_sub(1).filter(|_| byte_before(bytes, number) == b' ')?;
    let last = byte_before(bytes, name_end);
    matches!(last, b'e' | b'.').then_some(())?;
    let start = german_word(bytes, name_end);
    let word = bytes.get(start..name_end)?;
    let ending = GERMAN.iter().find(|ending| {
        word.len()
            .checked_sub(ending.len())
            .and_then(|at| word.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    })?;
    let capital = word.first().is_some_and(u8::is_ascii_uppercase);
    if capital && word.len() >= ending.len() + 3 {
        return Some(start);
    }
    let end = start.checked_sub(1).filter(|_| capital && byte_before(bytes, start) == b' ')?;
    adjective_before(bytes, end)
}

/// Where the word that ends at `end` begins, or the last 40 bytes of it.
fn german_word(bytes: &[u8], end: usize) -> usize {
    let is_name = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'-' | b'.');
    end - run_backward(bytes, end, 40, is_name)
}

/// The start of a word that ends at `end`, if it may begin the name of a street: "Lange".
pub(crate) fn adjective_before(bytes: &[u8], end: usize) -> Option<usize> {
    let start = german_word(bytes, end);
    let first = byte_at(bytes, start);
    (end - start > 3 && first.is_ascii_uppercase() && byte_back(bytes, end, 1).is_ascii_lowercase())
        .then_some(start)
}
