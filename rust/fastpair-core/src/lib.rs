//! Exact kernels for everything that compares pairs: the core of the Python package fastpair, free of Python.
//!
//! The map, from the bottom up; nothing uses what stands below it in this list:
//!
//! * `simd`: instruction-set levels and their vectors, the only place that knows them; [`Isa`] names a level.
//! * [`key`]: scores of every dtype as unsigned keys that sort like them.
//! * [`error`]: what can go wrong, as data. [`pool`]: threads, and whether to stop.
//! * [`column`], [`labels`], [`groups`], [`rows`]: borrowed input of any dtype and layout, read in blocks.
//! * [`matrix`]: the same for rows of embeddings.
//! * [`order`]: the order engine, for all that needs scores in order: the vector sort, pair counts, AUC.
//! * [`group`]: the group engine, for losses of ragged lists.
//! * [`tile`]: the tile engine, for all that compares embeddings with embeddings: exact top-k, radius search, dense
//!   matrices, reductions.
//!
//! ```
//! use fastpair_core::column::Column;
//! use fastpair_core::labels::{Labels, PosLabel};
//! use fastpair_core::order::auc::count_pairs;
//! use fastpair_core::pool::Context;
//! use fastpair_core::rows::Rows;
//!
//! let labels = Labels::open(Column::from_slice(&[0u8, 0, 1, 1]), PosLabel::Unsaid)?;
//! let rows = Rows::new(Column::from_slice(&[0.1f32, 0.4, 0.35, 0.8]), labels, None, false)?;
//! let counts = count_pairs(&rows, &Context::new())?;
//! assert_eq!((counts.twice_u, counts.positives, counts.negatives), (6, 2, 2));
//! assert_eq!(counts.auc(), 0.75);
//! # Ok::<(), fastpair_core::Error>(())
//! ```

pub mod column;
pub mod error;
pub mod group;
pub mod groups;
pub mod key;
pub mod labels;
pub mod matrix;
pub mod order;
pub mod pool;
pub mod rows;
mod simd;
pub mod tile;

pub use error::{Error, Result};
pub use simd::{Isa, Real};
