//! Where numbers stand in a sorted table.

/// Searches at a time: as many loads are under way at once.
const AT_ONCE: usize = 16;

/// How many entries of the sorted `table` are below each of `values`. O(log(table)) for each.
pub(crate) fn count_below(table: &[f64], values: &[f64], mut each: impl FnMut(usize, usize)) {
    for (block, values) in values.chunks(AT_ONCE).enumerate() {
        let mut wanted = [f64::NEG_INFINITY; AT_ONCE];
        wanted[..values.len()].copy_from_slice(values);
        let mut below = [0usize; AT_ONCE];
        let mut rest = table.len();
        // Of the `rest` entries from `below` on, either half can hold the place; without branches.
        while rest > 1 {
            let half = rest / 2;
            for (below, wanted) in below.iter_mut().zip(&wanted) {
                *below += if table[*below + half - 1] < *wanted { half } else { 0 };
            }
            rest -= half;
        }
        if rest == 1 {
            for (below, wanted) in below.iter_mut().zip(&wanted) {
                *below += usize::from(table[*below] < *wanted);
            }
        }
        for (i, &below) in below.iter().enumerate().take(values.len()) {
            each(block * AT_ONCE + i, below);
        }
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
            count_below(&table, &values, |i, below| {
                assert_eq!(below, table.partition_point(|&entry| entry < values[i]), "{len} {i}");
            });
        }
    }
}
