//! Every level and key width against the standard library's sort.

use super::*;
use crate::simd::Isa;
use proptest::prelude::*;

/// Key `i` of `n` for each pattern that has broken a quicksort before.
fn patterns(n: usize) -> Vec<(&'static str, Vec<u64>)> {
    let mut state = n as u64 + 1;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state ^ state >> 29
    };
    let mut draw = |f: &dyn Fn(u64, usize) -> u64| (0..n).map(|i| f(random(), i)).collect::<Vec<u64>>();
    vec![
        ("random", draw(&|r, _| r)),
        ("two values", draw(&|r, _| r >> 40 & 1)),
        ("extremes", draw(&|r, _| if r >> 40 & 1 == 1 { u64::MAX } else { 0 })),
        ("ten values", draw(&|r, _| ((r >> 32) % 10) << 29)),
        ("square roots", draw(&|r, _| ((r >> 40) as f64).sqrt() as u64)),
        ("mostly one", draw(&|r, _| if (r >> 40) % 10 == 0 { r } else { 1 << 31 })),
        ("sorted", draw(&|_, i| i as u64)),
        ("reversed", draw(&|_, i| u64::MAX - i as u64)),
        ("organ pipe", draw(&|_, i| i.min(n - i) as u64)),
        ("sawtooth", draw(&|_, i| (i % 37) as u64)),
        ("nearly sorted", draw(&|r, i| i as u64 + (r >> 60))),
        ("constant", draw(&|_, _| 7)),
        ("all largest", draw(&|_, _| u64::MAX)),
        ("all zero", draw(&|_, _| 0)),
    ]
}

fn check<K: SortKey>(isa: Isa, name: &str, keys: &[u64]) {
    let context = Context { isa, ..Context::new() };
    // Guards on both sides show stores that leave the slice.
    let guard = K::from_u64(0x5aa5_5aa5_5aa5_5aa5);
    let mut padded = vec![guard; keys.len() + 128];
    let inside = 64..64 + keys.len();
    padded[inside.clone()].iter_mut().zip(keys).for_each(|(slot, &key)| *slot = K::from_u64(key));
    let mut expected = padded.clone();
    expected[inside.clone()].sort_unstable();
    vector_sort(&mut padded[inside.clone()], &context).unwrap();
    assert!(padded == expected, "{name}, {} keys of {} bits, {}", keys.len(), K::BITS, isa.name());
    padded[inside.clone()].reverse();
    sort(&mut padded[inside], &context).unwrap();
    assert!(padded == expected, "{name}, {} keys of {} bits, {}", keys.len(), K::BITS, isa.name());
}

#[test]
fn every_small_size_and_pattern_is_sorted() {
    let sizes = if cfg!(miri) { vec![0, 1, 7, 33, 130, 300] } else { (0..700).collect() };
    for isa in Isa::available() {
        for &n in &sizes {
            for (name, keys) in patterns(n) {
                check::<u32>(isa, name, &keys);
                check::<u64>(isa, name, &keys);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow there; the small sizes take the same paths")]
fn large_sizes_are_sorted() {
    for isa in Isa::available() {
        for n in [1023, 1024, 4097, 16_383, 65_537, 300_001] {
            for (name, keys) in patterns(n) {
                check::<u32>(isa, name, &keys);
                check::<u64>(isa, name, &keys);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 200 }, ..ProptestConfig::default() })]
    #[test]
    fn any_keys_are_sorted(keys in prop::collection::vec(any::<u64>(), 0..3000), bits in 1u32..64) {
        let keys: Vec<u64> = keys.iter().map(|key| key >> (64 - bits)).collect();
        for isa in Isa::available() {
            check::<u32>(isa, "proptest", &keys);
            check::<u64>(isa, "proptest", &keys);
        }
    }
}

/// A segment that is cut badly again and again is left to the standard library: forced here by a budget of no cuts.
#[test]
fn badly_cut_segments_are_sorted_too() {
    for isa in Isa::available() {
        let context = Context { isa, ..Context::new() };
        for (name, keys) in patterns(1000) {
            let mut keys: Vec<u32> = keys.iter().map(|&key| key as u32).collect();
            let mut expected = keys.clone();
            expected.sort_unstable();
            simd::call(isa, Sort { keys: &mut keys, context: &context, cuts: 0 }).unwrap();
            assert_eq!(keys, expected, "{name}");
        }
    }
}

#[test]
fn an_interrupted_sort_stops() {
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let context = Context { cancelled: &cancelled, ..Context::new() };
    let mut keys: Vec<u32> = (0..10_000).rev().collect();
    assert_eq!(vector_sort(&mut keys, &context), Err(crate::Error::Interrupted));
}
