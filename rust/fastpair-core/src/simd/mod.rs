//! The only module that knows instruction sets: which there are, how to enter code compiled for one, and the vectors of
//! keys that each offers.
//!
//! An [`Op`] is a piece of work written once. [`call`] enters a function compiled for the chosen level and runs the op
//! there. `Op::run` and everything below it that matters is `#[inline(always)]`, so it is compiled anew for each level:
//! plain loops are vectorised by the compiler, and the methods of [`Vector`] become single instructions. Closures that
//! hold vector code must be avoided: they can silently be compiled without the level's features.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod float;
#[cfg(target_arch = "x86_64")]
mod float_x86;
pub(crate) mod math;
pub(crate) mod narrow;
mod portable;
pub(crate) mod scan;
pub(crate) mod special;

use crate::error::{Error, Result};
use crate::key::Key;
pub use float::Real;
pub(crate) use float::{Doubles, Floats};
use std::sync::atomic::{AtomicU8, Ordering};

/// Lanes that are worked on side by side: the rows of x in a strip.
pub const STRIP: usize = 32;

/// A number for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Strip<T>(pub [T; STRIP]);

/// A register of unsigned keys.
///
/// # Safety
/// The methods may only run inside [`call`] (the processor must have the level's instructions), and each says which
/// memory it touches.
pub trait Vector: Copy {
    /// The type of a lane.
    type Key: Key;
    /// The next narrower vector, for small blocks; `Self` where there is none.
    type Half: Vector<Key = Self::Key>;
    /// Keys in a register: a power of two.
    const LANES: usize;
    /// All lanes the same.
    unsafe fn splat(key: Self::Key) -> Self;
    /// Reads `LANES` keys.
    unsafe fn load(from: *const Self::Key) -> Self;
    /// Writes `LANES` keys.
    unsafe fn store(self, to: *mut Self::Key);
    /// Reads `count <= LANES` keys; the lanes behind them hold the largest key.
    unsafe fn load_head(from: *const Self::Key, count: usize) -> Self;
    /// Writes the lanes `begin .. end` to `to .. to + (end - begin)` and touches nothing else.
    unsafe fn store_lanes(self, to: *mut Self::Key, begin: usize, end: usize);
    /// The smaller and the larger key of each lane.
    unsafe fn min_max(self, other: Self) -> (Self, Self);
    /// The lanes in reversed order.
    unsafe fn reverse(self) -> Self;
    /// `a0 b0 a1 b1 ..`: the lanes of both, interleaved.
    unsafe fn zip(self, other: Self) -> (Self, Self);
    /// Moves the lanes below `pivot` to the bottom and the others to the top. The number of those below.
    unsafe fn split(self, pivot: Self) -> (Self, usize);
    /// Writes the lanes below `pivot` from `left` up and the others so that they end at `right`. How many were below.
    /// All of `left .. left + LANES` and `right - LANES .. right` may be overwritten.
    #[inline(always)]
    unsafe fn split_store(self, pivot: Self, left: *mut Self::Key, right: *mut Self::Key) -> usize {
        // SAFETY: the caller gives LANES writable keys at both places.
        unsafe {
            let (lanes, below) = self.split(pivot);
            lanes.store(left);
            lanes.store(right.sub(Self::LANES));
            below
        }
    }
    /// How many lanes are smaller than those of `bound`.
    unsafe fn count_below(self, bound: Self) -> usize;
}

/// An instruction-set level: the vectors it offers.
pub trait Level {
    type U32: Vector<Key = u32>;
    type U64: Vector<Key = u64>;
    type F32: Floats<Element = f32>;
    type F64: Doubles;
}

/// Work that is compiled once for each level.
pub trait Op {
    type Out;
    /// Implementations are `#[inline(always)]`.
    fn run<L: Level>(self) -> Self::Out;
}

