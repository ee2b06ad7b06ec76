//! Brightline for Python: converts arguments, verdicts and errors, and decides nothing.
//!
//! ```text
//! Python objects --record--> JSON --wire--> Input --guard--> Verdict --verdict--> frozen objects, code points
//! ```
//! A record becomes JSON before it is judged, so that Python reads messages by the rules of `docs/wire-format.md` and no
//! others. Everything is shared without locks except a stream, which has one: the module declares that it needs no GIL.

mod batch;
mod error;
mod guard;
mod points;
mod record;
mod stream;
mod verdict;

use pyo3::prelude::*;

/// The compiled half of the package.
#[pymodule(gil_used = false)]
mod _brightline {
    #[pymodule_export]
    use crate::guard::Guard;
    #[pymodule_export]
    use crate::stream::{End, Step, Stream};
    #[pymodule_export]
    use crate::verdict::Verdict;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("SHIPPED", pyo3::types::PyTuple::new(module.py(), brightline::compiler::SHIPPED)?)
    }
}
