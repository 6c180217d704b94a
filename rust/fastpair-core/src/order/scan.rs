//! Counting the pairs of sorted keys that carry their label in the lowest bit.
//!
//! Labels sort inside ties, negatives first, so each positive stands above all negatives that it beats or ties, and
//! `2U = 2 (sum of the positives' positions - P (P - 1) / 2) - (tied pairs)`. The sum needs no running count and no
//! branch; ties are counted only where two neighbours differ in nothing but the label.

use super::counts::Counts;
use super::few::{CountFew, FEW};
use super::sort::distribute::Record;
use super::sort::{SortKey, sort_in_level};
use crate::error::Result;
use crate::key::Key;
use crate::pool::Context;
use crate::simd::{self, Level, Op};

/// Keys whose positions sum up in 32 bits.
const PIECE: usize = 4096;

/// A labelled key is the record of an unweighted row.
impl<K: SortKey> Record<K> for K {
    type Tally = Counts;

    #[inline(always)]
    fn of(key: K, label: u8, _: f64) -> Self {
        key.with_label(label)
    }

    fn tally(bucket: &mut [K], context: &Context) -> Result<Counts> {
        simd::call(context.isa, CountBucket { bucket, context })
    }
}

/// All that a bucket takes, compiled as one: small groups would pay more for the calls than for the work.
struct CountBucket<'a, K> {
    bucket: &'a mut [K],
    context: &'a Context<'a>,
}

impl<K: SortKey> Op for CountBucket<'_, K> {
    type Out = Result<Counts>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<Counts> {
        let Self { bucket, context } = self;
        let len = bucket.len() as u64;
        let mut positives = 0;
        for keys in bucket.chunks(PIECE) {
            positives += u64::from(keys.iter().fold(0u32, |sum, key| sum + key.label() as u32));
        }
        if positives == 0 || positives == len {
            return Ok(Counts { twice_u: 0, positives, negatives: len - positives });
        }
        if positives.min(len - positives) <= FEW as u64 && len >= WORTH_COMPARING {
            return Ok(CountFew { keys: bucket, positives }.run::<L>());
        }
        sort_in_level::<K, L>(bucket, context)?;
        Ok(count_sorted(bucket))
    }
}

/// From this length on, comparing with a few keys is quicker than sorting in registers.
const WORTH_COMPARING: u64 = 256;

/// Neighbours looked at together for a tie between the classes.
const WINDOW: usize = 128;

/// Counts the pairs of sorted labelled keys.
#[inline(always)]
pub(crate) fn count_sorted<K: Key>(keys: &[K]) -> Counts {
    let (mut positions, mut positives, mut tied) = (0u128, 0u64, 0u128);
    for (piece, part) in keys.chunks(PIECE).enumerate() {
        let (mut sum, mut count) = (0u32, 0u32);
        for (i, &key) in part.iter().enumerate() {
            let label = key.label() as u32;
            sum += i as u32 & label.wrapping_neg();
            count += label;
        }
        positions += u128::from(sum) + u128::from(count) * (piece * PIECE) as u128;
        positives += u64::from(count);
    }
    // A run of ties has one place where its negatives end and its positives begin: few windows hold one.
    let behind = keys.get(1..).unwrap_or_default();
    for (window, (below, above)) in keys.chunks(WINDOW).zip(behind.chunks(WINDOW)).enumerate() {
        let switches = |(a, b): (&K, &K)| a.to_u64() ^ b.to_u64() == 1;
        if below.iter().zip(above).fold(false, |any, pair| any | switches(pair)) {
            let places = below.iter().zip(above).enumerate().filter(|(_, pair)| switches(*pair));
            tied += places.map(|(i, _)| pairs_around(keys, window * WINDOW + i)).sum::<u128>();
        }
    }
    let pairs_of_positives = u128::from(positives) * u128::from(positives.saturating_sub(1));
    Counts { twice_u: 2 * positions - pairs_of_positives - tied, positives, negatives: keys.len() as u64 - positives }
}

/// Pairs of the run of ties whose last negative is at `last`.
#[inline(always)]
fn pairs_around<K: Key>(keys: &[K], last: usize) -> u128 {
    let negatives = run_length(last + 1, |i| keys[last - i] == keys[last]);
    let positives = run_length(keys.len() - last - 1, |i| keys[last + 1 + i] == keys[last + 1]);
    negatives as u128 * positives as u128
}

/// How many of `0 .. len` are `inside`, which holds for 0 and, from some place on, no more: by doubling steps, so that
/// short runs cost one look and long ones few.
#[inline(always)]
fn run_length(len: usize, inside: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut step) = (1, 1);
    while low < len && inside(low) {
        low = (low + step).min(len);
        step *= 2;
    }
    // The end lies in the last step taken.
    let (mut known, mut end) = (low.saturating_sub(step / 2).max(1).min(low), low);
    while known < end {
        let middle = known + (end - known) / 2;
        if inside(middle) { known = middle + 1 } else { end = middle }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::counts::Tally;

    /// Ties of every length, across the borders of pieces too.
    #[test]
    fn counts_equal_those_by_definition() {
        for (values, seed) in [(1, 1u64), (2, 2), (7, 3), (100, 4), (60_000, 5)] {
            for n in [0, 1, 2, 3, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
                let mut state = seed;
                let mut keys: Vec<u32> = (0..n)
                    .map(|_| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        ((state >> 40) % values) as u32 * 2 + (state >> 33 & 1) as u32
                    })
                    .collect();
                keys.sort_unstable();
                let mut expected = Counts::default();
                for run in keys.chunk_by(|a, b| a >> 1 == b >> 1) {
                    let positives = run.iter().filter(|k| **k & 1 == 1).count() as u64;
                    expected = expected.then(Counts::tied(positives, run.len() as u64 - positives));
                }
                assert_eq!(count_sorted(&keys), expected, "{values} values, {n} keys");
                let wide: Vec<u64> = keys.iter().map(|&k| u64::from(k)).collect();
                assert_eq!(count_sorted(&wide), expected);
            }
        }
    }
}
