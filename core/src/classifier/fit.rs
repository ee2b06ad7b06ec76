//! Embedded examples → a head that tells the bad ones from the good ones, and how well it would do on examples it has
//! not seen.
//!
//! Logistic regression with an L2 penalty, solved in its dual: one variable for each example, updated in turn. With fewer
//! examples than dimensions that is both fast and exact, and leaving an example out is a matter of a few more rounds from
//! the solution for all. Method: Yu, Huang and Lin, "Dual coordinate descent methods for logistic regression and maximum
//! entropy models", Machine Learning 85, 2011.

use serde::Serialize;

/// How much a misjudged example weighs against the size of the weights. Embeddings have length 1, so that this is the
/// only scale; both kinds of example weigh the same in sum, however many of each there are.
const WEIGHT: f64 = 10.0;
/// Rounds over all examples at most, and again for each that is left out, which begins close to its solution.
const ROUNDS: usize = 2000;
const MORE_ROUNDS: usize = 200;
/// The change of a score at which the solution counts as reached.
const REACHED: f64 = 1e-6;

/// A linear function of an embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fitted {
    pub weights: Vec<f32>,
    pub bias: f32,
    pub quality: Quality,
}

/// How a head does on its own examples, each judged by a head fitted to all the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Bad examples, and how many of them are judged to be bad.
    pub hits: usize,
    /// See [`Quality::hits`].
    pub hits_right: usize,
    /// Good examples, and how many of them are judged to be good.
    pub misses: usize,
    /// See [`Quality::misses`].
    pub misses_right: usize,
    /// The chance that a bad example scores higher than a good one.
    pub auroc: f64,
}

impl Quality {
    /// The mean of the share of bad and the share of good examples that are judged right. A coin reaches a half.
    pub fn balanced(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of examples")]
        let share = |right: usize, all: usize| right as f64 / all.max(1) as f64;
        f64::midpoint(share(self.hits_right, self.hits), share(self.misses_right, self.misses))
    }
}

/// One example.
struct Sample<'a> {
    x: &'a [f32],
    /// 1 for a bad example, -1 for a good one.
    sign: f64,
    /// The largest value of its variable.
    cost: f64,
}

