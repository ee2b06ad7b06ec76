//! The walk over the Markdown.

use super::attributes::{self, Attributes};
use super::document::{Block, Document, Fence, Footnote, Reference, Section};
use super::example::{self, Example};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::{Source, Span};
use crate::suggest;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The largest document that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// A document and what is wrong with its form.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What could be read.
    pub document: Document,
    /// What could not.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a document. Never fails: what cannot be read is reported and passed over.
pub fn parse(source: &Arc<Source>) -> Parsed {
    let mut diagnostics = Vec::new();
    let document = Document { source: Arc::clone(source), front_matter: None, sections: Vec::new() };
    let text = source.text();
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!("the document has {} bytes; at most {MAX_SOURCE_BYTES} are read", text.len());
        let span = source.line_span(1).map_or(Span::default(), |line| Span::new(0, line.len().min(80)));
        diagnostics.push(Diagnostic::new(Code::SourceTooLarge, source, span, message));
        return Parsed { document, diagnostics };
    }
    let (front_matter, start) = front_matter(source, &mut diagnostics);
    let mut walk = Walk {
        source,
        start,
        diagnostics,
        sections: Vec::new(),
        open: Vec::new(),
        paragraph: None,
        title: None,
        nesting: 0,
    };
    walk.run();
    let Walk { mut sections, mut diagnostics, .. } = walk;
    finish(&mut sections, source);
    duplicates(&sections, source, &mut diagnostics);
    Parsed { document: Document { front_matter, sections, ..document }, diagnostics }
}

/// The TOML at the top, and where the Markdown begins.
fn front_matter(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> (Option<Block>, usize) {
    let text = source.text();
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = text.get(bom..).unwrap_or("").split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| line.trim_end() == "+++") else { return (None, bom) };
    let body = bom + first.len();
    let mut at = body;
    for line in lines {
        if line.trim_end() == "+++" {
            return (Some(Block { span: Span::new(body, at), line: 2 }), at + line.len());
        }
        at += line.len();
    }
    diagnostics.push(
        Diagnostic::new(
            Code::FrontMatterUnclosed,
            source,
            Span::new(bom, bom + 3),
            "the front matter is not closed",
        )
        .help("a line `+++` ends it"),
    );
    (None, text.len())
}

struct Walk<'a> {
    source: &'a Arc<Source>,
    /// Where the Markdown begins in the source.
    start: usize,
    diagnostics: Vec<Diagnostic>,
    sections: Vec<Section>,
    /// The last section and those it stands under, the outermost first.
    open: Vec<usize>,
    /// The paragraph that is being read.
    paragraph: Option<Paragraph>,
    /// The title of an example whose block has not come yet.
    title: Option<(String, u32)>,
    /// How many lists and quotes are open.
    nesting: usize,
}

/// Text in pieces; a reference by title is filled in when every title is known.
#[derive(Default)]
struct Paragraph {
    range: Range<usize>,
    text: String,
}

/// Stands in a paragraph for the title of the section whose id follows, up to the same mark.
const TITLE_MARK: char = '\u{1}';

