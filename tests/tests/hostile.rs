//! Input that nobody wrote in good faith: huge, deep, broken, repeated. Each case ends in a verdict or a clear error.
//!
//! Nothing here measures time. Each case is so large that work which grows faster than its input runs into the
//! [watchdog](within), and so deep that recursion over it would end the stack of an ordinary thread.

use brightline::artifact::{self, ArtifactError, FORMAT_VERSION, MAGIC};
use brightline::compiler::Compiled;
use brightline::diagnostic::Code;
use brightline::message::Part;
use brightline::policy::Action;
use brightline::span::Source;
use brightline::{Compiler, Guard, Input, Message, Role, Verdict, spec, wire};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

const MEGABYTE: usize = 1 << 20;

/// A policy with an atom of every sort on every surface.
const SMALL: &str = include_str!("../fuzz/src/small.md");

static SMALL_GUARD: LazyLock<Guard> =
    LazyLock::new(|| Guard::new(compile(SMALL).into_policy().unwrap()).unwrap());

fn compile(text: &str) -> Compiled {
    Compiler::without_files().text("hostile.md", text)
}

/// Runs `work` in a thread with a stack of the default size and fails where it takes longer than five minutes. On an idle
/// machine the slowest takes some ten seconds.
fn within<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = std::thread::Builder::new().name(what.to_string()).spawn(move || done.send(work()));
    drop(thread.unwrap());
    match result.recv_timeout(Duration::from_secs(300)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: still at work after five minutes"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: panicked"),
    }
}

/// Judges the input; every span of evidence lies in it and the verdict can be written.
fn judge(input: &Input<'_>) -> Verdict {
    let verdict = SMALL_GUARD.check(input).unwrap();
    for span in verdict.findings.iter().flat_map(|finding| &finding.evidence).flat_map(|it| &it.spans) {
        assert!(input.slice(span).is_some(), "{span:?}");
    }
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&serde_json::to_vec(&verdict).unwrap()).is_ok());
    verdict
}

/// `piece` as often as it takes.
fn filled(piece: &str, length: usize) -> String {
    piece.repeat(length / piece.len() + 1)
}

fn found(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().filter_map(|it| verdict.clause_of(it)).map(|clause| clause.id.as_str()).collect()
}

mod messages {
    use super::*;

