//! Keeping what a filter cannot rule out: candidates of a row of x, and the exact best of them.
//!
//! A candidate is an interval that holds its value. The row's threshold is never above the k-th best value: it is the
//! k-th largest lower end of the candidates, or the exact value of the k-th best score so far. Who reaches it with its
//! upper end stays. When a row has too many candidates whose intervals overlap, the most promising k are scored in float64,
//! which raises the threshold nearly to where it will end; if too many are left even so, all are. So memory is bounded
//! whatever the data, and the answer is the same: thresholds only decide how early a candidate that cannot win is dropped.

use super::admit::Admit;
use super::exact::Exact;
use super::filter::Survivors;
use super::kernel::{STRIP, Strip};
use super::metric::Metric;

/// Which scores are best.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub metric: Metric,
    /// Whether the largest scores are the best, not the smallest.
    pub largest: bool,
}

impl Order {
    /// Whether tiles must be negated for the best to have the largest values.
    pub fn negated(&self) -> bool {
        self.largest == self.metric.is_distance()
    }

    /// A number that is larger for better scores; gives the score when applied again.
    #[inline(always)]
    pub fn key(&self, score: f64) -> f64 {
        if self.largest { score } else { -score }
    }

    /// The value in a tile of a pair of this key.
    pub fn value(&self, key: f64) -> f64 {
        if key.is_infinite() {
            return key;
        }
        // No distance is negative, and no cosine is beyond 1, but a limit may be.
        let score = match self.metric {
            Metric::Dot => self.key(key),
            Metric::Cosine => self.key(key),
            _ => self.key(key).max(0.0),
        };
        let value = self.metric.value(score);
        if self.negated() { -value } else { value }
    }
}

/// A column whose value is between two numbers.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    low: f32,
    high: f32,
    column: usize,
}

/// The best of a row: `k` scores and indices, best first, equal ones by index; unused places at the end hold index -1.
pub(crate) struct Best<'a> {
    pub scores: &'a mut [f64],
    pub indices: &'a mut [i64],
}

impl Best<'_> {
    /// Enters pairs of a key and an index, which need not be sorted and are used up.
    pub fn enter(&mut self, order: Order, found: &mut Vec<(f64, i64)>) {
        let k = self.scores.len();
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(k);
        let mut held = self.len();
        let mut merged: Vec<(f64, i64)> = Vec::with_capacity((held + found.len()).min(k));
        let old: Vec<(f64, i64)> = (0..held).map(|i| (order.key(self.scores[i]), self.indices[i])).collect();
        let (mut old, mut new) = (old.into_iter().peekable(), found.drain(..).peekable());
        while merged.len() < k {
            let take_old = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) => a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)).is_gt(),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            merged.extend(if take_old { old.next() } else { new.next() });
        }
        held = merged.len();
        for (i, (key, index)) in merged.into_iter().enumerate() {
            (self.scores[i], self.indices[i]) = (order.key(key), index);
        }
        debug_assert!(self.indices[held..].iter().all(|&index| index < 0));
    }

    /// How many places are used.
    pub fn len(&self) -> usize {
        self.indices.partition_point(|&index| index >= 0)
    }

    /// The key of the last place, if all are used.
    pub fn last_key(&self, order: Order) -> Option<f64> {
        (self.indices.last().is_some_and(|&index| index >= 0)).then(|| order.key(self.scores[self.scores.len() - 1]))
    }
}

/// Candidates of the rows of a panel.
pub(crate) struct Selection<'a> {
    order: Order,
    admit: Admit<'a>,
    /// The first row.
    begin: usize,
    k: usize,
    capacity: usize,
    /// How many candidates of each row there may be before they are looked through.
    limits: Vec<usize>,
    /// No value that counts is below. Behind the last row, infinite.
    thresholds: Vec<Strip<f32>>,
    /// No value that counts is above.
    ceilings: Vec<f32>,
    /// Room for `capacity` candidates of each row, and how many it has.
    candidates: Vec<Candidate>,
    held: Vec<usize>,
    scores: &'a mut [f64],
    indices: &'a mut [i64],
    /// How many admitted pairs of each row were better than the limits allow.
    above: &'a mut [i64],
    exact: Exact<'a>,
    /// Room for the columns and results of a row.
    columns: Vec<usize>,
    found: Vec<(f64, i64)>,
    /// What became of the candidates.
    pub survivors: Survivors,
}

