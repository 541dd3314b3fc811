//! A SOCKS client that sends raw bytes, so that it can do what no proper client does.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use socket2::{Domain, Socket, Type};

/// How long a server may take to answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may stay open after a failure (RFC 1928 section 6).
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long "at once" may take on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);
/// The pause between parts that must arrive one by one. Nothing tells the sender that the other side has read a part.
const PART_INTERVAL: Duration = Duration::from_millis(5);

/// A greeting that offers no authentication, and the answer that chooses it.
pub(crate) const GREETING: [u8; 3] = [5, 1, 0];
const NO_AUTHENTICATION: [u8; 2] = [5, 0];

/// Commands (RFC 1928 section 4, SOCKS4).
pub(crate) const CONNECT: u8 = 1;
pub(crate) const BIND: u8 = 2;
pub(crate) const UDP_ASSOCIATE: u8 = 3;
/// A command that was never assigned.
pub(crate) const UNKNOWN_COMMAND: u8 = 9;

/// What the client sends through the proxy in most rows.
const PING: &[u8] = b"is anybody there?";

/// A reply of SOCKS5.
pub(crate) struct Reply {
    /// REP.
    pub(crate) code: u8,
    /// The whole reply.
    pub(crate) bytes: Vec<u8>,
}

/// A connection to a SOCKS server.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and sends nothing.
    pub(crate) fn connect(proxy: SocketAddr) -> Result<Self> {
        Self::on(TcpStream::connect_timeout(&proxy, ANSWER_TIMEOUT).context("no connection")?)
    }

    fn on(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream })
    }

    /// Connects from this address and sends nothing.
    pub(crate) fn connect_from(source: Ipv4Addr, proxy: SocketAddr) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&proxy.into(), ANSWER_TIMEOUT).context("no connection")?;
        Self::on(socket.into())
    }

    /// Connects and agrees on no authentication.
    pub(crate) fn greeted(proxy: SocketAddr) -> Result<Self> {
        let mut client = Self::connect(proxy)?;
        client.send(&GREETING)?;
        client.expect(&NO_AUTHENTICATION)?;
        Ok(client)
    }

    /// Connects to a port of a host through the server.
    pub(crate) fn connected(proxy: SocketAddr, host: &str, port: u16) -> Result<Self> {
        let mut client = Self::greeted(proxy)?;
        client.send(&request(CONNECT, &domain(host.as_bytes()), port))?;
        client.expect_success()?;
        Ok(client)
    }

    /// Sends in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|error| anyhow!("sending failed: {}", words(&error)))
    }

    /// Sends parts so that the server reads them one by one.
    pub(crate) fn send_parts<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        for part in parts {
            self.send(part)?;
            thread::sleep(PART_INTERVAL);
        }
        Ok(())
    }

    /// Sends byte by byte.
    pub(crate) fn drip(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_parts(bytes.chunks(1))
    }

    /// Half-closes the connection.
    pub(crate) fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("no half-close")
    }

    /// Makes a second handle, for a thread that reads while this one writes.
    pub(crate) fn reader(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }

    /// Agrees on a user name and a password, and sends them.
    pub(crate) fn authenticate(&mut self, user: &[u8], password: &[u8]) -> Result<u8> {
        self.send(&[5, 1, 2])?;
        match *self.receive(2)?.as_slice() {
            [5, 2] => {}
            ref other => bail!("accepts no credentials: {}", hex(other)),
        }
        let length = |text: &[u8]| u8::try_from(text.len());
        self.send(&[&[1, length(user)?][..], user, &[length(password)?], password].concat())?;
        match *self.receive(2)?.as_slice() {
            [1, status] => Ok(status),
            ref other => bail!("{}", hex(other)),
        }
    }

    /// Receives this many bytes.
    pub(crate) fn receive(&mut self, count: usize) -> Result<Vec<u8>> {
        self.receive_within(count, ANSWER_TIMEOUT)
    }

    fn receive_within(&mut self, count: usize, limit: Duration) -> Result<Vec<u8>> {
        let until = Instant::now() + limit;
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            let free = bytes.get_mut(filled..).unwrap_or_default();
            let read = self.read(free, until);
            let so_far = bytes.get(..filled).unwrap_or_default();
            match read {
                Ok(Some(0)) => bail!("{}", ended_after(so_far)),
                Ok(Some(more)) => filled += more,
                Ok(None) => bail!("no answer within {} s{}", limit.as_secs(), after(so_far)),
                Err(_) => bail!("{}", ended_after(so_far)),
            }
        }
        Ok(bytes)
    }

    /// Reads once. Returns nothing when `until` is reached.
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        match self.stream.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads once. Returns the bytes, no bytes at the end of the connection, or nothing if the limit is reached.
    pub(crate) fn read_once(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        match self.read(&mut buffer, Instant::now() + limit) {
            Ok(Some(count)) => {
                buffer.truncate(count);
                Some(buffer)
            }
            Ok(None) => None,
            // A reset also ends the connection.
            Err(_) => Some(Vec::new()),
        }
    }

    /// Fails unless these bytes come.
    pub(crate) fn expect(&mut self, expected: &[u8]) -> Result<()> {
        let received = self.receive(expected.len())?;
        ensure!(received == expected, "{} instead of {}", hex(&received), hex(expected));
        Ok(())
    }

    /// Receives a whole reply of SOCKS5 (RFC 1928 section 6). Fails unless its fields are valid.
    pub(crate) fn reply(&mut self) -> Result<Reply> {
        self.reply_within(ANSWER_TIMEOUT)
    }

    fn reply_within(&mut self, limit: Duration) -> Result<Reply> {
        let mut bytes = self.receive_within(4, limit)?;
        let [version, code, reserved, address_type] = *bytes.as_slice() else { bail!("no reply") };
        ensure!(version == 5, "VER of the reply is {version}");
        ensure!(reserved == 0, "RSV of the reply is {reserved}");
        let rest = match address_type {
            1 => 4,
            3 => {
                let length = self.receive(1).context("a reply that is cut off")?;
                bytes.extend(&length);
                length.first().copied().map_or(0, usize::from)
            }
            4 => 16,
            other => bail!("ATYP of the reply is {other}"),
        };
        bytes.extend(self.receive(rest + 2).context("a reply that is cut off")?);
        Ok(Reply { code, bytes })
    }

    /// Receives a reply and fails unless it reports success.
    pub(crate) fn expect_success(&mut self) -> Result<()> {
        let reply = self.reply()?;
        ensure!(reply.code == 0, "answered {:02x}", reply.code);
        Ok(())
    }

    /// Receives a reply and fails unless it reports a failure.
    pub(crate) fn expect_refusal(&mut self) -> Result<Reply> {
        let reply = self.reply()?;
        ensure!(reply.code != 0, "answered 00, success");
        Ok(reply)
    }

    /// Receives a reply and fails unless it has this code.
    pub(crate) fn expect_refusal_with(&mut self, code: u8) -> Result<()> {
        self.expect_refusal_within(code, ANSWER_TIMEOUT)
    }

    /// The same, if the reply begins within this time.
    pub(crate) fn expect_refusal_within(&mut self, code: u8, limit: Duration) -> Result<()> {
        let reply = self.reply_within(limit)?;
        ensure!(reply.code == code, "answered {:02x}", reply.code);
        Ok(())
    }

    /// Receives a reply of SOCKS4, whose VN must be 0, and returns its CD.
    pub(crate) fn reply4(&mut self) -> Result<u8> {
        let reply = self.receive(8)?;
        let [version, code, ..] = *reply.as_slice() else { bail!("no reply") };
        ensure!(version == 0, "VN of the reply is {version}");
        Ok(code)
    }

    /// Receives a reply of SOCKS4 and fails unless it has this code.
    pub(crate) fn expect_reply4(&mut self, expected: u8) -> Result<()> {
        let code = self.reply4()?;
        ensure!(code == expected, "answered {code}");
        Ok(())
    }

    /// Fails unless the connection ends within the limit, without more bytes.
    pub(crate) fn expect_end(&mut self, limit: Duration) -> Result<()> {
        match self.read_once(limit) {
            Some(bytes) if bytes.is_empty() => Ok(()),
            Some(bytes) => bail!("{} instead of the end", hex(&bytes)),
            None => bail!("still open after {} s", limit.as_secs()),
        }
    }

    /// Sends something and fails unless it comes back.
    pub(crate) fn expect_echo(&mut self) -> Result<()> {
        self.send(PING)?;
        self.expect_back(PING)
    }

    /// Fails unless these bytes, which were sent before, come back.
    pub(crate) fn expect_back(&mut self, sent: &[u8]) -> Result<()> {
        let received = self.receive(sent.len()).context("what was sent does not come back")?;
        ensure!(received == sent, "other bytes came back than were sent");
        Ok(())
    }
}

