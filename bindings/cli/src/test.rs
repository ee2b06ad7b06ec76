//! `brightline test`: a policy against its own examples and against cases.

use crate::args::TestArgs;
use crate::output::{self, styled};
use crate::{Outcome, Stop, check};
use brightline::diagnostic::{Code, Severity};
use brightline::{Action, Guard, GuardOptions, Settings, Verdict, wire};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// What a case expects, beside the record itself.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default)]
    why: Option<String>,
    /// Another policy than the one named on the command line.
    #[serde(default)]
    policy: Option<String>,
    /// Settings of the deployment.
    #[serde(default)]
    deployment: Option<Settings>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    action: Option<Action>,
    /// The clauses found, exactly.
    #[serde(default)]
    clauses: Option<Vec<String>>,
    #[serde(default)]
    includes: Vec<String>,
    #[serde(default)]
    excludes: Vec<String>,
    #[serde(default)]
    lifted: Option<Vec<String>>,
    #[serde(default)]
    redacted: Option<String>,
    /// The texts of all evidence, exactly.
    #[serde(default)]
    evidence: Option<Vec<String>>,
    #[serde(default)]
    ignored: Option<usize>,
    /// A word of the error that is expected instead of a verdict.
    #[serde(default)]
    error: Option<String>,
}

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
    let mut bad_examples = 0;
    let mut examples = 0;
    if !check::is_artifact(&args.policy.policy) {
        let compiled = check::compile(&args.policy.policy)?;
        examples = compiled.report.clauses.iter().map(|clause| clause.hits + clause.misses).sum();
        bad_examples = compiled.diagnostics.iter().filter(|it| it.code == Code::ExampleMisjudged).count();
        output::diagnostics(&mut out, &compiled.diagnostics, Severity::Error)?;
        if compiled.diagnostics.iter().any(|it| it.severity() == Severity::Error && it.code != Code::ExampleMisjudged) {
            out.flush()?;
            return Err(Stop::Policy);
        }
    }
    let mut runner = Runner { args, guards: BTreeMap::new(), passed: 0, failures: Vec::new(), unreadable: 0 };
    if bad_examples == 0 {
        for path in &args.cases {
            runner.file(path)?;
        }
    }
    let Runner { passed, failures, unreadable, .. } = runner;
    if args.json {
        let report = serde_json::json!({
            "examples": examples, "misjudged": bad_examples, "passed": passed, "failures": failures,
        });
        serde_json::to_writer_pretty(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for failure in &failures {
            let name = failure.id.as_deref().unwrap_or("case");
            writeln!(out, "{} {}:{} {name}", styled(output::of(Action::Block), "FAIL"), failure.file, failure.line)?;
            if let Some(why) = &failure.why {
                writeln!(out, "  {}", styled(output::DIM, why))?;
            }
            for problem in &failure.problems {
                writeln!(out, "  {problem}")?;
            }
        }
        writeln!(out, "examples: {} of {examples} judged as they say", examples - bad_examples.min(examples))?;
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
            let (id, why, problems) = match serde_json::from_slice::<Case>(&line) {
                Ok(case) => {
                    let problems = self.case(&case, &line)?;
                    (case.id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_string)), case.why, problems)
                }
                Err(error) => {
                    self.unreadable += 1;
                    (None, None, vec![format!("not a case: {error}")])
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
        let guard = match self.guard(case)? {
            Ok(guard) => guard,
            Err(message) => return Ok(expect_error(&case.expect, &message)),
        };
        let input = match wire::parse(line) {
            Ok(input) => input,
            Err(error) => return Ok(expect_error(&case.expect, &error.to_string())),
        };
        match guard.check(&input) {
            Ok(verdict) => Ok(compare(&case.expect, &verdict, &input)),
            Err(error) => Ok(expect_error(&case.expect, &error.to_string())),
        }
    }

    /// The guard for a case; settings that are refused are an outcome, not a failure of the run.
    fn guard(&mut self, case: &Case) -> Result<Result<Guard, String>, Stop> {
        let name = case.policy.as_deref().unwrap_or(&self.args.policy.policy);
        let own = case.policy.is_none();
        let Some(settings) = &case.deployment else {
            if let Some(guard) = self.guards.get(name) {
                return Ok(Ok(guard.clone()));
            }
            let guard = if own {
                check::guard(&self.args.policy)?
            } else {
                Guard::new(check::policy(name)?).map_err(|error| Stop::Input(error.to_string()))?
            };
            self.guards.insert(name.to_string(), guard.clone());
            return Ok(Ok(guard));
        };
        let options = GuardOptions { settings: settings.clone(), ..GuardOptions::default() };
        Ok(Guard::with(check::policy(name)?, options).map_err(|error| error.to_string()))
    }
}

fn expect_error(expect: &Expect, message: &str) -> Vec<String> {
    match &expect.error {
        Some(wanted) if message.contains(wanted.as_str()) => Vec::new(),
        Some(wanted) => vec![format!("expected an error with `{wanted}`, got: {message}")],
        None => vec![format!("error: {message}")],
    }
}

fn compare(expect: &Expect, verdict: &Verdict, input: &brightline::Input<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(wanted) = &expect.error {
        problems.push(format!("expected an error with `{wanted}`, got a verdict"));
    }
    if let Some(action) = expect.action.filter(|action| *action != verdict.action) {
        problems.push(format!("expected action {action}, got {}", verdict.action));
    }
    let mut found: Vec<String> =
        verdict.findings.iter().filter_map(|it| verdict.clause_of(it)).map(|clause| clause.id.clone()).collect();
    found.sort();
    found.dedup();
    if let Some(clauses) = &expect.clauses {
        let mut wanted = clauses.clone();
        wanted.sort();
        if wanted != found {
            problems.push(format!("expected exactly the clauses {wanted:?}, got {found:?}"));
        }
    }
    problems.extend(expect.includes.iter().filter(|id| !found.contains(id)).map(|id| format!("`{id}` was not found")));
    problems.extend(expect.excludes.iter().filter(|id| found.contains(id)).map(|id| format!("`{id}` was found")));
    if let Some(wanted) = &expect.lifted {
        let mut lifted: Vec<String> = verdict
            .lifted
            .iter()
            .filter_map(|it| Some(format!("{} by {}", verdict.clause_of_lifted(it)?.id, it.by)))
            .collect();
        let mut wanted = wanted.clone();
        lifted.sort();
        wanted.sort();
        if lifted != wanted {
            problems.push(format!("expected lifted {wanted:?}, got {lifted:?}"));
        }
    }
    if let Some(wanted) = expect.redacted.as_deref().filter(|wanted| Some(*wanted) != verdict.redacted()) {
        problems.push(format!("expected redacted `{wanted}`, got `{}`", verdict.redacted().unwrap_or("")));
    }
    if let Some(wanted) = expect.ignored.filter(|wanted| *wanted != verdict.ignored.len()) {
        problems.push(format!("expected {wanted} ignored settings, got {}", verdict.ignored.len()));
    }
    if let Some(wanted) = &expect.evidence {
        let mut texts: Vec<String> = verdict
            .findings
            .iter()
            .flat_map(|finding| &finding.evidence)
            .flat_map(|evidence| &evidence.spans)
            .filter_map(|span| input.slice(span).map(str::to_string))
            .collect();
        let mut wanted = wanted.clone();
        texts.sort();
        texts.dedup();
        wanted.sort();
        if texts != wanted {
            problems.push(format!("expected evidence {wanted:?}, got {texts:?}"));
        }
    }
    problems
}
