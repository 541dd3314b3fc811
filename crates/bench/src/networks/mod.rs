//! `cargo xtask bench --networks`: pages through our proxy and through i2pd's own SOCKS port on networks that lose, delay and
//! reorder packets, and whose routers hang.
//!
//! Each network is a process in namespaces of its own. Those with several clients run at the same time, since they mostly wait.

mod kind;
mod measure;
mod outcome;
mod visit;

use std::{fs, path::PathBuf, thread};

use anyhow::{Context, Result, anyhow};
use lab::router::version::I2pdVersion;
use programs::Workspace;

use self::kind::Kind;
pub(crate) use self::measure::Extent;
use crate::{
    SUITE,
    first_byte::no_tun,
    in_lab::in_lab,
    section::{OF_I2PD, Section},
};

/// The section of the page about these networks.
pub(crate) const SECTION: Section = Section {
    heading: "## Lossy and slow networks\n",
    next_heading: "## How it grows\n",
    explanation: include_str!("explanation.md"),
    table_heading: OF_I2PD,
};

/// The option for one network, which the suite also gives to itself inside the namespaces.
pub(crate) const NETWORK: &str = "--network";

/// The networks of one i2pd.
pub(crate) struct Measured {
    /// The section of the page. A network that was not measured has a row that says so.
    pub(crate) section: String,
    /// How many networks were not measured. The reasons are on stderr.
    pub(crate) failures: usize,
}

/// Measures all networks.
pub(crate) fn measure_all(workspace: &Workspace, short: bool) -> Result<Measured> {
    if let Some(reason) = no_tun() {
        return Err(anyhow!("the links need TUN, which this machine does not have ({reason})"));
    }
    let version = I2pdVersion::of_routers()?;
    let run = |kind: &Kind| run_inside(workspace, kind, short);
    let (lone, busy): (Vec<_>, Vec<_>) = kind::ALL.iter().partition(|kind| kind.clients == 1);
    let mut failures: Vec<_> = lone.into_iter().filter_map(|kind| run(kind).err()).collect();
    thread::scope(|scope| {
        let networks: Vec<_> = busy.into_iter().map(|kind| scope.spawn(move || run(kind))).collect();
        for network in networks {
            let outcome = network.join().map_err(|_| anyhow!("a network panicked")).flatten();
            failures.extend(outcome.err());
        }
    });
    for failure in &failures {
        eprintln!("error: {failure:#}");
    }
    let row = |kind: &Kind| {
        fs::read_to_string(file(workspace, kind)).unwrap_or_else(|_| outcome::missing_row(kind.title))
    };
    let rows: String = kind::ALL.iter().map(row).collect();
    println!("\n{}{rows}", outcome::HEADER);
    let section = format!("### i2pd {version}\n\n{}{rows}", outcome::HEADER);
    Ok(Measured { section, failures: failures.len() })
}

/// Measures one network in namespaces of its own.
fn run_inside(workspace: &Workspace, kind: &Kind, short: bool) -> Result<()> {
    let row = file(workspace, kind);
    // The row of an earlier run.
    let _ = fs::remove_file(&row);
    let arguments: &[&str] = if short { &[NETWORK, kind.name, "--short"] } else { &[NETWORK, kind.name] };
    SUITE.run_inside(workspace, arguments).with_context(|| format!("the network {}", kind.name))
}

/// Measures one network inside its namespaces and writes its row for the process outside.
pub(crate) fn measure_one(workspace: &Workspace, name: &str, extent: Extent) -> Result<()> {
    let kind = kind::find(name).with_context(|| format!("no network has the name {name}"))?;
    let outcome = in_lab(workspace, move |workspace, lab| measure::measure(workspace, lab, &kind, extent))?;
    let row = outcome.row(kind.title);
    println!("{}{row}", outcome::HEADER);
    let file = file(workspace, &kind);
    fs::write(&file, row).with_context(|| format!("could not write {}", file.display()))
}

/// Returns whether a network has this name.
pub(crate) fn exists(name: &str) -> bool {
    kind::find(name).is_some()
}

/// The file for the row of a network.
fn file(workspace: &Workspace, kind: &Kind) -> PathBuf {
    workspace.target().join(SUITE.name).join(format!("network-{}.md", kind.name))
}
