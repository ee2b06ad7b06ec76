//! Spans lead back: slicing a message with the span of a finding gives what was found, whatever it was disguised as,
//! and redaction replaces just that.

use brightline::compiler::Compiler;
use brightline::engine::views::normalize;
use brightline::message::{Message, Part};
use brightline::verdict::{EvidenceSpan, Field};
use brightline::{Action, Guard, Input, Role, Verdict};
use proptest::prelude::*;
use proptest::sample::select;
use std::borrow::Cow;

/// A way to hide a word: its name, the view that shows it, what has to stand around it so that it is a token of its own
/// and the view is worth building, and how it is written.
type Disguise = (&'static str, Option<&'static str>, (&'static str, &'static str), fn(&str) -> String);

const PLAIN: (&str, &str) = ("(", ")");

const DISGUISES: [Disguise; 25] = [
    ("none", None, PLAIN, str::to_string),
    ("upper case", None, PLAIN, str::to_uppercase),
    ("fullwidth", None, PLAIN, |word| shifted(word, 0xFF41)),
    ("mathematical", None, PLAIN, |word| shifted(word, 0x1D5EE)),
    ("circled", None, PLAIN, |word| shifted(word, 0x24D0)),
    ("zero-width", None, PLAIN, |word| joined(word, "\u{200B}\u{2060}\u{AD}\u{FEFF}")),
    ("bidirectional controls", None, PLAIN, |word| joined(word, "\u{202E}\u{2066}")),
    ("controls", None, PLAIN, |word| joined(word, "\0")),
    ("tags between", None, PLAIN, |word| joined(word, "\u{E0020}")),
    ("look-alikes", None, PLAIN, |word| replaced(word, "abcehikmoprstuvxy", "аᏼсеһικмоρгѕтυνху")),
    ("composed accents", None, PLAIN, |word| replaced(word, "aceinorsuyz", "áçêíñǒřšüýž")),
    ("combining accents", None, PLAIN, |word| joined(word, "\u{301}\u{323}")),
    ("two lines", None, PLAIN, |word| {
        let (first, second) = word.split_at(2);
        format!("{first}\r\n\t\u{A0}\u{200B}\u{2028}{second}")
    }),
    ("spaced", Some("unspaced"), PLAIN, |word| joined(word, " ")),
    ("hyphened", Some("unspaced"), PLAIN, |word| joined(word, "-")),
    ("one letter a line", Some("unspaced"), PLAIN, |word| joined(word, "\r\n")),
    ("leet", Some("leet"), PLAIN, |word| {
        let (first, rest) = word.split_at(1);
        let (inner, last) = rest.split_at(rest.len() - 1);
        first.to_string() + &replaced(inner, "oieast", "01345@").replace('@', "7").replace('4', "@") + last
    }),
    ("tags", Some("hidden"), ("x", "y"), |word| shifted(word, 0xE0061)),
    ("base64", Some("base64"), PLAIN, |word| base64(&format!("the word is {word}!"))),
    ("base64 twice", Some("base64"), PLAIN, |word| base64(&base64(&format!("the word is {word}!")))),
    ("hex", Some("hex"), PLAIN, |word| bytes(word, |byte| format!("{byte:02x}")) + "20776f72647320"),
    ("hex in groups", Some("hex"), PLAIN, |word| {
        bytes(word, |byte| format!("{byte:02X} ")) + "20 20 20 20 20"
    }),
    ("url", Some("url"), ("\n", "\n"), |word| bytes(word, |byte| format!("%{byte:02x}"))),
    ("rot13", Some("rot13"), (" gur (", ") "), |word| {
        bytes(word, |byte| char::from((byte - b'a' + 13) % 26 + b'a').to_string())
    }),
    ("reversed", Some("reversed"), (" uoy (", ") "), |word| word.chars().rev().collect()),
];

fn bytes(word: &str, write: fn(u8) -> String) -> String {
    word.bytes().map(write).collect()
}

fn shifted(word: &str, first: u32) -> String {
    word.bytes().map(|byte| char::from_u32(first + u32::from(byte - b'a')).unwrap()).collect()
}

fn joined(word: &str, between: &str) -> String {
    word.split("").filter(|letter| !letter.is_empty()).collect::<Vec<_>>().join(between)
}

fn replaced(word: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    word.chars().map(|c| from.find(c).map_or(c, |at| to[at])).collect()
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let all = three.iter().chain([&0, &0]).take(3).fold(0, |all, &byte| all << 8 | usize::from(byte));
        for nth in 0..4 {
            let is_padding = nth > three.len();
            out.push(if is_padding { '=' } else { char::from(ALPHABET[all >> (18 - 6 * nth) & 63]) });
        }
    }
    out
}

