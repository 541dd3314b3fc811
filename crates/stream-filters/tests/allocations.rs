//! Deciding on a field allocates nothing, and a filter holds little, whatever comes.
//!
//! This is a program of its own, because a counting allocator replaces the global allocator of the whole process.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe; this one forwards every call")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use stream_filters::{
    Filter, Output, Protocol, Side,
    http::{Request, Via, announce, answer_field},
    leak::{LeakGuard, LeakPatterns, Machine},
};

struct Counting;

thread_local! {
    /// Allocations of this thread only: the test harness allocates on others.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not given back.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both methods forward their arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        LIVE.set(LIVE.get().wrapping_add(layout.size()));
        // SAFETY: the caller keeps the trait's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(layout.size()));
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
        let target = announce("/announce?info_hash=x&ip=192.0.2.1&port=1");
        std::hint::black_box(target.map(Iterator::count));
    });
    assert_eq!(count, 0);
}

/// What a filter may hold: the longest line of each direction, twice, since a vector doubles, and some more.
const MAX_HELD_BYTES: usize = 96 * 1024;

/// The same for HTTP, whose heads have 64 KiB.
const MAX_HELD_BYTES_OF_HTTP: usize = 2 * (64 + 32) * 1024 + 16 * 1024;

/// The same for XMPP, whose stanzas have 128 KiB.
const MAX_HELD_BYTES_OF_XMPP: usize = 2 * (128 + 128) * 1024 + 16 * 1024;

/// The same for SIP, whose heads and bodies have 32 KiB, each in both directions. The fields of a head are held beside its body.
const MAX_HELD_BYTES_OF_SIP: usize = 2 * (64 + 64) * 1024 + 64 * 1024;

#[test]
fn filters_hold_little() {
    let mut output = Output::default();
    let plain = Protocol::ALL.iter().map(|protocol| (*protocol, &[][..]));
    for (protocol, beginning) in plain.chain(BEGINNINGS.iter().copied()) {
        let limit = match protocol {
            Protocol::Http => MAX_HELD_BYTES_OF_HTTP,
            Protocol::Xmpp => MAX_HELD_BYTES_OF_XMPP,
            Protocol::Sip => MAX_HELD_BYTES_OF_SIP,
            _ => MAX_HELD_BYTES,
        };
        for text in ENDLESS {
            let chunk = text.repeat(4096 / text.len());
            let before = LIVE.get();
            let mut filter = Filter::new(protocol);
            for (side, words) in beginning {
                match side {
                    Side::Client => filter.client(words.as_bytes(), &mut output).unwrap(),
                    Side::Server => filter.server(words.as_bytes(), &mut output).unwrap(),
                };
            }
            for _ in 0..60 {
                let is_cut = filter.client(chunk.as_bytes(), &mut output).is_err()
                    || filter.server(chunk.as_bytes(), &mut output).is_err();
                output = Output::default();
                let held = LIVE.get().wrapping_sub(before);
                assert!(held <= limit, "{protocol:?} holds {held} bytes of {text:?}");
                if is_cut {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_leak_guard_holds_little() {
    let patterns =
        LeakPatterns::new(&Machine { host_names: &["laptop.example"], ..Machine::default() }).unwrap();
    let before = LIVE.get();
    let mut guard = LeakGuard::new(&patterns);
    for _ in 0..20 {
        guard.look(&[b'x'; 4096]);
        assert!(LIVE.get().wrapping_sub(before) <= 8192);
    }
}

/// Conversations after which other bytes are expected.
const BEGINNINGS: &[(Protocol, &[(Side, &str)])] = &[
    (
        Protocol::Smtp,
        &[(Side::Client, "DATA\r\n"), (Side::Server, "220 hi\r\n354 go\r\n"), (Side::Client, "Date:")],
    ),
    (
        Protocol::Smtp,
        &[(Side::Client, "DATA\r\n"), (Side::Server, "220 hi\r\n354 go\r\n"), (Side::Client, "\r\n")],
    ),
    (Protocol::Pop3, &[(Side::Client, "CAPA\r\n"), (Side::Server, "+OK hi\r\n+OK\r\n")]),
    (Protocol::Imap, &[(Side::Client, "a1 APPEND a {99999999999+}\r\n"), (Side::Server, "* SEARCH ")]),
    (Protocol::Ftp, &[(Side::Server, "227-")]),
    (Protocol::Xmpp, &[(Side::Client, "<message><body>"), (Side::Server, "<message><body>")]),
    (Protocol::Http, &[(Side::Client, "GET / HTTP/1.1\r\nHost: "), (Side::Server, "\r\n")]),
    (Protocol::Http, &[(Side::Client, HTTP_POST), (Side::Server, "HTTP/1.1 ")]),
    (Protocol::Http, &[(Side::Client, HTTP_PUT), (Side::Server, "HTTP/1.1 200\r\n")]),
    (Protocol::Http, &[(Side::Client, HTTP_PUT), (Side::Server, "HTTP/1.1 200\r\na: ")]),
    (
        Protocol::Http,
        &[(Side::Client, HTTP_POST), (Side::Client, "0\r\n"), (Side::Server, "HTTP/1.1 200\r\n")],
    ),
    (
        Protocol::Http,
        &[(Side::Client, HTTP_POST), (Side::Client, "1;"), (Side::Server, "HTTP/1.1 200\r\na: ")],
    ),
];

const HTTP_POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

const HTTP_PUT: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n";

/// Texts that say the same for ever.
const ENDLESS: &[&str] = &[
    "x",
    " ",
    "\n",
    "a\r\n",
    "a: b\r\n",
    "a:\r\n b",
    "Transfer-Encoding: 123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "1\r\na\r\n",
    "250-x\r\n",
    "227 (1,2,3,4,5,6)\r\n",
    "227-(1,2,3,4,5,6)\r\n",
    "PING :a\r\n",
    "<a>",
    "<a b='c' ",
    "<a b='c'/>",
    "<iq>a</iq>",
    "OPTIONS sip:a SIP/2.0\r\n\r\n",
    "OPTIONS sip:a SIP/2.0\r\nl: 30000\r\n\r\n",
    "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP b;branch=",
    "a1 APPEND a (",
    "References: <a@b.i2p>\r\n <c@d.i2p>\r\n",
    " x\r\n",
    "RSET\r\n",
    "PING 123456789012345678901234567890123456789012345678901234567890\r\n",
    "@a=b;c;d;e PRIVMSG #c :hi\r\n",
    "PRIVMSG #c :\x01VERSION\x01\r\n",
];
