//! The extension module `fastpair._core`: numpy arrays in, kernels of `fastpair-core`, numpy arrays out.
//!
//! Private. The Python package above it decides who owns the arrays and what the arguments mean; this crate only looks
//! at memory ([`array`]), crosses the border ([`door`]) and has one file for each operation of the core.

mod alloc;
mod array;
mod auc;
mod dense;
mod door;
mod losses;
mod mine;
mod pack;
mod pair_loss;
mod radius;
mod reduce;
mod roles;
mod search;
mod topk;

use door::{run, to_python};
use fastpair_core::Isa;
use fastpair_core::order::sort::sort as sort_keys;
use fastpair_core::pool;
use numpy::{PyReadwriteArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: alloc::Allocator = alloc::Allocator::new();

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    Isa::from_env().map_err(to_python)?.set();
    pool::threads_from_env().map_err(to_python)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(auc::auc, module)?)?;
    module.add_function(wrap_pyfunction!(auc::auc_by_group, module)?)?;
    module.add_function(wrap_pyfunction!(auc::group_codes, module)?)?;
    module.add_function(wrap_pyfunction!(auc::group_codes_of_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(auc::codes_from_offsets, module)?)?;
    module.add_function(wrap_pyfunction!(topk::topk, module)?)?;
    module.add_function(wrap_pyfunction!(radius::radius, module)?)?;
    module.add_function(wrap_pyfunction!(pack::pack, module)?)?;
    module.add_function(wrap_pyfunction!(dense::pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(dense::rowwise, module)?)?;
    module.add_function(wrap_pyfunction!(reduce::reduce, module)?)?;
    module.add_function(wrap_pyfunction!(reduce::histogram, module)?)?;
    module.add_function(wrap_pyfunction!(losses::group_lists, module)?)?;
    module.add_function(wrap_pyfunction!(losses::scale_lists, module)?)?;
    module.add_function(wrap_pyfunction!(losses::pair_loss, module)?)?;
    module.add_function(wrap_pyfunction!(losses::class_loss, module)?)?;
    module.add_function(wrap_pyfunction!(losses::lambda_loss, module)?)?;
    module.add_function(wrap_pyfunction!(losses::plackett_luce, module)?)?;
    module.add_function(wrap_pyfunction!(losses::cross_entropy, module)?)?;
    module.add_function(wrap_pyfunction!(losses::soft_rank, module)?)?;
    module.add_function(wrap_pyfunction!(losses::soft_rank_vjp, module)?)?;
    module.add_function(wrap_pyfunction!(losses::aligned_pairs, module)?)?;
    module.add_function(wrap_pyfunction!(pair_loss::pair_rows, module)?)?;
    module.add_function(wrap_pyfunction!(mine::mine_band, module)?)?;
    module.add_function(wrap_pyfunction!(mine::mine_multi_similarity, module)?)?;
    module.add_function(wrap_pyfunction!(mine::pack_roles, module)?)?;
    module.add_function(wrap_pyfunction!(mine::count_bits, module)?)?;
    module.add_function(wrap_pyfunction!(mine::unpack_rows, module)?)?;
    module.add_function(wrap_pyfunction!(sort, module)?)?;
    module.add_function(wrap_pyfunction!(isa, module)?)?;
    module.add_function(wrap_pyfunction!(set_isa, module)?)?;
    module.add_function(wrap_pyfunction!(available_isas, module)?)?;
    module.add_function(wrap_pyfunction!(num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    Ok(())
}

/// Sorts a contiguous array of uint32 or uint64 in place.
#[pyfunction]
fn sort(py: Python<'_>, keys: Bound<'_, PyUntypedArray>) -> PyResult<()> {
    let rows = keys.len();
    if let Ok(mut keys) = keys.extract::<PyReadwriteArray1<u32>>() {
        let keys = keys.as_slice_mut()?;
        return run(py, rows, Some(1), |context| sort_keys(keys, context));
    }
    if let Ok(mut keys) = keys.extract::<PyReadwriteArray1<u64>>() {
        let keys = keys.as_slice_mut()?;
        return run(py, rows, Some(1), |context| sort_keys(keys, context));
    }
    Err(PyTypeError::new_err("keys must be a writable one-dimensional array of uint32 or uint64"))
}

/// The instruction-set level in use.
#[pyfunction]
fn isa() -> &'static str {
    Isa::current().name()
}

/// Makes a level of [`available_isas`] the one in use.
#[pyfunction]
fn set_isa(name: &str) -> PyResult<()> {
    Isa::by_name(name).map_err(to_python)?.set();
    Ok(())
}

/// The instruction-set levels of this processor, the plainest first.
#[pyfunction]
fn available_isas() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}

/// The number of threads used where none is asked for.
#[pyfunction]
fn num_threads() -> usize {
    pool::default_threads()
}

/// Sets the number of threads used where none is asked for.
#[pyfunction]
fn set_num_threads(threads: usize) -> PyResult<()> {
    if threads == 0 {
        return Err(PyValueError::new_err("num_threads must be at least 1, not 0"));
    }
    pool::set_default_threads(threads);
    Ok(())
}
