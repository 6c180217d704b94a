//! The metrics: how a score follows from two rows, and how it shows in a tile.
//!
//! A tile holds `value = (sum + bias_x + bias_y) scale_x scale_y` for each pair, where `sum` is a dot product (or a
//! negated Manhattan distance) of the packed rows. [`Metric::value`] maps a score to the value that it would have in
//! exact arithmetic. The map is monotone, larger is nearer, and does not depend on the rows, so values can be compared
//! where scores are meant:
//!
//! | metric | sum | bias of a row | scale of a row | value of a score s |
//! |---|---|---|---|---|
//! | dot | x.y | 0 | 1 | s |
//! | cosine | x.y | 0 | 1 / norm | s |
//! | sqeuclidean | x.y | -norm^2 / 2 | 1 | -s / 2 |
//! | euclidean | x.y | -norm^2 / 2 | 1 | -s^2 / 2 |
//! | manhattan | -sum of abs(x - y) | 0 | 1 | -s |
//! | poincare | x.y | -norm^2 / 2 | 1 / (1 - norm^2) | -sinh(s/2)^2 / 2 |
//! | lorentz | x.y with x_0 negated, at most -1 | 0 | 1 | -cosh(s) |
//! | hamming, jaccard | -s | 0 | 1 | -s |

/// A similarity or distance of two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Metric {
    Dot,
    Cosine,
    SqEuclidean,
    Euclidean,
    Manhattan,
    Poincare,
    Lorentz,
    Hamming,
    Jaccard,
}

impl Metric {
    /// All metrics and their names.
    pub const ALL: [(&'static str, Self); 9] = [
        ("dot", Self::Dot),
        ("cosine", Self::Cosine),
        ("sqeuclidean", Self::SqEuclidean),
        ("euclidean", Self::Euclidean),
        ("manhattan", Self::Manhattan),
        ("poincare", Self::Poincare),
        ("lorentz", Self::Lorentz),
        ("hamming", Self::Hamming),
        ("jaccard", Self::Jaccard),
    ];

    /// The metric of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|&(_, metric)| metric)
    }

    /// Whether small scores mean near.
    pub fn is_distance(self) -> bool {
        !matches!(self, Self::Dot | Self::Cosine)
    }

    /// Whether rows are packed bits.
    pub fn is_of_bits(self) -> bool {
        matches!(self, Self::Hamming | Self::Jaccard)
    }

    /// Whether only differences of rows matter, so that both may be moved.
    pub(crate) fn may_be_centred(self) -> bool {
        matches!(self, Self::SqEuclidean | Self::Euclidean)
    }

    /// The value in a tile of a pair with this score, in exact arithmetic.
    pub(crate) fn value(self, score: f64) -> f64 {
        match self {
            Self::Dot | Self::Cosine => score,
            Self::SqEuclidean => -0.5 * score,
            Self::Euclidean => -0.5 * score * score,
            Self::Manhattan | Self::Hamming | Self::Jaccard => -score,
            Self::Poincare => -0.5 * (0.5 * score).sinh().powi(2),
            Self::Lorentz => -score.cosh(),
        }
    }

    /// The score of a pair with this value, as exact as the value is.
    #[inline(always)]
    pub(crate) fn score_of_value(self, value: f64) -> f64 {
        match self {
            Self::Dot => value,
            Self::Cosine => value.clamp(-1.0, 1.0),
            Self::SqEuclidean => (-2.0 * value).max(0.0),
            Self::Euclidean => (-2.0 * value).max(0.0).sqrt(),
            Self::Manhattan | Self::Hamming | Self::Jaccard => -value,
            Self::Poincare => 2.0 * (-2.0 * value).max(0.0).sqrt().asinh(),
            Self::Lorentz => (-value).max(1.0).acosh(),
        }
    }

    /// What the values of the pairs of a row depend on: `sum` is the sum of its squares, of its magnitudes for
    /// Manhattan distances.
    #[inline(always)]
    pub(crate) fn traits(self, sum: f64) -> RowTraits {
        let norm = sum.sqrt();
        match self {
            Self::Dot | Self::Lorentz => RowTraits { norm, ..RowTraits::ZERO },
            Self::Cosine => RowTraits { norm, scale: if norm > 0.0 { 1.0 / norm } else { 0.0 }, ..RowTraits::ZERO },
            Self::SqEuclidean | Self::Euclidean => RowTraits { norm, bias: -0.5 * sum, half: 0.5 * sum, scale: 1.0 },
            Self::Poincare => RowTraits { norm, bias: -0.5 * sum, half: 0.5 * sum, scale: 1.0 / (1.0 - sum) },
            Self::Manhattan => RowTraits { half: sum, ..RowTraits::ZERO },
            Self::Hamming | Self::Jaccard => RowTraits::ZERO,
        }
    }

    /// Whether every value is at most -1 whatever a tile says.
    pub(crate) fn has_ceiling(self) -> bool {
        self == Self::Lorentz
    }
}

/// What a row brings to the values of its pairs, and to the bound on their errors (see `bound`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTraits {
    /// The norm, where products of norms bound the sum.
    pub norm: f64,
    /// The magnitude of what the row adds by itself.
    pub half: f64,
    pub bias: f64,
    pub scale: f64,
}

impl RowTraits {
    const ZERO: Self = Self { norm: 0.0, half: 0.0, bias: 0.0, scale: 1.0 };
}
