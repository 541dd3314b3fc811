//! Counts the allocations of a proxy. It runs on its own thread, apart from the bridge and the clients.
#![allow(
    unsafe_code,
    reason = "an allocator that counts is one, and there is no other way to see what is allocated"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::SocketAddr,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    thread::{self, JoinHandle},
};

use sam_testkit::TestBridge;
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::sync::CancellationToken;

use crate::common::udp::{self, UdpOptions};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// A proxy whose allocations are counted. It stops when this is dropped.
pub(crate) struct CountedProxy {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Starts a proxy whose allocations are counted.
pub(crate) async fn proxy(bridge: &TestBridge, options: UdpOptions) -> CountedProxy {
    let (sam, sam_udp) = (bridge.address(), bridge.udp_address());
    let (sender, address) = oneshot::channel();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = thread::spawn(move || {
        COUNTED.set(true);
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let proxy = udp::proxy_with(&sam, &sam_udp, options).await;
            sender.send(proxy.address).unwrap();
            stopped.cancelled().await;
        });
    });
    CountedProxy { address: address.await.unwrap(), stop, thread: Some(thread) }
}

impl Drop for CountedProxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already failed the test.
            let _ = thread.join();
        }
    }
}

/// The number of allocations by proxies, and the bytes that they hold.
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
