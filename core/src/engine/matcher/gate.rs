//! Where patterns may begin: a test that most places of a text fail.

/// What the first bytes of patterns may be: a table of bytes and three bitmaps of 8 KiB.
pub(super) struct Gate {
    first: Box<[u8; 256]>,
    /// Hashes of the first four bytes of any pattern.
    four: Bitmap,
    /// Those of patterns shorter than eight bytes.
    short: Bitmap,
    /// Hashes of the first eight bytes of longer ones.
    eight: Bitmap,
}

/// The byte belongs to an ASCII word.
const WORD: u8 = 1;
/// Some pattern begins with the byte.
const BEGINS: u8 = 2;

impl Gate {
    pub(super) fn new(texts: &[&[u8]]) -> Self {
        let mut first = Box::new([0; 256]);
        for (byte, entry) in (0..=u8::MAX).zip(first.iter_mut()) {
            let begins = texts.iter().any(|text| text.first() == Some(&byte));
            *entry = (WORD * u8::from(is_ascii_word(byte))) | (BEGINS * u8::from(begins));
        }
        let [four, short, eight] = Default::default();
        let mut gate = Self { first, four, short, eight };
        for text in texts {
            let mut bytes = [0u8; 8];
            bytes.iter_mut().zip(text.iter()).for_each(|(to, from)| *to = *from);
            let (first, all) = Self::words(bytes);
            match text.len() {
                8.. => {
                    gate.four.insert(hash4(first));
                    gate.eight.insert(hash8(all));
                }
                4..8 => {
                    gate.four.insert(hash4(first));
                    gate.short.insert(hash4(first));
                }
                // Whatever the fourth byte is. The compiler makes none shorter than three.
                _ => {
                    for fourth in 0..=u8::MAX {
                        let first = first & 0x00FF_FFFF | u32::from(fourth) << 24;
                        gate.four.insert(hash4(first));
                        gate.short.insert(hash4(first));
                    }
                }
            }
        }
        gate
    }

    /// One bit for each byte, the first lowest, at which a pattern may begin for all that the byte and the one before say;
    /// and whether the block ends inside a word. Without a branch: the lengths of words cannot be predicted.
    #[inline]
    pub(super) fn places(&self, block: &[u8; 64], inside: bool) -> (u64, bool) {
        /// Moves the lowest bit of each of eight bytes into one byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        const LOWEST: u64 = u64::from_le_bytes([1; 8]);
        let (mut word, mut begins) = (0u64, 0u64);
        for (nth, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            #[expect(clippy::indexing_slicing, reason = "every byte is below 256")]
            let flags = u64::from_le_bytes(eight.map(|byte| self.first[usize::from(byte)]));
            word |= ((flags & LOWEST).wrapping_mul(GATHER) >> 56) << (8 * nth);
            begins |= ((flags >> 1 & LOWEST).wrapping_mul(GATHER) >> 56) << (8 * nth);
        }
        // Bytes of other scripts never count as inside: their word boundaries are decided at the match.
        (begins & !(word & (word << 1 | u64::from(inside))), word >> 63 == 1)
    }

    /// Whether a word goes on before byte `at`.
    pub(super) fn is_inside(&self, text: &[u8], at: usize) -> bool {
        at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|&byte| is_ascii_word(byte))
    }

    fn words(bytes: [u8; 8]) -> (u32, u64) {
        let all = u64::from_le_bytes(bytes);
        let first = all as u32;
        (first, all)
    }

    /// Whether a pattern may begin here. Near the end of the text missing bytes count as zeros, which no pattern holds:
    /// only patterns that fit are admitted, and those of three bytes admit any fourth.
    #[inline]
    pub(super) fn admits(&self, text: &[u8], at: usize) -> bool {
        let bytes = match text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(bytes) => *bytes,
            None => {
                let mut bytes = [0u8; 8];
                bytes.iter_mut().zip(text.get(at..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
                bytes
            }
        };
        let (first, all) = Self::words(bytes);
        let hash = hash4(first);
        self.four.contains(hash) && (self.short.contains(hash) || self.eight.contains(hash8(all)))
    }
}

struct Bitmap(Box<[u64; 1024]>);

impl Default for Bitmap {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl Bitmap {
    fn insert(&mut self, hash: u16) {
        if let Some(word) = self.0.get_mut(usize::from(hash >> 6)) {
            *word |= 1 << (hash & 63);
        }
    }

    #[inline]
    fn contains(&self, hash: u16) -> bool {
        self.0.get(usize::from(hash >> 6)).is_some_and(|word| word >> (hash & 63) & 1 == 1)
    }
}

#[inline]
fn hash4(bytes: u32) -> u16 {
    (bytes.wrapping_mul(0x9E37_79B1) >> 16) as u16
}

#[inline]
fn hash8(bytes: u64) -> u16 {
    (bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as u16
}

#[inline]
pub(super) fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
