//! Vector quicksort of unsigned keys, in place.
//!
//! A segment is partitioned around the median of a sample with vector splits ([`partition`]) until it fits the
//! registers, where a network sorts it ([`network`]). Keys equal to everything at their lower end are split off at
//! once, so few distinct values cost linear time; a segment that was cut badly too often is left to the standard
//! library's sort, so no input costs more than O(n log n). Memory: a few kilobytes of stack.
//!
//! The sequence of sorted keys is unique, so every instruction-set level and thread count gives the same bytes.
//! References: Bramas (2017), "A novel hybrid quicksort algorithm vectorized using AVX-512 on Intel Skylake"; Wassenberg
//! et al. (2022), "Vectorized and performance-portable quicksort".

mod buffer;
pub(crate) mod distribute;
mod network;
mod partition;

use crate::error::Result;
use crate::key::{Element, Key};
use crate::pool::Context;
use crate::simd::{self, Level, Op, Vector};
use network::{small_len, sort_small};
use partition::partition;

/// Keys that have a vector sort: `u32` and `u64`.
pub trait SortKey: Key {
    /// The vector of these keys at a level.
    #[doc(hidden)]
    type VectorOf<L: Level>: Vector<Key = Self>;
}
impl SortKey for u32 {
    type VectorOf<L: Level> = L::U32;
}
impl SortKey for u64 {
    type VectorOf<L: Level> = L::U64;
}

/// Sorts the keys in ascending order. Fails only if the caller interrupts it, and then leaves them in any order.
pub fn sort<K: SortKey>(keys: &mut [K], context: &Context) -> Result<()> {
    simd::call(context.isa, SortAtLevel { keys, context })
}

/// Sorts floats in ascending order, -0 like 0; none may be NaN. Fails like [`sort`].
pub(crate) fn sort_floats(values: &mut [f64], context: &Context) -> Result<()> {
    const TOP: u64 = 1 << 63;
    for value in values.iter_mut() {
        *value = f64::from_bits(value.key());
    }
    let sorted = sort(bytemuck::cast_slice_mut::<f64, u64>(values), context);
    for value in values {
        // The key is the number of floats above 0, plus 2^63.
        let signed = (value.to_bits() ^ TOP) as i64;
        *value = f64::from_bits(signed.unsigned_abs() | if signed < 0 { TOP } else { 0 });
    }
    sorted
}

struct SortAtLevel<'a, K> {
    keys: &'a mut [K],
    context: &'a Context<'a>,
}

impl<K: SortKey> Op for SortAtLevel<'_, K> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        sort_in_level::<K, L>(self.keys, self.context)
    }
}

/// The same inside an operation that already runs at level `L`.
#[inline(always)]
pub(crate) fn sort_in_level<K: SortKey, L: Level>(keys: &mut [K], context: &Context) -> Result<()> {
    if context.isa.has_vectors() {
        Sort { cuts: most_cuts(keys.len()), keys, context }.run::<L>()
    } else {
        // Measured 3 to 5 times as fast as the networks on portable lanes.
        keys.sort_unstable();
        Ok(())
    }
}

/// Random pivots cut to twice the depth of a perfect tree about never.
#[inline(always)]
fn most_cuts(len: usize) -> u32 {
    2 * (len | 1).ilog2() + 8
}

/// The same by the algorithm of this module, on portable lanes too.
#[cfg(test)]
fn vector_sort<K: SortKey>(keys: &mut [K], context: &Context) -> Result<()> {
    simd::call(context.isa, Sort { cuts: most_cuts(keys.len()), keys, context })
}

struct Sort<'a, K> {
    keys: &'a mut [K],
    context: &'a Context<'a>,
    /// How often a segment may be cut before it is left to the standard library.
    cuts: u32,
}

impl<K: SortKey> Op for Sort<'_, K> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        // SAFETY: this runs inside `simd::call`.
        unsafe { quicksort::<K::VectorOf<L>>(self.keys, self.context, self.cuts) }
    }
}

/// A part still to be sorted: no key of it is below `floor`.
#[derive(Clone, Copy)]
struct Segment<K> {
    start: usize,
    len: usize,
    floor: K,
    cuts_left: u32,
}

/// The larger part of each cut waits, so the stack never holds more than log2(len) segments.
const STACK: usize = usize::BITS as usize + 2;

/// # Safety
/// Must run inside `simd::call`.
#[inline(always)]
unsafe fn quicksort<V: Vector>(keys: &mut [V::Key], context: &Context, cuts: u32) -> Result<()> {
    let (p, len) = (keys.as_mut_ptr(), keys.len());
    let mut waiting = [Segment { start: 0, len, floor: V::Key::MIN, cuts_left: cuts }; STACK];
    let mut count = 1;
    while count > 0 {
        count -= 1;
        let Segment { start, len, floor, cuts_left } = waiting[count];
        // SAFETY: segments lie inside `keys`, and no other reference to it is used meanwhile.
        let segment = unsafe { std::slice::from_raw_parts_mut(p.add(start), len) };
        if len <= small_len::<V>() {
            // SAFETY: inside `simd::call`, and the segment is small.
            unsafe { sort_small::<V>(segment) };
            continue;
        }
        context.check()?;
        if cuts_left == 0 {
            segment.sort_unstable();
            continue;
        }
        // SAFETY: inside `simd::call`.
        let pivot = unsafe { choose_pivot::<V>(segment) };
        // Nothing is below the floor: then cut off the keys that equal it, which need no more sorting.
        let at_floor = pivot == floor;
        let bound = if at_floor { V::Key::from_u64(pivot.to_u64().wrapping_add(1)) } else { pivot };
        if at_floor && pivot == V::Key::MAX {
            continue;
        }
        // SAFETY: inside `simd::call`, and the segment is not small.
        let below = unsafe { partition::<V>(segment, bound) };
        let left = Segment { start, len: below, floor, cuts_left: cuts_left - 1 };
        let right = Segment { start: start + below, len: len - below, floor: bound, cuts_left: cuts_left - 1 };
        if at_floor {
            waiting[count] = right;
            count += 1;
        } else {
            let right_waits = right.len > left.len;
            waiting[count] = if right_waits { right } else { left };
            waiting[count + 1] = if right_waits { left } else { right };
            count += 2;
        }
    }
    Ok(())
}

/// The median of a sample that grows with the segment. The places are pseudo-random but fixed, so that no common
/// pattern of the data meets them and every run takes the same steps.
///
/// # Safety
/// Must run inside `simd::call`; the segment is not empty.
#[inline(always)]
unsafe fn choose_pivot<V: Vector>(segment: &[V::Key]) -> V::Key {
    let len = segment.len();
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ len as u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((u128::from(state) * len as u128) >> 64) as usize
    };
    if len < 2048 {
        let median = |a: V::Key, b: V::Key, c: V::Key| a.min(b).max(a.max(b).min(c));
        let step = len / 9;
        let at = draw() % step;
        let get = |i: usize| segment[at + i * step];
        return median(median(get(0), get(3), get(6)), median(get(1), get(4), get(7)), median(get(2), get(5), get(8)));
    }
    let mut sample = [V::Key::MIN; 64];
    let count = if len < 16384 { 16 } else { 64 };
    for slot in &mut sample[..count] {
        // SAFETY: `draw` is below `len`.
        *slot = unsafe { *segment.get_unchecked(draw()) };
    }
    // SAFETY: inside `simd::call`; 64 keys are small at every level.
    unsafe { sort_small::<V>(&mut sample[..count]) };
    sample[count / 2]
}

#[cfg(test)]
mod tests;
