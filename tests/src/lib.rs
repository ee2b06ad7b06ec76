//! What several test files share.

use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// A file of the material that lies beside the repository, or `None` with a printed reason where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("BRIGHTLINE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let file = base.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: `{path}` is not beside this checkout (BRIGHTLINE_SHARED names another place)");
    None
}

const VERBS: [&str; 10] =
    ["paint", "polish", "borrow", "weigh", "fold", "measure", "carry", "label", "stack", "repair"];
const ADJECTIVES: [&str; 10] =
    ["copper", "hollow", "narrow", "velvet", "crooked", "quiet", "amber", "brittle", "frozen", "mossy"];
const NOUNS: [&str; 10] =
    ["lantern", "barrel", "compass", "trellis", "anvil", "kettle", "ledger", "pulley", "saddle", "chimney"];

/// The text of a policy of so many clauses, each with ten literals, two regular expressions and a condition over them:
/// what benchmarks and the allocation test judge by.
pub fn synthetic(clauses: usize) -> String {
    let mut out = String::from("+++\nname = \"synthetic\"\nversion = \"1\"\n+++\n");
    let word = |list: &[&'static str; 10], at: usize| list.get(at % 10).copied().unwrap_or_default();
    for clause in 0..clauses {
        let (tens, ones) = (clause / 10, clause % 10);
        let things: Vec<String> = (0..10)
            .map(|at| format!("\"{} {} {clause}\"", word(&ADJECTIVES, ones + at), word(&NOUNS, tens + at)))
            .collect();
        let condition = match clause % 5 {
            0 => "near(\"asks\", \"things\", 60)",
            1 => "match(\"asks\") && match(\"things\")",
            2 => "count(\"things\") >= 2 || (match(\"asks\") && tag(\"workshop\"))",
            3 => "match(\"things\") && (pii(\"email\") || secret())",
            _ => "match(\"things\") && !match(\"asks\")",
        };
        let verb = word(&VERBS, ones);
        out.push_str(&format!(
            "\n## Clause {clause} {{#clause_{clause} authority=user}}\n\nIt stands for a clause of ordinary size.\n\n\
             ~~~rule\non = [\"request\", \"response\"]\nwhen = '{condition}'\naction = \"flag\"\n~~~\n\n\
             ~~~patterns\nasks = ['/\\b(how do i|please|help me) {verb} .{{0,30}}{clause}\\b/', \
             '/\\b{verb} (a|an|the|some) [a-z]{{3,12}} {clause}\\b/']\nthings = [{}]\n~~~\n\n\
             ~~~examples\nmisses: request: nothing of the kind\n~~~\n",
            things.join(", ")
        ));
    }
    out
}

/// Ordinary prose of at least so many bytes, of words that patterns of [`synthetic`] share but in no order that matches.
pub fn prose(bytes: usize) -> String {
    const SENTENCES: [&str; 6] = [
        "The ledger on the desk listed every lantern that the harbor had borrowed since the spring. ",
        "How do people keep a garden quiet when the wind comes in from the sea, and who pays for the trellis? ",
        "She measured the kettle twice, wrote the numbers down, and asked whether the saddle would fit. ",
        "Please send the notes from Tuesday; the meeting moved to room 14, and the agenda changed a little. ",
        "It is a long way to the chimney, he said, but the view over the copper roofs makes up for it.\n\n",
        "What helps most is a plan that everybody has read, with dates, names, and one clear next step. ",
    ];
    let mut out = String::with_capacity(bytes + 128);
    while out.len() < bytes {
        out.push_str(SENTENCES.get(out.len() % SENTENCES.len()).copied().unwrap_or_default());
    }
    out.truncate(bytes);
    out
}
