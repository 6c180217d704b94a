//! The engine against sums over all pairs in float64, on every level, and the same bits for all threads and panels.

use super::*;
use crate::key::Element;
use crate::pool::Scratch;
use crate::tile::{Positives, Roles};

/// Numbers that look random.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn plain<'a>(temperature: f64, positives: Positives<'a>, own: Option<&'a [i64]>) -> Softmax<'a> {
    Softmax {
        roles: Roles { positives, own, ignore: None, groups: None, ids: None, miner: None },
        temperature: PerRow::All(temperature),
        column_weights: None,
        pair_weights: None,
        include_positive: true,
        needs_negatives: true,
        several: Several::Mean,
        positive_factors: None,
        targets: None,
        label_smoothing: 0.0,
        margin: 0.0,
        arc_margin: 0.0,
        hard_k: None,
        hard_threshold: None,
        focal_gamma: 0.0,
        detach_focal: false,
    }
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn similarity(kind: Similarity, x: &[f64], y: &[f64]) -> f64 {
    let product: f64 = x.iter().zip(y).map(|(a, b)| a * b).sum();
    let square: f64 = x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
    match kind {
        Similarity::Dot => product,
        Similarity::Cosine => product / (norm(x).max(1e-12) * norm(y).max(1e-12)),
        Similarity::SqEuclidean => -square,
        Similarity::Euclidean => -square.sqrt(),
    }
}

/// The sum of the losses of all rows.
fn oracle(kind: Similarity, x: &[f64], y: &[f64], width: usize, temperature: f64) -> f64 {
    let rows = |matrix: &[f64]| matrix.chunks(width).map(<[f64]>::to_vec).collect::<Vec<_>>();
    let (x, y) = (rows(x), rows(y));
    let of_row = |(i, own): (usize, &Vec<f64>)| {
        let logits: Vec<f64> = y.iter().map(|other| similarity(kind, own, other) / temperature).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logits.iter().map(|logit| (logit - most).exp()).sum::<f64>().ln() + most - logits[i]
    };
    x.iter().enumerate().map(of_row).sum()
}

fn run<T: Real + Element + crate::column::HasDtype>(
    kind: Similarity,
    (x, y): (&[f64], &[f64]),
    width: usize,
    loss: &mut impl RowLoss<T>,
    context: &Context,
) -> Gradients<T> {
    let narrow = |values: &[f64]| values.iter().map(|&value| T::rounded(value)).collect::<Vec<T>>();
    let (x, y) = (narrow(x), narrow(y));
    let embeddings = |values| Embeddings::new(Matrix::from_slice::<T>(values, width)).unwrap();
    let (x, y) = (embeddings(&x), embeddings(&y));
    Pairs::new(&x, Some(&y), kind, None, context).unwrap().run(loss, None, true, context).unwrap()
}

const KINDS: [Similarity; 4] = [Similarity::Dot, Similarity::Cosine, Similarity::SqEuclidean, Similarity::Euclidean];

