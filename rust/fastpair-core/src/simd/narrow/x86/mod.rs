//! Products in vector registers.
//!
//! A block of some rows of y (broadcast cell by cell) with one or two registers of lanes of x keeps its sums in
//! registers for a slice of the steps; between slices they wait in the result.

mod registers;

use super::{CELL, CELLS, Encoding, GROUP, Product, STEP, STRIP, TILE, TOGETHER, Way};
use registers::*;

/// Steps in a slice at most: half a strip and a pair of groups take 24 KiB.
const SLICE: usize = 8;

/// Cells of a step that are worked on without a jump.
const UNROLLED: usize = 2;

/// Registers of one kind of product.
///
/// # Safety
/// The methods may only run where the processor has the instructions, and read or write a register where they are given
/// a pointer ([`Registers::y`]: a cell).
trait Registers {
    /// Cells of x, made ready.
    type X: Copy;
    /// A cell of y, made ready.
    type Y: Copy;
    /// Sums of products: words in memory.
    type Sum: Copy;
    /// Lanes of a register.
    const LANES: usize;
    /// Rows in a block of one register of lanes, and in a block of two: 4, 6, 8 or 16.
    const ROWS: [usize; 2];
    /// Whether the sums are of unsigned bytes, so that something must be taken off.
    const MOVED: bool;
    unsafe fn x(from: *const u8) -> Self::X;
    unsafe fn y(from: *const u8) -> Self::Y;
    unsafe fn zero() -> Self::Sum;
    unsafe fn add(sum: Self::Sum, x: Self::X, y: Self::Y) -> Self::Sum;
    unsafe fn load(from: *const f32) -> Self::Sum;
    unsafe fn store(sum: Self::Sum, to: *mut f32);
    /// Writes the result; `moved` is what the sum is too large by.
    unsafe fn finish(sum: Self::Sum, moved: i32, to: *mut f32);
}

/// The work of [`super::multiply`].
///
/// # Safety
/// The way is open for the encoding, and the product has the shape that [`super::multiply`] checks.
pub(super) unsafe fn multiply(way: Way, encoding: Encoding, product: Product<'_>) {
    // SAFETY: the caller's promises.
    unsafe {
        match (way, encoding) {
            (Way::Avx2, Encoding::Int8) => avx2::<Avx2Int8>(product),
            (Way::Avx2, Encoding::Int16) => avx2::<Avx2Int16>(product),
            (Way::Avx2, Encoding::Bf16) => avx2::<Avx2Bf16>(product),
            (Way::AvxVnni, Encoding::Int8) => avx_vnni::<AvxVnniInt8>(product),
            (Way::AvxVnni, Encoding::Int16) => avx_vnni::<AvxVnniInt16>(product),
            (Way::Avx512, Encoding::Int16) => avx512::<Avx512Int16>(product),
            (Way::Avx512, Encoding::Bf16) => avx512::<Avx512Bf16>(product),
            (Way::Avx512Vnni, Encoding::Int8) => avx512_vnni::<Avx512VnniInt8>(product),
            (Way::Avx512Vnni, Encoding::Int16) => avx512_vnni::<Avx512VnniInt16>(product),
            _ => unreachable!("a way that is not open"),
        }
    }
}

/// Functions compiled for the instructions of a way.
macro_rules! enter {
    ($($name:ident $features:literal;)*) => {
        $(
            /// # Safety
            /// As for [`multiply`].
            #[target_feature(enable = $features)]
            unsafe fn $name<R: Registers>(product: Product<'_>) {
                // SAFETY: the caller's promises.
                unsafe { run::<R>(product) }
            }
        )*
    };
}

enter! {
    avx2 "avx2,fma";
    avx_vnni "avx2,fma,avxvnni";
    avx512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma";
    avx512_vnni "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma";
}

/// What of the sums of a block happens in memory.
#[derive(Clone, Copy)]
struct Ends<'a> {
    /// Nothing was summed before.
    first: bool,
    /// Nothing will be: what each row of the group is too large by, where it is.
    last: Option<&'a [i32]>,
}

