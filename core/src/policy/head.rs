//! What `like("clause")` came to: a linear function of the full model's embedding.

use serde::{Deserialize, Serialize};

/// How many heads a policy may hold.
pub const MAX_HEADS: usize = 1000;
/// How many dimensions an embedding may have.
pub const MAX_DIMENSIONS: usize = 4096;

/// Tells what resembles the bad examples of a clause from what resembles the good ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Index of the clause.
    pub clause: u32,
    /// One for each dimension of the embedding.
    pub weights: Vec<f32>,
    /// Added to the sum.
    pub bias: f32,
}

impl Head {
    /// The probability that a text with this embedding belongs to the bad examples.
    pub fn probability(&self, embedding: &[f32]) -> f32 {
        let sum: f32 = self.weights.iter().zip(embedding).map(|(weight, x)| weight * x).sum();
        1.0 / (1.0 + (-(sum + self.bias)).exp())
    }
}
