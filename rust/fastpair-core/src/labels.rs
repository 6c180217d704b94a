//! Two-class labels of any dtype, read as bits.
//!
//! Opening a label column looks only as far as it must to see two values and to know which is positive. That no third
//! value follows is checked by every pass that reads the labels, so the check costs no pass of its own.

use crate::column::{Column, with_element};
use crate::error::{Error, Result};
use crate::key::Element;

/// What the caller says of the positive class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PosLabel {
    /// Nothing: labels must be 0/1 or -1/1.
    Unsaid,
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
}

impl PosLabel {
    fn text(self) -> String {
        match self {
            Self::Unsaid => "None".into(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
        }
    }
}

/// A label column and the meaning of its two values.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    column: Column<'a>,
    /// The place of a value that differs from the first, if there is any.
    other: Option<usize>,
    first_is_positive: bool,
}

impl<'a> Labels<'a> {
    /// Decides which value is positive.
    pub fn open(column: Column<'a>, pos_label: PosLabel) -> Result<Self> {
        with_element!(column.dtype(), T => Self::open_as::<T>(column, pos_label))
    }

    /// Labels that are known to be 0 or 1.
    pub fn from_bits(bits: &'a [u8]) -> Self {
        let first_is_positive = bits.first() == Some(&1);
        let other = bits.iter().position(|&bit| (bit == 1) != first_is_positive);
        Self { column: Column::from_slice(bits), other, first_is_positive }
    }

    fn open_as<T: Element>(column: Column<'a>, pos_label: PosLabel) -> Result<Self> {
        if column.is_empty() {
            return Ok(Self { column, other: None, first_is_positive: false });
        }
        let first: T = column.get(0);
        let other = (1..column.len()).find(|&i| column.get::<T>(i) != first);
        for index in [Some(0), other].into_iter().flatten() {
            not_nan::<T>(&column, index)?;
        }
        let seen = (Exact::of(first), other.map(|i| Exact::of(column.get::<T>(i))));
        let both = || (column.text(0), other.map_or_else(String::new, |i| column.text(i)));
        let first_is_positive = match (pos_label, seen) {
            (PosLabel::Unsaid, (first, None)) if first.is_one_of(&[-1, 0, 1]) => first.is_one_of(&[1]),
            (PosLabel::Unsaid, (first, Some(other))) if is_known_pair(first, other) => first.is_one_of(&[1]),
            (PosLabel::Unsaid, (_, Some(_))) => {
                let (first, second) = both();
                Err(third_value::<T>(&column, 0, other).unwrap_or(Error::WhichPositive { first, second }))?
            }
            (PosLabel::Unsaid, (_, None)) => {
                Err(Error::WhichPositive { first: column.text(0), second: "nothing else".into() })?
            }
            (said, (first, None)) => first.equals(said),
            (said, (first, Some(_))) if first.equals(said) => true,
            (said, (_, Some(other))) if other.equals(said) => false,
            (said, _) => {
                let (first, second) = both();
                Err(Error::NoSuchLabel { pos_label: said.text(), first, second })?
            }
        };
        Ok(Self { column, other, first_is_positive })
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.column.is_empty()
    }

    /// All labels as 0 and 1.
    pub fn to_bits(&self) -> Result<Vec<u8>> {
        let mut bits = Vec::new();
        bits.try_reserve_exact(self.len()).map_err(|_| Error::OutOfMemory { bytes: self.len() })?;
        bits.resize(self.len(), 0);
        self.bits(0, &mut bits)?;
        Ok(bits)
    }

    /// Writes the labels `at .. at + out.len()` as 0 and 1.
    #[inline(always)]
    pub(crate) fn bits(&self, at: usize, out: &mut [u8]) -> Result<()> {
        with_element!(self.column.dtype(), T => self.bits_as::<T>(at, out))
    }

    #[inline(always)]
    fn bits_as<T: Element>(&self, at: usize, out: &mut [u8]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let first: T = self.column.get(0);
        let other: T = self.column.get(self.other.unwrap_or(0));
        let positive = self.first_is_positive;
        let mut third = false;
        self.column.fill(at, out, |value: T| {
            let is_first = value == first;
            third |= !is_first & (value != other);
            (is_first == positive) as u8
        });
        if third { Err(third_value::<T>(&self.column, at, self.other).expect("a third value")) } else { Ok(()) }
    }
}

/// A label value without rounding.
#[derive(Clone, Copy)]
struct Exact(PosLabel);

impl Exact {
    fn of<T: Element>(value: T) -> Self {
        // Only 64-bit integers do not fit a float64, and their text is exact.
        match value.text().parse() {
            Ok(int) => Self(PosLabel::Int(int)),
            Err(_) => Self(PosLabel::Float(value.to_f64())),
        }
    }

    fn equals(self, said: PosLabel) -> bool {
        match (self.0, said) {
            (PosLabel::Int(a), PosLabel::Int(b)) => a == b,
            (PosLabel::Float(a), PosLabel::Float(b)) => a == b,
            (PosLabel::Int(a), PosLabel::Float(b)) | (PosLabel::Float(b), PosLabel::Int(a)) => {
                b.fract() == 0.0 && b as i128 == a
            }
            _ => false,
        }
    }

    fn is_one_of(self, values: &[i128]) -> bool {
        values.iter().any(|&value| self.equals(PosLabel::Int(value)))
    }
}

fn is_known_pair(a: Exact, b: Exact) -> bool {
    (a.is_one_of(&[1]) && b.is_one_of(&[0, -1])) || (b.is_one_of(&[1]) && a.is_one_of(&[0, -1]))
}

fn not_nan<T: Element>(column: &Column, index: usize) -> Result<()> {
    if column.get::<T>(index).is_nan() {
        let advice = "drop the rows without a label";
        return Err(Error::NotANumber { argument: "labels", index, advice });
    }
    Ok(())
}

/// The error for the first value from `at` on that is neither the first of the column nor `other`, if there is one.
fn third_value<T: Element>(column: &Column, at: usize, other: Option<usize>) -> Option<Error> {
    let (first, second): (T, T) = (column.get(0), column.get(other.unwrap_or(0)));
    let index = (at..column.len()).find(|&i| column.get::<T>(i) != first && column.get::<T>(i) != second)?;
    Some(not_nan::<T>(column, index).err().unwrap_or_else(|| Error::NotBinary {
        first: column.text(0),
        second: column.text(other.unwrap_or(0)),
        third: column.text(index),
        index,
    }))
}
