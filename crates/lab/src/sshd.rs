//! An OpenSSH server with keys of its own.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use programs::Program;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::wait::{Attempt, until};

/// What it needs.
pub const PROGRAMS: [Program; 2] = [("sshd", "openssh-server"), ("ssh-keygen", "openssh-client")];
/// The files of its keys, in its directory. The part for others has the suffix `.pub`.
const HOST_KEY: &str = "host-key";
const USER_KEY: &str = "user-key";
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The directory in which sshd confines its part that faces the network. Debian's unit makes it, but we do not start that.
const PRIVILEGE_SEPARATION_DIRECTORY: &str = "/run/sshd";

/// A running server. Dropping it kills the server.
pub struct Server {
    directory: PathBuf,
    _process: Child,
}

impl Server {
    /// Starts it at this address, with its files in `directory`. What clients ask for runs in the directory `home` below
    /// that. Returns once it listens.
    pub async fn start(directory: PathBuf, address: SocketAddr) -> Result<Self> {
        fs::create_dir_all(directory.join("home"))?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        fs::create_dir_all(PRIVILEGE_SEPARATION_DIRECTORY).with_context(|| {
            format!(
                "sshd needs {PRIVILEGE_SEPARATION_DIRECTORY}, which only root can make: run this as root, outside of user \
                 namespaces"
            )
        })?;
        make_keys(&directory).await?;
        fs::write(directory.join("sshd_config"), configuration(&directory, address))?;
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
        until("sshd listens", START_TIMEOUT, async || {
            if let Some(status) = process.try_wait()? {
                bail!("it has exited ({status}): {}", fs::read_to_string(directory.join("sshd.log"))?);
            }
            Ok(Attempt::of(TcpStream::connect(address).await.map(drop)))
        })
        .await?;
        Ok(Self { directory, _process: process })
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory in which clients find themselves.
    pub fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// The key with which a client is admitted as root.
    pub fn user_key(&self) -> PathBuf {
        self.directory.join(USER_KEY)
    }

    /// A line of `known_hosts` for the server under this name.
    pub fn known_host(&self, name: &str) -> Result<String> {
        Ok(format!("{name} {}", fs::read_to_string(self.directory.join(HOST_KEY).with_extension("pub"))?))
    }
}

async fn make_keys(directory: &Path) -> Result<()> {
    for key in [HOST_KEY, USER_KEY] {
        let path = directory.join(key);
        let _from_an_earlier_attempt = fs::remove_file(&path);
        let mut command = Command::new(find("ssh-keygen")?);
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(&path);
        let made = command.stdin(Stdio::null()).status().await?;
        ensure!(made.success(), "ssh-keygen exited with {made}");
    }
    Ok(())
}

fn configuration(directory: &Path, address: SocketAddr) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    format!(
        "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}.pub\nPidFile none\nStrictModes no\nUsePAM no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\nForceCommand cd '{}' && eval \"$SSH_ORIGINAL_COMMAND\"\n",
        at(HOST_KEY),
        at(USER_KEY),
        at("home"),
    )
}

/// Finds a program of OpenSSH.
pub fn find(program: &str) -> Result<PathBuf> {
    programs::find(program).with_context(|| format!("{program} is missing"))
}