/// Candidates that a row may have, for which there is room. Of few columns, none is left out. If intervals are `coarse`,
/// many overlap before the exact scores tell them apart.
fn capacity(k: usize, columns: usize, coarse: bool) -> usize {
    let most = if coarse { 12 * k + 256 } else { usual_limit(k) };
    most.min(columns + 1)
}

/// Candidates of a row that are looked through when so many are there.
fn usual_limit(k: usize) -> usize {
    3 * k + 48
}

/// Bytes that a row of a selection takes at most.
pub(crate) fn bytes_per_row(k: usize, columns: usize, coarse: bool) -> usize {
    capacity(k, columns, coarse) * size_of::<Candidate>() + 2 * size_of::<usize>() + 2 * size_of::<f32>()
}

/// Bytes that a selection of so many rows takes at most.
pub(crate) fn bytes(rows: usize, k: usize, columns: usize, coarse: bool) -> usize {
    let column = size_of::<usize>() + size_of::<(f64, i64)>();
    // Vectors that grow double. The last are for the places of a row, old, new and merged.
    let row = capacity(k, columns, coarse).next_power_of_two() * column + 3 * k * size_of::<(f64, i64)>();
    rows * bytes_per_row(k, columns, coarse) + row
}

impl<'a> Selection<'a> {
    /// A selection of `columns` columns for as many rows, from `begin` on, as `scores` and `indices` have places for; what
    /// they hold already takes part.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        order: Order,
        admit: Admit<'a>,
        begin: usize,
        (k, coarse): (usize, bool),
        columns: usize,
        exact: Exact<'a>,
        scores: &'a mut [f64],
        indices: &'a mut [i64],
        above: &'a mut [i64],
    ) -> Self {
        let (rows, capacity) = (scores.len() / k, capacity(k, columns, coarse));
        let mut selection = Self {
            order,
            admit,
            begin,
            k,
            capacity,
            limits: vec![usual_limit(k).min(capacity); rows],
            thresholds: vec![Strip([f32::INFINITY; STRIP]); rows.div_ceil(STRIP)],
            ceilings: vec![f32::INFINITY; rows],
            candidates: vec![Candidate { low: 0.0, high: 0.0, column: 0 }; rows * capacity],
            held: vec![0; rows],
            scores,
            indices,
            above,
            exact,
            columns: Vec::new(),
            found: Vec::new(),
            survivors: Survivors::default(),
        };
        for row in 0..rows {
            let limits = admit.limits(begin + row).map(|limit| order.key(limit));
            let [least, most] = if order.largest { limits } else { [limits[1], limits[0]] };
            selection.ceilings[row] = (order.value(most) as f32).next_up();
            let threshold = (order.value(least) as f32).next_down();
            selection.thresholds[row / STRIP].0[row % STRIP] = threshold;
            selection.raise_to_last(row);
        }
        selection
    }

    /// The thresholds of a strip.
    #[inline(always)]
    pub fn thresholds(&self, x0: usize) -> &Strip<f32> {
        &self.thresholds[x0 / STRIP]
    }

    /// Whether any row may take one of these columns.
    pub fn wants(&self, columns: std::ops::Range<usize>) -> bool {
        self.admit.any_of(columns)
    }

    fn best(&mut self, row: usize) -> Best<'_> {
        let places = row * self.k..(row + 1) * self.k;
        Best { scores: &mut self.scores[places.clone()], indices: &mut self.indices[places] }
    }

    /// Raises the threshold of a row to its last place.
    fn raise_to_last(&mut self, row: usize) {
        let order = self.order;
        if let Some(key) = self.best(row).last_key(order) {
            self.raise(row, (order.value(key) as f32).next_down());
        }
    }

    fn raise(&mut self, row: usize, value: f32) {
        let threshold = &mut self.thresholds[row / STRIP].0[row % STRIP];
        *threshold = threshold.max(value);
    }

    /// Takes a column whose value is `value` with an error of at most `error`, if it may count.
    #[cold]
    #[inline(never)]
    pub fn push(&mut self, row: usize, column: usize, value: f32, error: f32) {
        // An infinite bound leaves everything open, and the value may be infinite too.
        let open = error == f32::INFINITY;
        let high = if open { f32::INFINITY } else { (value + error).next_up() };
        let mut low = if open { f32::NEG_INFINITY } else { (value - error).next_down() };
        let threshold = self.thresholds[row / STRIP].0[row % STRIP];
        if high < threshold || !self.admit.pair(self.begin + row, column) {
            return;
        }
        if low > self.ceilings[row] {
            self.above[row] += 1;
            return;
        }
        if high > self.ceilings[row] {
            // Perhaps it does not count: then it must not raise the threshold.
            low = f32::NEG_INFINITY;
        }
        self.candidates[row * self.capacity + self.held[row]] = Candidate { low, high, column };
        self.held[row] += 1;
        self.survivors.remembered += 1;
        if self.held[row] == self.limits[row] {
            self.compact(row);
        }
    }

    /// Drops candidates that cannot win, and scores some or all of those left if they are many. What cannot be told apart
    /// yet waits for a higher threshold as long as there is room.
    fn compact(&mut self, row: usize) {
        self.drop_hopeless(row);
        if self.held[row] > self.capacity * 3 / 4 {
            self.settle(row, self.k);
            self.drop_hopeless(row);
        }
        if self.held[row] > self.capacity * 3 / 4 {
            self.settle(row, usize::MAX);
        }
        self.limits[row] = (2 * self.held[row]).clamp(usual_limit(self.k).min(self.capacity), self.capacity);
    }

    /// Raises the threshold of a row to what `k` of its candidates reach, and drops those below.
    fn drop_hopeless(&mut self, row: usize) {
        let places = row * self.capacity..row * self.capacity + self.held[row];
        if self.held[row] >= self.k {
            let candidates = &mut self.candidates[places.clone()];
            let (_, kth, _) = candidates.select_nth_unstable_by(self.k - 1, |a, b| b.low.total_cmp(&a.low));
            let low = kth.low;
            self.raise(row, low);
        }
        let threshold = self.thresholds[row / STRIP].0[row % STRIP];
        let candidates = &mut self.candidates[places];
        let mut kept = 0;
        for i in 0..candidates.len() {
            if candidates[i].high >= threshold {
                candidates[kept] = candidates[i];
                kept += 1;
            }
        }
        self.held[row] = kept;
    }

    /// Scores the `most` most promising candidates of a row in float64 and enters them among its best.
    fn settle(&mut self, row: usize, most: usize) {
        let held = self.held[row];
        if held == 0 {
            return;
        }
        let candidates = &mut self.candidates[row * self.capacity..][..held];
        let kept = held.saturating_sub(most);
        if kept > 0 {
            // The last ones are the best.
            candidates.select_nth_unstable_by(kept, |a, b| a.low.total_cmp(&b.low));
        }
        self.held[row] = kept;
        let mut found = std::mem::take(&mut self.found);
        self.columns.clear();
        self.columns.extend(candidates[kept..].iter().map(|candidate| candidate.column));
        self.survivors.scored += held - kept;
        let (order, limits, offset) = (self.order, self.admit.limits(self.begin + row), self.admit.offset);
        let (exact, columns) = (&mut self.exact, &self.columns);
        self.above[row] += score_columns(exact, self.begin + row, columns, order, limits, offset, &mut found);
        self.best(row).enter(order, &mut found);
        self.found = found;
        self.raise_to_last(row);
    }

    /// Scores all candidates that are left, the most promising first if others may then be dropped.
    pub fn finish(&mut self) {
        for row in 0..self.held.len() {
            self.drop_hopeless(row);
            if self.held[row] > self.k + self.k / 4 + 2 {
                self.settle(row, self.k);
                self.drop_hopeless(row);
            }
            self.settle(row, usize::MAX);
        }
    }
}

/// Scores columns of y for a row of x: the keys and indices of those whose scores are within `limits` go to `found`. Returns
/// how many are better than these allow.
pub(crate) fn score_columns(
    exact: &mut Exact,
    row: usize,
    columns: &[usize],
    order: Order,
    limits: [f64; 2],
    offset: usize,
    found: &mut Vec<(f64, i64)>,
) -> i64 {
    let mut above = 0;
    exact.set_row(row);
    for (i, &column) in columns.iter().enumerate() {
        if let Some(&later) = columns.get(i + 2) {
            exact.prefetch(later);
        }
        let score = exact.score(column);
        // What is not a number is never within limits.
        if score >= limits[0] && score <= limits[1] {
            found.push((order.key(score), (offset + column) as i64));
        } else if if order.largest { score > limits[1] } else { score < limits[0] } {
            above += 1;
        }
    }
    above
}
