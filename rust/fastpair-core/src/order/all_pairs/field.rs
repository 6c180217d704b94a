//! Sums over all pairs of nodes of two sides: near ones one by one, far ones by sweeps over the boxes.

use super::With;
use super::boxes::{Grid, Nodes};
use super::kernel::aligned::Aligned;
use super::kernel::chebyshev::Basis;
use super::kernel::direct::{ButOne, Direct, Ends, OfLowers, PAD, PairWeights};
use super::kernel::formula::{Kind, with_formula};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Level, Op};

/// Terms of the series far out: the next one is below `e^-36` of the value.
const TERMS: usize = 6;

/// A function far from 0: `sum_k below[k] e^(k x)` below, `constant + linear x + sum_k above[k] e^(-k x)` above, k from 1.
#[derive(Clone, Copy)]
struct Series {
    below: [f64; TERMS],
    constant: f64,
    linear: f64,
    above: [f64; TERMS],
}

impl Series {
    /// Of a formula that the treecode knows.
    fn of(kind: Kind) -> Self {
        let terms = std::array::from_fn(|i| if i.is_multiple_of(2) { 1.0 } else { -1.0 } / (i + 1) as f64);
        let logistic = Self { below: terms, constant: 0.0, linear: 1.0, above: terms };
        if kind == Kind::Logistic { logistic } else { logistic.derivative() }
    }

    fn derivative(&self) -> Self {
        let times = |terms: &[f64; TERMS], sign: f64| std::array::from_fn(|i| sign * (i + 1) as f64 * terms[i]);
        Self { below: times(&self.below, 1.0), constant: self.linear, linear: 0.0, above: times(&self.above, -1.0) }
    }
}

/// `sum_k terms[k] sums[k] base^k`, k from 1.
#[inline(always)]
fn series(terms: &[f64; TERMS], sums: &[f64; TERMS], base: f64) -> f64 {
    (0..TERMS).rev().fold(0.0, |value, k| base * (value + terms[k] * sums[k]))
}

/// What nodes seen so far, all far away, add up to: `sum w`, `sum w y` and `sum w e^(-k y)`, k from 1, for their distances
/// `y > 0` from the middle of the present box.
#[derive(Clone, Copy, Default)]
struct Passed {
    count: f64,
    distance: f64,
    powers: [f64; TERMS],
}

impl Passed {
    /// Moves on by a distance, over which `e^-distance` is given.
    #[inline(always)]
    fn step(&mut self, distance: f64, decay: f64) {
        self.distance += self.count * distance;
        let mut power = 1.0;
        for sum in &mut self.powers {
            power *= decay;
            *sum *= power;
        }
    }

    #[inline(always)]
    fn add(&mut self, weight: f64, distance: f64) {
        self.count += weight;
        self.distance += weight * distance;
        let decay = (-distance).exp();
        let mut power = weight;
        for sum in &mut self.powers {
            power *= decay;
            *sum += power;
        }
    }
}

/// Nodes of a box, and those near it.
struct Near<'a> {
    uppers: &'a [f64],
    upper_weights: &'a [f64],
    lowers: &'a [f64],
    count: usize,
    slopes: (&'a mut [f64], &'a mut [f64]),
}

impl Near<'_> {
    fn sum(&mut self, kind: Kind, weights: impl PairWeights, context: &Context) -> Result<f64> {
        with_formula!(kind, formula => Direct {
            formula,
            uppers: self.uppers,
            upper_weights: self.upper_weights,
            ends: Ends::All(self.count),
            lowers: self.lowers,
            weights,
            shift: 0.0,
            temperature: 1.0,
            slopes: Some((&mut *self.slopes.0, &mut *self.slopes.1)),
            context,
        }
        .sum())
    }
}

/// The formula and its derivative for all nodes of two full boxes: `[b][a]` for lower node b and upper node a, and the
/// derivative as `[a][b]`.
struct Table<const P: usize> {
    values: [[f64; P]; P],
    slopes: [[f64; P]; P],
    mirrored: [[f64; P]; P],
}

/// The nodes of two full boxes meet: the sum of their pairs, weighted, and slopes to add to.
struct Meet<'a, const P: usize> {
    table: &'a Table<P>,
    upper_weights: &'a [f64],
    lower_weights: &'a [f64],
    upper_slopes: &'a mut [f64],
    lower_slopes: &'a mut [f64],
}

