//! Chebyshev sums over the rows of a box: their moments, and the values of a polynomial.
//!
//! With `P` nodes on [-1, 1], the roots of the Chebyshev polynomial `T_P`, a smooth function is
//! `f(u) = sum_a f(node_a) l_a(u)` up to a small error, where `l_a(u) = sum_k C[k][a] T_k(u)` and
//! `C[k][a] = T_k(node_a) 2 / P` (half of it for `k = 0`). So `sum_j w_j f(u_j) = sum_a W_a f(node_a)` with
//! `W_a = sum_k C[k][a] M_k` made of the moments `M_k = sum_j w_j T_k(u_j)`: `P` multiply-adds a row, and no `exp`.

use crate::simd::{Doubles, Floats, Level, Op};
use std::f64::consts::PI;

/// The numbers of nodes that are compiled.
pub(crate) const ORDERS: [usize; 5] = [6, 8, 12, 16, 18];

/// Runs `$body` with the constant `$P` for an order of [`ORDERS`].
macro_rules! with_order {
    ($order:expr, $P:ident => $body:expr) => {
        match $order {
            6 => {
                const $P: usize = 6;
                $body
            }
            8 => {
                const $P: usize = 8;
                $body
            }
            12 => {
                const $P: usize = 12;
                $body
            }
            16 => {
                const $P: usize = 16;
                $body
            }
            _ => {
                const $P: usize = 18;
                $body
            }
        }
    };
}
pub(crate) use with_order;

/// Nodes and coefficients of one order.
pub(crate) struct Basis<const P: usize> {
    pub nodes: [f64; P],
    /// `C[k][a]`.
    pub coefficients: [[f64; P]; P],
}

impl<const P: usize> Basis<P> {
    pub fn new() -> Self {
        let angle = |a: usize| PI * (a as f64 + 0.5) / P as f64;
        let coefficient = |k: usize, a: usize| (k as f64 * angle(a)).cos() * if k == 0 { 1.0 } else { 2.0 } / P as f64;
        Self {
            nodes: std::array::from_fn(|a| angle(a).cos()),
            coefficients: std::array::from_fn(|k| std::array::from_fn(|a| coefficient(k, a))),
        }
    }

    /// The weights of the nodes that stand for rows with these moments.
    pub fn weights(&self, moments: &[f64; P]) -> [f64; P] {
        std::array::from_fn(|a| (0..P).map(|k| self.coefficients[k][a] * moments[k]).sum())
    }

    /// The polynomial through values at the nodes, as a Chebyshev series.
    pub fn series(&self, values: &[f64]) -> [f64; P] {
        std::array::from_fn(|k| (0..P).map(|a| self.coefficients[k][a] * values[a]).sum())
    }
}

/// The moments of rows at `places`, all within [-1, 1]; weights are 1 if there are none.
pub(crate) struct Moments<'a, const P: usize> {
    pub places: &'a [f64],
    pub weights: Option<&'a [f64]>,
}

impl<const P: usize> Op for Moments<'_, P> {
    type Out = [f64; P];
    #[inline(always)]
    fn run<L: Level>(self) -> [f64; P] {
        let lanes = L::F64::LANES;
        let whole = self.places.len() / lanes * lanes;
        assert!(self.weights.is_none_or(|weights| weights.len() == self.places.len()), "a weight for each row");
        // SAFETY: inside `call`; reads whole registers below `whole`.
        unsafe {
            let mut sums = [L::F64::splat(0.0); P];
            let mut at = 0;
            while at < whole {
                let place = L::F64::load(self.places.as_ptr().add(at));
                let weight = match self.weights {
                    Some(weights) => L::F64::load(weights.as_ptr().add(at)),
                    None => L::F64::splat(1.0),
                };
                add_moments(&mut sums, place, weight);
                at += lanes;
            }
            for at in whole..self.places.len() {
                // One lane holds a row, the others weigh nothing.
                let mut weight = [0.0; 8];
                weight[0] = self.weights.map_or(1.0, |weights| weights[at]);
                add_moments(&mut sums, L::F64::splat(self.places[at]), L::F64::load(weight.as_ptr()));
            }
            sums.map(|sum| sum.sum())
        }
    }
}

/// Adds `weight * T_k(place)` to sum `k`.
#[inline(always)]
unsafe fn add_moments<V: Doubles, const P: usize>(sums: &mut [V; P], place: V, weight: V) {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let double = place.add(place);
        let (mut before, mut last) = (weight, weight.mul(place));
        sums[0] = sums[0].add(before);
        sums[1] = sums[1].add(last);
        for sum in &mut sums[2..] {
            let next = double.mul(last).sub(before);
            *sum = sum.add(next);
            (before, last) = (last, next);
        }
    }
}

/// Replaces each place, within [-1, 1], by the value of a Chebyshev series there (Clenshaw).
pub(crate) struct Evaluate<'a, const P: usize> {
    pub places: &'a mut [f64],
    pub series: &'a [f64; P],
}

impl<const P: usize> Op for Evaluate<'_, P> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let lanes = L::F64::LANES;
        let whole = self.places.len() / lanes * lanes;
        // SAFETY: inside `call`; reads and writes whole registers below `whole`, or a buffer of the widest register.
        unsafe {
            let mut at = 0;
            while at < whole {
                let place = self.places.as_mut_ptr().add(at);
                value_at(self.series, L::F64::load(place)).store(place);
                at += lanes;
            }
            let mut rest = [0.0; 8];
            let tail = &mut self.places[whole..];
            rest[..tail.len()].copy_from_slice(tail);
            value_at(self.series, L::F64::load(rest.as_ptr())).store(rest.as_mut_ptr());
            tail.copy_from_slice(&rest[..tail.len()]);
        }
    }
}

#[inline(always)]
unsafe fn value_at<V: Doubles, const P: usize>(series: &[f64; P], place: V) -> V {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let double = place.add(place);
        let (mut last, mut before) = (V::splat(0.0), V::splat(0.0));
        for &c in series[1..].iter().rev() {
            let next = double.mul_add(last, V::splat(c).sub(before));
            (before, last) = (last, next);
        }
        place.mul_add(last, V::splat(series[0]).sub(before))
    }
}
