//! Weighted pair sums of a bucket of rows.
//!
//! Rows are put in order by sorting 64-bit numbers that hold the top of the key above the row's place in the bucket;
//! runs in which the key was cut short are put right afterwards. Equal scores keep their input order, so the sums are
//! added in one fixed order whatever the number of threads.

use super::counts::{Ascending, Sums};
use super::sort::distribute::Record;
use super::sort::{SortKey, sort};
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
        let places = ascending(bucket, context)?;
        Ok(simd::call(context.isa, Add { bucket, places: &places }))
    }
}

/// Adds up the rows of a bucket in the order of their places.
struct Add<'a, K> {
    bucket: &'a [Weighted<K>],
    places: &'a [u64],
}

impl<K: Key> Op for Add<'_, K> {
    type Out = Sums;
    #[inline(always)]
    fn run<L: Level>(self) -> Sums {
        let mut sums = Ascending::new();
        for &place in self.places {
            let row = self.bucket[place as usize];
            sums.push(row.key, row.weights());
        }
        sums.finish()
    }
}

/// The places of the rows in ascending order of (key, place).
fn ascending<K: Key>(bucket: &[Weighted<K>], context: &Context) -> Result<Vec<u64>> {
    let bytes = bucket.len().saturating_mul(8);
    let mut order = Vec::new();
    order.try_reserve_exact(bucket.len()).map_err(|_| Error::OutOfMemory { bytes })?;
    let lowest = bucket.iter().map(|row| row.key.to_u64()).min().unwrap_or(0);
    let highest = bucket.iter().map(|row| row.key.to_u64()).max().unwrap_or(0);
    let place_bits = usize::BITS - bucket.len().leading_zeros();
    let key_bits = u64::BITS - (highest - lowest).leading_zeros();
    let cut = (key_bits + place_bits).saturating_sub(u64::BITS);
    order.extend(
        bucket.iter().enumerate().map(|(place, row)| (row.key.to_u64() - lowest) >> cut << place_bits | place as u64),
    );
    sort(&mut order, context)?;
    let place = |entry: u64| entry & ((1 << place_bits) - 1);
    if cut > 0 {
        for run in order.chunk_by_mut(|a, b| a >> place_bits == b >> place_bits) {
            run.sort_unstable_by_key(|&entry| (bucket[place(entry) as usize].key, place(entry)));
        }
    }
    order.iter_mut().for_each(|entry| *entry = place(*entry));
    Ok(order)
}
