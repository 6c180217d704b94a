//! Scores, labels and weights side by side, read in blocks that stay in the L1 cache.
//!
//! This is where every kernel of the order engine gets its input: dtype, strides, byte order, label values and the NaN
//! policy are dealt with here, and a kernel sees keys, bits and float64 weights.

use crate::column::{Column, Dtype};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::labels::Labels;
use crate::pool::Context;
use std::ops::Range;

/// Rows in a block.
pub(crate) const BLOCK: usize = 2048;

/// Rows of a computation: a range of columns of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    scores: Column<'a>,
    labels: Labels<'a>,
    weights: Option<Column<'a>>,
    /// Group of each row.
    codes: Option<&'a [u32]>,
    /// What the weights of each class of each group are multiplied by: see [`Rows::weight_scales`].
    scales: Option<&'a [[f64; 2]]>,
    omit_nan: bool,
    begin: usize,
    end: usize,
}

/// One block of rows, ready for a kernel: the first `len` entries count. What the rows lack stays empty.
pub(crate) struct Block<K> {
    pub len: usize,
    pub keys: Vec<K>,
    pub labels: Vec<u8>,
    pub weights: Vec<f64>,
    pub codes: Vec<u32>,
}

impl<K: Key> Block<K> {
    /// Room for a block of these rows.
    pub fn for_rows(rows: &Rows) -> Self {
        let len = rows.len().min(BLOCK);
        let weights = if rows.weights.is_some() { len } else { 0 };
        let codes = if rows.codes.is_some() { len } else { 0 };
        Self {
            len: 0,
            keys: vec![K::MIN; len],
            labels: vec![0; len],
            weights: vec![0.0; weights],
            codes: vec![0; codes],
        }
    }

    /// The keys of the rows.
    pub fn keys(&self) -> &[K] {
        &self.keys[..self.len]
    }

    /// Keys and labels of the rows.
    pub fn pairs(&self) -> impl Iterator<Item = (K, u8)> {
        self.keys().iter().copied().zip(self.labels.iter().copied())
    }

    /// Keeps the rows for which `keep` holds, in order.
    fn compact(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for i in 0..self.len {
            (self.keys[kept], self.labels[kept]) = (self.keys[i], self.labels[i]);
            if let Some(&weight) = self.weights.get(i) {
                self.weights[kept] = weight;
            }
            if let Some(&code) = self.codes.get(i) {
                self.codes[kept] = code;
            }
            kept += keep(i) as usize;
        }
        self.len = kept;
    }
}

/// Finite and not negative.
#[inline(always)]
fn is_weight(weight: f64) -> bool {
    (0.0..f64::INFINITY).contains(&weight)
}

impl<'a> Rows<'a> {
    /// Rows of equally long columns. Rows whose score is NaN are left out if `omit_nan`, and else an error.
    pub fn new(scores: Column<'a>, labels: Labels<'a>, weights: Option<Column<'a>>, omit_nan: bool) -> Result<Self> {
        let expected = scores.len();
        let length = |argument, seen| {
            if seen == expected { Ok(()) } else { Err(Error::Length { argument, seen, expected }) }
        };
        length("labels", labels.len())?;
        length("weights", weights.map_or(expected, |w| w.len()))?;
        Ok(Self { scores, labels, weights, codes: None, scales: None, omit_nan, begin: 0, end: expected })
    }

    /// The same rows in groups: row `i` is in group `codes[i]`.
    pub(crate) fn grouped(&self, codes: &'a [u32]) -> Result<Self> {
        if codes.len() != self.scores.len() {
            return Err(Error::Length { argument: "groups", seen: codes.len(), expected: self.scores.len() });
        }
        Ok(Self { codes: Some(codes), ..*self })
    }

    /// The same rows with their weights multiplied.
    pub(crate) fn scaled(&self, scales: &'a [[f64; 2]]) -> Self {
        Self { scales: Some(scales), ..*self }
    }

    /// Powers of two that bring the largest weight of each class of each group near 1. No AUC depends on them, and
    /// products of weights so scaled cannot leave the range of float64.
    pub(crate) fn weight_scales(&self, groups: usize, context: &Context) -> Result<Vec<[f64; 2]>> {
        let mut largest = vec![[0f64; 2]; groups];
        let mut block = Block::<u64>::for_rows(self);
        for part in self.blocks() {
            context.check()?;
            part.read(&mut block)?;
            for (i, &label) in block.labels[..block.len].iter().enumerate() {
                let group = block.codes.get(i).map_or(0, |&code| code as usize);
                let largest = &mut largest[group][label as usize & 1];
                *largest = largest.max(block.weights[i]);
            }
        }
        // The exponent of a subnormal is cut: 2^1000 times the smallest one is large enough.
        let scale = |weight: f64| 2f64.powi((1023 - (weight.to_bits() >> 52) as i32).clamp(-1000, 1000));
        Ok(largest.into_iter().map(|[negative, positive]| [scale(negative), scale(positive)]).collect())
    }

