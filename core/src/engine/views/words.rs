//! Where words begin and end in normalized text.

use unicode_normalization::char::is_combining_mark;

/// Whether a word may begin at byte `at`: the text begins there, or a boundary lies there.
///
/// A boundary lies between two characters unless both are word characters (letters, digits, marks, the underscore)
/// and neither belongs to a script that is written without spaces. So every character of such a script counts as a
/// word, and a pattern that begins with punctuation may begin anywhere. An offset inside of a character is no
/// boundary.
///
/// ```
/// use brightline::engine::views::words::is_word_start;
///
/// let text = "skill, kill".as_bytes();
/// assert!(is_word_start(text, 7));
/// assert!(!is_word_start(text, 1));
/// ```
#[inline]
pub fn is_word_start(bytes: &[u8], at: usize) -> bool {
    is_boundary(bytes, at)
}

/// Whether a word may end before byte `at`: the text ends there, or a boundary lies there.
///
/// The boundary is the same as for [`is_word_start`].
#[inline]
pub fn is_word_end(bytes: &[u8], at: usize) -> bool {
    is_boundary(bytes, at)
}

#[inline]
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    match (before, bytes.get(at)) {
        (None, _) | (_, None) => true,
        (Some(&before), Some(&after)) if before.is_ascii() && after.is_ascii() => {
            !(is_ascii_word(before) && is_ascii_word(after))
        }
        _ => is_boundary_of_characters(bytes, at),
    }
}

fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_boundary_of_characters(bytes: &[u8], at: usize) -> bool {
    let Some((before, after)) = last_char(bytes, at).zip(first_char(bytes, at)) else { return false };
    !(joins(before) && joins(after))
}

/// Whether a character is a word character of a script with spaces.
fn joins(c: char) -> bool {
    (c == '_' || c.is_alphanumeric() || is_combining_mark(c)) && !is_written_without_spaces(c)
}

fn first_char(bytes: &[u8], at: usize) -> Option<char> {
    (1..=4).find_map(|width| std::str::from_utf8(bytes.get(at..at + width)?).ok()?.chars().next())
}

fn last_char(bytes: &[u8], at: usize) -> Option<char> {
    (1..=4).find_map(|width| std::str::from_utf8(bytes.get(at.checked_sub(width)?..at)?).ok()?.chars().next())
}

/// Whether a character belongs to a script that is written without spaces between words.
pub fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        // Thai and Lao; Myanmar; Khmer; Tai Le, New Tai Lue, Khmer signs; Tai Tham.
        '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{1950}'..='\u{19FF}' | '\u{1A20}'..='\u{1AAF}'
        // Han with radicals, kana, Bopomofo.
        | '\u{2E80}'..='\u{2FDF}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3031}'..='\u{312F}' | '\u{31A0}'..='\u{31BF}' | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        // Yi; Javanese, Myanmar; Myanmar, Tai Viet.
        | '\u{A000}'..='\u{A4CF}' | '\u{A980}'..='\u{A9FF}' | '\u{AA60}'..='\u{AADF}'
        | '\u{16F00}'..='\u{16FFF}' | '\u{17000}'..='\u{18DFF}' | '\u{1AFF0}'..='\u{1B2FF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundaries(text: &str) -> Vec<usize> {
        (0..=text.len()).filter(|&at| is_word_start(text.as_bytes(), at)).collect()
    }

    #[test]
    fn boundaries_lie_around_words() {
        assert_eq!(boundaries("a bc,_1"), [0, 1, 2, 4, 5, 7]);
        assert_eq!(boundaries("é$x"), [0, 2, 3, 4]);
        assert_eq!(boundaries("añb"), [0, 4]);
        assert_eq!(boundaries(""), [0]);
    }

    #[test]
    fn marks_belong_to_their_word() {
        let text = "नमस्ते जी";
        assert_eq!(boundaries(text), [0, "नमस्ते".len(), "नमस्ते ".len(), text.len()]);
        let text = "안녕";
        assert_eq!(boundaries(text), [0, text.len()]);
    }

    #[test]
    fn scripts_without_spaces_break_everywhere() {
        assert_eq!(boundaries("炸弹"), [0, 3, 6]);
        assert_eq!(boundaries("aไป"), [0, 1, 4, 7]);
        assert_eq!(boundaries("tnt炸"), [0, 3, 6]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_panic() {
        let bytes = [b'a', 0xFF, 0xC3, b'b', 0x80];
        assert_eq!((0..=6).map(|at| is_word_end(&bytes, at)).filter(|&end| end).count(), 3);
    }
}
