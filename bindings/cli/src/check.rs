//! Policies and guards from arguments.

use crate::args::{ModelArgs, PolicyArgs};
use crate::{Stop, output};
use brightline::classifier::{BackendKind, MODELS_VARIABLE};
use brightline::compiler::{Compiled, Compiler, SHIPPED};
use brightline::diagnostic::Severity;
use brightline::{Guard, GuardOptions, Models, Policy, Settings, artifact};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether an argument names a compiled artifact.
pub(crate) fn is_artifact(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "blp")
}

fn compiler(models: Option<&Models>) -> Compiler {
    models.map_or_else(Compiler::new, |models| Compiler::new().with_models(models.clone()))
}

/// Compiles a document and lets the models judge its examples.
pub(crate) fn compile(name: &str, models: Option<&Models>) -> Result<Compiled, Stop> {
    run(&compiler(models), name)
}

/// Runs the compiler; a file that is not there is bad usage rather than a bad policy.
fn run(compiler: &Compiler, name: &str) -> Result<Compiled, Stop> {
    if !SHIPPED.contains(&name) {
        let path = Path::new(name);
        if !path.exists() {
            let known = SHIPPED.join(", ");
            return Err(Stop::Input(format!("cannot find the policy `{name}`; shipped are {known}")));
        }
        std::fs::File::open(path).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
    }
    Ok(compiler.file(name))
}

/// Loads a policy, or shows why it cannot be used. The models judge its examples.
pub(crate) fn policy(name: &str, models: Option<&Models>) -> Result<Policy, Stop> {
    load(&compiler(models), name)
}

fn load(compiler: &Compiler, name: &str) -> Result<Policy, Stop> {
    if is_artifact(name) {
        let bytes =
            std::fs::read(name).map_err(|error| Stop::Input(format!("cannot read `{name}`: {error}")))?;
        return artifact::decode(&bytes).map_err(|error| Stop::Input(format!("`{name}`: {error}")));
    }
    let compiled = run(compiler, name)?;
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

/// The models for a policy: those that are named, or those that stand where models are looked for. What is found and cannot
/// be used is an error.
pub(crate) fn models(policy: &str, args: &ModelArgs) -> Result<Option<Models>, Stop> {
    models_folder(policy, args).map(|folder| load_models(&folder, args)).transpose()
}

/// The folder in which the models for a policy are, if there is one.
pub(crate) fn models_folder(policy: &str, args: &ModelArgs) -> Option<PathBuf> {
    if args.no_models {
        return None;
    }
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let installed = program.as_deref().map(places_of).unwrap_or_default();
    let beside = Path::new(policy).parent().filter(|_| !SHIPPED.contains(&policy)).map(folder_of);
    let beside = beside.into_iter().chain(installed.iter().map(PathBuf::as_path));
    Models::find(args.models.as_deref(), beside)
}

/// Loads models for the backend that the arguments ask for.
pub(crate) fn load_models(folder: &Path, args: &ModelArgs) -> Result<Models, Stop> {
    Models::load_with(folder, backend(args)).map_err(|error| Stop::Input(error.to_string()))
}

/// The folder of a relative path that names none.
fn folder_of(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// The folders in which a program's `models/` may stand: its own, where packages put shared files, and, for a program that
/// was built and not installed, those above it.
fn places_of(program: &Path) -> Vec<PathBuf> {
    let Some(folder) = program.parent() else { return Vec::new() };
    let mut places = vec![folder.to_path_buf(), folder.join("../share/brightline")];
    if folder.ancestors().any(|above| above.file_name().is_some_and(|name| name == "target")) {
        places.extend(folder.ancestors().skip(1).take(4).map(Path::to_path_buf));
    }
    places
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
    // Its examples were judged by `lint` or `compile`; to run, what is fitted to them is enough.
    let policy = load(&compiler(options.models.as_ref()).trust_examples(), &args.policy)?;
    Guard::with(policy, options).map_err(|error| Stop::Input(error.to_string()))
}

/// A line for people about how labels are decided, where some clause asks for one.
pub(crate) fn about_models(guard: &Guard) -> Option<String> {
    match guard.models() {
        Some(models) => {
            Some(format!("models {} {}, {}", models.name(), models.version(), models.backend().as_str()))
        }
        None if guard.policy().needs_models() => Some(format!(
            "no models: clauses that need one stay undecided (`--models DIR`, `{MODELS_VARIABLE}`, or `models/` beside the policy)"
        )),
        None => None,
    }
}
