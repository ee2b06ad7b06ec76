//! Cheap tests on the normalized text that say which derived views are worth building.

/// What was seen. A signal promises nothing: the view it asks for may turn out to hold nothing new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    /// Three single letters in a row.
    pub(super) unspaced: bool,
    /// A digit or sign inside of a word.
    pub(super) leet: bool,
    /// A token of sixteen characters of the base64 alphabet.
    pub(super) base64: bool,
    /// Sixteen hexadecimal digits in a row of groups, or a few prefixed ones.
    pub(super) hex: bool,
    /// Three percent escapes.
    pub(super) url: bool,
    /// Function words as they look in rot13.
    pub(super) rot13: bool,
    /// Function words written backwards.
    pub(super) reversed: bool,
}

/// The shortest encoded token that is decoded.
pub(super) const MIN_ENCODED: usize = 16;
/// How many percent escapes a text has before they are decoded.
pub(super) const MIN_ESCAPES: usize = 3;
/// How many separated letters in a row are joined.
pub(super) const MIN_LETTERS: usize = 3;
/// So many plain function words for one disguised say that the disguised one is an accident.
const DOMINATES: u32 = 16;

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const NOT_HEX: u8 = 4;
const WIDE: u8 = 8;
const WORD: u8 = LETTER | DIGIT | WIDE;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop, evaluated by the compiler")]
        {
            classes[byte] = match byte as u8 {
                b'a'..=b'f' => LETTER,
                b'g'..=b'z' => LETTER | NOT_HEX,
                b'0'..=b'9' => DIGIT,
                0x80.. => WIDE | NOT_HEX,
                _ => 0,
            };
        }
        byte += 1;
    }
    classes
};

/// Function words of English that ordinary text is full of, and that are no word when written backwards or in rot13.
/// (`and` stands apart: backwards it is a molecule.)
const FUNCTION_WORDS: [&[u8]; 16] = [
    b"the", b"you", b"for", b"how", b"that", b"with", b"what", b"make", b"this", b"from", b"have", b"when",
    b"your", b"will", b"they", b"and",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Plain,
    Rot13,
    Reversed,
}

const SLOTS: usize = 256;

const fn slot(key: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> 24) as usize
}

/// Function words in their three forms. A word looks in two neighboring slots.
const WORDS: [(u32, Word); SLOTS + 1] = {
    let mut table = [(0, Word::Plain); SLOTS + 1];
    let mut nth = 0;
    #[expect(clippy::indexing_slicing, reason = "bounded by the loops, evaluated by the compiler")]
    while nth < FUNCTION_WORDS.len() {
        let word = FUNCTION_WORDS[nth];
        let mut keys = [0u32; 3];
        let mut at = 0;
        while at < word.len() {
            keys[0] |= (word[at] as u32) << (8 * at);
            keys[1] |= (((word[at] - b'a' + 13) % 26 + b'a') as u32) << (8 * at);
            keys[2] |= (word[word.len() - 1 - at] as u32) << (8 * at);
            at += 1;
        }
        let mut form = 0;
        while form < 3 {
            let key = keys[form];
            let is_molecule = key == u32::from_le_bytes(*b"dna\0");
            if !is_molecule {
                let free = if table[slot(key)].0 == 0 { slot(key) } else { slot(key) + 1 };
                assert!(table[free].0 == 0, "two words want the same slots");
                let kind = [Word::Plain, Word::Rot13, Word::Reversed][form];
                table[free] = (key, kind);
            }
            form += 1;
        }
        nth += 1;
    }
    table
};

#[expect(
    clippy::indexing_slicing,
    reason = "a slot is the top byte of a word, and the table is one longer than 256"
)]
fn function_word(word: &[u8]) -> Option<Word> {
    let key = match *word {
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        _ => return None,
    };
    let slot = slot(key);
    let (first, second) = (WORDS[slot], WORDS[slot + 1]);
    if first.0 == key {
        Some(first.1)
    } else if second.0 == key {
        Some(second.1)
    } else {
        None
    }
}

