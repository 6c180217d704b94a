//! Uninitialised working memory: not zeroed, on huge pages where the system has them, and an error instead of an abort
//! when there is none.

use crate::error::{Error, Result};
use std::mem::MaybeUninit;

/// Room for `len` elements that have not been written yet.
pub(crate) fn uninit<T: Copy>(len: usize) -> Result<Vec<MaybeUninit<T>>> {
    let mut buffer: Vec<MaybeUninit<T>> = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    buffer.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes })?;
    advise_huge_pages(buffer.as_mut_ptr().cast(), bytes);
    // SAFETY: the capacity is there, and `MaybeUninit` needs no initialisation.
    unsafe { buffer.set_len(len) };
    Ok(buffer)
}

/// The elements, all of which have been written.
///
/// # Safety
/// Every element must have been written.
pub(crate) unsafe fn written<T>(buffer: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: as the caller promises; the layouts are the same.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [T]) }
}

/// First touches of 4 KiB pages cost as much as sorting what they hold.
#[cfg(target_os = "linux")]
fn advise_huge_pages(from: *mut u8, bytes: usize) {
    const HUGE: usize = 2 << 20;
    let begin = (from as usize).next_multiple_of(HUGE);
    let end = (from as usize + bytes) / HUGE * HUGE;
    if begin < end {
        // SAFETY: the range lies inside our allocation, and the advice changes no contents. It may be refused.
        unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: *mut u8, _: usize) {}
