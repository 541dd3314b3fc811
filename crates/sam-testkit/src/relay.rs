//! Moves bytes between sockets. No buffer is held while nothing moves, so that thousands of idle streams cost nothing.

use std::io;

use crate::socket::Socket;

/// How many bytes are moved at a time.
const CHUNK_BYTES: usize = 32 * 1024;
/// How many bytes of a line are read at a time: what the kit takes for a TCP segment.
const SEGMENT_BYTES: usize = 4 * 1024;

/// Moves all bytes from one socket to another, or back to the same one, until the first one's FIN.
pub(crate) async fn forward(from: &Socket, to: &Socket) -> io::Result<()> {
    loop {
        from.readable().await?;
        match transfer(from, to) {
            Ok(Transferred::All) => {}
            Ok(Transferred::AllBut(rest)) => send(to, &rest).await?,
            Ok(Transferred::End) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Moves bytes in both directions until one side's FIN, which ends the whole stream on every router.
pub(crate) async fn both_ways(one: &Socket, other: &Socket) -> io::Result<()> {
    tokio::select! {
        end = forward(one, other) => end,
        end = forward(other, one) => end,
    }
}

/// Moves bytes between a client and a server until the client's FIN, which ends both directions.
pub(crate) async fn to_server(client: &Socket, early_data: &[u8], server: &Socket) -> io::Result<()> {
    let up = async {
        send(server, early_data).await?;
        forward(client, server).await
    };
    let down = async {
        forward(server, client).await?;
        client.finish()?;
        // The server's FIN does not end the stream.
        std::future::pending().await
    };
    tokio::select! {
        result = up => result,
        result = down => result,
    }
}

/// Reads until the FIN and keeps nothing.
pub(crate) async fn discard(from: &Socket) -> io::Result<()> {
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

/// Waits for at least one byte and appends what has arrived to `buffer`; 0 is the FIN. Cancel safe.
pub(crate) async fn receive(from: &Socket, buffer: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match receive_now(from, buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Sends all bytes, in one write if the socket accepts that many.
pub(crate) async fn send(to: &Socket, mut bytes: &[u8]) -> io::Result<()> {
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

/// The result of one transfer.
enum Transferred {
    All,
    /// These bytes were read and could not be written yet.
    AllBut(Vec<u8>),
    End,
}

// The three functions below do not wait, so that their arrays are on the stack and not in a task.

fn transfer(from: &Socket, to: &Socket) -> io::Result<Transferred> {
    let mut bytes = [0; CHUNK_BYTES];
    let count = from.try_read(&mut bytes)?;
    let mut rest = bytes.get(..count).unwrap_or_default();
    if rest.is_empty() {
        return Ok(Transferred::End);
    }
    while !rest.is_empty() {
        match to.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Transferred::AllBut(rest.to_vec()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Transferred::All)
}

fn skip(from: &Socket) -> io::Result<usize> {
    from.try_read(&mut [0; CHUNK_BYTES])
}

fn receive_now(from: &Socket, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0; SEGMENT_BYTES];
    let count = from.try_read(&mut bytes)?;
    buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
    Ok(count)
}
