//! OpenSSH through `i2p-socks connect`, to a server behind a server tunnel of i2pd.

use std::{fs, net::Ipv4Addr, path::Path, process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_name::B32;
use lab::{
    payload,
    proxy::Proxy,
    router::Router,
    sshd::{self, Server},
    wait::{Attempt, Patience, until_with},
};
use tokio::process::Command;

use crate::checklist::Checklist;

/// Where the server listens for the router. The namespace is ours, so that the port is free.
const PORT: u16 = 2222;
/// The keys of two destinations of the server, since i2pd does not publish each one, see [`lab::site`].
const KEYS: [&str; 2] = ["ssh-1.keys", "ssh-2.keys"];
/// The input of the command on the server.
const INPUT_BYTES: usize = 300_000;
/// How long it may take until a command has run over a new path; a second is usual. A stream over a dead tunnel may hang.
const PATIENCE: Patience = Patience { whole: Duration::from_secs(120), attempt: Duration::from_secs(40) };
/// What ssh prints when the server or the proxy is at fault, not the path.
const FINAL_FAILURES: [&str; 2] = ["Permission denied", "verification failed"];

/// A `ProxyCommand` of ssh.
struct ProxyCommand {
    name: &'static str,
    /// An option of `i2p-socks connect`.
    connect_option: &'static str,
    /// Whether ssh takes over the connection of its command, for its option `ProxyUseFdpass`.
    use_fd_pass: &'static str,
}

const PROXY_COMMANDS: [ProxyCommand; 2] = [
    ProxyCommand { name: "i2p-socks connect", connect_option: "", use_fd_pass: "no" },
    ProxyCommand { name: "i2p-socks connect --fd-pass", connect_option: "--fd-pass", use_fd_pass: "yes" },
];

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

/// Starts the server, with its files below `lab`.
pub(super) async fn start_server(lab: &Path) -> Result<Server> {
    Server::start(lab.join("ssh"), (Ipv4Addr::LOCALHOST, PORT).into()).await
}

pub(super) async fn check(
    checklist: &mut Checklist,
    server: &Server,
    router: &Router,
    proxy: &Proxy,
    program: &Path,
) {
    for command in &PROXY_COMMANDS {
        let name = format!("ssh with ProxyCommand {}, to sshd behind a tunnel of i2pd", command.name);
        checklist.check(&name, run_command(server, router, proxy, program, command)).await;
    }
}

/// Runs a command on the server with input from here, and checks its output.
async fn run_command(
    server: &Server,
    router: &Router,
    proxy: &Proxy,
    program: &Path,
    proxy_command: &ProxyCommand,
) -> Result<()> {
    let input = payload::bytes("ssh", INPUT_BYTES);
    fs::write(server.directory().join("input"), &input)?;
    let expected = format!("{}  -\nended\n", payload::sum(&input));
    let mut failure = None;
    for keys in KEYS {
        let host = router.tunnel_destination(keys)?.b32();
        let output = until_with("ssh connects", PATIENCE, async || {
            Ok(attempt_of(ssh(server, &host, proxy, program, proxy_command).await?))
        });
        match output.await {
            Ok(output) => return check_output(&output, &expected),
            Err(error) => {
                println!("  {error:#}; trying another tunnel");
                failure = Some(error);
            }
        }
    }
    Err(failure.context("there are no tunnels")?)
}

fn check_output(Output { status, stdout, stderr }: &Output, expected: &str) -> Result<()> {
    ensure!(status.code() == Some(7), "it exited with {status}: {}", String::from_utf8_lossy(stderr));
    let printed = String::from_utf8_lossy(stdout);
    ensure!(printed == expected, "the command printed {printed:?}");
    Ok(())
}

/// Tells a path that does not work yet from an end of ssh.
fn attempt_of(output: Output) -> Attempt<Output> {
    let errors = String::from_utf8_lossy(&output.stderr);
    // The exit code of ssh for a connection that failed.
    if output.status.code() == Some(255) && !FINAL_FAILURES.iter().any(|failure| errors.contains(failure)) {
        return Attempt::NotYet(errors.trim().to_owned());
    }
    Attempt::Done(output)
}

async fn ssh(
    server: &Server,
    host: &B32,
    proxy: &Proxy,
    program: &Path,
    proxy_command: &ProxyCommand,
) -> Result<Output> {
    let directory = server.directory();
    fs::write(directory.join("known_hosts"), server.known_host(&host.to_string())?)?;
    let line = format!(
        "ProxyCommand='{}' connect {} --state-dir '{}' %h %p",
        program.display(),
        proxy_command.connect_option,
        proxy.state_dir().display()
    );
    let mut command = Command::new(sshd::find("ssh")?);
    command
        .args(["-F", "none", "-o", &line, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i"])
        .arg(server.user_key())
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", directory.join("known_hosts").display()))
        .arg("-o")
        .arg(format!("ProxyUseFdpass={}", proxy_command.use_fd_pass))
        .args(["-o", "IdentitiesOnly=yes", "-l", "root", &host.to_string(), "sha256sum; echo ended; exit 7"])
        .stdin(fs::File::open(directory.join("input"))?)
        .kill_on_drop(true);
    command.output().await.context("could not start ssh")
}