impl<const P: usize> Op for Meet<'_, P> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        let (mut values, mut uppers, mut lowers) = ([0.0; P], [0.0; P], [0.0; P]);
        for (b, weight) in self.lower_weights.iter().enumerate().take(P) {
            for a in 0..P {
                values[a] += weight * self.table.values[b][a];
                uppers[a] += weight * self.table.slopes[b][a];
            }
        }
        for (a, weight) in self.upper_weights.iter().enumerate().take(P) {
            for (sum, slope) in lowers.iter_mut().zip(&self.table.mirrored[a]) {
                *sum += weight * slope;
            }
        }
        self.upper_slopes.iter_mut().zip(uppers).for_each(|(sum, slope)| *sum += slope);
        self.lower_slopes.iter_mut().zip(lowers).for_each(|(sum, slope)| *sum += slope);
        self.upper_weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
    }
}

/// Sums at the nodes of two sides.
pub(super) struct Field<'a, const P: usize> {
    grid: &'a Grid,
    numbers: &'a [f64],
    basis: &'a Basis<P>,
    upper: Nodes<'a>,
    lower: Nodes<'a>,
    /// The sum over all pairs, weighted.
    pub total: f64,
    /// For each upper node the sum of the derivative over lower nodes, times their weights.
    pub upper_slopes: Vec<f64>,
    /// The same for each lower node.
    pub lower_slopes: Vec<f64>,
}

impl<'a, const P: usize> Field<'a, P> {
    pub fn new(grid: &'a Grid, numbers: &'a [f64], basis: &'a Basis<P>, upper: Nodes<'a>, lower: Nodes<'a>) -> Self {
        let (upper_slopes, lower_slopes) = (vec![0.0; upper.places.len()], vec![0.0; lower.places.len()]);
        Self { grid, numbers, basis, upper, lower, total: 0.0, upper_slopes, lower_slopes }
    }

    /// The distance from a box to another, in temperatures.
    #[inline(always)]
    fn distance(&self, from: usize, to: usize) -> f64 {
        (self.numbers[to] - self.numbers[from]) * (2.0 * self.grid.half)
    }

    /// Pairs of nodes in boxes near each other. Boxes of few rows hold these as nodes, and with others alone no row meets
    /// itself there; in fuller boxes rows do.
    pub fn add_near(&mut self, kind: Kind, with: With, context: &Context) -> Result<()> {
        let tables = self.tables(kind, context);
        let (mut places, mut weights, mut slopes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut first, mut end) = (0, 0);
        for rank in 0..self.numbers.len() {
            let number = self.numbers[rank];
            while number - self.numbers[first] > self.grid.near {
                first += 1;
            }
            while end < self.numbers.len() && self.numbers[end] - number <= self.grid.near {
                end += 1;
            }
            let uppers = self.upper.of(rank);
            if uppers.is_empty() {
                continue;
            }
            let full = self.upper.rows_of(rank) > P;
            let mut other = first;
            while other < end {
                // As many boxes at a time as are alike.
                let by_table = |other: usize| full && self.lower.rows_of(other) > P && !tables.is_empty();
                if by_table(other) {
                    context.check()?;
                    let offset = (self.numbers[other] - number + self.grid.near) as usize;
                    let lowers = self.lower.of(other);
                    self.total += simd::call(
                        context.isa,
                        Meet {
                            table: &tables[offset],
                            upper_weights: &self.upper.weights[uppers.clone()],
                            lower_weights: &self.lower.weights[lowers.clone()],
                            upper_slopes: &mut self.upper_slopes[uppers.clone()],
                            lower_slopes: &mut self.lower_slopes[lowers],
                        },
                    );
                    other += 1;
                    continue;
                }
                let alone = |other: usize| with == With::Others && other == rank && !full;
                let begin = other;
                other += 1;
                while !alone(begin) && other < end && !by_table(other) && !alone(other) {
                    other += 1;
                }
                let lowers = self.lower.begins[begin]..self.lower.begins[other];
                if lowers.is_empty() {
                    continue;
                }
                places.clear();
                for near in begin..other {
                    let distance = self.distance(rank, near);
                    places.extend(self.lower.places[self.lower.of(near)].iter().map(|place| place + distance));
                }
                let padded = lowers.len().next_multiple_of(PAD);
                places.resize(padded, 0.0);
                weights.clear();
                weights.extend_from_slice(&self.lower.weights[lowers.clone()]);
                weights.resize(padded, 0.0);
                slopes.clear();
                slopes.resize(padded, 0.0);
                let mut near = Near {
                    uppers: &self.upper.places[uppers.clone()],
                    upper_weights: &self.upper.weights[uppers.clone()],
                    lowers: &places,
                    count: lowers.len(),
                    slopes: (&mut self.upper_slopes[uppers.clone()], &mut slopes),
                };
                self.total += if alone(begin) {
                    near.sum(kind, ButOne { weights: &mut weights, hidden: 0.0 }, context)?
                } else {
                    near.sum(kind, OfLowers(&weights), context)?
                };
                for (sum, slope) in self.lower_slopes[lowers].iter_mut().zip(&slopes) {
                    *sum += slope;
                }
            }
        }
        Ok(())
    }