/// Text that offsets go wrong in.
fn around() -> impl Strategy<Value = String> {
    const PIECES: [&str; 38] = [
        "plain words",
        "é",
        "e\u{301}\u{327}",
        "\u{301}",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🏳️‍🌈",
        "🇩🇪",
        "مُحَمَّد",
        "שָׁלוֹם",
        "\u{202E}drawkcab\u{202C}",
        "\r\n",
        "\r\n\r\n",
        "\r",
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
        "\"",
        "\\",
        "b o m b",
    ];
    proptest::collection::vec(select(&PIECES[..]), 0..14).prop_map(|pieces| pieces.concat())
}

/// Long enough to count in every view, with something to write as a digit in the middle, and never all of digits that
/// are hexadecimal, which would be an identifier.
fn word() -> impl Strategy<Value = String> {
    "[b-hj-z][eost][a-z]{2,8}[ghj-z]"
}

fn guard(word: &str) -> Guard {
    let (first, second) = word.split_at(2);
    let text = format!(
        "## Clause {{#c authority=user}}\n\nBecause.\n\n~~~rule\n\
         on = [\"request\", \"response\", \"reasoning\", \"tool_call\", \"tool_result\"]\n\
         when = 'match(\"word\") || pii(\"email\")'\naction = \"redact\"\n~~~\n\n\
         ~~~patterns\nword = [\"{word}\", \"{first} {second}\"]\n~~~\n"
    );
    Guard::new(Compiler::without_files().text("p.md", text).into_policy().unwrap()).unwrap()
}

fn spans(verdict: &Verdict) -> Vec<EvidenceSpan> {
    let evidence = verdict.findings.iter().flat_map(|finding| &finding.evidence);
    evidence.flat_map(|evidence| evidence.spans.clone()).collect()
}

/// The text with each span replaced; spans that overlap share a placeholder.
fn without(text: &str, spans: &[EvidenceSpan], placeholder: &str) -> String {
    let mut covered: Vec<(usize, usize)> = Vec::new();
    let mut sorted: Vec<_> = spans.iter().map(|span| (span.start as usize, span.end as usize)).collect();
    sorted.sort_unstable();
    for (start, end) in sorted {
        match covered.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => covered.push((start, end)),
        }
    }
    let mut out = text.to_string();
    for (start, end) in covered.into_iter().rev() {
        out.replace_range(start..end, placeholder);
    }
    out
}

