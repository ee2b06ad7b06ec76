//! The addon under the npm package `brightline`.
//!
//! ```text
//! lib/*.ts: objects -> JSON -> guard, batch, stream -> wire form and places in UTF-16 units -> lib/*.ts: objects
//! ```
//! It converts and decides nothing. What users see, and its documentation, is TypeScript in `lib/`.

mod batch;
mod error;
mod guard;
mod judged;
mod stream;