    /// Number of rows, those with a NaN included.
    pub fn len(&self) -> usize {
        self.end - self.begin
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dtype of the scores.
    pub fn dtype(&self) -> Dtype {
        self.scores.dtype()
    }

    /// Whether there are weights.
    pub fn weighted(&self) -> bool {
        self.weights.is_some()
    }

    /// A range of these rows.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "slice of rows out of range");
        Self { begin: self.begin + range.start, end: self.begin + range.end, ..*self }
    }

    /// Cuts the rows into `parts` ranges of nearly the same length.
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let cut = |i: usize| (self.len() as u128 * i as u128 / parts as u128) as usize;
        (0..parts).map(|i| self.slice(cut(i)..cut(i + 1))).collect()
    }

    /// The rows in blocks of at most [`BLOCK`].
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Self> + use<'a> {
        let rows = *self;
        (0..rows.len()).step_by(BLOCK).map(move |at| rows.slice(at..(at + BLOCK).min(rows.len())))
    }

    /// The groups that hold a row whose score is NaN: true at their code.
    pub(crate) fn groups_with_nan(&self, groups: usize, context: &Context) -> Result<Vec<bool>> {
        let mut with_nan = vec![false; groups];
        let codes = self.codes.unwrap_or_default();
        let mut keys = vec![0u64; self.len().min(BLOCK)];
        for part in self.blocks() {
            context.check()?;
            if part.scores.keys(part.begin, &mut keys[..part.len()]) {
                let of_nan = (part.begin..part.end).filter(|&i| self.scores.is_nan(i));
                of_nan.for_each(|i| with_nan[codes[i] as usize] = true);
            }
        }
        Ok(with_nan)
    }

    /// The first row whose score is below (or above, if `descending`) the one before it, rows with NaN aside.
    pub(crate) fn first_out_of_order<K: Key>(&self, descending: bool) -> usize {
        let keys = (0..self.len()).filter_map(|i| Some((i, self.key_at::<K>(i)?)));
        let mut previous = None;
        for (i, key) in keys {
            if previous.is_some_and(|previous| if descending { key > previous } else { key < previous }) {
                return self.begin + i;
            }
            previous = Some(key);
        }
        self.begin
    }

    /// The score of row `index` as a key; `None` if it is NaN.
    pub(crate) fn key_at<K: Key>(&self, index: usize) -> Option<K> {
        let mut key = [K::MIN];
        let nan = self.scores.keys(self.begin + index, &mut key);
        if nan { None } else { Some(key[0]) }
    }

    /// Reads keys and groups of at most [`BLOCK`] rows.
    #[inline(always)]
    pub(crate) fn read_keys<K: Key>(&self, block: &mut Block<K>) -> Result<()> {
        block.len = self.len();
        if let Some(codes) = self.codes {
            block.codes[..self.end - self.begin].copy_from_slice(&codes[self.begin..self.end]);
        }
        if self.scores.keys(self.begin, &mut block.keys[..self.end - self.begin]) {
            self.drop_nan(block)?;
        }
        Ok(())
    }

    /// Reads all there is of at most [`BLOCK`] rows.
    #[inline(always)]
    pub(crate) fn read<K: Key>(&self, block: &mut Block<K>) -> Result<()> {
        let len = self.end - self.begin;
        self.labels.bits(self.begin, &mut block.labels[..len])?;
        if let Some(weights) = self.weights {
            let values = &mut block.weights[..len];
            weights.floats(self.begin, values);
            let bad = values.iter().fold(false, |bad, &w| bad | !is_weight(w));
            if bad {
                return Err(self.bad_weight(values));
            }
            if let Some(scales) = self.scales {
                for (i, weight) in values.iter_mut().enumerate() {
                    let group = self.codes.map_or(0, |codes| codes[self.begin + i] as usize);
                    *weight *= scales[group][block.labels[i] as usize & 1];
                }
            }
        }
        self.read_keys(block)
    }

    #[cold]
    #[inline(never)]
    fn drop_nan<K: Key>(&self, block: &mut Block<K>) -> Result<()> {
        if self.omit_nan {
            block.compact(|i| !self.scores.is_nan(self.begin + i));
            return Ok(());
        }
        let index = (self.begin..self.end).find(|&i| self.scores.is_nan(i)).unwrap_or(self.begin);
        let advice = "pass nan_policy=\"omit\" to leave such rows out or \"propagate\" to get NaN";
        Err(Error::NotANumber { argument: "scores", index, advice })
    }

    #[cold]
    #[inline(never)]
    fn bad_weight(&self, values: &[f64]) -> Error {
        let i = values.iter().position(|&w| !is_weight(w)).unwrap_or(0);
        let advice = "weights must be finite and not negative";
        Error::OutOfRange { argument: "weights", value: values[i].to_string(), index: self.begin + i, advice }
    }
}
