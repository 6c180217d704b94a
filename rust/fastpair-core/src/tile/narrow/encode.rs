//! Rows written in 8 or 16 bits a number, with what was lost by it: measured, not guessed.
//!
//! Integers are multiples of a step that each row has for itself: a 127th of the row's largest element, or for 16 bits the
//! larger of a 32767th of it and a 46000th of the norm, so that sums of products fit 32 bits by the Cauchy-Schwarz
//! inequality: a rounded row is at most 46000 + sqrt(d) / 2 < sqrt(2^31) long. In three parts, a number is the sum of two
//! bfloat16, high and low, and a product of rows is `high.high + high.low + low.high`: rows of x are written as (high,
//! high, low), rows of y as (high, low, high), and multiplied as any others.

use crate::simd::narrow::{Encoding, STEP};

/// How the numbers of a row are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Eight bits.
    Int8,
    /// The upper half of a float32.
    Bf16,
    /// Sixteen bits.
    Int16,
    /// Two bfloat16, in three parts of a row.
    Bf16x3,
}

/// The widest rows that are written: sums of 8-bit products fit 32 bits up to twice as many columns.
pub(crate) const MOST_COLUMNS: usize = 1 << 16;

/// Rows whose largest element is smaller lose all: a step would leave the range of float32.
const SMALLEST: f32 = 7.9e-31;

/// Adding and taking it away rounds a small float32 to the nearest whole number.
const ROUNDER: f32 = 12_582_912.0;

/// Zeros of 8 bits, moved by 128.
const MOVED: u64 = 0x8080_8080_8080_8080;

impl Form {
    /// All of them, the coarsest first.
    pub const ALL: [Self; 4] = [Self::Int8, Self::Bf16, Self::Int16, Self::Bf16x3];

    /// Whether packed rows may be of this form: three parts would take more than the rows themselves.
    pub(crate) fn is_kept(self) -> bool {
        self != Self::Bf16x3
    }

    /// What cells hold.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Int8 => Encoding::Int8,
            Self::Int16 => Encoding::Int16,
            Self::Bf16 | Self::Bf16x3 => Encoding::Bf16,
        }
    }

    /// Numbers for each column.
    fn parts(self) -> usize {
        if self == Self::Bf16x3 { 3 } else { 1 }
    }

    /// Steps of a row.
    pub fn steps(self, width: usize) -> usize {
        let numbers = STEP / 4 * self.encoding().numbers();
        (width * self.parts()).div_ceil(numbers).max(1)
    }

    /// Roundings that the sum of products may add to each, in float32.
    pub fn roundings(self, width: usize) -> usize {
        if self.encoding() == Encoding::Bf16 { self.parts() * width + 2 } else { 0 }
    }
}

/// What writing a row made of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// What a written 1 is worth.
    pub scale: f32,
    /// The sum of the written numbers, where 8 bits are written.
    pub sum: i32,
    /// The sum of squares of what was lost, and of the low parts.
    pub lost: f64,
    pub low: f64,
}

/// Writes a row, whose largest magnitude and norm are given, into `bytes`, with zeros behind.
#[inline(always)]
pub(crate) fn write(form: Form, of_x: bool, row: &[f32], largest: f32, norm: f64, bytes: &mut [u64]) -> Written {
    bytes.fill(if of_x && form == Form::Int8 && largest < SMALLEST { MOVED } else { 0 });
    if largest < SMALLEST {
        return Written { scale: 1.0, lost: norm * norm, sum: 0, low: 0.0 };
    }
    match form {
        Form::Int8 => {
            let written = write_whole::<i8>(row, largest / 127.0, bytemuck::cast_slice_mut(bytes));
            if of_x {
                // Moved by 128, as the products want it.
                bytes.iter_mut().for_each(|bytes| *bytes ^= MOVED);
            }
            written
        }
        Form::Int16 => {
            let step = (largest / 32767.0).max((norm / 46000.0) as f32);
            write_whole::<i16>(row, step, bytemuck::cast_slice_mut(bytes))
        }
        Form::Bf16 => write_bf16::<false>(row, largest, [0; 3], bytemuck::cast_slice_mut(bytes)),
        Form::Bf16x3 => {
            let width = row.len();
            // Where the high part is written, once more, and the low part.
            let places = if of_x { [0, width, 2 * width] } else { [0, 2 * width, width] };
            write_bf16::<true>(row, largest, places, bytemuck::cast_slice_mut(bytes))
        }
    }
}