#[test]
fn values_and_gradients_agree_with_sums_over_all_pairs() {
    for isa in Isa::available() {
        let context = Context { isa, ..Context::new() };
        for (rows, columns, width) in [(2, 2, 1), (5, 9, 3), (43, 60, 33), (50, 270, 7), (3, 40, 300)] {
            let (x, y) = (numbers(rows * width, 3), numbers(columns * width, 5));
            for kind in KINDS {
                let mut loss = plain(0.5, Positives::Diagonal, None);
                let found = run::<f64>(kind, (&x, &y), width, &mut loss, &context);
                let value: f64 = found.outcomes.iter().map(|outcome| outcome.value).sum();
                let expected = oracle(kind, &x, &y, width, 0.5);
                assert!(
                    (value - expected).abs() <= 1e-10 * expected.abs().max(1.0),
                    "{isa:?} {kind:?} {value} {expected}"
                );
                let single = run::<f32>(kind, (&x, &y), width, &mut loss, &context);
                let value: f64 = single.outcomes.iter().map(|outcome| outcome.value).sum();
                assert!(
                    (value - expected).abs() <= 3e-6 * expected.abs().max(rows as f64),
                    "{isa:?} {kind:?} {value} {expected}"
                );
                for at in [0, x.len() / 2, x.len() - 1] {
                    let moved = |by: f64| {
                        let mut x = x.clone();
                        x[at] += by;
                        oracle(kind, &x, &y, width, 0.5)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((found.x[at] - slope).abs() < 1e-7 * slope.abs().max(1.0), "{kind:?} x[{at}]");
                    assert!((f64::from(single.x[at]) - slope).abs() < 2e-5 * slope.abs().max(1.0), "{kind:?} x[{at}]");
                }
                for at in [0, y.len() / 2, y.len() - 1] {
                    let moved = |by: f64| {
                        let mut y = y.clone();
                        y[at] += by;
                        oracle(kind, &x, &y, width, 0.5)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((found.y[at] - slope).abs() < 1e-7 * slope.abs().max(1.0), "{kind:?} y[{at}]");
                    assert!((f64::from(single.y[at]) - slope).abs() < 2e-5 * slope.abs().max(1.0), "{kind:?} y[{at}]");
                }
            }
        }
    }
}

#[test]
fn threads_and_panels_change_no_bit() {
    let (rows, width) = (300, 20);
    let (x, y) = (numbers(rows * width, 7), numbers(rows * width, 9));
    for kind in KINDS {
        let of = |threads: usize, most: Option<usize>, both: bool| {
            let context = Context { threads, scratch: Scratch { most, held: 0 }, ..Context::new() };
            let found = if both {
                run::<f32>(kind, (&x, &y), width, &mut Symmetric::new(0.1, None), &context)
            } else {
                run::<f32>(kind, (&x, &y), width, &mut plain(0.1, Positives::Diagonal, None), &context)
            };
            (found.outcomes, found.x, found.y)
        };
        let alone = |threads: usize, most: Option<usize>| {
            let context = Context { threads, scratch: Scratch { most, held: 0 }, ..Context::new() };
            let own: Vec<i64> = (0..rows as i64).collect();
            let positives: Vec<i64> = own.iter().map(|i| (i + 1) % 300).collect();
            let values: Vec<f32> = x.iter().map(|&value| value as f32).collect();
            let embeddings = Embeddings::<f32>::new(Matrix::from_slice(&values, width)).unwrap();
            let pairs = Pairs::new(&embeddings, None, kind, None, &context).unwrap();
            pairs.run(&mut plain(0.1, Positives::Columns(&positives), Some(&own)), None, true, &context).unwrap().x
        };
        let expected = alone(1, None);
        for (threads, most) in [(2, None), (1, Some(380_000)), (3, Some(600_000))] {
            assert!(alone(threads, most) == expected, "{kind:?} {threads} {most:?}");
        }
        for both in [false, true] {
            let expected = of(1, None, both);
            for (threads, most) in [(2, None), (5, None), (1, Some(380_000)), (3, Some(600_000))] {
                assert!(of(threads, most, both) == expected, "{kind:?} {threads} {most:?}");
            }
        }
    }
}

#[test]
fn both_directions_are_the_mean_of_two_losses() {
    let (rows, width) = (100, 12);
    let (x, y) = (numbers(rows * width, 1), numbers(rows * width, 2));
    let context = Context::new();
    let kind = Similarity::Cosine;
    let value = |found: &Gradients<f64>| found.outcomes.iter().map(|outcome| outcome.value).sum::<f64>();
    for kind in KINDS {
        let mut plain = plain(0.07, Positives::Diagonal, None);
        let [one, other] =
            [(&x, &y), (&y, &x)].map(|(x, y)| value(&run::<f64>(kind, (x, y), width, &mut plain, &context)));
        let both = value(&run::<f64>(kind, (&x, &y), width, &mut Symmetric::new(0.07, None), &context));
        assert!((both - 0.5 * (one + other)).abs() < 1e-11 * both, "{kind:?}");
    }
    let one = run::<f64>(kind, (&x, &y), width, &mut plain(0.07, Positives::Diagonal, None), &context);
    let other = run::<f64>(kind, (&y, &x), width, &mut plain(0.07, Positives::Diagonal, None), &context);
    let both = run::<f64>(kind, (&x, &y), width, &mut Symmetric::new(0.07, None), &context);
    for (i, outcome) in both.outcomes.iter().enumerate() {
        let mean = 0.5 * (one.outcomes[i].value + other.outcomes[i].value);
        assert!((outcome.value - mean).abs() < 1e-12 * mean.abs().max(1.0));
    }
    let near =
        |a: &[f64], b: &[f64], c: &[f64]| a.iter().zip(b).zip(c).all(|((a, b), c)| (a - 0.5 * (b + c)).abs() < 1e-11);
    assert!(near(&both.x, &one.x, &other.y) && near(&both.y, &one.y, &other.x));
}

#[test]
fn a_matrix_with_itself_gets_both_gradients() {
    let (rows, width) = (90, 8);
    let x = numbers(rows * width, 4);
    let context = Context::new();
    let positives: Vec<i64> = (0..rows as i64).map(|i| (i + 1) % 90).collect();
    let own: Vec<i64> = (0..rows as i64).collect();
    for kind in KINDS {
        let mut loss = plain(0.3, Positives::Columns(&positives), Some(&own));
        let pair = run::<f64>(kind, (&x, &x), width, &mut loss, &context);
        let embeddings = Embeddings::new(Matrix::from_slice(&x, width)).unwrap();
        let alone = Pairs::new(&embeddings, None, kind, None, &context).unwrap();
        let alone = alone.run(&mut loss, None, true, &context).unwrap();
        assert_eq!(alone.outcomes, pair.outcomes);
        let sums = pair.x.iter().zip(&pair.y).map(|(a, b)| a + b);
        assert!(alone.x.iter().zip(sums).all(|(a, b)| (a - b).abs() < 1e-11), "{kind:?}");
    }
}
