//! Relays between the services in I2P and the servers, and keeps what clients have sent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep},
};

use crate::services::{OFFSET, SERVICES};

/// How the answers of a file server begin that name a port for data (RFC 959 section 4.1.2 and RFC 2428 section 3).
const PASSIVE: [&str; 2] = ["227 Entering Passive Mode (", "229 Entering Extended Passive Mode (|||"];
/// How long the end of a program may take to arrive.
const END_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What one client has sent on one connection.
struct Record {
    port: u16,
    bytes: Vec<u8>,
    is_over: bool,
}

impl Record {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What clients have sent to all servers.
#[derive(Clone, Default)]
pub(crate) struct Recorders {
    records: Arc<Mutex<BTreeMap<u64, Record>>>,
    next: Arc<AtomicU64>,
}

impl Recorders {
    pub(crate) async fn start() -> Result<Self> {
        let recorders = Self::default();
        for service in &SERVICES {
            let listener =
                TcpListener::bind(("0.0.0.0", service.port)).await.context("no socket for a recorder")?;
            tokio::spawn(recorders.clone().serve(listener, service.port));
        }
        Ok(recorders)
    }

    async fn serve(self, listener: TcpListener, port: u16) {
        let data_port = Arc::new(AtomicU16::new(0));
        while let Ok((client, _)) = listener.accept().await {
            // A file server that has named a port for data gets the next connection there: the router does not say for which
            // port it is.
            let server = match data_port.swap(0, Ordering::SeqCst) {
                0 => port + OFFSET,
                data_port => data_port,
            };
            let (recorders, data_port) = (self.clone(), Arc::clone(&data_port));
            tokio::spawn(async move { drop(recorders.relay(client, (port, server), data_port).await) });
        }
    }

    async fn relay(
        self,
        client: TcpStream,
        (port, server): (u16, u16),
        data_port: Arc<AtomicU16>,
    ) -> Result<()> {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = TcpStream::connect(("127.0.0.1", server)).await?.into_split();
        let down = tokio::spawn(relay_down(from_server, to_client, data_port));
        self.relay_up(from_client, to_server, port).await?;
        down.await?
    }

    async fn relay_up(&self, mut client: OwnedReadHalf, mut server: OwnedWriteHalf, port: u16) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.records().insert(number, Record { port, bytes: Vec::new(), is_over: false });
        let mut chunk = [0; 4096];
        let relayed = loop {
            let read = client.read(&mut chunk).await.unwrap_or_default();
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break server.shutdown().await;
            };
            self.change(number, |record| record.bytes.extend_from_slice(bytes));
            if let Err(error) = server.write_all(bytes).await {
                break Err(error);
            }
        };
        self.change(number, |record| record.is_over = true);
        Ok(relayed?)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<u64, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.records().get_mut(&number) {
            change(record);
        }
    }

    /// Forgets what has arrived until now.
    pub(crate) fn forget(&self) {
        self.records().clear();
    }

    /// Takes what has arrived at these services on connections on which clients have sent this text. Waits until they are over.
    pub(crate) async fn take(&self, ports: &[u16], text: &str) -> Result<String> {
        let matches = |record: &Record| ports.contains(&record.port) && record.text().contains(text);
        let start = Instant::now();
        while self.records().values().any(|record| !record.is_over && matches(record)) {
            ensure!(start.elapsed() < END_TIMEOUT, "a connection is not over");
            sleep(LOOK_INTERVAL).await;
        }
        let mut taken = String::new();
        self.records().retain(|_, record| {
            let is_taken = matches(record);
            if is_taken {
                taken += &record.text();
            }
            !is_taken
        });
        Ok(taken)
    }
}

async fn relay_down(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    data_port: Arc<AtomicU16>,
) -> Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let read = server.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if let Some(port) = named_port(&String::from_utf8_lossy(bytes)) {
            data_port.store(port, Ordering::SeqCst);
        }
        client.write_all(bytes).await?;
    }
    client.shutdown().await?;
    Ok(())
}

/// The port for data that an answer names.
fn named_port(text: &str) -> Option<u16> {
    let named = PASSIVE.iter().find_map(|passive| text.strip_prefix(passive))?;
    let numbers: Vec<u16> = named
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers.as_slice() {
        [port] => Some(*port),
        [_, _, _, _, high, low] => Some(high * 256 + low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_server_names_a_port_in_two_ways() {
        assert_eq!(named_port("227 Entering Passive Mode (127,0,0,1,78,35).\r\n"), Some(20_003));
        assert_eq!(named_port("229 Entering Extended Passive Mode (|||20003|)\r\n"), Some(20_003));
        assert_eq!(named_port("220 (vsFTPd 3.0.3)\r\n"), None);
    }
}
