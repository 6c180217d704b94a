//! Pair counts of unsorted labelled keys of which one class has only a few: compare each of those with all keys.
//!
//! A comparison of 16 keys is one instruction, so a handful of passes over a bucket costs less than sorting it. That is
//! the usual case of rare positives: clicks, frauds, matches.

use super::counts::Counts;
use crate::key::Key;
use crate::simd::{Level, Op};

/// Up to this many keys of the rarer class, comparing is quicker than sorting, at every level and width.
pub(crate) const FEW: usize = 32;

/// Keys compared with in one pass.
const PER_PASS: usize = 4;

/// Keys whose counts fit 32 bits in any lane.
const PIECE: usize = 1 << 16;

/// Counts the pairs of labelled keys of which `positives` are positive, one class having at most [`FEW`] keys.
pub(crate) struct CountFew<'a, K> {
    pub keys: &'a [K],
    pub positives: u64,
}

impl<K: Key> Op for CountFew<'_, K> {
    type Out = Counts;
    #[inline(always)]
    fn run<L: Level>(self) -> Counts {
        let Self { keys, positives } = self;
        let negatives = keys.len() as u64 - positives;
        let rare_label = (positives < negatives) as u64;
        let mut rare = [K::MIN; FEW + 1];
        let mut count = 0;
        for &key in keys {
            rare[count] = key;
            count = (count + (key.label() == rare_label) as usize).min(FEW);
        }
        let rare = &rare[..count];
        // For each rare score: the other keys that are lower, plus those that are lower or tied.
        let mut others = 0;
        for group in rare.chunks(PER_PASS) {
            others += lower_and_tied(keys, group) - lower_and_tied(rare, group);
        }
        let others = u128::from(others);
        let twice_u = if rare_label == 1 { others } else { 2 * u128::from(positives) * u128::from(negatives) - others };
        Counts { twice_u, positives, negatives }
    }
}

/// For each key of `group`: how many of `keys` have a lower score, plus how many have a score that is lower or tied.
#[inline(always)]
fn lower_and_tied<K: Key>(keys: &[K], group: &[K]) -> u64 {
    // Places without a key count nothing: none is below the smallest, and the label bit of `tied` is cleared.
    let mut lower = [K::MIN; PER_PASS];
    let mut tied = [K::MIN; PER_PASS];
    for (i, key) in group.iter().enumerate() {
        (lower[i], tied[i]) = (K::from_u64(key.to_u64() & !1), K::from_u64(key.to_u64() | 1));
    }
    let used = group.len();
    let mut total = 0;
    for part in keys.chunks(PIECE) {
        let mut counts = [0u32; PER_PASS];
        for &key in part {
            for i in 0..PER_PASS {
                counts[i] += (key < lower[i]) as u32 + (key <= tied[i]) as u32;
            }
        }
        total += counts[..used].iter().map(|&count| u64::from(count)).sum::<u64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Context;
    use crate::simd::{Isa, call};

    #[test]
    fn comparing_counts_like_sorting() {
        for isa in Isa::available() {
            let context = Context { isa, ..Context::new() };
            for (few, n, values) in [(0, 0, 1), (1, 1, 1), (1, 50, 3), (5, 300, 1 << 40), (32, 1000, 50), (32, 64, 2)] {
                for rare_label in [0, 1] {
                    let mut state = (few + n) as u64;
                    let mut keys: Vec<u64> = (0..n)
                        .map(|i| {
                            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                            // Both ends of the range are met.
                            let score = ((state >> 20) % values).wrapping_mul(u64::MAX / values.max(2)) >> 1;
                            let score = if i % 7 == 0 { u64::MAX >> 1 } else { score };
                            score << 1 | if i < few { rare_label } else { 1 - rare_label }
                        })
                        .collect();
                    let positives = keys.iter().map(|key| key.label()).sum();
                    let counts = call(isa, CountFew { keys: &keys, positives });
                    crate::order::sort::sort(&mut keys, &context).unwrap();
                    assert_eq!(counts, crate::order::scan::count_sorted(&keys), "{few} of {n}, {values} values");
                }
            }
        }
    }
}
