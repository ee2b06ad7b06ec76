//! An allocator that counts, to show what allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The system's allocator with a counter. A program installs it with `#[global_allocator]`.
pub struct Counting;

/// How often `work` asked for memory, in new blocks and in larger ones. Counts every thread of the program.
pub fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    let before = COUNT.load(Ordering::SeqCst);
    let result = work();
    let after = COUNT.load(Ordering::SeqCst);
    drop(result);
    after - before
}

#[allow(unsafe_code, reason = "an allocator cannot be written without; each call is passed on unchanged")]
// SAFETY: every method upholds its contract by handing its arguments to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
