//! The web server of the site on the far side of the link, which counts the streams of its clients.
//!
//! | request | response |
//! |---|---|
//! | `GET /` | [`RESPONSE`] |
//! | `GET /page` | [`PAGE_BYTES`] bytes |
//! | `GET /object/NUMBER` | [`OBJECT_BYTES`] bytes |
//! | the last two below `/once` | the same, and the end of the stream |

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::payload;

/// The response to `GET /`.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npage\n";
/// The sizes of a page and of each object in it.
pub(crate) const PAGE_BYTES: usize = 4_000;
pub(crate) const OBJECT_BYTES: usize = 10_000;
/// A path below this one is answered with `Connection: close`.
pub(crate) const ONCE: &str = "/once";
/// After a page or an object, the site waits this long for the next request, and then closes the stream, as web servers do.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long a client has to close the stream after the last response: when the site closes first, i2pd may drop what it still
/// has to send.
const LINGER: Duration = Duration::from_secs(5);

/// The streams of clients to the site. Its router opens a connection for each.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    opened: AtomicUsize,
    open: AtomicUsize,
}

impl Streams {
    /// How many have been opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(SeqCst)
    }

    /// How many are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}

/// Serves the site until the process ends.
pub(crate) fn start(listener: TcpListener) -> Arc<Streams> {
    let streams = Arc::<Streams>::default();
    let counted = Arc::clone(&streams);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            counted.opened.fetch_add(1, SeqCst);
            counted.open.fetch_add(1, SeqCst);
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                // The client notices whatever goes wrong.
                let _ = serve(&stream);
                counted.open.fetch_sub(1, SeqCst);
            });
        }
    });
    streams
}

/// Serves the requests of one stream, until the client or the site closes it.
fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let head = read_head(&mut reader)?;
        let path = head.split(' ').nth(1).context("no path")?;
        if path == "/" {
            writer.write_all(RESPONSE)?;
            continue;
        }
        let closes = path.contains(ONCE) || head.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
        let bytes = if path.contains("/object/") { OBJECT_BYTES } else { PAGE_BYTES };
        let connection = if closes { "close" } else { "keep-alive" };
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {bytes}\r\nConnection: {connection}\r\n\r\n"
        );
        writer.write_all(&[response.as_bytes(), &payload::bytes(path, bytes)].concat())?;
        if closes {
            stream.set_read_timeout(Some(LINGER))?;
            reader.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        stream.set_read_timeout(Some(KEEP_ALIVE))?;
    }
}

/// Reads the head of a request.
fn read_head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "the client has closed the stream");
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::far_site::read_page;

    #[test]
    fn the_site_responds_to_each_request_of_a_stream() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let streams = start(listener);
        let mut stream = TcpStream::connect(address).unwrap();
        read_page(&mut stream).unwrap();
        read_page(&mut stream).unwrap();
        assert_eq!((streams.opened(), streams.open()), (1, 1));
        stream.write_all(b"GET /once/object/1 HTTP/1.1\r\nHost: site\r\n\r\n").unwrap();
        let mut response = vec![0; OBJECT_BYTES];
        stream.read_exact(&mut response).unwrap();
        assert!(String::from_utf8_lossy(&response).contains("Connection: close"));
    }
}
