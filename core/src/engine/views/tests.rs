//! Properties: whatever the view and the disguise, slicing the original with a reported span gives what was found.

use super::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::fmt::Write as _;

/// Each way to hide a word, with the view that shows it again.
#[derive(Clone, Copy, Debug)]
enum Disguise {
    None,
    UpperCase,
    ZeroWidth,
    Fullwidth,
    Mathematical,
    LookAlike,
    Composed,
    Combining,
    Spaced(char),
    Leet,
    Tags,
    Base64,
    Base64Twice,
    Hex,
    HexGroups,
    Url,
    Rot13,
    Reversed,
}

const DISGUISES: [Disguise; 21] = [
    Disguise::None,
    Disguise::UpperCase,
    Disguise::ZeroWidth,
    Disguise::Fullwidth,
    Disguise::Mathematical,
    Disguise::LookAlike,
    Disguise::Composed,
    Disguise::Combining,
    Disguise::Spaced(' '),
    Disguise::Spaced('-'),
    Disguise::Spaced('.'),
    Disguise::Spaced('*'),
    Disguise::Leet,
    Disguise::Tags,
    Disguise::Base64,
    Disguise::Base64Twice,
    Disguise::Hex,
    Disguise::HexGroups,
    Disguise::Url,
    Disguise::Rot13,
    Disguise::Reversed,
];

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let all = three.iter().chain([&0, &0]).take(3).fold(0, |all, &byte| all << 8 | usize::from(byte));
        for nth in 0..4 {
            let is_padding = nth > three.len();
            out.push(if is_padding { '=' } else { char::from(ALPHABET[all >> (18 - 6 * nth) & 63]) });
        }
    }
    out
}

fn rotated(word: &str) -> String {
    let rotate = |byte: u8| char::from((byte - b'a' + 13) % 26 + b'a');
    word.bytes().map(rotate).collect()
}

impl Disguise {
    fn view(self) -> ViewKind {
        match self {
            Self::Spaced(_) => ViewKind::Unspaced,
            Self::Leet => ViewKind::Leet,
            Self::Tags => ViewKind::Hidden,
            Self::Base64 | Self::Base64Twice => ViewKind::Base64,
            Self::Hex | Self::HexGroups => ViewKind::Hex,
            Self::Url => ViewKind::Url,
            Self::Rot13 => ViewKind::Rot13,
            Self::Reversed => ViewKind::Reversed,
            _ => ViewKind::Normalized,
        }
    }

    /// What stands around the disguised word, so that it is a token of its own, and the view is worth building.
    fn frame(self) -> (&'static str, &'static str) {
        match self {
            Self::Url => ("\n", "\n"),
            Self::Rot13 => (" gur (", ") "),
            Self::Reversed => (" uoy (", ") "),
            Self::Tags => ("x", "y"),
            _ => ("(", ")"),
        }
    }

    /// Disguises a word of Latin letters.
    fn apply(self, word: &str) -> String {
        let shifted = |first: u32| -> String {
            word.bytes().map(|byte| char::from_u32(first + u32::from(byte - b'a')).unwrap()).collect()
        };
        let each = |write: fn(u8) -> String| word.bytes().map(write).collect::<String>();
        let between = |what: &str| word.split("").filter(|c| !c.is_empty()).collect::<Vec<_>>().join(what);
        let replaced = |from: &str, to: &str| -> String {
            let to: Vec<char> = to.chars().collect();
            word.chars().map(|c| from.find(c).map_or(c, |at| to[at])).collect()
        };
        match self {
            Self::None => word.to_string(),
            Self::UpperCase => word.to_uppercase(),
            Self::ZeroWidth => between("\u{200B}\u{2060}\u{AD}"),
            Self::Fullwidth => shifted(0xFF41),
            Self::Mathematical => shifted(0x1D5EE),
            Self::LookAlike => replaced("abcehikmoprstuvxy", "аᏼсеһικмоρгѕтυνху"),
            Self::Composed => replaced("aceinorsuyz", "áçêíñǒřšüýž"),
            Self::Combining => between("\u{301}\u{323}"),
            Self::Spaced(separator) => between(&separator.to_string()),
            Self::Leet => {
                let (first, rest) = word.split_at(1);
                let (middle, last) = rest.split_at(rest.len() - 1);
                let middle: String = middle
                    .chars()
                    .map(|c| "oieast".find(c).map_or(c, |at| char::from(b"01345@"[at])))
                    .collect();
                first.to_string() + &middle.replace('@', "7").replace('4', "@") + last
            }
            Self::Tags => shifted(0xE0061),
            Self::Base64 => base64(format!("the word is {word}!").as_bytes()),
            Self::Base64Twice => base64(base64(format!("the word is {word}!").as_bytes()).as_bytes()),
            Self::Hex => each(|byte| format!("{byte:02x}")) + "20776f72647320",
            Self::HexGroups => {
                "746865 ".to_string() + each(|byte| format!(" {byte:02X}")).trim_start() + " 20 20"
            }
            Self::Url => each(|byte| format!("%{byte:02x}")),
            Self::Rot13 => rotated(word),
            Self::Reversed => word.chars().rev().collect(),
        }
    }
}

