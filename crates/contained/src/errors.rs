//! What languages say of connections that fail. `crates/i2p-socks/tests/it/exec/connections.rs` has the same for system calls.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{process::Command as AsyncCommand, time::timeout};

use crate::machine::Machine;

/// How long all connections of one language may take. One of them is answered by nobody for 7 s.
const TIMEOUT: Duration = Duration::from_secs(60);
/// So that the kernel reports a time-out after 7 s.
const CONFIGURATION: &str = "[limits]\ndial = '5s'\n[[tunnel]]\nlisten = ['127.0.0.1:0']\n";
/// The hosts: the router says of the first three that the destination has refused, cannot be reached, and has not answered in time. It
/// does not know the fourth. The others are outside.
const HOSTS: [&str; 6] =
    ["refused.i2p", "gone.i2p", "slow.i2p", "unknown.i2p", "198.51.100.7", "2001:db8:7::7"];
const RESULTS: [&str; 3] = ["CONNECTION_REFUSED", "CANT_REACH_PEER", "TIMEOUT"];

/// A language.
struct Language {
    name: &'static str,
    /// The port of its bridge.
    port: u16,
    /// A command in the directory of the suite's programs.
    command: &'static str,
    /// What it says of each host.
    errors: [&'static str; 6],
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "Go",
        port: 7657,
        command: "./errors-go",
        errors: [
            "connect: connection refused",
            "connect: no route to host",
            "connect: connection timed out",
            "no such host",
            "connect: no route to host",
            "connect: permission denied",
        ],
    },
    Language {
        name: "Java NIO",
        port: 7658,
        command: "java Errors",
        errors: [
            "java.net.ConnectException: Connection refused",
            "java.net.NoRouteToHostException: No route to host",
            "java.net.ConnectException: Connection timed out",
            "java.net.UnknownHostException",
            "java.net.NoRouteToHostException: No route to host",
            "Permission denied",
        ],
    },
    Language {
        name: "Node",
        port: 7659,
        command: "node errors.js",
        errors: ["ECONNREFUSED", "EHOSTUNREACH", "ETIMEDOUT", "ENOTFOUND", "EHOSTUNREACH", "EACCES"],
    },
];

/// Runs all of them, side by side.
pub(crate) async fn check(machine: &Machine, programs: &Path) -> Result<()> {
    let before = machine.left()?;
    let [go, java, node] = &LANGUAGES;
    tokio::try_join!(
        connect(machine, programs, go),
        connect(machine, programs, java),
        connect(machine, programs, node)
    )?;
    let after = machine.left()?;
    ensure!(after.elsewhere == before.elsewhere, "{} packets left", after.elsewhere - before.elsewhere);
    Ok(())
}

/// Has a language connect to each host, over a bridge of its own.
async fn connect(machine: &Machine, programs: &Path, language: &Language) -> Result<()> {
    let bridge = TestBridge::start().await;
    for (host, result) in HOSTS.iter().zip(RESULTS) {
        bridge.host(host, Endpoint::Sink);
        bridge.once("STREAM CONNECT", Act::refuse(&format!("STREAM STATUS RESULT={result}")));
    }
    let mut command = machine.exec_on((&bridge, language.port), CONFIGURATION, programs)?;
    let line = format!("cd \"$0\" && exec {} \"$@\"", language.command);
    command.args(["--", "sh", "-c", &line]).arg(programs).args(HOSTS);
    command.stdin(Stdio::null());
    let output = AsyncCommand::from(command).kill_on_drop(true).output();
    let output =
        timeout(TIMEOUT, output).await.with_context(|| format!("{} does not end", language.name))??;
    let said = String::from_utf8_lossy(&output.stdout);
    for (host, error) in HOSTS.iter().zip(language.errors) {
        let found = said.lines().find(|line| line.starts_with(&format!("{host}: ")));
        ensure!(
            found.is_some_and(|line| line.contains(error)),
            "{}: {host} should be {error:?}, but it says:\n{said}{}",
            language.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    println!("ok   {} is told what happened, in its own words", language.name);
    Ok(())
}
