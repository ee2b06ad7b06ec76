//! The machine-readable lines of travel documents (ICAO 9303), found at their filler `<`.

use super::PersonalKind;
use crate::engine::anchor::{byte_at, run_backward, run_forward};
use crate::engine::checksum::travel_document;
use crate::engine::found::Finds;

/// Line lengths: passports and large visas, identity cards of the second size, of the first size.
const PASSPORT: usize = 44;
const CARD: usize = 36;
const SMALL_CARD: usize = 30;

/// Remembers how far lines were looked at, so that the fillers of one line cost one look.
#[derive(Default)]
pub(super) struct Lines {
    seen: usize,
}

impl Lines {
    /// Looks at the `<` at `at`; returns where to go on.
    pub(super) fn filler(&mut self, bytes: &[u8], at: usize, finds: &mut Finds<'_, PersonalKind>) -> usize {
        if at < self.seen || !finds.wants(PersonalKind::PassportMrz) {
            return at + 1;
        }
        let start = at - run_backward(bytes, at, PASSPORT, is_character);
        let length = line_length(bytes, start);
        self.seen = start + length;
        let end = match length {
            PASSPORT => passport(bytes, start, PASSPORT),
            CARD => passport(bytes, start, CARD),
            SMALL_CARD => small_card(bytes, start),
            _ => None,
        };
        let Some(end) = end else { return at + 1 };
        finds.push(PersonalKind::PassportMrz, start, end);
        self.seen = end;
        // The lines hold digits that could look like numbers of other kinds; they are part of this find.
        end
    }
}

fn is_character(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'<'
}

fn line_length(bytes: &[u8], start: usize) -> usize {
    run_forward(bytes, start, PASSPORT + 1, is_character)
}

/// The start of the line that follows a line ending at `end`: behind a line break, written or escaped, or one space.
fn next_line(bytes: &[u8], end: usize) -> Option<usize> {
    let rest = bytes.get(end..)?;
    [&b"\r\n"[..], b"\\r\\n", b"\\n", b"\n", b" "]
        .iter()
        .find(|gap| rest.starts_with(gap))
        .map(|gap| end + gap.len())
}

/// The end of the second of two lines of `length` characters whose check digits agree.
fn passport(bytes: &[u8], start: usize, length: usize) -> Option<usize> {
    let document = matches!(byte_at(bytes, start), b'P' | b'V' | b'I' | b'A' | b'C');
    let second = next_line(bytes, start + length).filter(|_| document)?;
    let line = bytes.get(second..second + length).filter(|_| line_length(bytes, second) == length)?;
    // Number up to 9, nationality, birth from 13 to 19, sex, expiry from 21 to 27, each with a check digit behind it. The
    // last character of all but visas covers all of these.
    let fields = checked(line, &[(0, 9), (13, 19), (21, 27)]);
    let whole = byte_at(bytes, start) == b'V' || covered(line, &[(0, 10), (13, 20), (21, length - 1)], &[]);
    (fields && whole).then_some(second + length)
}

/// The end of the third of three short lines.
fn small_card(bytes: &[u8], start: usize) -> Option<usize> {
    let document = matches!(byte_at(bytes, start), b'I' | b'A' | b'C');
    let first = bytes.get(start..start + SMALL_CARD).filter(|_| document)?;
    let second_at = next_line(bytes, start + SMALL_CARD)?;
    let second = bytes
        .get(second_at..second_at + SMALL_CARD)
        .filter(|_| line_length(bytes, second_at) == SMALL_CARD)?;
    let third_at = next_line(bytes, second_at + SMALL_CARD)?;
    let fields = checked(first, &[(5, 14)]) && checked(second, &[(0, 6), (8, 14)]);
    let lead = first.get(5..).unwrap_or_default();
    let whole = fields && covered(second, &[(0, 7), (8, 15), (18, SMALL_CARD - 1)], lead);
    (whole && line_length(bytes, third_at) == SMALL_CARD).then_some(third_at + SMALL_CARD)
}

/// Whether each field is followed by its check digit. An empty field is no evidence.
fn checked(line: &[u8], fields: &[(usize, usize)]) -> bool {
    fields.iter().all(|&(from, to)| {
        let field = line.get(from..to).unwrap_or_default();
        let full = field.iter().any(|&byte| byte != b'<');
        full && travel_document(field.iter().copied()) == byte_at(line, to)
    })
}

/// Whether the last character of the line is the check digit over `lead` and the fields together.
fn covered(line: &[u8], fields: &[(usize, usize)], lead: &[u8]) -> bool {
    let fields = fields.iter().flat_map(|&(from, to)| line.get(from..to).unwrap_or_default());
    let digit = travel_document(lead.iter().chain(fields).copied());
    line.last() == Some(&digit)
}
