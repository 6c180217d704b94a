//! Every unit of this processor against sums over all cells.

use super::*;
use crate::simd::{Floats, Level, Op};
use std::time::Instant;

const ENCODINGS: [Encoding; 3] = [Encoding::Int8, Encoding::Int16, Encoding::Bf16];

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 24
}

/// Numbers to multiply, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// As large as the sums allow, with padding that is zero in y only.
    Random,
    /// The largest numbers with all combinations of signs.
    Signs,
    /// One large number in a row of zeros.
    Single,
    /// Products that are subnormal, in Bf16.
    Tiny,
}

fn number(encoding: Encoding, kind: Kind, row: usize, column: usize, columns: usize, state: &mut u64) -> f64 {
    // A row of 16-bit numbers no longer than this makes no sum that is too large.
    let most = match encoding {
        Encoding::Int8 => 127.0,
        Encoding::Int16 => (46340.0 / (columns as f64).sqrt()).min(32767.0).floor(),
        Encoding::Bf16 => 1e4,
    };
    let sign = if (row + column / 4) >> (column % 4) & 1 == 0 { 1.0 } else { -1.0 };
    let part = (random(state) % 2001) as f64 / 1000.0 - 1.0;
    let value = match (kind, encoding) {
        (Kind::Random, _) => part * most,
        (Kind::Signs, _) => sign * most,
        (Kind::Single, _) if column != row % 5 * (columns / 5) => 0.0,
        (Kind::Single, Encoding::Int16) => [32767.0, -32768.0, -32767.0][row % 3],
        (Kind::Single, _) => sign * most,
        (Kind::Tiny, Encoding::Bf16) => part * 2f64.powi(-65 + (random(state) % 6) as i32),
        (Kind::Tiny, _) => (3.0 * part).round(),
    };
    match encoding {
        Encoding::Bf16 => f32::from_bits((value as f32).to_bits() & 0xffff_0000).into(),
        _ => value.round(),
    }
}

/// The bytes of a number, of which the first that the encoding needs count.
fn bytes(encoding: Encoding, value: f64, moved: bool) -> [u8; 2] {
    match encoding {
        Encoding::Int8 => [(value as i8 as u8) ^ if moved { 0x80 } else { 0 }, 0],
        Encoding::Int16 => (value as i16).to_le_bytes(),
        Encoding::Bf16 => (((value as f32).to_bits() >> 16) as u16).to_le_bytes(),
    }
}

/// Arguments of [`multiply`], and what they were made of.
struct Case {
    x: Vec<u8>,
    y: Vec<u8>,
    moved: Vec<i32>,
    x_rows: Vec<Vec<f64>>,
    y_rows: Vec<Vec<f64>>,
}

fn case(encoding: Encoding, kind: Kind, steps: usize, lanes: usize, groups: usize) -> Case {
    let state = &mut (1 + steps as u64 * 1000 + lanes as u64 * 10 + groups as u64);
    let size = CELL / encoding.numbers();
    let columns = steps * STEP / size;
    let mut x: Vec<u8> = (0..lanes.div_ceil(STRIP) * steps * 2 * TILE).map(|_| random(state) as u8).collect();
    let mut y = vec![0; groups * steps * TILE];
    let padding = if kind == Kind::Random { 3 } else { 0 };
    let mut x_rows = vec![];
    for i in 0..lanes {
        x_rows.push((0..columns).map(|k| number(encoding, kind, i, k, columns, state)).collect::<Vec<_>>());
        for (k, &value) in x_rows[i].iter().enumerate() {
            let (step, byte) = (k * size / STEP, k * size % STEP);
            let half = i / STRIP * steps * 2 + step * 2 + i % STRIP / 16;
            let at = half * TILE + byte / CELL * STEP + i % 16 * CELL + byte % CELL;
            x[at..at + size].copy_from_slice(&bytes(encoding, value, true)[..size]);
            if encoding == Encoding::Int8 && k + padding >= columns {
                x[at] = random(state) as u8;
            }
        }
    }
    let mut y_rows = vec![];
    for j in 0..groups * GROUP {
        y_rows.push((0..columns).map(|k| number(encoding, kind, j, k, columns, state)).collect::<Vec<_>>());
        y_rows[j][columns - padding..].fill(0.0);
        for (k, &value) in y_rows[j].iter().enumerate() {
            let (step, byte) = (k * size / STEP, k * size % STEP);
            let at = (j / GROUP * steps + step) * TILE + j % GROUP * STEP + byte;
            y[at..at + size].copy_from_slice(&bytes(encoding, value, false)[..size]);
        }
    }
    let sum = |row: &Vec<f64>| 128 * row.iter().sum::<f64>() as i32;
    let moved = if encoding == Encoding::Int8 { y_rows.iter().map(sum).collect() } else { vec![] };
    Case { x, y, moved, x_rows, y_rows }
}

