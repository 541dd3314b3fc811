//! The proxy, its router, and the site.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::router::{
    Router,
    pair::{self, Service},
};
use sam_testkit::{Act, TestBridge, destination};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};

/// A name of I2P.
pub(crate) const SITE: &str = "site.i2p";
/// How long the proxy may take to be ready: a real router needs some 20 s for tunnels.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A router that connects all streams to this machine.
pub(crate) async fn router() -> TestBridge {
    let bridge = TestBridge::start().await;
    let known = format!("NAMING REPLY RESULT=OK NAME={SITE} VALUE={}", destination());
    bridge.on(&format!("NAMING LOOKUP NAME={SITE}"), [Act::line(&known)]);
    bridge.on("STREAM CONNECT", [Act::Dial]);
    bridge
}

/// A private network of i2pd routers with the site. The first one is that of the proxy.
pub(crate) async fn real_routers(lab: &Path) -> Result<Vec<Router>> {
    pair::form(lab, &[(Service { host: SITE, ports: &[80] }, "GET / HTTP/1.0\r\n\r\n")]).await
}

/// Serves a page that says which I2P identity asks for it.
pub(crate) async fn serve_site() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:80").await?;
    tokio::spawn(async move {
        while let Ok((client, identity)) = listener.accept().await {
            tokio::spawn(answer(client, identity));
        }
    });
    Ok(())
}

async fn answer(mut client: TcpStream, identity: SocketAddr) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if client.read(&mut request).await? > 0 {
        let page = format!("HTTP/1.0 200 OK\r\n\r\nidentity {}", identity.ip());
        client.write_all(page.as_bytes()).await?;
    }
    Ok(())
}

/// Starts the proxy. Returns once all of these listeners are ready.
pub(crate) async fn start(
    program: &Path,
    lab: &Path,
    bridge: &str,
    file: &Path,
    listeners: usize,
) -> Result<Child> {
    let log = std::fs::File::create(lab.join("i2p-socks.log"))?;
    let mut proxy = Command::new(program)
        // The network has no routers for hops.
        .args(["run", "-o", "session.length=0", "--router", "sam", "--sam", bridge, "--config"])
        .arg(file)
        .arg("--state-dir")
        .arg(lab.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(proxy.stdout.take().context("no stdout")?).lines();
    let ready = async {
        for _ in 0..listeners {
            let line = lines.next_line().await?.context("the proxy has ended")?;
            ensure!(line.ends_with(" ready"), "the proxy wrote {line:?}");
        }
        Ok(())
    };
    timeout(READY_TIMEOUT, ready).await.context("the proxy is not ready")??;
    // It writes nothing more.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(proxy)
}
