//! A borrowed one-dimensional array of one dtype: strided, reversed, unaligned or byte-swapped, read without a copy.
//!
//! Kernels never see strides. They read a column block by block into buffers that stay in the L1 cache, as keys
//! ([`Column::keys`]) or as float64 ([`Column::floats`]).

use crate::key::{Bool, Element, Key};
use half::{bf16, f16};

/// The element types of a [`Column`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dtype {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Dtype {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// Runs `$body` with the type `$t` bound to the element type of a [`Dtype`].
macro_rules! with_element {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::column::Dtype::Bool => {
                type $t = $crate::key::Bool;
                $body
            }
            $crate::column::Dtype::I8 => {
                type $t = i8;
                $body
            }
            $crate::column::Dtype::I16 => {
                type $t = i16;
                $body
            }
            $crate::column::Dtype::I32 => {
                type $t = i32;
                $body
            }
            $crate::column::Dtype::I64 => {
                type $t = i64;
                $body
            }
            $crate::column::Dtype::U8 => {
                type $t = u8;
                $body
            }
            $crate::column::Dtype::U16 => {
                type $t = u16;
                $body
            }
            $crate::column::Dtype::U32 => {
                type $t = u32;
                $body
            }
            $crate::column::Dtype::U64 => {
                type $t = u64;
                $body
            }
            $crate::column::Dtype::F16 => {
                type $t = ::half::f16;
                $body
            }
            $crate::column::Dtype::Bf16 => {
                type $t = ::half::bf16;
                $body
            }
            $crate::column::Dtype::F32 => {
                type $t = f32;
                $body
            }
            $crate::column::Dtype::F64 => {
                type $t = f64;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// A Rust type that has a [`Dtype`].
pub trait HasDtype: Element {
    /// Its dtype.
    const DTYPE: Dtype;
}
macro_rules! impl_dtype { ($($t:ty, $dtype:ident;)*) => { $(impl HasDtype for $t { const DTYPE: Dtype = Dtype::$dtype; })* } }
impl_dtype! {
    Bool, Bool; i8, I8; i16, I16; i32, I32; i64, I64; u8, U8; u16, U16; u32, U32; u64, U64;
    f16, F16; bf16, Bf16; f32, F32; f64, F64;
}

/// A borrowed strided column.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    bytes: &'a [u8],
    first: usize,
    stride: isize,
    len: usize,
    dtype: Dtype,
    swapped: bool,
}

impl<'a> Column<'a> {
    /// The elements at byte offsets `first + i * stride` of `bytes`, `i < len`; `swapped` if they are of the other
    /// byte order.
    ///
    /// # Panics
    /// If an element lies outside `bytes`.
    pub fn new(bytes: &'a [u8], first: usize, stride: isize, len: usize, dtype: Dtype, swapped: bool) -> Self {
        if len > 0 {
            let last = first as i128 + stride as i128 * (len as i128 - 1);
            let end = bytes.len() as i128 - dtype.size() as i128;
            assert!(first as i128 <= end && (0..=end).contains(&last), "column reaches outside its bytes");
        }
        Self { bytes, first, stride, len, dtype, swapped: swapped && dtype.size() > 1 }
    }

    /// A contiguous column.
    pub fn from_slice<T: HasDtype>(values: &'a [T]) -> Self {
        Self::new(bytemuck::cast_slice(values), 0, size_of::<T>() as isize, values.len(), T::DTYPE, false)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The elements from `at` on, `len` of them.
    pub fn slice(&self, at: usize, len: usize) -> Self {
        assert!(at + len <= self.len, "slice of a column out of range");
        let first = if len == 0 { 0 } else { (self.first as isize + self.stride * at as isize) as usize };
        Self { first, len, ..*self }
    }

    /// Asks for the cache line of an element ahead of its use.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: usize) {
        crate::simd::prefetch(self.bytes.as_ptr().wrapping_offset(self.first as isize + self.stride * index as isize));
    }

    /// One element. `T` must be the type of the dtype.
    #[inline(always)]
    pub(crate) fn get<T: Element>(&self, index: usize) -> T {
        let at = (self.first as isize + self.stride * index as isize) as usize;
        let value: T = bytemuck::pod_read_unaligned(&self.bytes[at..at + size_of::<T>()]);
        if self.swapped { value.swap_bytes() } else { value }
    }

    /// The elements `at .. at + count` if they lie as a slice in memory. `T` must be the type of the dtype.
    #[inline(always)]
    pub(crate) fn as_slice<T: Element>(&self, at: usize, count: usize) -> Option<&'a [T]> {
        let size = size_of::<T>();
        if self.stride != size as isize || self.swapped || count == 0 {
            return None;
        }
        let from = self.first + at * size;
        bytemuck::try_cast_slice(&self.bytes[from..from + count * size]).ok()
    }

    /// Writes what `each` makes of the elements `at .. at + out.len()`. `T` must be the type of the dtype.
    #[inline(always)]
    pub(crate) fn fill<T: Element, U>(&self, at: usize, out: &mut [U], mut each: impl FnMut(T) -> U) {
        match self.as_slice::<T>(at, out.len()) {
            // Two slices side by side, without an index: the compiler vectorises this.
            Some(values) => out.iter_mut().zip(values).for_each(|(slot, &value)| *slot = each(value)),
            None => out.iter_mut().enumerate().for_each(|(i, slot)| *slot = each(self.get(at + i))),
        }
    }

    /// Writes the keys of the elements `at .. at + out.len()`, widened to `K`. True if one of them is NaN.
    #[inline(always)]
    pub(crate) fn keys<K: Key>(&self, at: usize, out: &mut [K]) -> bool {
        let mut nan = false;
        with_element!(self.dtype, T => self.fill(at, out, |value: T| {
            nan |= value.is_nan();
            K::from_u64(value.key().to_u64())
        }));
        nan
    }

    /// Writes the elements `at .. at + out.len()` as float64.
    #[inline(always)]
    pub(crate) fn floats(&self, at: usize, out: &mut [f64]) {
        with_element!(self.dtype, T => self.fill(at, out, |value: T| value.to_f64()))
    }

    /// Writes the elements at `rows` as float64.
    pub(crate) fn gather(&self, rows: &[i64], out: &mut [f64]) {
        with_element!(self.dtype, T => {
            for (slot, &row) in out.iter_mut().zip(rows) {
                assert!((0..self.len as i64).contains(&row), "a row outside the column");
                *slot = self.get::<T>(row as usize).to_f64();
            }
        })
    }

    /// Whether the element is NaN.
    pub(crate) fn is_nan(&self, index: usize) -> bool {
        with_element!(self.dtype, T => self.get::<T>(index).is_nan())
    }

    /// The element as a person would write it.
    pub fn text(&self, index: usize) -> String {
        with_element!(self.dtype, T => self.get::<T>(index).text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_offsets_and_byte_order_are_read_alike() {
        let values: Vec<f32> = (0..20).map(|i| i as f32 - 7.5).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let backwards = Column::new(bytes, 76, -8, 10, Dtype::F32, false);
        let mut out = [0.0; 10];
        backwards.floats(0, &mut out);
        assert_eq!(out.to_vec(), (0..10).map(|i| f64::from(values[19 - 2 * i])).collect::<Vec<_>>());
        backwards.slice(2, 3).floats(1, &mut out[..2]);
        assert_eq!(out[..2], [f64::from(values[13]), f64::from(values[11])]);

        let mut shifted = vec![0u8];
        shifted.extend(values.iter().flat_map(|v| v.to_bits().swap_bytes().to_ne_bytes()));
        let swapped = Column::new(&shifted, 1, 4, 20, Dtype::F32, true);
        let (mut a, mut b) = ([0u32; 20], [0u32; 20]);
        assert!(!swapped.keys(0, &mut a) && !Column::from_slice(&values).keys(0, &mut b));
        assert_eq!(a, b);
        assert_eq!(swapped.text(0), "-7.5");
    }

    #[test]
    #[should_panic(expected = "outside its bytes")]
    fn a_column_cannot_reach_outside_its_bytes() {
        Column::new(&[0; 16], 8, -8, 3, Dtype::F64, false);
    }
}
