//! Pair counts of scores with at most 65,536 distinct keys: count each key, then join the counts in order. No sort,
//! one pass, O(n + 65,536), at most 1 MiB.

use super::counts::{Counts, Tally};
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::rows::{Block, Rows};
use crate::simd::{self, Level, Op};

/// From this many rows on counting beats sorting, the clearing and reading of the table included.
pub(crate) const WORTH_FROM: usize = 1 << 14;

/// Rows whose counts fit the 32 bits that each class has in a cell.
const MOST_ROWS: usize = u32::MAX as usize;

/// Exact pair counts of scores of 8 or 16 bits.
pub(crate) fn count_pairs(rows: &Rows, context: &Context) -> Result<Counts> {
    count_in_parts(rows, MOST_ROWS, context)
}

/// The same, `most_rows` at a time.
fn count_in_parts(rows: &Rows, most_rows: usize, context: &Context) -> Result<Counts> {
    let keys = 1 << (8 * rows.dtype().size());
    // One table per thread and none beyond the second: a table is worth half a megabyte.
    let threads = context.threads_for(rows.len()).min(2);
    let mut tables: Vec<Vec<u64>> = (0..2).map(|_| table(keys)).collect::<Result<_>>()?;
    let mut totals: Option<Vec<[u64; 2]>> = None;
    let mut at = 0;
    while at < rows.len() {
        let part = rows.slice(at..rows.len().min(at.saturating_add(most_rows)));
        at += part.len();
        if threads == 2 {
            let tasks = part.split(2).into_iter().zip(&mut tables).collect();
            let count = |(rows, table): (Rows, &mut Vec<u64>)| {
                simd::call(context.isa, Fill { rows, tables: [table, &mut []], context })
            };
            context.map(2, tasks, count)?.into_iter().collect::<Result<()>>()?;
        } else {
            let [first, second] = &mut tables[..] else { unreachable!("two tables") };
            simd::call(context.isa, Fill { rows: part, tables: [first, second], context })?;
        }
        if at < rows.len() || totals.is_some() {
            let totals = totals.get_or_insert_with(|| vec![[0; 2]; keys]);
            for table in &mut tables {
                for (total, cell) in totals.iter_mut().zip(table) {
                    let cell = std::mem::take(cell);
                    *total = [total[0] + (cell & u64::from(u32::MAX)), total[1] + (cell >> 32)];
                }
            }
        }
    }
    let cell = |key: usize| {
        let (a, b) = (tables[0][key], tables[1][key]);
        let total = totals.as_ref().map_or([0; 2], |totals| totals[key]);
        Counts::tied(total[1] + (a >> 32) + (b >> 32), total[0] + u64::from(a as u32) + u64::from(b as u32))
    };
    Ok((0..keys).map(cell).fold(Counts::default(), Counts::then))
}

fn table(keys: usize) -> Result<Vec<u64>> {
    let mut table = Vec::new();
    table.try_reserve_exact(keys).map_err(|_| Error::OutOfMemory { bytes: 8 * keys })?;
    table.resize(keys, 0);
    Ok(table)
}

/// Adds each row to the cell of its key: negatives in the low half, positives in the high half. Neighbouring rows go to
/// different tables (if there are two), since an increment must wait for the last one of the same cell.
struct Fill<'a> {
    rows: Rows<'a>,
    tables: [&'a mut [u64]; 2],
    context: &'a Context<'a>,
}

impl Op for Fill<'_> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        let mut block = Block::<u16>::for_rows(&self.rows);
        let mut halves = vec![0u32; block.keys.len()];
        let [first, second] = self.tables.map(bytemuck::cast_slice_mut::<u64, u32>);
        for part in self.rows.blocks() {
            self.context.check()?;
            part.read(&mut block)?;
            // A loop of its own, which the compiler can vectorise.
            for (half, (key, label)) in halves.iter_mut().zip(block.pairs()) {
                *half = u32::from(key) << 1 | u32::from(label ^ cfg!(target_endian = "big") as u8);
            }
            let halves = &halves[..block.len];
            if second.is_empty() {
                halves.iter().for_each(|&half| first[half as usize] += 1);
                continue;
            }
            let mut pairs = halves.chunks_exact(2);
            for pair in &mut pairs {
                first[pair[0] as usize] += 1;
                second[pair[1] as usize] += 1;
            }
            pairs.remainder().iter().for_each(|&half| first[half as usize] += 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;
    use crate::labels::Labels;

    /// What happens beyond 2^32 rows, with less of them.
    #[test]
    fn parts_add_up() {
        let scores: Vec<i16> = (0..10_000).map(|i: i32| (i * 7919 % 613) as i16 - 300).collect();
        let bits: Vec<u8> = (0..10_000).map(|i| (i * 31 % 7 < 3) as u8).collect();
        let rows = Rows::new(Column::from_slice(&scores), Labels::from_bits(&bits), None, false).unwrap();
        let whole = count_pairs(&rows, &Context::new()).unwrap();
        let by_sort = super::super::auc::count_pairs(&rows, &Context::new()).unwrap();
        assert_eq!(whole, by_sort);
        for most_rows in [1, 999, 5000, 9999, 10_000] {
            assert_eq!(count_in_parts(&rows, most_rows, &Context::new()), Ok(whole));
        }
    }
}
