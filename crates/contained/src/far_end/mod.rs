//! Servers in I2P and outside it. They are the same ones: the bridge connects every stream to this machine.

mod http;
mod names;
mod reports;

use std::{
    fs::{self, Permissions},
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::{
    irc, namespace, shell,
    sshd::{self, Server},
    wait::{Attempt, until},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    process::{Child, Command},
};

use self::reports::Reports;

/// The site in I2P, which only the bridge knows.
pub(crate) const SITE: &str = "site.i2p";
/// The host outside, which the name server knows.
pub(crate) const OUTSIDE_NAME: &str = "outside.example";
pub(crate) const OUTSIDE_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(crate) const OUTSIDE_IPV6: &str = "[2001:db8:7::7]";
/// Where machines of the lab ask for names.
const NAME_SERVER: &str = "198.51.100.53:53";
/// What each server sends to a client that reaches it.
pub(crate) const PAGE: &str = "the page of the far end";

/// What is reported of a browser that asks for its own address.
pub(crate) const STUN: &str = "a STUN request";
/// How long a program may take until it is heard of.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a repository whose only commit has the page as its message.
const REPOSITORY: &str = "git init --quiet --bare project.git && cd project.git && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a \
    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a && tree=$(git mktree < /dev/null) && \
    git update-ref \"$(git symbolic-ref HEAD)\" \"$(git commit-tree \"$tree\" -m \"$PAGE\")\"";

/// Running servers. They end when this is dropped.
pub(crate) struct FarEnd {
    reports: Reports,
    sshd: Server,
    _git: Child,
}

impl FarEnd {
    /// Starts the servers, with their files in `lab`.
    pub(crate) async fn start(lab: &Path) -> Result<Self> {
        namespace::add_network("198.51.100.0/24")?;
        shell::run("ip -6 address add 2001:db8:7::7/64 dev lo nodad")?;
        let reports = Reports::default();
        let pages = TcpListener::bind("[::]:80").await.context("no socket for pages")?;
        tokio::spawn(http::serve(pages, reports.clone()));
        let irc = TcpListener::bind("0.0.0.0:6667").await.context("no socket for IRC")?;
        tokio::spawn(serve_irc(irc, reports.clone()));
        let stun = UdpSocket::bind("0.0.0.0:3478").await.context("no socket for STUN")?;
        tokio::spawn(serve_stun(stun, reports.clone()));
        tokio::spawn(names::serve(UdpSocket::bind(NAME_SERVER).await.context("no socket for names")?));
        let git = git(&lab.join("git")).await?;
        let sshd = Server::start(lab.join("sshd"), (Ipv4Addr::UNSPECIFIED, 22).into()).await?;
        fs::write(sshd.home().join("page"), PAGE)?;
        Ok(Self { reports, sshd, _git: git })
    }

    /// Waits until this was reported by a program, and returns what follows it on the line.
    pub(crate) async fn reported(&self, what: &str) -> Result<String> {
        let reported = until(what, REPORT_TIMEOUT, async || {
            let found = self.reports.find(what);
            Ok(found.map_or_else(|| Attempt::NotYet("it was not reported".to_owned()), Attempt::Done))
        });
        reported.await
    }

    /// Whether this was reported.
    pub(crate) fn was_reported(&self, what: &str) -> bool {
        self.reports.find(what).is_some()
    }

    /// Writes what a client of ssh needs into a directory that it is shown: `key` and `known_hosts`.
    pub(crate) fn write_ssh_files(&self, directory: &Path) -> Result<()> {
        fs::copy(self.sshd.user_key(), directory.join("key"))?;
        let outside = OUTSIDE_ADDRESS.to_string();
        let hosts = [SITE, OUTSIDE_NAME, &outside].map(|name| self.sshd.known_host(name));
        let hosts = hosts.into_iter().collect::<Result<String>>()?;
        fs::write(directory.join("known_hosts"), hosts)?;
        // The program's user is nobody here. ssh wants a copy of its own.
        fs::set_permissions(directory.join("key"), Permissions::from_mode(0o644))?;
        Ok(())
    }
}

async fn serve_irc(listener: TcpListener, reports: Reports) {
    while let Ok((client, _)) = listener.accept().await {
        let reports = reports.clone();
        tokio::spawn(async move { drop(irc::serve(client, Vec::new(), |line| reports.add(line)).await) });
    }
}

/// Reports each datagram, and never answers.
async fn serve_stun(socket: UdpSocket, reports: Reports) {
    while socket.recv_from(&mut [0; 1500]).await.is_ok() {
        reports.add(STUN);
    }
}

/// Starts a git server.
async fn git(directory: &Path) -> Result<Child> {
    fs::create_dir(directory)?;
    let mut made = Command::new("sh");
    made.args(["-c", REPOSITORY]).env("PAGE", PAGE).current_dir(directory);
    ensure!(made.status().await?.success(), "no repository");
    let mut daemon = Command::new(sshd::find("git")?);
    daemon
        .args(["daemon", "--reuseaddr", "--export-all"])
        .arg(format!("--base-path={}", directory.display()));
    daemon.stdin(Stdio::null()).kill_on_drop(true).spawn().context("could not start git daemon")
}
