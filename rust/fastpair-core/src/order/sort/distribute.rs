//! Rows spread over buckets: two passes over the input, no other working memory than the result.
//!
//! The first pass counts the rows of each bucket, the second writes each row to its place: in input order inside a
//! bucket, whatever the number of threads. What comes out is small enough to be sorted in cache.

use super::buffer::{uninit, written};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::order::buckets::Map;
use crate::order::counts::Tally;
use crate::pool::Context;
use crate::rows::{Block, Rows};
use crate::simd::{self, Level, Op};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// What is kept of a row, and what a bucket of them says about its pairs.
pub(crate) trait Record<K>: Copy + Send {
    type Tally: Tally;
    /// The record of a row, whose weight is 0 if it has none.
    fn of(key: K, label: u8, weight: f64) -> Self;
    /// The tally of a bucket, which is left in any order.
    fn tally(bucket: &mut [Self], context: &Context) -> Result<Self::Tally>;
}

/// Rows per bucket.
pub(crate) type Histogram = Vec<usize>;

/// Counts the rows of each bucket, in one part per thread.
pub(crate) fn histograms<K: Key, M: Map<K>>(
    rows: &Rows,
    map: &M,
    threads: usize,
    context: &Context,
) -> Result<Vec<Histogram>> {
    let count = |part| simd::call(context.isa, Count { rows: part, map, context, key: PhantomData });
    context.map(threads, rows.split(threads), count)?.into_iter().collect()
}

struct Count<'a, K, M> {
    rows: Rows<'a>,
    map: &'a M,
    context: &'a Context<'a>,
    key: PhantomData<K>,
}

impl<K: Key, M: Map<K>> Op for Count<'_, K, M> {
    type Out = Result<Histogram>;
    #[inline(always)]
    fn run<L: Level>(self) -> Self::Out {
        let mut counts = vec![0usize; self.map.count()];
        let mut block = Block::<K>::for_rows(&self.rows);
        let mut slots = vec![0u32; block.keys.len()];
        for part in self.rows.blocks() {
            self.context.check()?;
            part.read_keys(&mut block)?;
            buckets_of(&block, self.map, &mut slots);
            let slots = &slots[..block.len];
            if counts.len() == 2 {
                // A sum instead of increments, each of which would wait for the one before.
                let upper = slots.iter().sum::<u32>() as usize;
                counts[0] += slots.len() - upper;
                counts[1] += upper;
            } else {
                slots.iter().for_each(|&slot| counts[slot as usize] += 1);
            }
        }
        Ok(counts)
    }
}

/// Writes the bucket of each row. A loop of its own, which the compiler can vectorise.
#[inline(always)]
fn buckets_of<K: Key, M: Map<K>>(block: &Block<K>, map: &M, slots: &mut [u32]) {
    if block.codes.is_empty() {
        slots.iter_mut().zip(block.keys()).for_each(|(slot, &key)| *slot = map.of(key, 0));
    } else {
        let rows = block.keys().iter().zip(&block.codes);
        slots.iter_mut().zip(rows).for_each(|(slot, (&key, &code))| *slot = map.of(key, code));
    }
}

/// Rows in buckets, in ascending order of the buckets.
pub(crate) struct Distributed<R> {
    records: Vec<MaybeUninit<R>>,
    /// Bucket `i` is `bounds[i] .. bounds[i + 1]`.
    bounds: Vec<usize>,
}

