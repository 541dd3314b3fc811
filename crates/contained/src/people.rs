//! Programs that people sit in front of: browsers, a chat program, a shell with job control.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{process::Command as AsyncCommand, time::timeout};

use crate::{
    far_end::{FarEnd, OUTSIDE_ADDRESS, OUTSIDE_NAME, SITE, STUN},
    machine::{Machine, Way},
};

/// How long a conversation may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A browser, and the options of `exec` and of itself. Without a sandbox around it, it runs as root, which needs others.
struct Browser {
    name: &'static str,
    exec: &'static [&'static str],
    command: &'static str,
    as_root: &'static str,
}

const BROWSERS: [Browser; 2] = [
    Browser { name: "firefox", exec: &[], command: "firefox-esr --headless", as_root: "" },
    // With its own sandbox: it does not start without one unless it is told so.
    Browser {
        name: "chromium",
        exec: &["--allow-unix"],
        command: "chromium --headless --no-first-run",
        as_root: "--no-sandbox",
    },
];

/// Runs all of them contained, and then the browsers and the chat program not contained.
pub(crate) async fn check(machine: &Machine, far_end: &FarEnd, programs: &Path) -> Result<()> {
    let before = machine.left()?;
    let [firefox, chromium] = &BROWSERS;
    tokio::try_join!(
        browse(machine, far_end, programs, firefox),
        browse(machine, far_end, programs, chromium),
        chat(machine, far_end, programs),
        control_jobs(machine, programs),
    )?;
    let after = machine.left()?;
    ensure!(after.elsewhere == before.elsewhere, "{} packets left", after.elsewhere - before.elsewhere);
    ensure!(!far_end.was_reported(STUN), "a browser has asked a STUN server");
    println!("ok   {} packets went to the bridge, none elsewhere", after.to_sam - before.to_sam);
    tokio::try_join!(
        browse_uncontained(machine, far_end, firefox),
        browse_uncontained(machine, far_end, chromium),
        chat_uncontained(machine, far_end, programs),
    )?;
    let counted = machine.left()?.elsewhere - after.elsewhere;
    ensure!(counted > 0, "what leaves is not counted");
    far_end.reported(STUN).await?;
    println!("ok   {counted} packets of the same programs without exec were counted");
    Ok(())
}

/// Opens the page that reports what a browser reaches.
async fn browse(machine: &Machine, far_end: &FarEnd, programs: &Path, browser: &Browser) -> Result<()> {
    let mut command = machine.exec(Way::Proxy, programs);
    let report = format!("{}-contained", browser.name);
    let line = format!("exec {} http://{SITE}/browser#{report}", browser.command);
    command.args(browser.exec).args(["--", "sh", "-c", &line]);
    let outcomes = report_of(command, far_end, &report, machine).await?;
    ensure!(outcomes == " page failed failed failed", "{} reaches:{outcomes}", browser.name);
    println!("ok   {} shows a page of I2P, and reaches nothing else", browser.name);
    Ok(())
}

/// The same without `exec`: the page is one of the host outside.
async fn browse_uncontained(machine: &Machine, far_end: &FarEnd, browser: &Browser) -> Result<()> {
    let report = format!("{}-uncontained", browser.name);
    let mut command = machine.uncontained("sh", &report)?;
    let line =
        format!("cd && exec {} {} http://{OUTSIDE_NAME}/browser#{report}", browser.command, browser.as_root);
    command.args(["-c", &line]);
    let outcomes = report_of(command, far_end, &report, machine).await?;
    // Chromium does not use IPv6 where it thinks that it leads nowhere.
    ensure!(outcomes.starts_with(" failed page page"), "{} reaches:{outcomes}", browser.name);
    println!("ok   without exec, {} reaches the host outside", browser.name);
    Ok(())
}

/// Runs a browser until its page has reported.
async fn report_of(
    mut command: Command,
    far_end: &FarEnd,
    report: &str,
    machine: &Machine,
) -> Result<String> {
    let log = machine.log(report)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut browser = AsyncCommand::from(command).kill_on_drop(true).spawn()?;
    tokio::select! {
        outcomes = far_end.reported(report) => outcomes,
        ended = browser.wait() => bail!("{report} has ended ({})", ended?),
    }
}

