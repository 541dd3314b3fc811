use std::io;

use i2p_name::{NameError, Target};
use socks_wire::{Address, BUFFER, Command, NotSocks, Responder, ServerHandshake, Step};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request that was understood.
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) target: Result<Target, NameError>,
    pub(crate) port: u16,
    pub(crate) responder: Responder,
    /// What the client sent behind its request, before the reply.
    pub(crate) early_data: Vec<u8>,
}

/// How a handshake ended.
pub(crate) enum Outcome {
    Request(Request),
    /// The client made a mistake and has been told. The connection is to be closed.
    Refused(socks_wire::Error),
    NotSocks(NotSocks),
    /// The client went away.
    Gone,
}

/// Runs a SOCKS handshake up to the request, which is left to be answered. Has no limit of time of its own.
pub(crate) async fn receive_request(client: &mut TcpStream) -> io::Result<Outcome> {
    let mut handshake = ServerHandshake::new();
    let mut buffer = Buffer::new();
    loop {
        match handshake.step(buffer.filled()) {
            Step::Receive { .. } => {
                if buffer.receive(client).await? == 0 {
                    return Ok(Outcome::Gone);
                }
            }
            Step::Send { taken, bytes } => {
                buffer.drop_front(taken);
                client.write_all(&bytes).await?;
            }
            Step::Authenticate { taken, .. } => {
                // Anybody may come in: credentials say who a client is, not whether.
                let accepted = handshake.judge(true);
                buffer.drop_front(taken);
                client.write_all(&accepted).await?;
            }
            Step::Request { taken, request } => {
                let (command, port, responder) = (request.command, request.port, request.responder());
                let target = match request.address {
                    Address::Ip(address) => Ok(Target::from_ip(address)),
                    Address::Domain(name) => Target::parse(name),
                };
                buffer.drop_front(taken);
                let early_data = buffer.filled().to_vec();
                return Ok(Outcome::Request(Request { command, target, port, responder, early_data }));
            }
            Step::Refuse { bytes, error } => {
                client.write_all(&bytes).await?;
                return Ok(Outcome::Refused(error));
            }
            Step::NotSocks(what) => return Ok(Outcome::NotSocks(what)),
            Step::Over => return Ok(Outcome::Gone),
        }
    }
}

/// The bytes that came and are not used up. Room for any one message; what comes beyond stays in the socket.
struct Buffer {
    bytes: [u8; BUFFER],
    length: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: [0; BUFFER], length: 0 }
    }

    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Reads what is there, at least one byte; 0 when the client has finished.
    async fn receive(&mut self, client: &mut TcpStream) -> io::Result<usize> {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        if free.is_empty() {
            // No message of SOCKS is that long; the machine refuses before.
            return Err(io::ErrorKind::InvalidData.into());
        }
        let count = client.read(free).await?;
        self.length += count;
        Ok(count)
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.length);
        self.bytes.copy_within(count..self.length, 0);
        self.length -= count;
    }
}