struct Base;
impl Level for Base {
    type U32 = portable::Lanes<u32, 4>;
    type U64 = portable::Lanes<u64, 2>;
    type F32 = float::Plain<f32, 4>;
    type F64 = float::Plain<f64, 2>;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Level, Op, avx2, avx512, float_x86};

    pub(super) struct V3;
    impl Level for V3 {
        type U32 = avx2::U32x8;
        type U64 = avx2::U64x4;
        type F32 = float_x86::F32x8;
        type F64 = float_x86::F64x4;
    }

    pub(super) struct V4;
    impl Level for V4 {
        type U32 = avx512::U32x16;
        type U64 = avx512::U64x8;
        type F32 = float_x86::F32x16;
        type F64 = float_x86::F64x8;
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,fma,f16c,lzcnt,popcnt")]
    pub(super) fn call_v3<O: Op>(op: O) -> O::Out {
        op.run::<V3>()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,fma,f16c,lzcnt,popcnt")]
    pub(super) fn call_v4<O: Op>(op: O) -> O::Out {
        op.run::<V4>()
    }

    pub(super) fn has_v3() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    pub(super) fn has_v4() -> bool {
        has_v3()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }
}

/// An instruction-set level that this processor has: values exist for no other, which makes [`call`] safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Tag);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Base,
    #[cfg(target_arch = "x86_64")]
    V3,
    #[cfg(target_arch = "x86_64")]
    V4,
}

