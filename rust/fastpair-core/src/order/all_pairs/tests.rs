//! Every surrogate, on every path and level, against all pairs one by one.

use super::*;
use crate::simd::Isa;

fn surrogate(kind: usize) -> Surrogate {
    let margin = 0.75;
    match kind {
        0 => Surrogate::Logistic,
        1 => Surrogate::Sigmoid,
        2 => Surrogate::Exponential,
        3 => Surrogate::Hinge { margin },
        4 => Surrogate::SquaredHinge { margin },
        5 => Surrogate::Square { margin },
        _ => Surrogate::Barrier { margin, slope: 3.0 },
    }
}

/// The value and the derivative with respect to `x = -z`.
fn naive(surrogate: Surrogate, x: f64) -> (f64, f64) {
    let sigmoid = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    let hinge = |x: f64| if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) };
    match surrogate {
        Surrogate::Logistic => (x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid(x)),
        Surrogate::Sigmoid => (sigmoid(x), sigmoid(x) * sigmoid(-x)),
        Surrogate::Exponential => (x.exp(), x.exp()),
        Surrogate::Hinge { margin } => hinge(margin + x),
        Surrogate::SquaredHinge { margin } => (hinge(margin + x).0.powi(2), 2.0 * hinge(margin + x).0),
        Surrogate::Square { margin } => ((margin + x).powi(2), 2.0 * (margin + x)),
        Surrogate::Barrier { margin, slope } => {
            let parts = [(-slope * (margin - x) + margin, slope), (slope * (-x - margin), -slope), (margin + x, 1.0)];
            parts.into_iter().fold((f64::NEG_INFINITY, 0.0), |best, part| if part.0 > best.0 { part } else { best })
        }
    }
}

/// The sums of all pairs.
struct Potentials {
    total: f64,
    uppers: Vec<f64>,
    lowers: Vec<f64>,
}

fn brute(loss: &PairLoss, uppers: Rows, lowers: Rows) -> Potentials {
    let (rows, columns) = (uppers.scores.len(), lowers.scores.len());
    let mut sums = Potentials { total: 0.0, uppers: vec![0.0; rows], lowers: vec![0.0; columns] };
    for i in 0..rows {
        for j in 0..columns {
            let x = (lowers.scores[j] - uppers.scores[i]) / loss.temperature;
            let (value, slope) = naive(loss.surrogate, if x.is_nan() { 0.0 } else { x });
            if uppers.weight(i) * lowers.weight(j) != 0.0 {
                sums.total += uppers.weight(i) * lowers.weight(j) * value;
            }
            sums.uppers[i] += if lowers.weight(j) == 0.0 { 0.0 } else { lowers.weight(j) * slope };
            sums.lowers[j] += if uppers.weight(i) == 0.0 { 0.0 } else { uppers.weight(i) * slope };
        }
    }
    sums
}

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Scores that are hard in one way or another.
fn scores(shape: usize, rows: usize, random: &mut Random) -> Vec<f64> {
    let mut one = || match shape {
        0 => random.normal(),
        1 => random.normal() * 0.01,
        2 => random.normal() * 50.0,
        3 => random.normal() + 1e6,
        4 => (std::f64::consts::PI * (random.uniform() - 0.5)).tan() * 1e4,
        5 => (random.normal() * 2.0).round(),
        6 => 0.25,
        7 => random.uniform() * 1e4,
        _ => (random.uniform() * 36.0 - 18.0).exp() * if random.uniform() < 0.5 { -1.0 } else { 1.0 },
    };
    (0..rows).map(|_| one()).collect()
}

fn assert_near(seen: f64, expected: f64, tolerance: f64, what: &dyn Fn() -> String) {
    let near = seen == expected || (seen - expected).abs() <= tolerance * expected.abs() + 1e-290;
    assert!(near, "{}: {seen:e}, not {expected:e}", what());
}

