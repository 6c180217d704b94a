//! `exp`, `log`, `log1p` and what is made of them, in registers of float64, without branches. Errors are a few units in
//! the last place.
//!
//! # Safety
//! All functions may only run inside [`super::call`], as the methods of registers may.

use super::{Doubles, Floats, Level, Op};

/// `1 / k!` for k from 13 down to 2.
const TAYLOR: [f64; 12] = [
    1.605_904_383_682_161_3e-10,
    2.087_675_698_786_81e-9,
    2.505_210_838_544_172e-8,
    2.755_731_922_398_589_3e-7,
    2.755_731_922_398_589e-6,
    2.480_158_730_158_73e-5,
    1.984_126_984_126_984e-4,
    1.388_888_888_888_889e-3,
    8.333_333_333_333_333e-3,
    4.166_666_666_666_666_4e-2,
    1.666_666_666_666_666_6e-1,
    0.5,
];

/// `1 / (2 k + 1)` for k from 11 down to 1: the series of the inverse hyperbolic tangent.
const ATANH: [f64; 11] = [
    1.0 / 23.0,
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
];

/// Adding it leaves the nearest whole number in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The value of a polynomial, its highest coefficient first.
#[inline(always)]
pub(crate) unsafe fn polynomial<V: Doubles>(coefficients: &[f64], x: V) -> V {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let mut value = V::splat(coefficients[0]);
        for &c in &coefficients[1..] {
            value = value.mul_add(x, V::splat(c));
        }
        value
    }
}

/// `e^x`: `2^n e^r` with `n` whole and `abs(r) <= ln(2) / 2`, `e^r` by its Taylor polynomial, whose rest is below 5e-18.
/// 0 below -708 and for NaN, infinite above 709.
#[inline(always)]
pub(crate) unsafe fn exp<V: Doubles>(x: V) -> V {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let (low, high) = (V::splat(-708.0), V::splat(709.0));
        let inside = x.select(high, high, x.select(low, x, low));
        let round = V::splat(ROUND);
        let shifted = inside.mul_add(V::splat(std::f64::consts::LOG2_E), round);
        let n = shifted.sub(round);
        let r = n.mul_add(V::splat(-LN2_LOW), n.mul_add(V::splat(-LN2_HIGH), inside));
        let power = shifted.power_of_two();
        let value = polynomial(&TAYLOR, r).mul_add(r.mul(r), r).mul_add(power, power);
        let value = x.select(V::splat(709.000_000_1), V::splat(f64::INFINITY), value);
        x.select(low, value, V::splat(0.0))
    }
}

/// Twice the inverse hyperbolic tangent of `s`, `abs(s) < 0.172`.
#[inline(always)]
unsafe fn twice_atanh<V: Doubles>(s: V) -> V {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let (square, twice) = (s.mul(s), s.add(s));
        polynomial(&ATANH, square).mul(square).mul_add(twice, twice)
    }
}

/// `log(1 + e)` for `e` from 0 to 1.
#[inline(always)]
pub(crate) unsafe fn log1p_unit<V: Doubles>(e: V) -> V {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        // 1 + e, or half of it: near 1, so that s is small.
        let border = V::splat(0.414_213_562_373_095_03);
        let numerator = e.select(border, e.sub(V::splat(1.0)), e);
        let denominator = e.add(e.select(border, V::splat(3.0), V::splat(2.0)));
        let base = e.select(border, V::splat(std::f64::consts::LN_2), V::splat(0.0));
        base.add(twice_atanh(numerator.div(denominator)))
    }
}

/// `log(1 + e^x)` and its first two derivatives, `1 / (1 + e^-x)` and `e^-x / (1 + e^-x)^2`.
#[inline(always)]
pub(crate) unsafe fn softplus<V: Doubles>(x: V) -> (V, V, V) {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        let e = exp(zero.sub(x.abs()));
        let inverse = one.div(one.add(e));
        let lower = e.mul(inverse);
        let value = x.select(zero, x, zero).add(log1p_unit(e));
        (value, x.select(zero, inverse, lower), lower.mul(inverse))
    }
}

/// Numbers that are worked on together: no register has more lanes.
pub(crate) const TOGETHER: usize = 8;

/// Replaces each number by its softplus, and writes the derivatives to `slopes`.
#[inline(always)]
pub(crate) fn softplus_all<L: Level>(values: &mut [f64; TOGETHER], slopes: &mut [f64; TOGETHER]) {
    for at in (0..TOGETHER).step_by(L::F64::LANES) {
        // SAFETY: inside `call`; a register has a power of two of lanes, at most `TOGETHER`.
        unsafe {
            let place = values.as_mut_ptr().add(at);
            let (value, slope, _) = softplus(L::F64::load(place));
            value.store(place);
            slope.store(slopes.as_mut_ptr().add(at));
        }
    }
}

