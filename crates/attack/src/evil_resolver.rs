//! A DNS server of the attacker, at the addresses where programs of this machine ask for names.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use lab::namespace;
use tokio::{net::UdpSocket, task::JoinSet};

/// Says that there is no such name (RFC 1035 section 4.1.1): a response, with recursion, and RCODE 3.
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// A DNS server that writes down what it is asked for. It knows no name.
pub(crate) struct EvilResolver {
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl EvilResolver {
    /// Starts one at each address that `/etc/resolv.conf` names.
    pub(crate) async fn start() -> Result<Self> {
        let (asked, mut tasks) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), JoinSet::new());
        for address in resolvers() {
            if !address.is_loopback() {
                namespace::add_network(&address.to_string())?;
            }
            let socket = UdpSocket::bind((address, 53)).await.context("the port of DNS is taken")?;
            tasks.spawn(serve(socket, Arc::clone(&asked)));
        }
        Ok(Self { asked, _tasks: tasks })
    }

    /// How many queries contain this label.
    pub(crate) fn queries_with(&self, label: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |query: &&Vec<u8>| query.windows(label.len()).any(|part| part == label.as_bytes());
        asked.iter().filter(has).count()
    }
}

/// The resolvers of this machine. Without any, libraries ask the machine itself (resolv.conf(5)).
fn resolvers() -> Vec<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let found = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    let mut found: Vec<IpAddr> = found.collect();
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found.sort();
    found.dedup();
    found
}

async fn serve(socket: UdpSocket, asked: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut query = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        let Some(query) = query.get_mut(..length) else { continue };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(query.to_vec());
        if let Some(flags) = query.get_mut(2..4) {
            flags.copy_from_slice(&NO_SUCH_NAME);
        }
        // Who does not wait for the answer is of no concern.
        let _ = socket.send_to(query, from).await;
    }
}
