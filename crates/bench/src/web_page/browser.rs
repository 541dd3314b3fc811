//! A client that fetches a page and its objects through an HTTP proxy as a browser does: over several connections to the proxy,
//! which it uses again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::site_server::{OBJECT_BYTES, PAGE_BYTES};

/// The objects of a page.
pub(crate) const OBJECTS: usize = 30;
/// Browsers open six connections for one host.
pub(crate) const CONNECTIONS: usize = 6;
/// How long a response may take before the run fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The times of a visit, from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Visit {
    /// Until the first byte of the page.
    pub(crate) first_byte: Duration,
    /// Until the page and its objects are there.
    pub(crate) whole: Duration,
}

/// Fetches the page and then its objects.
pub(crate) fn visit(proxy: SocketAddr, host: &str, folder: &str) -> Result<Visit> {
    let start = Instant::now();
    let url = |path: &str| format!("http://{host}{folder}/{path}");
    let mut first = Connection::new(proxy);
    let first_byte = first.get(&url("page"), PAGE_BYTES).context("the page")? - start;
    let mut connections: Vec<_> = (1..CONNECTIONS).map(|_| Connection::new(proxy)).collect();
    connections.push(first);
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    thread::scope(|scope| {
        for mut connection in connections {
            let (next, failure, url) = (&next, &failure, &url);
            scope.spawn(move || {
                if let Err(error) = fetch_objects(&mut connection, next, url) {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        }
    });
    let whole = start.elapsed();
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(Visit { first_byte, whole }),
    }
}

/// Fetches the next object until all are there.
fn fetch_objects(
    connection: &mut Connection,
    next: &AtomicUsize,
    url: &impl Fn(&str) -> String,
) -> Result<()> {
    loop {
        let number = next.fetch_add(1, SeqCst);
        if number >= OBJECTS {
            return Ok(());
        }
        let fetched = connection.get(&url(&format!("object/{number}")), OBJECT_BYTES);
        fetched.with_context(|| format!("object {number}"))?;
    }
}

/// A connection to the proxy, which is opened anew when the proxy has closed it.
struct Connection {
    proxy: SocketAddr,
    open: Option<BufReader<TcpStream>>,
}

impl Connection {
    fn new(proxy: SocketAddr) -> Self {
        Self { proxy, open: None }
    }

    /// Fetches what has this many bytes. Returns when the first byte of the response arrived.
    fn get(&mut self, url: &str, bytes: usize) -> Result<Instant> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => BufReader::new(open(self.proxy)?),
        };
        let host = url.split('/').nth(2).context("a URL without a host")?;
        let request = format!(
            "GET {url} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).context("the request could not be sent")?;
        ensure!(!stream.fill_buf().context("no response came")?.is_empty(), "no response came");
        let arrived = Instant::now();
        let head = read_head(&mut stream)?;
        ensure!(head.starts_with("http/1.1 200 "), "the response is {head}");
        ensure!(head.contains(&format!("\r\ncontent-length: {bytes}\r\n")), "another length: {head}");
        stream.read_exact(&mut vec![0; bytes]).context("the response ends early")?;
        self.open = (!head.contains("\r\nconnection: close\r\n")).then_some(stream);
        Ok(arrived)
    }
}

fn open(proxy: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(proxy).context("no connection to the proxy")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    Ok(stream)
}

/// Reads the head of a response, in small letters.
fn read_head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let count = reader.read_line(&mut head).context("the head of the response ends early")?;
        ensure!(count > 0, "the head of the response ends early");
    }
    Ok(head.to_ascii_lowercase())
}

/// Fetches only the page through an HTTP proxy. Returns the time until its first byte.
pub(crate) fn first_byte_through_http(proxy: SocketAddr, host: &str, folder: &str) -> Result<Duration> {
    let start = Instant::now();
    let arrived = Connection::new(proxy).get(&format!("http://{host}{folder}/page"), PAGE_BYTES)?;
    Ok(arrived - start)
}

/// Fetches the page through a SOCKS proxy. Returns the time until its first byte.
pub(crate) fn first_byte_through_socks(mut connect: impl FnMut() -> Result<TcpStream>) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = BufReader::new(connect()?);
    stream.get_mut().write_all(b"GET /page HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n")?;
    stream.fill_buf()?;
    let arrived = start.elapsed();
    let mut response = Vec::new();
    stream.take(PAGE_BYTES as u64).read_to_end(&mut response)?;
    response.starts_with(b"HTTP/1.1 200 ").then_some(arrived).ok_or_else(|| anyhow!("no page came"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::site_server::{self, ONCE};

    /// The site itself stands for the proxy, since it looks at what follows the host.
    #[test]
    fn a_visit_uses_its_connections_again_unless_the_site_closes_them() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let streams = site_server::start(listener);
        let Visit { first_byte, whole } = visit(address, "site.i2p", "").unwrap();
        assert!(first_byte < whole);
        assert_eq!(streams.opened(), CONNECTIONS);
        visit(address, "site.i2p", ONCE).unwrap();
        assert_eq!(streams.opened(), CONNECTIONS + 1 + OBJECTS);
        assert!(visit(address, "site.i2p", "/wrong/object/").is_err());
    }
}