    fn long(length: usize, pieces: &'static [&'static str]) {
        for piece in pieces {
            within(piece, move || {
                let text = filled(piece, length);
                let verdict = judge(&Input::request(text.as_str()));
                assert_eq!(verdict.scanned.bytes, text.len() as u64);
            });
        }
    }

    #[test]
    fn of_one_character() {
        long(10 * MEGABYTE, &["a", " "]);
    }

    #[test]
    fn of_prose() {
        long(
            10 * MEGABYTE,
            &["The quick brown fox, \u{201c}jumping\u{201d} over 12 lazy dogs; it isn't 3:30 yet.\n"],
        );
    }

    #[test]
    fn of_marks_that_open_and_never_close() {
        long(MEGABYTE / 8, &["<untrusted>", "<untrusted", "\"", "“", "「", "```\n", "> "]);
    }

    #[test]
    fn of_what_normalization_removes_or_replaces() {
        long(MEGABYTE / 8, &["\u{200b}", "n\u{200b}", "\u{e0041}", "\u{fdfa}", "\u{301}", "е"]);
    }

    #[test]
    fn of_what_looks_like_personal_data() {
        long(MEGABYTE / 8, &["1", "4111 ", "a@", "@", "a.", "1.2.3.", "+1-", "GB82WEST", ":", "de:ad:"]);
    }

    #[test]
    fn of_what_looks_like_secrets() {
        long(
            MEGABYTE / 8,
            &["AKIA", "eyJ", "ghp_", "password=", "-----BEGIN PRIVATE KEY-----", "://a:b", "sk-"],
        );
    }

    #[test]
    fn of_what_looks_encoded() {
        long(
            MEGABYTE / 8,
            &["QUJD", "bmVydmUgYWdlbnQg", "6e", "%6e", "%", "b o m b ", "b0mb ", "%25", "tnt\n"],
        );
    }

    #[test]
    fn of_what_begins_patterns_again_and_again() {
        long(
            MEGABYTE / 8,
            &["nerve agen", "vx gas", " vx ", "nerve agent synthesize ", "123-", "123-ab", "phobia", "爆弾"],
        );
    }

    #[test]
    fn in_a_hundred_thousand_pieces() {
        within("messages", || {
            let turn = |at: usize| {
                Message::text(if at.is_multiple_of(2) { Role::User } else { Role::Assistant }, "synthesize")
            };
            let input = Input { messages: (0..100_000).map(turn).collect(), ..Input::default() };
            judge(&input);
        });
        within("blocks", || {
            let part = |at| Part::Text { text: "write to jane@example.com".into(), at: Some(at) };
            let message = Message { role: Role::User, parts: (0..100_000).map(part).collect() };
            let verdict = judge(&Input { messages: vec![message], ..Input::default() });
            assert_eq!(verdict.redactions.len(), 100_000);
        });
        within("calls", || {
            let part =
                |at| Part::ToolCall { name: "shell".into(), arguments: "{\"cmd\":\"rm -rf /\"}".into(), at };
            let message = Message { role: Role::Assistant, parts: (0..20_000).map(part).collect() };
            assert_eq!(
                judge(&Input { messages: vec![message], ..Input::default() }).action,
                Action::Escalate
            );
        });
        within("calls with broken arguments", || {
            let part = |at| Part::ToolCall { name: "search".into(), arguments: "{".into(), at };
            let message = Message { role: Role::Assistant, parts: (0..20_000).map(part).collect() };
            assert_eq!(judge(&Input { messages: vec![message], ..Input::default() }).action, Action::Block);
        });
    }

    #[test]
    fn whose_tool_calls_quote_a_long_conversation() {
        within("taint", || {
            let mut messages: Vec<Message<'_>> = (0..64)
                .map(|_| Message::text(Role::User, filled("nothing to see here, move along now ", 64 << 10)))
                .collect();
            let strings: Vec<String> = (0..1000).map(|at| format!("argument number {at}")).collect();
            let arguments = serde_json::to_string(&strings).unwrap();
            let part = |at| Part::ToolCall { name: "mail".into(), arguments: arguments.clone().into(), at };
            messages.push(Message { role: Role::Assistant, parts: (0..50).map(part).collect() });
            // More than is searched for one check: the clause says so and follows its `on_error`.
            assert!(judge(&Input { messages, ..Input::default() }).action >= Action::Escalate);
        });
    }

    #[test]
    fn in_arguments_full_of_escapes() {
        within("escapes", || {
            // One token of base64, every other character of it behind an escape, with many hits inside.
            let mut arguments = String::from("{\"data\":\"");
            for _ in 0..20_000 {
                arguments.push_str("bmVydm\\u0055gYWdlbnQg");
            }
            arguments.push_str("\"}");
            let message = Message::tool_call("search", arguments);
            judge(&Input { messages: vec![message], ..Input::default() });
        });
        within("backslashes", || {
            let message = Message::tool_call("search", filled("\\", 2 * MEGABYTE));
            judge(&Input { messages: vec![message], ..Input::default() });
        });
    }

    #[test]
    fn with_no_text_at_all() {
        let empty = Message { role: Role::User, parts: Vec::new() };
        assert_eq!(judge(&Input { messages: vec![empty], ..Input::default() }).action, Action::Allow);
        assert_eq!(judge(&Input::request("")).action, Action::Allow);
        assert_eq!(judge(&Input::request("\0")).action, Action::Allow);
        let nothing = Message::tool_call("", "");
        judge(&Input { messages: vec![nothing], ..Input::default() });
        assert!(SMALL_GUARD.check(&Input::default()).is_err());
    }

    #[test]
    fn disguised_by_noise_are_still_found() {
        for text in
            ["nerve\0 agent production route", "n\u{200b}erve\u{ad} agent\r\n\r\nproduction\u{a0}route"]
        {
            assert_eq!(found(&judge(&Input::request(text))), ["never"], "{text:?}");
        }
    }
}

mod records {
    use super::*;

    fn refused(json: impl AsRef<[u8]>) -> String {
        wire::parse(json.as_ref()).expect_err("this is no record").to_string()
    }