impl Walk<'_> {
    fn run(&mut self) {
        let text = self.source.text().get(self.start..).unwrap_or("");
        let mut heading: Option<(Range<usize>, u8)> = None;
        let mut fence: Option<(Range<usize>, String)> = None;
        let mut link: Option<(String, Range<usize>, String)> = None;
        for (event, range) in Parser::new_ext(text, Options::empty()).into_offset_iter() {
            let range = range.start + self.start..range.end + self.start;
            match event {
                Event::Start(Tag::Heading { level, .. }) if self.nesting == 0 => {
                    heading = Some((range, level as u8))
                }
                Event::End(TagEnd::Heading(_)) => {
                    if let Some((range, depth)) = heading.take() {
                        self.heading(range, depth);
                    }
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    fence = Some((range, info.to_string()))
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some((range, info)) = fence.take() {
                        self.fence(range, &info);
                    }
                }
                Event::Start(Tag::List(_) | Tag::BlockQuote(_) | Tag::Item) => self.nesting += 1,
                Event::End(TagEnd::List(_) | TagEnd::BlockQuote(_) | TagEnd::Item) => {
                    self.nesting = self.nesting.saturating_sub(1);
                }
                Event::Start(Tag::Paragraph) => {
                    self.paragraph = Some(Paragraph { range, text: String::new() })
                }
                Event::End(TagEnd::Paragraph) => {
                    if let Some(paragraph) = self.paragraph.take() {
                        self.paragraph(paragraph);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. }) => {
                    if let Some(target) = dest_url.strip_prefix('#') {
                        link = Some((target.to_string(), range, String::new()));
                    }
                }
                Event::End(TagEnd::Link) => {
                    if let Some((target, range, text)) = link.take() {
                        self.reference(target, range, &text);
                    }
                }
                Event::Text(piece) | Event::Code(piece) => match &mut link {
                    Some((_, _, text)) => text.push_str(&piece),
                    None => self.prose(&piece),
                },
                Event::SoftBreak | Event::HardBreak => self.prose(" "),
                _ => {}
            }
        }
    }

    fn prose(&mut self, piece: &str) {
        if let Some(paragraph) = &mut self.paragraph {
            paragraph.text.push_str(piece);
        }
    }

    fn heading(&mut self, range: Range<usize>, depth: u8) {
        let raw = self.source.text().get(range.clone()).unwrap_or("");
        let line = raw.lines().next().unwrap_or("");
        let marks = line.len() - line.trim_start_matches('#').len();
        let body = line.get(marks..).unwrap_or("");
        let indent = body.len() - body.trim_start().len();
        let body = body.trim_start().trim_end();
        // Closing marks, as in `## Title ##`, belong to neither the title nor the attributes.
        let body = match body.trim_end_matches('#') {
            shorter if shorter.len() < body.len() && shorter.ends_with(' ') => shorter.trim_end(),
            _ => body,
        };
        let mut problems = Vec::new();
        let (title, attributes) = attributes::split(body, range.start + marks + indent, &mut problems);
        for (span, message, help) in problems {
            self.diagnostics
                .push(Diagnostic::new(Code::AttributeInvalid, self.source, span, message).help(help));
        }
        while self
            .open
            .last()
            .and_then(|&at| self.sections.get(at))
            .is_some_and(|section| section.depth >= depth)
        {
            self.open.pop();
        }
        let parent = self.open.last().copied();
        self.open.push(self.sections.len());
        let span = Span::new(range.start, range.start + line.trim_end().len());
        let line = self.source.line_of(range.start);
        self.title = None;
        self.sections.push(Section {
            depth,
            title: plain(&title),
            attributes,
            heading: span,
            line,
            end_line: line,
            parent,
            rationale: String::new(),
            fences: Vec::new(),
            examples: Vec::new(),
            footnotes: Vec::new(),
            references: Vec::new(),
        });
    }

    fn fence(&mut self, range: Range<usize>, info: &str) {
        let raw = self.source.text().get(range.clone()).unwrap_or("");
        let opening = raw.split_inclusive('\n').next().unwrap_or("");
        let mark = opening.trim_start().chars().next().unwrap_or('~');
        let width = opening.trim_start().chars().take_while(|ch| *ch == mark).count();
        let body_start = opening.len();
        let last = raw.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let closing = raw.get(last..).unwrap_or("").trim();
        let closed = last >= body_start && closing.len() >= width && closing.chars().all(|ch| ch == mark);
        if !closed {
            let span = Span::new(range.start, range.start + opening.trim_end().len());
            self.diagnostics.push(
                Diagnostic::new(Code::FenceUnclosed, self.source, span, "this fence is never closed")
                    .help(format!("a line `{}` ends it", mark.to_string().repeat(width))),
            );
        }
        let body_end = if closed { last } else { raw.len() }.max(body_start.min(raw.len()));
        let span = Span::new(range.start + body_start.min(raw.len()), range.start + body_end);
        let line = self.source.line_of(range.start);
        let text = self.source.slice(span).to_string();
        let info = info.split([' ', '\t', ',', '{']).next().unwrap_or("").to_string();
        let title = self.title.take();
        let Some(section) = self.sections.last_mut() else {
            if matches!(info.as_str(), "rule" | "patterns" | "examples") {
                let message = format!("a `{info}` fence stands before the first heading");
                self.diagnostics.push(
                    Diagnostic::new(Code::RuleWithoutClause, self.source, span, message)
                        .help("put it under the heading of its clause"),
                );
            }
            return;
        };
        match title {
            Some((title, line)) if info == "xml" => {
                let mut problems = Vec::new();
                let (turns, comparisons) = example::turns(&text, span.start as usize, &mut problems);
                section.examples.push(Example { title, line, span, turns, comparisons });
                for (span, message) in problems {
                    self.diagnostics.push(
                        Diagnostic::new(Code::ExampleMalformed, self.source, span, message)
                            .help("messages stand between `<user>` and `</user>` and the like, tags on lines of their own"),
                    );
                }
            }
            _ => section.fences.push(Fence { info, text, span, line }),
        }
    }

    fn paragraph(&mut self, paragraph: Paragraph) {
        let line = self.source.line_of(paragraph.range.start);
        let raw = self.source.text().get(paragraph.range).unwrap_or("");
        if raw.starts_with("!!!") || self.nesting > 0 {
            return;
        }
        if let Some(title) = raw.strip_prefix("**Example**:") {
            self.title = Some((title.trim().to_string(), line));
            return;
        }
        if let Some(section) = self.sections.last_mut().filter(|section| section.rationale.is_empty()) {
            section.rationale = paragraph.text;
        }
    }

    fn reference(&mut self, target: String, range: Range<usize>, text: &str) {
        let by_title = text == "?";
        if by_title {
            self.prose(&format!("{TITLE_MARK}{target}{TITLE_MARK}"));
        } else {
            self.prose(text);
        }
        if let Some(section) = self.sections.last_mut() {
            section.references.push(Reference { target, span: range.into(), by_title });
        }
    }
}

