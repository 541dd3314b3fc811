use super::{
    refusal::Refusal,
    syntax::{MAX_FIELDS, split_field},
};

/// The longest line of a chunk's size with its extensions. Nobody uses extensions.
const MAX_SIZE_LINE_BYTES: usize = 256;

/// The longest trailer section.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Follows a chunked body (RFC 9112 section 7.1) to its end. It holds no data of it, except the current line of a trailer
/// section.
#[derive(Debug)]
pub(super) struct ChunkedBody {
    state: State,
    /// The bytes of the line so far, or of the whole trailer section.
    length: usize,
    trailer: Vec<u8>,
    trailer_fields: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the digits of a size; `digits` were read.
    Size {
        size: u64,
        digits: u32,
    },
    /// In the extensions behind a size.
    Extension {
        size: u64,
    },
    /// Behind the carriage return of a size.
    SizeEnd {
        size: u64,
    },
    /// In the data of a chunk.
    Data {
        left: u64,
    },
    /// Behind the data of a chunk.
    DataEnd,
    /// Behind the carriage return of that.
    DataLineFeed,
    /// In a line of the trailer section.
    Trailer,
    /// Behind the carriage return of that.
    TrailerLineFeed,
    Done,
}

impl ChunkedBody {
    pub(super) fn new() -> Self {
        let state = State::Size { size: 0, digits: 0 };
        Self { state, length: 0, trailer: Vec::new(), trailer_fields: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Follows the body through these bytes. Returns how many belong to it: all, unless it ends before.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let State::Data { left } = self.state {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX).min(left);
                // No more than a slice has.
                at += usize::try_from(here).unwrap_or(usize::MAX);
                self.state = if here == left { State::DataEnd } else { State::Data { left: left - here } };
                continue;
            }
            let Some(&byte) = bytes.get(at) else { break };
            self.state = self.step(byte)?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // Sixteen digits fill the number. Leading zeros serve no purpose.
                if digits >= 16 {
                    return Err(Refusal::Body);
                }
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size }),
            (State::Extension { size }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Extension { .. }, b'\t' | b' '..=b'~' | 128..) => {
                self.count(MAX_SIZE_LINE_BYTES)?;
                Ok(self.state)
            }
            (State::SizeEnd { size: 0 }, b'\n') => {
                self.length = 0;
                Ok(State::Trailer)
            }
            (State::SizeEnd { size }, b'\n') => {
                self.length = 0;
                Ok(State::Data { left: size })
            }
            (State::DataEnd, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::Trailer, b'\r') => Ok(State::TrailerLineFeed),
            (State::Trailer, b'\t' | b' '..=b'~' | 128..) => {
                self.count(MAX_TRAILER_BYTES)?;
                self.trailer.push(byte);
                Ok(self.state)
            }
            (State::TrailerLineFeed, b'\n') => self.end_trailer_line(),
            _ => Err(Refusal::Body),
        }
    }

    fn end_trailer_line(&mut self) -> Result<State, Refusal> {
        let line = std::mem::take(&mut self.trailer);
        if line.is_empty() {
            return Ok(State::Done);
        }
        self.trailer_fields += 1;
        if self.trailer_fields > MAX_FIELDS {
            return Err(Refusal::TooManyFields);
        }
        split_field(&line)?;
        Ok(State::Trailer)
    }

    /// Counts a byte of a line.
    fn count(&mut self, limit: usize) -> Result<(), Refusal> {
        self.length += 1;
        if self.length > limit { Err(Refusal::Body) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the body in a text, however it is cut.
    fn length(text: &[u8]) -> Result<Option<usize>, Refusal> {
        let outcome = |pieces: &[&[u8]]| {
            let (mut body, mut taken) = (ChunkedBody::new(), 0);
            for piece in pieces {
                taken += body.follow(piece)?;
            }
            Ok(body.is_done().then_some(taken))
        };
        let whole = outcome(&[text]);
        let single: Vec<_> = text.chunks(1).collect();
        assert_eq!(outcome(&single), whole, "{}", String::from_utf8_lossy(text));
        for at in 0..text.len() {
            assert_eq!(outcome(&[&text[..at], &text[at..]]), whole, "{}", String::from_utf8_lossy(text));
        }
        whole
    }

    #[test]
    fn a_body_ends_where_its_last_chunk_says() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0\r\n\r\n12345\r\n0\r\n\r\n",
            "00000a\r\n0123456789\r\n000\r\n\r\n",
            "1;name=value; other=\"x y\"\r\na\r\n0;end\r\n\r\n",
            "0\r\nTrailer: value\r\nother:\r\n\r\n",
        ] {
            assert_eq!(length(body.as_bytes()), Ok(Some(body.len())), "{body:?}");
            let followed = format!("{body}GET http://other.i2p/ HTTP/1.1\r\n");
            assert_eq!(length(followed.as_bytes()), Ok(Some(body.len())), "{body:?}");
            assert_eq!(length(&body.as_bytes()[..body.len() - 1]), Ok(None), "{body:?}");
        }
    }

    #[test]
    fn whatever_others_could_read_differently_is_refused() {
        for body in [
            "\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\n0\n\n",
            "5\rhello",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\0\r\nhello\r\n",
            "00000000000000005\r\nhello\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nContent Length: 5\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nname : value\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\na: b\n\r\n",
        ] {
            assert!(length(body.as_bytes()).is_err(), "{body:?}");
        }
        let long = format!("5;{}", "x".repeat(MAX_SIZE_LINE_BYTES + 1));
        assert_eq!(length(long.as_bytes()), Err(Refusal::Body));
        let endless = format!("0\r\na: {}", "x".repeat(MAX_TRAILER_BYTES));
        assert_eq!(ChunkedBody::new().follow(endless.as_bytes()), Err(Refusal::Body));
        let many = format!("0\r\n{}", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(ChunkedBody::new().follow(many.as_bytes()), Err(Refusal::TooManyFields));
    }
}
