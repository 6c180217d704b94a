//! Which pairs count: masks, lists of excluded columns, labels, limits of the score. Asked only of the few pairs that a
//! filter lets through, so they cost next to nothing.

/// Bits of a mask, packed as `numpy.packbits` does: eight to a byte, the first one highest.
#[derive(Debug, Clone, Copy)]
pub enum Bits<'a> {
    /// One bit for each row of y.
    Columns(&'a [u8]),
    /// The same for each row of x, `stride` bytes apart.
    Pairs {
        /// The rows, one after the other.
        bytes: &'a [u8],
        /// Bytes of a row.
        stride: usize,
    },
}

impl Bits<'_> {
    #[inline(always)]
    fn get(&self, row: usize, column: usize) -> bool {
        let byte = match self {
            Self::Columns(bytes) => bytes[column / 8],
            Self::Pairs { bytes, stride } => bytes[row * stride + column / 8],
        };
        byte >> (7 - column % 8) & 1 == 1
    }
}

/// Columns excluded for each row, in compressed rows; ascending within a row.
#[derive(Debug, Clone, Copy)]
pub struct Exclude<'a> {
    /// Where each row begins, and where the last ends.
    pub offsets: &'a [i64],
    /// The columns.
    pub columns: &'a [i64],
}

impl Exclude<'_> {
    fn has(&self, row: usize, column: i64) -> bool {
        self.columns[self.offsets[row] as usize..self.offsets[row + 1] as usize].binary_search(&column).is_ok()
    }
}

/// Pairs whose labels are the same, or are not.
#[derive(Debug, Clone, Copy)]
pub struct LabelRule<'a> {
    /// The label of each row of x.
    pub x: &'a [i64],
    /// The label of each row of y.
    pub y: &'a [i64],
    /// Whether labels must be the same, or else must differ.
    pub same: bool,
}

/// Which pairs count. The default admits all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Admit<'a> {
    /// The index of the first row of y, where y is a part of something larger.
    pub offset: usize,
    /// Whether row i of x must not be paired with the row of y of index i.
    pub exclude_self: bool,
    /// Pairs admitted.
    pub mask: Option<Bits<'a>>,
    /// Indices excluded.
    pub exclude: Option<Exclude<'a>>,
    /// Labels that go together.
    pub labels: Option<LabelRule<'a>>,
    /// The smallest admissible score of each row of x.
    pub min_score: Option<&'a [f64]>,
    /// The largest.
    pub max_score: Option<&'a [f64]>,
}

impl Admit<'_> {
    /// Whether row `row` of x may be paired with row `column` of y.
    #[inline(always)]
    pub(crate) fn pair(&self, row: usize, column: usize) -> bool {
        let index = self.offset + column;
        !(self.exclude_self && row == index)
            && self.mask.is_none_or(|bits| bits.get(row, column))
            && self.labels.is_none_or(|rule| (rule.x[row] == rule.y[column]) == rule.same)
            && self.exclude.is_none_or(|exclude| !exclude.has(row, index as i64))
    }

    /// Whether any row of x may be paired with one of these rows of y, as far as a mask of columns tells.
    pub(crate) fn any_of(&self, mut columns: std::ops::Range<usize>) -> bool {
        match self.mask {
            Some(bits @ Bits::Columns(_)) => columns.any(|column| bits.get(0, column)),
            _ => true,
        }
    }

    /// Whether some pairs do not count, whatever their scores.
    pub(crate) fn is_ruled(&self) -> bool {
        self.exclude_self || self.mask.is_some() || self.exclude.is_some() || self.labels.is_some()
    }

    /// The admissible scores of row `row`.
    pub(crate) fn limits(&self, row: usize) -> [f64; 2] {
        [
            self.min_score.map_or(f64::NEG_INFINITY, |limit| limit[row]),
            self.max_score.map_or(f64::INFINITY, |limit| limit[row]),
        ]
    }
}
