//! The works: parsing each message of a client, and complete handshakes of a server in memory.

use std::hint::black_box;

use socks_wire::{Error, Parsed, ServerHandshake, Step, auth, udp, v4, v5};

use crate::work::Work;

const V4: &[u8] = b"\x04\x01\x00\x50\xc6\x33\x64\x07me\x00";
const V4A: &[u8] = b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00example.i2p\x00";
const GREETING: &[u8] = b"\x05\x01\x00";
const GREETING_CREDENTIALS: &[u8] = b"\x05\x02\x00\x02";
const CREDENTIALS: &[u8] = b"\x01\x04user\x08password";
const IPV4: &[u8] = b"\x05\x01\x00\x01\xc6\x33\x64\x07\x00\x50";
const IPV6: &[u8] = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50";
const DOMAIN: &[u8] = b"\x05\x01\x00\x03\x0bexample.i2p\x00\x50";
const DATAGRAM: &[u8] = b"\x00\x00\x00\x03\x0bexample.i2p\x00\x35query";

/// The result of parsing is the number of bytes used, that of a handshake the number of bytes sent.
pub(crate) const WORKS: &[Work] = &[
    Work { name: "parse/v4-request", run: || parse(V4, v4::Request::parse), expected: V4.len() },
    Work { name: "parse/v4a-request", run: || parse(V4A, v4::Request::parse), expected: V4A.len() },
    Work {
        name: "parse/v5-greeting",
        run: || parse(GREETING, v5::Greeting::parse),
        expected: GREETING.len(),
    },
    Work { name: "parse/v5-request-ipv4", run: || parse(IPV4, v5::Request::parse), expected: IPV4.len() },
    Work { name: "parse/v5-request-ipv6", run: || parse(IPV6, v5::Request::parse), expected: IPV6.len() },
    Work {
        name: "parse/v5-request-domain",
        run: || parse(DOMAIN, v5::Request::parse),
        expected: DOMAIN.len(),
    },
    Work {
        name: "parse/credentials",
        run: || parse(CREDENTIALS, auth::Credentials::parse),
        expected: CREDENTIALS.len(),
    },
    Work { name: "parse/udp-header", run: split, expected: DATAGRAM.len() },
    Work { name: "handshake/v4", run: || handshake(&[V4]), expected: 8 },
    Work { name: "handshake/v4a", run: || handshake(&[V4A]), expected: 8 },
    Work { name: "handshake/v5-domain", run: || handshake(&[GREETING, DOMAIN]), expected: 2 + 10 },
    Work {
        name: "handshake/v5-credentials-domain",
        run: || handshake(&[GREETING_CREDENTIALS, CREDENTIALS, DOMAIN]),
        expected: 2 + 2 + 10,
    },
];

/// Parses a message. Returns the number of bytes used; 0 if it is not a message.
fn parse<'a, M>(input: &'a [u8], parse: impl FnOnce(&'a [u8]) -> Result<Parsed<M>, Error>) -> usize {
    match black_box(parse(black_box(input))) {
        Ok(Parsed::Message { length, .. }) => length,
        _ => 0,
    }
}

/// Splits a datagram. Returns the length of header and data.
fn split() -> usize {
    match black_box(udp::Header::split(black_box(DATAGRAM))) {
        Ok((_, data)) => DATAGRAM.len() - b"query".len() + data.len(),
        Err(_) => 0,
    }
}

/// Runs a handshake. Returns the number of bytes sent, the reply that grants the request included; 0 if it fails.
fn handshake(messages: &[&[u8]]) -> usize {
    let mut handshake = ServerHandshake::new();
    let mut sent = 0;
    for message in messages {
        let bytes = match handshake.step(black_box(message)) {
            Step::Send { bytes, .. } => bytes,
            Step::Authenticate { credentials, .. } => match black_box(credentials).username {
                b"user" => handshake.accept_credentials(),
                _ => handshake.refuse_credentials(),
            },
            Step::Request { request, .. } => black_box(request).responder().granted(),
            _ => return 0,
        };
        sent += black_box(bytes).len();
    }
    sent
}
