//! The commands of `docs/programs.md`, run as the page shows them.

mod command;
mod evidence;
mod files;
mod home;
mod table;
mod torrent;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use i2p_sam::Bridge;
use lab::{
    proxy::{ADMIN_URL, Proxy},
    site::Site,
    sshd::Server,
    wait::{Attempt, until},
};
use programs::{Program, Workspace};

use self::{
    command::Running,
    evidence::{Evidence, needs_terminal},
    files::files,
    home::Machine,
    table::{Row, rows},
};
use crate::{checklist::Checklist, far_end::FarEnd, name_server::NameServer};

/// The page, from the workspace's root.
const PAGE_FILE: &str = "docs/programs.md";
/// The section with the commands that work and ask no name server.
const SAFE: &str = "## Run by our tests\n";
/// The section with the commands that ask a name server.
const UNSAFE: &str = "## Settings that ask your DNS server\n";
/// The section with commands that take long to install.
const BY_HAND: &str = "## Run by hand\n";
/// How the setting for a whole shell begins.
const SETTING: &str = "export http_proxy=";
/// What the result of such a command says if the command asks a name server.
const ASKS: &str = "asks your DNS server";
/// The site of the page's commands, and its base32 address.
const EXAMPLE_HOST: &str = "example.i2p";
const EXAMPLE_B32: &str = "EXAMPLE.b32.i2p";
/// The SAM bridge of the page's commands.
const EXAMPLE_BRIDGE: &str = "127.0.0.1:7656";
/// What each command gets from the site.
const GREETING: &str = "Hello from the far end of I2P.";
/// What a command sends as a letter.
const LETTER: &str = "This letter goes through I2P.\n";
/// How long a command may take. One or two seconds are usual.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Where sshd listens. The namespace is ours, so that the port is free.
pub(crate) const SSH_PORT: u16 = 2223;
/// How many names of the site the proxy knows, one for each command.
const NAMES: usize = 80;
/// What the commands need.
pub(crate) const PROGRAMS: [Program; 26] = [
    ("wget", "wget"),
    ("wget2", "wget2"),
    ("aria2c", "aria2"),
    ("yt-dlp", "yt-dlp"),
    ("w3m", "w3m"),
    ("lynx", "lynx"),
    ("lftp", "lftp"),
    ("git", "git"),
    ("ssh", "openssh-client"),
    ("scp", "openssh-client"),
    ("rsync", "rsync"),
    ("ncat", "ncat"),
    ("nc.openbsd", "netcat-openbsd"),
    ("socat", "socat"),
    ("irssi", "irssi"),
    ("weechat", "weechat-curses"),
    ("msmtp", "msmtp"),
    ("mutt", "mutt"),
    ("python3", "python3"),
    ("/usr/lib/python3/dist-packages/requests/__init__.py", "python3-requests"),
    ("/usr/lib/python3/dist-packages/socks.py", "python3-socks"),
    ("/usr/lib/python3/dist-packages/httpx/__init__.py", "python3-httpx"),
    ("/usr/lib/python3/dist-packages/socksio/__init__.py", "python3-socksio"),
    ("/usr/lib/python3/dist-packages/aiohttp/__init__.py", "python3-aiohttp"),
    ("/usr/lib/python3/dist-packages/aiohttp_socks/__init__.py", "python3-aiohttp-socks"),
    ("/usr/share/nodejs/undici/index.js", "node-undici"),
];

/// What the commands need that are run by hand.
pub(crate) const BY_HAND_PROGRAMS: [Program; 7] = [
    ("firefox-esr", "firefox-esr"),
    ("go", "golang-go"),
    ("javac", "default-jdk-headless"),
    ("monerod", "monero"),
    ("qbittorrent-nox", "qbittorrent-nox"),
    ("syncthing", "syncthing"),
    ("transmission-cli", "transmission-cli"),
];
/// Debian 12 has no Bitcoin Core. This derivative of it has the same network code, and comes from [`BITCOIN_RELEASE`].
pub(crate) const BITCOIN: Program = ("bitcoind", "bitcoin-knots");
pub(crate) const BITCOIN_RELEASE: &str = "sid";

/// What the commands run against.
pub(crate) struct Surroundings<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) lab: &'a Path,
    pub(crate) proxy: &'a Proxy,
    pub(crate) far_end: &'a FarEnd,
    pub(crate) name_server: &'a NameServer,
    pub(crate) site: &'a Site,
    /// The address of the SAM bridge that the proxy uses.
    pub(crate) bridge: String,
}