/// Encodes a request of SOCKS5.
pub(crate) fn request(command: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, command, 0], address, &port.to_be_bytes()].concat()
}

/// Encodes ATYP and DST.ADDR of a name. Names longer than 255 bytes are cut off.
pub(crate) fn domain(name: &[u8]) -> Vec<u8> {
    let name = name.get(..255).unwrap_or(name);
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[3, length], name].concat()
}

/// Encodes ATYP and DST.ADDR of an address.
pub(crate) fn ip(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => [&[1][..], &address.octets()].concat(),
        IpAddr::V6(address) => [&[4][..], &address.octets()].concat(),
    }
}

/// Encodes a request of SOCKS4 up to its user ID.
pub(crate) fn head4(command: u8, port: u16, address: [u8; 4]) -> Vec<u8> {
    [&[4, command][..], &port.to_be_bytes(), &address].concat()
}

/// Encodes a request of SOCKS4a.
pub(crate) fn request4a(command: u8, user_id: &[u8], host: &[u8], port: u16) -> Vec<u8> {
    [&head4(command, port, [0, 0, 0, 1])[..], user_id, &[0], host, &[0]].concat()
}

fn ended_after(bytes: &[u8]) -> String {
    format!("closed without an answer{}", after(bytes))
}

fn after(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { format!(", after {}", hex(bytes)) }
}

/// The first bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<_> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("`{}{more}`", shown.join(" "))
}

/// The kind of an error, whose text is the same on every machine and in every run.
fn words(error: &io::Error) -> String {
    error.kind().to_string()
}
