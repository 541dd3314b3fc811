//! Datagrams to the echo and back.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::{ADDRESS, association::Association};
use crate::{
    interop::{checks::Report, outproxies, payload},
    lab::wait::{Attempt, until},
};

/// Datagrams of the large check: each of another length, from 1 byte to [`LONGEST`].
const DATAGRAMS: usize = 1_000;
const LONGEST: usize = 10_240;
/// Per cent that have to come back: I2P may lose some.
const FLOOR: usize = 95;
/// How many are under way at once. More would not fit into the buffers of the sockets on the way, which hold 208 KiB.
const WINDOW: usize = 8;
/// Where nothing came for so long, what is under way is lost.
const LOST: Duration = Duration::from_secs(3);
/// How long one may take to come back.
const ANSWER: Duration = Duration::from_secs(5);
/// How long until the first comes back, and how soon the next is sent: i2pd loses what is sent to a destination before it has found
/// its lease set.
const FIRST: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);
/// Datagrams of each of the clients that are there at the same time.
const EACH: u8 = 50;

pub(super) async fn run(report: &mut Report, echo: &str) {
    let mut clients = Vec::new();
    report.check("UDP ASSOCIATE: three clients at once each have an echo", open(echo, &mut clients)).await;
    report.check_and_tell("three clients at once see nothing of each other", apart(&mut clients)).await;
    let name = format!("{DATAGRAMS} datagrams of 1 to {LONGEST} bytes there and back, each sent once");
    report.check_and_tell(&name, many(clients.first_mut())).await;
    report.check("what strangers send to the relay goes nowhere", strangers(clients.first_mut())).await;
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

/// Sends until it comes back.
pub(super) async fn first_echo(client: &mut Association) -> Result<()> {
    until("a first echo", FIRST, async || {
        client.send(b"first").await?;
        Ok(match client.receive(AGAIN).await? {
            Some(b"first") => Attempt::Done(()),
            other => Attempt::NotYet(format!("{other:?} came back")),
        })
    })
    .await
}

/// What came late of the attempts before.
async fn empty(client: &mut Association) -> Result<()> {
    while client.receive(Duration::from_millis(200)).await?.is_some() {}
    Ok(())
}

async fn apart(clients: &mut [Association]) -> Result<String> {
    ensure!(clients.len() == 3, "not all of them have an echo");
    for client in &mut *clients {
        empty(client).await?;
    }
    let mut answered = 0;
    for round in 0..EACH {
        for (number, client) in (0_u8..).zip(&*clients) {
            client.send(&[number, round, b'!']).await?;
        }
        for (number, client) in (0_u8..).zip(&mut *clients) {
            // One that is lost may be followed by the one after it.
            match client.receive(ANSWER).await? {
                Some([of, _, b'!']) => {
                    ensure!(*of == number, "client {number} got a datagram of client {of}");
                    answered += 1;
                }
                Some(other) => bail!("client {number} got {other:?}"),
                None => {}
            }
        }
    }
    let sent = clients.len() * usize::from(EACH);
    ensure!(answered * 100 >= sent * FLOOR, "{answered} of {sent} came back");
    Ok(format!(": {answered} of {sent} came back"))
}

/// The length of the datagram with this number: all differ, and long ones stand between short ones.
fn length(number: usize) -> usize {
    // 389 and 1,000 have no common divisor.
    1 + (number * 389 % DATAGRAMS) * (LONGEST - 1) / (DATAGRAMS - 1)
}

/// Each datagram is known by its length, and has contents of its own.
async fn many(client: Option<&mut Association>) -> Result<String> {
    let client = client.context("there is no relay")?;
    empty(client).await?;
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
        let Some(data) = client.receive(LOST).await? else {
            lost.extend(waiting.drain().map(|(length, _)| length));
            continue;
        };
        // One that comes after it was given up counts as lost.
        let Some((number, expected)) = waiting.remove(&data.len()) else { continue };
        ensure!(data == expected, "the contents of {} bytes have changed on the way", data.len());
        answered += 1;
        bytes += data.len();
        late += usize::from(number < last);
        last = last.max(number);
    }
    // Which they were tells whether chance or length chose them.
    let some: Vec<_> = lost.iter().take(10).collect();
    let told = format!(
        ": {answered} came back in {bytes} bytes, {late} out of order, {} lost (of {some:?} bytes)",
        lost.len()
    );
    ensure!(answered * 100 >= DATAGRAMS * FLOOR, "too few{told}");
    Ok(told)
}

/// From another port, and from another address of this machine.
async fn strangers(client: Option<&mut Association>) -> Result<()> {
    let client = client.context("there is no relay")?;
    empty(client).await?;
    let elsewhere: Ipv4Addr = outproxies::WEB.parse()?;
    let mut strangers = Vec::new();
    for from in [Ipv4Addr::LOCALHOST, elsewhere] {
        strangers.push(client.send_as_stranger(from, b"a stranger's").await?);
    }
    // What had been passed on would come back before all of these.
    let mut own = 0;
    for _ in 0..EACH {
        client.send(b"the client's").await?;
        match client.receive(ANSWER).await? {
            Some(b"the client's") => own += 1,
            Some(other) => bail!("{:?} came back", String::from_utf8_lossy(other)),
            None => {}
        }
    }
    ensure!(own * 100 >= usize::from(EACH) * FLOOR, "{own} of {EACH} of the client's own came back");
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
        assert_eq!((lengths.len(), lengths[0], lengths[DATAGRAMS - 1]), (DATAGRAMS, 1, LONGEST));
    }
}