    #[test]
    fn nested_ten_thousand_deep() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nest = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
            within("record", {
                let nest = nest.clone();
                move || refused(nest)
            });
            // In a field that is not read it does no harm.
            within("unknown field", {
                let json = format!("{{\"request\":\"hello\",\"x\":{nest}}}");
                move || wire::parse(json.as_bytes()).map(|input| judge(&input)).unwrap()
            });
            for place in ["messages", "settings", "signals", "tags", "system"] {
                within(place, {
                    let json = format!("{{\"request\":\"hello\",\"{place}\":{nest}}}");
                    move || refused(json)
                });
            }
            // Arguments too deep to be read are no JSON as far as conditions are concerned: they fail closed.
            within("arguments", {
                let json = format!("{{\"tool_call\":{{\"name\":\"search\",\"arguments\":{nest}}}}}");
                move || assert_eq!(judge(&wire::parse(json.as_bytes()).unwrap()).action, Action::Block)
            });
        }
        within("blocks", move || {
            let open = "[{\"type\":\"tool_result\",\"content\":".repeat(10_000);
            refused(format!(
                "{{\"messages\":[{{\"role\":\"user\",\"content\":{open}\"x\"{}}}]}}",
                "}]".repeat(10_000)
            ))
        });
    }

    #[test]
    fn that_are_no_text() {
        assert!(refused(b"{\"request\":\"\xff\"}").contains("line 1"));
        assert!(refused(b"{\"request\":\"\\ud800\"}").contains("line 1"));
        assert!(refused(b"{\"request\":\"\\ude00\\ud83d\"}").contains("line 1"));
        assert!(refused(b"{\"request\":\"a\0b\"}").contains("line 1"));
        assert!(refused(b"\0").contains("line 1"));
        assert!(refused("1".repeat(MEGABYTE)).len() < 200);
        // What is wrong is said without what was said: an error record holds no message text.
        let secret = format!("secret {}", "a".repeat(MEGABYTE));
        for json in
            [format!("\"{secret}\""), format!("{{\"messages\":\"{secret}\"}}"), format!("{{\"{secret}\":1}}")]
        {
            let message = refused(json);
            assert!(message.len() < 300 && !message.contains("secret"), "{message}");
        }
        let nul = wire::parse(b"{\"request\":\"a\\u0000b\"}").unwrap();
        assert_eq!(judge(&nul).action, Action::Allow);
    }

    #[test]
    fn with_numbers_beyond_all_bounds() {
        let digits = "9".repeat(10_000);
        for field in ["target", "id"] {
            assert!(!refused(format!("{{\"request\":\"x\",\"{field}\":{digits}}}")).is_empty());
        }
        for value in ["1e400", "-1e400", digits.as_str(), "\"1\"", "NaN"] {
            refused(format!("{{\"request\":\"x\",\"signals\":{{\"probe.x\":{value}}}}}"));
        }
        let json = format!("{{\"tool_call\":{{\"name\":\"search\",\"arguments\":{{\"n\":{digits}}}}}}}");
        let verdict = judge(&wire::parse(json.as_bytes()).unwrap());
        assert!(verdict.action >= Action::Escalate, "a number that cannot be read does not pass");
    }

    /// What the guard reads first and the model's host last, or the other way round, would pass unjudged.
    #[test]
    fn that_say_a_thing_twice() {
        for json in [
            r#"{"request":"nerve agent","request":"hello"}"#,
            r#"{"messages":[],"messages":[{"role":"user","content":"hello"}]}"#,
            r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","type":"image","text":"a"}]}]}"#,
            r#"{"tool_call":{"name":"a","name":"b","arguments":{}}}"#,
            r#"{"request":"x","tags":["under_18"],"tags":[]}"#,
            r#"{"request":"x","signals":{"probe.x":0.9,"probe.x":0.1}}"#,
        ] {
            assert!(refused(json).contains("duplicate"), "{json}: {}", refused(json));
        }
    }

    #[test]
    fn with_endless_context() {
        within("tags", || {
            let tags = vec!["\"no_such_tag\""; 100_000].join(",");
            let calls = vec!["{\"name\":\"search\",\"arguments\":{}}"; 2000].join(",");
            let json = format!(
                "{{\"tags\":[{tags}],\"messages\":[{{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{calls}]}}]}}"
            );
            match wire::parse(json.as_bytes()) {
                Ok(input) => drop(judge(&input)),
                Err(error) => assert_eq!(error.path, "tags"),
            }
        });
        within("switches", || {
            let switches: Vec<String> = (0..100_000).map(|at| format!("\"clause{at}\":\"off\"")).collect();
            let json = format!(
                "{{\"request\":\"x\",\"settings\":{{\"user\":{{\"switch\":{{{}}}}}}}}}",
                switches.join(",")
            );
            assert_eq!(judge(&wire::parse(json.as_bytes()).unwrap()).ignored.len(), 100_000);
        });
    }
}

