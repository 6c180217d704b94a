//! Lanes in plain Rust: what the vectors mean, for tests on any processor and for Miri. Nothing that is timed uses them.

use super::Vector;
use crate::key::Key;

#[derive(Clone, Copy)]
pub struct Lanes<K, const N: usize>([K; N]);

impl<K: Key, const N: usize> Vector for Lanes<K, N> {
    type Key = K;
    type Half = Self;
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat(key: K) -> Self {
        Self([key; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const K) -> Self {
        // SAFETY: the caller gives LANES readable keys; the array has no stricter alignment than its keys.
        Self(unsafe { from.cast::<[K; N]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut K) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<[K; N]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn load_head(from: *const K, count: usize) -> Self {
        let mut lanes = [K::MAX; N];
        // SAFETY: the caller gives `count <= N` readable keys.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut K, begin: usize, end: usize) {
        // SAFETY: the caller gives room for `end - begin` keys, and `begin <= end <= N`.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr().add(begin), to, end - begin) }
    }

    #[inline(always)]
    unsafe fn min_max(self, other: Self) -> (Self, Self) {
        let (mut low, mut high) = (self.0, other.0);
        for i in 0..N {
            (low[i], high[i]) = (self.0[i].min(other.0[i]), self.0[i].max(other.0[i]));
        }
        (Self(low), Self(high))
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        let mut lanes = self.0;
        lanes.reverse();
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        let (mut first, mut second) = (self.0, self.0);
        for i in 0..N / 2 {
            (first[2 * i], first[2 * i + 1]) = (self.0[i], other.0[i]);
            (second[2 * i], second[2 * i + 1]) = (self.0[N / 2 + i], other.0[N / 2 + i]);
        }
        (Self(first), Self(second))
    }

    #[inline(always)]
    unsafe fn split(self, pivot: Self) -> (Self, usize) {
        let mut lanes = self.0;
        // SAFETY: the lanes below `pivot` are counted first, so both cursors stay inside the array.
        let below = unsafe { self.count_below(pivot) };
        let (mut left, mut right) = (0, below);
        for i in 0..N {
            let is_below = self.0[i] < pivot.0[i];
            lanes[if is_below { left } else { right }] = self.0[i];
            left += is_below as usize;
            right += !is_below as usize;
        }
        (Self(lanes), below)
    }

    #[inline(always)]
    unsafe fn count_below(self, bound: Self) -> usize {
        (0..N).map(|i| (self.0[i] < bound.0[i]) as usize).sum()
    }
}
