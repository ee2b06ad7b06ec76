//! What one character becomes in normalized text.

use super::lookalikes::read_as;
use std::sync::OnceLock;
use unicode_normalization::char::decompose_compatible;

/// What a character becomes: up to seven bytes in place, more by reference.
#[derive(Clone, Copy)]
pub(super) struct Fold(u64);

const SPACE: u8 = 0x40;
const LONG: u8 = 0x20;
const SAME: u8 = 0x10;
const LENGTH: u8 = 0x0F;
const IN_PLACE: usize = 7;

impl Fold {
    fn new(flags: u8, payload: &[u8]) -> Self {
        let mut packed = [0; 8];
        packed.iter_mut().skip(1).zip(payload).for_each(|(to, &from)| *to = from);
        let length = u8::try_from(payload.len()).unwrap_or(0) & LENGTH;
        packed[0] = flags | length;
        Self(u64::from_le_bytes(packed))
    }

    fn flags(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// White space: one space, however much there is of it.
    #[inline]
    pub(super) fn is_space(self) -> bool {
        self.flags() & SPACE != 0
    }

    /// Nothing: the character leaves no trace.
    #[inline]
    pub(super) fn is_removed(self) -> bool {
        self.flags() == 0
    }

    /// The character itself.
    #[inline]
    pub(super) fn is_same(self) -> bool {
        self.flags() & SAME != 0
    }

    /// Writes the bytes and returns how many they are.
    #[inline]
    pub(super) fn write(self, c: char, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        if self.flags() & LONG != 0 {
            out.extend_from_slice(PAGES.page(c).long(self.0 >> 8));
        } else {
            // A store of fixed width and a cut are faster than a copy of variable length.
            out.extend_from_slice(&(self.0 >> 8).to_le_bytes());
            out.truncate(before + usize::from(self.flags() & LENGTH));
        }
        out.len() - before
    }
}

/// The folds of 256 neighboring characters.
struct Page {
    folds: [Fold; 256],
    long: Vec<String>,
}

impl Page {
    fn build(number: u32) -> Self {
        let mut long = Vec::new();
        let mut text = String::new();
        let folds = std::array::from_fn(|low| {
            let Some(c) = u32::try_from(low).ok().and_then(|low| char::from_u32(number << 8 | low)) else {
                return Fold::new(0, &[]);
            };
            if is_space(c) {
                return Fold::new(SPACE, b" ");
            }
            text.clear();
            fold_into(c, &mut text);
            if text.len() > IN_PLACE {
                long.push(std::mem::take(&mut text));
                let index = u16::try_from(long.len() - 1).unwrap_or(0);
                return Fold::new(LONG, &index.to_le_bytes());
            }
            let same = text.chars().eq([c]);
            Fold::new(if same { SAME } else { 0 }, text.as_bytes())
        });
        Self { folds, long }
    }

