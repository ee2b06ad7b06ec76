//! The screen: static embeddings of tokens and of pairs of tokens, pooled by gates, and a small network on top.
//!
//! ```text
//! e_i    = words[t_i] + pairs[hash(t_(i-1), t_i, c_i)] + segments[s_i]   words and pairs are int8, a scale for each row
//! w_gi   = softmax over i of (gates_g · e_i)                             what each gate looks at
//! pooled = [ Σ_i w_1i e_i, .., Σ_i w_gi e_i, max_i e_i ]
//! logits = out · relu(hidden · pooled + hidden_bias) + out_bias
//! ```
//! `t_0` is `[CLS]`, then the window's text, then `[SEP]` and the context where there is one; `c_i` is 1 from that `[SEP]`
//! on. `s_i` is the number of the surface, in its other half where `c_i` is 1. `models/recipe/screen.py` is the reference.

use super::calibration::COUNT;
use super::tokens::Bare;
use crate::message::Surface;
use safetensors::tensor::{Dtype, SafeTensors};

/// The surfaces in the order of the table of segments; reasoning is read as a response.
const SURFACES: usize = 4;

/// The tables of the screen.
#[derive(Debug)]
pub(super) struct Screen {
    words: Table,
    pairs: Table,
    segments: Vec<f32>,
    gates: Dense,
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
    columns: usize,
}

/// Buffers of one run.
#[derive(Debug, Default)]
pub(crate) struct ScreenScratch {
    /// The vectors of the tokens, one behind the other.
    tokens: Vec<f32>,
    /// Of each token, what each gate says.
    gates: Vec<f32>,
    pooled: Vec<f32>,
    hidden: Vec<f32>,
}

impl Screen {
    pub(super) fn load(bytes: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let words = Table::load(&tensors, "words")?;
        let pairs = Table::load(&tensors, "pairs")?;
        let width = words.width;
        if pairs.width != width || width == 0 || pairs.scales.is_empty() {
            return Err(format!("words of {width} values and {} pairs of {}", pairs.scales.len(), pairs.width));
        }
        let segments = floats(&tensors, "segments", 2 * SURFACES * width)?;
        let gates = Dense::load(&tensors, "gates", width)?;
        let hidden = Dense::load(&tensors, "hidden", (gates.bias.len() + 1) * width)?;
        let out = Dense::load(&tensors, "out", hidden.bias.len())?;
        if out.bias.len() != COUNT {
            return Err(format!("it gives {} scores, and there are {COUNT} labels", out.bias.len()));
        }
        Ok(Self { words, pairs, segments, gates, hidden, out, width })
    }

    /// How many token ids the tables know.
    pub(super) fn vocabulary(&self) -> usize {
        self.words.scales.len()
    }

    /// The logits of one window.
    pub(super) fn run(&self, window: &Bare<'_>, scratch: &mut ScreenScratch) -> [f32; COUNT] {
        self.embed(window, scratch);
        self.pool(scratch);
        let ScreenScratch { pooled, hidden, .. } = scratch;
        hidden.clear();
        hidden.extend(self.hidden.rows(pooled).map(|value| value.max(0.0)));
        let mut logits = [0.0; COUNT];
        for (slot, value) in logits.iter_mut().zip(self.out.rows(hidden)) {
            *slot = value;
        }
        logits
    }

    fn embed(&self, window: &Bare<'_>, scratch: &mut ScreenScratch) {
        let ScreenScratch { tokens, gates, .. } = scratch;
        tokens.clear();
        gates.clear();
        let segment = match window.surface {
            Surface::Request => 0,
            Surface::Response | Surface::Reasoning => 1,
            Surface::ToolCall => 2,
            Surface::ToolResult => 3,
        };
        let text = std::iter::once(window.cls).chain(window.part.iter().copied()).map(|id| (id, 0));
        let separator = (!window.context.is_empty()).then_some(window.sep);
        let context = separator.into_iter().chain(window.context.iter().copied()).map(|id| (id, 1));
        let mut before = 0;
        for (id, in_context) in text.chain(context) {
            let at = tokens.len();
            let segment = segment + SURFACES * in_context as usize;
            tokens.extend(self.segments.iter().skip(segment * self.width).take(self.width));
            let token = tokens.get_mut(at..).unwrap_or_default();
            self.words.add(id as usize, token);
            self.pairs.add(hash(before, id, in_context) % self.pairs.scales.len(), token);
            gates.extend(self.gates.rows(token));
            before = id;
        }
    }

    /// Every gate's weighted mean, and the largest value in each dimension.
    fn pool(&self, scratch: &mut ScreenScratch) {
        let ScreenScratch { tokens, gates, pooled, .. } = scratch;
        let count = self.gates.bias.len();
        pooled.clear();
        pooled.resize(count * self.width, 0.0);
        pooled.resize((count + 1) * self.width, f32::NEG_INFINITY);
        for (gate, mean) in pooled.chunks_exact_mut(self.width).take(count).enumerate() {
            let weights = || gates.iter().skip(gate).step_by(count.max(1));
            let top = weights().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut total = 0.0;
            for (token, weight) in tokens.chunks_exact(self.width).zip(weights()) {
                let weight = (weight - top).exp();
                total += weight;
                for (mean, value) in mean.iter_mut().zip(token) {
                    *mean += weight * value;
                }
            }
            mean.iter_mut().for_each(|value| *value /= total);
        }
        let Some(peak) = pooled.chunks_exact_mut(self.width).next_back() else { return };
        for token in tokens.chunks_exact(self.width) {
            for (peak, value) in peak.iter_mut().zip(token) {
                *peak = peak.max(*value);
            }
        }
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
        let scales = floats(tensors, &format!("{name}_scale"), rows)?;
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
    fn load(tensors: &SafeTensors<'_>, name: &str, columns: usize) -> Result<Self, String> {
        let bias = tensors.tensor(&format!("{name}_bias")).map_err(|error| error.to_string())?;
        let rows = bias.shape().iter().product();
        let bias = floats(tensors, &format!("{name}_bias"), rows)?;
        let weight = floats(tensors, &format!("{name}_weight"), rows.saturating_mul(columns))?;
        Ok(Self { weight, bias, columns })
    }

    fn rows<'a>(&'a self, input: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let rows = self.weight.chunks_exact(self.columns.max(1));
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

/// Of two neighboring tokens, and of whether they belong to the context: sixteen bits.
fn hash(before: u32, id: u32, context: u32) -> usize {
    let mixed = before.wrapping_mul(0x9E37_79B1) ^ id.wrapping_mul(0x85EB_CA77) ^ context.wrapping_mul(0xC2B2_AE3D);
    ((mixed ^ mixed >> 15).wrapping_mul(0x2C1B_3C6D) >> 16) as usize
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
