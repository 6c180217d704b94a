//! Group ids of any kind become dense codes 0, 1, 2, .. in the order in which the ids first appear.
//!
//! Integers of a range not much wider than the number of rows are looked up in a table, others and strings in a hash
//! map. O(n) time; 4 bytes a row, and a table of at most 16 bytes a row.

use crate::column::Column;
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::simd::{self, Level, Op};
use hashbrown::HashMap;

/// Rows in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The group of each row.
    pub codes: Vec<u32>,
    /// The first row of each group.
    pub first_rows: Vec<usize>,
}

/// No code: also the limit of the number of groups.
const NONE: u32 = u32::MAX;

/// Ids read at a time.
const BLOCK: usize = 2048;

/// Calls `each` with the ids as keys, a block at a time.
fn for_blocks(
    ids: Column,
    block: &mut [u64],
    context: &Context,
    mut each: impl FnMut(&[u64]) -> Result<()>,
) -> Result<()> {
    for at in (0..ids.len()).step_by(BLOCK) {
        context.check()?;
        let keys = &mut block[..BLOCK.min(ids.len() - at)];
        ids.keys(at, keys);
        each(keys)?;
    }
    Ok(())
}

/// Codes under construction.
struct Coder {
    codes: Vec<u32>,
    first_rows: Vec<usize>,
}

impl Coder {
    fn new(rows: usize) -> Result<Self> {
        let mut codes = Vec::new();
        codes.try_reserve_exact(rows).map_err(|_| Error::OutOfMemory { bytes: 4 * rows })?;
        Ok(Self { codes, first_rows: Vec::new() })
    }

    /// Gives the next row the code in `slot`, or a new one.
    #[inline(always)]
    fn push(&mut self, slot: &mut u32) -> Result<()> {
        if *slot == NONE {
            self.begin_group(slot)?;
        }
        self.codes.push(*slot);
        Ok(())
    }

    #[cold]
    fn begin_group(&mut self, slot: &mut u32) -> Result<()> {
        *slot = self.first_rows.len() as u32;
        self.first_rows.push(self.codes.len());
        if *slot == NONE { Err(Error::TooManyGroups) } else { Ok(()) }
    }

    fn finish(self) -> Groups {
        Groups { codes: self.codes, first_rows: self.first_rows }
    }
}

/// The smallest and the largest key of some, and of those before.
struct Range<'a> {
    keys: &'a [u64],
    before: (u64, u64),
}

impl Op for Range<'_> {
    type Out = (u64, u64);
    #[inline(always)]
    fn run<L: Level>(self) -> (u64, u64) {
        self.keys.iter().fold(self.before, |(low, high), &key| (low.min(key), high.max(key)))
    }
}

impl Groups {
    /// Groups of rows with equal integer ids.
    pub fn from_ids(ids: Column, context: &Context) -> Result<Self> {
        let mut block = vec![0u64; BLOCK.min(ids.len())];
        let mut coder = Coder::new(ids.len())?;
        let (mut low, mut high) = (u64::MAX, 0);
        for_blocks(ids, &mut block, context, |keys| {
            (low, high) = simd::call(context.isa, Range { keys, before: (low, high) });
            Ok(())
        })?;
        if high.saturating_sub(low) <= 4 * ids.len() as u64 + 1024 {
            let mut table = vec![NONE; high.saturating_sub(low) as usize + 1];
            for_blocks(ids, &mut block, context, |keys| {
                for key in keys {
                    // An id outside the range means that another thread changes the array.
                    let Some(slot) = table.get_mut(key.wrapping_sub(low) as usize) else { return Err(Error::Changed) };
                    coder.push(slot)?;
                }
                Ok(())
            })?;
        } else {
            let mut table = HashMap::new();
            for_blocks(ids, &mut block, context, |keys| {
                for &key in keys {
                    coder.push(table.entry(key).or_insert(NONE))?;
                }
                Ok(())
            })?;
        }
        Ok(coder.finish())
    }

