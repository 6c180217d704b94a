//! Softmax losses of a row: the log of a sum of exponentials over columns less the logits of its positives.
//!
//! `L_j = s_j / temperature + log w_j`, `log Z = log(sum of e^(L_j))` over the columns that count, and the value is that of
//! [`Several`], or `log Z - sum T_j L_j` for targets `T`. Columns that do not count have the similarity negative infinity.
//! The gradient is `(P - T) / temperature` in all of them, where `P` is the softmax.

use super::sweeps::{exponentials, largest, scale_and_multiply, sum};
use super::{Outcome, RowLoss, Spare};
use crate::simd::{Isa, Real};
use crate::tile::roles::Roles;

/// One number for all rows, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum PerRow<'a> {
    /// For all.
    All(f64),
    /// For each.
    Each(&'a [f64]),
}

impl PerRow<'_> {
    /// That of a row.
    pub(super) fn of(&self, row: usize) -> f64 {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values[row],
        }
    }
}

/// What several positives `p` of a row make together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// The mean of `log Z - L_p`.
    Mean,
    /// `log Z - log(sum of e^(L_p))`.
    LogSum,
    /// `log Z - log(mean of e^(L_p))`.
    LogMean,
    /// The mean of `log(1 + sum of e^(L_j - L_p))` over negatives j.
    Separate,
}

/// A softmax loss.
#[derive(Debug, Clone, Copy)]
pub struct Softmax<'a> {
    /// Positives and negatives.
    pub roles: Roles<'a>,
    /// Above 0.
    pub temperature: PerRow<'a>,
    /// Weights of negatives: one for each column.
    pub column_weights: Option<&'a [f64]>,
    /// Weights of all pairs, row by row.
    pub pair_weights: Option<&'a [f64]>,
    /// Whether positives count in `Z`.
    pub include_positive: bool,
    /// Whether a row without negatives has no value.
    pub needs_negatives: bool,
    /// What several positives make.
    pub several: Several,
    /// What the positive term is multiplied by, for each row.
    pub positive_factors: Option<&'a [f64]>,
    /// Targets of all pairs, row by row, in place of positives, and whether each row of them is divided by its sum.
    pub targets: Option<(&'a [f64], bool)>,
    /// The part of the target that all columns share.
    pub label_smoothing: f64,
    /// Taken from the similarity of positives.
    pub margin: f64,
    /// Added to the angle of positives, whose similarity is its cosine.
    pub arc_margin: f64,
    /// The most negatives that count, the most similar ones.
    pub hard_k: Option<usize>,
    /// The least similarity of negatives that count.
    pub hard_threshold: Option<f64>,
    /// `v` becomes `(1 - e^-v)^gamma v`.
    pub focal_gamma: f64,
    /// Whether the factor has no gradient.
    pub detach_focal: bool,
}

/// `log Z` less the logit of the largest similarity, the sum of the exponentials that were taken for it, and that similarity.
/// Differences from it lose nothing.
struct LogSum<T> {
    value: f64,
    sum: f64,
    shift: T,
}

