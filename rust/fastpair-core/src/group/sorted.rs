//! The items of a list in order of a number of theirs, equal ones in their own order.

use crate::error::{Error, Result};
use crate::key::Element;
use crate::order::sort::sort;
use crate::pool::Context;

/// The items by ascending value. O(n log n), by the vector sort where values are float32 numbers.
pub(super) fn ascending(values: &[f64], context: &Context) -> Result<Vec<u32>> {
    by_key(values, false, context)
}

/// The items by descending value.
pub(super) fn descending(values: &[f64], context: &Context) -> Result<Vec<u32>> {
    by_key(values, true, context)
}

fn by_key(values: &[f64], descending: bool, context: &Context) -> Result<Vec<u32>> {
    if values.len() > u32::MAX as usize {
        return Err(Error::TooManyItems { items: values.len() });
    }
    if values.iter().all(|&value| f64::from(value as f32) == value) {
        let key = |value: f64| if descending { !(value as f32).key() } else { (value as f32).key() };
        let mut keys: Vec<u64> =
            values.iter().enumerate().map(|(i, &value)| u64::from(key(value)) << 32 | i as u64).collect();
        sort(&mut keys, context)?;
        return Ok(keys.into_iter().map(|key| key as u32).collect());
    }
    let key = |value: f64| if descending { !value.key() } else { value.key() };
    let mut keys: Vec<(u64, u32)> = values.iter().enumerate().map(|(i, &value)| (key(value), i as u32)).collect();
    keys.sort_unstable();
    Ok(keys.into_iter().map(|(_, i)| i).collect())
}

/// Where each run of equal values begins, and the end.
pub(super) fn levels(sorted: &[f64]) -> Vec<usize> {
    let mut begins = vec![0];
    begins.extend((1..sorted.len()).filter(|&i| sorted[i] != sorted[i - 1]));
    if !sorted.is_empty() {
        begins.push(sorted.len());
    }
    begins
}

/// The values of the items in this order.
pub(super) fn pick(values: &[f64], order: &[u32]) -> Vec<f64> {
    order.iter().map(|&i| values[i as usize]).collect()
}
