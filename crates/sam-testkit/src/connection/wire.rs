//! The socket of a connection, and the lines on it.

use std::io;

use crate::{dialect::Dialect, relay, socket::Socket};

/// The socket, and what was read past the last line.
pub(crate) struct Wire {
    pub(crate) stream: Socket,
    pub(crate) buffer: Vec<u8>,
}

/// The result of reading a line.
pub(crate) enum LineRead {
    Text(String),
    TooLong,
    End,
}

/// How many TCP segments a line may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    /// A line that does not arrive whole is not read.
    One,
    Any,
}

impl Wire {
    /// Reads the next line. Cancel safe.
    pub(crate) async fn line(&mut self, dialect: Dialect, segments: Segments) -> io::Result<LineRead> {
        let limit = dialect.max_line_bytes();
        loop {
            let newline = self.buffer.iter().position(|&byte| byte == b'\n');
            if newline.unwrap_or(self.buffer.len()) > limit {
                return Ok(LineRead::TooLong);
            }
            if let Some(at) = newline {
                let rest = self.buffer.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(LineRead::Text(String::from_utf8_lossy(&line).into_owned()));
            }
            if segments == Segments::One && !self.buffer.is_empty() {
                return Ok(LineRead::End);
            }
            if relay::receive(&self.stream, &mut self.buffer).await? == 0 {
                return Ok(LineRead::End);
            }
        }
    }
}