    /// Groups of rows with equal bytes, `width` to a row.
    pub fn from_bytes(bytes: &[u8], width: usize, context: &Context) -> Result<Self> {
        let rows = bytes.len() / width.max(1);
        let mut coder = Coder::new(rows)?;
        let mut table: HashMap<&[u8], u32> = HashMap::new();
        let width = width.max(1);
        for block in bytes.chunks(BLOCK * width) {
            context.check()?;
            for id in block.chunks_exact(width) {
                coder.push(table.entry(id).or_insert(NONE))?;
            }
        }
        Ok(coder.finish())
    }

    /// Group `i` is the rows `offsets[i] .. offsets[i + 1]`. The offsets must begin at 0, end at `rows` and not decrease.
    pub fn codes_from_offsets(offsets: &[usize], rows: usize) -> Result<Vec<u32>> {
        let bad = |index: usize, value: usize| Error::Offsets { value, index, rows };
        match offsets {
            [] => return Err(Error::NoOffsets),
            [first, ..] if *first != 0 => return Err(bad(0, *first)),
            [.., last] if *last != rows => return Err(bad(offsets.len() - 1, *last)),
            _ => {}
        }
        if let Some(i) = offsets.windows(2).position(|w| w[1] < w[0]) {
            return Err(bad(i + 1, offsets[i + 1]));
        }
        if offsets.len() > NONE as usize {
            return Err(Error::TooManyGroups);
        }
        let mut codes = Coder::new(rows)?.codes;
        for (code, bounds) in offsets.windows(2).enumerate() {
            codes.resize(bounds[1], code as u32);
        }
        Ok(codes)
    }
}

/// Rows in order of their groups, rows of a group in their own order: where each group begins, and the end; and the rows,
/// None if they are in that order already. Each code must be below `groups`.
pub fn lists(codes: &[u32], groups: usize) -> Result<(Vec<i64>, Option<Vec<i64>>)> {
    let mut offsets = vec![0i64; groups + 1];
    for &code in codes {
        offsets[code as usize + 1] += 1;
    }
    for i in 0..groups {
        offsets[i + 1] += offsets[i];
    }
    if codes.is_sorted() {
        return Ok((offsets, None));
    }
    let mut rows = Vec::new();
    rows.try_reserve_exact(codes.len()).map_err(|_| Error::OutOfMemory { bytes: 8 * codes.len() })?;
    rows.resize(codes.len(), 0);
    let mut cursors = offsets.clone();
    for (row, &code) in codes.iter().enumerate() {
        let cursor = &mut cursors[code as usize];
        rows[*cursor as usize] = row as i64;
        *cursor += 1;
    }
    Ok((offsets, Some(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_order_of_first_appearance() {
        let context = &Context::new();
        let expected = Groups { codes: vec![0, 1, 0, 2, 1], first_rows: vec![0, 1, 3] };
        assert_eq!(Groups::from_ids(Column::from_slice(&[7i64, -3, 7, 0, -3]), context), Ok(expected.clone()));
        let sparse = [u64::MAX, 0, u64::MAX, 1 << 40, 0];
        assert_eq!(Groups::from_ids(Column::from_slice(&sparse), context), Ok(expected.clone()));
        assert_eq!(Groups::from_bytes(b"abcdabxycd", 2, context), Ok(expected));
        assert_eq!(Groups::from_ids(Column::from_slice::<u8>(&[]), context).unwrap().first_rows, []);
    }

    #[test]
    fn lists_keep_the_order_of_rows() {
        assert_eq!(lists(&[1, 0, 1, 3], 4), Ok((vec![0, 1, 3, 3, 4], Some(vec![1, 0, 2, 3]))));
        assert_eq!(lists(&[0, 0, 2], 3), Ok((vec![0, 2, 2, 3], None)));
    }

    #[test]
    fn offsets_are_checked_and_expanded() {
        assert_eq!(Groups::codes_from_offsets(&[0, 2, 2, 5], 5), Ok(vec![0, 0, 2, 2, 2]));
        assert_eq!(Groups::codes_from_offsets(&[0], 0), Ok(vec![]));
        for bad in [&[][..], &[1, 5], &[0, 4], &[0, 3, 2, 5]] {
            assert!(Groups::codes_from_offsets(bad, 5).is_err());
        }
    }
}
