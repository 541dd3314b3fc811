//! Deciding on a field allocates nothing.
//!
//! This is a program of its own, because a counting allocator replaces the global allocator of the whole process.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe; this one forwards every call")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use stream_filters::http::{Request, Via, answer_field};

struct Counting;

thread_local! {
    /// Allocations of this thread only: the test harness allocates on others.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both methods forward their arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the trait's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the trait's promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn deciding_on_fields_allocates_nothing() {
    let request = Request { via: Via::I2p, authority: "forum.i2p" };
    let fields: [(&str, &[u8]); 9] = [
        ("host", b"forum.i2p"),
        ("user-agent", b"curl/8.5.0"),
        ("accept", b"text/html,*/*"),
        ("accept-language", b"de"),
        ("referer", b"http://forum.i2p/a"),
        ("origin", b"http://other.i2p"),
        ("authorization", b"Basic eDp5"),
        ("cookie", b"a=b"),
        ("x-something", b"else"),
    ];
    let count = allocations(|| {
        for (name, value) in fields {
            std::hint::black_box(request.field(name, value));
            std::hint::black_box(answer_field(name));
        }
    });
    assert_eq!(count, 0);
}
