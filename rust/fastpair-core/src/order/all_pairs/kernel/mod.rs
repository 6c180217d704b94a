//! The loops of pair losses that run in registers: pairs one by one, aligned pairs, Chebyshev sums, and searches
//! of tables.

pub(crate) mod aligned;
pub(crate) mod chebyshev;
pub(crate) mod direct;
pub(crate) mod formula;
pub(crate) mod search;
