//! A monotone map from keys to buckets of about equal size, made from a sample.
//!
//! The top bits of a key (less the smallest sampled one) choose one of 2048 cells; the cell says where its buckets begin
//! and how far to shift the rest of the key to find the right one. Dense cells are cut into many buckets, runs of
//! sparse cells share one. So skewed, clustered and heavy-tailed scores are spread as evenly as uniform ones, at the
//! price of one table look-up per key. If the sample misleads, buckets are uneven: slower, never wrong.

use crate::key::Key;

/// Cells of the table: 8 KiB, a part of the L1 cache.
const CELLS: usize = 1 << 11;

/// Which bucket a row belongs to.
pub(crate) trait Map<K>: Sync {
    /// Number of buckets.
    fn count(&self) -> usize;
    /// The bucket of a key in group `code`.
    fn of(&self, key: K, code: u32) -> u32;
}

/// Two buckets: the lower and the upper half of all keys. Enough for what sorts in cache.
pub(crate) struct Halves;

impl<K: Key> Map<K> for Halves {
    fn count(&self) -> usize {
        2
    }
    #[inline(always)]
    fn of(&self, key: K, _: u32) -> u32 {
        key.top_bit() as u32
    }
}

/// Both halves of each group.
pub(crate) struct GroupHalves {
    pub groups: usize,
}

impl<K: Key> Map<K> for GroupHalves {
    fn count(&self) -> usize {
        2 * self.groups
    }
    #[inline(always)]
    fn of(&self, key: K, code: u32) -> u32 {
        2 * code + key.top_bit() as u32
    }
}

/// Buckets of about equal size.
///
/// Keys below `low` and above `high` have two buckets each, one for either half of all keys.
pub(crate) struct Buckets<K> {
    low: K,
    high: K,
    cell_shift: u32,
    /// The bits below `cell_shift`.
    inside_cell: K,
    /// First bucket of the cell << 8 | shift of the bits below `cell_shift`.
    cells: [u32; CELLS],
    count: u32,
}

impl<K: Key> Buckets<K> {
    /// About `wanted` buckets for keys like those of the sorted sample.
    pub fn from_sample(sample: &[K], wanted: usize) -> Self {
        let (low, high) = range(sample);
        // Cells begin at multiples of their width; then the middle of all keys is the border of two cells.
        let mut cell_shift = 0;
        while (high >> cell_shift) - (low >> cell_shift) >= CELLS as u64 {
            cell_shift += 1;
        }
        let first_cell = low >> cell_shift;
        let middle = i128::from(1u64 << (K::BITS - 1) >> cell_shift) - i128::from(first_cell);
        let per_bucket = (sample.len() / wanted.max(1)).max(1);
        let mut cells = [0; CELLS];
        let (mut count, mut shared) = (2, 0);
        let mut at = sample.partition_point(|key| key.to_u64() < low);
        for (i, cell) in cells.iter_mut().enumerate() {
            let end = at + sample[at..].partition_point(|key| (key.to_u64() >> cell_shift) - first_cell <= i as u64);
            let inside = end - at;
            at = end;
            if shared >= per_bucket || (shared > 0 && (i as i128 == middle || inside >= 2 * per_bucket)) {
                (count, shared) = (count + 1, 0);
            }
            if inside >= 2 * per_bucket {
                let bits = (inside / per_bucket).ilog2().min(cell_shift);
                *cell = count << 8 | (cell_shift - bits);
                count += 1 << bits;
            } else {
                // At least 1, so that a run of empty cells is a bucket too.
                shared += inside.max((shared == 0) as usize);
                *cell = count << 8 | (K::BITS - 1);
            }
        }
        count += (shared > 0) as u32 + 2;
        let low = K::from_u64(first_cell << cell_shift);
        let inside_cell = K::from_u64((1 << cell_shift) - 1);
        Self { low, high: K::from_u64(high), cell_shift, inside_cell, cells, count }
    }
}

/// The range that cells divide: that of the sample, but without its outermost 64ths if they take up most of it. So a
/// few far outliers do not leave the others in one cell.
fn range<K: Key>(sample: &[K]) -> (u64, u64) {
    let [first, .., last] = sample else { return (0, K::MAX.to_u64()) };
    let all = (first.to_u64(), last.to_u64());
    let tail = sample.len() / 64;
    let inner = (sample[tail].to_u64(), sample[sample.len() - 1 - tail].to_u64());
    if (all.1 - all.0) / 64 > inner.1 - inner.0 { inner } else { all }
}

impl<K: Key> Map<K> for Buckets<K> {
    fn count(&self) -> usize {
        self.count as usize
    }

    #[inline(always)]
    fn of(&self, key: K, _: u32) -> u32 {
        let half = key.top_bit() as u32;
        let offset = key.min(self.high).max(self.low) - self.low;
        let cell = self.cells[(offset >> self.cell_shift).to_u64() as usize % CELLS];
        let inner = (cell >> 8) + ((offset & self.inside_cell) >> (cell & 0xff)).to_u64() as u32;
        let not_above = if key > self.high { self.count - 2 + half } else { inner };
        if key < self.low { half } else { not_above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut sample: Vec<u64>, wanted: usize) {
        sample.sort_unstable();
        let buckets = Buckets::from_sample(&sample, wanted);
        let mut probes: Vec<u64> = sample.iter().flat_map(|&k| [k.saturating_sub(1), k, k.saturating_add(1)]).collect();
        probes.extend([0, 1, (1 << 63) - 1, 1 << 63, u64::MAX]);
        probes.sort_unstable();
        let of: Vec<u32> = probes.iter().map(|&key| buckets.of(key, 0)).collect();
        assert!(of.is_sorted(), "monotone");
        assert!((of[of.len() - 1] as usize) < Map::<u64>::count(&buckets));
        let border = probes.partition_point(|&key| key < 1 << 63);
        assert!(of[border - 1] < of[border], "halves apart");
    }

    #[test]
    fn the_map_is_monotone_and_keeps_the_halves_apart() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 31
        };
        for wanted in [1, 2, 7, 256, 1024] {
            for bits in [1, 5, 12, 31, 53, 64] {
                for base in [0, (1 << 63) - 10, 1 << 63, u64::MAX >> 1] {
                    let sample: Vec<u64> = (0..wanted * 4).map(|_| base + (random() >> (64 - bits)) / 2).collect();
                    check(sample.clone(), wanted);
                    check([&sample[..], &[0, u64::MAX]].concat(), wanted);
                }
            }
        }
        check(vec![], 1);
        check(vec![5], 1);
    }

    /// How many of the buckets the keys meet, and the largest share of one.
    fn spread(keys: &[u64], wanted: usize) -> (usize, usize) {
        let buckets = Buckets::from_sample(keys, wanted);
        let mut counts = vec![0; Map::<u64>::count(&buckets)];
        keys.iter().for_each(|&key| counts[buckets.of(key, 0) as usize] += 1);
        (counts.iter().filter(|&&count| count > 0).count(), counts.into_iter().max().unwrap())
    }

    #[test]
    fn clusters_with_outliers_are_spread_like_uniform_keys() {
        for step in [1 << 20, 1 << 30, 1 << 45] {
            let mut keys: Vec<u64> = (0..4096).map(|i| (1 << 62) + i * step).collect();
            let (met, largest) = spread(&keys, 1024);
            assert!(met >= 512 && largest <= 32, "{met} buckets met, {largest} keys in one");
            (keys[0], keys[4095]) = (0, u64::MAX);
            let (met, largest) = spread(&keys, 1024);
            assert!(met >= 512 && largest <= 64, "{met} buckets met, {largest} keys in one");
        }
    }
}
