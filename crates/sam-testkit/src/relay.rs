//! Moving bytes between sockets without holding a buffer while nothing moves: thousands of idle streams cost nothing.

use std::io;

use tokio::net::TcpStream;

/// Bytes moved at a time.
const CHUNK: usize = 32 * 1024;
/// Bytes of a line read at a time: what the kit takes for a segment.
const SEGMENT: usize = 4 * 1024;

/// Moves everything from one socket to another, which may be the same one, until the first one's FIN.
pub(crate) async fn forward(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    loop {
        from.readable().await?;
        match transfer(from, to) {
            Ok(Moved::All) => {}
            Ok(Moved::AllBut(rest)) => send(to, &rest).await?,
            Ok(Moved::End) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Moves bytes both ways until one side's FIN: every router ends the whole stream then (J17, D26).
pub(crate) async fn both_ways(one: &TcpStream, other: &TcpStream) -> io::Result<()> {
    tokio::select! {
        end = forward(one, other) => end,
        end = forward(other, one) => end,
    }
}

/// Reads until the FIN and keeps nothing.
pub(crate) async fn discard(from: &TcpStream) -> io::Result<()> {
    loop {
        from.readable().await?;
        match skip(from) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what is there, at least one byte, behind what `buffer` holds; 0 at the FIN. Safe to drop.
pub(crate) async fn receive(from: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match receive_now(from, buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Sends all bytes, in one write if the socket takes them.
pub(crate) async fn send(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

enum Moved {
    All,
    /// These were read and could not be written yet.
    AllBut(Vec<u8>),
    End,
}

// The three below do not wait, so that their arrays are on the stack and not in a task.

fn transfer(from: &TcpStream, to: &TcpStream) -> io::Result<Moved> {
    let mut bytes = [0; CHUNK];
    let count = from.try_read(&mut bytes)?;
    let mut rest = bytes.get(..count).unwrap_or_default();
    if rest.is_empty() {
        return Ok(Moved::End);
    }
    while !rest.is_empty() {
        match to.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Moved::AllBut(rest.to_vec()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Moved::All)
}

fn skip(from: &TcpStream) -> io::Result<usize> {
    from.try_read(&mut [0; CHUNK])
}

fn receive_now(from: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0; SEGMENT];
    let count = from.try_read(&mut bytes)?;
    buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
    Ok(count)
}
