//! Worker threads, and what a running computation knows of its caller: level, threads, and whether to stop.
//!
//! Pools are kept per process: threads do not survive `fork`, so a child process that finds its parent's pools forgets
//! them and starts its own. Nothing here decides what is computed: results never depend on the number of threads.

use crate::error::{Error, Result};
use crate::simd::Isa;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Below this many elements a second thread costs more than it saves.
pub const SERIAL_BELOW: usize = 1 << 15;

/// The scratch that a computation may take where nobody says how much: 64 MiB.
pub const USUAL_SCRATCH: usize = 64 << 20;

/// How much memory a computation may take beside its input and its output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scratch {
    /// The most bytes. Without a bound, work goes by [`USUAL_SCRATCH`] as far as one thread can.
    pub most: Option<usize>,
    /// What the caller holds already of it.
    pub held: usize,
}

/// How a computation runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instruction-set level.
    pub isa: Isa,
    /// The most threads to use, at least 1.
    pub threads: usize,
    /// The memory that it may take.
    pub scratch: Scratch,
    /// Set by the caller when the computation should stop with [`Error::Interrupted`].
    pub cancelled: &'a AtomicBool,
    /// What has been done so far, for reports on progress.
    pub done: &'a AtomicUsize,
}

static NEVER: AtomicBool = AtomicBool::new(false);
static UNSEEN: AtomicUsize = AtomicUsize::new(0);

impl Context<'static> {
    /// The current level and default number of threads; cannot be cancelled.
    pub fn new() -> Self {
        Self {
            isa: Isa::current(),
            threads: default_threads(),
            scratch: Scratch::default(),
            cancelled: &NEVER,
            done: &UNSEEN,
        }
    }
}

impl Default for Context<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl Context<'_> {
    /// Fails if the caller wants the computation to stop. Long loops ask every few hundred microseconds.
    #[inline(always)]
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Tells whoever watches that so many more steps are done.
    #[inline(always)]
    pub fn advance(&self, steps: usize) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// The same on one thread.
    pub fn serial(&self) -> Self {
        Self { threads: 1, ..*self }
    }

    /// The number of threads worth using for `elements` elements.
    pub fn threads_for(&self, elements: usize) -> usize {
        self.threads.min(elements / SERIAL_BELOW).max(1)
    }

    /// The most threads, up to `threads`, and for those the largest of `sizes` (of pieces of the work, which descend) for
    /// which `bytes(threads, size)` stay within the memory. One thread may fall back on `least`, smaller than all of them.
    pub fn plan(
        &self,
        threads: usize,
        sizes: &[usize],
        least: usize,
        bytes: impl Fn(usize, usize) -> usize,
    ) -> Result<(usize, usize)> {
        let room = self.scratch.most.unwrap_or(USUAL_SCRATCH).saturating_sub(self.scratch.held);
        for threads in (1..=threads.max(1)).rev() {
            if let Some(&size) = sizes.iter().find(|&&size| bytes(threads, size) <= room) {
                return Ok((threads, size));
            }
        }
        let needed = bytes(1, least);
        match self.scratch.most {
            Some(most) if needed > room => Err(Error::Scratch { needed: needed + self.scratch.held, most }),
            _ => Ok((1, least)),
        }
    }

    /// Applies `each` to the items, on at most `threads` threads; the results are in the order of the items.
    pub fn map<T: Send, R: Send>(
        &self,
        threads: usize,
        items: Vec<T>,
        each: impl Fn(T) -> R + Send + Sync,
    ) -> Result<Vec<R>> {
        if threads <= 1 || items.len() <= 1 {
            return Ok(items.into_iter().map(each).collect());
        }
        Ok(pool(threads)?.install(|| items.into_par_iter().map(each).collect()))
    }
}

static DEFAULT_THREADS: AtomicUsize = AtomicUsize::new(0);

/// The number of threads used where none is asked for: what [`set_default_threads`] said, else `FASTPAIR_NUM_THREADS`,
/// else the processors this process may use.
pub fn default_threads() -> usize {
    match DEFAULT_THREADS.load(Ordering::Relaxed) {
        0 => {
            let from_env = threads_from_env().ok().flatten();
            let threads = from_env.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            DEFAULT_THREADS.store(threads, Ordering::Relaxed);
            threads
        }
        threads => threads,
    }
}

/// What `FASTPAIR_NUM_THREADS` says, if anything.
pub fn threads_from_env() -> Result<Option<usize>> {
    match std::env::var("FASTPAIR_NUM_THREADS") {
        Ok(text) if !text.is_empty() => match text.trim().parse() {
            Ok(threads) if threads > 0 => Ok(Some(threads)),
            _ => Err(Error::ThreadsFromEnv { seen: text }),
        },
        _ => Ok(None),
    }
}

/// Sets the default number of threads (at least 1).
pub fn set_default_threads(threads: usize) {
    DEFAULT_THREADS.store(threads.max(1), Ordering::Relaxed);
}

struct Pools {
    process: u32,
    by_size: Mutex<HashMap<usize, Arc<ThreadPool>>>,
}

/// The pools of the process that last asked. Replaced, never freed: another process's lock may be held forever, and its
/// threads cannot be joined.
static POOLS: AtomicPtr<Pools> = AtomicPtr::new(std::ptr::null_mut());

/// The pool of `threads` threads of this process.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>> {
    let process = std::process::id();
    let mut current = POOLS.load(Ordering::Acquire);
    // SAFETY: the pointer is null or came from `Box::into_raw` below and is never freed.
    if unsafe { current.as_ref() }.is_none_or(|pools| pools.process != process) {
        let fresh = Box::into_raw(Box::new(Pools { process, by_size: Mutex::new(HashMap::new()) }));
        current = match POOLS.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => other,
        };
    }
    // SAFETY: not null, and never freed.
    let pools = unsafe { &*current };
    let mut by_size = pools.by_size.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = by_size.get(&threads) {
        return Ok(pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("fastpair-{i}"))
        .build()
        .map_err(|_| Error::Threads { threads })?;
    let pool = Arc::new(pool);
    by_size.insert(threads, pool.clone());
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_keeps_the_order_on_any_number_of_threads() {
        let context = Context::new();
        for threads in [1, 2, 7] {
            let squares = context.map(threads, (0..100).collect(), |i| i * i).unwrap();
            assert_eq!(squares, (0..100).map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_plan_gives_up_size_then_threads() {
        let bytes = |threads: usize, size: usize| threads * (100 + size);
        let plan = |most, held| {
            let context = Context { scratch: Scratch { most, held }, ..Context::new() };
            context.plan(4, &[80, 40], 10, bytes)
        };
        assert_eq!(plan(Some(720), 0), Ok((4, 80)));
        assert_eq!(plan(Some(719), 0), Ok((4, 40)));
        assert_eq!(plan(Some(559), 0), Ok((3, 80)));
        assert_eq!(plan(Some(559), 200), Ok((2, 40)));
        assert_eq!(plan(Some(110), 0), Ok((1, 10)));
        assert_eq!(plan(Some(110), 1), Err(Error::Scratch { needed: 111, most: 110 }));
        assert_eq!(plan(None, usize::MAX), Ok((1, 10)));
    }

    #[test]
    fn a_cancelled_context_says_so() {
        let cancelled = AtomicBool::new(true);
        let context = Context { cancelled: &cancelled, ..Context::new() };
        assert_eq!(context.check(), Err(Error::Interrupted));
    }
}
