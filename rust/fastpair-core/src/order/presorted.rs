//! Pair counts of rows that already are in order: one pass, no memory. The order is checked on the way.

use super::auc::Presorted;
use super::counts::{Ascending, Tally};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::pool::Context;
use crate::rows::{Block, Rows};

/// The order of the rows, if they are in any. Rows in disorder are recognised within the first few.
pub(crate) fn find_order<K: Key>(rows: &Rows, context: &Context) -> Result<Option<Presorted>> {
    let (mut ascending, mut descending, mut last) = (true, true, None);
    let mut block = Block::<K>::for_rows(rows);
    for part in rows.blocks() {
        context.check()?;
        part.read_keys(&mut block)?;
        let keys = block.keys();
        let pairs = last.iter().zip(keys).chain(keys.iter().zip(keys.get(1..).unwrap_or_default()));
        for (a, b) in pairs {
            ascending &= a <= b;
            descending &= a >= b;
            if !ascending && !descending {
                return Ok(None);
            }
        }
        last = keys.last().copied().or(last);
    }
    Ok(Some(if ascending { Presorted::Ascending } else { Presorted::Descending }))
}

/// Tallies sorted rows.
pub(crate) fn tally<T: Tally>(rows: &Rows, order: Presorted, context: &Context) -> Result<T> {
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
            let weight = block.weights.get(i).copied().unwrap_or(1.0);
            tally.push(key, T::amounts(label ^ descending as u8, weight));
        }
    }
    let tally: T = tally.finish();
    Ok(if descending { tally.exchanged() } else { tally })
}
