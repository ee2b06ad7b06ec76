//! What several test files share.

pub mod interpreter;
pub mod oracle;
pub mod streams;

use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// A file of the material that lies beside the repository, or `None` with a printed reason where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("BRIGHTLINE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let file = base.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: `{path}` is not beside this checkout (BRIGHTLINE_SHARED names another place)");
    None
}
