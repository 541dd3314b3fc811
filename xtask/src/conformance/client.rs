//! A SOCKS client made of raw bytes, which can do what no proper client does.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// How long a server may take over an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);
/// How long a connection may last after a failure (RFC 1928 section 6).
pub(crate) const END: Duration = Duration::from_secs(10);
/// "At once", on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);
/// Between parts that are to arrive one by one: nothing tells the sender that the other side has read.
const BETWEEN_PARTS: Duration = Duration::from_millis(5);

/// No authentication offered, and chosen.
pub(crate) const GREETING: [u8; 3] = [5, 1, 0];
const NO_AUTHENTICATION: [u8; 2] = [5, 0];

/// Commands (RFC 1928 section 4, SOCKS4).
pub(crate) const CONNECT: u8 = 1;
pub(crate) const BIND: u8 = 2;
pub(crate) const UDP_ASSOCIATE: u8 = 3;
/// What nobody has ever assigned.
pub(crate) const UNKNOWN_COMMAND: u8 = 9;

/// What the client sends to the far end in most rows.
const PING: &[u8] = b"is anybody there?";

/// A reply of SOCKS5.
pub(crate) struct Reply {
    /// REP.
    pub(crate) code: u8,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
}

/// A connection to a subject.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// A connection on which nothing has been said.
    pub(crate) fn connect(proxy: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&proxy, ANSWER).context("no connection")?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(Self { stream })
    }

    /// A connection that has agreed on no authentication.
    pub(crate) fn greeted(proxy: SocketAddr) -> Result<Self> {
        let mut client = Self::connect(proxy)?;
        client.send(&GREETING)?;
        client.expect(&NO_AUTHENTICATION)?;
        Ok(client)
    }

    /// A connection to a port of a host.
    pub(crate) fn connected(proxy: SocketAddr, host: &str, port: u16) -> Result<Self> {
        let mut client = Self::greeted(proxy)?;
        client.send(&request(CONNECT, &domain(host.as_bytes()), port))?;
        client.succeeds()?;
        Ok(client)
    }

    /// Sends in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|error| anyhow!("sending failed: {}", words(&error)))
    }

    /// Sends parts that the server reads one by one.
    pub(crate) fn send_parts<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        for part in parts {
            self.send(part)?;
            thread::sleep(BETWEEN_PARTS);
        }
        Ok(())
    }

    /// Sends byte by byte.
    pub(crate) fn drip(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_parts(bytes.chunks(1))
    }

    /// Has nothing more to send.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("no half-close")
    }

    /// A second handle, for a thread that reads while this one writes.
    pub(crate) fn reader(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }

    /// The next so many bytes.
    pub(crate) fn receive(&mut self, count: usize) -> Result<Vec<u8>> {
        self.receive_within(count, ANSWER)
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

    /// Reads once; nothing when `until` is reached.
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        match self.stream.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whatever comes first, in one read: the bytes, none at the end of the connection, or nothing within the limit.
    pub(crate) fn read_once(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        match self.read(&mut buffer, Instant::now() + limit) {
            Ok(Some(count)) => {
                buffer.truncate(count);
                Some(buffer)
            }
            Ok(None) => None,
            // A reset is an end.
            Err(_) => Some(Vec::new()),
        }
    }

    /// Fails unless these bytes come.
    pub(crate) fn expect(&mut self, expected: &[u8]) -> Result<()> {
        let came = self.receive(expected.len())?;
        ensure!(came == expected, "{} instead of {}", hex(&came), hex(expected));
        Ok(())
    }

    /// A whole reply of SOCKS5 (RFC 1928 section 6), with fields that are allowed.
    pub(crate) fn reply(&mut self) -> Result<Reply> {
        let mut bytes = self.receive(4)?;
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

    /// Fails unless the request succeeds.
    pub(crate) fn succeeds(&mut self) -> Result<()> {
        let reply = self.reply()?;
        ensure!(reply.code == 0, "answered {:02x}", reply.code);
        Ok(())
    }

    /// Fails unless the request fails; gives the reply.
    pub(crate) fn is_refused(&mut self) -> Result<Reply> {
        let reply = self.reply()?;
        ensure!(reply.code != 0, "answered 00, success");
        Ok(reply)
    }

    /// Fails unless the request fails with this code.
    pub(crate) fn is_refused_with(&mut self, code: u8) -> Result<()> {
        let reply = self.reply()?;
        ensure!(reply.code == code, "answered {:02x}", reply.code);
        Ok(())
    }

    /// CD of a reply of SOCKS4, whose VN has to be 0.
    pub(crate) fn reply4(&mut self) -> Result<u8> {
        let reply = self.receive(8)?;
        let [version, code, ..] = *reply.as_slice() else { bail!("no reply") };
        ensure!(version == 0, "VN of the reply is {version}");
        Ok(code)
    }

    /// Fails unless the SOCKS4 request is answered with this code.
    pub(crate) fn is_answered4(&mut self, expected: u8) -> Result<()> {
        let code = self.reply4()?;
        ensure!(code == expected, "answered {code}");
        Ok(())
    }

    /// Fails unless the connection ends within the limit, with nothing more said.
    pub(crate) fn ends(&mut self, limit: Duration) -> Result<()> {
        match self.read_once(limit) {
            Some(bytes) if bytes.is_empty() => Ok(()),
            Some(bytes) => bail!("{} instead of the end", hex(&bytes)),
            None => bail!("still open after {} s", limit.as_secs()),
        }
    }

    /// Fails unless the far end returns what it is sent.
    pub(crate) fn is_echoed(&mut self) -> Result<()> {
        self.send(PING)?;
        self.returns(PING)
    }

    /// Fails unless the far end returns these bytes, sent before.
    pub(crate) fn returns(&mut self, sent: &[u8]) -> Result<()> {
        let came = self.receive(sent.len()).context("what was sent does not come back")?;
        ensure!(came == sent, "other bytes came back than were sent");
        Ok(())
    }
}

/// A request of SOCKS5.
pub(crate) fn request(command: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, command, 0], address, &port.to_be_bytes()].concat()
}

/// ATYP and DST.ADDR of a name; names longer than 255 bytes are cut.
pub(crate) fn domain(name: &[u8]) -> Vec<u8> {
    let name = name.get(..255).unwrap_or(name);
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[3, length], name].concat()
}

/// ATYP and DST.ADDR of an address.
pub(crate) fn ip(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => [&[1][..], &address.octets()].concat(),
        IpAddr::V6(address) => [&[4][..], &address.octets()].concat(),
    }
}

/// A request of SOCKS4 up to its user id.
pub(crate) fn head4(command: u8, port: u16, address: [u8; 4]) -> Vec<u8> {
    [&[4, command][..], &port.to_be_bytes(), &address].concat()
}

/// A request of SOCKS4a.
pub(crate) fn request4a(command: u8, user_id: &[u8], host: &[u8], port: u16) -> Vec<u8> {
    [&head4(command, port, [0, 0, 0, 1])[..], user_id, &[0], host, &[0]].concat()
}

fn ended_after(bytes: &[u8]) -> String {
    format!("closed without an answer{}", after(bytes))
}

fn after(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { format!(", after {}", hex(bytes)) }
}

/// The first bytes as a person reads them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<_> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("`{}{more}`", shown.join(" "))
}

/// The kind of an error, which is the same on every machine and in every run.
fn words(error: &io::Error) -> String {
    error.kind().to_string()
}
