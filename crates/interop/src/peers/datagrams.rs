//! Datagrams to the echo and back.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lab::{association::Association, exits::WEB_ADDRESS, payload};
use tokio::net::UdpSocket;

use super::{
    ADDRESS,
    outages::{self, Outages, drain, receive},
};
use crate::checklist::Checklist;

/// Datagrams of the large check. They all differ in length, from 1 byte to [`MAX_LENGTH`].
const DATAGRAMS: usize = 1_000;
const MAX_LENGTH: usize = 10_240;
/// The per cent that must come back. I2P may lose some.
const MIN_PERCENT: usize = 95;
/// Datagrams in flight. More would not fit into the socket buffers on the way, which hold 208 KiB.
const WINDOW: usize = 8;
/// If nothing comes for this long, the datagrams in flight count as lost.
const LOSS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a datagram may take to come back.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);
/// Datagrams of each of several clients at the same time.
const PER_CLIENT: u8 = 50;

pub(super) async fn check(checklist: &mut Checklist, echo: &str) {
    let mut clients = Vec::new();
    checklist
        .check("UDP ASSOCIATE: an echo for each of three clients at once", open(echo, &mut clients))
        .await;
    checklist
        .check_with_result(
            "three clients at once get only their own datagrams",
            check_isolation(&mut clients),
        )
        .await;
    let name = format!("{DATAGRAMS} datagrams of 1 to {MAX_LENGTH} bytes there and back, each sent once");
    checklist.check_with_result(&name, send_many(clients.first_mut())).await;
    checklist
        .check_with_result("the relay drops what strangers send to it", check_strangers(clients.first_mut()))
        .await;
}

async fn open(echo: &str, clients: &mut Vec<Association>) -> Result<()> {
    let open = || Association::open(ADDRESS, echo);
    let (one, two, three) = tokio::try_join!(open(), open(), open())?;
    clients.extend([one, two, three]);
    for client in clients {
        outages::first_echo(client).await?;
    }
    Ok(())
}

async fn check_isolation(clients: &mut [Association]) -> Result<String> {
    ensure!(clients.len() == 3, "not every client has an echo");
    for client in &mut *clients {
        drain(client).await?;
    }
    let mut answered = 0;
    let mut outages = Outages::default();
    for round in 0..PER_CLIENT {
        for (number, client) in (0_u8..).zip(&*clients) {
            client.send(&[number, round, b'!']).await?;
        }
        let mut came_back = 0;
        for (number, client) in (0_u8..).zip(&mut *clients) {
            came_back += usize::from(receive_own(client, number).await?);
        }
        answered += came_back;
        if let (0, Some(client)) = (came_back, clients.first_mut()) {
            outages.nothing_came_back(client).await?;
        }
    }
    let sent = clients.len() * usize::from(PER_CLIENT);
    ensure!(answered * 100 >= sent * MIN_PERCENT, "{answered} of {sent} came back, {outages}");
    Ok(format!(": {answered} of {sent} came back, {outages}"))
}

/// Returns whether a datagram of this client has come. If one is lost, the next one takes its place.
async fn receive_own(client: &mut Association, number: u8) -> Result<bool> {
    match receive(client, ECHO_TIMEOUT).await?.as_deref() {
        Some([sender, _, b'!']) => {
            ensure!(*sender == number, "client {number} got a datagram of client {sender}");
            Ok(true)
        }
        Some(other) => bail!("client {number} got {other:?}"),
        None => Ok(false),
    }
}

/// The length of the datagram with this number. All differ, and long ones alternate with short ones.
fn length(number: usize) -> usize {
    // 389 and 1,000 have no common divisor.
    1 + (number * 389 % DATAGRAMS) * (MAX_LENGTH - 1) / (DATAGRAMS - 1)
}

/// Each datagram has a length and contents of its own.
async fn send_many(client: Option<&mut Association>) -> Result<String> {
    let client = client.context("there is no association")?;
    drain(client).await?;
    let (mut transfer, mut outages) = (Transfer::default(), Outages::default());
    while transfer.sent < DATAGRAMS || !transfer.in_flight.is_empty() {
        transfer.fill_window(client).await?;
        match receive(client, LOSS_TIMEOUT).await? {
            Some(data) => transfer.count(&data)?,
            None => {
                transfer.give_up_window();
                outages.nothing_came_back(client).await?;
            }
        }
    }
    let result = format!("{}, {outages}", transfer.result());
    ensure!(transfer.answered * 100 >= DATAGRAMS * MIN_PERCENT, "too few{result}");
    Ok(result)
}

