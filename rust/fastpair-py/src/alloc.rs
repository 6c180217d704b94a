//! The allocator of the extension: the system's, with fewer page faults.
//!
//! The first write to fresh memory costs a page fault for each 4 KiB, often more than all that is computed there. Two
//! things help, each for its own sizes:
//!
//! * large buffers lie in huge pages of 2 MiB, which Linux gives to those who ask; numpy does so for its arrays;
//! * of medium ones, a few of each size are kept when they are freed, and used again: 21 MiB at most.
//!
//! No locks: safe after `fork` and under threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The least medium size, 128 KiB, from which on the system gives memory back at once; sizes double from there.
const MEDIUM: usize = 1 << 17;

/// The least large size.
const LARGE: usize = 1 << 22;

/// Medium sizes: 128 KiB to 4 MiB.
const SIZES: usize = 6;

/// Buffers kept of each medium size; fewer of the largest.
const KEPT: [usize; SIZES] = [4, 4, 4, 4, 2, 2];

/// The size of a huge page.
const HUGE: usize = 1 << 21;

/// Alignment of medium buffers, whatever is asked for.
const PAGE: usize = 4096;

/// The system's allocator, with a few freed buffers and a word to the kernel about large ones.
pub struct Buffers {
    freed: [[AtomicPtr<u8>; 4]; SIZES],
}

/// What a size is to this allocator.
enum Size {
    Small,
    /// Rounded up to `MEDIUM << index`.
    Medium(usize),
    Large,
}

fn size_of(layout: Layout) -> Size {
    match layout.size() {
        size if size >= LARGE => Size::Large,
        size if size >= MEDIUM && layout.align() <= PAGE => {
            Size::Medium((size.next_power_of_two() / MEDIUM).trailing_zeros() as usize)
        }
        _ => Size::Small,
    }
}

/// The layout of medium buffers.
fn medium(index: usize) -> Layout {
    Layout::from_size_align(MEDIUM << index, PAGE).expect("a power of two")
}

impl Buffers {
    pub const fn new() -> Self {
        Self { freed: [const { [const { AtomicPtr::new(null_mut()) }; 4] }; SIZES] }
    }

    /// A kept buffer, or null.
    fn take(&self, index: usize) -> *mut u8 {
        let slots = self.freed[index].iter();
        slots.map(|slot| slot.swap(null_mut(), Ordering::Acquire)).find(|place| !place.is_null()).unwrap_or(null_mut())
    }

    /// Keeps a buffer, if there is room.
    fn keep(&self, index: usize, place: *mut u8) -> bool {
        let put = |slot: &AtomicPtr<u8>| slot.compare_exchange(null_mut(), place, Ordering::Release, Ordering::Relaxed);
        self.freed[index][..KEPT[index]].iter().any(|slot| put(slot).is_ok())
    }
}

// SAFETY: all memory comes from the system's allocator, with a layout that has room for what was asked; a kept buffer
// belongs to nobody, and whoever swaps it out of its slot is alone with it. Advice about memory changes neither contents
// nor addresses.
unsafe impl GlobalAlloc for Buffers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for; so below.
        unsafe {
            match size_of(layout) {
                Size::Small => System.alloc(layout),
                Size::Medium(index) => {
                    let kept = self.take(index);
                    if kept.is_null() { System.alloc(medium(index)) } else { kept }
                }
                Size::Large => large(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above; a buffer that is written to has the size asked for.
        unsafe {
            if let Size::Small = size_of(layout) {
                return System.alloc_zeroed(layout);
            }
            let place = self.alloc(layout);
            if !place.is_null() {
                place.write_bytes(0, layout.size());
            }
            place
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the size is one that a layout can have, by the caller's promise; both buffers have room for
        // the smaller one.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (size_of(layout), size_of(wanted)) {
                (Size::Small, Size::Small) | (Size::Large, Size::Large) => System.realloc(place, layout, size),
                (Size::Medium(before), Size::Medium(after)) if before == after => place,
                _ => {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(place, layout.size().min(size));
                        self.dealloc(place, layout);
                    }
                    moved
                }
            }
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above, and the layouts are those of the allocations.
        unsafe {
            match size_of(layout) {
                Size::Medium(index) if self.keep(index, place) => {}
                Size::Medium(index) => System.dealloc(place, medium(index)),
                Size::Small | Size::Large => System.dealloc(place, layout),
            }
        }
    }
}

/// A large buffer, in huge pages where the system has them.
unsafe fn large(layout: Layout) -> *mut u8 {
    #[cfg(target_os = "linux")]
    // SAFETY: the system's allocator frees a buffer of any alignment alike on Linux; the range that the advice is about
    // lies in the buffer, and a kernel without huge pages says so and nothing is lost.
    unsafe {
        let place = System.alloc(layout.align_to(HUGE).expect("a power of two"));
        if !place.is_null() {
            libc::madvise(place.cast(), layout.size(), libc::MADV_HUGEPAGE);
        }
        place
    }
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the caller's promises.
    unsafe {
        System.alloc(layout)
    }
}
