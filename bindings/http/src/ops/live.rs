//! The policy in force, which may be exchanged while requests are in flight.

use brightline::Guard;
use parking_lot::RwLock;
use std::sync::Arc;

/// One loaded policy.
pub struct Loaded {
    /// Ready to judge.
    pub guard: Guard,
}

/// The policy in force. A request takes it once and keeps it to its end.
pub struct Live(RwLock<Arc<Loaded>>);

impl Live {
    /// Starts with a guard.
    pub fn new(guard: Guard) -> Self {
        Self(RwLock::new(Arc::new(Loaded { guard })))
    }

    /// The policy in force now.
    pub fn guard(&self) -> Arc<Loaded> {
        self.0.read().clone()
    }
}