mod documents {
    use super::*;

    fn parsed(what: &'static str, text: String) {
        within(what, move || {
            let parsed = spec::parse(&Arc::new(Source::new("hostile.md", text)));
            assert!(parsed.document.sections.iter().is_sorted_by_key(|section| section.heading.start));
        });
    }

    #[test]
    fn nested_ten_thousand_deep() {
        parsed("quotes", "> ".repeat(10_000));
        parsed("quotes on many lines", format!("{}\n", "> ".repeat(1000)).repeat(100));
        parsed("lists", "- ".repeat(10_000));
        parsed(
            "lists on many lines",
            (0..1000).map(|depth| format!("{}- a\n", "  ".repeat(depth))).collect(),
        );
        parsed("emphasis", "*_".repeat(10_000));
        parsed("links", ["[".repeat(10_000), "](#a)".repeat(10_000)].concat());
        parsed("images", "![".repeat(10_000));
    }

    #[test]
    fn of_one_mark_again_and_again() {
        let marks = [
            "#", "# \n", "#\n", "`", "~", "[", "[^", "[^a", "](", "<", "<!--", "&", "\\", "|", "*", "_a",
            "> ", "\u{1}", "+++\n", "{#a}",
        ];
        for mark in marks {
            parsed(mark, filled(mark, MEGABYTE / 4));
            parsed(mark, format!("## A {{#a authority=root}}\n\n{}", filled(mark, MEGABYTE / 4)));
        }
    }

    #[test]
    fn of_many_parts() {
        let compiled = |what, text: String| within(what, move || compile(&text).diagnostics.len());
        let front = "+++\nname = \"many\"\nversion = \"1\"\n+++\n\n";
        let clauses: String = (0..20_000).map(|at| format!("# C {{#c{at} authority=root}}\n")).collect();
        assert!(compiled("clauses", format!("{front}{clauses}")) > 0);
        let fences = "~~~examples\nhits: request: x\n~~~\n[^a1]\n".repeat(10_000);
        compiled("fences", format!("{front}# C {{#c authority=root}}\n{fences}"));
        let lines = "nonsense\n".repeat(50_000);
        assert!(
            compiled("example lines", format!("{front}# C {{#c authority=root}}\n~~~examples\n{lines}~~~\n"))
                >= 50_000
        );
        let attributes: String = (0..50_000).map(|at| format!(" a{at}=b")).collect();
        compiled("attributes", format!("{front}# C {{#c authority=root{attributes}}}\n"));
    }

    #[test]
    fn with_a_front_matter_that_explodes() {
        for front in [
            format!("name = {}{}", "[".repeat(10_000), "]".repeat(10_000)),
            format!("{} = 1", vec!["a"; 10_000].join(".")),
            format!("name = {}1{}", "{a=".repeat(10_000), "}".repeat(10_000)),
            format!("{}a{} = 1", "[".repeat(10_000), "]".repeat(10_000)),
            format!("[{}]\nx = 1", vec!["a"; 10_000].join(".")),
            (0..20_000).map(|at| format!("[[a.b]]\nx{at} = 1\n")).collect(),
            format!("name = \"{}\"", "a".repeat(MEGABYTE)),
            format!("name = {}", "9".repeat(MEGABYTE)),
            "name = \"\"\"".to_string(),
            "\0".repeat(1000),
        ] {
            let text = format!("+++\n{front}\n+++\n\n# A {{#a authority=root}}\n");
            within("front matter", move || {
                let compiled = compile(&text);
                assert!(compiled.policy.is_none() || front.len() > MEGABYTE, "{:.60}", front);
            });
        }
    }

