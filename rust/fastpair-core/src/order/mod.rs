//! The order engine: everything that needs scores in order.
//!
//! Rows -> keys with their label in the lowest bit -> buckets that sort in cache -> one scan per bucket -> counts that
//! join. [`sort`] is the vector sort under it, [`auc`] the first consumer.

pub mod all_pairs;
pub mod auc;
pub mod batch;
pub(crate) mod buckets;
pub mod counts;
mod few;
mod histogram;
mod presorted;
mod scan;
pub mod sort;
mod weighted;
