//! Cutting a segment in two, in place, a vector at a time.

// Indices and not iterators: what a closure holds may be compiled without the level's instructions.
#![allow(clippy::needless_range_loop)]

use crate::simd::Vector;

/// Vectors read in one step. The keys of one step wait in registers at each end, so that there is always room for the
/// stores of the next.
const UNROLL: usize = 8;

/// Moves the keys below `bound` to the front. Returns how many they are.
///
/// Free room is kept at both ends: at first the `UNROLL` vectors read ahead there. Each step reads where there is less
/// room, after which both sides can take a whole step, wherever its keys belong. So every vector is stored whole, at
/// both sides, and what is stored too much lies in free room.
///
/// # Safety
/// Must run inside `simd::call`; the segment holds at least `2 * UNROLL * LANES` keys.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks)] // all pointers stay inside the segment, see above
pub(super) unsafe fn partition<V: Vector>(segment: &mut [V::Key], bound: V::Key) -> usize {
    let step = UNROLL * V::LANES;
    let len = segment.len();
    assert!(len >= 2 * step);
    let pivot = unsafe { V::splat(bound) };
    let begin = segment.as_mut_ptr();
    // Partitioned keys lie outside `left .. right`, unread ones in `from .. to`.
    let (mut left, mut right) = unsafe { (begin, begin.add(len)) };
    let (mut from, mut to) = unsafe { (begin.add(step), begin.add(len - step)) };
    let mut held = [pivot; 3 * UNROLL];
    for i in 0..UNROLL {
        held[i] = unsafe { V::load(begin.add(i * V::LANES)) };
        held[UNROLL + i] = unsafe { V::load(to.add(i * V::LANES)) };
    }
    let mut steps = (len - 2 * step) / step;
    while steps > 0 {
        steps -= 1;
        let source = unsafe {
            // Written so that it compiles to conditional moves: the side is a coin toss.
            let read_left = from.offset_from(left) <= step as isize;
            let source = if read_left { from } else { to.sub(step) };
            from = from.add(if read_left { step } else { 0 });
            to = to.sub(if read_left { 0 } else { step });
            source
        };
        let mut read = [pivot; UNROLL];
        for i in 0..UNROLL {
            read[i] = unsafe { V::load(source.add(i * V::LANES)) };
        }
        for keys in read {
            unsafe {
                let below = keys.split_store(pivot, left, right);
                left = left.add(below);
                right = right.sub(V::LANES - below);
            }
        }
    }
    // What is left unread joins the held vectors; then nothing in `left .. right` is needed any more.
    let unread = unsafe { to.offset_from(from) as usize };
    let (whole, rest) = (unread / V::LANES, unread % V::LANES);
    for i in 0..whole {
        held[2 * UNROLL + i] = unsafe { V::load(from.add(i * V::LANES)) };
    }
    unsafe {
        // The lanes behind the rest hold the largest key: they are moved to the top, and not stored.
        let (lanes, below) = V::load_head(from.add(whole * V::LANES), rest).split(pivot);
        let below = below.min(rest);
        lanes.store_lanes(left, 0, below);
        lanes.store_lanes(right.sub(rest - below), below, rest);
        left = left.add(below);
        right = right.sub(rest - below);
        let (&last, before) = held[..2 * UNROLL + whole].split_last().unwrap_unchecked();
        for keys in before {
            let below = keys.split_store(pivot, left, right);
            left = left.add(below);
            right = right.sub(V::LANES - below);
        }
        // Exactly one vector of room is left.
        let (lanes, below) = last.split(pivot);
        lanes.store(left);
        left.add(below).offset_from(begin) as usize
    }
}
