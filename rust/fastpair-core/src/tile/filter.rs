//! Which tiles a search is filtered by: every choice gives the same answer, so only time is at stake.
//!
//! A filter costs the products of all pairs, some work for each row that is written in few bits, and what its survivors
//! cost: to be remembered, and to be scored in float64. The first two are known beforehand ([`ladder`] orders what is worth
//! trying by them), survivors are not. So a search begins with the cheapest filter and looks at its survivors whenever twice
//! as many rows of y are behind it ([`Watch`]). Of a filter that is fine enough for the data, each doubling leaves as many
//! survivors as the one before, since only records survive; of one that is too coarse, up to twice as many. What the rest
//! will cost by that is compared with what the next filter, a finer one, would cost.

use super::kernel::FEW;
use super::metric::Metric;
use super::narrow::{Form, NarrowTiles};
use crate::simd::Isa;
use crate::simd::narrow::Unit;

/// What a search is filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Whatever is fastest.
    #[default]
    Auto,
    /// Tiles of float32.
    F32,
    /// Tiles of rows in few bits, for metrics that are made of products.
    Narrow(Form),
    /// Nothing: every pair is scored in float64.
    Off,
}

impl Filter {
    /// All filters and their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("auto", Self::Auto),
        ("f32", Self::F32),
        ("bf16", Self::Narrow(Form::Bf16)),
        ("bf16x3", Self::Narrow(Form::Bf16x3)),
        ("int16", Self::Narrow(Form::Int16)),
        ("int8", Self::Narrow(Form::Int8)),
        ("off", Self::Off),
    ];

    /// The filter of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|&(_, filter)| filter)
    }
}

/// A filter, and what it costs for each pair without survivors, in cycles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rung {
    pub filter: Filter,
    pub cost: f64,
}

/// What a search looks like to its filters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub x_rows: usize,
    pub y_rows: usize,
    pub width: usize,
    /// The form in which rows of y are there already.
    pub packed: Option<Form>,
}

/// Cycles that a filter must save in all to be tried: choosing one takes some, too.
const WORTH_TRYING: f64 = 3e6;

/// Cycles that it takes to write a column of a row in few bits, and to copy one of a row of float32.
const WRITING: f64 = 2.5;
const COPYING: f64 = 0.4;

/// Cycles of a survivor: to remember it, and to score it in float64 (and then for each column).
const REMEMBERING: f64 = 40.0;
const SCORING: [f64; 2] = [300.0, 0.8];

/// Products of float32 in a cycle, by level.
fn float_rate(isa: Isa) -> f64 {
    match isa.name() {
        "v4" => 26.0,
        "v3" => 15.0,
        _ => 3.5,
    }
}

/// Products in a cycle, where a unit is worth being used: measured with `simd::narrow::tests::speed` for AVX2; from trials
/// of single kernels, and below what these reached, for the others.
fn narrow_rate(unit: Unit) -> Option<f64> {
    use crate::simd::narrow::Encoding::{Bf16, Int8, Int16};
    Some(match (unit.name(), unit.encoding()) {
        ("amx", Bf16) => 400.0,
        ("amx", Int8) => 600.0,
        ("avx512-vnni", Int8) => 110.0,
        ("avx512-vnni", Int16) => 52.0,
        ("avx512", Int16) => 40.0,
        ("avx-vnni", Int8) => 55.0,
        ("avx-vnni", Int16) => 27.0,
        ("avx2", Int8 | Int16) => 21.5,
        _ => return None,
    })
}

/// Whether a form is tried at all. 8 bits leave more survivors than bfloat16, which AMX multiplies half as fast: they do
/// only for rows that are packed so already. For very few rows of x the memory is what is waited for, so that only packed
/// rows save anything, and only where products take no time.
fn is_tried(form: Form, unit: Unit, Size { x_rows, packed, .. }: Size) -> bool {
    let is_packed = packed == Some(form);
    let is_fast = unit.name() == "amx" || unit.name().ends_with("vnni");
    (is_packed || !(form == Form::Int8 && unit.name() == "amx")) && (x_rows > FEW || is_packed && is_fast)
}

