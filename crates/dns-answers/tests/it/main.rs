//! What clients ask, what they get, and what no bytes can cause.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod answers;
mod questions;

/// The message of a client: header, question, and what follows it.
fn message(name: &[&[u8]], kind: u16, class: u16, additional: &[&[u8]]) -> Vec<u8> {
    let count = u8::try_from(additional.len()).unwrap();
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, count];
    for label in name {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&class.to_be_bytes());
    bytes.extend(additional.concat());
    bytes
}

fn labels(name: &str) -> Vec<&[u8]> {
    name.split('.').map(str::as_bytes).collect()
}

/// The query for a type of a name.
fn query(name: &str, kind: u16) -> Vec<u8> {
    message(&labels(name), kind, IN, &[])
}

const IN: u16 = 1;
const A: u16 = 1;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;
const ANY: u16 = 255;

/// EDNS of a client that takes 4096 bytes and asks for DNSSEC.
const EDNS: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";
