//! The group engine: losses of ragged lists, each list by itself, on all threads, without padding.
//!
//! A [`ListLoss`] is given the numbers of one list and returns its sums; [`run`] reads lists of any layout, shares them
//! out in tasks of about the same number of items, and puts derivatives back where the items came from. Tasks depend on
//! the lists alone, so results do not depend on the number of threads. Memory: 8 bytes an item for derivatives, and for
//! each thread the numbers of its longest list.

pub mod aligned;
pub mod cross_entropy;
pub mod lambda;
pub mod pairs;
pub mod plackett_luce;
pub mod soft_rank;
mod sorted;

use crate::column::{Column, Dtype};
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::simd::{self, scan::FindRange};

/// Items in lists: list `g` is the items `offsets[g] .. offsets[g + 1]` of `rows`, or of all items in their order.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    offsets: &'a [i64],
    rows: Option<&'a [i64]>,
}

impl<'a> Lists<'a> {
    /// Checks that the offsets cut `items` items.
    pub fn new(offsets: &'a [i64], rows: Option<&'a [i64]>, items: usize) -> Result<Self> {
        let bad = |index: usize| Error::Offsets { value: offsets[index].max(0) as usize, index, rows: items };
        match offsets {
            [] => return Err(Error::NoOffsets),
            [first, ..] if *first != 0 => return Err(bad(0)),
            [.., last] if *last != items as i64 => return Err(bad(offsets.len() - 1)),
            _ => {}
        }
        if let Some(i) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(bad(i + 1));
        }
        if let Some(rows) = rows
            && rows.len() != items
        {
            return Err(Error::Length { argument: "rows", seen: rows.len(), expected: items });
        }
        Ok(Self { offsets, rows })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Multiplies what belongs to each item by the scale of its list; by 0 to exactly 0.
    pub fn scale(&self, scales: &[f64], values: &mut [f64]) -> Result<()> {
        if scales.len() != self.len() {
            return Err(Error::Length { argument: "scale", seen: scales.len(), expected: self.len() });
        }
        for (list, &scale) in scales.iter().enumerate() {
            let range = self.range(list..list + 1);
            let scaled = |value: &mut f64| *value = if scale == 0.0 { 0.0 } else { *value * scale };
            match self.rows {
                None => values[range].iter_mut().for_each(scaled),
                Some(rows) => rows[range].iter().for_each(|&row| scaled(&mut values[row as usize])),
            }
        }
        Ok(())
    }

    fn range(&self, lists: std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.offsets[lists.start] as usize..self.offsets[lists.end] as usize
    }
}

/// What a loss reads of each item: its score and up to two numbers more.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    /// Scores.
    pub scores: Column<'a>,
    /// Relevance, gains or targets. An item whose relevance is NaN is left out.
    pub relevance: Option<Column<'a>>,
    /// Weights, ranks, or what comes from above.
    pub extra: Option<Column<'a>>,
}

/// The numbers of one list; those that the caller did not give are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    pub scores: &'a [f64],
    pub relevance: &'a [f64],
    pub extra: &'a [f64],
}

/// The sums of one list.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Term {
    /// The sum of the loss.
    pub sum: f64,
    /// What a mean divides it by: pairs, steps or mass. 0 if the list has none.
    pub size: f64,
    /// The same counted in items instead of pairs, where that exists.
    pub items: f64,
}

/// A loss of a list.
pub(crate) trait ListLoss: Sync {
    /// The sums of a list without NaN, and the derivatives of its sum with respect to the scores (or whatever the
    /// operation gives each item), which are all 0 before.
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term>;
}

/// The sums of all lists, and what each item gets, in the caller's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// One for each list.
    pub terms: Vec<Term>,
    /// One for each item; None if nobody asked.
    pub gradient: Option<Vec<f64>>,
}

/// Items of a task: enough to be worth a thread.
const TASK: usize = 1 << 13;

/// Applies a loss to all lists.
pub(crate) fn run(
    loss: &impl ListLoss,
    items: Items<'_>,
    lists: Lists<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    let count = items.scores.len();
    let mut terms = vec![Term::default(); lists.len()];
    let mut slopes = zeros(if gradient { count } else { 0 })?;
    let mut tasks = Vec::new();
    let (mut rest, mut terms_rest, mut first) = (slopes.as_mut_slice(), terms.as_mut_slice(), 0);
    while first < lists.len() {
        let mut end = first + 1;
        while end < lists.len() && lists.range(first..end + 1).len() <= TASK {
            end += 1;
        }
        let (task_terms, behind) = terms_rest.split_at_mut(end - first);
        terms_rest = behind;
        let (task_slopes, behind) = rest.split_at_mut(if gradient { lists.range(first..end).len() } else { 0 });
        rest = behind;
        tasks.push(Task { first, terms: task_terms, slopes: gradient.then_some(task_slopes) });
        first = end;
    }
    // A list that makes a task by itself may use the threads itself.
    let alone = tasks.len() == 1;
    let inner = if alone { *context } else { context.serial() };
    let threads = if alone { 1 } else { context.threads_for(2 * count) };
    for done in context.map(threads, tasks, |task| task.run(loss, items, lists, &inner))? {
        done?;
    }
    let gradient = match (gradient, lists.rows) {
        (false, _) => None,
        (true, None) => Some(slopes),
        (true, Some(rows)) => {
            let mut ordered = zeros(count)?;
            for (&row, &slope) in rows.iter().zip(&slopes) {
                ordered[row as usize] = slope;
            }
            Some(ordered)
        }
    };
    Ok(Outcome { terms, gradient })
}

