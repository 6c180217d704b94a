//! Sums over all pairs that separate: squares and exponentials. O(n) time; no memory but the result's.

use super::{Potentials, Rows};

/// The sum of the weights, their mean distance from `origin` and the weighted sum of squares about the mean.
fn about_mean(rows: Rows<'_>, origin: f64) -> (f64, f64, f64) {
    let weighted = || rows.scores.iter().enumerate().map(|(i, &score)| (rows.weight(i), score - origin));
    let count: f64 = weighted().map(|(weight, _)| weight).sum();
    let mean = if count == 0.0 { 0.0 } else { weighted().map(|(weight, at)| weight * (at / count)).sum() };
    (count, mean, weighted().map(|(weight, at)| weight * (at - mean).powi(2)).sum())
}

/// `x^2`, `x = (lower - upper + shift) / temperature`.
pub(super) fn square(shift: f64, temperature: f64, uppers: Rows<'_>, lowers: Rows<'_>) -> Potentials {
    // From a score among the others, differences keep the digits that a mean far from 0 would lose.
    let origin = uppers.scores.first().copied().unwrap_or_default();
    let (upper_count, upper_mean, upper_squares) = about_mean(uppers, origin);
    let (lower_count, lower_mean, lower_squares) = about_mean(lowers, origin);
    let mean = lower_mean - upper_mean + shift;
    let total = (upper_count * lower_count * mean * mean + upper_count * lower_squares + lower_count * upper_squares)
        / (temperature * temperature);
    let slope = |count: f64, distance: f64| 2.0 * count * distance / temperature;
    Potentials {
        total,
        uppers: uppers.scores.iter().map(|&s| slope(lower_count, lower_mean - (s - origin) + shift)).collect(),
        lowers: lowers.scores.iter().map(|&s| slope(upper_count, (s - origin) - upper_mean + shift)).collect(),
    }
}

/// `e^x`, `x = (lower - upper) / temperature`.
pub(super) fn exponential(temperature: f64, uppers: Rows<'_>, lowers: Rows<'_>) -> Potentials {
    // About the pair that costs most, so that nothing overflows that need not.
    let least = uppers.scores.iter().copied().fold(f64::INFINITY, f64::min);
    let most = lowers.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let terms = |rows: Rows<'_>, from: f64, sign: f64| -> (Vec<f64>, f64) {
        let terms: Vec<f64> = rows.scores.iter().map(|&score| (sign * (score - from) / temperature).exp()).collect();
        let sum = terms.iter().enumerate().map(|(i, term)| rows.weight(i) * term).sum();
        (terms, sum)
    };
    let ((mut upper_terms, upper_sum), (mut lower_terms, lower_sum)) =
        (terms(uppers, least, -1.0), terms(lowers, most, 1.0));
    // In two halves: the whole may overflow where a product with a small term does not.
    let half = ((most - least) / temperature / 2.0).exp();
    let scaled = |term: f64, sum: f64| if term == 0.0 || sum == 0.0 { 0.0 } else { (half * term) * (half * sum) };
    upper_terms.iter_mut().for_each(|term| *term = scaled(*term, lower_sum));
    lower_terms.iter_mut().for_each(|term| *term = scaled(*term, upper_sum));
    Potentials { total: scaled(upper_sum, lower_sum), uppers: upper_terms, lowers: lower_terms }
}
