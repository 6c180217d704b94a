//! What a run of scores says about its pairs, and how two runs join.
//!
//! If every score of `self` is below every score of `next`, the joined run wins all pairs of a positive of `next` with
//! a negative of `self`. Joining is associative, so buckets, chunks and signs may be counted apart, on any thread, and
//! joined from the lowest to the highest.

/// Counts of a run of scores that join with those of a higher run.
pub(crate) trait Tally: Copy + Default + Send {
    /// What a row adds to its class: 1 or its weight.
    type Amount: Copy + Default;
    /// What a row adds to the negatives and to the positives.
    fn amounts(label: u8, weight: f64) -> [Self::Amount; 2];
    /// Adds a row at the upper end: `amounts` of negatives and positives, one of which is zero. `below` is this tally
    /// before the row's ties, and `ties` their amounts so far. A positive wins against `below` twice and against its
    /// ties once, a negative loses half to its ties; nothing here branches, and no large numbers are subtracted.
    fn add(&mut self, below: &Self, ties: &mut [Self::Amount; 2], amounts: [Self::Amount; 2]);
    /// This run and a higher one.
    #[must_use]
    fn then(self, next: Self) -> Self;
    /// The same pairs with the names of the classes exchanged.
    #[must_use]
    fn exchanged(self) -> Self;
}

/// Tallies rows that come in ascending order.
pub(crate) struct Ascending<K, T: Tally> {
    tally: T,
    below: T,
    ties: [T::Amount; 2],
    current: Option<K>,
}

impl<K: Copy + PartialEq, T: Tally> Ascending<K, T> {
    pub fn new() -> Self {
        Self { tally: T::default(), below: T::default(), ties: Default::default(), current: None }
    }

    /// Adds a row whose score is not below that of the last.
    #[inline(always)]
    pub fn push(&mut self, key: K, amounts: [T::Amount; 2]) {
        if self.current != Some(key) {
            (self.below, self.ties, self.current) = (self.tally, Default::default(), Some(key));
        }
        self.tally.add(&self.below, &mut self.ties, amounts);
    }

    /// The tally of all rows.
    pub fn finish(self) -> T {
        self.tally
    }
}

/// Exact pair counts of a run of scores. An AUC is `twice_u / (2 positives negatives)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Twice the Mann-Whitney U: 2 for each positive above a negative, 1 for each tie.
    pub twice_u: u128,
    /// Positives.
    pub positives: u64,
    /// Negatives.
    pub negatives: u64,
}

impl Counts {
    /// A run of equal scores.
    #[inline(always)]
    pub(crate) fn tied(positives: u64, negatives: u64) -> Self {
        Self { twice_u: u128::from(positives) * u128::from(negatives), positives, negatives }
    }

    /// The numbers as weighted sums in which every weight is 1.
    pub fn to_sums(&self) -> Sums {
        Sums { twice_u: self.twice_u as f64, positives: self.positives as f64, negatives: self.negatives as f64 }
    }

    /// The area under the ROC curve; NaN if a class is missing. Rounded once (twice from 2^53 pairs on).
    pub fn auc(&self) -> f64 {
        if self.positives == 0 || self.negatives == 0 {
            return f64::NAN;
        }
        self.twice_u as f64 / (2 * u128::from(self.positives) * u128::from(self.negatives)) as f64
    }
}

/// Weighted pair counts: every row counts as its weight, every pair as the product of two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// Twice the weighted U.
    pub twice_u: f64,
    /// Weight of the positives.
    pub positives: f64,
    /// Weight of the negatives.
    pub negatives: f64,
}

impl Sums {
    /// The area under the ROC curve; NaN if a class has no weight.
    pub fn auc(&self) -> f64 {
        if self.positives > 0.0 && self.negatives > 0.0 {
            (self.twice_u / (2.0 * self.positives * self.negatives)).clamp(0.0, 1.0)
        } else {
            f64::NAN
        }
    }

    /// Whether a product of weights has left the range of float64.
    pub(crate) fn out_of_range(&self) -> bool {
        let product = self.positives * self.negatives;
        let lost = self.positives > 0.0 && self.negatives > 0.0 && product < f64::MIN_POSITIVE / f64::EPSILON;
        lost || !(2.0 * product).is_finite() || !self.twice_u.is_finite()
    }

    /// The sums of unscaled weights, but for the pairs, whose sum would be out of range.
    pub(crate) fn unscaled(&self, [negative, positive]: [f64; 2]) -> Self {
        Self { twice_u: self.twice_u, positives: self.positives / positive, negatives: self.negatives / negative }
    }
}

impl Tally for Counts {
    type Amount = u64;

    #[inline(always)]
    fn amounts(label: u8, _: f64) -> [u64; 2] {
        [1 - u64::from(label), label.into()]
    }

    #[inline(always)]
    fn add(&mut self, below: &Self, ties: &mut [u64; 2], [negative, positive]: [u64; 2]) {
        self.twice_u += u128::from(positive) * u128::from(2 * below.negatives + ties[0])
            + u128::from(negative) * u128::from(ties[1]);
        *ties = [ties[0] + negative, ties[1] + positive];
        self.positives += positive;
        self.negatives += negative;
    }

    #[inline(always)]
    fn then(self, next: Self) -> Self {
        Self {
            twice_u: self.twice_u + next.twice_u + 2 * u128::from(next.positives) * u128::from(self.negatives),
            positives: self.positives + next.positives,
            negatives: self.negatives + next.negatives,
        }
    }

    fn exchanged(self) -> Self {
        Self { positives: self.negatives, negatives: self.positives, ..self }
    }
}

impl Tally for Sums {
    type Amount = f64;

    #[inline(always)]
    fn amounts(label: u8, weight: f64) -> [f64; 2] {
        if label == 1 { [0.0, weight] } else { [weight, 0.0] }
    }

    #[inline(always)]
    fn add(&mut self, below: &Self, ties: &mut [f64; 2], [negative, positive]: [f64; 2]) {
        self.twice_u += positive * (2.0 * below.negatives + ties[0]) + negative * ties[1];
        *ties = [ties[0] + negative, ties[1] + positive];
        self.positives += positive;
        self.negatives += negative;
    }

    #[inline(always)]
    fn then(self, next: Self) -> Self {
        Self {
            twice_u: self.twice_u + next.twice_u + 2.0 * next.positives * self.negatives,
            positives: self.positives + next.positives,
            negatives: self.negatives + next.negatives,
        }
    }

    fn exchanged(self) -> Self {
        Self { positives: self.negatives, negatives: self.positives, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_is_associative_and_counts_the_pairs_between() {
        let runs = [Counts::tied(2, 3), Counts::tied(0, 5), Counts::tied(4, 0), Counts::tied(1, 1)];
        let [a, b, c, d] = runs;
        assert_eq!(a.then(b).then(c).then(d), a.then(b.then(c.then(d))));
        // Two ties of 2 x 3 and 1 x 1 count half; 4 x 8 and 1 x 8 are won.
        assert_eq!(a.then(b).then(c).then(d).twice_u, 6 + 1 + 2 * (4 * 8 + 8));
    }

    #[test]
    fn counts_beyond_64_bits_are_exact() {
        let half = Counts { twice_u: 0, positives: 0, negatives: 1 << 39 };
        let all = half.then(Counts { positives: 1 << 39, ..Counts::default() });
        assert_eq!(all.twice_u, 1 << 79);
        assert_eq!(all.auc(), 1.0);
    }
}