/// The level in use as an index of [`Isa::available`] plus one; 0 before the first question.
static CURRENT: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// The levels of this processor, the plainest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self(Tag::Base)];
        #[cfg(target_arch = "x86_64")]
        {
            if x86::has_v3() {
                levels.push(Self(Tag::V3));
            }
            if x86::has_v4() {
                levels.push(Self(Tag::V4));
            }
        }
        levels
    }

    /// `base`, `v3` (AVX2) or `v4` (AVX-512).
    pub fn name(self) -> &'static str {
        match self.0 {
            Tag::Base => "base",
            #[cfg(target_arch = "x86_64")]
            Tag::V3 => "v3",
            #[cfg(target_arch = "x86_64")]
            Tag::V4 => "v4",
        }
    }

    /// Whether vectors of this level are registers.
    pub(crate) fn has_vectors(self) -> bool {
        self.0 != Tag::Base
    }

    /// The level of that name, if this processor has it.
    pub fn by_name(name: &str) -> Result<Self> {
        let available = Self::available();
        available.iter().find(|isa| isa.name() == name).copied().ok_or_else(|| Error::Isa {
            wanted: name.into(),
            available: available.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The level that `FASTPAIR_ISA` names, or else the best one.
    pub fn from_env() -> Result<Self> {
        match std::env::var("FASTPAIR_ISA") {
            Ok(name) if !name.is_empty() => Self::by_name(&name),
            _ => Ok(Self::best()),
        }
    }

    fn best() -> Self {
        *Self::available().last().expect("base is always there")
    }

    /// The level in use: the one given to [`Isa::set`], else that of the environment, else the best.
    pub fn current() -> Self {
        match CURRENT.load(Ordering::Relaxed) {
            0 => {
                let isa = Self::from_env().unwrap_or_else(|_| Self::best());
                isa.set();
                isa
            }
            index => Self::available_at(index),
        }
    }

    /// Makes this the level in use, in all threads.
    pub fn set(self) {
        let index = Self::available().iter().position(|&isa| isa == self).expect("a level that exists") + 1;
        CURRENT.store(index as u8, Ordering::Relaxed);
    }

    /// Levels are nested, so the index that [`Isa::set`] stored names the level without another look at the processor.
    fn available_at(index: u8) -> Self {
        match index {
            #[cfg(target_arch = "x86_64")]
            3 => Self(Tag::V4),
            #[cfg(target_arch = "x86_64")]
            2 => Self(Tag::V3),
            _ => Self(Tag::Base),
        }
    }
}

/// Runs `op` in code compiled for `isa`.
#[inline]
pub(crate) fn call<O: Op>(isa: Isa, op: O) -> O::Out {
    match isa.0 {
        Tag::Base => op.run::<Base>(),
        // SAFETY: an `Isa` exists only for levels whose features were detected on this processor.
        #[cfg(target_arch = "x86_64")]
        Tag::V3 => unsafe { x86::call_v3(op) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tag::V4 => unsafe { x86::call_v4(op) },
    }
}

/// Asks for the cache line at `place`, which may be any address, ahead of its use.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, and every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Memory that will be read soon, asked for bit by bit while something else is computed.
pub(crate) struct Ahead(std::ops::Range<*const u8>);

// SAFETY: nothing is read or written through the pointers; a processor may be asked for any address.
unsafe impl Send for Ahead {}

impl Ahead {
    pub fn new(span: std::ops::Range<*const u8>) -> Self {
        Self(span)
    }

    /// Nothing to ask for.
    pub fn none() -> Self {
        Self(std::ptr::null()..std::ptr::null())
    }

    /// Cache lines not asked for yet.
    #[inline(always)]
    pub fn lines(&self) -> usize {
        (self.0.end as usize - self.0.start as usize).div_ceil(64)
    }

    /// Asks for the next `lines`.
    #[inline(always)]
    pub fn ask(&mut self, lines: usize) {
        for _ in 0..lines.min(self.lines()) {
            prefetch(self.0.start);
            self.0.start = self.0.start.wrapping_add(64).min(self.0.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_unknown_ones_are_refused() {
        for isa in Isa::available() {
            assert_eq!(Isa::by_name(isa.name()), Ok(isa));
        }
        assert!(matches!(Isa::by_name("v9"), Err(Error::Isa { .. })));
    }

    /// Every vector operation of every level against its definition.
    struct Check(u64);
    impl Op for Check {
        type Out = ();
        #[inline(always)]
        fn run<L: Level>(self) {
            check::<L::U32>(self.0);
            check::<<L::U32 as Vector>::Half>(self.0);
            check::<L::U64>(self.0);
            check::<<L::U64 as Vector>::Half>(self.0);
        }
    }

    #[inline(always)]
    fn check<V: Vector>(seed: u64) {
        let n = V::LANES;
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Few distinct keys, both halves of the range.
            V::Key::from_u64((state >> 60) << (V::Key::BITS - 3) | (state >> 50) & 1)
        };
        let a: Vec<V::Key> = (0..n).map(|_| random()).collect();
        let b: Vec<V::Key> = (0..n).map(|_| random()).collect();
        let pivot = random();
        // SAFETY: the buffers hold `n` keys, and `call` checked the level.
        unsafe {
            let (va, vb) = (V::load(a.as_ptr()), V::load(b.as_ptr()));
            let get = |v: V| {
                let mut out = vec![V::Key::MIN; n];
                v.store(out.as_mut_ptr());
                out
            };
            let (low, high) = va.min_max(vb);
            assert_eq!(get(low), (0..n).map(|i| a[i].min(b[i])).collect::<Vec<_>>());
            assert_eq!(get(high), (0..n).map(|i| a[i].max(b[i])).collect::<Vec<_>>());
            assert_eq!(get(va.reverse()), a.iter().rev().copied().collect::<Vec<_>>());
            let (first, second) = va.zip(vb);
            let zipped: Vec<_> = (0..n).flat_map(|i| [a[i], b[i]]).collect();
            assert_eq!([get(first), get(second)].concat(), zipped);
            let (moved, below) = va.split(V::splat(pivot));
            let mut expected: Vec<_> = a.iter().copied().filter(|&k| k < pivot).collect();
            assert_eq!(below, expected.len());
            expected.extend(a.iter().copied().filter(|&k| k >= pivot));
            assert_eq!(get(moved), expected);
            let mut both = vec![V::Key::MIN; 2 * n];
            assert_eq!(va.split_store(V::splat(pivot), both.as_mut_ptr(), both.as_mut_ptr().add(2 * n)), below);
            assert_eq!(both[..below], expected[..below]);
            assert_eq!(both[n + below..], expected[below..]);
            assert_eq!(va.count_below(V::splat(pivot)), below);
            for count in 0..=n {
                let mut expected = a.clone();
                expected[count..].fill(V::Key::MAX);
                assert_eq!(get(V::load_head(a.as_ptr(), count)), expected);
                for begin in 0..=count {
                    let mut out = b.clone();
                    va.store_lanes(out.as_mut_ptr(), begin, count);
                    let mut expected = b.clone();
                    expected[..count - begin].copy_from_slice(&a[begin..count]);
                    assert_eq!(out, expected);
                }
            }
        }
    }

    #[test]
    fn vectors_do_what_they_say() {
        for isa in Isa::available() {
            for seed in 0..50 {
                call(isa, Check(seed));
            }
        }
    }
}
