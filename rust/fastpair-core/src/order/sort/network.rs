//! Sorting what fits the registers: columns by a fixed network, a transpose, then bitonic merges of the rows.

// Indices and not iterators: what a closure holds may be compiled without the level's instructions.
#![allow(clippy::needless_range_loop)]

use crate::key::Key;
use crate::simd::Vector;

/// Rows of the largest block.
const ROWS: usize = 16;

/// The longest segment that [`sort_small`] takes.
#[inline(always)]
pub(super) fn small_len<V: Vector>() -> usize {
    ROWS * V::LANES
}

/// Sorts at most [`small_len`] keys, in as few registers as they fit.
///
/// # Safety
/// Must run inside `simd::call`.
#[inline(always)]
pub(super) unsafe fn sort_small<V: Vector>(keys: &mut [V::Key]) {
    debug_assert!(keys.len() <= small_len::<V>());
    // SAFETY: as the caller promises; each block holds the keys.
    unsafe {
        if keys.len() <= 8 * V::Half::LANES {
            sort_block::<V::Half, 8>(keys);
        } else if keys.len() <= 16 * V::Half::LANES {
            sort_block::<V::Half, 16>(keys);
        } else {
            sort_block::<V, 16>(keys);
        }
    }
}

/// Comparators of the smallest known networks for 8 and 16 keys (Knuth, The Art of Computer Programming 3, 5.3.4).
macro_rules! network {
    ($v:ident: $($a:literal $b:literal),*) => { $( ($v[$a], $v[$b]) = unsafe { $v[$a].min_max($v[$b]) }; )* };
}

/// # Safety
/// Must run inside `simd::call`; `keys` fit R rows; R is 8 or 16.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks)] // register arithmetic inside `simd::call`, and rows that lie inside `keys`
unsafe fn sort_block<V: Vector, const R: usize>(keys: &mut [V::Key]) {
    let (p, len) = (keys.as_mut_ptr(), keys.len());
    let mut v = [unsafe { V::splat(V::Key::MAX) }; R];
    for i in 0..R {
        let at = (i * V::LANES).min(len);
        v[i] = unsafe { V::load_head(p.add(at), (len - at).min(V::LANES)) };
    }
    if R == 8 {
        network!(v: 0 2, 1 3, 4 6, 5 7, 0 4, 1 5, 2 6, 3 7, 0 1, 2 3, 4 5, 6 7, 2 4, 3 5, 1 4, 3 6, 1 2, 3 4, 5 6);
    } else {
        network!(v: 0 13, 1 12, 2 15, 3 14, 4 8, 5 6, 7 11, 9 10, 0 5, 1 7, 2 9, 3 4, 6 13, 8 14, 10 15, 11 12,
            0 1, 2 3, 4 5, 6 8, 7 9, 10 11, 12 13, 14 15, 0 2, 1 3, 4 10, 5 11, 6 7, 8 9, 12 14, 13 15,
            1 2, 3 12, 4 6, 5 7, 8 10, 9 11, 13 14, 1 4, 2 6, 5 8, 7 10, 9 13, 11 14, 2 4, 3 6, 9 12, 11 13,
            3 5, 6 8, 7 9, 10 12, 3 4, 5 6, 7 8, 9 10, 11 12, 6 7, 8 9);
    }
    // Zipping R rows log2(R) times transposes them: each sorted column becomes a run of R keys in memory order.
    for _ in 0..R.ilog2() {
        let rows = v;
        for i in 0..R / 2 {
            (v[2 * i], v[2 * i + 1]) = unsafe { rows[i].zip(rows[i + R / 2]) };
        }
    }
    // Runs of R keys fill R / LANES registers.
    const { assert!(R >= V::LANES && R.is_multiple_of(V::LANES)) };
    unsafe {
        if 2 * R <= 2 * V::LANES {
            merge_runs::<V, R, 2>(&mut v);
        }
        if 2 * R <= 4 * V::LANES {
            merge_runs::<V, R, 4>(&mut v);
        }
        if 2 * R <= 8 * V::LANES {
            merge_runs::<V, R, 8>(&mut v);
        }
        if R >= 16 {
            merge_runs::<V, R, 16>(&mut v);
        }
    }
    for i in 0..R {
        let at = (i * V::LANES).min(len);
        let count = (len - at).min(V::LANES);
        unsafe { v[i].store_lanes(p.add(at), 0, count) };
    }
}

/// Merges the two sorted halves of each group of K registers.
///
/// # Safety
/// Must run inside `simd::call`.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks)] // register arithmetic inside `simd::call`
unsafe fn merge_runs<V: Vector, const R: usize, const K: usize>(v: &mut [V; R]) {
    for group in 0..R / K {
        let at = group * K;
        // The second half backwards makes one bitonic sequence of the two.
        let copy = *v;
        for i in 0..K / 2 {
            (v[at + i], v[at + K / 2 + i]) = unsafe { copy[at + i].min_max(copy[at + K - 1 - i].reverse()) };
        }
        let mut distance = K / 4;
        while distance > 0 {
            for i in 0..K {
                if i & distance == 0 {
                    (v[at + i], v[at + i + distance]) = unsafe { v[at + i].min_max(v[at + i + distance]) };
                }
            }
            distance /= 2;
        }
        // Inside the registers: comparing, then zipping, LANES times halved, is a bitonic merge without shuffles.
        for i in 0..K / 2 {
            let (mut low, mut high) = unsafe { v[at + 2 * i].zip(v[at + 2 * i + 1]) };
            for _ in 0..V::LANES.ilog2() {
                (low, high) = unsafe { low.min_max(high) };
                (low, high) = unsafe { low.zip(high) };
            }
            (v[at + 2 * i], v[at + 2 * i + 1]) = (low, high);
        }
    }
}
