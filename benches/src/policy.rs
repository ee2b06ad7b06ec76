//! A policy of one hundred clauses: one thousand literals, two hundred regular expressions, every form of condition.

use super::Draw;
use std::fmt::Write;

/// How many clauses the policy has.
pub const CLAUSES: usize = 100;

/// Each with each thing makes one thousand literals.
const QUALITIES: [&str; 25] = [
    "altered", "banned", "bitter", "borrowed", "broken", "buried", "coded", "copied", "covert", "faked",
    "forged", "hidden", "hollow", "leaked", "locked", "masked", "rigged", "sealed", "secret", "shadow",
    "spoofed", "stolen", "tainted", "toxic", "unlisted",
];
const THINGS: [&str; 40] = [
    "account",
    "alarm",
    "antenna",
    "archive",
    "badge",
    "ballot",
    "battery",
    "cable",
    "camera",
    "cargo",
    "catalyst",
    "certificate",
    "circuit",
    "compound",
    "container",
    "detector",
    "engine",
    "firmware",
    "furnace",
    "gateway",
    "generator",
    "invoice",
    "ledger",
    "license",
    "meter",
    "passport",
    "payload",
    "pipeline",
    "powder",
    "reactor",
    "receipt",
    "relay",
    "satellite",
    "sensor",
    "solvent",
    "transmitter",
    "turbine",
    "vaccine",
    "valve",
    "warehouse",
];
const ACTS: [&str; 30] = [
    "alter",
    "assemble",
    "breach",
    "bypass",
    "clone",
    "conceal",
    "copy",
    "crack",
    "deploy",
    "disable",
    "divert",
    "dump",
    "erase",
    "export",
    "forge",
    "hijack",
    "inject",
    "intercept",
    "jam",
    "launder",
    "override",
    "poison",
    "refine",
    "sabotage",
    "smuggle",
    "spoof",
    "steal",
    "tamper with",
    "unlock",
    "wipe",
];
/// What a request begins with; common in innocent ones as well, so that expressions are tried in vain.
const OPENINGS: [&str; 20] = [
    "how do i",
    "how can i",
    "how could we",
    "help me",
    "tell me how to",
    "show me how to",
    "explain how to",
    "i want to",
    "i need to",
    "i plan to",
    "we need to",
    "what is the best way to",
    "give me steps to",
    "walk me through how to",
    "write a guide to",
    "list ways to",
    "is it easy to",
    "where can i learn to",
    "teach me to",
    "could you help me",
];
const LABELS: [&str; 5] = ["violent_crime", "cyber_abuse", "hate", "privacy", "tool_abuse"];
const KINDS_OF_DATA: [&str; 5] = ["email", "phone", "iban", "credit_card", "ip_address"];

/// The clauses of one form: surfaces, condition, action.
const FORMS: [(&str, &str, &str); 10] = [
    ("request", r#"match("topic") && match("intent")"#, "block"),
    ("request", r#"near("intent", "topic", 60)"#, "block"),
    ("request", r#"count("topic") >= 3 || count("intent") >= 4"#, "flag"),
    ("request", r#"pii("DATA") && (match("topic") || match("intent"))"#, "redact"),
    ("request", r#"secret() && near("topic", "intent", 200)"#, "redact"),
    ("request", r#"match("intent") && match("topic") && !tag("research")"#, "escalate"),
    ("request", r#"label("LABEL").at_fpr(0.001) || near("intent", "topic", 40)"#, "block"),
    ("response", r#"request.match("topic") && (match("intent") || pii("DATA"))"#, "revise"),
    (
        "tool_call",
        r#"tool.name in ["shell", "browser"] && match("topic") || match("intent") && untrusted"#,
        "block",
    ),
    ("response", r#"!match("topic") && request.near("topic", "intent", 80) && length() > 2000"#, "flag"),
];

/// The document. A clause has five literals and one regular expression in each of two sets.
pub fn hundred_clauses() -> String {
    let mut draw = Draw(9);
    let mut out =
        String::from("+++\nname = \"hundred\"\nversion = \"1\"\n+++\n\n# One hundred clauses {#hundred}\n");
    let mut pairs = THINGS.iter().flat_map(|thing| QUALITIES.iter().map(move |quality| (quality, thing)));
    let mut literals = || -> String {
        let five = pairs.by_ref().take(5).map(|(quality, thing)| format!("\"{quality} {thing}\", "));
        five.collect()
    };
    for (clause, (on, when, action)) in (0..CLAUSES).zip(FORMS.iter().cycle()) {
        let (nth, thing) =
            (clause / FORMS.len(), THINGS.get(clause % THINGS.len()).copied().unwrap_or_default());
        let when = when
            .replace("DATA", KINDS_OF_DATA.get(nth % 5).copied().unwrap_or_default())
            .replace("LABEL", LABELS.get(nth % 5).copied().unwrap_or_default());
        let (topic, intent) = (literals(), literals());
        let [first, second, third] = [draw.of(&ACTS), draw.of(&ACTS), draw.of(&ACTS)];
        let (opening, quality) = (draw.of(&OPENINGS), draw.of(&QUALITIES));
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#"
## Clause {clause} about the {quality} {thing} {{#clause_{clause} authority=developer}}

Nobody is served by somebody who wants to {first} or {second} what is not theirs, and clause {clause} says so.

~~~rule
on     = ["{on}"]
when   = '{when}'
action = "{action}"
~~~

~~~patterns
topic  = [{topic}'/\b{first} (the |a |my |their ){{0,1}}{quality} {thing}s?\b/']
intent = [{intent}'/\b{opening} ({first}|{second}|{third}) (the |a |my |their ){{0,1}}\w{{3,20}} {thing}/']
~~~
"#
        );
    }
    out
}