/// Every span is a slice of its own part, and each part is redacted by its own spans.
fn check_parts(guard: &Guard, input: &Input<'_>) -> Result<Verdict, TestCaseError> {
    let verdict = guard.check(input).unwrap();
    let spans = spans(&verdict);
    for span in &spans {
        prop_assert!(span.start <= span.end);
        prop_assert!(input.slice(span).is_some(), "{:?} in {:?}", span, input);
    }
    prop_assert!(spans.len() < 32, "all spans are listed");
    let mut redacted = 0;
    for part in &input.messages.last().unwrap().parts {
        let (field, at, text) = match part {
            Part::Text { text, at } | Part::ToolResult { text, at } => (Field::Content, *at, text),
            Part::Reasoning { text, at } => (Field::Reasoning, *at, text),
            Part::ToolCall { arguments, at, .. } => (Field::ToolCalls, Some(*at), arguments),
            _ => continue,
        };
        let own: Vec<_> =
            spans.iter().filter(|span| (span.field, span.part) == (field, at)).cloned().collect();
        let found =
            verdict.redactions.iter().find(|redaction| (redaction.field, redaction.part) == (field, at));
        let expected = (!own.is_empty()).then(|| without(text, &own, "[redacted]"));
        prop_assert_eq!(found.map(|redaction| redaction.text.as_str()), expected.as_deref());
        redacted += usize::from(found.is_some());
    }
    prop_assert_eq!(verdict.redactions.len(), redacted);
    Ok(verdict)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The evidence is the disguised word, all of it and nothing else, in the view that shows it. Without it the text
    /// passes.
    #[test]
    fn a_disguised_word_is_cited_and_redacted(
        word in word(),
        disguise in select(&DISGUISES[..]),
        before in around(),
        after in around(),
    ) {
        let (_, view, (open, close), write) = disguise;
        let disguised = write(&word);
        // A word that reads the same backwards is no disguise.
        prop_assume!(disguised != word || view.is_none());
        let start = before.len() + open.len();
        let text = format!("{before}{open}{disguised}{close}{after}");
        let guard = guard(&word);
        let input = Input::request(text.as_str());
        let verdict = check_parts(&guard, &input)?;
        let found: Vec<_> = spans(&verdict);
        let planted = (start as u32, (start + disguised.len()) as u32, view);
        let cited = |span: &EvidenceSpan| (span.start, span.end, span.view) == planted;
        prop_assert!(found.iter().any(cited), "{:?} of {} in {:?}: {:?}", disguise.0, word, text, found);
        prop_assert_eq!(input.slice(found.iter().find(|span| cited(span)).unwrap()), Some(disguised.as_str()));
        let redacted = verdict.redacted().unwrap();
        prop_assert_eq!(redacted, format!("{before}{open}[redacted]{close}{after}"));
        prop_assert_eq!(guard.check(&Input::request(redacted)).unwrap().action, Action::Allow);
    }

    /// Personal data is looked for in the text as it is.
    #[test]
    fn personal_data_is_cited_and_redacted(before in around(), after in around()) {
        const EMAIL: &str = "jane.doe@example.com";
        let text = format!("{before}<{EMAIL}>{after}");
        let verdict = guard("needle").check(&Input::request(text.as_str())).unwrap();
        let start = (before.len() + 1) as u32;
        let found: Vec<_> = spans(&verdict).iter().map(|span| (span.start, span.end)).collect();
        prop_assert_eq!(found, [(start, start + EMAIL.len() as u32)]);
        let redacted = format!("{before}<[email]>{after}");
        prop_assert_eq!(verdict.redacted(), Some(redacted.as_str()));
    }

    /// Each content block has offsets of its own, also where a phrase begins in one and ends in the next.
    #[test]
    fn parts_have_offsets_of_their_own(
        pieces in proptest::collection::vec((around(), 0usize..4, around()), 1..5),
        role in select(vec![Role::User, Role::Assistant, Role::Tool]),
    ) {
        let parts: Vec<Part<'_>> = (0u32..)
            .zip(&pieces)
            .map(|(at, (before, what, after))| {
                let text: Cow<'_, str> =
                    format!("{before}{}{after}", ["", "(needle)", "ne", "edle"][*what]).into();
                match (role, at % 3) {
                    (Role::Assistant, 1) => Part::Reasoning { text, at: Some(at) },
                    (Role::User, 1) => Part::ToolResult { text, at: Some(at) },
                    _ => Part::Text { text, at: Some(at) },
                }
            })
            .collect();
        let planted = pieces.iter().filter(|(_, what, _)| *what == 1).count();
        let input = Input { messages: vec![Message { role, parts }], ..Input::default() };
        let verdict = check_parts(&guard("needle"), &input)?;
        let found = spans(&verdict);
        let whole = found.iter().filter(|span| input.slice(span) == Some("needle")).count();
        prop_assert_eq!(whole, planted);
        for span in &found {
            let slice = normalize(input.slice(span).unwrap());
            prop_assert!("needle" == slice || "ne edle".contains(&slice), "{:?}", slice);
        }
    }

    /// The arguments of a tool call are searched as the tool reads them and cited as they are written.
    #[test]
    fn escapes_of_json_are_cited_whole(before in around(), after in around(), escaped in any::<[bool; 6]>(), all in any::<bool>()) {
        let escape = |c: char| {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
        };
        let plain = |text: &str| {
            let json = serde_json::to_string(text).unwrap();
            if all { text.chars().map(escape).collect() } else { json[1..json.len() - 1].to_string() }
        };
        let needle: String = "needle"
            .chars()
            .zip(escaped)
            .map(|(c, is_escaped)| if is_escaped { escape(c) } else { c.to_string() })
            .collect();
        let start = "{\"path\": \"".len() + plain(&before).len() + 1;
        let arguments = format!("{{\"path\": \"{}({needle}){}\"}}", plain(&before), plain(&after));
        let input =
            Input { messages: vec![Message::tool_call("open", arguments.as_str())], ..Input::default() };
        let verdict = check_parts(&guard("needle"), &input)?;
        let found: Vec<_> = spans(&verdict).iter().map(|span| (span.start, span.end)).collect();
        prop_assert_eq!(found, [(start as u32, (start + needle.len()) as u32)]);
        let redacted: serde_json::Value = serde_json::from_str(verdict.redacted().unwrap()).unwrap();
        prop_assert_eq!(&redacted["path"], &format!("{before}([redacted]){after}"));
    }
}
