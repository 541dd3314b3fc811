//! A conversation: clients of a proxy, and the site that they ask for. A row is both of them.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::wire::{Answer, LOOK_INTERVAL, PATIENCE, Wire, shown, status_of};

/// How long a request that was refused could still be on its way to the site.
const AFTERWARDS: Duration = Duration::from_millis(150);
/// How long the rest of a request may take once its head has arrived.
const REST: Duration = Duration::from_millis(250);

/// An answer of a site.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A conversation through one proxy. The site has a port of its own.
pub(crate) struct Conversation<'a> {
    pub(crate) proxy: SocketAddr,
    /// The name of the site, which is also that of the other one.
    pub(crate) host: &'a str,
    /// A name that does not exist.
    pub(crate) unknown: &'a str,
    listener: &'a TcpListener,
    /// The proxy's connections to the site.
    sites: Vec<Wire>,
}

/// A request at the site.
pub(crate) struct Request {
    /// The number of the connection.
    pub(crate) site: usize,
    pub(crate) head: String,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The proxy answers with this status, and the site gets nothing.
    Refused(u16),
    /// The proxy closes the connection, and the site gets nothing.
    Closed,
    /// The site gets this.
    Arrived(String),
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(
        proxy: SocketAddr,
        host: &'a str,
        unknown: &'a str,
        listener: &'a TcpListener,
    ) -> Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { proxy, host, unknown, listener, sites: Vec::new() })
    }

    /// The port of the site.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// A text with `{url}`, the URL of the site without a path, and `{host}`, its name and port, filled in.
    pub(crate) fn filled(&self, text: &str) -> Result<String> {
        let host = format!("{}:{}", self.host, self.port()?);
        Ok(text.replace("{url}", &format!("http://{host}")).replace("{host}", &host))
    }

    /// Connects to the proxy.
    pub(crate) fn client(&self) -> Result<Wire> {
        Wire::on(TcpStream::connect_timeout(&self.proxy, PATIENCE).context("no connection to the proxy")?)
    }

    /// Connects to the proxy and sends a text.
    pub(crate) fn sent(&self, text: &str) -> Result<Wire> {
        let mut client = self.client()?;
        client.send(&self.filled(text)?)?;
        Ok(client)
    }

    /// One of the proxy's connections to the site.
    pub(crate) fn site(&mut self, number: usize) -> Result<&mut Wire> {
        self.sites.get_mut(number).context("no such connection")
    }

    /// How many connections the proxy has made to the site.
    pub(crate) fn connections(&self) -> usize {
        self.sites.len()
    }

    /// Takes in what has come to the site, and a head if one is complete.
    fn look(&mut self) -> Result<Option<Request>> {
        match self.listener.accept() {
            Ok((stream, _)) => self.sites.push(Wire::on(stream)?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        for (site, wire) in self.sites.iter_mut().enumerate() {
            wire.look();
            if wire.received().contains("\r\n\r\n") {
                return Ok(Some(Request { site, head: wire.head()? }));
            }
        }
        Ok(None)
    }

    /// Waits for the next request at the site, whose client this is.
    pub(crate) fn request(&mut self, client: &mut Wire) -> Result<Request> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(request) = self.look()? {
                return Ok(request);
            }
            client.look();
            if client.received().contains("\r\n\r\n") {
                bail!("the proxy answers {}", status_of(client.received())?);
            }
            ensure!(!client.has_ended(), "the proxy closes the connection");
            thread::sleep(LOOK_INTERVAL);
        }
        bail!("the site gets no request within {} s", PATIENCE.as_secs())
    }

    /// Sends a request, and answers it at the site. Returns what the site and the client get.
    pub(crate) fn exchange(&mut self, request: &str, answer: &str) -> Result<(String, Answer)> {
        let mut client = self.sent(request)?;
        self.exchange_on(&mut client, method(request), answer)
    }

    /// The same for a request that was sent.
    pub(crate) fn exchange_on(
        &mut self,
        client: &mut Wire,
        method: &str,
        answer: &str,
    ) -> Result<(String, Answer)> {
        let arrived = self.request(client)?;
        self.site(arrived.site)?.send(answer)?;
        let answer = client.answer(method)?;
        Ok((arrived.head, answer))
    }

    /// Sends a request, which the site answers with [`OK`]. Returns the head that the site gets.
    pub(crate) fn head_at_site(&mut self, request: &str) -> Result<String> {
        let (head, answer) = self.exchange(request, OK)?;
        answer.expect(200, if method(request) == "HEAD" { "" } else { "ok" })?;
        Ok(head)
    }

    /// Sends something that should perhaps not be passed on.
    pub(crate) fn outcome(&mut self, request: &str) -> Result<Outcome> {
        let mut client = self.sent(request)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(request) = self.look()? {
                return self.arrived(request);
            }
            client.look();
            if client.received().contains("\r\n\r\n") || client.has_ended() {
                let status =
                    if client.received().is_empty() { None } else { Some(status_of(client.received())?) };
                thread::sleep(AFTERWARDS);
                return match (self.look()?, status) {
                    (Some(request), _) => self.arrived(request),
                    (None, Some(status)) => Ok(Outcome::Refused(status)),
                    (None, None) => Ok(Outcome::Closed),
                };
            }
            thread::sleep(LOOK_INTERVAL);
        }
        bail!("neither answered nor passed on within {} s", PATIENCE.as_secs())
    }

    fn arrived(&mut self, request: Request) -> Result<Outcome> {
        let site = self.site(request.site)?;
        let rest = site.for_a_while(REST);
        Ok(Outcome::Arrived(request.head + &rest))
    }

    /// Fails unless the proxy refuses a request, and the site gets nothing.
    pub(crate) fn expect_refusal(&mut self, request: &str) -> Result<()> {
        self.expect_refusal_or(request, |got| bail!("passed on: {:?}", shown(got)))
    }

    /// Fails unless the proxy refuses a request, or `is_harmless` accepts what the site gets.
    pub(crate) fn expect_refusal_or(
        &mut self,
        request: &str,
        is_harmless: impl FnOnce(&str) -> Result<()>,
    ) -> Result<()> {
        match self.outcome(request)? {
            Outcome::Refused(400..=599) | Outcome::Closed => Ok(()),
            Outcome::Refused(status) => bail!("answered {status}"),
            Outcome::Arrived(got) => is_harmless(&got),
        }
    }
}

/// The method of a request.
pub(crate) fn method(request: &str) -> &str {
    request.split(' ').next().unwrap_or_default()
}
