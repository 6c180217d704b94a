//! Pair counts of rows that already are in order: one pass, no memory. The order is checked on the way.

use super::auc::Presorted;
use super::counts::{Ascending, Tally};
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::rows::{Block, Rows};

/// Tallies sorted rows; `amounts` tells what row `i` of a block with a label adds to each class, given the weights.
pub(crate) fn tally<T: Tally>(
    rows: &Rows,
    order: Presorted,
    context: &Context,
    amounts: impl Fn(u8, &[f64], usize) -> [T::Amount; 2],
) -> Result<T> {
    let descending = order == Presorted::Descending;
    // Descending scores are ascending ones with the keys turned round and the classes exchanged: a positive above a
    // negative becomes a "positive" (the negative) above a "negative".
    let flip = if descending { u64::MAX } else { 0 };
    let mut tally = Ascending::new();
    let mut last = 0;
    let mut block = Block::<u64>::for_rows(rows);
    for part in rows.blocks() {
        context.check()?;
        part.read(&mut block)?;
        for (i, (key, label)) in block.pairs().enumerate() {
            let key = key ^ flip;
            if key < last {
                let order = if descending { "in descending order" } else { "in ascending order" };
                return Err(Error::NotSorted { order, index: rows.first_out_of_order::<u64>(descending) });
            }
            last = key;
            tally.push(key, amounts(label ^ descending as u8, &block.weights, i));
        }
    }
    let tally: T = tally.finish();
    Ok(if descending { tally.exchanged() } else { tally })
}
