//! Weighted pair sums of a bucket of rows.
//!
//! Rows are put in order by sorting 64-bit numbers that hold the top of the key above the row's place in the bucket;
//! runs in which the key was cut short are put right afterwards. Equal scores keep their input order, so the sums are
//! added in one fixed order whatever the number of threads.

use super::counts::{Ascending, Sums};
use super::sort::distribute::Record;
use super::sort::{SortKey, sort_in_level};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::pool::Context;
use crate::simd::{self, Level, Op};

/// Key and weight; the sign bit of the weight is the label. Kept as words so that rows of 32-bit scores take 12 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<K> {
    key: K,
    signed_weight: [u32; 2],
}

impl<K: Key> Weighted<K> {
    #[inline(always)]
    fn bits(self) -> u64 {
        u64::from(self.signed_weight[0]) | u64::from(self.signed_weight[1]) << 32
    }

    /// The weight among the negatives and among the positives: one of them is zero.
    #[inline(always)]
    fn weights(self) -> [f64; 2] {
        let bits = self.bits();
        let (weight, positive) = (bits & !(1 << 63), ((bits as i64) >> 63) as u64);
        [f64::from_bits(weight & !positive), f64::from_bits(weight & positive)]
    }
}

impl<K: SortKey> Record<K> for Weighted<K> {
    type Tally = Sums;

    #[inline(always)]
    fn of(key: K, label: u8, weight: f64) -> Self {
        let bits = weight.to_bits() | u64::from(label) << 63;
        Self { key, signed_weight: [bits as u32, (bits >> 32) as u32] }
    }

    fn tally(bucket: &mut [Self], context: &Context) -> Result<Sums> {
        simd::call(context.isa, SumBucket { bucket, context })
    }
}

/// All that a bucket takes, compiled as one.
struct SumBucket<'a, K> {
    bucket: &'a [Weighted<K>],
    context: &'a Context<'a>,
}

impl<K: Key> Op for SumBucket<'_, K> {
    type Out = Result<Sums>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<Sums> {
        let Self { bucket, context } = self;
        let (mut lowest, mut highest) = (u64::MAX, 0);
        for row in bucket {
            let key = row.key.to_u64();
            (lowest, highest) = (lowest.min(key), highest.max(key));
        }
        let place_bits = usize::BITS - bucket.len().leading_zeros();
        let key_bits = u64::BITS - highest.saturating_sub(lowest).leading_zeros();
        let cut = (key_bits + place_bits).saturating_sub(u64::BITS);
        let place = |entry: u64| (entry & ((1 << place_bits) - 1)) as usize;
        let mut order = Vec::new();
        let bytes = bucket.len().saturating_mul(8);
        order.try_reserve_exact(bucket.len()).map_err(|_| Error::OutOfMemory { bytes })?;
        let rows = bucket.iter().zip(0u64..);
        order.extend(rows.map(|(row, place)| (row.key.to_u64() - lowest) >> cut << place_bits | place));
        sort_in_level::<u64, L>(&mut order, context)?;
        if cut > 0 {
            for run in order.chunk_by_mut(|a, b| a >> place_bits == b >> place_bits) {
                run.sort_unstable_by_key(|&entry| (bucket[place(entry)].key, place(entry)));
            }
        }
        let mut sums = Ascending::new();
        for entry in order {
            let row = bucket[place(entry)];
            sums.push(row.key, row.weights());
        }
        Ok(sums.finish())
    }
}
