//! BIND (RFC 1928 section 4): peers that call back.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use i2p_name::I2pName;
use i2p_sam::Session;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{ADDRESS, far::Far};
use crate::{
    interop::{LEASE_SET, checks::Report, payload},
    lab::wait::{Attempt, until},
};

/// Bytes that go each way.
const LENGTH: usize = 1_000_000;
/// How long they may take.
const EXCHANGE: Duration = Duration::from_secs(60);
/// How long a reply may take, for which i2pd may have to build a session.
const REPLY: Duration = Duration::from_secs(120);
/// Identities that are tried until others find one: see `interop::publish`.
const USERS: [&str; 3] = ["bind-1", "bind-2", "bind-3"];

pub(super) async fn run(report: &mut Report, far: &Far) {
    let mut found = None;
    let megabyte = async {
        found = Some(called_back(&far.peer).await?);
        Ok(())
    };
    report.check("BIND: the peer that calls back, and 1 MB each way, the sums are right", megabyte).await;
    let restricted = async {
        let user = found.context("nobody was called back")?;
        wrong_peer(user, &far.peer, &far.other).await
    };
    report.check("BIND for one peer: another one is turned away, and it is taken", restricted).await;
}

/// A client whose BIND waits.
struct Waiting {
    control: TcpStream,
    own: I2pName,
}

impl Waiting {
    /// For whoever has this ATYP and DST.ADDR.
    async fn begin(user: &str, whom: &[u8]) -> Result<Self> {
        let begin = async {
            let mut control = TcpStream::connect(ADDRESS).await?;
            let length = u8::try_from(user.len()).context("a long name")?;
            let credentials = [&[1, length], user.as_bytes(), &[1, b'x']].concat();
            control.write_all(&[&[5, 1, 2][..], &credentials, &[5, 2, 0], whom, &[0, 7]].concat()).await?;
            let mut answer = [0; 4];
            control.read_exact(&mut answer).await?;
            ensure!(answer == [5, 2, 1, 0], "the proxy answered {answer:?}");
            let own = reply(&mut control).await?;
            Ok(Self { own: I2pName::parse(&own).context("the address is no name")?, control })
        };
        timeout(REPLY, begin).await.context("no address to be called back at")?
    }

    /// The stream of the peer that has come, and its address.
    async fn called(mut self) -> Result<(TcpStream, String)> {
        let who = timeout(EXCHANGE, reply(&mut self.control)).await.context("nobody has called")??;
        Ok((self.control, who))
    }
}

/// The name in a reply that grants.
async fn reply(control: &mut TcpStream) -> Result<String> {
    let mut head = [0; 5];
    control.read_exact(&mut head).await?;
    let [5, 0, 0, 3, length] = head else { bail!("the proxy replied {head:?}") };
    let mut name = vec![0; length.into()];
    control.read_exact(&mut name).await?;
    control.read_u16().await?;
    String::from_utf8(name).context("no text")
}

/// Until the router knows the way.
async fn call(peer: &Session, whom: &I2pName) -> Result<TcpStream> {
    until("the client is called back", LEASE_SET, async || Ok(Attempt::of(peer.connect(whom, 0).await))).await
}

/// Gives the user whose session could be found.
async fn called_back(peer: &Session) -> Result<&'static str> {
    let mut why = None;
    for user in USERS {
        let waiting = Waiting::begin(user, &[1, 0, 0, 0, 0]).await?;
        match call(peer, &waiting.own).await {
            Ok(stream) => {
                megabyte(waiting, stream, peer).await?;
                return Ok(user);
            }
            Err(error) => {
                println!("  {error:#}; again as another user");
                why = Some(error);
            }
        }
    }
    Err(why.context("there are no users")?)
}

async fn megabyte(waiting: Waiting, peers: TcpStream, peer: &Session) -> Result<()> {
    let (client, who) = waiting.called().await?;
    ensure!(who == peer.destination().b32().to_string(), "the client is told that {who} has come");
    let (from_peer, to_peer) = client.into_split();
    let (from_client, to_client) = peers.into_split();
    let (up, down) = (payload::bytes("bind up", LENGTH), payload::bytes("bind down", LENGTH));
    // Both ends stay open until all has arrived: i2pd may forget what it still has to send when one goes away.
    let both = async {
        tokio::try_join!(
            one_way(to_peer, from_client, &up, "to the peer"),
            one_way(to_client, from_peer, &down, "to the client")
        )
    };
    let _ends = timeout(EXCHANGE, both).await.context("it takes too long")??;
    Ok(())
}

/// Sends and takes these bytes. Gives the ends back.
async fn one_way<W: AsyncWrite + Unpin, R: AsyncRead + Unpin>(
    mut to: W,
    mut from: R,
    bytes: &[u8],
    whither: &str,
) -> Result<(W, R)> {
    let mut received = vec![0; bytes.len()];
    let moved = async { tokio::try_join!(to.write_all(bytes), from.read_exact(&mut received)) };
    moved.await.with_context(|| format!("the stream broke on the way {whither}"))?;
    ensure!(payload::sum(&received) == payload::sum(bytes), "the bytes have changed on the way {whither}");
    Ok((to, from))
}

async fn wrong_peer(user: &str, wanted: &Session, other: &Session) -> Result<()> {
    let name = wanted.destination().b32().to_string();
    let whom = [&[3, u8::try_from(name.len())?], name.as_bytes()].concat();
    let waiting = Waiting::begin(user, &whom).await?;
    let mut stranger = call(other, &waiting.own).await?;
    stranger.write_all(b"let me in").await?;
    // An error is an end, too.
    let answer = timeout(EXCHANGE, stranger.read(&mut [0; 64])).await.context("it is not turned away")?;
    ensure!(answer.unwrap_or(0) == 0, "it was answered");
    let mut stream = call(wanted, &waiting.own).await?;
    let (mut client, who) = waiting.called().await?;
    ensure!(who == name, "{who} was taken");
    stream.write_all(b"hello").await?;
    let mut hello = [0; 5];
    timeout(EXCHANGE, client.read_exact(&mut hello)).await.context("the stream carries nothing")??;
    ensure!(&hello == b"hello", "the client got {hello:?}");
    Ok(())
}
