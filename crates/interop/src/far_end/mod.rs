//! The services of the site that are not its own: further pages and a tracker, a mail server, an IRC server, and the way to sshd.
//! They share one destination, so that the first bytes of a stream tell which service it is for.

mod http;
mod smtp;
mod web_socket;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use lab::{irc, site::Services};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

/// Where it listens for the site. The namespace is ours, so that the port is free.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 7000);
/// If the site hands on nothing for this long, the client waits for the server.
const SILENCE: Duration = Duration::from_secs(1);
/// The commands with which IRC clients begin.
const IRC_COMMANDS: [&[u8]; 4] = [b"CAP ", b"NICK ", b"USER ", b"PASS "];

/// What the IRC server receives from a client that it has registered.
pub(crate) const IRC_TOKEN: &str = irc::TOKEN;

/// The running services. They end when this is dropped.
pub(crate) struct FarEnd {
    received: Received,
    /// Whether a client that waits for the mail server to speak is expected.
    mail_is_expected: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the services have received, as text.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<String>>);

impl Received {
    fn add(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }
}

impl FarEnd {
    /// What the site hands streams to.
    pub(crate) fn services(&self) -> Services {
        Services { address: ADDRESS.into(), speak_first: self.mail_is_expected.subscribe() }
    }

    /// Lets the mail server greet clients that say nothing, until the guard is dropped.
    pub(crate) fn expect_mail(&self) -> MailIsExpected<'_> {
        self.mail_is_expected.send_replace(true);
        MailIsExpected(self)
    }

    /// Starts the services. Streams of ssh go to this port of 127.0.0.1.
    pub(crate) async fn start(ssh_port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(SocketAddr::from(ADDRESS)).await.context("no socket for the far end")?;
        let received = Received::default();
        let task = tokio::spawn(accept(listener, received.clone(), ssh_port));
        Ok(Self { received, mail_is_expected: watch::Sender::new(false), task })
    }

    /// How much was received so far, for [`received_since`](Self::received_since).
    pub(crate) fn mark(&self) -> usize {
        self.received.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was received since then.
    pub(crate) fn received_since(&self, mark: usize) -> String {
        let received = self.received.0.lock().unwrap_or_else(PoisonError::into_inner);
        received.get(mark..).unwrap_or_default().to_owned()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// While this exists, the mail server greets clients that say nothing.
pub(crate) struct MailIsExpected<'a>(&'a FarEnd);

impl Drop for MailIsExpected<'_> {
    fn drop(&mut self) {
        self.0.mail_is_expected.send_replace(false);
    }
}

async fn accept(listener: TcpListener, received: Received, ssh_port: u16) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // The client notices whatever goes wrong.
            let received = received.clone();
            tokio::spawn(async move { drop(serve(stream, &received, ssh_port).await) });
        }
    }
}

async fn serve(mut stream: TcpStream, received: &Received, ssh_port: u16) -> Result<()> {
    let mut first = Vec::new();
    let is_silent = timeout(SILENCE, stream.read_buf(&mut first)).await.is_err();
    if is_silent {
        return smtp::serve(stream, received).await;
    }
    if first.starts_with(b"SSH-") {
        let mut server = TcpStream::connect(("127.0.0.1", ssh_port)).await?;
        server.write_all(&first).await?;
        copy_bidirectional(&mut stream, &mut server).await?;
        return Ok(());
    }
    if IRC_COMMANDS.iter().any(|command| first.starts_with(command)) {
        return irc::serve(stream, first, |line| received.add(line)).await;
    }
    if first.starts_with(b"GET ") || first.starts_with(b"HEAD ") {
        return http::serve(stream, first, received).await;
    }
    record_all(stream, first, received).await
}

/// Records what a client of another protocol sends, and says nothing.
async fn record_all(mut stream: TcpStream, first: Vec<u8>, received: &Received) -> Result<()> {
    let mut bytes = first;
    while !bytes.is_empty() {
        received.add(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        stream.read_buf(&mut bytes).await?;
    }
    Ok(())
}
