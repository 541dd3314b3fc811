//! What one thread allocates: the proxy's, where the bridge and the clients have threads of their own.
#![allow(
    unsafe_code,
    reason = "an allocator that counts is one, and there is no other way to see what is allocated"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread's allocations are counted.
pub(crate) fn count_this_thread() {
    COUNTED.set(true);
}

/// How often it has allocated, and the bytes that it has allocated and not given back.
pub(crate) fn counted() -> (u64, i64) {
    (ALLOCATIONS.load(SeqCst), HELD.load(SeqCst))
}

fn count(allocations: u64, bytes: i64) {
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(allocations, SeqCst);
        HELD.fetch_add(bytes, SeqCst);
    }
}

struct Counting;

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
