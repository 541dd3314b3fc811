//! Clients that write to the socket themselves, among them bad ones.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::{
    association::Association,
    curl::{Curl, PROXY_REFUSED},
    payload, proxy,
    requests::{SOCKS5_NAME, page_through},
    site::PAGE,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a stream is held open without a byte. The site closes it after 120 s.
const HOLD_TIME: Duration = Duration::from_secs(90);
/// How long the proxy may keep a client that sends no valid request. The proxy's own limit is 30 s.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Where the tunnel with passwords listens.
pub(crate) const USERS_ADDRESS: &str = "127.0.0.1:4451";
/// The only user of that tunnel.
pub(crate) const USER: &str = "carol";
pub(crate) const PASSWORD: &str = "open-sesame";
/// The datagrams of one client.
const DATAGRAMS: usize = 20;
const FIRST_DATAGRAM_ATTEMPTS: usize = 30;
const DATAGRAM_TIMEOUT: Duration = Duration::from_secs(2);
/// A request for the page, after which the site waits until the client closes.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";
/// A request for the same page, after which the site waits longer: it closes other streams soon after a page.
const HELD_REQUEST: &[u8] = b"GET /held HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";

/// Encodes a whole SOCKS5 handshake (RFC 1928): no authentication, CONNECT to port 80 of the host.
fn handshake(host: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(host.len()).context("the name is too long")?;
    Ok([&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat())
}

/// Reads both replies to a handshake.
async fn read_replies(stream: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let mut method = [0; 2];
    stream.read_exact(&mut method).await.context("no method")?;
    ensure!(method == [5, 0], "the proxy chose {method:?}");
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.context("no reply")?;
    let [5, 0, 0, kind] = head else { bail!("the proxy answered {head:?}") };
    let rest = match kind {
        1 => 4 + 2,
        4 => 16 + 2,
        _ => bail!("the proxy answered with an address of type {kind}"),
    };
    stream.read_exact(&mut vec![0; rest]).await.context("the reply is cut off")?;
    Ok(())
}

async fn connect(host: &str) -> Result<TcpStream> {
    let mut stream =
        TcpStream::connect(proxy::ADDRESS).await.context("the proxy does not accept connections")?;
    stream.write_all(&handshake(host)?).await?;
    read_replies(&mut stream).await?;
    Ok(stream)
}

async fn fetch_page(stream: &mut TcpStream) -> Result<()> {
    fetch(stream, REQUEST).await
}

async fn fetch(stream: &mut TcpStream, request: &[u8]) -> Result<()> {
    stream.write_all(request).await?;
    let mut response = Vec::new();
    while !response.ends_with(PAGE.as_bytes()) {
        ensure!(stream.read_buf(&mut response).await? > 0, "the stream ends before the page does");
    }
    Ok(())
}

/// Half-closes after the request. How much of the response still arrives depends on the router, since i2pd ends both directions
/// at once. But the stream must end.
pub(crate) async fn half_close(host: &str) -> Result<()> {
    let mut stream = connect(host).await?;
    stream.write_all(REQUEST).await?;
    stream.shutdown().await?;
    // A reset also ends the stream.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// Resets the connection in the middle of a download.
pub(crate) async fn reset(host: &str) -> Result<()> {
    let mut stream = connect(host).await?;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: site\r\n\r\n").await?;
    stream.read_exact(&mut vec![0; 100_000]).await.context("the download ends early")?;
    reset_on_close(&stream)
}

/// Makes closing send RST and drop what was not sent.
fn reset_on_close(stream: &TcpStream) -> Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).context("no reset")
}

/// Holds a stream open without a byte.
pub(crate) async fn hold_open(host: &str) -> Result<()> {
    let mut stream = connect(host).await?;
    fetch(&mut stream, HELD_REQUEST).await?;
    match timeout(HOLD_TIME, stream.read(&mut [0])).await {
        Err(_) => Ok(()),
        Ok(Ok(0)) => bail!("a silent stream has ended"),
        Ok(Ok(_)) => bail!("more than a page"),
        Ok(Err(error)) => Err(error).context("a silent stream has broken"),
    }
}

/// Sends what is not a handshake. The proxy must close each connection.
pub(crate) async fn send_garbage() -> Result<()> {
    for seed in ["one", "two", "three", "four"] {
        let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
        // The proxy may refuse it before all is sent.
        let _ = stream.write_all(&payload::bytes(seed, 20_000)).await;
        wait_for_close(stream).await?;
    }
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    let _ = stream.write_all(&[&b"CONNECT "[..], &[b'a'; 100_000]].concat()).await;
    wait_for_close(stream).await
}

