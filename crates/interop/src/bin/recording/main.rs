//! `cargo xtask recording`: runs the demo of the README on a terminal and draws what the terminal shows as `docs/demo.svg`.
//!
//! The programs are real, and run in a namespace without a network. `script` of util-linux gives each a terminal.

#![forbid(unsafe_code)]

mod picture;
mod screen;

use std::{
    env, fs,
    path::Path,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lab::{
    namespace::{self, Namespaces},
    suite::Suite,
};
use programs::{Program, Workspace, install_missing};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

use self::screen::{COLUMNS, Screen};

/// This suite.
const SUITE: Suite = Suite { name: "recording", namespaces: Namespaces::Network };
/// What it runs.
const PROGRAMS: [Program; 4] =
    [("curl", "curl"), ("script", "bsdutils"), ("ip", "iproute2"), ("unshare", "util-linux")];
/// The picture, from the workspace's root.
const FILE: &str = "docs/demo.svg";
/// The command that runs until the end, and what it prints last before it serves.
const DEMO: (&str, &str) = ("i2p-socks demo", "Ctrl-C ends the demo");
/// The commands that run beside it: a page, a failure as SOCKS reports it, and the status, which has its reason in words.
const COMMANDS: [&str; 3] = [
    "curl --socks5-hostname 127.0.0.1:4450 http://demo.i2p/",
    "curl --socks5-hostname 127.0.0.1:4450 http://nobody.i2p/",
    "i2p-socks status",
];
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    SUITE.main(outside, async |workspace, lab| {
        let picture = record(workspace, lab).await?;
        let path = workspace.root().join(FILE);
        fs::write(&path, picture).with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {FILE}");
        Ok(())
    })
}

/// Prepares what needs the internet. The rest runs inside, without.
fn outside(workspace: &Workspace) -> Result<()> {
    install_missing(&PROGRAMS, workspace)?;
    workspace.build_proxy()?;
    SUITE.run_inside(workspace, &[])
}

/// Runs the commands one after the other. Returns the picture.
async fn record(workspace: &Workspace, lab: &Path) -> Result<String> {
    namespace::set_up(&[])?;
    let mut screen = Screen::new();
    let (command, ready) = DEMO;
    let mut demo = start(command, workspace, lab)?;
    show(&mut screen, command, &mut demo, Some(ready)).await?;
    for command in COMMANDS {
        let mut program = start(command, workspace, lab)?;
        show(&mut screen, command, &mut program, None).await?;
    }
    demo.kill().await?;
    Ok(picture::svg(&screen.history()))
}

/// Starts a command on a terminal of its own.
fn start(command: &str, workspace: &Workspace, lab: &Path) -> Result<Child> {
    let proxy = workspace.proxy();
    let directory = proxy.parent().context("the proxy has no directory")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(directory.to_owned()).chain(env::split_paths(&path)))?;
    Command::new("script")
        .args(["--quiet", "--flush", "--command", &format!("stty cols {COLUMNS} rows 40; exec {command}")])
        .arg("/dev/null")
        .env("PATH", path)
        .env("HOME", lab)
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {command}"))
}

/// Shows a prompt with the command and what the command prints, until it ends or has printed this line.
async fn show(screen: &mut Screen, command: &str, program: &mut Child, until: Option<&str>) -> Result<()> {
    screen.prompt(command);
    let output = program.stdout.as_mut().context("no output")?;
    let (start, mut bytes) = (Instant::now(), vec![0; 4096]);
    loop {
        let left = LIMIT.saturating_sub(start.elapsed());
        let read = timeout(left, output.read(&mut bytes)).await;
        // A terminal whose programs have ended is an error to read.
        let count = read.with_context(|| format!("{command} takes too long"))?.unwrap_or(0);
        screen.print(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()), start.elapsed());
        match until {
            Some(text) if screen.shows(text) => return Ok(()),
            None if count == 0 => return Ok(()),
            _ if count == 0 => bail!("{command} has ended:\n{}", screen.text()),
            _ => {}
        }
    }
}