/// Fits a head. `None` where an example of one kind is missing, or the embeddings differ in length.
pub(crate) fn fit(bad: &[Vec<f32>], good: &[Vec<f32>]) -> Option<Fitted> {
    let dimensions = bad.first()?.len();
    good.first()?;
    if bad.iter().chain(good).any(|x| x.len() != dimensions) {
        return None;
    }
    let samples: Vec<Sample<'_>> = [(bad, 1.0), (good, -1.0)]
        .into_iter()
        .flat_map(|(of, sign)| {
            #[expect(clippy::cast_precision_loss, reason = "a count of examples")]
            let cost = WEIGHT * (bad.len() + good.len()) as f64 / (2.0 * of.len() as f64);
            of.iter().map(move |x| Sample { x, sign, cost })
        })
        .collect();
    let rows: Vec<Vec<f64>> =
        samples.iter().map(|a| samples.iter().map(|b| kernel(a.x, b.x)).collect()).collect();
    let whole = Dual::default().solve(&samples, &rows, None);
    let left_out: Vec<f64> = (0..samples.len())
        .map(|out| whole.clone().solve(&samples, &rows, Some(out)).scores.get(out).copied().unwrap_or(0.0))
        .collect();
    let mut weights = vec![0.0; dimensions];
    let mut bias = 0.0;
    for (sample, alpha) in samples.iter().zip(&whole.alphas) {
        bias += sample.sign * alpha;
        for (weight, x) in weights.iter_mut().zip(sample.x) {
            *weight += sample.sign * alpha * f64::from(*x);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float is as fine as the embedding")]
    let narrow = |value: f64| value as f32;
    let weights: Vec<f32> = weights.into_iter().map(narrow).collect();
    let (hits, misses) = left_out.split_at_checked(bad.len())?;
    Some(Fitted { weights, bias: narrow(bias), quality: quality(hits, misses) })
}

/// The product of two embeddings, each with a constant at its end for the bias.
fn kernel(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() + 1.0
}

/// A solution: a variable for each example, and the score that each example has under it.
#[derive(Clone, Default)]
struct Dual {
    alphas: Vec<f64>,
    scores: Vec<f64>,
}

impl Dual {
    /// The solution without one of the examples, or with all of them.
    fn solve(mut self, samples: &[Sample<'_>], rows: &[Vec<f64>], without: Option<usize>) -> Self {
        self.alphas.resize(samples.len(), 0.0);
        self.scores.resize(samples.len(), 0.0);
        if let (Some(out), Some(alpha)) = (without, without.and_then(|out| self.alphas.get(out).copied())) {
            self.shift(samples, rows, out, -alpha);
        }
        for _ in 0..if without.is_some() { MORE_ROUNDS } else { ROUNDS } {
            let mut change: f64 = 0.0;
            for (at, sample) in samples.iter().enumerate().filter(|(at, _)| Some(*at) != without) {
                let own = rows.get(at).and_then(|row| row.get(at)).copied().unwrap_or(0.0);
                let (Some(&alpha), Some(&score)) = (self.alphas.get(at), self.scores.get(at)) else {
                    continue;
                };
                let step = best(sample.sign * score - own * alpha, own, sample.cost) - alpha;
                self.shift(samples, rows, at, step);
                change = change.max((own * step).abs());
            }
            if change < REACHED {
                break;
            }
        }
        self
    }

    /// Adds to the variable of an example, and to the scores what follows from it.
    fn shift(&mut self, samples: &[Sample<'_>], rows: &[Vec<f64>], at: usize, step: f64) {
        let (Some(sample), Some(row), Some(alpha)) = (samples.get(at), rows.get(at), self.alphas.get_mut(at))
        else {
            return;
        };
        *alpha += step;
        for (score, value) in self.scores.iter_mut().zip(row) {
            *score += step * sample.sign * value;
        }
    }
}

/// The variable of one example while all others stay: `others + own·a + ln(a / (cost - a)) = 0` for `0 < a < cost`.
///
/// With `a = cost / (1 + exp(-s))` the left side grows with `s`, at least as fast as `s` itself, between two known bounds.
/// Newton's method is fast near the root and may swing to and fro far from it, so that every other step halves the bounds.
fn best(others: f64, own: f64, cost: f64) -> f64 {
    let alpha = |s: f64| cost / (1.0 + (-s).exp());
    let (mut low, mut high) = (-others - own * cost, -others);
    let mut s = f64::midpoint(low, high);
    for round in 0..100 {
        let a = alpha(s);
        let value = others + own * a + s;
        if value > 0.0 {
            high = s;
        } else {
            low = s;
        }
        if high - low < 1e-12 || value.abs() < 1e-12 {
            break;
        }
        let newton = s - value / (1.0 + own * a * (1.0 - a / cost));
        s = if round % 2 == 1 && newton > low && newton < high { newton } else { f64::midpoint(low, high) };
    }
    alpha(s)
}

fn quality(hits: &[f64], misses: &[f64]) -> Quality {
    let mut wins = 0.0;
    for hit in hits {
        for miss in misses {
            wins += if hit > miss {
                1.0
            } else if hit < miss {
                0.0
            } else {
                0.5
            };
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of pairs")]
    let pairs = (hits.len() * misses.len()).max(1) as f64;
    Quality {
        hits: hits.len(),
        hits_right: hits.iter().filter(|score| **score > 0.0).count(),
        misses: misses.len(),
        misses_right: misses.iter().filter(|score| **score <= 0.0).count(),
        auroc: wins / pairs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(values: [f32; 3]) -> Vec<f32> {
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter().map(|value| value / length).collect()
    }

    fn score(head: &Fitted, x: &[f32]) -> f32 {
        head.weights.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + head.bias
    }

    #[test]
    fn what_differs_is_told_apart_and_what_does_not_is_not() {
        let bad: Vec<_> = (0u8..6).map(|n| unit([1.0, f32::from(n) / 10.0, 0.2])).collect();
        let good: Vec<_> = (0u8..9).map(|n| unit([-0.5, f32::from(n) / 10.0, 0.2])).collect();
        let head = fit(&bad, &good).unwrap();
        assert_eq!((head.quality.hits_right, head.quality.misses_right), (6, 9));
        assert!(head.quality.auroc > 0.999 && head.quality.balanced() > 0.999);
        assert!(bad.iter().all(|x| score(&head, x) > 0.0) && good.iter().all(|x| score(&head, x) < 0.0));
        // Left out, an example that stands on both sides is taken for the other side.
        let same = fit(&bad, &bad).unwrap();
        assert!(same.quality.balanced() < 0.5, "{:?}", same.quality);
        assert!(fit(&bad, &[]).is_none() && fit(&[], &good).is_none());
        assert!(fit(&bad, &[vec![1.0]]).is_none());
    }

    #[test]
    fn the_solution_is_where_the_loss_is_flat() {
        let bad = [unit([1.0, 0.3, 0.0]), unit([0.7, -0.4, 0.5]), unit([-0.2, 0.9, 0.1])];
        let good = [unit([-1.0, 0.2, 0.4]), unit([0.1, 1.0, -0.3])];
        let head = fit(&bad, &good).unwrap();
        let (mut gradient, mut bias) = (head.weights.clone(), head.bias);
        for (of, sign) in [(&bad[..], 1.0f32), (&good[..], -1.0)] {
            let cost = WEIGHT as f32 * 5.0 / (2.0 * of.len() as f32);
            for x in of {
                let slope = -sign * cost / (1.0 + (sign * score(&head, x)).exp());
                bias += slope;
                gradient.iter_mut().zip(x).for_each(|(g, x)| *g += slope * x);
            }
        }
        assert!(bias.abs() < 1e-2 && gradient.iter().all(|g| g.abs() < 1e-2), "{gradient:?} {bias}");
    }

    #[test]
    fn leaving_out_is_the_same_as_never_having_seen() {
        let bad = [unit([1.0, 0.3, 0.0]), unit([0.7, -0.4, 0.5]), unit([-0.2, 0.9, 0.1])];
        let good = [unit([-1.0, 0.2, 0.4]), unit([0.1, 1.0, -0.3])];
        let samples: Vec<Sample<'_>> = bad
            .iter()
            .map(|x| Sample { x, sign: 1.0, cost: 4.0 })
            .chain(good.iter().map(|x| Sample { x, sign: -1.0, cost: 6.0 }))
            .collect();
        let rows: Vec<Vec<f64>> =
            samples.iter().map(|a| samples.iter().map(|b| kernel(a.x, b.x)).collect()).collect();
        let warm = Dual::default().solve(&samples, &rows, None).solve(&samples, &rows, Some(1));
        let cold = Dual::default().solve(&samples, &rows, Some(1));
        for (warm, cold) in warm.scores.iter().zip(&cold.scores) {
            assert!((warm - cold).abs() < 1e-4);
        }
    }
}
