//! The `brightline` command.

mod args;
mod calibrate;
mod check;
mod explain;
mod inspect;
mod lint;
mod log;
mod output;
mod score;
mod test;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing to object to.
    Fine,
    /// Findings, or a policy with errors.
    Findings,
    /// Some of the input could not be used.
    BadInput,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Fine => 0,
            Outcome::Findings => 1,
            Outcome::BadInput => 2,
        })
    }
}

/// Why a command stopped.
#[derive(Debug)]
enum Stop {
    /// Bad usage or input, with what to say about it.
    Input(String),
    /// The policy does not compile; its diagnostics are already shown.
    Policy,
    /// Whoever reads the output went away.
    Closed,
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Input(error.to_string())
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Inspect(args) => inspect::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Compile(args) => lint::compile(args),
        Command::Explain(args) => explain::run(args),
        Command::Test(args) => test::run(args),
        Command::Score(args) => score::run(args),
        Command::Calibrate(args) => calibrate::run(args),
    };
    match result {
        Ok(outcome) => outcome.into(),
        Err(Stop::Policy) => Outcome::Findings.into(),
        Err(Stop::Closed) => Outcome::Fine.into(),
        Err(Stop::Input(message)) => {
            output::error(&message);
            Outcome::BadInput.into()
        }
    }
}
