//! What a proxy allocates: it has a thread of its own, and the bridge and the clients have another.
#![allow(
    unsafe_code,
    reason = "an allocator that counts is one, and there is no other way to see what is allocated"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    future::pending,
    net::SocketAddr,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    thread,
};

use sam_testkit::TestBridge;
use tokio::{runtime::Builder, sync::oneshot};

use crate::common::udp;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Starts a proxy whose allocations are counted, and gives the address that it listens at. It runs until the process ends.
pub(crate) async fn proxy(bridge: &TestBridge) -> SocketAddr {
    let (sam, sam_udp) = (bridge.address(), bridge.udp_address());
    let (sender, address) = oneshot::channel();
    thread::spawn(move || {
        COUNTED.set(true);
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let proxy = udp::proxy(&sam, &sam_udp).await;
            sender.send(proxy.address).unwrap();
            pending::<()>().await;
        });
    });
    address.await.unwrap()
}

/// How often proxies have allocated, and the bytes that they have allocated and not given back.
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
