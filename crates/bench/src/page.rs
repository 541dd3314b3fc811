//! Writes `docs/performance.md`: the results, and what a reader needs to judge them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use programs::{Invocation, Workspace};

use crate::{
    contained,
    first_byte::{LATENCY, LinkCheck},
    measure::{Measure, Results},
    networks,
    plan::{MANY, Plan},
    plot,
    running::version,
    section::Section,
    statistics::format_number,
    subject::Subject,
    table, web_page,
};

/// The page and its picture, below the root of the workspace.
const FILE: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance.svg";

/// The machine and the programs of a run.
pub(crate) struct Environment {
    /// Names and values.
    lines: Vec<(String, String)>,
}

impl Environment {
    /// Describes this machine and the versions of the subjects.
    pub(crate) fn of_this_machine(workspace: &Workspace) -> Result<Self> {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let version_line = |program: &str| -> Result<String> {
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
            ("load before the run".into(), format!("{load} (of other programs; 0 is a quiet machine)")),
            ("compilers".into(), format!("{}; {}", version_line("rustc")?, version_line("cc")?)),
        ];
        for subject in Subject::ALL.into_iter().chain([Subject::I2pd]) {
            if let Some(version) = version(subject, workspace)? {
                lines.push((subject.title().into(), version));
            }
        }
        Ok(Self { lines })
    }
}

/// Finds the value of a name in a file of such lines.
fn value(text: &str, name: &str, separator: char) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(separator));
    line.unwrap_or("unknown").trim().to_owned()
}

/// The targets and tables, as they are printed.
pub(crate) fn summary(results: &Results, plan: &Plan, link: &LinkCheck) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{}",
        table::results(results),
        table::targets(results, plan),
        table::growth(results),
        book(results),
        first_byte(results, link)
    )
}

/// The cost of the address book.
pub(crate) fn book(results: &Results) -> String {
    table::book(results)
}

/// The results on the link with latency, or why there are none.
pub(crate) fn first_byte(results: &Results, link: &LinkCheck) -> String {
    match link {
        LinkCheck::RoundTrips([before, after]) => format!(
            "{}\nA round trip over the link, measured by connecting with TCP: {:.1} ms before, {:.1} ms after.\n",
            table::first_byte(results),
            before.as_secs_f64() * 1e3,
            after.as_secs_f64() * 1e3
        ),
        LinkCheck::NoTun(reason) => {
            format!("Not measured: the link needs TUN, which this machine does not have ({reason}).\n")
        }
    }
}

/// Writes the page and its picture.
pub(crate) fn write(
    workspace: &Workspace,
    results: &Results,
    plan: &Plan,
    environment: &Environment,
    link: &LinkCheck,
) -> Result<()> {
    let old = fs::read_to_string(workspace.root().join(FILE)).unwrap_or_default();
    let carried_over =
        [&contained::SECTION, &web_page::SECTION, &networks::SECTION].map(|section| section.carry_over(&old));
    let page = render(results, plan, environment, link, &carried_over.concat());
    for (file, text) in [(FILE, page), (PICTURE, plot::svg(results))] {
        let path = workspace.root().join(file);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        println!("written: {file}");
    }
    Ok(())
}

/// Replaces the table of one version of i2pd in a section of the page.
pub(crate) fn replace_table(workspace: &Workspace, section: &Section, table: &str) -> Result<()> {
    let path = workspace.root().join(FILE);
    let page = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    fs::write(&path, section.replace(&page, table))
        .with_context(|| format!("could not write {}", path.display()))?;
    println!("written: {FILE}");
    Ok(())
}

/// What was found by hand, and the decisions that follow. To be checked again when the code that it describes changes. The page
/// shows it beside the results of any run, so it has no numbers of a run.
const PROFILES: &str = include_str!("profiles.md");

fn render(
    results: &Results,
    plan: &Plan,
    environment: &Environment,
    link: &LinkCheck,
    carried_over: &str,
) -> String {
    format!(
        "{}{}{}{carried_over}{}{PROFILES}\n{}",
        targets(results, plan),
        all_results(results, plan),
        link_with_latency(results, plan, link),
        growth(results, plan),
        environment_table(environment)
    )
}

