//! Mining inside of a loss: the same rules on a row of similarities as the loss has them, so that no pair is ever listed.

use super::{Band, Reference};
use crate::simd::Real;

/// Which pairs of a row are mined.
#[derive(Debug, Clone, Copy)]
pub enum Miner {
    /// All positives, and the negatives in a band.
    Band(Band),
    /// The pairs that are hard beside the hardest pair of the other kind.
    MultiSimilarity {
        /// How far they may be from it.
        epsilon: f64,
        /// Positives of this similarity or more are none.
        duplicates: f64,
    },
}

impl Miner {
    /// Gives all columns that are not mined the similarity negative infinity, and drops them from the positives.
    pub(crate) fn choose<T: Real>(&self, similarities: &mut [T], positives: &mut Vec<usize>) {
        let absent = T::rounded(f64::NEG_INFINITY);
        if let Self::MultiSimilarity { duplicates, .. } = *self {
            positives.retain(|&column| {
                let value = similarities[column].widened();
                let kept = value < duplicates || value.is_nan();
                similarities[column] = if kept { similarities[column] } else { absent };
                kept
            });
        }
        let own: Vec<T> = positives.iter().map(|&column| similarities[column]).collect();
        positives.iter().for_each(|&column| similarities[column] = absent);
        let limit = match *self {
            Self::Band(band) => {
                let reference = reference_of(band.reference, &own);
                keep_within(similarities, [reference + band.lower, reference + band.upper], band.closed);
                None
            }
            Self::MultiSimilarity { epsilon, .. } => {
                let nearest = similarities.iter().fold(f64::NEG_INFINITY, |most, s| most.max(s.widened()));
                let hardest = reference_of(Reference::Hardest, &own);
                keep_within(similarities, [hardest - epsilon, f64::INFINITY], [false; 2]);
                Some(nearest + epsilon)
            }
        };
        // A mask without negatives leaves the positives; rules for both need both.
        let alone = limit.is_some() && similarities.iter().all(|&s| s == absent);
        let mut values = own.into_iter();
        positives.retain(|&column| {
            let value = values.next().unwrap_or(absent);
            // What is not a number stays, and makes the row what it is.
            let kept = limit.is_none_or(|limit| value.widened() < limit) || value.widened().is_nan();
            similarities[column] = if kept { value } else { absent };
            kept
        });
        if positives.is_empty() || alone {
            positives.clear();
            similarities.fill(absent);
        }
    }
}

/// What a band is measured from.
fn reference_of<T: Real>(reference: Reference, positives: &[T]) -> f64 {
    let values = positives.iter().map(|s| s.widened());
    match reference {
        Reference::None | Reference::Each => 0.0,
        Reference::Hardest => values.fold(f64::INFINITY, f64::min),
        Reference::Easiest => values.fold(f64::NEG_INFINITY, f64::max),
        Reference::Mean => values.sum::<f64>() / positives.len() as f64,
    }
}

/// Gives what is outside of the limits the similarity negative infinity; what is not a number stays.
fn keep_within<T: Real>(similarities: &mut [T], [lower, upper]: [f64; 2], closed: [bool; 2]) {
    let absent = T::rounded(f64::NEG_INFINITY);
    for s in similarities {
        let value = s.widened();
        let below = value < lower || !closed[0] && value == lower;
        let above = value > upper || !closed[1] && value == upper && upper < f64::INFINITY;
        *s = if below || above { absent } else { *s };
    }
}
