//! `docs/performance.md`: the results, and all that is needed to judge them.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    first_byte::{LATENCY, Latency},
    measure::{Measure, Results},
    plan::{MANY, Plan},
    plot,
    subjects::Subject,
    table,
};
use crate::{Workspace, invocation::Invocation};

/// Where the page and its picture are, below the workspace's root.
const FILE: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance.svg";

/// The machine and the programs of a run.
pub(crate) struct Circumstances {
    /// Name and value.
    lines: Vec<(String, String)>,
}

impl Circumstances {
    /// What this machine says of itself and of the subjects.
    pub(crate) fn look(workspace: &Workspace) -> Result<Self> {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let first = |program: &str| -> Result<String> {
            let output = Invocation::new(program, workspace.root()).arg("--version").output()?;
            Ok(output.lines().next().unwrap_or_default().to_owned())
        };
        let processor = value(&file("/proc/cpuinfo"), "model name", ':');
        let cores = std::thread::available_parallelism().context("no number of cores")?;
        let system = value(&file("/etc/os-release"), "PRETTY_NAME", '=').replace('"', "");
        let load = file("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
        let mut lines = vec![
            ("machine".into(), format!("{processor}, {cores} cores")),
            ("system".into(), format!("{system}, Linux {}", file("/proc/sys/kernel/osrelease").trim())),
            ("load before the run".into(), format!("{load} (what others did; 0 is a quiet machine)")),
            ("compilers".into(), format!("{}; {}", first("rustc")?, first("cc")?)),
        ];
        for subject in Subject::ALL.into_iter().chain([Subject::I2pd]) {
            if let Some(version) = subject.version(workspace)? {
                lines.push((subject.title().into(), version));
            }
        }
        Ok(Self { lines })
    }
}

/// The value behind a name in a file of such lines.
fn value(text: &str, name: &str, separator: char) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(separator));
    line.unwrap_or("unknown").trim().to_owned()
}

/// What is printed: targets and tables.
pub(crate) fn summary(results: &Results, plan: &Plan, latency: &Latency) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{}",
        table::results(results),
        table::targets(results, plan),
        table::growth(results),
        book(results),
        first_byte(results, latency)
    )
}

/// What the address book costs.
pub(crate) fn book(results: &Results) -> String {
    table::book(results)
}

/// The link with latency and what was found on it, or why there was none.
pub(crate) fn first_byte(results: &Results, latency: &Latency) -> String {
    match latency {
        Latency::Was([before, after]) => format!(
            "{}\nA round trip over the link, by connecting with TCP: {:.1} ms before, {:.1} ms after.\n",
            table::first_byte(results),
            before.as_secs_f64() * 1e3,
            after.as_secs_f64() * 1e3
        ),
        Latency::Absent(why) => {
            format!(
                "Not measured: there is no TUN on the machine of this run, which makes the link ({why}).\n"
            )
        }
    }
}

/// Writes the page and its picture.
pub(crate) fn write(
    workspace: &Workspace,
    results: &Results,
    plan: &Plan,
    circumstances: &Circumstances,
    latency: &Latency,
) -> Result<()> {
    let page = render(results, plan, circumstances, latency);
    for (file, text) in [(FILE, page), (PICTURE, plot::svg(results))] {
        let path = workspace.root().join(file);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {file}");
    }
    Ok(())
}

/// What was found by hand, and decided for it; to be looked at again when the code that it speaks of changes. It is printed
/// beside the numbers of whatever run: what differs from run to run is for the tables to say.
const PROFILES: &str = include_str!("profiles.md");