/// Replaces each of `values` by `e^(value - shift)`; equal infinities differ by 0.
pub(crate) struct ExpOfDifferences<'a> {
    pub values: &'a mut [f64],
    /// As many.
    pub shifts: &'a [f64],
}

impl Op for ExpOfDifferences<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let lanes = L::F64::LANES;
        let (values, shifts) = (self.values, self.shifts);
        assert_eq!(values.len(), shifts.len(), "a shift for each value");
        let whole = values.len() / lanes * lanes;
        // SAFETY: inside `call`; reads and writes whole registers below `whole`, or buffers of the widest register.
        unsafe {
            let mut at = 0;
            while at < whole {
                let place = values.as_mut_ptr().add(at);
                exp_of_difference(L::F64::load(place), L::F64::load(shifts.as_ptr().add(at))).store(place);
                at += lanes;
            }
            let (mut tail, mut tail_shifts) = ([0.0; 8], [0.0; 8]);
            let rest = values.len() - whole;
            tail[..rest].copy_from_slice(&values[whole..]);
            tail_shifts[..rest].copy_from_slice(&shifts[whole..]);
            exp_of_difference(L::F64::load(tail.as_ptr()), L::F64::load(tail_shifts.as_ptr())).store(tail.as_mut_ptr());
            values[whole..].copy_from_slice(&tail[..rest]);
        }
    }
}

#[inline(always)]
unsafe fn exp_of_difference<V: Doubles>(value: V, shift: V) -> V {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let difference = value.sub(shift);
        exp(difference.select(V::splat(f64::NEG_INFINITY), difference, V::splat(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Isa};

    struct Check;
    impl Op for Check {
        type Out = ();
        #[inline(always)]
        fn run<L: Level>(self) {
            let near = |value: f64, expected: f64| {
                value == expected || ((value - expected) / expected).abs() < 1e-15 || expected.abs() < 1e-307
            };
            // SAFETY: inside `call`.
            let one =
                |f: unsafe fn(L::F64) -> L::F64, x: f64| unsafe { f(L::F64::splat(x)).sum() / L::F64::LANES as f64 };
            for i in -79_500..79_500 {
                let x = f64::from(i) * 0.0089;
                assert!(near(one(exp, x), x.exp()), "exp({x}) is {:e}, not {:e}", one(exp, x), x.exp());
                let e = (x * 0.1).exp().min(1.0);
                assert!(near(one(log1p_unit, e), e.ln_1p()), "log1p({e}) is {:e}", one(log1p_unit, e));
                // SAFETY: inside `call`.
                let value = |x| unsafe { softplus::<L::F64>(x).0 };
                assert!(near(one(value, x), x.max(0.0) + (-x.abs()).exp().ln_1p()), "softplus({x})");
                // SAFETY: inside `call`.
                let sigmoid = |x| unsafe { softplus::<L::F64>(x).1 };
                assert!(near(
                    one(sigmoid, x),
                    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
                ));
                // SAFETY: inside `call`.
                let slope = |x| unsafe { softplus::<L::F64>(x).2 };
                assert!(near(one(slope, x), (-x.abs()).exp() / (1.0 + (-x.abs()).exp()).powi(2)), "slope({x})");
            }
            assert_eq!(one(exp, f64::NEG_INFINITY), 0.0);
            assert_eq!(one(exp, f64::INFINITY), f64::INFINITY);
            assert_eq!(one(exp, 0.0), 1.0);
            assert_eq!(one(log1p_unit, 0.0), 0.0);
            for len in [0, 1, 5, 8, 13] {
                let mut values: Vec<f64> = (0..len).map(f64::from).collect();
                let shifts = vec![2.0; values.len()];
                ExpOfDifferences { values: &mut values, shifts: &shifts }.run::<L>();
                for (i, value) in values.into_iter().enumerate() {
                    assert!(near(value, (i as f64 - 2.0).exp()));
                }
            }
            let mut ends = [f64::INFINITY, f64::NEG_INFINITY, 1.0];
            ExpOfDifferences { shifts: &[f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY], values: &mut ends }
                .run::<L>();
            assert_eq!(ends, [1.0, 1.0, 0.0]);
            // SAFETY: inside `call`.
            let ends = [f64::INFINITY, f64::NEG_INFINITY].map(|x| unsafe { softplus(L::F64::splat(x)).0.sum() });
            assert_eq!(ends, [f64::INFINITY, 0.0]);
        }
    }

    #[test]
    fn functions_agree_with_the_standard_library_on_every_level() {
        for isa in Isa::available() {
            simd::call(isa, Check);
        }
    }
}
