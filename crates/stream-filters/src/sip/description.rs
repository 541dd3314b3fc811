//! A description of a call (SDP, RFC 8866), of either side: without addresses, so that none is told, and none is sent to.

use alloc::vec::Vec;

use super::rules::{ATTRIBUTES, LINES, Line};
use crate::{Output, Subject, rule::find};

/// The description without what does not pass.
pub(super) fn filtered(body: &[u8], output: &mut Output) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let lines = body.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for line in lines.filter(|line| !line.is_empty()) {
        match filtered_line(line, output) {
            Ok(line) => {
                written.extend_from_slice(&line);
                written.extend_from_slice(b"\r\n");
            }
            Err(subject) => output.removed(subject),
        }
    }
    written
}

fn filtered_line(line: &[u8], output: &mut Output) -> Result<Vec<u8>, Subject> {
    let (letter, value) = match line {
        [letter, b'=', value @ ..] if !value.iter().any(u8::is_ascii_control) => ([*letter], value),
        _ => return Err(Subject::Malformed),
    };
    let value = match find(LINES, &letter).ok_or(Subject::Malformed)? {
        Line::Pass => value.to_vec(),
        Line::Drop(subject) => return Err(subject),
        Line::Origin => origin(value, output)?,
        Line::Session => replaced(value, b"-".to_vec(), Subject::Program, output),
        Line::Connection => replaced(value, connection(value)?, Subject::Address, output),
        Line::Attribute => {
            let name = value.split(|&byte| byte == b':').next().unwrap_or_default();
            let passes = ATTRIBUTES.iter().any(|known| known.as_bytes() == name);
            if passes { value.to_vec() } else { return Err(attribute_tells(name)) }
        }
    };
    Ok([&letter, &b"="[..], &value].concat())
}

fn attribute_tells(name: &[u8]) -> Subject {
    match name {
        b"candidate" | b"rtcp" | b"remote-candidates" | b"source-filter" => Subject::DirectConnection,
        b"tool" => Subject::Program,
        _ => Subject::UnknownParameter,
    }
}

fn replaced(value: &[u8], by: Vec<u8>, subject: Subject, output: &mut Output) -> Vec<u8> {
    if value != by {
        output.replaced(subject);
    }
    by
}

/// `o=`: account, two numbers, network, kind and address.
fn origin(value: &[u8], output: &mut Output) -> Result<Vec<u8>, Subject> {
    let mut words = value.split(|&byte| byte == b' ').skip(1);
    let numbers =
        [words.next(), words.next()].map(|word| word.filter(|word| word.iter().all(u8::is_ascii_digit)));
    let [Some(id), Some(version)] = numbers else { return Err(Subject::Malformed) };
    let rest = words.collect::<Vec<_>>().join(&b' ');
    let address = connection(&rest)?;
    let by = [&b"-"[..], id, version, &address].join(&b' ');
    Ok(replaced(value, by, Subject::Address, output))
}

/// `IN IP4 ADDRESS` or `IN IP6 ADDRESS`, with an address that is none.
fn connection(value: &[u8]) -> Result<Vec<u8>, Subject> {
    match value {
        [b'I', b'N', b' ', b'I', b'P', b'4', b' ', ..] => Ok(b"IN IP4 0.0.0.0".to_vec()),
        [b'I', b'N', b' ', b'I', b'P', b'6', b' ', ..] => Ok(b"IN IP6 ::".to_vec()),
        _ => Err(Subject::Malformed),
    }
}