/// A signed integer of few bits.
trait Whole: Copy {
    const MOST: f32;
    fn of(value: i32) -> Self;
}

impl Whole for i8 {
    const MOST: f32 = 127.0;
    #[inline(always)]
    fn of(value: i32) -> Self {
        value as Self
    }
}

impl Whole for i16 {
    const MOST: f32 = 32767.0;
    #[inline(always)]
    fn of(value: i32) -> Self {
        value as Self
    }
}

/// Lanes that sums are kept in.
pub(super) const LANES: usize = 16;

#[inline(always)]
fn write_whole<W: Whole>(row: &[f32], scale: f32, out: &mut [W]) -> Written {
    let inverse = 1.0 / scale;
    let (mut lost, mut sums) = ([0f32; LANES], [0i32; LANES]);
    let (whole, rest) = row.as_chunks::<LANES>();
    let (whole_out, rest_out) = out[..row.len()].as_chunks_mut::<LANES>();
    for (values, out) in whole.iter().zip(whole_out) {
        write_lanes(values, inverse, out, &mut lost, &mut sums);
    }
    let mut last = [0f32; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let mut last_out = [W::of(0); LANES];
    write_lanes(&last, inverse, &mut last_out, &mut lost, &mut sums);
    rest_out.copy_from_slice(&last_out[..rest.len()]);
    Written { scale, sum: sums.iter().sum(), lost: worth(lost, scale), low: 0.0 }
}

/// A sum of squares in units of `scale`, which keep small ones from being lost.
#[inline(always)]
fn worth(lanes: [f32; LANES], scale: f32) -> f64 {
    lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() * f64::from(scale) * f64::from(scale)
}

/// The same for so many elements.
#[inline(always)]
fn write_lanes<W: Whole>(
    values: &[f32; LANES],
    inverse: f32,
    out: &mut [W; LANES],
    lost: &mut [f32; LANES],
    sums: &mut [i32; LANES],
) {
    let mut whole = [0i32; LANES];
    for i in 0..LANES {
        let scaled = values[i] * inverse;
        let rounded = scaled.clamp(-W::MOST, W::MOST) + ROUNDER;
        whole[i] = rounded.to_bits() as i32 - ROUNDER.to_bits() as i32;
        let rest = scaled - (rounded - ROUNDER);
        lost[i] += rest * rest;
        sums[i] += whole[i];
    }
    for i in 0..LANES {
        out[i] = W::of(whole[i]);
    }
}

/// The nearest bfloat16, 0 instead of one below the normal range.
#[inline(always)]
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    if rounded & 0x7f80 == 0 { 0 } else { rounded }
}

#[inline(always)]
fn of_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[inline(always)]
fn write_bf16<const LOW: bool>(row: &[f32], largest: f32, places: [usize; 3], out: &mut [u16]) -> Written {
    // A power of two near the largest element, and its inverse.
    let unit = f32::from_bits(largest.to_bits() & 0x7f80_0000);
    let inverse = 1.0 / unit;
    let (mut lost, mut low) = ([0f32; LANES], [0f32; LANES]);
    for (begin, values) in (0..).step_by(LANES).zip(row.chunks(LANES)) {
        let mut high_parts = [0u16; LANES];
        let mut low_parts = [0u16; LANES];
        let mut padded = [0f32; LANES];
        padded[..values.len()].copy_from_slice(values);
        for i in 0..LANES {
            high_parts[i] = to_bf16(padded[i]);
            let mut rest = padded[i] - of_bf16(high_parts[i]);
            if LOW {
                low_parts[i] = to_bf16(rest);
                let part = of_bf16(low_parts[i]);
                rest -= part;
                low[i] += (part * inverse) * (part * inverse);
            }
            lost[i] += (rest * inverse) * (rest * inverse);
        }
        let count = values.len();
        out[places[0] + begin..][..count].copy_from_slice(&high_parts[..count]);
        if LOW {
            out[places[1] + begin..][..count].copy_from_slice(&high_parts[..count]);
            out[places[2] + begin..][..count].copy_from_slice(&low_parts[..count]);
        }
    }
    Written { scale: 1.0, sum: 0, lost: worth(lost, unit), low: worth(low, unit) }
}