fn render(results: &Results, plan: &Plan, circumstances: &Circumstances, latency: &Latency) -> String {
    let Plan {
        rounds,
        window,
        round_trips,
        turns,
        messages,
        idle,
        session_connections,
        starts,
        fetches,
        rest,
        ..
    } = plan;
    let most = plan.most();
    let (seconds, rest) = (window.as_secs_f64(), rest.as_secs());
    let lines: String =
        circumstances.lines.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let targets = table::targets(results, plan);
    let (table, growth, book) = (table::results(results), table::growth(results), table::book(results));
    let (first_byte, one_way) = (first_byte(results, latency), LATENCY.as_millis());
    let (round_trip, silence) = (one_way * 2, one_way * 3);
    let peers = Subject::PEERS.map(Subject::title).join(", ");
    let picture = Path::new(PICTURE).file_name().unwrap_or_default().display().to_string();
    format!(
        "\
# What it costs

Written by `cargo xtask bench --write`; do not edit. `cargo xtask bench` measures again and prints what is below;
`cargo xtask bench --short` takes a minute, sees that everything still runs, and is what `cargo xtask ci` does; `--link`
measures the first byte on a link with latency, and nothing else. No number fails a run, unless it cannot be: another machine
is another race.

## Targets

Ratios are medians of the ratios of the rounds: noise hits all who run in one round alike.

{targets}
## All numbers

Medians of {rounds} rounds, with the least and the greatest in brackets. Peers are {peers}; \"to best
peer\" is to the one with the best median, \"to splice\" to the splice relay.

{table}
* **The work** is the same for all, on loopback, in a network namespace of its own; clients and service run on the same cores.
  In each round every subject has its turn at each work before the next work begins. The far end is one service, which speaks
  first.
* **i2p-socks** (release profile, without the embedded router) has a SAM bridge behind it that answers at once and then is
  the service itself, on the same connection. Each connection through it takes a second TCP connection and two SAM exchanges,
  where the peers dial TCP and no more. Neither the bridge nor the service counts: CPU and memory are of the proxy alone.
* **splice relay** is `xtask/peers/splice-relay.c`: splice(2) through pipes of 1 MiB, a thread for each direction, no protocol.
  fast-socks5 is `xtask/peers/fast-socks5`, the smallest server that the crate makes. microsocks and Dante are Debian's.
* **Bulk**: {seconds} s of data over 1 and over {MANY} connections. Who sends calls write(2) with 256 KiB, who takes drops what
  comes in the kernel. \"Both ways\" counts the bytes of both.
* **CPU** is user and system time of all processes of the proxy (`/proc/PID/stat`).
* **Round trips**: {turns} times {round_trips} messages of 64 bytes on one connection, one after the other, from write to
  read.
* **Connections per second**: {MANY} clients connect in a loop, read the service's first byte, send one, and read its end. A
  proxy that leaves Nagle's algorithm on holds that first byte back for 40 ms.
* **Memory** is resident (`Pss` of `smaps_rollup`, so that what Dante's processes share counts once), of a fresh proxy, by
  which each of {idle} connections has carried a message and rests; less what it has with one, divided by the rest.
* **Descriptors**: of those connections. Who has more than two for each is looked at again until it has not, for {rest} s: what is
  kept for the next connection is closed without one.
* **Held**: {most} connections at once; then each is used.
* **Start to ready**: from starting the program to its line `socks ADDRESS ready`, {starts} times in each round.

## The first byte on a link with latency

Pages from a site in a private network of real i2pd routers, through ours on the SAM bridge of a router and through the SOCKS
port of the same router.

{first_byte}
* **The link** takes {one_way} ms each way, so a round trip takes {round_trip} ms. It lies between two network namespaces: in one
  are client, both proxies and their router, in the other the site, its router and the one that keeps the network database. The
  namespaces are joined by two TUN devices, between which `cargo xtask bench` itself carries the packets, in their order and
  each that much later (`xtask/src/lab/latency.rs`; what netem does, on any kernel). None was lost. Its clock ticks in
  milliseconds, so that times that differ by less than 2 % are the same.
* **The time** is from connecting to the proxy until the first byte of the answer to a request that is sent when the proxy has
  replied. {fetches} times by each address, each time on a new connection, the proxies in turns; the ratio is the median of
  the ratios of the turns. A connection and a request are two round trips over the link, whoever carries them; before each the
  link has been silent for {silence} ms.
* **Tunnels** are the same for both: one each way, without hops, built before. Hops would add the same to both.

## How it grows

![Memory and CPU time against connections and sessions, time of lookups against names in the address book]({picture})

{messages} messages or more go over all connections in turn, so that none is warmer than the others; credentials make the
sessions, and {session_connections} connections go over them in turn. Medians:

{growth}
The address book, which is one file, by itself: 10,000 names all over it, one after the other, each time after it was opened
anew. Opening reads and checks every page, once in each start of the proxy. What else it costs: `cargo bench -p i2p-address-book`.

{book}
{PROFILES}
## Where

| | |
|---|---|
{lines}"
    )
}

/// One line on what a measurement came to, for who waits.
pub(crate) fn progress(results: &Results, measure: Measure) -> String {
    let of = |subject: Subject| {
        let last = results.values(measure, subject).last()?;
        Some(format!("{} {}", subject.title(), super::statistics::shown(*last)))
    };
    format!("  {measure}: {}", Subject::ALL.into_iter().filter_map(of).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::measure::Address;

    #[test]
    fn values_behind_names() {
        assert_eq!(value("processor\t: 0\nmodel name\t: AMD EPYC\n", "model name", ':'), "AMD EPYC");
        assert_eq!(value("NAME=\"x\"\nPRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME", '='), "\"Debian 12\"");
        assert_eq!(value("", "model name", ':'), "unknown");
    }

    #[test]
    fn the_page_has_everything() {
        let mut results = Results::default();
        results.record(Measure::Rate, Subject::Ours, 5000.0).unwrap();
        let circumstances = Circumstances { lines: vec![("machine".into(), "a small one".into())] };
        results.record(Measure::FirstByte(Address::Name), Subject::I2pd, 202.5).unwrap();
        let latency = Latency::Was([Duration::from_micros(101_250), Duration::from_micros(100_500)]);
        let text = render(&results, &Plan::FULL, &circumstances, &latency);
        for part in [
            "cargo xtask bench --write",
            "| connections per second | 5000 |",
            "| target | measured |",
            "](performance.svg)",
            "| machine | a small one |\n",
            "2 s of data over 1 and over 16 connections",
            "| first byte by name, ms | – | 202 | – |\n",
            "takes 50 ms each way, so a round trip takes 100 ms",
            "101.2 ms before, 100.5 ms after.\n",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with('|') || line.chars().count() <= 130), "{text}");
        assert!(!PROFILES.contains("this run"), "it is printed beside the numbers of any run");
        let absent =
            render(&results, &Plan::FULL, &circumstances, &Latency::Absent("/dev/net/tun: gone".into()));
        assert!(absent.contains("Not measured: there is no TUN on the machine of this run"), "{absent}");
        assert!(progress(&results, Measure::Rate).ends_with("second: i2p-socks 5000"));
    }
}
