//! Which columns are positives of a row, which are negatives, and which do not count.

use super::mine::Miner;
use crate::simd::Real;

/// Whether each pair is in a set, row by row.
#[derive(Debug, Clone, Copy)]
pub enum PairMask<'a> {
    /// A bool for each pair.
    Bools(&'a [bool]),
    /// Bits as `numpy.packbits` packs a row: eight to a byte, the first one highest.
    Bits(&'a [u8]),
}

impl PairMask<'_> {
    /// Whether pair (`row`, `column`) of `columns` in a row is in the set.
    #[inline(always)]
    pub(crate) fn has(&self, row: usize, column: usize, columns: usize) -> bool {
        match self {
            Self::Bools(bools) => bools[row * columns + column],
            Self::Bits(bytes) => bytes[row * columns.div_ceil(8) + column / 8] >> (7 - column % 8) & 1 == 1,
        }
    }

    /// Calls `see` with each column of a row, in ascending order, and whether it is in the set.
    #[inline(always)]
    pub(crate) fn each(&self, row: usize, columns: usize, mut see: impl FnMut(usize, bool)) {
        match self {
            Self::Bools(bools) => {
                bools[row * columns..][..columns].iter().enumerate().for_each(|(column, &is)| see(column, is));
            }
            Self::Bits(bytes) => {
                let bytes = &bytes[row * columns.div_ceil(8)..];
                (0..columns).for_each(|column| see(column, bytes[column / 8] >> (7 - column % 8) & 1 == 1));
            }
        }
    }
}

/// Where the positives are.
#[derive(Debug, Clone, Copy)]
pub enum Positives<'a> {
    /// Nowhere.
    None,
    /// Column i for row i.
    Diagonal,
    /// One for each row, or a negative number for none.
    Columns(&'a [i64]),
    /// Whether each pair is one, row by row.
    Mask(PairMask<'a>),
    /// Where the label of a row is that of a column.
    Labels([&'a [i64]; 2]),
}

/// What each column is to each row. What is neither positive nor ignored is a negative.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a> {
    /// The positives.
    pub positives: Positives<'a>,
    /// The column that is the row itself, or a negative number for none: ignored.
    pub own: Option<&'a [i64]>,
    /// Whether each pair is ignored, row by row.
    pub ignore: Option<PairMask<'a>>,
    /// Groups of rows and columns: only columns of the row's group count.
    pub groups: Option<[&'a [i64]; 2]>,
    /// Identities of rows and columns: columns of the row's identity that are no positives are ignored.
    pub ids: Option<[&'a [i64]; 2]>,
    /// Which of all these pairs are mined, by their similarities: the others are ignored.
    pub miner: Option<Miner>,
}

impl Roles<'_> {
    /// Whether a pair is ignored whatever its label.
    fn ignores(&self, row: usize, column: usize, columns: usize) -> bool {
        self.own.is_some_and(|own| own[row] == column as i64)
            || self.ignore.is_some_and(|ignore| ignore.has(row, column, columns))
            || self.groups.is_some_and(|[x, y]| x[row] != y[column])
    }

    /// Lists the positives of a row, gives ignored columns the similarity negative infinity, and returns how many columns
    /// count.
    pub(crate) fn of_row<T: Real>(&self, row: usize, similarities: &mut [T], positives: &mut Vec<usize>) -> usize {
        let count = self.given(row, similarities, positives);
        let Some(miner) = self.miner else { return count };
        miner.choose(similarities, positives);
        count_present(similarities)
    }

    /// The same without mining.
    fn given<T: Real>(&self, row: usize, similarities: &mut [T], positives: &mut Vec<usize>) -> usize {
        let columns = similarities.len();
        positives.clear();
        match self.positives {
            Positives::None => {}
            Positives::Diagonal => positives.extend((row < columns).then_some(row)),
            Positives::Columns(of_row) => positives.extend(usize::try_from(of_row[row])),
            Positives::Mask(mask) => {
                mask.each(row, columns, |column, positive| positives.extend(positive.then_some(column)));
            }
            Positives::Labels([x, y]) => {
                let own = x[row];
                positives.extend(y.iter().enumerate().filter(|(_, label)| **label == own).map(|(j, _)| j));
            }
        }
        positives.retain(|&column| !self.ignores(row, column, columns));
        let absent = T::rounded(f64::NEG_INFINITY);
        let mut count = columns;
        if let Some(own) = self.own
            && let Ok(own) = usize::try_from(own[row])
        {
            similarities[own] = absent;
            count -= 1;
        }
        if self.ignore.is_none() && self.groups.is_none() && self.ids.is_none() {
            return count;
        }
        if let Some(ignore) = self.ignore {
            ignore.each(row, columns, |column, ignored| {
                let s = &mut similarities[column];
                *s = if ignored { absent } else { *s };
            });
        }
        if let Some([x, y]) = self.groups {
            let own = x[row];
            similarities.iter_mut().zip(y).for_each(|(s, &group)| *s = if group == own { *s } else { absent });
        }
        if let Some([x, y]) = self.ids {
            let own = x[row];
            let mut next = 0;
            for (column, s) in similarities.iter_mut().enumerate() {
                if positives.get(next) == Some(&column) {
                    next += 1;
                } else if y[column] == own {
                    *s = absent;
                }
            }
        }
        count_present(similarities)
    }
}

/// How many columns are not ignored.
fn count_present<T: Real>(similarities: &[T]) -> usize {
    let absent = T::rounded(f64::NEG_INFINITY);
    similarities.iter().filter(|&&s| s != absent).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_columns_are_no_positives_and_do_not_count() {
        let roles = Roles {
            positives: Positives::Labels([&[7, 8], &[7, 7, 8, 7]]),
            own: Some(&[0, -1]),
            ignore: Some(PairMask::Bools(&[false, false, false, true, false, false, false, false])),
            groups: None,
            ids: Some([&[5, 6], &[5, 5, 6, 6]]),
            miner: None,
        };
        let (mut row, mut positives) = ([1f32; 4], Vec::new());
        assert_eq!(roles.of_row(0, &mut row, &mut positives), 2);
        assert_eq!(positives, [1]);
        assert_eq!(row, [f32::NEG_INFINITY, 1.0, 1.0, f32::NEG_INFINITY]);
        let mut row = [1f64; 4];
        assert_eq!(roles.of_row(1, &mut row, &mut positives), 3);
        assert_eq!((positives.as_slice(), row[3]), (&[2][..], f64::NEG_INFINITY));
    }
}
