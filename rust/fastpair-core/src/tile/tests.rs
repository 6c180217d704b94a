//! Every producer on every level against the definition: no value may be farther from that of the exact score than the
//! tile says.

use super::exact::Exact;
use super::kernel::STRIP;
use super::metric::Metric;
use super::narrow::{Form, NarrowTiles, PackedRows};
use super::{Consumer, Filter, Search, Tile};
use crate::column::HasDtype;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::{Isa, Level};
use half::f16;

/// A consumer that checks every value.
struct Check<'a> {
    metric: Metric,
    negated: bool,
    rows: usize,
    exact: Exact<'a>,
    seen: usize,
    about: &'a str,
}

impl Consumer<f32> for Check<'_> {
    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        for lane in 0..STRIP.min(self.rows - tile.x0) {
            self.exact.set_row(tile.x0 + lane);
            for (j, values) in tile.values.iter().enumerate() {
                let score = self.exact.score(tile.y0 + j);
                let expected = self.metric.value(score) * if self.negated { -1.0 } else { 1.0 };
                let (value, error) = (f64::from(values.0[lane]), f64::from(tile.error.0[lane]));
                // An infinite bound says nothing, and the value may be no number.
                assert!(
                    error == f64::INFINITY || (value - expected).abs() <= error,
                    "{}: row {} and {}: {value} is farther than {error} from {expected}",
                    self.about,
                    tile.x0 + lane,
                    tile.y0 + j,
                );
                self.seen += 1;
            }
        }
        Ok(())
    }
}

fn check<T: HasDtype>(x: &[T], y: &[T], width: usize, metrics: &[Metric], about: &str) {
    let (x, y) = (Matrix::from_slice(x, width), Matrix::from_slice(y, width));
    for &metric in metrics {
        for isa in Isa::available() {
            for negated in [false, true] {
                for (name, filter) in Filter::ALL {
                    let search = Search { filter, ..Search::new(x, y, metric) };
                    check_tiles(search, negated, isa, &format!("{about}, {name}"));
                    let Filter::Narrow(form) = filter else { continue };
                    if form.is_kept() && NarrowTiles::can(metric, width) {
                        let mut bytes = vec![0; PackedRows::most_bytes(form, [y.rows(), width])];
                        let used = PackedRows::pack(metric, form, y, &mut bytes, &Context::new()).unwrap();
                        let packed = PackedRows::new(&bytes[..used], metric, [y.rows(), width]).unwrap();
                        let search = Search { packed: Some(packed), ..search };
                        check_tiles(search, negated, isa, &format!("{about}, {name}, packed"));
                    }
                }
            }
        }
    }
}

fn check_tiles(search: Search, negated: bool, isa: Isa, about: &str) {
    let Search { x, y, metric, .. } = search;
    let context = Context { isa, ..Context::new() };
    let about = format!("{about}, {metric:?}, {}, negated {negated}", isa.name());
    let exact = Exact::new(metric, x, y, isa);
    let mut consumer = Check { metric, negated, rows: x.rows(), exact, seen: 0, about: &about };
    let source = search.source(true, isa);
    let mut tiles = source.tiles(x.rows(), negated).unwrap();
    tiles.sweep(0..x.rows(), 0..y.rows(), true, &mut consumer, &context).unwrap();
    assert_eq!(consumer.seen, x.rows() * y.rows());
}

const FLAT: [Metric; 6] =
    [Metric::Dot, Metric::Cosine, Metric::SqEuclidean, Metric::Euclidean, Metric::Manhattan, Metric::Lorentz];

/// Makes a number of another one and its place.
type Shape<'a> = &'a dyn Fn(usize, f64) -> f64;

