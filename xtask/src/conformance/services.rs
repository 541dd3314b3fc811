//! The far end: TCP servers on loopback, which every subject is asked to connect to.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

/// What the welcome says before it listens.
pub(crate) const WELCOME: &[u8] = b"welcome";
/// What the farewell says before it finishes.
pub(crate) const FAREWELL: &[u8] = b"farewell";
/// What the listener to the end answers: the client's end came before the answer ...
pub(crate) const END_SEEN: &[u8] = b"end seen";
/// ... or did not.
pub(crate) const NO_END_SEEN: &[u8] = b"no end!!";
/// How long it waits for that end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Running servers. They end with the process.
pub(crate) struct Services {
    /// Returns what it gets.
    pub(crate) echo: u16,
    /// Reads a line, waits a little for the end of what the client sends, and answers whether it has seen it.
    pub(crate) answer: u16,
    /// Speaks first, and then returns what it gets.
    pub(crate) welcome: u16,
    /// Speaks first and finishes; then listens to what the client has to say.
    pub(crate) farewell: u16,
    /// Nobody listens.
    pub(crate) refused: u16,
    /// Answers no attempt to connect, not even with a refusal.
    pub(crate) silent: u16,
    heard: Arc<Heard>,
    _queue: (Socket, TcpStream),
}

#[derive(Default)]
struct Heard {
    text: Mutex<Vec<u8>>,
    more: Condvar,
}

impl Services {
    /// Starts all of them.
    pub(crate) fn start() -> Result<Self> {
        let heard = Arc::new(Heard::default());
        let listener = Arc::clone(&heard);
        let (silent, queue) = silent()?;
        Ok(Self {
            echo: serve(echo)?,
            answer: serve(answer)?,
            welcome: serve(welcome)?,
            farewell: serve(move |stream| farewell(stream, &listener))?,
            refused: free_port()?,
            silent,
            heard,
            _queue: queue,
        })
    }

    /// The ports, for subjects that have to be told where the far end is.
    pub(crate) fn ports(&self) -> [u16; 6] {
        [self.echo, self.answer, self.welcome, self.farewell, self.refused, self.silent]
    }

    /// Whether the farewell's listener hears this within the limit.
    pub(crate) fn hears(&self, text: &[u8], limit: Duration) -> bool {
        let lacks = |heard: &mut Vec<u8>| !heard.windows(text.len()).any(|window| window == text);
        let heard = self.heard.text.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.more.wait_timeout_while(heard, limit, lacks);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?.local_addr()?.port())
}

/// A listener whose queue of one is full: the system drops what else comes.
fn silent() -> Result<(u16, (Socket, TcpStream))> {
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
            // A connection that breaks is what the client sees, and its row tells.
            thread::spawn(move || stream.set_nodelay(true).and_then(|()| service(stream)));
        }
    });
    Ok(port)
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut back = stream.try_clone()?;
    std::io::copy(&mut stream, &mut back).map(drop)
}

fn welcome(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(WELCOME)?;
    echo(stream)
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    reader.read_until(b'\n', &mut Vec::new())?;
    reader.get_ref().set_read_timeout(Some(PATIENCE))?;
    let answer = match reader.read(&mut [0]) {
        Ok(0) => END_SEEN,
        Ok(_) => NO_END_SEEN,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => NO_END_SEEN,
        Err(error) => return Err(error),
    };
    reader.get_mut().write_all(answer)
}

fn farewell(mut stream: TcpStream, heard: &Heard) -> std::io::Result<()> {
    stream.write_all(FAREWELL)?;
    stream.shutdown(Shutdown::Write)?;
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                let said = buffer.get(..count).unwrap_or_default();
                heard.text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(said);
                heard.more.notify_all();
            }
        }
    }
}