/// # Safety
/// As for [`multiply`].
#[inline(always)]
unsafe fn run<R: Registers>(mut product: Product<'_>) {
    let (steps, rows) = (product.steps, product.groups * GROUP);
    let slice = product.slice(SLICE);
    let parts = product.strips() * steps.div_ceil(slice) * product.groups.div_ceil(TOGETHER);
    let lines = product.lines(parts);
    for group in (0..product.groups).step_by(TOGETHER) {
        for step in (0..steps).step_by(slice) {
            let length = slice.min(steps - step);
            for strip in 0..product.strips() {
                product.next.ask(lines);
                let used = product.used(strip);
                let mut lane = 0;
                while lane < used {
                    let two = lane + R::LANES < used;
                    for group in group..product.groups.min(group + TOGETHER) {
                        let moved = if R::MOVED { &product.moved[group * GROUP..][..GROUP] } else { &[] };
                        let ends = Ends { first: step == 0, last: (step + length == steps).then_some(moved) };
                        // SAFETY: the strip and the group have the steps, and the result has the group's rows; both
                        // registers end within the strip, because lanes come in whole blocks.
                        unsafe {
                            let x = product.x.as_ptr().add((strip * steps + step) * 2 * TILE + offset(lane));
                            let y = product.y.as_ptr().add((group * steps + step) * TILE);
                            let out = product.out.as_mut_ptr().add(strip * rows + group * GROUP);
                            let out = out.cast::<f32>().add(lane);
                            if two {
                                one_group::<R, 2>(x, y, length, out, ends);
                            } else {
                                one_group::<R, 1>(x, y, length, out, ends);
                            }
                        }
                    }
                    lane += 2 * R::LANES;
                }
            }
        }
    }
}

/// Where a lane begins in a step of a strip.
#[inline(always)]
const fn offset(lane: usize) -> usize {
    lane / (STRIP / 2) * TILE + lane % (STRIP / 2) * CELL
}

/// # Safety
/// As for [`block`] with 16 rows.
#[inline(always)]
unsafe fn one_group<R: Registers, const WIDTH: usize>(
    x: *const u8,
    y: *const u8,
    steps: usize,
    out: *mut f32,
    ends: Ends<'_>,
) {
    // SAFETY: the caller's promises; the rows add up to 16.
    unsafe {
        match R::ROWS[WIDTH - 1] {
            4 => {
                for row in (0..GROUP).step_by(4) {
                    block::<R, 4, WIDTH>(x, y, steps, out, ends, row);
                }
            }
            6 => {
                block::<R, 6, WIDTH>(x, y, steps, out, ends, 0);
                block::<R, 6, WIDTH>(x, y, steps, out, ends, 6);
                block::<R, 4, WIDTH>(x, y, steps, out, ends, 12);
            }
            8 => {
                for row in (0..GROUP).step_by(8) {
                    block::<R, 8, WIDTH>(x, y, steps, out, ends, row);
                }
            }
            _ => block::<R, 16, WIDTH>(x, y, steps, out, ends, 0),
        }
    }
}

/// The sums of `ROWS` rows of a group from `row` with `WIDTH` registers of lanes.
///
/// # Safety
/// `x` leads to the first of the lanes in `steps` steps of a strip, `y` to as many of a group, `out` to the first of
/// the lanes in the rows of the group; `ROWS` rows and `WIDTH` registers are there.
#[inline(always)]
unsafe fn block<R: Registers, const ROWS: usize, const WIDTH: usize>(
    mut x: *const u8,
    y: *const u8,
    steps: usize,
    out: *mut f32,
    ends: Ends<'_>,
    row: usize,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let mut y = y.add(row * STEP);
        let out = out.add(row * STRIP);
        let mut sums = [[R::zero(); WIDTH]; ROWS];
        if !ends.first {
            for (j, sums) in sums.iter_mut().enumerate() {
                for (h, sum) in sums.iter_mut().enumerate() {
                    *sum = R::load(out.add(j * STRIP + h * R::LANES));
                }
            }
        }
        for _ in 0..steps {
            for _ in 0..CELLS / UNROLLED {
                for _ in 0..UNROLLED {
                    let mut cells = [R::x(x); WIDTH];
                    for (h, cells) in cells.iter_mut().enumerate().skip(1) {
                        *cells = R::x(x.add(offset(h * R::LANES)));
                    }
                    for (j, sums) in sums.iter_mut().enumerate() {
                        let y = R::y(y.add(j * STEP));
                        for (sum, &x) in sums.iter_mut().zip(&cells) {
                            *sum = R::add(*sum, x, y);
                        }
                    }
                    x = x.wrapping_add(STEP);
                    y = y.wrapping_add(CELL);
                }
            }
            x = x.wrapping_add(TILE);
            y = y.wrapping_add(TILE - STEP);
        }
        for (j, sums) in sums.into_iter().enumerate() {
            for (h, sum) in sums.into_iter().enumerate() {
                let out = out.add(j * STRIP + h * R::LANES);
                match ends.last {
                    Some(moved) => R::finish(sum, if R::MOVED { moved[row + j] } else { 0 }, out),
                    None => R::store(sum, out),
                }
            }
        }
    }
}
