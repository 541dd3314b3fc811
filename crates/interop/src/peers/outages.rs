//! Outages of the path between an association and the echo. i2pd loses all datagrams for as long as it takes to notice that a
//! tunnel has died, which is about a minute. Such an outage is not the loss of single datagrams.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    association::Association,
    wait::{Attempt, until},
};
use tokio::time::Instant;

/// How long it may take until a datagram comes back: i2pd loses those to a destination until it has found its lease set, and all
/// during an outage.
const PATH_TIMEOUT: Duration = Duration::from_secs(150);
/// When the next probe is sent.
const RESEND_INTERVAL: Duration = Duration::from_secs(1);
/// If a probe does not come back for this long, the path is interrupted. The routers of a machine that also compiles were seen to
/// hold datagrams for up to 5 s.
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);
/// More than these in one check are not chance.
const MAX_OUTAGES: u32 = 3;
/// The start of each probe. No other datagram of the checks starts like this.
const PROBE: &[u8] = b"probe ";

/// The outages that a check has seen.
#[derive(Default)]
pub(super) struct Outages {
    count: u32,
    /// How often nothing came back. Each time gets a probe of its own, so that a late one does not hide the next outage.
    silences: u32,
}

impl Outages {
    /// To be called when nothing has come back of all that was in flight. Returns once the path works. It counts an outage if it
    /// does not work at once.
    pub(super) async fn nothing_came_back(&mut self, client: &mut Association) -> Result<()> {
        self.silences += 1;
        let probe = [PROBE, self.silences.to_string().as_bytes()].concat();
        if comes_back(client, &probe, PROBE_TIMEOUT).await? {
            return Ok(());
        }
        self.count += 1;
        ensure!(self.count <= MAX_OUTAGES, "the path failed {} times", self.count);
        println!(
            "     nothing comes back: an outage of the path, the {}. of at most {MAX_OUTAGES}",
            self.count
        );
        until_echoed("the end of the outage", client, &probe).await
    }
}

impl fmt::Display for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} outage{plural} of the path", self.count)
    }
}

/// Sends probes until one comes back.
pub(super) async fn first_echo(client: &mut Association) -> Result<()> {
    until_echoed("a first echo", client, &[PROBE, b"0"].concat()).await
}

async fn until_echoed(what: &str, client: &mut Association, probe: &[u8]) -> Result<()> {
    until(what, PATH_TIMEOUT, async || {
        let echoed = comes_back(client, probe, RESEND_INTERVAL).await?;
        Ok(if echoed { Attempt::Done(()) } else { Attempt::NotYet("nothing came back".into()) })
    })
    .await
}

/// Sends a probe and waits for it. Drops what comes before it.
async fn comes_back(client: &mut Association, probe: &[u8], limit: Duration) -> Result<bool> {
    client.send(probe).await?;
    let end = Instant::now() + limit;
    while let Some(data) = client.receive(end - Instant::now()).await? {
        if data == probe {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Receives the next datagram that is not a probe, or nothing within the limit. Probes may come back after the end of their outage.
pub(super) async fn receive(client: &mut Association, limit: Duration) -> Result<Option<Vec<u8>>> {
    let end = Instant::now() + limit;
    while let Some(data) = client.receive(end - Instant::now()).await? {
        if !data.starts_with(PROBE) {
            return Ok(Some(data.to_vec()));
        }
    }
    Ok(None)
}

/// Drops datagrams that are still to come.
pub(super) async fn drain(client: &mut Association) -> Result<()> {
    while client.receive(Duration::from_millis(200)).await?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, UdpSocket},
        task::JoinHandle,
    };

    use super::*;

    /// Opens an association with a relay that echoes the datagrams whose number, from 0, `passes`.
    async fn open(passes: impl Fn(usize) -> bool + Send + 'static) -> (Association, JoinHandle<Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let port = relay.local_addr().unwrap().port().to_be_bytes();
        let task = tokio::spawn(async move {
            let (mut control, _) = listener.accept().await?;
            control.write_all(&[&[5, 0, 5, 0, 0, 1, 127, 0, 0, 1][..], &port].concat()).await?;
            control.read_exact(&mut [0; 13]).await?;
            let mut buffer = [0; 512];
            for number in 0.. {
                let (length, client) = relay.recv_from(&mut buffer).await?;
                if passes(number) {
                    relay.send_to(&buffer[..length], client).await?;
                }
            }
            Ok(())
        });
        (Association::open(&address, "echo.i2p").await.unwrap(), task)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loss_is_no_outage() {
        let (mut client, _relay) = open(|_| true).await;
        let mut outages = Outages::default();
        for _ in 0..10 {
            outages.nothing_came_back(&mut client).await.unwrap();
        }
        assert_eq!(outages.to_string(), "0 outages of the path");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_for_and_counted() {
        let (mut client, _relay) = open(|number| number >= 20).await;
        let mut outages = Outages::default();
        outages.nothing_came_back(&mut client).await.unwrap();
        assert_eq!(outages.to_string(), "1 outage of the path");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_without_end_and_one_too_many_are_errors() {
        let (mut client, _relay) = open(|_| false).await;
        assert!(Outages::default().nothing_came_back(&mut client).await.is_err());
        let (mut client, _relay) = open(|number| number % 2 == 1).await;
        let mut outages = Outages::default();
        for _ in 0..MAX_OUTAGES {
            outages.nothing_came_back(&mut client).await.unwrap();
        }
        let error = outages.nothing_came_back(&mut client).await.unwrap_err();
        assert_eq!(error.to_string(), "the path failed 4 times");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_probe_is_not_taken_for_a_datagram() {
        let (mut client, _relay) = open(|_| true).await;
        client.send(&[PROBE, b"7"].concat()).await.unwrap();
        client.send(b"data").await.unwrap();
        assert_eq!(receive(&mut client, RESEND_INTERVAL).await.unwrap().unwrap(), b"data");
    }
}
