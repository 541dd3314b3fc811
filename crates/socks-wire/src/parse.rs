//! nom on the inside, our own outcome on the outside.

use nom::{
    Err, IResult, Needed,
    error::{ErrorKind, ParseError},
};

use crate::Error;

/// What parsing the front of a buffer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<T> {
    /// A whole message, and how many bytes it takes.
    Message {
        /// The message.
        message: T,
        /// Its length on the wire, in bytes.
        length: usize,
    },
    /// The message goes on: at least so many more bytes are to come, never fewer.
    More {
        /// Bytes still missing at least; 1 or more.
        at_least: usize,
    },
}

/// An error of ours inside nom's machinery. nom's own kinds never come up: the parsers here fail by ours only.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault(pub(crate) Error);

impl ParseError<&[u8]> for Fault {
    fn from_error_kind(input: &[u8], _: ErrorKind) -> Self {
        Self(Error::Version(input.first().copied().unwrap_or_default()))
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(crate) type Input<'a, T> = IResult<&'a [u8], T, Fault>;

/// Fails for good: no more input can mend it.
pub(crate) fn fail<T>(error: Error) -> Input<'static, T> {
    Err(Err::Failure(Fault(error)))
}

/// Runs a parser on the front of a buffer.
///
/// Inlined, as is all that parses a SOCKS5 request: measured for one by name, that takes a fifth of the instructions and
/// over half of the time away.
#[inline]
pub(crate) fn run<'a, T>(
    input: &'a [u8],
    parser: impl FnOnce(&'a [u8]) -> Input<'a, T>,
) -> Result<Parsed<T>, Error> {
    match parser(input) {
        Ok((rest, message)) => Ok(Parsed::Message { message, length: input.len() - rest.len() }),
        Err(Err::Incomplete(Needed::Size(count))) => Ok(Parsed::More { at_least: count.get() }),
        Err(Err::Incomplete(Needed::Unknown)) => Ok(Parsed::More { at_least: 1 }),
        Err(Err::Error(Fault(error)) | Err::Failure(Fault(error))) => Err(error),
    }
}
