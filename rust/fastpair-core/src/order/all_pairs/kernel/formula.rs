//! What a pair costs, as a function of how far the negative stands above the positive: `x = (s_j - s_i) / temperature`,
//! plus the margin of those that have one.

use crate::simd::{Doubles, math};

/// The value of a function and its derivative.
pub(crate) trait Formula: Copy + Send + Sync {
    /// Both at `x`.
    ///
    /// # Safety
    /// Runs only inside [`crate::simd::call`].
    unsafe fn at<V: Doubles>(self, x: V) -> (V, V);
}

macro_rules! formulas {
    ($($(#[$doc:meta])* $name:ident: $x:ident => $value:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;
        impl Formula for $name {
            #[inline(always)]
            unsafe fn at<V: Doubles>(self, $x: V) -> (V, V) {
                // SAFETY: the caller runs inside `call`.
                unsafe { $value }
            }
        }
    )* };
}
formulas! {
    /// `log(1 + e^x)`.
    Logistic: x => {
        let (value, slope, _) = math::softplus(x);
        (value, slope)
    };
    /// `1 / (1 + e^-x)`.
    Sigmoid: x => {
        let (_, value, slope) = math::softplus(x);
        (value, slope)
    };
    /// `e^x`.
    Exponential: x => {
        let value = math::exp(x);
        (value, value)
    };
    /// `max(x, 0)`, with derivative 0 at the kink.
    Hinge: x => hinge(x);
    /// `max(x, 0)^2`.
    SquaredHinge: x => {
        let (above, _) = hinge(x);
        (above.mul(above), above.add(above))
    };
    /// `x^2`.
    Square: x => (x.mul(x), x.add(x));
}

/// `max(x, 0) + slope max(-x, 0) + (slope - 1) max(x - kink, 0)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Barrier {
    pub slope: f64,
    pub kink: f64,
}

impl Formula for Barrier {
    #[inline(always)]
    unsafe fn at<V: Doubles>(self, x: V) -> (V, V) {
        // SAFETY: the caller runs inside `call`.
        unsafe {
            let (above, above_slope) = hinge(x);
            let (below, below_slope) = hinge(V::splat(0.0).sub(x));
            let (beyond, beyond_slope) = hinge(x.sub(V::splat(self.kink)));
            let (slope, rest) = (V::splat(self.slope), V::splat(self.slope - 1.0));
            let value = above.add(slope.mul(below)).add(rest.mul(beyond));
            (value, above_slope.sub(slope.mul(below_slope)).add(rest.mul(beyond_slope)))
        }
    }
}

/// `max(x, 0)` and its derivative, 0 at 0.
#[inline(always)]
unsafe fn hinge<V: Doubles>(x: V) -> (V, V) {
    // SAFETY: the caller runs inside `call`.
    unsafe {
        let zero = V::splat(0.0);
        (x.select(zero, x, zero), zero.select(x, zero, V::splat(1.0)))
    }
}

/// A formula as a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Logistic,
    Sigmoid,
    Exponential,
    Hinge,
    SquaredHinge,
    Square,
    Barrier(Barrier),
}

/// Runs `$body` with `$formula` bound to the formula of a [`Kind`].
macro_rules! with_formula {
    ($kind:expr, $formula:ident => $body:expr) => {{
        use $crate::order::all_pairs::kernel::formula as formulas;
        match $kind {
            formulas::Kind::Logistic => {
                let $formula = formulas::Logistic;
                $body
            }
            formulas::Kind::Sigmoid => {
                let $formula = formulas::Sigmoid;
                $body
            }
            formulas::Kind::Exponential => {
                let $formula = formulas::Exponential;
                $body
            }
            formulas::Kind::Hinge => {
                let $formula = formulas::Hinge;
                $body
            }
            formulas::Kind::SquaredHinge => {
                let $formula = formulas::SquaredHinge;
                $body
            }
            formulas::Kind::Square => {
                let $formula = formulas::Square;
                $body
            }
            formulas::Kind::Barrier(barrier) => {
                let $formula = barrier;
                $body
            }
        }
    }};
}
pub(crate) use with_formula;
