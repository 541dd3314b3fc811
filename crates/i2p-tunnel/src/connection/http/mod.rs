//! Clients that speak HTTP: CONNECT (RFC 9110 section 9.3.6) is served, everything else is answered with a page.

mod answer;
mod head;
mod page;

use std::io;

use socks_wire::{auth::Credentials, stream::OwnedAddress};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use self::head::Head;
use crate::{
    client::{AccessPolicy, ClientAddress, ClientCredentials},
    failure::Failure,
    limits::Limit,
    stream::Socket,
};

/// Longest head of a request, and all that is read before it is answered, in bytes. A destination in base64 fits in twice, as
/// the target and as the Host.
const MAX_HEAD: usize = 8 * 1024;

/// A client whose CONNECT waits for its answer.
pub(crate) struct Connecting {
    pub(crate) stream: Socket,
    pub(crate) address: OwnedAddress,
    pub(crate) port: u16,
    pub(crate) credentials: ClientCredentials,
    /// What came behind the head, which is for the target.
    early_data: Vec<u8>,
}

impl Connecting {
    /// Says that the target is connected. Gives the stream, and what the client sent ahead.
    pub(crate) async fn grant(mut self) -> io::Result<(Socket, Vec<u8>)> {
        self.stream.write_all(answer::CONNECTED).await?;
        Ok((self.stream, self.early_data))
    }

    /// Says why the target is not connected. Gives the stream, which is to be closed.
    pub(crate) async fn refuse(mut self, failure: Failure) -> io::Result<Socket> {
        self.stream.write_all(answer::failed(failure).as_bytes()).await?;
        Ok(self.stream)
    }
}

/// The outcome of reading an HTTP request.
pub(crate) enum HttpOutcome {
    /// A CONNECT.
    Connect(Connecting),
    /// The client got an answer, and its socket is to be closed. The text is the reason, for the log.
    Answered(Socket, &'static str),
    /// The credentials are wrong. The client got an answer that says so, and its socket is to be closed.
    Unauthorized(Socket),
    /// A limit was reached.
    LimitReached(Limit),
}

/// Reads the rest of a request's head until the deadline, and checks the client's credentials against the access policy.
pub(crate) async fn hear(
    mut stream: Socket,
    client: ClientAddress,
    mut read: Vec<u8>,
    deadline: Instant,
    access: &AccessPolicy,
) -> io::Result<HttpOutcome> {
    let head = match timeout_at(deadline, receive(&mut stream, &mut read)).await {
        Ok(head) => head?,
        Err(_) => return Ok(HttpOutcome::LimitReached(Limit::Handshake)),
    };
    let (refusal, why) = match head {
        Head::Connect { address, port, credentials, length } => {
            let given = !matches!(credentials, head::Given::Nothing);
            let Ok(credentials) = timeout_at(deadline, admitted(client, credentials, access)).await else {
                return Ok(HttpOutcome::LimitReached(Limit::Handshake));
            };
            match credentials {
                Some(credentials) => {
                    let early_data = read.split_off(length);
                    return Ok(HttpOutcome::Connect(Connecting {
                        stream,
                        address,
                        port,
                        credentials,
                        early_data,
                    }));
                }
                None if given => {
                    tracing::debug!("a client spoke HTTP with wrong credentials");
                    stream.write_all(answer::credentials_wanted().as_bytes()).await?;
                    return Ok(HttpOutcome::Unauthorized(stream));
                }
                // That is how browsers begin: they ask the person who sits there once they are asked.
                None => (answer::credentials_wanted(), "HTTP without the credentials that are wanted"),
            }
        }
        Head::Other => {
            (page::explanation(access.status_page.as_deref()), "HTTP other than CONNECT: got the page")
        }
        Head::TooLong => (answer::too_long(), "HTTP with a head that is too long"),
        Head::Malformed | Head::More => (answer::malformed(), "malformed HTTP"),
    };
    stream.write_all(refusal.as_bytes()).await?;
    Ok(HttpOutcome::Answered(stream, why))
}

/// The head, when it is there or cannot come any more.
async fn receive(stream: &mut Socket, read: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        match head::parse(read) {
            Head::More if read.len() >= MAX_HEAD => return Ok(Head::TooLong),
            Head::More => {}
            head => return Ok(head),
        }
        let mut chunk = [0; 1024];
        let room = chunk.len().min(MAX_HEAD - read.len());
        match stream.read(chunk.get_mut(..room).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// Who asks, if it may. Without credentials only where none are wanted.
async fn admitted(
    client: ClientAddress,
    credentials: head::Given,
    access: &AccessPolicy,
) -> Option<ClientCredentials> {
    match credentials {
        head::Given::Nothing => access.authentication.allows_anonymous().then_some(ClientCredentials::None),
        head::Given::Basic(username, password) => {
            let credentials = Credentials { username: &username, password: &password };
            access
                .authentication
                .allows(client, &credentials)
                .await
                .then(|| ClientCredentials::of_password(&credentials))
        }
        head::Given::Other => None,
    }
}