    #[test]
    fn that_extend_one_another() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, extends: &str| {
            let text = format!("+++\nname = \"a\"\nversion = \"1\"\nextends = [{extends}]\n+++\n");
            std::fs::write(directory.path().join(name), text).unwrap();
            directory.path().join(name)
        };
        let itself = write("self.md", "\"self.md\"");
        write("b.md", "\"c.md\"");
        write("c.md", "\"./../x/../b.md\", \"a.md\"");
        let circle = write("a.md", "\"b.md\"");
        for at in 0..40 {
            write(&format!("chain{at}.md"), &format!("\"chain{}.md\", \"chain{}.md\"", at + 1, at + 2));
        }
        let chain = directory.path().join("chain0.md");
        for (file, code) in
            [(itself, Code::ExtendsCycle), (circle, Code::ExtendsCycle), (chain, Code::ExtendsCycle)]
        {
            let compiled = within("extends", move || Compiler::new().file(file));
            assert!(compiled.policy.is_none());
            assert!(compiled.diagnostics.iter().any(|it| it.code == code), "{:?}", compiled.diagnostics);
        }
    }

    #[test]
    fn that_are_no_text() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.md");
        for (bytes, code) in [
            (b"+++\nname = \"\xff\"\n+++\n".to_vec(), Code::SourceNotUtf8),
            (vec![b'a'; 9 * MEGABYTE], Code::SourceTooLarge),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let compiled = Compiler::new().file(&file);
            assert_eq!(compiled.diagnostics.iter().map(|it| it.code).collect::<Vec<_>>(), [code]);
        }
    }
}

mod conditions {
    use super::*;

    /// Compiles a policy with this condition and the sets `a` and `b`.
    fn codes(what: &'static str, condition: &str) -> Vec<Code> {
        let text = format!(
            "+++\nname = \"x\"\nversion = \"1\"\n+++\n\n## A {{#a authority=user}}\n\nProse.\n\n~~~rule\n\
             on = [\"request\", \"tool_call\"]\nwhen = '''{condition}'''\n~~~\n\n\
             ~~~patterns\na = [\"nerve agent\"]\nb = [\"production\"]\n~~~\n"
        );
        within(what, move || compile(&text).diagnostics.iter().map(|it| it.code).collect())
    }

    #[test]
    fn nested_too_deep_are_refused() {
        for depth in [100, 1000, 10_000] {
            for (open, inside, close) in [
                ("(", "untrusted", ")"),
                ("!", "untrusted", ""),
                ("-", "1", ""),
                ("[", "1", "]"),
                ("{1:", "1", "}"),
                ("untrusted ? ", "true", " : false"),
                ("untrusted ? true : ", "false", ""),
                ("tag(", "\"a\"", ")"),
            ] {
                let condition = [&open.repeat(depth), inside, &close.repeat(depth)].concat();
                let codes = codes("depth", &condition);
                let refused =
                    codes.iter().any(|code| matches!(code, Code::ConditionTooLarge | Code::ConditionSyntax));
                let fits = matches!(open, "!" | "-") && depth == 100;
                assert!(refused || fits, "{depth} x `{open}`: {codes:?}");
            }
        }
        for (piece, last) in [
            ("a.", "b"),
            ("untrusted || ", "untrusted"),
            ("untrusted == ", "true"),
            ("1 + ", "1"),
            ("\"\" + ", "\"\""),
        ] {
            for count in [10, 100, 300, 1000] {
                codes("width", &format!("{}{last}", piece.repeat(count)));
            }
        }
        codes("strings", &format!("tag(\"{}\")", "a".repeat(4000)));
        codes("an open string", &format!("tag(\"{}", "(".repeat(3000)));
        codes("escapes", &format!("tag(\"{}\")", "\\\"".repeat(1500)));
    }

    /// A conditional stands twice in the lowered form, so a chain of them in the first place would double each time.
    #[test]
    fn that_double_are_refused() {
        let depth = 40;
        let chain =
            format!("{}match(\"a\"){}", "(".repeat(depth), " ? match(\"b\") : untrusted)".repeat(depth));
        assert!(codes("conditionals", &chain).contains(&Code::ConditionTooLarge));
        let fine = format!("{}match(\"a\"){}", "(".repeat(4), " ? match(\"b\") : untrusted)".repeat(4));
        assert!(!codes("conditionals", &fine).contains(&Code::ConditionTooLarge));
    }

