//! The allocator of the extension: the system's, with large buffers in huge pages.
//!
//! The first write to fresh memory costs a page fault for each 4 KiB, often more than all that is computed there. In pages
//! of 2 MiB, which Linux gives to those who ask, 8 MB take four faults instead of 2048. numpy does so for its arrays.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, and a word to the kernel about large buffers.
pub struct HugePages;

/// From this size on buffers are large: those that fill a huge page.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 21;

/// The size of a huge page.
#[cfg(target_os = "linux")]
const HUGE: usize = 1 << 21;

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

// SAFETY: all memory comes from the system's allocator and goes back to it with the layout it came with; advice about it
// changes neither contents nor addresses.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let layout = in_pages(layout);
        // SAFETY: the caller's promises are those that the system's allocator asks for; so below.
        advised(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let layout = in_pages(layout);
        // SAFETY: as above.
        advised(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the size is one that a layout can have, by the caller's promise, and both buffers have room
        // for the smaller one.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            if in_pages(layout) == layout && in_pages(wanted) == wanted {
                return System.realloc(place, layout, size);
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
        unsafe { System.dealloc(place, in_pages(layout)) }
    }
}
