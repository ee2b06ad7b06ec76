//! Examples in the Model Spec's form: a conversation with judged answers, in blocks that look like XML and are not.

use crate::authority::words;
use crate::message::Role;
use crate::span::Span;

/// One example block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text after `**Example**:`.
    pub title: String,
    /// The line of the title.
    pub line: u32,
    /// The body of the block.
    pub span: Span,
    /// The messages, in order.
    pub turns: Vec<Turn>,
    /// How many comparisons it holds.
    pub comparisons: u32,
}

/// One message of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// The attributes of the tag.
    pub attributes: Vec<(String, String)>,
    /// What is said.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// The comparison it belongs to, counted from 0.
    pub comparison: Option<u32>,
    /// How the document judges it.
    pub judgment: Option<Judgment>,
}

/// The judgment of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgment {
    /// Good, bad or in between.
    pub label: Label,
    /// The clause it breaks, where that is not the one it stands under.
    pub clause: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Where the judgment stands.
    pub span: Span,
}

/// A judgment in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// What the clause asks for.
    Good,
    /// What it forbids.
    Bad,
    /// Acceptable, but not the best.
    Ok,
}

words!(Label { Good = "GOOD", Bad = "BAD", Ok = "OK" });

/// What is wrong with a block, and where.
pub(super) type Problem = (Span, String);

/// Reads the body of a block line by line. `offset` is where it begins in the source.
pub(super) fn turns(body: &str, offset: usize, problems: &mut Vec<Problem>) -> (Vec<Turn>, u32) {
    let (mut turns, mut comparisons): (Vec<Turn>, u32) = (Vec::new(), 0);
    let mut inside_comparison: Option<Span> = None;
    let mut open: Option<(Turn, usize)> = None;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let here = Span::new(offset + start, offset + start + line.trim_end().len());
        let text = line.trim();
        if let Some((turn, from)) = &mut open {
            if closes(text, turn.role) {
                let text = body.get(*from..start).unwrap_or("");
                turn.text = text.trim_end_matches(['\n', '\r']).to_string();
                turn.span = Span::new(offset + *from, offset + *from + turn.text.len());
                turns.extend(open.take().map(|(turn, _)| turn));
            }
            continue;
        }
        match text {
            "" => {}
            // Turns left out by the author.
            _ if text.starts_with("[...") && text.ends_with(']') => {}
            "<comparison>" => {
                if inside_comparison.is_some() {
                    problems.push((here, "a comparison inside a comparison".to_string()));
                }
                inside_comparison = Some(here);
                comparisons += 1;
            }
            "</comparison>" => {
                if inside_comparison.take().is_none() {
                    problems.push((here, "`</comparison>` closes nothing".to_string()));
                }
            }
            _ => match opening(text, here) {
                Some((turn, closed)) => {
                    let comparison = inside_comparison.map(|_| comparisons - 1);
                    let turn = Turn { comparison, ..turn };
                    match closed {
                        Some(inner) => {
                            let from = line.find(inner).unwrap_or(0) + start + offset;
                            let span = Span::new(from, from + inner.len());
                            turns.push(Turn { text: inner.to_string(), span, ..turn });
                        }
                        None => open = Some((turn, end)),
                    }
                }
                None => {
                    let shown: String = text.chars().take(40).collect();
                    problems.push((here, format!("`{shown}` stands outside any message")));
                }
            },
        }
    }
    if let Some((mut turn, from)) = open {
        let text = body.get(from..).unwrap_or("").trim_end();
        let span = Span::new(offset + from, offset + from + text.len());
        problems.push((span, format!("the message of the {} is not closed", turn.role)));
        (turn.text, turn.span) = (text.to_string(), span);
        turns.push(turn);
    }
    if let Some(span) = inside_comparison {
        problems.push((span, "the comparison is not closed".to_string()));
    }
    (turns, comparisons)
}

fn closes(line: &str, role: Role) -> bool {
    line.strip_prefix("</")
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|name| name.trim() == role.as_str())
}

