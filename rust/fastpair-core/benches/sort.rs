//! The vector sort beside the standard library's, on every level of this processor.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpair_core::Isa;
use fastpair_core::order::sort::{SortKey, sort};
use fastpair_core::pool::Context;

fn random<K: SortKey>(n: usize) -> Vec<K> {
    let mut state = n as u64;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        K::from_u64((state ^ state >> 31).rotate_left(32))
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn bench<K: SortKey>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("sort u{}", K::BITS));
    for n in [1_000, 30_000, 1_000_000] {
        let keys: Vec<K> = random(n);
        group.throughput(Throughput::Elements(n as u64));
        for isa in Isa::available() {
            let context = Context { isa, ..Context::new() };
            group.bench_function(BenchmarkId::new(isa.name(), n), |bencher| {
                bencher.iter_batched_ref(|| keys.clone(), |keys| sort(keys, &context), BatchSize::LargeInput);
            });
        }
        group.bench_function(BenchmarkId::new("std", n), |bencher| {
            bencher.iter_batched_ref(|| keys.clone(), |keys| keys.sort_unstable(), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, bench::<u32>, bench::<u64>);
criterion_main!(benches);
