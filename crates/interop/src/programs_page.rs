//! The commands of `docs/programs.md`, run as the page shows them.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    site::{self, Site},
    wait::{Attempt, until},
};
use programs::{Program, Workspace};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::checklist::Checklist;

/// The page, from the workspace's root.
const PAGE_FILE: &str = "docs/programs.md";
/// The section with the commands.
const SECTION: &str = "## Run by our tests";
/// The site of the page's commands.
const EXAMPLE_HOST: &str = "example.i2p";
/// How long a command may take. One or two seconds are usual.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// What the commands need.
pub(crate) const PROGRAMS: [Program; 15] = [
    ("wget", "wget"),
    ("wget2", "wget2"),
    ("aria2c", "aria2"),
    ("w3m", "w3m"),
    ("lynx", "lynx"),
    ("lftp", "lftp"),
    ("git", "git"),
    ("ncat", "ncat"),
    ("nc.openbsd", "netcat-openbsd"),
    ("socat", "socat"),
    ("python3", "python3"),
    ("/usr/lib/python3/dist-packages/requests/__init__.py", "python3-requests"),
    ("/usr/lib/python3/dist-packages/socks.py", "python3-socks"),
    ("/usr/lib/python3/dist-packages/httpx/__init__.py", "python3-httpx"),
    ("/usr/lib/python3/dist-packages/socksio/__init__.py", "python3-socksio"),
];

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    program: String,
    command: String,
}

/// Runs each command.
pub(crate) async fn check(checklist: &mut Checklist, workspace: &Workspace, lab: &Path, site: &Site) {
    let page = fs::read_to_string(workspace.root().join(PAGE_FILE)).unwrap_or_default();
    let rows = rows(&page);
    let has_commands = async {
        ensure!(!rows.is_empty(), "there is no table below {SECTION:?}");
        Ok(())
    };
    checklist.check(&format!("{PAGE_FILE} has commands"), has_commands).await;
    for (number, row) in rows.iter().enumerate() {
        let directory = lab.join(format!("programs/{number}"));
        checklist.check(&format!("{PAGE_FILE}: {}", row.program), run(row, &directory, site)).await;
    }
}

/// The rows of the first table of the section.
fn rows(page: &str) -> Vec<Row> {
    let section = page.split_once(SECTION).map_or("", |(_, rest)| rest);
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.filter_map(row).collect()
}

/// A row whose second cell is a command.
fn row(line: &str) -> Option<Row> {
    let (program, command) = line.strip_prefix("| ")?.strip_suffix("` |")?.split_once(" | `")?;
    Some(Row { program: program.into(), command: command.into() })
}

/// Runs a command until the site's page is there. A command that fails is run once more, since a tunnel may have died meanwhile.
async fn run(row: &Row, directory: &Path, site: &Site) -> Result<()> {
    let Err(first) = attempt(row, directory, site).await else { return Ok(()) };
    println!("     {}: run once more ({first:#})", row.program);
    attempt(row, directory, site).await
}

async fn attempt(row: &Row, directory: &Path, site: &Site) -> Result<()> {
    let _from_an_earlier_attempt = fs::remove_dir_all(directory);
    fs::create_dir_all(directory)?;
    let mut running = Running::start(&row.command.replace(EXAMPLE_HOST, &site.host), directory)?;
    let shown = expected(row);
    let outcome = running.until_shown(shown, &site.host).await;
    running.end().await?;
    outcome
}

/// What a command shows.
fn expected(row: &Row) -> &'static str {
    if row.command.contains(".git") { site::BRANCH } else { "Hello from the far end of I2P." }
}

/// A command in its directory, with what it starts.
struct Running {
    child: Child,
    directory: PathBuf,
}

impl Running {
    fn start(command: &str, directory: &Path) -> Result<Self> {
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("TERM", "dumb")])
            .env("HOME", directory)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(stdout)?)
            .stderr(fs::File::create(stderr)?)
            // So that it can be ended together with what it has started.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("could not start the shell")?;
        Ok(Self { child, directory: directory.into() })
    }

    /// Waits until a text is in what the command has printed, or in a file that it has written. Commands that connect and do nothing
    /// else send a request that is typed.
    async fn until_shown(&mut self, text: &str, host: &str) -> Result<()> {
        let mut input = self.child.stdin.take().context("no stdin")?;
        // Most commands do not read it.
        let _ = input.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        let shown = until("the page", COMMAND_TIMEOUT, async || {
            if self.shows(text)? {
                return Ok(Attempt::Done(()));
            }
            match self.child.try_wait()? {
                // It may have written in between.
                Some(_) if self.shows(text)? => Ok(Attempt::Done(())),
                Some(status) => bail!("it ended ({}) without the page: {}", describe(status), self.errors()),
                None => Ok(Attempt::NotYet("it is not there".into())),
            }
        });
        shown.await.with_context(|| self.errors())
    }

    fn shows(&self, text: &str) -> Result<bool> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.is_file() && String::from_utf8_lossy(&fs::read(&path)?).contains(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap_or_default().trim().to_owned()
    }

    /// Ends the command and what it has started.
    async fn end(&mut self) -> Result<()> {
        if let Some(group) = self.child.id() {
            Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status().await?;
        }
        self.child.wait().await?;
        Ok(())
    }
}

fn describe(status: std::process::ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_with_a_command_are_run() {
        let page = format!(
            "| no | `section` |\n{SECTION}\n\ntext\n\n| program | command |\n|---|---|\n| curl, twice | `curl -x a b` |\n\
             | none | see there |\n\n| another | `table` |\n"
        );
        let expected = Row { program: "curl, twice".into(), command: "curl -x a b".into() };
        assert_eq!(rows(&page), [expected]);
    }

    #[test]
    fn the_commands_of_the_page_use_the_proxy_and_the_example() {
        let page =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE_FILE)).unwrap();
        let rows = rows(&page);
        assert!(rows.len() > 10, "{rows:?}");
        for Row { program, command } in rows {
            assert!(command.contains("4450") && command.contains(EXAMPLE_HOST), "{program}: {command}");
        }
    }
}
