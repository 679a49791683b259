//! Which pixels of the source a row or column of the result is made of, and with what weights.

use std::ops::Range;

use super::{Filter, Resample};

/// One axis of a resize: for each position of the result, a run of positions of the source and a weight for each.
///
/// The weights of a position depend on it and on the two lengths alone, and so does nothing on the tiles.
pub struct Axis<W> {
    runs: Vec<Run>,
    /// Weights of a position, zeros behind the last one.
    stride: usize,
    weights: Vec<W>,
    /// Fraction bits of the weights, where they are integers.
    pub(super) fraction_bits: u32,
}

/// Positions of the source.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) n: usize,
}

/// Weights come in whole groups of so many.
pub(super) const GROUP: usize = 8;

impl<W: Copy + Default> Axis<W> {
    /// From `from` positions to `to`, with `filter` widened by `from / to` where that is above 1.
    ///
    /// The runs and weights are Pillow's (`precompute_coeffs` in its `Resample.c`).
    pub(super) fn new<T: Resample<Weight = W>>(filter: Filter, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let radius = filter.radius() * widened;
        let mut runs = Vec::with_capacity(to);
        let mut exact: Vec<f64> = Vec::new();
        let mut largest = 0f64;
        for position in 0..to {
            let centre = (position as f64 + 0.5) * scale;
            let first = (centre - radius + 0.5).max(0.0) as usize;
            let end = ((centre + radius + 0.5) as usize).min(from);
            let start = exact.len();
            let offset = first as f64 - centre + 0.5;
            exact.extend((0..end - first).map(|i| filter.weight((i as f64 + offset) / widened)));
            let sum: f64 = exact[start..].iter().sum();
            for weight in &mut exact[start..] {
                *weight /= sum;
                largest = largest.max(weight.abs());
            }
            runs.push(Run { first, n: end - first });
        }
        let fraction_bits = T::fraction_bits(largest);
        let stride = runs.iter().map(|run| run.n).max().unwrap_or(0).next_multiple_of(GROUP);
        let mut weights = vec![W::default(); to * stride];
        let mut rest = &exact[..];
        for (run, stored) in runs.iter().zip(weights.chunks_exact_mut(stride.max(1))) {
            let (own, after) = rest.split_at(run.n);
            T::store_weights(own, fraction_bits, &mut stored[..run.n]);
            rest = after;
        }
        Axis { runs, stride, weights, fraction_bits }
    }

    #[inline(always)]
    pub(super) fn run(&self, position: usize) -> Run {
        self.runs[position]
    }

    /// The weights of the run of `position`, then zeros up to a whole [`GROUP`].
    #[inline(always)]
    pub(super) fn weights(&self, position: usize) -> &[W] {
        &self.weights[position * self.stride..][..self.stride]
    }

    /// Weights that there are for every position, zeros included: whole groups, so that loads in groups stay inside.
    #[inline(always)]
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// All that these positions of the result are made of.
    #[inline(always)]
    pub(super) fn source(&self, positions: Range<usize>) -> Range<usize> {
        let (first, last) = (self.runs[positions.start], self.runs[positions.end - 1]);
        first.first..last.first + last.n
    }
}
