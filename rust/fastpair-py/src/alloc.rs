//! The allocator of the extension: the system's, with large buffers in huge pages, and buffers of middle size kept for the
//! next call.
//!
//! The first write to fresh memory costs a page fault for each 4 KiB, often more than all that is computed there. In pages
//! of 2 MiB, which Linux gives to those who ask, 8 MB take four faults instead of 2048; numpy does so for its arrays. The
//! system gives smaller buffers back to the kernel as soon as they are free, and fetches them page by page in the next
//! call: a few of each size stay here instead, 16 MiB at most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The system's allocator, with a word to the kernel about large buffers, and a shelf for those of middle size.
pub struct Allocator {
    /// Free blocks of each middle size.
    shelf: [[AtomicPtr<u8>; PLACES]; SIZES],
}

/// From this size on buffers are large: those that fill a huge page.
const LARGE: usize = 1 << 21;

/// The size of a huge page.
#[cfg(target_os = "linux")]
const HUGE: usize = 1 << 21;

/// The smallest block that is kept, and how many sizes there are, each twice the last.
const SMALLEST: usize = 1 << 16;
const SIZES: usize = 6;

/// Blocks of each size that are kept.
const PLACES: usize = 4;

/// Blocks begin with a cache line.
const LINE: usize = 64;

/// The layout that the system is asked for: large buffers begin with a huge page.
fn in_pages(layout: Layout) -> Layout {
    #[cfg(target_os = "linux")]
    if layout.size() >= LARGE {
        return layout.align_to(HUGE).unwrap_or(layout);
    }
    layout
}

/// Asks for huge pages if the buffer of this layout is large.
#[inline]
fn advised(place: *mut u8, layout: Layout) -> *mut u8 {
    #[cfg(target_os = "linux")]
    if layout.align() >= HUGE && !place.is_null() {
        // SAFETY: the range is the buffer's own; a kernel without huge pages says so, and nothing is lost.
        unsafe { libc::madvise(place.cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
    let _ = layout;
    place
}

/// Which of the middle sizes a buffer takes, and the layout of the block that holds it.
#[inline]
fn middle(layout: Layout) -> Option<(usize, Layout)> {
    if layout.size() < SMALLEST || layout.size() >= LARGE || layout.align() > LINE {
        return None;
    }
    let size = layout.size().next_power_of_two();
    let index = (size / SMALLEST).ilog2() as usize;
    Layout::from_size_align(size, LINE).ok().map(|block| (index, block))
}

impl Allocator {
    pub const fn new() -> Self {
        Self { shelf: [const { [const { AtomicPtr::new(null_mut()) }; PLACES] }; SIZES] }
    }

    /// A block from the shelf, or null.
    fn take(&self, index: usize) -> *mut u8 {
        let blocks = self.shelf[index].iter().map(|place| place.swap(null_mut(), Ordering::Acquire));
        blocks.into_iter().find(|block| !block.is_null()).unwrap_or(null_mut())
    }

    /// Puts a block on the shelf if there is room.
    fn keep(&self, index: usize, block: *mut u8) -> bool {
        let put = |place: &AtomicPtr<u8>| {
            place.compare_exchange(null_mut(), block, Ordering::Release, Ordering::Relaxed).is_ok()
        };
        self.shelf[index].iter().any(put)
    }
}

// SAFETY: all memory comes from the system's allocator and goes back to it with the layout it came with, which follows from
// the caller's layout alone; a block on the shelf belongs to nobody, and whoever takes it is the only one. Advice about
// memory changes neither contents nor addresses.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for; so below.
        unsafe {
            if let Some((index, block)) = middle(layout) {
                let kept = self.take(index);
                return if kept.is_null() { System.alloc(block) } else { kept };
            }
            let layout = in_pages(layout);
            advised(System.alloc(layout), layout)
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above; a block has at least the size of the layout.
        unsafe {
            if let Some((index, block)) = middle(layout) {
                let kept = self.take(index);
                if kept.is_null() {
                    return System.alloc_zeroed(block);
                }
                kept.write_bytes(0, layout.size());
                return kept;
            }
            let layout = in_pages(layout);
            advised(System.alloc_zeroed(layout), layout)
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the size is one that a layout can have, by the caller's promise, and both buffers have room
        // for the smaller one.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (middle(layout), middle(wanted)) {
                (Some(block), Some(other)) if block == other => return place,
                (None, None) if in_pages(layout) == layout && in_pages(wanted) == wanted => {
                    return System.realloc(place, layout, size);
                }
                _ => {}
            }
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(place, layout.size().min(size));
                self.dealloc(place, layout);
            }
            moved
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe {
            match middle(layout) {
                Some((index, block)) => {
                    if !self.keep(index, place) {
                        System.dealloc(place, block);
                    }
                }
                None => System.dealloc(place, in_pages(layout)),
            }
        }
    }
}
