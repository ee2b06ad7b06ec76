//! Golden files: what each stage makes of a document, and what is said about broken ones.
//!
//! `INSTA_UPDATE=always cargo test -p brightline-tests --test golden` writes them anew.

use brightline::compiler::{Compiled, Compiler};
use brightline::diagnostic::{Code, Diagnostic};
use brightline::span::Source;
use brightline::{Models, artifact, spec};
use brightline_tests::root;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

fn documents(folder: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/golden").join(folder);
    let mut out: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    out.sort();
    out
}

fn name(path: &std::path::Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn compile(path: &std::path::Path) -> Compiled {
    Compiler::without_files().text(format!("{}.md", name(path)), std::fs::read_to_string(path).unwrap())
}

/// Diagnostics as text: place, code, severity, the marked source, message, help.
fn listing(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for it in diagnostics {
        let marked = it.source.slice(it.span).lines().next().unwrap_or("");
        writeln!(out, "{} {:?} line {}: {}", it.code, it.severity(), it.line(), it.message).unwrap();
        writeln!(out, "    at   {marked}").unwrap();
        if let Some(help) = &it.help {
            writeln!(out, "    help {help}").unwrap();
        }
    }
    out
}

#[test]
fn diagnostics() {
    for path in documents("diagnostics") {
        let compiled = compile(&path);
        insta::with_settings!({ snapshot_path => root().join("tests/golden/snapshots"), prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("diagnostics__{}", name(&path)), listing(&compiled.diagnostics));
        });
    }
}

#[test]
fn documents_and_policies() {
    for path in documents("documents") {
        let source =
            Arc::new(Source::new(format!("{}.md", name(&path)), std::fs::read_to_string(&path).unwrap()));
        let document = spec::parse(&source).document;
        let compiled = compile(&path);
        let policy = compiled.policy.as_ref().unwrap_or_else(|| panic!("{}", listing(&compiled.diagnostics)));
        let again = artifact::decode(&artifact::encode(policy)).unwrap();
        assert_eq!(again.data(), policy.data(), "the artifact holds what was compiled");
        insta::with_settings!({ snapshot_path => root().join("tests/golden/snapshots"), prepend_module_to_snapshot => false }, {
            insta::assert_debug_snapshot!(format!("document__{}", name(&path)), document.sections);
            insta::assert_snapshot!(format!("policy__{}", name(&path)), serde_json::to_string_pretty(policy.data()).unwrap());
        });
    }
}

/// Codes that no single document can cause, each caused here.
fn special() -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let compiler = Compiler::new();
    out.extend(compiler.text("large.md", "x".repeat(spec::MAX_SOURCE_BYTES + 1)).diagnostics);
    out.extend(compiler.file(dir.path().join("missing.md")).diagnostics);
    out.extend(compiler.file(write("latin1.md", b"# caf\xe9")).diagnostics);
    write("a.md", b"+++\nname = \"a\"\nextends = [\"b.md\"]\n+++\n");
    let circle = write("b.md", b"+++\nname = \"b\"\nextends = [\"a.md\"]\n+++\n");
    out.extend(compiler.file(circle).diagnostics);
    write("base.md", b"## A {#a authority=root}\n\nWhy.\n");
    let overlay =
        write("overlay.md", b"+++\nname = \"o\"\nextends = [\"base.md\"]\n+++\n\n## {#a authority=user}\n");
    out.extend(compiler.file(overlay).diagnostics);
    out.extend(compiler.text("pigeons.md", pigeons(7)).diagnostics);
    out.extend(against());
    let models = Models::load(root().join("core/src/classifier/testdata")).unwrap();
    let text = "## A {#a authority=user}\n\nWhy.\n\n~~~rule\non = [\"request\"]\nwhen = 'label(\"hate\") > 0.5'\n~~~\n\n~~~examples\nhits: request: hello\n~~~\n";
    let compiler = Compiler::without_files().with_models(models);
    out.extend(compiler.text("models.md", text).diagnostics);
    let lines = ["how can i cook soup", "who is in the car", "make bread", "the house and the tree"]
        .map(|text| format!("hits: request: {text}\nmisses: request: {text} .\n"));
    let text = format!(
        "## A {{#a authority=user}}\n\nWhy.\n\n~~~rule\non = [\"request\"]\nwhen = 'like(\"a\")'\n~~~\n\n~~~examples\n{}~~~\n",
        lines.concat()
    );
    out.extend(compiler.text("like.md", text).diagnostics);
    out
}

/// A condition that never holds and takes long to refute: so many pigeons in one hole fewer, each alone.
fn pigeons(count: usize) -> String {
    let tag = |pigeon: usize, hole: usize| format!("tag(\"{pigeon}{hole}\")");
    let mut all = Vec::new();
    for pigeon in 0..count {
        let holes: Vec<String> = (1..count).map(|hole| tag(pigeon, hole)).collect();
        all.push(format!("({})", holes.join("||")));
        for (other, hole) in (0..pigeon).flat_map(|other| (1..count).map(move |hole| (other, hole))) {
            all.push(format!("!({}&&{})", tag(pigeon, hole), tag(other, hole)));
        }
    }
    let when = all.join("&&");
    format!("## A {{#a authority=user}}\n\nWhy.\n\n~~~rule\non = [\"request\"]\nwhen = '{when}'\n~~~\n")
}

fn against() -> Vec<Diagnostic> {
    let published = "## One {#one authority=root}\n\nFirst text.\n\n## Two {#two authority=user}\n\nSecond text.\n\n## Three {#three authority=user}\n";
    let print = spec::fingerprint("Second text.");
    let policy = format!(
        "+++\nname = \"p\"\nversion = \"1\"\nsource = \"spec.md\"\n+++\n\n## One {{#one authority=user source=1-3}}\n\n\
         ## Two {{#two authority=user source=1-1@{print}}}\n\n## Gone {{#gone authority=user source=90-99}}\n\n\
         ## Changed {{#changed authority=root source=3-3@00000000}}\n"
    );
    let compiled = Compiler::without_files().text("p.md", policy);
    compiled.against(&Arc::new(Source::new("spec.md", published))).diagnostics
}

#[test]
fn comparisons_with_the_published_document() {
    insta::with_settings!({ snapshot_path => root().join("tests/golden/snapshots"), prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("against", listing(&against()));
    });
}

#[test]
fn every_code_is_covered() {
    let mut seen: BTreeSet<Code> = special().into_iter().map(|it| it.code).collect();
    for path in documents("diagnostics") {
        seen.extend(compile(&path).diagnostics.iter().map(|it| it.code));
    }
    let missing: Vec<&str> =
        Code::ALL.iter().filter(|code| !seen.contains(code)).map(|code| code.as_str()).collect();
    assert!(missing.is_empty(), "no golden document causes {missing:?}");
}

#[test]
fn every_code_is_documented_once() {
    let docs = std::fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    for code in Code::ALL {
        let heading = format!("## {code}:");
        assert_eq!(docs.matches(&heading).count(), 1, "{heading}");
    }
    let sections =
        docs.lines().filter(|line| line.trim_start_matches('#').trim_start().starts_with("BL")).count();
    assert_eq!(sections, Code::ALL.len(), "a section is about no code");
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(all.len(), Code::ALL.len(), "two codes share a number");
}
