//! Cheap tests on the normalized text that say which derived views are worth building.

use super::rewrite::read_leet;

/// What was seen. A signal promises nothing: the view it asks for may turn out to hold nothing new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    /// [`MIN_LETTERS`] single letters in a row, one byte between.
    pub(super) unspaced: bool,
    /// A digit or sign between letters.
    pub(super) leet: bool,
    /// A token of [`MIN_ENCODED`] characters of about the base64 alphabet.
    pub(super) base64: bool,
    /// [`MIN_ENCODED`] hexadecimal digits with only separators between, or a few prefixed numbers.
    pub(super) hex: bool,
    /// [`MIN_ESCAPES`] percent escapes.
    pub(super) url: bool,
    /// Function words as they look in rot13.
    pub(super) rot13: bool,
    /// Function words written backwards.
    pub(super) reversed: bool,
    /// A function word in rot13 or backwards, be it an accident or not.
    pub(super) disguised: bool,
}

/// The shortest encoded token that is decoded.
pub(super) const MIN_ENCODED: usize = 16;
/// How many percent escapes a text has before they are decoded.
pub(super) const MIN_ESCAPES: usize = 3;
/// How many separated letters in a row are joined.
pub(super) const MIN_LETTERS: usize = 3;
/// So many plain function words for one disguised say that the disguised one is an accident.
const DOMINATES: usize = 16;

/// One bit for each of 64 neighboring bytes, the first byte lowest.
#[derive(Clone, Copy, Default)]
struct Block {
    /// Letters, digits and bytes beyond ASCII.
    word: u64,
    digit: u64,
    /// Letters after `f`, and bytes beyond ASCII.
    not_hex: u64,
    wide: u64,
    /// What base64 is written in, and a little more: letters, digits, `+,-./_`.
    token: u64,
    space: u64,
}

impl Block {
    #[inline]
    fn read(bytes: &[u8; 64]) -> Self {
        const ONES: u64 = u64::from_le_bytes([1; 8]);
        const HIGH: u64 = ONES << 7;
        let mut block = Self::default();
        for (nth, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let eight = u64::from_le_bytes(*eight);
            let low = eight & !HIGH;
            // Adding what is missing to 128 sets the high bit of each byte that is at least so large.
            let at_least = |byte: u8| low + ONES * u64::from(0x80 - byte);
            let equal = |byte: u8| !((low ^ (ONES * u64::from(byte))) + (HIGH - ONES));
            let wide = eight & HIGH;
            let ascii = HIGH & !eight;
            let (above_9, above_z) = (at_least(b'9' + 1), at_least(b'z' + 1));
            let digit = at_least(b'0') & !above_9 & ascii;
            let letter = at_least(b'a') & !above_z & ascii;
            let beyond_f = at_least(b'g') & !above_z & ascii;
            let token = ((at_least(b'+') & !above_9) | equal(b'_')) & ascii;
            block.word |= (digit | letter | wide) >> 7 << nth;
            block.digit |= digit >> 7 << nth;
            block.not_hex |= (beyond_f | wide) >> 7 << nth;
            block.wide |= wide >> 7 << nth;
            block.token |= (token | letter) >> 7 << nth;
            block.space |= (equal(b' ') & ascii) >> 7 << nth;
        }
        // So far bit `nth` of byte `at` stands for byte `at` of the `nth` eight.
        Self {
            word: transposed(block.word),
            digit: transposed(block.digit),
            not_hex: transposed(block.not_hex),
            wide: transposed(block.wide),
            token: transposed(block.token),
            space: transposed(block.space),
        }
    }

    fn letter(self) -> u64 {
        self.word & !self.digit
    }
}

/// Eight bytes of eight bits with rows and columns exchanged (Hacker's Delight, 7-3).
#[inline]
fn transposed(bits: u64) -> u64 {
    let swapped = |bits: u64, by: u32, mask: u64| {
        let differ = (bits ^ (bits >> by)) & mask;
        bits ^ differ ^ (differ << by)
    };
    let bits = swapped(bits, 7, 0x00AA_00AA_00AA_00AA);
    let bits = swapped(bits, 14, 0x0000_CCCC_0000_CCCC);
    swapped(bits, 28, 0x0000_0000_F0F0_F0F0)
}