/// Numbers in (-1, 1).
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn no_value_is_farther_from_the_truth_than_the_bound() {
    for (rows, columns, width) in [(3, 50, 7), (40, 200, 65), (17, 9, 300), (33, 170, 1), (5, 20, 600)] {
        let (x, y) = (numbers(rows * width, 1), numbers(columns * width, 2));
        let shapes: [(&str, Shape); 8] = [
            ("plain", &|_, v| v),
            ("offset", &|_, v| v + 1000.0),
            ("huge", &|_, v| v * 1e30),
            ("tiny", &|_, v| v * 1e-30),
            ("subnormal", &|_, v| v * 1e-42),
            ("cancelling", &|i, v| if i % 2 == 0 { 1e4 + v } else { -1e4 + v }),
            ("outlier dimension", &|i, v| if i % width == 0 { v * 1e6 } else { v }),
            ("mixed norms", &|i, v| v * 10f64.powi((i / width % 9) as i32 * 8 - 32)),
        ];
        for (about, shape) in shapes {
            let cast = |values: &[f64]| values.iter().enumerate().map(|(i, &v)| shape(i, v) as f32).collect::<Vec<_>>();
            let about = format!("{about} {rows} {columns} {width}");
            check(&cast(&x), &cast(&y), width, &FLAT, &about);
            let wide = |values: &[f64]| values.iter().enumerate().map(|(i, &v)| shape(i, v)).collect::<Vec<f64>>();
            check(&wide(&x), &wide(&y), width, &FLAT, &format!("float64 {about}"));
        }
        let ball = |values: &[f64]| {
            let scale = |row: &[f64]| 0.9999 / row.iter().map(|v| v.abs()).sum::<f64>().max(1e-9);
            values.chunks(width).flat_map(|row| row.iter().map(move |v| (v * scale(row)) as f32)).collect::<Vec<_>>()
        };
        check(&ball(&x), &ball(&y), width, &[Metric::Poincare], "ball");
        // As near to the edge as float64 tells.
        let edge = |values: &[f64]| {
            let unit = |row: &[f64]| (1.0 - 1e-13) / row.iter().map(|v| v * v).sum::<f64>().sqrt();
            values.chunks(width).flat_map(|row| row.iter().map(move |v| v * unit(row))).collect::<Vec<f64>>()
        };
        check(&edge(&x), &edge(&y), width, &[Metric::Poincare], "edge of the ball");
        let halves = |values: &[f64]| values.iter().map(|&v| f16::from_f64(v)).collect::<Vec<_>>();
        check(&halves(&x), &halves(&y), width, &FLAT, "float16");
        let bytes = |values: &[f64]| values.iter().map(|&v| (v * 128.0) as i8).collect::<Vec<_>>();
        check(&bytes(&x), &bytes(&y), width, &FLAT, "int8");
        let unsigned = |values: &[f64]| values.iter().map(|&v| (v * 128.0 + 128.0) as u8).collect::<Vec<_>>();
        let with_bits = [&FLAT[..], &[Metric::Hamming, Metric::Jaccard]].concat();
        check(&unsigned(&x), &unsigned(&y), width, &with_bits, "uint8");
    }
}

/// Rows of one side lose nothing, so that the bound is what is known of the other side; large beside small, and both small.
#[test]
fn what_rows_of_any_size_lose_is_bounded() {
    let (width, rows) = (33, 20);
    // One element in each row: every form writes it as it is.
    let whole: Vec<f64> =
        (0..rows * width).map(|i| if i % width == i / width * 3 % width { 127.0 } else { 0.0 }).collect();
    let any = numbers(rows * width, 12);
    for powers in
        [[-60, 33], [-75, 33], [-98, 33], [33, -75], [-62, -62], [-58, -66], [-64, -50], [-150, 40], [-30, -30]]
    {
        let [x, y] = powers.map(|power| 2f64.powi(power));
        let scaled = |values: &[f64], by: f64| values.iter().map(|value| value * by).collect::<Vec<f64>>();
        let rounded = |values: &[f64], by: f64| values.iter().map(|value| (value * by) as f32).collect::<Vec<f32>>();
        for (left, right) in [(&any, &whole), (&whole, &any), (&any, &any)] {
            check(&scaled(left, x), &scaled(right, y), width, &FLAT[..4], &format!("float64 {powers:?}"));
            check(&rounded(left, x), &rounded(right, y), width, &FLAT[..4], &format!("float32 {powers:?}"));
        }
    }
}

#[test]
fn float64_out_of_the_range_of_float32_is_bounded_too() {
    let (x, y) = (numbers(8 * 33, 3), numbers(60 * 33, 4));
    for scale in [1e-300, 1e-60, 1e60, 1e150] {
        let scaled = |values: &[f64]| values.iter().map(|&v| v * scale).collect::<Vec<f64>>();
        let metrics = if scale > 1e100 { &FLAT[..2] } else { &FLAT[..5] };
        check(&scaled(&x), &scaled(&y), 33, metrics, &format!("times {scale}"));
    }
}

/// The `k` best of each row, and all hits within the score of its k-th best.
type Answers = (Vec<f64>, Vec<i64>, Vec<i64>, Vec<i64>);

fn answers(search: Search, k: usize, context: &Context) -> Answers {
    let rows = search.x.rows();
    let worst = if search.largest { f64::NEG_INFINITY } else { f64::INFINITY };
    let (mut scores, mut indices) = (vec![worst; rows * k], vec![-1; rows * k]);
    search.topk(k, &mut scores, &mut indices, &mut vec![0; rows], context).unwrap();
    let thresholds: Vec<f64> = scores.chunks(k).map(|scores| scores[k - 1]).collect();
    let hits = search.radius(&thresholds, usize::MAX, true, context).unwrap();
    (scores, indices, hits.offsets, hits.indices)
}