/// A title without inline markup.
fn plain(title: &str) -> String {
    let mut out = String::new();
    for event in Parser::new_ext(title, Options::empty()) {
        if let Event::Text(text) | Event::Code(text) = event {
            out.push_str(&text);
        }
    }
    if out.is_empty() { title.to_string() } else { out }
}

/// The longest id of a footnote, in bytes.
const MAX_FOOTNOTE: usize = 32;

/// Fills in what is known only at the end: last lines, footnotes, titles in rationales.
fn finish(sections: &mut [Section], source: &Arc<Source>) {
    let starts: Vec<u32> = sections.iter().map(|section| section.line).collect();
    let last = source.line_count();
    for (section, end) in sections.iter_mut().zip(starts.iter().skip(1).map(|next| next - 1).chain([last])) {
        section.end_line = end.max(section.line);
    }
    let titles: HashMap<String, String> = sections
        .iter()
        .filter_map(|section| Some((section.attributes.id.as_ref()?.value.clone(), section.title.clone())))
        .collect();
    let text = source.text();
    let places: Vec<usize> = memchr::memmem::find_iter(text.as_bytes(), "[^").collect();
    for section in sections.iter_mut() {
        let start = section.heading.start as usize;
        let end = source.line_span(section.end_line).map_or(text.len(), |line| line.end as usize);
        let from = places.partition_point(|place| *place < start);
        let fences =
            section.fences.iter().map(|fence| fence.span).chain(section.examples.iter().map(|it| it.span));
        let mut fences: Vec<Span> = fences.collect();
        fences.sort_unstable();
        for &place in places.get(from..).unwrap_or_default().iter().take_while(|place| **place < end) {
            let after = fences.partition_point(|span| span.end as usize <= place);
            if fences.get(after).is_some_and(|span| span.range().contains(&place)) {
                continue;
            }
            if let Some(id) = text.get(place..end).and_then(footnote) {
                section
                    .footnotes
                    .push(Footnote { id: id.to_string(), span: Span::new(place, place + id.len() + 3) });
            }
        }
        section.rationale = tidy(&section.rationale, &titles);
    }
}

/// The id of the footnote mark at the start of `text`.
fn footnote(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("[^")?;
    let length = rest.bytes().take(MAX_FOOTNOTE + 1).take_while(u8::is_ascii_alphanumeric).count();
    let (id, after) = rest.split_at_checked(length)?;
    ((1..=MAX_FOOTNOTE).contains(&length) && after.starts_with(']')).then_some(id)
}

/// Fills titles in, removes footnote marks, folds white space.
fn tidy(text: &str, titles: &HashMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    for (at, piece) in text.split(TITLE_MARK).enumerate() {
        match titles.get(piece).filter(|_| at % 2 == 1) {
            Some(title) => filled.push_str(title),
            None => filled.push_str(piece),
        }
    }
    let mut out = String::with_capacity(filled.len());
    let mut rest = filled.as_str();
    while let Some(at) = rest.find("[^") {
        let (before, mark) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let length = footnote(mark).map_or(0, |id| id.len() + 3);
        if length == 0 {
            out.push_str("[^");
        }
        rest = mark.get(length.max(2)..).unwrap_or("");
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn duplicates(sections: &[Section], source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for section in sections {
        let Some(id) = &section.attributes.id else { continue };
        if let Some(line) = seen.insert(&id.value, section.line) {
            let message = format!("the id `{}` stands twice", id.value);
            diagnostics.push(
                Diagnostic::new(Code::ClauseIdDuplicate, source, id.span, message)
                    .help(format!("it is first given on line {line}")),
            );
        }
    }
}

impl Document {
    /// References and judgments that point to an id which neither this document nor `known` has.
    pub fn dangling(&self, known: &[&str]) -> Vec<Diagnostic> {
        let own = self
            .sections
            .iter()
            .filter_map(|section| section.attributes.id.as_ref().map(|id| id.value.as_str()));
        let ids: BTreeSet<&str> = own.chain(known.iter().copied()).collect();
        let mut out = Vec::new();
        let mut check = |target: &str, span| {
            if !ids.contains(target) {
                let message = format!("no section has the id `{target}`");
                let help = suggest::help(target, ids.iter().copied(), "ids");
                out.push(Diagnostic::new(Code::ReferenceDangling, &self.source, span, message).help(help));
            }
        };
        for section in &self.sections {
            for reference in &section.references {
                check(&reference.target, reference.span);
            }
            for judgment in
                section.examples.iter().flat_map(|it| &it.turns).filter_map(|turn| turn.judgment.as_ref())
            {
                if let Some(clause) = &judgment.clause {
                    check(clause, judgment.span);
                }
            }
        }
        out
    }
}

impl Attributes {
    /// Whether the heading has no attributes at all.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.pairs.is_empty()
    }
}
