//! Products of numbers of 8 or 16 bits, four bytes (a *cell*) at a time.
//!
//! The rows of x are lanes and come in strips of 32; the rows of y come in groups of 16. Both are cut into steps of 64
//! bytes, laid out as the tile registers of AMX want them, which suits vector registers as well:
//!
//! * a step of a strip is `[half of the lanes: 2][cell: 16][lane of the half: 16][byte: 4]`,
//! * a step of a group is `[row: 16][byte: 64]`.
//!
//! Bytes of x are stored moved by 128, that is unsigned, because the instructions that multiply bytes want one factor
//! unsigned; what this adds to a product is 128 times the sum of the row of y, which is taken off at the end.
//!
//! There are several ways to make the products, of which a processor can go some: each is a [`Unit`]. All units agree in the
//! integer encodings; in [`Encoding::Bf16`] they add in different orders.

#[cfg(target_arch = "x86_64")]
mod amx;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::{Ahead, Isa, STRIP, Strip, call};

/// What the four bytes of a cell hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Four signed bytes in -127..=127.
    Int8,
    /// Two `i16`.
    Int16,
    /// Two bf16: the upper halves of float32.
    Bf16,
}

impl Encoding {
    /// Numbers in a cell.
    pub fn numbers(self) -> usize {
        match self {
            Self::Int8 => 4,
            Self::Int16 | Self::Bf16 => 2,
        }
    }
}

/// Rows of y in a group.
pub(crate) const GROUP: usize = 16;

/// Bytes of a row in a step.
pub(crate) const STEP: usize = 64;

/// Bytes of a cell.
const CELL: usize = 4;

/// Cells of a row in a step.
const CELLS: usize = STEP / CELL;

/// Bytes of a step of a group, and of a step of half a strip.
const TILE: usize = GROUP * STEP;

/// A way to make products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Way {
    /// From the slowest to the fastest.
    const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vnni,
        #[cfg(target_arch = "x86_64")]
        Self::Amx,
    ];

    /// Whether this processor can go it for that encoding with the instructions of `isa` and those that belong to no level.
    fn is_open(self, isa: Isa, encoding: Encoding) -> bool {
        let _ = (isa, encoding);
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => isa.has_vectors(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => isa.has_vectors() && encoding != Encoding::Bf16 && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => isa.name() == "v4" && encoding != Encoding::Int8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                isa.name() == "v4" && encoding != Encoding::Bf16 && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Amx => isa.name() == "v4" && amx::is_open(encoding),
        }
    }
}

/// A way to make the products of an encoding which this processor can go: values exist for no other, which makes
/// [`multiply`] safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    way: Way,
    isa: Isa,
    encoding: Encoding,
}

impl Unit {
    /// The fastest.
    pub fn best(isa: Isa, encoding: Encoding) -> Self {
        let way = *Way::ALL.iter().rfind(|way| way.is_open(isa, encoding)).expect("the portable way is always open");
        Self { way, isa, encoding }
    }

    /// All of them, the portable one first.
    #[cfg(test)]
    pub fn all(isa: Isa, encoding: Encoding) -> Vec<Self> {
        let open = Way::ALL.iter().filter(|way| way.is_open(isa, encoding));
        open.map(|&way| Self { way, isa, encoding }).collect()
    }

    /// What it multiplies.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// `portable`, or the instructions that it uses.
    pub fn name(self) -> &'static str {
        match self.way {
            Way::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Way::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Way::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Way::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Way::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Way::Amx => "amx",
        }
    }
}

/// What a unit is given, of checked shape.
struct Product<'a> {
    x: &'a [u8],
    y: &'a [u8],
    steps: usize,
    lanes: usize,
    groups: usize,
    moved: &'a [i32],
    next: Ahead,
    out: &'a mut [Strip<f32>],
}

/// Groups that are multiplied together with a strip.
#[cfg(target_arch = "x86_64")]
const TOGETHER: usize = 2;

impl Product<'_> {
    fn strips(&self) -> usize {
        self.lanes.div_ceil(STRIP)
    }

    /// Lanes that count in a strip.
    #[inline(always)]
    fn used(&self, strip: usize) -> usize {
        (self.lanes - strip * STRIP).min(STRIP)
    }

    /// Steps of a slice, at most `most`: all slices are about the same.
    #[cfg(target_arch = "x86_64")]
    fn slice(&self, most: usize) -> usize {
        self.steps.div_ceil(self.steps.div_ceil(most))
    }

    /// Cache lines to ask for with each of so many parts of the work.
    fn lines(&self, parts: usize) -> usize {
        self.next.lines().div_ceil(parts)
    }
}

/// `out[s * rows + j].0[i] = sum over cells of the products of row j of y and lane i of strip s of x`, for the `rows` of all
/// groups of y and `lanes` lanes; what the other lanes of the last strip get is unspecified.
///
/// In [`Encoding::Int8`] x holds unsigned bytes, the values plus 128, and `moved` holds 128 times the sum of each row of y;
/// otherwise `moved` is empty. Sums of integers must fit 32 bits; the result is the `f32` nearest to it. In
/// [`Encoding::Bf16`] numbers must not be subnormal, and products or sums that are may count as zero. Padding behind the
/// columns must be zero in y and may be anything (finite) in x.
///
/// Meanwhile the processor is asked for the cache lines of `next`, which may be any memory.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn multiply(
    unit: Unit,
    x: &[u8],
    y: &[u8],
    [steps, lanes]: [usize; 2],
    moved: &[i32],
    next: &[u8],
    out: &mut [Strip<f32>],
) {
    if steps == 0 || y.is_empty() || lanes == 0 {
        out.fill(Strip::default());
        return;
    }
    // Divisions, because a product of lengths that do not fit could wrap around.
    let (strips, strip) = (lanes.div_ceil(STRIP), steps * 2 * TILE);
    assert!(steps <= y.len() / TILE && y.len().is_multiple_of(steps * TILE), "groups of the wrong shape");
    let groups = y.len() / (steps * TILE);
    let rows = groups * GROUP;
    assert!(x.len().is_multiple_of(strip) && x.len() / strip == strips, "strips of the wrong shape");
    assert!(out.len().is_multiple_of(rows) && out.len() / rows == strips, "a result of the wrong shape");
    let corrections = if unit.encoding == Encoding::Int8 { rows } else { 0 };
    assert_eq!(moved.len(), corrections, "a correction for each row of bytes");
    let next = Ahead::new(next.as_ptr_range());
    let product = Product { x, y, steps, lanes, groups, moved, next, out };
    match unit.way {
        Way::Portable => call(unit.isa, portable::Multiply(unit.encoding, product)),
        // SAFETY: the unit exists, so the processor has the instructions; the shape is checked.
        #[cfg(target_arch = "x86_64")]
        Way::Amx => unsafe { amx::multiply(unit.encoding, product) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Way::Avx2 | Way::AvxVnni | Way::Avx512 | Way::Avx512Vnni => unsafe {
            x86::multiply(unit.way, unit.encoding, product)
        },
    }
}