/// The bits of `now`, each moved up by `by` bytes; those of the block before move in.
#[inline]
fn moved(now: u64, before: u64, by: u32) -> u64 {
    now << by | before >> (64 - by)
}

/// Whether [`MIN_ENCODED`] bits in a row are set, of which the last lies in `now`.
#[inline]
fn has_long_run(now: u64, before: u64) -> bool {
    let mut run = u128::from(now) << 64 | u128::from(before);
    for by in [1, 2, 4, 8] {
        run &= run << by;
    }
    const { assert!(MIN_ENCODED == 16) };
    run >> 64 != 0
}

/// Function words of English that ordinary text is full of, and that are no word when written backwards or in rot13.
/// (`and` backwards is a molecule, and not listed.)
const FUNCTION_WORDS: [&[u8]; 16] = [
    b"the", b"you", b"for", b"how", b"that", b"with", b"what", b"make", b"this", b"from", b"have", b"when",
    b"your", b"will", b"they", b"and",
];

/// Sends the disguised forms of all function words, and the empty key, to slots of their own.
const fn slot(key: u32) -> usize {
    (key.wrapping_mul(0x677F_6CBD) >> 24) as usize
}

#[derive(Clone, Copy)]
enum Disguise {
    Rot13,
    Reversed,
}

/// No key: the bytes are no text.
const FREE: u32 = u32::MAX;

const DISGUISED: [(u32, Disguise); 256] = {
    let mut table = [(FREE, Disguise::Rot13); 256];
    let mut nth = 0;
    #[expect(clippy::indexing_slicing, reason = "bounded by the loops, evaluated by the compiler")]
    while nth < FUNCTION_WORDS.len() {
        let word = FUNCTION_WORDS[nth];
        let (mut rot13, mut reversed) = (0, 0);
        let mut at = 0;
        while at < word.len() {
            rot13 |= (((word[at] - b'a' + 13) % 26 + b'a') as u32) << (8 * at);
            reversed |= (word[word.len() - 1 - at] as u32) << (8 * at);
            at += 1;
        }
        assert!(slot(rot13) != 0 && table[slot(rot13)].0 == FREE, "two words want the same slot");
        table[slot(rot13)] = (rot13, Disguise::Rot13);
        if reversed != u32::from_le_bytes(*b"dna\0") {
            assert!(slot(reversed) != 0 && table[slot(reversed)].0 == FREE, "two words want the same slot");
            table[slot(reversed)] = (reversed, Disguise::Reversed);
        }
        nth += 1;
    }
    table
};

/// What was counted so far.
#[derive(Default)]
struct Scan {
    found: Signals,
    escapes: usize,
    prefixed: usize,
    rot13: usize,
    reversed: usize,
}

/// Looks at a normalized text once.
///
/// The text is cut into blocks of 64 bytes with a bit for each byte, so that what ordinary prose holds nothing of is
/// ruled out for a block at a time, and only words of three and four letters are looked at one by one. There is
/// almost no branch that depends on the lengths of words: they cannot be predicted.
pub(super) fn signals(text: &[u8]) -> Signals {
    let mut scan = Scan::default();
    let (blocks, rest) = text.as_chunks::<64>();
    let mut last = [b' '; 64];
    last.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
    let mut before = Block { space: u64::MAX, ..Block::default() };
    let mut singles_before = 0;
    for (nth, bytes) in blocks.iter().chain([&last]).enumerate() {
        let mut block = Block::read(bytes);
        if nth == blocks.len() {
            block.not_hex |= u64::MAX << rest.len();
        }
        let at = |bit: u32| nth * 64 + bit as usize;
        let back = |by| moved(block.word, before.word, by);

        // Bytes that follow a word of three or four bytes.
        let three = !block.word & back(1) & back(2) & back(3);
        each_bit(three & !(back(4) & back(5)), |bit| scan.short_word(text, at(bit), back(4) >> bit & 1 == 1));

        // Bytes that follow a word of one letter.
        let letter_before = moved(block.letter(), before.letter(), 1);
        let singles = !block.word & letter_before & !back(2);
        scan.found.unspaced |=
            singles & moved(singles, singles_before, 2) & moved(singles, singles_before, 4) != 0;
        singles_before = singles;

        scan.found.base64 |= has_long_run(block.token & !block.wide, before.token & !before.wide);
        if has_long_run(!block.not_hex, !before.not_hex) && !scan.found.hex {
            scan.hexadecimal(text.get(at(0).saturating_sub(64)..text.len().min(at(64))).unwrap_or_default());
        }

        let after_sign = block.word & !back(1) & !moved(block.space, before.space, 1);
        each_bit(after_sign, |bit| scan.after_sign(text, at(bit)));
        if block.digit != 0 {
            each_bit(block.digit & letter_before, |bit| scan.digit_after_letter(text, at(bit)));
        }
        let digit_before = moved(block.digit, before.digit, 1);
        each_bit(block.letter() & digit_before, |bit| scan.letter_after_digit(text, at(bit)));
        if block.wide | before.wide != 0 && !scan.found.unspaced {
            let short = !(back(2) & back(3) & back(4) & back(5));
            let wide_before = moved(block.wide, before.wide, 1);
            each_bit(!block.word & wide_before & short, |bit| scan.short_wide_word(text, at(bit)));
        }
        before = block;
    }
    scan.finish(text)
}