/// Reads an opening tag; with it, the text of a message that is closed on the same line.
fn opening(line: &str, span: Span) -> Option<(Turn, Option<&str>)> {
    let rest = line.strip_prefix('<')?;
    let (tag, after) = rest.split_once('>')?;
    let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let role = Role::from_word(name)?;
    let mut turn = Turn {
        role,
        attributes: read_attributes(attributes),
        text: String::new(),
        span,
        comparison: None,
        judgment: None,
    };
    let after = after.trim();
    if let Some(comment) = after.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
        turn.judgment = judgment(comment.trim(), span);
        return Some((turn, None));
    }
    let close = format!("</{name}>");
    match after.strip_suffix(close.as_str()) {
        Some(inner) => Some((turn, Some(inner))),
        None if after.is_empty() => Some((turn, None)),
        None => None,
    }
}

fn read_attributes(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once("=\"") {
        let Some((value, after)) = after.split_once('"') else { break };
        out.push((key.trim().to_string(), value.to_string()));
        rest = after;
    }
    out
}

/// `GOOD`, `BAD: why`, `BAD[#clause]: why`, `GOOD, given that`.
fn judgment(comment: &str, span: Span) -> Option<Judgment> {
    let word_end = comment.find(|ch: char| !ch.is_ascii_uppercase()).unwrap_or(comment.len());
    let (word, rest) = comment.split_at_checked(word_end)?;
    let label = Label::from_word(word)?;
    let (clause, rest) = match rest.strip_prefix("[#").and_then(|rest| rest.split_once(']')) {
        Some((clause, rest)) => (Some(clause.to_string()), rest),
        None => (None, rest),
    };
    let reason = rest.trim_start_matches([':', ',', ' ']).trim();
    Some(Judgment { label, clause, reason: (!reason.is_empty()).then(|| reason.to_string()), span })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_judged_turns() {
        let body = "[... elided ...]\n<user>\na < b & <untrusted>x</untrusted>\n</user>\n<comparison>\n<assistant> <!-- BAD[#other]: no -->\n\
                    # not a heading\n</assistant>\n<assistant recipient=\"python\" end_turn=\"false\"> <!-- GOOD, as said -->\n\
                    yes\n</assistant>\n</comparison>\n<tool name=\"t\">one line</tool>\n";
        let mut problems = Vec::new();
        let (turns, comparisons) = turns(body, 0, &mut problems);
        assert_eq!(problems, []);
        assert_eq!(comparisons, 1);
        let said: Vec<_> =
            turns.iter().map(|turn| (turn.role, turn.text.as_str(), turn.comparison)).collect();
        assert_eq!(
            said,
            [
                (Role::User, "a < b & <untrusted>x</untrusted>", None),
                (Role::Assistant, "# not a heading", Some(0)),
                (Role::Assistant, "yes", Some(0)),
                (Role::Tool, "one line", None),
            ]
        );
        let bad = turns[1].judgment.as_ref().unwrap();
        assert_eq!(
            (bad.label, bad.clause.as_deref(), bad.reason.as_deref()),
            (Label::Bad, Some("other"), Some("no"))
        );
        let good = turns[2].judgment.as_ref().unwrap();
        assert_eq!((good.label, good.reason.as_deref()), (Label::Good, Some("as said")));
        assert_eq!(
            turns[2].attributes,
            [("recipient".into(), "python".into()), ("end_turn".into(), "false".into())]
        );
        for turn in &turns {
            assert_eq!(&body[turn.span.range()], turn.text);
        }
    }

    #[test]
    fn keeps_what_it_can_of_a_broken_block() {
        let mut problems = Vec::new();
        let (turns, _) = turns("stray\n<comparison>\n<user>\nhello\n", 0, &mut problems);
        assert_eq!(turns.len(), 1);
        assert_eq!(turns[0].text, "hello");
        assert_eq!(problems.len(), 3);
    }
}