fn check(encoding: Encoding, kind: Kind, steps: usize, lanes: usize, groups: usize) {
    let case = case(encoding, kind, steps, lanes, groups);
    let (columns, rows) = (case.x_rows[0].len(), groups * GROUP);
    let mut expected = vec![];
    for y in &case.y_rows {
        for x in &case.x_rows {
            // Exact in the integer encodings.
            let terms = x.iter().zip(y).map(|(x, y)| x * y);
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term: f64| (sum + term, size + term.abs()));
            expected.push((sum, size));
        }
    }
    for unit in Isa::available().into_iter().flat_map(|isa| Unit::all(isa, encoding)) {
        let mut out = vec![Strip([f32::NAN; STRIP]); lanes.div_ceil(STRIP) * rows];
        multiply(unit, &case.x, &case.y, [steps, lanes], &case.moved, &case.x, &mut out);
        for (at, &(sum, size)) in expected.iter().enumerate() {
            let (j, i) = (at / lanes, at % lanes);
            let got = out[i / STRIP * rows + j].0[i % STRIP];
            let context = (unit, kind, steps, lanes, groups, j, i);
            if encoding == Encoding::Bf16 {
                let width = columns as f64;
                let most = (2.0 * width + 8.0) * 2f64.powi(-24) * size + width * 2f64.powi(-125);
                assert!((f64::from(got) - sum).abs() <= most, "{context:?}: {got} is not {sum}");
            } else {
                assert!(sum.abs() <= f64::from(i32::MAX), "{context:?}: {sum} is too large");
                assert_eq!(got, sum as i32 as f32, "{context:?}");
            }
        }
    }
}

/// Few enough for an emulated processor.
#[test]
fn units_multiply_small_shapes() {
    for isa in Isa::available() {
        for encoding in ENCODINGS {
            let names: Vec<_> = Unit::all(isa, encoding).iter().map(|unit| unit.name()).collect();
            println!("{} {encoding:?}: {names:?}", isa.name());
        }
    }
    for encoding in ENCODINGS {
        for kind in [Kind::Random, Kind::Signs, Kind::Single, Kind::Tiny] {
            check(encoding, kind, 1, 33, 1);
            check(encoding, kind, 2, 16, 3);
            check(encoding, kind, 9, 8, 2);
            check(encoding, kind, 17, 25, 1);
        }
    }
}

#[test]
fn units_multiply_all_shapes() {
    for encoding in ENCODINGS {
        for kind in [Kind::Random, Kind::Signs, Kind::Single, Kind::Tiny] {
            for steps in [1, 2, 3, 9, 17] {
                for lanes in [1, 8, 9, 16, 17, 32, 33, 70] {
                    for groups in [1, 2, 3] {
                        check(encoding, kind, steps, lanes, groups);
                    }
                }
            }
        }
    }
}

#[test]
fn units_have_an_order() {
    for isa in Isa::available() {
        for encoding in ENCODINGS {
            let units = Unit::all(isa, encoding);
            assert_eq!(units[0].name(), "portable");
            assert_eq!(Some(&Unit::best(isa, encoding)), units.last());
            assert!(units.iter().all(|unit| unit.encoding() == encoding));
        }
    }
}

#[test]
fn nothing_makes_zeros() {
    for encoding in ENCODINGS {
        let unit = Unit::best(Isa::current(), encoding);
        let mut out = vec![Strip([1.0; STRIP]); 2 * GROUP];
        multiply(unit, &[], &[], [0, 40], &[], &[], &mut out);
        assert!(out.iter().all(|strip| strip.0 == [0.0; STRIP]));
    }
}

/// Products of floats, for comparison.
struct Reference<'a> {
    x: &'a [Strip<f32>],
    y: &'a [f32],
    columns: usize,
    out: &'a mut [Strip<f32>],
}

impl Op for Reference<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let rows = self.y.len() / self.columns;
        for (x, out) in self.x.chunks_exact(self.columns).zip(self.out.chunks_exact_mut(rows)) {
            for (y, out) in self.y.chunks_exact(4 * self.columns).zip(out.chunks_exact_mut(4)) {
                for lane in (0..STRIP).step_by(2 * L::F32::LANES) {
                    // SAFETY: inside `call`, and the lanes end within the strip.
                    unsafe {
                        let mut sums = [[L::F32::splat(0.0); 2]; 4];
                        for (k, x) in x.iter().enumerate() {
                            let x = x.0.as_ptr().add(lane);
                            let x = [L::F32::load(x), L::F32::load(x.add(L::F32::LANES))];
                            for (j, sums) in sums.iter_mut().enumerate() {
                                let y = L::F32::splat(*y.get_unchecked(j * self.columns + k));
                                sums[0] = x[0].mul_add(y, sums[0]);
                                sums[1] = x[1].mul_add(y, sums[1]);
                            }
                        }
                        for (sums, out) in sums.iter().zip(&mut *out) {
                            sums[0].store(out.0.as_mut_ptr().add(lane));
                            sums[1].store(out.0.as_mut_ptr().add(lane + L::F32::LANES));
                        }
                    }
                }
            }
        }
    }
}

/// `cargo test --release -p fastpair-core narrow -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn speed() {
    let (columns, lanes, groups) = (768, 448, 2);
    let products = (columns * lanes * groups * GROUP) as f64;
    let measure = |name: String, work: &mut dyn FnMut()| {
        let mut best = f64::INFINITY;
        for _ in 0..500 {
            let begin = Instant::now();
            work();
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!("{name:>24} {:7.1} GMAC/s", products / best / 1e9);
    };
    for isa in Isa::available() {
        let mut out = vec![Strip::default(); lanes / STRIP * groups * GROUP];
        let (x, y) = (vec![Strip([1.0; STRIP]); lanes / STRIP * columns], vec![1.0; groups * GROUP * columns]);
        measure(format!("{} float32", isa.name()), &mut || {
            call(isa, Reference { x: &x, y: &y, columns, out: &mut out });
        });
        for encoding in ENCODINGS {
            let steps = columns / encoding.numbers() / CELLS;
            let case = case(encoding, Kind::Random, steps, lanes, groups);
            for unit in Unit::all(isa, encoding) {
                measure(format!("{} {encoding:?} {}", isa.name(), unit.name()), &mut || {
                    multiply(unit, &case.x, &case.y, [steps, lanes], &case.moved, &case.y, &mut out);
                });
            }
        }
    }
}