fn compare(loss: &PairLoss, uppers: Rows, lowers: Rows, tolerance: f64, what: &dyn Fn() -> String) {
    let expected = brute(loss, uppers, lowers);
    for isa in Isa::available() {
        let context = &Context { isa, ..Context::new() };
        let mut seen =
            Potentials { total: 0.0, uppers: vec![7.0; uppers.scores.len()], lowers: vec![7.0; lowers.scores.len()] };
        let out = Slopes { uppers: &mut seen.uppers, lowers: &mut seen.lowers };
        seen.total = loss.sum(uppers, lowers, out, context).unwrap();
        assert_near(seen.total, expected.total, tolerance, &|| format!("total {} {}", isa.name(), what()));
        let scale = |sums: &[f64]| {
            if matches!(loss.surrogate, Surrogate::Square { .. } | Surrogate::Barrier { .. }) {
                sums.iter().fold(0.0, |most: f64, sum| most.max(sum.abs()))
            } else {
                0.0
            }
        };
        for (seen, expected) in [(&seen.uppers, &expected.uppers), (&seen.lowers, &expected.lowers)] {
            let floor = scale(expected);
            for (i, (&seen, &expected)) in seen.iter().zip(expected).enumerate() {
                if (seen - expected).abs() > 1e-11 * floor {
                    assert_near(seen, expected, tolerance, &|| format!("row {i} {} {}", isa.name(), what()));
                }
            }
        }
    }
}

#[test]
fn sums_of_every_surrogate_are_those_of_all_pairs() {
    let mut random = Random(1);
    for kind in 0..7 {
        for shape in 0..9 {
            for (rows, columns) in [(1, 1), (3, 5), (200, 331), (17, 4000), (3000, 40)] {
                // At kinks only exact margins compare.
                for temperature in [1.0, if kind < 3 { 0.3 } else { 0.25 }] {
                    // Exponentials of such differences overflow.
                    if kind == 2 && [2, 3, 4, 7, 8].contains(&shape) {
                        continue;
                    }
                    let (upper, lower) = (scores(shape, rows, &mut random), scores(shape, columns, &mut random));
                    let weights: Vec<f64> = (0..rows.max(columns)).map(|i| (i % 4) as f64 * 0.5).collect();
                    let loss = PairLoss { surrogate: surrogate(kind), temperature, tolerance: 1e-12 };
                    let what = &|| format!("kind {kind} shape {shape} {rows} x {columns} / {temperature}");
                    // A difference of large scores has few digits, whoever takes it.
                    let tolerance = if [3, 4, 8].contains(&shape) { 2e-9 } else { 3e-12 };
                    for weighted in [false, true] {
                        let side = |scores, n: usize| Rows { scores, weights: weighted.then_some(&weights[..n]) };
                        compare(&loss, side(&upper, rows), side(&lower, columns), tolerance, what);
                    }
                }
            }
        }
    }
}

#[test]
fn looser_tolerances_hold() {
    let mut random = Random(2);
    let (upper, lower) = (scores(0, 300, &mut random), scores(0, 900, &mut random));
    for surrogate in [Surrogate::Logistic, Surrogate::Sigmoid] {
        for tolerance in [1e-2, 1e-4, 1e-6, 1e-9, 1e-13] {
            let loss = PairLoss { surrogate, temperature: 0.01, tolerance };
            let rows = |scores| Rows { scores, weights: None };
            compare(&loss, rows(&upper), rows(&lower), tolerance.max(2e-13), &|| format!("{surrogate:?} {tolerance}"));
        }
    }
}

#[test]
fn infinite_scores_are_limits_on_every_path() {
    let mut random = Random(3);
    for kind in [0, 1, 2, 3, 4] {
        for (rows, columns) in [(5, 6), (300, 500)] {
            let mut side = |count| {
                let mut scores = scores(0, count, &mut random);
                scores[1] = f64::INFINITY;
                scores[3] = f64::INFINITY;
                scores[4] = f64::NEG_INFINITY;
                scores
            };
            let (upper, lower) = (side(rows), side(columns));
            let loss = PairLoss { surrogate: surrogate(kind), temperature: 1.0, tolerance: 1e-12 };
            let rows = |scores| Rows { scores, weights: None };
            compare(&loss, rows(&upper), rows(&lower), 1e-11, &|| format!("kind {kind} {}", upper.len()));
        }
    }
}

#[test]
fn huge_scores_and_tiny_temperatures_find_a_way() {
    let mut random = Random(4);
    let upper: Vec<f64> = (0..200).map(|_| random.normal() * 1e300).collect();
    let lower: Vec<f64> = (0..200).map(|_| random.normal() * 1e300).collect();
    let rows = |scores| Rows { scores, weights: None };
    for temperature in [1e-10, 1.0, 1e299] {
        let loss = PairLoss { surrogate: Surrogate::Logistic, temperature, tolerance: 1e-12 };
        compare(&loss, rows(&upper), rows(&lower), 1e-11, &|| format!("{temperature:e}"));
    }
}
