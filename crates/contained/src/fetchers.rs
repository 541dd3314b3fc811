//! Programs that fetch something and end.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    process::Command as AsyncCommand,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    far_end::{FarEnd, OUTSIDE_ADDRESS, OUTSIDE_NAME, PAGE, SITE},
    machine::{Machine, Way},
};

/// How long a program may take for all that it tries. A second is usual.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many run at once.
const AT_ONCE: usize = 4;

/// A program.
#[derive(Clone, Copy)]
struct Fetcher {
    name: &'static str,
    way: Way,
    /// Fetches the page of `$host`. `$0` is the directory of the suite's programs.
    line: &'static str,
    /// What it says of a name that does not exist, and of an address that cannot be reached.
    errors: [&'static str; 2],
}

impl Fetcher {
    /// One that uses the running proxy.
    const fn new(name: &'static str, line: &'static str, errors: [&'static str; 2]) -> Self {
        Self { name, way: Way::Proxy, line, errors }
    }

    /// The same with sessions of its own.
    const fn with_own_sessions(self, name: &'static str) -> Self {
        Self { name, way: Way::Own, ..self }
    }
}

const CURL: Fetcher =
    Fetcher::new("curl", "curl -sS -v http://$host/", ["Could not resolve host", "No route to host"]);
const JAVA: Fetcher =
    Fetcher::new("Java", "java -cp $0 Fetch $host", ["UnknownHostException", "NoRouteToHostException"]);

const FETCHERS: [Fetcher; 10] = [
    CURL,
    CURL.with_own_sessions("curl with sessions of its own"),
    Fetcher::new(
        "wget",
        "wget -t 1 -O - http://$host/",
        ["unable to resolve host address", "No route to host"],
    ),
    Fetcher::new(
        "git",
        "git clone --quiet git://$host/project.git $host && git -C $host log",
        ["unable to look up", "No route to host"],
    ),
    Fetcher::new(
        "ssh",
        "cp $0/key . && chmod 600 key && ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$0/known_hosts \
         -o IdentitiesOnly=yes -i key root@$host cat page",
        ["Could not resolve hostname", "No route to host"],
    ),
    Fetcher::new("a Go program without C", "$0/fetch-go $host", ["no such host", "no route to host"]),
    Fetcher::new(
        "a C program with musl",
        "$0/fetch-c $host",
        ["Name does not resolve", "Host is unreachable"],
    ),
    Fetcher::new("Python's asyncio", "python3 $0/fetch.py $host", ["Name or service not known", "Errno 113"]),
    JAVA,
    JAVA.with_own_sessions("Java with sessions of its own"),
];

/// Precedes what a program says of a host.
const MARK: &str = "== ";

/// Runs all of them contained, and then not contained.
pub(crate) async fn check(machine: &Machine, far_end: &FarEnd, programs: &Path) -> Result<()> {
    far_end.write_ssh_files(programs)?;
    let outside = OUTSIDE_ADDRESS.to_string();
    let before = machine.left()?;
    let all = [SITE, OUTSIDE_NAME, &outside];
    let contained = FETCHERS.map(|fetcher| {
        let mut command = machine.exec(fetcher.way, programs);
        command.arg("--").args(words(&fetcher, programs, &all));
        (fetcher, command)
    });
    side_by_side(contained, |fetcher, said| {
        let [site, by_name, by_address] = said;
        ensure!(site.contains(PAGE), "it gets no page from I2P: {site}");
        for (said, error) in [by_name, by_address].into_iter().zip(fetcher.errors) {
            ensure!(!said.contains(PAGE), "it gets a page from outside");
            ensure!(said.contains(error), "it does not say {error:?}: {said}");
        }
        Ok(())
    })
    .await?;
    let after = machine.left()?;
    ensure!(after.elsewhere == before.elsewhere, "{} packets left", after.elsewhere - before.elsewhere);
    ensure!(after.to_sam > before.to_sam, "no packets to the bridge were counted");
    println!(
        "ok   {} packets went to the bridge, none elsewhere, in {} sessions",
        after.to_sam - before.to_sam,
        machine.sessions()
    );
    let mut uncontained = Vec::new();
    for fetcher in FETCHERS {
        let mut command = machine.uncontained("sh", fetcher.name)?;
        command.args(words(&fetcher, programs, &all).into_iter().skip(1));
        uncontained.push((fetcher, command));
    }
    side_by_side(uncontained, |_, said| {
        let [site, by_name, by_address] = said;
        ensure!(!site.contains(PAGE), "it gets a page from I2P");
        ensure!(by_name.contains(PAGE), "it does not reach a name outside: {by_name}");
        ensure!(by_address.contains(PAGE), "it does not reach an address outside: {by_address}");
        Ok(())
    })
    .await?;
    let counted = machine.left()?.elsewhere - after.elsewhere;
    println!("ok   {counted} packets of the same programs without exec were counted");
    ensure!(counted > 0, "what leaves is not counted");
    Ok(())
}

/// The command with which a shell runs a program for each of these hosts.
fn words(fetcher: &Fetcher, programs: &Path, hosts: &[&str]) -> Vec<String> {
    let line = format!("cd && for host; do echo \"{MARK}\"; {{ {}; }} 2>&1; done", fetcher.line);
    let programs = programs.display().to_string();
    ["sh", "-c", &line, &programs].iter().chain(hosts).map(ToString::to_string).collect()
}

/// Runs commands, a few at once, and judges what each says of the three hosts.
async fn side_by_side(
    commands: impl IntoIterator<Item = (Fetcher, Command)>,
    judge: impl Fn(&Fetcher, [&str; 3]) -> Result<()>,
) -> Result<()> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (fetcher, command) in commands {
        let room = Arc::clone(&room);
        running.spawn(async move {
            let _place = room.acquire().await;
            let start = Instant::now();
            (fetcher, output(command).await, start.elapsed())
        });
    }
    let mut failed = 0;
    while let Some(ended) = running.join_next().await {
        let (fetcher, output, time) = ended?;
        let judged = output.and_then(|output| {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let parts: Vec<_> = said.split(MARK).skip(1).collect();
            let Ok(parts) = parts.try_into() else {
                bail!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
            };
            judge(&fetcher, parts)
        });
        match judged {
            Ok(()) => println!("ok   {} ({:.1} s)", fetcher.name, time.as_secs_f64()),
            Err(error) => {
                failed += 1;
                println!("FAIL {}: {error:#}", fetcher.name);
            }
        }
    }
    ensure!(failed == 0, "{failed} programs failed");
    Ok(())
}

async fn output(mut command: Command) -> Result<Output> {
    command.stdin(Stdio::null());
    let output = AsyncCommand::from(command).kill_on_drop(true).output();
    timeout(TIMEOUT, output).await.context("it does not end")?.context("it cannot be started")
}