#[inline]
fn each_bit(mut bits: u64, mut each: impl FnMut(u32)) {
    while bits != 0 {
        each(bits.trailing_zeros());
        bits &= bits - 1;
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

impl Scan {
    /// A word of three or four bytes that ends before `end`.
    #[inline]
    fn short_word(&mut self, text: &[u8], end: usize, is_four: bool) {
        let four = end.checked_sub(4).and_then(|start| text.get(start..)).and_then(<[u8]>::first_chunk::<4>);
        let word = match (four, text) {
            (Some(&word), _) => u32::from_le_bytes(word),
            // The first word of a text.
            (None, &[a, b, c, ..]) => u32::from_le_bytes([0, a, b, c]),
            _ => FREE,
        };
        let key = if is_four { word } else { word >> 8 };
        #[expect(clippy::indexing_slicing, reason = "a slot is a byte")]
        let (known, disguise) = DISGUISED[slot(key)];
        if known == key {
            match disguise {
                Disguise::Rot13 => self.rot13 += 1,
                Disguise::Reversed => self.reversed += 1,
            }
        }
    }

    /// Two blocks in which hexadecimal digits may be: [`MIN_ENCODED`] of them with nothing else than what separates bytes?
    fn hexadecimal(&mut self, bytes: &[u8]) {
        let mut digits = 0;
        self.found.hex |= bytes.iter().any(|byte| {
            match byte {
                b'0'..=b'9' | b'a'..=b'f' => digits += 1,
                b' ' | b':' | b',' | b';' | b'-' | b'\n' | b'\r' => {}
                _ => digits = 0,
            }
            digits >= MIN_ENCODED
        });
    }

    /// A word that begins behind a sign.
    fn after_sign(&mut self, text: &[u8], start: usize) {
        let sign = start.checked_sub(1).and_then(|sign| text.get(sign));
        match (sign, text.get(start..).unwrap_or_default()) {
            (Some(b'%'), [a, b, ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => self.escapes += 1,
            (Some(b'\\'), [b'x' | b'u', ..]) => self.prefixed += 1,
            (Some(b'@' | b'$' | b'!'), &[first, ..]) if is_letter(first) => {
                let before = start.checked_sub(2).and_then(|before| text.get(before));
                self.found.leet |=
                    before.is_some_and(|byte| byte.is_ascii_alphanumeric() || is_letter(*byte));
            }
            _ => {}
        }
    }

    /// The first digit behind a letter: does it stand in for one?
    fn digit_after_letter(&mut self, text: &[u8], start: usize) {
        let rest = text.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !byte.is_ascii_digit() && !b"@$!".contains(byte));
        if let Some((digits, [next, ..])) = length.and_then(|length| rest.split_at_checked(length)) {
            self.found.leet |= is_letter(*next) && digits.iter().any(|&byte| read_leet(byte).is_some());
        }
    }

    /// The first letter behind a digit: the prefix of a number in hexadecimal?
    fn letter_after_digit(&mut self, text: &[u8], at: usize) {
        let rest = at.checked_sub(1).and_then(|start| text.get(start..)).unwrap_or_default();
        if let Some(digits) = rest.strip_prefix(b"0x") {
            self.prefixed += digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() / 2;
        }
    }

    /// A word of at most four bytes beyond ASCII that ends before `end`: one of three single letters, with letters of
    /// ASCII before it or not?
    fn short_wide_word(&mut self, text: &[u8], end: usize) {
        let before = text.get(..end).unwrap_or_default();
        let length = before.iter().rev().take_while(|byte| !byte.is_ascii()).count();
        let start = end - length;
        let begins = |at: usize| {
            let mut rest = text.get(at..).unwrap_or_default();
            (0..MIN_LETTERS).all(|_| {
                let width = rest.iter().skip(1).take_while(|&&byte| byte & 0xC0 == 0x80).count() + 1;
                let is_one = rest.first().is_some_and(|&byte| is_letter(byte));
                rest = rest.get(width..).unwrap_or_default();
                let is_end =
                    rest.first().is_none_or(|&byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
                rest = rest.get(1..).unwrap_or_default();
                is_one && is_end
            })
        };
        self.found.unspaced |= [0, 2, 4].into_iter().filter_map(|back| start.checked_sub(back)).any(begins);
    }

    fn finish(self, text: &[u8]) -> Signals {
        let plain = || {
            let words = text.split(|byte| !byte.is_ascii_alphanumeric());
            words.filter(|word| FUNCTION_WORDS.contains(word)).count()
        };
        let disguised = self.rot13 + self.reversed > 0;
        // Plain words are counted only where there is a disguised one: the branch on them could not be predicted.
        let limit = if disguised { plain().div_ceil(DOMINATES).max(1) } else { 1 };
        Signals {
            hex: self.found.hex || self.prefixed * 2 >= MIN_ENCODED / 2,
            url: self.escapes >= MIN_ESCAPES,
            rot13: self.rot13 >= limit,
            reversed: self.reversed >= limit,
            disguised,
            ..self.found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_name_what_was_seen() {
        let none = Signals::default();
        for (text, expected) in [
            ("", none),
            ("the quick brown fox, and a bee in 1999; e.g. dna", none),
            ("make a b o m b", Signals { unspaced: true, ..none }),
            ("б-о-м", Signals { unspaced: true, ..none }),
            ("b0mb", Signals { leet: true, ..none }),
            ("f@ck", Signals { leet: true, ..none }),
            ("well-established-practice", Signals { base64: true, ..none }),
            ("68 65 6c 6c 6f 20 74 68", Signals { hex: true, ..none }),
            ("0x68 0x65 0x6c 0x6c", Signals { hex: true, ..none }),
            ("ab%20cd%20ef%20gh", Signals { url: true, ..none }),
            ("ubj gb znxr n obzo", Signals { rot13: true, disguised: true, ..none }),
            ("bmob a ekam ot woh", Signals { reversed: true, disguised: true, ..none }),
        ] {
            assert_eq!(signals(text.as_bytes()), expected, "{text}");
        }
        let english = "how to make the thing that you want for this ".repeat(9);
        assert!(!signals(format!("{english} gur").as_bytes()).rot13);
    }

    #[test]
    fn function_words_are_known_in_three_forms() {
        for word in FUNCTION_WORDS {
            let rot13: Vec<u8> = word.iter().map(|byte| (byte - b'a' + 13) % 26 + b'a').collect();
            let reversed: Vec<u8> = word.iter().rev().copied().collect();
            let found = |word: &[u8]| signals(&[b"x ", word].concat());
            assert_eq!(found(word), Signals::default());
            assert_eq!(found(&rot13), Signals { rot13: true, disguised: true, ..Signals::default() });
            assert_eq!(found(&reversed).reversed, word != b"and");
        }
    }

    #[test]
    fn words_may_cross_blocks() {
        for before in 0..70 {
            let text = format!("{}b0mb b o m b how that 6162636465666768 gur", "x".repeat(before) + " ");
            let seen = signals(text.as_bytes());
            assert!(seen.leet && seen.unspaced && seen.hex && seen.base64 && seen.rot13, "{before}");
        }
    }
}