    /// Whether such a condition can hold takes longer than anybody waits to find out; the search gives up in time.
    #[test]
    fn that_cannot_be_decided_are_left_alone() {
        let tags: Vec<String> = (0..90).map(|at| format!("(tag(\"t{at}\") || tag(\"u{at}\"))")).collect();
        codes("tags", &tags.join(" && "));
        let lengths: Vec<String> =
            (0..100).map(|at| format!("length() > {at} && length() < {}", 400 - at)).collect();
        codes("lengths", &lengths.join(" && "));
        let pairs: Vec<String> = (0..40)
            .map(|at| format!("(length() == {at} || count(\"a\") != {at} && length() != {at})"))
            .collect();
        codes("pairs", &pairs.join(" && "));
        let names: Vec<String> = (0..100).map(|at| format!("tool.name.startsWith(\"a{at}\")")).collect();
        codes("names", &names.join(" || "));
    }
}

mod patterns {
    use super::*;

    fn policy(patterns: &str) -> String {
        format!(
            "+++\nname = \"x\"\nversion = \"1\"\n+++\n\n## A {{#a authority=user}}\n\nProse.\n\n~~~rule\n\
             when = 'match(\"a\")'\n~~~\n\n~~~patterns\na = {patterns}\n~~~\n"
        )
    }

    #[test]
    fn that_explode_are_refused() {
        for regex in [
            "(a{1,50}){1,50}",
            "(?:a{0,500}){0,500}b",
            "((a{0,100}){0,100}){0,100}",
            "[a-z]{500}[a-z]{500}",
            "a.*b",
            "(a+)+b",
            "(?:[a-z0-9]{0,30}[0-9a-f]{0,30}){0,8}xyz{1,9999}",
            &["(", &"(".repeat(200), "a", &")".repeat(200), ")"].concat(),
            &"(?:".repeat(10_000),
            "a{4294967295}",
            "\\p{L}{3,9}",
            "(?=abc)",
            "abc\\1",
        ] {
            let text = policy(&format!("['/{regex}/']"));
            let compiled = within("pattern", move || compile(&text));
            assert!(compiled.policy.is_none(), "{regex:.60}");
        }
    }

    #[test]
    fn that_backtrack_elsewhere_are_linear_here() {
        let text = policy(r"['/(?:a{1,20}){1,20}bb/', '/(?:a|aa|aaa){1,90}bb/', '/(?:a?){100}a{100}bb/']");
        let compiled = within("patterns", move || compile(&text));
        let guard = Guard::new(compiled.into_policy().unwrap()).unwrap();
        within("search", move || {
            let text = filled("a", 200_000);
            assert_eq!(guard.check(&Input::request(text.as_str())).unwrap().action, Action::Allow);
            let text = format!("{text}bb");
            assert_eq!(guard.check(&Input::request(text.as_str())).unwrap().action, Action::Flag);
        });
    }

    #[test]
    fn of_a_kind_by_the_thousand() {
        let many: Vec<String> = (0..5000).map(|at| format!("\"aaa {at:05}*\"")).collect();
        let text = policy(&format!("[{}]", many.join(",")));
        within("literals", move || {
            let guard = Guard::new(compile(&text).into_policy().unwrap()).unwrap();
            let text = filled("aaa 04999 ", MEGABYTE);
            assert_eq!(guard.check(&Input::request(text.as_str())).unwrap().action, Action::Flag);
        });
    }
}

mod artifacts {
    use super::*;

    const HEADER: usize = 4 + 8 + 32;

