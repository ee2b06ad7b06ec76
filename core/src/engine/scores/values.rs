//! The values of conditions that a model decides, and the evidence behind them.

use super::super::judge::{Judge, Parts, Reading};
use super::super::scan::TextScan;
use super::super::views::{ViewKind, Views};
use super::{Scored, Scores, Slot, SurfaceScores, rounded};
use crate::classifier::{COUNT, Likeness, Passage, ScoreError, TextScores};
use crate::message::Surface;
use crate::policy::{Atom, Place, Threshold, Truth};
use crate::span::Span;
use std::ops::Range;

impl Judge<'_> {
    /// The value of an atom that a model decides.
    pub(in super::super) fn score_value(&mut self, index: u32, atom: &Atom, reading: Reading) -> Truth {
        match atom {
            Atom::Label { label, place, threshold } => match self.scored(*place, reading) {
                Some(Ok(scores)) => {
                    self.holds(index, usize::from(*label), *threshold, *place, &scores).0.into()
                }
                None | Some(Err(_)) => Truth::Unknown,
            },
            Atom::Like { clause, place, compare } => match self.liked(*clause, *place, reading) {
                Some(Ok(likeness)) => compare.holds(f64::from(likeness.probability)).into(),
                None | Some(Err(_)) => Truth::Unknown,
            },
            Atom::Unverified => match self.scored(Place::Judged, reading) {
                Some(Ok(scores)) => {
                    self.classifier.is_some_and(|it| it.models.unverified(&scores).is_some()).into()
                }
                None | Some(Err(_)) => Truth::Unknown,
            },
            _ => Truth::Unknown,
        }
    }

    /// Whether a score reaches what a condition asks; the score, and what it was compared with.
    fn holds(
        &self,
        index: u32,
        label: usize,
        threshold: Threshold,
        place: Place,
        scores: &TextScores,
    ) -> (bool, f32, f64) {
        let score = scores.get(label);
        match threshold {
            Threshold::Score(compare) => (compare.holds(f64::from(score)), score, compare.bound()),
            Threshold::AtFpr(_) => {
                let surface = self.surface_of(self.slot(place, Reading::Whole).0);
                let bound =
                    self.classifier.and_then(|it| it.threshold(index, surface)).unwrap_or(f64::INFINITY);
                (f64::from(score) >= bound, score, bound)
            }
        }
    }

    /// The scores of the text a place means; `None` without models, zeros where there is no text.
    fn scored(&mut self, place: Place, reading: Reading) -> Option<Scored> {
        let (slot, parts) = self.slot(place, reading);
        self.score(slot, parts, false);
        self.known(slot, parts)
    }

    /// How much the text a place means is like the examples of a clause; `None` where no head was fitted to them.
    fn liked(&mut self, clause: u32, place: Place, reading: Reading) -> Option<Result<Likeness, ScoreError>> {
        let head = self.classifier?.head(clause)?;
        let (slot, parts) = self.slot(place, reading);
        self.score(slot, parts, true);
        if let Err(error) = self.known(slot, parts)? {
            return Some(Err(error));
        }
        if !self.is_there(slot, parts) {
            return Some(Ok(Likeness::default()));
        }
        let known = self.scans.scores.known.get(slot as usize)?.get(parts as usize)?;
        Some(known.all_read?.map(|()| known.likes.get(head).copied().unwrap_or_default()))
    }

    fn is_there(&self, slot: Slot, parts: Parts) -> bool {
        parts != Parts::None && self.origin_of(slot).is_some()
    }

    fn known(&self, slot: Slot, parts: Parts) -> Option<Scored> {
        self.classifier?;
        if !self.is_there(slot, parts) {
            return Some(Ok(TextScores::default()));
        }
        self.scans.scores.known.get(slot as usize)?.get(parts as usize)?.labels
    }

    /// Scores a text, unless it is scored already; with `likes`, lets the full model read all of it.
    fn score(&mut self, slot: Slot, parts: Parts, likes: bool) {
        let Some(classifier) = self.classifier else { return };
        let surface = self.surface_of(slot);
        let Some(origin) = self.origin_of(slot).filter(|_| parts != Parts::None) else { return };
        let context = self.request.filter(|_| slot == Slot::Judged).map(|origin| origin.text.text());
        let scans = &mut *self.scans;
        let TextScan { regions, views, .. } = match slot {
            Slot::Judged => &scans.judged,
            Slot::Request => &scans.request,
            Slot::Response => &scans.response,
        };
        let Scores { known, scratch, parts: buffer, deadline, tiers, unverified, .. } = &mut scans.scores;
        let Some(known) = known.get_mut(slot as usize).and_then(|by| by.get_mut(parts as usize)) else {
            return;
        };
        if known.labels.is_some() && (!likes || known.all_read.is_some()) {
            return;
        }
        let whole = origin.text.text();
        let all = parts == Parts::All || parts == Parts::Own && regions.is_empty();
        let text = match parts {
            _ if all => whole,
            _ => {
                buffer.clear();
                cut(whole, regions.iter().map(|region| region.0), parts == Parts::Foreign, buffer);
                buffer
            }
        };
        let passage = Passage { surface, text, context };
        let heads = &classifier.heads;
        let scored = known.labels.unwrap_or_else(|| {
            let mut scored = classifier.models.score(&passage, heads, &mut known.likes, *deadline, scratch);
            for reading in readings(views, whole).filter(|_| all) {
                let passage = Passage { text: reading, ..passage };
                scored = scored.and_then(|mut scores| {
                    let other =
                        classifier.models.score(&passage, &[], &mut Vec::new(), *deadline, scratch)?;
                    scores.merge_reading(&other);
                    Ok(scores)
                });
            }
            if let Ok(scores) = &scored {
                *tiers = tiers.union(scores.tiers);
                if slot == Slot::Judged && unverified.is_none() {
                    *unverified = classifier.models.unverified(scores);
                }
            }
            scored
        });
        known.labels = Some(scored);
        if likes {
            let read = match scored {
                Ok(_) => {
                    *tiers = tiers.union(crate::verdict::Tiers::FULL);
                    classifier.models.score_rest(&passage, heads, &mut known.likes, *deadline, scratch)
                }
                Err(error) => Err(error),
            };
            known.all_read = Some(read);
        }
    }

    /// What the judged text is, and its scores for every label; `None` without models.
    pub(in super::super) fn scores(&mut self) -> Option<SurfaceScores> {
        self.score(Slot::Judged, Parts::All, false);
        Some((self.surface, self.known(Slot::Judged, Parts::All)?))
    }

    /// Scores the judged text for every label and notes all of them.
    pub(in super::super) fn report_all(&mut self) {
        if let Some((_, Ok(scores))) = self.scores() {
            for label in 0..COUNT {
                self.scans.scores.report(label, scores.get(label));
            }
        }
    }

    /// Why a text could not be scored.
    pub(in super::super) fn score_failure(&mut self, atom: &Atom) -> Option<&'static str> {
        let error = match atom {
            Atom::Like { clause, place, .. } => self.liked(*clause, *place, self.reading)?.err(),
            _ => self.scored(atom.place()?, self.reading)?.err(),
        };
        error.map(ScoreError::as_str)
    }

    /// The score behind an atom that holds, its threshold, and where in the text it is largest.
    pub(in super::super) fn score_evidence(
        &mut self,
        index: u32,
        atom: &Atom,
    ) -> Option<(f64, f64, Option<Span>)> {
        match atom {
            Atom::Label { label, place, threshold } => {
                let label = usize::from(*label);
                let scores = self.scored(*place, self.reading)?.ok()?;
                let (_, score, bound) = self.holds(index, label, *threshold, *place, &scores);
                self.scans.scores.report(label, score);
                let span = self.window(*place, |judge, passage| {
                    let models = &judge.classifier?.models;
                    Some(models.place(passage, &scores, label, &mut judge.scans.scores.scratch))
                });
                Some((rounded(score), bound, span))
            }
            Atom::Like { clause, place, compare } => {
                let likeness = self.liked(*clause, *place, self.reading)?.ok()?;
                let span = self.window(*place, |judge, passage| {
                    let models = &judge.classifier?.models;
                    Some(models.place_of_likeness(passage, likeness, &mut judge.scans.scores.scratch))
                });
                Some((rounded(likeness.probability), compare.bound(), span))
            }
            _ => None,
        }
    }

    /// A place in the text, where all of it counts: only then places in the text that was scored are places in it.
    fn window(
        &mut self,
        place: Place,
        find: impl FnOnce(&mut Self, &Passage<'_>) -> Option<Range<usize>>,
    ) -> Option<Span> {
        let (slot, parts) = self.slot(place, self.reading);
        let whole = parts == Parts::All || parts == Parts::Own && self.scans.regions(slot).is_empty();
        let origin = self.origin_of(slot).filter(|_| whole)?;
        let context = self.request.filter(|_| slot == Slot::Judged).map(|origin| origin.text.text());
        let passage = Passage { surface: self.surface_of(slot), text: origin.text.text(), context };
        let range = find(self, &passage)?;
        Some(Span::new(range.start, range.end))
    }

    fn surface_of(&self, slot: Slot) -> Surface {
        match slot {
            Slot::Judged => self.surface,
            Slot::Request => Surface::Request,
            Slot::Response => Surface::Response,
        }
    }
}

