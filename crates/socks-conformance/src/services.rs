//! The servers on loopback to which every SOCKS server is asked to connect.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use lab::ports::free_port;
use socket2::{Domain, Socket, Type};

/// The first bytes of the banner service.
pub(crate) const BANNER: &[u8] = b"welcome";
/// What the farewell service sends before it half-closes.
pub(crate) const FAREWELL: &[u8] = b"farewell";
/// The response of the FIN service if the client's FIN came before the response ...
pub(crate) const FIN_SEEN: &[u8] = b"fin seen";
/// ... and if it did not.
pub(crate) const NO_FIN_SEEN: &[u8] = b"no fin!!";
/// How long it waits for that FIN.
const FIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The ports of the running services, which end with the process.
pub(crate) struct Services {
    /// Sends back what it gets.
    pub(crate) echo: u16,
    /// Reads a line, waits a little for the client's FIN, and responds whether it has seen the FIN.
    pub(crate) fin: u16,
    /// Sends first, and then sends back what it gets.
    pub(crate) banner: u16,
    /// Sends first and half-closes. Then records what the client sends.
    pub(crate) farewell: u16,
    /// Sends the four bytes of the address that it sees. An I2P router has one for each destination.
    pub(crate) source: u16,
    /// Nobody listens here.
    pub(crate) refused: u16,
    /// Drops every attempt to connect.
    pub(crate) silent: u16,
    after_farewell: Arc<Received>,
    _full_queue: (Socket, TcpStream),
}

/// What clients have sent after the farewell.
#[derive(Default)]
struct Received {
    bytes: Mutex<Vec<u8>>,
    changed: Condvar,
}

impl Services {
    /// Starts all of them.
    pub(crate) fn start() -> Result<Self> {
        let after_farewell = Arc::new(Received::default());
        let received = Arc::clone(&after_farewell);
        let (silent, full_queue) = listen_with_full_queue()?;
        Ok(Self {
            echo: serve(echo)?,
            fin: serve(wait_for_fin)?,
            banner: serve(send_banner)?,
            farewell: serve(move |stream| say_farewell(stream, &received))?,
            source: serve(send_source)?,
            refused: free_port()?,
            silent,
            after_farewell,
            _full_queue: full_queue,
        })
    }

    /// All ports, for a server that needs a tunnel to each.
    pub(crate) fn ports(&self) -> [u16; 7] {
        [self.echo, self.fin, self.banner, self.farewell, self.source, self.refused, self.silent]
    }

    /// Returns whether the farewell service receives this text within the limit.
    pub(crate) fn receives_after_farewell(&self, text: &[u8], limit: Duration) -> bool {
        let lacks = |received: &mut Vec<u8>| !received.windows(text.len()).any(|window| window == text);
        let Received { bytes, changed } = &*self.after_farewell;
        let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(bytes, limit, lacks);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Opens a listener whose queue has room for one connection and is full, so that the kernel drops all others.
fn listen_with_full_queue() -> Result<(u16, (Socket, TcpStream))> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(0)?;
    let address = socket.local_addr()?.as_socket().context("a bound socket has an address")?;
    let first = TcpStream::connect(address)?;
    Ok((address.port(), (socket, first)))
}

fn serve(service: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a service")?;
    let port = listener.local_addr()?.port();
    let service = Arc::new(service);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = Arc::clone(&service);
            // If the connection breaks, the client notices, and its row fails.
            thread::spawn(move || stream.set_nodelay(true).and_then(|()| service(stream)));
        }
    });
    Ok(port)
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut back = stream.try_clone()?;
    std::io::copy(&mut stream, &mut back).map(drop)
}

fn send_banner(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(BANNER)?;
    echo(stream)
}

fn send_source(mut stream: TcpStream) -> std::io::Result<()> {
    match stream.peer_addr()?.ip() {
        IpAddr::V4(address) => stream.write_all(&address.octets()),
        IpAddr::V6(address) => stream.write_all(&address.octets()),
    }
}

fn wait_for_fin(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    reader.read_until(b'\n', &mut Vec::new())?;
    reader.get_ref().set_read_timeout(Some(FIN_TIMEOUT))?;
    let response = match reader.read(&mut [0]) {
        Ok(0) => FIN_SEEN,
        Ok(_) => NO_FIN_SEEN,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => NO_FIN_SEEN,
        Err(error) => return Err(error),
    };
    reader.get_mut().write_all(response)
}

fn say_farewell(mut stream: TcpStream, received: &Received) -> std::io::Result<()> {
    stream.write_all(FAREWELL)?;
    stream.shutdown(Shutdown::Write)?;
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                let more = buffer.get(..count).unwrap_or_default();
                received.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(more);
                received.changed.notify_all();
            }
        }
    }
}