    fn long(&self, index: u64) -> &[u8] {
        usize::try_from(index).ok().and_then(|index| self.long.get(index)).map_or(&[], |text| text.as_bytes())
    }
}

/// Pages are built when a text first needs them: a process meets few scripts.
struct Pages([OnceLock<Box<Page>>; 0x1100]);

static PAGES: Pages = Pages([const { OnceLock::new() }; 0x1100]);

impl Pages {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a character is below 0x110000, so its page below 0x1100")]
    fn page(&self, c: char) -> &Page {
        let number = u32::from(c) >> 8;
        self.0[number as usize].get_or_init(|| Box::new(Page::build(number)))
    }
}

/// What `c` becomes in normalized text.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the index is the low byte and a page has 256 folds")]
pub(super) fn fold(c: char) -> Fold {
    PAGES.page(c).folds[(u32::from(c) & 0xFF) as usize]
}

/// Appends what `c` becomes, down to characters that stay what they are: so folding twice changes nothing.
fn fold_into(c: char, out: &mut String) {
    if is_space(c) {
        return out.push(' ');
    }
    if is_removed(c) {
        return;
    }
    if let Some(text) = read_as(c) {
        return out.push_str(text);
    }
    let mut parts = String::new();
    decompose_compatible(c, |part| parts.push(part));
    if !parts.chars().eq([c]) {
        // An accent that stands alone decomposes to a space that carries it.
        return parts.strip_prefix(' ').unwrap_or(&parts).chars().for_each(|part| fold_into(part, out));
    }
    if c.to_lowercase().eq([c]) {
        out.push(c);
    } else {
        c.to_lowercase().for_each(|lower| fold_into(lower, out));
    }
}

/// White space, and the Braille pattern that is as blank.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Whether a character leaves no trace: it is not seen, or only changes how its neighbor is seen.
fn is_removed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Default_Ignorable_Code_Point: zero-width characters, bidirectional controls, tags, selectors, fillers.
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
            // Accents and enclosing marks of Latin, Greek and Cyrillic.
            | '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{A66F}'..='\u{A672}'
            | '\u{A674}'..='\u{A67D}' | '\u{FE20}'..='\u{FE2F}'
            // Hebrew points.
            | '\u{591}'..='\u{5BD}' | '\u{5BF}' | '\u{5C1}'..='\u{5C2}' | '\u{5C4}'..='\u{5C5}' | '\u{5C7}'
            // Arabic points, the stretching stroke.
            | '\u{610}'..='\u{61A}' | '\u{640}' | '\u{64B}'..='\u{65F}' | '\u{670}' | '\u{6D6}'..='\u{6DC}'
            | '\u{6DF}'..='\u{6E4}' | '\u{6E7}'..='\u{6E8}' | '\u{6EA}'..='\u{6ED}' | '\u{8D3}'..='\u{8E1}'
            | '\u{8E3}'..='\u{8FF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut out = Vec::new();
        text.chars().for_each(|c| {
            fold(c).write(c, &mut out);
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_folds_to_a_fixpoint() {
        // The planes between hold nothing that folds.
        for c in ('\0'..='\u{2FFFF}').chain('\u{E0000}'..='\u{E0FFF}') {
            let once = folded(&c.to_string());
            assert_eq!(folded(&once), once, "{c} {:04x}", u32::from(c));
            let inner = once.trim_matches(' ');
            assert!(
                fold(c).is_space() || (once == inner && !once.contains("  ")),
                "{c} {:04x}",
                u32::from(c)
            );
            assert_eq!(fold(c).is_removed(), once.is_empty());
        }
    }

    #[test]
    fn disguises_fold_to_latin() {
        for (disguised, plain) in [
            ("ｂｏｍｂ 𝓫𝖔𝗺𝕓 ⓑⓄ⒨🅱", "bomb bomb bomb"),
            ("вомв ʙᴏᴍʙ βομβ ᏼꮻꮇᏼ", "bomb bomb bomb bomb"),
            ("bómb bo\u{301}m\u{327}b b\u{200B}o\u{AD}m\u{FE0F}b", "bomb bomb bomb"),
            ("ŁØÐ ﬁﬂ Ǆ æ ß ẞ İ", "lod fifl dz ae ss ss i"),
            ("“a” ‘b’ – — … ´ ¨", "\"a\" 'b' - - ... ' "),
            ("①② ½ ™ ㎏", "12 1/2 tm kg"),
        ] {
            assert_eq!(folded(disguised), plain);
        }
    }

    #[test]
    fn other_scripts_survive() {
        for text in ["бджзилпфцчщъыэю", "δθλξπφψ", "你好世界", "नमस्ते", "สวัสดี", "مرحبا", "שלום", "こんにちは"]
        {
            assert_eq!(folded(text), text);
        }
        assert_eq!(folded("ガ"), "カ\u{3099}");
        // Composed or not, an accent is an accent.
        assert_eq!(folded("Ёлка и\u{306}од"), folded("елка йод"));
        assert_eq!(folded("ΘΆΝΑΤΟΣ"), folded("θάνατος"));
        assert_eq!(folded("مُحَمَّد"), folded("محمد"));
    }
}