/// Counts over the words seen so far.
#[derive(Default)]
struct Scan {
    found: Signals,
    single_letters: usize,
    hex_digits: usize,
    escapes: usize,
    prefixed: usize,
    plain: u32,
    rot13: u32,
    reversed: u32,
}

/// Looks at each word of a normalized text once.
pub(super) fn signals(text: &[u8]) -> Signals {
    let mut scan = Scan::default();
    let mut start = 0;
    let mut token = 0;
    let mut classes = 0;
    for (at, &byte) in text.iter().enumerate() {
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        let class = CLASSES[usize::from(byte)];
        if class & WORD != 0 {
            classes |= class;
            continue;
        }
        if start < at {
            scan.word(text.get(start..at).unwrap_or_default(), classes);
        }
        if byte != b' ' {
            scan.sign(byte, text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        }
        if !matches!(byte, b'+' | b'/' | b'-' | b'_') {
            scan.found.base64 |= at - token >= MIN_ENCODED;
            token = at + 1;
        }
        start = at + 1;
        classes = 0;
    }
    scan.word(text.get(start..).unwrap_or_default(), classes);
    scan.found.base64 |= text.len() - token >= MIN_ENCODED;
    scan.found.hex |= scan.prefixed * 4 >= MIN_ENCODED;
    scan.found.url = scan.escapes >= MIN_ESCAPES;
    scan.found.rot13 = scan.rot13 > 0 && scan.plain <= scan.rot13.saturating_mul(DOMINATES);
    scan.found.reversed = scan.reversed > 0 && scan.plain <= scan.reversed.saturating_mul(DOMINATES);
    scan.found
}

impl Scan {
    #[inline]
    fn word(&mut self, word: &[u8], classes: u8) {
        if classes & NOT_HEX == 0 && word.len().is_multiple_of(2) {
            self.hex_digits += word.len();
            self.found.hex |= self.hex_digits >= MIN_ENCODED;
        } else {
            self.hex_digits = 0;
        }
        if classes & (LETTER | WIDE) != 0 && (word.len() == 1 || is_one_wide(word, classes)) {
            self.single_letters += 1;
            self.found.unspaced |= self.single_letters >= MIN_LETTERS;
            return;
        }
        self.single_letters = 0;
        if classes & (DIGIT | WIDE) == 0 {
            match function_word(word) {
                None => {}
                Some(Word::Plain) => self.plain += 1,
                Some(Word::Rot13) => self.rot13 += 1,
                Some(Word::Reversed) => self.reversed += 1,
            }
        } else if classes & DIGIT != 0 && classes & (LETTER | WIDE) != 0 {
            self.found.leet = true;
            self.prefixed += if word.starts_with(b"0x") { word.len() / 4 } else { 0 };
        }
    }

    /// A byte that is neither of a word nor a space.
    fn sign(&mut self, byte: u8, before: &[u8], after: &[u8]) {
        match (byte, after) {
            (b'%', [a, b, ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => self.escapes += 1,
            (b'\\', [b'x' | b'u', ..]) => self.prefixed += 1,
            (b'@' | b'$' | b'!', [after, ..]) => {
                let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
                self.found.leet |= is_letter(after) && before.last().is_some_and(is_letter);
            }
            _ => {}
        }
    }
}

/// Whether a word is one character beyond ASCII.
fn is_one_wide(word: &[u8], classes: u8) -> bool {
    classes & WIDE != 0 && word.len() <= 4 && word.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() == 1
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
            ("0x68 0x65 0x6c 0x6c", Signals { hex: true, leet: true, ..none }),
            ("a%20b%20c%20d", Signals { url: true, leet: true, ..none }),
            ("ubj gb znxr n obzo", Signals { rot13: true, ..none }),
            ("bmob a ekam ot woh", Signals { reversed: true, ..none }),
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
            assert!(function_word(word) == Some(Word::Plain));
            assert!(function_word(&rot13) == Some(Word::Rot13));
            assert!(function_word(&reversed) == Some(Word::Reversed) || reversed == b"dna");
        }
        assert!(function_word(b"bomb").is_none() && function_word(b"abc").is_none());
    }
}