impl<'a> Surroundings<'a> {
    /// Where the programs run, the proxy with its bridge, the services outside I2P, and the site in I2P.
    pub(crate) fn new(
        (workspace, lab): (&'a Workspace, &'a Path),
        (proxy, bridge): (&'a Proxy, &Bridge),
        (far_end, name_server): (&'a FarEnd, &'a NameServer),
        site: &'a Site,
    ) -> Self {
        Self { workspace, lab, proxy, far_end, name_server, site, bridge: bridge.address().to_string() }
    }
}

/// Configuration that gives the site one name for each command, so that a name shows which command asked for it.
pub(crate) fn configuration(site: &Site) -> String {
    let line = |number| format!("\"{}\" = \"{}\"\n", name(number), site.b32);
    format!("[names.static]\n{}", (0..NAMES).map(line).collect::<String>())
}

fn name(number: usize) -> String {
    format!("command-{number}.i2p")
}

/// Runs each command. Those that are run by hand only `with_by_hand`.
pub(crate) async fn check(checklist: &mut Checklist, surroundings: &Surroundings<'_>, with_by_hand: bool) {
    let Surroundings { workspace, lab, proxy, .. } = surroundings;
    let page = fs::read_to_string(workspace.root().join(PAGE_FILE)).unwrap_or_default();
    let directory = lab.join("programs");
    let mut server = None;
    let start = async {
        fs::create_dir_all(&directory)?;
        server = Some(Server::start(directory.join("ssh"), (Ipv4Addr::LOCALHOST, SSH_PORT).into()).await?);
        Ok(())
    };
    checklist.check("a server for ssh starts", start).await;
    let Some(server) = server else { return };
    let (mut machine, mut commands) = (None, Vec::new());
    let prepare = async {
        commands = all_commands(&page, with_by_hand)?;
        machine = Some(Machine::new(workspace, &directory, proxy, &server, files(&page)).await?);
        Ok(())
    };
    checklist.check(&format!("{PAGE_FILE} has commands"), prepare).await;
    let Some(machine) = machine else { return };
    let runs = commands.into_iter().enumerate().map(|(number, (row, asks))| {
        let home = directory.join(number.to_string());
        Run { row, asks, home, host: name(number), machine: &machine, surroundings }
    });
    // Those that wait for a session run beside the others.
    let (slow, fast): (Vec<_>, Vec<_>) = runs.partition(|run| needs_session(&run.row));
    let mut slow_checklist = Checklist::default();
    tokio::join!(run_all(checklist, fast), run_all(&mut slow_checklist, slow));
    checklist.add(&slow_checklist);
    println!("     the name server was asked for {}", surroundings.name_server.asked().join(" "));
}

async fn run_all(checklist: &mut Checklist, runs: Vec<Run<'_>>) {
    for run in runs {
        let name =
            format!("{PAGE_FILE}: {}{}", run.row.program, if run.asks { ", which asks DNS" } else { "" });
        if run.asks {
            checklist.check(&name, run.asks_name_server()).await;
        } else {
            checklist.check(&name, run.works()).await;
        }
    }
}

/// Checks whether a command sends credentials that no other command has sent, so that the proxy opens a session for it.
fn needs_session(row: &Row) -> bool {
    ["SOCKS4A", "@127.0.0.1"].iter().any(|word| row.command.contains(word))
}

/// The commands of the page, and whether each asks the name server.
fn all_commands(page: &str, with_by_hand: bool) -> Result<Vec<(Row, bool)>> {
    let (safe, not_safe) = (rows(page, SAFE), rows(page, UNSAFE));
    ensure!(!safe.is_empty() && !not_safe.is_empty(), "there is no table below {SAFE:?} or {UNSAFE:?}");
    let by_hand = if with_by_hand { rows(page, BY_HAND) } else { Vec::new() };
    let by_hand = by_hand.into_iter().map(|row| {
        let asks = row.program.contains(ASKS);
        (row, asks)
    });
    let safe = safe.into_iter().chain([shell_setting(page)?]).map(|row| (row, false));
    let all: Vec<_> = safe.chain(not_safe.into_iter().map(|row| (row, true))).chain(by_hand).collect();
    ensure!(all.len() <= NAMES, "there are more commands than names");
    Ok(all)
}

/// The setting for a whole shell, with a command that fetches from the site through the proxy, and from a server of this machine
/// without it.
fn shell_setting(page: &str) -> Result<Row> {
    let setting =
        page.lines().find(|line| line.starts_with(SETTING)).context("no setting for a whole shell")?;
    let command = format!("{setting}; curl -sf {ADMIN_URL}live && curl -s http://{EXAMPLE_HOST}/");
    Ok(Row { program: "one setting for a whole shell".to_owned(), command })
}

/// One command.
struct Run<'a> {
    row: Row,
    /// Whether it asks the name server.
    asks: bool,
    home: PathBuf,
    /// The site's name for this command.
    host: String,
    machine: &'a Machine<'a>,
    surroundings: &'a Surroundings<'a>,
}

