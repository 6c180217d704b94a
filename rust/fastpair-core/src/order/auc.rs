//! Mann-Whitney AUC: how often a positive scores above a negative, ties counting one half.
//!
//! Which way is taken depends on the dtype and the number of rows only, and all ways give the same integers:
//! * scores of at most 16 bits: a histogram of all keys ([`super::histogram`]), O(n);
//! * else the rows are spread over buckets that sort in cache ([`super::sort::distribute`]), each is sorted and scanned
//!   ([`super::scan`]) or summed ([`super::weighted`]), and the counts are joined: O(n log n), n times the key's bytes;
//! * scores that are sorted already, said or found: one scan ([`super::presorted`]), O(n) and no memory.

use super::buckets::{Buckets, GroupHalves, Halves, Map};
use super::counts::{Counts, Sums, Tally};
use super::histogram;
use super::presorted;
use super::sort::SortKey;
use super::sort::distribute::{Histogram, Record, distribute, histograms};
use super::weighted::Weighted;
use crate::error::Result;
use crate::pool::Context;
use crate::rows::Rows;

/// Below this many rows everything is in cache anyway, and two buckets do.
const FEW_ROWS: usize = 1 << 17;

/// The size of buckets aimed at: they sort within the L1 cache.
const BUCKET_ROWS: usize = 1 << 11;

/// No more buckets are aimed at: the places written to must stay in the L2 cache.
const MANY_BUCKETS: usize = 1024;

/// Samples for each bucket: enough for buckets of half to twice the size aimed at.
const SAMPLES_PER_BUCKET: usize = 4;

/// The order in which scores already are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presorted {
    /// The lowest first.
    Ascending,
    /// The highest first.
    Descending,
}

/// Exact pair counts of all rows.
pub fn count_pairs(rows: &Rows, context: &Context) -> Result<Counts> {
    match rows.dtype().size() {
        1 | 2 if rows.len() >= histogram::WORTH_FROM => histogram::count_pairs(rows, context),
        8 => join::<u64, u64>(rows, context),
        _ => join::<u32, u32>(rows, context),
    }
}

/// Weighted pair sums of all rows.
pub fn sum_pairs(rows: &Rows, context: &Context) -> Result<Sums> {
    in_range(rows, context, |rows| match rows.dtype().size() {
        8 => join::<u64, Weighted<u64>>(rows, context),
        _ => join::<u32, Weighted<u32>>(rows, context),
    })
}

/// Exact pair counts of rows that are sorted by score.
pub fn count_presorted(rows: &Rows, order: Presorted, context: &Context) -> Result<Counts> {
    presorted::tally(rows, order, context)
}

/// Weighted pair sums of rows that are sorted by score.
pub fn sum_presorted(rows: &Rows, order: Presorted, context: &Context) -> Result<Sums> {
    in_range(rows, context, |rows| presorted::tally(rows, order, context))
}

/// Sums of scaled weights, if those of the weights as they are leave the range of float64. Their AUC is the same.
fn in_range(rows: &Rows, context: &Context, sum: impl Fn(&Rows) -> Result<Sums>) -> Result<Sums> {
    let sums = sum(rows)?;
    if sums.out_of_range() { sum(&rows.scaled(&rows.weight_scales(1, context)?)) } else { Ok(sums) }
}

/// Exact pair counts of each of `groups` groups; row `i` is in group `codes[i]`.
pub fn count_pairs_by_group(rows: &Rows, codes: &[u32], groups: usize, context: &Context) -> Result<Vec<Counts>> {
    match rows.dtype().size() {
        8 => by_group::<u64, u64>(rows, codes, groups, context),
        _ => by_group::<u32, u32>(rows, codes, groups, context),
    }
}

/// AUC and weighted sums of each of `groups` groups; row `i` is in group `codes[i]`.
pub fn sum_pairs_by_group(rows: &Rows, codes: &[u32], groups: usize, context: &Context) -> Result<Vec<(f64, Sums)>> {
    let sum = |rows: &Rows| match rows.dtype().size() {
        8 => by_group::<u64, Weighted<u64>>(rows, codes, groups, context),
        _ => by_group::<u32, Weighted<u32>>(rows, codes, groups, context),
    };
    let with_auc = |sums: Sums| (sums.auc(), sums);
    let sums = sum(rows)?;
    if !sums.iter().any(Sums::out_of_range) {
        return Ok(sums.into_iter().map(with_auc).collect());
    }
    let scales = rows.grouped(codes)?.weight_scales(groups, context)?;
    let scaled = sum(&rows.scaled(&scales))?;
    Ok(scaled.iter().zip(scales).map(|(sums, scale)| (sums.auc(), sums.unscaled(scale))).collect())
}

/// Which groups hold a row whose score is NaN.
pub fn groups_with_nan(rows: &Rows, codes: &[u32], groups: usize, context: &Context) -> Result<Vec<bool>> {
    rows.grouped(codes)?.groups_with_nan(groups, context)
}

fn join<K: SortKey, R: Record<K>>(rows: &Rows, context: &Context) -> Result<R::Tally> {
    if let Some(order) = presorted::find_order::<K>(rows, context)? {
        return presorted::tally(rows, order, context);
    }
    let tallies = if rows.len() < FEW_ROWS {
        let parts = histograms::<K, _>(rows, &Halves, 1, context)?;
        tallies::<K, R, _>(rows, &Halves, parts, context)?
    } else {
        let map = sampled_map(rows);
        let parts = histograms::<K, _>(rows, &map, context.threads_for(rows.len()), context)?;
        tallies::<K, R, _>(rows, &map, parts, context)?
    };
    Ok(tallies.into_iter().fold(R::Tally::default(), Tally::then))
}

fn by_group<K: SortKey, R: Record<K>>(
    rows: &Rows,
    codes: &[u32],
    groups: usize,
    context: &Context,
) -> Result<Vec<R::Tally>> {
    let rows = rows.grouped(codes)?;
    let map = GroupHalves { groups };
    // Each thread needs a cursor for every bucket: many small groups are spread by one.
    let threads = if groups < rows.len() / 64 { context.threads_for(rows.len()) } else { 1 };
    let parts = histograms::<K, _>(&rows, &map, threads, context)?;
    let halves = tallies::<K, R, _>(&rows, &map, parts, context)?;
    Ok(halves.chunks_exact(2).map(|halves| halves[0].then(halves[1])).collect())
}

fn tallies<K: SortKey, R: Record<K>, M: Map<K>>(
    rows: &Rows,
    map: &M,
    parts: Vec<Histogram>,
    context: &Context,
) -> Result<Vec<R::Tally>> {
    distribute::<K, M, R>(rows, map, parts, context)?.tallies::<K>(context)
}

/// Buckets of about equal size, as a sample of the rows has it.
fn sampled_map<K: SortKey>(rows: &Rows) -> Buckets<K> {
    let wanted = (rows.len() / BUCKET_ROWS).clamp(1, MANY_BUCKETS);
    // Places scattered by a multiplicative hash: no period of the data meets them, and every run takes the same.
    let place = |i: u64| ((u128::from(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * rows.len() as u128) >> 64) as usize;
    let draws = (SAMPLES_PER_BUCKET * wanted) as u64;
    let mut sample: Vec<K> = (1..=draws).filter_map(|i| rows.key_at(place(i))).collect();
    sample.sort_unstable();
    Buckets::from_sample(&sample, wanted)
}
