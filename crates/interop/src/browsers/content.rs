//! What sites send through the proxy to a browser: a WebSocket, large transfers, pictures of other sites.

use anyhow::{Result, ensure};
use lab::{
    payload,
    site::{DOWNLOAD_SEED, PICTURE},
};

use super::driver::Driver;

/// Sends a text over a WebSocket, and expects it back.
pub(super) async fn web_socket(browser: &mut impl Driver, site: &str) -> Result<()> {
    browser.open(&format!("http://{site}/")).await?;
    let script = "return new Promise((done) => { \
        const socket = new WebSocket('ws://' + location.host + '/echo'); \
        socket.onopen = () => socket.send('to the far end and back'); \
        socket.onmessage = (message) => { socket.close(); done(message.data); }; \
        socket.onerror = () => done('failed'); });";
    let answer = browser.run(script).await?;
    ensure!(answer == "to the far end and back", "the WebSocket: {answer}");
    Ok(())
}

/// Downloads this path of the site, which has so many bytes, and sends it back. The site responds with the sum of what it receives,
/// so that this is the sum of what has gone both ways.
pub(super) async fn transfer(browser: &mut impl Driver, site: &str, path: &str, bytes: usize) -> Result<()> {
    browser.open(&format!("http://{site}/")).await?;
    let script = format!(
        "const body = await (await fetch('{path}')).arrayBuffer(); \
         const sum = await (await fetch('/sum', {{method: 'POST', body}})).text(); \
         return body.byteLength + ' ' + sum;"
    );
    let transferred = browser.run(&script).await?;
    let expected = format!("{bytes} {}", payload::sum(&payload::bytes(DOWNLOAD_SEED, bytes)));
    ensure!(transferred == expected, "{transferred} instead of {expected}");
    Ok(())
}

/// The identity in which a picture of a site is fetched for the page that the browser shows: the size of the picture.
pub(super) async fn identity_at(browser: &mut impl Driver, site: &str) -> Result<String> {
    let script = format!(
        "return new Promise((done) => {{ \
         const picture = new Image(); \
         picture.onload = () => done(picture.naturalWidth + ' x ' + picture.naturalHeight); \
         picture.onerror = () => done('failed'); \
         picture.src = 'http://{site}{PICTURE}'; }});"
    );
    let size = browser.run(&script).await?;
    ensure!(size.contains(" x "), "no picture of the other site: {size}");
    Ok(size)
}
