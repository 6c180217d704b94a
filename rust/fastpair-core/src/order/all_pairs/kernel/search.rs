//! Where numbers stand in a sorted table.

use crate::pool::Context;
use crate::simd::{self, Level, Op};

/// Searches at a time: as many loads are under way at once.
const AT_ONCE: usize = 16;

/// Calls `each` with the index of each of `values` and how many entries of the sorted `table` are below it.
/// O(log(table)) for each.
#[inline(always)]
pub(crate) fn count_below(table: &[f64], values: &[f64], context: &Context, mut each: impl FnMut(usize, usize)) {
    for (block, values) in values.chunks(AT_ONCE).enumerate() {
        let mut wanted = [f64::NEG_INFINITY; AT_ONCE];
        wanted[..values.len()].copy_from_slice(values);
        let below = simd::call(context.isa, Search { table, wanted });
        for (i, &below) in below.iter().enumerate().take(values.len()) {
            each(block * AT_ONCE + i, below as usize);
        }
    }
}

struct Search<'a> {
    table: &'a [f64],
    wanted: [f64; AT_ONCE],
}

impl Op for Search<'_> {
    type Out = [i64; AT_ONCE];
    #[inline(always)]
    fn run<L: Level>(self) -> [i64; AT_ONCE] {
        let mut below = [0i64; AT_ONCE];
        let mut rest = self.table.len() as i64;
        // Of the `rest` entries from `below` on, either half can hold the place; without branches.
        while rest > 1 {
            let half = rest / 2;
            for (below, wanted) in below.iter_mut().zip(&self.wanted) {
                // SAFETY: `below + rest` never exceeds the length, and `half` is at least 1 and less than `rest`.
                let entry = unsafe { *self.table.get_unchecked((*below + half - 1) as usize) };
                *below += if entry < *wanted { half } else { 0 };
            }
            rest -= half;
        }
        if rest == 1 {
            for (below, wanted) in below.iter_mut().zip(&self.wanted) {
                // SAFETY: one entry from `below` on is in the table.
                let entry = unsafe { *self.table.get_unchecked(*below as usize) };
                *below += i64::from(entry < *wanted);
            }
        }
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_standard_library() {
        for len in 0..40 {
            let table: Vec<f64> = (0..len).map(|i| f64::from(i / 3)).collect();
            let values: Vec<f64> = (-2..40).map(|i| f64::from(i) * 0.5).collect();
            count_below(&table, &values, &Context::new(), |i, below| {
                assert_eq!(below, table.partition_point(|&entry| entry < values[i]), "{len} {i}");
            });
        }
    }
}
