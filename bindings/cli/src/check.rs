//! Policies and guards from arguments.

use crate::args::{ModelArgs, PolicyArgs};
use crate::{Stop, output};
use brightline::classifier::BackendKind;
use brightline::compiler::{Compiled, Compiler, SHIPPED};
use brightline::diagnostic::Severity;
use brightline::{Guard, GuardOptions, Models, Policy, Settings, artifact};
use std::path::Path;
use std::time::Duration;

/// Whether an argument names a compiled artifact.
pub(crate) fn is_artifact(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "blp")
}

/// Compiles a document; a file that is not there is bad usage rather than a bad policy.
pub(crate) fn compile(name: &str, models: Option<&Models>) -> Result<Compiled, Stop> {
    if !SHIPPED.contains(&name) {
        let path = Path::new(name);
        if !path.exists() {
            let known = SHIPPED.join(", ");
            return Err(Stop::Input(format!("cannot find the policy `{name}`; shipped are {known}")));
        }
        std::fs::File::open(path).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
    }
    let compiler = Compiler::new();
    Ok(match models {
        Some(models) => compiler.with_models(models.clone()).file(name),
        None => compiler.file(name),
    })
}

/// Loads a policy, or shows why it cannot be used.
pub(crate) fn policy(name: &str, models: Option<&Models>) -> Result<Policy, Stop> {
    if is_artifact(name) {
        let bytes =
            std::fs::read(name).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
        return artifact::decode(&bytes).map_err(|error| Stop::Input(format!("`{name}`: {error}")));
    }
    let compiled = compile(name, models)?;
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

/// The models for a policy: those that are named, or those that stand where models are looked for.
pub(crate) fn models(policy: &str, args: &ModelArgs) -> Result<Option<Models>, Stop> {
    if args.no_models {
        return Ok(None);
    }
    let program = std::env::current_exe().ok();
    let beside = [Path::new(policy).parent(), program.as_deref().and_then(Path::parent)];
    let beside = beside.into_iter().flatten().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = Models::find(args.models.as_deref(), beside) else { return Ok(None) };
    Models::load_with(folder, backend(args)).map(Some).map_err(|error| Stop::Input(error.to_string()))
}

#[cfg(feature = "onnxruntime")]
fn backend(args: &ModelArgs) -> BackendKind {
    if args.onnxruntime { BackendKind::OnnxRuntime } else { BackendKind::default() }
}

#[cfg(not(feature = "onnxruntime"))]
fn backend(_: &ModelArgs) -> BackendKind {
    BackendKind::default()
}

/// The options that the arguments ask for.
pub(crate) fn options(args: &PolicyArgs) -> Result<GuardOptions, Stop> {
    Ok(GuardOptions {
        settings: settings(args.settings.as_deref())?,
        models: models(&args.policy, &args.models)?,
        deadline: args.deadline.map(Duration::from_millis),
        ..GuardOptions::default()
    })
}

/// A guard for the policy under the settings.
pub(crate) fn guard(args: &PolicyArgs, scores: bool) -> Result<Guard, Stop> {
    let options = GuardOptions { scores, ..options(args)? };
    if scores && options.models.is_none() {
        return Err(Stop::Input("`--scores` needs models: name their folder with `--models`".into()));
    }
    let policy = policy(&args.policy, None)?;
    Guard::with(policy, options).map_err(|error| Stop::Input(error.to_string()))
}
