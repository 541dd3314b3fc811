//! STREAM FORWARD: the router connects to a port of ours for each stream.

use std::net::SocketAddr;

use tokio::task::JoinHandle;

use super::Session;
use crate::{
    bridge::connection::{Connection, LineRead, within},
    error::{Error, Phase},
    wire::{Reply, StreamForward},
};

/// Whether a forwarded stream begins with a line that names the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerLine {
    /// The router sends the line ([`AcceptedFrom`](crate::wire::AcceptedFrom)) before the peer's bytes.
    Sent,
    /// The stream begins with the peer's bytes (`SILENT=true`).
    Omitted,
}

/// The router forwards a session's streams until this is dropped.
#[derive(Debug)]
pub struct Forwarding {
    keeping: JoinHandle<()>,
    _session: Session,
}

impl Session {
    /// Has the router connect to `forward_to` for each stream that a peer opens to the session. With [`PeerLine::Sent`] each
    /// of these connections begins with a line that names the peer ([`AcceptedFrom`](crate::wire::AcceptedFrom)). Ends when the
    /// [`Forwarding`] is dropped.
    ///
    /// Any program of this machine can connect to that port too, and name any peer. [`Session::accept`] has no such port.
    ///
    /// # Errors
    /// As [`Session::accept`]; routers refuse it while the session accepts.
    pub async fn forward(&self, forward_to: SocketAddr, peer_line: PeerLine) -> Result<Forwarding, Error> {
        let phase = Phase::StreamForward;
        let silent = peer_line == PeerLine::Omitted;
        let limit = self.router().bridge().timeouts().hello;
        let forward = async {
            let mut connection = self.router().connect().await?;
            connection.send(&StreamForward { id: self.id(), forward_to, silent }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(connection)
        };
        let connection = self.unless_lost(within(limit, phase, forward)).await?;
        Ok(Forwarding { keeping: tokio::spawn(keep(connection)), _session: self.clone() })
    }
}

impl Forwarding {
    /// Returns once the router has stopped forwarding.
    pub async fn ended(&mut self) {
        // The task does not panic, and is aborted only when this is dropped.
        let _ = (&mut self.keeping).await;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Keeps a connection open on which the router sends nothing but PINGs.
async fn keep(mut connection: Connection) {
    while let Ok(LineRead::Complete(line)) = connection.line().await {
        if let Ok(Reply::Ping(text)) = Reply::parse(&line)
            && connection.pong(text).await.is_err()
        {
            return;
        }
    }
}
