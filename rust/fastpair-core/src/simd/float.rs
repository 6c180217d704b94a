//! Registers of floating-point numbers, for the tile kernels.

use std::array::from_fn;

/// A float type that tiles can hold.
pub trait Real: Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + bytemuck::Pod + 'static {
    /// The register of a level.
    type Vector<L: super::Level>: Floats<Element = Self>;
    /// Half the distance from 1 to the next number: the relative error of one rounding.
    const ROUNDING: f64;
    /// Rounded to the nearest.
    fn rounded(value: f64) -> Self;
    /// Exact.
    fn widened(self) -> f64;
    /// The larger one.
    fn larger(self, other: Self) -> Self;
    /// `self * factor`.
    fn times(self, factor: Self) -> Self;
    /// The square root.
    fn root(self) -> Self;
    /// `e^self`, to a few roundings; 0 for what is too small.
    fn exp(self) -> Self;
    /// The same of each number, in code compiled for a level.
    fn exp_all<L: super::Level>(values: &mut [Self]);
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// `self - other`.
    fn minus(self, other: Self) -> Self;
    /// `self^2 + sum`.
    fn square_plus(self, sum: Self) -> Self;
    /// `|self| + sum`.
    fn magnitude_plus(self, sum: Self) -> Self;
    /// `(self + x_bias + y_bias) x_scale y_scale`.
    fn affine(self, x_bias: Self, y_bias: Self, x_scale: Self, y_scale: Self) -> Self;
}

/// The arithmetic of [`Real`], which generic code cannot write with operators.
macro_rules! arithmetic {
    () => {
        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            if self > other { self } else { other }
        }
        #[inline(always)]
        fn times(self, factor: Self) -> Self {
            self * factor
        }
        #[inline(always)]
        fn root(self) -> Self {
            self.sqrt()
        }
        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self + other
        }
        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            self - other
        }
        #[inline(always)]
        fn square_plus(self, sum: Self) -> Self {
            self * self + sum
        }
        #[inline(always)]
        fn magnitude_plus(self, sum: Self) -> Self {
            self.abs() + sum
        }
        #[inline(always)]
        fn affine(self, x_bias: Self, y_bias: Self, x_scale: Self, y_scale: Self) -> Self {
            (self + (x_bias + y_bias)) * (x_scale * y_scale)
        }
    };
}

impl Real for f32 {
    type Vector<L: super::Level> = L::F32;
    const ROUNDING: f64 = 0.5 * f32::EPSILON as f64;
    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp(self)
    }
    #[inline(always)]
    fn exp_all<L: super::Level>(values: &mut [Self]) {
        values.iter_mut().for_each(|value| *value = exp(*value));
    }
    #[inline(always)]
    fn widened(self) -> f64 {
        self.into()
    }
    arithmetic!();
}

impl Real for f64 {
    type Vector<L: super::Level> = L::F64;
    const ROUNDING: f64 = 0.5 * f64::EPSILON;
    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn exp_all<L: super::Level>(values: &mut [Self]) {
        let (whole, rest) = values.as_chunks_mut::<8>();
        let mut last = [0.0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for values in whole.iter_mut().chain([&mut last]) {
            for at in (0..8).step_by(L::F64::LANES) {
                let place = values[at..].as_mut_ptr();
                // SAFETY: inside `call`; a register has a power of two of lanes, at most 8.
                unsafe { super::math::exp(L::F64::load(place)).store(place) };
            }
        }
        rest.copy_from_slice(&last[..rest.len()]);
    }
    #[inline(always)]
    fn widened(self) -> f64 {
        self
    }
    arithmetic!();
}

/// `e^x` without branches, so that loops over it become vectors: `2^n e^r` with `n` whole and `abs(r) <= ln(2) / 2`, `e^r`
/// by the polynomial of Cephes. Two units in the last place; 0 below -87, and large for what is above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let inside = if x < 88.0 { x } else { 88.0 };
    let inside = if inside > -87.0 { inside } else { -87.0 };
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = inside - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let value = (p * (r * r) + r + 1.0) * power;
    if x > -87.0 { value } else { 0.0 }
}

