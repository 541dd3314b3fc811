//! Requests to the proxy, made with curl: pages, large transfers, refusals.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    curl::{Curl, CurlError, PROXY_REFUSED},
    payload, proxy,
    site::{DOWNLOAD_SEED, PAGE, Site},
    wait::{Attempt, Patience, no_answer_within, until_with},
};

/// The option of curl for SOCKS4a.
pub const SOCKS4A: &str = "--socks4a";
/// The option of curl for SOCKS5 with host names.
pub const SOCKS5_NAME: &str = "--socks5-hostname";
/// The option of curl for SOCKS5 with addresses. curl resolves the host itself, so the URL has to contain the address.
pub const SOCKS5_ADDRESS: &str = "--socks5";
/// The options of curl for HTTP CONNECT.
pub const HTTP_CONNECT: [&str; 2] = ["--proxytunnel", "--proxy"];

/// Reply code of SOCKS5 (RFC 1928 section 6): not allowed by the ruleset.
pub const NOT_ALLOWED: u8 = 2;
/// Reply code of SOCKS5: host unreachable.
pub const HOST_UNREACHABLE: u8 = 4;

/// How long it may take until a new path works. i2pd needs 20 s for a session, and 40 s on a busy machine; it then may not find the
/// lease set of the site at once, and tunnels that have died are replaced after a minute.
const NEW_PATH_PATIENCE: Patience =
    Patience { whole: Duration::from_secs(150), attempt: Duration::from_secs(45) };

/// Commands of Tor's SOCKS extensions.
const RESOLVE: u8 = 0xf0;
const RESOLVE_PTR: u8 = 0xf1;

/// Fetches the site's page through the proxy. The last of the options takes the address of the proxy.
pub async fn page(curl: &Curl, options: &[&str], host: &str) -> Result<()> {
    page_through(curl, options, proxy::ADDRESS, host).await
}

/// The same through the tunnel that listens at `address`.
pub async fn page_through(curl: &Curl, options: &[&str], address: &str, host: &str) -> Result<()> {
    let url = format!("http://{host}/");
    let fetched = fetch(curl, &[options, &[address, &url]].concat()).await?;
    ensure!(fetched == PAGE.as_bytes(), "another page: {:?}", String::from_utf8_lossy(&fetched));
    Ok(())
}

/// Runs curl with `--fail` and returns the body of the response.
pub async fn fetch(curl: &Curl, arguments: &[&str]) -> Result<Vec<u8>> {
    Ok(curl.run(&[&["--fail"], arguments].concat()).await?.succeeded()?)
}

/// Makes a request over a path through I2P that is new: from a session that has just been built, to a destination that it has not
/// connected to before, or after a restart of the router. If the path does not work yet, as [`CurlError::is_of_path`] says, or the
/// request hangs, it is made again, and the output says so. Any other failure is final.
///
/// # Errors
/// That of the request, or that the destination was not reached in time.
pub async fn first_request<T>(what: &str, request: impl AsyncFn() -> Result<T>) -> Result<T> {
    let first = timeout(NEW_PATH_PATIENCE.attempt, request()).await;
    let first =
        first.map_or_else(|_| Ok(Attempt::NotYet(no_answer_within(NEW_PATH_PATIENCE.attempt))), attempt_of);
    match first? {
        Attempt::Done(value) => return Ok(value),
        Attempt::NotYet(why) => println!("     {what}: made again, since the path does not work yet ({why})"),
    }
    until_reached(what, NEW_PATH_PATIENCE, request).await
}

/// Makes a request again and again until its path through I2P works. Prints what it waits for.
///
/// # Errors
/// As [`first_request`].
pub async fn until_reached<T>(
    what: &str,
    patience: Patience,
    request: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    until_with(what, patience, async || attempt_of(request().await)).await
}

/// Turns a failure of the path into "not yet".
fn attempt_of<T>(outcome: Result<T>) -> Result<Attempt<T>> {
    match outcome {
        Err(error) if error.downcast_ref().is_some_and(CurlError::is_of_path) => {
            Ok(Attempt::NotYet(format!("{error:#}")))
        }
        outcome => outcome.map(Attempt::Done),
    }
}

/// Downloads 5 MB from the site and checks them.
pub async fn download(curl: &Curl, site: &Site) -> Result<()> {
    let url = format!("http://{}/large", site.host);
    let fetched = fetch(curl, &[SOCKS5_NAME, proxy::ADDRESS, &url]).await?;
    ensure!(fetched.len() == payload::LARGE_BYTES, "{} bytes of {}", fetched.len(), payload::LARGE_BYTES);
    let expected = payload::sum(&payload::bytes(DOWNLOAD_SEED, payload::LARGE_BYTES));
    ensure!(payload::sum(&fetched) == expected, "the bytes have changed on the way");
    Ok(())
}

