//! One compilation: the documents of a policy become its data, step by step.

use super::atoms::Atoms;
use super::clauses::Draft;
use super::collect::Fences;
use super::like::Fits;
use super::load::Loaded;
use super::patterns::MAX_PATTERNS;
use super::report::Report;
use super::{MAX_ATOMS, MAX_REGEX_TESTS, MAX_RULES, analysis, decide, examples, needs_model};
use crate::artifact;
use crate::classifier::Models;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Guard, GuardOptions, scores};
use crate::policy::{
    Atom, Calibrated, Clause, Coverage, DocumentRef, Force, Policy, PolicyData, Rule, SettingReason,
    Settings, Streaming,
};
use crate::span::Span;

/// One compilation.
pub(super) struct Build<'a> {
    pub documents: &'a [Loaded],
    pub models: Option<&'a Models>,
    pub trust_examples: bool,
    pub diagnostics: Vec<Diagnostic>,
    pub drafts: Vec<Draft>,
}

impl Build<'_> {
    pub(super) fn run(&mut self) -> (Option<Policy>, Report) {
        let Some(main) = self.documents.last() else { return (None, Report::default()) };
        self.collect_clauses();
        let mut patterns = self.collect_patterns();
        let mut atoms = Atoms::default();
        let fences: Vec<Fences> =
            (0..self.drafts.len()).map(|clause| self.collect_rules(clause, &patterns, &mut atoms)).collect();
        let (rules, coverages) = self.link(fences);
        patterns.mark_used(
            (0..atoms.len()).filter_map(|at| atoms.get(u32::try_from(at).ok()?)).flat_map(sets_of),
        );
        patterns.report_unused(&mut self.diagnostics);
        if patterns.len() > MAX_PATTERNS {
            self.whole(
                main,
                Code::SourceTooLarge,
                format!("{} patterns; at most {MAX_PATTERNS} are allowed", patterns.len()),
            );
        }
        let atoms = atoms.into_vec();
        let tests = atoms.iter().filter(|atom| atom.is_regex_test()).count();
        for (what, count, max) in [
            ("rules", rules.len(), MAX_RULES),
            ("atoms", atoms.len(), MAX_ATOMS),
            ("tests by regular expressions", tests, MAX_REGEX_TESTS),
        ] {
            if count > max {
                self.whole(main, Code::SourceTooLarge, format!("{count} {what}; at most {max} are allowed"));
            }
        }
        if self.diagnostics.iter().any(|it| it.code == Code::SourceTooLarge) {
            return (None, Report::default());
        }
        self.analyze(&rules, &atoms);
        let examples = self.collect_examples(&rules, &coverages);
        let settings = self.settings();
        let (patterns, sets) = patterns.into_parts();
        let clauses: Vec<Clause> =
            self.drafts.iter().zip(coverages).map(|(draft, coverage)| finish(draft, coverage)).collect();
        let spans: Vec<Span> = rules.iter().map(|(_, span)| *span).collect();
        let mut data = PolicyData {
            name: main.name(),
            version: main.front.version.clone().unwrap_or_else(|| "0".to_string()),
            hash: String::new(),
            documents: self
                .documents
                .iter()
                .map(|loaded| DocumentRef {
                    name: loaded.source.name().to_string(),
                    hash: blake3::hash(loaded.source.text().as_bytes()).to_hex().to_string(),
                })
                .collect(),
            clauses,
            rules: rules.into_iter().map(|(rule, _)| rule).collect(),
            atoms,
            patterns,
            sets,
            settings,
            streaming: self
                .documents
                .iter()
                .fold(Streaming::default(), |below, loaded| loaded.front.stream.over(below)),
            calibrated: None,
        };
        let (_, problems) = Force::new(&data.clauses, data.settings.clone());
        for problem in problems {
            let code = match problem.reason {
                SettingReason::UnknownClause => Code::SettingUnknownClause,
                _ => Code::SettingExceedsPower,
            };
            let span = main.front_span();
            self.diagnostics.push(Diagnostic::new(
                code,
                &main.source,
                span,
                format!("settings refused: {problem}"),
            ));
        }
        let mut report = Report::new(&data, &examples);
        for (rule, span) in data.rules.iter().zip(&spans) {
            if let Some(draft) = self
                .drafts
                .get(rule.clause as usize)
                .filter(|_| self.models.is_none() && needs_model(rule, &data.atoms))
            {
                let message = format!("`{}` needs a model to be judged in full", draft.id);
                self.diagnostics.push(
                    Diagnostic::new(Code::ClauseNeedsModel, &draft.document, *span, message)
                        .help("until one is loaded, verdicts list the clause under `degraded` where patterns alone do not decide"),
                );
            }
        }
        let fits = self.fit_likes(&data.atoms, &examples).unwrap_or_else(|error| {
            self.whole(main, Code::FrontMatterInvalid, format!("the full model: {}", error.as_str()));
            Fits::default()
        });
        report.add_quality(&fits.quality);
        if self.diagnostics.iter().any(|it| it.severity() == Severity::Error) {
            return (None, report);
        }
        match self.models.map(|models| scores::resolve(models, &data.atoms)).transpose() {
            Ok(resolved) => {
                data.calibrated = resolved.map(|known| Calibrated { heads: fits.heads, ..known });
            }
            Err(error) => {
                self.whole(main, Code::FrontMatterInvalid, error.to_string());
                return (None, report);
            }
        }
        // Examples say what a clause means, whatever a deployment has switched or tagged.
        let neutral = artifact::seal(PolicyData { settings: Settings::default(), ..data.clone() });
        let with_models = self.models.filter(|_| !self.trust_examples).map(|models| {
            Guard::with(
                neutral.clone(),
                GuardOptions { models: Some(models.clone()), ..GuardOptions::default() },
            )
        });
        let policy = artifact::seal(data);
        match (Guard::new(neutral), with_models.transpose()) {
            (Ok(guard), Ok(with_models)) => {
                let guards = (&guard, with_models.as_ref());
                examples::judge(guards, &examples, &self.drafts, &mut self.diagnostics);
                self.judge_good_answers(&guard, &policy);
            }
            (Err(error), _) | (_, Err(error)) => {
                self.whole(main, Code::FrontMatterInvalid, error.to_string())
            }
        }
        (Some(policy), report)
    }

    pub(super) fn whole(&mut self, loaded: &Loaded, code: Code, message: String) {
        self.diagnostics.push(Diagnostic::new(code, &loaded.source, loaded.front_span(), message));
    }

    fn analyze(&mut self, rules: &[(Rule, Span)], atoms: &[Atom]) {
        let located: Vec<analysis::Located<'_>> = rules
            .iter()
            .filter_map(|(rule, when)| {
                Some(analysis::Located { rule, draft: self.drafts.get(rule.clause as usize)?, when: *when })
            })
            .collect();
        let budget = decide::Budget::default();
        analysis::conditions(&located, atoms, &budget, &mut self.diagnostics);
        analysis::conflicts(&located, atoms, &budget, &mut self.diagnostics);
        if let Some(main) = self.documents.last().filter(|_| budget.gave_up()) {
            self.diagnostics.push(
                Diagnostic::new(
                    Code::AnalysisIncomplete,
                    &main.source,
                    main.front_span(),
                    "the conditions are too many or too large to compare them all",
                )
                .help("what is not reported about contradictions is unknown, not absent; split long conditions into rules"),
            );
        }
    }

    fn judge_good_answers(&mut self, guard: &Guard, policy: &Policy) {
        for (clause, draft) in self.drafts.iter().enumerate() {
            let Some(coverage) = policy.clauses().get(clause).map(|clause| &clause.coverage) else {
                continue;
            };
            for &(document, section) in &draft.sections {
                let Some(loaded) = self.documents.get(document) else { continue };
                let Some(entry) = loaded.parsed.sections.get(section) else { continue };
                examples::judge_good_answers(
                    guard,
                    entry,
                    &loaded.source,
                    clause,
                    coverage,
                    &mut self.diagnostics,
                );
            }
        }
    }

    fn settings(&self) -> Settings {
        self.documents
            .iter()
            .fold(Settings::default(), |settings, loaded| settings.overlaid(&loaded.front.settings))
    }
}

pub(super) fn finish(draft: &Draft, coverage: Coverage) -> Clause {
    Clause {
        id: draft.id.clone(),
        title: draft.title.clone(),
        level: draft.level,
        kind: draft.kind,
        switch: draft.switch,
        waivable: draft.waivable,
        tags: draft.tags.clone(),
        priority: draft.priority,
        rationale: draft.rationale.clone(),
        source: draft.source.clone(),
        place: draft.place.clone(),
        coverage,
    }
}

fn sets_of(atom: &Atom) -> Vec<u32> {
    match atom {
        Atom::Match { set, .. } | Atom::Count { set, .. } => vec![*set],
        Atom::Near { first, second, .. } => vec![*first, *second],
        _ => Vec::new(),
    }
}
