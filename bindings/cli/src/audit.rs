//! `brightline audit`: the audit log of a gateway.

use crate::args::VerifyArgs;
use crate::output::{self, styled};
use crate::{Outcome, Stop};
use brightline::Action;
use brightline_http::ops::audit::{Break, Chain, VerifyError};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Write};

/// What became of a log.
#[derive(Serialize)]
struct Report {
    /// How many lines hold.
    lines: u64,
    /// The hash of the last of them.
    head: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<Broken>,
}

#[derive(Serialize)]
struct Broken {
    file: String,
    /// Counted from 1; left out where the log ends too soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    reason: String,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<Outcome, Stop> {
    let mut chain = args.after.as_deref().and_then(Chain::after_hex).unwrap_or_default();
    let (mut lines, mut broken) = (0, None);
    for path in &args.files {
        let file = path.display().to_string();
        let unreadable = |error| Stop::Input(format!("cannot read `{file}`: {error}"));
        let reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
        match brightline_http::ops::audit::verify(reader, &mut chain) {
            Ok(count) => lines += count,
            Err(VerifyError::Read(error)) => return Err(unreadable(error)),
            Err(VerifyError::Broken(Break { line, flaw })) => {
                lines += line - 1;
                broken = Some(Broken { file, line: Some(line), reason: flaw.to_string() });
                break;
            }
            Err(error) => return Err(Stop::Input(error.to_string())),
        }
    }
    let head = chain.head_hex();
    let expected = args.expect_head.as_ref().filter(|expected| **expected != head);
    if let (None, Some(expected), Some(last)) = (&broken, expected, args.files.last()) {
        let file = last.display().to_string();
        let reason = format!("the log ends with another line: its head is {head}, not {expected}");
        broken = Some(Broken { file, line: None, reason });
    }
    let outcome = if broken.is_some() { Outcome::Findings } else { Outcome::Fine };
    print(&Report { lines, head, broken }, args.json)?;
    Ok(outcome)
}

fn print(report: &Report, json: bool) -> Result<(), Stop> {
    let mut out = output::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let lines = output::counted(usize::try_from(report.lines).unwrap_or(usize::MAX), "line");
        match &report.broken {
            None => {
                writeln!(out, "{} {lines}, head {}", styled(output::of(Action::Allow), "OK"), report.head)?
            }
            Some(Broken { file, line, reason }) => {
                let place = line.map(|line| format!(":{line}")).unwrap_or_default();
                writeln!(out, "{} {file}{place}: {reason}", styled(output::of(Action::Block), "BROKEN"))?;
                writeln!(out, "{lines} before it hold")?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
