//! A formula of many arguments, each by itself.

use super::formula::Formula;
use crate::simd::{Doubles, Floats, Level, Op};

/// The formula at `x`, NaN for NaN.
#[inline(always)]
unsafe fn value_at<F: Formula, V: Doubles>(formula: F, x: V) -> (V, V) {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let (value, slope) = formula.at(x);
        let least = V::splat(f64::NEG_INFINITY);
        (x.select(least, value, x), x.select(least, slope, x))
    }
}

/// Replaces each argument by the derivative of the formula, and writes its value to `values`.
pub(crate) struct Aligned<'a, F> {
    pub formula: F,
    pub arguments: &'a mut [f64],
    /// As many.
    pub values: &'a mut [f64],
}

impl<F: Formula> Op for Aligned<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let lanes = L::F64::LANES;
        let Self { formula, arguments, values } = self;
        assert_eq!(arguments.len(), values.len(), "a value for each argument");
        let whole = values.len() / lanes * lanes;
        // SAFETY: inside `call`; reads and writes whole registers below `whole`, or buffers of the widest register.
        unsafe {
            let mut at = 0;
            while at < whole {
                let place = arguments.as_mut_ptr().add(at);
                let (value, slope) = value_at(formula, L::F64::load(place));
                value.store(values.as_mut_ptr().add(at));
                slope.store(place);
                at += lanes;
            }
            let rest = values.len() - whole;
            let (mut tail, mut tail_values) = ([0.0; 8], [0.0; 8]);
            tail[..rest].copy_from_slice(&arguments[whole..]);
            let (value, slope) = value_at(formula, L::F64::load(tail.as_ptr()));
            value.store(tail_values.as_mut_ptr());
            slope.store(tail.as_mut_ptr());
            arguments[whole..].copy_from_slice(&tail[..rest]);
            values[whole..].copy_from_slice(&tail_values[..rest]);
        }
    }
}
