//! The lines of APPEND (RFC 9051 section 6.3.12), with several messages (RFC 3502) and messages in UTF-8 (RFC 6855).

use alloc::vec::Vec;

use super::literal;
use crate::{Output, Subject, mail::date};

/// What stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// The word APPEND.
    Command,
    /// The name of the mailbox, as a literal.
    Mailbox,
    /// A message.
    Message {
        /// A bracket was opened before it.
        is_in_brackets: bool,
    },
}

/// What a line becomes, and what the literal is that it announces. A line without a literal ends the command. `None` if it is not a line
/// of APPEND.
pub(super) fn line(line: &[u8], before: Before, output: &mut Output) -> Option<(Vec<u8>, Before)> {
    let mut rest = line;
    let mut becomes = Vec::new();
    match before {
        Before::Command => {
            rest = blank(rest)?;
            becomes.push(b' ');
            if is_announcement(rest) {
                becomes.extend_from_slice(rest);
                return Some((becomes, Before::Mailbox));
            }
            becomes.extend_from_slice(mailbox(&mut rest)?);
        }
        Before::Mailbox => {}
        Before::Message { is_in_brackets } => {
            if is_in_brackets {
                rest = rest.strip_prefix(b")")?;
                becomes.push(b')');
            }
            if rest.is_empty() {
                return Some((becomes, before));
            }
        }
    }
    let is_in_brackets = message(rest, &mut becomes, output)?;
    Some((becomes, Before::Message { is_in_brackets }))
}

/// Writes the flags, the date and the announcement of a message. The date is in UTC, or left out: the server then takes the time at which
/// the message arrives. Returns whether a bracket was opened.
fn message(line: &[u8], becomes: &mut Vec<u8>, output: &mut Output) -> Option<bool> {
    let mut rest = blank(line)?;
    if let Some((flags, after)) = enclosed(rest, b'(', b')') {
        becomes.extend_from_slice(&[b" ", flags].concat());
        rest = blank(after)?;
    }
    let quoted = enclosed(rest, b'"', b'"');
    rest = quoted.map_or(Some(rest), |(_, after)| blank(after))?;
    let is_in_brackets = rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"UTF8 "));
    if is_in_brackets {
        rest = blank(rest.get(4..)?)?.strip_prefix(b"(")?;
    }
    if !is_announcement(rest.strip_prefix(b"~").unwrap_or(rest)) {
        return None;
    }
    if let Some((date, _)) = quoted {
        match date.get(1..date.len() - 1).and_then(date::of_imap_in_utc) {
            Some(utc) => {
                output.replaced(Subject::TimeZone);
                becomes.extend_from_slice(&[b" \"", utc.as_bytes(), b"\""].concat());
            }
            None => output.removed(Subject::TimeZone),
        }
    }
    becomes.extend_from_slice(if is_in_brackets { b" UTF8 (" } else { b" " });
    becomes.extend_from_slice(rest);
    Some(is_in_brackets)
}

/// What follows one blank or more.
fn blank(text: &[u8]) -> Option<&[u8]> {
    let (blanks, rest) = text.split_at(text.iter().take_while(|byte| **byte == b' ').count());
    (!blanks.is_empty()).then_some(rest)
}

/// Takes the name of a mailbox: an atom, or a text in quotes.
fn mailbox<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = match rest.first()? {
        b'"' => {
            let mut is_escaped = false;
            let ends = |byte: &u8| {
                let ends = *byte == b'"' && !is_escaped;
                is_escaped = *byte == b'\\' && !is_escaped;
                ends
            };
            rest.iter().skip(1).position(ends)? + 2
        }
        _ => rest.iter().position(|byte| matches!(byte, b' ' | b'"' | b'(' | b'{')).filter(|end| *end > 0)?,
    };
    let (name, after) = rest.split_at(end);
    *rest = after;
    Some(name)
}

/// What these two bytes enclose at the beginning, with both, and what follows. It holds none of them, and no quote.
fn enclosed(text: &[u8], open: u8, close: u8) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(&[open])?;
    let length = inner.iter().position(|byte| [open, close, b'"'].contains(byte))?;
    (inner.get(length) == Some(&close)).then(|| text.split_at(length + 2))
}

/// Whether a text is the announcement of a literal and nothing else.
fn is_announcement(text: &[u8]) -> bool {
    literal::announced(text).is_some() && text.iter().rposition(|&byte| byte == b'{') == Some(0)
}
