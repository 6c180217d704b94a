//! Sweeps over a row of similarities: plain loops over lanes, compiled for every level. Sums of a chunk are taken lane by
//! lane, those of chunks in float64, always in the same order.

use crate::simd::{self, Isa, Level, Op, Real};

/// Lanes that a sum is taken in.
const LANES: usize = 32;

/// Numbers that are summed before float64 takes over.
const CHUNK: usize = 256;

/// The largest number; NaN if there is one.
pub(super) fn largest<T: Real>(isa: Isa, values: &[T]) -> T {
    simd::call(isa, Largest(values))
}

struct Largest<'a, T>(&'a [T]);

impl<T: Real> Op for Largest<'_, T> {
    type Out = T;
    #[inline(always)]
    fn run<L: Level>(self) -> T {
        let lowest = T::rounded(f64::NEG_INFINITY);
        let (mut lanes, mut strange) = ([lowest; LANES], false);
        let (whole, rest) = self.0.as_chunks::<LANES>();
        for values in whole {
            for (lane, &value) in lanes.iter_mut().zip(values) {
                *lane = if value > *lane { value } else { *lane };
                strange |= is_nan(value);
            }
        }
        let mut most = lowest;
        for &value in lanes.iter().chain(rest) {
            most = if value > most { value } else { most };
            strange |= is_nan(value);
        }
        if strange { T::rounded(f64::NAN) } else { most }
    }
}

#[inline(always)]
#[allow(clippy::eq_op)] // what NaN is
fn is_nan<T: Real>(value: T) -> bool {
    value != value
}

/// Writes `e^((value - shift) factor)` of each value to `out`, and returns their sum.
pub(super) fn exponentials<T: Real>(isa: Isa, values: &[T], shift: T, factor: f64, out: &mut [T]) -> f64 {
    simd::call(isa, Exponentials { values, shift, factor: T::rounded(factor), out })
}

struct Exponentials<'a, T> {
    values: &'a [T],
    shift: T,
    factor: T,
    out: &'a mut [T],
}

impl<T: Real> Op for Exponentials<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        let Self { values, shift, factor, out } = self;
        let mut sum = 0.0;
        for (values, out) in values.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            out.iter_mut().zip(values).for_each(|(out, &value)| *out = value.minus(shift).times(factor));
            T::exp_all::<L>(out);
            sum += total(out);
        }
        sum
    }
}

/// The sum of a chunk.
#[inline(always)]
fn total<T: Real>(values: &[T]) -> f64 {
    let mut lanes = [T::default(); LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        lanes.iter_mut().zip(values).for_each(|(lane, &value)| *lane = lane.plus(value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane = lane.plus(value));
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = lanes[i].plus(lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0].widened()
}

/// The sum.
pub(super) fn sum<T: Real>(isa: Isa, values: &[T]) -> f64 {
    simd::call(isa, Sum(values))
}

struct Sum<'a, T>(&'a [T]);

impl<T: Real> Op for Sum<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        self.0.chunks(CHUNK).map(|values| total(values)).sum()
    }
}

/// Multiplies `slopes` by `factor`, and returns the sum of their products with `values` less a shift, where a slope of 0
/// makes 0.
pub(super) fn scale_and_multiply<T: Real>(isa: Isa, slopes: &mut [T], factor: f64, values: &[T], shift: T) -> f64 {
    simd::call(isa, ScaleAndMultiply { slopes, factor: T::rounded(factor), values, shift })
}

struct ScaleAndMultiply<'a, T> {
    slopes: &'a mut [T],
    factor: T,
    values: &'a [T],
    shift: T,
}

impl<T: Real> Op for ScaleAndMultiply<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        let Self { slopes, factor, values, shift } = self;
        let (mut sum, mut products) = (0.0, [T::default(); CHUNK]);
        for (slopes, values) in slopes.chunks_mut(CHUNK).zip(values.chunks(CHUNK)) {
            let zero = T::default();
            for ((slope, &value), product) in slopes.iter_mut().zip(values).zip(&mut products) {
                *slope = slope.times(factor);
                *product = if *slope == zero { zero } else { slope.times(value.minus(shift)) };
            }
            sum += total(&products[..slopes.len()]);
        }
        sum
    }
}

/// Adds to each of `sums` its value.
pub(super) fn add<T: Real>(isa: Isa, sums: &mut [T], values: &[T]) {
    simd::call(isa, Add(sums, values));
}

struct Add<'a, T>(&'a mut [T], &'a [T]);

impl<T: Real> Op for Add<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        self.0.iter_mut().zip(self.1).for_each(|(sum, &value)| *sum = sum.plus(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_agree_with_their_definitions_on_every_level() {
        for isa in Isa::available() {
            for len in [0usize, 1, 31, 32, 33, 255, 256, 257, 700] {
                let values: Vec<f64> = (0..len).map(|i| ((i * 7919) % 613) as f64 / 100.0 - 3.0).collect();
                let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                assert_eq!(largest(isa, &values), most);
                let single: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                let expected: f64 = values.iter().map(|value| ((value - 1.5) * 2.0).exp()).sum();
                let (mut out, mut single_out) = (values.clone(), single.clone());
                let found = exponentials(isa, &values, 1.5, 2.0, &mut out);
                assert!((found - expected).abs() <= 1e-13 * expected);
                let found = exponentials(isa, &single, 1.5, 2.0, &mut single_out);
                assert!((found - expected).abs() <= 2e-6 * expected, "{found} {expected}");
                let expected: f64 = values.iter().map(|value| 2.0 * value * value).sum();
                let mut slopes = values.clone();
                assert!(
                    (scale_and_multiply(isa, &mut slopes, 2.0, &values, 0.0) - expected).abs()
                        <= 1e-12 * (1.0 + expected)
                );
                assert!((sum(isa, &values) - values.iter().sum::<f64>()).abs() < 1e-10);
            }
            assert!(largest(isa, &[0.0, f64::NAN, 1.0]).is_nan());
            let absent = [f32::NEG_INFINITY, 0.0];
            let mut out = [1f32; 2];
            assert_eq!(exponentials(isa, &absent, 0.0, 14.0, &mut out), 1.0);
            assert_eq!(out, [0.0, 1.0]);
            assert_eq!(scale_and_multiply(isa, &mut out, 3.0, &absent, 0.0), 0.0);
        }
    }
}
