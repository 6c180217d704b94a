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
    let copies = copies_of(keys);
    let mut tables = (0..threads).map(|_| table(keys * copies)).collect::<Result<Vec<_>>>()?;
    let mut totals: Vec<[u64; 2]> = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let part = rows.slice(at..rows.len().min(at.saturating_add(most_rows)));
        at += part.len();
        let tasks = part.split(threads).into_iter().zip(&mut tables).collect();
        let count = |(rows, table): (Rows, &mut Vec<u64>)| simd::call(context.isa, Fill { rows, table, context });
        context.map(threads, tasks, count)?.into_iter().collect::<Result<()>>()?;
        // No half overflows: together the tables count one part.
        let (table, others) = tables.split_first_mut().expect("there is at least one thread");
        others.iter().for_each(|other| add_to(table, other));
        let (cells, copied) = table.split_at_mut(keys);
        copied.chunks(keys).for_each(|copy| add_to(cells, copy));
        if at == rows.len() && totals.is_empty() {
            let cells = cells.iter().map(halves_of);
            return Ok(if rows.len() < NARROW_ROWS { join_narrow(cells) } else { join(cells) });
        }
        totals.resize(keys, [0; 2]);
        for (total, cell) in totals.iter_mut().zip(cells) {
            let [negatives, positives] = halves_of(cell);
            *total = [total[0] + negatives, total[1] + positives];
        }
        tables.iter_mut().for_each(|table| table.fill(0));
    }
    Ok(join(totals.into_iter()))
}

/// Adds the counts of one table to those of another.
fn add_to(table: &mut [u64], other: &[u64]) {
    table.iter_mut().zip(other).for_each(|(cell, &count)| *cell += count);
}

/// Negatives and positives of a cell.
fn halves_of(cell: &u64) -> [u64; 2] {
    [u64::from(*cell as u32), cell >> 32]
}

/// With fewer rows, twice the number of pairs fits 64 bits.
const NARROW_ROWS: usize = 1 << 31;

/// The counts of cells in ascending order.
fn join(cells: impl Iterator<Item = [u64; 2]>) -> Counts {
    cells.map(|[negatives, positives]| Counts::tied(positives, negatives)).fold(Counts::default(), Counts::then)
}

/// The same in 64 bits, a multiplication and three additions to a cell.
fn join_narrow(cells: impl Iterator<Item = [u64; 2]>) -> Counts {
    let (mut twice_u, mut below, mut above) = (0u64, 0u64, 0u64);
    for [negatives, positives] in cells {
        twice_u += positives * (2 * below + negatives);
        below += negatives;
        above += positives;
    }
    Counts { twice_u: twice_u.into(), positives: above, negatives: below }
}

/// How many copies a table has of each cell. An increment waits for the last one of the same cell, which is often the
/// last row's if there are only 256: then neighbouring rows go to different copies.
fn copies_of(keys: usize) -> usize {
    if keys == 256 { 4 } else { 1 }
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
        // The copies of 256 cells, if there are any, are numbered by bits 9 and 10.
        let copies = copies_of(1 << (8 * self.rows.dtype().size())) as u32 - 1;
        let table = bytemuck::cast_slice_mut::<u64, u32>(self.table);
        for part in self.rows.blocks() {
            self.context.check()?;
            part.read(&mut block)?;
            // A loop of its own, which the compiler can vectorise.
            for (half, (key, label)) in halves.iter_mut().zip(block.pairs()) {
                *half = u32::from(key) << 1 | u32::from(label ^ cfg!(target_endian = "big") as u8);
            }
            if copies > 0 {
                halves.iter_mut().zip(0u32..).for_each(|(half, i)| *half |= (i & copies) << 9);
            }
            let halves = &halves[..block.len];
            match table.len() {
                TABLE_8 => increment::<TABLE_8>(table, halves),
                TABLE_16 => increment::<TABLE_16>(table, halves),
                other => unreachable!("a table of {other} halves"),
            }
        }
        Ok(())
    }
}

/// Halves in a table for scores of 8 and of 16 bits.
const TABLE_8: usize = 2 * 4 * 256;
const TABLE_16: usize = 2 << 16;

/// Adds 1 to each of the halves named. A length that the compiler knows saves the bounds checks, a seventh of the time.
#[inline(always)]
fn increment<const LEN: usize>(table: &mut [u32], halves: &[u32]) {
    let table: &mut [u32; LEN] = table.try_into().expect("a table of this length");
    halves.iter().for_each(|&half| table[half as usize % LEN] += 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Column, HasDtype};
    use crate::labels::Labels;

    /// What happens beyond 2^32 rows, with less of them.
    #[test]
    fn parts_add_up() {
        let narrow: Vec<i8> = (0..10_000).map(|i: i32| (i * 7919 % 61) as i8 - 30).collect();
        check(&narrow);
        let scores: Vec<i16> = (0..10_000).map(|i: i32| (i * 7919 % 613) as i16 - 300).collect();
        check(&scores);
        let cells = [[1, 2], [0, 0], [7, 0], [0, 3], [1 << 20, 1 << 19]];
        assert_eq!(join(cells.into_iter()), join_narrow(cells.into_iter()));
    }

    fn check<T: HasDtype>(scores: &[T]) {
        let bits: Vec<u8> = (0..10_000).map(|i| (i * 31 % 7 < 3) as u8).collect();
        let rows = Rows::new(Column::from_slice(scores), Labels::from_bits(&bits), None, false).unwrap();
        let whole = count_pairs(&rows, &Context::new()).unwrap();
        let by_sort = super::super::auc::count_pairs(&rows, &Context::new()).unwrap();
        assert_eq!(whole, by_sort);
        for most_rows in [1, 999, 5000, 9999, 10_000] {
            assert_eq!(count_in_parts(&rows, most_rows, &Context::new()), Ok(whole));
        }
    }
}