/// What a disguised text may say besides what it seems to: its derived views, and its letters with look-alikes undone where
/// a word mixes scripts. An ordinary text has none of them.
fn readings<'a>(views: &'a Views, text: &str) -> impl Iterator<Item = &'a str> {
    let mixed = !text.is_ascii() && text.split_whitespace().any(mixes_scripts);
    views
        .iter()
        .filter(move |view| mixed || view.kind != ViewKind::Normalized)
        .map(|view| view.text().trim())
        .filter(|reading| !reading.is_empty())
}

/// Whether Greek or Cyrillic letters stand among Latin ones.
fn mixes_scripts(word: &str) -> bool {
    word.contains(|ch: char| ch.is_ascii_alphabetic())
        && word.contains(|ch: char| ('\u{370}'..='\u{52F}').contains(&ch))
}

/// The parts of a text inside the regions, or outside of them, each on a line of its own.
fn cut(text: &str, regions: impl Iterator<Item = Span>, inside: bool, out: &mut String) {
    let mut add = |from: u32, to: u32| {
        let part = text.get(from as usize..to as usize).unwrap_or("");
        if !part.trim().is_empty() {
            out.push_str(part);
            out.push('\n');
        }
    };
    let mut at = 0;
    for region in regions {
        if inside {
            add(region.start, region.end);
        } else {
            add(at, region.start);
        }
        at = region.end;
    }
    if !inside {
        add(at, Span::new(0, text.len()).end);
    }
}
