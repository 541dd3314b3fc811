//! Takes a stream apart into what stands at its first level, byte by byte.

use alloc::vec::Vec;

use crate::Cut;

/// The longest stanza. Servers allow 10,000 bytes at least (RFC 6120 section 13.12), and most of them 64 to 256 KiB.
pub(super) const MAX_UNIT_BYTES: usize = 128 * 1024;
/// The most elements in each other.
const MAX_DEPTH: usize = 64;
/// The root of a stream.
const STREAM: &[u8] = b"stream:stream";

/// What stands at the first level.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A blank between stanzas, with which programs keep a connection alive.
    Blank(u8),
    /// The XML declaration.
    Declaration,
    /// The start of a stream, with its attributes.
    StreamStart(Vec<u8>),
    /// The end of a stream.
    StreamEnd,
    /// A whole element, such as a stanza.
    Element(Vec<u8>),
}

/// The units of one direction. What is held is no complete unit.
#[derive(Debug, Default)]
pub(super) struct Units {
    held: Vec<u8>,
    depth: usize,
    state: State,
    /// Where the current tag begins.
    tag: usize,
}

/// What a byte is a part of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// The first byte of a tag.
    TagBegins,
    Tag,
    /// The value of an attribute, up to this mark.
    Value(u8),
    Declaration,
}

impl Units {
    /// The next complete unit of a chunk. What follows it stays in the chunk.
    ///
    /// # Errors
    /// If this is no XML, or XML that XMPP forbids (RFC 6120 section 11.1): comments, processing instructions, document types. CDATA
    /// sections, which no program needs, are refused, too.
    pub(super) fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Unit>, Cut> {
        while let Some((&byte, rest)) = chunk.split_first() {
            *chunk = rest;
            if let Some(unit) = self.byte(byte)? {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    fn byte(&mut self, byte: u8) -> Result<Option<Unit>, Cut> {
        if self.state == State::Text && self.depth == 0 && byte != b'<' {
            return if byte.is_ascii_whitespace() { Ok(Some(Unit::Blank(byte))) } else { Err(Cut::Markup) };
        }
        if self.held.len() == MAX_UNIT_BYTES {
            return Err(Cut::StanzaTooLong { limit: MAX_UNIT_BYTES });
        }
        self.held.push(byte);
        match (self.state, byte) {
            (State::Text, b'<') => {
                self.tag = self.held.len() - 1;
                self.state = State::TagBegins;
            }
            (State::TagBegins, b'?') if self.held.len() == 2 => self.state = State::Declaration,
            (State::TagBegins, b'!' | b'?') | (State::Tag | State::TagBegins | State::Value(_), b'<') => {
                return Err(Cut::Markup);
            }
            (State::Tag | State::TagBegins, b'>') => return self.tag_ends(),
            (State::Tag, b'"' | b'\'') => self.state = State::Value(byte),
            (State::Value(mark), _) if byte == mark => self.state = State::Tag,
            (State::TagBegins, _) => self.state = State::Tag,
            (State::Declaration, b'>') => return self.declaration_ends(),
            _ => {}
        }
        Ok(None)
    }

    fn declaration_ends(&mut self) -> Result<Option<Unit>, Cut> {
        let declaration = self.take();
        let is_one = declaration.starts_with(b"<?xml ") && declaration.ends_with(b"?>");
        if is_one { Ok(Some(Unit::Declaration)) } else { Err(Cut::Markup) }
    }

    fn tag_ends(&mut self) -> Result<Option<Unit>, Cut> {
        self.state = State::Text;
        let tag = self.held.get(self.tag..).unwrap_or_default();
        let (is_end, is_whole) = (tag.starts_with(b"</"), tag.ends_with(b"/>"));
        if self.depth == 0 && (is_end || is_stream(tag)) {
            let tag = self.take();
            return match (is_end, is_whole) {
                (true, _) if tag.get(2..).is_some_and(|name| name.starts_with(STREAM)) => {
                    Ok(Some(Unit::StreamEnd))
                }
                (false, false) => Ok(Some(Unit::StreamStart(tag))),
                _ => Err(Cut::Markup),
            };
        }
        match (is_end, is_whole) {
            (true, _) => self.depth -= 1,
            (false, true) => {}
            (false, false) if self.depth == MAX_DEPTH => return Err(Cut::Markup),
            (false, false) => self.depth += 1,
        }
        Ok((self.depth == 0).then(|| Unit::Element(self.take())))
    }

    fn take(&mut self) -> Vec<u8> {
        self.state = State::Text;
        core::mem::take(&mut self.held)
    }
}

/// Whether a tag starts a stream.
fn is_stream(tag: &[u8]) -> bool {
    let after = tag.get(1..).and_then(|name| name.strip_prefix(STREAM));
    after
        .and_then(<[u8]>::first)
        .is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))
}
