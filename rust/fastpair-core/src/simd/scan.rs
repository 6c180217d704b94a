//! One look at many numbers: their range, and how many are equal to one.

use super::{Level, Op};

/// Lanes that are independent of each other: registers of any level.
const LANES: usize = 32;

/// What a look at numbers tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    /// The smallest and the largest, without NaN: infinite and reversed if there are none.
    pub low: f64,
    pub high: f64,
    /// Whether one is NaN.
    pub nan: bool,
}

impl Range {
    /// Whether a number is infinite.
    pub fn reaches_infinity(&self) -> bool {
        self.low == f64::NEG_INFINITY || self.high == f64::INFINITY
    }
}

/// Finds the range of numbers.
pub(crate) struct FindRange<'a>(pub &'a [f64]);

impl Op for FindRange<'_> {
    type Out = Range;
    #[inline(always)]
    fn run<L: Level>(self) -> Range {
        let (mut low, mut high, mut nan) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], [0u64; LANES]);
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                low[i] = if block[i] < low[i] { block[i] } else { low[i] };
                high[i] = if block[i] > high[i] { block[i] } else { high[i] };
                nan[i] |= u64::from(block[i].is_nan());
            }
        }
        Range {
            low: low.iter().chain(rest).copied().fold(f64::INFINITY, f64::min),
            high: high.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max),
            nan: nan.iter().any(|&nan| nan != 0) || rest.iter().any(|value| value.is_nan()),
        }
    }
}

/// Counts the numbers equal to a value.
pub(crate) struct CountEqual<'a> {
    pub values: &'a [f64],
    pub value: f64,
}

impl Op for CountEqual<'_> {
    type Out = usize;
    #[inline(always)]
    fn run<L: Level>(self) -> usize {
        // As floats, which compare and add in the same registers; exact.
        let mut counts = [0.0; LANES];
        let (blocks, rest) = self.values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                counts[i] += if block[i] == self.value { 1.0 } else { 0.0 };
            }
        }
        counts.iter().sum::<f64>() as usize + rest.iter().filter(|&&value| value == self.value).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, call};

    #[test]
    fn ranges_and_counts_on_every_level() {
        for isa in Isa::available() {
            for len in [0, 1, 31, 32, 33, 100] {
                let mut values: Vec<f64> = (0..len).map(|i| f64::from(i * 37 % 11)).collect();
                let (low, high) =
                    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (v.min(l), v.max(h)));
                assert_eq!(call(isa, FindRange(&values)), Range { low, high, nan: false });
                let threes = values.iter().filter(|&&value| value == 3.0).count();
                assert_eq!(call(isa, CountEqual { values: &values, value: 3.0 }), threes);
                for at in 0..values.len() {
                    let before = std::mem::replace(&mut values[at], f64::NAN);
                    assert!(call(isa, FindRange(&values)).nan);
                    values[at] = before;
                }
            }
        }
    }
}