/// What WeeChat is told to connect to. It calls itself by these names there.
fn chat_command(prefix: &str) -> Vec<String> {
    let outside = OUTSIDE_ADDRESS.to_string();
    let servers = [("site", SITE), ("name", OUTSIDE_NAME), ("address", &outside)];
    let mut words = vec!["weechat".to_owned()];
    for (server, host) in servers {
        for line in [
            format!("/server add {server} {host}/6667 -notls -nicks={prefix}{server}"),
            format!("/connect {server}"),
        ] {
            words.extend(["-r".to_owned(), line]);
        }
    }
    words
}

async fn chat(machine: &Machine, far_end: &FarEnd, programs: &Path) -> Result<()> {
    let mut command = machine.exec(Way::Proxy, programs);
    command.args(["--env", "TERM=vt100", "--"]).args(chat_command("contained-"));
    // In the order of their buffers, which are drawn one after the other.
    let conversation = ["expect connection refused", "expect \"outside.example\" not found"];
    tokio::try_join!(
        converse(machine, programs, &conversation, &command),
        far_end.reported("NICK contained-site")
    )?;
    for server in ["name", "address"] {
        ensure!(
            !far_end.was_reported(&format!("NICK contained-{server}")),
            "it reaches the server by {server}"
        );
    }
    println!("ok   WeeChat registers with a server in I2P, and with no other");
    Ok(())
}

async fn chat_uncontained(machine: &Machine, far_end: &FarEnd, programs: &Path) -> Result<()> {
    let mut command = machine.uncontained("env", "weechat")?;
    command.arg("TERM=vt100").args(chat_command("loose-"));
    let conversation = ["expect \"site.i2p\" not found"];
    tokio::try_join!(
        converse(machine, programs, &conversation, &command),
        far_end.reported("NICK loose-name"),
        far_end.reported("NICK loose-address"),
    )?;
    println!("ok   without exec, WeeChat registers with the servers outside");
    Ok(())
}

/// Stops a job, lets it go on, gives it the terminal, and fetches a page in the background.
const JOBS: [&str; 15] = [
    "expect contained$",
    "type sh -c 'echo sta''rted; read word; echo got \\\"$word\\\"'\\n",
    "expect started",
    "type \\x1a",
    "expect Stopped",
    "type curl -sS http://$SITE/ > page & wait $!; cat page\\n",
    "expect the page of the far end",
    "type curl -sS -v http://198.51.100.7/\\n",
    "expect No route to host",
    "type fg\\n",
    "expect read word",
    "type hello\\n",
    "expect got hello",
    "type sleep 1000 & kill $!; wait $!; echo en''ded $?\\n",
    "expect ended 143",
];

async fn control_jobs(machine: &Machine, programs: &Path) -> Result<()> {
    let mut command = machine.exec(Way::Own, programs);
    command.args([
        "--env",
        "PS1=contained$ ",
        "--env",
        &format!("SITE={SITE}"),
        "--",
        "bash",
        "--norc",
        "-i",
    ]);
    converse(machine, programs, &JOBS, &command).await?;
    println!("ok   a shell has job control, and its jobs reach I2P and nothing else");
    Ok(())
}

/// Runs a command on a terminal.
async fn converse(machine: &Machine, programs: &Path, lines: &[&str], command: &Command) -> Result<()> {
    let mut driver = machine.beside("python3");
    driver.arg(programs.join("terminal.py")).args(lines).arg("--");
    driver.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        driver.envs(value.map(|value| (name, value)));
    }
    let output = AsyncCommand::from(driver).kill_on_drop(true).output();
    let output = timeout(TIMEOUT, output).await.context("the conversation does not end")??;
    ensure!(output.status.success(), "{lines:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_exec_shows_how_browsers_are_started() {
        let page = include_str!("../../../docs/exec.md");
        for Browser { name, exec, command, .. } in BROWSERS {
            let program = command.split(' ').next().unwrap();
            let words = [&["i2p-socks", "exec"], exec, &["--", program]].concat();
            assert!(page.contains(&format!("`{}`", words.join(" "))), "{name}: {words:?}");
        }
    }
}