impl Run<'_> {
    /// Runs the command until there is evidence that it works. A command that fails is run once more, since a tunnel may have died
    /// meanwhile. Fails if it has asked the name server.
    async fn works(&self) -> Result<()> {
        if let Err(first) = self.attempt().await {
            println!("     {}: run once more ({first:#})", self.row.program);
            self.attempt().await?;
        }
        let name_server = self.surroundings.name_server;
        ensure!(!name_server.was_asked_for(&self.host), "it has asked the name server for the site");
        Ok(())
    }

    async fn attempt(&self) -> Result<()> {
        let (far_end, evidence) = (self.surroundings.far_end, Evidence::of(&self.row));
        let mark = far_end.mark();
        let _mail = evidence.is_mail().then(|| far_end.expect_mail());
        let mut running = self.start().await?;
        let outcome = until("the result", COMMAND_TIMEOUT, async || {
            if self.is_there(&running, &evidence, mark)? {
                return Ok(Attempt::Done(()));
            }
            match running.ended()? {
                // It may have come in between.
                Some(_) if self.is_there(&running, &evidence, mark)? => Ok(Attempt::Done(())),
                Some(ended) => bail!("no result: {ended}"),
                None => Ok(Attempt::NotYet("it is not there".into())),
            }
        })
        .await;
        let outcome = outcome.with_context(|| running.errors());
        running.end().await?;
        outcome
    }

    /// Checks whether there is evidence that came after `mark`.
    fn is_there(&self, running: &Running, evidence: &Evidence, mark: usize) -> Result<bool> {
        match evidence {
            Evidence::Shown(text) => running.shows(text),
            Evidence::Received(text) => Ok(self.surroundings.far_end.received_since(mark).contains(text)),
        }
    }

    /// Runs the command until the name server is asked for the site.
    async fn asks_name_server(&self) -> Result<()> {
        let mut running = self.start().await?;
        let outcome = until("a question to the name server", COMMAND_TIMEOUT, async || {
            let ended = running.ended()?;
            if self.surroundings.name_server.was_asked_for(&self.host) {
                return Ok(Attempt::Done(()));
            }
            ended.map_or(Ok(Attempt::NotYet("none yet".into())), |ended| bail!("none: {ended}"))
        })
        .await;
        running.end().await?;
        outcome
    }

    async fn start(&self) -> Result<Running> {
        self.machine.make_home(&self.home, &self.host)?;
        let command = self.row.command.replace(EXAMPLE_HOST, &self.host);
        let command = command.replace(EXAMPLE_B32, &self.surroundings.site.b32);
        let command = command.replace(EXAMPLE_BRIDGE, &self.surroundings.bridge);
        let terminal = needs_terminal(&self.row);
        let mut running = Running::start(&command, &self.home, &self.machine.programs, terminal)?;
        if !terminal {
            running.type_request(&self.host).await?;
        }
        Ok(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE_FILE)).unwrap()
    }

    #[test]
    fn the_commands_of_the_page_use_the_proxy_and_the_example() {
        let (safe, not_safe) = (rows(&page(), SAFE), rows(&page(), UNSAFE));
        assert!(safe.len() > 20 && not_safe.len() > 3, "{safe:?} {not_safe:?}");
        for Row { program, command } in safe.iter().chain(&not_safe) {
            // What goes over ssh is configured in one place.
            let over_ssh = ["ssh", "scp", "rsync", "Git, over ssh"].contains(&program.as_str());
            assert!(command.contains("4450") || over_ssh, "{program}: {command}");
            assert!(command.contains(EXAMPLE_HOST), "{program}: {command}");
        }
    }
}
