//! What the server says: its features, and where the client connects for a file.

use alloc::{format, string::String, vec::Vec};
use core::net::Ipv4Addr;

use super::rules::FEATURES;
use crate::{Output, Subject, rule::find};

/// The server's replies, line by line.
#[derive(Debug)]
pub(super) struct Replies {
    /// A reply of which more lines follow.
    continued: Option<[u8; 3]>,
    /// The place that such a reply has named.
    place: Option<Place>,
    passive_address: Ipv4Addr,
}

/// Where the client connects for a file.
#[derive(Debug, Clone, Copy)]
struct Place {
    port: u16,
    /// The server has named an address, too.
    has_address: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self { continued: None, place: None, passive_address: Ipv4Addr::UNSPECIFIED }
    }
}

impl Replies {
    pub(super) fn set_passive_address(&mut self, address: Ipv4Addr) {
        self.passive_address = address;
    }

    /// Writes what a line becomes. Returns the code with the last line of a reply.
    pub(super) fn line(&mut self, line: &[u8], output: &mut Output) -> Option<[u8; 3]> {
        let code = line.split_first_chunk::<3>().filter(|(code, _)| code.iter().all(u8::is_ascii_digit));
        let (code, is_last) = match (code, self.continued) {
            // Such a reply ends at a line with the same code and a blank. What is before is text.
            (Some((code, [] | [b' ', ..])), Some(of)) if *code == of => (of, true),
            (_, Some(of)) => (of, false),
            (Some((code, [] | [b' ', ..])), None) => (*code, true),
            (Some((code, [b'-', ..])), None) => (*code, false),
            _ => {
                output.removed(Subject::Malformed);
                return None;
            }
        };
        let is_inner = self.continued.is_some() && !is_last;
        self.continued = (!is_last).then_some(code);
        if names_a_place(code) {
            self.place = self.place.or_else(|| place(code, line));
            if is_last {
                let place = self.place.take();
                self.passive(code, place, output);
            }
        } else if is_inner && &code == b"211" && is_hidden(line) {
            output.removed(Subject::Capability);
        } else {
            output.line(&[line]);
        }
        is_last.then_some(code)
    }

    /// Writes a reply of one line, with no address of the server's: that means nothing outside of its machine, or leads the client
    /// elsewhere.
    fn passive(&self, code: [u8; 3], place: Option<Place>, output: &mut Output) {
        let Some(Place { port, has_address }) = place else {
            output.removed(Subject::Redirect);
            return output.line(&[b"502 The server has named no port."]);
        };
        if has_address {
            output.replaced(Subject::Redirect);
        }
        let text = match &code {
            b"227" => passive_mode(self.passive_address, port),
            _ => format!(" Entering Extended Passive Mode (|||{port}|)"),
        };
        output.line(&[&code, text.as_bytes()]);
    }
}

fn passive_mode(address: Ipv4Addr, port: u16) -> String {
    let ([a, b, c, d], [high, low]) = (address.octets(), port.to_be_bytes());
    format!(" Entering Passive Mode ({a},{b},{c},{d},{high},{low}).")
}

/// A feature that the client does not get to see.
fn is_hidden(line: &[u8]) -> bool {
    let name = line.trim_ascii_start().split(|&byte| byte == b' ').next().unwrap_or_default();
    find(FEATURES, name).is_some()
}

/// The replies to PASV, LPSV and EPSV. LPSV does not pass, so its reply has no place.
fn names_a_place(code: [u8; 3]) -> bool {
    matches!(&code, b"227" | b"228" | b"229")
}

fn place(code: [u8; 3], line: &[u8]) -> Option<Place> {
    match &code {
        b"227" => after_passive(line),
        b"229" => after_extended_passive(line),
        _ => None,
    }
}

/// Six numbers with commas (RFC 959 section 4.1.2): the address, and the port in two.
fn after_passive(line: &[u8]) -> Option<Place> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    line.split(|byte| !is_number(byte)).find_map(|run| {
        let numbers: Vec<&[u8]> = run.split(|&byte| byte == b',').collect();
        let [_, _, _, _, high, low] = numbers.as_slice() else { return None };
        let port = u16::from_be_bytes([number(high)?, number(low)?]);
        Some(Place { port, has_address: true })
    })
}

/// The port in brackets, between marks (RFC 2428 section 3). Some servers name the protocol and the address, too.
fn after_extended_passive(line: &[u8]) -> Option<Place> {
    let inner = line.split(|&byte| byte == b'(').nth(1)?;
    let inner = inner.split(|&byte| byte == b')').next()?;
    let mark = inner.first().filter(|mark| mark.is_ascii_graphic() && !mark.is_ascii_digit())?;
    let parts: Vec<&[u8]> = inner.split(|byte| byte == mark).collect();
    let [b"", protocol, address, port, b""] = parts.as_slice() else { return None };
    Some(Place { port: number(port)?, has_address: !protocol.is_empty() || !address.is_empty() })
}

fn number<T: core::str::FromStr>(digits: &[u8]) -> Option<T> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}