/// Uploads 5 MB to the site, which responds with their sum.
pub async fn upload(curl: &Curl, site: &Site) -> Result<()> {
    let bytes = payload::bytes("upload", payload::LARGE_BYTES);
    fs::write(curl.directory().join("upload"), &bytes).context("could not write the upload")?;
    let url = format!("http://{}/sum", site.host);
    // Without "Expect", which would make curl wait for a response that the site does not send.
    let body = ["--data-binary", "@upload", "--header", "Expect:"];
    let sum = fetch(curl, &[&body[..], &[SOCKS5_NAME, proxy::ADDRESS, &url]].concat()).await?;
    let expected = payload::sum(&bytes);
    ensure!(sum == expected.as_bytes(), "the site got other bytes: {}", String::from_utf8_lossy(&sum));
    Ok(())
}

/// Fails unless the proxy refuses the request with one of these reply codes. curl prints "Can't complete SOCKS5 connection to
/// HOST. (CODE)", and "SOCKS4 ... (CODE), reason".
pub async fn refused(curl: &Curl, option: &str, url: &str, codes: &[u8]) -> Result<()> {
    let finished = curl.run(&[option, proxy::ADDRESS, url]).await?;
    ensure!(finished.code != 0, "it was not refused");
    let printed =
        |code: &u8| finished.stderr.contains("SOCKS") && finished.stderr.contains(&format!(" ({code})"));
    ensure!(
        finished.code == PROXY_REFUSED && codes.iter().any(printed),
        "curl exited with {}: {}",
        finished.code,
        finished.stderr
    );
    Ok(())
}

/// Fails unless the web server outside I2P is reached from this address.
pub async fn arrives_from(curl: &Curl, url: &str, address: &str) -> Result<()> {
    let response = fetch(curl, &[SOCKS5_NAME, proxy::ADDRESS, url]).await?;
    let response = String::from_utf8(response).context("not text")?;
    ensure!(response == format!("from {address}"), "the web server was reached {response}");
    Ok(())
}

/// Lets the proxy resolve a host to a virtual address and back, and fetches the page by that address.
pub async fn page_by_virtual_address(curl: &Curl, option: &str, host: &str) -> Result<()> {
    let length = u8::try_from(host.len()).context("the name is too long")?;
    let target = [&[3, length][..], host.as_bytes()].concat();
    let [1, address @ ..] = &tor_command(RESOLVE, &target).await?[..] else { bail!("not an IPv4 address") };
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(address).context("an address of another length")?);
    let name = tor_command(RESOLVE_PTR, &[&[1][..], &address.octets()].concat()).await?;
    ensure!(name == target, "RESOLVE_PTR returns {:?}", String::from_utf8_lossy(&name));
    page(curl, &[option], &IpAddr::from(address).to_string()).await
}

/// Sends a command of Tor's SOCKS extensions with this ATYP and address, and returns those of the reply.
async fn tor_command(command: u8, address: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    stream.write_all(&[&[5, 1, 0, 5, command, 0], address, &[0, 0]].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let [5, 0, 5, 0, 0, result @ .., 0, 0] = &answer[..] else { bail!("the proxy answered {answer:?}") };
    Ok(result.to_vec())
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending};

    use anyhow::anyhow;

    use super::*;
    use crate::curl::Finished;

    /// Makes a first request whose attempts end like this, and returns the outcome and the number of attempts.
    async fn attempts(outcome: impl AsyncFn(u32) -> Result<u32>) -> (Result<u32>, u32) {
        let made = Cell::new(0);
        let answered = first_request("a request", async || {
            made.set(made.get() + 1);
            outcome(made.get()).await
        });
        (answered.await, made.get())
    }

    fn curl_failed(code: i32) -> Result<u32> {
        Finished { code, stdout: Vec::new(), stderr: String::new() }.succeeded()?;
        Ok(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_is_made_again_after_a_failure_of_the_path() {
        let (answered, made) = attempts(async |attempt| match attempt {
            1 => curl_failed(52),
            2 => pending().await,
            attempt => Ok(attempt),
        })
        .await;
        assert_eq!((answered.unwrap(), made), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_is_not_made_again_after_any_other_failure() {
        for (outcome, expected) in
            [(curl_failed(22), "curl exited with 22: "), (Err(anyhow!("another page")), "another page")]
        {
            let outcome = Cell::new(Some(outcome));
            let (answered, made) = attempts(async |_| outcome.take().unwrap()).await;
            assert_eq!((answered.unwrap_err().to_string().as_str(), made), (expected, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_that_never_reaches_the_site_fails() {
        let (answered, made) = attempts(async |_| curl_failed(28)).await;
        assert!(answered.unwrap_err().to_string().contains("not within 150 s"));
        assert!(made > 2);
    }
}