impl<R: Send> Distributed<R> {
    /// The tally of each bucket, in order.
    pub fn tallies<K>(mut self, context: &Context) -> Result<Vec<R::Tally>>
    where
        R: Record<K>,
    {
        let rows = self.records.len();
        let threads = context.threads_for(rows);
        // Runs of neighbouring buckets, a few for each thread, since some are quicker than others.
        let share = if threads == 1 { usize::MAX } else { rows / (16 * threads) };
        let mut tasks: Vec<Vec<&mut [R]>> = vec![Vec::new()];
        let mut rows_in_task = 0;
        for bucket in self.buckets() {
            rows_in_task += bucket.len();
            tasks.last_mut().expect("never empty").push(bucket);
            if rows_in_task > share {
                tasks.push(Vec::new());
                rows_in_task = 0;
            }
        }
        let tally =
            |task: Vec<&mut [R]>| task.into_iter().map(|bucket| R::tally(bucket, context)).collect::<Result<Vec<_>>>();
        let tallies = context.map(threads, tasks, tally)?;
        Ok(tallies.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// The buckets, in order.
    fn buckets(&mut self) -> Vec<&mut [R]> {
        // SAFETY: `distribute` checked that every place was written.
        let mut rest = unsafe { written(&mut self.records) };
        let mut buckets = Vec::with_capacity(self.bounds.len() - 1);
        for bound in self.bounds.windows(2) {
            let (bucket, behind) = std::mem::take(&mut rest).split_at_mut(bound[1] - bound[0]);
            buckets.push(bucket);
            rest = behind;
        }
        buckets
    }
}

/// Writes every row to its bucket. `cursors` are the histograms of the same rows and map.
pub(crate) fn distribute<K: Key, M: Map<K>, R: Record<K>>(
    rows: &Rows,
    map: &M,
    mut cursors: Vec<Histogram>,
    context: &Context,
) -> Result<Distributed<R>> {
    // Part p of bucket b begins behind all smaller buckets and behind the earlier parts of b.
    let mut bounds = Vec::with_capacity(map.count() + 1);
    let mut at = 0;
    for bucket in 0..map.count() {
        bounds.push(at);
        for part in &mut cursors {
            let count = part[bucket];
            part[bucket] = at;
            at += count;
        }
    }
    bounds.push(at);
    let mut records = uninit(at)?;
    // Buckets of a few lines are soon full: asking for their next ones would only crowd the cache.
    let ahead = if at / map.count().max(1) * size_of::<R>() >= 8 * LINE { LINE } else { 0 };
    let out = Places { first: records.as_mut_ptr(), len: at, ahead };
    let threads = cursors.len();
    // Each part must end where the next one began; else another thread changed the input between the two passes.
    let begins: Vec<Vec<usize>> = cursors.iter().skip(1).cloned().chain([bounds[1..].to_vec()]).collect();
    let parts = rows.split(threads).into_iter().zip(cursors).collect();
    let scatter =
        |(rows, cursors)| simd::call(context.isa, Scatter { rows, map, context, cursors, out, key: PhantomData::<K> });
    let ends: Vec<Vec<usize>> = context.map(threads, parts, scatter)?.into_iter().collect::<Result<_>>()?;
    if ends != begins {
        return Err(Error::Changed);
    }
    Ok(Distributed { records, bounds })
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Where all parts write, each to places of its own.
struct Places<R> {
    first: *mut MaybeUninit<R>,
    len: usize,
    /// How far ahead of a write to ask for memory.
    ahead: usize,
}
impl<R> Clone for Places<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Places<R> {}
// SAFETY: the places that two parts write never overlap: each has its own range of each bucket.
unsafe impl<R: Send> Send for Places<R> {}
// SAFETY: as above.
unsafe impl<R: Send> Sync for Places<R> {}

impl<R> Places<R> {
    #[inline(always)]
    fn write(&self, place: usize, record: R) -> Result<()> {
        if place >= self.len {
            return Err(Error::Changed);
        }
        // SAFETY: the place is inside the buffer, which holds `len` records.
        let place = unsafe { self.first.add(place) };
        // SAFETY: as above.
        unsafe { place.write(MaybeUninit::new(record)) };
        // The next line of this bucket is asked for long before it is written: else each waits for memory.
        simd::prefetch(place.cast::<u8>().wrapping_add(self.ahead));
        Ok(())
    }
}

struct Scatter<'a, K, M, R> {
    rows: Rows<'a>,
    map: &'a M,
    context: &'a Context<'a>,
    cursors: Vec<usize>,
    out: Places<R>,
    key: PhantomData<K>,
}

impl<K: Key, M: Map<K>, R: Record<K>> Op for Scatter<'_, K, M, R> {
    /// Where each bucket of the part ended.
    type Out = Result<Vec<usize>>;
    #[inline(always)]
    fn run<L: Level>(mut self) -> Self::Out {
        let (cursors, out) = (&mut self.cursors[..], self.out);
        let mut block = Block::<K>::for_rows(&self.rows);
        let mut slots = vec![0u32; block.keys.len()];
        let mut records = Vec::with_capacity(block.keys.len());
        for part in self.rows.blocks() {
            self.context.check()?;
            part.read(&mut block)?;
            buckets_of(&block, self.map, &mut slots);
            // Loops of their own, again: the one that writes has enough to do.
            records.clear();
            if block.weights.is_empty() {
                records.extend(block.pairs().map(|(key, label)| R::of(key, label, 0.0)));
            } else {
                let weighted = block.pairs().zip(&block.weights);
                records.extend(weighted.map(|((key, label), &weight)| R::of(key, label, weight)));
            }
            let rows = slots.iter().map(|&slot| slot as usize).zip(records.iter().copied());
            if let [low, high] = cursors {
                // Kept in registers: in memory each would wait for its last increment.
                let (mut lower, mut upper) = (*low, *high);
                for (slot, record) in rows {
                    out.write(if slot == 0 { lower } else { upper }, record)?;
                    lower += 1 - slot;
                    upper += slot;
                }
                (*low, *high) = (lower, upper);
            } else {
                for (slot, record) in rows {
                    out.write(cursors[slot], record)?;
                    cursors[slot] += 1;
                }
            }
        }
        Ok(self.cursors)
    }
}
