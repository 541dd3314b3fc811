//! Datagrams to the echo and back.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    association::Association,
    exits::WEB_ADDRESS,
    payload,
    wait::{Attempt, until},
};

use super::ADDRESS;
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
/// How long it may take until a first datagram comes back, and when the next one is sent. i2pd loses datagrams to a destination
/// until it has found its lease set.
const FIRST_ECHO_TIMEOUT: Duration = Duration::from_secs(60);
const RESEND_INTERVAL: Duration = Duration::from_secs(1);
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
    checklist.check("the relay drops what strangers send to it", check_strangers(clients.first_mut())).await;
}

async fn open(echo: &str, clients: &mut Vec<Association>) -> Result<()> {
    let open = || Association::open(ADDRESS, echo);
    let (one, two, three) = tokio::try_join!(open(), open(), open())?;
    clients.extend([one, two, three]);
    for client in clients {
        first_echo(client).await?;
    }
    Ok(())
}

/// Sends datagrams until one comes back.
pub(super) async fn first_echo(client: &mut Association) -> Result<()> {
    until("a first echo", FIRST_ECHO_TIMEOUT, async || {
        client.send(b"first").await?;
        Ok(match client.receive(RESEND_INTERVAL).await? {
            Some(b"first") => Attempt::Done(()),
            other => Attempt::NotYet(format!("{other:?} came back")),
        })
    })
    .await
}

/// Drops datagrams that are still to come.
async fn drain(client: &mut Association) -> Result<()> {
    while client.receive(Duration::from_millis(200)).await?.is_some() {}
    Ok(())
}

async fn check_isolation(clients: &mut [Association]) -> Result<String> {
    ensure!(clients.len() == 3, "not every client has an echo");
    for client in &mut *clients {
        drain(client).await?;
    }
    let mut answered = 0;
    for round in 0..PER_CLIENT {
        for (number, client) in (0_u8..).zip(&*clients) {
            client.send(&[number, round, b'!']).await?;
        }
        for (number, client) in (0_u8..).zip(&mut *clients) {
            // If one is lost, the next one takes its place.
            match client.receive(ECHO_TIMEOUT).await? {
                Some([sender, _, b'!']) => {
                    ensure!(*sender == number, "client {number} got a datagram of client {sender}");
                    answered += 1;
                }
                Some(other) => bail!("client {number} got {other:?}"),
                None => {}
            }
        }
    }
    let sent = clients.len() * usize::from(PER_CLIENT);
    ensure!(answered * 100 >= sent * MIN_PERCENT, "{answered} of {sent} came back");
    Ok(format!(": {answered} of {sent} came back"))
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
    let mut waiting = HashMap::new();
    let mut lost = Vec::new();
    let (mut sent, mut answered, mut late, mut bytes, mut last) = (0, 0, 0, 0, 0);
    while sent < DATAGRAMS || !waiting.is_empty() {
        while sent < DATAGRAMS && waiting.len() < WINDOW {
            let length = length(sent);
            let data = payload::bytes(&format!("datagram {sent}"), length);
            client.send(&data).await?;
            waiting.insert(length, (sent, data));
            sent += 1;
        }
        let Some(data) = client.receive(LOSS_TIMEOUT).await? else {
            lost.extend(waiting.drain().map(|(length, _)| length));
            continue;
        };
        // One that comes after the timeout counts as lost.
        let Some((number, expected)) = waiting.remove(&data.len()) else { continue };
        ensure!(data == expected, "the contents of {} bytes have changed on the way", data.len());
        answered += 1;
        bytes += data.len();
        late += usize::from(number < last);
        last = last.max(number);
    }
    // Their lengths show whether length or chance decides.
    let some: Vec<_> = lost.iter().take(10).collect();
    let result = format!(
        ": {answered} came back in {bytes} bytes, {late} out of order, {} lost (of {some:?} bytes)",
        lost.len()
    );
    ensure!(answered * 100 >= DATAGRAMS * MIN_PERCENT, "too few{result}");
    Ok(result)
}

/// Sends from another port, and from another address of this machine.
async fn check_strangers(client: Option<&mut Association>) -> Result<()> {
    let client = client.context("there is no association")?;
    drain(client).await?;
    let elsewhere: Ipv4Addr = WEB_ADDRESS.parse()?;
    let mut strangers = Vec::new();
    for from in [Ipv4Addr::LOCALHOST, elsewhere] {
        strangers.push(client.send_as_stranger(from, b"a stranger's").await?);
    }
    // A datagram that had been relayed would come back before all of these.
    let mut own = 0;
    for _ in 0..PER_CLIENT {
        client.send(b"the client's").await?;
        match client.receive(ECHO_TIMEOUT).await? {
            Some(b"the client's") => own += 1,
            Some(other) => bail!("{:?} came back", String::from_utf8_lossy(other)),
            None => {}
        }
    }
    ensure!(
        own * 100 >= usize::from(PER_CLIENT) * MIN_PERCENT,
        "{own} of {PER_CLIENT} of the client's own came back"
    );
    for stranger in strangers {
        let got =
            stranger.try_recv_from(&mut [0; 64]).map(|(length, from)| format!("{length} bytes of {from}"));
        ensure!(got.is_err(), "a stranger got {}", got.unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_there_once() {
        let mut lengths: Vec<_> = (0..DATAGRAMS).map(length).collect();
        assert!(!lengths.is_sorted());
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!((lengths.len(), lengths[0], lengths[DATAGRAMS - 1]), (DATAGRAMS, 1, MAX_LENGTH));
    }
}
