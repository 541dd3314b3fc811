//! OpenSSH through `i2p-socks connect`, to a server behind a server tunnel of i2pd.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use i2p_name::B32;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use crate::{
    interop::{LEASE_SET, checks::Report, payload, proxy::Proxy},
    lab::{
        router::Router,
        wait::{Attempt, until},
    },
    programs,
};

/// Where the server listens, for the router alone. The namespace is ours.
const PORT: u16 = 2222;
/// Keys of the server's destinations: one more, since i2pd publishes some never.
const KEYS: [&str; 2] = ["ssh-1.keys", "ssh-2.keys"];
/// What the command is given to read.
const INPUT: usize = 300_000;
/// How long a program may take to start, and to end.
const START: Duration = Duration::from_secs(20);
const SESSION: Duration = Duration::from_secs(90);
/// Where sshd wants to lock up the part of it that faces the network; made by Debian's unit, which we do not start.
const EMPTY: &str = "/run/sshd";

/// Server tunnels that lead to the server.
pub(super) fn tunnels() -> String {
    let tunnel = |keys| {
        format!(
            "[{keys}]\ntype = server\nhost = 127.0.0.1\nport = {PORT}\nkeys = {keys}\ninbound.length = 1\n\
             outbound.length = 1\ninbound.quantity = 4\noutbound.quantity = 4\n"
        )
    };
    KEYS.map(tunnel).concat()
}

/// A server with keys of its own, killed when this is dropped.
pub(super) struct Server {
    directory: PathBuf,
    _process: Child,
}

impl Server {
    /// Starts it, with its files below `lab`.
    pub(super) async fn start(lab: &Path) -> Result<Self> {
        let directory = lab.join("ssh");
        fs::create_dir_all(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        fs::create_dir_all(EMPTY).with_context(|| {
            format!(
                "sshd needs {EMPTY}, which only root can make: run this as root, outside of user namespaces"
            )
        })?;
        for key in ["host-key", "user-key"] {
            let path = directory.join(key);
            let _left_by_the_attempt_before = fs::remove_file(&path);
            let mut command = Command::new(find("ssh-keygen")?);
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "interop", "-f"]).arg(&path);
            let made = command.stdin(Stdio::null()).status().await?;
            ensure!(made.success(), "ssh-keygen ended with {made}");
        }
        let at = |name: &str| directory.join(name).display().to_string();
        let configuration = format!(
            "ListenAddress 127.0.0.1:{PORT}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n",
            at("host-key"),
            at("user-key.pub")
        );
        fs::write(directory.join("sshd_config"), configuration)?;
        let output = fs::File::create(directory.join("sshd.log"))?;
        let mut process = Command::new(find("sshd")?)
            .args(["-D", "-e", "-f"])
            .arg(directory.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("could not start sshd")?;
        until("sshd listens", START, async || {
            if let Some(status) = process.try_wait()? {
                bail!("it has ended ({status}): {}", fs::read_to_string(directory.join("sshd.log"))?);
            }
            Ok(Attempt::of(TcpStream::connect(("127.0.0.1", PORT)).await.map(drop)))
        })
        .await?;
        Ok(Self { directory, _process: process })
    }
}

fn find(program: &str) -> Result<PathBuf> {
    programs::find(program).with_context(|| format!("{program} is missing"))
}

pub(super) async fn run(report: &mut Report, server: &Server, far: &Router, proxy: &Proxy, program: &Path) {
    let name = "ssh with ProxyCommand i2p-socks connect, to sshd behind a tunnel of i2pd";
    report.check(name, session(server, far, proxy, program)).await;
}

/// A command there with input from here: what it says is known.
async fn session(server: &Server, far: &Router, proxy: &Proxy, program: &Path) -> Result<()> {
    let input = payload::bytes("ssh", INPUT);
    fs::write(server.directory.join("input"), &input)?;
    let expected = format!("{}  -\nended\n", payload::sum(&input));
    let mut why = None;
    for keys in KEYS {
        let host = far.destination_of(keys)?.b32();
        let said = until("ssh gets through", LEASE_SET, async || {
            let Output { status, stdout, stderr } = ssh(server, &host, proxy, program).await?;
            // Its own way to say that the connection failed.
            if status.code() == Some(255) {
                return Ok(Attempt::NotYet(String::from_utf8_lossy(&stderr).trim().to_owned()));
            }
            ensure!(status.code() == Some(7), "it ended with {status}: {}", String::from_utf8_lossy(&stderr));
            Ok(Attempt::Done(String::from_utf8_lossy(&stdout).into_owned()))
        });
        match said.await {
            Ok(said) => {
                ensure!(said == expected, "the command said {said:?}");
                return Ok(());
            }
            Err(error) => {
                println!("  {error:#}; again by another tunnel");
                why = Some(error);
            }
        }
    }
    Err(why.context("there are no tunnels")?)
}

async fn ssh(server: &Server, host: &B32, proxy: &Proxy, program: &Path) -> Result<Output> {
    let directory = &server.directory;
    let key = fs::read_to_string(directory.join("host-key.pub"))?;
    fs::write(directory.join("known_hosts"), format!("{host} {key}"))?;
    let line = format!(
        "ProxyCommand='{}' connect --state-dir '{}' %h %p",
        program.display(),
        proxy.state_dir().display()
    );
    let mut command = Command::new(find("ssh")?);
    command
        .args(["-F", "none", "-o", &line, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i"])
        .arg(directory.join("user-key"))
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", directory.join("known_hosts").display()))
        .args(["-o", "IdentitiesOnly=yes", "-l", "root", &host.to_string(), "sha256sum; echo ended; exit 7"])
        .stdin(fs::File::open(directory.join("input"))?)
        .kill_on_drop(true);
    timeout(SESSION, command.output()).await.context("it takes too long")?.context("could not start ssh")
}