fn targets(results: &Results, plan: &Plan) -> String {
    let targets = table::targets(results, plan);
    format!(
        "\
# What it costs

Written by `cargo xtask bench --write`; do not edit. `cargo xtask bench` measures again and prints the same tables.
`cargo xtask bench --short`, a step of `cargo xtask ci`, takes a minute and checks that everything still runs. `--link` measures
only the time to first byte on a link with latency. Three sections are written by commands of their own: a contained program by
`--contained --write`, a page with objects by `--page --write`, lossy and slow networks by `--networks --write`. `--write` keeps
them. Results depend on the machine, so a number fails a run only if it is impossible.

## Targets

Each ratio is computed per round, since noise affects all subjects of a round alike. The table shows the median.

{targets}
"
    )
}

fn all_results(results: &Results, plan: &Plan) -> String {
    let Plan { rounds, window, round_trips, turns, idle, starts, descriptor_timeout, .. } = plan;
    let (seconds, held) = (window.as_secs_f64(), plan.max_connections());
    let descriptor_seconds = descriptor_timeout.as_secs();
    let peers = Subject::PEERS.map(Subject::title).join(", ");
    let table = table::results(results);
    format!(
        "\
## All numbers

Medians of {rounds} rounds, with the range in brackets. The peers are {peers}. \"To best peer\" is
the ratio to the peer with the best median, \"to splice\" the ratio to the splice relay.

{table}
* **The work** is the same for all subjects: on loopback, in a network namespace of its own. Clients and service run on the same
  cores. In each round every subject has its turn at a workload before the next one begins. The target of all connections is one
  service, which greets each client with one byte.
* **i2p-socks** (release profile, without the embedded router) uses a SAM bridge that answers at once and then is the service
  itself, on the same connection. Each connection through it needs a second TCP connection and two SAM exchanges, while the
  peers only dial TCP. CPU and memory are those of the proxy, without bridge and service.
* **splice relay** is `crates/bench/peers/splice-relay.c`: splice(2) through pipes of 1 MiB, a thread for each direction, no
  protocol. fast-socks5 is `crates/bench/peers/fast-socks5`, the smallest server that the crate makes. microsocks and Dante are
  Debian's.
* **Bulk**: {seconds} s of data over 1 and over {MANY} connections. The sender calls write(2) with 256 KiB. The receiver lets the
  kernel drop the data. \"Both ways\" counts the bytes of both directions.
* **CPU** is user and system time of all processes of the proxy (`/proc/PID/stat`).
* **Round trips**: {turns} times {round_trips} messages of 64 bytes on one connection, one after the other, each from write to
  read.
* **Connections per second**: {MANY} clients connect in a loop, read the greeting, send one byte, and read the end of the
  stream. A proxy that leaves Nagle's algorithm on holds the greeting back for 40 ms.
* **Memory** is resident (`Pss` of `smaps_rollup`, so that pages that Dante's processes share count once). A fresh proxy holds
  {idle} connections, each of which has carried a message. The value is its memory with all of them, less that with the first
  one, per connection.
* **Descriptors** are those of these connections. A subject with more than two per connection has {descriptor_seconds} s to close
  spare ones.
* **Working connections**: {held} connections are held at the same time, and then each is used.
* **Start to ready** is the time from starting the program until its line `socks ADDRESS ready`, {starts} times in each round.

"
    )
}

fn link_with_latency(results: &Results, plan: &Plan, link: &LinkCheck) -> String {
    let fetches = plan.fetches;
    let (table, one_way) = (first_byte(results, link), LATENCY.as_millis());
    let (round_trip, silence) = (one_way * 2, one_way * 3);
    format!(
        "\
## Time to first byte on a link with latency

Clients fetch pages from a site in a private network of real i2pd routers: through our proxy on the SAM bridge of a router, and
through the SOCKS port of the same router.

{table}
* **The link** takes {one_way} ms each way, so a round trip takes {round_trip} ms. It connects two network namespaces. The client,
  both proxies and their router are in one; the site, its router and the floodfills are in the other. `cargo xtask bench` itself
  carries the packets between a TUN device in each namespace, in their order and each with this delay
  (`crates/lab/src/namespace/latency.rs`; netem does the same on kernels that have it). No packet was dropped. Its clock ticks
  in milliseconds, so times that differ by less than 2 % are the same.
* **The time** is measured from connecting to the proxy until the first byte of the page. The client sends its request when the
  proxy has replied. Each proxy fetches {fetches} pages by each form of address, each on a new connection, in turns with the other.
  The ratio is the median of the ratios of the turns. Connecting and the request are two round trips over the link for both
  proxies. The link is silent for {silence} ms before each page.
* **Tunnels** are the same for both: one each way, without hops, built before. Hops would add the same time to both.

"
    )
}

fn growth(results: &Results, plan: &Plan) -> String {
    let Plan { messages, session_connections, .. } = plan;
    let picture = Path::new(PICTURE).file_name().unwrap_or_default().display().to_string();
    let (growth, book) = (table::growth(results), table::book(results));
    format!(
        "\
## How it grows

![Memory and CPU time against connections and sessions, time of lookups against names in the address book]({picture})

At least {messages} messages go over all connections in turn, so that no connection is warmer than the others. Sessions are made
with credentials, and {session_connections} connections go over them in turn. Medians:

{growth}
The address book is one file, measured by itself. It looks up 10,000 names from all parts of the file, one after the other, each
time after opening it anew. Opening reads and checks every page, once at each start of the proxy. For other costs:
`cargo bench -p i2p-address-book`.

{book}
"
    )
}

fn environment_table(environment: &Environment) -> String {
    let lines: String =
        environment.lines.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    format!("## Where\n\n| | |\n|---|---|\n{lines}")
}

/// One line with the latest results of a measure, to show progress.
pub(crate) fn progress(results: &Results, measure: Measure) -> String {
    let latest = |subject: Subject| {
        let last = results.values(measure, subject).last()?;
        Some(format!("{} {}", subject.title(), format_number(*last)))
    };
    let subjects = Subject::ALL.into_iter().chain([Subject::Before]);
    format!("  {measure}: {}", subjects.filter_map(latest).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Address;

    #[test]
    fn a_value_follows_its_name() {
        assert_eq!(value("processor\t: 0\nmodel name\t: AMD EPYC\n", "model name", ':'), "AMD EPYC");
        assert_eq!(value("NAME=\"x\"\nPRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME", '='), "\"Debian 12\"");
        assert_eq!(value("", "model name", ':'), "unknown");
    }

    #[test]
    fn the_page_has_everything() {
        let mut results = Results::default();
        results.record(Measure::Rate, Subject::Ours, 5000.0).unwrap();
        let environment = Environment { lines: vec![("machine".into(), "a small one".into())] };
        results.record(Measure::FirstByte(Address::Name), Subject::I2pd, 202.5).unwrap();
        let link = LinkCheck::RoundTrips([Duration::from_micros(101_250), Duration::from_micros(100_500)]);
        let sections = [&contained::SECTION, &web_page::SECTION, &networks::SECTION]
            .map(|section| section.carry_over(""));
        let text = render(&results, &Plan::FULL, &environment, &link, &sections.concat());
        for part in [
            "cargo xtask bench --write",
            "| connections per second | 5000 |",
            "| target | measured |",
            "](performance.svg)",
            "| machine | a small one |\n",
            "2 s of data over 1 and over 16 connections",
            "| time to first byte by name, ms | – | 202 | – |\n",
            "takes 50 ms each way, so a round trip takes 100 ms",
            "101.2 ms before, 100.5 ms after.\n",
            "## A contained program\n",
            "## A page with 30 objects\n",
            "## Lossy and slow networks\n",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with('|') || line.chars().count() <= 130), "{text}");
        assert!(!PROFILES.contains("this run"), "the page shows it beside the results of any run");
        let absent =
            render(&results, &Plan::FULL, &environment, &LinkCheck::NoTun("/dev/net/tun: gone".into()), "");
        assert!(absent.contains("Not measured: the link needs TUN"), "{absent}");
        assert!(progress(&results, Measure::Rate).ends_with("second: i2p-socks 5000"));
    }
}
