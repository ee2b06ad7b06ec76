//! Writing to the terminal: colors only where there is one.

use crate::Stop;
use anstyle::{AnsiColor, Style};
use brightline::Action;
use brightline::diagnostic::{Diagnostic, Severity};
use std::io::Write;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The color of an action.
pub(crate) fn of(action: Action) -> Style {
    match action {
        Action::Allow => GREEN,
        Action::Flag => CYAN,
        Action::Redact | Action::Revise => YELLOW,
        _ => RED,
    }
}

/// The underline of evidence.
pub(crate) const EVIDENCE: Style = RED;

/// Standard output, which drops colors where it is no terminal.
pub(crate) fn stdout() -> impl Write {
    std::io::BufWriter::new(anstream::AutoStream::auto(std::io::stdout()))
}

/// One line on standard error.
pub(crate) fn error(message: &str) {
    let mut err = anstream::AutoStream::auto(std::io::stderr());
    // Nobody is left to tell where standard error is gone.
    let _ = writeln!(err, "{RED}error{RED:#}: {message}");
}

/// One line of notice on standard error.
pub(crate) fn notice(message: &str) {
    let mut err = anstream::AutoStream::auto(std::io::stderr());
    let _ = writeln!(err, "{message}");
}

/// A text with a style around it.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How many diagnostics are shown with the source around them; those after that take a line each.
const MAX_DRAWN: usize = 200;

/// Shows diagnostics with the source around each.
pub(crate) fn diagnostics(out: &mut impl Write, all: &[Diagnostic], least: Severity) -> Result<(), Stop> {
    let color = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let theme =
        if color { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false).with_width(110);
    for (at, diagnostic) in all.iter().filter(|it| it.severity() >= least).enumerate() {
        if at >= MAX_DRAWN {
            writeln!(out, "{diagnostic}")?;
            continue;
        }
        let mut text = String::new();
        let shown = Shown(diagnostic);
        if handler.render_report(&mut text, &shown).is_err() {
            text = format!("{diagnostic}\n");
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A diagnostic together with its source text, as the renderer wants it.
#[derive(Debug)]
struct Shown<'a>(&'a Diagnostic);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        miette::Diagnostic::code(self.0)
    }

    fn severity(&self) -> Option<miette::Severity> {
        miette::Diagnostic::severity(self.0)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        miette::Diagnostic::help(self.0)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        miette::Diagnostic::labels(self.0)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(self)
    }
}

impl miette::SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let text = self.0.source.text();
        let contents = text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.0.source.name().to_string(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// Cuts a text to a width, with an ellipsis.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

/// Breaks a text into lines of at most `width` characters.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines
            .last()
            .is_some_and(|line| !line.is_empty() && line.chars().count() + word.chars().count() >= width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// `1 clause`, `2 clauses`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
