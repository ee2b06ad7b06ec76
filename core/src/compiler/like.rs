//! `like("clause")`: the examples of a clause, embedded, become a head that travels with the policy.

use super::build::Build;
use super::examples::Example;
use crate::classifier::{ModelScratch, Models, Passage, Quality, ScoreError, fit};
use crate::diagnostic::{Code, Diagnostic};
use crate::message::{Role, Surface};
use crate::policy::{Atom, Head, MAX_HEADS};
use crate::spec::Label;
use std::collections::BTreeSet;

/// Fewer examples of either kind than this say little about what has not been seen.
const FEW: usize = 4;
/// At most so many examples of a clause are fitted: leaving each of them out takes time that grows with their cube.
const MAX_EXAMPLES: usize = 300;
/// Where fewer examples are judged right when they are left out, they disagree. A coin reaches a half.
const AGREED: f64 = 0.75;

/// An example as the full model reads it.
struct Shown {
    hit: bool,
    surface: Surface,
    text: String,
    context: Option<String>,
}

/// What was fitted, with its quality by clause.
#[derive(Default)]
pub(super) struct Fits {
    pub heads: Vec<Head>,
    pub quality: Vec<(usize, Quality)>,
}

impl Build<'_> {
    /// Fits a head for every clause that some `like` names. Without models only the number of examples is looked at.
    ///
    /// # Errors
    /// If the full model fails.
    pub(super) fn fit_likes(&mut self, atoms: &[Atom], examples: &[Example]) -> Result<Fits, ScoreError> {
        let clauses: BTreeSet<u32> = atoms
            .iter()
            .filter_map(|atom| if let Atom::Like { clause, .. } = atom { Some(*clause) } else { None })
            .collect();
        let (mut fits, mut scratch) = (Fits::default(), ModelScratch::default());
        if let Some(main) = self.documents.last().filter(|_| clauses.len() > MAX_HEADS) {
            let message = format!("{} clauses in `like`; at most {MAX_HEADS} are allowed", clauses.len());
            self.whole(main, Code::SourceTooLarge, message);
            return Ok(fits);
        }
        for clause in clauses {
            let shown = self.shown(clause as usize, examples);
            let hits = shown.iter().filter(|it| it.hit).count();
            let misses = shown.len() - hits;
            if shown.len() > MAX_EXAMPLES {
                let message =
                    format!("{} examples for `like`; at most {MAX_EXAMPLES} are allowed", shown.len());
                self.about(clause, Code::SourceTooLarge, message, "keep those that differ most");
                continue;
            }
            if hits.min(misses) < FEW {
                let what = if hits.min(misses) == 0 { "cannot be fitted to" } else { "is fitted to only" };
                let id = self.drafts.get(clause as usize).map_or("", |draft| draft.id.as_str());
                let message =
                    format!("`like(\"{id}\")` {what} {hits} bad and {misses} good examples of the clause");
                let help = "add `hits:` that break the clause and `misses:` that look like them and do not";
                self.about(clause, Code::LikeTooFew, message, help);
            }
            let Some(models) = self.models else { continue };
            let Some((head, quality)) = fit_one(models, clause, &shown, &mut scratch)? else { continue };
            if quality.balanced() < AGREED {
                let Quality { hits, hits_right, misses, misses_right, .. } = quality;
                let message = format!(
                    "the examples of the clause disagree: left out, {hits_right} of {hits} bad ones and {misses_right} of {misses} good ones are judged right"
                );
                let help = "what tells them apart is not in their wording, or they are too few to show it";
                self.about(clause, Code::LikeDisagrees, message, help);
            }
            fits.heads.push(head);
            fits.quality.push((clause as usize, quality));
        }
        Ok(fits)
    }

    fn about(&mut self, clause: u32, code: Code, message: String, help: &str) {
        if let Some(draft) = self.drafts.get(clause as usize) {
            let diagnostic = Diagnostic::new(code, &draft.document, draft.heading, message).help(help);
            self.diagnostics.push(diagnostic);
        }
    }

    /// The examples of a clause in both forms: those of its `examples` fences, and answers marked GOOD under it or BAD
    /// of it.
    fn shown(&self, clause: usize, examples: &[Example]) -> Vec<Shown> {
        let mut out: Vec<Shown> =
            examples.iter().filter(|it| it.clause == clause).map(Example::shown).collect();
        let id = self.drafts.get(clause).map_or("", |draft| draft.id.as_str());
        for (at, draft) in self.drafts.iter().enumerate() {
            for &(document, section) in &draft.sections {
                let parsed = self.documents.get(document).and_then(|it| it.parsed.sections.get(section));
                for example in parsed.into_iter().flat_map(|section| &section.examples) {
                    let mut request = None;
                    for turn in &example.turns {
                        if turn.role == Role::User {
                            request = Some(&turn.text);
                        }
                        let Some(judgment) = &turn.judgment else { continue };
                        let own = judgment.clause.as_deref().map_or(at == clause, |named| named == id);
                        let hit = match judgment.label {
                            Label::Bad => true,
                            Label::Good => false,
                            Label::Ok => continue,
                        };
                        if own {
                            let (text, context) = (turn.text.clone(), request.cloned());
                            out.push(Shown { hit, surface: Surface::Response, text, context });
                        }
                    }
                }
            }
        }
        out
    }
}

impl Example {
    fn shown(&self) -> Shown {
        Shown {
            hit: self.hit,
            surface: self.surface,
            text: self.judged_text(),
            context: self.request.clone(),
        }
    }
}

fn fit_one(
    models: &Models,
    clause: u32,
    shown: &[Shown],
    scratch: &mut ModelScratch,
) -> Result<Option<(Head, Quality)>, ScoreError> {
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    for Shown { hit, surface, text, context } in shown {
        let passage = Passage { surface: *surface, text, context: context.as_deref() };
        let embedding = models.embed(&passage, scratch)?;
        if !embedding.is_empty() {
            if *hit { &mut bad } else { &mut good }.push(embedding);
        }
    }
    Ok(fit(&bad, &good)
        .map(|fitted| (Head { clause, weights: fitted.weights, bias: fitted.bias }, fitted.quality)))
}