#[test]
fn every_filter_finds_the_same() {
    for (rows, columns, width, k) in [(3, 70, 5, 3), (70, 1500, 33, 10), (5, 400, 130, 7)] {
        let (x, y) = (numbers(rows * width, 5), numbers(columns * width, 6));
        let shapes: [(&str, Shape); 4] = [
            ("plain", &|_, v| v),
            ("offset", &|_, v| v + 30.0),
            ("clusters", &|i, v| (i / width % 7) as f64 + v * 1e-3),
            ("outlier dimension", &|i, v| if i % width == 0 { v * 1e4 } else { v }),
        ];
        for (about, shape) in shapes {
            let cast = |values: &[f64]| values.iter().enumerate().map(|(i, &v)| shape(i, v) as f32).collect::<Vec<_>>();
            let (x, y) = (cast(&x), cast(&y));
            let (x, y) = (Matrix::from_slice(&x, width), Matrix::from_slice(&y, width));
            for (metric, largest) in [(Metric::Dot, true), (Metric::Cosine, false), (Metric::Euclidean, false)] {
                let search = Search { largest, filter: Filter::Off, ..Search::new(x, y, metric) };
                let expected = answers(search, k, &Context::new());
                for isa in Isa::available() {
                    for (name, filter) in Filter::ALL {
                        let threads = 1 + rows % 2;
                        let context = Context { isa, threads, ..Context::new() };
                        let found = answers(Search { filter, ..search }, k, &context);
                        assert_eq!(found, expected, "{about}, {metric:?}, {name}, {}", isa.name());
                    }
                }
            }
        }
    }
}

#[test]
fn filters_may_change_in_searches_of_any_size() {
    let (rows, width, k) = (600, 512, 5);
    for spread in [1.0, 1e-7] {
        let make = |count: usize, seed| -> Vec<f32> {
            numbers(count * width, seed).iter().map(|value| (1.0 + value * spread) as f32).collect()
        };
        let (x, y) = (make(rows, 9), make(2500, 10));
        for columns in [160, 1100, 1281, 2500] {
            let (x, y) = (Matrix::from_slice(&x, width), Matrix::from_slice(&y[..columns * width], width));
            let search = Search::new(x, y, Metric::Cosine);
            let mut bytes = vec![0; PackedRows::most_bytes(Form::Int16, [columns, width])];
            let used = PackedRows::pack(Metric::Cosine, Form::Int16, y, &mut bytes, &Context::new()).unwrap();
            let packed = PackedRows::new(&bytes[..used], Metric::Cosine, [columns, width]).unwrap();
            for isa in Isa::available() {
                let context = Context { isa, threads: 2, ..Context::new() };
                let best = |filter, packed| {
                    let (mut scores, mut indices) = (vec![f64::NEG_INFINITY; rows * k], vec![-1; rows * k]);
                    let search = Search { filter, packed, ..search };
                    search.topk(k, &mut scores, &mut indices, &mut vec![0; rows], &context).unwrap();
                    (scores, indices)
                };
                let expected = best(Filter::F32, None);
                for packed in [None, Some(packed)] {
                    assert!(best(Filter::Auto, packed) == expected, "{columns} columns, {spread}, {}", isa.name());
                }
            }
        }
    }
}

#[test]
fn packed_rows_that_are_something_else_are_refused() {
    let values: Vec<f32> = numbers(40 * 9, 8).into_iter().map(|value| value as f32).collect();
    let y = Matrix::from_slice(&values, 9);
    let mut bytes = vec![0; PackedRows::most_bytes(Form::Int8, [40, 9])];
    let used = PackedRows::pack(Metric::Euclidean, Form::Int8, y, &mut bytes, &Context::new()).unwrap();
    bytes.truncate(used);
    let look = |bytes: &[u8], metric, shape| PackedRows::new(bytes, metric, shape).map(|packed| packed.form());
    assert_eq!(look(&bytes, Metric::Euclidean, [40, 9]), Ok(Form::Int8));
    for (metric, shape) in [(Metric::Dot, [40, 9]), (Metric::Euclidean, [41, 9]), (Metric::Euclidean, [40, 8])] {
        assert!(look(&bytes, metric, shape).is_err());
    }
    for length in [0, 1, 255, 256, used - 1] {
        assert!(look(&bytes[..length], Metric::Euclidean, [40, 9]).is_err());
    }
    for place in (0..48).filter(|place| place % 8 == 0) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        assert!(look(&damaged, Metric::Euclidean, [40, 9]).is_err(), "byte {place}");
    }
}
