//! What each column is to 32 rows at a time: bits of positives and of negatives.
//!
//! Labels become numbers from 0 on. The rows of a strip then fill a small table, a bit for each row at its label, and what a
//! column is to all of them is one look into the table.

use super::super::kernel::STRIP;
use super::super::{Positives, Roles};
use std::collections::HashMap;
use std::ops::Range;

/// Labels of rows and columns as numbers from 0 on.
struct Codes {
    rows: Vec<u32>,
    columns: Vec<u32>,
    /// How many there are; a row of no column's label has this one.
    count: usize,
}

impl Codes {
    fn new([x, y]: [&[i64]; 2]) -> Self {
        let mut known = HashMap::new();
        let columns = y.iter().map(|label| {
            let next = known.len() as u32;
            *known.entry(*label).or_insert(next)
        });
        let columns: Vec<u32> = columns.collect();
        let count = known.len();
        let rows = x.iter().map(|label| known.get(label).copied().unwrap_or(count as u32)).collect();
        Self { rows, columns, count }
    }
}

/// What all threads share of the roles: the codes of labels, of groups and of identities.
pub(super) struct Kinds {
    labels: Option<Codes>,
    groups: Option<Codes>,
    ids: Option<Codes>,
    columns: usize,
}

impl Kinds {
    pub fn new(roles: &Roles, columns: usize) -> Self {
        let labels = match roles.positives {
            Positives::Labels(labels) => Some(Codes::new(labels)),
            _ => None,
        };
        Self { labels, groups: roles.groups.map(Codes::new), ids: roles.ids.map(Codes::new), columns }
    }
}

/// The rows of a strip by their labels.
struct Table<'k> {
    codes: &'k Codes,
    bits: Vec<u32>,
    rows: Range<usize>,
}

impl<'k> Table<'k> {
    fn new(codes: &'k Codes) -> Self {
        Self { codes, bits: vec![0; codes.count + 1], rows: 0..0 }
    }

    fn set(&mut self, rows: Range<usize>) {
        for row in std::mem::replace(&mut self.rows, rows.clone()) {
            self.bits[self.codes.rows[row] as usize] = 0;
        }
        for (lane, row) in rows.enumerate() {
            self.bits[self.codes.rows[row] as usize] |= 1 << lane;
        }
    }

    /// The rows that have the label of each column.
    fn of_columns(&self) -> impl Iterator<Item = u32> {
        self.codes.columns.iter().map(|&code| self.bits[code as usize])
    }
}

/// Bits of all columns, a bit for each row of a strip.
pub(super) struct Columns<'k> {
    pub positives: Vec<u32>,
    pub negatives: Vec<u32>,
    /// Room for what a miner keeps, and for more.
    pub kept: Vec<u32>,
    pub others: Vec<u32>,
    labels: Option<Table<'k>>,
    groups: Option<Table<'k>>,
    ids: Option<Table<'k>>,
}

impl<'k> Columns<'k> {
    pub fn new(kinds: &'k Kinds) -> Self {
        let room = || vec![0; kinds.columns];
        Self {
            positives: room(),
            negatives: room(),
            kept: room(),
            others: room(),
            labels: kinds.labels.as_ref().map(Table::new),
            groups: kinds.groups.as_ref().map(Table::new),
            ids: kinds.ids.as_ref().map(Table::new),
        }
    }

    /// What that takes, with tables of as many labels as there are columns.
    pub fn bytes(columns: usize) -> usize {
        7 * columns * size_of::<u32>()
    }

    /// Takes the rows of a strip.
    pub fn set(&mut self, roles: &Roles, rows: Range<usize>) {
        let columns = self.positives.len();
        for table in [&mut self.labels, &mut self.groups, &mut self.ids].into_iter().flatten() {
            table.set(rows.clone());
        }
        let all = if rows.len() == STRIP { u32::MAX } else { (1 << rows.len()) - 1 };
        let Self { positives, negatives: ignored, .. } = self;
        positives.fill(0);
        match roles.positives {
            Positives::None => {}
            Positives::Labels(_) => {
                let same = self.labels.iter().flat_map(Table::of_columns);
                positives.iter_mut().zip(same).for_each(|(positives, same)| *positives = same);
            }
            Positives::Diagonal => {
                let own = rows.clone().enumerate().filter(|&(_, row)| row < columns);
                own.for_each(|(lane, row)| positives[row] |= 1 << lane);
            }
            Positives::Columns(of_row) => {
                for (lane, &column) in of_row[rows.clone()].iter().enumerate() {
                    if let Ok(column) = usize::try_from(column) {
                        positives[column] |= 1 << lane;
                    }
                }
            }
            Positives::Mask(mask) => {
                for (lane, row) in rows.clone().enumerate() {
                    mask.each(row, columns, |column, is| positives[column] |= u32::from(is) << lane);
                }
            }
        }
        ignored.fill(0);
        if let Some(groups) = &self.groups {
            ignored.iter_mut().zip(groups.of_columns()).for_each(|(ignored, same)| *ignored = !same);
        }
        for (lane, row) in rows.enumerate() {
            if let Some(ignore) = roles.ignore {
                ignore.each(row, columns, |column, is| ignored[column] |= u32::from(is) << lane);
            }
            if let Some(Ok(own)) = roles.own.map(|own| usize::try_from(own[row])) {
                ignored[own] |= 1 << lane;
            }
        }
        positives.iter_mut().zip(&*ignored).for_each(|(positives, ignored)| *positives &= !ignored);
        if let Some(ids) = &self.ids {
            ignored.iter_mut().zip(ids.of_columns()).for_each(|(ignored, same)| *ignored |= same);
        }
        // What is neither ignored nor positive is negative.
        ignored.iter_mut().zip(&*positives).for_each(|(role, positives)| *role = all & !*role & !positives);
    }

    /// The positives of each row, ascending.
    pub fn positive_lists(&self) -> [Vec<usize>; STRIP] {
        let mut lists = [const { Vec::new() }; STRIP];
        for (column, &bits) in self.positives.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                lists[bits.trailing_zeros() as usize].push(column);
                bits &= bits - 1;
            }
        }
        lists
    }
}
