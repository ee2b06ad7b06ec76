//! Letters of other scripts, and signs, that are read as Latin letters or as ASCII punctuation.
//!
//! One letter stands for one or two, whatever its neighbors. Sources are the single-letter confusables of
//! [UTS 39](https://www.unicode.org/reports/tr39/#Confusable_Detection) for scripts with case and for scripts that
//! disguises borrow whole alphabets from (small capitals, turned letters, Cherokee, Lisu, Coptic, Canadian syllabics).
//! Left out are scripts in which a text would lose its meaning (Arabic, Hebrew, the Indic scripts, Thai, Han, kana,
//! Hangul) and letters that resemble digits. Upper case is folded before the table is asked, so a letter whose two
//! cases resemble different Latin letters (`Η`/`η`) stands once, for the small one.

use std::sync::LazyLock;

/// Each target with the letters that fold to it: in lower case, without accents, not decomposable.
const LETTERS: &[(&str, &str)] = &[
    ("a", "аαɑɐɒⱥᴀꭺⲁꓮᗩᗅꭤ₳"),
    ("ae", "æӕᴁ"),
    ("b", "вьβƀƃƅɓɮʙᏼꮟⲃꓐᗷꞵ₿"),
    ("c", "сҫƈȼɕɔↄᴄᴐꮯⲥꓚᑕ₵¢"),
    ("d", "ԁđðɖɗƌȡᴅꭰꮷꓓᗪᗞ∂"),
    ("e", "еєҽҿәԑεɇɛǝəɘɜᴇꭼⲉꓰꬲ"),
    ("f", "ғϝƒʄɟꞙꬵꜰꓝᖴ₣"),
    ("g", "ԍցɡɠɢᶃᏻꮐꓖ₲"),
    ("h", "нңҥһӈӊћհħɦɥⱨʜᏺꮋꮒⲏꓧᕼ"),
    ("hv", "ƕ"),
    ("i", "іιıɨɩɪᵻᵼᴉꭵⲓꓲ"),
    ("j", "јյϳȷɉʝᴊꭻꓙᒍ"),
    ("k", "кқҟӄҝκƙⱪꝁĸʞᴋꮶⲕꓗ₭"),
    ("l", "ӏłƚɫɭɬⱡꝉʟꮮꓡᒪ"),
    ("m", "мӎμɱɯʍᴍꮇⲙꓟᗰ₥"),
    ("n", "ոռηŋƞɲɳɴⲛꓠᑎ₦"),
    ("o", "оөѳσςοօøɵᴏᴑꝋꬽꬾꭴꮎꮻⲟꓳ"),
    ("oe", "œɶ"),
    ("oo", "ꝏꚙ"),
    ("p", "рքρϸþƥƿᵽᴘꮲⲣꓑᑭ₱"),
    ("q", "ԛզɋʠꞯᑫ"),
    ("r", "гяɍɹɼɽɾʀᴦꭱꮢⲅꓣᖇ"),
    ("s", "ѕֆʂƨꞩꜱᴤꮪꮥꓢᔕ₴"),
    ("ss", "ß"),
    ("t", "тҭτŧƫƭʈʇȶⱦᴛꭲꮏⲧꓔ₮"),
    ("u", "υսʉʊᴜᵾꞟꭎꭒꮜꓴᑌ"),
    ("v", "ѵνʋʌᴠꮩꓦᐯ"),
    ("w", "шѡԝաωⱳᴡꝡꮃꮤⲱⲽꓪᗯ₩"),
    ("x", "хҳӽχꭓⲭꓫᕁᕽ᙭"),
    ("y", "уүұγƴɏɣʎʏᶌỿꭹꮍⲩꓬꭚ"),
    ("z", "ζƶȥʐʑᴢᵶⱬꮓⲍꓜᘔ"),
];

/// Typographic punctuation that has no decomposition, or whose decomposition would read as something else.
const SIGNS: &[(&str, &str)] = &[
    ("'", "‘’‚‛′‵‹›´ʹʻʼʽʾʿˈˊˋ΄᾽᾿"),
    ("\"", "“”„‟″‶«»〝〞〟ˮ"),
    ("-", "‐‑‒–—―−⁃⸺⸻˗﹘"),
    ("/", "⁄∕"),
    (":", "∶ː"),
    ("~", "∼˜"),
    ("*", "∗⁎"),
    // The lunate sigma would decompose to an ordinary one.
    ("c", "ϲϹ"),
];

/// First letters of ranges of 26 that hold the alphabet in frames, brackets, squares and flags.
const ALPHABETS: [u32; 5] = [0x249C, 0x1F110, 0x1F150, 0x1F170, 0x1F1E6];
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

/// The lists turned round: every letter and sign with what it is read as, sorted.
static BY_LETTER: LazyLock<Vec<(char, &'static str)>> = LazyLock::new(|| {
    let mut all: Vec<(char, &str)> = LETTERS
        .iter()
        .chain(SIGNS)
        .flat_map(|&(target, sources)| sources.chars().map(move |source| (source, target)))
        .collect();
    all.sort_unstable();
    all
});

/// What a character is read as, if it resembles something in ASCII.
pub(super) fn read_as(c: char) -> Option<&'static str> {
    if c.is_ascii() {
        return None;
    }
    let framed = ALPHABETS.iter().find_map(|&first| {
        let nth = usize::try_from(u32::from(c).checked_sub(first)?).ok()?;
        ALPHABET.get(nth..nth + 1)
    });
    let listed = || {
        let at = BY_LETTER.binary_search_by_key(&c, |&(letter, _)| letter).ok()?;
        BY_LETTER.get(at).map(|&(_, target)| target)
    };
    framed.or_else(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn each_letter_stands_once_and_folds_to_lower_ascii() {
        let mut seen = HashMap::new();
        for (target, sources) in LETTERS.iter().chain(SIGNS) {
            assert!(target.is_ascii() && *target == target.to_lowercase(), "{target}");
            for c in sources.chars() {
                assert!(!c.is_ascii(), "{c}");
                assert_eq!(seen.insert(c, target), None, "{c} {:04x}", u32::from(c));
            }
        }
        for (target, sources) in LETTERS {
            for c in sources.chars() {
                assert_eq!(c.to_lowercase().collect::<String>(), c.to_string(), "upper case for {target}");
                let mut parts = 0;
                unicode_normalization::char::decompose_compatible(c, |_| parts += 1);
                assert_eq!(parts, 1, "{c} for {target} decomposes");
            }
        }
    }

    #[test]
    fn letters_in_frames_are_letters() {
        assert_eq!(['🅐', '🅱', '🇨', '⒟', '🄩'].map(read_as), ["a", "b", "c", "d", "z"].map(Some));
        assert_eq!([']', 'x', '日', '🆎'].map(read_as), [None; 4]);
    }
}
