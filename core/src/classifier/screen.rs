//! The screen: static embeddings of tokens and of pairs of tokens, pooled by a gate, and a small network on top.
//!
//! ```text
//! e_i    = unigram[t_i] + bigram[hash(t_(i-1), t_i)]     rows of int8, each with a scale of its own
//! g_i    = sigmoid(gate · e_i + gate_bias)               how much the token counts
//! pooled = [ Σ g_i e_i / Σ g_i , max_i g_i e_i ]         the mean, and what stands out
//! logits = out · relu(hidden · pooled + hidden_bias) + out_bias
//! ```
//! `hash(a, b) = ((a · 0x9E3779B1) xor (b · 0x85EBCA6B)) mod 2³², its upper and lower half xored, mod the number of rows`.
//! The first token has no pair. A window of 128 tokens costs some ten thousand multiplications.

use super::calibration::COUNT;
use safetensors::tensor::{Dtype, SafeTensors};

/// The tables of the screen.
#[derive(Debug)]
pub(super) struct Screen {
    unigram: Table,
    bigram: Table,
    gate: Vec<f32>,
    gate_bias: f32,
    hidden: Dense,
    out: Dense,
    width: usize,
}

/// Rows of int8 with a scale each.
#[derive(Debug)]
struct Table {
    rows: Vec<i8>,
    scales: Vec<f32>,
    width: usize,
}

/// A matrix, row by row, with a bias.
#[derive(Debug)]
struct Dense {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Buffers of one run.
#[derive(Debug, Default)]
pub(crate) struct ScreenScratch {
    token: Vec<f32>,
    pooled: Vec<f32>,
    hidden: Vec<f32>,
}

impl Screen {
    pub(super) fn load(bytes: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let unigram = Table::load(&tensors, "unigram")?;
        let bigram = Table::load(&tensors, "bigram")?;
        let width = unigram.width;
        if bigram.width != width {
            return Err(format!("rows of {width} and of {} values", bigram.width));
        }
        let gate = floats(&tensors, "gate", width)?;
        let gate_bias = floats(&tensors, "gate.bias", 1)?.first().copied().unwrap_or_default();
        let inner =
            tensors.tensor("hidden.bias").map_err(|error| error.to_string())?.shape().iter().product();
        let hidden = Dense::load(&tensors, "hidden", inner, 2 * width)?;
        let out = Dense::load(&tensors, "out", COUNT, inner)?;
        Ok(Self { unigram, bigram, gate, gate_bias, hidden, out, width })
    }

    /// How many token ids the tables know.
    pub(super) fn vocabulary(&self) -> usize {
        self.unigram.scales.len()
    }

    /// The logits of one window.
    pub(super) fn run(&self, ids: impl Iterator<Item = u32>, scratch: &mut ScreenScratch) -> [f32; COUNT] {
        let ScreenScratch { token, pooled, hidden } = scratch;
        pooled.clear();
        pooled.resize(self.width, 0.0);
        pooled.resize(2 * self.width, f32::NEG_INFINITY);
        let (mean, top) = pooled.split_at_mut(self.width);
        let (mut total, mut before) = (0.0, None);
        for id in ids {
            token.clear();
            token.resize(self.width, 0.0);
            self.unigram.add(id as usize, token);
            if let Some(before) = before {
                self.bigram.add(hash(before, id) % self.bigram.scales.len().max(1), token);
            }
            before = Some(id);
            let gate = sigmoid(dot(&self.gate, token) + self.gate_bias);
            total += gate;
            for ((value, mean), top) in token.iter().zip(&mut *mean).zip(&mut *top) {
                *mean += gate * value;
                *top = top.max(gate * value);
            }
        }
        for value in &mut *mean {
            *value /= f32::max(total, 1e-6);
        }
        hidden.clear();
        hidden.extend(self.hidden.rows(pooled).map(|value| value.max(0.0)));
        let mut logits = [0.0; COUNT];
        for (slot, value) in logits.iter_mut().zip(self.out.rows(hidden)) {
            *slot = value;
        }
        logits
    }
}

impl Table {
    fn load(tensors: &SafeTensors<'_>, name: &str) -> Result<Self, String> {
        let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
        let (&[rows, width], Dtype::I8) = (tensor.shape(), tensor.dtype()) else {
            return Err(format!("`{name}` is not a table of int8"));
        };
        if rows == 0 || width == 0 {
            return Err(format!("`{name}` is empty"));
        }
        let scales = floats(tensors, &format!("{name}.scale"), rows)?;
        let rows = tensor.data().iter().map(|byte| byte.cast_signed()).collect();
        Ok(Self { rows, scales, width })
    }

    /// Adds a row; an index past the last adds nothing.
    fn add(&self, row: usize, sum: &mut [f32]) {
        let values = self.rows.get(row * self.width..(row + 1) * self.width);
        let (Some(values), Some(scale)) = (values, self.scales.get(row)) else { return };
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += scale * f32::from(*value);
        }
    }
}

impl Dense {
    fn load(tensors: &SafeTensors<'_>, name: &str, rows: usize, columns: usize) -> Result<Self, String> {
        let weight = floats(tensors, &format!("{name}.weight"), rows * columns)?;
        let bias = floats(tensors, &format!("{name}.bias"), rows)?;
        Ok(Self { weight, bias })
    }

    fn rows<'a>(&'a self, input: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let rows = self.weight.chunks_exact(input.len().max(1));
        rows.zip(&self.bias).map(move |(row, bias)| dot(row, input) + bias)
    }
}

/// The floats of a tensor of so many values, all of them finite.
fn floats(tensors: &SafeTensors<'_>, name: &str, len: usize) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("`{name}` is not of floats"));
    }
    let (values, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match values.iter().all(|value| value.is_finite()) {
        true if values.len() == len => Ok(values),
        true => Err(format!("`{name}` has {} values, not {len}", values.len())),
        false => Err(format!("`{name}` holds values that are no numbers")),
    }
}

fn hash(before: u32, id: u32) -> usize {
    let mixed = before.wrapping_mul(0x9E37_79B1) ^ id.wrapping_mul(0x85EB_CA6B);
    (mixed ^ mixed >> 16) as usize
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Summed in eight lanes, which the compiler turns into vector instructions; one running sum it may not.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
