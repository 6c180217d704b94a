//! Pair counts of scores with at most 65,536 distinct keys: count each key, then join the counts in order. No sort,
//! one pass, O(n + 65,536), half a megabyte for each of at most two threads.

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
    // One table for each thread, half a megabyte; and no third one.
    let threads = context.threads_for(rows.len()).min(2);
    let mut tables = (0..threads).map(|_| table(keys)).collect::<Result<Vec<_>>>()?;
    let mut totals = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let part = rows.slice(at..rows.len().min(at.saturating_add(most_rows)));
        at += part.len();
        let tasks = part.split(threads).into_iter().zip(&mut tables).collect();
        let count = |(rows, table): (Rows, &mut Vec<u64>)| simd::call(context.isa, Fill { rows, table, context });
        context.map(threads, tasks, count)?.into_iter().collect::<Result<()>>()?;
        if at < rows.len() || !totals.is_empty() {
            totals.resize(keys, [0; 2]);
            for (total, i) in totals.iter_mut().zip(0..) {
                *total = added(*total, tables.iter_mut().map(|table| std::mem::take(&mut table[i])));
            }
        }
    }
    let cell = |i: usize| {
        let total = totals.get(i).copied().unwrap_or_default();
        let [negatives, positives] = added(total, tables.iter().map(|table| table[i]));
        Counts::tied(positives, negatives)
    };
    Ok((0..keys).map(cell).fold(Counts::default(), Counts::then))
}

/// Negatives and positives, with those of the cells added.
fn added(total: [u64; 2], cells: impl Iterator<Item = u64>) -> [u64; 2] {
    cells.fold(total, |[negatives, positives], cell| [negatives + u64::from(cell as u32), positives + (cell >> 32)])
}

fn table(keys: usize) -> Result<Vec<u64>> {
    let mut table = Vec::new();
    table.try_reserve_exact(keys).map_err(|_| Error::OutOfMemory { bytes: 8 * keys })?;
    table.resize(keys, 0);
    Ok(table)
}

/// Adds each row to the cell of its key: negatives in the low half, positives in the high half.
struct Fill<'a> {
    rows: Rows<'a>,
    table: &'a mut [u64],
    context: &'a Context<'a>,
}

impl Op for Fill<'_> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        let mut block = Block::<u16>::for_rows(&self.rows);
        let mut halves = vec![0u32; block.keys.len()];
        let table = bytemuck::cast_slice_mut::<u64, u32>(self.table);
        for part in self.rows.blocks() {
            self.context.check()?;
            part.read(&mut block)?;
            // A loop of its own, which the compiler can vectorise.
            for (half, (key, label)) in halves.iter_mut().zip(block.pairs()) {
                *half = u32::from(key) << 1 | u32::from(label ^ cfg!(target_endian = "big") as u8);
            }
            halves[..block.len].iter().for_each(|&half| table[half as usize] += 1);
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