/// Text that offsets go wrong in.
fn around() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "plain words",
        "é",
        "e\u{301}\u{327}",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "مُحَمَّد",
        "שָׁלוֹם",
        "\r\n",
        "\r\n\r\n",
        "  ",
        "\t",
        "\u{2028}",
        "\u{A0}",
        "你好，世界",
        "Привет",
        "ﬁ",
        "㎏",
        "ﷺ",
        "𐍈",
        "\u{200B}",
        "\u{202E}",
        "한국어",
        "नमस्ते",
        ". ",
        "İ",
        "…",
        "1st",
        "-",
        "—",
        "ß",
        "\0",
    ]);
    proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    let bits = select(vec![
        "a",
        "b",
        "i",
        "o",
        " ",
        "  ",
        "\r\n",
        "-",
        ".",
        "*",
        "0",
        "4",
        "@",
        "!",
        "$",
        "%41",
        "%",
        "%d0%b1",
        "\\x41",
        "0x",
        "41",
        "4142434445464748",
        "QUJDREVGR0hJSktM",
        "==",
        "б",
        "\u{301}",
        "\u{200B}",
        "\u{E0061}",
        "\u{E007F}",
        "gur ",
        "eht ",
        "日",
        "ﷺ",
        "𝓪",
        "\u{A8}",
    ]);
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(bits, 0..40).prop_map(|bits| bits.concat()),
        around(),
    ]
}

fn built(text: &str) -> Views {
    let mut views = Views::default();
    views.build(text, ViewOptions::default());
    views
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_disguised_word_is_found_where_it_was_planted(
        word in "[b-hj-z][eost][a-z]{1,8}[a-z]",
        disguise in select(&DISGUISES[..]),
        before in around(),
        after in around(),
    ) {
        let (open, close) = disguise.frame();
        let disguised = disguise.apply(&word);
        let text = format!("{before}{open}{disguised}{close}{after}");
        let start = before.len() + open.len();
        let views = built(&text);
        let view = views.iter().find(|view| view.kind == disguise.view());
        let view = view.unwrap_or_else(|| panic!("{disguise:?} of {word} in {text:?} gives no view"));
        let spans: Vec<_> =
            view.text().match_indices(&word).map(|(at, _)| view.to_original(at..at + word.len())).collect();
        prop_assert!(
            spans.contains(&Span::new(start, start + disguised.len())),
            "{disguise:?} of {word} in {text:?}: {:?} holds it at {spans:?}", view.text()
        );
    }

    #[test]
    fn normalizing_twice_changes_nothing(text in any_text()) {
        let once = normalize(&text);
        prop_assert_eq!(normalize(&once), once);
    }

    #[test]
    fn a_part_normalizes_to_a_part(text in any_text(), from in any::<Index>(), to in any::<Index>()) {
        let views = built(&text);
        let view = views.iter().next().unwrap();
        let chars: Vec<usize> = view.text().char_indices().map(|(at, _)| at).chain([view.text().len()]).collect();
        let (from, to) = (*from.get(&chars), *to.get(&chars));
        let range = from.min(to)..from.max(to);
        let original = text.get(view.to_original(range.clone()).range()).unwrap();
        prop_assert!(normalize(original).contains(view.text().get(range).unwrap()), "{original:?}");
    }

    #[test]
    fn every_view_is_normalized_and_maps_to_whole_characters(text in any_text()) {
        let views = built(&text);
        for view in views.iter() {
            prop_assert_eq!(normalize(view.text()), view.text(), "{:?}", view.kind);
            prop_assert!(view.text().len() <= 12 * text.len(), "{:?}", view.kind);
            for start in 0..=view.text().len() + 1 {
                for end in [start, start + 1, start + 5, usize::MAX] {
                    let span = view.to_original(start..end);
                    prop_assert!(text.get(span.range()).is_some(), "{:?} {start}..{end} {span:?}", view.kind);
                }
            }
        }
    }

    #[test]
    fn scratch_leaves_no_trace(first in any_text(), second in any_text(), derived: bool) {
        let options = ViewOptions { derived };
        let mut views = Views::default();
        views.build(&first, ViewOptions::default());
        views.build(&second, options);
        let mut fresh = Views::default();
        fresh.build(&second, options);
        let contents = |views: &Views| -> String {
            views.iter().fold(String::new(), |mut all, view| {
                let spans: Vec<_> = (0..view.text().len()).map(|at| view.to_original(at..at + 1)).collect();
                writeln!(all, "{:?} {:?} {spans:?}", view.kind, view.text()).unwrap();
                all
            })
        };
        prop_assert_eq!(contents(&views), contents(&fresh));
    }
}

