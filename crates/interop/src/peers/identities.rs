//! The identities that a service in I2P sees: of two tunnels, of two users of a Unix socket, and of a tunnel with datagrams whose
//! lease set is not published. They need a proxy with a configuration of its own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use lab::{association::Association, proxy::Proxy, requests::first_request};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::datagrams;
use crate::checklist::Checklist;

/// Where the two tunnels listen.
const ONE: &str = "127.0.0.1:4452";
const TWO: &str = "127.0.0.1:4453";
/// The numbers of two users other than root. The users need not exist.
const USERS: [&str; 2] = ["61001", "61002"];
/// How long a session may take beside others, together with a page through it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(150);

/// One tunnel also on a Unix socket for the users of this machine; the other one with an identity of its own and with datagrams.
fn configuration(socket: &Path) -> String {
    format!(
        "[session]\nlength = 1\nquantity = 2\n\
         [[tunnel]]\nname = \"one\"\nlisten = [\"{ONE}\", \"unix:{}\"]\nunix-mode = \"0666\"\n\
         [[tunnel]]\nname = \"two\"\nlisten = [\"{TWO}\"]\nsession = \"dedicated\"\nudp = \"datagram\"\n",
        socket.display()
    )
}

/// A proxy with two tunnels.
pub(super) struct Identities {
    pub(super) proxy: Proxy,
    socket: PathBuf,
    /// Every user may enter it, unlike the directory of the lab.
    _directory: TempDir,
}

impl Identities {
    /// Starts the proxy, with its files below `lab`.
    pub(super) async fn start(program: &Path, lab: &Path, bridge: &Bridge) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("interop-").tempdir()?;
        fs::set_permissions(&directory, Permissions::from_mode(0o711))?;
        let socket = directory.path().join("socks");
        let lab = lab.join("identities");
        fs::create_dir_all(&lab)?;
        let places = [ONE.to_owned(), format!("unix:{}", socket.display()), TWO.to_owned()];
        let proxy =
            Proxy::start_as_configured(program, &lab, bridge, &places, &configuration(&socket)).await?;
        Ok(Self { proxy, socket, _directory: directory })
    }

    /// Runs the checks, with a site that responds with the address of its client, and an echo for datagrams.
    pub(super) async fn check(&self, checklist: &mut Checklist, site: &str, echo: &str) {
        let unpublished =
            "UDP ASSOCIATE: an echo for a tunnel without \"incoming\", whose lease set is not published";
        let separate = "the site sees two tunnels and two users of a Unix socket as four destinations";
        checklist.check(unpublished, datagrams_come_back(echo)).await;
        checklist.check(separate, self.are_separate(site)).await;
    }

    async fn are_separate(&self, site: &str) -> Result<()> {
        let url = format!("http://{site}/who");
        let socket = format!("socks5h://localhost{}", self.socket.display());
        let clients = [
            (None, format!("socks5h://{ONE}")),
            (None, format!("socks5h://{TWO}")),
            (USERS.first(), socket.clone()),
            (USERS.last(), socket),
        ];
        let url = &url;
        let [one, two, alice, bob] = clients.each_ref().map(|(user, proxy)| {
            first_request("the first request of a tunnel or user", async || {
                who(user.copied(), proxy, url).await
            })
        });
        let (one, two, alice, bob) = tokio::try_join!(one, two, alice, bob)?;
        let mut all = vec![&one, &two, &alice, &bob];
        ensure!(all.iter().all(|address| address.ends_with(".b32.i2p")), "not addresses: {all:?}");
        all.sort_unstable();
        all.dedup();
        ensure!(all.len() == clients.len(), "one: {one}, two: {two}, users: {alice} and {bob}");
        for ((user, proxy), before) in clients.iter().zip([&one, &two, &alice, &bob]) {
            let now = who(user.copied(), proxy, url).await?;
            ensure!(now == *before, "{proxy} {user:?} comes from {before}, and then from {now}");
        }
        Ok(())
    }
}

/// Runs curl as this user and returns the address that the site sees.
async fn who(user: Option<&str>, proxy: &str, url: &str) -> Result<String> {
    let find = |program| programs::find(program).with_context(|| format!("{program} is missing"));
    let curl = find("curl")?;
    let mut command = match user {
        None => Command::new(curl),
        Some(user) => {
            let mut command = Command::new(find("setpriv")?);
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(curl);
            command
        }
    };
    command
        .args(["-q", "--silent", "--show-error", "--fail", "--max-time", "140", "--proxy", proxy, url])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(SESSION_TIMEOUT, command.output()).await.context("it takes too long")??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl exited with {}: {}", output.status, stderr.trim());
    String::from_utf8(output.stdout).context("not an address")
}

async fn datagrams_come_back(echo: &str) -> Result<()> {
    let mut client = Association::open(TWO, echo).await?;
    datagrams::first_echo(&mut client).await
}
