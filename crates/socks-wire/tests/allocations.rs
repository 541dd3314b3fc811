//! A handshake allocates nothing, on either side.
//!
//! This is a program of its own, because a counting allocator replaces the global allocator of the whole process.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe; this one forwards every call")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use socks_wire::{
    Address, ClientHandshake, ClientRequest, ClientStep, Command, Protocol, ServerHandshake, Step,
    auth::Credentials,
};

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
fn a_handshake_with_credentials_allocates_nothing() {
    let credentials = Some(Credentials { username: b"user", password: b"password" });
    for protocol in [Protocol::Socks5, Protocol::Socks4a] {
        let address = Address::Domain(b"example.i2p");
        let request = ClientRequest { protocol, command: Command::CONNECT, address, port: 80, credentials };
        let mut established = false;
        let count = allocations(|| established = handshake(request));
        assert!(established, "{protocol:?}");
        assert_eq!(count, 0, "{protocol:?}");
    }
}

/// Runs both machines against each other on stack buffers. Returns whether the handshake was completed.
fn handshake(request: ClientRequest<'_>) -> bool {
    let (mut client, mut server) = (ClientHandshake::new(request), ServerHandshake::new());
    let mut to_server = [0; ClientHandshake::MAX_SEND];
    let (mut to_client, mut answer_length) = ([0; 64], 0);
    for _ in 0..8 {
        match client.step(&to_client[..answer_length], &mut to_server) {
            Ok(ClientStep::Send { length, .. }) => {
                let answer = match server.step(&to_server[..length]) {
                    Step::Send { bytes, .. } => bytes,
                    Step::Authenticate { .. } => server.accept_credentials(),
                    Step::Request { request, .. } => request.responder().granted(),
                    _ => return false,
                };
                to_client[..answer.len()].copy_from_slice(&answer);
                answer_length = answer.len();
            }
            Ok(ClientStep::Established { .. }) => return true,
            _ => return false,
        }
    }
    false
}
