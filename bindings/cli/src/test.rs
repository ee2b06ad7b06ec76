//! `brightline test`: a policy against its own examples and against cases.

use crate::args::TestArgs;
use crate::output::{self, styled};
use crate::{Outcome, Stop, check};
use brightline::diagnostic::{Code, Severity};
use brightline::wire::Case;
use brightline::{Action, Guard, GuardOptions, Settings};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

#[derive(Serialize)]
struct Failure {
    file: String,
    line: usize,
    id: Option<String>,
    why: Option<String>,
    problems: Vec<String>,
}

pub(crate) fn run(args: &TestArgs) -> Result<Outcome, Stop> {
    let mut out = output::stdout();
    let options = check::options(&args.policy)?;
    let (mut examples, mut bad_examples, mut open) = (0, 0, 0);
    if !check::is_artifact(&args.policy.policy) {
        let compiled = check::compile(&args.policy.policy, options.models.as_ref())?;
        examples = compiled.report.clauses.iter().map(|clause| clause.hits + clause.misses).sum();
        let count = |code| compiled.diagnostics.iter().filter(|it| it.code == code).count();
        (bad_examples, open) = (count(Code::ExampleMisjudged), count(Code::ExampleNotJudged));
        output::diagnostics(&mut out, &compiled.diagnostics, Severity::Error)?;
        if compiled
            .diagnostics
            .iter()
            .any(|it| it.severity() == Severity::Error && it.code != Code::ExampleMisjudged)
        {
            out.flush()?;
            return Err(Stop::Policy);
        }
    }
    let mut runner =
        Runner { args, options, guards: BTreeMap::new(), passed: 0, failures: Vec::new(), unreadable: 0 };
    if bad_examples == 0 {
        for path in &args.cases {
            runner.file(path)?;
        }
    }
    let Runner { passed, failures, unreadable, .. } = runner;
    if args.json {
        let report = serde_json::json!({
            "examples": examples, "misjudged": bad_examples, "undecided": open, "passed": passed, "failures": failures,
        });
        serde_json::to_writer_pretty(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for failure in &failures {
            let name = failure.id.as_deref().unwrap_or("case");
            writeln!(
                out,
                "{} {}:{} {name}",
                styled(output::of(Action::Block), "FAIL"),
                failure.file,
                failure.line
            )?;
            if let Some(why) = &failure.why {
                writeln!(out, "  {}", styled(output::DIM, why))?;
            }
            for problem in &failure.problems {
                writeln!(out, "  {problem}")?;
            }
        }
        let right = examples.saturating_sub(bad_examples + open);
        write!(out, "examples: {right} of {examples} judged as they say")?;
        match open {
            0 => writeln!(out)?,
            _ => writeln!(out, ", {open} not decided without a model")?,
        }
        if !args.cases.is_empty() {
            writeln!(out, "cases: {passed} passed, {} failed", failures.len())?;
        }
    }
    out.flush()?;
    Ok(if unreadable > 0 {
        Outcome::BadInput
    } else if bad_examples > 0 || !failures.is_empty() {
        Outcome::Findings
    } else {
        Outcome::Fine
    })
}

struct Runner<'a> {
    args: &'a TestArgs,
    /// The models, and the settings of cases that bring none.
    options: GuardOptions,
    guards: BTreeMap<String, Guard>,
    passed: usize,
    failures: Vec<Failure>,
    unreadable: usize,
}

impl Runner<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Stop> {
        let shown = path.display().to_string();
        let fail = |error: std::io::Error| Stop::Input(format!("cannot read `{shown}`: {error}"));
        let file = BufReader::new(std::fs::File::open(path).map_err(fail)?);
        for (index, line) in file.split(b'\n').enumerate() {
            let line = line.map_err(fail)?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let number = index + 1;
            let (id, why, problems) = match Case::parse(&line) {
                Ok(case) => {
                    let problems = self.case(&case, &line)?;
                    (case.id, case.why, problems)
                }
                Err(error) => {
                    self.unreadable += 1;
                    (None, None, vec![error.to_string()])
                }
            };
            if problems.is_empty() {
                self.passed += 1;
            } else {
                self.failures.push(Failure { file: shown.clone(), line: number, id, why, problems });
            }
        }
        Ok(())
    }

    fn case(&mut self, case: &Case, line: &[u8]) -> Result<Vec<String>, Stop> {
        Ok(case.problems(self.guard(case)?.as_ref().map_err(String::as_str), line))
    }

    /// The guard for a case; settings that are refused are an outcome, not a failure of the run.
    fn guard(&mut self, case: &Case) -> Result<Result<Guard, String>, Stop> {
        let name = case.policy.as_deref().unwrap_or(&self.args.policy.policy);
        let own = case.policy.is_none();
        let Some(settings) = &case.deployment else {
            if let Some(guard) = self.guards.get(name) {
                return Ok(Ok(guard.clone()));
            }
            let mut options = self.options.clone();
            if !own {
                options.settings = Settings::default();
            }
            let guard = Guard::with(check::policy(name, None)?, options)
                .map_err(|error| Stop::Input(error.to_string()))?;
            self.guards.insert(name.to_string(), guard.clone());
            return Ok(Ok(guard));
        };
        let options = GuardOptions { settings: settings.clone(), ..self.options.clone() };
        Ok(Guard::with(check::policy(name, None)?, options).map_err(|error| error.to_string()))
    }
}
