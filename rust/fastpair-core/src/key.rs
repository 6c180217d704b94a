//! Element types and their order-preserving unsigned keys.
//!
//! A key compares like the score it stands for: `a < b` exactly when `a.key() < b.key()`, and equal scores (`-0.0` and
//! `0.0` among them) have equal keys. Every score dtype maps to a key of its own width, so that kernels are written
//! for four key widths and not for a dozen dtypes. Only integer arithmetic is used: a processor that flushes
//! subnormals to zero cannot change the answer.

use bytemuck::Pod;
use half::{bf16, f16};
use std::ops::{BitAnd, Shr, Sub};

/// An unsigned integer that stands for a score.
pub trait Key:
    Pod + Ord + Send + Sync + std::fmt::Debug + Sub<Output = Self> + BitAnd<Output = Self> + Shr<u32, Output = Self>
{
    /// Width in bits.
    const BITS: u32;
    /// The smallest key.
    const MIN: Self;
    /// The largest key.
    const MAX: Self;
    /// Widens (or cuts) to 64 bits and back.
    fn to_u64(self) -> u64;
    /// The low bits of `value`.
    fn from_u64(value: u64) -> Self;
    /// Whether the topmost bit is set: for float and signed scores, whether the score is not negative.
    #[inline(always)]
    fn top_bit(self) -> bool {
        self.to_u64() >> (Self::BITS - 1) == 1
    }
    /// `self << 1 | label`, the top bit dropped. Orders like (key, label) among keys that share their top bit.
    #[inline(always)]
    fn with_label(self, label: u8) -> Self {
        Self::from_u64(self.to_u64() << 1 | label as u64)
    }
    /// The label that rides in the lowest bit.
    #[inline(always)]
    fn label(self) -> u64 {
        self.to_u64() & 1
    }
}

macro_rules! impl_key {
    ($($t:ty)*) => { $(
        impl Key for $t {
            const BITS: u32 = <$t>::BITS;
            const MIN: Self = <$t>::MIN;
            const MAX: Self = <$t>::MAX;
            #[inline(always)]
            fn to_u64(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as $t
            }
        }
    )* };
}
impl_key!(u8 u16 u32 u64);

/// A type whose values can be scores, labels or weights.
pub trait Element: Pod + PartialEq + Send + Sync {
    /// The unsigned integer of the same width.
    type Key: Key;
    /// The order-preserving key. Of no use if the value is NaN.
    fn key(self) -> Self::Key;
    /// Whether the value is NaN.
    fn is_nan(self) -> bool;
    /// The nearest float64.
    fn to_f64(self) -> f64;
    /// The value with its bytes reversed.
    fn swap_bytes(self) -> Self;
    /// The value as a person would write it.
    fn text(self) -> String;
}

macro_rules! impl_integer {
    ($($t:ty, $key:ty, $flip:expr;)*) => { $(
        impl Element for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                self as $key ^ $flip
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn swap_bytes(self) -> Self {
                <$t>::swap_bytes(self)
            }
            fn text(self) -> String {
                self.to_string()
            }
        }
    )* };
}
impl_integer! {
    u8, u8, 0;
    u16, u16, 0;
    u32, u32, 0;
    u64, u64, 0;
    i8, u8, 1 << 7;
    i16, u16, 1 << 15;
    i32, u32, 1 << 31;
    i64, u64, 1 << 63;
}

macro_rules! impl_float {
    ($($t:ty, $key:ty, $signed:ty, $infinity:expr, $to_f64:expr;)*) => { $(
        impl Element for $t {
            type Key = $key;
            /// Sign and magnitude become a two's complement number around the middle of the range, so both zeros meet.
            #[inline(always)]
            fn key(self) -> $key {
                const TOP: $key = 1 << (<$key>::BITS - 1);
                let bits = self.to_bits();
                let sign = ((bits as $signed) >> (<$key>::BITS - 1)) as $key;
                (((bits & !TOP) ^ sign).wrapping_sub(sign)).wrapping_add(TOP)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.to_bits() << 1 > $infinity << 1
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }
            #[inline(always)]
            fn swap_bytes(self) -> Self {
                Self::from_bits(self.to_bits().swap_bytes())
            }
            fn text(self) -> String {
                self.to_f64().to_string()
            }
        }
    )* };
}
impl_float! {
    f16, u16, i16, 0x7c00u16, f16::to_f64;
    bf16, u16, i16, 0x7f80u16, bf16::to_f64;
    f32, u32, i32, 0x7f80_0000u32, f64::from;
    f64, u64, i64, 0x7ff0_0000_0000_0000u64, std::convert::identity;
}

/// A byte that numpy calls `bool`: any non-zero byte is true.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub struct Bool(u8);

impl PartialEq for Bool {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Element for Bool {
    type Key = u8;
    #[inline(always)]
    fn key(self) -> u8 {
        (self.0 != 0) as u8
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.key())
    }
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        self
    }
    fn text(self) -> String {
        if self.key() == 1 { "True" } else { "False" }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole contract, for every pair of the values.
    fn keys_order_like_values<T: Element + PartialOrd>(values: &[T]) {
        for &a in values {
            for &b in values {
                assert_eq!(a.partial_cmp(&b), Some(a.key().cmp(&b.key())), "{} {}", a.text(), b.text());
            }
        }
    }

    fn all_16_bit_values_order_by_key<T: Element + PartialOrd>(from_bits: fn(u16) -> T, is_nan: fn(T) -> bool) {
        let all = || (0..=u16::MAX).map(from_bits);
        assert!(all().all(|x| x.is_nan() == is_nan(x)));
        let mut sorted: Vec<T> = all().filter(|x| !x.is_nan()).collect();
        sorted.sort_by_key(|x| x.key());
        assert!(sorted.windows(2).all(|w| w[0] <= w[1] && (w[0] < w[1]) == (w[0].key() < w[1].key())));
    }

    #[test]
    fn every_half_and_bfloat16_orders_like_its_value() {
        all_16_bit_values_order_by_key(f16::from_bits, f16::is_nan);
        all_16_bit_values_order_by_key(bf16::from_bits, bf16::is_nan);
    }

    #[test]
    fn floats_and_integers_order_like_their_values() {
        let tiny = f32::from_bits(1);
        keys_order_like_values(&[
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -tiny,
            -0.0,
            0.0,
            tiny,
            1.0,
            1.0 + f32::EPSILON,
            f32::INFINITY,
        ]);
        let tiny = f64::from_bits(1);
        keys_order_like_values(&[
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -tiny,
            -0.0,
            0.0,
            tiny,
            1.0,
            f64::MAX,
            f64::INFINITY,
        ]);
        keys_order_like_values(&[i64::MIN, -1, 0, 1, (1 << 53) + 1, i64::MAX]);
        keys_order_like_values(&[i32::MIN, -1, 0, 1, i32::MAX]);
        keys_order_like_values(&[i16::MIN, -1, 0, 1, i16::MAX]);
        keys_order_like_values(&[i8::MIN, -1, 0, 1, i8::MAX]);
        keys_order_like_values(&[0, 1, u64::MAX]);
        assert!(Element::is_nan(f32::NAN) && Element::is_nan(-f64::NAN) && !Element::is_nan(f64::INFINITY));
    }
}
