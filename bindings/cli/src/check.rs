//! Policies and guards from arguments.

use crate::args::PolicyArgs;
use crate::{Stop, output};
use brightline::compiler::{Compiled, Compiler, SHIPPED};
use brightline::diagnostic::Severity;
use brightline::{Guard, GuardOptions, Policy, Settings, artifact};
use std::path::Path;

/// Whether an argument names a compiled artifact.
pub(crate) fn is_artifact(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "blp")
}

/// Compiles a document; a file that is not there is bad usage rather than a bad policy.
pub(crate) fn compile(name: &str) -> Result<Compiled, Stop> {
    if !SHIPPED.contains(&name) {
        let path = Path::new(name);
        if !path.exists() {
            let known = SHIPPED.join(", ");
            return Err(Stop::Input(format!("cannot find the policy `{name}`; shipped are {known}")));
        }
        std::fs::File::open(path).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
    }
    Ok(Compiler::new().file(name))
}

/// Loads a policy, or shows why it cannot be used.
pub(crate) fn policy(name: &str) -> Result<Policy, Stop> {
    if is_artifact(name) {
        let bytes =
            std::fs::read(name).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
        return artifact::decode(&bytes).map_err(|error| Stop::Input(format!("`{name}`: {error}")));
    }
    let compiled = compile(name)?;
    match compiled.policy {
        Some(policy) => Ok(policy),
        None => {
            output::diagnostics(
                &mut anstream::AutoStream::auto(std::io::stderr()),
                &compiled.diagnostics,
                Severity::Error,
            )?;
            Err(Stop::Policy)
        }
    }
}

/// Reads the deployment's settings.
fn settings(path: Option<&Path>) -> Result<Settings, Stop> {
    let Some(path) = path else { return Ok(Settings::default()) };
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Stop::Input(format!("cannot read `{shown}`: {error}")))?;
    Settings::from_toml(&text).map_err(|error| Stop::Input(format!("`{shown}`: {error}")))
}

/// A guard for the policy under the settings.
pub(crate) fn guard(args: &PolicyArgs) -> Result<Guard, Stop> {
    let settings = settings(args.settings.as_deref())?;
    let policy = policy(&args.policy)?;
    let options = GuardOptions { settings, ..GuardOptions::default() };
    Guard::with(policy, options).map_err(|error| Stop::Input(error.to_string()))
}
