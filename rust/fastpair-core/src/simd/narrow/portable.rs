//! Products in plain loops, which the compiler turns into vectors of the level.

use super::{CELL, CELLS, Encoding, GROUP, Product, STEP, STRIP, TILE};
use crate::simd::{Level, Op, Strip};

/// The work of [`super::multiply`].
pub(super) struct Multiply<'a>(pub Encoding, pub Product<'a>);

impl Op for Multiply<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        match self.0 {
            Encoding::Int8 => run::<Int8>(self.1),
            Encoding::Int16 => run::<Int16>(self.1),
            Encoding::Bf16 => run::<Bf16>(self.1),
        }
    }
}

/// How the numbers in a cell are multiplied.
trait Cell {
    /// A number of a cell.
    type Number: Copy + Default;
    /// A sum of products.
    type Sum: Copy + Default;
    const NUMBERS: usize;
    /// A number of a cell of x, the bits of which are given as a little-endian word.
    fn of_x(cell: u32, number: usize) -> Self::Number;
    /// The same for y.
    fn of_y(cell: u32, number: usize) -> Self::Number;
    /// `sum + x y`.
    fn add(sum: Self::Sum, x: Self::Number, y: Self::Number) -> Self::Sum;
    /// The result; `moved` is what the sum is too large by.
    fn finish(sum: Self::Sum, moved: i32) -> f32;
}

/// Unsigned bytes with signed bytes.
struct Int8;
impl Cell for Int8 {
    type Number = i16;
    type Sum = i32;
    const NUMBERS: usize = 4;
    #[inline(always)]
    fn of_x(cell: u32, number: usize) -> i16 {
        (cell >> (8 * number) & 0xff) as i16
    }
    #[inline(always)]
    fn of_y(cell: u32, number: usize) -> i16 {
        (cell >> (8 * number)) as i8 as i16
    }
    #[inline(always)]
    fn add(sum: i32, x: i16, y: i16) -> i32 {
        sum.wrapping_add(i32::from(x) * i32::from(y))
    }
    #[inline(always)]
    fn finish(sum: i32, moved: i32) -> f32 {
        sum.wrapping_sub(moved) as f32
    }
}

struct Int16;
impl Cell for Int16 {
    type Number = i16;
    type Sum = i32;
    const NUMBERS: usize = 2;
    #[inline(always)]
    fn of_x(cell: u32, number: usize) -> i16 {
        (cell >> (16 * number)) as i16
    }
    #[inline(always)]
    fn of_y(cell: u32, number: usize) -> i16 {
        Self::of_x(cell, number)
    }
    #[inline(always)]
    fn add(sum: i32, x: i16, y: i16) -> i32 {
        sum.wrapping_add(i32::from(x) * i32::from(y))
    }
    #[inline(always)]
    fn finish(sum: i32, _: i32) -> f32 {
        sum as f32
    }
}

struct Bf16;
impl Cell for Bf16 {
    type Number = f32;
    type Sum = f32;
    const NUMBERS: usize = 2;
    #[inline(always)]
    fn of_x(cell: u32, number: usize) -> f32 {
        f32::from_bits(cell << (16 - 16 * number) & 0xffff_0000)
    }
    #[inline(always)]
    fn of_y(cell: u32, number: usize) -> f32 {
        Self::of_x(cell, number)
    }
    #[inline(always)]
    fn add(sum: f32, x: f32, y: f32) -> f32 {
        sum + x * y
    }
    #[inline(always)]
    fn finish(sum: f32, _: i32) -> f32 {
        sum
    }
}

#[inline(always)]
fn run<C: Cell>(mut product: Product<'_>) {
    let lines = product.lines(product.strips());
    for (strip, out) in product.out.chunks_exact_mut(product.groups * GROUP).enumerate() {
        product.next.ask(lines);
        let x = &product.x[strip * product.steps * 2 * TILE..][..product.steps * 2 * TILE];
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let y = &product.y[group * product.steps * TILE..][..product.steps * TILE];
            let sums = one_group::<C>(x, y);
            for (j, (sums, out)) in sums.iter().zip(out).enumerate() {
                let moved = product.moved.get(group * GROUP + j).copied().unwrap_or(0);
                for (sum, out) in sums.0.iter().zip(&mut out.0) {
                    *out = C::finish(*sum, moved);
                }
            }
        }
    }
}

/// The sums of the rows of a group with the lanes of a strip.
#[inline(always)]
fn one_group<C: Cell>(x: &[u8], y: &[u8]) -> [Strip<C::Sum>; GROUP] {
    let mut sums = [Strip([C::Sum::default(); STRIP]); GROUP];
    for (x, y) in x.chunks_exact(2 * TILE).zip(y.chunks_exact(TILE)) {
        for cell in 0..CELLS {
            // The numbers of the cell, number by number.
            let mut numbers = [Strip([C::Number::default(); STRIP]); 4];
            for (half, x) in x.chunks_exact(TILE).enumerate() {
                let x = &x[cell * STEP..][..STEP];
                for (lane, word) in x.as_chunks::<CELL>().0.iter().enumerate() {
                    for (number, numbers) in numbers.iter_mut().enumerate().take(C::NUMBERS) {
                        numbers.0[half * STRIP / 2 + lane] = C::of_x(u32::from_le_bytes(*word), number);
                    }
                }
            }
            for (sums, y) in sums.iter_mut().zip(y.chunks_exact(STEP)) {
                let y = y.as_chunks::<CELL>().0[cell];
                for lane in 0..STRIP {
                    for (number, numbers) in numbers.iter().enumerate().take(C::NUMBERS) {
                        let y = C::of_y(u32::from_le_bytes(y), number);
                        sums.0[lane] = C::add(sums.0[lane], numbers.0[lane], y);
                    }
                }
            }
        }
    }
    sums
}
