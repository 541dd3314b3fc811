//! BIND (RFC 1928 section 4): peers that connect back to the client.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use i2p_name::I2pName;
use i2p_sam::{SamStream, Session};
use lab::{
    payload,
    wait::{Attempt, until},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{ADDRESS, services::PeerServices};
use crate::checklist::Checklist;

/// Bytes each way.
const LENGTH: usize = 1_000_000;
/// How long these bytes may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a reply may take. i2pd may have to build a session for it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take until a peer finds the session. i2pd needs a minute to give up one attempt over a dead tunnel. An attempt is
/// not cut off: its stream might arrive later, and BIND accepts one only.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(150);
/// Users to try until a peer finds the session of one, since i2pd does not publish each session, see [`lab::site`].
const USERS: [&str; 3] = ["bind-1", "bind-2", "bind-3"];

pub(super) async fn check(checklist: &mut Checklist, services: &PeerServices) {
    let mut found = None;
    let megabyte = async {
        found = Some(exchange_with_peer(&services.peer).await?);
        Ok(())
    };
    checklist.check("BIND: a peer connects back, 1 MB each way, the sums are right", megabyte).await;
    let restricted = async {
        let user = found.context("no peer has connected back")?;
        exchange_with_named_peer(user, &services.peer, &services.other_peer).await
    };
    checklist.check("BIND for one peer: another one is refused, this one is accepted", restricted).await;
}

/// A client whose BIND waits for a peer.
struct Listening {
    control: TcpStream,
    /// The address that peers connect to.
    address: I2pName,
}

impl Listening {
    /// Sends BIND with the ATYP and DST.ADDR of the expected peer.
    async fn start(user: &str, peer: &[u8]) -> Result<Self> {
        let start = async {
            let mut control = TcpStream::connect(ADDRESS).await?;
            let length = u8::try_from(user.len()).context("the name is too long")?;
            let credentials = [&[1, length], user.as_bytes(), &[1, b'x']].concat();
            control.write_all(&[&[5, 1, 2][..], &credentials, &[5, 2, 0], peer, &[0, 7]].concat()).await?;
            let mut answer = [0; 4];
            control.read_exact(&mut answer).await?;
            ensure!(answer == [5, 2, 1, 0], "the proxy answered {answer:?}");
            let address = read_reply(&mut control).await?;
            Ok(Self { address: I2pName::parse(&address).context("the address is not a name")?, control })
        };
        timeout(REPLY_TIMEOUT, start).await.context("no address to connect back to")?
    }

    /// Returns the stream to the peer that has connected, and the address of the peer; nothing if none has.
    async fn accept(mut self) -> Result<Option<(TcpStream, String)>> {
        let Ok(peer) = timeout(EXCHANGE_TIMEOUT, read_reply(&mut self.control)).await else {
            return Ok(None);
        };
        Ok(Some((self.control, peer?)))
    }
}

/// Reads a reply of success and returns the name in it.
async fn read_reply(control: &mut TcpStream) -> Result<String> {
    let mut head = [0; 5];
    control.read_exact(&mut head).await?;
    let [5, 0, 0, 3, length] = head else { bail!("the proxy replied {head:?}") };
    let mut name = vec![0; length.into()];
    control.read_exact(&mut name).await?;
    control.read_u16().await?;
    String::from_utf8(name).context("not text")
}

/// Connects back, within the time that the router needs to find the client.
async fn connect_back(peer: &Session, client: &I2pName) -> Result<SamStream> {
    until("the peer connects back", CONNECT_TIMEOUT, async || Ok(Attempt::of(peer.connect(client, 0).await)))
        .await
}

/// Exchanges the bytes with a peer, and returns the user whose session the peer has found.
async fn exchange_with_peer(peer: &Session) -> Result<&'static str> {
    let mut failure = None;
    for user in USERS {
        let listening = Listening::start(user, &[1, 0, 0, 0, 0]).await?;
        let error = match connect_back(peer, &listening.address).await {
            Ok(stream) => match listening.accept().await? {
                Some((client, name)) => {
                    exchange(client, &name, stream, peer).await?;
                    return Ok(user);
                }
                // i2pd reports a stream as connected before it is.
                None => anyhow!("no peer has connected"),
            },
            Err(error) => error,
        };
        println!("  {error:#}; trying another user");
        failure = Some(error);
    }
    Err(failure.context("there are no users")?)
}

async fn exchange(client: TcpStream, name: &str, peer_stream: SamStream, peer: &Session) -> Result<()> {
    ensure!(name == peer.destination().b32().to_string(), "the reply to the client names {name}");
    let (from_peer, to_peer) = client.into_split();
    let (from_client, to_client) = tokio::io::split(peer_stream);
    let (up, down) = (payload::bytes("bind up", LENGTH), payload::bytes("bind down", LENGTH));
    // Both ends stay open until all has arrived: when one closes, i2pd may drop what it still has to send.
    let both = async {
        tokio::try_join!(
            send(to_peer, from_client, &up, "to the peer"),
            send(to_client, from_peer, &down, "to the client")
        )
    };
    let _ends = timeout(EXCHANGE_TIMEOUT, both).await.context("it takes too long")??;
    Ok(())
}

/// Sends these bytes and receives them. Returns the open ends.
async fn send<W: AsyncWrite + Unpin, R: AsyncRead + Unpin>(
    mut to: W,
    mut from: R,
    bytes: &[u8],
    direction: &str,
) -> Result<(W, R)> {
    let mut received = vec![0; bytes.len()];
    let moved = async { tokio::try_join!(to.write_all(bytes), from.read_exact(&mut received)) };
    moved.await.with_context(|| format!("the stream broke on the way {direction}"))?;
    ensure!(payload::sum(&received) == payload::sum(bytes), "the bytes have changed on the way {direction}");
    Ok((to, from))
}

async fn exchange_with_named_peer(user: &str, peer: &Session, other_peer: &Session) -> Result<()> {
    let name = peer.destination().b32().to_string();
    let target = [&[3, u8::try_from(name.len())?], name.as_bytes()].concat();
    let listening = Listening::start(user, &target).await?;
    let mut stranger = connect_back(other_peer, &listening.address).await?;
    stranger.write_all(b"let me in").await?;
    // An error also means that the stream has ended.
    let answer = timeout(EXCHANGE_TIMEOUT, stranger.read(&mut [0; 64])).await;
    ensure!(
        answer.context("the other peer is not refused")?.unwrap_or(0) == 0,
        "the other peer got an answer"
    );
    let mut stream = connect_back(peer, &listening.address).await?;
    let (mut client, accepted) = listening.accept().await?.context("no peer has connected")?;
    ensure!(accepted == name, "{accepted} was accepted");
    stream.write_all(b"hello").await?;
    let mut hello = [0; 5];
    timeout(EXCHANGE_TIMEOUT, client.read_exact(&mut hello))
        .await
        .context("the stream carries nothing")??;
    ensure!(&hello == b"hello", "the client got {hello:?}");
    Ok(())
}
