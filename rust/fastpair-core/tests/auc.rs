//! Pair counts against their definition, for every dtype, level, number of threads and way through the engine.

use fastpair_core::column::{Column, HasDtype};
use fastpair_core::labels::{Labels, PosLabel};
use fastpair_core::order::auc::{
    Presorted, count_pairs, count_pairs_by_group, count_presorted, sum_pairs, sum_pairs_by_group,
};
use fastpair_core::order::counts::Counts;
use fastpair_core::pool::Context;
use fastpair_core::rows::Rows;
use fastpair_core::{Error, Isa};
use half::{bf16, f16};
use proptest::prelude::*;

/// Every pair, one by one.
fn oracle<T: PartialOrd>(scores: &[T], labels: &[bool]) -> Counts {
    let mut counts = Counts::default();
    for (score, &label) in scores.iter().zip(labels) {
        if !label {
            counts.negatives += 1;
            continue;
        }
        counts.positives += 1;
        for (other, _) in scores.iter().zip(labels).filter(|(_, label)| !**label) {
            counts.twice_u += 2 * u128::from(score > other) + u128::from(score == other);
        }
    }
    counts
}

fn contexts() -> impl Iterator<Item = Context<'static>> {
    let isas = Isa::available().into_iter();
    isas.flat_map(|isa| [1, 3].map(|threads| Context { isa, threads, ..Context::new() }))
}

fn bits(labels: &[bool]) -> Vec<u8> {
    labels.iter().map(|&label| label.into()).collect()
}

