//! Positives and negatives that are hard beside the hardest pair of the other kind (Wang et al. 2019).

use super::super::Roles;
use super::super::kernel::STRIP;
use super::super::search::Search;
use super::bits::write_rows;
use super::columns::Columns;
use super::strip::Limits;
use super::{Best, StripMiner, WholeStrip, carve};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::Level;
use std::ops::Range;

impl Search<'_> {
    /// Mines by the hardest pair of the other kind: negatives closer than the least close positive less `epsilon`, positives
    /// less close than the closest negative plus `epsilon`; rows where either is missing keep nothing. Positives as close
    /// as `duplicates` are none. Packed rows of both go to `positives` and `negatives`.
    #[allow(clippy::too_many_arguments)]
    pub fn mine_multi_similarity(
        &self,
        roles: &Roles,
        rows: Range<usize>,
        epsilon: f64,
        duplicates: f64,
        mut positives: &mut [u8],
        mut negatives: &mut [u8],
        context: &Context,
    ) -> Result<()> {
        let stride = self.y.rows().div_ceil(8);
        let carve = |panel: &Range<usize>| {
            [carve(&mut positives, panel.len() * stride), carve(&mut negatives, panel.len() * stride)]
        };
        self.mine(roles, rows, &MultiSimilarity { epsilon, duplicates }, carve, context)
    }
}

/// Finds pairs by the hardest pair of the other kind.
struct MultiSimilarity {
    epsilon: f64,
    duplicates: f64,
}

impl StripMiner for MultiSimilarity {
    type Out<'o> = [&'o mut [u8]; 2];

    #[inline(always)]
    fn strip<L: Level>(&self, strip: &mut WholeStrip, start: usize, out: &mut [&mut [u8]; 2]) {
        let WholeStrip { rows, columns, .. } = strip;
        let Columns { positives, negatives, kept, others, .. } = &mut **columns;
        let closed = [true, false];
        if self.duplicates < f64::INFINITY {
            let fresh = Limits { lower: f64::NEG_INFINITY, upper: self.duplicates, closed };
            rows.within::<L>(positives, &[fresh; STRIP], kept);
            positives.copy_from_slice(kept);
        }
        let hardest_positives = rows.extreme::<L>(positives, Best::Farthest);
        let hardest_negatives = rows.extreme::<L>(negatives, Best::Nearest);
        let mut limits = [[Limits::NOTHING; STRIP]; 2];
        for lane in 0..rows.lanes {
            if let (Some((positive, _)), Some((negative, _))) = (hardest_positives[lane], hardest_negatives[lane]) {
                let around = |reference, offsets| Limits::around(reference, offsets, [false; 2]);
                limits[0][lane] = around(positive, [-self.epsilon, f64::INFINITY]);
                limits[1][lane] = around(negative, [f64::NEG_INFINITY, self.epsilon]);
            }
        }
        rows.within::<L>(negatives, &limits[0], kept);
        rows.within::<L>(positives, &limits[1], others);
        let any = |bits: &[u32]| bits.iter().fold(0, |any, bits| any | bits);
        let both = any(kept) & any(others);
        kept.iter_mut().chain(others.iter_mut()).for_each(|bits| *bits &= both);
        let places = std::array::from_fn(|lane| (lane < rows.lanes).then_some(rows.first - start + lane));
        write_rows(others, &places, out[0]);
        write_rows(kept, &places, out[1]);
    }
}
