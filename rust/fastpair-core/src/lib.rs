//! Exact kernels for everything that compares pairs.
pub mod column;
pub mod error;
pub mod groups;
pub mod key;
pub mod labels;
pub mod order;
pub mod pool;
pub mod rows;
mod simd;
pub use error::{Error, Result};
pub use simd::Isa;
