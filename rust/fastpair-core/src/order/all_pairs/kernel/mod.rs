//! The loops of pair losses that run in registers: pairs one by one, aligned pairs, and Chebyshev sums.

pub(crate) mod aligned;
pub(crate) mod chebyshev;
pub(crate) mod direct;
pub(crate) mod formula;
