//! Packed rows of bits: eight to a byte, the first one highest, as `numpy.packbits` has them.

use super::super::Roles;
use super::super::kernel::STRIP;
use super::columns::{Columns, Kinds};
use std::ops::Range;

/// Exchanges rows and columns: bit i of word j becomes bit j of word i.
#[inline(always)]
fn transpose(words: &mut [u32; STRIP]) {
    let (mut distance, mut mask) = (16, 0x0000_FFFFu32);
    while distance != 0 {
        let mut i = 0;
        while i < STRIP {
            let swap = ((words[i] >> distance) ^ words[i + distance]) & mask;
            words[i] ^= swap << distance;
            words[i + distance] ^= swap;
            i = (i + distance + 1) & !distance;
        }
        distance >>= 1;
        mask ^= mask << distance;
    }
}

/// Writes the bits of each row, one of each column's word, to the packed row at its place.
#[inline(always)]
pub(super) fn write_rows(columns: &[u32], places: &[Option<usize>; STRIP], packed: &mut [u8]) {
    let stride = columns.len().div_ceil(8);
    for (i, part) in columns.chunks(STRIP).enumerate() {
        let mut words = [0; STRIP];
        words[..part.len()].copy_from_slice(part);
        transpose(&mut words);
        let bytes = 4 * i..stride.min(4 * i + 4);
        for (word, place) in words.into_iter().zip(places) {
            if let Some(place) = place {
                let word = word.reverse_bits().to_be_bytes();
                packed[place * stride..][bytes.clone()].copy_from_slice(&word[..bytes.len()]);
            }
        }
    }
}

/// Writes packed rows of the positives and of the negatives of some rows.
pub fn role_bits(roles: &Roles, rows: Range<usize>, columns: usize, positives: &mut [u8], negatives: &mut [u8]) {
    let (kinds, end) = (Kinds::new(roles, columns), rows.end);
    let mut bits = Columns::new(&kinds);
    for first in rows.clone().step_by(STRIP) {
        let lanes = STRIP.min(end - first);
        bits.set(roles, first..first + lanes);
        let places = std::array::from_fn(|lane| (lane < lanes).then_some(first - rows.start + lane));
        write_rows(&bits.positives, &places, positives);
        write_rows(&bits.negatives, &places, negatives);
    }
}

/// How many bits each packed row has.
pub fn bit_counts(packed: &[u8], stride: usize) -> Vec<i64> {
    let count = |row: &[u8]| {
        let (words, rest) = row.as_chunks::<8>();
        let whole: i64 = words.iter().map(|word| i64::from(u64::from_ne_bytes(*word).count_ones())).sum();
        whole + rest.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>()
    };
    packed.chunks_exact(stride.max(1)).map(count).collect()
}

/// Writes the columns of the bits of all packed rows, one row after the other; `indices` has a place for each.
pub fn fill_rows<I>(packed: &[u8], stride: usize, indices: &mut [I], index: impl Fn(usize) -> I) {
    let mut places = indices.iter_mut();
    for row in packed.chunks_exact(stride.max(1)) {
        for (i, bytes) in row.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let mut bits = u64::from_be_bytes(word);
            while bits != 0 {
                let bit = bits.leading_zeros();
                bits &= !(1 << (63 - bit));
                if let Some(place) = places.next() {
                    *place = index(64 * i + bit as usize);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_columns_become_packed_rows_and_lists() {
        let columns: Vec<u32> = (0..70u32).map(|column| column.wrapping_mul(0x9e37_79b9)).collect();
        let places = std::array::from_fn(|lane| (lane % 2 == 0).then_some(lane / 2));
        let mut packed = vec![0; 16 * 9];
        write_rows(&columns, &places, &mut packed);
        let mut expected = Vec::new();
        for lane in (0..STRIP).step_by(2) {
            let own: Vec<usize> = (0..70).filter(|&column| columns[column] >> lane & 1 == 1).collect();
            for column in 0..72 {
                let bit = packed[lane / 2 * 9 + column / 8] >> (7 - column % 8) & 1;
                assert_eq!(bit == 1, own.contains(&column), "{lane} {column}");
            }
            expected.push(own);
        }
        let counts = bit_counts(&packed, 9);
        assert_eq!(counts, expected.iter().map(|own| own.len() as i64).collect::<Vec<_>>());
        let mut indices = vec![0i32; counts.iter().sum::<i64>() as usize];
        fill_rows(&packed, 9, &mut indices, |column| column as i32);
        assert_eq!(indices, expected.concat().into_iter().map(|column| column as i32).collect::<Vec<_>>());
    }
}
