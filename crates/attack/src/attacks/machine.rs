//! Other users of this machine, and what the program leaves behind on it.

use std::{
    env,
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt, lchown, symlink},
        process::ExitStatusExt,
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;
use sam_testkit::{Dialect, TestBridge};
use tokio::{net::UdpSocket, process::Command, time::sleep};

use crate::{
    client::{Client, datagram},
    proxy::{Proxy, Settings},
    target::Target,
    wait::{SHORTLY, until},
};

/// A user who is nobody else here.
const OTHER_USER: u32 = 65_534;

/// Becoming another user takes root, as whom CI runs this.
fn as_root() -> Result<()> {
    ensure!(geteuid().is_root(), "this attack becomes another user: run it as root");
    Ok(())
}

/// The program is killed in a way that dumps its memory where that is allowed.
pub(super) async fn core_dump(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(target, &bridge, "").await?;
    Client::local().with_password("anna", "open-sesame").is_served(proxy.address()).await?;
    let limits = proxy.about("limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    let figures: Vec<_> = line.split_whitespace().skip(4).take(2).collect();
    // 1 is too little for a file, and the one value for which the kernel starts no program that takes dumps (core(5)).
    ensure!(figures == ["1", "1"] || figures == ["0", "0"], "the limit of core dumps is {figures:?}");
    let status = proxy.end_with("ABRT").await?;
    ensure!(!status.core_dumped(), "the program dumped its memory ({status})");
    Ok(format!("{status}, nothing dumped"))
}

/// Another user's process sends the first datagram to a client's new association.
pub(super) async fn datagram_stranger(target: &Target) -> Result<String> {
    as_root()?;
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let configuration = "[[tunnel]]\nlisten = [\"127.0.0.1:0\"]\nudp = \"datagram\"\n";
    let proxy = Proxy::start(target, &bridge, configuration).await?;
    let association = Client::local().associate(proxy.address()).await?;
    let program = env::current_exe().context("this program does not know where it lies")?;
    // A copy, since another user may not be able to reach the target directory.
    let directory = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir()?;
    let copy = directory.path().join("attack");
    std::fs::copy(program, &copy)?;
    let to = association.relay()?.to_string();
    let sent = Command::new(&copy).args(["--datagram", &to]).uid(OTHER_USER).gid(OTHER_USER).status().await?;
    ensure!(sent.success(), "the other user could not send");
    sleep(Duration::from_millis(300)).await;
    association.send("echo.i2p", 7, b"of-the-client").await?;
    let answer = association.receive(SHORTLY).await.context("the client's association was taken")?;
    ensure!(answer.ends_with(b"of-the-client"), "the client got an answer that it did not ask for");
    let stolen = bridge.datagrams().iter().any(|datagram| datagram.ends_with(STRANGE));
    ensure!(!stolen, "the other user's datagram went out as the client's");
    Ok("the other user's datagram was dropped".into())
}

const STRANGE: &[u8] = b"of-a-stranger";

/// What the process of the other user does.
pub(crate) async fn send_datagram_of_another_user(to: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.send_to(&datagram("echo.i2p", 7, STRANGE), to).await?;
    // As a process that waits for the answer does.
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Another user's link leads to a directory of ours.
pub(super) async fn state_link(target: &Target) -> Result<String> {
    as_root()?;
    let bridge = TestBridge::start().await;
    let directory = tempfile::tempdir()?;
    let (link, real) = (directory.path().join("link"), directory.path().join("real"));
    std::fs::create_dir(&real)?;
    symlink(&real, &link)?;
    lchown(&link, Some(OTHER_USER), None)?;
    let settings = Settings { state_directory: Some(&link), ..Settings::default() };
    let proxy = Proxy::start_with(target, &bridge, &settings).await?;
    Client::local().is_served(proxy.address()).await?;
    until("it says why it does not use the link", SHORTLY, || proxy.log().contains("link")).await?;
    let files = std::fs::read_dir(&real)?.count();
    ensure!(files == 0, "{files} files were put where another user's link leads");
    Ok("the link was refused; clients are served without a state directory".into())
}