fn check<T: HasDtype + PartialOrd>(scores: &[T], labels: &[bool]) {
    let expected = oracle(scores, labels);
    let label_bits = bits(labels);
    let ones = vec![1u8; scores.len()];
    let rows = Rows::new(Column::from_slice(scores), Labels::from_bits(&label_bits), None, false).unwrap();
    let weighted =
        Rows::new(Column::from_slice(scores), Labels::from_bits(&label_bits), Some(Column::from_slice(&ones)), false)
            .unwrap();
    for context in contexts() {
        assert_eq!(count_pairs(&rows, &context).unwrap(), expected);
        assert_eq!(sum_pairs(&weighted, &context).unwrap(), expected.to_sums());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_dtype_is_counted_by_definition(
        rows in prop::collection::vec((any::<u64>(), any::<bool>()), 0..400),
        values in 1u64..2000,
    ) {
        let labels: Vec<bool> = rows.iter().map(|row| row.1).collect();
        macro_rules! with { ($($each:expr),*) => { $( {
            let scores: Vec<_> = rows.iter().map(|row| ($each)(row.0)).collect();
            check(&scores, &labels);
        } )* } }
        with!(
            |bits: u64| bits, |bits: u64| bits as i64, |bits: u64| (bits % values) as u32, |bits: u64| bits as i32,
            |bits: u64| bits as u16, |bits: u64| bits as i16, |bits: u64| bits as u8, |bits: u64| (bits % values) as i8,
            |bits: u64| (bits % values) as f32 - 50.0,
            |bits: u64| Some(f32::from_bits(bits as u32)).filter(|x| !x.is_nan()).unwrap_or(-0.0),
            |bits: u64| Some(f64::from_bits(bits)).filter(|x| !x.is_nan()).unwrap_or(0.0),
            |bits: u64| Some(f16::from_bits(bits as u16)).filter(|x| !x.is_nan()).unwrap_or(f16::ZERO),
            |bits: u64| Some(bf16::from_bits(bits as u16)).filter(|x| !x.is_nan()).unwrap_or(bf16::NEG_ZERO)
        );
    }

    #[test]
    fn groups_are_counted_like_series_of_their_own(
        rows in prop::collection::vec((0u32..7, -20i32..20, any::<bool>(), 0u8..5), 0..300),
    ) {
        let codes: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let scores: Vec<f32> = rows.iter().map(|row| row.1 as f32).collect();
        let labels: Vec<u8> = rows.iter().map(|row| row.2.into()).collect();
        let weights: Vec<u8> = rows.iter().map(|row| row.3).collect();
        let of = |group: u32| rows.iter().filter(move |row| row.0 == group);
        let opened = Labels::open(Column::from_slice(&labels), PosLabel::Unsaid).unwrap();
        let plain = Rows::new(Column::from_slice(&scores), opened, None, false).unwrap();
        let weighted = Rows::new(Column::from_slice(&scores), opened, Some(Column::from_slice(&weights)), false).unwrap();
        for context in contexts() {
            let counts = count_pairs_by_group(&plain, &codes, 7, &context).unwrap();
            let sums = sum_pairs_by_group(&weighted, &codes, 7, &context).unwrap();
            for group in 0..7 {
                let (own, own_labels): (Vec<i32>, Vec<bool>) = of(group).map(|row| (row.1, row.2)).unzip();
                prop_assert_eq!(counts[group as usize], oracle(&own, &own_labels));
                // A row of weight w is w rows.
                let repeated = of(group).flat_map(|row| std::iter::repeat_n((row.1, row.2), row.3.into()));
                let (own, own_labels): (Vec<i32>, Vec<bool>) = repeated.unzip();
                prop_assert_eq!(sums[group as usize].1, oracle(&own, &own_labels).to_sums());
            }
        }
    }

    #[test]
    fn sorted_rows_are_counted_alike_and_others_refused(
        mut rows in prop::collection::vec((-9i16..9, any::<bool>()), 2..200),
    ) {
        let context = Context::new();
        for (order, name) in [(Presorted::Ascending, "in ascending order"), (Presorted::Descending, "in descending order")] {
            rows.sort_by_key(|row| if order == Presorted::Ascending { row.0 } else { -row.0 });
            let (scores, labels): (Vec<i16>, Vec<bool>) = rows.iter().copied().unzip();
            let label_bits = bits(&labels);
            let sorted = Rows::new(Column::from_slice(&scores), Labels::from_bits(&label_bits), None, false).unwrap();
            prop_assert_eq!(count_presorted(&sorted, order, &context), Ok(oracle(&scores, &labels)));
            let mut broken = scores.clone();
            let last = broken.len() - 1;
            broken[last] = if order == Presorted::Ascending { -10 } else { 10 };
            let broken = Rows::new(Column::from_slice(&broken), Labels::from_bits(&label_bits), None, false).unwrap();
            prop_assert_eq!(count_presorted(&broken, order, &context), Err(Error::NotSorted { order: name, index: last }));
        }
    }
}

/// Enough rows for the sampled buckets, several tasks and every pattern that could mislead the sample.
#[test]
fn many_rows_are_counted_alike_on_every_path() {
    let n = 150_000u64;
    let mixed = |i: u64| {
        let x = (i ^ 0x5bd1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^ x >> 29
    };
    type Pattern = (&'static str, fn(u64, u64) -> f64);
    let patterns: [Pattern; 7] = [
        ("spread", |_, r| r as f64 / 1e19 - 0.5),
        ("one negative outlier", |i, r| if i == 777 { -1.0 } else { 1.0 + r as f64 / 1e19 }),
        ("cluster and infinities", |i, r| if i % 4096 == 5 { f64::INFINITY } else { 1.0 + (r >> 40) as f64 * 1e-13 }),
        ("ties", |_, r| (r % 17) as f64),
        ("constant", |_, _| 0.25),
        ("sorted", |i, _| i as f64),
        ("reversed", |i, _| -(i as f64)),
    ];
    for (name, pattern) in patterns {
        for rare in [2, 1000] {
            let scores: Vec<f64> = (0..n).map(|i| pattern(i, mixed(i))).collect();
            let narrow: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
            let labels: Vec<u8> = (0..n).map(|i| (mixed(i + n) % rare == 0) as u8).collect();
            // The order statistics of a stable sort, ties counted run by run.
            let definition = |scores: &[f64]| {
                let mut rows: Vec<(f64, u8)> = scores.iter().copied().zip(labels.iter().copied()).collect();
                rows.sort_by(|a, b| a.0.total_cmp(&b.0));
                let mut counts = Counts::default();
                for run in rows.chunk_by(|a, b| a.0 == b.0) {
                    let positives = run.iter().filter(|row| row.1 == 1).count() as u64;
                    let negatives = run.len() as u64 - positives;
                    counts.twice_u += u128::from(positives) * u128::from(2 * counts.negatives + negatives);
                    counts.positives += positives;
                    counts.negatives += negatives;
                }
                counts
            };
            let wide_expected = definition(&scores);
            let narrow_expected = definition(&narrow.iter().map(|&score| score.into()).collect::<Vec<_>>());
            for context in contexts() {
                let opened = Labels::from_bits(&labels);
                let wide = Rows::new(Column::from_slice(&scores), opened, None, false).unwrap();
                assert_eq!(count_pairs(&wide, &context), Ok(wide_expected), "{name}, {}", context.isa.name());
                let narrow = Rows::new(Column::from_slice(&narrow), opened, None, false).unwrap();
                assert_eq!(count_pairs(&narrow, &context), Ok(narrow_expected), "{name}, {}", context.isa.name());
            }
        }
    }
}