    /// What nodes of full boxes are to each other, for each distance of boxes; none if few boxes are full.
    fn tables(&self, kind: Kind, context: &Context) -> Vec<Table<P>> {
        let full = (0..self.numbers.len()).filter(|&rank| self.upper.rows_of(rank) > P && self.lower.rows_of(rank) > P);
        if full.take(4).count() < 4 {
            return Vec::new();
        }
        let near = self.grid.near as i64;
        let places: [f64; P] = std::array::from_fn(|a| self.basis.nodes[a] * self.grid.half);
        (-near..=near)
            .map(|boxes| {
                let distance = boxes as f64 * (2.0 * self.grid.half);
                let mut table = Table { values: [[0.0; P]; P], slopes: [[0.0; P]; P], mirrored: [[0.0; P]; P] };
                let mut arguments: Vec<f64> = Vec::with_capacity(P * P);
                for lower in places {
                    arguments.extend(places.iter().map(|upper| lower + distance - upper));
                }
                let mut values = vec![0.0; P * P];
                let (arguments, out) = (&mut arguments, &mut values);
                with_formula!(kind, formula => simd::call(context.isa, Aligned { formula, arguments, values: out }));
                for b in 0..P {
                    for a in 0..P {
                        table.values[b][a] = values[b * P + a];
                        table.slopes[b][a] = arguments[b * P + a];
                        table.mirrored[a][b] = arguments[b * P + a];
                    }
                }
                table
            })
            .collect()
    }

    /// Pairs of nodes in boxes far from each other: those behind, in a sweep up and one down.
    pub fn add_far(&mut self, kind: Kind, context: &Context) -> Result<()> {
        let value = Series::of(kind);
        let slope = value.derivative();
        for up in [true, false] {
            let count = self.numbers.len();
            let at = |step: usize| if up { step } else { count - 1 - step };
            let sign = if up { 1.0 } else { -1.0 };
            let (mut uppers, mut lowers) = (Passed::default(), Passed::default());
            let mut behind = 0;
            let (mut last_distance, mut last_decay) = (0.0, 1.0);
            for step in 0..count {
                if step % 1024 == 0 {
                    context.check()?;
                }
                let rank = at(step);
                if step > 0 {
                    let distance = self.distance(at(step - 1), rank).abs();
                    if distance != last_distance {
                        (last_distance, last_decay) = (distance, (-distance).exp());
                    }
                    uppers.step(last_distance, last_decay);
                    lowers.step(last_distance, last_decay);
                }
                while (self.numbers[rank] - self.numbers[at(behind)]).abs() > self.grid.near {
                    let box_behind = at(behind);
                    let distance = self.distance(box_behind, rank).abs();
                    for (side, passed) in [(&self.upper, &mut uppers), (&self.lower, &mut lowers)] {
                        for node in side.begins[box_behind]..side.begins[box_behind + 1] {
                            passed.add(side.weights[node], distance - sign * side.places[node]);
                        }
                    }
                    behind += 1;
                }
                if behind == 0 {
                    continue;
                }
                for node in self.upper.begins[rank]..self.upper.begins[rank + 1] {
                    // The passed nodes are lower ones, `x` away from here: below (x < 0) going up, above going down.
                    let away = sign * self.upper.places[node];
                    let base = (-away).exp();
                    let (value, slope) = if up {
                        (series(&value.below, &lowers.powers, base), series(&slope.below, &lowers.powers, base))
                    } else {
                        let distance = lowers.distance + lowers.count * away;
                        (
                            value.constant * lowers.count
                                + value.linear * distance
                                + series(&value.above, &lowers.powers, base),
                            slope.constant * lowers.count + series(&slope.above, &lowers.powers, base),
                        )
                    };
                    self.total += self.upper.weights[node] * value;
                    self.upper_slopes[node] += slope;
                }
                for node in self.lower.begins[rank]..self.lower.begins[rank + 1] {
                    // The passed nodes are upper ones: going up, this one lies above them.
                    let base = (-sign * self.lower.places[node]).exp();
                    self.lower_slopes[node] += if up {
                        slope.constant * uppers.count + series(&slope.above, &uppers.powers, base)
                    } else {
                        series(&slope.below, &uppers.powers, base)
                    };
                }
            }
        }
        Ok(())
    }
}