impl Softmax<'_> {
    /// The logarithms of the weights of a row, if it has any. Positives have no column weight.
    fn log_weight(&self, row: usize, column: usize, columns: usize, positive: bool) -> f64 {
        let of_column = self.column_weights.filter(|_| !positive).map_or(1.0, |weights| weights[column]);
        let of_pair = self.pair_weights.map_or(1.0, |weights| weights[row * columns + column]);
        (of_column * of_pair).ln()
    }

    fn is_weighted(&self) -> bool {
        self.column_weights.is_some() || self.pair_weights.is_some()
    }

    /// A positive's similarity with its margin, and the derivative.
    fn with_margin(&self, similarity: f64) -> (f64, f64) {
        let m = self.arc_margin;
        if m == 0.0 {
            return (similarity - self.margin, 1.0);
        }
        let cosine = similarity.clamp(-1.0, 1.0);
        let angle = cosine.acos();
        if angle > std::f64::consts::PI - m {
            return (similarity - m * m.sin() - self.margin, 1.0);
        }
        // At an angle of 0 the derivative is infinite; there it is that of the nearest angle that can be told from it.
        let sine = angle.sin().max(1e-6);
        ((angle + m).cos() - self.margin, (angle + m).sin() / sine)
    }

    /// Makes negatives that are not hard absent, and returns how many are left.
    fn keep_hard<T: Real>(&self, similarities: &mut [T], spare: &mut Vec<T>) -> usize {
        let absent = T::rounded(f64::NEG_INFINITY);
        if let Some(threshold) = self.hard_threshold {
            for s in similarities.iter_mut().filter(|s| s.widened() < threshold) {
                *s = absent;
            }
        }
        spare.clear();
        spare.extend(similarities.iter().filter(|&&s| s != absent));
        let count = spare.len();
        let Some(k) = self.hard_k.filter(|&k| k < count) else { return count };
        if k == 0 {
            similarities.fill(absent);
            return 0;
        }
        let order = |a: &T, b: &T| b.widened().total_cmp(&a.widened());
        let last = *spare.select_nth_unstable_by(k - 1, order).1;
        let mut equal = k - similarities.iter().filter(|&&s| s > last).count();
        for s in similarities.iter_mut() {
            let stays = *s > last || (*s == last && equal > 0);
            equal -= usize::from(*s == last && stays);
            *s = if stays { *s } else { absent };
        }
        k
    }

    /// Makes columns of weight 0 absent, and returns how many of `counted` columns are left.
    fn drop_weightless<T: Real>(
        &self,
        row: usize,
        similarities: &mut [T],
        positives: &mut Vec<usize>,
        counted: usize,
    ) -> usize {
        if !self.is_weighted() {
            return counted;
        }
        let (columns, absent) = (similarities.len(), T::rounded(f64::NEG_INFINITY));
        let (mut left, mut next) = (counted, 0);
        for (column, s) in similarities.iter_mut().enumerate() {
            let positive = positives.get(next) == Some(&column);
            next += usize::from(positive);
            if *s != absent && self.log_weight(row, column, columns, positive) == f64::NEG_INFINITY {
                *s = absent;
                left -= 1;
            }
        }
        positives.retain(|&column| self.log_weight(row, column, columns, true) > f64::NEG_INFINITY);
        left
    }

    /// The exponentials of the logits less a shift, to the room for slopes.
    fn log_sum<T: Real>(&self, row: usize, similarities: &[T], spare: &mut Spare<T>, isa: Isa) -> LogSum<T> {
        let inverse = 1.0 / self.temperature.of(row);
        let Spare { slopes, positives, .. } = spare;
        let shift = largest(isa, similarities);
        if shift.widened() == f64::NEG_INFINITY {
            slopes.fill(T::default());
            return LogSum { value: f64::NEG_INFINITY, sum: 0.0, shift: T::default() };
        }
        if !self.is_weighted() {
            let sum = exponentials(isa, similarities, shift, inverse, slopes);
            return LogSum { value: sum.ln(), sum, shift };
        }
        let mut next = 0;
        for (column, (&s, logit)) in similarities.iter().zip(slopes.iter_mut()).enumerate() {
            let positive = positives.get(next) == Some(&column);
            next += usize::from(positive);
            let weight = self.log_weight(row, column, similarities.len(), positive);
            *logit = T::rounded(s.minus(shift).widened() * inverse + weight);
        }
        let (second, logits) = (largest(isa, slopes), slopes.to_vec());
        let sum = exponentials(isa, &logits, second, 1.0, slopes);
        LogSum { value: second.widened() + sum.ln(), sum, shift }
    }

    /// The value of the positive terms: of `log Z` and the logits, the value, what the softmax is multiplied by, and what
    /// is taken from each positive, in place of its logit.
    fn positive_part(&self, log_z: f64, logits: &mut [f64], factor: f64) -> (f64, f64) {
        let count = logits.len() as f64;
        match self.several {
            Several::Mean => {
                let mean = logits.iter().sum::<f64>() / count;
                logits.fill(factor / count);
                (log_z - factor * mean, 1.0)
            }
            Several::LogSum | Several::LogMean => {
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
                let mut value = log_z - factor * (most + sum.ln());
                if self.several == Several::LogMean {
                    value += factor * count.ln();
                }
                logits.iter_mut().for_each(|logit| *logit = factor * (*logit - most).exp() / sum);
                (value, 1.0)
            }
            Several::Separate => {
                let (mut value, mut scale) = (0.0, 0.0);
                for logit in logits {
                    let z = log_z - *logit;
                    let small = (-z.abs()).exp();
                    value += z.max(0.0) + small.ln_1p();
                    *logit = if z > 0.0 { 1.0 } else { small } / (1.0 + small) / count;
                    scale += *logit;
                }
                (value / count, scale)
            }
        }
    }

    /// The mean of the logits of all columns that count, less that of the shift.
    #[allow(clippy::too_many_arguments)]
    fn mean_logit<T: Real>(
        &self,
        row: usize,
        similarities: &[T],
        found: &[(f64, f64)],
        positives: &[usize],
        shift: T,
        counted: usize,
        isa: Isa,
    ) -> f64 {
        let absent = T::rounded(f64::NEG_INFINITY);
        let mut all: Vec<T> =
            similarities.iter().map(|&s| if s == absent { T::default() } else { s.minus(shift) }).collect();
        for (&column, &(s, _)) in positives.iter().zip(found) {
            all[column] = T::rounded(s - shift.widened());
        }
        let mut total = sum(isa, &all) / self.temperature.of(row);
        if self.is_weighted() {
            let mut next = 0;
            for (column, &s) in similarities.iter().enumerate() {
                let positive = positives.get(next) == Some(&column);
                next += usize::from(positive);
                if positive || s != absent {
                    total += self.log_weight(row, column, similarities.len(), positive);
                }
            }
        }
        total / counted as f64
    }

    /// The focal factor's effect: the value and the derivative.
    fn focal(&self, value: f64) -> (f64, f64) {
        let gamma = self.focal_gamma;
        if gamma == 0.0 {
            return (value, 1.0);
        }
        let v = value.max(0.0);
        let rest = -(-v).exp_m1();
        let factor = rest.powf(gamma);
        // As v falls to 0, (1 - p)^(gamma - 1) v falls like v^gamma.
        let of_factor = if self.detach_focal || rest == 0.0 { 0.0 } else { gamma * factor / rest * (-v).exp() * v };
        (factor * value, factor + of_factor)
    }

    /// A row with targets for all its columns.
    fn soft<T: Real>(
        &self,
        row: usize,
        similarities: &mut [T],
        (targets, normalize): (&[f64], bool),
        spare: &mut Spare<T>,
        factor: f64,
        isa: Isa,
    ) -> Outcome {
        let columns = similarities.len();
        let targets = &targets[row * columns..][..columns];
        let absent = T::rounded(f64::NEG_INFINITY);
        let temperature = self.temperature.of(row);
        let inverse = 1.0 / temperature;
        let LogSum { value: log_z, sum, shift } = self.log_sum(row, similarities, spare, isa);
        let (mut weight, mut inner) = (0.0, 0.0);
        for (column, (&s, &target)) in similarities.iter().zip(targets).enumerate() {
            if target != 0.0 && s != absent {
                let logit = s.minus(shift).widened() * inverse;
                let logit =
                    if self.is_weighted() { logit + self.log_weight(row, column, columns, false) } else { logit };
                weight += target;
                inner += target * logit;
            }
        }
        if weight == 0.0 {
            return Outcome::INVALID;
        }
        let scale = if normalize { 1.0 / weight } else { 1.0 };
        let value = (weight * log_z - inner) * scale;
        let (value, outer) = self.focal(value);
        let (of_softmax, of_target) =
            (factor * outer * scale * weight * inverse / sum, factor * outer * scale * inverse);
        for ((slope, &s), &target) in spare.slopes.iter_mut().zip(similarities.iter()).zip(targets) {
            let target = if s == absent { 0.0 } else { target };
            *slope = T::rounded(slope.widened() * of_softmax - target * of_target);
        }
        // The slopes add up to 0.
        let product = scale_and_multiply(isa, &mut spare.slopes, 1.0, similarities, shift);
        similarities.copy_from_slice(&spare.slopes);
        Outcome::of(value, -product * inverse, similarities)
    }
}

