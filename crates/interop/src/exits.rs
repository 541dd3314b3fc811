//! Checks of outproxies and routes.

use anyhow::{Context, Result, ensure};
use lab::{
    curl::Curl,
    exits::{ExitPrograms, HTTP_EXIT_ADDRESS, REJECTED_PORT, SOCKS_EXIT_ADDRESS, WEB_ADDRESS},
    proxy,
    requests::{NOT_ALLOWED, SOCKS5_NAME, arrives_from, fetch, first_request, refused},
};

use crate::checklist::Checklist;

/// A port of the web server on which nobody listens.
const CLOSED_PORT: u16 = 81;
/// Reply code of SOCKS5 (RFC 1928 section 6).
const CONNECTION_REFUSED: u8 = 5;

/// Runs the checks. The last one kills an exit.
pub(crate) async fn check(checklist: &mut Checklist, curl: &Curl, exit_programs: &mut ExitPrograms) {
    let web = |port: u16| format!("http://{WEB_ADDRESS}:{port}/");
    check_names(checklist, curl).await;
    checklist
        .check(
            "port 80 through microsocks in I2P, with credentials",
            arrives_from(curl, &web(80), SOCKS_EXIT_ADDRESS),
        )
        .await;
    checklist
        .check(
            "port 443 through tinyproxy in I2P, with credentials",
            arrives_from(curl, &web(443), HTTP_EXIT_ADDRESS),
        )
        .await;
    let name = format!("a port that the web server refuses: [{CONNECTION_REFUSED}]");
    checklist.check(&name, refused(curl, SOCKS5_NAME, &web(CLOSED_PORT), &[CONNECTION_REFUSED])).await;
    let name = format!("a port that a route refuses: [{NOT_ALLOWED}]");
    checklist.check(&name, refused(curl, SOCKS5_NAME, &web(REJECTED_PORT), &[NOT_ALLOWED])).await;
    let name = format!("a host without a route: [{NOT_ALLOWED}]");
    checklist.check(&name, refused(curl, SOCKS5_NAME, "http://203.0.113.9/", &[NOT_ALLOWED])).await;
    checklist.check("*.onion through a local SOCKS server, users are isolated", onion(curl)).await;
    let fail_over = async {
        exit_programs.kill_microsocks().await?;
        arrives_from(curl, &web(80), HTTP_EXIT_ADDRESS).await
    };
    checklist.check("microsocks killed: port 80 through tinyproxy", fail_over).await;
}

/// The first requests through each exit. Their routes have no other exit, so that they can be made again until the path to this one
/// works. Later requests would go through the other one if it did not.
async fn check_names(checklist: &mut Checklist, curl: &Curl) {
    for (exit, port, address) in
        [("microsocks", 8000, SOCKS_EXIT_ADDRESS), ("tinyproxy", 443, HTTP_EXIT_ADDRESS)]
    {
        let name = format!("a host name, which {exit} resolves");
        let url = format!("http://localhost:{port}/");
        checklist.check(&name, first_request(&name, async || arrives_from(curl, &url, address).await)).await;
    }
}

/// The server behind the route responds with the name and the password that it was asked with.
async fn onion(curl: &Curl) -> Result<()> {
    let ask = async |user: &str| {
        let arguments = ["--proxy-user", user, SOCKS5_NAME, proxy::ADDRESS, "http://example.onion/"];
        let response = String::from_utf8(fetch(curl, &arguments).await?).context("not text")?;
        let password = response
            .strip_prefix("example.onion ")
            .with_context(|| format!("the request was for {response}"))?;
        ensure!(!user.contains(password), "the server got the client's own credentials");
        Ok(password.to_owned())
    };
    let (alice, bob, again) = (ask("alice:x").await?, ask("bob:x").await?, ask("alice:x").await?);
    ensure!(alice == again && alice != bob, "{alice}, {bob}, {again}");
    Ok(())
}