    fn valid() -> Vec<u8> {
        artifact::encode(SMALL_GUARD.policy())
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u64).to_le_bytes();
        [&MAGIC[..], &[FORMAT_VERSION], &length, blake3::hash(content).as_bytes(), content].concat()
    }

    #[test]
    fn cut_anywhere_are_refused() {
        let valid = valid();
        for length in 0..valid.len() {
            assert!(artifact::decode(&valid[..length]).is_err(), "{length}");
            let content = &valid[HEADER..];
            assert!(
                length >= content.len() || artifact::decode_content(&content[..length]).is_err(),
                "{length}"
            );
        }
        assert!(matches!(artifact::decode(&[valid, vec![0]].concat()), Err(ArtifactError::Length { .. })));
    }

    #[test]
    fn with_any_bit_flipped_are_refused() {
        let valid = valid();
        for at in 0..valid.len() {
            for bit in 0..8 {
                let mut bytes = valid.clone();
                bytes[at] ^= 1 << bit;
                assert!(artifact::decode(&bytes).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    /// The hash keeps accidents out, not an author: with the hash made to fit, what is loaded must still be usable.
    #[test]
    fn with_a_fitting_hash_are_refused_or_usable() {
        let valid = valid();
        let input = Input::exchange("nerve agent, synthesize", "call 555-0132 or jane@example.com");
        let call = Message::tool_call("search", r#"{"q":"x","cmd":"rm -rf /","n":9}"#);
        let call = Input { messages: vec![call], ..Input::default() };
        let mut usable = 0;
        for at in HEADER..valid.len() {
            for value in [0, 2, 0xff, valid[at] ^ 1] {
                let mut content = valid[HEADER..].to_vec();
                content[at - HEADER] = value;
                let Ok(policy) = artifact::decode(&sealed(&content)) else { continue };
                usable += 1;
                let guard = Guard::new(policy).map_err(|error| assert!(!error.to_string().is_empty()));
                if let (Ok(guard), true) = (guard, usable % 8 == 0) {
                    guard.check(&input).unwrap();
                    guard.check(&call).unwrap();
                }
            }
        }
        assert!(usable > 100);
    }

    /// Lengths that promise more than is there, at every place where a length can stand.
    #[test]
    fn that_promise_more_than_they_hold_take_no_memory() {
        let valid = valid();
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for at in 0..valid.len() - HEADER {
            for length in [&huge[..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0x80, 0x80, 0x20]] {
                let mut content = valid[HEADER..].to_vec();
                content.splice(at..=at, length.iter().copied());
                let _ = artifact::decode_content(&content);
            }
        }
        let mut header = valid[..HEADER].to_vec();
        header[4..12].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(artifact::decode(&header), Err(ArtifactError::Length { .. })));
    }

    #[test]
    fn too_large_are_refused_unread() {
        let bytes = vec![0; artifact::MAX_ARTIFACT_BYTES + 1];
        assert!(matches!(artifact::decode(&bytes), Err(ArtifactError::TooLarge(_))));
    }

    /// Content is decoded, changed as no compiler would, and sealed again.
    fn changed(
        change: impl FnOnce(&mut brightline::policy::PolicyData),
    ) -> Result<brightline::Policy, ArtifactError> {
        let mut data = artifact::decode_content(&valid()[HEADER..]).unwrap();
        change(&mut data);
        artifact::decode(&sealed(&postcard::to_stdvec(&data).unwrap()))
    }

    #[test]
    fn that_multiply_work_are_refused() {
        use brightline::policy::{Atom, Condition, Op, TextTest};
        let same = changed(|data| data.patterns = vec![data.patterns[0].clone(); 40_000]);
        assert!(matches!(same, Err(ArtifactError::Invalid(_))), "one pattern many times");
        let matches = Atom::ToolName(TextTest::Matches("[a-z]{500}".into()));
        let regexes = within("tests", move || changed(|data| data.atoms.extend(vec![matches; 50_000])));
        assert!(matches!(regexes, Err(ArtifactError::Invalid(_))), "automata without end");
        let long = changed(|data| {
            let ops = std::iter::once(Op::Atom(0)).chain(std::iter::repeat_n(Op::Not, 2_000_000));
            data.rules[0].when = Condition(ops.collect());
        });
        assert!(matches!(long, Err(ArtifactError::Invalid(_))), "a condition without end");
    }
}

mod many_threads {
    use super::*;

    /// The same guard under hostile and harmless messages at once: nothing carries over from one to another.
    #[test]
    fn share_one_guard() {
        let noisy = filled("nerve agent synthesize jane@example.com <untrusted> ", 100_000);
        let expected = found(&judge(&Input::request(noisy.as_str()))).join(",");
        std::thread::scope(|scope| {
            for at in 0..4 {
                let (noisy, expected) = (Cow::Borrowed(noisy.as_str()), expected.as_str());
                scope.spawn(move || {
                    for _ in 0..10 {
                        assert_eq!(found(&judge(&Input::request("good morning"))), Vec::<&str>::new());
                        if at % 2 == 0 {
                            assert_eq!(found(&judge(&Input::request(noisy.clone()))).join(","), expected);
                        }
                    }
                });
            }
        });
    }
}