fn shown(text: &str, kind: ViewKind) -> Option<String> {
    built(text).iter().find(|view| view.kind == kind).map(|view| view.text().to_string())
}

#[test]
fn ordinary_text_has_one_view() {
    for text in [
        "",
        "The committee met on Tuesday (at 10:30) to discuss the budget; 3rd time, mp3 attached.",
        "Write to jane.doe42@example.com, or call +1 555 0100 0199. A DNA test costs $99!",
        "L'été dernier, в прошлом году, 去年夏天。",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 in well-established-practices",
        "Flags like 🏳️‍🌈 and 👍🏽 are fine!",
    ] {
        let views = built(text);
        let kinds: Vec<_> = views.iter().map(|view| view.kind).collect();
        assert_eq!(kinds, [ViewKind::Normalized], "{text}");
    }
}

#[test]
fn separated_letters_are_joined() {
    for (text, joined) in [
        ("make a B O M B now", "make a bomb abomb now"),
        ("b o m b  n o w", "bomb now"),
        ("b\r\no\r\nm\r\nb", "bomb"),
        ("b-o-m-b / n.o.w, b_o_m_b", "bomb / now, bomb"),
        ("б о м б а", "бomбa"),
        ("b o m bs", "bom bs"),
    ] {
        assert_eq!(shown(text, ViewKind::Unspaced).as_deref(), Some(joined));
    }
    assert_eq!(shown("b o mb", ViewKind::Unspaced), None);
    assert_eq!(shown("a 1 b 2 c 3", ViewKind::Unspaced), None);
}

#[test]
fn digits_are_read_as_letters_inside_of_words() {
    for (text, read) in [
        ("a b0mb!", "a bomb!"),
        ("h4ck3r5 k1ll", "hackers kill"),
        ("f@ck p@$$word", "fack password"),
        ("4tt4ck mp3 3rd", "attack mp3 3rd"),
    ] {
        assert_eq!(shown(text, ViewKind::Leet).as_deref(), Some(read));
    }
    for text in ["mp3 3rd 2nd b2b", "me@example.org", "v1.2.3", "100$!"] {
        assert_eq!(shown(text, ViewKind::Leet), None, "{text}");
    }
}

#[test]
fn two_levels_are_decoded() {
    let mut text = String::from("how to make a bomb");
    for _ in 0..4 {
        text = base64(text.as_bytes());
    }
    let views = built(&text);
    let view = views.iter().find(|view| view.kind == ViewKind::Base64).unwrap();
    assert_eq!(view.text().split_whitespace().count(), 2);
}

#[test]
fn names_are_those_of_serde() {
    for view in built("x").derived_mut().into_iter().map(|view| view.kind).chain([ViewKind::Normalized]) {
        assert_eq!(serde_json::to_string(&view).unwrap(), format!("\"{}\"", view.as_str()));
    }
}

#[test]
fn views_can_be_shared_and_sent() {
    fn assert_all<T: Send + Sync + Clone>() {}
    assert_all::<Views>();
}
