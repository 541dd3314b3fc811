//! Who is whom to a service in I2P: two tunnels, two users of a Unix socket, and a tunnel that has datagrams and no lease set that
//! others could look up. A proxy of its own: what it is made of is its configuration.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::{association::Association, datagrams};
use crate::{
    interop::{checks::Report, proxy::Proxy},
    programs,
};

/// Where the two tunnels listen.
const ONE: &str = "127.0.0.1:4452";
const TWO: &str = "127.0.0.1:4453";
/// Two users that are not root. Nobody has to have these numbers.
const USERS: [&str; 2] = ["61001", "61002"];
/// How long a session may take beside others, and the page through it.
const SESSION: Duration = Duration::from_secs(150);

/// One tunnel also for users of this machine; the other one with an identity of its own, and datagrams.
fn configuration(socket: &Path) -> String {
    format!(
        "[session]\nlength = 1\nquantity = 2\n\
         [[tunnel]]\nname = \"one\"\nlisten = [\"{ONE}\", \"unix:{}\"]\nunix-mode = \"0666\"\n\
         [[tunnel]]\nname = \"two\"\nlisten = [\"{TWO}\"]\nsession = \"dedicated\"\nudp = \"datagram\"\n",
        socket.display()
    )
}

/// A proxy and what it was made with.
pub(super) struct Identities {
    pub(super) proxy: Proxy,
    socket: PathBuf,
    /// Where every user may go, unlike the lab.
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

    /// Runs the checks, against a site that says who asks and an echo of datagrams.
    pub(super) async fn run(&self, report: &mut Report, site: &str, echo: &str) {
        let unpublished =
            "UDP ASSOCIATE: an echo for a tunnel without \"incoming\", which nobody can look up";
        let strangers = "two tunnels and two users of a Unix socket are four destinations to the site";
        report.check(unpublished, datagrams_come_back(echo)).await;
        report.check(strangers, self.are_apart(site)).await;
    }

    async fn are_apart(&self, site: &str) -> Result<()> {
        let url = format!("http://{site}/who");
        let socket = format!("socks5h://localhost{}", self.socket.display());
        let ways = [
            (None, format!("socks5h://{ONE}")),
            (None, format!("socks5h://{TWO}")),
            (USERS.first(), socket.clone()),
            (USERS.last(), socket),
        ];
        let [one, two, alice, bob] = ways.each_ref().map(|(user, proxy)| who(user.copied(), proxy, &url));
        let (one, two, alice, bob) = tokio::try_join!(one, two, alice, bob)?;
        let mut all = vec![&one, &two, &alice, &bob];
        ensure!(all.iter().all(|address| address.ends_with(".b32.i2p")), "no addresses: {all:?}");
        all.sort_unstable();
        all.dedup();
        ensure!(all.len() == ways.len(), "one: {one}, two: {two}, users: {alice} and {bob}");
        for ((user, proxy), before) in ways.iter().zip([&one, &two, &alice, &bob]) {
            let now = who(user.copied(), proxy, &url).await?;
            ensure!(now == *before, "{proxy} {user:?} comes from {before}, and then from {now}");
        }
        Ok(())
    }
}

/// The address that the site sees, of curl as this user.
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
    let output = timeout(SESSION, command.output()).await.context("it takes too long")??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl ended with {}: {}", output.status, stderr.trim());
    String::from_utf8(output.stdout).context("no address")
}

async fn datagrams_come_back(echo: &str) -> Result<()> {
    let mut client = Association::open(TWO, echo).await?;
    datagrams::first_echo(&mut client).await
}