/// Connects and sends nothing until the proxy closes the connection.
pub(crate) async fn stay_silent() -> Result<()> {
    wait_for_close(TcpStream::connect(proxy::ADDRESS).await?).await
}

/// Returns once the proxy has closed the connection.
async fn wait_for_close(mut stream: TcpStream) -> Result<()> {
    let end = timeout(CLOSE_TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
    ensure!(end.is_ok(), "still open after {} s", CLOSE_TIMEOUT.as_secs());
    Ok(())
}

/// Sends the handshake byte by byte, within the limit of the proxy.
pub(crate) async fn connect_slowly(host: &str) -> Result<()> {
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    stream.set_nodelay(true)?;
    for byte in handshake(host)? {
        stream.write_all(&[byte]).await?;
        sleep(Duration::from_millis(300)).await;
    }
    read_replies(&mut stream).await?;
    fetch_page(&mut stream).await
}

/// Opens twenty connections and drops each one in another state of the handshake, half of them with a reset.
pub(crate) async fn storm() -> Result<()> {
    let whole = handshake("nosuch.i2p")?;
    let mut streams = Vec::new();
    for number in 0..20 {
        let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
        stream.write_all(whole.get(..number).unwrap_or(&whole)).await?;
        if number % 2 == 0 {
            reset_on_close(&stream)?;
        }
        streams.push(stream);
    }
    Ok(())
}

/// Exchanges datagrams with the echo. I2P may lose some.
pub(crate) async fn exchange_datagrams(echo: &str) -> Result<()> {
    let mut client = Association::open(proxy::ADDRESS, echo).await?;
    // i2pd loses datagrams to a destination until it has found its lease set.
    let mut attempts = 0;
    loop {
        client.send(b"first").await?;
        if client.receive(DATAGRAM_TIMEOUT).await?.is_some() {
            break;
        }
        attempts += 1;
        ensure!(attempts < FIRST_DATAGRAM_ATTEMPTS, "nothing came back, {FIRST_DATAGRAM_ATTEMPTS} times");
    }
    let mut answered = 0;
    for number in 0..DATAGRAMS {
        client.send(&payload::bytes("datagram", 100 * (1 + number))).await?;
        answered += usize::from(client.receive(DATAGRAM_TIMEOUT).await?.is_some());
    }
    ensure!(answered * 2 > DATAGRAMS, "{answered} of {DATAGRAMS} datagrams came back");
    Ok(())
}

/// Tries a wrong password, and then the right one.
pub(crate) async fn try_passwords(curl: &Curl, host: &str) -> Result<()> {
    let user = |password| format!("{USER}:{password}");
    let wrong = user("wrong");
    let url = format!("http://{host}/");
    let finished = curl.run(&["--proxy-user", &wrong, SOCKS5_NAME, USERS_ADDRESS, &url]).await?;
    ensure!(finished.code == PROXY_REFUSED, "a wrong password: curl exited with {}", finished.code);
    page_through(curl, &["--proxy-user", &user(PASSWORD), SOCKS5_NAME], USERS_ADDRESS, host).await
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn a_handshake_follows_rfc_1928() {
        let bytes = handshake("a.i2p").unwrap();
        assert_eq!(bytes, b"\x05\x01\x00\x05\x01\x00\x03\x05a.i2p\x00\x50");
        assert!(handshake(&"a".repeat(256)).is_err());
    }

    #[tokio::test]
    async fn replies_are_read_to_their_end_and_refusals_are_errors() {
        for (sent, left) in [
            (&b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest"[..], Some("rest")),
            (b"\x05\x00\x05\x00\x00\x04aaaabbbbccccddddpp", Some("")),
            (b"\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00", None),
            (b"\x05\xff", None),
            (b"\x05\x00\x05\x00\x00\x01\x00\x00", None),
        ] {
            let (mut ours, mut theirs) = duplex(64);
            theirs.write_all(sent).await.unwrap();
            drop(theirs);
            let outcome = read_replies(&mut ours).await;
            assert_eq!(outcome.is_ok(), left.is_some(), "{sent:?}");
            if let Some(left) = left {
                let mut rest = String::new();
                ours.read_to_string(&mut rest).await.unwrap();
                assert_eq!(rest, left);
            }
        }
    }
}
