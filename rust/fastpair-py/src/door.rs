//! The one way from Python into the kernels and back: the GIL is released, Ctrl-C is watched for, errors become
//! exceptions, and no panic gets through.

use fastpair_core::pool::{Context, Scratch, default_threads};
use fastpair_core::{Error, Isa, Result};
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Calls on fewer rows keep the GIL: they end before another thread could use it.
const TINY: usize = 1 << 11;

/// Calls on fewer rows end within some 10 milliseconds (100 without vectors), so nobody needs to interrupt them.
const SHORT: usize = 1 << 21;

/// How often a long call looks for signals.
const PATIENCE: Duration = Duration::from_millis(20);

/// Runs `work` on `rows` rows with at most `threads` threads.
pub fn run<T: Send>(
    py: Python<'_>,
    rows: usize,
    threads: Option<usize>,
    work: impl FnOnce(&Context) -> Result<T> + Send,
) -> PyResult<T> {
    run_long(py, Size { cost: rows, steps: rows }, None, Limits { threads, ..Limits::default() }, work)
}

/// How large a call is.
#[derive(Clone, Copy)]
pub struct Size {
    /// In operations that take about as long as a row of an AUC.
    pub cost: usize,
    /// In what [`Context::advance`] counts.
    pub steps: usize,
}

/// What a call may use.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    /// The most threads; by default those of the process.
    pub threads: Option<usize>,
    /// The memory beside input and output.
    pub scratch: Scratch,
}

/// The same for calls that can take long: `progress(done, total)` is called now and then.
pub fn run_long<T: Send>(
    py: Python<'_>,
    size: Size,
    progress: Option<Bound<'_, PyAny>>,
    limits: Limits,
    work: impl FnOnce(&Context) -> Result<T> + Send,
) -> PyResult<T> {
    let (cancelled, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (threads, scratch) = (limits.threads.unwrap_or_else(default_threads), limits.scratch);
    let context = Context { isa: Isa::current(), threads, scratch, cancelled: &cancelled, done: &done };
    let caught = || catch_unwind(AssertUnwindSafe(|| work(&context)));
    let report = progress.map(Bound::unbind);
    let look = |py: Python<'_>| {
        py.check_signals()?;
        report.as_ref().map(|report| report.call1(py, (done.load(Ordering::Relaxed), size.steps))).transpose().map(drop)
    };
    let outcome = if size.cost < TINY && report.is_none() {
        caught()
    } else if size.cost < SHORT && report.is_none() {
        py.detach(caught)
    } else {
        py.detach(|| watched(caught, &cancelled, look))?
    };
    match outcome {
        Ok(result) => result.map_err(to_python),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("no message");
            Err(PyRuntimeError::new_err(format!("internal error in fastpair, please report it: {text}")))
        }
    }
}

/// Runs `work` on a thread of its own, while this one, which may be Python's main thread, looks for signals and reports.
fn watched<T: Send>(
    work: impl FnOnce() -> T + Send,
    cancelled: &AtomicBool,
    look: impl Fn(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        let worker = std::thread::Builder::new().name("fastpair".into()).spawn_scoped(scope, move || send.send(work()));
        worker.map_err(|_| to_python(Error::Threads { threads: 1 }))?;
        loop {
            let outcome = receive.recv_timeout(PATIENCE);
            if let Err(error) = Python::attach(&look) {
                cancelled.store(true, Ordering::Relaxed);
                return Err(error);
            }
            match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("internal error in fastpair: a worker ended early"));
                }
            }
        }
    })
}

/// The exception for an error.
pub fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Dtype { .. } => PyTypeError::new_err(text),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(text),
        Error::Threads { .. } | Error::Changed => PyRuntimeError::new_err(text),
        Error::Interrupted => PyKeyboardInterrupt::new_err(text),
        _ => PyValueError::new_err(text),
    }
}
