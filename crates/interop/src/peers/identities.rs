//! The identities that a service in I2P sees: of two tunnels, of two users of a Unix socket, and of a tunnel with datagrams whose
//! lease set is not published. They need a proxy with a configuration of its own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use lab::{
    association::Association,
    curl::{Curl, Wrapper},
    proxy::Proxy,
    requests::first_request,
};
use tempfile::TempDir;

use super::outages;
use crate::checklist::Checklist;

/// Where the two tunnels listen.
const ONE: &str = "127.0.0.1:4452";
const TWO: &str = "127.0.0.1:4453";
/// The numbers of two users other than root. The users need not exist.
const USERS: [&str; 2] = ["61001", "61002"];

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
    // Every user may enter this directory, unlike that of the lab.
    let curl = Curl::new(Path::new("/"))?;
    let arguments = ["--fail", "--proxy", proxy, url];
    let finished = match user {
        None => curl.run(&arguments).await?,
        Some(user) => curl.run_wrapped(&as_user(user)?, &arguments).await?,
    };
    String::from_utf8(finished.succeeded()?).context("not an address")
}

fn as_user(user: &str) -> Result<Wrapper> {
    let arguments = ["--reuid", user, "--regid", user, "--clear-groups", "--"];
    Ok(Wrapper {
        program: programs::find("setpriv").context("setpriv is missing")?,
        arguments: arguments.map(String::from).to_vec(),
        variables: Vec::new(),
    })
}

async fn datagrams_come_back(echo: &str) -> Result<()> {
    let mut client = Association::open(TWO, echo).await?;
    outages::first_echo(&mut client).await
}