/// The datagrams of the large check.
#[derive(Default)]
struct Transfer {
    sent: usize,
    /// The number and the contents of each datagram in flight, by its length.
    in_flight: HashMap<usize, (usize, Vec<u8>)>,
    answered: usize,
    bytes: usize,
    out_of_order: usize,
    last: usize,
    /// The lengths of those that did not come back in time.
    lost: Vec<usize>,
}

impl Transfer {
    async fn fill_window(&mut self, client: &Association) -> Result<()> {
        while self.sent < DATAGRAMS && self.in_flight.len() < WINDOW {
            let length = length(self.sent);
            let data = payload::bytes(&format!("datagram {}", self.sent), length);
            client.send(&data).await?;
            self.in_flight.insert(length, (self.sent, data));
            self.sent += 1;
        }
        Ok(())
    }

    /// Counts a datagram that has come back.
    fn count(&mut self, data: &[u8]) -> Result<()> {
        // One that comes after the timeout counts as lost.
        let Some((number, expected)) = self.in_flight.remove(&data.len()) else { return Ok(()) };
        ensure!(data == expected, "the contents of {} bytes have changed on the way", data.len());
        self.answered += 1;
        self.bytes += data.len();
        self.out_of_order += usize::from(number < self.last);
        self.last = self.last.max(number);
        Ok(())
    }

    /// Counts what is in flight as lost.
    fn give_up_window(&mut self) {
        self.lost.extend(self.in_flight.drain().map(|(length, _)| length));
    }

    fn result(&self) -> String {
        let Self { answered, bytes, out_of_order, lost, .. } = self;
        // Their lengths show whether length or chance decides.
        let some: Vec<_> = lost.iter().take(10).collect();
        format!(
            ": {answered} came back in {bytes} bytes, {out_of_order} out of order, {} lost (of {some:?} bytes)",
            lost.len()
        )
    }
}

/// Sends from another port, and from another address of this machine.
async fn check_strangers(client: Option<&mut Association>) -> Result<String> {
    let client = client.context("there is no association")?;
    drain(client).await?;
    let mut strangers = Vec::from(send_as_strangers(client).await?);
    let mut outages = Outages::default();
    // A datagram that had been relayed would come back before all of these.
    let mut own = 0;
    for _ in 0..PER_CLIENT {
        client.send(b"the client's").await?;
        match receive(client, ECHO_TIMEOUT).await?.as_deref() {
            Some(b"the client's") => own += 1,
            Some(other) => bail!("{:?} came back", String::from_utf8_lossy(other)),
            None => {
                outages.nothing_came_back(client).await?;
                // Those of before may have been lost with the client's own.
                strangers.extend(send_as_strangers(client).await?);
            }
        }
    }
    ensure!(
        own * 100 >= usize::from(PER_CLIENT) * MIN_PERCENT,
        "{own} of {PER_CLIENT} of the client's own came back, {outages}"
    );
    for stranger in strangers {
        let got =
            stranger.try_recv_from(&mut [0; 64]).map(|(length, from)| format!("{length} bytes of {from}"));
        ensure!(got.is_err(), "a stranger got {}", got.unwrap_or_default());
    }
    Ok(format!(": {own} of {PER_CLIENT} of the client's own came back, {outages}"))
}

async fn send_as_strangers(client: &Association) -> Result<[UdpSocket; 2]> {
    let data = b"a stranger's";
    Ok([
        client.send_as_stranger(Ipv4Addr::LOCALHOST, data).await?,
        client.send_as_stranger(WEB_ADDRESS.parse()?, data).await?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_late_counts_as_lost_and_what_has_changed_is_an_error() {
        let mut transfer = Transfer::default();
        transfer.in_flight.insert(3, (0, b"one".to_vec()));
        transfer.give_up_window();
        transfer.count(b"one").unwrap();
        assert_eq!((transfer.answered, transfer.lost.as_slice()), (0, &[3][..]));
        transfer.in_flight.insert(5, (1, b"three".to_vec()));
        assert!(transfer.count(b"tbree").is_err());
    }

    #[test]
    fn every_length_is_there_once() {
        let mut lengths: Vec<_> = (0..DATAGRAMS).map(length).collect();
        assert!(!lengths.is_sorted());
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!((lengths.len(), lengths[0], lengths[DATAGRAMS - 1]), (DATAGRAMS, 1, MAX_LENGTH));
    }
}