impl<T: Real> RowLoss<T> for Softmax<'_> {
    fn row(&self, row: usize, similarities: &mut [T], spare: &mut Spare<T>, factor: f64, isa: Isa) -> Outcome {
        let (columns, absent) = (similarities.len(), T::rounded(f64::NEG_INFINITY));
        let mut counted = self.roles.of_row(row, similarities, &mut spare.positives);
        if let Some(targets) = self.targets {
            self.drop_weightless(row, similarities, &mut spare.positives, counted);
            return self.soft(row, similarities, targets, spare, factor, isa);
        }
        let mut positives = std::mem::take(&mut spare.positives);
        counted = self.drop_weightless(row, similarities, &mut positives, counted);
        let mut found: Vec<(f64, f64)> = Vec::with_capacity(positives.len());
        found.extend(positives.iter().map(|&column| self.with_margin(similarities[column].widened())));
        if self.hard_k.is_some() || self.hard_threshold.is_some() {
            positives.iter().for_each(|&column| similarities[column] = absent);
            counted = positives.len() + self.keep_hard(similarities, &mut spare.slopes);
            spare.slopes.resize(columns, T::default());
        }
        let alone = counted == positives.len();
        if positives.is_empty() || (alone && (self.needs_negatives || !self.include_positive)) {
            spare.positives = positives;
            return Outcome::INVALID;
        }
        let in_sum = self.include_positive && self.several != Several::Separate;
        for (&column, &(s, _)) in positives.iter().zip(&found) {
            similarities[column] = if in_sum { T::rounded(s) } else { absent };
        }
        let inverse = 1.0 / self.temperature.of(row);
        spare.positives = positives;
        let LogSum { value: log_z, sum: sum_z, shift } = self.log_sum(row, similarities, spare, isa);
        let positives = &spare.positives;
        let mut parts: Vec<f64> = Vec::with_capacity(positives.len());
        for (&column, &(s, _)) in positives.iter().zip(&found) {
            let weight = if self.is_weighted() { self.log_weight(row, column, columns, true) } else { 0.0 };
            parts.push((s - shift.widened()) * inverse + weight);
        }
        let smoothing = self.label_smoothing;
        let positive_factor = self.positive_factors.map_or(1.0, |factors| factors[row]) * (1.0 - smoothing);
        let (mut value, softmax) = self.positive_part(log_z, &mut parts, positive_factor);
        if smoothing > 0.0 {
            value -= smoothing * self.mean_logit(row, similarities, &found, positives, shift, counted, isa);
        }
        // What the largest similarity itself adds: nothing, unless the positive term has a factor.
        let surplus = if self.positive_factors.is_some() { 1.0 - positive_factor - smoothing } else { 0.0 };
        value += surplus * shift.widened() * inverse;
        let (value, outer) = self.focal(value);
        let factor = factor * outer * inverse;
        let slopes = &mut spare.slopes;
        let share = T::rounded(factor * smoothing / counted as f64);
        let scale = if sum_z > 0.0 { factor * softmax / sum_z } else { 0.0 };
        let mut product = scale_and_multiply(isa, slopes, scale, similarities, shift);
        if smoothing > 0.0 {
            for (slope, &s) in slopes.iter_mut().zip(similarities.iter()).filter(|(_, s)| **s != absent) {
                *slope = slope.minus(share);
                product -= share.widened() * s.minus(shift).widened();
            }
        }
        for ((&column, &(s, derivative)), &part) in positives.iter().zip(&found).zip(&parts) {
            let mut taken = part * factor;
            if smoothing > 0.0 && !in_sum {
                taken += share.widened();
            }
            product -= taken * (s - shift.widened());
            slopes[column] = T::rounded((slopes[column].widened() - taken) * derivative);
        }
        product += factor * surplus * shift.widened();
        similarities.copy_from_slice(slopes);
        Outcome::of(value, -product * inverse, similarities)
    }
}