fn zeros(len: usize) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: 8 * len })?;
    values.resize(len, 0.0);
    Ok(values)
}

/// Some consecutive lists.
struct Task<'a> {
    first: usize,
    terms: &'a mut [Term],
    slopes: Option<&'a mut [f64]>,
}

impl Task<'_> {
    fn run(mut self, loss: &impl ListLoss, items: Items<'_>, lists: Lists<'_>, context: &Context) -> Result<()> {
        let mut buffers = Buffers::default();
        let begin = lists.offsets[self.first] as usize;
        for (i, term) in self.terms.iter_mut().enumerate() {
            context.check()?;
            let range = lists.range(self.first + i..self.first + i + 1);
            let slopes = self.slopes.as_mut().map(|slopes| &mut slopes[range.start - begin..range.end - begin]);
            *term = buffers.apply(loss, items, lists.rows.map(|rows| &rows[range.clone()]), range, slopes, context)?;
        }
        Ok(())
    }
}

/// Room for the numbers of a list.
#[derive(Default)]
struct Buffers {
    columns: [Vec<f64>; 3],
    /// The items that count, if some do not.
    kept: Vec<usize>,
    slopes: Vec<f64>,
}

/// The numbers of a column: where they lie if they are float64 side by side, else as a copy.
fn read<'a>(
    column: Option<Column<'a>>,
    rows: Option<&[i64]>,
    range: std::ops::Range<usize>,
    buffer: &'a mut Vec<f64>,
) -> &'a [f64] {
    let Some(column) = column else { return &[] };
    if rows.is_none()
        && column.dtype() == Dtype::F64
        && let Some(values) = column.as_slice(range.start, range.len())
    {
        return values;
    }
    buffer.resize(range.len(), 0.0);
    match rows {
        Some(rows) => column.gather(rows, buffer),
        None => column.floats(range.start, buffer),
    }
    buffer
}

impl Buffers {
    fn apply(
        &mut self,
        loss: &impl ListLoss,
        items: Items<'_>,
        rows: Option<&[i64]>,
        range: std::ops::Range<usize>,
        slopes: Option<&mut [f64]>,
        context: &Context,
    ) -> Result<Term> {
        let [scores, relevance, extra] = &mut self.columns;
        let mut list = List {
            scores: read(Some(items.scores), rows, range.clone(), scores),
            relevance: read(items.relevance, rows, range.clone(), relevance),
            extra: read(items.extra, rows, range, extra),
        };
        if !simd::call(context.isa, FindRange(list.relevance)).nan {
            return on_numbers(loss, list, slopes, context);
        }
        self.kept.clear();
        self.kept.extend((0..list.scores.len()).filter(|&i| !list.relevance[i].is_nan()));
        let keep = |values: &[f64]| -> Vec<f64> {
            if values.is_empty() { Vec::new() } else { self.kept.iter().map(|&i| values[i]).collect() }
        };
        let (scores, relevance, extra) = (keep(list.scores), keep(list.relevance), keep(list.extra));
        list = List { scores: &scores, relevance: &relevance, extra: &extra };
        let Some(slopes) = slopes else { return on_numbers(loss, list, None, context) };
        self.slopes.clear();
        self.slopes.resize(scores.len(), 0.0);
        let term = on_numbers(loss, list, Some(&mut self.slopes), context)?;
        for (&to, &slope) in self.kept.iter().zip(&self.slopes) {
            slopes[to] = slope;
        }
        Ok(term)
    }
}

/// A NaN among the scores makes all of the list NaN.
fn on_numbers(loss: &impl ListLoss, list: List<'_>, slopes: Option<&mut [f64]>, context: &Context) -> Result<Term> {
    if simd::call(context.isa, FindRange(list.scores)).nan {
        if let Some(slopes) = slopes {
            slopes.fill(f64::NAN);
        }
        return Ok(Term { sum: f64::NAN, size: 1.0, items: 1.0 });
    }
    loss.list(list, slopes, context)
}
