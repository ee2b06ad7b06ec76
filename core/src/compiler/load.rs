//! Documents and what they extend.

use super::front::Front;
use super::shipped::shipped;
use crate::diagnostic::{Code, Diagnostic};
use crate::span::{Source, Span};
use crate::spec::{self, Document, MAX_SOURCE_BYTES};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep documents may extend one another.
const MAX_EXTENDS_DEPTH: usize = 16;
/// How many documents one policy may be made of.
const MAX_DOCUMENTS: usize = 64;

/// A document with its front matter read.
pub(super) struct Loaded {
    pub source: Arc<Source>,
    pub parsed: Document,
    pub front: Front,
}

impl Loaded {
    /// The policy's name: the front matter's, else the file's.
    pub(super) fn name(&self) -> String {
        self.front.name.as_ref().map_or_else(
            || {
                let stem = Path::new(self.source.name()).file_stem();
                stem.map_or_else(|| "policy".to_string(), |stem| stem.to_string_lossy().into_owned())
            },
            |name| name.as_ref().clone(),
        )
    }

    /// The front matter, or the first line of a document without one.
    pub(super) fn front_span(&self) -> Span {
        let first = self.source.line_span(1).unwrap_or_default();
        self.parsed.front_matter.as_ref().map_or(first, |block| block.span)
    }
}

/// Reads a file, or a shipped policy by its name.
pub(super) fn file(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    let name = path.to_string_lossy().into_owned();
    if let Some(text) = shipped(&name) {
        return Ok(Arc::new(Source::new(shipped_name(&name), text)));
    }
    let fail = |code, message: String| {
        let source = Arc::new(Source::new(name.clone(), ""));
        Diagnostic::new(code, &source, Span::default(), message)
    };
    let size = std::fs::metadata(path).map(|data| data.len()).unwrap_or(0);
    if size > MAX_SOURCE_BYTES as u64 {
        return Err(fail(Code::SourceTooLarge, format!("{size} bytes; at most {MAX_SOURCE_BYTES} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| {
        fail(Code::SourceUnreadable, format!("cannot read `{name}`: {error}")).help(crate::suggest::help(
            &name,
            super::shipped::SHIPPED.iter().copied(),
            "shipped policies",
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fail(Code::SourceNotUtf8, format!("`{name}` is not UTF-8: byte {at} begins no character"))
    })?;
    Ok(Arc::new(Source::new(name, text)))
}

fn shipped_name(name: &str) -> String {
    format!("policies/{name}/policy.md")
}

/// Loads a document and all it extends, bases first, each once. The files it looks for are added to `looked_for`.
pub(super) fn with_extends(
    source: Arc<Source>,
    files: bool,
    diagnostics: &mut Vec<Diagnostic>,
    looked_for: &mut Vec<PathBuf>,
) -> Vec<Loaded> {
    let mut loader = Loader { files, diagnostics, looked_for, done: Vec::new(), open: Vec::new() };
    loader.load(source);
    loader.done
}

struct Loader<'a> {
    files: bool,
    diagnostics: &'a mut Vec<Diagnostic>,
    looked_for: &'a mut Vec<PathBuf>,
    done: Vec<Loaded>,
    /// Names of the documents that are being loaded, outermost first.
    open: Vec<String>,
}

impl Loader<'_> {
    fn load(&mut self, source: Arc<Source>) {
        let parsed = spec::parse(&source);
        self.diagnostics.extend(parsed.diagnostics);
        let parsed = parsed.document;
        let front = match &parsed.front_matter {
            Some(block) => Front::read(source.slice(block.span), block.span, &source, self.diagnostics),
            None => Front::default(),
        };
        let offset = parsed.front_matter.as_ref().map_or(0, |block| block.span.start as usize);
        self.open.push(identity(source.name()));
        for entry in &front.extends {
            let span = Span::from(entry.span()).shifted(offset);
            self.extend(entry.as_ref(), &source, span);
        }
        self.open.pop();
        let known: Vec<&str> = self
            .done
            .iter()
            .flat_map(|loaded| loaded.parsed.sections.iter())
            .filter_map(|section| section.attributes.id.as_ref().map(|id| id.value.as_str()))
            .collect();
        let dangling = parsed.dangling(&known);
        self.diagnostics.extend(dangling);
        self.done.push(Loaded { source, parsed, front });
    }

    fn extend(&mut self, reference: &str, from: &Arc<Source>, span: Span) {
        let path = match shipped(reference) {
            Some(_) => reference.to_string(),
            None => {
                let base = Path::new(from.name()).parent().unwrap_or_else(|| Path::new(""));
                base.join(reference).to_string_lossy().into_owned()
            }
        };
        let mut report = |code, message: String, help: String| {
            self.diagnostics.push(Diagnostic::new(code, from, span, message).help(help));
        };
        let name = if shipped(reference).is_some() { shipped_name(reference) } else { path.clone() };
        if self.open.contains(&identity(&name)) {
            report(
                Code::ExtendsCycle,
                format!("`{reference}` extends this document in turn"),
                "drop one of the two".into(),
            );
            return;
        }
        if self.open.len() >= MAX_EXTENDS_DEPTH || self.done.len() >= MAX_DOCUMENTS {
            let help = format!("at most {MAX_EXTENDS_DEPTH} levels and {MAX_DOCUMENTS} documents");
            report(Code::ExtendsCycle, format!("`{reference}` is extended too deep"), help);
            return;
        }
        if self.done.iter().any(|loaded| identity(loaded.source.name()) == identity(&name)) {
            return;
        }
        if shipped(reference).is_none() && !self.files {
            let help = "only shipped policies can be extended here".to_string();
            report(Code::ExtendsNotFound, format!("cannot extend `{reference}`"), help);
            return;
        }
        if shipped(reference).is_none() {
            self.looked_for.push(PathBuf::from(&path));
        }
        match file(Path::new(&path)) {
            Ok(source) => self.load(source),
            Err(problem) => {
                let help = "a path relative to this document, or the name of a shipped policy".to_string();
                report(
                    Code::ExtendsNotFound,
                    format!("cannot extend `{reference}`: {}", problem.message),
                    help,
                );
            }
        }
    }
}

/// What makes two names the same document.
fn identity(name: &str) -> String {
    std::fs::canonicalize(name).map_or_else(|_| name.to_string(), |path| path.to_string_lossy().into_owned())
}