/// The filters worth trying, the cheapest first, each finer than the one before; the last one is float32.
pub(crate) fn ladder(metric: Metric, size: Size, isa: Isa) -> Vec<Rung> {
    let Size { x_rows, y_rows, width, packed } = size;
    let pairs = x_rows as f64 * y_rows as f64;
    // Rows of y are prepared once for each panel.
    let each = |cost: f64, panel: usize| cost * width as f64 / x_rows.clamp(1, panel) as f64;
    let floats = Rung { filter: Filter::F32, cost: width as f64 / float_rate(isa) + each(COPYING, 448) };
    let mut rungs = vec![floats];
    if !NarrowTiles::can(metric, width) {
        return rungs;
    }
    // From the finest to the coarsest, each cheaper than all that are finer.
    for form in Form::ALL.into_iter().rev() {
        let unit = Unit::best(isa, form.encoding());
        let is_packed = packed == Some(form);
        let (Some(rate), true) = (narrow_rate(unit), is_tried(form, unit, size)) else { continue };
        let columns = form.steps(width) * 16 * form.encoding().numbers();
        // Few rows leave registers empty.
        let lanes = x_rows.clamp(1, 32) as f64;
        let used = lanes / lanes.max(if unit.name() == "amx" { 16.0 } else { 8.0 });
        let writing = if is_packed { 0.0 } else { each(WRITING, NarrowTiles::panel_rows(form, width)) };
        let cost = columns as f64 / (rate * used) + writing + 0.4;
        let best = rungs[rungs.len() - 1].cost;
        let saved = pairs * (floats.cost - cost);
        if cost < 0.9 * best && saved > WORTH_TRYING {
            rungs.push(Rung { filter: Filter::Narrow(form), cost });
        }
    }
    rungs.reverse();
    rungs
}

/// Queries in a search that rows are packed for, if nobody says more.
const USUAL_QUERIES: usize = 1000;

/// The form in which rows of y are packed for searches by a filter, if that is possible and worth it.
pub fn form_to_pack(filter: Filter, metric: Metric, [rows, width]: [usize; 2], isa: Isa) -> Option<Form> {
    let size = Size { x_rows: USUAL_QUERIES, y_rows: rows, width, packed: None };
    let filter = if filter == Filter::Auto { ladder(metric, size, isa)[0].filter } else { filter };
    match filter {
        Filter::Narrow(form) if form.is_kept() && NarrowTiles::can(metric, width) => Some(form),
        _ => None,
    }
}

/// What became of the pairs that a filter did not rule out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Survivors {
    pub remembered: usize,
    pub scored: usize,
}

impl Survivors {
    /// In cycles.
    fn cost(self, width: usize) -> f64 {
        self.remembered as f64 * REMEMBERING + self.scored as f64 * (SCORING[0] + SCORING[1] * width as f64)
    }
}

/// Looks at the survivors of a filter while it goes through the rows of y.
#[derive(Debug)]
pub(crate) struct Watch {
    width: usize,
    seen: Survivors,
    /// What the survivors of the last two stretches cost.
    costs: [f64; 2],
}

impl Watch {
    pub fn new(width: usize, seen: Survivors) -> Self {
        Self { width, seen, costs: [0.0; 2] }
    }

    /// Whether the next filter would cost less for the rest. So many pairs are done and left; the last stretch was as long
    /// as all before it, and `now` counts all survivors so far.
    pub fn should_climb(&mut self, now: Survivors, [done, left]: [f64; 2], [here, next]: [Rung; 2]) -> bool {
        let last =
            Survivors { remembered: now.remembered - self.seen.remembered, scored: now.scored - self.seen.scored };
        self.seen = now;
        self.costs = [self.costs[1], last.cost(self.width)];
        let [before, last] = self.costs;
        let saved = left * (next.cost - here.cost);
        if before == 0.0 {
            // The first rows all survive; but what costs a multiple of all that could be saved does not fit the data.
            return last > 8.0 * done * next.cost;
        }
        let growth = (last / before).clamp(1.0, 2.0);
        let (mut rest, mut stretch, mut expected) = (left, done, 0.0);
        let mut cost = last;
        while rest > 0.0 {
            cost *= growth;
            expected += cost * (rest / stretch).min(1.0);
            rest -= stretch;
            stretch *= 2.0;
        }
        expected > saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Rung = Rung { filter: Filter::Narrow(Form::Int8), cost: 10.0 };
    const NEXT: Rung = Rung { filter: Filter::F32, cost: 50.0 };

    #[test]
    fn a_filter_whose_survivors_are_records_stays_and_one_that_lets_a_share_through_does_not() {
        for share in [false, true] {
            let mut watch = Watch::new(768, Survivors::default());
            let (mut done, total, mut scored, mut climbed) = (1000.0, 1e6, 0, false);
            while done < total {
                scored += if share { (done / 20.0) as usize } else { 20 };
                let now = Survivors { remembered: scored, scored };
                climbed |= watch.should_climb(now, [done, total - done], [HERE, NEXT]);
                done *= 2.0;
            }
            assert_eq!(climbed, share);
        }
    }

    #[test]
    fn a_ladder_ends_with_float32_and_becomes_finer() {
        let size = Size { x_rows: 1000, y_rows: 100_000, width: 768, packed: None };
        for isa in Isa::available() {
            for metric in [Metric::Dot, Metric::Manhattan] {
                let rungs = ladder(metric, size, isa);
                assert_eq!(rungs[rungs.len() - 1].filter, Filter::F32);
                assert!(rungs.is_sorted_by(|a, b| a.cost < b.cost));
                assert!(metric == Metric::Dot || rungs.len() == 1);
            }
            assert_eq!(ladder(Metric::Dot, Size { y_rows: 100, x_rows: 10, ..size }, isa).len(), 1);
        }
    }
}