/// A register of floats.
///
/// # Safety
/// The methods may only run inside [`super::call`] (the processor must have the level's instructions), and each says
/// which memory it touches.
pub trait Floats: Copy {
    /// The type of a lane.
    type Element: Copy;
    /// Numbers in a register: a power of two.
    const LANES: usize;
    /// Rows of a block of `ROWS x 2` registers that the level's register file can hold beside the operands.
    const ROWS: usize;
    /// All lanes the same.
    unsafe fn splat(value: Self::Element) -> Self;
    /// Reads `LANES` numbers.
    unsafe fn load(from: *const Self::Element) -> Self;
    /// Writes `LANES` numbers.
    unsafe fn store(self, to: *mut Self::Element);
    /// Lane by lane.
    unsafe fn add(self, other: Self) -> Self;
    /// Lane by lane.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the level can, and in any case at every call alike.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Without the sign.
    unsafe fn abs(self) -> Self;
    /// Bit i is set where lane i is at least that of `bound`; NaN never is.
    unsafe fn at_least(self, bound: Self) -> u32;
}

/// A vector of `N` numbers made of plain operations, for processors of which nothing is known.
#[derive(Clone, Copy)]
pub struct Plain<T, const N: usize>([T; N]);

macro_rules! impl_plain {
    ($t:ty) => {
        // SAFETY of every block below: the caller gives memory as `Floats` says.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl<const N: usize> Floats for Plain<$t, N> {
            type Element = $t;
            const LANES: usize = N;
            const ROWS: usize = 6;
            #[inline(always)]
            unsafe fn splat(value: $t) -> Self {
                Self([value; N])
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                unsafe { Self(from.cast::<[$t; N]>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                unsafe { to.cast::<[$t; N]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(from_fn(|i| self.0[i] + other.0[i]))
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self(from_fn(|i| self.0[i] - other.0[i]))
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                // Without the instruction, `mul_add` would be a call for each number.
                if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                    Self(from_fn(|i| self.0[i].mul_add(factor.0[i], addend.0[i])))
                } else {
                    Self(from_fn(|i| self.0[i] * factor.0[i] + addend.0[i]))
                }
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                Self(from_fn(|i| self.0[i].abs()))
            }
            #[inline(always)]
            unsafe fn at_least(self, bound: Self) -> u32 {
                (0..N).fold(0, |bits, i| bits | u32::from(self.0[i] >= bound.0[i]) << i)
            }
        }
    };
}
impl_plain!(f32);
impl_plain!(f64);

/// What functions like `exp` need beyond [`Floats`], for float64.
///
/// # Safety
/// As for [`Floats`].
pub trait Doubles: Floats<Element = f64> {
    /// Lane by lane.
    unsafe fn mul(self, other: Self) -> Self;
    /// Lane by lane.
    unsafe fn div(self, other: Self) -> Self;
    /// Lanes of `yes` where this is at least `bound`, else (and for NaN) lanes of `no`.
    unsafe fn select(self, bound: Self, yes: Self, no: Self) -> Self;
    /// `2^n` for lanes that hold `n` plus a constant whose lowest bit has the worth 1.
    unsafe fn power_of_two(self) -> Self;
    /// The sum of the lanes, halves first.
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        let mut lanes = [0.0; 8];
        // SAFETY: no level has more than eight lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
    }
}

/// The exponent of 1.0, in place.
pub(super) const ONE: u64 = 0x3ff0_0000_0000_0000;

impl<const N: usize> Doubles for Plain<f64, N> {
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] * other.0[i]))
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] / other.0[i]))
    }
    #[inline(always)]
    unsafe fn select(self, bound: Self, yes: Self, no: Self) -> Self {
        Self(from_fn(|i| if self.0[i] >= bound.0[i] { yes.0[i] } else { no.0[i] }))
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(from_fn(|i| f64::from_bits((self.0[i].to_bits() << 52).wrapping_add(ONE))))
    }
}
