//! Digits and how they are grouped: the common ground of the matchers for numbers.

use super::{PersonalKind, birth, finance, national, network, phone, street};
use crate::engine::anchor::{after_escape, byte_at, byte_back, byte_before, run_forward};
use crate::engine::found::Finds;

/// Digits in a row beyond which no number that matters continues. The longest run is inside an IBAN.
const LONGEST_RUN: usize = 34;
const MAX_DIGITS: usize = 40;
const MAX_GROUPS: usize = 8;

/// Groups of digits with single separators between them, as far as they go on from one run of digits.
pub(super) struct Phrase {
    pub(super) start: usize,
    digits: [u8; MAX_DIGITS],
    /// Length of each group.
    lengths: [u8; MAX_GROUPS],
    /// What stands before each group but the first: one of the separators, or `(` for any form with parentheses.
    separators: [u8; MAX_GROUPS],
    /// Where each group ends in the text.
    ends: [usize; MAX_GROUPS],
    groups: usize,
}

impl Phrase {
    /// Reads on from the run of `run` digits at `start`.
    fn read(bytes: &[u8], start: usize, run: usize) -> Self {
        let mut phrase = Self {
            start,
            digits: [0; MAX_DIGITS],
            lengths: [0; MAX_GROUPS],
            separators: [0; MAX_GROUPS],
            ends: [start; MAX_GROUPS],
            groups: 0,
        };
        let (mut at, mut run, mut separator) = (start, run, 0);
        let mut filled = 0;
        while let Some(target) = phrase.digits.get_mut(filled..filled + run) {
            for (digit, byte) in target.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
                *digit = byte.wrapping_sub(b'0');
            }
            filled += run;
            at += run;
            let place = phrase.groups;
            let (Some(length), Some(before), Some(end)) =
                (phrase.lengths.get_mut(place), phrase.separators.get_mut(place), phrase.ends.get_mut(place))
            else {
                break;
            };
            (*length, *before, *end) = (run as u8, separator, at);
            phrase.groups += 1;
            let Some((next, width)) = separator_at(bytes, at) else { break };
            separator = next;
            at += width;
            run = run_forward(bytes, at, LONGEST_RUN + 1, |byte| byte.is_ascii_digit());
        }
        phrase
    }

    /// The lengths of the groups.
    pub(super) fn lengths(&self) -> &[u8] {
        self.lengths.get(..self.groups).unwrap_or_default()
    }

    /// The separator that joins the first `groups` groups, if it is the same everywhere; `Some(0)` for one group.
    pub(super) fn joined_by(&self, groups: usize) -> Option<u8> {
        match self.separators.get(1..groups)? {
            [] => Some(0),
            [first, rest @ ..] => rest.iter().all(|separator| separator == first).then_some(*first),
        }
    }

    /// The separator before group `group`, counted from 0.
    pub(super) fn separator(&self, group: usize) -> u8 {
        self.separators.get(..self.groups).and_then(|all| all.get(group)).copied().unwrap_or(0)
    }

    /// The digits of the first `groups` groups.
    pub(super) fn digits(&self, groups: usize) -> &[u8] {
        let count = self.lengths().iter().take(groups).map(|&length| usize::from(length)).sum();
        self.digits.get(..count).unwrap_or_default()
    }

    /// Where the first `groups` groups end in the text.
    pub(super) fn end(&self, groups: usize) -> usize {
        groups.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(self.start)
    }

    /// Whether the phrase is the tail of a longer one: a digit stands before it, joined by the separator it uses itself.
    pub(super) fn continues(&self, bytes: &[u8]) -> bool {
        byte_before(bytes, self.start) == self.separator(1)
            && byte_back(bytes, self.start, 2).is_ascii_digit()
    }

    /// Whether the first `groups` groups stand as a number of their own: nothing glued to either side, and no further
    /// group joined by the separator they use among themselves.
    pub(super) fn alone(&self, bytes: &[u8], groups: usize) -> bool {
        let joint = self.separator(1);
        let goes_on = groups > 1 && groups < self.groups && self.separator(groups) == joint && joint != b'/';
        let tail = groups > 1 && self.continues(bytes);
        !(goes_on || tail) && opens(bytes, self.start) && closes(bytes, self.end(groups))
    }
}

/// The separator at `at` and its width, if a digit follows it.
fn separator_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let width = run_forward(bytes, at, 3, |byte| b" -./()".contains(&byte));
    let separator = match bytes.get(at..at + width)? {
        [single @ (b' ' | b'-' | b'.' | b'/')] => *single,
        b")" | b") " | b")-" | b" (" | b"(" => b'(',
        _ => return None,
    };
    byte_at(bytes, at + width).is_ascii_digit().then_some((separator, width))
}

/// Whether a value may start at `start`: what stands before is not part of the same word, number, path or price.
pub(super) fn opens(bytes: &[u8], start: usize) -> bool {
    let (one, two) = (byte_before(bytes, start), byte_back(bytes, start, 2));
    match one {
        b'_' | b'#' | b'$' => false,
        b'.' | b'-' | b'/' => !two.is_ascii_alphanumeric(),
        b':' => !two.is_ascii_digit(),
        _ => !one.is_ascii_alphanumeric() || after_escape(bytes, start),
    }
}

/// Whether a value may end before `end`.
pub(super) fn closes(bytes: &[u8], end: usize) -> bool {
    let (one, two) = (byte_at(bytes, end), byte_at(bytes, end + 1));
    match one {
        b'_' | b'%' | b'@' => false,
        b'.' | b':' => !two.is_ascii_digit(),
        b'-' => !two.is_ascii_alphanumeric(),
        _ => !one.is_ascii_alphanumeric(),
    }
}

/// Looks at the run of digits that starts at `start`; returns where to go on.
pub(super) fn run(bytes: &[u8], start: usize, finds: &mut Finds<'_, PersonalKind>) -> usize {
    let run = run_forward(bytes, start, usize::MAX, |byte| byte.is_ascii_digit());
    if run > LONGEST_RUN {
        return start + run;
    }
    let phrase = Phrase::read(bytes, start, run);
    let opens = opens(bytes, start);
    if opens {
        finance::card(bytes, &phrase, finds);
        national::grouped(bytes, &phrase, finds);
        national::french(bytes, start, run, finds);
        network::address(bytes, &phrase, run, finds);
    }
    national::spanish(bytes, start, run, finds);
    finance::iban(bytes, start, run, finds);
    finance::wallet(bytes, start, finds);
    phone::number(bytes, &phrase, finds);
    birth::date(bytes, &phrase, finds);
    street::house_number(bytes, start, run, finds);
    start + run
}
