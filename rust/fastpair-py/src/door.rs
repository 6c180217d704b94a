//! The one way from Python into the kernels and back: the GIL is released, Ctrl-C is watched for, errors become
//! exceptions, and no panic gets through.

use fastpair_core::pool::{Context, default_threads};
use fastpair_core::{Error, Isa, Result};
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
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
    let cancelled = AtomicBool::new(false);
    let threads = threads.unwrap_or_else(default_threads);
    let context = Context { isa: Isa::current(), threads, cancelled: &cancelled };
    let caught = || catch_unwind(AssertUnwindSafe(|| work(&context)));
    let outcome = if rows < TINY {
        caught()
    } else if rows < SHORT {
        py.detach(caught)
    } else {
        py.detach(|| watched(caught, &cancelled))?
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

/// Runs `work` on a thread of its own, while this one, which may be Python's main thread, looks for signals.
fn watched<T: Send>(work: impl FnOnce() -> T + Send, cancelled: &AtomicBool) -> PyResult<T> {
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        let worker = std::thread::Builder::new().name("fastpair".into()).spawn_scoped(scope, move || send.send(work()));
        worker.map_err(|_| to_python(Error::Threads { threads: 1 }))?;
        loop {
            match receive.recv_timeout(PATIENCE) {
                Ok(outcome) => return Ok(outcome),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = Python::attach(|py| py.check_signals()) {
                        cancelled.store(true, Ordering::Relaxed);
                        return Err(signal);
                    }
                }
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
