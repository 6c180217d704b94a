//! Sums over all pairs of a function of the difference of scores, in linear time.
//!
//! The functions are `log(1 + e^x)` and its derivatives: smooth, positive, and like `e^-abs(x)` (or like `x`) far out.
//! * Scores fall into boxes of at most one temperature. In each box the rows of a side become `P` nodes ([`super::boxes`]).
//! * Boxes less than 6 temperatures apart: their nodes meet one by one.
//! * Boxes farther apart: `f(x) = sum_k c_k e^(k x)` to `e^-36` of its value with six terms, and products of exponentials
//!   are sums over each side: one sweep from below and one from above carry them past all boxes.
//! * What each row gets is the polynomial through the values at the nodes of its box.
//!
//! Time O(n P + b P^2) for b boxes with rows, no `exp` for rows in full boxes; memory: 12 bytes a row, 20 with weights,
//! and what nodes and counts of boxes need: little where boxes are full, up to 80 bytes a row where rows are scattered.
//!
//! # Error
//! All terms are positive (for positive weights), so an error relative to each pair is one relative to each sum. Let
//! `a <= 1/2` be half the width of a box in temperatures. As `abs(1 + e^-z) >= (1 + e^-x) cos(y / 2)` for `z = x + iy`,
//! `abs(f(z)) <= f(x) / cos(y / 2)^2` for `f = log(1 + e^x)` and its first two derivatives, which are analytic for
//! `abs(y) < pi`; and `abs((log f)') <= 1`. On the ellipse around a box whose half-axes are `a (r + 1/r) / 2` and
//! `a (r - 1/r) / 2`, `f` is thus at most `e^(a + a (r + 1/r) / 2) / cos(a (r - 1/r) / 4)^2` times its least value in the
//! box, and the polynomial through `P` Chebyshev nodes has the relative error
//! `E = 4 r^(1 - P) / (r - 1)` times this (Trefethen, Approximation Theory and Practice, theorem 8.2). Doing it for both
//! sides makes `E (1 + L e^(2 a))`, where `L <= 1 + 2 / pi log P` bounds the sum of the absolute values of the Lagrange
//! polynomials. [`truncation`] is the least such bound over r; rounding adds a few 1e-15.

use super::boxes::{Boxes, Grid, Side};
use super::field::Field;
use super::kernel::chebyshev::{Basis, ORDERS, with_order};
use super::kernel::formula::Kind;
use super::{PairLoss, Rows, Slopes, With};
use crate::error::Result;
use crate::pool::Context;
use std::f64::consts::PI;

/// The bound on the relative error of `order` nodes.
fn truncation(order: usize) -> f64 {
    let half = 0.5;
    let lebesgue = 1.0 + 2.0 / PI * (order as f64).ln();
    let bound = |r: f64| {
        let (real, imaginary) = (half * (r + 1.0 / r) / 2.0, half * (r - 1.0 / r) / 2.0);
        let growth = (half + real).exp() / (imaginary / 2.0).cos().powi(2);
        4.0 * r.powi(1 - order as i32) / (r - 1.0) * growth
    };
    // From 2 to 12: at 12.6 the ellipse would meet the poles.
    let least = (20..=120).map(|tenths| bound(f64::from(tenths) / 10.0)).fold(f64::INFINITY, f64::min);
    least * (1.0 + lebesgue * (2.0 * half).exp())
}

/// The fewest nodes whose error is at most `tolerance`.
pub(super) fn order_for(tolerance: f64) -> usize {
    ORDERS.into_iter().find(|&order| truncation(order) <= tolerance).unwrap_or(ORDERS[ORDERS.len() - 1])
}

/// The sum of all pairs, to a relative error of `tolerance`; None if scores lie too far out for boxes.
pub(super) fn potentials(
    loss: &PairLoss,
    kind: Kind,
    uppers: Rows<'_>,
    lowers: Rows<'_>,
    with: With,
    out: Slopes<'_>,
    context: &Context,
) -> Result<Option<f64>> {
    let grid = Grid::new(loss.temperature);
    // Scores that meet themselves are placed once.
    let alike = std::ptr::eq(uppers.scores, lowers.scores);
    let others: &[f64] = if alike { &[] } else { lowers.scores };
    let Some(boxes) = Boxes::new(&grid, [uppers.scores, others], context)? else { return Ok(None) };
    with_order!(order_for(loss.tolerance), P => {
        let basis = Basis::<P>::new();
        // A row costs twice what one of a plain pass over the scores does; below, a hand-over costs more than it saves.
        let threads = context.threads_for(2 * uppers.scores.len().min(lowers.scores.len())).min(2);
        let build = |(side, scores)| Side::<P>::new(&grid, &boxes, &basis, side, scores, context);
        let sides = if alike { vec![(0, uppers.scores)] } else { vec![(0, uppers.scores), (1, lowers.scores)] };
        let sides = context.map(threads, sides, build)?.into_iter().collect::<Result<Vec<_>>>()?;
        let (upper, lower) = (&sides[0], &sides[sides.len() - 1]);
        let weigh = |(side, rows): (&Side<P>, Rows<'_>)| side.weights(&basis, rows.weights, context);
        let weights = context.map(threads, vec![(upper, uppers), (lower, lowers)], weigh)?;
        let weights = weights.into_iter().collect::<Result<Vec<_>>>()?;
        let (upper_nodes, lower_nodes) = (upper.nodes(&weights[0]), lower.nodes(&weights[1]));
        let mut field = Field::<P>::new(&grid, &boxes.numbers, &basis, upper_nodes, lower_nodes);
        field.add_near(kind, with, context)?;
        field.add_far(kind, context)?;
        let Field { total, upper_slopes, lower_slopes, .. } = field;
        // A node that stands for many rows has met them all: each row takes itself back, which among so many loses nothing.
        let spread = |(side, slopes, out, others): (&Side<P>, Vec<f64>, &mut [f64], Rows<'_>)| {
            let own = |row: usize| if with == With::Others { -0.25 * others.weight(row) } else { 0.0 };
            side.spread(&basis, &slopes, out, own, context)
        };
        let mut sides = vec![(upper, upper_slopes, out.uppers, lowers)];
        if with != With::Itself {
            sides.push((lower, lower_slopes, out.lowers, uppers));
        }
        context.map(threads, sides, spread)?.into_iter().collect::<Result<()>>()?;
        Ok(Some(total))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_fall_with_the_order_and_allow_the_tolerances_that_are_promised() {
        let bounds = ORDERS.map(truncation);
        assert!(bounds.windows(2).all(|pair| pair[1] < pair[0]), "{bounds:?}");
        for (tolerance, order) in [(1e-2, 6), (1e-4, 8), (1e-8, 12), (1e-12, 16), (1e-13, 18)] {
            assert_eq!(order_for(tolerance), order, "{bounds:?}");
        }
    }
}
